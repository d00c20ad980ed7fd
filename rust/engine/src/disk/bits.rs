//! The verified pieces of a storage, shared between workers without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

use torrent_core::bitfield::Bitfield;
use torrent_core::ids::PieceIndex;

/// A set of pieces that many threads read and write.
pub(super) struct AtomicBits {
    words: Box<[AtomicU64]>,
    len: u32,
}

impl AtomicBits {
    /// An empty set over `0..len`.
    pub(super) fn new(len: u32) -> Self {
        Self {
            words: (0..len.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            len,
        }
    }

    pub(super) fn get(&self, piece: PieceIndex) -> bool {
        self.words
            .get((piece.0 / 64) as usize)
            .is_some_and(|word| word.load(Ordering::Acquire) & (1 << (piece.0 % 64)) != 0)
    }

    pub(super) fn set(&self, piece: PieceIndex) {
        if let Some(word) = self.words.get((piece.0 / 64) as usize) {
            word.fetch_or(1 << (piece.0 % 64), Ordering::Release);
        }
    }

    /// Makes this the same set as `pieces`.
    pub(super) fn replace(&self, pieces: &Bitfield) {
        for (word, bytes) in self.words.iter().zip(pieces.as_bytes().chunks(8)) {
            let mut wire = [0; 8];
            wire[..bytes.len()].copy_from_slice(bytes);
            // The wire counts from the high bit, we from the low one.
            let bits = u64::from_be_bytes(wire).reverse_bits();
            word.store(bits, Ordering::Release);
        }
    }

    pub(super) fn to_bitfield(&self) -> Bitfield {
        let mut set = Bitfield::new(self.len);
        for index in (0..self.len).filter(|&index| self.get(PieceIndex(index))) {
            set.set(index);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_a_bitfield_holds() {
        let mut pieces = Bitfield::new(150);
        for index in [0, 1, 63, 64, 70, 127, 128, 149] {
            pieces.set(index);
        }
        let bits = AtomicBits::new(150);
        bits.set(PieceIndex(5));
        bits.replace(&pieces);
        assert_eq!(bits.to_bitfield(), pieces);
        bits.set(PieceIndex(5));
        bits.set(PieceIndex(1000));
        assert!(bits.get(PieceIndex(5)) && !bits.get(PieceIndex(1000)));
        assert_eq!(bits.to_bitfield().count(), 9);
    }
}
