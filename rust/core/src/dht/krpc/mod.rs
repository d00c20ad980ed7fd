//! The messages of the DHT (BEP 5, 32, 33, 43, 44, 51): queries, responses and
//! errors, in bencode.
//!
//! [`Message::decode`] takes apart what a datagram holds. It reads as much as
//! libtorrent does: keys in any order, members that it does not know, nodes in
//! either family. [`Query::encode`] and the others write.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use std::net::SocketAddr;

use super::address::{Family, NodeContact};
use super::bloom::BloomFilter;
use super::node_id::NodeId;
pub use decode::Undecodable;

/// Error codes of BEP 5 and BEP 44.
pub mod error_code {
    /// A malformed query, a bad token.
    pub const PROTOCOL: i64 = 203;
    /// A query of a kind that is not known.
    pub const METHOD_UNKNOWN: i64 = 204;
    /// The value has more than 1000 bytes.
    pub const VALUE_TOO_BIG: i64 = 205;
    /// The signature is wrong.
    pub const INVALID_SIGNATURE: i64 = 206;
    /// The salt has more than 64 bytes.
    pub const SALT_TOO_BIG: i64 = 207;
    /// The stored item has another sequence number than the query expects.
    pub const CAS_MISMATCH: i64 = 301;
    /// The stored item is newer.
    pub const OLD_SEQUENCE: i64 = 302;
}

/// Bytes of a transaction id that are echoed.
pub const MAX_TRANSACTION: usize = 32;

/// Names the query that a response belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction(pub Bytes);

/// Which nodes a query asks for (BEP 32).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// IPv4 nodes.
    pub v4: bool,
    /// IPv6 nodes.
    pub v6: bool,
}

impl Want {
    /// Whether nodes of `family` are wanted, by a query that came over `over`.
    pub fn includes(self, family: Family, over: Family) -> bool {
        if self == Self::default() {
            return family == over;
        }
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }
}

/// The mutable part of a put (BEP 44).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutMutable {
    /// The public key.
    pub key: [u8; 32],
    /// The signature.
    pub signature: [u8; 64],
    /// The sequence number.
    pub seq: i64,
    /// The sequence number that is to be replaced.
    pub cas: Option<i64>,
    /// The salt, of any length.
    pub salt: Bytes,
}

/// What a node asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// Whether the other one is there.
    Ping,
    /// The nodes nearest to an id.
    FindNode {
        /// The id.
        target: NodeId,
        /// Of which families.
        want: Want,
    },
    /// The peers of a torrent.
    GetPeers {
        /// The torrent.
        info_hash: NodeId,
        /// Whether seeds are of no use to the sender (BEP 33).
        noseed: bool,
        /// Whether filters are wanted instead of peers (BEP 33).
        scrape: bool,
        /// Of which families nodes are wanted.
        want: Want,
    },
    /// To be remembered as a peer of a torrent.
    AnnouncePeer {
        /// The torrent.
        info_hash: NodeId,
        /// The peer's port.
        port: u16,
        /// Whether the port of the datagram counts instead.
        implied_port: bool,
        /// Whether the peer is a seed (BEP 33).
        seed: bool,
        /// The write token.
        token: Bytes,
    },
    /// An item (BEP 44).
    Get {
        /// Where it is stored.
        target: NodeId,
        /// The sequence number that the sender has already.
        seq: Option<i64>,
        /// Of which families nodes are wanted.
        want: Want,
    },
    /// To store an item (BEP 44).
    Put {
        /// The write token.
        token: Bytes,
        /// The value, bencoded, of any length.
        value: Bytes,
        /// What makes it a mutable item.
        mutable: Option<PutMutable>,
    },
    /// Some of the torrents of which peers are known (BEP 51).
    SampleInfohashes {
        /// Nodes near to it are wanted too.
        target: NodeId,
        /// Of which families nodes are wanted.
        want: Want,
    },
    /// Something that is not known, with a target: it is answered as `find_node`.
    Unknown {
        /// The target.
        target: NodeId,
        /// Of which families nodes are wanted.
        want: Want,
    },
}

/// A query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Names it for its sender.
    pub transaction: Transaction,
    /// The sender's id.
    pub id: NodeId,
    /// The sender answers no queries (BEP 43).
    pub read_only: bool,
    /// What is asked.
    pub method: Method,
}

/// The answer to `sample_infohashes` (BEP 51).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Samples {
    /// Seconds until there are others.
    pub interval: u32,
    /// How many torrents the node knows.
    pub total: u32,
    /// Some of them.
    pub hashes: Vec<NodeId>,
}

/// The answer to a query: what there is of all the things that answers carry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The sender's id.
    pub id: NodeId,
    /// Nodes nearer to the target; `None` for none of that family in the message.
    pub nodes: Option<Vec<NodeContact>>,
    /// IPv6 nodes.
    pub nodes6: Option<Vec<NodeContact>>,
    /// Peers.
    pub peers: Vec<SocketAddr>,
    /// What a write to the sender needs.
    pub token: Option<Bytes>,
    /// Seeds, counted (BEP 33).
    pub seeds: Option<Box<BloomFilter>>,
    /// Other peers, counted (BEP 33).
    pub downloaders: Option<Box<BloomFilter>>,
    /// The value of an item, bencoded.
    pub value: Option<Bytes>,
    /// The key of a mutable item.
    pub key: Option<[u8; 32]>,
    /// Its signature.
    pub signature: Option<[u8; 64]>,
    /// Its sequence number.
    pub seq: Option<i64>,
    /// Torrents (BEP 51).
    pub samples: Option<Samples>,
}

/// What answers a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A response.
    Response(Box<Response>),
    /// An error.
    Error {
        /// What kind; see [`error_code`].
        code: i64,
        /// For people.
        text: String,
    },
}

/// A reply with what is around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyMessage {
    /// Of the query that it answers.
    pub transaction: Transaction,
    /// Where the receiver is, as its sender sees it (BEP 42).
    pub external: Option<SocketAddr>,
    /// The answer.
    pub reply: Reply,
}

/// What a datagram holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A query.
    Query(Query),
    /// An answer.
    Reply(ReplyMessage),
}
