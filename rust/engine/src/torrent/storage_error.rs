//! A torrent in error: it stays so, whatever fails meanwhile, until a caller says
//! that the cause is gone or a retry finds that it is.

use std::time::{Duration, Instant};

use torrent_core::check_state::CheckState;
use torrent_core::storage_backoff::StorageOutput;

use super::Driver;
use crate::error::Error;
use crate::event::command_sequence::ENDS_ERROR;
use crate::event::{TypedKind, typed};

impl Driver {
    /// Storage is in error: nothing new is requested, what we have is served.
    pub(super) fn fail(&mut self, error: Error) {
        self.fail_at(Instant::now(), error);
    }

    /// The same, by something that `happened` a while ago.
    pub(super) fn fail_at(&mut self, happened: Instant, error: Error) {
        tracing::warn!(torrent = %self.handle.info_hash(), %error, "storage failed");
        let retry = self
            .context
            .services
            .settings
            .borrow()
            .optimistic_disk_retry;
        let retry = Duration::from_secs(retry.unsigned_abs());
        let now = Instant::now();
        // One cause fails several writes; the first is reported to the game.
        if self.failure.backoff.failed(now, happened, Some(retry)) {
            self.failure.error = Some(error.clone());
            self.drain_storage_outputs();
            self.publish(now);
            self.post_error(typed::FILE_ERROR, error);
        }
    }

    /// Posts what is wrong with the files or the metadata, unless the game has
    /// asked meanwhile for what ends it: then what comes of that is posted.
    pub(super) fn post_error(&self, kind: TypedKind<Error>, error: Error) {
        let (events, torrent) = (&self.context.services.events, self.handle.torrent_ref());
        events.post_about(ENDS_ERROR, kind, &torrent, || error);
    }

    /// Carries out what is decided about errors of storage.
    pub(super) fn drain_storage_outputs(&mut self) {
        while let Some(output) = self.failure.backoff.poll_output() {
            self.times.times.changed();
            match output {
                StorageOutput::Hold => self.hold_download(),
                StorageOutput::ShortageOver => self.shortage_over(),
                StorageOutput::Retry => self.clear_error(),
            }
        }
    }

    /// The game says that the cause is gone.
    pub(super) fn clear_error(&mut self) {
        if self.checking.state.awaits_folder() {
            return self.check_input(CheckState::retry);
        }
        let has_pending = self.checking.state.has_pending();
        let had_one = self.forget_error();
        self.drain_check_outputs();
        if !has_pending && had_one {
            self.prepare_files();
            if !self.brain.has_metadata() {
                // Peers' blocks were refused meanwhile.
                self.brain.fetch_metadata(Instant::now());
            }
        }
    }

    /// Whether there was an error that counts no longer.
    pub(super) fn forget_error(&mut self) -> bool {
        let had_one = self.failure.backoff.cleared(Instant::now());
        if had_one {
            self.failure.error = None;
            self.drain_storage_outputs();
            self.times.times.snapshot_now();
        }
        had_one
    }
}
