//! What happened, in the past tense. Tasks post events; a consumer (the Godot
//! binding on its frame, the JSON-RPC shim) swaps the whole buffer out.
//!
//! An event is also an alert when its category is in the session's
//! `alert_mask`; numbers, names, categories and field names are libtorrent's.

mod tracker;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use torrent_core::ids::{Block, FileIndex, InfoHash, PieceIndex};
use torrent_core::peer::Note;
use torrent_core::value::{Fields, Value};
use torrent_core::wire::Request;

use crate::error::Error;
use crate::handle::TorrentHandle;
use crate::performance::PerformanceWarning;
use crate::status::{TorrentState, TorrentStatus};
pub use tracker::{TrackerFact, TrackerNews};

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
/// times one more than this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
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
    /// Category bits; 0 passes every mask.
    pub category: u32,
    /// Its claim on the queue.
    pub priority: Priority,
    /// Who lives by it.
    pub audience: Audience,
}

/// Whom an event is for.
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
    ($( $name:ident = $number:literal, $text:literal, $category:expr, $priority:ident, $audience:ident; )*) => {
        /// The kinds of event, one constant each.
        pub mod kind {
            use super::{Audience, Kind, Priority, category};
            $(
                #[doc = concat!("`", $text, "`")]
                pub const $name: Kind = Kind {
                    number: $number,
                    name: $text,
                    category: $category,
                    priority: Priority::$priority,
                    audience: Audience::$audience,
                };
            )*
            /// Every kind.
            pub const ALL: &[Kind] = &[ $( $name, )* ];
        }
    };
}

