//! Sets of pieces or files of a storage, shared between threads without a
//! lock.

use std::sync::atomic::{AtomicU64, Ordering};

use torrent_core::bitfield::Bitfield;

/// A set of numbers that many threads read and write.
pub(super) struct AtomicBitfield {
    words: Box<[AtomicU64]>,
    len: u32,
    /// How often it may have changed.
    changes: AtomicU64,
}

impl AtomicBitfield {
    /// An empty set over `0..len`.
    pub(super) fn new(len: u32) -> Self {
        Self {
            words: (0..len.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            len,
            changes: AtomicU64::new(0),
        }
    }

    /// How often it may have changed: what is read after this number is no older.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }

    pub(super) fn get(&self, index: u32) -> bool {
        self.words
            .get((index / 64) as usize)
            .is_some_and(|word| word.load(Ordering::Acquire) & (1 << (index % 64)) != 0)
    }

    pub(super) fn set(&self, index: u32) {
        if let Some(word) = self.words.get((index / 64) as usize) {
            word.fetch_or(1 << (index % 64), Ordering::Release);
            self.changed();
        }
    }

    pub(super) fn clear(&self, index: u32) {
        if let Some(word) = self.words.get((index / 64) as usize) {
            word.fetch_and(!(1 << (index % 64)), Ordering::Release);
            self.changed();
        }
    }

    /// Puts one in or takes it out.
    pub(super) fn put(&self, index: u32, is_in: bool) {
        if is_in {
            self.set(index);
        } else {
            self.clear(index);
        }
    }

    /// Empties the set and returns what was in it, in order.
    pub(super) fn take(&self) -> Vec<u32> {
        let mut taken = Vec::new();
        for (word, first) in self.words.iter().zip((0..).step_by(64)) {
            let mut bits = word.swap(0, Ordering::AcqRel);
            while bits != 0 {
                taken.push(first + bits.trailing_zeros());
                bits &= bits - 1;
            }
        }
        self.changed();
        taken
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
        self.changed();
    }

    pub(super) fn to_bitfield(&self) -> Bitfield {
        let mut set = Bitfield::new(self.len);
        for index in (0..self.len).filter(|&index| self.get(index)) {
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
        let bits = AtomicBitfield::new(150);
        bits.set(5);
        bits.replace(&pieces);
        assert_eq!(bits.to_bitfield(), pieces);
        bits.set(5);
        bits.set(1000);
        assert!(bits.get(5) && !bits.get(1000));
        assert_eq!(bits.to_bitfield().count(), 9);
        bits.set(6);
        bits.clear(6);
        bits.clear(1000);
        assert_eq!(bits.take(), [0, 1, 5, 63, 64, 70, 127, 128, 149]);
        assert!(bits.take().is_empty());
    }
}
