//! The kinds of event: libtorrent's alert numbers, names, categories and
//! priorities, and which consumer depends on each. `oracle_tests/libtorrent_alerts.csv` is
//! libtorrent's whole list, and says why a kind is not here.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use torrent_core::ids::PieceIndex;
use torrent_core::value::Fields;

use super::payload::{
    AddedTorrent, BlockedPeer, ConnectedPeer, DisconnectedPeer, DroppedAlerts, FailedListen,
    FailedPeer, FailedRename, FileRename, IncomingPeer, ListenEndpoint, PeerBlock, PeerRequest,
    PieceRead, RefusedRequest, SocketError, StateChange, StorageMove,
};
use super::performance::PerformanceWarning;
use super::{Answer, Metric, PeerRef, TrackerNews};
use crate::error::Error;
use crate::status::TorrentStatus;

/// Alert categories: libtorrent's bits.
pub mod category {
    /// Errors of any kind.
    pub const ERROR: u32 = 1;
    /// What peers send and do.
    pub const PEER: u32 = 1 << 1;
    /// Port mapping.
    pub const PORT_MAPPING: u32 = 1 << 2;
    /// Files on disk.
    pub const STORAGE: u32 = 1 << 3;
    /// Announces and scrapes.
    pub const TRACKER: u32 = 1 << 4;
    /// Connections made and closed.
    pub const CONNECT: u32 = 1 << 5;
    /// Changes of a torrent's or the session's state.
    pub const STATUS: u32 = 1 << 6;
    /// Addresses that were blocked.
    pub const IP_BLOCK: u32 = 1 << 8;
    /// Settings that limit performance.
    pub const PERFORMANCE_WARNING: u32 = 1 << 9;
    /// The distributed hash table.
    pub const DHT: u32 = 1 << 10;
    /// Statistics.
    pub const STATS: u32 = 1 << 11;
    /// The log of the session.
    pub const SESSION_LOG: u32 = 1 << 13;
    /// The log of torrents.
    pub const TORRENT_LOG: u32 = 1 << 14;
    /// The log of connections.
    pub const PEER_LOG: u32 = 1 << 15;
    /// What peers ask us for.
    pub const INCOMING_REQUEST: u32 = 1 << 16;
    /// The log of the distributed hash table.
    pub const DHT_LOG: u32 = 1 << 17;
    /// Answers from the distributed hash table.
    pub const DHT_OPERATION: u32 = 1 << 18;
    /// The log of port mapping.
    pub const PORT_MAPPING_LOG: u32 = 1 << 19;
    /// The log of choosing pieces.
    pub const PICKER_LOG: u32 = 1 << 20;
    /// Finished files.
    pub const FILE_PROGRESS: u32 = 1 << 21;
    /// Finished pieces.
    pub const PIECE_PROGRESS: u32 = 1 << 22;
    /// Blocks sent.
    pub const UPLOAD: u32 = 1 << 23;
    /// Blocks requested and received.
    pub const BLOCK_PROGRESS: u32 = 1 << 24;
    /// Everything.
    pub const ALL: u32 = u32::MAX;
}

/// How far an alert may overfill the queue: its limit is the queue's size
/// times one more than this. On the way to the queue it counts only for what
/// only readers of alerts want.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertPriority {
    /// May be dropped first.
    Normal = 0,
    /// Gets twice the queue.
    High = 1,
    /// Gets three times the queue.
    Critical = 2,
    /// Says that alerts were dropped.
    Meta = 3,
}

/// What is known of an event before it is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// libtorrent's alert number.
    pub number: u32,
    /// libtorrent's alert name.
    pub name: &'static str,
    /// Category bits.
    pub category: u32,
    /// It answers a question, and passes every mask.
    pub always: bool,
    /// Its claim on the queue.
    pub priority: AlertPriority,
    /// Which consumer depends on it.
    pub audience: Audience,
}

impl Kind {
    /// Whether an alert of this kind is let through by `mask`.
    pub const fn passes(&self, mask: u32) -> bool {
        self.always || self.category & mask != 0
    }
}

