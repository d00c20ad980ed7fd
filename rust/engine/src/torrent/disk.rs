//! What the disk reports to a torrent, and what the torrent asks of it.

use std::time::Instant;

use bytes::Bytes;
use tokio::sync::oneshot;
use torrent_core::bitfield::Bitfield;
use torrent_core::ids::PieceIndex;
use torrent_core::peer::READ_JOB_BYTES;
use torrent_core::torrent::TorrentState;

use super::save_path::SavePathAction;
use super::{Driver, TaskEnd};
use crate::disk::{CheckHandle, CheckId, CheckMode, DiskError, DiskErrorKind, DiskEvent, Storage};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Detail, kind};

impl From<DiskError> for Error {
    fn from(error: DiskError) -> Self {
        let kind = match error.kind {
            DiskErrorKind::NoSpace | DiskErrorKind::FileTooLarge => ErrorKind::DiskFull,
            DiskErrorKind::PermissionDenied | DiskErrorKind::ReadOnly | DiskErrorKind::InUse => {
                ErrorKind::PermissionDenied
            }
            DiskErrorKind::NotFound | DiskErrorKind::FolderGone => ErrorKind::PathNotFound,
            _ => ErrorKind::InvalidPath,
        };
        Self::because(kind, error.message.clone())
            .about(error.path.display().to_string())
            .during(error.op.operation())
    }
}

impl Driver {
    /// Forgets which pieces we have and checks the files again. A check that is
    /// under way may have read files before they changed, and begins anew. An
    /// earlier error no longer counts: what the check finds does.
    pub(super) fn recheck(&mut self) {
        if self.location.root.is_awaited() {
            self.records.resume_state.recheck_after_start();
            return self.recheck_when_root_is_back();
        }
        let judging = self.recheck_after_resume();
        if !judging && self.has_check() {
            if let Some(check) = self.checking.running.take() {
                // Where it has just ended, its end is not the present check's.
                check.cancel();
            }
            self.forget_error();
            self.run_check(CheckMode::All);
            self.times.times.snapshot_now();
        } else if self.stop_for_check() {
            self.forget_error();
            self.run_check(CheckMode::All);
        } else {
            self.widen_check();
        }
    }

    /// Makes room for a check. False when one is under way, or there is
    /// nothing to look at.
    pub(super) fn stop_for_check(&mut self) -> bool {
        let under_way = self.recheck_after_resume() || self.has_check();
        if under_way || !self.brain.has_metadata() {
            return false;
        }
        self.leave_seed_mode();
        self.stop_announcing();
        self.brain.checking(TorrentState::CheckingFiles);
        true
    }

    fn is_current(&self, check: CheckId) -> bool {
        self.checking
            .running
            .as_ref()
            .is_some_and(|current| current.id() == check)
    }

    pub(super) fn disk_event(&mut self, event: DiskEvent) {
        let now = Instant::now();
        let stats = &self.context.services.stats;
        match event {
            DiskEvent::Verified(pieces) => {
                stats.num_piece_passed.add(pieces.len() as u64);
                self.brain.pieces_verified(&pieces);
            }
            DiskEvent::Audited { piece, digests } => self.brain.piece_audited(piece, &digests),
            DiskEvent::PieceFailed { piece, blocks } => {
                stats.num_piece_failed.add(1);
                stats
                    .recv_failed_bytes
                    .add(u64::from(self.brain.layout().piece_len(piece)));
                self.brain.piece_failed(now, piece, &blocks);
            }
            // The brain has counted them from the connections' reports.
            DiskEvent::Redundant { .. } => {}
            DiskEvent::WriteFailed { piece, error } => {
                self.storage_failed(error);
                self.brain.piece_lost(now, piece);
            }
            DiskEvent::ReadFailed { piece, error } => self.read_failed(piece, error),
            DiskEvent::Oversized => self.post(kind::OVERSIZED_FILE, || Detail::None),
            // Each read that was refused reports it: one event is enough.
            DiskEvent::TrustBroken { piece, error } if self.checking.running.is_none() => {
                self.post(kind::HASH_FAILED, || Detail::Piece(piece));
                self.post_rejected(error.message.clone(), "");
                let trusted = self.storage.slot.get().map(Storage::trusted);
                self.mark_unknown(&trusted.unwrap_or_default());
                self.recheck();
            }
            DiskEvent::CheckProgress { check, done, total } if self.is_current(check) => {
                self.checking.progress = f64::from(done) / f64::from(total.max(1));
                if self.brain.state() == TorrentState::CheckingResumeData {
                    self.brain.checking(TorrentState::CheckingFiles);
                }
                self.times.times.snapshot_now();
            }
            DiskEvent::Checked { check, have } if self.is_current(check) => {
                self.checking.running = None;
                self.check_over(now, have);
            }
            DiskEvent::CheckFailed { check, error } if self.is_current(check) => {
                match self.checking.running.take() {
                    Some(check) if error.is_transient() => {
                        self.check_later(check.mode().clone(), error);
                    }
                    check => {
                        self.storage_failed(error);
                        self.check_given_up(now, check);
                    }
                }
            }
            DiskEvent::Internal { message } => {
                tracing::error!(message, "a disk worker failed");
                self.fail(Error::because(ErrorKind::InternalException, message));
                self.post(kind::INTERNAL_ERROR, || {
                    Detail::Error(Error::new(ErrorKind::InternalException))
                });
                // The disk worker has panicked.
                if let Some(check) = self.checking.running.take() {
                    check.cancel();
                    self.check_given_up(now, Some(check));
                }
            }
            // Ends of checks that were given up.
            _ => {}
        }
    }

