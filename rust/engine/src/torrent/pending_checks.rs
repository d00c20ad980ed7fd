//! Checks that are pending: a read that fails, for a peer or in a check,
//! says nothing of the bytes. The pieces in question do not count and are not
//! fetched; when storage is said to work again ([`Driver::clear_error`], by
//! the game or the retry) they are hashed first, and only what is really bad
//! comes from peers. Until then records claim nothing.
//!
//! Owned by the torrent's driver.

use std::time::Instant;

use torrent_core::bitfield::Bitfield;
use torrent_core::ids::PieceIndex;

use super::Driver;
use crate::disk::{CheckMode, DiskError};

/// What has to be looked at before anything is fetched.
#[derive(Debug, Default)]
pub(super) struct PendingCheck(Option<CheckMode>);

impl PendingCheck {
    pub(super) fn is_some(&self) -> bool {
        self.0.is_some()
    }

    fn add(&mut self, mode: CheckMode) {
        self.0 = Some(match (self.0.take(), mode) {
            (None, mode) => mode,
            (Some(CheckMode::Only(mut pieces)), CheckMode::Only(more)) => {
                for piece in more.iter() {
                    pieces.set(piece);
                }
                CheckMode::Only(pieces)
            }
            _ => CheckMode::All,
        });
    }

    /// What a check in this mode has to look at, which settles the debt.
    pub(super) fn resolve_mode(&mut self, mode: CheckMode) -> CheckMode {
        self.add(mode);
        self.0.take().unwrap_or(CheckMode::All)
    }
}

impl Driver {
    /// The bytes of `piece` could not be read.
    pub(super) fn unreadable(&mut self, piece: PieceIndex, error: DiskError) {
        let now = Instant::now();
        let mut pieces = Bitfield::new(self.brain.layout().num_pieces());
        pieces.set(piece.0);
        self.mark_unknown(&pieces);
        self.checking.pending_check.add(CheckMode::Only(pieces));
        // Before the piece is missed: it must not be asked of peers.
        self.hold_download();
        if self.brain.picker().we_have(piece) {
            self.brain.piece_lost(now, piece);
            self.publish_pieces();
        }
        self.storage_failed(error);
        self.run_pending_check();
    }

    /// A check could not be done: what it was to look at is as unknown as
    /// before it.
    pub(super) fn check_failed(&mut self, mode: CheckMode) {
        self.checking.pending_check.add(mode);
        self.checking.content_unknown = true;
        self.hold_download();
    }

    /// Everything is to be looked at, while a check is under way or waits that
    /// may be of some pieces only.
    pub(super) fn widen_check(&mut self) {
        match &self.checking.running {
            _ if self.checking.waiting.is_some() => self.checking.waiting = Some(CheckMode::All),
            Some(check) if *check.mode() == CheckMode::All => {}
            Some(check) if check.cancel() => {
                self.checking.running = None;
                self.run_check(CheckMode::All);
            }
            // Its end is on its way.
            Some(_) => self.checking.pending_check.add(CheckMode::All),
            None => {}
        }
    }

    /// Runs the pending check, unless an error says that it would be in vain.
    /// Whether something is.
    pub(super) fn run_pending_check(&mut self) -> bool {
        if !self.checking.pending_check.is_some() {
            return false;
        }
        if self.failure.error.is_none() && self.stop_for_check() {
            let nothing = Bitfield::new(self.brain.layout().num_pieces());
            self.run_check(CheckMode::Only(nothing));
        }
        true
    }
}
