//! Which blocks are worth asking for: what we have, what is being fetched from
//! whom, and what should come next (BEP 3, "rarest first").
//!
//! Owned by the swarm brain of one torrent, which reports the pieces of each
//! peer ([`Picker::peer_joined`] and its kin), tops up a peer with
//! [`Picker::pick`], and passes on what became of each lease:
//! [`Picker::received`], or [`Picker::returned`] after a choke, a timeout or a
//! disconnect. When [`Picker::piece_complete_blocks`] says so, the piece is
//! hashed, and the verdict is [`Picker::set_have`] or [`Picker::lost`].
//!
//! Every wanted piece that we lack is either *open* (nobody was asked for any
//! of it; kept by `shelves`, in order of merit) or *begun* (`partial`). Piece
//! and block numbers out of range are ignored, so hostile numbers do no harm.

mod partial;
mod pick;
mod shelves;
mod words;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use rand::{SeedableRng, rngs::StdRng};

use self::{
    partial::{Partial, Returned},
    shelves::Shelves,
    words::Common,
};
use crate::{
    bitfield::Bitfield,
    ids::{Block, PeerKey, PieceIndex},
    layout::Layout,
};

pub use self::partial::BlockState;

/// How much a piece is wanted: 0 not at all, 1 least, 4 by default, 7 most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u8);

impl Priority {
    /// Not to be downloaded.
    pub const SKIP: Self = Self(0);
    /// The least that is still downloaded.
    pub const LOW: Self = Self(1);
    /// What every piece starts with.
    pub const NORMAL: Self = Self(4);
    /// Before everything else.
    pub const TOP: Self = Self(7);

    const LEVELS: usize = 8;

    /// The priority with this number; `None` above 7.
    pub const fn new(value: u8) -> Option<Self> {
        if value <= Self::TOP.0 {
            Some(Self(value))
        } else {
            None
        }
    }

    /// The number, 0 to 7.
    pub const fn value(self) -> u8 {
        self.0
    }

    /// Whether a piece of this priority is downloaded.
    pub const fn is_wanted(self) -> bool {
        self.0 > 0
    }

    /// All wanted priorities, the highest first.
    fn wanted() -> impl Iterator<Item = Self> {
        (Self::LOW.0..=Self::TOP.0).rev().map(Self)
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self::NORMAL
    }
}

/// What a peer has.
#[derive(Clone, Copy, Debug)]
pub enum PeerPieces<'a> {
    /// Every piece: the peer is a seed.
    All,
    /// The pieces of this set.
    Some(&'a Bitfield),
}

impl PeerPieces<'_> {
    /// Whether the peer has `piece`.
    fn has(&self, piece: u32) -> bool {
        match self {
            Self::All => true,
            Self::Some(pieces) => pieces.get(piece),
        }
    }
}

/// How fast a peer sends, measured against the size of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// Shares pieces with others, so that a piece is not held up by it.
    Slow,
    /// Gets pieces to itself, so that a bad one has a single author and the
    /// disk sees whole pieces.
    Fast,
}

impl Speed {
    /// A peer is fast when it sends a whole piece within this many seconds.
    const WHOLE_PIECE_SECONDS: u64 = 20;

    /// The class of a peer that sends `rate` bytes a second, for pieces of
    /// `piece_length` bytes.
    pub fn of(rate: u64, piece_length: u32) -> Self {
        if rate.saturating_mul(Self::WHOLE_PIECE_SECONDS) >= u64::from(piece_length) {
            Self::Fast
        } else {
            Self::Slow
        }
    }
}

/// What a block that arrived is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// Worth keeping: the first copy of a block that we lack.
    New,
    /// A further copy of a block or piece that we have.
    Duplicate,
    /// Of a piece that is not wanted, or no block of this torrent.
    NotWanted,
}

/// One begun piece, as [`Picker::partial_pieces`] shows it.
#[derive(Clone, Copy, Debug)]
pub struct PartialPiece<'a> {
    /// Which piece.
    pub piece: PieceIndex,
    partial: &'a Partial,
}

