//! The open pieces (wanted, not had, not begun), ready to be picked from.
//!
//! One set of buckets a priority, in it one level an availability, so that the best
//! piece is found and a piece changes level in constant time. A bulk change
//! (a bitfield of a million pieces) only forgets the levels. They are filed
//! again a part at each pick, so that none takes long; until they all are, the
//! choice is among a run of the peer's pieces.

use rand::{Rng, RngExt};

use super::bit_scan::{Common, words};
use super::{PeerPieces, Priority};
use crate::bitfield::Bitfield;

/// Rarities that are distinguished; every piece that this many peers have is common.
const LEVELS: u16 = 256;

/// Pieces looked at in order of rarity before the search turns to those that
/// the peer has: a peer that lacks all the rare ones must not cost a walk over
/// a million of them.
const SCANNED: u32 = 1024;

/// Pieces of the peer then compared by rarity. In a torrent with fewer pieces
/// the choice is exact, in a larger one it is the rarest of a random run.
const SAMPLED: usize = 2048;

/// Pieces filed at one pick: those of all but the largest torrents.
const FILED_AT_ONCE: u32 = 32_768;

/// Open pieces of one priority.
#[derive(Clone, Debug, Default)]
struct PriorityBuckets {
    /// Empty universe until a piece first gets this priority.
    open: Bitfield,
    /// By level, in no order within one: the pieces that are filed.
    levels: Vec<Vec<u32>>,
}

/// All open pieces of a torrent.
#[derive(Clone, Debug)]
pub(super) struct RarityBuckets {
    pieces: u32,
    buckets: [PriorityBuckets; Priority::LEVELS],
    /// Index of each filed piece within its level.
    place: Vec<u32>,
    /// The open pieces before this one are filed.
    filed_to: u32,
    total: u32,
}

fn level_of(availability: u16) -> usize {
    usize::from(availability.min(LEVELS - 1))
}

impl RarityBuckets {
    /// All of `pieces` open at the default priority.
    pub(super) fn new(pieces: u32) -> Self {
        let mut buckets = Self {
            pieces,
            buckets: Default::default(),
            place: Vec::new(),
            filed_to: 0,
            total: pieces,
        };
        buckets.bucket_mut(Priority::NORMAL).open = Bitfield::full(pieces);
        buckets
    }

    fn bucket(&self, priority: Priority) -> &PriorityBuckets {
        &self.buckets[usize::from(priority.value())]
    }

    fn bucket_mut(&mut self, priority: Priority) -> &mut PriorityBuckets {
        &mut self.buckets[usize::from(priority.value())]
    }

    /// How many pieces are open.
    pub(super) fn total(&self) -> u32 {
        self.total
    }

    /// How many pieces are open at `priority`.
    pub(super) fn count(&self, priority: Priority) -> u32 {
        self.bucket(priority).open.count()
    }

    /// Whether `piece` is open at `priority`.
    pub(super) fn contains(&self, piece: u32, priority: Priority) -> bool {
        self.bucket(priority).open.get(piece)
    }

    /// Opens `piece`, which is not open.
    pub(super) fn insert(&mut self, piece: u32, priority: Priority, availability: u16) {
        let pieces = self.pieces;
        let bucket = self.bucket_mut(priority);
        if bucket.open.is_empty() {
            bucket.open = Bitfield::new(pieces);
        }
        if !bucket.open.set(piece) {
            return;
        }
        self.total += 1;
        if piece < self.filed_to {
            self.put(piece, priority, level_of(availability));
        }
    }

    /// Takes away `piece`, if it is open at `priority`.
    pub(super) fn remove(&mut self, piece: u32, priority: Priority, availability: u16) {
        if !self.bucket_mut(priority).open.clear(piece) {
            return;
        }
        self.total -= 1;
        if self.total == 0 {
            // A finished torrent may seed for years: no room for an order.
            self.unfile();
            self.place = Vec::new();
            for bucket in &mut self.buckets {
                bucket.levels = Vec::new();
            }
        } else if piece < self.filed_to {
            self.take(piece, priority, level_of(availability));
        }
    }

