//! The way down: leases of blocks become requests as far as the window is open,
//! and go back to the torrent when the peer will not deliver them.
//!
//! Part of [`Connection`]; the torrent leases, cancels and withdraws.

use std::time::Instant;

use super::{BlockNote, Connection};
use crate::ids::Block;
use crate::wire::{Message, Request};

impl Connection {
    /// Gives back what was not asked for yet, allowed pieces apart.
    pub(super) fn give_back_leased(&mut self) {
        let fast = &self.fast;
        let keep = |block| fast.is_allowed(block);
        self.requests
            .leased
            .retain(keep, &mut self.pending_report.report.returned);
        self.pending_report.dirty = true;
    }

    /// Gives every leased block back to the torrent.
    pub(super) fn give_back(&mut self) {
        self.pending_report
            .report
            .returned
            .extend(self.requests.outstanding.drain(..));
        self.requests
            .leased
            .truncate(0, &mut self.pending_report.report.returned);
        self.pending_report.dirty = true;
    }

    /// Sends requests for leased blocks as far as the window is open, and asks
    /// the torrent for more in good time.
    pub(super) fn fill_window(&mut self, now: Instant) {
        if !self.requests.interested || self.most_outstanding() == 0 {
            return;
        }
        let target = self.most_outstanding();
        if self.requests.outstanding.is_empty() {
            self.requests.request_timer.begin(now);
        }
        if !self.requests.leased.is_empty() {
            self.requests
                .window
                .on_requested(now, self.requests.outstanding.len() as u32);
        }
        while (self.requests.outstanding.len() as u32) < target
            && let Some(block) = self.requests.leased.pop()
        {
            self.request(block);
            // How much is outstanding is news, however long the answer takes.
            self.pending_report.dirty = true;
        }
        let wished = self.wished();
        let held = self.requests.held();
        if held + wished / 8 < wished {
            let more = wished - held;
            self.requests.asked += more;
            self.pending_report.report.want += more;
            self.pending_report.dirty = true;
        }
    }

    pub(super) fn request(&mut self, block: Block) {
        self.requests.begin(block);
        let request = self.request_for(block);
        self.send.message(&Message::Request(request));
        if self.pending_report.watched.progress {
            self.pending_report.note(BlockNote::Requested(block));
        }
    }

    /// Blocks that may be outstanding now.
    pub(super) fn most_outstanding(&self) -> u32 {
        match self.requests.peer_choking {
            false => self.requests.window.target(),
            true => self.requests.window.target().min(self.fast.choked_window()),
        }
    }

    /// Blocks to hold, requested or not: a reserve of leased ones keeps the
    /// window full while the torrent is thinking.
    pub(super) fn wished(&self) -> u32 {
        let target = self.most_outstanding();
        target + target / 4 + 1
    }

    pub(super) fn request_for(&self, block: Block) -> Request {
        Request {
            piece: block.piece,
            begin: block.begin(),
            length: self.layout.block_len(block),
        }
    }

    /// Lets the connection request these blocks.
    pub fn lease(&mut self, now: Instant, blocks: &[Block]) {
        self.requests.asked = self.requests.asked.saturating_sub(blocks.len() as u32);
        self.requests.leased.extend(blocks);
        if !self.requests.interested {
            self.give_back();
        } else {
            if self.requests.peer_choking {
                self.give_back_leased();
            }
            self.fill_window(now);
            self.give_back_surplus();
        }
    }

    /// Requests these blocks at once, before all others, be the window full or
    /// not.
    pub fn lease_time_critical(&mut self, now: Instant, blocks: &[Block]) {
        self.requests.asked = self.requests.asked.saturating_sub(blocks.len() as u32);
        if self.requests.peer_choking || !self.requests.interested {
            self.pending_report.report.returned.extend(blocks);
            self.pending_report.dirty = true;
            return;
        }
        if self.requests.outstanding.is_empty() {
            self.requests.request_timer.begin(now);
        }
        self.requests
            .window
            .on_requested(now, self.requests.outstanding.len() as u32);
        // Beyond the hard limit they wait behind those that came before them.
        let most = self.limits.window.max as usize;
        let room = most.saturating_sub(self.requests.outstanding.len());
        let (first, rest) = blocks.split_at(room.min(blocks.len()));
        for &block in first {
            self.request(block);
        }
        self.requests.leased.extend_time_critical(rest);
        self.fill_window(now);
    }

    /// Requests at once those of these blocks that are leased and wait.
    pub fn promote(&mut self, now: Instant, blocks: &[Block]) {
        let waiting: Vec<Block> = blocks
            .iter()
            .copied()
            .filter(|&block| self.requests.leased.remove(block))
            .collect();
        if !waiting.is_empty() {
            self.lease_time_critical(now, &waiting);
        }
    }

    /// Takes leases back because others are asked for the blocks. What was
    /// requested already may come all the same.
    pub fn withdraw(&mut self, now: Instant, blocks: &[Block]) {
        for &block in blocks {
            if self.requests.take_outstanding(block) {
                let request = self.request_for(block);
                self.send.message(&Message::Cancel(request));
                self.expect_late(block);
            } else {
                self.requests.leased.remove(block);
            }
        }
        self.fill_window(now);
    }

    pub(super) fn expect_late(&mut self, block: Block) {
        self.requests.expect_late(block, self.limits.window.max);
    }

    /// Gives back what a snubbing peer asked for in better days: it would only
    /// sit on it.
    pub(super) fn give_back_surplus(&mut self) {
        let most = self.wished() as usize;
        if self.requests.window.is_snubbed() && self.requests.leased.len() > most {
            self.requests
                .leased
                .truncate(most, &mut self.pending_report.report.returned);
            self.pending_report.dirty = true;
        }
    }

    /// Takes leases back: other peers delivered the blocks.
    pub fn cancel(&mut self, now: Instant, blocks: &[Block]) {
        for &block in blocks {
            if self.requests.take_outstanding(block) {
                let request = self.request_for(block);
                self.send.message(&Message::Cancel(request));
            } else {
                self.requests.leased.remove(block);
            }
        }
        self.fill_window(now);
    }

    /// Informs the peer whether we want something it has.
    pub fn set_interested(&mut self, now: Instant, interested: bool) {
        if self.requests.interested == interested {
            return;
        }
        self.requests.interested = interested;
        if interested {
            self.send.message(&Message::Interested);
            self.fill_window(now);
        } else {
            self.send.message(&Message::NotInterested);
            self.requests.asked = 0;
            self.pending_report.report.want = 0;
            self.give_back();
        }
    }
}
