//! Notices that the machine was asleep, or the program stood still: no timer
//! has fired for long.
//!
//! The clock of timers stops during a suspend on some systems (Linux,
//! macOS), so the time of day is looked at too. That one can be set, which
//! then passes for a sleep.

use std::time::{Duration, Instant};

/// Where timers fire every half second, a longer gap is a sleep.
const GAP: Duration = Duration::from_secs(10);

/// Looks at both clocks, at every timer.
#[derive(Clone, Copy, Debug, Default)]
pub struct SuspendWatch {
    last: Option<(Instant, i64)>,
}

impl SuspendWatch {
    /// It is `now`, and by the time of day so many milliseconds of Unix time.
    /// Whether there was a sleep since the last look.
    pub fn look(&mut self, now: Instant, unix_millis: i64) -> bool {
        let Some((then, millis)) = self.last.replace((now, unix_millis)) else {
            return false;
        };
        let passed = u64::try_from(unix_millis.saturating_sub(millis)).unwrap_or(0);
        now.saturating_duration_since(then) > GAP || Duration::from_millis(passed) > GAP
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    #[test]
    fn a_gap_in_either_clock_is_a_sleep() {
        let mut watch = SuspendWatch::default();
        for (now, wall, slept) in [
            (0, 1_000_000, false),
            (500, 1_000_500, false),
            // The timers' clock stood still.
            (1000, 4_000_000, true),
            (1500, 4_000_500, false),
            // It did not.
            (60_000, 4_060_000, true),
            // The time of day was set back, and to and fro.
            (60_500, 1_000_000, false),
            (61_000, i64::MIN, false),
            (61_500, i64::MAX, true),
        ] {
            assert_eq!(watch.look(at(now), wall), slept, "{now} {wall}");
        }
    }
}
