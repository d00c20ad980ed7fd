//! A fixed-length set of piece (or block) numbers in wire order: the high bit
//! of the first byte is number 0 (BEP 3). Spare bits are always zero.

use std::fmt;

/// A set of numbers `0..len`, packed as on the wire.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Bitfield {
    bytes: Vec<u8>,
    len: u32,
    ones: u32,
}

impl Bitfield {
    /// An empty set over `0..len`.
    pub fn new(len: u32) -> Self {
        Self {
            bytes: vec![0; len.div_ceil(8) as usize],
            len,
            ones: 0,
        }
    }

    /// The full set over `0..len`.
    pub fn full(len: u32) -> Self {
        let mut bytes = vec![0xff; len.div_ceil(8) as usize];
        if let Some(last) = bytes.last_mut()
            && !len.is_multiple_of(8)
        {
            *last = 0xff << (8 - len % 8);
        }
        Self {
            bytes,
            len,
            ones: len,
        }
    }

    /// Reads a set of `len` numbers from its wire form. `None` when the byte
    /// count is wrong. Spare bits should be zero and are made so: libtorrent
    /// tolerates them too.
    pub fn from_wire(bytes: &[u8], len: u32) -> Option<Self> {
        if bytes.len() != len.div_ceil(8) as usize {
            return None;
        }
        let mut bytes = bytes.to_vec();
        if let Some(last) = bytes.last_mut()
            && !len.is_multiple_of(8)
        {
            *last &= 0xff << (8 - len % 8);
        }
        let ones = bytes.iter().map(|byte| byte.count_ones()).sum();
        Some(Self { bytes, len, ones })
    }

    /// The wire form: `len` bits, high bit first, padded with zeros.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The size of the universe, not of the set.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether the universe is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many numbers are in the set.
    pub fn count(&self) -> u32 {
        self.ones
    }

    /// Whether every number is in the set.
    pub fn is_full(&self) -> bool {
        self.ones == self.len
    }

    /// Whether no number is in the set.
    pub fn none(&self) -> bool {
        self.ones == 0
    }

    /// Whether `index` is in the set; false when out of range.
    pub fn get(&self, index: u32) -> bool {
        index < self.len && self.bytes[(index / 8) as usize] & (0x80 >> (index % 8)) != 0
    }

    /// Adds `index`. Returns whether it was new; out of range is never new.
    pub fn set(&mut self, index: u32) -> bool {
        if index >= self.len || self.get(index) {
            return false;
        }
        self.bytes[(index / 8) as usize] |= 0x80 >> (index % 8);
        self.ones += 1;
        true
    }

    /// Removes `index`. Returns whether it was there.
    pub fn clear(&mut self, index: u32) -> bool {
        if !self.get(index) {
            return false;
        }
        self.bytes[(index / 8) as usize] &= !(0x80 >> (index % 8));
        self.ones -= 1;
        true
    }

    /// The members in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.bytes.iter().enumerate().flat_map(|(at, &byte)| {
            (0..8u32)
                .filter(move |bit| byte & (0x80 >> bit) != 0)
                .map(move |bit| at as u32 * 8 + bit)
        })
    }
}

impl fmt::Debug for Bitfield {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bitfield({}/{})", self.ones, self.len)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wire_form_is_high_bit_first_without_spare_bits() {
        let mut set = Bitfield::new(10);
        assert!(set.set(0) && set.set(9));
        assert_eq!(set.as_bytes(), [0x80, 0x40]);
        assert_eq!(Bitfield::from_wire(&[0x80, 0x7f], 10), Some(set));
        assert_eq!(Bitfield::from_wire(&[0x80], 10), None);
        assert_eq!(Bitfield::full(10).as_bytes(), [0xff, 0xc0]);
        assert!(Bitfield::full(0).is_full());
    }

    #[test]
    fn out_of_range_is_never_a_member() {
        let mut set = Bitfield::new(9);
        assert!(!set.set(9) && !set.get(9) && !set.clear(u32::MAX));
        assert_eq!(set.count(), 0);
    }

    proptest! {
        #[test]
        fn behaves_like_a_set(len in 0u32..200, ops in prop::collection::vec((any::<bool>(), 0u32..220), 0..100)) {
            let mut set = Bitfield::new(len);
            let mut model = std::collections::BTreeSet::new();
            for (add, index) in ops {
                if add {
                    prop_assert_eq!(set.set(index), index < len && model.insert(index));
                } else {
                    prop_assert_eq!(set.clear(index), model.remove(&index));
                }
            }
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(set.count() as usize, model.len());
            prop_assert_eq!(Bitfield::from_wire(set.as_bytes(), len), Some(set));
        }
    }
}
