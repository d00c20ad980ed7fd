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
    /// Before this there is no other snapshot, but of a change that is shown at
    /// once.
    next_snapshot: Instant,
    /// There is something to show.
    is_changed: bool,
}

impl TorrentTimes {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            times: ActiveTime::new(now),
            next_snapshot: now,
            is_changed: true,
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

    /// When the next snapshot is due. None is where nothing has changed but that
    /// time has passed.
    pub(super) fn next_snapshot(&self) -> Option<Instant> {
        self.is_changed.then_some(self.next_snapshot)
    }

    /// Something has changed, which the next snapshot shows.
    pub(super) fn changed(&mut self) {
        self.is_changed = true;
    }

    /// Asks for a snapshot at the end of this wake.
    pub(super) fn snapshot_now(&mut self) {
        self.is_changed = true;
        self.next_snapshot = self.times.counted_to();
    }

    /// A snapshot was made. The next one is not before `next`, and comes by
    /// itself if the torrent `is_moving`.
    pub(super) fn published(&mut self, next: Instant, is_moving: bool) {
        self.next_snapshot = next;
        self.is_changed = is_moving;
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
