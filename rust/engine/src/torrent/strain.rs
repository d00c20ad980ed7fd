//! Short spells in which the system has no file descriptor or no memory for
//! us. They say nothing of the torrent: it is not in error, asks for no blocks
//! for a moment, and goes on by itself. libtorrent too gives up only what was
//! being done (for want of memory).
//!
//! Owned by the torrent's driver: [`Driver::storage_failed`] comes here with
//! such an error, [`Driver::strain_over`] when the wait is over.

use std::time::{Duration, Instant};

use super::Driver;
use crate::disk::{CheckMode, DiskError};
use crate::error::Error;
use crate::event::{Detail, kind};

/// The first wait; it doubles while the trouble comes back at once.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The wait for better times.
#[derive(Debug)]
pub(super) struct Strain {
    until: Option<Instant>,
    /// The last wait, and when it was over.
    last: Option<(Duration, Instant)>,
}

impl Strain {
    pub(super) fn new() -> Self {
        Self {
            until: None,
            last: None,
        }
    }

    /// Trouble at `now`. False if it is waited out already.
    fn begin(&mut self, now: Instant) -> bool {
        if self.until.is_some() {
            return false;
        }
        let wait = match self.last {
            // No longer at ease than it waited.
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

    /// When the wait is over.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.until
    }
}

impl Driver {
    /// The system is short of something for the moment.
    pub(super) fn strained(&mut self, error: DiskError) {
        if !self.strain.begin(Instant::now()) {
            return;
        }
        tracing::warn!(torrent = %self.handle.info_hash(), %error, "storage waits a moment");
        self.hold_download();
        self.post(kind::FILE_ERROR, || Detail::Error(Error::from(error)));
    }

    /// Goes on if the wait is over.
    pub(super) fn strain_over(&mut self, now: Instant) {
        if self.strain.until.is_some_and(|until| now >= until) {
            self.strain.until = None;
            self.hold_download();
            self.prepare_files();
            self.try_check();
        }
    }

    /// A check could not go on for want of something: it begins again when the
    /// wait is over.
    pub(super) fn check_later(&mut self, mode: CheckMode, error: DiskError) {
        self.check_waits = Some(mode);
        self.strained(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_while_the_trouble_stays() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut strain = Strain::new();
        let mut trouble = |now, expected: u64| {
            assert!(strain.begin(at(now)));
            assert!(!strain.begin(at(now)), "one wait at a time");
            assert_eq!(strain.poll_timeout(), Some(at(now + expected)));
            strain.until = None;
        };
        trouble(0, 1);
        trouble(1, 2);
        trouble(3, 4);
        trouble(8, 8);
        trouble(17, 16);
        trouble(40, 30);
        trouble(80, 30);
        // At ease for longer than it had waited.
        trouble(200, 1);
    }
}
