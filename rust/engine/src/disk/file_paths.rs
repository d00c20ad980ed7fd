//! Where a storage's files are at this moment. Replaced as a whole, and only
//! while the storage is fenced (see `fence`), so that no work on a file ever
//! sees half a move.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use torrent_core::ids::FileIndex;

use super::file_storage::FileStorage;
use super::storage::Storage;

/// The folder and the names below it.
#[derive(Clone, Debug)]
pub(super) struct FilePaths {
    /// The folder that everything is in; the user's choice.
    pub(super) root: PathBuf,
    /// One plain relative path a file, and that of the part file at the end.
    names: Vec<PathBuf>,
}

impl FilePaths {
    pub(super) fn new(root: PathBuf, mut names: Vec<PathBuf>, parts: PathBuf) -> Self {
        names.push(parts);
        Self { root, names }
    }

    /// The path of a file below the root; empty for an unknown file.
    pub(super) fn name(&self, file: FileIndex) -> &Path {
        self.names
            .get(file.0 as usize)
            .map_or(Path::new(""), PathBuf::as_path)
    }

    pub(super) fn rename(&mut self, file: FileIndex, name: PathBuf) {
        if let Some(slot) = self.names.get_mut(file.0 as usize) {
            *slot = name;
        }
    }
}

impl Storage {
    /// Every file that takes room on the disk, the part file last: its number
    /// is the one after those of the torrent.
    pub fn all_files(&self) -> Vec<FileIndex> {
        let (shared, _) = self.parts();
        let files = shared.spec.stored_files().map(|(file, _)| file);
        files.chain([shared.spec.parts_file()]).collect()
    }
}

impl FileStorage {
    /// Where everything is now.
    pub(super) fn file_paths(&self) -> Arc<FilePaths> {
        self.file_paths.load_full()
    }

    /// The number that stands for the part file among the files.
    pub(super) fn parts_file(&self) -> FileIndex {
        self.spec.parts_file()
    }
}
