//! Giving one file of a storage another name, below the same folder.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use torrent_core::ids::FileIndex;

use super::Common;
use super::error::{DiskError, DiskOp, Fault};
use super::path;
use super::places::Places;
use super::spec::is_plain;
use super::storage::{Shared, Storage};

impl Storage {
    /// Renames a file; the name may lead through folders below the save path,
    /// which are created where they are missing. Refused are names that are
    /// not plain, that another file of the torrent has or needs as a folder,
    /// and those where something else is. A file that does not exist yet gets
    /// the name when it is created. Returns the name that it had.
    pub async fn rename(&self, file: FileIndex, name: PathBuf) -> Result<PathBuf, DiskError> {
        self.alone(DiskOp::Rename, move |shared, common| {
            let old = shared.places();
            let from = old.name(file).to_owned();
            shared.rename(common, file, &old, &name).map_err(|fault| {
                let path = old.root.join(&name);
                DiskError::new(DiskOp::Rename, Some(file), &path, fault)
            })?;
            Ok(from)
        })
        .await
    }
}

impl Shared {
    fn rename(
        &self,
        common: &Common,
        file: FileIndex,
        old: &Places,
        name: &Path,
    ) -> Result<(), Fault> {
        if !is_plain(name) {
            return Err(Fault::UnsafeName);
        }
        let from = old.name(file);
        if from == name {
            return Ok(());
        }
        let clashes = |other: FileIndex| {
            let other = old.name(other);
            other != from && (other.starts_with(name) || name.starts_with(other))
        };
        let mut others = self.placed_files().map(|(other, _)| other);
        if others.any(clashes) || old.find(name) == Some(self.parts_file()) {
            return Err(Fault::Exists);
        }
        if let Some(target) = self.spec.links.get(&file) {
            self.rename_link(old, target, from, name)?;
            path::remove_empty_folders(&old.root, [from]);
        } else if path::length(&old.root, from)?.is_some() {
            let renamed = common
                .faults
                .strike(DiskOp::Rename, file)
                .and_then(|()| path::rename((&old.root, from), (&old.root, name), false));
            match renamed {
                Ok(()) => {}
                // Another file system is mounted below the save path.
                Err(Fault::Io(error)) if error.kind() == io::ErrorKind::CrossesDevices => {
                    self.copy((&old.root, from), (&old.root, name), common, file, false)?;
                    path::remove_file(&old.root, from)?;
                }
                Err(fault) => return Err(fault),
            }
            path::remove_empty_folders(&old.root, [from]);
        }
        let mut new = Places::clone(old);
        new.rename(file, name.to_owned());
        self.places.store(Arc::new(new));
        Ok(())
    }
}
