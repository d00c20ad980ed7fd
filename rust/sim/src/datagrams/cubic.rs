//! A TCP flow with CUBIC (RFC 9438), as far as others notice it.

use std::collections::BTreeMap;
use std::time::Duration;

/// Bytes of a packet, headers included.
pub(super) const PACKET: usize = 1500;

const C: f64 = 0.4;
const BETA: f64 = 0.7;

/// The sender. It has always something to send, and its receiver acks each
/// packet.
#[derive(Debug)]
pub(super) struct Cubic {
    window: f64,
    slow_start: bool,
    window_max: f64,
    epoch: Option<Duration>,
    next: u64,
    /// When packets that are not acked were sent.
    flying: BTreeMap<u64, Duration>,
    /// Losses before this packet were answered for.
    recovery: u64,
    round_trip: Duration,
    pub(super) acked: u64,
    pub(super) until: Duration,
}

impl Cubic {
    pub(super) fn new(until: Duration) -> Self {
        Self {
            window: 10.0,
            slow_start: true,
            window_max: 0.0,
            epoch: None,
            next: 0,
            flying: BTreeMap::new(),
            recovery: 0,
            round_trip: Duration::from_millis(100),
            acked: 0,
            until,
        }
    }

    /// The number of the next packet, while the window has room.
    pub(super) fn poll(&mut self, now: Duration) -> Option<u64> {
        if now >= self.until || self.flying.len() as f64 >= self.window {
            return None;
        }
        let number = self.next;
        self.next += 1;
        self.flying.insert(number, now);
        Some(number)
    }

    pub(super) fn ack(&mut self, now: Duration, number: u64) {
        let Some(sent) = self.flying.remove(&number) else {
            return;
        };
        self.acked += 1;
        self.round_trip = now.saturating_sub(sent);
        let lost: Vec<u64> = self
            .flying
            .range(..number.saturating_sub(2))
            .map(|it| *it.0)
            .collect();
        for number in lost {
            self.lose(number);
        }
        if self.slow_start {
            self.window += 1.0;
            return;
        }
        let began = *self.epoch.get_or_insert(now);
        let k = (self.window_max * (1.0 - BETA) / C).cbrt();
        let t = (now - began + self.round_trip).as_secs_f64();
        let target = C * (t - k).powi(3) + self.window_max;
        self.window += ((target - self.window) / self.window).clamp(0.0, 0.5);
    }

    fn lose(&mut self, number: u64) {
        self.flying.remove(&number);
        if number < self.recovery {
            return;
        }
        self.recovery = self.next;
        self.slow_start = false;
        self.window_max = self.window;
        self.window = (self.window * BETA).max(2.0);
        self.epoch = None;
    }

    /// Nothing has come back for so long that what flies is lost.
    pub(super) fn tick(&mut self, now: Duration) {
        let limit = self.round_trip * 2 + Duration::from_millis(300);
        let old = |sent: &Duration| now.saturating_sub(*sent) > limit;
        if self.flying.first_key_value().is_some_and(|it| old(it.1)) {
            self.flying.clear();
            self.recovery = self.next;
            self.window = 2.0;
        }
    }
}
