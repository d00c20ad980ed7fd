//! Where there is no opening relative to a folder, every part is examined
//! before it is used. An attacker who can swap a folder for a link in between
//! can defeat that; on such systems making links needs privileges.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::super::busy::{when_free, when_movable};
use super::super::error::Fault;
use super::super::move_windows::rename_new;
use super::{Access, FileStat};

/// Opens the file `name` below `root`.
pub(in super::super) fn open(root: &Path, name: &Path, access: Access) -> Result<File, Fault> {
    let path = root.join(name);
    if access.writes() {
        create_folders(root, name)?;
    }
    if let Some(found) = examine(root, name)?
        && !found.is_file()
    {
        return Err(Fault::NotAFile);
    }
    let mut options = OpenOptions::new();
    options.read(true);
    match access {
        Access::Read => {}
        Access::Sync => _ = options.write(true),
        Access::Write | Access::WriteProgram => _ = options.write(true).create(true),
        Access::CreateNew => _ = options.write(true).create_new(true),
    }
    match when_free(|| options.open(&path)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Fault::Exists),
        opened => Ok(opened?),
    }
}

/// Length and time of the file `name` below `root`; `None` where there is
/// no such file.
pub(in super::super) fn stat(root: &Path, name: &Path) -> Result<Option<FileStat>, Fault> {
    let found = match examine(root, name) {
        Err(Fault::Io(error)) if error.kind() == io::ErrorKind::NotADirectory => None,
        found => found?,
    };
    match found {
        None => Ok(None),
        Some(found) if found.is_file() => Ok(Some(FileStat {
            length: found.len(),
            modified: found
                .modified()
                .ok()
                .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
                .map_or(0, |since| {
                    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
                }),
        })),
        Some(_) => Err(Fault::NotAFile),
    }
}

/// Deletes the regular file `name` below `root`. A missing one is fine.
pub(in super::super) fn remove_file(root: &Path, name: &Path) -> Result<(), Fault> {
    if stat(root, name)?.is_some() {
        let path = root.join(name);
        when_movable(|| fs::remove_file(&path))?;
    }
    Ok(())
}

/// Gives the file `from` (root and name) the place `to`, whose folders below
/// the root are created where missing. Something else in that place is an error.
pub(in super::super) fn rename(from: (&Path, &Path), to: (&Path, &Path)) -> Result<(), Fault> {
    if stat(from.0, from.1)?.is_none() {
        return Err(io::Error::from(io::ErrorKind::NotFound).into());
    }
    let (old, new) = (from.0.join(from.1), to.0.join(to.1));
    // Upper and lower case may be the same name.
    let lower = |path: &Path| path.to_string_lossy().to_lowercase();
    let same = lower(&old) == lower(&new);
    if stat(to.0, to.1)?.is_some() {
        return match same {
            true => Ok(when_movable(|| fs::rename(&old, &new))?),
            false => Err(Fault::Exists),
        };
    }
    create_folders(to.0, to.1)?;
    match when_movable(|| rename_new(&old, &new)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Fault::Exists),
        renamed => Ok(renamed?),
    }
}

/// Folders cannot be synced here; renames are durable without.
pub(in super::super) fn sync_folder(_: &Path, _: &Path) -> Result<(), Fault> {
    Ok(())
}

/// Deletes the folder `name` below `root` if it is empty.
pub(in super::super) fn remove_folder(root: &Path, name: &Path) -> Result<(), Fault> {
    if examine(root, name)?.is_some() {
        fs::remove_dir(root.join(name))?;
    }
    Ok(())
}

fn no_folder() -> Fault {
    Fault::Io(io::ErrorKind::NotADirectory.into())
}

fn create_folders(root: &Path, name: &Path) -> Result<(), Fault> {
    let mut path = PathBuf::new();
    for part in name.parent().into_iter().flat_map(Path::iter) {
        path.push(part);
        match examine(root, &path)? {
            Some(found) if found.is_dir() => continue,
            Some(_) => return Err(no_folder()),
            None => {}
        }
        match fs::create_dir(root.join(&path)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(error.into());
            }
            _ => {}
        }
    }
    Ok(())
}

/// What `name` is, or `None` where it does not exist. Something else than a
/// folder on the way is an error, which Windows itself does not distinguish from a
/// missing folder.
fn examine(root: &Path, name: &Path) -> Result<Option<fs::Metadata>, Fault> {
    let mut path = root.to_owned();
    let mut found: Option<fs::Metadata> = None;
    for part in name.iter() {
        if found.is_some_and(|above| !above.is_dir()) {
            return Err(no_folder());
        }
        path.push(part);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_symlink() => return Err(Fault::Symlink),
            Ok(metadata) => found = Some(metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}
