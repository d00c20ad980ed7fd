//! The paths that a game gives: one rule for all of them.
//!
//! | path | what it is |
//! |---|---|
//! | `res://…` | a file of the project: read from the game's pack once exported, written in the editor only |
//! | `user://…` | a file of the player's |
//! | `uid://…` | what the project knows by that id, a path below `res://` |
//! | `/…`, `C:/…` | a file on this machine |
//! | anything else without `://` | relative to the program's working directory, as Godot's own `FileAccess` has it; a game's is not known in advance |

use std::path::PathBuf;

use godot::builtin::{GString, PackedByteArray};
use godot::classes::file_access::ModeFlags;
use godot::classes::{FileAccess, Os, ProjectSettings, ResourceLoader, ResourceUid};
use godot::global::Error as GodotError;
use godot::obj::Singleton;
use torrent_engine::error::{Error, ErrorKind, Result};

/// A path without `uid://`, that makes sense.
fn resolve(path: &GString) -> Result<GString> {
    let text = path.to_string();
    let invalid = |message: &'static str| {
        Err(Error::because(ErrorKind::InvalidPath, message).about(text.clone()))
    };
    match text.split_once("://") {
        _ if text.is_empty() => invalid("the path is empty"),
        _ if text.contains('\0') => invalid("the path contains a zero"),
        Some(("res" | "user", _)) | None => Ok(path.clone()),
        Some(("uid", _)) => {
            let ids = ResourceUid::singleton();
            let id = ids.text_to_id(path);
            match ids.has_id(id) {
                true => Ok(ids.get_id_path(id)),
                false => {
                    let message = "the project has no resource with this uid";
                    Err(Error::because(ErrorKind::PathNotFound, message).about(text.clone()))
                }
            }
        }
        // An absolute path may contain anything.
        Some(_) if text.starts_with('/') => Ok(path.clone()),
        Some(_) => {
            invalid("a path begins with res://, user:// or uid://, or is one on this machine")
        }
    }
}

/// The path on this machine.
fn globalize(path: &GString) -> PathBuf {
    let path = ProjectSettings::singleton().globalize_path(path);
    PathBuf::from(path.to_string())
}

/// Whether the project's files are in the game's pack, not in a folder.
fn is_packed(path: &GString) -> bool {
    path.begins_with("res://") && Os::singleton().has_feature("template")
}

/// A file or folder to be written to.
pub(crate) fn to_write(path: &GString) -> Result<PathBuf> {
    let path = resolve(path)?;
    if is_packed(&path) {
        let message = "an exported game cannot write into res://; use user://";
        return Err(Error::because(ErrorKind::InvalidPath, message).about(path.to_string()));
    }
    Ok(globalize(&path))
}

/// A folder to download into.
pub(crate) fn to_save(path: &GString) -> Result<PathBuf> {
    match path.is_empty() {
        true => Err(Error::new(ErrorKind::EmptySavePath)),
        false => to_write(path),
    }
}

/// A folder below another one.
pub(crate) fn below(path: &str) -> Result<()> {
    match path.contains("://") {
        true => Err(
            Error::because(ErrorKind::InvalidPath, "it is a folder below the save path")
                .about(path.to_owned()),
        ),
        false => Ok(()),
    }
}

/// A file or folder that is read in the background, by threads that know
/// nothing of Godot's pack.
pub(crate) fn to_read(path: &GString) -> Result<PathBuf> {
    let path = resolve(path)?;
    if is_packed(&path) {
        let message = "in an exported game res:// is no folder: copy the files to user:// first";
        return Err(Error::because(ErrorKind::InvalidPath, message).about(path.to_string()));
    }
    Ok(globalize(&path))
}

/// The folder to download into, or the one that resume data names where the
/// script names none.
pub(crate) fn to_resume(path: &GString, resume_data: &[u8]) -> Result<PathBuf> {
    if !path.is_empty() {
        return to_save(path);
    }
    let known = torrent_engine::torrent::handle::resume::save_path_in(resume_data)?;
    known.ok_or_else(|| Error::new(ErrorKind::EmptySavePath))
}

/// The content of a file, wherever Godot finds it: on disk, in the game's pack,
/// or there as the resource that the editor imported it as. Of one with more
/// than `limit` bytes, no more than it takes to see that.
pub(crate) fn read(path: &GString, limit: usize) -> Result<PackedByteArray> {
    let resolved = resolve(path)?;
    if let Some(mut file) = FileAccess::open(&resolved, ModeFlags::READ) {
        let length = file.get_length().min(limit as u64 + 1);
        return Ok(file.get_buffer(crate::convert::to_int(length)));
    }
    let kind = match FileAccess::get_open_error() {
        GodotError::ERR_FILE_NOT_FOUND => ErrorKind::PathNotFound,
        GodotError::ERR_FILE_NO_PERMISSION => ErrorKind::PermissionDenied,
        _ => ErrorKind::InvalidPath,
    };
    // Whatever the error: the platforms do not agree on what a missing file is.
    imported(&resolved).ok_or_else(|| Error::new(kind).about(path.to_string()))
}

/// The bytes of a `TorrentFile`: an export leaves out the file that it was
/// imported from.
fn imported(path: &GString) -> Option<PackedByteArray> {
    let mut loader = ResourceLoader::singleton();
    if !path.begins_with("res://") || !loader.exists(path) {
        return None;
    }
    loader.load(path)?.get("data").try_to().ok()
}
