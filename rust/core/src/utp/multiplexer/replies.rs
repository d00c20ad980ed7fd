//! Packets that are of no connection: answers to SYNs and resets. Each is as
//! short as a packet can be, for one that was no shorter, and they are limited
//! in number, so that a forged source address brings that host no more bytes than
//! were sent to us.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::super::packet::{HEADER_SIZE, Header, Packet};

/// Replies that wait to be sent; what comes beyond them has none.
const MAX_WAITING: usize = 256;

/// Replies a second.
const RATE: u32 = 1000;

/// Replies that wait, and how many more there may be.
#[derive(Debug)]
pub(super) struct Replies {
    waiting: VecDeque<(SocketAddr, Header)>,
    left: u32,
    filled_at: Instant,
}

impl Replies {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            waiting: VecDeque::new(),
            left: RATE,
            filled_at: now,
        }
    }

    /// Whether there may be one more.
    pub(super) fn has_room(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.filled_at);
        if passed >= Duration::from_secs(1) {
            self.left = RATE;
            self.filled_at = now;
        }
        self.left > 0 && self.waiting.len() < MAX_WAITING
    }

    /// Adds one, for which there is room.
    pub(super) fn push(&mut self, to: SocketAddr, header: Header) {
        self.left = self.left.saturating_sub(1);
        self.waiting.push_back((to, header));
    }

    /// Writes the next one.
    pub(super) fn poll(&mut self, out: &mut Vec<u8>) -> Option<SocketAddr> {
        let (to, header) = self.waiting.pop_front()?;
        let packet = Packet {
            header,
            selective_ack: None,
            close_reason: None,
            payload: &[],
        };
        packet.encode(HEADER_SIZE, out);
        Some(to)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
