//! What a torrent says: its states and events, and what its driver is to carry
//! out.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use crate::ids::{PeerKey, PieceIndex};
use crate::peer::PeerCommand;

/// What a torrent is doing; the numbers are libtorrent's `state_t`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
pub enum TorrentState {
    /// Hashing files that were found on disk.
    CheckingFiles = 1,
    /// Fetching the info dictionary from peers (BEP 9).
    DownloadingMetadata = 2,
    /// Downloading.
    Downloading = 3,
    /// Everything wanted is there, but not all of the torrent.
    Finished = 4,
    /// All of the torrent is there.
    Seeding = 5,
    /// Just added; looking at what is on disk.
    #[default]
    CheckingResumeData = 7,
}

impl TorrentState {
    /// libtorrent's number.
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// libtorrent's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CheckingFiles => "checking_files",
            Self::DownloadingMetadata => "downloading_metadata",
            Self::Downloading => "downloading",
            Self::Finished => "finished",
            Self::Seeding => "seeding",
            Self::CheckingResumeData => "checking_resume_data",
        }
    }

    /// Whether files are being looked at, so that there is no traffic.
    pub const fn is_checking(self) -> bool {
        matches!(self, Self::CheckingFiles | Self::CheckingResumeData)
    }
}

impl From<TorrentState> for crate::value::Value {
    fn from(state: TorrentState) -> Self {
        state.code().into()
    }
}

/// An event for the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TorrentEvent {
    /// The state changed.
    StateChanged {
        /// What it is now.
        state: TorrentState,
        /// What it was before.
        previous: TorrentState,
    },
    /// Everything wanted is there.
    Finished,
    /// These pieces are there.
    PiecesVerified(Vec<PieceIndex>),
    /// What peers sent as metadata does not have the right hash.
    MetadataFailed,
    /// A peer says that this is our address.
    SeenAs {
        /// The address.
        ip: IpAddr,
        /// The peer.
        by: SocketAddr,
    },
    /// A piece did not have the right hash and is fetched again.
    HashFailed(PieceIndex),
    /// A connected peer's address is banned.
    PeerBanned(SocketAddr),
    /// A peer lets our requests time out, or (false) delivers again.
    PeerSnubbed(SocketAddr, bool),
    /// All of this file is there.
    FileCompleted(u32),
    /// A piece with a deadline is there, and is to be shown.
    DeadlineMet(PieceIndex),
    /// A piece that was to be shown has its deadline no longer.
    DeadlineCancelled(PieceIndex),
    /// The files are checked, and the torrent stopped, as requested.
    StoppedWhenReady,
    /// It has stopped gracefully: nothing that was asked for is missing.
    GracefullyPaused,
}

/// How soon a connection is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Haste {
    /// In its order in the session's `connection_speed`.
    Paced,
    /// Without waiting for that: one of the first of a torrent.
    First,
    /// The same, before peers that the game did not name.
    Named,
}

/// What the driver is to carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Sends a command to a connection.
    Peer(PeerKey, PeerCommand),
    /// Connect to an endpoint; then call `peer_connected` or `connect_failed`.
    Connect {
        /// Where the peer listens.
        endpoint: SocketAddr,
        /// How soon.
        haste: Haste,
    },
    /// Ban this address in the whole session: it sent bad data.
    Ban(IpAddr),
    /// The info dict is here and has the right hash: read it, and call
    /// `set_metadata`.
    Metadata(Bytes),
    /// Post an event.
    Event(TorrentEvent),
}
