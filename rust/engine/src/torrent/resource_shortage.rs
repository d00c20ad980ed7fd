//! Short periods in which the system has no file descriptor or no memory for
//! us. They say nothing of the torrent: it is not in error, asks for no blocks
//! for a moment, and goes on by itself. libtorrent too drops only what was
//! being done (for want of memory).
//!
//! Owned by the torrent's driver: [`Driver::storage_failed`] comes here with
//! such an error, [`Driver::shortage_over`] when the wait is over.

use std::time::{Duration, Instant};

use torrent_core::check_state::CheckState;

use super::Driver;
use crate::disk::DiskError;
use crate::error::Error;
use crate::event::{Detail, kind};

/// The first wait; it doubles while the shortage comes back at once.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The wait until the system has descriptors or memory again.
#[derive(Debug)]
pub(super) struct ResourceShortage {
    until: Option<Instant>,
    /// The last wait, and when it was over.
    last: Option<(Duration, Instant)>,
    later: Later,
}

/// What has to be done again when the wait is over.
#[derive(Debug, Default)]
struct Later {
    /// Moving files in or out of the part file, as priorities say.
    sort: bool,
    /// Looking at the save path, for pieces whose bytes are not there.
    look: bool,
}

impl ResourceShortage {
    pub(super) fn new() -> Self {
        Self {
            until: None,
            last: None,
            later: Later::default(),
        }
    }

    /// A shortage at `now`. False if it is waited out already.
    fn begin(&mut self, now: Instant) -> bool {
        if self.until.is_some() {
            return false;
        }
        let wait = match self.last {
            // The shortage came back after less time than the last wait.
            Some((wait, over)) if now < over + wait => (2 * wait).min(LONGEST_WAIT),
            _ => FIRST_WAIT,
        };
        self.until = Some(now + wait);
        self.last = Some((wait, now + wait));
        true
    }

    /// Whether it is waited out now.
    pub(super) fn holds(&self) -> bool {
        self.until.is_some()
    }

    /// The torrent ends. Whether sorting of files had waited.
    pub(super) fn give_up_sorting(&mut self) -> bool {
        std::mem::take(&mut self.later.sort)
    }

    /// When the wait is over.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.until
    }
}

impl Driver {
    /// The system has no descriptor or no memory for us at the moment.
    pub(super) fn shortage_began(&mut self, error: impl Into<Error>) {
        let error = error.into();
        if !self.failure.shortage.begin(Instant::now()) {
            return;
        }
        tracing::warn!(torrent = %self.handle.info_hash(), %error, "storage waits a moment");
        self.hold_download();
        self.post(kind::FILE_ERROR, || Detail::Error(error));
    }

    /// Goes on if the wait is over.
    pub(super) fn shortage_over(&mut self, now: Instant) {
        if self
            .failure
            .shortage
            .until
            .is_some_and(|until| now >= until)
        {
            self.failure.shortage.until = None;
            let later = std::mem::take(&mut self.failure.shortage.later);
            self.hold_download();
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
        self.failure.shortage.later.sort = true;
        self.shortage_began(error);
    }

    /// It could not be seen whether pieces are gone or the folder is: that is
    /// found out when the wait is over.
    pub(super) fn look_later(&mut self, error: Error) {
        self.failure.shortage.later.look = true;
        self.shortage_began(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_while_the_trouble_stays() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut shortage = ResourceShortage::new();
        let mut shortage_at = |now, expected: u64| {
            assert!(shortage.begin(at(now)));
            assert!(!shortage.begin(at(now)), "one wait at a time");
            assert_eq!(shortage.poll_timeout(), Some(at(now + expected)));
            shortage.until = None;
        };
        shortage_at(0, 1);
        shortage_at(1, 2);
        shortage_at(3, 4);
        shortage_at(8, 8);
        shortage_at(17, 16);
        shortage_at(40, 30);
        shortage_at(80, 30);
        // No shortage for longer than the last wait.
        shortage_at(200, 1);
    }
}
