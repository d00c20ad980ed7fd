//! Moving a storage to another folder: by renaming within a file system, by
//! copying, comparing and deleting between two. Until everything is at its new
//! place nothing is deleted at the old one, and after an error, or when the
//! storage is closed meanwhile, everything is where it was.

use std::fs::File;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use torrent_core::ids::FileIndex;

use super::Common;
use super::error::{DiskError, DiskOp, Fault};
use super::io::{read_exact_at, write_all_at};
use super::path::{self, Access};
use super::places::Places;
use super::storage::{Shared, Storage};
use super::sync::forget_cached;
use crate::buffers::BufferClass;
use crate::hash::PieceHasher;

/// What becomes of files that are at the new place already (libtorrent's
/// `move_flags_t`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MoveMode {
    /// They are replaced.
    #[default]
    AlwaysReplaceFiles,
    /// Nothing is moved if there is any.
    FailIfExist,
    /// They are taken instead of ours, which stay behind.
    DontReplace,
    /// No file is moved: the files at the new place are the torrent's from
    /// now on, and have to be checked.
    ResetSavePath,
    /// The same without a check: pieces are hashed when they are first read.
    ResetSavePathUnchecked,
}

impl MoveMode {
    /// libtorrent's number for it, 0 to 4.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The mode with libtorrent's number; `None` above 4.
    pub fn from_number(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::AlwaysReplaceFiles),
            1 => Some(Self::FailIfExist),
            2 => Some(Self::DontReplace),
            3 => Some(Self::ResetSavePath),
            4 => Some(Self::ResetSavePathUnchecked),
            _ => None,
        }
    }

    fn moves(self) -> bool {
        !matches!(self, Self::ResetSavePath | Self::ResetSavePathUnchecked)
    }
}

/// A storage that has moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Where it was.
    pub from: PathBuf,
    /// Where it is.
    pub to: PathBuf,
    /// Whether it took over files that have to be checked.
    pub needs_check: bool,
}

/// One file that is at its new place.
struct Step {
    file: FileIndex,
    /// The old one is still there.
    copied: bool,
}

impl Storage {
    /// Moves everything to another folder, which is created where it is
    /// missing; a relative one is meant from the current folder of now. Reads
    /// and writes wait meanwhile. Ends early, with everything where it was,
    /// when the storage is closed.
    pub async fn relocate(&self, to: PathBuf, mode: MoveMode) -> Result<Moved, DiskError> {
        self.alone(DiskOp::Move, move |shared, common| {
            shared.relocate(common, &to, mode)
        })
        .await
    }

    /// The folder that the files are in.
    pub fn save_path(&self) -> PathBuf {
        self.parts().0.places().root.clone()
    }
}

impl Shared {
    fn relocate(&self, common: &Common, to: &Path, mode: MoveMode) -> Result<Moved, DiskError> {
        let old = self.places();
        let at = |op, path: &Path, fault| DiskError::new(op, None, path, fault);
        let root = std::path::absolute(to).map_err(|error| at(DiskOp::Move, to, error.into()))?;
        let mut moved = Moved {
            from: old.root.clone(),
            to: root.clone(),
            needs_check: mode == MoveMode::ResetSavePath,
        };
        if root == old.root {
            return Ok(moved);
        }
        let mut new = Places::clone(&old);
        new.root.clone_from(&root);
        let mut files: Vec<_> = self.stored_files().map(|(file, _)| file).collect();
        files.push(self.parts_file());
        if mode == MoveMode::FailIfExist {
            for &file in &files {
                let found = path::length(&root, new.name(file));
                let fault = match found {
                    Ok(None) => continue,
                    Ok(Some(_)) => Fault::Exists,
                    Err(fault) => fault,
                };
                return Err(self.error_at(&new, file, fault));
            }
        }
        std::fs::create_dir_all(&root).map_err(|error| at(DiskOp::Create, &root, error.into()))?;
        if !mode.moves() {
            self.places.store(Arc::new(new));
            if mode == MoveMode::ResetSavePathUnchecked {
                self.survey_parts(common)?;
                self.trusted.replace(&self.have.to_bitfield());
            }
            return Ok(moved);
        }
        let mut steps = Vec::new();
        for &file in &files {
            match self.carry(common, &old, &new, file, mode) {
                Ok(Carried::Nothing) => {}
                Ok(Carried::Kept) => moved.needs_check = true,
                Ok(Carried::Moved { copied }) => steps.push(Step { file, copied }),
                Err(fault) => {
                    let error = self.error_at(&new, file, fault);
                    roll_back(&old, &new, steps);
                    return Err(error);
                }
            }
        }
        self.places.store(Arc::new(new));
        for step in steps.iter().filter(|step| step.copied) {
            // It is at the new place; what is left here is only a copy.
            if let Err(error) = path::remove_file(&old.root, old.name(step.file)) {
                let file = old.root.join(old.name(step.file));
                tracing::warn!(file = %file.display(), %error, "moved, but the old file stays");
            }
        }
        self.carry_links(&old, &self.places());
        files.extend(self.spec.links.keys());
        path::remove_empty_folders(&old.root, files.iter().map(|&file| old.name(file)));
        Ok(moved)
    }

