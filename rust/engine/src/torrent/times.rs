//! The times of a torrent (`torrent_core::active_time`) by the clocks of the
//! machine, and when its next snapshot is due.

use std::ops::{Deref, DerefMut};
use std::time::Instant;

use torrent_core::active_time::ActiveTime;
pub(super) use torrent_core::active_time::seconds_since;
use torrent_core::resume::ResumeData;

use crate::event::unix_millis;

/// The times of the torrent, and when the next snapshot is due.
#[derive(Debug)]
pub(super) struct TorrentTimes {
    times: ActiveTime,
    pub(super) next_snapshot: Instant,
}

impl TorrentTimes {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            times: ActiveTime::new(now),
            next_snapshot: now,
        }
    }

    /// Goes on from what a record says.
    pub(super) fn restore(&mut self, now: Instant, record: &ResumeData) {
        self.times.restore(now, today(), record);
    }

    /// Writes into a record how long and when.
    pub(super) fn record(&mut self, now: Instant, record: &mut ResumeData) {
        self.times.record(now, today(), record);
    }

    /// Everything wanted is here.
    pub(super) fn finished(&mut self) {
        self.times.finished(today());
    }

    pub(super) fn next_snapshot(&self) -> Instant {
        self.next_snapshot
    }

    /// Asks for a snapshot at the end of this wake.
    pub(super) fn snapshot_now(&mut self) {
        self.next_snapshot = self.times.counted_to();
    }
}

impl Deref for TorrentTimes {
    type Target = ActiveTime;

    fn deref(&self) -> &ActiveTime {
        &self.times
    }
}

impl DerefMut for TorrentTimes {
    fn deref_mut(&mut self) -> &mut ActiveTime {
        &mut self.times
    }
}

/// Seconds since 1970.
fn today() -> i64 {
    unix_millis() / 1000
}
