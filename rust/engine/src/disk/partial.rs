//! One piece on its way: which blocks are there, in memory or already in the
//! file, how far the hash has come, and who sent what.
//!
//! No I/O here. The worker inserts blocks, calls [`Partial::advance`], and
//! reads, writes and reports as it is told.

use std::hash::{BuildHasher, RandomState};

use bytes::Bytes;
use torrent_core::bitfield::Bitfield;
use torrent_core::ids::{BLOCK_SIZE, PeerKey};

use crate::hash::PieceHasher;

/// Where one block is.
pub(super) enum Slot {
    /// Not come yet.
    Empty,
    /// In memory.
    Held(Bytes),
    /// In the file: memory was short, or it was there before; a digest of it
    /// where it was in memory once.
    Stored(Option<u64>),
    /// This many bytes of padding (BEP 47): zeros that never come and are
    /// never stored.
    Padding(u32),
}

impl Slot {
    fn digest(&self, keys: &RandomState) -> Option<u64> {
        match self {
            Self::Held(data) => Some(keys.hash_one(data)),
            Self::Stored(digest) => *digest,
            Self::Empty | Self::Padding(_) => None,
        }
    }
}

/// What the hash needs next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The next block has not come.
    Wait,
    /// Blocks from `first` on, `count` of them, lie in the file and have to
    /// be read back and given to [`Partial::hash_stored`].
    ReadBack {
        /// The first of them.
        first: u32,
        /// How many, at most what was asked for.
        count: u32,
    },
    /// Everything is hashed.
    Complete,
}

/// A piece that is not complete.
#[derive(Default)]
pub(super) struct Partial {
    hasher: PieceHasher,
    slots: Vec<Slot>,
    senders: Vec<PeerKey>,
    /// This many blocks from the first on are hashed.
    hashed: u32,
    /// Bytes in memory that are hashed.
    held_hashed: usize,
    /// Bytes in memory ahead of the hash.
    held_ahead: usize,
}

impl Partial {
    /// Makes this an empty piece of `blocks` blocks, reusing its memory.
    pub(super) fn reset(&mut self, blocks: u32) {
        self.hasher = PieceHasher::new();
        self.slots.clear();
        self.slots.resize_with(blocks as usize, || Slot::Empty);
        self.senders.clear();
        self.senders.resize(blocks as usize, PeerKey::default());
        self.hashed = 0;
        self.held_hashed = 0;
        self.held_ahead = 0;
    }

    /// Marks a block as `length` bytes of padding, up to
    /// [`BLOCK_SIZE`]. Only before the first block comes.
    pub(super) fn pad(&mut self, index: u32, length: u32) {
        let at = index as usize;
        if let (Some(slot), Some(sender)) = (self.slots.get_mut(at), self.senders.get_mut(at)) {
            *slot = Slot::Padding(length);
            *sender = PeerKey::NOBODY;
        }
    }

    /// Takes a block of the right length. Returns whether it was missing.
    pub(super) fn insert(&mut self, index: u32, data: Bytes, from: PeerKey) -> bool {
        let at = index as usize;
        let (Some(slot), Some(sender)) = (self.slots.get_mut(at), self.senders.get_mut(at)) else {
            return false;
        };
        if !matches!(slot, Slot::Empty) {
            return false;
        }
        self.held_ahead += data.len();
        *slot = Slot::Held(data);
        *sender = from;
        true
    }

    /// Takes a block that is in the file already, from nobody that is known.
    pub(super) fn adopt(&mut self, index: u32) {
        let at = index as usize;
        if let (Some(slot @ Slot::Empty), Some(sender)) =
            (self.slots.get_mut(at), self.senders.get_mut(at))
        {
            *slot = Slot::Stored(None);
            *sender = PeerKey::UNKNOWN;
        }
    }

    /// The blocks that are in the file.
    pub(super) fn stored_blocks(&self) -> Bitfield {
        let mut blocks = Bitfield::new(self.slots.len() as u32);
        for (index, slot) in (0..).zip(&self.slots) {
            if matches!(slot, Slot::Stored(_)) {
                blocks.set(index);
            }
        }
        blocks
    }