event_kinds! {
    TORRENT_REMOVED = 4, "torrent_removed", category::STATUS, Critical, Both;
    READ_PIECE = 5, "read_piece", category::STORAGE, Critical, Both;
    FILE_COMPLETED = 6, "file_completed", category::FILE_PROGRESS, Normal, Both;
    FILE_RENAMED = 7, "file_renamed", 0, Critical, Both;
    FILE_RENAME_FAILED = 8, "file_rename_failed", category::STORAGE, Critical, Both;
    PERFORMANCE = 9, "performance", category::PERFORMANCE_WARNING, Normal, Alerts;
    STATE_CHANGED = 10, "state_changed", category::STATUS, High, Both;
    TRACKER_ERROR = 11, "tracker_error", category::TRACKER | category::ERROR, High, Alerts;
    TRACKER_WARNING = 12, "tracker_warning", category::TRACKER | category::ERROR, Normal, Alerts;
    SCRAPE_REPLY = 13, "scrape_reply", category::TRACKER, Critical, Alerts;
    SCRAPE_FAILED = 14, "scrape_failed", category::TRACKER | category::ERROR, Critical, Alerts;
    TRACKER_REPLY = 15, "tracker_reply", category::TRACKER, Normal, Alerts;
    TRACKER_ANNOUNCE = 17, "tracker_announce", category::TRACKER, Normal, Alerts;
    HASH_FAILED = 18, "hash_failed", category::STATUS, Normal, Alerts;
    PEER_BAN = 19, "peer_ban", category::PEER, Normal, Alerts;
    PEER_UNSNUBBED = 20, "peer_unsnubbed", category::PEER, Normal, Alerts;
    PEER_SNUBBED = 21, "peer_snubbed", category::PEER, Normal, Alerts;
    PEER_ERROR = 22, "peer_error", category::PEER, Normal, Alerts;
    PEER_CONNECT = 23, "peer_connect", category::CONNECT, Normal, Alerts;
    PEER_DISCONNECTED = 24, "peer_disconnected", category::CONNECT, Normal, Alerts;
    INVALID_REQUEST = 25, "invalid_request", category::PEER, Normal, Alerts;
    TORRENT_FINISHED = 26, "torrent_finished", category::STATUS, High, Both;
    PIECE_FINISHED = 27, "piece_finished", category::PIECE_PROGRESS, Normal, Both;
    REQUEST_DROPPED = 28, "request_dropped", category::BLOCK_PROGRESS | category::PEER, Normal, Alerts;
    BLOCK_TIMEOUT = 29, "block_timeout", category::BLOCK_PROGRESS | category::PEER, Normal, Alerts;
    BLOCK_FINISHED = 30, "block_finished", category::BLOCK_PROGRESS, Normal, Alerts;
    BLOCK_DOWNLOADING = 31, "block_downloading", category::BLOCK_PROGRESS, Normal, Alerts;
    UNWANTED_BLOCK = 32, "unwanted_block", category::PEER, Normal, Alerts;
    STORAGE_MOVED = 33, "storage_moved", category::STORAGE, Critical, Both;
    STORAGE_MOVED_FAILED = 34, "storage_moved_failed", category::STORAGE, Critical, Both;
    TORRENT_DELETED = 35, "torrent_deleted", category::STORAGE, Critical, Alerts;
    TORRENT_DELETE_FAILED = 36, "torrent_delete_failed", category::STORAGE | category::ERROR, Critical, Both;
    SAVE_RESUME_DATA = 37, "save_resume_data", category::STORAGE, Critical, Both;
    SAVE_RESUME_DATA_FAILED = 38, "save_resume_data_failed", category::STORAGE | category::ERROR, Critical, Both;
    TORRENT_PAUSED = 39, "torrent_paused", category::STATUS, High, Alerts;
    TORRENT_RESUMED = 40, "torrent_resumed", category::STATUS, High, Alerts;
    TORRENT_CHECKED = 41, "torrent_checked", category::STATUS, High, Both;
    FILE_ERROR = 43, "file_error", category::STATUS | category::ERROR | category::STORAGE, High, Both;
    METADATA_FAILED = 44, "metadata_failed", category::ERROR, Normal, Alerts;
    METADATA_RECEIVED = 45, "metadata_received", category::STATUS, Normal, Both;
    UDP_ERROR = 46, "udp_error", category::ERROR, Normal, Alerts;
    EXTERNAL_IP = 47, "external_ip", category::STATUS, Normal, Both;
    LISTEN_FAILED = 48, "listen_failed", category::STATUS | category::ERROR, Critical, Both;
    LISTEN_SUCCEEDED = 49, "listen_succeeded", category::STATUS, Critical, Alerts;
    FASTRESUME_REJECTED = 53, "fastresume_rejected", category::STATUS | category::ERROR, Critical, Alerts;
    PEER_BLOCKED = 54, "peer_blocked", category::IP_BLOCK, Normal, Alerts;
    TRACKERID = 61, "trackerid", category::STATUS, Normal, Alerts;
    TORRENT_ERROR = 64, "torrent_error", category::ERROR | category::STATUS, High, Both;
    INCOMING_CONNECTION = 66, "incoming_connection", category::PEER, Normal, Alerts;
    ADD_TORRENT = 67, "add_torrent", category::STATUS, Critical, Both;
    STATE_UPDATE = 68, "state_update", category::STATUS, High, Both;
    SESSION_STATS = 70, "session_stats", 0, Critical, Alerts;
    BLOCK_UPLOADED = 94, "block_uploaded", category::UPLOAD, Normal, Alerts;
    ALERTS_DROPPED = 95, "alerts_dropped", category::ERROR, Meta, Alerts;
    FILE_PRIO = 97, "file_prio", category::STORAGE, Normal, Alerts;
    OVERSIZED_FILE = 98, "oversized_file", category::STORAGE, Normal, Alerts;
    IP_BAN = 107, "ip_ban", category::IP_BLOCK, Normal, Alerts;
    INTERNAL_ERROR = 10_001, "internal_error", category::ERROR, Critical, Both;
    TORRENTS_UPDATED = 10_002, "torrents_updated", category::STATUS, Normal, Signals;
}