/// Which consumers an event is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Readers of alerts: made only when the mask lets it.
    Alerts,
    /// Also the binding's objects: made whatever the mask says, and an alert
    /// only when the mask lets it.
    Both,
    /// The binding's objects alone: never an alert.
    Signals,
}

macro_rules! event_kinds {
    (@always) => { false };
    (@always always) => { true };
    (@type) => { () };
    (@type $payload:ty) => { $payload };
    (@body $variant:ident) => { |()| EventBody::$variant };
    (@body $variant:ident $payload:ty) => { EventBody::$variant };
    ($(
        $name:ident = $number:literal, $text:literal, $category:expr, $priority:ident,
        $audience:ident $(, $always:ident)? $( => $variant:ident $( ($payload:ty) )? )?;
    )*) => {
        /// The kinds of event, one constant each.
        pub mod kind {
            use super::{Audience, Kind, AlertPriority, category};
            $(
                #[doc = concat!("`", $text, "`")]
                pub const $name: Kind = Kind {
                    number: $number,
                    name: $text,
                    category: $category,
                    always: event_kinds!(@always $($always)?),
                    priority: AlertPriority::$priority,
                    audience: Audience::$audience,
                };
            )*
            /// Every kind.
            pub const ALL: &[Kind] = &[ $( $name, )* ];
        }

        /// The kinds again, each with the type of what its events say: to post
        /// one. Those of trackers and answers name their kinds themselves.
        pub mod typed {
            use super::*;
            $( $(
                #[doc = concat!("`", $text, "`")]
                pub const $name: TypedKind<event_kinds!(@type $($payload)?)> = TypedKind {
                    kind: kind::$name,
                    body: event_kinds!(@body $variant $($payload)?),
                };
            )? )*
        }

        /// What happened, with what is to be said of it.
        #[derive(Clone, Debug)]
        pub enum EventBody {
            $( $(
                #[doc = concat!("`", $text, "`")]
                $variant $( ($payload) )?,
            )? )*
            /// `add_torrent`, of a torrent that was there already: an alert alone.
            AddedAgain(AddedTorrent),
            /// `add_torrent`, of one that could not be added: an error too.
            AddFailed(Error),
            /// Something about a tracker.
            Tracker(TrackerNews),
            /// A torrent answers a question.
            Answer(Answer),
        }

        impl EventBody {
            /// Its kind.
            pub const fn kind(&self) -> Kind {
                match self {
                    $( $( Self::$variant { .. } => kind::$name, )? )*
                    Self::AddedAgain(_) => ADDED_AGAIN,
                    Self::AddFailed(_) => ADD_FAILED,
                    Self::Tracker(news) => news.what.kind(),
                    Self::Answer(answer) => answer.kind(),
                }
            }
        }
    };
}

/// Signals say that a torrent was added: it was not.
const ADDED_AGAIN: Kind = Kind {
    audience: Audience::Alerts,
    ..kind::ADD_TORRENT
};

/// In the error category too, so that the default mask shows it.
const ADD_FAILED: Kind = Kind {
    category: category::STATUS | category::ERROR,
    ..kind::ADD_TORRENT
};

/// A kind of event, and the type of what its events say.
#[derive(Debug)]
pub struct TypedKind<T> {
    kind: Kind,
    body: fn(T) -> EventBody,
}

impl<T> Clone for TypedKind<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for TypedKind<T> {}

impl<T> TypedKind<T> {
    /// The kind.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What an event of the kind is with this to say.
    pub fn body(&self, says: T) -> EventBody {
        (self.body)(says)
    }
}

