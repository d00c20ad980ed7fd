//! What we may ask of the peer, and what it was asked for.
//!
//! Part of [`Connection`](super::Connection), which sends what is said here.
//! A block is in one place at most: leased, outstanding, or late.

use std::collections::VecDeque;
use std::time::Instant;

use super::PeerError;
use super::request_queue::RequestQueue;
use super::request_timeout::RequestTimer;
use crate::ids::Block;
use crate::window::{Window, WindowLimits};

/// Answers to nothing that a peer may give, beyond one for each request.
const SURPLUS_ANSWERS: u32 = 1000;

/// Requests to one peer.
#[derive(Debug)]
pub(super) struct Requests {
    /// The peer was informed that we are interested.
    pub(super) interested: bool,
    pub(super) peer_choking: bool,
    /// It has sent a block since it unchoked us.
    pub(super) fruitful: bool,
    pub(super) window: Window,
    /// Blocks that may be requested.
    pub(super) leased: RequestQueue,
    /// Requested and not yet here, oldest first.
    pub(super) outstanding: VecDeque<Block>,
    /// Requested, but others are asked for them now; they are welcome still.
    pub(super) late: VecDeque<Block>,
    /// Blocks asked of the torrent and not yet leased.
    pub(super) asked: u32,
    /// How long it is waited for them.
    pub(super) request_timer: RequestTimer,
    /// Blocks and refusals that the peer may still send of what it was not asked
    /// for, or is no longer: each has us look through the requests.
    surplus_answers: u32,
    /// When the next block of a snubbing peer is asked of others.
    pub(super) next_give_up: Instant,
}

impl Requests {
    pub(super) fn new(now: Instant, limits: WindowLimits) -> Self {
        Self {
            interested: false,
            peer_choking: true,
            fruitful: false,
            window: Window::new(now, limits),
            leased: RequestQueue::default(),
            outstanding: VecDeque::new(),
            late: VecDeque::new(),
            asked: 0,
            request_timer: RequestTimer::new(now),
            surplus_answers: SURPLUS_ANSWERS,
            next_give_up: now,
        }
    }

    /// Blocks that are leased, requested, or asked of the torrent.
    pub(super) fn held(&self) -> u32 {
        self.outstanding.len() as u32 + self.leased.len() as u32 + self.asked
    }

    /// The block is requested now.
    pub(super) fn begin(&mut self, block: Block) {
        if !self.late.is_empty() {
            self.late.retain(|&late| late != block);
        }
        self.outstanding.push_back(block);
        self.surplus_answers = self.surplus_answers.saturating_add(1);
    }

    /// The peer has answered what it was not asked for, or is no longer.
    pub(super) fn count_surplus(&mut self) -> Result<(), PeerError> {
        match self.surplus_answers.checked_sub(1) {
            Some(left) => self.surplus_answers = left,
            None => return Err(PeerError::Unsolicited),
        }
        Ok(())
    }

    /// The block is not waited for any more; whether it was requested.
    pub(super) fn take_outstanding(&mut self, block: Block) -> bool {
        take(&mut self.outstanding, block)
    }

    /// A block came; whether it was asked for, which it is no longer.
    pub(super) fn take_asked(&mut self, block: Block) -> bool {
        take(&mut self.outstanding, block) || take(&mut self.late, block)
    }

    /// A block that was requested may come still.
    pub(super) fn expect_late(&mut self, block: Block, window: u32) {
        // More than two windows of them will not come any more.
        if self.late.len() >= 2 * window as usize {
            self.late.pop_front();
        }
        self.late.push_back(block);
    }
}

fn take(blocks: &mut VecDeque<Block>, block: Block) -> bool {
    let Some(at) = blocks.iter().position(|&it| it == block) else {
        return false;
    };
    blocks.remove(at);
    true
}
