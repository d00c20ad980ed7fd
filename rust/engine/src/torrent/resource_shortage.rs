//! Short periods in which the system has no file descriptor or no memory for
//! us. They say nothing of the torrent: it is not in error, asks for no blocks
//! for a moment, and goes on by itself. libtorrent too drops only what was
//! being done (for want of memory).
//!
//! Owned by the torrent's driver: [`Driver::storage_failed`] comes here with
//! such an error, [`Driver::shortage_over`] when the wait is over, for which
//! `torrent_core::storage_backoff` decides.

use std::time::Instant;

use torrent_core::check_state::CheckState;

use super::Driver;
use crate::disk::DiskError;
use crate::error::Error;
use crate::event::typed;

/// What has to be done again when the wait is over.
#[derive(Debug, Default)]
pub(super) struct AfterShortage {
    /// Moving files in or out of the part file, as priorities say.
    pub(super) sort: bool,
    /// Looking at the save path, for pieces whose bytes are not there.
    look: bool,
}

impl Driver {
    /// The system has no descriptor or no memory for us at the moment.
    pub(super) fn shortage_began(&mut self, error: impl Into<Error>) {
        let error = error.into();
        if !self.failure.backoff.shortage(Instant::now()) {
            return;
        }
        tracing::warn!(torrent = %self.handle.info_hash(), %error, "storage waits a moment");
        self.drain_storage_outputs();
        self.post_error(typed::FILE_ERROR, error);
    }

    /// Goes on: the wait is over.
    pub(super) fn shortage_over(&mut self) {
        let later = std::mem::take(&mut self.failure.after_shortage);
        if later.look {
            self.look_for_gone();
        }
        if later.sort {
            self.storage.work.sorting = false;
            self.read_priorities();
        }
        if !self.brain.state().is_checking() {
            self.prepare_files();
        }
        self.drain_check_outputs();
    }

    /// It could not be found out what there is, or what became of a move: that
    /// is done when the wait is over.
    pub(super) fn start_later(&mut self, error: DiskError) {
        self.shortage_began(error);
        self.check_input(CheckState::start_is_short);
    }

    /// Files could not be put where they belong: that is done when the wait is
    /// over.
    pub(super) fn sort_later(&mut self, error: DiskError) {
        self.failure.after_shortage.sort = true;
        self.shortage_began(error);
    }

    /// It could not be seen whether pieces are gone or the folder is: that is
    /// found out when the wait is over.
    pub(super) fn look_later(&mut self, error: Error) {
        self.failure.after_shortage.look = true;
        self.shortage_began(error);
    }
}