    fn error_at(&self, places: &Places, file: FileIndex, fault: Fault) -> DiskError {
        let path = places.root.join(places.name(file));
        let known = (file != self.parts_file()).then_some(file);
        DiskError::new(DiskOp::Move, known, &path, fault)
    }

    /// Brings one file to its new place.
    fn carry(
        &self,
        common: &Common,
        old: &Places,
        new: &Places,
        file: FileIndex,
        mode: MoveMode,
    ) -> Result<Carried, Fault> {
        self.go_on()?;
        let name = old.name(file);
        let replace = mode == MoveMode::AlwaysReplaceFiles;
        if mode == MoveMode::DontReplace && path::length(&new.root, name)?.is_some() {
            return Ok(Carried::Kept);
        }
        if path::length(&old.root, name)?.is_none() {
            return Ok(Carried::Nothing);
        }
        let renamed = common
            .faults
            .strike(DiskOp::Move, file)
            .and_then(|()| path::rename((&old.root, name), (&new.root, name), replace));
        match renamed {
            Ok(()) => Ok(Carried::Moved { copied: false }),
            Err(Fault::Io(error)) if error.kind() == io::ErrorKind::CrossesDevices => {
                self.copy((&old.root, name), (&new.root, name), common, file, replace)?;
                Ok(Carried::Moved { copied: true })
            }
            Err(fault) => Err(fault),
        }
    }

    /// Copies a file to another file system, under another name until the
    /// copy has been read back and found right.
    pub(super) fn copy(
        &self,
        from: (&Path, &Path),
        to: (&Path, &Path),
        common: &Common,
        file: FileIndex,
        replace: bool,
    ) -> Result<(), Fault> {
        if !replace && path::length(to.0, to.1)?.is_some() {
            return Err(Fault::Exists);
        }
        let parts = self.places().name(self.parts_file()).to_owned();
        let name = parts.with_extension(format!("moving{file}"));
        let name = to.1.with_file_name(name.file_name().unwrap_or_default());
        let copied = self
            .copy_contents(from, (to.0, &name), common, file)
            .and_then(|()| path::rename((to.0, &name), to, replace));
        if copied.is_err() {
            // The error that counts is the one above.
            let _ = path::remove_file(to.0, &name);
        }
        copied
    }

    fn copy_contents(
        &self,
        from: (&Path, &Path),
        to: (&Path, &Path),
        common: &Common,
        file: FileIndex,
    ) -> Result<(), Fault> {
        let source = path::open(from.0, from.1, Access::Read)?;
        let target = path::open(to.0, to.1, Access::Write)?;
        // It may be left from a move that was killed.
        target.set_len(0)?;
        let metadata = source.metadata()?;
        let mut buffer = common.pool.take(BufferClass::Large);
        let sent = self.stream(&source, metadata.len(), &mut buffer, |offset, data| {
            common.faults.strike(DiskOp::Write, file)?;
            // Holes stay holes.
            if data.iter().any(|&byte| byte != 0) {
                write_all_at(&target, &mut [IoSlice::new(data)], offset)?;
            }
            Ok(())
        })?;
        target.set_len(metadata.len())?;
        target.sync_data()?;
        forget_cached(&target);
        let found = self.stream(&target, metadata.len(), &mut buffer, |_, _| Ok(()))?;
        if found != sent {
            return Err(Fault::BadCopy);
        }
        target.set_permissions(metadata.permissions())?;
        if let Ok(time) = metadata.modified() {
            target.set_modified(time)?;
        }
        Ok(())
    }

    /// Reads all of a file, and returns its hash.
    fn stream(
        &self,
        file: &File,
        length: u64,
        buffer: &mut [u8],
        mut each: impl FnMut(u64, &[u8]) -> Result<(), Fault>,
    ) -> Result<[u8; 20], Fault> {
        let mut hasher = PieceHasher::new();
        let mut offset = 0;
        while offset < length {
            self.go_on()?;
            let left = usize::try_from(length - offset).unwrap_or(usize::MAX);
            let count = left.min(buffer.len());
            let part = buffer.get_mut(..count).unwrap_or_default();
            read_exact_at(file, part, offset)?;
            hasher.update(part);
            each(offset, part)?;
            offset += count as u64;
        }
        Ok(hasher.finish())
    }
}

/// What became of one file.
enum Carried {
    /// There was none.
    Nothing,
    /// The one at the new place was kept.
    Kept,
    Moved {
        copied: bool,
    },
}

/// Brings back what was moved.
fn roll_back(old: &Places, new: &Places, steps: Vec<Step>) {
    for step in steps.iter().rev() {
        let name = old.name(step.file);
        let undone = if step.copied {
            path::remove_file(&new.root, name)
        } else {
            path::rename((&new.root, name), (&old.root, name), true)
        };
        if let Err(error) = undone {
            let file = new.root.join(name);
            tracing::error!(file = %file.display(), %error, "a move could not be undone");
        }
    }
    let names = steps.iter().map(|step| new.name(step.file));
    path::remove_empty_folders(&new.root, names);
}
