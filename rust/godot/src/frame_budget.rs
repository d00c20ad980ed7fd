//! How much of a frame the signals may take. What counts is our own work, the
//! conversion of values and the emission, and it is measured against elapsed
//! time: as much is emitted in a second of four frames as in one of 240.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::signal_queue::Time;

/// What a poll may take of the time since the last one, in thousandths.
const SHARE: u32 = 8;
/// And with a backlog.
const LARGEST_SHARE: u32 = 50;
/// Within about this time a backlog is emitted.
const BACKLOG: Duration = Duration::from_millis(80);
/// What one notice takes, roughly.
const NOTICE: Duration = Duration::from_nanos(1500);
/// As many emissions as a poll always has time for, unless handlers are slow: so
/// few take little time, and come in the order in which things happened.
const LEAST: u32 = 64;
/// After a longer time a poll may not take more than after this one.
const LONGEST: Duration = Duration::from_millis(250);
/// What comes once may take this much, and is emitted within about that time.
const ONCE: Duration = Duration::from_micros(800);
const ONCE_WITHIN: Duration = Duration::from_millis(40);
/// Of the handlers of what comes many times: at least this much, and no more
/// than half of the time, so that slow ones leave the game its frames.
const HANDLERS: Duration = Duration::from_millis(4);
/// What an emission takes without handlers.
const EMISSION: Duration = Duration::from_micros(1);

/// What a poll may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameBudget {
    once: Duration,
    rest: Duration,
    handlers: Duration,
}

impl FrameBudget {
    /// After so much time without a poll, with so many notices of those that
    /// come once, and of the others.
    pub(crate) fn new(elapsed: Duration, (once, rest): (usize, usize)) -> Self {
        let elapsed = elapsed.min(LONGEST);
        let within = |count: usize, limit: Duration| {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            let all = NOTICE.saturating_mul(count).min(Duration::from_secs(60));
            all.mul_f64(elapsed.as_secs_f64() / limit.as_secs_f64())
        };
        let backlog = within(rest, BACKLOG);
        Self {
            once: within(once, ONCE_WITHIN).max(ONCE),
            rest: (elapsed * SHARE / 1000 + backlog).min(elapsed * LARGEST_SHARE / 1000),
            handlers: (elapsed / 2).max(HANDLERS),
        }
    }
}

/// The clock of one poll, from when it has taken what there is to emit: that takes
/// the longer the more there is, and must not use up the time for it.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    started: Instant,
    handlers: Cell<Duration>,
    emissions: Cell<u32>,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self {
            started: Instant::now(),
            handlers: Cell::default(),
            emissions: Cell::default(),
        }
    }

    /// Runs an emission: what its handlers take is not ours.
    pub(crate) fn emission(&self, emit: impl FnOnce()) {
        let begun = Instant::now();
        emit();
        let handlers = begun.elapsed().saturating_sub(EMISSION);
        self.handlers.set(self.handlers.get() + handlers);
        self.emissions.set(self.emissions.get() + 1);
    }

    /// What there is still time for.
    pub(crate) fn left(&self, allowance: &FrameBudget) -> Time {
        let handlers = self.handlers.get();
        let ours = self.started.elapsed().saturating_sub(handlers);
        let is_little = self.emissions.get() < LEAST;
        Time {
            once: ours < allowance.once.max(allowance.rest),
            rest: (ours < allowance.rest || is_little) && handlers < allowance.handlers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_a_second(frames: u32, waiting: usize) -> Duration {
        let allowance = FrameBudget::new(Duration::from_secs(1) / frames, (0, waiting));
        allowance.rest * frames
    }

    #[test]
    fn as_much_in_a_second_whatever_the_rate_of_frames() {
        for waiting in [0, 100, 5000] {
            let (few, many) = (in_a_second(4, waiting), in_a_second(240, waiting));
            let ratio = many.as_secs_f64() / few.as_secs_f64();
            assert!((0.9..1.1).contains(&ratio), "{waiting}: {few:?}, {many:?}");
        }
    }

    #[test]
    fn a_frame_is_the_games() {
        for frames in [4, 30, 60, 120, 240] {
            let elapsed = Duration::from_secs(1) / frames;
            let idle = FrameBudget::new(elapsed, (0, 0));
            assert!(idle.rest < elapsed / 100, "{idle:?}");
            let loaded = FrameBudget::new(elapsed, (10, 1_000_000));
            assert!(loaded.rest <= elapsed / 20, "{loaded:?}");
            assert!(loaded.handlers <= elapsed.max(HANDLERS));
        }
    }

    #[test]
    fn handlers_do_not_count() {
        let allowance = FrameBudget::new(Duration::from_millis(16), (0, 0));
        let stopwatch = Stopwatch::start();
        stopwatch.handlers.set(Duration::from_secs(3600));
        assert!(stopwatch.left(&allowance).once);
        assert!(
            !stopwatch.left(&allowance).rest,
            "but leave the game its frames"
        );
    }
}
