//! Which blocks to ask for: what we have, what is being requested from
//! which peer, and what should come next (BEP 3, "rarest first").
//!
//! Owned by the swarm brain of one torrent, which reports the pieces of each
//! peer ([`Picker::peer_joined`] and the like), tops up a peer with
//! [`Picker::pick`], and passes on what became of each lease:
//! [`Picker::received`], or [`Picker::returned`] after a choke, a timeout or a
//! disconnect. When [`Picker::piece_complete_blocks`] says so, the piece is
//! hashed, and the verdict is [`Picker::set_have`] or [`Picker::we_dont_have`].
//!
//! Every wanted piece that we lack is either *open* (none of it is requested;
//! kept by `rarity_buckets`, in order of merit) or *begun* (`downloading_pieces`).
//! Piece and block numbers out of range are ignored, so hostile numbers do no harm.

mod availability;
mod bit_scan;
mod bytes;
mod downloading_piece;
mod downloading_pieces;
mod extents;
mod pick;
mod queries;
mod rarity_buckets;
mod time_critical;
mod types;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::{SeedableRng, rngs::StdRng};

use self::availability::Availability;
use self::bytes::PayloadBytes;
use self::downloading_piece::{DownloadingPiece, Returned};
use self::downloading_pieces::DownloadingPieces;
use self::extents::Extents;
use self::rarity_buckets::RarityBuckets;
use crate::{
    bitfield::Bitfield,
    ids::{Block, PeerKey, PieceIndex},
    layout::Layout,
};

pub use self::downloading_piece::BlockState;
pub use self::types::{PartialPiece, PeerPieces, PickerSettings, Priority, Received, Speed};

/// In which order pieces are chosen.
#[derive(Debug, Default)]
struct PickOrder {
    /// By their index, and not the rarest first.
    sequential: bool,
    /// The pieces that sequential mode begins with: the first and the last.
    range: Option<(u32, u32)>,
}

/// The state of one torrent's download, and the choice of what to ask for.
#[derive(Debug)]
pub struct Picker {
    /// Lengths and padding only: the files play no part here.
    layout: Layout,
    /// Shared with who looks at it, and copied only when it changes then.
    have: Arc<Bitfield>,
    /// Wanted pieces that we lack, open or begun.
    lacking: Bitfield,
    priorities: Vec<Priority>,
    availability: Availability,
    buckets: RarityBuckets,
    downloading: DownloadingPieces,
    /// Pieces that the owner hands out itself.
    time_critical: BTreeSet<u32>,
    extents: Extents,
    /// Bytes a second that peers send, where they are known to send any.
    download_rates: BTreeMap<PeerKey, u64>,
    order: PickOrder,
    settings: PickerSettings,
    rng: StdRng,
    bytes: PayloadBytes,
}

impl Picker {
    /// Nothing had but pieces of padding alone, nothing asked for, every piece
    /// at [`Priority::NORMAL`]. Ties between pieces are broken by chance that depends on `seed` alone.
    pub fn new(layout: &Layout, seed: u64) -> Self {
        let pieces = layout.num_pieces();
        let mut picker = Self {
            layout: layout.lengths_only(),
            have: Arc::new(Bitfield::new(pieces)),
            lacking: Bitfield::full(pieces),
            priorities: vec![Priority::NORMAL; pieces as usize],
            availability: Availability::new(pieces),
            buckets: RarityBuckets::new(pieces),
            downloading: DownloadingPieces::default(),
            time_critical: BTreeSet::new(),
            extents: Extents::new(pieces, layout.piece_length()),
            download_rates: BTreeMap::new(),
            order: PickOrder::default(),
            settings: PickerSettings::default(),
            rng: StdRng::seed_from_u64(seed),
            bytes: PayloadBytes::new(layout.payload_length()),
        };
        for piece in layout.padding_pieces() {
            picker.set_have(piece);
        }
        picker
    }

    fn exists(&self, piece: PieceIndex) -> bool {
        piece.0 < self.layout.num_pieces()
    }

