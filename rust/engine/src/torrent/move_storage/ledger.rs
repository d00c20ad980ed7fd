//! The journal of moves and renames: a change is written down before it begins
//! and when it is over, and one that was cut short by the end of its process is
//! dropped or finished.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use torrent_core::ids::FileIndex;
use torrent_core::move_journal::{JournalChange, JournalStep, MoveJournal, Recovery};

use super::super::save_path::Looking;
use super::StorageWorkResult;
use crate::context::path_claims::{PathLease, Reserved, Sharing};
use crate::disk::{DiskError, MoveMode, Moved, Storage};
use crate::error::{Error, ErrorKind, Result};
use crate::operation::Operation;
use crate::state_dir::{Part, StateStore};
use crate::torrent::handle::resume::{path_bytes, path_of};

/// Why an interrupted change could not be finished.
pub(in super::super) enum Halted {
    /// The system has no descriptor or no memory for us at the moment.
    Shortage(DiskError),
    Failed(Error),
}

impl Halted {
    fn of(error: DiskError, failed: impl FnOnce(&DiskError) -> Error) -> Self {
        if error.is_transient() {
            return Self::Shortage(error);
        }
        Self::Failed(failed(&error))
    }
}

impl From<DiskError> for Halted {
    fn from(error: DiskError) -> Self {
        Self::of(error, |error| error.clone().into())
    }
}

impl From<Error> for Halted {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Nothing was moved, for this reason.
fn refused_move(to: &Path, error: &Error) -> Error {
    let words = format!("to {}: {}", to.display(), error.message());
    Error::because(ErrorKind::StorageMoveFailed, words).about(error.context())
}

/// Nothing was renamed, for this reason.
fn refused_rename(error: &Error) -> Error {
    Error::because(ErrorKind::FileRenameFailed, error.message().to_owned()).about(error.context())
}

/// Writes down where the files are.
pub(super) struct Ledger {
    pub(super) state_store: Option<Arc<StateStore>>,
    pub(super) lease: Arc<PathLease>,
    pub(super) journal: MoveJournal,
}

impl Ledger {
    async fn write(&self) -> Result<()> {
        let Some(state_store) = &self.state_store else {
            return Ok(());
        };
        let data = self.journal.encode().into();
        let written = state_store.save(self.journal.info_hash, Part::MoveJournal, data);
        written
            .await
            .map_err(|error| Error::from_io(&error, state_store.folder()))
    }

    /// A change begins, unless that cannot be written down.
    async fn begin(
        &mut self,
        storage: &Storage,
        step: JournalStep,
        files: Vec<FileIndex>,
    ) -> Result<()> {
        if self.state_store.is_none() {
            return Ok(());
        }
        let carried = storage.present(files).await.map_err(Error::from)?;
        let carried = carried.into_iter().collect();
        self.journal.change = Some(JournalChange { step, carried });
        self.write().await
    }

    /// The change is over, and all files are where `journal` says.
    async fn end(&mut self) {
        self.journal.change = None;
        // The journal on disk names both places, and the state directory goes on
        // trying.
        let _ = self.write().await;
    }

    fn moved(&mut self, moved: &Moved) {
        self.journal.save_path = path_bytes(&moved.to);
        self.journal.needs_check |= moved.needs_check;
    }

    pub(super) async fn relocate(
        mut self,
        look: Option<Looking>,
        storage: Option<Storage>,
        from: PathBuf,
        (to, mode): (PathBuf, MoveMode),
    ) -> Result<Moved> {
        let Some(storage) = storage else {
            // No file exists yet.
            self.journal.save_path = path_bytes(&to);
            self.write().await?;
            let needs_check = false;
            return Ok(Moved {
                from,
                to,
                needs_check,
            });
        };
        if let Some(look) = look {
            let found = look.expect_folder().await;
            found.map_err(|error| refused_move(&to, &error))?;
        }
        let step = JournalStep::Move {
            to: path_bytes(&to),
            mode: mode.number(),
        };
        let reserved = self.take_folder(&to, mode).await?;
        let files = storage.all_files();
        let outcome = match self.begin(&storage, step, files).await {
            Ok(()) => {
                let outcome = storage.relocate(to.clone(), mode).await;
                outcome.map_err(|error| move_failed(&to, &error))
            }
            Err(error) => Err(refused_move(&to, &error)),
        };
        match &outcome {
            Ok(moved) => {
                self.lease.moved(&reserved);
                self.moved(moved);
            }
            Err(_) => self.lease.give_up(&reserved),
        }
        self.end().await;
        outcome
    }

    /// Claims the new paths of all files, if no other torrent has them.
    async fn take_folder(&self, to: &Path, mode: MoveMode) -> Result<Reserved> {
        let sharing = match mode.moves() {
            true => Sharing::Never,
            false => Sharing::Same,
        };
        let (lease, folder) = (&self.lease, to.to_owned());
        let taken = lease.take_folder(folder, sharing).await;
        taken.map_err(|error| refused_move(to, &error).during(Operation::FileRename))
    }

