//! Pieces that we announced to the peer and have no longer (BEP 54), and requests
//! that cannot be served because of it.
//!
//! Part of [`Connection`]. A peer that supports the message stays connected; others would
//! wait for blocks that never come, and are left: when they are back, they see
//! what we have.

use std::collections::VecDeque;
use std::time::Instant;

use super::invalid_requests::CROSSING;
use super::{CloseReason, Connection, ReadJob};
use crate::ids::PieceIndex;
use crate::wire::{Message, Request};

/// What the peer may not have received yet.
#[derive(Debug, Default)]
pub(super) struct SentDontHave {
    /// Pieces that were announced to it lately, the latest last.
    pieces: VecDeque<(Instant, PieceIndex)>,
}

impl SentDontHave {
    /// Whether a request for the piece may have crossed the news that it is
    /// gone.
    pub(super) fn crossed(&mut self, now: Instant, piece: PieceIndex) -> bool {
        let known = |&(sent, _): &(Instant, PieceIndex)| sent + CROSSING < now;
        while self.pieces.front().is_some_and(known) {
            self.pieces.pop_front();
        }
        self.pieces.iter().any(|&(_, gone)| gone == piece)
    }
}

impl Connection {
    /// We have these pieces no longer (BEP 54). Requests for them that wait are
    /// refused (BEP 6), so that the peer asks elsewhere. The connection is to
    /// be closed if the peer cannot be informed.
    pub fn send_dont_have(&mut self, now: Instant, pieces: &[PieceIndex]) -> Option<CloseReason> {
        let dropped = self.drop_uploads(|_, piece| !pieces.contains(&piece));
        let id = self.extensions.peer_ids.dont_have;
        let mut unsupported = false;
        for &piece in pieces {
            if !self.announced.clear(piece.0) {
                continue;
            }
            if id == 0 {
                unsupported = true;
                continue;
            }
            self.send.announce(&Message::Extended {
                id,
                payload: &piece.0.to_be_bytes(),
            });
            self.sent_dont_have.pieces.push_back((now, piece));
        }
        let waits = dropped && !self.uploads.choking;
        let helpless = !self.features.fast && (unsupported || waits);
        helpless.then_some(CloseReason::DontHaveUnsupported)
    }

    /// Rejects requests whose blocks could not be read; the connection is to be closed if the
    /// peer cannot be informed.
    pub(super) fn reject_read(&mut self, job: &ReadJob) -> Option<CloseReason> {
        if !self.features.fast {
            // A choke said it already.
            return (!self.uploads.choking).then_some(CloseReason::DontHaveUnsupported);
        }
        for &(begin, length) in &job.spans {
            self.send.message(&Message::Reject(Request {
                piece: job.piece,
                begin,
                length,
            }));
        }
        None
    }
}
