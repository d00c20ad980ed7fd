//! How a storage comes to its end: what is still taken, and which workers have
//! let go of it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::error::Fault;

/// Whether a storage is to end; long work looks now and then.
#[derive(Debug, Default)]
pub(super) struct Ending {
    /// New writes and reads are refused.
    closing: AtomicBool,
    /// Long work on the files ends as soon as it can.
    cut_short: AtomicBool,
}

impl Ending {
    /// Refuses new writes and reads from now on. Returns whether that was so.
    pub(super) fn close(&self) -> bool {
        self.closing.swap(true, Ordering::AcqRel)
    }

    /// Has long work end.
    pub(super) fn cut_short(&self) {
        self.cut_short.store(true, Ordering::Release);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Fails when the storage is being closed or its torrent ends.
    pub(super) fn go_on(&self) -> Result<(), Fault> {
        if self.is_closing() || self.cut_short.load(Ordering::Acquire) {
            Err(Fault::CutShort)
        } else {
            Ok(())
        }
    }
}

/// The workers of a storage.
#[derive(Debug)]
pub(super) struct WorkerShares {
    /// Which of them have let go of it.
    closed: Box<[AtomicBool]>,
    /// How many have not.
    open: AtomicUsize,
}

impl WorkerShares {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            closed: (0..workers).map(|_| AtomicBool::new(false)).collect(),
            open: AtomicUsize::new(workers),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.closed.len()
    }

    /// Whether the worker has let go.
    pub(super) fn is_closed(&self, worker: usize) -> bool {
        self.closed
            .get(worker)
            .is_none_or(|closed| closed.load(Ordering::Acquire))
    }

    /// Notes that the worker lets go. Returns whether it was the last one.
    pub(super) fn close(&self, worker: usize) -> bool {
        self.closed
            .get(worker)
            .is_some_and(|closed| !closed.swap(true, Ordering::AcqRel))
            && self.open.fetch_sub(1, Ordering::AcqRel) == 1
    }
}