    /// Follows a change in how many peers have `piece`.
    pub(super) fn moved(&mut self, piece: u32, priority: Priority, from: u16, to: u16) {
        let (from, to) = (level_of(from), level_of(to));
        if piece < self.filed_to && from != to && self.contains(piece, priority) {
            self.take(piece, priority, from);
            self.put(piece, priority, to);
        }
    }

    /// Whether moving `changes` pieces one by one is cheaper than filing all
    /// of them again.
    pub(super) fn worth_moving(&self, changes: u32) -> bool {
        self.filed_to > 0 && changes < self.total / 16
    }

    /// Forgets the levels.
    pub(super) fn unfile(&mut self) {
        for level in self
            .buckets
            .iter_mut()
            .flat_map(|bucket| &mut bucket.levels)
        {
            level.clear();
        }
        self.filed_to = 0;
    }

    /// Brings the next part of the open pieces to their levels, until all are
    /// there.
    pub(super) fn file(&mut self, availability: &[u16]) {
        if self.filed_to >= self.pieces {
            return;
        }
        self.place.resize(self.pieces as usize, 0);
        let first = self.filed_to / 64;
        let end = first + FILED_AT_ONCE / 64;
        for bucket in &mut self.buckets {
            for piece in Common::between(&bucket.open, &PeerPieces::All, first, end) {
                let at = level_of(availability[piece as usize]);
                if at >= bucket.levels.len() {
                    bucket.levels.resize_with(at + 1, Vec::new);
                }
                let level = &mut bucket.levels[at];
                self.place[piece as usize] = level.len() as u32;
                level.push(piece);
            }
        }
        // Always a whole number of words, but for the end.
        self.filed_to = (end * 64).min(self.pieces);
    }

    fn put(&mut self, piece: u32, priority: Priority, level: usize) {
        let levels = &mut self.buckets[usize::from(priority.value())].levels;
        if level >= levels.len() {
            levels.resize_with(level + 1, Vec::new);
        }
        self.place[piece as usize] = levels[level].len() as u32;
        levels[level].push(piece);
    }

    fn take(&mut self, piece: u32, priority: Priority, level: usize) {
        let at = self.place[piece as usize];
        let level = &mut self.buckets[usize::from(priority.value())].levels[level];
        debug_assert_eq!(level.get(at as usize), Some(&piece));
        level.swap_remove(at as usize);
        if let Some(&moved) = level.get(at as usize) {
            self.place[moved as usize] = at;
        }
    }

    /// Appends to `out` up to `count` open pieces of `priority` that the peer
    /// has, rarest first, random among equals.
    pub(super) fn rarest(
        &self,
        priority: Priority,
        has: &PeerPieces<'_>,
        count: usize,
        availability: &[u16],
        rng: &mut impl Rng,
        out: &mut Vec<u32>,
    ) {
        let bucket = self.bucket(priority);
        let until = out.len() + count;
        if self.filed_to < self.pieces {
            self.rarest_of_peer(bucket, has, until, availability, rng, out);
            return;
        }
        let mut budget = SCANNED;
        for level in bucket.levels.iter().filter(|level| !level.is_empty()) {
            // A random start, then neighbours: pieces that come together are
            // also close on the disk.
            let (late, early) = level.split_at(rng.random_range(0..level.len()));
            for &piece in early.iter().chain(late) {
                if out.len() >= until {
                    return;
                }
                if budget == 0 {
                    self.rarest_of_peer(bucket, has, until, availability, rng, out);
                    return;
                }
                budget -= 1;
                if has.has(piece) {
                    out.push(piece);
                }
            }
        }
    }

