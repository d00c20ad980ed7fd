//! One tracker of a torrent: what it has been told, what it said, and when it
//! may be asked again.

use std::time::{Duration, Instant};

use super::announcer::{AnnouncerSettings, RequestId};
use super::reply::{Failure, Reply, Retry};
use super::{Event, check_url};

/// First wait after a failure, and the unit in which waits grow.
const BACKOFF_MIN: Duration = Duration::from_secs(5);

/// Longest wait after failures.
const BACKOFF_MAX: Duration = Duration::from_secs(60 * 60);

/// How a tracker does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrackerState {
    /// It has not been asked yet.
    #[default]
    NotContacted,
    /// It is being asked.
    Updating,
    /// It answered the last time.
    Working,
    /// It failed the last time, or its URL cannot be used.
    Error,
}

impl TrackerState {
    /// The state's name in status rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotContacted => "not_contacted",
            Self::Updating => "updating",
            Self::Working => "working",
            Self::Error => "error",
        }
    }
}

/// An announce on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct InFlight {
    pub(super) id: RequestId,
    pub(super) event: Event,
    /// Whether the torrent was complete when it was sent.
    complete: bool,
}

#[derive(Debug)]
pub(super) struct Tracker {
    pub(super) url: String,
    pub(super) tier: u32,
    /// Its URL can be announced to.
    pub(super) usable: bool,
    /// It asked never to be asked again.
    pub(super) gave_up: bool,
    pub(super) in_flight: Option<InFlight>,
    /// It has answered a `started` and not been told `stopped`.
    pub(super) knows_us: bool,
    /// It knows that we are complete.
    knows_complete: bool,
    /// Somebody asked for an announce to this very tracker.
    pub(super) forced: bool,
    /// When the next announce is due; `None` means at once.
    next: Option<Instant>,
    /// Before this it wants no announce.
    min: Option<Instant>,
    pub(super) tracker_id: Option<Vec<u8>>,
    pub(super) fails: u32,
    pub(super) verified: bool,
    pub(super) message: String,
    pub(super) last_error: String,
    pub(super) complete: Option<u32>,
    pub(super) incomplete: Option<u32>,
    pub(super) downloaded: Option<u32>,
}

impl Tracker {
    pub(super) fn new(url: String, tier: u32) -> Self {
        let problem = check_url(&url).err().map(|error| error.to_string());
        Self {
            url,
            tier,
            usable: problem.is_none(),
            gave_up: false,
            in_flight: None,
            knows_us: false,
            knows_complete: false,
            forced: false,
            next: None,
            min: None,
            tracker_id: None,
            fails: 0,
            verified: false,
            message: String::new(),
            last_error: problem.unwrap_or_default(),
            complete: None,
            incomplete: None,
            downloaded: None,
        }
    }

    pub(super) fn state(&self) -> TrackerState {
        if !self.usable || (self.gave_up && self.in_flight.is_none()) {
            TrackerState::Error
        } else if self.in_flight.is_some() {
            TrackerState::Updating
        } else if self.fails > 0 {
            TrackerState::Error
        } else if self.verified {
            TrackerState::Working
        } else {
            TrackerState::NotContacted
        }
    }

    /// Whether it may be asked at all.
    pub(super) fn is_askable(&self) -> bool {
        self.usable && !self.gave_up
    }

    /// Not known to fail. Such a tracker shields those after it.
    pub(super) fn is_working(&self) -> bool {
        self.fails == 0
    }

    /// It knows us but not yet that the torrent is complete.
    pub(super) fn owes_completed(&self, complete: bool) -> bool {
        complete && self.knows_us && !self.knows_complete
    }

    /// A `stopped` is on its way.
    pub(super) fn is_told_to_stop(&self) -> bool {
        self.in_flight
            .is_some_and(|sent| sent.event == Event::Stopped)
    }

