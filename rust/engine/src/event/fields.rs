//! The fields of an alert, by libtorrent's names, and what its message says.

use std::borrow::Cow;
use std::net::SocketAddr;

use torrent_core::ids::PieceIndex;
use torrent_core::value::{Fields, Value};
use torrent_core::wire::Request;

use super::peer::socket_type;
use super::{
    BlockedPeer, ConnectedPeer, DisconnectedPeer, EventBody, FailedPeer, FailedRename,
    IncomingPeer, ListenEndpoint, PeerRef, PeerRequest, PieceRead, RefusedRequest, SocketError,
    StateChange, kind,
};
use crate::error::Error;
use crate::operation::Operation;

/// An address and a port as fields of these names.
pub(super) fn endpoint(ip: &'static str, port: &'static str, at: &SocketAddr) -> Fields {
    vec![
        (ip.into(), at.ip().to_string().into()),
        (port.into(), at.port().into()),
    ]
}

/// The fields of an alert.
pub(super) fn of(body: &EventBody) -> Fields {
    match body {
        EventBody::TorrentRemoved
        | EventBody::TorrentFinished
        | EventBody::TorrentDeleted
        | EventBody::TorrentPaused
        | EventBody::TorrentResumed
        | EventBody::TorrentChecked
        | EventBody::MetadataReceived
        | EventBody::CacheFlushed
        | EventBody::FilePrio
        | EventBody::OversizedFile => vec![],
        EventBody::StateChanged(change) => vec![
            ("state".into(), change.state.into()),
            ("prev_state".into(), change.previous.into()),
        ],
        // One alert each.
        EventBody::PieceFinished(pieces) => pieces.first().map(piece_index).into_iter().collect(),
        EventBody::FileCompleted(files) => {
            let first = files
                .first()
                .map(|&file| ("file_index".into(), file.into()));
            first.into_iter().collect()
        }
        EventBody::HashFailed(piece) => vec![piece_index(piece)],
        EventBody::ReadPiece(read) => vec![
            piece_index(&read.piece),
            ("size".into(), read.data.len().into()),
            ("piece_data".into(), read.data.clone().into()),
            ("error".into(), read.error.clone().into()),
        ],
        EventBody::Performance(warning) => vec![("warning_code".into(), (*warning as i32).into())],
        EventBody::IpBan(ip) => vec![("banned_address".into(), ip.to_string().into())],
        EventBody::ExternalIp(ip) => vec![("external_address".into(), ip.to_string().into())],
        EventBody::Tracker(news) => news.fields(),
        EventBody::Answer(answer) => answer.fields(),
        EventBody::AddTorrent(added) | EventBody::AddedAgain(added) => vec![
            ("params".into(), Value::Map(added.fields())),
            ("error".into(), "".into()),
            ("error_code".into(), 0.into()),
            ("filename".into(), "".into()),
        ],
        EventBody::StorageMoved(moved) => vec![
            ("storage_path".into(), moved.to.display().to_string().into()),
            ("old_path".into(), moved.from.display().to_string().into()),
        ],
        EventBody::FileRenamed(renamed) => vec![
            ("file_index".into(), renamed.file.0.into()),
            ("new_name".into(), renamed.new_name.clone().into()),
            ("old_name".into(), renamed.old_name.clone().into()),
        ],
        EventBody::StateUpdate(statuses) | EventBody::TorrentsUpdated(statuses) => {
            let statuses = statuses.iter().map(|status| Value::Map(status.fields()));
            vec![("torrent_status".into(), Value::List(statuses.collect()))]
        }
        EventBody::SessionStats(counters) => {
            vec![("counters".into(), Value::Map(counters.clone()))]
        }
        EventBody::SessionStatsHeader(metrics) => {
            let metrics = metrics.iter().map(|metric| Value::Map(metric.fields()));
            vec![("metrics".into(), Value::List(metrics.collect()))]
        }
        EventBody::SaveResumeData(data) => vec![("resume_data".into(), data.clone().into())],
        EventBody::AlertsDropped(dropped) => vec![
            ("dropped".into(), dropped.count.into()),
            ("dropped_alerts".into(), dropped.types.clone().into()),
        ],
        EventBody::PeerBan(_)
        | EventBody::PeerUnsnubbed(_)
        | EventBody::PeerSnubbed(_)
        | EventBody::PeerError(_)
        | EventBody::PeerConnect(_)
        | EventBody::PeerDisconnected(_)
        | EventBody::IncomingConnection(_)
        | EventBody::PeerBlocked(_)
        | EventBody::RequestDropped(_)
        | EventBody::BlockTimeout(_)
        | EventBody::BlockFinished(_)
        | EventBody::BlockDownloading(_)
        | EventBody::UnwantedBlock(_)
        | EventBody::BlockUploaded(_)
        | EventBody::IncomingRequest(_)
        | EventBody::InvalidRequest(_) => of_peer(body),
        EventBody::AddFailed(_)
        | EventBody::FileError(_)
        | EventBody::TorrentError(_)
        | EventBody::InternalError(_)
        | EventBody::MetadataFailed(_)
        | EventBody::SaveResumeDataFailed(_)
        | EventBody::TorrentDeleteFailed(_)
        | EventBody::FastresumeRejected(_)
        | EventBody::StorageMovedFailed(_)
        | EventBody::FileRenameFailed(_)
        | EventBody::UdpError(_)
        | EventBody::ListenFailed(_)
        | EventBody::ListenSucceeded(_) => of_error(body),
    }
}

