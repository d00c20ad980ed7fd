//! Which torrents the session has.

use std::path::{Path, PathBuf};

use torrent_core::value::Value;
use torrent_engine::error::Error;
use torrent_engine::placement::StorageMode;
use torrent_engine::session::AddTorrent;

use super::resume::save_path as save_path_of;
use super::torrent_files::read_torrent;
use super::{done, field, torrent};
use crate::app::App;
use crate::params::Params;
use crate::protocol::{Outcome, invalid};

/// Adds a torrent file, to download what is not there yet.
pub(super) async fn torrent_file(app: &App, mut params: Params) -> Outcome {
    let path = params.text("path")?;
    let save_path = params.opt_text("save_path")?.map(PathBuf::from);
    let seed_mode = params.flag("seed_mode")?;
    let paused = params.opt_flag("paused")?;
    let file_priorities = params.opt_priorities("file_priorities")?;
    let resume_data = params.opt_bytes("resume_data")?;
    let storage_mode = params.opt_text("storage_mode")?;
    let renamed_files = params.opt_names("renamed_files")?;
    let flags = params.opt_texts("flags")?.unwrap_or_default();
    params.finish()?;
    app.running()?;
    let save_path = save_path_of(app, save_path, resume_data.as_deref())?;
    let mut add = load(&path, save_path).await?;
    if let Some(data) = resume_data {
        add = add.with_resume_data(&data)?;
    }
    // What is said here goes before what the resume data says.
    if let Some(name) = storage_mode {
        add.storage_mode = StorageMode::from_name(&name)
            .ok_or_else(|| invalid(format!("there is no 'storage_mode' '{name}'")))?;
    }
    add.seed_mode |= seed_mode;
    add.renamed_files = renamed_files.unwrap_or(add.renamed_files);
    flags.iter().try_for_each(|flag| add.set_flag(flag, true))?;
    add.paused = paused.unwrap_or(add.paused);
    add.file_priorities = file_priorities.unwrap_or(add.file_priorities);
    add_to(app, add)
}

/// Adds the torrent that a magnet link names; its metadata comes from peers.
pub(super) fn magnet(app: &App, mut params: Params) -> Outcome {
    let uri = params.text("uri")?;
    let save_path = params.opt_text("save_path")?.map(PathBuf::from);
    let paused = params.opt_flag("paused")?;
    let resume_data = params.opt_bytes("resume_data")?;
    params.finish()?;
    app.running()?;
    let save_path = save_path_of(app, save_path, resume_data.as_deref())?;
    let mut add = AddTorrent::from_magnet(&uri, save_path)?;
    if let Some(data) = resume_data {
        add = add.with_resume_data(&data)?;
    }
    add.paused = paused.unwrap_or(add.paused);
    add_to(app, add)
}

/// Adds a torrent file whose data is there; it is checked and then seeded.
pub(super) async fn torrent_and_seed(app: &App, mut params: Params) -> Outcome {
    let path = params.text("path")?;
    let data_dir = params.text("data_dir")?;
    params.finish()?;
    app.running()?;
    add_to(app, load(&path, data_dir.into()).await?)
}

async fn load(path: &str, save_path: PathBuf) -> Result<AddTorrent, Error> {
    let data = read_torrent(Path::new(path)).await?;
    AddTorrent::from_data(&data, save_path).map_err(|error| error.about(path))
}

fn add_to(app: &App, add: AddTorrent) -> Outcome {
    let handle = app.running()?.session.add_torrent(add)?;
    Ok(field("torrent_id", handle.info_hash().to_string()))
}

/// Takes a torrent out of the session.
pub(super) fn remove(app: &App, mut params: Params) -> Outcome {
    let handle = torrent(app, &mut params)?;
    let delete_files = params.flag("delete_files")?;
    params.finish()?;
    app.running()?
        .session
        .remove_torrent(&handle, delete_files)?;
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