/// What an event says beyond its kind.
#[derive(Clone, Debug)]
pub enum Detail {
    /// Nothing more.
    None,
    /// The torrent changed from `previous` to `state`.
    State {
        /// What it does now.
        state: TorrentState,
        /// What it did before.
        previous: TorrentState,
    },
    /// Pieces were verified; one alert each.
    Pieces(Vec<PieceIndex>),
    /// It is about one piece.
    Piece(PieceIndex),
    /// A piece was read, or could not be.
    PieceData {
        /// The piece.
        piece: PieceIndex,
        /// Its bytes; empty on error.
        data: Bytes,
        /// Why not; empty when it was read.
        error: String,
    },
    /// A file is complete.
    File(u32),
    /// Something about a connection.
    Peer {
        /// The peer's endpoint.
        peer: SocketAddr,
        /// Why it was closed, or what it did wrong; may be empty.
        reason: String,
    },
    /// A connection with this endpoint was not made, or closed.
    Blocked {
        /// The peer's endpoint.
        peer: SocketAddr,
        /// Why.
        reason: BlockReason,
    },
    /// An address is banned in the whole session.
    Banned(IpAddr),
    /// A setting stands in the way.
    Performance(PerformanceWarning),
    /// Something about one block at a peer.
    Block {
        /// The peer's endpoint.
        peer: SocketAddr,
        /// The block.
        block: Block,
    },
    /// A peer asked for what it cannot have.
    Request {
        /// The peer's endpoint.
        peer: SocketAddr,
        /// What it asked for.
        request: Request,
        /// It was told that we have the piece.
        we_have: bool,
        /// It said that it is interested.
        peer_interested: bool,
        /// We have the piece, but super-seeding keeps it from the peer.
        withheld: bool,
    },
    /// Something about a tracker.
    Tracker(TrackerNews),
    /// A UDP socket had trouble.
    Socket {
        /// Whom it was about, or the unspecified address.
        endpoint: SocketAddr,
        /// libtorrent's name of the operation that failed.
        operation: &'static str,
        /// Why.
        error: String,
    },
    /// Our address as the world sees it.
    Address(IpAddr),
    /// An error, about a file where its context names one.
    Error(Error),
    /// The files are in another folder.
    Moved {
        /// Where they are.
        to: PathBuf,
        /// Where they were.
        from: PathBuf,
    },
    /// A file has another name, relative to the save path.
    Renamed {
        /// The file.
        file: FileIndex,
        /// Its name.
        new_name: String,
        /// The name it had.
        old_name: String,
    },
    /// A file keeps its name.
    RenameFailed {
        /// The file.
        file: FileIndex,
        /// Why.
        error: Error,
    },
    /// Something about files that did not work; its context is a path.
    FileError(Error),
    /// Listening at this endpoint worked, or did not.
    Listen {
        /// The endpoint.
        endpoint: SocketAddr,
        /// Why not; empty when it works.
        error: String,
    },
    /// Torrents whose status changed.
    Statuses(Vec<Arc<TorrentStatus>>),
    /// Counters by libtorrent's metric names.
    Stats(Fields),
    /// A torrent's resume data.
    ResumeData(Bytes),
    /// Alerts dropped since the last such alert.
    Dropped(u64),
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
    /// The reason in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IpFilter => "blocked by the IP filter",
            Self::PrivilegedPorts => "its port is privileged",
            Self::TcpDisabled => "TCP is disabled",
        }
    }
}

