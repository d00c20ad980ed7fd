//! The folder that a storage's files are in. It is made where it is missing,
//! once; one that was there and is gone (deleted, or its disk is not mounted
//! any more) is never made again: what is written below such a folder would be
//! somewhere else than what was written before.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use torrent_core::ids::FileIndex;

use super::error::{DiskError, DiskOp, Fault};
use super::file_storage::FileStorage;
use super::storage::Storage;

/// What is known of the folder.
#[derive(Debug, Default)]
pub(super) struct Root {
    /// It was there.
    seen: AtomicBool,
    /// The device that it was on; `None` where the system does not say.
    device: Mutex<Option<u64>>,
}

/// The number of the device that a folder is on; `None` where the system has
/// none.
fn device_of(folder: &Path) -> io::Result<Option<u64>> {
    let metadata = std::fs::metadata(folder)?;
    if !metadata.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        Ok(Some(metadata.dev()))
    }
    #[cfg(not(unix))]
    Ok(None)
}

/// Whether there is nothing in a folder. Files can be used where they cannot be
/// listed.
pub(crate) fn is_empty(folder: &Path) -> io::Result<bool> {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if super::error::is_shortage(&error) => Err(error),
        Err(_) => Ok(false),
    }
}

impl Storage {
    /// Whether the folder of the files has been seen, or made.
    pub fn has_root(&self) -> bool {
        self.parts().0.io.has_root()
    }

    /// Whether one of these files is there, or the part file. Looks at the disk,
    /// and fails where the system is short of something for the moment.
    pub(crate) fn has_any(&self, files: &[FileIndex]) -> io::Result<bool> {
        self.parts().0.io.has_any(files)
    }

    /// Whether the folder is there and on the device that it was on when it was
    /// seen last.
    pub(crate) fn is_root_on_its_device(&self) -> bool {
        self.parts().0.io.is_root_on_its_device()
    }
}

impl Root {
    /// Whether the folder was there.
    pub(super) fn is_seen(&self) -> bool {
        self.seen.load(Ordering::Acquire)
    }
}

impl FileStorage {
    pub(super) fn has_any_file(&self, files: &[FileIndex]) -> io::Result<bool> {
        let paths = self.file_paths();
        for &file in files.iter().chain([&self.parts_file()]) {
            match std::fs::symlink_metadata(paths.root.join(paths.name(file))) {
                Err(error) if super::canonical::is_absence(&error) => {}
                Err(error) if super::error::is_shortage(&error) => return Err(error),
                // Whatever keeps us from it, something is there.
                Ok(_) | Err(_) => return Ok(true),
            }
        }
        Ok(false)
    }

    pub(super) fn is_root_the_same(&self) -> bool {
        let device = device_of(&self.file_paths().root);
        let is_same = device.is_ok_and(|device| device == *self.root.device.lock());
        is_same && self.root.is_seen()
    }

    /// Takes the folder that is there now for that of the files: what is known
    /// of them comes from a look at it.
    pub(super) fn learn_root(&self) {
        if let Ok(device) = device_of(&self.file_paths().root) {
            *self.root.device.lock() = device;
            self.root.seen.store(true, Ordering::Release);
        }
    }

    /// Whether the folder was there and is missing.
    pub(super) fn is_root_gone(&self) -> bool {
        let is_missing = |error| super::canonical::is_absence(&error);
        self.root.is_seen() && device_of(&self.file_paths().root).is_err_and(is_missing)
    }

    /// Makes the folder where it was never seen, and fails where it was and is
    /// gone, or is what is left of it where its disk was mounted, for this
    /// torrent or another one. Called before every file that is made.
    pub(super) fn make_root(&self) -> Result<(), DiskError> {
        let root = &self.file_paths().root;
        let failed = |error: io::Error| self.error(DiskOp::Create, None, error.into());
        let gone = || self.error(DiskOp::Create, None, Fault::FolderGone);
        if self.spec.awaited.is_awaited(root, None) {
            return Err(gone());
        }
        if !self.root.is_seen() {
            super::path::create_root(root)
                .map_err(|fault| self.error(DiskOp::Create, None, fault))?;
            self.learn_root();
            return Ok(());
        }
        match device_of(root) {
            Ok(device) if device == *self.root.device.lock() => Ok(()),
            Ok(_) if is_empty(root).map_err(failed)? => Err(gone()),
            Ok(_) => {
                // Mounted anew.
                self.learn_root();
                Ok(())
            }
            Err(error) if super::canonical::is_absence(&error) => Err(gone()),
            Err(error) => Err(failed(error)),
        }
    }
}