    /// Notes that `piece` is here and verified. Leases on it end.
    pub fn set_have(&mut self, piece: PieceIndex) {
        if !self.exists(piece) || self.have.get(piece.0) {
            return;
        }
        Arc::make_mut(&mut self.have).set(piece.0);
        self.availability.got(piece.0);
        self.drop_partial(piece.0);
        self.close(piece.0);
        self.lacking.clear(piece.0);
        let length = u64::from(self.layout.piece_payload(piece));
        self.bytes
            .got_piece(length, self.priority(piece).is_wanted());
    }

    /// Notes that `piece` is not here after all: its hash was wrong, or its
    /// file vanished. All its blocks are open again, and its leases end. A
    /// piece of padding alone cannot be lost.
    pub fn we_dont_have(&mut self, piece: PieceIndex) {
        if !self.exists(piece) || self.layout.piece_payload(piece) == 0 {
            return;
        }
        let wanted = self.priority(piece).is_wanted();
        if self.have.get(piece.0) {
            Arc::make_mut(&mut self.have).clear(piece.0);
            self.availability.we_dont_have(piece.0);
            let length = u64::from(self.layout.piece_payload(piece));
            self.bytes.remove_piece(length, wanted);
            if wanted {
                self.lacking.set(piece.0);
            }
        }
        self.drop_partial(piece.0);
        if wanted {
            self.open(piece.0);
        }
    }

    /// Counts one more peer that has every piece.
    pub fn peer_seed_joined(&mut self) {
        self.availability.seed_joined();
    }

    /// Takes back [`Picker::peer_seed_joined`].
    pub fn peer_seed_left(&mut self) {
        self.availability.seed_left();
    }

    /// Counts one more peer, which has `pieces`. A set that is full belongs to
    /// [`Picker::peer_seed_joined`]; a peer that becomes one later leaves with
    /// its set and joins as a seed.
    pub fn peer_joined(&mut self, pieces: &Bitfield) {
        self.count_peer(pieces, true);
    }

    /// Takes back [`Picker::peer_joined`] and every [`Picker::peer_has`] since:
    /// `pieces` is what the peer had at last.
    pub fn peer_left(&mut self, pieces: &Bitfield) {
        self.count_peer(pieces, false);
    }

    fn count_peer(&mut self, pieces: &Bitfield, joined: bool) {
        if !self.buckets.worth_moving(pieces.count()) {
            self.buckets.unfile();
            self.availability.count(pieces, &self.have, joined);
            return;
        }
        for piece in pieces.iter() {
            let ours = self.have.get(piece);
            let change = if joined {
                self.availability.add(piece, ours)
            } else {
                self.availability.sub(piece, ours)
            };
            self.moved(piece, change);
        }
    }

    /// Counts a piece that a peer (no seed) has got. Call it once a piece and
    /// peer, not for a HAVE that repeats what is known.
    pub fn peer_has(&mut self, piece: PieceIndex) {
        let change = self.availability.add(piece.0, self.have.get(piece.0));
        self.moved(piece.0, change);
    }

    /// Takes back [`Picker::peer_has`]: the peer lost the piece (BEP 54).
    pub fn peer_dont_have(&mut self, piece: PieceIndex) {
        let change = self.availability.sub(piece.0, self.have.get(piece.0));
        self.moved(piece.0, change);
    }

    fn moved(&mut self, piece: u32, change: Option<(u16, u16)>) {
        if let (Some((from, to)), Some(&priority)) = (change, self.priorities.get(piece as usize)) {
            self.buckets.moved(piece, priority, from, to);
        }
    }

