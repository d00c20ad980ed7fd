//! How many blocks to keep outstanding at one peer: enough that its link never
//! runs dry, few enough that a slow peer does not sit on half the torrent.
//!
//! One [`Window`] a connection, owned by the sender of the requests. It is informed
//! of requests ([`Window::on_requested`]) and of blocks ([`Window::on_block`],
//! once a batch) and answers [`Window::target`].
//!
//! The depth is what the peer sends in the queue time (3 s unless set): as long
//! as a round trip is shorter than that, the queue outlasts it, and the rate
//! shows what the link can do rather than what we asked for. Should the rate
//! still be held down by the window, each measurement multiplies it by the
//! queue time over the round trip. Until the first measurement the depth grows
//! by a block for each that arrives: it doubles every round trip.

use std::time::{Duration, Instant};

use crate::ids::BLOCK_SIZE;

/// Blocks asked for before anything is known of a peer.
const INITIAL: u32 = 4;

/// With one block outstanding a peer idles for a round trip after each.
const MIN: u32 = 2;

/// How many requests justify a consultation of the picker and a write to the
/// socket.
const BATCH: u32 = 32;

/// Shortest time over which a rate is measured.
const SLOT: Duration = Duration::from_millis(500);

/// The bounds of a window, from the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowLimits {
    /// How long the outstanding requests should keep the peer busy
    /// (`request_queue_time`).
    pub queue_time: Duration,
    /// Most blocks outstanding, at least 1: `max_out_request_queue`, or what
    /// the peer says it accepts (`reqq`, BEP 10) when that is less.
    pub max: u32,
}

impl Default for WindowLimits {
    fn default() -> Self {
        Self {
            queue_time: Duration::from_secs(3),
            max: 500,
        }
    }
}

/// The request depth of one connection.
#[derive(Clone, Debug)]
pub struct Window {
    limits: WindowLimits,
    slot_start: Instant,
    slot_bytes: u64,
    /// Bytes a second; `None` until the first measurement.
    rate: Option<u64>,
    /// Bytes that came before the first measurement.
    start_bytes: u64,
    target: u32,
    snubbed: bool,
}

impl Window {
    /// The window of a peer of which nothing is known yet.
    pub fn new(now: Instant, limits: WindowLimits) -> Self {
        let mut window = Self {
            limits,
            slot_start: now,
            slot_bytes: 0,
            rate: None,
            start_bytes: 0,
            target: 0,
            snubbed: false,
        };
        window.update();
        window
    }

    /// Puts other limits into effect.
    pub fn set_limits(&mut self, limits: WindowLimits) {
        self.limits = limits;
        self.update();
    }

    /// Forgets what was measured: after an unchoke the peer may be another one.
    pub fn restart(&mut self, now: Instant) {
        *self = Self::new(now, self.limits);
    }

    /// Notes that requests go out while `outstanding` earlier ones are not
    /// answered yet. Time without any is ours and does not count against the
    /// peer.
    pub fn on_requested(&mut self, now: Instant, outstanding: u32) {
        if outstanding == 0 && self.slot_bytes == 0 {
            self.slot_start = now;
        }
    }

    /// Notes that `bytes` of blocks came: one block, or all those of one read.
    /// A snubbed peer is one no longer.
    pub fn on_block(&mut self, now: Instant, bytes: u64) {
        if self.snubbed {
            self.restart(now);
        }
        self.slot_bytes = self.slot_bytes.saturating_add(bytes);
        self.start_bytes = self.start_bytes.saturating_add(bytes);
        let elapsed = now.saturating_duration_since(self.slot_start);
        if elapsed >= SLOT {
            let measured = per_second(self.slot_bytes, elapsed);
            // Up at once, down in steps: one late slot says little.
            self.rate = Some(match self.rate {
                Some(rate) if measured < rate => rate.midpoint(measured),
                _ => measured,
            });
            self.slot_start = now;
            self.slot_bytes = 0;
        }
        self.update();
    }

    /// Marks the peer as one that lets requests time out (it is then asked for
    /// one block at a time), or as one that does not.
    pub fn set_snubbed(&mut self, now: Instant, snubbed: bool) {
        if self.snubbed && !snubbed {
            self.restart(now);
        }
        self.snubbed = snubbed;
        self.update();
    }

    /// Whether the peer lets requests time out.
    pub fn is_snubbed(&self) -> bool {
        self.snubbed
    }

    /// How many blocks should be outstanding, at least 1.
    pub fn target(&self) -> u32 {
        self.target
    }

    /// How many more to ask for when `outstanding` are. Room for few waits
    /// until there is a batch: a quarter of the window, or 32 blocks.
    pub fn room(&self, outstanding: u32) -> u32 {
        let room = self.target.saturating_sub(outstanding);
        if room < (self.target / 4).min(BATCH) {
            0
        } else {
            room
        }
    }

    /// Bytes of blocks a second; 0 until measured.
    pub fn rate(&self) -> u64 {
        self.rate.unwrap_or(0)
    }