event_kinds! {
    TORRENT_REMOVED = 4, "torrent_removed", category::STATUS, Critical, Both => TorrentRemoved;
    READ_PIECE = 5, "read_piece", category::STORAGE, Critical, Both => ReadPiece(PieceRead);
    FILE_COMPLETED = 6, "file_completed", category::FILE_PROGRESS, Normal, Both => FileCompleted(Vec<u32>);
    FILE_RENAMED = 7, "file_renamed", category::STORAGE, Critical, Both, always => FileRenamed(FileRename);
    FILE_RENAME_FAILED = 8, "file_rename_failed", category::STORAGE, Critical, Both, always => FileRenameFailed(FailedRename);
    PERFORMANCE = 9, "performance", category::PERFORMANCE_WARNING, Normal, Alerts => Performance(PerformanceWarning);
    STATE_CHANGED = 10, "state_changed", category::STATUS, High, Both => StateChanged(StateChange);
    TRACKER_ERROR = 11, "tracker_error", category::TRACKER | category::ERROR, High, Alerts;
    TRACKER_WARNING = 12, "tracker_warning", category::TRACKER | category::ERROR, Normal, Alerts;
    SCRAPE_REPLY = 13, "scrape_reply", category::TRACKER, Critical, Alerts;
    SCRAPE_FAILED = 14, "scrape_failed", category::TRACKER | category::ERROR, Critical, Alerts;
    TRACKER_REPLY = 15, "tracker_reply", category::TRACKER, Normal, Alerts;
    TRACKER_ANNOUNCE = 17, "tracker_announce", category::TRACKER, Normal, Alerts;
    HASH_FAILED = 18, "hash_failed", category::STATUS, Normal, Alerts => HashFailed(PieceIndex);
    PEER_BAN = 19, "peer_ban", category::PEER, Normal, Alerts => PeerBan(PeerRef);
    PEER_UNSNUBBED = 20, "peer_unsnubbed", category::PEER, Normal, Alerts => PeerUnsnubbed(PeerRef);
    PEER_SNUBBED = 21, "peer_snubbed", category::PEER, Normal, Alerts => PeerSnubbed(PeerRef);
    PEER_ERROR = 22, "peer_error", category::PEER, Normal, Alerts => PeerError(FailedPeer);
    PEER_CONNECT = 23, "peer_connect", category::CONNECT, Normal, Alerts => PeerConnect(ConnectedPeer);
    PEER_DISCONNECTED = 24, "peer_disconnected", category::CONNECT, Normal, Alerts => PeerDisconnected(DisconnectedPeer);
    INVALID_REQUEST = 25, "invalid_request", category::PEER, Normal, Alerts => InvalidRequest(RefusedRequest);
    TORRENT_FINISHED = 26, "torrent_finished", category::STATUS, High, Both => TorrentFinished;
    PIECE_FINISHED = 27, "piece_finished", category::PIECE_PROGRESS, Normal, Both => PieceFinished(Vec<PieceIndex>);
    REQUEST_DROPPED = 28, "request_dropped", category::BLOCK_PROGRESS | category::PEER, Normal, Alerts => RequestDropped(PeerBlock);
    BLOCK_TIMEOUT = 29, "block_timeout", category::BLOCK_PROGRESS | category::PEER, Normal, Alerts => BlockTimeout(PeerBlock);
    BLOCK_FINISHED = 30, "block_finished", category::BLOCK_PROGRESS, Normal, Alerts => BlockFinished(PeerBlock);
    BLOCK_DOWNLOADING = 31, "block_downloading", category::BLOCK_PROGRESS, Normal, Alerts => BlockDownloading(PeerBlock);
    UNWANTED_BLOCK = 32, "unwanted_block", category::PEER, Normal, Alerts => UnwantedBlock(PeerBlock);
    STORAGE_MOVED = 33, "storage_moved", category::STORAGE, Critical, Both => StorageMoved(StorageMove);
    STORAGE_MOVED_FAILED = 34, "storage_moved_failed", category::STORAGE, Critical, Both => StorageMovedFailed(Error);
    TORRENT_DELETED = 35, "torrent_deleted", category::STORAGE, Critical, Alerts => TorrentDeleted;
    TORRENT_DELETE_FAILED = 36, "torrent_delete_failed", category::STORAGE | category::ERROR, Critical, Both => TorrentDeleteFailed(Error);
    SAVE_RESUME_DATA = 37, "save_resume_data", category::STORAGE, Critical, Both => SaveResumeData(Bytes);
    SAVE_RESUME_DATA_FAILED = 38, "save_resume_data_failed", category::STORAGE | category::ERROR, Critical, Both => SaveResumeDataFailed(Error);
    TORRENT_PAUSED = 39, "torrent_paused", category::STATUS, High, Alerts => TorrentPaused;
    TORRENT_RESUMED = 40, "torrent_resumed", category::STATUS, High, Alerts => TorrentResumed;
    TORRENT_CHECKED = 41, "torrent_checked", category::STATUS, High, Both => TorrentChecked;
    FILE_ERROR = 43, "file_error", category::STATUS | category::ERROR | category::STORAGE, High, Both => FileError(Error);
    METADATA_FAILED = 44, "metadata_failed", category::ERROR, Normal, Alerts => MetadataFailed(Error);
    METADATA_RECEIVED = 45, "metadata_received", category::STATUS, Normal, Both => MetadataReceived;
    UDP_ERROR = 46, "udp_error", category::ERROR, Normal, Alerts => UdpError(SocketError);
    EXTERNAL_IP = 47, "external_ip", category::STATUS, Normal, Both => ExternalIp(IpAddr);
    LISTEN_FAILED = 48, "listen_failed", category::STATUS | category::ERROR, Critical, Both => ListenFailed(FailedListen);
    LISTEN_SUCCEEDED = 49, "listen_succeeded", category::STATUS, Critical, Alerts => ListenSucceeded(ListenEndpoint);
    FASTRESUME_REJECTED = 53, "fastresume_rejected", category::STATUS | category::ERROR, Critical, Alerts => FastresumeRejected(Error);
    PEER_BLOCKED = 54, "peer_blocked", category::IP_BLOCK, Normal, Alerts => PeerBlocked(BlockedPeer);
    CACHE_FLUSHED = 58, "cache_flushed", category::STORAGE, High, Alerts => CacheFlushed;
    TRACKERID = 61, "trackerid", category::STATUS, Normal, Alerts;
    TORRENT_ERROR = 64, "torrent_error", category::ERROR | category::STATUS, High, Both => TorrentError(Error);
    INCOMING_CONNECTION = 66, "incoming_connection", category::PEER, Normal, Alerts => IncomingConnection(IncomingPeer);
    ADD_TORRENT = 67, "add_torrent", category::STATUS, Critical, Both => AddTorrent(AddedTorrent);
    STATE_UPDATE = 68, "state_update", category::STATUS, High, Both, always => StateUpdate(Vec<Arc<TorrentStatus>>);
    SESSION_STATS = 70, "session_stats", 0, Critical, Alerts, always => SessionStats(Fields);
    INCOMING_REQUEST = 84, "incoming_request", category::INCOMING_REQUEST, Normal, Alerts => IncomingRequest(PeerRequest);
    SESSION_STATS_HEADER = 92, "session_stats_header", 0, Normal, Alerts, always => SessionStatsHeader(Vec<Metric>);
    BLOCK_UPLOADED = 94, "block_uploaded", category::UPLOAD, Normal, Alerts => BlockUploaded(PeerBlock);
    ALERTS_DROPPED = 95, "alerts_dropped", category::ERROR, Meta, Alerts => AlertsDropped(DroppedAlerts);
    FILE_PRIO = 97, "file_prio", category::STORAGE, Normal, Alerts => FilePrio;
    OVERSIZED_FILE = 98, "oversized_file", category::STORAGE, Normal, Alerts => OversizedFile;
    PEER_INFO = 100, "peer_info", category::STATUS, Critical, Alerts, always;
    FILE_PROGRESS = 101, "file_progress", category::FILE_PROGRESS, Critical, Alerts, always;
    PIECE_INFO = 102, "piece_info", category::PIECE_PROGRESS, Critical, Alerts, always;
    PIECE_AVAILABILITY = 103, "piece_availability", category::STATUS, Critical, Alerts, always;
    TRACKER_LIST = 104, "tracker_list", category::STATUS, Critical, Alerts, always;
    FILE_PRIORITIES = 105, "file_priorities", category::STATUS, Critical, Alerts, always;
    FILE_STATUS = 106, "file_status", category::STATUS, Critical, Alerts, always;
    IP_BAN = 107, "ip_ban", category::IP_BLOCK, Normal, Alerts => IpBan(IpAddr);
    INTERNAL_ERROR = 10_001, "internal_error", category::ERROR, Critical, Both => InternalError(Error);
    TORRENTS_UPDATED = 10_002, "torrents_updated", category::STATUS, Normal, Signals => TorrentsUpdated(Vec<Arc<TorrentStatus>>);
}
