//! Checks that are pending: a read that fails, for a peer or in a check,
//! does not mean that the bytes are bad. The pieces concerned do not count and
//! are not requested; when the error is cleared ([`Driver::clear_error`], by the
//! game or the retry) they are hashed first, and only bad ones are downloaded
//! again. Until then records claim no piece.
//!
//! Owned by the torrent's driver.

use std::time::Instant;

use torrent_core::bitfield::Bitfield;
use torrent_core::ids::PieceIndex;

use super::Driver;
use crate::disk::{CheckMode, DiskError};

/// The check that has to be done before anything is requested.
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

    /// What a check in this mode has to look at, the pending check included;
    /// none is pending then.
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
        // First, so that the missing piece is not requested from peers.
        self.hold_download();
        if self.brain.picker().we_have(piece) {
            self.brain.piece_lost(now, piece);
            self.publish_pieces();
        }
        self.storage_failed(error);
        self.run_pending_check();
    }

    /// A check could not be done: the pieces that it was for are still unknown.
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
            // It is over; its result is in the queue of disk events.
            Some(_) => self.checking.pending_check.add(CheckMode::All),
            None => {}
        }
    }

    /// Runs the pending check, unless an error keeps it from being done.
    /// Whether a check is pending.
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