impl<'a> PartialPiece<'a> {
    /// The state of every block of the piece, in order.
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = BlockState> + use<'a> {
        self.partial.states()
    }

    /// How many blocks somebody has been asked for.
    pub fn requested(&self) -> u32 {
        self.partial.leased()
    }

    /// How many blocks are here.
    pub fn received(&self) -> u32 {
        self.partial.received()
    }
}

/// The state of one torrent's download, and the choice of what to ask for.
#[derive(Debug)]
pub struct Picker {
    /// Lengths only: the files of the torrent play no part here.
    layout: Layout,
    have: Bitfield,
    /// Wanted pieces that we lack, open or begun.
    lacking: Bitfield,
    priorities: Vec<Priority>,
    /// Peers that have each piece, seeds left out.
    availability: Vec<u16>,
    seeds: u32,
    shelves: Shelves,
    partials: BTreeMap<u32, Partial>,
    /// Begun pieces that are wanted and have an open block.
    loose: BTreeSet<u32>,
    serial: u64,
    sequential: bool,
    rng: StdRng,
    wanted_bytes: u64,
    have_bytes: u64,
    have_wanted_bytes: u64,
    partial_bytes: u64,
    partial_wanted_bytes: u64,
}

impl Picker {
    /// Nothing had, nothing asked for, every piece at [`Priority::NORMAL`].
    /// Ties between pieces are broken by chance that depends on `seed` alone.
    pub fn new(layout: &Layout, seed: u64) -> Self {
        let pieces = layout.num_pieces();
        let lengths = Layout::new(layout.piece_length(), [(layout.total_length(), false)]);
        Self {
            layout: lengths.unwrap_or_else(|_| layout.clone()),
            have: Bitfield::new(pieces),
            lacking: Bitfield::full(pieces),
            priorities: vec![Priority::NORMAL; pieces as usize],
            availability: vec![0; pieces as usize],
            seeds: 0,
            shelves: Shelves::new(pieces),
            partials: BTreeMap::new(),
            loose: BTreeSet::new(),
            serial: 0,
            sequential: false,
            rng: StdRng::seed_from_u64(seed),
            wanted_bytes: layout.total_length(),
            have_bytes: 0,
            have_wanted_bytes: 0,
            partial_bytes: 0,
            partial_wanted_bytes: 0,
        }
    }

    fn exists(&self, piece: PieceIndex) -> bool {
        piece.0 < self.layout.num_pieces()
    }

    /// Notes that `piece` is here and verified. Leases on it end.
    pub fn set_have(&mut self, piece: PieceIndex) {
        if !self.have.set(piece.0) {
            return;
        }
        self.drop_partial(piece.0);
        self.close(piece.0);
        self.lacking.clear(piece.0);
        let length = u64::from(self.layout.piece_len(piece));
        self.have_bytes += length;
        if self.priority(piece).is_wanted() {
            self.have_wanted_bytes += length;
        }
    }

    /// Notes that `piece` is not here after all: its hash was wrong, or its
    /// file vanished. All its blocks are open again, and its leases end.
    pub fn lost(&mut self, piece: PieceIndex) {
        if !self.exists(piece) {
            return;
        }
        let wanted = self.priority(piece).is_wanted();
        if self.have.clear(piece.0) {
            let length = u64::from(self.layout.piece_len(piece));
            self.have_bytes -= length;
            if wanted {
                self.have_wanted_bytes -= length;
                self.lacking.set(piece.0);
            }
        }
        self.drop_partial(piece.0);
        if wanted {
            self.open(piece.0);
        }
    }

    /// Whether `piece` is here and verified.
    pub fn we_have(&self, piece: PieceIndex) -> bool {
        self.have.get(piece.0)
    }

    /// The pieces that are here and verified.
    pub fn have(&self) -> &Bitfield {
        &self.have
    }

    /// Counts one more peer that has every piece.
    pub fn peer_seed_joined(&mut self) {
        self.seeds += 1;
    }

    /// Takes back [`Picker::peer_seed_joined`].
    pub fn peer_seed_left(&mut self) {
        debug_assert!(self.seeds > 0);
        self.seeds = self.seeds.saturating_sub(1);
    }

