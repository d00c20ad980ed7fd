//! A way for datagrams: a queue before a line of one rate, and then time.

use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

/// Bytes of the headers of IPv4 and UDP.
const HEADERS: usize = 28;

/// How datagrams travel in one direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DatagramLink {
    /// Bytes a second.
    pub rate: u64,
    /// Bytes that wait before the line; what does not fit is dropped.
    pub queue: usize,
    /// Time from one end to the other, without the queue.
    pub delay: Duration,
    /// Chance adds up to this much to it, and may change the order.
    pub jitter: Duration,
    /// Part of the datagrams that is lost, 0 to 1.
    pub loss: f64,
    /// Part that comes a second time.
    pub duplicate: f64,
    /// Part that comes 10 delays later.
    pub reorder: f64,
    /// Bytes of the largest packet, headers included; longer ones vanish.
    pub mtu: usize,
}

impl Default for DatagramLink {
    /// 100 Mbit/s, 20 ms, 100 ms of queue, nothing lost.
    fn default() -> Self {
        Self::of_megabits(100, 20, 100)
    }
}

impl DatagramLink {
    /// A line of so many megabits a second, with a delay and a queue in
    /// milliseconds.
    pub fn of_megabits(megabits: u64, delay: u64, queue: u64) -> Self {
        let rate = megabits * 125_000;
        Self {
            rate,
            queue: (rate * queue / 1000) as usize,
            delay: Duration::from_millis(delay),
            jitter: Duration::ZERO,
            loss: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            mtu: 1500,
        }
    }
}

/// One direction, in use.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) link: DatagramLink,
    /// When the line has sent all that waits.
    free_at: Duration,
    /// Datagrams that did not fit into the queue or were longer than the MTU.
    pub(super) dropped: u64,
    pub(super) bytes: u64,
    pub(super) datagrams: u64,
}

impl Line {
    pub(super) fn new(link: DatagramLink) -> Self {
        Self {
            link,
            free_at: Duration::ZERO,
            dropped: 0,
            bytes: 0,
            datagrams: 0,
        }
    }

    /// How long what is sent now waits.
    pub(super) fn waiting(&self, now: Duration) -> Duration {
        self.free_at.saturating_sub(now)
    }

    /// When a datagram arrives: never, once or twice.
    pub(super) fn send(
        &mut self,
        now: Duration,
        length: usize,
        rng: &mut StdRng,
    ) -> [Option<Duration>; 2] {
        let size = length + HEADERS;
        self.bytes += length as u64;
        self.datagrams += 1;
        let queued = self.waiting(now).as_secs_f64() * self.link.rate as f64;
        if size > self.link.mtu || queued + size as f64 > self.link.queue.max(1600) as f64 {
            self.dropped += 1;
            return [None; 2];
        }
        let time = Duration::from_secs_f64(size as f64 / self.link.rate.max(1) as f64);
        self.free_at = self.free_at.max(now) + time;
        if rng.random_bool(self.link.loss) {
            return [None; 2];
        }
        let arrives = |rng: &mut StdRng, line: &Self| {
            let mut at = line.free_at + line.link.delay;
            at += line.link.jitter.mul_f64(rng.random());
            if rng.random_bool(line.link.reorder) {
                at += line.link.delay * 10;
            }
            at
        };
        let first = arrives(rng, self);
        let twice = rng.random_bool(self.link.duplicate);
        [Some(first), twice.then(|| arrives(rng, self))]
    }
}
