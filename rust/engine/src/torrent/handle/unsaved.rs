//! What of a torrent is saved, and what has changed since.

use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use super::resume::SaveFlags;

/// The changes that no save has begun to cover, and the last record.
#[derive(Debug, Default)]
pub(crate) struct Unsaved {
    /// Bits of [`SaveFlags`].
    changes: AtomicU32,
    /// The resume data that was saved last.
    last: Mutex<Option<Bytes>>,
}

impl Unsaved {
    /// These have changed.
    pub(crate) fn note(&self, what: SaveFlags) {
        self.changes.fetch_or(what.bits(), Ordering::AcqRel);
    }

    /// What has changed.
    pub(crate) fn changes(&self) -> SaveFlags {
        SaveFlags::from_bits(self.changes.load(Ordering::Acquire))
    }

    /// A save of everything begins: what it covers. Where it fails, that is to
    /// be noted again.
    pub(crate) fn take(&self) -> SaveFlags {
        SaveFlags::from_bits(self.changes.swap(0, Ordering::AcqRel))
    }

    /// A save begins that covers these.
    pub(crate) fn covered(&self, what: SaveFlags) {
        self.changes.fetch_and(!what.bits(), Ordering::AcqRel);
    }

    /// The record that was saved last; `None` before the first.
    pub(crate) fn last(&self) -> Option<Bytes> {
        self.last.lock().clone()
    }

    /// This record was saved.
    pub(crate) fn saved(&self, record: Bytes) {
        *self.last.lock() = Some(record);
    }
}
