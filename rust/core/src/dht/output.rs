//! What the driver says to the DHT and hears from it.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::address::NodeContact;
use super::item::{ItemError, MutableItem, PublicKey, SecretKey};
use super::krpc::Samples;
use super::node_id::NodeId;
use crate::ids::InfoHash;

/// Names something that was asked for. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A UDP socket of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DhtEndpoint {
    /// Where it is bound: what names it.
    pub local: SocketAddr,
    /// Its address as others see it, if it is known.
    pub external: Option<IpAddr>,
}

/// How a torrent is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DhtAnnounce {
    /// The port on which we listen for peers.
    pub port: u16,
    /// Whether nodes are to take the port that they see our datagrams come from
    /// instead, because it is the same socket and a router may have changed it.
    pub implied_port: bool,
    /// Whether we are a seed (BEP 33). Other seeds are then not asked for.
    pub seed: bool,
}

/// A mutable item to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MutablePut {
    /// Signs it.
    pub secret: SecretKey,
    /// Names it, with the salt.
    pub key: PublicKey,
    /// Which of the key's items; at most 64 bytes.
    pub salt: Bytes,
    /// The value, bencoded; at most 1000 bytes.
    pub value: Bytes,
    /// Its sequence number; `None` for one more than the newest that is found.
    pub seq: Option<i64>,
}

/// What a swarm counts, by the filters of several nodes (BEP 33).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SwarmEstimate {
    /// About how many seeds.
    pub seeds: f64,
    /// About how many other peers.
    pub downloaders: f64,
}

/// What the driver has to do, or what has happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum DhtOutput {
    /// Send a datagram.
    Send {
        /// From this socket.
        local: SocketAddr,
        /// To this address.
        to: SocketAddr,
        /// Its bytes.
        packet: Vec<u8>,
    },
    /// Look up the bootstrap nodes of the settings and pass them to
    /// [`super::Dht::set_routers`], even if there are none.
    ResolveRouters,
    /// A node says what our address is (BEP 42).
    ExternalAddress {
        /// The socket.
        local: SocketAddr,
        /// The address.
        candidate: IpAddr,
        /// The node.
        voter: IpAddr,
    },
    /// A socket has become part of the network.
    Bootstrapped {
        /// The socket.
        local: SocketAddr,
        /// Nodes that answered.
        nodes: usize,
    },
    /// Peers of a torrent, new in this request.
    Peers {
        /// The request; that of an announce too.
        request: RequestId,
        /// The torrent.
        info_hash: InfoHash,
        /// Where they are.
        peers: Vec<SocketAddr>,
    },
    /// A look-up of peers has come to its end.
    PeersDone {
        /// The request.
        request: RequestId,
        /// The torrent.
        info_hash: InfoHash,
        /// Peers that were found.
        peers: usize,
        /// Nodes that took our announce.
        stored: u32,
        /// The size of the swarm, if it was asked for and known anywhere.
        scrape: Option<SwarmEstimate>,
    },
    /// An immutable item was found, or it is known not to be.
    ImmutableItem {
        /// The request.
        request: RequestId,
        /// Its hash.
        target: NodeId,
        /// The value, bencoded.
        value: Option<Bytes>,
    },
    /// A mutable item was found, or it is known not to be.
    MutableItem {
        /// The request.
        request: RequestId,
        /// Its owner.
        key: PublicKey,
        /// Which of the owner's items.
        salt: Bytes,
        /// The item.
        item: Option<MutableItem>,
        /// Whether all nodes were asked: there will be no newer one, and the request has come to its end.
        authoritative: bool,
    },
    /// An item was published.
    PutDone {
        /// The request.
        request: RequestId,
        /// Where it is.
        target: NodeId,
        /// The mutable item as it was signed.
        item: Option<MutableItem>,
        /// Nodes that store it.
        stored: u32,
        /// Why it could not be signed: the key has used the greatest number.
        error: Option<ItemError>,
    },
    /// A node's sample of torrents (BEP 51).
    Samples {
        /// The request.
        request: RequestId,
        /// The node.
        from: SocketAddr,
        /// The sample, and the nodes that came with it; `None` without an answer.
        samples: Option<(Samples, Vec<NodeContact>)>,
    },
    /// A node asked us for peers.
    IncomingGetPeers {
        /// Of this torrent.
        info_hash: InfoHash,
    },
    /// A peer announced itself to us.
    IncomingAnnounce {
        /// Of this torrent.
        info_hash: InfoHash,
        /// The peer.
        peer: SocketAddr,
    },
}
