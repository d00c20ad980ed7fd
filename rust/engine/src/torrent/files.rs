//! Where the files are and which of them are wanted: carries out what the game
//! asks for in that, one thing after the other, and tells of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use torrent_core::bitfield::Bitfield;
use torrent_core::ids::{FileIndex, PieceIndex};

use super::{Driver, TaskEnd};
use crate::disk::{DiskError, DiskErrorKind, MoveMode, Moved};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Detail, kind};
use crate::handle::piece_priorities;
use crate::placement::Placing;
use crate::resume::SaveFlags;

/// Who waits for the outcome, if anybody does.
type Answer = Option<oneshot::Sender<Result<()>>>;

/// What the driver knows of work on the files.
#[derive(Debug, Default)]
pub(super) struct FileWork {
    /// Files are being put where their priorities say.
    pub(super) sorting: bool,
    /// The priorities of files that were last looked at.
    priorities: Option<Arc<Vec<u8>>>,
    /// The files are being moved.
    pub(super) moving: bool,
    /// No piece was hashed when the torrent was added; each is before its
    /// first byte is sent.
    pub(super) seed_mode: bool,
    /// When storage is tried again after an error.
    pub(super) retry_at: Option<Instant>,
}

/// What work on the files came to.
pub(super) enum FilesEnd {
    Sorted(std::result::Result<Vec<(FileIndex, DiskError)>, DiskError>),
    Moved(std::result::Result<Moved, DiskError>, PathBuf, Answer),
    Renamed {
        file: FileIndex,
        name: String,
        outcome: std::result::Result<PathBuf, DiskError>,
        answer: Answer,
    },
    /// Seed mode: whether the files are as long as they should be.
    Trusted(std::result::Result<(), DiskError>),
}

fn reply(answer: Answer, outcome: Result<()>) {
    if let Some(answer) = answer {
        // Nobody may be waiting any more.
        let _ = answer.send(outcome);
    }
}

impl Driver {
    pub(super) fn files_end(&mut self, end: FilesEnd) {
        match end {
            FilesEnd::Sorted(outcome) => self.files_sorted(outcome),
            FilesEnd::Moved(outcome, to, answer) => self.moved(outcome, &to, answer),
            FilesEnd::Renamed {
                file,
                name,
                outcome,
                answer,
            } => self.renamed(file, name, outcome, answer),
            FilesEnd::Trusted(outcome) => self.trusted(outcome),
        }
        self.publish(Instant::now());
    }

    // ---- wanted files -------------------------------------------------------

    /// Puts files where their priorities say: unwanted ones into the part
    /// file, others out of it.
    pub(super) fn sort_files(&mut self) {
        let Some(storage) = self.storage.get().cloned() else {
            return;
        };
        if self.files.sorting {
            // The priorities are read again when that is done.
            return;
        }
        let priorities = self.handle.shared.options.lock().file_priorities.clone();
        let wanted: Vec<bool> = priorities.iter().map(|&priority| priority > 0).collect();
        if wanted.contains(&false) {
            self.leave_seed_mode();
        }
        let before = self.files.priorities.replace(priorities.clone());
        if storage.has_wanted(&wanted) {
            if before.is_some_and(|before| before != priorities) {
                self.post(kind::FILE_PRIO, || Detail::None);
            }
            return;
        }
        self.files.sorting = true;
        self.tasks.spawn(async move {
            TaskEnd::Files(FilesEnd::Sorted(storage.set_wanted(wanted).await))
        });
    }

    fn files_sorted(
        &mut self,
        outcome: std::result::Result<Vec<(FileIndex, DiskError)>, DiskError>,
    ) {
        self.files.sorting = false;
        let failed = outcome.unwrap_or_else(|error| {
            let file = error.file.unwrap_or_default();
            vec![(file, error)]
        });
        if failed.is_empty() {
            self.post(kind::FILE_PRIO, || Detail::None);
            self.read_priorities();
            return;
        }
        {
            // What could not be made true is not said either.
            let metainfo = self.handle.metainfo().cloned();
            let mut options = self.handle.shared.options.lock();
            let mut files = options.file_priorities.as_ref().clone();
            for (file, _) in &failed {
                if let Some(priority) = files.get_mut(file.0 as usize) {
                    *priority = 0;
                }
            }
            if let Some(metainfo) = metainfo {
                let pieces = piece_priorities(&metainfo.info.layout, &files);
                options.piece_priorities = pieces.into();
            }
            options.file_priorities = files.into();
        }
        for (_, error) in failed {
            self.post(kind::FILE_ERROR, || Detail::Error(error.into()));
        }
        self.read_priorities();
    }

