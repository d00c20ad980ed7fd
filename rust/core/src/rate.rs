//! Rates: [`RateMeter`] measures one, [`TokenBucket`] enforces one.
//!
//! A meter belongs to what it measures (a connection, a torrent, the session),
//! one for each direction and kind of traffic. A bucket belongs to the owner of
//! the limit; traffic under several limits asks each of them and takes the
//! least.

use std::time::{Duration, Instant};

/// Time of one slot of a meter.
const SLOT: Duration = Duration::from_millis(500);

/// Slots of a meter: together the 5 s over which it measures.
const SLOTS: usize = 10;

const NANOS: i128 = 1_000_000_000;

/// Bytes a second over the last five seconds.
#[derive(Clone, Debug)]
pub struct RateMeter {
    slots: [u64; SLOTS],
    /// The slot that is being filled.
    current: usize,
    current_start: Instant,
    /// Full slots before the current one, at most all others.
    full: u32,
    total: u64,
}

impl RateMeter {
    /// A meter that has seen nothing.
    pub fn new(now: Instant) -> Self {
        Self {
            slots: [0; SLOTS],
            current: 0,
            current_start: now,
            full: 0,
            total: 0,
        }
    }

    /// Counts `bytes`.
    pub fn add(&mut self, now: Instant, bytes: u64) {
        self.advance(now);
        self.slots[self.current] = self.slots[self.current].saturating_add(bytes);
        self.total = self.total.saturating_add(bytes);
    }

    /// All bytes ever counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Bytes a second. A meter younger than five seconds measures over its
    /// life, but not over less than half a second.
    pub fn rate(&mut self, now: Instant) -> u64 {
        self.advance(now);
        let sum = self
            .slots
            .iter()
            .fold(0u64, |sum, &slot| sum.saturating_add(slot));
        let time = SLOT * self.full + now.saturating_duration_since(self.current_start);
        let nanos = time.max(SLOT).as_nanos();
        u64::try_from(u128::from(sum) * NANOS as u128 / nanos).unwrap_or(u64::MAX)
    }

    fn advance(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.current_start);
        let passed = elapsed.as_nanos() / SLOT.as_nanos();
        if passed >= SLOTS as u128 {
            // Silence for longer than it remembers: the past is zeros.
            self.slots = [0; SLOTS];
            self.full = SLOTS as u32 - 1;
            self.current_start = now;
            return;
        }
        for _ in 0..passed {
            self.current = (self.current + 1) % SLOTS;
            self.slots[self.current] = 0;
            self.full = (self.full + 1).min(SLOTS as u32 - 1);
            self.current_start += SLOT;
        }
    }
}

/// A limit in bytes a second, or none.
///
/// Unused allowance is kept for a fifth of a second, so that over five seconds
/// of full use the limit holds within five percent, wherever they start.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    /// Bytes a second; `None` for no limit.
    rate: Option<u64>,
    /// Allowance in billionths of a byte; below zero is debt.
    credit: i128,
    last: Instant,
}

impl TokenBucket {
    /// A bucket for `rate` bytes a second, empty at first; `None` limits
    /// nothing.
    pub fn new(now: Instant, rate: Option<u64>) -> Self {
        Self {
            rate,
            credit: 0,
            last: now,
        }
    }

    /// The limit, in bytes a second.
    pub fn rate(&self) -> Option<u64> {
        self.rate
    }

    /// Changes the limit. Debt stays, unless there is no limit any more.
    pub fn set_rate(&mut self, now: Instant, rate: Option<u64>) {
        self.refill(now);
        self.rate = rate;
        self.credit = match rate {
            Some(_) => self.credit.min(self.burst()),
            None => 0,
        };
    }

