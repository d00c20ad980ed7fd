//! Walks over the common members of two bitfields, 64 pieces at a step: what
//! makes a question about two million pieces a matter of microseconds.

use super::PeerPieces;
use crate::bitfield::Bitfield;

/// Members of `set` that `has` holds too, from the 64-piece word `first` up to
/// but not including the word `end`, in ascending order.
pub(super) struct Common<'a> {
    set: &'a [u8],
    has: Option<&'a [u8]>,
    next_word: u32,
    end: u32,
    bits: u64,
}

impl<'a> Common<'a> {
    pub(super) fn all(set: &'a Bitfield, has: &PeerPieces<'a>) -> Self {
        Self::between(set, has, 0, words(set))
    }

    pub(super) fn between(set: &'a Bitfield, has: &PeerPieces<'a>, first: u32, end: u32) -> Self {
        Self {
            set: set.as_bytes(),
            has: match has {
                PeerPieces::All => None,
                PeerPieces::Some(pieces) => Some(pieces.as_bytes()),
            },
            next_word: first,
            end,
            bits: 0,
        }
    }
}

impl Iterator for Common<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        while self.bits == 0 {
            if self.next_word >= self.end {
                return None;
            }
            self.bits = word(self.set, self.next_word);
            if let Some(has) = self.has
                && self.bits != 0
            {
                self.bits &= word(has, self.next_word);
            }
            self.next_word += 1;
        }
        let bit = self.bits.leading_zeros();
        self.bits &= !(1 << (63 - bit));
        Some((self.next_word - 1) * 64 + bit)
    }
}

/// How many 64-piece words `set` has, the last one perhaps not full.
pub(super) fn words(set: &Bitfield) -> u32 {
    set.len().div_ceil(64)
}

/// The `at`-th word, the lowest piece in its highest bit; zeros past the end.
fn word(bytes: &[u8], at: u32) -> u64 {
    let rest = bytes.get(at as usize * 8..).unwrap_or_default();
    match rest.first_chunk::<8>() {
        Some(whole) => u64::from_be_bytes(*whole),
        None => rest
            .iter()
            .zip((0..8).rev())
            .fold(0, |word, (&byte, place)| {
                word | u64::from(byte) << (8 * place)
            }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn walks_what_both_hold(bits in prop::collection::vec(any::<(bool, bool)>(), 0..300), first in 0u32..6) {
            let mut a = Bitfield::new(bits.len() as u32);
            let mut b = a.clone();
            for (at, &(in_a, in_b)) in bits.iter().enumerate() {
                if in_a { a.set(at as u32); }
                if in_b { b.set(at as u32); }
            }
            let both: Vec<u32> = a.iter().filter(|&piece| b.get(piece)).collect();
            prop_assert_eq!(Common::all(&a, &PeerPieces::Some(&b)).collect::<Vec<_>>(), both.clone());
            prop_assert_eq!(Common::all(&a, &PeerPieces::All).collect::<Vec<_>>(), a.iter().collect::<Vec<_>>());
            let late: Vec<u32> = both.into_iter().filter(|&piece| piece >= first * 64).collect();
            prop_assert_eq!(Common::between(&a, &PeerPieces::Some(&b), first, words(&a)).collect::<Vec<_>>(), late);
        }
    }
}