    /// What was found counts; when it is less than there was, only if the
    /// folder is there.
    fn check_over(&mut self, now: Instant, have: Bitfield) {
        if self
            .records
            .saver
            .known()
            .iter()
            .all(|piece| have.get(piece))
        {
            self.found(now, &have);
        } else {
            self.look_for_root(SavePathAction::Accept(have));
        }
    }

    /// What a check found counts.
    pub(super) fn found(&mut self, now: Instant, have: &Bitfield) {
        self.checking.content_unknown = self.checking.pending_check.is_some();
        self.checked(now, have);
        // Pieces that could not be read during the check.
        self.run_pending_check();
    }

    /// What was verified before the check still is. All other pieces are still to be checked.
    fn check_given_up(&mut self, now: Instant, check: Option<CheckHandle>) {
        let mode = check.map_or(CheckMode::All, |check| check.mode().clone());
        self.check_failed(mode);
        if let Some(storage) = self.storage.slot.get() {
            let have = storage.have();
            self.checked(now, &have);
        }
        self.run_pending_check();
    }

    /// Applies an error, unless it is older than the game's statement that
    /// its cause is gone.
    pub(super) fn storage_failed(&mut self, error: DiskError) {
        if error.is_transient() {
            return self.shortage_began(error);
        }
        if error.kind == DiskErrorKind::FolderGone {
            return self.folder_gone();
        }
        if self
            .failure
            .cleared
            .is_none_or(|cleared| error.at > cleared)
        {
            self.fail(error.into());
        }
    }

    pub(super) fn checked(&mut self, now: Instant, have: &Bitfield) {
        self.brain.checked(now, have);
        self.adopt_unfinished();
        self.records.resume_state.was_checked();
        self.location.work.was_checked();
        self.uncompleted.check = false;
        self.checked_for_saving(have);
        self.publish_pieces();
        self.location.lease.checked();
        // In libtorrent's order: the change of state is posted first.
        self.drain_outputs();
        self.post(kind::TORRENT_CHECKED, || Detail::None);
        if !self.paused {
            self.start_announcing(now);
        }
        self.prepare_files();
    }

    /// Creates folders and empty files, unless everything is there already.
    pub(super) fn prepare_files(&mut self) {
        let Some(storage) = self.storage.slot.get().cloned().filter(|_| !self.ending) else {
            return;
        };
        if self.brain.picker().is_seed() {
            return;
        }
        self.tasks.spawn(async move {
            match storage.prepare().await {
                Ok(()) => TaskEnd::Done,
                Err(error) => TaskEnd::StorageFailed(error),
            }
        });
    }

    pub(super) fn read_piece(
        &mut self,
        piece: PieceIndex,
        answer: Option<oneshot::Sender<Result<Bytes>>>,
    ) {
        let have = self.brain.picker().we_have(piece);
        let length = self.brain.layout().piece_len(piece);
        let storage = self.storage.slot.get().cloned();
        let torrent = self.handle.torrent_ref();
        let context = std::sync::Arc::clone(&self.context);
        let guard = self.guard_of_read(piece);
        self.tasks.spawn(async move {
            let read = if have && let Some(storage) = storage {
                read_whole(&storage, piece, length)
                    .await
                    .map_err(Error::from)
            } else {
                Err(Error::because(
                    ErrorKind::InvalidPieceIndex,
                    format!("piece {piece} is not downloaded"),
                ))
            };
            guard.complete();
            let events = &context.services.events;
            events.post(kind::READ_PIECE, Some(&torrent), || Detail::PieceData {
                piece,
                data: read.as_ref().map_or_else(|_| Bytes::new(), Bytes::clone),
                error: read
                    .as_ref()
                    .map_or_else(ToString::to_string, |_| String::new()),
            });
            if let Some(answer) = answer {
                // The receiver may be gone.
                let _ = answer.send(read);
            }
            TaskEnd::Done
        });
    }

    pub(super) fn flush(&mut self, answer: Option<oneshot::Sender<()>>) {
        let storage = self.storage.slot.get().cloned();
        self.uncompleted.flushes += 1;
        self.tasks.spawn(async move {
            if let Some(storage) = storage {
                storage.flush().await;
            }
            TaskEnd::Flushed(answer)
        });
    }

    pub(super) fn flush_over(&mut self, answer: Option<oneshot::Sender<()>>) {
        let flushes = &mut self.uncompleted.flushes;
        *flushes = flushes.saturating_sub(1);
        self.post(kind::CACHE_FLUSHED, || Detail::None);
        if let Some(answer) = answer {
            // The receiver may be gone.
            let _ = answer.send(());
        }
    }
}

async fn read_whole(
    storage: &Storage,
    piece: PieceIndex,
    length: u32,
) -> std::result::Result<Bytes, DiskError> {
    if length <= READ_JOB_BYTES {
        return storage.read(piece, 0, length).await;
    }
    let mut whole = Vec::with_capacity(length as usize);
    while (whole.len() as u32) < length {
        let begin = whole.len() as u32;
        let part = storage
            .read(piece, begin, READ_JOB_BYTES.min(length - begin))
            .await?;
        whole.extend_from_slice(&part);
    }
    Ok(whole.into())
}
