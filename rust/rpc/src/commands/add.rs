//! Which torrents the session has.

use std::path::Path;

use torrent_core::metainfo::MetainfoLimits;
use torrent_core::value::{Fields, Value};
use torrent_engine::error::{Error, ErrorKind};
use torrent_engine::session::AddTorrent;
use torrent_engine::torrent::handle::resume::save_path_in;
use torrent_engine::torrent::handle::storage::Deletion;

use super::torrent_files::read_torrent;
use super::{done, field, torrent};
use crate::app::App;
use crate::params::Params;
use crate::protocol::Outcome;

/// Adds a torrent file, to download what is not there yet.
pub(super) async fn torrent_file(app: &App, mut params: Params) -> Outcome {
    let path = params.text("path")?;
    let mut fields = params.rest(&["resume_data"])?;
    AddTorrent::check_fields(&fields)?;
    fill_save_path(app, &mut fields)?;
    let limits = limits(app)?;
    let data = read_torrent(Path::new(&path), limits.bytes).await?;
    fields.push(("torrent_data".into(), Value::Bytes(data.into())));
    let add =
        AddTorrent::from_fields_within(&fields, &limits).map_err(|error| match error.kind() {
            ErrorKind::InvalidTorrentFile => error.about(path),
            _ => error,
        })?;
    add_to(app, add)
}

/// Adds the torrent that a magnet link names; its metadata comes from peers.
pub(super) fn magnet(app: &App, mut params: Params) -> Outcome {
    let uri = params.text("uri")?;
    let mut fields = params.rest(&["resume_data"])?;
    fields.push(("magnet_uri".into(), uri.into()));
    AddTorrent::check_fields(&fields)?;
    fill_save_path(app, &mut fields)?;
    add_to(app, AddTorrent::from_fields(&fields)?)
}

/// A torrent goes to the folder that is given, that of its resume data, or the
/// one for torrents that do not say.
fn fill_save_path(app: &App, fields: &mut Fields) -> Result<(), Error> {
    let running = app.running()?;
    let find = |name: &str| fields.iter().find(|(key, _)| key == name);
    let resumed = match find("resume_data") {
        Some((_, Value::Bytes(record))) => save_path_in(record)?,
        _ => None,
    };
    if find("save_path").is_some() || resumed.is_some() {
        return Ok(());
    }
    let folder = running.download_dir.as_ref().ok_or_else(|| {
        let message = "neither 'save_path' nor 'download_dir' is given";
        Error::because(ErrorKind::EmptySavePath, message)
    })?;
    let folder = folder.to_string_lossy().into_owned();
    fields.push(("save_path".into(), folder.into()));
    Ok(())
}

/// Adds a torrent file whose data is there; it is checked and then seeded.
pub(super) async fn torrent_and_seed(app: &App, mut params: Params) -> Outcome {
    let path = params.text("path")?;
    let data_dir = params.text("data_dir")?;
    params.finish()?;
    let limits = limits(app)?;
    let data = read_torrent(Path::new(&path), limits.bytes).await?;
    let add = AddTorrent::from_data_within(&data, data_dir, &limits);
    add_to(app, add.map_err(|error| error.about(path))?)
}

/// How large torrent files may be.
fn limits(app: &App) -> Result<MetainfoLimits, Error> {
    Ok(MetainfoLimits::of_files(&app.running()?.session.settings()))
}

fn add_to(app: &App, add: AddTorrent) -> Outcome {
    let handle = app.running()?.session.add_torrent(add)?;
    Ok(field("torrent_id", handle.info_hash().to_string()))
}

/// Takes a torrent out of the session.
pub(super) fn remove(app: &App, mut params: Params) -> Outcome {
    let handle = torrent(app, &mut params)?;
    let delete = match (
        params.flag("delete_files")?,
        params.flag("delete_partfile")?,
    ) {
        (true, _) => Deletion::Files,
        (false, true) => Deletion::PartFile,
        (false, false) => Deletion::Nothing,
    };
    params.finish()?;
    app.running()?.session.remove_torrent(&handle, delete)?;
    Ok(done())
}

/// The ids of all torrents.
pub(super) fn list(app: &App, params: Params) -> Outcome {
    params.finish()?;
    let torrents = app.running()?.session.torrents();
    let ids = torrents
        .iter()
        .map(|torrent| Value::from(torrent.info_hash().to_string()));
    Ok(field("torrents", Value::List(ids.collect())))
}
