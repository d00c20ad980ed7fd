//! Work that a caller has asked for and that ends with an event: when it
//! cannot come to its end, because the torrent is removed, the session stops or
//! the task fails, the event that says so comes all the same, and before the
//! torrent's last event.

use std::sync::Arc;

use super::Driver;
use crate::context::Services;
use crate::error::{Error, ErrorKind};
use crate::event::command_sequence::CommandTopic;
use crate::event::{Detail, Kind, kind};
use crate::torrent::handle::storage::StorageCommand;
use crate::torrent::handle::{Command, PendingState, TorrentHandle};

/// Posts a failure when it is dropped before [`Self::complete`]. It travels
/// with the work: through queues, tasks and their results.
#[must_use]
pub(super) struct CompletionGuard {
    services: Arc<Services>,
    handle: TorrentHandle,
    failure: Option<Failure>,
}

/// The event that says that something failed.
struct Failure {
    kind: Kind,
    detail: Box<dyn FnOnce(Error) -> Detail + Send + Sync>,
}

impl CompletionGuard {
    /// The work has come to an end, which its own event reports.
    pub(super) fn complete(mut self) {
        self.failure = None;
    }
}

impl std::fmt::Debug for CompletionGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompletionGuard").finish_non_exhaustive()
    }
}

impl Drop for CompletionGuard {
    fn drop(&mut self) {
        if let Some(Failure { kind, detail }) = self.failure.take() {
            let error = cut_short(&self.services, &self.handle);
            let events = &self.services.events;
            let torrent = self.handle.torrent_ref();
            events.post(kind, Some(&torrent), || detail(error));
        }
    }
}

/// Why work of a torrent does not come to its end.
fn cut_short(session: &Services, handle: &TorrentHandle) -> Error {
    let (kind, reason) = if *session.stopping.borrow() {
        (ErrorKind::SessionNotRunning, "the session stops")
    } else if !handle.is_valid() {
        (ErrorKind::InvalidTorrentHandle, "the torrent is removed")
    } else {
        (ErrorKind::InternalException, "the task failed")
    };
    Error::because(kind, reason)
}

/// What ends with an event and has no task of its own.
#[derive(Debug, Default)]
pub(super) struct Uncompleted {
    /// `flush_cache` calls that are not answered.
    pub(super) flushes: u32,
    /// A check that was asked for is not over.
    pub(super) check: bool,
}

impl Driver {
    /// A guard that posts an event of `kind` with what `detail` makes of the
    /// reason.
    pub(super) fn address_filter(
        &self,
        kind: Kind,
        detail: impl FnOnce(Error) -> Detail + Send + Sync + 'static,
    ) -> CompletionGuard {
        CompletionGuard {
            services: Arc::clone(&self.context.services),
            handle: self.handle.clone(),
            failure: Some(Failure {
                kind,
                detail: Box::new(detail),
            }),
        }
    }

    /// A guard for moving the files or renaming one.
    pub(super) fn guard_of_placing(&self, placing: &StorageCommand) -> CompletionGuard {
        match placing {
            StorageCommand::Move { to, .. } => {
                let to = to.display().to_string();
                self.address_filter(kind::STORAGE_MOVED_FAILED, |error| {
                    Detail::FileError(error.about(to))
                })
            }
            &StorageCommand::Rename { file, .. } => self
                .address_filter(kind::FILE_RENAME_FAILED, move |error| {
                    Detail::RenameFailed { file, error }
                }),
        }
    }

    /// A guard for reading a piece.
    pub(super) fn guard_of_read(&self, piece: torrent_core::ids::PieceIndex) -> CompletionGuard {
        self.address_filter(kind::READ_PIECE, move |error| Detail::PieceData {
            piece,
            data: bytes::Bytes::new(),
            error: error.to_string(),
        })
    }

    /// A guard for saving resume data.
    pub(super) fn guard_of_save(&self) -> CompletionGuard {
        self.address_filter(kind::SAVE_RESUME_DATA_FAILED, Detail::Error)
    }

    /// The torrent ends before a command was carried out. What needs no work
    /// is done; of everything else that has an event the failure is posted. A
    /// caller that waits for an answer learns it from the answer's end.
    pub(super) fn leave_undone(&mut self, command: Command) {
        match command {
            Command::Place(placing) => {
                if matches!(*placing, StorageCommand::Move { .. }) {
                    self.handle.shared.asked.saw_one(CommandTopic::Move);
                }
                drop(self.guard_of_placing(&placing));
            }
            Command::SaveResumeData(_) => drop(self.guard_of_save()),
            Command::ReadPiece(piece, _)
            | Command::Deadline {
                piece, alert: true, ..
            } => drop(self.guard_of_read(piece)),
            Command::Metadata(_) if !self.brain.has_metadata() => {
                drop(self.address_filter(kind::METADATA_FAILED, Detail::Error));
            }
            Command::Flush(_) => self.uncompleted.flushes += 1,
            Command::Ask(question) => self.answer(question),
            Command::Scrape(tracker) => {
                self.announcer.scrape(tracker);
                self.announce_pending();
            }
            Command::Look(PendingState::Options) => self.read_options(),
            Command::Look(PendingState::Priorities) => self.sort_files(),
            Command::Look(PendingState::Check) => {
                let wish = std::mem::take(&mut *self.handle.shared.check.lock());
                self.uncompleted.check |= wish.begin.is_some();
            }
            _ => {}
        }
    }

    /// Work that is under way ends now or as soon as it can, and what has not
    /// begun never will.
    pub(super) fn cut_short(&mut self) {
        self.ending = true;
        if let Some(storage) = self.storage.slot.get() {
            storage.cut_short();
        }
        if self.location.places.give_up() {
            drop(self.address_filter(kind::METADATA_FAILED, Detail::Error));
        }
        self.records.saver.give_up();
        if self.failure.shortage.give_up_sorting() {
            self.storage.work.sorting = false;
        }
        if std::mem::take(&mut self.uncompleted.check) {
            drop(self.address_filter(kind::TORRENT_ERROR, |error| {
                let reason = format!("the check was cut short: {}", error.message());
                Detail::Error(Error::because(error.kind(), reason))
            }));
        }
    }

    /// What was handed over before is in the files, or never will be.
    pub(super) fn flushed(&mut self) {
        for _ in 0..std::mem::take(&mut self.uncompleted.flushes) {
            self.post(kind::CACHE_FLUSHED, || Detail::None);
        }
    }
}
