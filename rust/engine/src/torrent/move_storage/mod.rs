//! Moving and renaming: carries out what the game asks for, one thing after
//! the other, and posts the outcome.
//!
//! Where the state directory is kept, a change is written down before it
//! begins and when it is over (`torrent_core::move_journal`), and only then answered.
//! What is written goes before the record until a record of the new place is
//! there. A change that was cut short is dropped or finished when the torrent
//! comes back, before anything else looks at the files.

mod ledger;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};
use torrent_core::ids::FileIndex;
use torrent_core::metainfo::Info;
use torrent_core::move_journal::{JournalChange, JournalStep, MoveJournal};

use super::completion::CompletionGuard;
use super::{Driver, TaskEnd, metadata};
use crate::disk::{Moved, Storage};
use crate::error::{Error, ErrorKind, Result};
use crate::event::command_sequence::CommandTopic;
use crate::event::{FailedRename, FileRename, StorageMove, typed};
use crate::torrent::handle::resume::{SaveFlags, path_bytes, path_of};
use crate::torrent::handle::storage::StorageCommand;
use ledger::{Halted, Ledger};

/// What waits for the outcome.
pub(super) struct StorageReply {
    sender: Option<oneshot::Sender<Result<()>>>,
    guard: CompletionGuard,
}

impl StorageReply {
    /// Gives the outcome, which an event has reported.
    fn give(self, outcome: Result<()>) {
        self.guard.complete();
        if let Some(sender) = self.sender {
            // The receiver may be gone.
            let _ = sender.send(outcome);
        }
    }
}

/// The state of moves and renames.
#[derive(Debug, Default)]
pub(super) struct StorageWork {
    /// Moves and renames that have not begun.
    queue: VecDeque<(StorageCommand, CompletionGuard)>,
    /// A change is under way.
    busy: bool,
    /// Changes wait until the torrent's paths are claimed.
    held: bool,
    /// A change of an earlier session that was cut short.
    redo: Option<JournalChange>,
    /// The files have to be checked where they are.
    needs_check: bool,
    /// The state directory has them written down beside the record.
    written: bool,
    /// Counts changes: a record from before one does not cover it.
    epoch: u64,
    /// Metadata that came during a change: which files there are counts from
    /// when it is known where they are.
    metadata: Option<Arc<Info>>,
}

impl StorageWork {
    /// What the state directory has beside the record.
    pub(super) fn restored(journal: Option<Box<MoveJournal>>) -> Self {
        let written = journal.is_some();
        let (redo, needs_check) = journal.map_or((None, false), |journal| {
            (journal.change, journal.needs_check)
        });
        Self {
            written,
            redo,
            needs_check,
            ..Self::default()
        }
    }

    /// A change of an earlier session that was cut short, and is not finished.
    pub(super) fn interrupted(&self) -> Option<&JournalChange> {
        self.redo.as_ref()
    }

    /// Whether a change is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.busy
    }

    /// The torrent ends: drops changes that have not begun. Whether metadata had
    /// waited for one.
    pub(super) fn give_up(&mut self) -> bool {
        self.queue.clear();
        self.metadata.take().is_some()
    }

    /// The look at an interrupted change failed.
    pub(super) fn look_failed(&mut self) {
        self.busy = false;
    }

    /// Whether metadata has to wait for the end of a change, which it does
    /// then, or has come already.
    pub(super) fn holds_metadata(&mut self, info: &Arc<Info>) -> bool {
        if self.busy {
            self.metadata = Some(Arc::clone(info));
        }
        self.busy || self.held
    }

    /// Paths are being claimed: no change begins meanwhile.
    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    /// Changes may begin.
    pub(super) fn let_go(&mut self) {
        self.held = false;
    }

    /// Which changes a record made now covers; `None` while it cannot.
    pub(super) fn epoch(&self) -> Option<u64> {
        (!self.busy && self.redo.is_none()).then_some(self.epoch)
    }

    /// Whether a record that was written makes what stands beside it void.
    pub(super) fn is_recorded_by(&mut self, record: Option<u64>) -> bool {
        self.written && record.is_some() && record == self.epoch() && {
            self.written = false;
            true
        }
    }

    /// Whether what was there before is not known to be here.
    pub(super) fn needs_check(&self) -> bool {
        self.needs_check
    }

    /// What is here is known now.
    pub(super) fn was_checked(&mut self) {
        self.needs_check = false;
    }
}

/// The outcome of a move or rename.
pub(super) enum StorageWorkEnd {
    Moved(Result<Moved>, StorageReply),
    Renamed {
        file: FileIndex,
        name: String,
        outcome: Result<PathBuf>,
        answer: StorageReply,
    },
    /// What had been cut short is dropped (`None`), finished, or has to wait.
    Redone(std::result::Result<Option<StorageWorkResult>, Halted>),
}

/// A change that was finished.
pub(super) enum StorageWorkResult {
    Moved(Moved),
    Renamed(FileIndex, PathBuf, PathBuf),
}

