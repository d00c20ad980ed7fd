//! What the peer says that it has: all at once (BEP 3, BEP 6), piece by piece,
//! and pieces that it has no longer (BEP 54).
//!
//! Part of [`Connection`]; the torrent learns of it by reports. A peer announces
//! all pieces first and once. Some do so again, and the last message counts then;
//! but it costs us far more than the few bytes that say it, so that it may not
//! go on without end.

use super::pre_metadata::EarlyPieces;
use super::{Connection, PeerError};
use crate::bitfield::Bitfield;
use crate::ids::PieceIndex;

/// How often a peer may say all that it has.
const MAX_BITFIELDS: u32 = 16;

/// Pieces that a peer may lose, at least and at most.
const MAX_DONT_HAVE: std::ops::RangeInclusive<u32> = 50..=10_000;

/// Pieces that we look at for what a peer loses, at most: when it had all of
/// them, each one is a look at all.
const LOOKS: u32 = 100_000_000;

/// What the peer has, as long as it cannot be judged, and how often it announced
/// all of it.
#[derive(Debug, Default)]
pub(super) struct RemotePieces {
    /// What the peer has, as long as there is no metadata to judge it by.
    pub(super) pre_metadata: Option<EarlyPieces>,
    bitfields: u32,
    dont_have_count: u32,
}

impl RemotePieces {
    /// Of a peer in a torrent whose metadata is not known yet.
    pub(super) fn before_metadata(max_pieces: u32) -> Self {
        Self {
            pre_metadata: Some(EarlyPieces::new(max_pieces)),
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
        if let Some(early) = &mut self.peer_pieces.pre_metadata {
            return early.have(piece);
        }
        if piece.0 >= self.layout.num_pieces() {
            return Err(PeerError::NoSuchPiece(piece.0));
        }
        self.pending_report.report.pieces.has(piece);
        self.pending_report.dirty = true;
        Ok(())
    }

    pub(super) fn take_bitfield(&mut self, bits: &[u8]) -> Result<(), PeerError> {
        self.peer_pieces.count_bitfield()?;
        if let Some(early) = &mut self.peer_pieces.pre_metadata {
            return early.bitfield(bits);
        }
        let pieces =
            Bitfield::from_wire(bits, self.layout.num_pieces()).ok_or(PeerError::WrongBitfield)?;
        self.replace_pieces(pieces);
        Ok(())
    }

    /// The peer has everything, or nothing.
    pub(super) fn take_all_or_none(&mut self, all: bool) -> Result<(), PeerError> {
        self.peer_pieces.count_bitfield()?;
        let pieces = self.layout.num_pieces();
        match (&mut self.peer_pieces.pre_metadata, all) {
            (Some(early), true) => early.all(),
            (Some(early), false) => early.none(),
            (None, true) => self.replace_pieces(Bitfield::full(pieces)),
            (None, false) => self.replace_pieces(Bitfield::new(pieces)),
        }
        Ok(())
    }

    fn replace_pieces(&mut self, pieces: Bitfield) {
        self.pending_report.report.pieces.replace(pieces);
        self.pending_report.dirty = true;
    }

    pub(super) fn handle_dont_have(&mut self, piece: u32) -> Result<(), PeerError> {
        // Before the metadata is known, nothing was counted on.
        if self.peer_pieces.pre_metadata.is_some() {
            return Ok(());
        }
        if piece >= self.layout.num_pieces() {
            return Err(PeerError::NoSuchPiece(piece));
        }
        self.peer_pieces.dont_have_count += 1;
        let most = LOOKS / self.layout.num_pieces().max(1);
        if self.peer_pieces.dont_have_count
            > most.clamp(*MAX_DONT_HAVE.start(), *MAX_DONT_HAVE.end())
        {
            return Err(PeerError::LosesTooMuch);
        }
        let news = &mut self.pending_report.report.pieces;
        news.has_no_longer(PieceIndex(piece));
        self.pending_report.dirty = true;
        Ok(())
    }
}