    /// Claims the new path of a renamed file, if no other torrent has it.
    async fn take_name(&self, file: FileIndex, name: &str) -> Result<Reserved> {
        let taken = self.lease.take_name(file, name.to_owned()).await;
        taken.map_err(|error| refused_rename(&error).during(Operation::FileRename))
    }

    pub(super) async fn rename(
        mut self,
        look: Option<Looking>,
        storage: Storage,
        file: FileIndex,
        name: String,
    ) -> Result<PathBuf> {
        if let Some(look) = look {
            let found = look.expect_folder().await;
            found.map_err(|error| refused_rename(&error))?;
        }
        let reserved = self.take_name(file, &name).await?;
        let to = name.clone().into_bytes();
        let step = JournalStep::Rename {
            file,
            to: to.clone(),
        };
        let outcome = match self.begin(&storage, step, vec![file]).await {
            Ok(()) => {
                let outcome = storage.rename(file, PathBuf::from(&name)).await;
                outcome.map_err(|error| rename_failed(&error))
            }
            Err(error) => Err(refused_rename(&error)),
        };
        if outcome.is_ok() {
            self.lease.renamed(&reserved, file, &name);
            self.journal.renamed.insert(file, to);
        } else {
            self.lease.give_up(&reserved);
        }
        self.end().await;
        outcome
    }

    /// Does what is to be done about a change that was cut short. `there` is a
    /// storage as it is when the change is over.
    pub(super) async fn redo(
        mut self,
        storage: Storage,
        there: Storage,
        change: JournalChange,
    ) -> std::result::Result<Option<StorageWorkResult>, Halted> {
        let carried: BTreeSet<_> = change.carried.iter().copied().collect();
        let old = storage.present(change.carried.clone()).await?;
        let new = there.present(change.carried.clone()).await?;
        let verdict = change.judge(|file| old.contains(&file), |file| new.contains(&file));
        let has_copies = match &change.step {
            JournalStep::Move { to, .. } => {
                storage.has_copies(path_of(to), carried.clone()).await?
            }
            JournalStep::Rename { .. } => false,
        };
        let verdict = match verdict {
            // It had begun, although every file is still at its old place.
            Recovery::Drop if has_copies => Recovery::Finish,
            verdict => verdict,
        };
        let done = match (verdict, change.step) {
            (Recovery::Drop, _) => None,
            (Recovery::Missing(_), step) => return Err(missing(&storage, &there, &step).into()),
            (Recovery::Finish, JournalStep::Move { to, mode }) => {
                let mode = MoveMode::from_number(mode.into()).unwrap_or_default();
                let to = path_of(&to);
                let reserved = self.take_folder(&to, mode).await?;
                let outcome = storage.relocate_rest(to.clone(), mode, carried).await;
                let moved = outcome.map_err(|error| {
                    self.lease.give_up(&reserved);
                    Halted::of(error, |error| move_failed(&to, error))
                })?;
                self.lease.moved(&reserved);
                self.moved(&moved);
                Some(StorageWorkResult::Moved(moved))
            }
            (Recovery::Finish, JournalStep::Rename { file, to }) => {
                let name = path_of(&to);
                let words = name.to_string_lossy().into_owned();
                let reserved = self.take_name(file, &words).await?;
                let outcome = storage.rename(file, name.clone()).await;
                let old = outcome.map_err(|error| {
                    self.lease.give_up(&reserved);
                    Halted::of(error, rename_failed)
                })?;
                self.lease.renamed(&reserved, file, &words);
                self.journal.renamed.insert(file, to);
                Some(StorageWorkResult::Renamed(file, old, name))
            }
        };
        self.end().await;
        Ok(done)
    }
}

/// Why files are at neither place: most likely a disk is not mounted.
fn missing(old: &Storage, new: &Storage, step: &JournalStep) -> Error {
    let (old, new) = (old.save_path(), new.save_path());
    let folder = if old.exists() { new } else { old };
    let what = match step {
        JournalStep::Move { .. } => "a move was cut short",
        JournalStep::Rename { .. } => "a file was being renamed",
    };
    let folder = folder.display().to_string();
    let words = format!("{what}, and files are missing in the folder {folder}");
    Error::because(ErrorKind::PathNotFound, words).about(folder)
}

fn move_failed(to: &Path, error: &DiskError) -> Error {
    let words = format!("to {}: {error}", to.display());
    Error::because(ErrorKind::StorageMoveFailed, words)
        .about(error.path.display().to_string())
        .during(error.op.operation())
}

fn rename_failed(error: &DiskError) -> Error {
    Error::because(ErrorKind::FileRenameFailed, error.to_string())
        .about(error.path.display().to_string())
        .during(error.op.operation())
}