    /// How many peers have `piece`, seeds included, ourselves not.
    pub fn availability(&self, piece: PieceIndex) -> u32 {
        self.availability.with_seeds(piece.0)
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
            let length = u64::from(self.layout.piece_payload(piece));
            let partial = self.received_bytes(piece.0);
            if priority.is_wanted() {
                self.bytes.begin_to_want(length, partial, had);
                if !had {
                    self.lacking.set(piece.0);
                }
            } else {
                self.bytes.cease_to_want(length, partial, had);
                self.lacking.clear(piece.0);
            }
        }
        if priority.is_wanted() && !had && !self.downloading.contains(piece.0) {
            self.open(piece.0);
        }
        self.refresh_choosable(piece.0);
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
        self.order.sequential = sequential;
    }

    /// The pieces, from the first to the last one, that are picked before
    /// others of their priority in sequential mode; `None` for no such range.
    pub fn set_sequential_range(&mut self, range: Option<(PieceIndex, PieceIndex)>) {
        self.order.range = range.map(|(first, last)| (first.0, last.0));
    }

    /// Notes how many bytes a second a peer sends; 0 forgets it. In the end game
    /// a peer is not asked for what a quicker one holds.
    pub fn set_download_rate(&mut self, peer: PeerKey, rate: u64) {
        if rate > 0 {
            self.download_rates.insert(peer, rate);
        } else {
            self.download_rates.remove(&peer);
        }
    }

    /// Changes how the choice is made.
    pub fn set_settings(&mut self, settings: PickerSettings) {
        self.settings = settings;
    }

    /// Takes back the lease of `peer` on `block`: it will not come. Without
    /// effect when the peer holds no lease on it.
    pub fn returned(&mut self, peer: PeerKey, block: Block) {
        let Some(partial) = self.downloading.get_mut(block.piece.0) else {
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
            self.refresh_choosable(block.piece.0);
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
        if self.layout.block_len(block) == 0 {
            return Received::NotWanted;
        }
        let length = u64::from(self.layout.block_payload(block));
        if self.have.get(block.piece.0) {
            return Received::Duplicate;
        }
        let wanted = self.priority(block.piece).is_wanted();
        if wanted && !self.downloading.contains(block.piece.0) {
            // It comes late, after its lease was taken back.
            self.begin(block.piece.0, None);
        }
        let Some(partial) = self.downloading.get_mut(block.piece.0) else {
            return Received::NotWanted;
        };
        if !partial.receive(peer, block.index, cancels) {
            return Received::Duplicate;
        }
        self.bytes.got_part(length, wanted);
        self.refresh_choosable(block.piece.0);
        Received::New
    }

    /// Makes a piece that is not begun open.
    fn open(&mut self, piece: u32) {
        if !self.time_critical.contains(&piece) {
            let priority = self.priority(PieceIndex(piece));
            self.buckets
                .insert(piece, priority, self.availability.of(piece));
        }
    }

    /// Takes a piece away from the open ones, if it is one of them.
    fn close(&mut self, piece: u32) {
        let priority = self.priority(PieceIndex(piece));
        self.buckets
            .remove(piece, priority, self.availability.of(piece));
    }

    /// Makes an open piece a begun one.
    fn begin(&mut self, piece: u32, owner: Option<PeerKey>) {
        self.close(piece);
        let partial = self.untouched(piece, owner);
        self.downloading.insert(piece, partial);
        self.refresh_choosable(piece);
    }

    /// A piece of which nothing is here or asked for.
    fn untouched(&self, piece: u32, owner: Option<PeerKey>) -> DownloadingPiece {
        let piece = PieceIndex(piece);
        let blocks = self.layout.blocks_in_piece(piece);
        let padding = self.layout.padding_runs(piece);
        DownloadingPiece::new(blocks, padding, self.downloading.next_serial(), owner)
    }

    /// Forgets the blocks and leases of a begun piece.
    fn drop_partial(&mut self, piece: u32) {
        let bytes = self.received_bytes(piece);
        if self.downloading.remove(piece) {
            let wanted = self.priority(PieceIndex(piece)).is_wanted();
            self.bytes.dropped_part(bytes, wanted);
        }
    }

    /// Lets the ordinary choice take blocks of a begun piece, or not any more.
    fn refresh_choosable(&mut self, piece: u32) {
        let allowed = self.lacking.get(piece) && !self.time_critical.contains(&piece);
        self.downloading.set_choosable(piece, allowed);
    }
}