/// The fields of what a peer or a connection does.
fn of_peer(body: &EventBody) -> Fields {
    let with = |peer: &PeerRef, own: Fields| {
        let mut fields = peer.fields();
        fields.extend(own);
        fields
    };
    match body {
        EventBody::PeerBan(peer)
        | EventBody::PeerUnsnubbed(peer)
        | EventBody::PeerSnubbed(peer) => peer.fields(),
        EventBody::PeerError(failed) => {
            let mut own = failed.fault.operation.fields();
            own.push(("error".into(), failed.fault.error.clone().into()));
            with(&failed.peer, own)
        }
        EventBody::PeerConnect(made) => {
            // libtorrent: 0 in, 1 out.
            let direction = i32::from(!made.incoming);
            let own = vec![
                ("direction".into(), direction.into()),
                socket_type(made.connection),
            ];
            with(&made.peer, own)
        }
        EventBody::PeerDisconnected(ended) => {
            let fault = &ended.fault;
            let mut own = vec![socket_type(ended.connection)];
            own.extend(fault.operation.fields());
            own.push(("error".into(), fault.error.clone().into()));
            own.push(("reason".into(), Value::from(fault.reason.code())));
            with(&ended.peer, own)
        }
        EventBody::IncomingConnection(incoming) => {
            with(&incoming.peer, vec![socket_type(incoming.connection)])
        }
        EventBody::PeerBlocked(blocked) => {
            let reason = ("reason".into(), (blocked.reason as i32).into());
            with(&blocked.peer, vec![reason])
        }
        EventBody::RequestDropped(at)
        | EventBody::BlockTimeout(at)
        | EventBody::BlockFinished(at)
        | EventBody::BlockDownloading(at)
        | EventBody::UnwantedBlock(at)
        | EventBody::BlockUploaded(at) => {
            let index = ("block_index".into(), at.block.index.into());
            with(&at.peer, vec![piece_index(&at.block.piece), index])
        }
        EventBody::IncomingRequest(asked) => with(&asked.peer, request_fields(&asked.request)),
        EventBody::InvalidRequest(refused) => {
            let mut own = request_fields(&refused.request);
            own.extend([
                ("we_have".into(), refused.we_have.into()),
                ("peer_interested".into(), refused.peer_interested.into()),
                ("withheld".into(), refused.withheld.into()),
            ]);
            with(&refused.peer, own)
        }
        _ => vec![],
    }
}

/// The fields of what went wrong, and of sockets.
fn of_error(body: &EventBody) -> Fields {
    match body {
        EventBody::StorageMovedFailed(error) => {
            let mut fields = error_fields(error);
            fields.extend(error.operation().fields());
            fields.push(("file_path".into(), error.context().to_owned().into()));
            fields
        }
        EventBody::FileRenameFailed(failed) => {
            let mut fields = vec![("file_index".into(), failed.file.0.into())];
            fields.extend(error_fields(&failed.error));
            fields
        }
        EventBody::UdpError(failed) => {
            let mut fields = endpoint("address", "port", &failed.endpoint);
            fields.extend(Operation::named(failed.operation).fields());
            fields.push(("error".into(), failed.error.clone().into()));
            fields
        }
        EventBody::ListenSucceeded(at) => listen_fields(at),
        EventBody::ListenFailed(failed) => {
            let mut fields = listen_fields(&failed.at);
            let interface = failed.at.endpoint.ip().to_string();
            fields.push(("listen_interface".into(), interface.into()));
            fields.extend(Operation::SocketBind.fields());
            fields.push(("error".into(), failed.error.clone().into()));
            fields
        }
        _ => {
            let Some(error) = body.error() else {
                return vec![];
            };
            let mut fields = error_fields(error);
            let path = || error.context().to_owned().into();
            match body {
                EventBody::FileError(_) => fields.extend(error.operation().fields()),
                EventBody::FastresumeRejected(_) => {
                    fields.extend(error.operation().fields());
                    fields.push(("file_path".into(), path()));
                }
                _ => {}
            }
            fields.push(("filename".into(), path()));
            fields
        }
    }
}

fn piece_index(piece: &PieceIndex) -> (Cow<'static, str>, Value) {
    ("piece_index".into(), piece.0.into())
}

fn listen_fields(at: &ListenEndpoint) -> Fields {
    let mut fields = endpoint("address", "port", &at.endpoint);
    fields.push(socket_type(at.connection));
    fields
}

