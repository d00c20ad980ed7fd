//! Notices that the machine was asleep, or the program stood still: no timer
//! has fired for long.
//!
//! The clock of timers stops during a suspend on some systems (Linux,
//! macOS), so the time of day is looked at too. That one can be set, which
//! then passes for a sleep.

use std::time::{Duration, Instant};

/// Where looks are a few seconds apart at most, a longer gap is a sleep.
const GAP: Duration = Duration::from_secs(10);

/// Looks at both clocks: at every timer, or where only a suspend matters
/// ([`Self::was_suspended`]) before each use of what a suspend makes out of date.
#[derive(Clone, Copy, Debug, Default)]
pub struct SuspendWatch {
    last: Option<(Instant, i64)>,
}

impl SuspendWatch {
    /// Looks from now on.
    pub fn new(now: Instant, unix_millis: i64) -> Self {
        Self {
            last: Some((now, unix_millis)),
        }
    }

    /// It is `now`, and by the time of day so many milliseconds of Unix time.
    /// If there was a sleep since the last look: how much of it the clock of
    /// timers has not counted.
    pub fn look(&mut self, now: Instant, unix_millis: i64) -> Option<Duration> {
        let (then, millis) = self.last.replace((now, unix_millis))?;
        let passed = u64::try_from(unix_millis.saturating_sub(millis)).unwrap_or(0);
        let (counted, passed) = (
            now.saturating_duration_since(then),
            Duration::from_millis(passed),
        );
        (counted > GAP || passed > GAP).then(|| passed.saturating_sub(counted))
    }

    /// The same where looks may be any time apart: whether the clock of timers
    /// stood still for long.
    pub fn was_suspended(&mut self, now: Instant, unix_millis: i64) -> bool {
        let uncounted = self.look(now, unix_millis);
        uncounted.is_some_and(|uncounted| uncounted > GAP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    #[test]
    fn a_gap_in_either_clock_is_a_sleep() {
        let mut watch = SuspendWatch::new(at(0), 1_000_000);
        let most = i64::MAX as u64 - 500;
        for (now, wall, uncounted) in [
            (500, 1_000_500, None),
            // The timers' clock stood still.
            (1000, 4_001_000, Some(3_000_000)),
            (1500, 4_001_500, None),
            // It did not.
            (60_000, 4_060_000, Some(0)),
            // The time of day was set back, and to and fro.
            (60_500, 1_000_000, None),
            (61_000, i64::MIN, None),
            (61_500, i64::MAX, Some(most)),
        ] {
            let expected = uncounted.map(Duration::from_millis);
            assert_eq!(watch.look(at(now), wall), expected, "{now} {wall}");
        }
    }

    #[test]
    fn only_a_clock_that_stood_still_is_a_suspend() {
        let mut watch = SuspendWatch::default();
        for (now, wall, suspended) in [
            (0, 0, false),
            (1_800_000, 1_800_900, false),
            (1_800_500, 1_812_000, true),
            (1_801_000, 1_812_500, false),
        ] {
            assert_eq!(watch.was_suspended(at(now), wall), suspended, "{now}");
        }
    }
}
