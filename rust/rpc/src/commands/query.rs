//! What can be read of a torrent: the last snapshots of the engine.

use std::path::Path;

use bytes::Bytes;
use torrent_core::metainfo::MetainfoLimits;
use torrent_core::value::{Fields, Value};
use torrent_engine::status::info::info_fields;
use torrent_engine::torrent::handle::TorrentHandle;

use super::torrent_files::{parse_file, read_torrent};
use super::{field, only_torrent, torrent};
use crate::app::App;
use crate::params::{Params, invalid};
use crate::protocol::Outcome;

/// Every field of a torrent's status, and which pieces it has.
pub(super) fn status_fields(torrent: &TorrentHandle) -> Fields {
    let status = torrent.status();
    let mut fields = status.fields();
    fields.push(("state_string".into(), status.state.name().into()));
    fields.push((
        "verified_pieces".into(),
        Bytes::copy_from_slice(torrent.verified_pieces().as_bytes()).into(),
    ));
    fields.push((
        "pieces".into(),
        Bytes::copy_from_slice(torrent.pieces().as_bytes()).into(),
    ));
    fields
}

pub(super) fn torrent_status(app: &App, params: Params) -> Outcome {
    let torrent = only_torrent(app, params)?;
    Ok(field("status", status_fields(&torrent)))
}

/// The torrent file of a torrent, or one on disk.
pub(super) async fn torrent_info(app: &App, mut params: Params) -> Outcome {
    let id = params.opt_text("torrent_id")?;
    let path = params.opt_text("path")?;
    params.finish()?;
    let info = match (id, path) {
        (Some(id), None) => info_fields(app.torrent(&id)?.known_metainfo()?),
        (None, Some(path)) => {
            let data = read_torrent(Path::new(&path), MetainfoLimits::default().bytes).await?;
            info_fields(&parse_file(&path, &data)?)
        }
        _ => return Err(invalid("either 'torrent_id' or 'path' must be given")),
    };
    Ok(field("info", info))
}

pub(super) fn peers(app: &App, params: Params) -> Outcome {
    let peers = only_torrent(app, params)?.peers();
    Ok(field(
        "peers",
        records(peers.iter().map(|peer| peer.fields())),
    ))
}

pub(super) fn trackers(app: &App, params: Params) -> Outcome {
    let trackers = only_torrent(app, params)?.trackers();
    Ok(field(
        "trackers",
        records(trackers.iter().map(|tracker| tracker.fields())),
    ))
}

fn records(records: impl Iterator<Item = Fields>) -> Value {
    Value::List(records.map(Value::Map).collect())
}

pub(super) fn file_progress(app: &App, params: Params) -> Outcome {
    array(&only_torrent(app, params)?.file_progress())
}

pub(super) fn piece_availability(app: &App, params: Params) -> Outcome {
    array(&only_torrent(app, params)?.piece_availability())
}

/// The pieces that are being fetched, block by block.
pub(super) fn download_queue(app: &App, params: Params) -> Outcome {
    let queue = only_torrent(app, params)?.download_queue();
    let pieces = records(queue.iter().map(|piece| piece.fields()));
    Ok(field("download_queue", pieces))
}

pub(super) fn file_priorities(app: &App, params: Params) -> Outcome {
    array(&only_torrent(app, params)?.file_priorities())
}

pub(super) fn piece_priorities(app: &App, params: Params) -> Outcome {
    array(&only_torrent(app, params)?.piece_priorities())
}

fn array<T: Copy + Into<Value>>(numbers: &[T]) -> Outcome {
    Ok(field("array", numbers.to_vec()))
}

/// The bytes of a verified piece.
pub(super) async fn read_piece(app: &App, mut params: Params) -> Outcome {
    let torrent = torrent(app, &mut params)?;
    let piece = params.piece("piece")?;
    params.finish()?;
    Ok(field("data", torrent.read_piece_now(piece).await?))
}