    // ---- moving and renaming ------------------------------------------------

    pub(super) fn place(&mut self, placing: Placing) {
        match placing {
            Placing::Move { to, mode, answer } => self.move_storage(to, mode, answer),
            Placing::Rename { file, name, answer } => self.rename_file(file, name, answer),
        }
    }

    fn move_storage(&mut self, to: PathBuf, mode: MoveMode, answer: Answer) {
        let Some(storage) = self.storage.get().cloned() else {
            // There is nothing to move yet.
            let to = std::path::absolute(&to).unwrap_or(to);
            let from = self.handle.save_path();
            self.handle.shared.save_path.store(to.clone().into());
            self.unsaved(SaveFlags::IF_CONFIG_CHANGED);
            self.publish(Instant::now());
            self.post(kind::STORAGE_MOVED, || Detail::Moved {
                to,
                from: from.as_ref().clone(),
            });
            return reply(answer, Ok(()));
        };
        if self.files.moving {
            let busy = Error::because(ErrorKind::StorageMoveFailed, "it is being moved already");
            return reply(answer, Err(busy));
        }
        self.files.moving = true;
        self.hold_download();
        self.publish(Instant::now());
        self.tasks.spawn(async move {
            let outcome = storage.relocate(to.clone(), mode).await;
            TaskEnd::Files(FilesEnd::Moved(outcome, to, answer))
        });
    }

    fn moved(
        &mut self,
        outcome: std::result::Result<Moved, DiskError>,
        to: &std::path::Path,
        answer: Answer,
    ) {
        self.files.moving = false;
        match outcome {
            Ok(Moved {
                from,
                to,
                needs_check,
            }) => {
                self.handle.shared.save_path.store(to.clone().into());
                self.unsaved(SaveFlags::IF_CONFIG_CHANGED);
                self.publish(Instant::now());
                self.post(kind::STORAGE_MOVED, || Detail::Moved { to, from });
                if needs_check {
                    self.doubt_all();
                    self.recheck();
                }
                reply(answer, Ok(()));
            }
            Err(error) => {
                let words = format!("to {}: {error}", to.display());
                let error = Error::because(ErrorKind::StorageMoveFailed, words)
                    .about(error.path.display().to_string())
                    .during(error.op.operation());
                let told = error.clone();
                self.post(kind::STORAGE_MOVED_FAILED, || Detail::FileError(told));
                reply(answer, Err(error));
            }
        }
        self.hold_download();
    }

    fn rename_file(&mut self, file: FileIndex, name: String, answer: Answer) {
        let Some(storage) = self.storage.get().cloned() else {
            return reply(answer, Err(Error::new(ErrorKind::NoMetadata)));
        };
        self.tasks.spawn(async move {
            let outcome = storage.rename(file, PathBuf::from(&name)).await;
            TaskEnd::Files(FilesEnd::Renamed {
                file,
                name,
                outcome,
                answer,
            })
        });
    }

    fn renamed(
        &mut self,
        file: FileIndex,
        name: String,
        outcome: std::result::Result<PathBuf, DiskError>,
        answer: Answer,
    ) {
        match outcome {
            Ok(old) => {
                let mut options = self.handle.shared.options.lock();
                options.renamed_files.insert(file, name.clone());
                drop(options);
                self.unsaved(SaveFlags::IF_STATE_CHANGED);
                self.post(kind::FILE_RENAMED, || Detail::Renamed {
                    file,
                    new_name: name,
                    old_name: old.to_string_lossy().into_owned(),
                });
                reply(answer, Ok(()));
            }
            Err(error) => {
                let error = Error::because(ErrorKind::FileRenameFailed, error.to_string())
                    .about(error.path.display().to_string())
                    .during(error.op.operation());
                let told = error.clone();
                self.post(kind::FILE_RENAME_FAILED, || Detail::RenameFailed {
                    file,
                    error: told,
                });
                reply(answer, Err(error));
            }
        }
    }

