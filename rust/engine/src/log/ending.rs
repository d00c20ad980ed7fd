//! Files of loggers that a game frees while its sessions end: the last lines of
//! such a session, what could not be saved among them, come after that. They are
//! written until no session is ending any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::LoggerState;

static ENDING: Mutex<EndingSessions> = Mutex::new(EndingSessions {
    sessions: Vec::new(),
    kept: Vec::new(),
});

struct EndingSessions {
    /// Sessions with a thread that runs, and whether they were told to stop.
    sessions: Vec<(u64, watch::Receiver<bool>)>,
    /// What is left of loggers that were freed meanwhile.
    kept: Vec<Arc<LoggerState>>,
}

impl EndingSessions {
    fn is_any_ending(&self) -> bool {
        self.sessions.iter().any(|(_, stopping)| *stopping.borrow())
    }
}

/// Held by the thread of a session for as long as it has something to log.
#[derive(Debug)]
pub(crate) struct LoggedSession(u64);

impl LoggedSession {
    /// A session that is ending when `stopping` is true.
    pub(crate) fn new(stopping: watch::Receiver<bool>) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);

        let number = LAST.fetch_add(1, Ordering::Relaxed);
        ENDING.lock().sessions.push((number, stopping));
        Self(number)
    }
}

impl Drop for LoggedSession {
    fn drop(&mut self) {
        let mut ending = ENDING.lock();
        ending.sessions.retain(|(number, _)| *number != self.0);
        let done = match ending.is_any_ending() {
            true => Vec::new(),
            false => std::mem::take(&mut ending.kept),
        };
        drop(ending);
        // Their own end looks for sessions that are ending.
        drop(done);
    }
}

/// Keeps what is left of a logger while sessions are ending; else it is dropped
/// with its file.
pub(super) fn keep(logger: Arc<LoggerState>) {
    let mut ending = ENDING.lock();
    if ending.is_any_ending() {
        ending.kept.push(logger);
        return;
    }
    drop(ending);
    logger.file.lock().take();
}

/// Whether a session is ending.
pub(super) fn is_any_ending() -> bool {
    ENDING.lock().is_any_ending()
}
