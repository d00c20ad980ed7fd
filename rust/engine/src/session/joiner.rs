//! Waits for the end of sessions: [`Joiner`] for one
//! session, [`join_all`] for all of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// Sessions whose threads still run, for [`join_all`].
static RUNNING: Mutex<Vec<Arc<Done>>> = Mutex::new(Vec::new());

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
    /// The thread of a session begins: [`join_all`] waits for it.
    pub(crate) fn begin(self: &Arc<Self>) {
        RUNNING.lock().push(Arc::clone(self));
    }

    /// The thread of a session has nothing left to do.
    pub(crate) fn finish(self: &Arc<Self>) {
        RUNNING.lock().retain(|other| !Arc::ptr_eq(other, self));
        self.reach(End::Finished);
    }

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

/// Waits until every stopped session's threads have ended, so that the library
/// may be unloaded; at most `limit`. Whether they have.
pub fn join_all(limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    let running = RUNNING.lock().clone();
    running.iter().all(|done| {
        done.wait(
            End::Finished,
            deadline.saturating_duration_since(Instant::now()),
        )
    })
}