    /// When the next announce is due; `None` means at once. One that tells of
    /// the completion does not wait for the interval, but does for the wait
    /// after failures.
    pub(super) fn due(&self, complete: bool) -> Option<Instant> {
        if self.is_working() && self.owes_completed(complete) {
            return None;
        }
        self.next.max(self.min)
    }

    pub(super) fn min_wait(&self, now: Instant) -> Duration {
        self.min
            .map_or(Duration::ZERO, |min| min.saturating_duration_since(now))
    }

    /// Makes it due as soon as it lets us.
    pub(super) fn hurry(&mut self) {
        self.next = None;
    }

    /// Forgets what an earlier run has left behind.
    pub(super) fn reset(&mut self) {
        self.next = None;
        self.min = None;
        self.forced = false;
    }

    /// What a regular announce has to say now.
    pub(super) fn event(&self, complete: bool, upload_only: bool) -> Event {
        if !self.knows_us {
            Event::Started
        } else if self.owes_completed(complete) {
            Event::Completed
        } else if upload_only && !complete {
            Event::Paused
        } else {
            Event::None
        }
    }

    pub(super) fn sent(&mut self, id: RequestId, event: Event, complete: bool) {
        self.forced = false;
        self.in_flight = Some(InFlight {
            id,
            event,
            complete,
        });
    }

    pub(super) fn answered(&mut self, now: Instant, reply: &Reply, settings: &AnnouncerSettings) {
        let Some(sent) = self.in_flight.take() else {
            return;
        };
        self.verified = true;
        self.fails = 0;
        self.last_error.clear();
        self.message = reply.warning.clone().unwrap_or_default();
        if reply.tracker_id.is_some() {
            self.tracker_id.clone_from(&reply.tracker_id);
        }
        self.complete = reply.complete.or(self.complete);
        self.incomplete = reply.incomplete.or(self.incomplete);
        self.downloaded = reply.downloaded.or(self.downloaded);
        if sent.event == Event::Stopped {
            self.knows_us = false;
            return self.reset();
        }
        // A tracker that meets us as a seed needs not be told that we finished.
        self.knows_complete |= sent.complete;
        self.knows_us = true;
        self.next = Some(now + reply.interval.max(settings.min_interval));
        self.min = Some(now + reply.min_interval);
    }

    pub(super) fn failed(&mut self, now: Instant, failure: Failure, settings: &AnnouncerSettings) {
        let Some(sent) = self.in_flight.take() else {
            return;
        };
        self.fails = self.fails.saturating_add(1);
        self.message.clear();
        self.last_error = failure.message;
        if sent.event == Event::Stopped {
            // Told once, heard or not.
            self.knows_us = false;
            return self.reset();
        }
        let wait = match failure.retry {
            Retry::Backoff => self.backoff(settings),
            Retry::After(wait) => self.backoff(settings).max(wait),
            Retry::Never => {
                self.gave_up = true;
                return;
            }
        };
        self.next = Some(now + wait);
    }

    /// Five seconds and `backoff_percent` of it times the square of the failures.
    fn backoff(&self, settings: &AnnouncerSettings) -> Duration {
        let square = self.fails.saturating_mul(self.fails);
        let growth = square.saturating_mul(settings.backoff_percent);
        let growth = BACKOFF_MIN.saturating_mul(growth) / 100;
        BACKOFF_MIN.saturating_add(growth).min(BACKOFF_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_with_the_square_of_failures_up_to_an_hour() {
        let settings = AnnouncerSettings::default();
        let mut tracker = Tracker::new("http://t/".to_owned(), 0);
        let mut waits = Vec::new();
        for fails in [1, 2, 3, 4, 16, 17, u32::MAX] {
            tracker.fails = fails;
            waits.push(tracker.backoff(&settings).as_millis());
        }
        assert_eq!(
            waits,
            [
                17_500, 55_000, 117_500, 205_000, 3_205_000, 3_600_000, 3_600_000
            ]
        );
    }
}
