//! Work that a caller has asked for and that ends with an event. When it cannot
//! be completed, because the torrent is removed, the session stops or the task
//! panics, its failure event is posted, before the torrent's last event.

use std::sync::Arc;

use torrent_core::ids::PieceIndex;

use super::Driver;
use crate::context::Services;
use crate::error::{Error, ErrorKind};
use crate::event::command_sequence::CommandTopic;
use crate::event::{EventBody, FailedRename, PieceRead, typed};
use crate::torrent::handle::storage::StorageCommand;
use crate::torrent::handle::{Command, PendingState, TorrentHandle};

/// Posts a failure when it is dropped before [`Self::complete`]. It travels
/// with the work: through queues, tasks and their results.
#[must_use]
pub(super) struct CompletionGuard {
    services: Arc<Services>,
    handle: TorrentHandle,
    failure: Option<FailureEvent>,
}

impl CompletionGuard {
    /// One that posts what `failure` makes of the reason.
    fn new(
        services: &Arc<Services>,
        handle: &TorrentHandle,
        failure: impl FnOnce(Error) -> EventBody + Send + Sync + 'static,
    ) -> Self {
        Self {
            services: Arc::clone(services),
            handle: handle.clone(),
            failure: Some(Box::new(failure)),
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
        if let Some(failure) = self.failure.take() {
            let error = cut_short(&self.services, &self.handle);
            let events = &self.services.events;
            let torrent = self.handle.torrent_ref();
            events.post_body(Some(&torrent), failure(error));
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

/// What makes the event that says of work that it failed of the reason.
type FailureEvent = Box<dyn FnOnce(Error) -> EventBody + Send + Sync>;

/// The event that says that moving the files or renaming one failed.
fn failure_of_storage_command(command: &StorageCommand) -> FailureEvent {
    match command {
        StorageCommand::Move { to, .. } => {
            let to = to.display().to_string();
            Box::new(|error| EventBody::StorageMovedFailed(error.about(to)))
        }
        &StorageCommand::Rename { file, .. } => {
            Box::new(move |error| EventBody::FileRenameFailed(FailedRename { file, error }))
        }
    }
}

/// The event that says that a piece was not read.
fn failure_of_read(piece: PieceIndex) -> FailureEvent {
    Box::new(move |error| {
        EventBody::ReadPiece(PieceRead {
            piece,
            data: bytes::Bytes::new(),
            error: error.to_string(),
        })
    })
}

/// The torrent ends before a command was carried out that has an event: the
/// failure is posted. A caller that waits for an answer learns it from the
/// answer's end.
pub(super) fn post_failure(services: &Arc<Services>, handle: &TorrentHandle, command: &Command) {
    let failure: FailureEvent = match command {
        Command::Storage(command) => {
            if matches!(**command, StorageCommand::Move { .. }) {
                handle.shared.asked.saw_one(CommandTopic::Move);
            }
            failure_of_storage_command(command)
        }
        Command::SaveResumeData(_) => Box::new(EventBody::SaveResumeDataFailed),
        &Command::ReadPiece(piece, _)
        | &Command::Deadline {
            piece, alert: true, ..
        } => failure_of_read(piece),
        Command::Metadata(_) if handle.metainfo().is_none() => Box::new(EventBody::MetadataFailed),
        Command::Flush(_) => {
            // Nothing is unwritten.
            let torrent = handle.torrent_ref();
            let events = &services.events;
            return events.post(typed::CACHE_FLUSHED, Some(&torrent), || ());
        }
        _ => return,
    };
    drop(CompletionGuard::new(services, handle, failure));
}

impl Driver {
    /// A guard that posts what `failure` makes of the reason.
    pub(super) fn guard(
        &self,
        failure: impl FnOnce(Error) -> EventBody + Send + Sync + 'static,
    ) -> CompletionGuard {
        CompletionGuard::new(&self.context.services, &self.handle, failure)
    }

    /// A guard for moving the files or renaming one.
    pub(super) fn guard_of_storage_command(&self, command: &StorageCommand) -> CompletionGuard {
        self.guard(failure_of_storage_command(command))
    }

    /// A guard for reading a piece.
    pub(super) fn guard_of_read(&self, piece: PieceIndex) -> CompletionGuard {
        self.guard(failure_of_read(piece))
    }

    /// A guard for saving resume data.
    pub(super) fn guard_of_save(&self) -> CompletionGuard {
        self.guard(EventBody::SaveResumeDataFailed)
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
            drop(self.guard(EventBody::MetadataFailed));
        }
        self.records.saver.give_up();
        if std::mem::take(&mut self.failure.after_shortage.sort) {
            self.storage.work.sorting = false;
        }
        if std::mem::take(&mut self.uncompleted.check) {
            drop(self.guard(|error| {
                let reason = format!("the check was cut short: {}", error.message());
                EventBody::TorrentError(Error::because(error.kind(), reason))
            }));
        }
    }

    /// What was handed over before is in the files, or never will be.
    pub(super) fn flushed(&mut self) {
        for _ in 0..std::mem::take(&mut self.uncompleted.flushes) {
            self.post(typed::CACHE_FLUSHED, || ());
        }
    }
}
