//! One tracker, announced to from one of our endpoints: what was announced,
//! what it answered, and when it may be asked again.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::reply::{Reply, Retry, TrackerFailure};
use super::request::RequestId;
use super::settings::AnnouncerSettings;
use super::{AnnounceEvent, ScrapeReply};

/// First wait after a failure, and the unit in which waits grow.
const BACKOFF_MIN: Duration = Duration::from_secs(5);

/// Longest wait after failures.
const BACKOFF_MAX: Duration = Duration::from_secs(60 * 60);

/// How soon it is looked again whether an endpoint reaches a tracker: networks
/// change.
const AWAY: Duration = Duration::from_secs(60 * 60);

/// An announce on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct InFlight {
    pub(super) id: RequestId,
    pub(super) event: AnnounceEvent,
    /// Whether the torrent was complete when it was sent.
    pub(super) complete: bool,
}

#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) local: SocketAddr,
    pub(super) in_flight: Option<InFlight>,
    /// The tracker has answered a `started` and was not sent `stopped`.
    pub(super) knows_us: bool,
    /// The tracker knows that we are complete.
    pub(super) knows_complete: bool,
    /// After that it was announced that something is missing again.
    pub(super) knows_damage: bool,
    /// An announce to this very tracker was requested.
    pub(super) forced: bool,
    /// Until then the tracker counts as out of reach from here.
    pub(super) away: Option<Instant>,
    /// When the next announce is due; `None` means at once.
    next: Option<Instant>,
    /// Before this the tracker wants no announce.
    min: Option<Instant>,
    pub(super) fails: u32,
    /// It has answered from here.
    pub(super) verified: bool,
    pub(super) message: String,
    pub(super) last_error: String,
    pub(super) swarm: ScrapeReply,
}

impl Endpoint {
    pub(super) fn new(local: SocketAddr) -> Self {
        Self {
            local,
            in_flight: None,
            knows_us: false,
            knows_complete: false,
            knows_damage: false,
            forced: false,
            away: None,
            next: None,
            min: None,
            fails: 0,
            verified: false,
            message: String::new(),
            last_error: String::new(),
            swarm: ScrapeReply::default(),
        }
    }

    /// Not known to fail. Such a tracker shields those after it.
    pub(super) fn is_working(&self) -> bool {
        self.fails == 0 && self.away.is_none()
    }

    /// An announce of this event is on its way.
    pub(super) fn is_announcing(&self, event: AnnounceEvent) -> bool {
        self.in_flight.is_some_and(|sent| sent.event == event)
    }

    /// When the next announce is due; `None` means at once. An announce
    /// of the completion does not wait for the interval, but does for
    /// the wait after failures.
    pub(super) fn due(&self, owes: bool) -> Option<Instant> {
        if self.away.is_some() {
            return self.away;
        }
        if self.is_working() && owes {
            return None;
        }
        self.next.max(self.min)
    }

    pub(super) fn min_wait(&self, now: Instant) -> Duration {
        self.min
            .map_or(Duration::ZERO, |min| min.saturating_duration_since(now))
    }

    /// Makes it due as soon as the tracker lets us, or at once.
    pub(super) fn make_due(&mut self, ignore_min: bool) {
        self.next = None;
        self.away = None;
        if ignore_min {
            self.min = None;
        }
    }

    /// Makes everything due so much sooner.
    pub(super) fn bring_forward(&mut self, by: Duration) {
        for due in [&mut self.next, &mut self.min, &mut self.away] {
            // Before all that this clock can name: it is over.
            *due = due.and_then(|at| at.checked_sub(by));
        }
    }

    /// Forgets what an earlier run has left behind.
    pub(super) fn reset(&mut self) {
        self.make_due(true);
        self.forced = false;
    }

    pub(super) fn sent(&mut self, id: RequestId, event: AnnounceEvent, complete: bool) {
        self.forced = false;
        self.in_flight = Some(InFlight {
            id,
            event,
            complete,
        });
    }

    /// The tracker has answered, which was `completed_sent` before or not. What
    /// was announced.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        reply: &Reply,
        settings: &AnnouncerSettings,
        completed_sent: bool,
    ) -> Option<AnnounceEvent> {
        let sent = self.in_flight.take()?;
        self.verified = true;
        self.fails = 0;
        self.away = None;
        self.last_error.clear();
        self.message = reply.warning.clone().unwrap_or_default();
        self.scraped(&ScrapeReply {
            complete: reply.complete,
            incomplete: reply.incomplete,
            downloaded: reply.downloaded,
        });
        if sent.event == AnnounceEvent::Stopped {
            self.knows_us = false;
            self.reset();
            return Some(sent.event);
        }
        // A tracker that meets us as a seed needs no announce that we finished.
        self.knows_damage = !sent.complete && (self.knows_complete || completed_sent);
        self.knows_complete |= sent.complete;
        self.knows_us = true;
        self.next = Some(now + reply.interval.max(settings.min_interval));
        self.min = Some(now + reply.min_interval);
        Some(sent.event)
    }

    /// The tracker has sent numbers.
    pub(super) fn scraped(&mut self, reply: &ScrapeReply) {
        self.swarm = ScrapeReply {
            complete: reply.complete.or(self.swarm.complete),
            incomplete: reply.incomplete.or(self.swarm.incomplete),
            downloaded: reply.downloaded.or(self.swarm.downloaded),
        };
    }

    /// The announce has failed.
    pub(super) fn failed(
        &mut self,
        now: Instant,
        failure: &TrackerFailure,
        settings: &AnnouncerSettings,
    ) {
        let Some(sent) = self.in_flight.take() else {
            return;
        };
        self.message.clear();
        self.last_error.clone_from(&failure.message);
        if failure.retry == Retry::NotFromHere {
            self.away = Some(now + AWAY);
            return;
        }
        self.fails = self.fails.saturating_add(1);
        if sent.event == AnnounceEvent::Stopped {
            // Announced once, received or not.
            self.knows_us = false;
            return self.reset();
        }
        let wait = match failure.retry {
            Retry::After(wait) => self.backoff(settings).max(wait),
            // One that gave up is not asked anyway.
            Retry::Backoff | Retry::Never | Retry::NotFromHere => self.backoff(settings),
        };
        self.next = Some(now + wait);
    }

    /// No endpoint of ours reaches the tracker: counts that as a failure.
    pub(super) fn retry_later(&mut self, now: Instant, settings: &AnnouncerSettings) {
        self.away = None;
        self.fails = self.fails.saturating_add(1);
        self.next = Some(now + self.backoff(settings));
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
        let mut endpoint = Endpoint::new("0.0.0.0:1".parse().unwrap());
        let mut waits = Vec::new();
        for fails in [1, 2, 3, 4, 16, 17, u32::MAX] {
            endpoint.fails = fails;
            waits.push(endpoint.backoff(&settings).as_millis());
        }
        assert_eq!(
            waits,
            [
                17_500, 55_000, 117_500, 205_000, 3_205_000, 3_600_000, 3_600_000
            ]
        );
    }
}