fn request_fields(request: &Request) -> Fields {
    vec![
        ("piece_index".into(), request.piece.0.into()),
        ("start".into(), request.begin.into()),
        ("length".into(), request.length.into()),
    ]
}

fn error_fields(error: &Error) -> Fields {
    vec![
        ("error".into(), error.message().to_owned().into()),
        ("error_code".into(), error.code().into()),
    ]
}

/// What the message says beyond the kind.
pub(super) fn note(body: &EventBody) -> String {
    match body {
        EventBody::StateChanged(StateChange { state, previous }) => {
            format!("{} to {}", previous.name(), state.name())
        }
        EventBody::PieceFinished(pieces) => match pieces.as_slice() {
            [piece] => format!("piece {piece}"),
            pieces => format!("{} pieces", pieces.len()),
        },
        EventBody::FileCompleted(files) => match files.as_slice() {
            [file] => format!("file {file}"),
            files => format!("{} files", files.len()),
        },
        EventBody::HashFailed(piece) => format!("piece {piece}"),
        EventBody::ReadPiece(PieceRead { piece, error, .. }) => match error.as_str() {
            "" => format!("piece {piece}"),
            error => format!("piece {piece}: {error}"),
        },
        EventBody::PeerBan(peer)
        | EventBody::PeerUnsnubbed(peer)
        | EventBody::PeerSnubbed(peer)
        | EventBody::PeerConnect(ConnectedPeer { peer, .. })
        | EventBody::IncomingConnection(IncomingPeer { peer, .. }) => peer.endpoint.to_string(),
        EventBody::PeerError(FailedPeer { peer, fault })
        | EventBody::PeerDisconnected(DisconnectedPeer { peer, fault, .. }) => {
            match fault.error.as_str() {
                "" => peer.endpoint.to_string(),
                error => format!("{}: {error}", peer.endpoint),
            }
        }
        EventBody::PeerBlocked(BlockedPeer { peer, reason }) => {
            format!("{}: {}", peer.endpoint, reason.name())
        }
        EventBody::IpBan(ip) | EventBody::ExternalIp(ip) => ip.to_string(),
        EventBody::Performance(warning) => warning.name().to_owned(),
        EventBody::RequestDropped(at)
        | EventBody::BlockTimeout(at)
        | EventBody::BlockFinished(at)
        | EventBody::BlockDownloading(at)
        | EventBody::UnwantedBlock(at)
        | EventBody::BlockUploaded(at) => format!("{}: block {}", at.peer.endpoint, at.block),
        EventBody::InvalidRequest(RefusedRequest { peer, request, .. })
        | EventBody::IncomingRequest(PeerRequest { peer, request }) => format!(
            "{}: piece {} from {} on, {} bytes",
            peer.endpoint, request.piece, request.begin, request.length
        ),
        EventBody::Tracker(news) => news.note(),
        EventBody::Answer(answer) => format!("{} entries", answer.len()),
        EventBody::UdpError(SocketError {
            endpoint,
            operation,
            error,
        }) => format!("{endpoint}: {operation}: {error}"),
        EventBody::StorageMovedFailed(error) => error.to_string(),
        EventBody::StorageMoved(moved) => moved.to.display().to_string(),
        EventBody::FileRenamed(renamed) => {
            format!("{} to {}", renamed.old_name, renamed.new_name)
        }
        EventBody::FileRenameFailed(FailedRename { file, error }) => {
            format!("file {file}: {error}")
        }
        EventBody::ListenSucceeded(at) => at.endpoint.to_string(),
        EventBody::ListenFailed(failed) => format!("{}: {}", failed.at.endpoint, failed.error),
        EventBody::StateUpdate(statuses) | EventBody::TorrentsUpdated(statuses) => {
            format!("{} torrents", statuses.len())
        }
        EventBody::SaveResumeData(data) => format!("{} bytes", data.len()),
        EventBody::SessionStatsHeader(metrics) => format!("{} metrics", metrics.len()),
        EventBody::AlertsDropped(dropped) => {
            let name = |number: &u32| {
                let known = kind::ALL.iter().find(|kind| kind.number == *number);
                known.map_or("", |kind| kind.name)
            };
            let names: Vec<_> = dropped.types.iter().map(name).collect();
            format!("{} alerts: {}", dropped.count, names.join(", "))
        }
        body => body.error().map(Error::to_string).unwrap_or_default(),
    }
}

impl EventBody {
    /// The error that it is of, where that is all that it says. Those of moves,
    /// renames and sockets are about more.
    pub const fn error(&self) -> Option<&Error> {
        match self {
            Self::AddFailed(error)
            | Self::FileError(error)
            | Self::TorrentError(error)
            | Self::InternalError(error)
            | Self::MetadataFailed(error)
            | Self::SaveResumeDataFailed(error)
            | Self::TorrentDeleteFailed(error)
            | Self::FastresumeRejected(error) => Some(error),
            _ => None,
        }
    }
}
