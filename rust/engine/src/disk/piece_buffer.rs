//! One piece on its way: which blocks are there, in memory or already in the
//! file, how far the hash has come, and who sent what.
//!
//! No I/O here. The worker inserts blocks, calls [`PieceBuffer::advance`], and
//! reads, writes and reports as the results say.

use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

use bytes::Bytes;
use torrent_core::ban::ReceivedBlock;
use torrent_core::bitfield::Bitfield;
use torrent_core::block_table::BlockTable;
use torrent_core::ids::{BLOCK_SIZE, PeerKey};
use torrent_core::piece_hash::PieceHash;

use crate::hash::PieceHasher;
use crate::hash::padding::{ZeroHashes, ZeroRun};

/// Where one block is.
#[derive(Default)]
pub(super) enum BlockSlot {
    /// Not come yet, or padding (BEP 47), which never comes and is never stored.
    #[default]
    Empty,
    /// In memory.
    Held(Bytes),
    /// In the file: memory was short, or it was there before; a digest of it
    /// where it was in memory once.
    Stored(Option<u64>),
}

impl BlockSlot {
    fn digest(&self, keys: &RandomState) -> Option<u64> {
        match self {
            Self::Held(data) => Some(keys.hash_one(data)),
            Self::Stored(digest) => *digest,
            Self::Empty => None,
        }
    }
}

/// What the hash needs next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The next block has not come.
    Wait,
    /// Blocks from `first` on, `count` of them, lie in the file and have to
    /// be read back and given to [`PieceBuffer::hash_stored`].
    ReadBack {
        /// The first of them.
        first: u32,
        /// How many, at most what was asked for.
        count: u32,
    },
    /// That many bytes of padding have to be given to [`PieceBuffer::hash_padding`].
    Padding(u64),
    /// Everything is hashed.
    Complete,
}

/// A block of a piece: where it is and who sent it.
pub(super) struct BufferedBlock {
    slot: BlockSlot,
    from: PeerKey,
}

impl Default for BufferedBlock {
    fn default() -> Self {
        Self {
            slot: BlockSlot::default(),
            from: PeerKey::NONE,
        }
    }
}

/// A piece that is not complete. What it takes in memory grows with the blocks
/// that are here, not with its length.
pub(super) struct PieceBuffer {
    hasher: PieceHasher,
    entries: BlockTable<BufferedBlock>,
    /// The runs of blocks that are padding, in order.
    padding: Vec<Range<u32>>,
    /// Bytes in the piece.
    length: u64,
    /// The run of padding that is being hashed.
    zeros: ZeroRun,
    /// This many blocks from the first on are hashed.
    hashed: u32,
    /// Bytes in memory that are hashed.
    held_hashed: usize,
    /// Bytes in memory ahead of the hash.
    held_ahead: usize,
}

impl PieceBuffer {
    /// An empty piece of `length` bytes, of whose blocks those in the runs of
    /// `padding` are zeros that never come, and which `hasher` hashes.
    pub(super) fn new(
        length: u32,
        padding: impl Iterator<Item = Range<u32>>,
        hasher: PieceHasher,
    ) -> Self {
        Self {
            hasher,
            entries: BlockTable::new(length.div_ceil(BLOCK_SIZE)),
            padding: padding.collect(),
            length: u64::from(length),
            zeros: ZeroRun::default(),
            hashed: 0,
            held_hashed: 0,
            held_ahead: 0,
        }
    }

    /// The block, to be filled, if it has not come and is no padding.
    fn missing(&mut self, index: u32) -> Option<&mut BufferedBlock> {
        if self.padding_at(index).is_some() {
            return None;
        }
        let entry = self.entries.get_mut(index)?;
        matches!(entry.slot, BlockSlot::Empty).then_some(entry)
    }

    /// The run of padding that the block is part of.
    fn padding_at(&self, index: u32) -> Option<&Range<u32>> {
        let at = self.padding.partition_point(|run| run.end <= index);
        self.padding.get(at).filter(|run| run.start <= index)
    }