    /// Counts one more peer, which has `pieces`. A set that is full belongs to
    /// [`Picker::peer_seed_joined`]; a peer that becomes one later leaves with
    /// its set and joins as a seed.
    pub fn peer_joined(&mut self, pieces: &Bitfield) {
        self.count_peer(pieces, |availability| availability.saturating_add(1));
    }

    /// Takes back [`Picker::peer_joined`] and every [`Picker::peer_has`] since:
    /// `pieces` is what the peer had at last.
    pub fn peer_left(&mut self, pieces: &Bitfield) {
        self.count_peer(pieces, |availability| {
            debug_assert!(availability > 0);
            availability.saturating_sub(1)
        });
    }

    fn count_peer(&mut self, pieces: &Bitfield, change: impl Fn(u16) -> u16) {
        if !self.shelves.worth_moving(pieces.count()) {
            self.shelves.unfile();
        }
        for piece in Common::all(pieces, &PeerPieces::All) {
            self.change_availability(piece, &change);
        }
    }

    /// Counts a piece that a peer (no seed) has got. Call it once a piece and
    /// peer, not for a HAVE that repeats what is known.
    pub fn peer_has(&mut self, piece: PieceIndex) {
        self.change_availability(piece.0, |availability| availability.saturating_add(1));
    }

    fn change_availability(&mut self, piece: u32, change: impl Fn(u16) -> u16) {
        if let Some(availability) = self.availability.get_mut(piece as usize) {
            let from = *availability;
            *availability = change(from);
            let to = *availability;
            self.shelves
                .moved(piece, self.priorities[piece as usize], from, to);
        }
    }

    /// How many peers have `piece`, seeds included, ourselves not.
    pub fn availability(&self, piece: PieceIndex) -> u32 {
        self.availability
            .get(piece.0 as usize)
            .map_or(0, |&peers| u32::from(peers) + self.seeds)
    }

    /// Sets how much `piece` is wanted. Leases and blocks that are here stay.
    pub fn set_priority(&mut self, piece: PieceIndex, priority: Priority) {
        let before = self.priority(piece);
        if !self.exists(piece) || before == priority {
            return;
        }
        let had = self.have.get(piece.0);
        self.close(piece.0);
        self.priorities[piece.0 as usize] = priority;
        if before.is_wanted() != priority.is_wanted() {
            let length = u64::from(self.layout.piece_len(piece));
            let partial = self.received_bytes(piece.0);
            if priority.is_wanted() {
                self.wanted_bytes += length;
                self.partial_wanted_bytes += partial;
                if had {
                    self.have_wanted_bytes += length;
                } else {
                    self.lacking.set(piece.0);
                }
            } else {
                self.wanted_bytes -= length;
                self.partial_wanted_bytes -= partial;
                if had {
                    self.have_wanted_bytes -= length;
                }
                self.lacking.clear(piece.0);
            }
        }
        if priority.is_wanted() && !had && !self.partials.contains_key(&piece.0) {
            self.open(piece.0);
        }
        self.refresh_loose(piece.0);
    }

    /// How much `piece` is wanted; not at all when there is no such piece.
    pub fn priority(&self, piece: PieceIndex) -> Priority {
        self.priorities
            .get(piece.0 as usize)
            .copied()
            .unwrap_or(Priority::SKIP)
    }

    /// Whether pieces of one priority are picked in ascending order instead of
    /// rarest first.
    pub fn set_sequential(&mut self, sequential: bool) {
        self.sequential = sequential;
    }

    /// Takes back the lease of `peer` on `block`: it will not come. Without
    /// effect when the peer holds no lease on it.
    pub fn returned(&mut self, peer: PeerKey, block: Block) {
        let Some(partial) = self.partials.get_mut(&block.piece.0) else {
            return;
        };
        if partial.give_back(peer, block.index) != Returned::Open {
            return;
        }
        if partial.received() == 0 && partial.leased() == 0 {
            self.drop_partial(block.piece.0);
            if self.priority(block.piece).is_wanted() {
                self.open(block.piece.0);
            }
        } else {
            self.refresh_loose(block.piece.0);
        }
    }