/// The event of what a connection noted.
pub(crate) fn of_note(peer: SocketAddr, note: Note) -> (Kind, Detail) {
    let (kind, block) = match note {
        Note::Requested(block) => (kind::BLOCK_DOWNLOADING, block),
        Note::Finished(block) => (kind::BLOCK_FINISHED, block),
        Note::Dropped(block) => (kind::REQUEST_DROPPED, block),
        Note::TimedOut(block) => (kind::BLOCK_TIMEOUT, block),
        Note::Unwanted(block) => (kind::UNWANTED_BLOCK, block),
        Note::Uploaded(block) => (kind::BLOCK_UPLOADED, block),
        Note::Invalid {
            request,
            we_have,
            interested,
            withheld,
        } => {
            let detail = Detail::Request {
                peer,
                request,
                we_have,
                peer_interested: interested,
                withheld,
            };
            return (kind::INVALID_REQUEST, detail);
        }
    };
    (kind, Detail::Block { peer, block })
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// What kind of thing.
    pub kind: Kind,
    /// Milliseconds of Unix time.
    pub timestamp_ms: i64,
    /// The torrent, where it concerns one.
    pub torrent: Option<TorrentHandle>,
    /// The rest.
    pub detail: Detail,
}

impl Event {
    /// An event of now.
    pub fn new(kind: Kind, torrent: Option<TorrentHandle>, detail: Detail) -> Self {
        Self {
            kind,
            timestamp_ms: unix_millis(),
            torrent,
            detail,
        }
    }

    /// The torrent's hash, where it concerns one.
    pub fn info_hash(&self) -> Option<InfoHash> {
        self.torrent.as_ref().map(TorrentHandle::info_hash)
    }
}

/// Milliseconds of Unix time.
pub fn unix_millis() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}

/// An event in the form in which it is handed out by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Its kind.
    pub kind: Kind,
    /// Milliseconds of Unix time.
    pub timestamp_ms: i64,
    /// The torrent, where it concerns one.
    pub info_hash: Option<InfoHash>,
    /// One line for people.
    pub message: String,
    /// Its own fields by libtorrent's names.
    pub fields: Fields,
}

impl Alert {
    /// The alerts of an event: one, but for several pieces one each.
    pub fn from_event(event: &Event) -> Vec<Alert> {
        match &event.detail {
            Detail::Pieces(pieces) => pieces
                .iter()
                .map(|&piece| Self::build(event, &Detail::Piece(piece)))
                .collect(),
            detail => vec![Self::build(event, detail)],
        }
    }

    fn build(event: &Event, detail: &Detail) -> Self {
        let fields = fields(detail);
        let subject = event
            .torrent
            .as_ref()
            .map_or_else(String::new, |torrent| format!("{}: ", torrent.name()));
        let note = note(detail);
        let what = event.kind.name.replace('_', " ");
        Self {
            kind: event.kind,
            timestamp_ms: event.timestamp_ms,
            info_hash: event.info_hash(),
            message: if note.is_empty() {
                format!("{subject}{what}")
            } else {
                format!("{subject}{what}: {note}")
            },
            fields,
        }
    }

    /// The whole alert by name, as in the Godot API and the shim.
    pub fn to_value(&self) -> Value {
        let mut all: Fields = vec![
            ("type".into(), self.kind.number.into()),
            ("type_name".into(), self.kind.name.into()),
            ("what".into(), self.kind.name.into()),
            ("category".into(), self.kind.category.into()),
            ("timestamp_ms".into(), self.timestamp_ms.into()),
            ("message".into(), self.message.clone().into()),
        ];
        if let Some(hash) = self.info_hash {
            all.push(("info_hash".into(), hash.to_string().into()));
        }
        all.extend(self.fields.iter().cloned());
        Value::Map(all)
    }
}

fn endpoint_fields(ip: &'static str, port: &'static str, endpoint: &SocketAddr) -> Fields {
    vec![
        (ip.into(), endpoint.ip().to_string().into()),
        (port.into(), endpoint.port().into()),
    ]
}

