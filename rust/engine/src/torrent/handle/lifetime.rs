//! How far a torrent is on its way out of its session.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// What has happened of a torrent's end; nothing of it is ever taken back.
#[derive(Debug, Default)]
pub(crate) struct Lifetime {
    /// Its handle is invalid.
    removed: AtomicBool,
    /// When it was removed, as a number in the order of removals.
    removal: watch::Sender<Option<u64>>,
    /// It left the session because it was removed.
    left: AtomicBool,
    /// Its task is over.
    ended: AtomicBool,
}

impl Lifetime {
    /// Makes the handle invalid. Whether it was valid: of several callers, one
    /// removes the torrent.
    pub(crate) fn invalidate(&self) -> bool {
        !self.removed.swap(true, Ordering::AcqRel)
    }

    /// Whether the handle is invalid.
    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    /// Its number in the order of removals, which the claims of paths give.
    pub(crate) fn removal(&self) -> &watch::Sender<Option<u64>> {
        &self.removal
    }

    /// It was removed, and its files are closed.
    pub(crate) fn leave(&self) {
        self.left.store(true, Ordering::Release);
    }

    /// Whether it was removed and its files are closed.
    pub(crate) fn has_left(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }

    /// Its task is over, however that ended.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Whether its task is over.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}
