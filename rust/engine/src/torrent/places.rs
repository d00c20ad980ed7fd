//! Moving and renaming: carries out what the game asks for, one thing after
//! the other, and tells of it.
//!
//! Where the state directory is kept, a change is written down before it
//! begins and when it is over (`torrent_core::places`), and only then answered.
//! What is written goes before the record until a record of the new place is
//! there. A change that was cut short is dropped or finished when the torrent
//! comes back, before anything else looks at the files.

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};
use torrent_core::ids::FileIndex;
use torrent_core::metainfo::Info;
use torrent_core::places::{Change, Places, Step, Verdict};

use super::{Driver, TaskEnd, content};
use crate::asked::Topic;
use crate::disk::{DiskError, MoveMode, Moved, Storage};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Detail, kind};
use crate::operation::Operation;
use crate::placement::Placing;
use crate::resume::{SaveFlags, path_bytes, path_of};
use crate::state::{Keeper, Part};
use crate::territory::{Lease, Reserved, Sharing};

/// Who waits for the outcome, if anybody does.
type Answer = Option<oneshot::Sender<Result<()>>>;

/// What the driver knows of changes of places.
#[derive(Debug, Default)]
pub(super) struct PlaceWork {
    /// What the game asked for and has not begun.
    queue: VecDeque<Placing>,
    /// A change is under way.
    busy: bool,
    /// Changes wait until the torrent has a place.
    held: bool,
    /// A change of an earlier session that was cut short.
    redo: Option<Change>,
    /// The files have to be checked where they are.
    needs_check: bool,
    /// The state directory has them written down beside the record.
    written: bool,
    /// Counts changes: a record from before one does not speak for it.
    epoch: u64,
    /// Metadata that came during a change: which files there are counts from
    /// when it is known where they are.
    metadata: Option<Arc<Info>>,
}

impl PlaceWork {
    /// What the state directory has beside the record.
    pub(super) fn restored(places: Option<Box<Places>>) -> Self {
        let written = places.is_some();
        let (redo, needs_check) =
            places.map_or((None, false), |places| (places.change, places.needs_check));
        Self {
            written,
            redo,
            needs_check,
            ..Self::default()
        }
    }

    /// Whether metadata has to wait for the end of a change, which it does
    /// then, or has come already.
    pub(super) fn holds_metadata(&mut self, info: &Arc<Info>) -> bool {
        if self.busy {
            self.metadata = Some(Arc::clone(info));
        }
        self.busy || self.held
    }

    /// A place is going to be taken: no change begins meanwhile.
    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    /// Changes may begin.
    pub(super) fn let_go(&mut self) {
        self.held = false;
    }

    /// What a record of now speaks for; `None` while it cannot.
    pub(super) fn epoch(&self) -> Option<u64> {
        (!self.busy && self.redo.is_none()).then_some(self.epoch)
    }

