//! The way down: leases of blocks become requests as far as the window is open,
//! and go back to the torrent when the peer will not deliver them.
//!
//! Part of [`Connection`]; the torrent leases, cancels and withdraws.

use std::time::Instant;

use super::{Connection, Note};
use crate::ids::Block;
use crate::wire::{Message, Request};

impl Connection {
    /// Gives back what was not asked for yet, allowed pieces apart.
    pub(super) fn give_back_leased(&mut self) {
        let fast = &self.fast;
        let keep = |block| fast.is_allowed(block);
        self.leased.retain(keep, &mut self.report.returned);
        self.dirty = true;
    }

    /// Gives every leased block back to the torrent.
    pub(super) fn give_back(&mut self) {
        self.report.returned.extend(self.outstanding.drain(..));
        self.leased.truncate(0, &mut self.report.returned);
        self.dirty = true;
    }

    /// Sends requests for leased blocks as far as the window is open, and asks
    /// the torrent for more in good time.
    pub(super) fn fill_window(&mut self, now: Instant) {
        if !self.interested || self.most_outstanding() == 0 {
            return;
        }
        let target = self.most_outstanding();
        if self.outstanding.is_empty() {
            self.patience.begin(now);
        }
        if !self.leased.is_empty() {
            self.window.on_requested(now, self.outstanding.len() as u32);
        }
        while (self.outstanding.len() as u32) < target
            && let Some(block) = self.leased.pop()
        {
            self.request(block);
            // How much is outstanding is news, however long the answer takes.
            self.dirty = true;
        }
        let wished = self.wished();
        let held = self.outstanding.len() as u32 + self.leased.len() as u32 + self.asked;
        if held + wished / 8 < wished {
            let more = wished - held;
            self.asked += more;
            self.report.want += more;
            self.dirty = true;
        }
    }

    pub(super) fn request(&mut self, block: Block) {
        if !self.late.is_empty() {
            self.late.retain(|&late| late != block);
        }
        self.outstanding.push_back(block);
        let request = self.request_for(block);
        self.send.message(&Message::Request(request));
        if self.watched.progress {
            self.report.notes.push(Note::Requested(block));
            self.dirty = true;
        }
    }

    /// Blocks that may be outstanding now.
    pub(super) fn most_outstanding(&self) -> u32 {
        match self.peer_choking {
            false => self.window.target(),
            true => self.window.target().min(self.fast.choked_window()),
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
        self.asked = self.asked.saturating_sub(blocks.len() as u32);
        self.leased.extend(blocks);
        if !self.interested {
            self.give_back();
        } else {
            if self.peer_choking {
                self.give_back_leased();
            }
            self.fill_window(now);
            self.give_back_surplus();
        }
    }

    /// Requests these blocks at once, before all others, be the window full or
    /// not.
    pub fn lease_urgent(&mut self, now: Instant, blocks: &[Block]) {
        self.asked = self.asked.saturating_sub(blocks.len() as u32);
        if self.peer_choking || !self.interested {
            self.report.returned.extend(blocks);
            self.dirty = true;
            return;
        }
        if self.outstanding.is_empty() {
            self.patience.begin(now);
        }
        self.window.on_requested(now, self.outstanding.len() as u32);
        // Beyond the hard limit they wait behind those that came before them.
        let most = self.limits.window.max as usize;
        let room = most.saturating_sub(self.outstanding.len());
        let (first, rest) = blocks.split_at(room.min(blocks.len()));
        for &block in first {
            self.request(block);
        }
        self.leased.extend_urgent(rest);
        self.fill_window(now);
    }

    /// Requests at once those of these blocks that are leased and wait.
    pub fn promote(&mut self, now: Instant, blocks: &[Block]) {
        let waiting: Vec<Block> = blocks
            .iter()
            .copied()
            .filter(|&block| self.leased.remove(block))
            .collect();
        if !waiting.is_empty() {
            self.lease_urgent(now, &waiting);
        }
    }

    /// Takes leases back because others are asked for the blocks. What was
    /// requested already may come all the same.
    pub fn withdraw(&mut self, now: Instant, blocks: &[Block]) {
        for &block in blocks {
            if let Some(at) = self.outstanding.iter().position(|&asked| asked == block) {
                self.outstanding.remove(at);
                let request = self.request_for(block);
                self.send.message(&Message::Cancel(request));
                self.expect_late(block);
            } else {
                self.leased.remove(block);
            }
        }
        self.fill_window(now);
    }

    pub(super) fn expect_late(&mut self, block: Block) {
        // More than two windows of them will not come any more.
        if self.late.len() >= 2 * self.limits.window.max as usize {
            self.late.pop_front();
        }
        self.late.push_back(block);
    }

    /// Gives back what a snubbing peer asked for in better days: it would only
    /// sit on it.
    pub(super) fn give_back_surplus(&mut self) {
        let most = self.wished() as usize;
        if self.window.is_snubbed() && self.leased.len() > most {
            self.leased.truncate(most, &mut self.report.returned);
            self.dirty = true;
        }
    }

    /// Takes leases back: somebody else delivered the blocks.
    pub fn cancel(&mut self, now: Instant, blocks: &[Block]) {
        for &block in blocks {
            if let Some(at) = self.outstanding.iter().position(|&asked| asked == block) {
                self.outstanding.remove(at);
                let request = self.request_for(block);
                self.send.message(&Message::Cancel(request));
            } else {
                self.leased.remove(block);
            }
        }
        self.fill_window(now);
    }

    /// Tells the peer whether we want something it has.
    pub fn set_interested(&mut self, now: Instant, interested: bool) {
        if self.interested == interested {
            return;
        }
        self.interested = interested;
        if interested {
            self.send.message(&Message::Interested);
            self.fill_window(now);
        } else {
            self.send.message(&Message::NotInterested);
            self.asked = 0;
            self.report.want = 0;
            self.give_back();
        }
    }
}
