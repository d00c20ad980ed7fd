//! The types that a picker and its owner share.

use std::ops::Range;

use super::downloading_piece::{BlockState, DownloadingPiece};
use crate::{bitfield::Bitfield, ids::PieceIndex};

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

    pub(super) const LEVELS: usize = 8;

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
    pub(super) fn wanted() -> impl Iterator<Item = Self> {
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
    pub(crate) fn has(&self, piece: u32) -> bool {
        match self {
            Self::All => true,
            Self::Some(pieces) => pieces.get(piece),
        }
    }
}

/// How fast a peer sends, measured against the size of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// Lets requests time out: gets common pieces that no other peer works
    /// on, so that it holds nothing up.
    Snubbed,
    /// Is on parole: gets whole pieces to itself, and begins none that others
    /// have begun, so that a bad one has a single author.
    Alone,
    /// Shares pieces with others, so that a piece is not held up by it.
    Slow,
    /// Gets pieces to itself, so that a bad one has a single author and the
    /// disk sees whole pieces.
    Fast,
}

impl Speed {
    /// The class of a peer that sends `rate` bytes a second, for pieces of
    /// `piece_length` bytes: fast when it sends a whole piece within
    /// `threshold` seconds (`whole_pieces_threshold`).
    pub fn of(rate: u64, piece_length: u32, threshold: u64) -> Self {
        if rate.saturating_mul(threshold) >= u64::from(piece_length) {
            Self::Fast
        } else {
            Self::Slow
        }
    }
}

/// How the choice is made, from the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PickerSettings {
    /// Until this many pieces are here they are picked at random
    /// (`initial_picker_threshold`): a newcomer needs something to trade soon,
    /// and a rare piece comes slowly.
    pub random_first: u32,
    /// Begun pieces go before all others, whatever the priorities
    /// (`prioritize_partial_pieces`).
    pub partials_first: bool,
    /// New pieces are taken next to those begun last, in extents of 4 MiB
    /// (`piece_extent_affinity`).
    pub extent_affinity: bool,
    /// Blocks are asked for twice only when no block of the torrent is open,
    /// not when this peer has none of the open ones (`strict_end_game_mode`).
    pub strict_end_game: bool,
}

impl Default for PickerSettings {
    fn default() -> Self {
        Self {
            random_first: 4,
            partials_first: false,
            extent_affinity: false,
            strict_end_game: true,
        }
    }
}

/// What a block that arrived is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// To be kept: the first copy of a block that we lack.
    New,
    /// A further copy of a block or piece that we have.
    Duplicate,
    /// Of a piece that is not wanted, or no block of this torrent.
    NotWanted,
}

/// One begun piece, as [`super::Picker::partial_pieces`] shows it.
#[derive(Clone, Copy, Debug)]
pub struct PartialPiece<'a> {
    /// Which piece.
    pub piece: PieceIndex,
    pub(super) partial: &'a DownloadingPiece,
}

impl<'a> PartialPiece<'a> {
    /// The state of every block of the piece, in order.
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = BlockState> + use<'a> {
        self.partial.states()
    }

    /// The blocks that are requested or here, each with its state, in no order:
    /// the others are open or padding. Takes as long as there are of them, and
    /// not as the piece is long.
    pub fn begun_blocks(&self) -> impl Iterator<Item = (u32, BlockState)> + use<'a> {
        let leased = self.partial.leased_blocks();
        let requested =
            leased.map(|(index, peer, peers)| (index, BlockState::Requested { peer, peers }));
        let received = self.partial.received_blocks();
        requested.chain(received.map(|(index, peer)| (index, BlockState::Received { peer })))
    }

    /// The runs of blocks that are padding, in order.
    pub fn padding(&self) -> &'a [Range<u32>] {
        self.partial.padding()
    }

    /// Another value whenever the state of a block has changed since, or the piece
    /// was begun anew.
    pub fn revision(&self) -> (u64, u64) {
        (self.partial.serial, self.partial.revision())
    }

    /// How many blocks the piece has.
    pub fn num_blocks(&self) -> u32 {
        self.partial.num_blocks()
    }

    /// Whether every block is here, or padding.
    pub fn is_complete(&self) -> bool {
        self.partial.is_complete()
    }

    /// How many blocks are requested from a peer.
    pub fn requested(&self) -> u32 {
        self.partial.leased()
    }

    /// How many blocks are here.
    pub fn received(&self) -> u32 {
        self.partial.received()
    }
}
