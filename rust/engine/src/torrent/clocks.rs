//! How long a torrent was in its states, and when things last happened to it:
//! what its status and its records say of that.

use std::time::{Duration, Instant};

use torrent_core::resume::ResumeData;
use torrent_core::torrent::TorrentState;

use crate::event::unix_millis;

/// Adds up how long the torrent was in its states, and says when the next
/// snapshot is due.
#[derive(Debug)]
pub(super) struct Clocks {
    pub(super) next_snapshot: Instant,
    counted_to: Instant,
    running: bool,
    state: TorrentState,
    pub(super) active: Duration,
    pub(super) finished: Duration,
    pub(super) seeding: Duration,
    pub(super) completed_time: i64,
    /// Something was missing since the last completion.
    incomplete: bool,
    pub(super) last_seen_complete: i64,
    pub(super) last_download: Option<Instant>,
    pub(super) last_upload: Option<Instant>,
    payload: (u64, u64),
}

impl Clocks {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            next_snapshot: now,
            counted_to: now,
            running: false,
            state: TorrentState::default(),
            active: Duration::ZERO,
            finished: Duration::ZERO,
            seeding: Duration::ZERO,
            completed_time: 0,
            incomplete: false,
            last_seen_complete: 0,
            last_download: None,
            last_upload: None,
            payload: (0, 0),
        }
    }

    /// Goes on from what a record says.
    pub(super) fn restore(&mut self, now: Instant, record: &ResumeData) {
        let today = unix_millis() / 1000;
        let ago = |time: i64| {
            let passed = u64::try_from(today - time).ok().filter(|_| time > 0)?;
            now.checked_sub(Duration::from_secs(passed))
        };
        self.active = Duration::from_secs(record.active_time);
        self.finished = Duration::from_secs(record.finished_time);
        self.seeding = Duration::from_secs(record.seeding_time);
        self.completed_time = record.completed_time;
        self.last_seen_complete = record.last_seen_complete;
        self.last_download = ago(record.last_download);
        self.last_upload = ago(record.last_upload);
    }

    /// Writes into a record how long and when.
    pub(super) fn record(&mut self, now: Instant, record: &mut ResumeData) {
        self.advance(now);
        let today = unix_millis() / 1000;
        let date = |then: Option<Instant>| match seconds_since(now, then) {
            passed if passed < 0 => None,
            passed => Some(today - passed),
        };
        record.active_time = self.active.as_secs();
        record.finished_time = self.finished.as_secs();
        record.seeding_time = self.seeding.as_secs();
        record.completed_time = self.completed_time;
        record.last_seen_complete = self.last_seen_complete;
        record.last_download = date(self.last_download).unwrap_or(record.last_download);
        record.last_upload = date(self.last_upload).unwrap_or(record.last_upload);
    }

    pub(super) fn next_snapshot(&self) -> Instant {
        self.next_snapshot
    }

    /// Asks for a snapshot at the end of this wake.
    pub(super) fn snapshot_now(&mut self) {
        self.next_snapshot = self.counted_to;
    }

    pub(super) fn advance(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.counted_to);
        self.counted_to = now;
        if !self.running {
            return;
        }
        self.active += passed;
        if matches!(self.state, TorrentState::Finished | TorrentState::Seeding) {
            self.finished += passed;
        }
        if self.state == TorrentState::Seeding {
            self.seeding += passed;
        }
    }

    pub(super) fn state_changed(&mut self, now: Instant, state: TorrentState, paused: bool) {
        self.advance(now);
        self.state = state;
        self.running = !paused;
        self.incomplete |= state == TorrentState::Downloading;
    }

    pub(super) fn paused_changed(&mut self, now: Instant, paused: bool) {
        self.advance(now);
        self.running = !paused;
    }

    pub(super) fn finished(&mut self) {
        // A torrent that starts complete was completed before.
        if std::mem::take(&mut self.incomplete) || self.completed_time == 0 {
            self.completed_time = unix_millis() / 1000;
        }
    }

    /// Notes when payload last went either way.
    pub(super) fn note_payload(&mut self, now: Instant, received: u64, sent: u64) {
        if received > self.payload.0 {
            self.last_download = Some(now);
        }
        if sent > self.payload.1 {
            self.last_upload = Some(now);
        }
        self.payload = (received, sent);
    }
}

/// Whole seconds since `then`; -1 if that never was.
pub(super) fn seconds_since(now: Instant, then: Option<Instant>) -> i64 {
    then.map_or(-1, |then| {
        now.saturating_duration_since(then).as_secs() as i64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_completion_is_that_of_the_last_one() {
        let now = Instant::now();
        let mut clocks = Clocks::new(now);
        let record = ResumeData {
            completed_time: 1000,
            ..ResumeData::default()
        };
        clocks.restore(now, &record);
        // It is complete, as it was; a check finds it so.
        for _ in 0..2 {
            clocks.state_changed(now, TorrentState::CheckingFiles, false);
            clocks.state_changed(now, TorrentState::Finished, false);
            clocks.finished();
            assert_eq!(clocks.completed_time, 1000);
        }
        // Something is missing, and comes.
        clocks.state_changed(now, TorrentState::Downloading, false);
        assert_eq!(clocks.completed_time, 1000, "until it comes");
        clocks.state_changed(now, TorrentState::Finished, false);
        clocks.finished();
        assert!(clocks.completed_time > 1_000_000);
        let last = std::mem::replace(&mut clocks.completed_time, 2000);
        clocks.state_changed(now, TorrentState::Seeding, false);
        clocks.finished();
        assert_eq!(clocks.completed_time, 2000, "not {last}");
    }
}
