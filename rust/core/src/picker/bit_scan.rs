//! Walks over the common members of two bitfields, 64 pieces at a step: what
//! makes a question about two million pieces a matter of microseconds.

use std::{iter::Zip, slice::Iter};

use super::PeerPieces;
use crate::bitfield::Bitfield;

/// Eight bytes, the lowest piece in the highest bit.
type Word = [u8; 8];

/// Members of `set` that `has` holds too, in ascending order.
pub(super) struct Common<'a> {
    words: Zip<Iter<'a, Word>, Iter<'a, Word>>,
    /// What is left over after the last whole 64-bit word, if it is to be walked.
    tail: Option<u64>,
    /// The first piece of the next word.
    next: u32,
    bits: u64,
}

impl<'a> Common<'a> {
    pub(super) fn all(set: &'a Bitfield, has: &PeerPieces<'a>) -> Self {
        Self::between(set, has, 0, words(set))
    }

    /// Only those from the 64-piece word `first` up to but not including the
    /// word `end`.
    pub(super) fn between(set: &'a Bitfield, has: &PeerPieces<'a>, first: u32, end: u32) -> Self {
        let (set, set_rest) = set.as_bytes().as_chunks();
        let (has, has_rest) = match has {
            PeerPieces::All => (set, set_rest),
            PeerPieces::Some(pieces) => pieces.as_bytes().as_chunks(),
        };
        let part = |words: &'a [Word]| {
            let end = words.len().min(end as usize);
            words.get(first as usize..end).unwrap_or_default()
        };
        let with_tail = (first as usize..end as usize).contains(&set.len());
        Self {
            words: part(set).iter().zip(part(has)),
            tail: with_tail.then(|| tail(set_rest) & tail(has_rest)),
            next: first * 64,
            bits: 0,
        }
    }
}

impl Iterator for Common<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        while self.bits == 0 {
            self.bits = match self.words.next() {
                Some((set, has)) => u64::from_be_bytes(*set) & u64::from_be_bytes(*has),
                None => self.tail.take()?,
            };
            self.next += 64;
        }
        let bit = self.bits.leading_zeros();
        self.bits &= !(1 << (63 - bit));
        Some(self.next - 64 + bit)
    }
}

/// How many 64-piece words `set` has, the last one perhaps not full.
pub(super) fn words(set: &Bitfield) -> u32 {
    set.len().div_ceil(64)
}

/// The word that begins with `rest`, which is shorter than one.
fn tail(rest: &[u8]) -> u64 {
    let places = (0..8).rev().map(|place| 8 * place);
    rest.iter()
        .zip(places)
        .fold(0, |word, (&byte, place)| word | u64::from(byte) << place)
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
            let late: Vec<u32> = both.iter().copied().filter(|&piece| piece >= first * 64).collect();
            prop_assert_eq!(Common::between(&a, &PeerPieces::Some(&b), first, words(&a)).collect::<Vec<_>>(), late);
            let early: Vec<u32> = both.into_iter().filter(|&piece| piece < first * 64).collect();
            prop_assert_eq!(Common::between(&a, &PeerPieces::Some(&b), 0, first).collect::<Vec<_>>(), early);
        }
    }
}
