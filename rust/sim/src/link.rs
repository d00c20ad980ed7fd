//! Streams between two nodes. A stream loses nothing and keeps its order: what
//! the network loses is sent again, and everything behind it waits.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngExt};

/// How bytes travel between two nodes, in each direction of each connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// Time from one end to the other.
    pub delay: Duration,
    /// Chance adds up to this much to it.
    pub jitter: Duration,
    /// Bytes a second.
    pub rate: u64,
    /// Part of the segments that is lost and sent again, 0 to 1.
    pub loss: f64,
    /// Part of the segments at which the connection breaks, 0 to 1.
    pub reset: f64,
}

impl Default for Link {
    /// 10 ms, 4 MiB a second, nothing lost.
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(10),
            jitter: Duration::from_millis(1),
            rate: 4 << 20,
            loss: 0.0,
            reset: 0.0,
        }
    }
}

impl Link {
    /// A link between near and far, fast and slow, up to a tenth of its
    /// segments lost.
    pub fn any(rng: &mut impl Rng) -> Self {
        Self {
            delay: Duration::from_micros(rng.random_range(200..250_000)),
            jitter: Duration::from_micros(rng.random_range(0..50_000)),
            rate: 1 << rng.random_range(16..23),
            loss: rng.random_range(0.0..0.1),
            reset: 0.0,
        }
    }
}

/// Bytes that a socket takes before it makes its owner wait.
const SEND_BUFFER: usize = 128 * 1024;

/// Longest segment. Real ones are shorter; what matters is that messages are
/// cut anywhere.
const MAX_SEGMENT: usize = 16 * 1024;

/// When a sender notices a loss, beyond the round trip.
const RETRANSMIT: Duration = Duration::from_millis(200);

/// One direction of one connection.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    free_at: Duration,
    last_arrival: Duration,
    waiting: usize,
}

/// What becomes of a segment.
#[derive(Debug)]
pub(crate) struct Flight {
    /// When it has left the send buffer.
    pub(crate) departs: Duration,
    /// When it is at the other end, and everything before it.
    pub(crate) arrives: Duration,
    /// The connection breaks on the way.
    pub(crate) breaks: bool,
}

impl Pipe {
    /// Bytes of the next segment, 0 while the send buffer is full.
    pub(crate) fn room(&self, rng: &mut StdRng) -> usize {
        let free = SEND_BUFFER.saturating_sub(self.waiting);
        rng.random_range(1..=MAX_SEGMENT).min(free)
    }

    /// Sends a segment. `down_until` is the end of an outage, if there is one.
    pub(crate) fn send(
        &mut self,
        now: Duration,
        bytes: usize,
        link: &Link,
        down_until: Option<Duration>,
        rng: &mut StdRng,
    ) -> Flight {
        self.waiting += bytes;
        let time = Duration::from_secs_f64(bytes as f64 / link.rate.max(1) as f64);
        self.free_at = self.free_at.max(now) + time;
        let mut arrives = self.free_at + link.delay + link.jitter.mul_f64(rng.random());
        while link.loss > 0.0 && rng.random_bool(link.loss) {
            arrives += RETRANSMIT + link.delay * 2;
        }
        if let Some(until) = down_until {
            arrives = arrives.max(until + RETRANSMIT);
        }
        self.last_arrival = self.last_arrival.max(arrives);
        Flight {
            departs: self.free_at,
            arrives: self.last_arrival,
            breaks: link.reset > 0.0 && rng.random_bool(link.reset),
        }
    }

    /// A segment has left the send buffer.
    pub(crate) fn departed(&mut self, bytes: usize) {
        self.waiting -= bytes;
    }
}
