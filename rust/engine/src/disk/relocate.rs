//! Moving a storage to another folder: by renaming within a file system, by
//! copying, comparing and deleting between two. Until everything is at its new
//! place, and durable there, nothing is deleted at the old one; after an
//! error, or when the storage is closed meanwhile, everything is where it was,
//! in both places. A file of other origin at the new place is never
//! written over: one that is to be replaced is put aside first.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use torrent_core::ids::FileIndex;
use torrent_core::resume::FileStat;

use super::Common;
use super::error::{DiskError, DiskOp, Fault};
use super::file_paths::FilePaths;
use super::file_storage::FileStorage;
use super::path;
use super::storage::{Storage, StorageShared};

/// What becomes of files that are at the new place already (libtorrent's
/// `move_flags_t`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MoveMode {
    /// They are replaced.
    AlwaysReplaceFiles,
    /// Nothing is moved if there is any.
    #[default]
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

    pub(crate) fn moves(self) -> bool {
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

/// What two file systems may differ in about the time of the same file, in
/// nanoseconds: FAT counts in steps of two seconds.
const TIME_STEP: u64 = 2_000_000_000;

/// Temporary names that are tried, where others are taken.
const MAX_NAMES: u32 = 1000;

/// What copies are called until they are whole.
pub(super) const COPY: &str = "moving";

/// One file that is at its new place.
struct MoveStep {
    file: FileIndex,
    /// The old one is still there.
    copied: bool,
    /// What the file that it replaces is called meanwhile.
    aside: Option<PathBuf>,
}

impl Storage {
    /// Moves everything to another folder, which is created where it is
    /// missing; a relative one is meant from the current folder of now. Reads
    /// and writes wait meanwhile. Ends early, with everything where it was,
    /// when the storage is closed.
    pub async fn relocate(&self, to: PathBuf, mode: MoveMode) -> Result<Moved, DiskError> {
        self.alone(DiskOp::Move, move |shared, common| {
            shared.relocate(common, &to, mode, None)
        })
        .await
    }

    /// Goes on with a move that was cut short when its process died. Those of
    /// `carried`, the files that there were when it began, are ours where they
    /// are at the new place alone, or at both and the same.
    pub async fn relocate_rest(
        &self,
        to: PathBuf,
        mode: MoveMode,
        carried: BTreeSet<FileIndex>,
    ) -> Result<Moved, DiskError> {
        self.alone(DiskOp::Move, move |shared, common| {
            shared.relocate(common, &to, mode, Some(&carried))
        })
        .await
    }

    /// Whether a move to `to` that was cut short has copied any of `carried`
    /// and left the original. Takes away copies that are not whole.
    pub async fn has_copies(
        &self,
        to: PathBuf,
        carried: BTreeSet<FileIndex>,
    ) -> Result<bool, DiskError> {
        self.apart(DiskOp::Move, move |shared, common| {
            shared.io.has_copies(common, &to, &carried)
        })
        .await
    }

    /// The folder that the files are in.
    pub fn save_path(&self) -> PathBuf {
        self.parts().0.io.save_path()
    }
}

impl StorageShared {
    fn relocate(
        &self,
        common: &Common,
        to: &Path,
        mode: MoveMode,
        carried: Option<&BTreeSet<FileIndex>>,
    ) -> Result<Moved, DiskError> {
        let moved = self.io.relocate(common, to, mode, carried)?;
        if mode == MoveMode::ResetSavePathUnchecked && moved.from != moved.to {
            let have = self.pieces.have.to_bitfield();
            self.pieces.trusted.replace(&have);
        }
        Ok(moved)
    }
}

impl FileStorage {
    pub(super) fn relocate_files(
        &self,
        common: &Common,
        to: &Path,
        mode: MoveMode,
        carried: Option<&BTreeSet<FileIndex>>,
    ) -> Result<Moved, DiskError> {
        let old = self.file_paths();
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
        let mut new = FilePaths::clone(&old);
        new.root.clone_from(&root);
        let mut files: Vec<_> = self.spec.stored_files().map(|(file, _)| file).collect();
        files.push(self.parts_file());
        if mode.moves() {
            let (here, there) = (path::real(&old.root), path::real(&root));
            if here == there {
                // The same folder by another name.
                self.file_paths.store(Arc::new(new));
                return Ok(moved);
            }
            self.check_own_way(&old, &files, &here, &there)
                .map_err(|(file, fault)| self.error_at(&new, file, fault))?;
        }
        if mode == MoveMode::FailIfExist && carried.is_none() {
            self.refuse_existing(common, &new, &files)?;
        }
        if self.spec.awaited.is_awaited(&root, None) {
            return Err(at(DiskOp::Create, &root, Fault::FolderGone));
        }
        let mut made = path::missing_ancestors(&root);
        path::create_root(&root).map_err(|fault| at(DiskOp::Create, &root, fault))?;
        if !mode.moves() {
            self.file_paths.store(Arc::new(new));
            self.learn_root();
            // What is there is not our work.
            drop(self.touched.take());
            if mode == MoveMode::ResetSavePathUnchecked {
                self.survey_parts(common)?;
            }
            return Ok(moved);
        }
        made.extend(path::missing_folders(
            &root,
            files.iter().map(|&file| new.name(file)),
        ));
        let mut steps = Vec::new();
        // Nothing of these is undone: the process that moved them is gone.
        let mut before = Vec::new();
        for &file in &files {
            let is_carried = carried.map(|carried| carried.contains(&file));
            let carry = || self.carry(common, &old, &new, file, mode, is_carried);
            match common.files.patiently(carry) {
                Ok(Carried::Nothing) => {}
                Ok(Carried::Before) => before.push(file),
                Ok(Carried::Kept) => {
                    moved.needs_check = true;
                    self.touched.clear(file.0);
                }
                Ok(Carried::Moved(step)) => steps.push(step),
                Err(fault) => {
                    let error = self.error_at(&new, file, fault);
                    roll_back(&old, &new, steps, &made);
                    return Err(error);
                }
            }
        }
        let names = || {
            let files = steps.iter().map(|step| step.file);
            files.chain(before.iter().copied()).map(|it| old.name(it))
        };
        let synced = common.files.patiently(|| {
            let struck = common.faults.strike(DiskOp::Sync, self.parts_file());
            struck.and_then(|()| path::sync_folders(&root, names(), &made))
        });
        if let Err(fault) = synced {
            let error = self.error_at(&new, self.parts_file(), fault);
            roll_back(&old, &new, steps, &made);
            return Err(error);
        }
        self.file_paths.store(Arc::new(new));
        self.learn_root();
        self.clear_old_place(common, &old, &root, &steps, &before);
        Ok(moved)
    }

    /// Refuses a move where a file with one of the names is at the new place.
    fn refuse_existing(
        &self,
        common: &Common,
        new: &FilePaths,
        files: &[FileIndex],
    ) -> Result<(), DiskError> {
        for &file in files {
            let found = common
                .files
                .patiently(|| path::length(&new.root, new.name(file)));
            let fault = match found {
                Ok(None) => continue,
                Ok(Some(_)) => Fault::Exists,
                Err(fault) => fault,
            };
            return Err(self.error_at(new, file, fault));
        }
        Ok(())
    }

    /// Removes what a move leaves behind: files that were copied or replaced,
    /// links and empty folders. What fails stays there, and is logged.
    fn clear_old_place(
        &self,
        common: &Common,
        old: &FilePaths,
        root: &Path,
        steps: &[MoveStep],
        before: &[FileIndex],
    ) {
        let names = || {
            let files = steps.iter().map(|step| step.file);
            files.chain(before.iter().copied()).map(|it| old.name(it))
        };
        for step in steps {
            // Everything is at the new place; these are only in the way.
            let replaced = step.aside.as_ref().map(|aside| (root, aside.as_path()));
            let source = step.copied.then(|| (&*old.root, old.name(step.file)));
            for (root, name) in replaced.into_iter().chain(source) {
                let removed = common.files.patiently(|| path::remove_file(root, name));
                if let Err(error) = removed {
                    let file = root.join(name);
                    tracing::warn!(file = %file.display(), %error, "moved, but an old file stays");
                }
            }
        }
        self.carry_links(old, &self.file_paths());
        if let Err(error) = path::sync_folders(&old.root, names(), &[]) {
            tracing::warn!(folder = %old.root.display(), %error, "moved, but not synced");
        }
        let links = self.spec.links.keys().map(|&link| old.name(link));
        path::remove_empty_folders(&old.root, names().chain(links));
    }

    /// Refuses a move that puts a file where another one of the torrent is to
    /// be moved from, as from a folder into one of its own.
    fn check_own_way(
        &self,
        old: &FilePaths,
        files: &[FileIndex],
        here: &Path,
        there: &Path,
    ) -> Result<(), (FileIndex, Fault)> {
        if !here.starts_with(there) && !there.starts_with(here) {
            return Ok(());
        }
        let sources: HashSet<_> = files
            .iter()
            .map(|&file| here.join(old.name(file)))
            .collect();
        let mut files = files.iter();
        match files.find(|&&file| sources.contains(&there.join(old.name(file)))) {
            Some(&file) => Err((file, Fault::Exists)),
            None => Ok(()),
        }
    }

    fn error_at(&self, file_paths: &FilePaths, file: FileIndex, fault: Fault) -> DiskError {
        let path = file_paths.root.join(file_paths.name(file));
        let known = (file != self.parts_file()).then_some(file);
        DiskError::new(DiskOp::Move, known, &path, fault)
    }

    /// Brings one file to its new place. `is_carried` is known of a move that
    /// was cut short: whether the file was there when it began.
    fn carry(
        &self,
        common: &Common,
        old: &FilePaths,
        new: &FilePaths,
        file: FileIndex,
        mode: MoveMode,
        is_carried: Option<bool>,
    ) -> Result<Carried, Fault> {
        self.go_on()?;
        let name = old.name(file);
        let there = path::stat(&new.root, name)?;
        let here = path::stat(&old.root, name)?;
        let is_there = there.is_some();
        if is_carried == Some(true) && is_there {
            if here.is_none() {
                return Ok(Carried::Before);
            }
            if mode != MoveMode::DontReplace && is_same(here, there) {
                return Ok(Carried::Moved(MoveStep {
                    file,
                    copied: true,
                    aside: None,
                }));
            }
        }
        // Of a move that was cut short: it was not there when that began.
        let keeps =
            mode == MoveMode::DontReplace || mode == MoveMode::FailIfExist && is_carried.is_some();
        if keeps && is_there {
            return Ok(Carried::Kept);
        }
        if here.is_none() {
            return Ok(Carried::Nothing);
        }
        let mut aside = None;
        if mode == MoveMode::AlwaysReplaceFiles && is_there {
            aside = Some(self.put_aside(new, file)?);
        }
        match self.bring((&old.root, name), (&new.root, name), common, file) {
            Ok(copied) => Ok(Carried::Moved(MoveStep {
                file,
                copied,
                aside,
            })),
            Err(fault) => {
                put_back(new, file, aside.as_deref());
                Err(fault)
            }
        }
    }

    /// Renames or copies one file. Whether it was copied.
    fn bring(
        &self,
        from: (&Path, &Path),
        to: (&Path, &Path),
        common: &Common,
        file: FileIndex,
    ) -> Result<bool, Fault> {
        let renamed = common
            .faults
            .strike(DiskOp::Move, file)
            .and_then(|()| path::rename(from, to));
        match renamed {
            Ok(()) => Ok(false),
            Err(Fault::Io(error)) if error.kind() == io::ErrorKind::CrossesDevices => {
                self.copy(from, to, common, file)?;
                Ok(true)
            }
            Err(fault) => Err(fault),
        }
    }

    pub(super) fn has_copied_files(
        &self,
        common: &Common,
        to: &Path,
        carried: &BTreeSet<FileIndex>,
    ) -> Result<bool, DiskError> {
        let old = self.file_paths();
        let mut new = FilePaths::clone(&old);
        to.clone_into(&mut new.root);
        let mut any = false;
        for &file in carried {
            let name = old.name(file);
            let look = || {
                for number in 0..MAX_NAMES {
                    let copy = self.beside(name, file, COPY, number);
                    if path::length(&new.root, &copy)?.is_none() {
                        break;
                    }
                    path::remove_file(&new.root, &copy)?;
                }
                let here = path::stat(&old.root, name)?;
                Ok(is_same(here, path::stat(&new.root, name)?))
            };
            let is_copied = common.files.patiently(look);
            any |= is_copied.map_err(|fault| self.error_at(&new, file, fault))?;
        }
        Ok(any)
    }

    /// Gives what is in the place of `file` another name in its folder.
    fn put_aside(&self, new: &FilePaths, file: FileIndex) -> Result<PathBuf, Fault> {
        let name = new.name(file);
        self.temporary(name, file, "replaced", |aside| {
            path::rename((&new.root, name), (&new.root, aside))
        })
        .map(|((), aside)| aside)
    }

    /// Tries names beside `name` until one is free for `make`.
    pub(super) fn temporary<T>(
        &self,
        name: &Path,
        file: FileIndex,
        what: &str,
        make: impl Fn(&Path) -> Result<T, Fault>,
    ) -> Result<(T, PathBuf), Fault> {
        let mut number = 0;
        loop {
            let beside = self.beside(name, file, what, number);
            match make(&beside) {
                // Left by a move that was killed, or not ours.
                Err(Fault::Exists) if number < MAX_NAMES => number += 1,
                made => return Ok((made?, beside)),
            }
        }
    }
}

impl FileStorage {
    /// A temporary name for `file` in the folder of `name`. It has the torrent's
    /// hash in it, as the part file's name has.
    fn beside(&self, name: &Path, file: FileIndex, what: &str, number: u32) -> PathBuf {
        let file_paths = self.file_paths();
        let parts = file_paths.name(self.parts_file());
        let beside = parts.with_extension(format!("{what}{file}.{number}"));
        name.with_file_name(beside.file_name().unwrap_or_default())
    }
}

/// Whether these are one file and its copy.
pub(super) fn is_same(one: Option<FileStat>, other: Option<FileStat>) -> bool {
    one.zip(other).is_some_and(|(one, other)| {
        one.length == other.length && one.modified.abs_diff(other.modified) <= TIME_STEP
    })
}

/// What became of one file.
enum Carried {
    /// There was none.
    Nothing,
    /// It was at its new place already, moved before the move was cut short.
    Before,
    /// The one at the new place was kept.
    Kept,
    Moved(MoveStep),
}

/// Brings back what was moved, and takes away the folders that were made.
fn roll_back(old: &FilePaths, new: &FilePaths, steps: Vec<MoveStep>, made: &[PathBuf]) {
    let names: Vec<&Path> = steps.iter().map(|step| old.name(step.file)).collect();
    for step in steps.into_iter().rev() {
        let name = old.name(step.file);
        let undone = if step.copied {
            path::remove_file(&new.root, name)
        } else {
            path::rename((&new.root, name), (&old.root, name))
        };
        match undone {
            Ok(()) => put_back(new, step.file, step.aside.as_deref()),
            Err(error) => {
                let file = new.root.join(name);
                tracing::error!(file = %file.display(), %error, "a move could not be undone");
            }
        }
    }
    // Before the journal says that nothing has changed.
    for root in [&old.root, &new.root] {
        if let Err(error) = path::sync_folders(root, names.iter().copied(), &[]) {
            tracing::error!(folder = %root.display(), %error, "a folder could not be synced");
        }
    }
    for folder in made.iter().rev() {
        // Something else may be in it by now.
        let _ = std::fs::remove_dir(folder);
    }
}

/// Gives back its name to what was put aside.
fn put_back(new: &FilePaths, file: FileIndex, aside: Option<&Path>) {
    let Some(aside) = aside else { return };
    if let Err(error) = path::rename((&new.root, aside), (&new.root, new.name(file))) {
        let file = new.root.join(aside);
        tracing::error!(file = %file.display(), %error, "a replaced file could not be put back");
    }
}
