//! The fields of an alert, by libtorrent's names, and what its message says.

use std::net::SocketAddr;

use torrent_core::value::{Fields, Value};
use torrent_core::wire::Request;

use super::peer::socket_type;
use super::{Detail, Kind, kind};
use crate::error::Error;
use crate::operation::Operation;

/// An address and a port as fields of these names.
pub(super) fn endpoint(ip: &'static str, port: &'static str, at: &SocketAddr) -> Fields {
    vec![
        (ip.into(), at.ip().to_string().into()),
        (port.into(), at.port().into()),
    ]
}

/// The fields of an alert of `kind`.
pub(super) fn of(kind: Kind, detail: &Detail) -> Fields {
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
        Detail::Files(files) => vec![("files".into(), files.clone().into())],
        Detail::Peer { peer, fact } => {
            let mut fields = peer.fields();
            fields.extend(fact.fields());
            fields
        }
        Detail::Blocked { peer, reason } => {
            let mut fields = peer.fields();
            fields.push(("reason".into(), (*reason as i32).into()));
            fields
        }
        Detail::Banned(ip) => vec![("banned_address".into(), ip.to_string().into())],
        Detail::Performance(warning) => {
            vec![("warning_code".into(), (*warning as i32).into())]
        }
        Detail::Block { peer, block } => {
            let mut fields = peer.fields();
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
            let mut fields = peer.fields();
            fields.extend(request_fields(request));
            fields.extend([
                ("we_have".into(), (*we_have).into()),
                ("peer_interested".into(), (*peer_interested).into()),
                ("withheld".into(), (*withheld).into()),
            ]);
            fields
        }
        Detail::Asked { peer, request } => {
            let mut fields = peer.fields();
            fields.extend(request_fields(request));
            fields
        }
        Detail::Tracker(news) => news.fields(),
        Detail::Socket {
            endpoint: at,
            operation,
            error,
        } => {
            let mut fields = endpoint("address", "port", at);
            fields.extend(Operation::named(operation).fields());
            fields.push(("error".into(), error.clone().into()));
            fields
        }
        Detail::Address(ip) => vec![("external_address".into(), ip.to_string().into())],
        Detail::Error(error) => {
            let mut fields = error_fields(error);
            match kind {
                kind::FILE_ERROR => fields.extend(error.operation().fields()),
                kind::FASTRESUME_REJECTED => {
                    fields.extend(error.operation().fields());
                    fields.push(("file_path".into(), error.context().to_owned().into()));
                }
                _ => {}
            }
            fields.push(("filename".into(), error.context().to_owned().into()));
            fields
        }
        Detail::Added(added) => vec![
            ("params".into(), Value::Map(added.fields())),
            ("error".into(), "".into()),
            ("error_code".into(), 0.into()),
            ("filename".into(), "".into()),
        ],
        Detail::Answer(answer) => answer.fields(),
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
        Detail::RenameFailed { file, error } => {
            let mut fields = vec![("file_index".into(), file.0.into())];
            fields.extend(error_fields(error));
            fields
        }
        Detail::FileError(error) => {
            let mut fields = error_fields(error);
            fields.extend(error.operation().fields());
            fields.push(("file_path".into(), error.context().to_owned().into()));
            fields
        }
        Detail::Listen {
            endpoint: at,
            connection,
            error,
        } => {
            let mut fields = endpoint("address", "port", at);
            fields.push(socket_type(*connection));
            if kind == kind::LISTEN_FAILED {
                fields.push(("listen_interface".into(), at.ip().to_string().into()));
                fields.extend(Operation::SocketBind.fields());
                fields.push(("error".into(), error.clone().into()));
            }
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
        Detail::Metrics(metrics) => {
            let metrics = metrics.iter().map(|metric| Value::Map(metric.fields()));
            vec![("metrics".into(), Value::List(metrics.collect()))]
        }
        Detail::Dropped { count, types } => vec![
            ("dropped".into(), (*count).into()),
            ("dropped_alerts".into(), types.clone().into()),
        ],
    }
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
pub(super) fn note(detail: &Detail) -> String {
    match detail {
        Detail::None | Detail::Stats(_) | Detail::Added(_) => String::new(),
        Detail::State { state, previous } => format!("{} to {}", previous.name(), state.name()),
        Detail::Pieces(pieces) => format!("{} pieces", pieces.len()),
        Detail::Piece(piece) => format!("piece {piece}"),
        Detail::PieceData { piece, error, .. } if error.is_empty() => format!("piece {piece}"),
        Detail::PieceData { piece, error, .. } => format!("piece {piece}: {error}"),
        Detail::File(index) => format!("file {index}"),
        Detail::Files(files) => format!("{} files", files.len()),
        Detail::Peer { peer, fact } => match fact.note() {
            "" => peer.endpoint.to_string(),
            note => format!("{}: {note}", peer.endpoint),
        },
        Detail::Blocked { peer, reason } => format!("{}: {}", peer.endpoint, reason.name()),
        Detail::Banned(ip) => ip.to_string(),
        Detail::Performance(warning) => warning.name().to_owned(),
        Detail::Block { peer, block } => format!("{}: block {block}", peer.endpoint),
        Detail::Request { peer, request, .. } | Detail::Asked { peer, request } => format!(
            "{}: piece {} from {} on, {} bytes",
            peer.endpoint, request.piece, request.begin, request.length
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
        Detail::Listen {
            endpoint, error, ..
        } if error.is_empty() => endpoint.to_string(),
        Detail::Listen {
            endpoint, error, ..
        } => format!("{endpoint}: {error}"),
        Detail::Statuses(statuses) => format!("{} torrents", statuses.len()),
        Detail::ResumeData(data) => format!("{} bytes", data.len()),
        Detail::Answer(answer) => format!("{} entries", answer.len()),
        Detail::Metrics(metrics) => format!("{} metrics", metrics.len()),
        Detail::Dropped { count, types } => {
            let name = |number: &u32| {
                let known = kind::ALL.iter().find(|kind| kind.number == *number);
                known.map_or("", |kind| kind.name)
            };
            let names: Vec<_> = types.iter().map(name).collect();
            format!("{count} alerts: {}", names.join(", "))
        }
    }
}