    /// Asks for no blocks while they could not be stored.
    pub(super) fn hold_download(&mut self) {
        let held = self.files.moving || self.error.is_some() || self.strain.holds();
        self.brain.set_storage_failed(Instant::now(), held);
    }

    // ---- seed mode ----------------------------------------------------------

    /// Believes that everything is there, after a look at the length of each
    /// file. False where the torrent is not in seed mode.
    pub(super) fn begin_seed_mode(&mut self) -> bool {
        let Some(storage) = self.storage.get().cloned() else {
            return false;
        };
        if !self.files.seed_mode {
            return false;
        }
        self.tasks
            .spawn(async move { TaskEnd::Files(FilesEnd::Trusted(storage.trust_all().await)) });
        true
    }

    fn trusted(&mut self, outcome: std::result::Result<(), DiskError>) {
        match outcome {
            // A check was asked for meanwhile.
            Ok(()) if self.has_check() || !self.files.seed_mode => self.leave_seed_mode(),
            Ok(()) => {
                let have = Bitfield::full(self.brain.layout().num_pieces());
                self.checked(Instant::now(), &have);
            }
            Err(error) => {
                self.leave_seed_mode();
                let error = Error::from(error);
                tracing::warn!(torrent = %self.handle.info_hash(), %error, "not seed mode");
                self.post(kind::FILE_ERROR, || Detail::Error(error));
                if !self.has_check() {
                    self.start_check();
                }
            }
        }
    }

    pub(super) fn leave_seed_mode(&mut self) {
        if std::mem::take(&mut self.files.seed_mode) {
            self.unsaved(SaveFlags::IF_STATE_CHANGED);
        }
    }

    /// Shows which pieces have been hashed, now or in earlier sessions, and
    /// leaves seed mode with the last one. An earlier session's word is enough
    /// for that, but no byte leaves us by it: the disk hashes each piece again
    /// before it is read.
    pub(super) fn follow_seed_mode(&mut self) {
        if !self.files.seed_mode || self.brain.state().is_checking() {
            return;
        }
        if let Some(storage) = self.storage.get() {
            let mut verified = storage.hashed();
            let earlier = &self.legacy.record.verified;
            let earlier = Bitfield::from_wire(earlier, verified.len()).unwrap_or_default();
            for piece in earlier.iter() {
                verified.set(piece);
            }
            let known = self.handle.shared.view.verified.load().count();
            if verified.is_full() {
                self.leave_seed_mode();
            } else if verified.count() > known {
                self.unsaved(SaveFlags::IF_DOWNLOAD_PROGRESS);
            }
            self.handle.shared.view.verified.store(verified.into());
        }
    }

    /// The pieces that were hashed in seed mode, as a record has them.
    pub(super) fn seed_mode_record(&self) -> Vec<u8> {
        if !self.files.seed_mode {
            return Vec::new();
        }
        if self.is_in_the_dark() {
            return self.legacy.record.verified.clone();
        }
        let verified = self.handle.shared.view.verified.load();
        verified.as_bytes().to_vec()
    }

    // ---- faults -------------------------------------------------------------

    /// A verified piece could not be read: its file was cut, deleted or
    /// replaced, or the device fails.
    pub(super) fn read_failed(&mut self, piece: PieceIndex, error: DiskError) {
        let gone = error.is_absence();
        match error.kind {
            // They say nothing of the piece.
            DiskErrorKind::Closed | DiskErrorKind::OutOfRange => return,
            DiskErrorKind::TooManyOpenFiles | DiskErrorKind::NoMemory => {}
            _ if gone => self.brain.piece_lost(Instant::now(), piece),
            _ => {
                self.brain.piece_lost(Instant::now(), piece);
                return self.storage_failed(error);
            }
        }
        if gone {
            self.publish_pieces();
        }
        let error = Error::from(error);
        self.post(kind::FILE_ERROR, || Detail::Error(error));
    }

    /// Plans to try again by itself.
    pub(super) fn plan_retry(&mut self) {
        let settings = self.context.session.settings.borrow();
        let wait = Duration::from_secs(settings.optimistic_disk_retry.unsigned_abs());
        self.files.retry_at = Some(Instant::now() + wait);
    }
}
