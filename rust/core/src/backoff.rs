//! When something that failed is tried again: after a pause that doubles as
//! long as it goes on failing.
//!
//! The owner reports each outcome ([`Backoff::failed`],
//! [`Backoff::succeeded`]) and tries again once [`Backoff::poll_timeout`] has
//! passed.

use std::time::{Duration, Instant};

/// The pauses between attempts at one thing.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    /// Attempts that failed in a row.
    failures: u32,
    due: Option<Instant>,
}

impl Backoff {
    /// Pauses that begin with `first` and double up to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            failures: 0,
            due: None,
        }
    }

    /// Pauses between attempts at files: 1 to 30 seconds.
    pub fn of_disk() -> Self {
        Self::new(Duration::from_secs(1), Duration::from_secs(30))
    }

    /// An attempt failed. Whether it is the first one in a row, which is news.
    pub fn failed(&mut self, now: Instant) -> bool {
        let doublings = self.failures.min(31);
        let pause = self.first.saturating_mul(1 << doublings);
        self.due = Some(now + pause.min(self.longest));
        self.failures = self.failures.saturating_add(1);
        self.failures == 1
    }

    /// An attempt succeeded. Whether one had failed before, which makes it
    /// news.
    pub fn succeeded(&mut self) -> bool {
        self.due = None;
        std::mem::take(&mut self.failures) > 0
    }

    /// An attempt begins: nothing is due until it has failed or succeeded.
    pub fn attempt(&mut self) {
        self.due = None;
    }

    /// Tries again at `now`: there is a sign that the cause is gone.
    pub fn hasten(&mut self, now: Instant) {
        if let Some(due) = &mut self.due {
            *due = now.min(*due);
        }
    }

    /// Whether the last attempt failed.
    pub fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// When the next attempt is due; `None` unless the last one failed and none
    /// is under way.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew_after_a_success() {
        let seconds = Duration::from_secs;
        let mut now = at(0);
        let mut backoff = Backoff::new(seconds(1), seconds(30));
        assert_eq!(backoff.poll_timeout(), None);
        for (attempt, pause) in [1, 2, 4, 8, 16, 30, 30].into_iter().enumerate() {
            assert_eq!(backoff.failed(now), attempt == 0);
            assert_eq!(backoff.poll_timeout(), Some(now + seconds(pause)));
            now += seconds(pause);
        }
        backoff.hasten(now - seconds(10));
        assert_eq!(backoff.poll_timeout(), Some(now - seconds(10)));
        backoff.attempt();
        assert_eq!(backoff.poll_timeout(), None);
        assert!(backoff.is_failing() && backoff.succeeded());
        assert!(!backoff.succeeded());
        backoff.hasten(now);
        assert_eq!(backoff.poll_timeout(), None);
        assert!(backoff.failed(now));
        assert_eq!(backoff.poll_timeout(), Some(now + seconds(1)));
        for _ in 0..100 {
            backoff.failed(now);
        }
        assert_eq!(backoff.poll_timeout(), Some(now + seconds(30)));
    }
}