    /// Most that is ever granted at once: what a fifth of a second allows, and
    /// at least a byte.
    fn burst(&self) -> i128 {
        match self.rate {
            Some(rate) => (i128::from(rate) * NANOS / 5).max(NANOS),
            None => 0,
        }
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.last);
        self.last = self.last.max(now);
        if let Some(rate) = self.rate {
            let nanos = i128::try_from(elapsed.as_nanos()).unwrap_or(i128::MAX);
            let earned = i128::from(rate).saturating_mul(nanos);
            self.credit = self.credit.saturating_add(earned).min(self.burst());
        }
    }

    /// Bytes that may go now.
    pub fn available(&mut self, now: Instant) -> u64 {
        self.refill(now);
        match self.rate {
            Some(_) => u64::try_from((self.credit / NANOS).max(0)).unwrap_or(u64::MAX),
            None => u64::MAX,
        }
    }

    /// Takes up to `want` bytes and returns how many were granted, perhaps 0.
    pub fn take(&mut self, now: Instant, want: u64) -> u64 {
        let granted = want.min(self.available(now));
        self.charge(granted);
        granted
    }

    /// Counts `bytes` that went without being asked for, or as a whole because
    /// they cannot be divided; what is too much is made up for later.
    pub fn charge(&mut self, bytes: u64) {
        if self.rate.is_some() {
            self.credit = self.credit.saturating_sub(i128::from(bytes) * NANOS);
        }
    }

    /// Takes back a grant of `bytes` that was not used.
    pub fn refund(&mut self, bytes: u64) {
        if self.rate.is_some() {
            let credit = self.credit.saturating_add(i128::from(bytes) * NANOS);
            self.credit = credit.min(self.burst());
        }
    }

    /// When `want` bytes can be taken, or as many as are ever granted at once:
    /// `now` or later. `None` when the rate is zero and that is never.
    pub fn next_at(&mut self, now: Instant, want: u64) -> Option<Instant> {
        self.refill(now);
        let Some(rate) = self.rate else {
            return Some(now);
        };
        let missing = (i128::from(want) * NANOS).min(self.burst()) - self.credit;
        if missing <= 0 {
            return Some(now);
        }
        if rate == 0 {
            return None;
        }
        // One nanosecond more at most: a timer must not wake up too early.
        let nanos = missing.unsigned_abs().div_ceil(u128::from(rate));
        now.checked_add(Duration::from_nanos(u64::try_from(nanos).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::at;

    #[test]
    fn a_meter_forgets_after_five_seconds() {
        let mut meter = RateMeter::new(at(0));
        assert_eq!(meter.rate(at(0)), 0);
        meter.add(at(0), 1000);
        assert_eq!(meter.rate(at(100)), 2000);
        assert_eq!(meter.rate(at(1000)), 1000);
        assert_eq!(meter.rate(at(4000)), 250);
        assert_eq!(meter.rate(at(5000)), 0);
        meter.add(at(1_000_000), 1000);
        assert_eq!(meter.rate(at(1_000_000)), 222);
        assert_eq!(meter.total(), 2000);
        // A clock that seems to go back must do no harm.
        meter.add(at(0), u64::MAX);
        assert!(meter.rate(at(0)) > 0);
    }

    #[test]
    fn a_bucket_starts_empty_and_holds_a_fifth_of_a_second() {
        let mut bucket = TokenBucket::new(at(0), Some(1000));
        assert_eq!(bucket.take(at(0), 10), 0);
        assert_eq!(bucket.next_at(at(0), 10), Some(at(10)));
        assert_eq!(bucket.take(at(10), 100), 10);
        assert_eq!(bucket.take(at(60_000), 1000), 200);
        assert_eq!(bucket.next_at(at(60_000), 1_000_000), Some(at(60_200)));
        bucket.charge(1000);
        assert_eq!(bucket.take(at(61_000), 1), 0);
        assert_eq!(bucket.next_at(at(61_000), 1), Some(at(61_001)));
        bucket.set_rate(at(61_000), None);
        assert_eq!(bucket.take(at(61_000), u64::MAX), u64::MAX);
        assert_eq!(bucket.next_at(at(61_000), u64::MAX), Some(at(61_000)));
        bucket.set_rate(at(61_000), Some(0));
        assert_eq!(bucket.take(at(99_000), 1), 0);
        assert_eq!(bucket.next_at(at(99_000), 1), None);
        bucket.set_rate(at(99_000), Some(u64::MAX));
        assert_eq!(bucket.take(at(1_000_000_000), u64::MAX), u64::MAX / 5);
    }

    proptest! {
        #[test]
        fn a_meter_shows_a_steady_rate_within_five_percent(
            rate in 10_000u64..1_000_000_000, step in 1u64..100, seconds in 1u64..30,
        ) {
            let mut meter = RateMeter::new(at(0));
            for millis in (step..=seconds * 1000).step_by(step as usize) {
                meter.add(at(millis), rate * step / 1000);
            }
            let shown = meter.rate(at(seconds * 1000)) as f64;
            let error = (shown / rate as f64 - 1.0).abs();
            // A shorter life shows the step more.
            prop_assert!(error < 0.05 + step as f64 / (seconds * 1000) as f64, "{} of {}", shown, rate);
        }

        #[test]
        fn five_seconds_of_full_use_are_within_five_percent(
            rate in 1_000u64..2_000_000_000,
            idle in 0u64..10_000,
            waits in prop::collection::vec(1u64..200, 50..400),
        ) {
            let mut bucket = TokenBucket::new(at(0), Some(rate));
            let mut grants = Vec::new();
            let mut millis = idle;
            for wait in waits {
                grants.push((millis, bucket.take(at(millis), u64::MAX)));
                millis += wait;
            }
            for (from, &(start, _)) in grants.iter().enumerate() {
                let window = || grants[from..].iter().take_while(move |grant| grant.0 < start + 5000);
                let sum: u64 = window().map(|grant| grant.1).sum();
                prop_assert!(sum as f64 <= rate as f64 * 5.0 * 1.05);
                if millis >= start + 5000 {
                    // What the last wait has earned is not taken yet.
                    prop_assert!(sum as f64 >= rate as f64 * 5.0 * 0.95 - 200.0);
                }
            }
        }

        #[test]
        fn what_is_promised_is_granted(rate in 1u64..1_000_000_000, want in 1u64..1_000_000, spent in 0u64..1_000_000) {
            let mut bucket = TokenBucket::new(at(0), Some(rate));
            bucket.charge(spent);
            let then = bucket.next_at(at(0), want).unwrap();
            let most = (rate / 5).max(1);
            prop_assert!(bucket.take(then, want) >= want.min(most));
        }
    }
}