impl Driver {
    fn ledger(&self) -> Ledger {
        let renamed = self.handle.file_names();
        let renamed = renamed.iter();
        Ledger {
            state_store: self.records.saver.state_store(),
            lease: Arc::clone(&self.location.lease),
            journal: MoveJournal {
                info_hash: self.handle.info_hash(),
                save_path: path_bytes(&self.handle.save_path()),
                renamed: renamed
                    .map(|(&file, name)| (file, name.clone().into_bytes()))
                    .collect(),
                needs_check: self.location.work.needs_check,
                change: None,
            },
        }
    }

    /// Starts or queues a move or a rename.
    pub(super) fn start_storage_command(&mut self, command: StorageCommand) {
        if matches!(command, StorageCommand::Move { .. }) {
            self.handle.shared.asked.saw_one(CommandTopic::Move);
        }
        let guard = self.guard_of_storage_command(&command);
        let failed = self
            .failure
            .error
            .as_ref()
            .filter(|_| self.location.work.redo.is_some());
        if let Some(error) = failed.cloned() {
            // An interrupted change of an earlier session cannot be finished.
            return self.refuse_storage_command(command, guard, error);
        }
        if self.is_moving() && matches!(command, StorageCommand::Move { .. }) {
            let busy = Error::because(ErrorKind::StorageMoveFailed, "it is being moved already");
            return self.refuse_storage_command(command, guard, busy);
        }
        self.location.work.queue.push_back((command, guard));
        self.place_next();
    }

    /// Whether its files are being moved, or are going to be.
    pub(super) fn is_moving(&self) -> bool {
        let mut waiting = self.location.work.queue.iter();
        let is_move = |command: &StorageCommand| matches!(command, StorageCommand::Move { .. });
        self.storage.work.moving || waiting.any(|(command, _)| is_move(command))
    }

    fn refuse_storage_command(
        &self,
        command: StorageCommand,
        guard: CompletionGuard,
        error: Error,
    ) {
        match command {
            StorageCommand::Move { answer: sender, .. } => {
                self.move_refused(error, StorageReply { sender, guard });
            }
            StorageCommand::Rename {
                file,
                answer: sender,
                ..
            } => self.rename_refused(file, error, StorageReply { sender, guard }),
        }
    }

    fn move_refused(&self, error: Error, answer: StorageReply) {
        let outcome = error.clone();
        self.post(typed::STORAGE_MOVED_FAILED, || outcome);
        answer.give(Err(error));
    }

    pub(super) fn place_next(&mut self) {
        if self.location.work.busy || self.location.work.held || self.location.work.redo.is_some() {
            return;
        }
        let Some((command, guard)) = self.location.work.queue.pop_front() else {
            return;
        };
        let (storage, ledger) = (self.storage.slot.get().cloned(), self.ledger());
        let look = self.look_before_change();
        match command {
            StorageCommand::Move { to, mode, answer } => {
                let answer = StorageReply {
                    sender: answer,
                    guard,
                };
                self.change_begins();
                self.storage.work.moving = storage.is_some();
                self.hold_download();
                self.publish(Instant::now());
                let from = self.handle.save_path().as_ref().clone();
                self.tasks.spawn(async move {
                    let to = std::path::absolute(&to).unwrap_or(to);
                    let look = look.filter(|_| mode.moves());
                    let moved = ledger.relocate(look, storage, from, (to, mode)).await;
                    TaskEnd::StorageWork(StorageWorkEnd::Moved(moved, answer))
                });
            }
            StorageCommand::Rename { file, name, answer } => {
                let answer = StorageReply {
                    sender: answer,
                    guard,
                };
                let Some(storage) = storage else {
                    self.rename_refused(file, Error::new(ErrorKind::NoMetadata), answer);
                    return self.place_next();
                };
                self.change_begins();
                self.tasks.spawn(async move {
                    let outcome = ledger.rename(look, storage, file, name.clone()).await;
                    TaskEnd::StorageWork(StorageWorkEnd::Renamed {
                        file,
                        name,
                        outcome,
                        answer,
                    })
                });
            }
        }
    }

    fn change_begins(&mut self) {
        self.location.work.busy = true;
        self.location.work.epoch += 1;
        self.location.work.written = true;
    }

    pub(super) fn storage_work_ended(&mut self, end: StorageWorkEnd) {
        self.location.work.busy = false;
        match end {
            StorageWorkEnd::Moved(outcome, answer) => {
                self.storage.work.moving = false;
                match outcome {
                    Ok(moved) => {
                        self.now_at(moved);
                        answer.give(Ok(()));
                    }
                    Err(error) => self.move_refused(error, answer),
                }
                self.hold_download();
            }
            StorageWorkEnd::Renamed {
                file,
                name,
                outcome,
                answer,
            } => match outcome {
                Ok(old) => {
                    self.now_named(file, name, &old);
                    answer.give(Ok(()));
                }
                Err(error) => self.rename_refused(file, error, answer),
            },
            StorageWorkEnd::Redone(outcome) => self.redone(outcome),
        }
        // The record is to say so too, or that nothing is under way.
        self.unsaved(SaveFlags::IF_CONFIG_CHANGED);
        self.publish(Instant::now());
        if let Some(info) = self.location.work.metadata.take() {
            self.metadata_known(info);
        }
        self.place_next();
    }

