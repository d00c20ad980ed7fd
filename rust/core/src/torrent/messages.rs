//! What a torrent says: its states, events, and commands to connections.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;

use crate::bitfield::Bitfield;
use crate::ids::{Block, PeerKey, PieceIndex};
use crate::layout::Layout;
use crate::peer::{Limits, Watched};

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

/// Why a connection is closed from our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The torrent is paused, checked or removed.
    #[error("the torrent was stopped")]
    Stopped,
    /// Both ends have everything.
    #[error("neither side needs anything")]
    Redundant,
    /// There are too many connections.
    #[error("too many connections")]
    TooMany,
    /// There are too many connections with its address.
    #[error("too many connections with one address")]
    Crowded,
    /// Others may be of more use.
    #[error("its place is for others")]
    Turnover,
    /// Neither side has wanted anything for long, and others wait.
    #[error("neither side was interested for too long")]
    Inactive,
    /// The same peer is connected already.
    #[error("the peer is connected already")]
    Duplicate,
    /// Its address is banned.
    #[error("the peer is banned")]
    Banned,
    /// The IP filter blocks its address.
    #[error("the peer is blocked by the IP filter")]
    Filtered,
    /// The peer sent, or claims to have, metadata that cannot be right.
    #[error("the peer's metadata is false")]
    BadMetadata,
    /// A piece is gone, and the peer understands no word for that.
    #[error("the peer cannot be told that a piece is gone")]
    CannotTell,
    /// We connected to ourselves.
    #[error("connected to ourselves")]
    OurselvesAgain,
}

/// What a connection is told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerCommand {
    /// Open with this bitfield.
    Start(Arc<Bitfield>),
    /// The metadata is known; this is what it makes of the torrent.
    Metadata(Arc<Layout>),
    /// Request these blocks.
    Lease(Vec<Block>),
    /// Request these blocks at once, before all others.
    Urgent(Vec<Block>),
    /// Request those of these blocks at once that are leased and wait.
    Promote(Vec<Block>),
    /// Do not request these blocks after all.
    Cancel(Vec<Block>),
    /// Others are asked for these blocks now; they may come all the same.
    Withdraw(Vec<Block>),
    /// Work within these limits.
    Limits(Limits),
    /// Note these things.
    Watch(Watched),
    /// Tell the peer that we have these pieces.
    Have(Arc<[PieceIndex]>),
    /// We have these pieces, which the peer has too: it need not be told.
    HaveToo(Arc<[PieceIndex]>),
    /// Tell the peer that we have these pieces no longer (BEP 54).
    Lost(Arc<[PieceIndex]>),
    /// Advise the peer to ask for these pieces, most of all for the last (BEP 6).
    Suggest(Vec<PieceIndex>),
    /// Tell the peer whether we download (BEP 21).
    UploadOnly(bool),
    /// Ask for this piece of the metadata (BEP 9).
    RequestMetadata(u32),
    /// Choke the peer, or let it download.
    Choke(bool),
    /// Tell the peer whether we want something it has.
    Interested(bool),
    /// Close the connection.
    Close(CloseReason),
}

/// Something to tell the world.
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
    /// The files are checked, and the torrent stopped, as it was told to.
    StoppedWhenReady,
    /// It has stopped gracefully: nothing that was asked for is missing.
    Drained,
}

/// How soon a connection is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Haste {
    /// When the session's pace gives it a turn.
    Paced,
    /// Without waiting for that: one of the first of a torrent.
    First,
    /// At its turn, before those that nobody asked for: the game named it.
    Named,
}

/// What the driver is to carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Tell a connection something.
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