    /// Fills `out` up to `until` with the rarest of those pieces that the peer
    /// has, where they are few among the open ones.
    fn rarest_of_peer(
        &self,
        bucket: &PriorityBuckets,
        has: &PeerPieces<'_>,
        until: usize,
        availability: &[u16],
        rng: &mut impl Rng,
        out: &mut Vec<u32>,
    ) {
        let start = rng.random_range(0..words(&bucket.open).max(1));
        let mut sample: Vec<(u16, u32)> =
            Common::between(&bucket.open, has, start, words(&bucket.open))
                .chain(Common::between(&bucket.open, has, 0, start))
                .filter(|piece| !out.contains(piece))
                .take(SAMPLED)
                .map(|piece| (availability[piece as usize], piece))
                .collect();
        let count = until - out.len();
        if count < sample.len() {
            sample.select_nth_unstable(count);
            sample.truncate(count);
        }
        sample.sort_unstable();
        out.extend(sample.into_iter().map(|(_, piece)| piece));
    }

    /// Appends to `out` up to `count` open pieces of `priority` that the peer
    /// has, of a random run of them those that most peers have.
    pub(super) fn commonest(
        &self,
        priority: Priority,
        has: &PeerPieces<'_>,
        count: usize,
        availability: &[u16],
        rng: &mut impl Rng,
        out: &mut Vec<u32>,
    ) {
        let open = &self.bucket(priority).open;
        let start = rng.random_range(0..words(open).max(1));
        let mut sample: Vec<u32> = Common::between(open, has, start, words(open))
            .chain(Common::between(open, has, 0, start))
            .take(SAMPLED)
            .collect();
        sample.sort_by_key(|&piece| std::cmp::Reverse(availability[piece as usize]));
        out.extend(sample.into_iter().take(count));
    }

    /// Appends to `out` up to `count` open pieces of `priority` that the peer
    /// has, from a random place on, whatever their rarity.
    pub(super) fn anywhere(
        &self,
        priority: Priority,
        has: &PeerPieces<'_>,
        count: usize,
        rng: &mut impl Rng,
        out: &mut Vec<u32>,
    ) {
        let open = &self.bucket(priority).open;
        let start = rng.random_range(0..self.pieces.max(1));
        // The word of the start comes twice: first its upper part, last its
        // lower part.
        let upper =
            Common::between(open, has, start / 64, words(open)).skip_while(|&piece| piece < start);
        let lower =
            Common::between(open, has, 0, start / 64 + 1).take_while(|&piece| piece < start);
        out.extend(upper.chain(lower).take(count));
    }

    /// Appends to `out` the first `count` open pieces of `priority`, from
    /// `range.0` to `range.1`, that the peer has.
    pub(super) fn first(
        &self,
        priority: Priority,
        has: &PeerPieces<'_>,
        range: (u32, u32),
        count: usize,
        out: &mut Vec<u32>,
    ) {
        let open = &self.bucket(priority).open;
        let words = (range.0 / 64, range.1.min(open.len()) / 64 + 1);
        let within = Common::between(open, has, words.0, words.1)
            .skip_while(|&piece| piece < range.0)
            .take_while(|&piece| piece <= range.1);
        out.extend(within.take(count));
    }

    /// Panics when the levels and the sets of open pieces disagree.
    #[cfg(any(debug_assertions, test))]
    pub(super) fn check_invariants(&self, availability: &[u16]) {
        let open: u32 = self.buckets.iter().map(|bucket| bucket.open.count()).sum();
        assert_eq!(open, self.total);
        for bucket in &self.buckets {
            let filed: usize = bucket.levels.iter().map(Vec::len).sum();
            let open = bucket.open.iter().filter(|&piece| piece < self.filed_to);
            assert_eq!(filed, open.count());
            for (level, pieces) in bucket.levels.iter().enumerate() {
                for (at, &piece) in pieces.iter().enumerate() {
                    assert!(bucket.open.get(piece));
                    assert_eq!(self.place[piece as usize] as usize, at);
                    assert_eq!(level_of(availability[piece as usize]), level);
                }
            }
        }
    }
}
