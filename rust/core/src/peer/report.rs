//! What a connection reports to its torrent, once per wake.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::BlockNote;
use crate::bitfield::Bitfield;
use crate::ext::{ExtendedHandshake, PexMessage};
use crate::ids::{Block, PieceIndex};

/// A block of which a part has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Which block.
    pub block: Block,
    /// Bytes of it that are here.
    pub bytes: u32,
    /// Its length in bytes.
    pub total: u32,
}

/// Totals and gauges of a connection, as last reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerStats {
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
    /// Bytes of accepted blocks received.
    pub payload_received: u64,
    /// Bytes of blocks sent.
    pub payload_sent: u64,
    /// Payload bytes that came unasked.
    pub redundant: u64,
    /// Blocks asked for and not yet here.
    pub outstanding: u32,
    /// Blocks that the peer asked for and did not get yet.
    pub upload_queue: u32,
    /// Blocks that we aim to have outstanding.
    pub target: u32,
    /// The peer has outstanding requests for too long.
    pub snubbed: bool,
    /// The block that is on its way.
    pub incoming: Option<Incoming>,
}

/// What a peer has, as far as that is new. No piece is both in `haves` and in
/// `dont_have`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PieceNews {
    /// All that it has, when it said so.
    pub bitfield: Option<Bitfield>,
    /// Pieces that it got since.
    pub haves: BTreeSet<PieceIndex>,
    /// Pieces that it has no longer (BEP 54).
    pub dont_have: BTreeSet<PieceIndex>,
}

impl PieceNews {
    /// The peer has these pieces and no others, whatever it said before.
    pub(super) fn replace(&mut self, pieces: Bitfield) {
        *self = Self {
            bitfield: Some(pieces),
            ..Self::default()
        };
    }

    /// The peer has one piece more.
    pub(super) fn has(&mut self, piece: PieceIndex) {
        self.dont_have.remove(&piece);
        self.haves.insert(piece);
    }

    /// The peer has a piece no longer.
    pub(super) fn has_no_longer(&mut self, piece: PieceIndex) {
        self.haves.remove(&piece);
        if let Some(pieces) = &mut self.bitfield {
            pieces.clear(piece.0);
        }
        self.dont_have.insert(piece);
    }
}

/// What messages of the extension protocol brought (BEP 10).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtensionNews {
    /// The peer's extended handshake, when one came.
    pub hello: Option<Box<ExtendedHandshake>>,
    /// It began or ceased to download nothing any more (BEP 21).
    pub upload_only: Option<bool>,
    /// Pieces of the info dict that we asked for, or their refusal (BEP 9).
    pub metadata: Vec<MetadataReply>,
    /// Messages of peer exchange (BEP 11), in order.
    pub pex: Vec<PexMessage>,
}

/// What happened on a connection since the last report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionReport {
    /// What the peer has.
    pub pieces: PieceNews,
    /// Blocks that were accepted; their bytes are on the way to the disk.
    pub blocks: Vec<Block>,
    /// Leased blocks that it will not deliver.
    pub returned: Vec<Block>,
    /// Those of them that it refused although it had let us ask (BEP 6), or by
    /// a choke before it sent any.
    pub refused: Vec<Block>,
    /// Blocks that it could take on, beyond what was asked for before.
    pub want: u32,
    /// It began (`true`) or ceased to choke us.
    pub choked: Option<bool>,
    /// It began or ceased to be interested in us.
    pub interested: Option<bool>,
    /// What was watched ([`Watched`](super::Watched)), in order.
    pub notes: Vec<BlockNote>,
    /// What its extensions brought.
    pub extended: ExtensionNews,
    /// Pieces that it got blocks of, where that is asked for (`suggest_mode`).
    pub served: Vec<PieceIndex>,
    /// Pieces that it would like to be asked for (BEP 6).
    pub suggested: Vec<PieceIndex>,
    /// All pieces that it serves although it chokes us (BEP 6), when they
    /// changed; those that do not exist are not among them, once the torrent's
    /// metadata is known.
    pub allowed_fast: Option<BTreeSet<PieceIndex>>,
    /// Totals and gauges.
    pub stats: PeerStats,
}

/// A peer's answer to a request for a piece of the info dict (BEP 9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataReply {
    /// Which piece.
    pub piece: u32,
    /// Bytes in the whole dict, as the peer says; 0 when it does not.
    pub total_size: u32,
    /// The bytes; `None` when the peer refused.
    pub data: Option<Bytes>,
}