fn fields(detail: &Detail) -> Fields {
    match detail {
        Detail::None => vec![],
        Detail::State { state, previous } => vec![
            ("state".into(), (*state).into()),
            ("prev_state".into(), (*previous).into()),
        ],
        Detail::Pieces(pieces) => vec![(
            "pieces".into(),
            pieces
                .iter()
                .map(|piece| piece.0)
                .collect::<Vec<_>>()
                .into(),
        )],
        Detail::Piece(piece) => vec![("piece_index".into(), piece.0.into())],
        Detail::PieceData { piece, data, error } => vec![
            ("piece_index".into(), piece.0.into()),
            ("size".into(), data.len().into()),
            ("piece_data".into(), data.clone().into()),
            ("error".into(), error.clone().into()),
        ],
        Detail::File(index) => vec![("file_index".into(), (*index).into())],
        Detail::Peer { peer, reason } => {
            let mut fields = endpoint_fields("peer_ip", "peer_port", peer);
            fields.push(("error".into(), reason.clone().into()));
            fields
        }
        Detail::Blocked { peer, reason } => {
            let mut fields = endpoint_fields("peer_ip", "peer_port", peer);
            fields.push(("reason".into(), (*reason as i32).into()));
            fields
        }
        Detail::Banned(ip) => vec![("banned_address".into(), ip.to_string().into())],
        Detail::Performance(warning) => {
            vec![("warning_code".into(), (*warning as i32).into())]
        }
        Detail::Block { peer, block } => {
            let mut fields = endpoint_fields("peer_ip", "peer_port", peer);
            fields.push(("piece_index".into(), block.piece.0.into()));
            fields.push(("block_index".into(), block.index.into()));
            fields
        }
        Detail::Request {
            peer,
            request,
            we_have,
            peer_interested,
            withheld,
        } => {
            let mut fields = endpoint_fields("peer_ip", "peer_port", peer);
            fields.extend([
                ("piece_index".into(), request.piece.0.into()),
                ("start".into(), request.begin.into()),
                ("length".into(), request.length.into()),
                ("we_have".into(), (*we_have).into()),
                ("peer_interested".into(), (*peer_interested).into()),
                ("withheld".into(), (*withheld).into()),
            ]);
            fields
        }
        Detail::Tracker(news) => news.fields(),
        Detail::Socket {
            endpoint,
            operation,
            error,
        } => {
            let mut fields = endpoint_fields("address", "port", endpoint);
            fields.push(("operation".into(), (*operation).into()));
            fields.push(("error".into(), error.clone().into()));
            fields
        }
        Detail::Address(ip) => vec![("external_address".into(), ip.to_string().into())],
        Detail::Error(error) => vec![
            ("error".into(), error.message().to_owned().into()),
            ("error_code".into(), error.code().into()),
            ("filename".into(), error.context().to_owned().into()),
        ],
        Detail::Moved { to, from } => vec![
            ("storage_path".into(), to.display().to_string().into()),
            ("old_path".into(), from.display().to_string().into()),
        ],
        Detail::Renamed {
            file,
            new_name,
            old_name,
        } => vec![
            ("file_index".into(), file.0.into()),
            ("new_name".into(), new_name.clone().into()),
            ("old_name".into(), old_name.clone().into()),
        ],
        Detail::RenameFailed { file, error } => vec![
            ("file_index".into(), file.0.into()),
            ("error".into(), error.message().to_owned().into()),
            ("error_code".into(), error.code().into()),
        ],
        Detail::FileError(error) => vec![
            ("error".into(), error.message().to_owned().into()),
            ("error_code".into(), error.code().into()),
            ("file_path".into(), error.context().to_owned().into()),
        ],
        Detail::Listen { endpoint, error } => {
            let mut fields = endpoint_fields("address", "port", endpoint);
            fields.push(("error".into(), error.clone().into()));
            fields
        }
        Detail::Statuses(statuses) => vec![(
            "torrent_status".into(),
            Value::List(
                statuses
                    .iter()
                    .map(|status| Value::Map(status.fields()))
                    .collect(),
            ),
        )],
        Detail::Stats(counters) => vec![("counters".into(), Value::Map(counters.clone()))],
        Detail::ResumeData(data) => vec![("resume_data".into(), data.clone().into())],
        Detail::Dropped(count) => vec![("dropped".into(), (*count).into())],
    }
}