    fn now_at(&mut self, moved: Moved) {
        let Moved {
            from,
            to,
            needs_check,
        } = moved;
        self.handle.shared.save_path.store(to.clone().into());
        self.publish(Instant::now());
        self.post(typed::STORAGE_MOVED, || StorageMove { to, from });
        if needs_check {
            // What the record says of the old place is not so here.
            self.records.resume_state.claim_nothing();
            self.location.work.needs_check = true;
            self.mark_all_unknown();
            self.recheck();
        }
    }

    fn now_named(&mut self, file: FileIndex, name: String, old: &Path) {
        let mut options = self.handle.shared.options.lock();
        Arc::make_mut(&mut options.renamed_files).insert(file, name.clone());
        drop(options);
        self.unsaved(SaveFlags::IF_STATE_CHANGED);
        self.post(typed::FILE_RENAMED, || FileRename {
            file,
            new_name: name,
            old_name: old.to_string_lossy().into_owned(),
        });
    }

    fn rename_refused(&self, file: FileIndex, error: Error, answer: StorageReply) {
        let outcome = error.clone();
        self.post(typed::FILE_RENAME_FAILED, || FailedRename {
            file,
            error: outcome,
        });
        answer.give(Err(error));
    }

    /// Looks what became of a change that was cut short. False if there is
    /// none.
    pub(super) fn redoes_change(&mut self) -> bool {
        let Some((change, storage)) = self
            .location
            .work
            .redo
            .clone()
            .zip(self.storage.slot.get().cloned())
        else {
            return false;
        };
        if self.location.work.busy {
            return true;
        }
        let there = match self.storage_after(&change.step) {
            Ok(there) => there,
            Err(error) => {
                tracing::warn!(%error, "a change of places cannot be finished");
                self.location.work.redo = None;
                return false;
            }
        };
        self.location.work.busy = true;
        let ledger = self.ledger();
        self.tasks.spawn(async move {
            let outcome = ledger.redo(storage, there, change).await;
            TaskEnd::StorageWork(StorageWorkEnd::Redone(outcome))
        });
        true
    }

    /// The files as they lie when a change is over.
    pub(super) fn storage_after(&self, step: &JournalStep) -> Result<Storage> {
        let metainfo = self.handle.metainfo();
        let metainfo = metainfo.ok_or_else(|| Error::new(ErrorKind::NoMetadata))?;
        let mut renamed = self.handle.file_names();
        let mut save_path = self.handle.save_path().as_ref().clone();
        apply_step(step, &mut save_path, Arc::make_mut(&mut renamed));
        let spec = metadata::spec_at(&metainfo.info, &self.handle, &save_path, renamed)?;
        // It is only looked at.
        let (events, _) = mpsc::channel(1);
        Ok(self.context.disk.open(spec, events))
    }

    fn redone(&mut self, outcome: std::result::Result<Option<StorageWorkResult>, Halted>) {
        let done = match outcome {
            Ok(done) => done,
            Err(Halted::Shortage(error)) => return self.start_later(error),
            Err(Halted::Failed(error)) => {
                for (command, guard) in std::mem::take(&mut self.location.work.queue) {
                    self.refuse_storage_command(command, guard, error.clone());
                }
                return self.start_failed(error);
            }
        };
        self.location.work.redo = None;
        // The files may have another folder now.
        self.location.awaited = None;
        match done {
            Some(StorageWorkResult::Moved(moved)) => {
                let Moved { from, to, .. } = moved;
                self.handle.shared.save_path.store(to.clone().into());
                if moved.needs_check {
                    self.location.work.needs_check = true;
                    self.records.resume_state.claim_nothing();
                }
                self.post(typed::STORAGE_MOVED, || StorageMove { to, from });
            }
            Some(StorageWorkResult::Renamed(file, old, name)) => {
                self.now_named(file, name.to_string_lossy().into_owned(), &old);
            }
            None => {}
        }
        self.check_input(|checks| checks.start_goes_on(true));
    }
}

/// Makes these the places of the files when a change is over.
pub(super) fn apply_step(
    step: &JournalStep,
    save_path: &mut PathBuf,
    renamed: &mut BTreeMap<FileIndex, String>,
) {
    match step {
        JournalStep::Move { to, .. } => *save_path = path_of(to),
        JournalStep::Rename { file, to } => {
            renamed.insert(*file, String::from_utf8_lossy(to).into_owned());
        }
    }
}
