//! Opening, measuring and deleting a torrent's files without ever leaving the
//! save path.
//!
//! The save path itself is the user's choice and may be anything, a symbolic
//! link included. Below it the names come from outside, and the folder may
//! have been prepared by an attacker: so every part is opened relative to the folder
//! before it, symbolic links are refused (those that stay inside too: a rule
//! without exceptions needs no race-free resolution of targets), and only
//! regular files are opened, so that a planted pipe or device cannot stall or
//! feed a worker. Callers pass paths of plain names only; `StorageSpec` has
//! checked that.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use torrent_core::resume::FileStat;

pub(super) use super::canonical::real;
use super::error::Fault;

#[cfg(not(unix))]
mod fallback;
#[cfg(all(test, unix))]
mod tests;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub(super) use fallback::{open, remove_file, remove_folder, rename, stat, sync_folder};
#[cfg(unix)]
pub(super) use unix::{
    folder_of, is_missing, open, remove_file, remove_folder, rename, stat, sync_folder,
};

/// The length of the file `name` below `root`; `None` where there is no such
/// file.
pub(super) fn length(root: &Path, name: &Path) -> Result<Option<u64>, Fault> {
    Ok(stat(root, name)?.map(|stat| stat.length))
}

/// Deletes the folders between `root` and each of `names` that are empty, the
/// deepest first. One that holds something stays.
pub(super) fn remove_empty_folders<'a>(root: &Path, names: impl IntoIterator<Item = &'a Path>) {
    let names = names.into_iter();
    let folders = names.flat_map(|name| name.ancestors().skip(1));
    let mut folders: Vec<_> = folders.filter(|it| !it.as_os_str().is_empty()).collect();
    folders.sort_unstable_by_key(|folder| (Reverse(folder.components().count()), *folder));
    folders.dedup();
    for folder in folders {
        // It is not empty, or not there.
        let _ = remove_folder(root, folder);
    }
}

/// Creates the save path, with the folders above it.
pub(super) fn create_root(root: &Path) -> Result<(), Fault> {
    match std::fs::create_dir_all(root) {
        // A file is there, or where a folder above it should be.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(Fault::Io(ErrorKind::NotADirectory.into()))
        }
        created => Ok(created?),
    }
}

/// The folders between `root` and each of `names` that are missing, those
/// above others first.
pub(super) fn missing_folders<'a>(
    root: &Path,
    names: impl IntoIterator<Item = &'a Path>,
) -> Vec<PathBuf> {
    let folders: BTreeSet<_> = names
        .into_iter()
        .flat_map(|name| name.ancestors().skip(1))
        .collect();
    let folders = folders.into_iter().filter(|it| !it.as_os_str().is_empty());
    let missing = folders.map(|folder| root.join(folder));
    missing.filter(|folder| is_absent(folder)).collect()
}

/// `folder` and those above it that are missing, the topmost first.
pub(super) fn missing_ancestors(folder: &Path) -> Vec<PathBuf> {
    let missing = folder.ancestors().take_while(|folder| is_absent(folder));
    let mut missing: Vec<_> = missing.map(Path::to_owned).collect();
    missing.reverse();
    missing
}

fn is_absent(path: &Path) -> bool {
    let found = std::fs::symlink_metadata(path);
    found.is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// Makes durable that `names` are below `root`, or no longer are, and that the
/// folders in `made` are where they are.
pub(super) fn sync_folders<'a>(
    root: &Path,
    names: impl IntoIterator<Item = &'a Path>,
    made: &[PathBuf],
) -> Result<(), Fault> {
    let folders: BTreeSet<_> = names
        .into_iter()
        .flat_map(|name| name.ancestors().skip(1))
        .collect();
    // Those below before those above, which have them.
    for folder in folders.into_iter().rev() {
        sync_folder(root, folder)?;
    }
    if let Some(above) = made.first().and_then(|folder| folder.parent()) {
        let between = root.ancestors().skip(1);
        for folder in between.take_while(|folder| folder.starts_with(above)) {
            sync_folder(folder, Path::new(""))?;
        }
    }
    Ok(())
}

/// Has reads leave the file's time of access alone, where the system can and
/// the file is ours.
pub(super) fn leave_atime(file: &File) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
        if let Ok(flags) = fcntl_getfl(file) {
            // A nicety: without it the time changes.
            let _ = fcntl_setfl(file, flags | OFlags::NOATIME);
        }
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = file;
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Reading an existing file.
    Read,
    /// Making durable what was written to an existing file.
    Sync,
    /// Reading and writing; the file and its folders below the root are created
    /// where missing, and never truncated.
    Write,
    /// The same; a file that is created may be run as a program.
    WriteProgram,
    /// Writing a file that is not there yet.
    CreateNew,
}

impl Access {
    /// Whether bytes may be written, and what is missing is created for them.
    pub(super) fn writes(self) -> bool {
        !matches!(self, Self::Read | Self::Sync)
    }

    /// Whether a file that is open for this will do for `wanted`.
    pub(super) fn serves(self, wanted: Self) -> bool {
        match wanted {
            Self::Read => true,
            // Windows flushes only what may be written to.
            Self::Sync => cfg!(not(windows)) || self != Self::Read,
            _ => self.writes(),
        }
    }
}
