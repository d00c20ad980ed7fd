//! Commands for a torrent.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use torrent_core::ids::FileIndex;
use torrent_engine::error::Result;
use torrent_engine::session::queue::Move;
use torrent_engine::torrent::handle::storage::MoveMode;
use torrent_engine::torrent::handle::{MAX_RATE, OptionsPatch, TorrentHandle};

use super::{done, only_torrent, torrent};
use crate::app::App;
use crate::params::{Params, invalid};
use crate::protocol::Outcome;

/// The farthest deadline of a piece, in milliseconds: as in libtorrent, what 32
/// bits hold.
const MAX_DEADLINE: i64 = i32::MAX as i64;

/// A command that takes nothing but a torrent.
pub(super) fn simple(
    app: &App,
    params: Params,
    act: impl FnOnce(&TorrentHandle) -> Result<()>,
) -> Outcome {
    act(&only_torrent(app, params)?)?;
    Ok(done())
}

/// Answers when everything received so far is in the files.
pub(super) async fn flush_cache(app: &App, params: Params) -> Outcome {
    only_torrent(app, params)?.flush().await?;
    Ok(done())
}

/// Moves the files, and answers when that is done. `flags` is libtorrent's
/// number for what becomes of files in their way, which without it are left
/// alone: the move fails then.
pub(super) async fn move_storage(app: &App, mut params: Params) -> Outcome {
    let torrent = torrent(app, &mut params)?;
    let path = params.text("path")?;
    let flags = params.opt_int("flags", 0..=4)?;
    params.finish()?;
    let mode = flags.and_then(MoveMode::from_number).unwrap_or_default();
    torrent.move_storage_now(path, mode).await?;
    Ok(done())
}

/// Renames a file, and answers when that is done.
pub(super) async fn rename_file(app: &App, mut params: Params) -> Outcome {
    let torrent = torrent(app, &mut params)?;
    let index = params.int("index", 0..=i64::from(u32::MAX))?;
    let name = params.text("name")?;
    params.finish()?;
    let file = FileIndex(index as u32);
    torrent.rename_file_now(file, &name).await?;
    Ok(done())
}

/// Stops a torrent; with `graceful` it takes in what was asked for.
pub(super) fn pause(app: &App, mut params: Params) -> Outcome {
    let torrent = torrent(app, &mut params)?;
    let graceful = params.flag("graceful")?;
    params.finish()?;
    if graceful {
        torrent.pause_gracefully()?;
    } else {
        torrent.pause()?;
    }
    Ok(done())
}

/// Where the torrent goes in the queue.
fn moves(params: &mut Params) -> Result<Vec<Move>> {
    let place = params.opt_int("queue_position", 0..=i64::from(u32::MAX))?;
    let mut moves: Vec<Move> = place.map(|it| Move::To(it as usize)).into_iter().collect();
    for (name, to) in [
        ("queue_up", Move::Up),
        ("queue_down", Move::Down),
        ("queue_top", Move::Top),
        ("queue_bottom", Move::Bottom),
    ] {
        if params.flag(name)? {
            moves.push(to);
        }
    }
    Ok(moves)
}

/// Changes the options that are given; none if one of them cannot be.
pub(super) fn set_options(app: &App, mut params: Params) -> Outcome {
    let torrent = torrent(app, &mut params)?;
    let patch = OptionsPatch {
        max_connections: params.opt_int("max_connections", -1..=65_535)?,
        max_uploads: params.opt_int("max_uploads", -1..=65_535)?,
        download_limit: params.opt_int("download_limit", -1..=MAX_RATE)?,
        upload_limit: params.opt_int("upload_limit", -1..=MAX_RATE)?,
        apply_ip_filter: params.opt_flag("apply_ip_filter")?,
        auto_managed: params.opt_flag("auto_managed")?,
        moves: moves(&mut params)?,
        sequential_download: params.opt_flag("sequential_download")?,
        sequential_range: params.opt_range("sequential_range")?,
        upload_mode: params.opt_flag("upload_mode")?,
        share_mode: params.opt_flag("share_mode")?,
        super_seeding: params.opt_flag("super_seeding")?,
        stop_when_ready: params.opt_flag("stop_when_ready")?,
        file_priorities: params.opt_priorities("file_priorities")?,
        piece_priorities: params.opt_priorities("piece_priorities")?,
    };
    params.finish()?;
    torrent.set_options(&patch)?;
    Ok(done())
}

/// Wants a piece in time; with `alert_when_available` an alert brings it.
pub(super) fn set_piece_deadline(app: &App, mut params: Params) -> Outcome {
    let torrent = torrent(app, &mut params)?;
    let piece = params.piece("piece")?;
    let millis = params.int("milliseconds", 0..=MAX_DEADLINE)?;
    let alert = params.flag("alert_when_available")?;
    params.finish()?;
    torrent.set_piece_deadline(piece, Duration::from_millis(millis as u64), alert)?;
    Ok(done())
}

/// Takes back the deadline of a piece.
pub(super) fn reset_piece_deadline(app: &App, mut params: Params) -> Outcome {
    let torrent = torrent(app, &mut params)?;
    let piece = params.piece("piece")?;
    params.finish()?;
    torrent.reset_piece_deadline(piece)?;
    Ok(done())
}

/// Supplies the info dictionary that peers would be asked for.
pub(super) fn set_metadata(app: &App, mut params: Params) -> Outcome {
    let torrent = torrent(app, &mut params)?;
    let info_dict = params.bytes("metadata")?;
    params.finish()?;
    torrent.set_metadata(&info_dict)?;
    Ok(done())
}

/// Connects to a peer; an alert says how that went.
pub(super) fn connect_peer(app: &App, mut params: Params) -> Outcome {
    let torrent = torrent(app, &mut params)?;
    let ip = params.text("ip")?;
    let port = params.int("port", 1..=65_535)?;
    params.finish()?;
    let ip: IpAddr = ip
        .parse()
        .map_err(|_| invalid(format!("parameter 'ip' must be an IP address, not '{ip}'")))?;
    torrent.connect_peer(SocketAddr::new(ip, port as u16))?;
    Ok(done())
}