    /// Notes that `block` came from `peer`, with or without a lease. All leases
    /// on it end; the other peers that held one, and should be sent a cancel,
    /// are appended to `cancels`.
    pub fn received(
        &mut self,
        peer: PeerKey,
        block: Block,
        cancels: &mut Vec<PeerKey>,
    ) -> Received {
        let length = u64::from(self.layout.block_len(block));
        if length == 0 {
            return Received::NotWanted;
        }
        if self.have.get(block.piece.0) {
            return Received::Duplicate;
        }
        let wanted = self.priority(block.piece).is_wanted();
        if wanted && !self.partials.contains_key(&block.piece.0) {
            // It comes late, after its lease was taken back.
            self.begin(block.piece.0, None);
        }
        let Some(partial) = self.partials.get_mut(&block.piece.0) else {
            return Received::NotWanted;
        };
        if !partial.receive(peer, block.index, cancels) {
            return Received::Duplicate;
        }
        self.partial_bytes += length;
        if wanted {
            self.partial_wanted_bytes += length;
        }
        self.refresh_loose(block.piece.0);
        Received::New
    }

    /// Whether the peer has a wanted piece that we lack. At worst it reads a
    /// bit a piece; to follow a HAVE, [`Picker::is_wanted`] is enough.
    pub fn is_interesting(&self, has: &PeerPieces<'_>) -> bool {
        Common::all(&self.lacking, has).next().is_some()
    }

    /// How many wanted pieces that we lack the peer has: where a count that
    /// follows each HAVE and each finished piece starts from.
    pub fn interesting_pieces(&self, has: &PeerPieces<'_>) -> u32 {
        match has {
            PeerPieces::All => self.lacking.count(),
            PeerPieces::Some(_) => Common::all(&self.lacking, has).count() as u32,
        }
    }

    /// Whether `piece` is wanted and we lack it.
    pub fn is_wanted(&self, piece: PieceIndex) -> bool {
        self.lacking.get(piece.0)
    }

    /// Whether every block of `piece` is here and its hash is still to be
    /// checked.
    pub fn piece_complete_blocks(&self, piece: PieceIndex) -> bool {
        self.partials
            .get(&piece.0)
            .is_some_and(Partial::is_complete)
    }

    /// The peers that sent blocks of a begun or complete, not yet verified
    /// `piece`, each once.
    pub fn contributors(&self, piece: PieceIndex) -> Vec<PeerKey> {
        let mut peers: Vec<PeerKey> = self
            .partials
            .get(&piece.0)
            .into_iter()
            .flat_map(Partial::received_blocks)
            .map(|(_, peer)| peer)
            .collect();
        peers.sort_unstable();
        peers.dedup();
        peers
    }

