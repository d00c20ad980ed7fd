//! What the peer says that it has: all at once (BEP 3, BEP 6), piece by piece,
//! and pieces that it has no longer (BEP 54).
//!
//! Part of [`Connection`]; the torrent hears of it by reports. A peer speaks of
//! all pieces first and once. Some do so again, and the last word counts then;
//! but it costs us far more than the few bytes that say it, so that it may not
//! go on for ever.

use super::early::EarlyPieces;
use super::{Connection, PeerError};
use crate::bitfield::Bitfield;
use crate::ids::PieceIndex;

/// How often a peer may say all that it has.
const MAX_BITFIELDS: u32 = 16;

/// Pieces that a peer may lose, at least and at most.
const MAX_LOST: std::ops::RangeInclusive<u32> = 50..=10_000;

/// Pieces that we look at for what a peer loses, at most: when it had all of
/// them, each one is a look at all.
const LOOKS: u32 = 100_000_000;

/// What the peer has, as long as nobody can judge it, and how often it spoke of
/// all of it.
#[derive(Debug, Default)]
pub(super) struct Theirs {
    /// What the peer has, as long as there is no metadata to judge it by.
    pub(super) early: Option<EarlyPieces>,
    bitfields: u32,
    lost: u32,
}

impl Theirs {
    /// Of a peer in a torrent whose metadata is not known yet.
    pub(super) fn before_metadata(max_pieces: u32) -> Self {
        Self {
            early: Some(EarlyPieces::new(max_pieces)),
            ..Self::default()
        }
    }

    fn count_bitfield(&mut self) -> Result<(), PeerError> {
        self.bitfields += 1;
        match self.bitfields > MAX_BITFIELDS {
            true => Err(PeerError::TooManyBitfields),
            false => Ok(()),
        }
    }
}

impl Connection {
    pub(super) fn take_have(&mut self, piece: PieceIndex) -> Result<(), PeerError> {
        if let Some(early) = &mut self.theirs.early {
            return early.have(piece);
        }
        if piece.0 >= self.layout.num_pieces() {
            return Err(PeerError::NoSuchPiece(piece.0));
        }
        self.news.report.lost.retain(|&lost| lost != piece);
        self.news.report.haves.push(piece);
        self.news.dirty = true;
        Ok(())
    }

    pub(super) fn take_bitfield(&mut self, bits: &[u8]) -> Result<(), PeerError> {
        self.theirs.count_bitfield()?;
        if let Some(early) = &mut self.theirs.early {
            return early.bitfield(bits);
        }
        let pieces =
            Bitfield::from_wire(bits, self.layout.num_pieces()).ok_or(PeerError::WrongBitfield)?;
        self.replace_pieces(pieces);
        Ok(())
    }

    /// The peer has everything, or nothing.
    pub(super) fn take_all_or_none(&mut self, all: bool) -> Result<(), PeerError> {
        self.theirs.count_bitfield()?;
        let pieces = self.layout.num_pieces();
        match (&mut self.theirs.early, all) {
            (Some(early), true) => early.all(),
            (Some(early), false) => early.none(),
            (None, true) => self.replace_pieces(Bitfield::full(pieces)),
            (None, false) => self.replace_pieces(Bitfield::new(pieces)),
        }
        Ok(())
    }

    fn replace_pieces(&mut self, pieces: Bitfield) {
        self.news.report.haves.clear();
        self.news.report.lost.clear();
        self.news.report.bitfield = Some(pieces);
        self.news.dirty = true;
    }

    pub(super) fn take_lost(&mut self, piece: u32) -> Result<(), PeerError> {
        // Before the metadata is known, nothing was counted on.
        if self.theirs.early.is_some() {
            return Ok(());
        }
        if piece >= self.layout.num_pieces() {
            return Err(PeerError::NoSuchPiece(piece));
        }
        self.theirs.lost += 1;
        let most = LOOKS / self.layout.num_pieces().max(1);
        if self.theirs.lost > most.clamp(*MAX_LOST.start(), *MAX_LOST.end()) {
            return Err(PeerError::LosesTooMuch);
        }
        self.news.report.haves.retain(|had| had.0 != piece);
        if let Some(pieces) = &mut self.news.report.bitfield {
            pieces.clear(piece);
        }
        self.news.report.lost.push(PieceIndex(piece));
        self.news.dirty = true;
        Ok(())
    }
}