    /// Hashes every block that is next in line and in memory. A read back is
    /// asked for in runs of up to `most` blocks.
    pub(super) fn advance(&mut self, most: u32) -> Next {
        let mut rest = self.slots.iter().skip(self.hashed as usize);
        loop {
            match rest.next() {
                None => return Next::Complete,
                Some(Slot::Empty) => return Next::Wait,
                Some(Slot::Held(data)) => {
                    self.hasher.update(data);
                    self.hashed += 1;
                    self.held_ahead -= data.len();
                    self.held_hashed += data.len();
                }
                Some(&Slot::Padding(length)) => {
                    self.hasher.update(zeros(length));
                    self.hashed += 1;
                }
                Some(Slot::Stored(_)) => {
                    let more = rest
                        .take(most.saturating_sub(1) as usize)
                        .take_while(|slot| matches!(slot, Slot::Stored(_)))
                        .count();
                    return Next::ReadBack {
                        first: self.hashed,
                        count: 1 + more as u32,
                    };
                }
            }
        }
    }

    /// Takes the contents of the `count` blocks that [`Next::ReadBack`] asked
    /// for.
    pub(super) fn hash_stored(&mut self, data: &[u8], count: u32) {
        self.hasher.update(data);
        self.hashed += count;
    }

    /// The digest of a complete piece.
    pub(super) fn digest(&mut self) -> [u8; 20] {
        self.hasher.finish()
    }

    /// Who sent each block; nobody sent padding.
    pub(super) fn senders(&self) -> &[PeerKey] {
        &self.senders
    }

    /// A number for each block that is the same for the same bytes, under the
    /// same `keys`; nobody without them can find other bytes of the same number.
    pub(super) fn digests(&self, keys: &RandomState) -> Vec<Option<u64>> {
        self.slots.iter().map(|slot| slot.digest(keys)).collect()
    }

    /// Bytes in memory.
    pub(super) fn held(&self) -> usize {
        self.held_hashed + self.held_ahead
    }

    /// Bytes in memory that the hash is done with.
    pub(super) fn held_hashed(&self) -> usize {
        self.held_hashed
    }

    /// The runs of neighbouring blocks in memory: the offset of each run in
    /// the piece and its blocks. Only the hashed ones if `hashed_only`.
    pub(super) fn runs(&self, hashed_only: bool) -> impl Iterator<Item = (u64, &[Slot])> {
        let end = if hashed_only {
            self.hashed as usize
        } else {
            self.slots.len()
        };
        let slots = self.slots.get(..end).unwrap_or_default();
        let mut first = 0u64;
        slots
            .chunk_by(|a, b| is_held(a) == is_held(b))
            .filter_map(move |run| {
                let begin = first * u64::from(BLOCK_SIZE);
                first += run.len() as u64;
                run.first().is_some_and(is_held).then_some((begin, run))
            })
    }

    /// What [`runs`](Self::runs) gave is in the file now; drops it from
    /// memory and returns how many bytes that were.
    pub(super) fn stored(&mut self, hashed_only: bool, keys: &RandomState) -> usize {
        let before = self.held();
        let end = if hashed_only {
            self.hashed as usize
        } else {
            self.slots.len()
        };
        for slot in self.slots.iter_mut().take(end).filter(|slot| is_held(slot)) {
            let digest = slot.digest(keys);
            *slot = Slot::Stored(digest);
        }
        self.held_hashed = 0;
        if !hashed_only {
            self.held_ahead = 0;
        }
        before - self.held()
    }
}

/// The first `length` of a block of zeros.
fn zeros(length: u32) -> &'static [u8] {
    static ZEROS: [u8; BLOCK_SIZE as usize] = [0; BLOCK_SIZE as usize];
    ZEROS.get(..length as usize).unwrap_or(&ZEROS)
}

