//! Giving one file of a storage another name, below the same folder.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use torrent_core::ids::FileIndex;

use super::Common;
use super::error::{DiskError, DiskOp, Fault};
use super::file_paths::FilePaths;
use super::file_storage::FileStorage;
use super::names::{NameError, judge};
use super::path;
use super::spec::StorageSpec;
use super::storage::Storage;

impl Storage {
    /// Renames a file; the name may lead through folders below the save path,
    /// which are created where they are missing. Refused are names that are
    /// not plain, that another file of the torrent has or needs as a folder,
    /// and those where something else is. A file that does not exist yet gets
    /// the name when it is created. Returns the name that it had.
    pub async fn rename(&self, file: FileIndex, name: PathBuf) -> Result<PathBuf, DiskError> {
        self.alone(DiskOp::Rename, move |shared, common| {
            shared.io.rename(common, file, &name)
        })
        .await
    }
}

impl FilePaths {
    /// Whether a file can have this name.
    pub(super) fn judge_rename(
        &self,
        spec: &StorageSpec,
        file: FileIndex,
        name: &Path,
    ) -> Result<(), Fault> {
        let all = spec.placed_files().map(|(other, _)| other);
        let all = all.chain([spec.parts_file()]).map(|other| match other {
            other if other == file => (other, name),
            other => (other, self.name(other)),
        });
        judge([(file, name)], all).map_err(|error| match error {
            NameError::Unsafe(_) => Fault::UnsafeName,
            NameError::Taken { .. } => Fault::Exists,
        })
    }
}

impl FileStorage {
    pub(super) fn rename_file(
        &self,
        common: &Common,
        file: FileIndex,
        name: &Path,
    ) -> Result<PathBuf, DiskError> {
        let old = self.file_paths();
        let from = old.name(file).to_owned();
        let renamed = common
            .files
            .patiently(|| self.rename(common, file, &old, name));
        renamed.map_err(|fault| {
            let path = old.root.join(name);
            DiskError::new(DiskOp::Rename, Some(file), &path, fault)
        })?;
        Ok(from)
    }

    fn rename(
        &self,
        common: &Common,
        file: FileIndex,
        old: &FilePaths,
        name: &Path,
    ) -> Result<(), Fault> {
        let from = old.name(file);
        if from == name {
            return Ok(());
        }
        old.judge_rename(&self.spec, file, name)?;
        if let Some(target) = self.spec.links.get(&file) {
            self.rename_link(old, target, from, name)?;
            path::remove_empty_folders(&old.root, [from]);
        } else if path::length(&old.root, from)?.is_some() {
            let renamed = common
                .faults
                .strike(DiskOp::Rename, file)
                .and_then(|()| path::rename((&old.root, from), (&old.root, name)));
            let mut copied = false;
            match renamed {
                Ok(()) => {}
                // Another file system is mounted below the save path.
                Err(Fault::Io(error)) if error.kind() == io::ErrorKind::CrossesDevices => {
                    self.copy((&old.root, from), (&old.root, name), common, file)?;
                    copied = true;
                }
                Err(fault) => return Err(fault),
            }
            let synced = common
                .faults
                .strike(DiskOp::Sync, self.parts_file())
                .and_then(|()| path::sync_folders(&old.root, [from, name], &[]));
            if let Err(fault) = synced {
                // Where it was before, as far as that can be said.
                let _ = match copied {
                    true => path::remove_file(&old.root, name),
                    false => path::rename((&old.root, name), (&old.root, from)),
                };
                return Err(fault);
            }
            if copied {
                path::remove_file(&old.root, from)?;
            }
            path::remove_empty_folders(&old.root, [from]);
        }
        let mut new = FilePaths::clone(old);
        new.rename(file, name.to_owned());
        self.file_paths.store(Arc::new(new));
        Ok(())
    }
}
