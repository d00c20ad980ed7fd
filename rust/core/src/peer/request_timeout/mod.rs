//! How long the blocks that are outstanding at a peer are waited for.
//!
//! A peer that has sent some is expected to go on in its own time: when it has
//! been silent for much longer than between its blocks so far, it *snubs* us,
//! at the latest after `piece_timeout`, and before it has sent anything after
//! that, or `request_timeout` if that is less. Time in which we did not listen,
//! or our requests could not leave because of our own limits, does not count.
//! The numbers are libtorrent's.

pub(crate) mod snub;

use std::time::{Duration, Instant};

use super::ConnectionLimits;

/// Pauses that the average is taken over, about.
const SAMPLES: u32 = 20;

/// No peer snubs us sooner.
const LEAST: Duration = Duration::from_secs(2);

/// The clock of one connection.
#[derive(Debug)]
pub(super) struct RequestTimer {
    /// When the peer last delivered, or was first asked after a pause.
    since: Instant,
    /// Since when our own limits keep the connection from going on.
    held: Option<Instant>,
    /// The average time between blocks, and how far the times are from it.
    mean: Duration,
    deviation: Duration,
    samples: u32,
}

impl RequestTimer {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            held: None,
            mean: Duration::ZERO,
            deviation: Duration::ZERO,
            samples: 0,
        }
    }

    /// No request was outstanding at the peer, and one is sent now.
    pub(super) fn begin(&mut self, now: Instant) {
        self.since = now;
    }

    /// Blocks came.
    pub(super) fn delivered(&mut self, now: Instant) {
        let pause = now.saturating_duration_since(self.since);
        self.since = now;
        self.samples = (self.samples + 1).min(SAMPLES);
        let step = |old: Duration, new: Duration| {
            let weight = self.samples;
            (old * (weight - 1) + new) / weight
        };
        if self.samples > 1 {
            self.deviation = step(self.deviation, pause.abs_diff(self.mean));
        }
        self.mean = step(self.mean, pause);
    }

    /// Our own limits keep the connection from going on, or do so no longer.
    pub(super) fn hold(&mut self, now: Instant, held: bool) {
        match (self.held, held) {
            (None, true) => self.held = Some(now),
            (Some(from), false) => {
                self.held = None;
                self.since += now.saturating_duration_since(from.max(self.since));
            }
            _ => {}
        }
    }

    /// Since when they do.
    pub(super) fn held_since(&self) -> Option<Instant> {
        self.held
    }

    /// When a peer with outstanding requests snubs us; never while it is our side that
    /// cannot go on.
    pub(super) fn snubbed_at(&self, limits: &ConnectionLimits) -> Option<Instant> {
        let expected = match self.samples {
            0 => limits.request_timeout,
            1 => self.mean + self.mean / 5,
            _ => self.mean + self.deviation * 4,
        };
        let limit = expected.max(LEAST).min(limits.request_timeout);
        let due = self.since + limit.min(limits.piece_timeout);
        self.held.is_none().then_some(due)
    }

    /// When all outstanding requests of the peer are given to others.
    pub(super) fn over_at(&self, limits: &ConnectionLimits) -> Option<Instant> {
        let limit = limits.piece_timeout.min(limits.request_timeout);
        self.held.is_none().then_some(self.since + limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use crate::testing::at;

    /// Milliseconds until the peer snubs us, after blocks at these times.
    fn request_timer(blocks: &[u64]) -> u128 {
        let mut it = RequestTimer::new(at(0));
        for &millis in blocks {
            it.delivered(at(millis));
        }
        let limits = ConnectionLimits::from(&Settings::default());
        let last = at(blocks.last().copied().unwrap_or(0));
        let due = it.snubbed_at(&limits).unwrap();
        assert!(due <= it.over_at(&limits).unwrap());
        due.saturating_duration_since(last).as_millis()
    }

    #[test]
    fn a_peer_is_waited_for_as_its_own_pace_has_it() {
        assert_eq!(request_timer(&[]), 20_000, "nothing is known of it");
        assert_eq!(request_timer(&[5000]), 6000);
        assert_eq!(request_timer(&[100]), 2000, "not less");
        assert_eq!(request_timer(&[50_000]), 20_000, "not more");
        let steady: Vec<u64> = (1..=40).map(|at| at * 3000).collect();
        assert_eq!(request_timer(&steady), 3000);
        let unsteady: Vec<u64> = (1..=40).map(|at| at * 3000 - at % 2 * 1000).collect();
        assert!(request_timer(&unsteady) > 5000);
    }

    #[test]
    fn our_own_pauses_do_not_count() {
        let limits = ConnectionLimits::from(&Settings::default());
        let mut it = RequestTimer::new(at(0));
        it.hold(at(1000), true);
        it.hold(at(2000), true);
        assert_eq!(it.snubbed_at(&limits), None);
        assert_eq!(it.over_at(&limits), None);
        it.hold(at(100_000), false);
        assert_eq!(it.snubbed_at(&limits), Some(at(119_000)));
        // A pause that begins before the peer is asked counts from then on.
        it.hold(at(200_000), true);
        it.begin(at(205_000));
        it.hold(at(210_000), false);
        assert_eq!(it.snubbed_at(&limits), Some(at(230_000)));
        it.delivered(at(211_000));
        assert_eq!(it.snubbed_at(&limits), Some(at(213_000)));
    }
}
