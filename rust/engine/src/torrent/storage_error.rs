//! A torrent in error: it stays so, whatever fails meanwhile, until a caller says
//! that the cause is gone or a retry finds that it is.

use std::time::Instant;

use torrent_core::check_state::CheckState;

use super::Driver;
use crate::error::Error;
use crate::event::command_sequence::CommandTopic;
use crate::event::{Detail, Kind, kind};

impl Driver {
    /// Storage is in error: nothing new is requested, what we have is served.
    pub(super) fn fail(&mut self, error: Error) {
        tracing::warn!(torrent = %self.handle.info_hash(), %error, "storage failed");
        // One cause fails several writes; the first is reported to the game.
        let repeat = std::mem::take(&mut self.failure.repeat);
        if self.failure.error.is_some() && !repeat {
            return;
        }
        self.failure.error = Some(error.clone());
        self.hold_download();
        self.plan_retry();
        self.publish(Instant::now());
        self.post_error(kind::FILE_ERROR, error);
    }

    /// Posts what the torrent is in error for, unless the game has called
    /// `clear_error` meanwhile: then what comes of that is posted.
    pub(super) fn post_error(&self, kind: Kind, error: Error) {
        let (events, torrent) = (&self.context.services.events, self.handle.torrent_ref());
        events.post_about(CommandTopic::Error, kind, &torrent, || Detail::Error(error));
    }

    /// The game says that the cause is gone.
    pub(super) fn clear_error(&mut self) {
        if self.checking.state.awaits_folder() {
            self.storage.work.retry_at = None;
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
        let had_one = self.failure.error.take().is_some();
        self.failure.repeat = false;
        if had_one {
            self.failure.cleared = Some(Instant::now());
            self.storage.work.retry_at = None;
            self.hold_download();
            self.times.times.snapshot_now();
        }
        had_one
    }
}