    fn update(&mut self) {
        let block = u64::from(BLOCK_SIZE);
        let blocks = match self.rate {
            _ if self.snubbed => 1,
            Some(rate) => {
                let bytes =
                    u128::from(rate).saturating_mul(self.limits.queue_time.as_millis()) / 1000;
                u64::try_from(bytes.div_ceil(u128::from(block))).unwrap_or(u64::MAX)
            }
            None => u64::from(INITIAL) + self.start_bytes / block,
        };
        let min = if self.snubbed { 1 } else { MIN };
        self.target = u32::try_from(blocks)
            .unwrap_or(u32::MAX)
            .max(min)
            .min(self.limits.max.max(1));
    }
}

fn per_second(bytes: u64, elapsed: Duration) -> u64 {
    let nanos = elapsed.as_nanos().max(1);
    u64::try_from(u128::from(bytes) * 1_000_000_000 / nanos).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;
    use crate::testing::at;

    /// A peer behind a link: requests take half a round trip, then blocks go
    /// out one after the other, and take the other half.
    struct Link {
        rate: u64,
        round_trip: Duration,
        free_at: Instant,
        arrivals: VecDeque<Instant>,
    }

    impl Link {
        fn request(&mut self, now: Instant) {
            let block = Duration::from_nanos(u64::from(BLOCK_SIZE) * 1_000_000_000 / self.rate);
            self.free_at = self.free_at.max(now + self.round_trip / 2) + block;
            self.arrivals.push_back(self.free_at + self.round_trip / 2);
        }
    }

    /// Bytes that came in the last half of `seconds`, and the deepest queue.
    fn run(rate: u64, round_trip: Duration, seconds: u64) -> (u64, u32) {
        let start = at(0);
        let end = start + Duration::from_secs(seconds);
        let half = start + Duration::from_secs(seconds) / 2;
        let mut window = Window::new(start, WindowLimits::default());
        let mut link = Link {
            rate,
            round_trip,
            free_at: start,
            arrivals: VecDeque::new(),
        };
        let (mut now, mut late, mut deepest) = (start, 0, 0);
        while now < end {
            let outstanding = link.arrivals.len() as u32;
            let room = window.room(outstanding);
            if room > 0 {
                window.on_requested(now, outstanding);
            }
            for _ in 0..room {
                link.request(now);
            }
            deepest = deepest.max(link.arrivals.len() as u32);
            now = link.arrivals.pop_front().expect("something is outstanding");
            window.on_block(now, u64::from(BLOCK_SIZE));
            if now >= half && now < end {
                late += u64::from(BLOCK_SIZE);
            }
        }
        (late, deepest)
    }

    #[test]
    fn a_fast_near_peer_is_kept_busy_from_the_first_second() {
        let (late, deepest) = run(1 << 30, Duration::from_micros(100), 1);
        assert!(late > (1 << 29) * 98 / 100, "{late}");
        assert!(deepest <= 500);
    }

    #[test]
    fn a_slow_peer_is_not_asked_for_more_than_a_few_blocks() {
        let (late, deepest) = run(8 * 1024, Duration::from_millis(100), 60);
        assert!(late > 30 * 8 * 1024 * 8 / 10, "{late}");
        assert!(deepest <= 6, "{deepest}");
    }

    #[test]
    fn a_snubbed_peer_is_asked_for_one_block_until_it_sends_one() {
        let now = at(0);
        let mut window = Window::new(now, WindowLimits::default());
        assert_eq!(window.target(), 4);
        window.on_block(now, 3 * u64::from(BLOCK_SIZE));
        assert_eq!(window.target(), 7);
        window.set_snubbed(now, true);
        assert_eq!((window.target(), window.room(0), window.room(1)), (1, 1, 0));
        window.on_block(now, u64::from(BLOCK_SIZE));
        assert!(!window.is_snubbed());
        assert_eq!(window.target(), 5);
    }

    #[test]
    fn limits_hold_and_time_without_requests_does_not_count() {
        let now = at(0);
        let mut window = Window::new(now, WindowLimits::default());
        let later = now + Duration::from_secs(3600);
        window.on_requested(later, 0);
        window.on_block(later + Duration::from_secs(1), 1 << 20);
        assert_eq!(window.rate(), 1 << 20);
        assert_eq!(window.target(), 192);
        window.set_limits(WindowLimits {
            max: 10,
            ..WindowLimits::default()
        });
        assert_eq!(window.target(), 10);
        window.set_limits(WindowLimits {
            queue_time: Duration::MAX,
            max: 0,
        });
        assert_eq!(window.target(), 1);
        window.on_block(later, u64::MAX / 2);
        window.on_block(later + Duration::from_secs(9), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn fills_any_link_that_the_limits_allow(kib in 64u64..65_536, millis in 0u64..300) {
            let (rate, round_trip) = (kib * 1024, Duration::from_millis(millis));
            let cap = (500 * u64::from(BLOCK_SIZE)) as f64 / round_trip.as_secs_f64().max(1e-9);
            let (late, deepest) = run(rate, round_trip, 10);
            let ideal = (rate as f64).min(cap * 0.9) * 5.0;
            prop_assert!(late as f64 >= ideal * 0.95, "{} of {}", late, ideal);
            let queue = 3.2 * rate as f64 / f64::from(BLOCK_SIZE);
            prop_assert!(f64::from(deepest) <= queue + 8.0, "{} blocks at {} B/s", deepest, rate);
        }
    }
}