    /// Whether a record that was written makes what stands beside it void.
    pub(super) fn is_settled_by(&mut self, record: Option<u64>) -> bool {
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

/// What a change of places came to.
pub(super) enum PlaceEnd {
    Moved(Result<Moved>, Answer),
    Renamed {
        file: FileIndex,
        name: String,
        outcome: Result<PathBuf>,
        answer: Answer,
    },
    /// What had been cut short is dropped (`None`), finished, or has to wait.
    Redone(Result<Option<Done>>),
}

/// A change that was finished.
pub(super) enum Done {
    Moved(Moved),
    Renamed(FileIndex, PathBuf, PathBuf),
}

/// Writes down where the files are.
struct Ledger {
    keeper: Option<Arc<Keeper>>,
    lease: Arc<Lease>,
    places: Places,
}

impl Ledger {
    async fn write(&self) -> Result<()> {
        let Some(keeper) = &self.keeper else {
            return Ok(());
        };
        let data = self.places.encode().into();
        let written = keeper.save(self.places.info_hash, Part::Places, data);
        written
            .await
            .map_err(|error| Error::from_io(&error, keeper.folder()))
    }

    /// A change begins, unless that cannot be written down.
    async fn begin(&mut self, storage: &Storage, step: Step, files: Vec<FileIndex>) -> Result<()> {
        if self.keeper.is_none() {
            return Ok(());
        }
        let carried = present(storage, files).await.into_iter().collect();
        self.places.change = Some(Change { step, carried });
        self.write().await
    }

    /// It is over, and everything is where `places` says.
    async fn end(&mut self) {
        self.places.change = None;
        // What stands there says both places, and the state directory goes on
        // trying.
        let _ = self.write().await;
    }

    fn moved(&mut self, moved: &Moved) {
        self.places.save_path = path_bytes(&moved.to);
        self.places.needs_check |= moved.needs_check;
    }

    async fn relocate(
        mut self,
        storage: Option<Storage>,
        from: PathBuf,
        to: PathBuf,
        mode: MoveMode,
    ) -> Result<Moved> {
        let Some(storage) = storage else {
            // There is nothing to move yet.
            self.places.save_path = path_bytes(&to);
            self.write().await?;
            let needs_check = false;
            return Ok(Moved {
                from,
                to,
                needs_check,
            });
        };
        let step = Step::Move {
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
            Err(error) => Err(Error::because(
                ErrorKind::StorageMoveFailed,
                format!("to {}: {}", to.display(), error.message()),
            )
            .about(error.context())),
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

    /// Takes the place for the files, if no other torrent has it.
    async fn take_folder(&self, to: &Path, mode: MoveMode) -> Result<Reserved> {
        let sharing = match mode.moves() {
            true => Sharing::Never,
            false => Sharing::Same,
        };
        let (lease, folder) = (&self.lease, to.to_owned());
        lease.take_folder(folder, sharing).await.map_err(|error| {
            let words = format!("to {}: {}", to.display(), error.message());
            Error::because(ErrorKind::StorageMoveFailed, words)
                .about(error.context())
                .during(Operation::FileRename)
        })
    }

    /// Takes the place of a file by another name, if no other torrent has it.
    async fn take_name(&self, file: FileIndex, name: &str) -> Result<Reserved> {
        let taken = self.lease.take_name(file, name.to_owned()).await;
        taken.map_err(|error| {
            Error::because(ErrorKind::FileRenameFailed, error.message().to_owned())
                .about(error.context())
                .during(Operation::FileRename)
        })
    }

    async fn rename(mut self, storage: Storage, file: FileIndex, name: String) -> Result<PathBuf> {
        let reserved = self.take_name(file, &name).await?;
        let to = name.clone().into_bytes();
        let step = Step::Rename {
            file,
            to: to.clone(),
        };
        let outcome = match self.begin(&storage, step, vec![file]).await {
            Ok(()) => {
                let outcome = storage.rename(file, PathBuf::from(&name)).await;
                outcome.map_err(|error| rename_failed(&error))
            }
            Err(error) => Err(Error::because(
                ErrorKind::FileRenameFailed,
                error.message().to_owned(),
            )
            .about(error.context())),
        };
        if outcome.is_ok() {
            self.lease.renamed(&reserved, file, &name);
            self.places.renamed.insert(file, to);
        } else {
            self.lease.give_up(&reserved);
        }
        self.end().await;
        outcome
    }

    /// Does what is to be done about a change that was cut short. `there` is a
    /// storage as it is when the change is over.
    async fn redo(
        mut self,
        storage: Storage,
        there: Storage,
        change: Change,
    ) -> Result<Option<Done>> {
        let old = present(&storage, change.carried.clone()).await;
        let new = present(&there, change.carried.clone()).await;
        let verdict = change.judge(|file| old.contains(&file), |file| new.contains(&file));
        let done = match (verdict, change.step) {
            (Verdict::Drop, _) => None,
            (Verdict::Missing(_), step) => return Err(missing(&storage, &there, &step)),
            (Verdict::Finish, Step::Move { to, mode }) => {
                // What is at the new place already is ours: it was not there
                // when the move began.
                let mode = match MoveMode::from_number(mode.into()) {
                    Some(MoveMode::FailIfExist) | None => MoveMode::DontReplace,
                    Some(mode) => mode,
                };
                let to = path_of(&to);
                let reserved = self.take_folder(&to, mode).await?;
                let outcome = storage.relocate(to.clone(), mode).await;
                let moved = outcome.map_err(|error| {
                    self.lease.give_up(&reserved);
                    move_failed(&to, &error)
                })?;
                self.lease.moved(&reserved);
                self.moved(&moved);
                Some(Done::Moved(moved))
            }
            (Verdict::Finish, Step::Rename { file, to }) => {
                let name = path_of(&to);
                let words = name.to_string_lossy().into_owned();
                let reserved = self.take_name(file, &words).await?;
                let outcome = storage.rename(file, name.clone()).await;
                let old = outcome.map_err(|error| {
                    self.lease.give_up(&reserved);
                    rename_failed(&error)
                })?;
                self.lease.renamed(&reserved, file, &words);
                self.places.renamed.insert(file, to);
                Some(Done::Renamed(file, old, name))
            }
        };
        self.end().await;
        Ok(done)
    }
}

/// Those of `files` that exist.
async fn present(storage: &Storage, files: Vec<FileIndex>) -> BTreeSet<FileIndex> {
    let stats = storage.file_stats(files).await.into_iter();
    let there = stats.filter(|(_, stat)| stat.is_some());
    there.map(|(file, _)| file).collect()
}

/// Why files are at neither place: most likely a disk is not mounted.
fn missing(old: &Storage, new: &Storage, step: &Step) -> Error {
    let (old, new) = (old.save_path(), new.save_path());
    let folder = if old.exists() { new } else { old };
    let what = match step {
        Step::Move { .. } => "a move was cut short",
        Step::Rename { .. } => "a file was being renamed",
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

fn reply(answer: Answer, outcome: Result<()>) {
    if let Some(answer) = answer {
        // Nobody may be waiting any more.
        let _ = answer.send(outcome);
    }
}

impl Driver {
    fn ledger(&self) -> Ledger {
        let renamed = self.handle.shared.options.lock().renamed_files.clone();
        let renamed = renamed.into_iter();
        Ledger {
            keeper: self.saver.keeper(),
            lease: Arc::clone(&self.lease),
            places: Places {
                info_hash: self.handle.info_hash(),
                save_path: path_bytes(&self.handle.save_path()),
                renamed: renamed
                    .map(|(file, name)| (file, name.into_bytes()))
                    .collect(),
                needs_check: self.places.needs_check,
                change: None,
            },
        }
    }

    /// The game wants something elsewhere.
    pub(super) fn place(&mut self, placing: Placing) {
        if matches!(placing, Placing::Move { .. }) {
            self.handle.shared.asked.saw_one(Topic::Move);
        }
        let failed = self.error.as_ref().filter(|_| self.places.redo.is_some());
        if let Some(error) = failed.cloned() {
            // An earlier change cannot be finished.
            return self.refuse_place(placing, error);
        }
        if self.is_moving() && matches!(placing, Placing::Move { .. }) {
            let busy = Error::because(ErrorKind::StorageMoveFailed, "it is being moved already");
            return self.refuse_place(placing, busy);
        }
        self.places.queue.push_back(placing);
        self.place_next();
    }

    /// Whether its files are being moved, or are going to be.
    pub(super) fn is_moving(&self) -> bool {
        let is_move = |placing: &Placing| matches!(placing, Placing::Move { .. });
        self.files.moving || self.places.queue.iter().any(is_move)
    }

    fn refuse_place(&self, placing: Placing, error: Error) {
        match placing {
            Placing::Move { answer, .. } => {
                let told = error.clone();
                self.post(kind::STORAGE_MOVED_FAILED, || Detail::FileError(told));
                reply(answer, Err(error));
            }
            Placing::Rename { file, answer, .. } => self.rename_refused(file, error, answer),
        }
    }

    pub(super) fn place_next(&mut self) {
        if self.places.busy || self.places.held || self.places.redo.is_some() {
            return;
        }
        let Some(placing) = self.places.queue.pop_front() else {
            return;
        };
        let (storage, ledger) = (self.storage.get().cloned(), self.ledger());
        match placing {
            Placing::Move { to, mode, answer } => {
                self.change_begins();
                self.files.moving = storage.is_some();
                self.hold_download();
                self.publish(Instant::now());
                let from = self.handle.save_path().as_ref().clone();
                self.tasks.spawn(async move {
                    let to = std::path::absolute(&to).unwrap_or(to);
                    let moved = ledger.relocate(storage, from, to, mode).await;
                    TaskEnd::Places(PlaceEnd::Moved(moved, answer))
                });
            }
            Placing::Rename { file, name, answer } => {
                let Some(storage) = storage else {
                    self.rename_refused(file, Error::new(ErrorKind::NoMetadata), answer);
                    return self.place_next();
                };
                self.change_begins();
                self.tasks.spawn(async move {
                    let outcome = ledger.rename(storage, file, name.clone()).await;
                    TaskEnd::Places(PlaceEnd::Renamed {
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
        self.places.busy = true;
        self.places.epoch += 1;
        self.places.written = true;
    }

    pub(super) fn placed(&mut self, end: PlaceEnd) {
        self.places.busy = false;
        match end {
            PlaceEnd::Moved(outcome, answer) => {
                self.files.moving = false;
                match outcome {
                    Ok(moved) => {
                        self.now_at(moved);
                        reply(answer, Ok(()));
                    }
                    Err(error) => {
                        let told = error.clone();
                        self.post(kind::STORAGE_MOVED_FAILED, || Detail::FileError(told));
                        reply(answer, Err(error));
                    }
                }
                self.hold_download();
            }
            PlaceEnd::Renamed {
                file,
                name,
                outcome,
                answer,
            } => match outcome {
                Ok(old) => {
                    self.now_named(file, name, &old);
                    reply(answer, Ok(()));
                }
                Err(error) => self.rename_refused(file, error, answer),
            },
            PlaceEnd::Redone(outcome) => self.redone(outcome),
        }
        // The record is to say so too, or that nothing is under way.
        self.unsaved(SaveFlags::IF_CONFIG_CHANGED);
        self.publish(Instant::now());
        if let Some(info) = self.places.metadata.take() {
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
        self.post(kind::STORAGE_MOVED, || Detail::Moved { to, from });
        if needs_check {
            self.places.needs_check = true;
            self.doubt_all();
            self.recheck();
        }
    }

    fn now_named(&mut self, file: FileIndex, name: String, old: &Path) {
        let mut options = self.handle.shared.options.lock();
        options.renamed_files.insert(file, name.clone());
        drop(options);
        self.unsaved(SaveFlags::IF_STATE_CHANGED);
        self.post(kind::FILE_RENAMED, || Detail::Renamed {
            file,
            new_name: name,
            old_name: old.to_string_lossy().into_owned(),
        });
    }

    fn rename_refused(&self, file: FileIndex, error: Error, answer: Answer) {
        let told = error.clone();
        self.post(kind::FILE_RENAME_FAILED, || Detail::RenameFailed {
            file,
            error: told,
        });
        reply(answer, Err(error));
    }

    /// Looks what became of a change that was cut short. False if there is
    /// none.
    pub(super) fn redoes_change(&mut self) -> bool {
        let Some((change, storage)) = self.places.redo.clone().zip(self.storage.get().cloned())
        else {
            return false;
        };
        if self.places.busy {
            return true;
        }
        let there = match self.storage_after(&change.step) {
            Ok(there) => there,
            Err(error) => {
                tracing::warn!(%error, "a change of places cannot be finished");
                self.places.redo = None;
                return false;
            }
        };
        self.places.busy = true;
        let ledger = self.ledger();
        self.tasks.spawn(async move {
            let outcome = ledger.redo(storage, there, change).await;
            TaskEnd::Places(PlaceEnd::Redone(outcome))
        });
        true
    }

    /// The files as they lie when a change is over.
    fn storage_after(&self, step: &Step) -> Result<Storage> {
        let metainfo = self.handle.metainfo();
        let metainfo = metainfo.ok_or_else(|| Error::new(ErrorKind::NoMetadata))?;
        let mut renamed = self.handle.shared.options.lock().renamed_files.clone();
        let mut save_path = self.handle.save_path().as_ref().clone();
        match step {
            Step::Move { to, .. } => save_path = path_of(to),
            Step::Rename { file, to } => {
                renamed.insert(*file, String::from_utf8_lossy(to).into_owned());
            }
        }
        let spec = content::spec_at(&metainfo.info, &self.handle, &save_path, renamed)?;
        // It is only looked at.
        let (events, _) = mpsc::channel(1);
        Ok(self.context.disk.open(spec, events))
    }

    fn redone(&mut self, outcome: Result<Option<Done>>) {
        let done = match outcome {
            Ok(done) => done,
            Err(error) => {
                for placing in std::mem::take(&mut self.places.queue) {
                    self.refuse_place(placing, error.clone());
                }
                return self.wait_for_root(error);
            }
        };
        self.places.redo = None;
        self.root_is_back();
        match done {
            Some(Done::Moved(moved)) => {
                let Moved { from, to, .. } = moved;
                self.handle.shared.save_path.store(to.clone().into());
                if moved.needs_check {
                    self.places.needs_check = true;
                    self.legacy.claim_nothing();
                }
                self.post(kind::STORAGE_MOVED, || Detail::Moved { to, from });
            }
            Some(Done::Renamed(file, old, name)) => {
                self.now_named(file, name.to_string_lossy().into_owned(), &old);
            }
            None => {}
        }
        self.start_check();
    }
}
