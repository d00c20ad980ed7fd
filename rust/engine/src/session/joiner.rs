//! Waits for the end of sessions: [`Joiner`] for one session, [`end_all`] for
//! all of the process.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::SessionShared;

/// Sessions whose threads may still run, for [`end_all`].
static RUNNING: Mutex<Vec<RunningSession>> = Mutex::new(Vec::new());

/// A session whose threads may still run. Keeps none of it alive.
#[derive(Clone)]
struct RunningSession {
    session: Weak<SessionShared>,
    joiner: Arc<Joiner>,
}

/// How far the end of a session is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    #[default]
    NotYet,
    /// Files are closed, ports and folder are free.
    Stopped,
    /// Its thread has nothing left to do.
    Finished,
}

/// How far the end of a session is.
#[derive(Debug, Default)]
pub(crate) struct Done {
    end: Mutex<End>,
    changed: Condvar,
}

impl Done {
    fn wait(&self, wanted: End, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut end = self.end.lock();
        while *end < wanted {
            if self.changed.wait_until(&mut end, deadline).timed_out() {
                return *end >= wanted;
            }
        }
        true
    }

    pub(crate) fn reach(&self, end: End) {
        *self.end.lock() = end;
        self.changed.notify_all();
    }
}

/// Waits for the end of a session.
#[derive(Debug)]
pub(crate) struct Joiner {
    done: Arc<Done>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Joiner {
    /// The joiner of a session that reports its progress through `done`.
    pub(crate) fn new(done: Arc<Done>, thread: std::thread::JoinHandle<()>) -> Self {
        Self {
            done,
            thread: Mutex::new(Some(thread)),
        }
    }

    /// Waits until the session has stopped, at most `limit`. Whether it has.
    pub(crate) fn join(&self, limit: Duration) -> bool {
        self.done.wait(End::Stopped, limit)
    }

    /// Waits until its threads have ended, at most `limit`. Whether they have.
    pub(crate) fn join_threads(&self, limit: Duration) -> bool {
        if !self.done.wait(End::Finished, limit) {
            return false;
        }
        if let Some(thread) = self.thread.lock().take() {
            // It has said that it is done: this only waits for its last steps.
            let _ = thread.join();
        }
        true
    }
}

/// Registers a session whose threads have been started, and forgets those that
/// have ended since.
pub(crate) fn enter(session: &Arc<SessionShared>, joiner: &Arc<Joiner>) {
    let mut running = RUNNING.lock();
    running.retain(|known| !known.joiner.join_threads(Duration::ZERO));
    running.push(RunningSession {
        session: Arc::downgrade(session),
        joiner: Arc::clone(joiner),
    });
}

/// Stops every session of the process and waits until all of their threads have
/// ended, at most `limit`, so that the library may be unloaded. Nothing is left to
/// the background: announces that are under way after
/// [`FINAL_ANNOUNCE_LIMIT`](super::FINAL_ANNOUNCE_LIMIT) are given up. How many
/// sessions have not ended in time.
pub fn end_all(limit: Duration) -> usize {
    let deadline = Instant::now() + limit;
    let running = RUNNING.lock().clone();
    for session in running.iter().filter_map(|known| known.session.upgrade()) {
        session.stop();
        session.skip_final_announces.send_replace(true);
    }
    let left = || deadline.saturating_duration_since(Instant::now());
    let has_ended = |known: &&RunningSession| known.joiner.join_threads(left());
    running.len() - running.iter().filter(has_ended).count()
}
