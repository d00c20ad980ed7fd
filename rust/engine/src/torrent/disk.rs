//! What the disk reports to a torrent, and what the torrent asks of it.

use std::time::Instant;

use bytes::Bytes;
use tokio::sync::oneshot;
use torrent_core::bitfield::Bitfield;
use torrent_core::ids::PieceIndex;
use torrent_core::peer::READ_JOB_BYTES;

use super::{Driver, TaskEnd};
use crate::disk::{DiskError, DiskErrorKind, DiskEvent, Storage};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{PieceRead, typed};

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
    pub(super) fn disk_event(&mut self, event: DiskEvent) {
        let now = Instant::now();
        let stats = &self.context.services.stats;
        match event {
            DiskEvent::Verified(pieces) => {
                stats.num_piece_passed.add(pieces.len() as u64);
                self.brain.pieces_verified(now, &pieces);
            }
            DiskEvent::Audited { piece, digests } => self.brain.piece_audited(now, piece, &digests),
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
            DiskEvent::Oversized => self.post(typed::OVERSIZED_FILE, || ()),
            // Each read that was refused reports it: one event is enough.
            DiskEvent::TrustBroken { piece, error } if self.checking.running.is_none() => {
                self.post(typed::HASH_FAILED, || piece);
                self.post_rejected(error.message.clone(), "");
                let trusted = self.storage.slot.get().map(Storage::trusted);
                self.mark_unknown(&trusted.unwrap_or_default());
                self.recheck();
            }
            DiskEvent::CheckProgress { check, done, total } if self.is_current_check(check) => {
                self.check_progress(done, total);
            }
            DiskEvent::Checked { check, have } if self.is_current_check(check) => {
                self.check_over(have);
            }
            DiskEvent::CheckFailed { check, error } if self.is_current_check(check) => {
                self.check_failed(error);
            }
            DiskEvent::Internal { message } => {
                tracing::error!(message, "a disk worker failed");
                self.fail(Error::because(ErrorKind::InternalException, message));
                self.post(typed::INTERNAL_ERROR, || {
                    Error::new(ErrorKind::InternalException)
                });
                self.check_died();
            }
            // Ends of checks that were given up.
            _ => {}
        }
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
        let happened = error.at;
        self.fail_at(happened, error.into());
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
        self.post(typed::TORRENT_CHECKED, || ());
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
            events.post(typed::READ_PIECE, Some(&torrent), || PieceRead {
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
        self.post(typed::CACHE_FLUSHED, || ());
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
