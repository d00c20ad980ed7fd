//! How long a torrent was active, finished and seeding, and when things last
//! happened to it: what its status and its records say of that (libtorrent's
//! `active_time`, `finished_time`, `seeding_time`, `completed_time` and the
//! like).
//!
//! The driver reports every change of state and pause, a completion and
//! payload; [`ActiveTime::advance`] brings the sums up to date. Times of day are
//! seconds since 1970 and come in as arguments beside `now`.

use std::time::{Duration, Instant};

use crate::resume::ResumeData;
use crate::torrent::TorrentState;

/// The times of one torrent.
#[derive(Clone, Copy, Debug)]
pub struct ActiveTime {
    counted_to: Instant,
    running: bool,
    state: TorrentState,
    /// How long it was not paused.
    pub active: Duration,
    /// How long it had everything wanted meanwhile.
    pub finished: Duration,
    /// How long it had everything meanwhile.
    pub seeding: Duration,
    /// The time of day at which it was completed last; 0 if that never was.
    pub completed_time: i64,
    /// Something was missing since the last completion.
    incomplete: bool,
    /// The time of day at which all of it was last seen in the swarm; 0 if that
    /// never was.
    pub last_seen_complete: i64,
    /// When payload last came.
    pub last_download: Option<Instant>,
    /// When payload last went.
    pub last_upload: Option<Instant>,
    payload: (u64, u64),
}

impl ActiveTime {
    /// A torrent that is paused, and begins with nothing.
    pub fn new(now: Instant) -> Self {
        Self {
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

    /// Goes on from what a record says. `today` is the time of day.
    pub fn restore(&mut self, now: Instant, today: i64, record: &ResumeData) {
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

    /// Writes into a record how long and when. `today` is the time of day.
    pub fn record(&mut self, now: Instant, today: i64, record: &mut ResumeData) {
        self.advance(now);
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

    /// The moment up to which the sums count.
    pub fn counted_to(&self) -> Instant {
        self.counted_to
    }

    /// Adds up to `now`.
    pub fn advance(&mut self, now: Instant) {
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

    /// The torrent is in another state.
    pub fn state_changed(&mut self, now: Instant, state: TorrentState, paused: bool) {
        self.advance(now);
        self.state = state;
        self.running = !paused;
        self.incomplete |= state == TorrentState::Downloading;
    }

    /// The torrent is paused, or runs again.
    pub fn paused_changed(&mut self, now: Instant, paused: bool) {
        self.advance(now);
        self.running = !paused;
    }

    /// Everything wanted is here. `today` is the time of day.
    pub fn finished(&mut self, today: i64) {
        // A torrent that starts complete was completed before.
        if std::mem::take(&mut self.incomplete) || self.completed_time == 0 {
            self.completed_time = today;
        }
    }

    /// Notes when payload last went either way, by its totals.
    pub fn note_payload(&mut self, now: Instant, received: u64, sent: u64) {
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
pub fn seconds_since(now: Instant, then: Option<Instant>) -> i64 {
    then.map_or(-1, |then| {
        now.saturating_duration_since(then).as_secs() as i64
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    #[test]
    fn the_time_of_completion_is_that_of_the_last_one() {
        let now = at(0);
        let mut times = ActiveTime::new(now);
        let record = ResumeData {
            completed_time: 1000,
            ..ResumeData::default()
        };
        times.restore(now, 5000, &record);
        // It is complete, as it was; a check finds it so.
        for _ in 0..2 {
            times.state_changed(now, TorrentState::CheckingFiles, false);
            times.state_changed(now, TorrentState::Finished, false);
            times.finished(6000);
            assert_eq!(times.completed_time, 1000);
        }
        // Something is missing, and comes.
        times.state_changed(now, TorrentState::Downloading, false);
        assert_eq!(times.completed_time, 1000, "until it comes");
        times.state_changed(now, TorrentState::Finished, false);
        times.finished(7000);
        assert_eq!(times.completed_time, 7000);
        times.state_changed(now, TorrentState::Seeding, false);
        times.finished(8000);
        assert_eq!(times.completed_time, 7000);
    }

    #[test]
    fn time_counts_by_state_and_not_while_paused() {
        let mut times = ActiveTime::new(at(0));
        times.state_changed(at(5000), TorrentState::Downloading, false);
        times.state_changed(at(15_000), TorrentState::Finished, false);
        times.state_changed(at(35_000), TorrentState::Seeding, false);
        times.paused_changed(at(65_000), true);
        times.paused_changed(at(100_000), false);
        times.advance(at(140_000));
        let seconds = |time: Duration| time.as_secs();
        assert_eq!(seconds(times.active), 10 + 20 + 30 + 40);
        assert_eq!(seconds(times.finished), 20 + 30 + 40);
        assert_eq!(seconds(times.seeding), 30 + 40);
    }

    #[test]
    fn a_record_says_how_long_and_when_and_is_gone_on_from() {
        let mut times = ActiveTime::new(at(0));
        times.paused_changed(at(0), false);
        times.note_payload(at(30_000), 5, 0);
        times.note_payload(at(40_000), 5, 0);
        let mut record = ResumeData {
            last_upload: 77,
            ..ResumeData::default()
        };
        times.record(at(60_000), 1_000_000, &mut record);
        assert_eq!(record.active_time, 60);
        assert_eq!(record.last_download, 1_000_000 - 30);
        assert_eq!(record.last_upload, 77, "what nothing is known of stays");
        let mut again = ActiveTime::new(at(90_000));
        again.restore(at(90_000), 1_000_030, &record);
        assert_eq!(again.last_download, Some(at(30_000)));
        assert_eq!(again.active, Duration::from_secs(60));
        // A clock that was put back says nothing.
        again.restore(at(90_000), 10, &record);
        assert_eq!(again.last_download, None);
    }
}