    /// Takes a block of the right length. Returns whether it was missing.
    pub(super) fn insert(&mut self, index: u32, data: Bytes, from: PeerKey) -> bool {
        let Some(entry) = self.missing(index) else {
            return false;
        };
        let length = data.len();
        *entry = BufferedBlock {
            slot: BlockSlot::Held(data),
            from,
        };
        self.held_ahead += length;
        true
    }

    /// Takes a block that is in the file already, whose sender is unknown.
    pub(super) fn adopt(&mut self, index: u32) {
        if let Some(entry) = self.missing(index) {
            *entry = BufferedBlock {
                slot: BlockSlot::Stored(None),
                from: PeerKey::UNKNOWN,
            };
        }
    }

    /// The blocks that are in the file.
    pub(super) fn stored_blocks(&self) -> Bitfield {
        let mut blocks = Bitfield::new(self.entries.len());
        for (index, entry) in self.entries.iter() {
            if matches!(entry.slot, BlockSlot::Stored(_)) {
                blocks.set(index);
            }
        }
        blocks
    }

    /// Hashes every block that is next in line and in memory. A read back is
    /// asked for in runs of up to `most` blocks.
    pub(super) fn advance(&mut self, most: u32) -> Next {
        while self.hashed < self.entries.len() {
            if let Some(run) = self.padding_at(self.hashed) {
                let unit = u64::from(BLOCK_SIZE);
                let end = self.length.min(u64::from(run.end) * unit);
                return Next::Padding(end - u64::from(self.hashed) * unit);
            }
            match self.entries.get(self.hashed).map(|entry| &entry.slot) {
                None | Some(BlockSlot::Empty) => return Next::Wait,
                Some(BlockSlot::Held(data)) => {
                    self.hasher.update(data);
                    self.hashed += 1;
                    self.held_ahead -= data.len();
                    self.held_hashed += data.len();
                }
                Some(BlockSlot::Stored(_)) => {
                    let first = self.hashed;
                    let stored = |&index: &u32| {
                        let entry = self.entries.get(index);
                        entry.is_some_and(|entry| matches!(entry.slot, BlockSlot::Stored(_)))
                    };
                    let rest = first + 1..first.saturating_add(most.max(1));
                    let more = rest.take_while(stored).count();
                    return Next::ReadBack {
                        first,
                        count: 1 + more as u32,
                    };
                }
            }
        }
        Next::Complete
    }

    /// Goes on with the padding of `length` bytes that [`Next::Padding`] returned,
    /// and hashes no more than `most` bytes for it. Returns whether that was all,
    /// and what was hashed.
    pub(super) fn hash_padding(
        &mut self,
        length: u64,
        zeros: &ZeroHashes,
        most: u64,
    ) -> (bool, u64) {
        let all = zeros.advance(&mut self.zeros, &mut self.hasher, length, most);
        let spent = self.zeros.take_spent();
        if all {
            self.zeros = ZeroRun::default();
            self.hashed += length.div_ceil(u64::from(BLOCK_SIZE)) as u32;
        }
        (all, spent)
    }

    /// Takes the contents of the `count` blocks that [`Next::ReadBack`] asked
    /// for.
    pub(super) fn hash_stored(&mut self, data: &[u8], count: u32) {
        self.hasher.update(data);
        self.hashed += count;
    }

    /// The hash of a complete piece.
    pub(super) fn digest(&mut self) -> PieceHash {
        self.hasher.finish()
    }

