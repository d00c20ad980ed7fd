//! Work that a caller has asked for and that ends with an event. When it cannot
//! be completed, because the torrent is removed, the session stops or the task
//! panics, its failure event is posted, before the torrent's last event.

use std::sync::Arc;

use torrent_core::ids::PieceIndex;

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
    failure: Option<PendingFailure>,
}

/// The event that says that something failed.
struct PendingFailure {
    kind: Kind,
    detail: Box<dyn FnOnce(Error) -> Detail + Send + Sync>,
}

impl CompletionGuard {
    /// One that posts an event of `kind` with what `detail` makes of the reason.
    fn new(
        services: &Arc<Services>,
        handle: &TorrentHandle,
        kind: Kind,
        detail: impl FnOnce(Error) -> Detail + Send + Sync + 'static,
    ) -> Self {
        Self {
            services: Arc::clone(services),
            handle: handle.clone(),
            failure: Some(PendingFailure {
                kind,
                detail: Box::new(detail),
            }),
        }
    }

    /// The work is complete, which its own event reports.
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
        if let Some(PendingFailure { kind, detail }) = self.failure.take() {
            let error = cut_short(&self.services, &self.handle);
            let events = &self.services.events;
            let torrent = self.handle.torrent_ref();
            events.post(kind, Some(&torrent), || detail(error));
        }
    }
}

/// Why work of a torrent is not completed.
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

/// Work that ends with an event and has no task of its own.
#[derive(Debug, Default)]
pub(super) struct Uncompleted {
    /// `flush_cache` calls that are not answered.
    pub(super) flushes: u32,
    /// A check that was asked for is not over.
    pub(super) check: bool,
}

/// The event that says of work that it failed, as `kind` and what makes the
/// detail of it of a reason.
type FailureEvent = (Kind, Box<dyn FnOnce(Error) -> Detail + Send + Sync>);

/// The event that says that moving the files or renaming one failed.
fn failure_of_storage_command(command: &StorageCommand) -> FailureEvent {
    match command {
        StorageCommand::Move { to, .. } => {
            let to = to.display().to_string();
            let detail = |error: Error| Detail::FileError(error.about(to));
            (kind::STORAGE_MOVED_FAILED, Box::new(detail))
        }
        &StorageCommand::Rename { file, .. } => {
            let detail = move |error| Detail::RenameFailed { file, error };
            (kind::FILE_RENAME_FAILED, Box::new(detail))
        }
    }
}

/// The event that says that a piece was not read.
fn failure_of_read(piece: PieceIndex) -> FailureEvent {
    let detail = move |error: Error| Detail::PieceData {
        piece,
        data: bytes::Bytes::new(),
        error: error.to_string(),
    };
    (kind::READ_PIECE, Box::new(detail))
}

/// The torrent ends before a command was carried out that has an event: the
/// failure is posted. A caller that waits for an answer learns it from the
/// answer's end.
pub(super) fn post_failure(services: &Arc<Services>, handle: &TorrentHandle, command: &Command) {
    let (kind, detail) = match command {
        Command::Storage(command) => {
            if matches!(**command, StorageCommand::Move { .. }) {
                handle.shared.asked.saw_one(CommandTopic::Move);
            }
            failure_of_storage_command(command)
        }
        Command::SaveResumeData(_) => (
            kind::SAVE_RESUME_DATA_FAILED,
            Box::new(Detail::Error) as Box<_>,
        ),
        &Command::ReadPiece(piece, _)
        | &Command::Deadline {
            piece, alert: true, ..
        } => failure_of_read(piece),
        Command::Metadata(_) if handle.metainfo().is_none() => {
            (kind::METADATA_FAILED, Box::new(Detail::Error) as Box<_>)
        }
        Command::Flush(_) => {
            // Nothing is unwritten.
            let torrent = handle.torrent_ref();
            let events = &services.events;
            return events.post(kind::CACHE_FLUSHED, Some(&torrent), || Detail::None);
        }
        _ => return,
    };
    drop(CompletionGuard::new(services, handle, kind, detail));
}

impl Driver {
    /// A guard that posts an event of `kind` with what `detail` makes of the
    /// reason.
    pub(super) fn guard(
        &self,
        kind: Kind,
        detail: impl FnOnce(Error) -> Detail + Send + Sync + 'static,
    ) -> CompletionGuard {
        CompletionGuard::new(&self.context.services, &self.handle, kind, detail)
    }

    /// A guard for moving the files or renaming one.
    pub(super) fn guard_of_storage_command(&self, command: &StorageCommand) -> CompletionGuard {
        let (kind, detail) = failure_of_storage_command(command);
        self.guard(kind, detail)
    }

    /// A guard for reading a piece.
    pub(super) fn guard_of_read(&self, piece: PieceIndex) -> CompletionGuard {
        let (kind, detail) = failure_of_read(piece);
        self.guard(kind, detail)
    }

    /// A guard for saving resume data.
    pub(super) fn guard_of_save(&self) -> CompletionGuard {
        self.guard(kind::SAVE_RESUME_DATA_FAILED, Detail::Error)
    }

    /// The torrent ends before a command was carried out. What needs no work
    /// is done; of everything else that has an event the failure is posted.
    pub(super) fn leave_unfinished(&mut self, command: Command) {
        match command {
            Command::Flush(_) => self.uncompleted.flushes += 1,
            Command::Ask(request) => self.answer(request),
            Command::Scrape(tracker) => {
                self.announcing.announcer.scrape(tracker);
                self.announce_pending();
            }
            Command::Look(PendingState::Options) => self.read_options(),
            Command::Look(PendingState::Priorities) => self.sort_files(),
            Command::Look(PendingState::Check) => {
                let requested = std::mem::take(&mut *self.handle.shared.check.lock());
                self.uncompleted.check |= requested.begin.is_some();
            }
            other => post_failure(&self.context.services, &self.handle, &other),
        }
    }

    /// Cancels work that is under way, and drops work that has not begun.
    pub(super) fn cut_short(&mut self) {
        self.ending = true;
        if let Some(storage) = self.storage.slot.get() {
            storage.cut_short();
        }
        if self.location.work.give_up() {
            drop(self.guard(kind::METADATA_FAILED, Detail::Error));
        }
        self.records.saver.give_up();
        if std::mem::take(&mut self.failure.after_shortage.sort) {
            self.storage.work.sorting = false;
        }
        if std::mem::take(&mut self.uncompleted.check) {
            drop(self.guard(kind::TORRENT_ERROR, |error| {
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
