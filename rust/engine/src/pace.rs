//! The pace at which a session makes new connections, over all torrents.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Hands out moments at which to dial, no more than so many a second.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    next: Mutex<Option<Instant>>,
}

/// How many may go at once after a quiet time.
const BURST: u32 = 10;

impl Pace {
    /// Waits for one's turn at `per_second` (at least 1) turns a second.
    pub(crate) async fn turn(&self, per_second: u32) {
        let wait = self.reserve(Instant::now(), per_second.max(1));
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    fn reserve(&self, now: Instant, per_second: u32) -> Duration {
        let step = Duration::from_secs(1) / per_second;
        let mut next = self.next.lock();
        let earliest = now.checked_sub(step * BURST).unwrap_or(now);
        let turn = next.map_or(earliest, |next| next.max(earliest));
        *next = Some(turn + step);
        turn.saturating_duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_at_once_and_the_rest_in_step() {
        let pace = Pace::default();
        let now = Instant::now();
        for _ in 0..=BURST {
            assert_eq!(pace.reserve(now, 10), Duration::ZERO);
        }
        assert_eq!(pace.reserve(now, 10), Duration::from_millis(100));
        assert_eq!(pace.reserve(now, 10), Duration::from_millis(200));
        let later = now + Duration::from_secs(5);
        assert_eq!(pace.reserve(later, 10), Duration::ZERO);
    }
}