    /// The blocks that are here, in order, each with a digest that is the same for
    /// the same bytes under the same `keys`; without them, other bytes of the same
    /// digest cannot be found.
    pub(super) fn received_blocks(&self, keys: &RandomState) -> Vec<ReceivedBlock> {
        let here = self.entries.iter();
        let here = here.filter(|(_, entry)| !matches!(entry.slot, BlockSlot::Empty));
        here.map(|(block, entry)| ReceivedBlock {
            block,
            sender: entry.from,
            digest: entry.slot.digest(keys),
        })
        .collect()
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
    pub(super) fn runs(&self, hashed_only: bool) -> Vec<(u64, Vec<&[u8]>)> {
        let mut runs: Vec<(u64, Vec<&[u8]>)> = Vec::new();
        let mut next = None;
        for (index, entry) in self.entries.iter() {
            if hashed_only && index >= self.hashed {
                break;
            }
            let BlockSlot::Held(data) = &entry.slot else {
                continue;
            };
            match runs.last_mut() {
                Some((_, run)) if next == Some(index) => run.push(data),
                _ => runs.push((u64::from(index) * u64::from(BLOCK_SIZE), vec![data])),
            }
            next = Some(index + 1);
        }
        runs
    }

    /// What [`runs`](Self::runs) gave is in the file now; drops it from
    /// memory and returns how many bytes that were.
    pub(super) fn stored(&mut self, hashed_only: bool, keys: &RandomState) -> usize {
        let before = self.held();
        let end = if hashed_only { self.hashed } else { u32::MAX };
        for (_, entry) in self
            .entries
            .iter_mut()
            .take_while(|(index, _)| *index < end)
        {
            if matches!(entry.slot, BlockSlot::Held(_)) {
                let digest = entry.slot.digest(keys);
                entry.slot = BlockSlot::Stored(digest);
            }
        }
        self.held_hashed = 0;
        if !hashed_only {
            self.held_ahead = 0;
        }
        before - self.held()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::{Sha1Hasher, sha1};

    const SIZE: usize = BLOCK_SIZE as usize;

    fn hasher() -> PieceHasher {
        PieceHasher::Sha1(Sha1Hasher::new())
    }

    fn piece(blocks: u32) -> (PieceBuffer, Vec<Bytes>) {
        let partial = PieceBuffer::new(blocks * BLOCK_SIZE, std::iter::empty(), hasher());
        let data = (0..blocks)
            .map(|block| Bytes::from(vec![block as u8 + 1; SIZE]))
            .collect();
        (partial, data)
    }

    /// The blocks that are here, each with who sent it.
    fn senders(partial: &PieceBuffer) -> Vec<(u32, u64)> {
        let blocks = partial.received_blocks(&RandomState::new()).into_iter();
        blocks.map(|it| (it.block, it.sender.0)).collect()
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
        assert_eq!(partial.digest(), PieceHash::Sha1(sha1(&data.concat())));
        assert_eq!(senders(&partial), [(0, 7), (1, 7), (2, 8), (3, 7)]);
        assert_eq!(partial.runs(false).len(), 1);
    }

    #[test]
    fn padding_is_hashed_as_zeros_and_never_written() {
        let data = piece(4).1;
        let runs = [1..2, 3..4].into_iter();
        let mut partial = PieceBuffer::new(3 * BLOCK_SIZE + 100, runs, hasher());
        let zeros = ZeroHashes::default();
        assert!(!partial.insert(1, data[1].clone(), PeerKey(1)));
        partial.insert(0, data[0].clone(), PeerKey(1));
        assert_eq!(partial.advance(16), Next::Padding(SIZE as u64));
        assert!(partial.hash_padding(SIZE as u64, &zeros, 1).0);
        assert_eq!(partial.advance(16), Next::Wait);
        partial.insert(2, data[2].clone(), PeerKey(2));
        assert_eq!(partial.advance(16), Next::Padding(100));
        assert!(partial.hash_padding(100, &zeros, 1).0);
        assert_eq!(partial.advance(16), Next::Complete);
        let whole = [&data[0][..], &[0; SIZE], &data[2], &[0; 100]].concat();
        assert_eq!(partial.digest(), PieceHash::Sha1(sha1(&whole)));
        assert_eq!(senders(&partial), [(0, 1), (2, 2)]);
        let runs = partial.runs(false).into_iter();
        let runs: Vec<_> = runs.map(|(at, run)| (at, run.len())).collect();
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
        let runs = |partial: &PieceBuffer, hashed_only| -> Vec<(u64, usize)> {
            let runs = partial.runs(hashed_only).into_iter();
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
        assert_eq!(partial.digest(), PieceHash::Sha1(sha1(&data.concat())));
        assert_eq!(runs(&partial, false), [(1, 1), (4, 1)]);
    }
}
