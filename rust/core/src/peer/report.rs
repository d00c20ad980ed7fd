//! What a connection tells its torrent, once per wake.

use super::Note;
use crate::bitfield::Bitfield;
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
    /// The peer owes us blocks for too long.
    pub snubbed: bool,
    /// The block that is on its way.
    pub incoming: Option<Incoming>,
}

/// What happened on a connection since the last report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// All that the peer has, when it said so.
    pub bitfield: Option<Bitfield>,
    /// Pieces that it got since.
    pub haves: Vec<PieceIndex>,
    /// Blocks that were accepted; their bytes are on the way to the disk.
    pub blocks: Vec<Block>,
    /// Leased blocks that it will not deliver.
    pub returned: Vec<Block>,
    /// Blocks that it could take on, beyond what was asked for before.
    pub want: u32,
    /// It began (`true`) or ceased to choke us.
    pub choked: Option<bool>,
    /// It began or ceased to be interested in us.
    pub interested: Option<bool>,
    /// What was watched ([`Watched`](super::Watched)), in order.
    pub notes: Vec<Note>,
    /// Totals and gauges.
    pub stats: PeerStats,
}
