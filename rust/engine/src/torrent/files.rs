//! Carries out changes of file priorities and posts the outcome; and handles
//! files that cannot be read.

use std::sync::Arc;
use std::time::Instant;

use torrent_core::bitfield::Bitfield;
use torrent_core::check_state::Started;
use torrent_core::ids::{FileIndex, PieceIndex};

use super::{Driver, TaskEnd};
use crate::disk::{DiskError, DiskErrorKind};
use crate::error::Error;
use crate::event::typed;
use crate::torrent::handle::piece_priorities;
use crate::torrent::handle::resume::SaveFlags;

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
    /// The disk's number of the pieces that are shown as hashed.
    hashed_shown: Option<u64>,
}

/// The outcome of work on the files.
pub(super) enum FilesEnd {
    Sorted(std::result::Result<Vec<(FileIndex, DiskError)>, DiskError>),
    /// Seed mode: whether the files are as long as they should be.
    Trusted(std::result::Result<(), DiskError>),
}

fn failures(
    outcome: std::result::Result<Vec<(FileIndex, DiskError)>, DiskError>,
) -> Vec<(FileIndex, DiskError)> {
    outcome.unwrap_or_else(|error| vec![(error.file.unwrap_or_default(), error)])
}

impl Driver {
    pub(super) fn files_end(&mut self, end: FilesEnd) {
        match end {
            FilesEnd::Sorted(outcome) => self.files_sorted(outcome),
            FilesEnd::Trusted(outcome) => self.trusted(outcome),
        }
        self.publish(Instant::now());
    }

    // ---- wanted files -------------------------------------------------------

    /// Puts files where their priorities say: unwanted ones into the part
    /// file, others out of it.
    pub(super) fn sort_files(&mut self) {
        let Some(storage) = self.storage.slot.get().cloned() else {
            return;
        };
        if self.storage.work.sorting {
            // The priorities are read again when that is done.
            return;
        }
        let priorities = self.handle.shared.options.lock().file_priorities.clone();
        let wanted: Vec<bool> = priorities.iter().map(|&priority| priority > 0).collect();
        if wanted.contains(&false) {
            self.leave_seed_mode();
        }
        let before = self.storage.work.priorities.replace(priorities.clone());
        if storage.has_wanted(&wanted) {
            if before.is_some_and(|before| before != priorities) {
                self.post(typed::FILE_PRIO, || ());
            }
            return;
        }
        self.storage.work.sorting = true;
        self.tasks.spawn(async move {
            TaskEnd::Files(FilesEnd::Sorted(storage.set_wanted(wanted).await))
        });
    }

    fn files_sorted(
        &mut self,
        outcome: std::result::Result<Vec<(FileIndex, DiskError)>, DiskError>,
    ) {
        self.storage.work.sorting = false;
        let failed = failures(outcome);
        let (mut short, failed): (Vec<_>, Vec<_>) = failed
            .into_iter()
            .partition(|(_, error)| error.is_transient());
        if let Some((_, error)) = short.pop() {
            // Until the wait is over they count as being sorted.
            self.storage.work.sorting = true;
            return self.sort_later(error);
        }
        if failed
            .iter()
            .any(|(_, error)| error.kind == DiskErrorKind::FolderGone)
        {
            // Done when the folder is back.
            return self.folder_gone();
        }
        if failed.is_empty() {
            self.post(typed::FILE_PRIO, || ());
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
            self.post(typed::FILE_ERROR, || error.into());
        }
        self.read_priorities();
    }

    /// The torrent ends: what the game wants stays as it is for the next
    /// session, which goes on with it.
    pub(super) fn last_sorted(
        &mut self,
        outcome: std::result::Result<Vec<(FileIndex, DiskError)>, DiskError>,
    ) {
        self.storage.work.sorting = false;
        let mut failed = failures(outcome);
        // The end itself is no fault of the disk.
        failed.retain(|(_, error)| error.kind != DiskErrorKind::Closed);
        if failed.is_empty() {
            self.post(typed::FILE_PRIO, || ());
        }
        for (_, error) in failed {
            self.post(typed::FILE_ERROR, || error.into());
        }
    }

    // ---- holding ------------------------------------------------------------

    /// Requests no blocks while they could not be stored.
    pub(super) fn hold_download(&mut self) {
        let held = self.storage.work.moving
            || self.failure.backoff.is_held()
            || self.checking.state.has_pending();
        self.brain.set_storage_failed(Instant::now(), held);
    }

    // ---- seed mode ----------------------------------------------------------

    /// Takes all pieces as had (seed mode) if every file has its length. False
    /// where the torrent is not in seed mode.
    pub(super) fn begin_seed_mode(&mut self) -> bool {
        let Some(storage) = self.storage.slot.get().cloned() else {
            return false;
        };
        if !self.storage.work.seed_mode {
            return false;
        }
        self.tasks
            .spawn(async move { TaskEnd::Files(FilesEnd::Trusted(storage.trust_all().await)) });
        true
    }

    fn trusted(&mut self, outcome: std::result::Result<(), DiskError>) {
        match outcome {
            // It was left meanwhile.
            Ok(()) if !self.storage.work.seed_mode => {
                self.check_input(|checks| checks.start_goes_on(false));
            }
            Ok(()) => {
                if self.checking.state.is_recheck_wanted() {
                    self.leave_seed_mode();
                }
                let have = Bitfield::full(self.brain.layout().num_pieces());
                self.check_input(|checks| checks.started(Started::Found(Some(have))));
            }
            Err(error) if error.is_transient() => self.start_later(error),
            Err(error) => {
                self.leave_seed_mode();
                let error = Error::from(error);
                tracing::warn!(torrent = %self.handle.info_hash(), %error, "not seed mode");
                self.post_error(typed::FILE_ERROR, error);
                self.check_input(|checks| checks.start_goes_on(false));
            }
        }
    }

    pub(super) fn leave_seed_mode(&mut self) {
        if std::mem::take(&mut self.storage.work.seed_mode) {
            self.unsaved(SaveFlags::IF_STATE_CHANGED);
        }
    }

    /// Shows which pieces have been hashed, now or in earlier sessions, and
    /// leaves seed mode with the last one. An earlier session's record is enough
    /// for that, but no byte leaves us by it: the disk hashes each piece again
    /// before it is read.
    pub(super) fn follow_seed_mode(&mut self) {
        if !self.storage.work.seed_mode || self.brain.state().is_checking() {
            return;
        }
        if let Some(storage) = self.storage.slot.get() {
            let revision = Some(storage.hashed_revision());
            if self.storage.work.hashed_shown == revision {
                return;
            }
            self.storage.work.hashed_shown = revision;
            let mut verified = storage.hashed();
            let earlier = &self.records.resume_state.record.verified;
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
        if !self.storage.work.seed_mode {
            return Vec::new();
        }
        if self.is_content_unknown() {
            return self.records.resume_state.record.verified.clone();
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
            // Such an error says nothing of the piece.
            DiskErrorKind::Closed | DiskErrorKind::OutOfRange => return,
            DiskErrorKind::TooManyOpenFiles | DiskErrorKind::NoMemory => {}
            _ if gone => return self.piece_gone(piece, error),
            _ => return self.unreadable(piece, error),
        }
        let error = Error::from(error);
        self.post_error(typed::FILE_ERROR, error);
    }
}