fn is_held(slot: &Slot) -> bool {
    matches!(slot, Slot::Held(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::sha1;

    const SIZE: usize = BLOCK_SIZE as usize;

    fn piece(blocks: u32) -> (Partial, Vec<Bytes>) {
        let mut partial = Partial::default();
        partial.reset(blocks);
        let data = (0..blocks)
            .map(|block| Bytes::from(vec![block as u8 + 1; SIZE]))
            .collect();
        (partial, data)
    }

    #[test]
    fn the_hash_follows_the_contiguous_blocks() {
        let (mut partial, data) = piece(4);
        let from = PeerKey(7);
        assert!(partial.insert(1, data[1].clone(), from));
        assert!(!partial.insert(1, data[1].clone(), from));
        assert!(!partial.insert(4, data[1].clone(), from));
        assert_eq!(partial.advance(16), Next::Wait);
        assert_eq!((partial.held_hashed(), partial.held()), (0, SIZE));
        partial.insert(0, data[0].clone(), from);
        assert_eq!(partial.advance(16), Next::Wait);
        assert_eq!(
            (partial.held_hashed(), partial.held()),
            (2 * SIZE, 2 * SIZE)
        );
        partial.insert(3, data[3].clone(), from);
        partial.insert(2, data[2].clone(), PeerKey(8));
        assert_eq!(partial.advance(16), Next::Complete);
        assert_eq!(partial.digest(), sha1(&data.concat()));
        assert_eq!(partial.senders(), [from, from, PeerKey(8), from]);
        assert_eq!(partial.runs(false).count(), 1);
    }

    #[test]
    fn padding_is_hashed_as_zeros_and_never_written() {
        let (mut partial, data) = piece(4);
        partial.pad(1, BLOCK_SIZE);
        partial.pad(3, 100);
        assert!(!partial.insert(1, data[1].clone(), PeerKey(1)));
        partial.insert(0, data[0].clone(), PeerKey(1));
        assert_eq!(partial.advance(16), Next::Wait);
        partial.insert(2, data[2].clone(), PeerKey(2));
        assert_eq!(partial.advance(16), Next::Complete);
        let whole = [&data[0][..], &[0; SIZE], &data[2], &[0; 100]].concat();
        assert_eq!(partial.digest(), sha1(&whole));
        let nobody = PeerKey::NOBODY;
        assert_eq!(partial.senders(), [PeerKey(1), nobody, PeerKey(2), nobody]);
        let runs: Vec<_> = partial
            .runs(false)
            .map(|(at, run)| (at, run.len()))
            .collect();
        assert_eq!(runs, [(0, 1), (2 * SIZE as u64, 1)]);
        assert_eq!(partial.held(), 2 * SIZE);
    }

    #[test]
    fn blocks_written_early_are_read_back_only_where_the_hash_has_not_been() {
        let (mut partial, data) = piece(6);
        let from = PeerKey(1);
        for block in [0, 2, 3, 5] {
            partial.insert(block, data[block as usize].clone(), from);
        }
        assert_eq!(partial.advance(16), Next::Wait);
        let runs = |partial: &Partial, hashed_only| -> Vec<(u64, usize)> {
            let runs = partial.runs(hashed_only);
            runs.map(|(at, run)| (at / SIZE as u64, run.len()))
                .collect()
        };
        assert_eq!(runs(&partial, true), [(0, 1)]);
        assert_eq!(partial.stored(true, &RandomState::new()), SIZE);
        assert_eq!(runs(&partial, false), [(2, 2), (5, 1)]);
        assert_eq!(partial.stored(false, &RandomState::new()), 3 * SIZE);
        assert_eq!(partial.held(), 0);
        partial.insert(1, data[1].clone(), from);
        let next = Next::ReadBack { first: 2, count: 1 };
        assert_eq!(partial.advance(1), next);
        let next = Next::ReadBack { first: 2, count: 2 };
        assert_eq!(partial.advance(16), next);
        partial.hash_stored(&data[2..4].concat(), 2);
        assert_eq!(partial.advance(16), Next::Wait);
        partial.insert(4, data[4].clone(), from);
        let next = Next::ReadBack { first: 5, count: 1 };
        assert_eq!(partial.advance(16), next);
        partial.hash_stored(&data[5], 1);
        assert_eq!(partial.advance(16), Next::Complete);
        assert_eq!(partial.digest(), sha1(&data.concat()));
        assert_eq!(runs(&partial, false), [(1, 1), (4, 1)]);
    }
}