fn note(detail: &Detail) -> String {
    match detail {
        Detail::None | Detail::Stats(_) => String::new(),
        Detail::State { state, previous } => format!("{} to {}", previous.name(), state.name()),
        Detail::Pieces(pieces) => format!("{} pieces", pieces.len()),
        Detail::Piece(piece) => format!("piece {piece}"),
        Detail::PieceData { piece, error, .. } if error.is_empty() => format!("piece {piece}"),
        Detail::PieceData { piece, error, .. } => format!("piece {piece}: {error}"),
        Detail::File(index) => format!("file {index}"),
        Detail::Peer { peer, reason } if reason.is_empty() => peer.to_string(),
        Detail::Peer { peer, reason } => format!("{peer}: {reason}"),
        Detail::Blocked { peer, reason } => format!("{peer}: {}", reason.name()),
        Detail::Banned(ip) => ip.to_string(),
        Detail::Performance(warning) => warning.name().to_owned(),
        Detail::Block { peer, block } => format!("{peer}: block {block}"),
        Detail::Request { peer, request, .. } => format!(
            "{peer}: piece {} from {} on, {} bytes",
            request.piece, request.begin, request.length
        ),
        Detail::Tracker(news) => news.note(),
        Detail::Socket {
            endpoint,
            operation,
            error,
        } => format!("{endpoint}: {operation}: {error}"),
        Detail::Error(error) | Detail::FileError(error) => error.to_string(),
        Detail::Moved { to, .. } => to.display().to_string(),
        Detail::Renamed {
            new_name, old_name, ..
        } => format!("{old_name} to {new_name}"),
        Detail::RenameFailed { file, error } => format!("file {file}: {error}"),
        Detail::Address(ip) => ip.to_string(),
        Detail::Listen { endpoint, error } if error.is_empty() => endpoint.to_string(),
        Detail::Listen { endpoint, error } => format!("{endpoint}: {error}"),
        Detail::Statuses(statuses) => format!("{} torrents", statuses.len()),
        Detail::ResumeData(data) => format!("{} bytes", data.len()),
        Detail::Dropped(count) => format!("{count} alerts"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_unique() {
        for (at, one) in kind::ALL.iter().enumerate() {
            for other in &kind::ALL[..at] {
                assert!(
                    one.number > other.number,
                    "{} after {}",
                    one.name,
                    other.name
                );
                assert_ne!(one.name, other.name);
            }
        }
    }

    #[test]
    fn an_alert_carries_its_fields_by_name() {
        let event = Event::new(
            kind::PEER_CONNECT,
            None,
            Detail::Peer {
                peer: "[::1]:6881".parse().unwrap(),
                reason: String::new(),
            },
        );
        let alert = &Alert::from_event(&event)[0];
        assert_eq!(alert.message, "peer connect: [::1]:6881");
        let Value::Map(fields) = alert.to_value() else {
            panic!("not a map");
        };
        let get = |name: &str| &fields.iter().find(|(key, _)| key == name).unwrap().1;
        assert_eq!(get("peer_ip"), &Value::from("::1"));
        assert_eq!(get("peer_port"), &Value::Int(6881));
        assert_eq!(get("type"), &Value::Int(23));
    }

    #[test]
    fn verified_pieces_become_an_alert_each() {
        let event = Event::new(
            kind::PIECE_FINISHED,
            None,
            Detail::Pieces(vec![PieceIndex(3), PieceIndex(5)]),
        );
        let alerts = Alert::from_event(&event);
        assert_eq!(alerts.len(), 2);
        assert_eq!(alerts[1].fields, [("piece_index".into(), Value::Int(5))]);
    }
}
