//! What each alert carries, and what it means. Every event that a test sees is
//! held against this, and `docs/alerts.md` is written from it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use torrent_engine::core::ids::{Block, FileIndex, PieceIndex};
use torrent_engine::core::peer::ConnectionKind;
use torrent_engine::core::value::{Fields, Value};
use torrent_engine::core::wire::Request;
use torrent_engine::error::{Error, ErrorKind};
use torrent_engine::event::performance::PerformanceWarning;
use torrent_engine::event::{
    AddedTorrent, Alert, Answer, Audience, BlockReason, Detail, Event, Kind, PeerFact, PeerFault,
    TrackerFact, TrackerNews, kind,
};
use torrent_engine::status::{TorrentState, TorrentStatus};

/// Alerts that carry the same fields: an example of those, and each kind with
/// its meaning.
pub(crate) struct Group {
    pub(crate) example: Detail,
    pub(crate) kinds: Vec<(Kind, &'static str)>,
}

fn group<const N: usize>(example: Detail, kinds: [(Kind, &'static str); N]) -> Group {
    Group {
        example,
        kinds: kinds.to_vec(),
    }
}

/// Every alert there is.
pub(crate) fn groups() -> Vec<Group> {
    let mut all = Vec::from(plain());
    all.extend(of_pieces_and_files());
    all.extend(of_peers());
    all.extend(of_the_session());
    all.extend(of_trackers());
    all.extend(of_relocation());
    all.extend(answers());
    all
}

fn plain() -> [Group; 5] {
    [
        group(
            Detail::Added(AddedTorrent::default()),
            [(kind::ADD_TORRENT, "A torrent was added, or could not be.")],
        ),
        group(
            Detail::None,
            [
                (
                    kind::TORRENT_REMOVED,
                    "A torrent has left the session; its files are closed.",
                ),
                (
                    kind::TORRENT_FINISHED,
                    "Everything wanted of a torrent is complete.",
                ),
                (
                    kind::TORRENT_CHECKED,
                    "The files found on disk are checked.",
                ),
                (kind::TORRENT_PAUSED, "A torrent is paused."),
                (kind::TORRENT_RESUMED, "A torrent goes on."),
                (
                    kind::TORRENT_DELETED,
                    "The files of a removed torrent are deleted.",
                ),
                (
                    kind::METADATA_RECEIVED,
                    "A magnet link's metadata has come from peers.",
                ),
                (
                    kind::CACHE_FLUSHED,
                    "Everything complete is in the files, as was asked for.",
                ),
            ],
        ),
        group(
            Detail::Error(Error::new(ErrorKind::DiskFull)),
            [
                (kind::ADD_TORRENT, ""),
                (
                    kind::TORRENT_DELETE_FAILED,
                    "A file of a removed torrent could not be deleted.",
                ),
                (
                    kind::SAVE_RESUME_DATA_FAILED,
                    "Resume data could not be saved.",
                ),
                (
                    kind::METADATA_FAILED,
                    "Metadata from peers was no valid torrent.",
                ),
                (kind::TORRENT_ERROR, "A torrent stops because of an error."),
                (kind::INTERNAL_ERROR, "A fault of the library itself."),
            ],
        ),
        group(
            Detail::Error(Error::new(ErrorKind::DiskFull)),
            [(
                kind::FASTRESUME_REJECTED,
                "Resume data does not fit the files; they are checked instead.",
            )],
        ),
        group(
            Detail::Error(Error::new(ErrorKind::DiskFull)),
            [(
                kind::FILE_ERROR,
                "A file could not be read or written: the torrent stops, unless it is a file of the state directory, which is tried again.",
            )],
        ),
    ]
}

/// Answers to questions.
fn answers() -> [Group; 7] {
    let answer = |answer, meaning| {
        let kind = Answer::kind(&answer);
        group(Detail::Answer(answer), [(kind, meaning)])
    };
    [
        answer(
            Answer::Peers(Arc::default()),
            "The connections of a torrent, as were asked for.",
        ),
        answer(
            Answer::FileProgress(Arc::default()),
            "Verified bytes of each file, as were asked for.",
        ),
        answer(
            Answer::Pieces(Arc::default()),
            "The pieces that are being fetched, as were asked for.",
        ),
        answer(
            Answer::Availability(Arc::default()),
            "How many connected peers have each piece, as was asked for.",
        ),
        answer(
            Answer::Trackers(Arc::default()),
            "The trackers of a torrent, as were asked for.",
        ),
        answer(
            Answer::FilePriorities(Arc::default()),
            "The priority of each file, as was asked for.",
        ),
        answer(
            Answer::Files(Vec::new()),
            "The files of a torrent that are open, as were asked for.",
        ),
    ]
}

fn of_pieces_and_files() -> [Group; 5] {
    [
        group(
            Detail::State {
                state: TorrentState::Downloading,
                previous: TorrentState::CheckingFiles,
            },
            [(kind::STATE_CHANGED, "A torrent does something else now.")],
        ),
        group(
            Detail::Piece(PieceIndex(0)),
            [
                (
                    kind::PIECE_FINISHED,
                    "A piece was received and matches its hash.",
                ),
                (
                    kind::HASH_FAILED,
                    "A piece does not match its hash; it is fetched again.",
                ),
            ],
        ),
        group(
            Detail::PieceData {
                piece: PieceIndex(0),
                data: b"data".as_slice().into(),
                error: String::new(),
            },
            [(
                kind::READ_PIECE,
                "A piece that was asked for, or why it cannot be read.",
            )],
        ),
        group(
            Detail::File(0),
            [(kind::FILE_COMPLETED, "A file is complete.")],
        ),
        group(
            Detail::ResumeData(b"data".as_slice().into()),
            [(
                kind::SAVE_RESUME_DATA,
                "Resume data that was asked for, or that the state directory takes at last.",
            )],
        ),
    ]
}

fn of_peers() -> [Group; 10] {
    let (connection, fault) = (ConnectionKind::Tcp, PeerFault::default());
    let peer = SocketAddr::from(([127, 0, 0, 1], 6881)).into();
    let piece = PieceIndex(0);
    let request = Request {
        piece,
        begin: 0,
        length: 0,
    };
    [
        group(
            Detail::Peer {
                peer,
                fact: PeerFact::Plain,
            },
            [
                (kind::PEER_BAN, "A peer sent bad data and is banned."),
                (kind::PEER_UNSNUBBED, "A peer sends again."),
                (
                    kind::PEER_SNUBBED,
                    "A peer has not sent the requested blocks for a while.",
                ),
            ],
        ),
        group(
            Detail::Peer {
                peer,
                fact: PeerFact::Failed(PeerFault::default()),
            },
            [(kind::PEER_ERROR, "A peer did something wrong.")],
        ),
        group(
            Detail::Peer {
                peer,
                fact: PeerFact::Connected {
                    connection,
                    incoming: true,
                },
            },
            [(kind::PEER_CONNECT, "A connection to a peer was made.")],
        ),
        group(
            Detail::Peer {
                peer,
                fact: PeerFact::Ended { connection, fault },
            },
            [(kind::PEER_DISCONNECTED, "A connection was closed.")],
        ),
        group(
            Detail::Peer {
                peer,
                fact: PeerFact::Arrived { connection },
            },
            [(kind::INCOMING_CONNECTION, "A peer has connected to us.")],
        ),
        group(
            Detail::Asked { peer, request },
            [(kind::INCOMING_REQUEST, "A peer asks for a block.")],
        ),
        group(
            Detail::Blocked {
                peer,
                reason: BlockReason::IpFilter,
            },
            [(kind::PEER_BLOCKED, "A peer is not connected with.")],
        ),
        group(
            Detail::Banned([127, 0, 0, 1].into()),
            [(kind::IP_BAN, "An address is banned in the whole session.")],
        ),
        group(
            Detail::Block {
                peer,
                block: Block { piece, index: 0 },
            },
            [
                (kind::REQUEST_DROPPED, "A peer will not send a block."),
                (kind::BLOCK_TIMEOUT, "A block did not come in time."),
                (kind::BLOCK_FINISHED, "A block was received."),
                (kind::BLOCK_DOWNLOADING, "A block was asked for."),
                (kind::UNWANTED_BLOCK, "A block came that was not requested."),
                (kind::BLOCK_UPLOADED, "A block was sent."),
            ],
        ),
        group(
            Detail::Request {
                peer,
                request,
                we_have: true,
                peer_interested: true,
                withheld: false,
            },
            [(
                kind::INVALID_REQUEST,
                "A peer asked for what it cannot have.",
            )],
        ),
    ]
}

fn of_the_session() -> [Group; 8] {
    [
        group(
            Detail::Listen {
                endpoint: ([127, 0, 0, 1], 6881).into(),
                connection: ConnectionKind::Tcp,
                error: String::new(),
            },
            [(kind::LISTEN_SUCCEEDED, "Connections are accepted here.")],
        ),
        group(
            Detail::Listen {
                endpoint: ([127, 0, 0, 1], 6881).into(),
                connection: ConnectionKind::Tcp,
                error: String::new(),
            },
            [(kind::LISTEN_FAILED, "This port cannot be used.")],
        ),
        group(
            Detail::Socket {
                endpoint: ([127, 0, 0, 1], 6881).into(),
                operation: "",
                error: String::new(),
            },
            [(kind::UDP_ERROR, "A UDP socket had an error.")],
        ),
        group(
            Detail::Statuses(vec![Arc::new(TorrentStatus::default())]),
            [(
                kind::STATE_UPDATE,
                "The answer to `post_torrent_updates()`: torrents that changed.",
            )],
        ),
        group(
            Detail::Stats(Fields::new()),
            [(kind::SESSION_STATS, "The counters of the session.")],
        ),
        group(
            Detail::Metrics(Vec::new()),
            [(
                kind::SESSION_STATS_HEADER,
                "The names of the counters, before they come for the first time.",
            )],
        ),
        group(
            Detail::Performance(PerformanceWarning::UploadLimitTooLow),
            [(kind::PERFORMANCE, "A setting keeps transfers slow.")],
        ),
        group(
            Detail::Dropped {
                count: 1,
                types: vec![23],
            },
            [(
                kind::ALERTS_DROPPED,
                "The queue was full: so many alerts are lost.",
            )],
        ),
    ]
}

/// Files that move, and those that do not.
fn of_relocation() -> [Group; 5] {
    let file = FileIndex(0);
    [
        group(
            Detail::Moved {
                to: PathBuf::new(),
                from: PathBuf::new(),
            },
            [(kind::STORAGE_MOVED, "The files are in another folder.")],
        ),
        group(
            Detail::Renamed {
                file,
                new_name: String::new(),
                old_name: String::new(),
            },
            [(kind::FILE_RENAMED, "A file has another name.")],
        ),
        group(
            Detail::RenameFailed {
                file,
                error: Error::new(ErrorKind::FileRenameFailed),
            },
            [(kind::FILE_RENAME_FAILED, "A file could not be renamed.")],
        ),
        group(
            Detail::FileError(Error::new(ErrorKind::DiskFull)),
            [(kind::STORAGE_MOVED_FAILED, "The files could not be moved.")],
        ),
        group(
            Detail::None,
            [
                (
                    kind::FILE_PRIO,
                    "Changed priorities of files are carried out on disk.",
                ),
                (
                    kind::OVERSIZED_FILE,
                    "A file is longer than the torrent says.",
                ),
            ],
        ),
    ]
}

fn of_trackers() -> [Group; 8] {
    let news = |what| {
        Detail::Tracker(TrackerNews {
            url: String::new(),
            local: ([127, 0, 0, 1], 6881).into(),
            what,
        })
    };
    [
        group(
            news(TrackerFact::Announce(
                torrent_engine::core::tracker::AnnounceEvent::None,
            )),
            [(kind::TRACKER_ANNOUNCE, "A tracker is asked for peers.")],
        ),
        group(
            news(TrackerFact::Reply { num_peers: 0 }),
            [(kind::TRACKER_REPLY, "A tracker has answered.")],
        ),
        group(
            news(TrackerFact::Warning(String::new())),
            [(
                kind::TRACKER_WARNING,
                "A tracker has answered, with a warning.",
            )],
        ),
        group(
            news(TrackerFact::Error {
                error: String::new(),
                failure_reason: String::new(),
                operation: "",
                times_in_row: 0,
            }),
            [(
                kind::TRACKER_ERROR,
                "A tracker could not be asked, or refused.",
            )],
        ),
        group(
            news(TrackerFact::Scraped {
                complete: 0,
                incomplete: 0,
            }),
            [(
                kind::SCRAPE_REPLY,
                "A tracker has sent how many seeds and downloaders there are.",
            )],
        ),
        group(
            news(TrackerFact::ScrapeFailed(String::new())),
            [(kind::SCRAPE_FAILED, "A tracker did not send that.")],
        ),
        group(
            news(TrackerFact::TrackerId(String::new())),
            [(
                kind::TRACKERID,
                "A tracker gave an id, which is sent back to it.",
            )],
        ),
        group(
            Detail::Address([127, 0, 0, 1].into()),
            [(kind::EXTERNAL_IP, "Our address as others see it.")],
        ),
    ]
}

/// The fields that an alert of `kind` has of its own when it carries `detail`:
/// names and GDScript's types.
pub(crate) fn fields(kind: Kind, detail: &Detail) -> Vec<(String, &'static str)> {
    let alerts = Alert::from_event(&Event::new(kind, None, detail.clone()));
    let typed = |alert: &Alert| {
        let fields = alert.fields.iter();
        fields
            .map(|(name, value)| (name.to_string(), type_of(value)))
            .collect()
    };
    alerts.first().map(typed).unwrap_or_default()
}

/// What GDScript calls the type of a value.
pub(crate) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Float(_) => "float",
        Value::Str(_) => "String",
        Value::Bytes(_) => "PackedByteArray",
        Value::List(_) => "Array",
        Value::Map(_) => "Dictionary",
    }
}

thread_local! {
    /// Number and fields of every alert there is.
    static KNOWN: Vec<(u32, Vec<(String, &'static str)>)> = groups()
        .iter()
        .flat_map(|group| {
            group
                .kinds
                .iter()
                .map(|&(kind, _)| (kind.number, fields(kind, &group.example)))
        })
        .collect();
}

/// Asserts that an event carries what is written here of its kind.
#[track_caller]
pub(crate) fn check(event: &Event) {
    let alerts = event.kind.audience != Audience::Signals;
    let empty = matches!(&event.detail, Detail::Pieces(pieces) if pieces.is_empty());
    if !alerts || empty {
        return;
    }
    let found = fields(event.kind, &event.detail);
    let known = KNOWN.with(|known| known.contains(&(event.kind.number, found.clone())));
    assert!(
        known,
        "tests/support/alerts.rs does not say that {} carries {found:?}",
        event.kind.name
    );
}
