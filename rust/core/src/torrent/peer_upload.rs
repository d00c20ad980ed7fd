//! What one peer may have of us, and what it knows that we have.

use std::time::Instant;

use crate::bitfield::Bitfield;
use crate::ids::PieceIndex;

/// The upload to one peer.
#[derive(Debug)]
pub struct PeerUpload {
    /// It is interested in us.
    pub interested_in_us: bool,
    /// We choke it.
    pub choked_by_us: bool,
    /// It is unchoked to give it a chance, not for its merit.
    pub optimistic: bool,
    /// When we choked or unchoked it last, or else when it connected.
    since: Instant,
    /// We have never unchoked it.
    fresh: bool,
    /// Payload sent when it was choked or unchoked last.
    sent_before: u64,
    /// The pieces that were announced to it, where not all were
    /// (BEP 16).
    pub(super) revealed: Option<Bitfield>,
    /// Pieces that we suggested to it since it may download, the latest last.
    advised: Vec<PieceIndex>,
}

impl PeerUpload {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            interested_in_us: false,
            choked_by_us: true,
            optimistic: false,
            since: now,
            fresh: true,
            sent_before: 0,
            revealed: None,
            advised: Vec::new(),
        }
    }

    /// We choke it now, or let it download; `sent` is the payload sent so far.
    pub(super) fn set_choked(&mut self, now: Instant, choked: bool, sent: u64) {
        self.choked_by_us = choked;
        self.since = now;
        self.fresh &= choked;
        self.advised.clear();
        self.sent_before = sent;
    }

    /// Whether we have never unchoked it.
    pub(super) fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// When we choked or unchoked it last, or else when it connected.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// Of the payload `sent` so far, what went since then.
    pub(super) fn sent_since(&self, sent: u64) -> u64 {
        sent - self.sent_before
    }

    /// Whether it knows that we have the piece.
    pub(super) fn is_revealed(&self, piece: PieceIndex) -> bool {
        self.revealed
            .as_ref()
            .is_none_or(|revealed| revealed.get(piece.0))
    }

    /// The piece is announced to it.
    pub(super) fn reveal(&mut self, piece: PieceIndex) {
        if let Some(revealed) = &mut self.revealed {
            revealed.set(piece.0);
        }
    }

    /// Whether the piece was suggested to it since it may download.
    pub(super) fn was_advised(&self, piece: PieceIndex) -> bool {
        self.advised.contains(&piece)
    }

    /// These pieces are suggested to it; no more than `most` are remembered.
    pub(super) fn advise(&mut self, pieces: &[PieceIndex], most: usize) {
        self.advised.extend(pieces);
        let surplus = self.advised.len().saturating_sub(most);
        self.advised.drain(..surplus);
    }
}
