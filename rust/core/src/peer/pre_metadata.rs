//! What a peer says it has before the torrent's metadata is known (BEP 9).
//!
//! It cannot be judged yet, only bounded: no piece beyond the most that a
//! torrent may have. When the metadata comes, what was said either fits it or
//! the peer is one of another torrent.

use std::collections::BTreeSet;

use super::PeerError;
use crate::bitfield::Bitfield;
use crate::ids::PieceIndex;

/// A piece in a set takes as much memory as so many in a bitfield, about.
const SPARSE: usize = 256;

/// Pieces of a torrent whose number of pieces is unknown.
#[derive(Debug)]
pub(super) struct EarlyPieces {
    /// In wire order, as long as need be.
    bits: Vec<u8>,
    /// Pieces beyond `bits`: one that has a high number costs no more than another,
    /// until there are so many that bits take less.
    haves: BTreeSet<u32>,
    /// Bytes in the bitfield that the peer sent, if it sent one.
    bitfield: Option<usize>,
    /// The peer said that it has everything (BEP 6).
    all: bool,
    max_pieces: u32,
}

impl EarlyPieces {
    pub(super) fn new(max_pieces: u32) -> Self {
        Self {
            bits: Vec::new(),
            haves: BTreeSet::new(),
            bitfield: None,
            all: false,
            max_pieces,
        }
    }

    /// The peer has this piece.
    pub(super) fn have(&mut self, piece: PieceIndex) -> Result<(), PeerError> {
        if piece.0 >= self.max_pieces {
            return Err(PeerError::NoSuchPiece(piece.0));
        }
        if (piece.0 / 8) as usize >= self.bits.len() {
            self.haves.insert(piece.0);
            if self.haves.len() >= self.max_pieces as usize / SPARSE {
                self.merge();
            }
        } else {
            self.set(piece.0);
        }
        Ok(())
    }

    fn set(&mut self, piece: u32) {
        if let Some(byte) = self.bits.get_mut((piece / 8) as usize) {
            *byte |= 0x80 >> (piece % 8);
        }
    }

    /// Puts all pieces into `bits`.
    fn merge(&mut self) {
        let haves = std::mem::take(&mut self.haves);
        if let Some(last) = haves.last() {
            let length = (last / 8) as usize + 1;
            self.bits.resize(length.max(self.bits.len()), 0);
        }
        haves.into_iter().for_each(|piece| self.set(piece));
    }

    /// The peer has these pieces, in wire order, and no others.
    pub(super) fn bitfield(&mut self, bits: &[u8]) -> Result<(), PeerError> {
        if bits.len() > self.max_pieces.div_ceil(8) as usize {
            return Err(PeerError::WrongBitfield);
        }
        self.bits = bits.to_vec();
        self.haves.clear();
        self.bitfield = Some(bits.len());
        Ok(())
    }

    /// The peer has everything, whatever that is.
    pub(super) fn all(&mut self) {
        self.all = true;
    }

    /// The peer has nothing yet.
    pub(super) fn none(&mut self) {
        self.all = false;
        self.bits = Vec::new();
        self.haves.clear();
        self.bitfield = None;
    }

    /// What the peer has of a torrent with this many pieces; `None` when it
    /// said nothing.
    pub(super) fn judge(mut self, num_pieces: u32) -> Result<Option<Bitfield>, PeerError> {
        self.merge();
        let expected = num_pieces.div_ceil(8) as usize;
        if self.bitfield.is_some_and(|bytes| bytes != expected) {
            return Err(PeerError::WrongBitfield);
        }
        if self.bits.is_empty() && !self.all {
            return Ok(None);
        }
        if let Some(last) = self.bits.iter().rposition(|&byte| byte != 0)
            && last >= expected
        {
            return Err(PeerError::NoSuchPiece(last as u32 * 8));
        }
        if self.all {
            return Ok(Some(Bitfield::full(num_pieces)));
        }
        self.bits.resize(expected, 0);
        Ok(Bitfield::from_wire(&self.bits, num_pieces))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(early: EarlyPieces, num_pieces: u32) -> Result<Vec<u32>, PeerError> {
        let judged = early.judge(num_pieces)?;
        Ok(judged.map_or_else(Vec::new, |it| it.iter().collect()))
    }

    fn after(bitfield: Option<&[u8]>, haves: &[u32]) -> EarlyPieces {
        let mut early = EarlyPieces::new(1000);
        if let Some(bits) = bitfield {
            early.bitfield(bits).unwrap();
        }
        for &piece in haves {
            early.have(PieceIndex(piece)).unwrap();
        }
        early
    }

    #[test]
    fn what_fits_the_metadata_counts() {
        assert_eq!(after(None, &[]).judge(10), Ok(None));
        assert_eq!(has(after(None, &[9, 2]), 10), Ok(vec![2, 9]));
        assert_eq!(has(after(Some(&[0x80, 0]), &[9]), 10), Ok(vec![0, 9]));
        assert_eq!(has(after(Some(&[0, 0]), &[]), 10), Ok(vec![]));
        let full = after(Some(&[0xff, 0xc0]), &[]).judge(10);
        assert!(full.is_ok_and(|full| full.is_some_and(|it| it.is_full())));
    }

    #[test]
    fn all_and_none_are_kept_too() {
        let mut early = after(None, &[3]);
        early.all();
        assert_eq!(has(early, 4), Ok(vec![0, 1, 2, 3]));
        let mut early = after(Some(&[0xf0]), &[]);
        early.none();
        assert_eq!(early.judge(100), Ok(None));
    }

    #[test]
    fn what_belongs_to_another_torrent_is_an_error() {
        use PeerError::*;
        assert_eq!(has(after(Some(&[0x80]), &[]), 10), Err(WrongBitfield));
        assert_eq!(has(after(Some(&[0; 3]), &[]), 10), Err(WrongBitfield));
        // A piece announced later does not make a short bitfield a long one.
        assert_eq!(has(after(Some(&[0x80]), &[9]), 10), Err(WrongBitfield));
        assert_eq!(has(after(None, &[16]), 10), Err(NoSuchPiece(16)));
    }

    #[test]
    fn a_piece_costs_the_same_whatever_its_number_is() {
        let most = 1 << 21;
        let mut early = EarlyPieces::new(most);
        early.have(PieceIndex(most - 1)).unwrap();
        assert!(early.bits.is_empty());
        // Many take no more than their bits.
        for piece in 0..most / 64 {
            early.have(PieceIndex(piece * 64)).unwrap();
            assert!(early.haves.len() <= most as usize / SPARSE);
        }
        assert_eq!(early.bits.len(), most as usize / 8);
        let judged = early.judge(most).unwrap().unwrap();
        assert_eq!(judged.count(), most / 64 + 1);
        assert!(judged.get(most - 1) && judged.get(128) && !judged.get(1));
    }

    #[test]
    fn no_more_is_kept_than_a_torrent_may_have() {
        let mut early = EarlyPieces::new(1000);
        assert_eq!(early.have(PieceIndex(999)), Ok(()));
        assert_eq!(
            early.have(PieceIndex(1000)),
            Err(PeerError::NoSuchPiece(1000))
        );
        assert_eq!(
            early.have(PieceIndex(u32::MAX)),
            Err(PeerError::NoSuchPiece(u32::MAX))
        );
        assert_eq!(early.bitfield(&[0; 126]), Err(PeerError::WrongBitfield));
        assert_eq!(early.bitfield(&[0; 125]), Ok(()));
        assert_eq!(early.bits.len(), 125);
    }
}
