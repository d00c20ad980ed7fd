//! What events say, by the kind: the payloads of
//! [`EventBody`](super::EventBody).

use std::net::SocketAddr;
use std::path::PathBuf;

use bytes::Bytes;
use torrent_core::ids::{Block, FileIndex, PieceIndex};
use torrent_core::peer::ConnectionKind;
use torrent_core::record;
use torrent_core::wire::Request;

use super::peer::{PeerFault, PeerRef};
use crate::error::Error;
use crate::status::TorrentState;

/// A torrent changed from `previous` to `state`.
#[derive(Clone, Copy, Debug)]
pub struct StateChange {
    /// What it does now.
    pub state: TorrentState,
    /// What it did before.
    pub previous: TorrentState,
}

/// A piece was read, or could not be.
#[derive(Clone, Debug)]
pub struct PieceRead {
    /// The piece.
    pub piece: PieceIndex,
    /// Its bytes; empty on error.
    pub data: Bytes,
    /// Why not; empty when it was read.
    pub error: String,
}

/// The files are in another folder.
#[derive(Clone, Debug)]
pub struct StorageMove {
    /// Where they are.
    pub to: PathBuf,
    /// Where they were.
    pub from: PathBuf,
}

/// A file has another name, relative to the save path.
#[derive(Clone, Debug)]
pub struct FileRename {
    /// The file.
    pub file: FileIndex,
    /// Its name.
    pub new_name: String,
    /// The name it had.
    pub old_name: String,
}

/// A file keeps its name.
#[derive(Clone, Debug)]
pub struct FailedRename {
    /// The file.
    pub file: FileIndex,
    /// Why.
    pub error: Error,
}

/// A connection was made: by us, or by the peer.
#[derive(Clone, Copy, Debug)]
pub struct ConnectedPeer {
    /// The peer.
    pub peer: PeerRef,
    /// What carries the connection.
    pub connection: ConnectionKind,
    /// Whether the peer has made it.
    pub incoming: bool,
}

/// A peer has called, and not said anything yet.
#[derive(Clone, Copy, Debug)]
pub struct IncomingPeer {
    /// The peer.
    pub peer: PeerRef,
    /// What carries the connection.
    pub connection: ConnectionKind,
}

/// A peer broke the protocol.
#[derive(Clone, Debug)]
pub struct FailedPeer {
    /// The peer.
    pub peer: PeerRef,
    /// How.
    pub fault: PeerFault,
}

/// A connection has ended, or could not be made.
#[derive(Clone, Debug)]
pub struct DisconnectedPeer {
    /// The peer.
    pub peer: PeerRef,
    /// What carried the connection, or would have.
    pub connection: ConnectionKind,
    /// Why.
    pub fault: PeerFault,
}

/// A connection with this peer was not made, or closed.
#[derive(Clone, Copy, Debug)]
pub struct BlockedPeer {
    /// The peer.
    pub peer: PeerRef,
    /// Why.
    pub reason: BlockReason,
}

/// Something about one block at a peer.
#[derive(Clone, Copy, Debug)]
pub struct PeerBlock {
    /// The peer.
    pub peer: PeerRef,
    /// The block.
    pub block: Block,
}

/// A peer asked for something that it can have.
#[derive(Clone, Copy, Debug)]
pub struct PeerRequest {
    /// The peer.
    pub peer: PeerRef,
    /// What it asked for.
    pub request: Request,
}

/// A peer asked for what it cannot have.
#[derive(Clone, Copy, Debug)]
pub struct RefusedRequest {
    /// The peer.
    pub peer: PeerRef,
    /// What it asked for.
    pub request: Request,
    /// The peer was informed that we have the piece.
    pub we_have: bool,
    /// It said that it is interested.
    pub peer_interested: bool,
    /// We have the piece, but super-seeding keeps it from the peer.
    pub withheld: bool,
}

/// A UDP socket had an error.
#[derive(Clone, Debug)]
pub struct SocketError {
    /// The address it was about, or the unspecified address.
    pub endpoint: SocketAddr,
    /// libtorrent's name of the operation that failed.
    pub operation: &'static str,
    /// Why.
    pub error: String,
}

/// Where connections are accepted.
#[derive(Clone, Copy, Debug)]
pub struct ListenEndpoint {
    /// The endpoint.
    pub endpoint: SocketAddr,
    /// The kind of connection that is accepted there.
    pub connection: ConnectionKind,
}

/// Connections are not accepted at an endpoint.
#[derive(Clone, Debug)]
pub struct FailedListen {
    /// Where they were to be.
    pub at: ListenEndpoint,
    /// Why not.
    pub error: String,
}

/// Alerts dropped since the last such alert.
#[derive(Clone, Debug)]
pub struct DroppedAlerts {
    /// How many.
    pub count: u64,
    /// Their numbers, each once, in order.
    pub types: Vec<u32>,
}

record! {
    /// How a torrent was added.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct AddedTorrent {
        /// v1 info-hash in hex.
        pub info_hash: String,
        /// Its name; empty when it is not known yet.
        pub name: String,
        /// Folder that the files are in.
        pub save_path: String,
        /// Its trackers' URLs.
        pub trackers: Vec<String>,
        /// What was given and has no effect, each as a text that names it.
        pub without_effect: Vec<String>,
    }
}

/// Why a peer is not connected with; libtorrent's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockReason {
    /// Its address is blocked by the IP filter, or banned.
    IpFilter = 0,
    /// It listens on a port below 1024.
    PrivilegedPorts = 3,
    /// TCP is turned off.
    TcpDisabled = 5,
}

impl BlockReason {
    /// The reason as text.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IpFilter => "blocked by the IP filter",
            Self::PrivilegedPorts => "its port is privileged",
            Self::TcpDisabled => "TCP is disabled",
        }
    }
}
