//! The pieces of a storage that are there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use torrent_core::bitfield::Bitfield;

use super::atomic_bitfield::AtomicBitfield;
use super::spec::StorageSpec;

/// Which pieces are there, as far as that is known. Pieces of padding alone always
/// are.
pub(super) struct PieceStates {
    /// The verified pieces.
    pub(super) have: AtomicBitfield,
    /// Those of them that have not been hashed: see `resume`.
    pub(super) trusted: AtomicBitfield,
    /// The files have been looked at: `have` is all that there is.
    known: AtomicBool,
    spec: Arc<StorageSpec>,
}

impl PieceStates {
    pub(super) fn new(spec: Arc<StorageSpec>) -> Self {
        let layout = &spec.layout;
        let new = Self {
            have: AtomicBitfield::new(layout.num_pieces()),
            trusted: AtomicBitfield::new(layout.num_pieces()),
            known: AtomicBool::new(false),
            spec,
        };
        new.keep_padding();
        new
    }

    /// The pieces of padding alone are there.
    pub(super) fn keep_padding(&self) {
        for piece in self.spec.layout.padding_pieces() {
            self.have.set(piece.0);
        }
    }

    /// Makes these the verified pieces.
    pub(super) fn replace_have(&self, pieces: &Bitfield) {
        self.have.replace(pieces);
        self.keep_padding();
    }

    pub(super) fn is_known(&self) -> bool {
        self.known.load(Ordering::Acquire)
    }

    pub(super) fn set_known(&self, known: bool) {
        self.known.store(known, Ordering::Release);
    }
}