    /// The begun pieces, in ascending order.
    pub fn partial_pieces(&self) -> impl Iterator<Item = PartialPiece<'_>> {
        self.partials.iter().map(|(&piece, partial)| PartialPiece {
            piece: PieceIndex(piece),
            partial,
        })
    }

    /// Bytes in wanted pieces, had or not.
    pub fn total_wanted(&self) -> u64 {
        self.wanted_bytes
    }

    /// Bytes in wanted pieces that are here, verified or not.
    pub fn wanted_done(&self) -> u64 {
        self.have_wanted_bytes + self.partial_wanted_bytes
    }

    /// Bytes in wanted pieces that are not here.
    pub fn wanted_left(&self) -> u64 {
        self.wanted_bytes - self.wanted_done()
    }

    /// Bytes that are here, verified or not, wanted or not.
    pub fn done(&self) -> u64 {
        self.have_bytes + self.partial_bytes
    }

    /// How many pieces are here and verified.
    pub fn num_have(&self) -> u32 {
        self.have.count()
    }

    /// Whether every wanted piece is here and verified.
    pub fn is_finished(&self) -> bool {
        self.lacking.none()
    }

    /// Whether every piece is here and verified.
    pub fn is_seed(&self) -> bool {
        self.have.is_full()
    }

    /// How many copies of the torrent the swarm holds, ourselves included: the
    /// copies of the rarest piece, and how many pieces in a thousand there are
    /// more copies of. Reads every piece.
    pub fn distributed_copies(&self) -> (u32, u32) {
        let copies = |piece: u32| {
            u32::from(self.availability[piece as usize]) + u32::from(self.have.get(piece))
        };
        let pieces = self.layout.num_pieces();
        let full = (0..pieces).map(copies).min().unwrap_or(0);
        let more = (0..pieces).filter(|&piece| copies(piece) > full).count() as u64;
        let per_mille = more * 1000 / u64::from(pieces.max(1));
        (full + self.seeds, per_mille as u32)
    }

    /// Makes a piece that is not begun open.
    fn open(&mut self, piece: u32) {
        let at = piece as usize;
        self.shelves
            .insert(piece, self.priorities[at], self.availability[at]);
    }

    /// Takes a piece away from the open ones, if it is one of them.
    fn close(&mut self, piece: u32) {
        let at = piece as usize;
        self.shelves
            .remove(piece, self.priorities[at], self.availability[at]);
    }

    /// Makes an open piece a begun one.
    fn begin(&mut self, piece: u32, owner: Option<PeerKey>) {
        self.close(piece);
        let blocks = self.layout.blocks_in_piece(PieceIndex(piece));
        self.serial += 1;
        self.partials
            .insert(piece, Partial::new(blocks, self.serial, owner));
        self.loose.insert(piece);
    }

    /// Forgets the blocks and leases of a begun piece.
    fn drop_partial(&mut self, piece: u32) {
        let bytes = self.received_bytes(piece);
        if self.partials.remove(&piece).is_some() {
            self.loose.remove(&piece);
            self.partial_bytes -= bytes;
            if self.priority(PieceIndex(piece)).is_wanted() {
                self.partial_wanted_bytes -= bytes;
            }
        }
    }

    /// Bytes of a begun piece that are here.
    fn received_bytes(&self, piece: u32) -> u64 {
        self.partials.get(&piece).map_or(0, |partial| {
            partial
                .received_blocks()
                .map(|(index, _)| {
                    u64::from(self.layout.block_len(Block::new(PieceIndex(piece), index)))
                })
                .sum()
        })
    }

    /// Brings `loose` up to date with one piece.
    fn refresh_loose(&mut self, piece: u32) {
        let loose = self.priority(PieceIndex(piece)).is_wanted()
            && self
                .partials
                .get(&piece)
                .is_some_and(|partial| partial.open() > 0);
        if loose {
            self.loose.insert(piece);
        } else {
            self.loose.remove(&piece);
        }
    }

    /// Panics when the parts disagree with each other.
    #[cfg(any(debug_assertions, test))]
    pub fn check_invariants(&self) {
        self.shelves.check_invariants(&self.availability);
        let mut totals = [0u64; 5];
        for piece in self.layout.pieces() {
            let (have, wanted) = (self.we_have(piece), self.priority(piece).is_wanted());
            let partial = self.partials.get(&piece.0);
            assert_eq!(self.is_wanted(piece), wanted && !have);
            assert!(!(have && partial.is_some()), "{piece} is had and begun");
            assert_eq!(
                self.shelves.contains(piece.0, self.priority(piece)),
                wanted && !have && partial.is_none(),
                "{piece} is filed wrongly"
            );
            let loose = wanted && partial.is_some_and(|partial| partial.open() > 0);
            assert_eq!(self.loose.contains(&piece.0), loose);
            if let Some(partial) = partial {
                partial.check_invariants();
                assert!(partial.received() + partial.leased() > 0, "{piece} is idle");
            }
            let length = u64::from(self.layout.piece_len(piece));
            let here = self.received_bytes(piece.0);
            let flag = u64::from;
            totals[0] += length * flag(wanted);
            totals[1] += length * flag(have);
            totals[2] += length * flag(have && wanted);
            totals[3] += here;
            totals[4] += here * flag(wanted);
        }
        assert_eq!(
            totals,
            [
                self.wanted_bytes,
                self.have_bytes,
                self.have_wanted_bytes,
                self.partial_bytes,
                self.partial_wanted_bytes
            ]
        );
    }
}
