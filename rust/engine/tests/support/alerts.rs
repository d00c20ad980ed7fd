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
    AddedTorrent, Alert, Answer, Audience, BlockReason, BlockedPeer, ConnectedPeer,
    DisconnectedPeer, DroppedAlerts, Event, EventBody, FailedListen, FailedPeer, FailedRename,
    FileRename, IncomingPeer, ListenEndpoint, PeerBlock, PeerFault, PeerRef, PeerRequest,
    PieceRead, RefusedRequest, SocketError, StateChange, StorageMove, TrackerFact, TrackerNews,
    TypedKind, typed,
};
use torrent_engine::status::{TorrentState, TorrentStatus};

/// Alerts that carry the same fields: an example of each, and its meaning.
pub(crate) struct Group {
    pub(crate) examples: Vec<(EventBody, &'static str)>,
}

impl Group {
    /// With those that carry the same fields by other means.
    fn and(mut self, other: Self) -> Self {
        self.examples.extend(other.examples);
        self
    }
}

/// Those of kinds that say the same.
fn group<T: Clone, const N: usize>(says: T, kinds: [(TypedKind<T>, &'static str); N]) -> Group {
    let example = |(kind, meaning): (TypedKind<T>, _)| (kind.body(says.clone()), meaning);
    Group {
        examples: kinds.map(example).into(),
    }
}

/// One by itself.
fn single(example: EventBody, meaning: &'static str) -> Group {
    Group {
        examples: vec![(example, meaning)],
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

fn plain() -> [Group; 6] {
    [
        group(
            AddedTorrent::default(),
            [(typed::ADD_TORRENT, "A torrent was added, or could not be.")],
        ),
        single(EventBody::AddFailed(Error::new(ErrorKind::DiskFull)), ""),
        group(
            (),
            [
                (
                    typed::TORRENT_REMOVED,
                    "A torrent has left the session; its files are closed.",
                ),
                (
                    typed::TORRENT_FINISHED,
                    "Everything wanted of a torrent is complete.",
                ),
                (
                    typed::TORRENT_CHECKED,
                    "The files found on disk are checked.",
                ),
                (typed::TORRENT_PAUSED, "A torrent is paused."),
                (typed::TORRENT_RESUMED, "A torrent goes on."),
                (
                    typed::TORRENT_DELETED,
                    "The files of a removed torrent are deleted.",
                ),
                (
                    typed::METADATA_RECEIVED,
                    "A magnet link's metadata has come from peers.",
                ),
                (
                    typed::CACHE_FLUSHED,
                    "Everything complete is in the files, as was asked for.",
                ),
            ],
        ),
        group(
            Error::new(ErrorKind::DiskFull),
            [
                (
                    typed::TORRENT_DELETE_FAILED,
                    "A file of a removed torrent could not be deleted.",
                ),
                (
                    typed::SAVE_RESUME_DATA_FAILED,
                    "Resume data could not be saved.",
                ),
                (
                    typed::METADATA_FAILED,
                    "Metadata from peers was no valid torrent.",
                ),
                (typed::TORRENT_ERROR, "A torrent stops because of an error."),
                (typed::INTERNAL_ERROR, "A fault of the library itself."),
            ],
        ),
        group(
            Error::new(ErrorKind::DiskFull),
            [(
                typed::FASTRESUME_REJECTED,
                "Resume data does not fit the files; they are checked instead.",
            )],
        ),
        group(
            Error::new(ErrorKind::DiskFull),
            [(
                typed::FILE_ERROR,
                "A file could not be read or written: the torrent stops, unless it is a file of the state directory, which is tried again.",
            )],
        ),
    ]
}

/// Answers to questions.
fn answers() -> [Group; 7] {
    let answer = |answer, meaning| single(EventBody::Answer(answer), meaning);
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
            StateChange {
                state: TorrentState::Downloading,
                previous: TorrentState::CheckingFiles,
            },
            [(typed::STATE_CHANGED, "A torrent does something else now.")],
        ),
        group(
            vec![PieceIndex(0)],
            [(
                typed::PIECE_FINISHED,
                "A piece was received and matches its hash.",
            )],
        )
        .and(group(
            PieceIndex(0),
            [(
                typed::HASH_FAILED,
                "A piece does not match its hash; it is fetched again.",
            )],
        )),
        group(
            PieceRead {
                piece: PieceIndex(0),
                data: b"data".as_slice().into(),
                error: String::new(),
            },
            [(
                typed::READ_PIECE,
                "A piece that was asked for, or why it cannot be read.",
            )],
        ),
        group(vec![0], [(typed::FILE_COMPLETED, "A file is complete.")]),
        group(
            b"data".as_slice().into(),
            [(
                typed::SAVE_RESUME_DATA,
                "Resume data that was asked for, or that the state directory takes at last.",
            )],
        ),
    ]
}

fn of_peers() -> [Group; 10] {
    let (connection, fault) = (ConnectionKind::Tcp, PeerFault::default());
    let peer = PeerRef::from(SocketAddr::from(([127, 0, 0, 1], 6881)));
    let piece = PieceIndex(0);
    let request = Request {
        piece,
        begin: 0,
        length: 0,
    };
    [
        group(
            peer,
            [
                (typed::PEER_BAN, "A peer sent bad data and is banned."),
                (typed::PEER_UNSNUBBED, "A peer sends again."),
                (
                    typed::PEER_SNUBBED,
                    "A peer has not sent the requested blocks for a while.",
                ),
            ],
        ),
        group(
            FailedPeer {
                peer,
                fault: PeerFault::default(),
            },
            [(typed::PEER_ERROR, "A peer did something wrong.")],
        ),
        group(
            ConnectedPeer {
                peer,
                connection,
                incoming: true,
            },
            [(typed::PEER_CONNECT, "A connection to a peer was made.")],
        ),
        group(
            DisconnectedPeer {
                peer,
                connection,
                fault,
            },
            [(typed::PEER_DISCONNECTED, "A connection was closed.")],
        ),
        group(
            IncomingPeer { peer, connection },
            [(typed::INCOMING_CONNECTION, "A peer has connected to us.")],
        ),
        group(
            PeerRequest { peer, request },
            [(typed::INCOMING_REQUEST, "A peer asks for a block.")],
        ),
        group(
            BlockedPeer {
                peer,
                reason: BlockReason::IpFilter,
            },
            [(typed::PEER_BLOCKED, "A peer is not connected with.")],
        ),
        group(
            [127, 0, 0, 1].into(),
            [(typed::IP_BAN, "An address is banned in the whole session.")],
        ),
        group(
            PeerBlock {
                peer,
                block: Block { piece, index: 0 },
            },
            [
                (typed::REQUEST_DROPPED, "A peer will not send a block."),
                (typed::BLOCK_TIMEOUT, "A block did not come in time."),
                (typed::BLOCK_FINISHED, "A block was received."),
                (typed::BLOCK_DOWNLOADING, "A block was asked for."),
                (
                    typed::UNWANTED_BLOCK,
                    "A block came that was not requested.",
                ),
                (typed::BLOCK_UPLOADED, "A block was sent."),
            ],
        ),
        group(
            RefusedRequest {
                peer,
                request,
                we_have: true,
                peer_interested: true,
                withheld: false,
            },
            [(
                typed::INVALID_REQUEST,
                "A peer asked for what it cannot have.",
            )],
        ),
    ]
}

fn of_the_session() -> [Group; 8] {
    let at = ListenEndpoint {
        endpoint: ([127, 0, 0, 1], 6881).into(),
        connection: ConnectionKind::Tcp,
    };
    [
        group(
            at,
            [(typed::LISTEN_SUCCEEDED, "Connections are accepted here.")],
        ),
        group(
            FailedListen {
                at,
                error: String::new(),
            },
            [(typed::LISTEN_FAILED, "This port cannot be used.")],
        ),
        group(
            SocketError {
                endpoint: ([127, 0, 0, 1], 6881).into(),
                operation: "",
                error: String::new(),
            },
            [(typed::UDP_ERROR, "A UDP socket had an error.")],
        ),
        group(
            vec![Arc::new(TorrentStatus::default())],
            [(
                typed::STATE_UPDATE,
                "The answer to `post_torrent_updates()`: torrents that changed.",
            )],
        ),
        group(
            Fields::new(),
            [(typed::SESSION_STATS, "The counters of the session.")],
        ),
        group(
            Vec::new(),
            [(
                typed::SESSION_STATS_HEADER,
                "The names of the counters, before they come for the first time.",
            )],
        ),
        group(
            PerformanceWarning::UploadLimitTooLow,
            [(typed::PERFORMANCE, "A setting keeps transfers slow.")],
        ),
        group(
            DroppedAlerts {
                count: 1,
                types: vec![23],
            },
            [(
                typed::ALERTS_DROPPED,
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
            StorageMove {
                to: PathBuf::new(),
                from: PathBuf::new(),
            },
            [(typed::STORAGE_MOVED, "The files are in another folder.")],
        ),
        group(
            FileRename {
                file,
                new_name: String::new(),
                old_name: String::new(),
            },
            [(typed::FILE_RENAMED, "A file has another name.")],
        ),
        group(
            FailedRename {
                file,
                error: Error::new(ErrorKind::FileRenameFailed),
            },
            [(typed::FILE_RENAME_FAILED, "A file could not be renamed.")],
        ),
        group(
            Error::new(ErrorKind::DiskFull),
            [(typed::STORAGE_MOVED_FAILED, "The files could not be moved.")],
        ),
        group(
            (),
            [
                (
                    typed::FILE_PRIO,
                    "Changed priorities of files are carried out on disk.",
                ),
                (
                    typed::OVERSIZED_FILE,
                    "A file is longer than the torrent says.",
                ),
            ],
        ),
    ]
}

fn of_trackers() -> [Group; 8] {
    let news = |what, meaning| {
        let news = TrackerNews {
            url: String::new(),
            local: ([127, 0, 0, 1], 6881).into(),
            what,
        };
        single(EventBody::Tracker(news), meaning)
    };
    [
        news(
            TrackerFact::Announce(torrent_engine::core::tracker::AnnounceEvent::None),
            "A tracker is asked for peers.",
        ),
        news(
            TrackerFact::Reply { num_peers: 0 },
            "A tracker has answered.",
        ),
        news(
            TrackerFact::Warning(String::new()),
            "A tracker has answered, with a warning.",
        ),
        news(
            TrackerFact::Error {
                error: String::new(),
                failure_reason: String::new(),
                operation: "",
                times_in_row: 0,
            },
            "A tracker could not be asked, or refused.",
        ),
        news(
            TrackerFact::Scraped {
                complete: 0,
                incomplete: 0,
            },
            "A tracker has sent how many seeds and downloaders there are.",
        ),
        news(
            TrackerFact::ScrapeFailed(String::new()),
            "A tracker did not send that.",
        ),
        news(
            TrackerFact::TrackerId(String::new()),
            "A tracker gave an id, which is sent back to it.",
        ),
        group(
            [127, 0, 0, 1].into(),
            [(typed::EXTERNAL_IP, "Our address as others see it.")],
        ),
    ]
}

/// The fields that an alert has of its own when it says this: names and
/// GDScript's types.
pub(crate) fn fields(body: &EventBody) -> Vec<(String, &'static str)> {
    let alerts = Alert::from_event(&Event::new(None, body.clone()));
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
            let examples = group.examples.iter();
            examples.map(|(example, _)| (example.kind().number, fields(example)))
        })
        .collect();
}

/// Asserts that an event carries what is written here of its kind.
#[track_caller]
pub(crate) fn check(event: &Event) {
    let kind = event.kind();
    let alerts = kind.audience != Audience::Signals;
    let empty = matches!(&event.body, EventBody::PieceFinished(pieces) if pieces.is_empty());
    if !alerts || empty {
        return;
    }
    let found = fields(&event.body);
    let known = KNOWN.with(|known| known.contains(&(kind.number, found.clone())));
    assert!(
        known,
        "tests/support/alerts.rs does not say that {} carries {found:?}",
        kind.name
    );
}
