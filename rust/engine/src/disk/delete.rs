//! Deleting the files of a torrent that is removed: first it is found out which of
//! them are the torrent's, so that they can be written down, then those go and no
//! others.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use torrent_core::ids::FileIndex;

use super::Common;
use super::error::{DiskError, DiskOp, Fault};
use super::file_storage::FileStorage;
use super::path;
use super::relocate::is_same;
use super::storage::{Storage, StorageShared};
use super::worker::WorkerMessage;

impl Storage {
    /// The files that go with the torrent, links and the part file included, or
    /// `parts_only` the part file alone. Files that are not the torrent's stay,
    /// those too that lie in the place of one of its files and hold nothing of it.
    pub(crate) async fn files_to_delete(
        &self,
        parts_only: bool,
    ) -> Result<BTreeSet<FileIndex>, DiskError> {
        self.apart(DiskOp::Delete, move |shared, _| {
            Ok(shared.io.files_to_delete(parts_only))
        })
        .await
    }

    /// Those of `carried` that a change of places which was cut short has brought
    /// to where they are in `there`, which is as it is when the change is over. With
    /// `copies` a file that is at both places with the same length and time is
    /// one. Fails where that cannot be known: a folder is missing.
    pub(crate) async fn arrived(
        &self,
        there: &Self,
        carried: BTreeSet<FileIndex>,
        copies: bool,
    ) -> Result<BTreeSet<FileIndex>, DiskError> {
        let (there, _) = there.parts();
        self.apart(DiskOp::Delete, move |shared, common| {
            shared.arrived(common, &there, carried, copies)
        })
        .await
    }

    /// Closes the storage and deletes these files and the folders that are empty
    /// then, below the save path. A file that another torrent has too stays.
    /// Goes on after an error and returns the first.
    pub(crate) async fn delete(&self, files: BTreeSet<FileIndex>) -> Result<(), DiskError> {
        self.close().await;
        let (shared, _) = self.parts();
        self.ask(shared.first_worker, DiskOp::Delete, |reply| {
            WorkerMessage::Delete {
                storage: Arc::clone(&shared),
                files,
                reply,
            }
        })
        .await?
    }

    /// Closes the storage and deletes all its files.
    #[cfg(test)]
    pub(super) async fn delete_files(&self) -> Result<(), DiskError> {
        self.close().await;
        let files = self.files_to_delete(false).await?;
        self.delete(files).await
    }

    /// The paths of these files below the save path.
    pub(crate) fn names_of(&self, files: &BTreeSet<FileIndex>) -> Vec<PathBuf> {
        let (shared, _) = self.parts();
        let names = files.iter().map(|&file| shared.io.file_name(file));
        names.collect()
    }

    /// The files that have one of these paths below the save path.
    pub(crate) fn files_named(&self, names: &HashSet<PathBuf>) -> BTreeSet<FileIndex> {
        let (shared, _) = self.parts();
        let spec = &shared.spec;
        let files = spec.placed_files().map(|(file, _)| file);
        let files = files.chain([spec.parts_file()]);
        files
            .filter(|&file| names.contains(&shared.io.file_name(file)))
            .collect()
    }
}

impl StorageShared {
    fn arrived(
        &self,
        common: &Common,
        there: &Self,
        mut carried: BTreeSet<FileIndex>,
        copies: bool,
    ) -> Result<BTreeSet<FileIndex>, DiskError> {
        let folder_gone = |of: &Self| {
            let folder = of.io.save_path();
            match std::fs::metadata(&folder) {
                Ok(metadata) if metadata.is_dir() => None,
                _ => Some(DiskError::new(
                    DiskOp::Delete,
                    None,
                    &folder,
                    Fault::FolderGone,
                )),
            }
        };
        // Each file would seem to have left it.
        if let Some(error) = folder_gone(self) {
            return Err(error);
        }
        let stat = |of: &Self, file| match of.io.stat(common, file) {
            Err(error) if error.is_absence() => Ok(None),
            found => found,
        };
        let missing = folder_gone(there);
        let mut outcome = Ok(());
        carried.retain(|&file| {
            let both = stat(self, file).and_then(|here| Ok((here, stat(there, file)?)));
            match both {
                Ok((None, Some(_))) => true,
                Ok((None, None)) => {
                    outcome = missing.clone().map_or(Ok(()), Err);
                    false
                }
                Ok((here, new)) => copies && is_same(here, new),
                Err(error) => {
                    outcome = Err(error);
                    false
                }
            }
        });
        outcome.map(|()| carried)
    }
}

impl FileStorage {
    /// Whether what is in the place of a file is ours: we have written it, or
    /// it holds something that is. Until the files have been looked at
    /// everything may be.
    fn is_own(&self, file: FileIndex) -> bool {
        let layout = &self.spec.layout;
        let mut pieces = layout.file_pieces(file);
        let place = layout.files().get(file.0 as usize);
        let is_empty = || {
            let file_paths = self.file_paths();
            place.is_some_and(|place| place.length == 0)
                && matches!(
                    path::length(&file_paths.root, file_paths.name(file)),
                    Ok(Some(0))
                )
        };
        !self.pieces.is_known()
            || self.touched.get(file.0)
            || pieces.any(|piece| self.pieces.have.get(piece))
            || is_empty()
    }

    pub(super) fn own_files(&self, parts_only: bool) -> BTreeSet<FileIndex> {
        let is_link = |file: FileIndex| self.spec.links.contains_key(&file);
        let files = self.spec.placed_files().map(|(file, _)| file);
        let files = files.filter(|&file| {
            !parts_only && !self.is_name_shared(file) && (is_link(file) || self.is_own(file))
        });
        files.chain([self.parts_file()]).collect()
    }

    /// Deletes files, and the folders that are empty then.
    pub(super) fn delete_files(
        &self,
        common: &Common,
        files: &BTreeSet<FileIndex>,
    ) -> Result<(), DiskError> {
        let file_paths = self.file_paths();
        let root = &file_paths.root;
        let mut outcome = Ok(());
        for &file in files {
            if self.is_name_shared(file) {
                continue;
            }
            let deleted = self.delete_one(common, root, file, file_paths.name(file));
            if let Err(fault) = deleted
                && outcome.is_ok()
            {
                outcome = Err(self.error(DiskOp::Delete, Some(file), fault));
            }
        }
        path::remove_empty_folders(root, files.iter().map(|&file| file_paths.name(file)));
        outcome
    }

    fn delete_one(
        &self,
        common: &Common,
        root: &Path,
        file: FileIndex,
        name: &Path,
    ) -> Result<(), Fault> {
        if let Some(target) = self.spec.links.get(&file) {
            return self.delete_link(name, target);
        }
        let removed = common.files.patiently(|| {
            let struck = common.faults.strike(DiskOp::Delete, file);
            struck.and_then(|()| path::remove_file(root, name))
        });
        match removed {
            // Without the save path there is nothing to delete.
            Err(Fault::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}
