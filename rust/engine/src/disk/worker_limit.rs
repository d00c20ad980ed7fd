//! How many disk workers work at once: the setting `aio_threads`, which may
//! change while they run. A worker takes a [`WorkerPermit`] when it has found work and
//! keeps it until it looks for more. Workers do not wait for one another while they hold a permit, so
//! every permit is given back; permits are given in the order of requests, so a
//! worker with endless work starves no other.

use parking_lot::{Condvar, Mutex};

/// The permits of all workers.
#[derive(Debug)]
pub(super) struct WorkerLimit {
    state: Mutex<WorkerLimitState>,
    changed: Condvar,
}

#[derive(Debug)]
struct WorkerLimitState {
    limit: u64,
    /// Permits requested, and permits given back.
    asked: u64,
    ended: u64,
}

/// The right to work, until it is dropped.
#[derive(Debug)]
pub(super) struct WorkerPermit<'a>(&'a WorkerLimit);

impl WorkerLimit {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            state: Mutex::new(WorkerLimitState {
                limit: limit.max(1) as u64,
                asked: 0,
                ended: 0,
            }),
            changed: Condvar::new(),
        }
    }

    /// At least one.
    pub(super) fn set_limit(&self, limit: usize) {
        self.state.lock().limit = limit.max(1) as u64;
        self.changed.notify_all();
    }

    /// Waits for a permit.
    pub(super) fn take(&self) -> WorkerPermit<'_> {
        let mut state = self.state.lock();
        let number = state.asked;
        state.asked += 1;
        self.changed
            .wait_while(&mut state, |state| number >= state.ended + state.limit);
        WorkerPermit(self)
    }
}

impl Drop for WorkerPermit<'_> {
    fn drop(&mut self) {
        self.0.state.lock().ended += 1;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn no_more_work_at_once_than_the_limit_of_the_moment() {
        let worker_limit = WorkerLimit::new(2);
        let (working, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = |rounds| {
            for _ in 0..rounds {
                let _permit = worker_limit.take();
                most.fetch_max(working.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::yield_now();
                working.fetch_sub(1, Ordering::SeqCst);
            }
        };
        let run = || {
            thread::scope(|scope| {
                for _ in 0..6 {
                    scope.spawn(|| work(300));
                }
            });
            most.swap(0, Ordering::SeqCst)
        };
        assert!((1..=2).contains(&run()));
        worker_limit.set_limit(1);
        assert_eq!(run(), 1);

        // A waiting worker learns of a higher limit.
        let held = worker_limit.take();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| drop(worker_limit.take()));
            worker_limit.set_limit(2);
            waiting.join().unwrap();
        });
        drop(held);
        worker_limit.set_limit(0);
        drop(worker_limit.take());
    }
}
