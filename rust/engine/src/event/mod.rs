//! What happened, in the past tense. Tasks post events; a consumer (the Godot
//! binding on its frame, the JSON-RPC shim) swaps the whole buffer out.
//!
//! An event is also an alert when its category is in the session's
//! `alert_mask`; numbers, names, categories and field names are libtorrent's.

mod answer;
pub(crate) mod buffer;
pub(crate) mod command_sequence;
mod fields;
mod kinds;
mod metric;
mod peer;
pub mod performance;
pub mod sink;
mod torrent_ref;
mod tracker;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use torrent_core::ids::{Block, FileIndex, InfoHash, PieceIndex};
use torrent_core::peer::ConnectionKind;
use torrent_core::record;
use torrent_core::value::{Fields, Value};
use torrent_core::wire::Request;

use crate::error::Error;
use crate::status::{TorrentState, TorrentStatus};
pub use crate::timer::unix_millis;
pub use answer::Answer;
pub use command_sequence::CommandStamp;
pub use kinds::{AlertPriority, Audience, Kind, category, kind};
pub use metric::{Metric, MetricType};
pub(crate) use peer::of_note;
pub use peer::{CloseCode, PeerFact, PeerFault, PeerRef};
use performance::PerformanceWarning;
pub use torrent_ref::TorrentRef;
pub use tracker::{TrackerFact, TrackerNews};

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
    /// Files are complete; one alert each.
    Files(Vec<u32>),
    /// Something about a connection.
    Peer {
        /// The peer.
        peer: PeerRef,
        /// What happened.
        fact: PeerFact,
    },
    /// A connection with this endpoint was not made, or closed.
    Blocked {
        /// The peer.
        peer: PeerRef,
        /// Why.
        reason: BlockReason,
    },
    /// An address is banned in the whole session.
    Banned(IpAddr),
    /// A setting stands in the way.
    Performance(PerformanceWarning),
    /// Something about one block at a peer.
    Block {
        /// The peer.
        peer: PeerRef,
        /// The block.
        block: Block,
    },
    /// A peer asked for what it cannot have.
    Request {
        /// The peer.
        peer: PeerRef,
        /// What it asked for.
        request: Request,
        /// The peer was informed that we have the piece.
        we_have: bool,
        /// It said that it is interested.
        peer_interested: bool,
        /// We have the piece, but super-seeding keeps it from the peer.
        withheld: bool,
    },
    /// A peer asked for something that it can have.
    Asked {
        /// The peer.
        peer: PeerRef,
        /// What it asked for.
        request: Request,
    },
    /// Something about a tracker.
    Tracker(TrackerNews),
    /// A UDP socket had an error.
    Socket {
        /// The address it was about, or the unspecified address.
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
        /// The kind of connection that is accepted there.
        connection: ConnectionKind,
        /// Why not; empty when it works.
        error: String,
    },
    /// A torrent was added, in this way.
    Added(AddedTorrent),
    /// A torrent answers a question.
    Answer(Answer),
    /// Torrents whose status changed.
    Statuses(Vec<Arc<TorrentStatus>>),
    /// Counters by libtorrent's metric names.
    Stats(Fields),
    /// A torrent's resume data.
    ResumeData(Bytes),
    /// The names of the counters, before they are posted for the first time.
    Metrics(Vec<Metric>),
    /// Alerts dropped since the last such alert.
    Dropped {
        /// How many.
        count: u64,
        /// Their numbers, each once, in order.
        types: Vec<u32>,
    },
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

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// What kind of thing.
    pub kind: Kind,
    /// Milliseconds of Unix time.
    pub timestamp_ms: i64,
    /// The torrent, where it concerns one.
    pub torrent: Option<Arc<TorrentRef>>,
    /// Everything else.
    pub detail: Detail,
    /// What its torrent had seen of what it was asked for, where that matters.
    pub stamp: Option<CommandStamp>,
}

impl Event {
    /// An event of now.
    pub fn new(kind: Kind, torrent: Option<Arc<TorrentRef>>, detail: Detail) -> Self {
        Self {
            kind,
            timestamp_ms: unix_millis(),
            stamp: CommandStamp::of(kind, torrent.as_deref()),
            torrent,
            detail,
        }
    }

    /// Whether it seems to answer a command that came after it: then it must
    /// not be delivered any more. To be asked right before.
    pub fn is_late(&self) -> bool {
        self.stamp.as_ref().is_some_and(CommandStamp::is_late)
    }

    /// The torrent's hash, where it concerns one.
    pub fn info_hash(&self) -> Option<InfoHash> {
        self.torrent.as_ref().map(|torrent| torrent.info_hash())
    }
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
    /// As that of the event.
    pub stamp: Option<CommandStamp>,
}

impl Alert {
    /// As [`Event::is_late`].
    pub fn is_late(&self) -> bool {
        self.stamp.as_ref().is_some_and(CommandStamp::is_late)
    }

    /// The alerts of an event: one, but for several pieces or files one each.
    pub fn from_event(event: &Event) -> Vec<Alert> {
        match &event.detail {
            Detail::Pieces(pieces) => pieces
                .iter()
                .map(|&piece| Self::build(event, &Detail::Piece(piece)))
                .collect(),
            Detail::Files(files) => files
                .iter()
                .map(|&file| Self::build(event, &Detail::File(file)))
                .collect(),
            detail => vec![Self::build(event, detail)],
        }
    }

    fn build(event: &Event, detail: &Detail) -> Self {
        let fields = fields::of(event.kind, detail);
        let subject = event
            .torrent
            .as_ref()
            .map_or_else(String::new, |torrent| format!("{}: ", torrent.name));
        let note = fields::note(detail);
        let what = event.kind.name.replace('_', " ");
        Self {
            kind: event.kind,
            timestamp_ms: event.timestamp_ms,
            info_hash: event.info_hash(),
            stamp: event.stamp.clone(),
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
                peer: "[::1]:6881".parse::<SocketAddr>().unwrap().into(),
                fact: PeerFact::Connected {
                    connection: ConnectionKind::Socks5,
                    incoming: false,
                },
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
        assert_eq!(get("socket_type"), &Value::Int(1));
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
