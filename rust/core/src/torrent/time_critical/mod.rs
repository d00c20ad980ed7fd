//! What the brain does for pieces with a deadline.

pub(crate) mod deadlines;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::rejected_requests::RequestAllowance;
use super::time_critical::deadlines::{Deadlines, Runner};
use super::{Peer, PeerCommand, Torrent, TorrentEvent};
use crate::bitfield::Bitfield;
use crate::ids::{Block, PeerKey, PieceIndex};
use crate::picker::PeerPieces;

/// Urgent blocks given to a peer of whose window nothing is known yet.
const FIRST_ROOM: u32 = 4;

impl Torrent {
    /// Wants `piece` within `after`; with `alert` it is said when it is here.
    /// A piece that was not wanted is wanted now.
    pub fn set_deadline(&mut self, now: Instant, piece: PieceIndex, after: Duration, alert: bool) {
        if piece.0 >= self.pieces.layout.num_pieces() {
            return;
        }
        if self.pieces.picker.we_have(piece) {
            if alert {
                self.event(TorrentEvent::DeadlineMet(piece));
            }
            return;
        }
        if self.pieces.deadlines.is_empty() {
            self.withdraw_leases(piece);
        }
        // Far enough to be never, where the clock cannot count that far.
        let due = now.checked_add(after).unwrap_or(now + FAR);
        if !self.pieces.set_deadline(piece, due, alert) {
            self.update_all_interest();
            self.update_state();
        }
        self.promote_leases(piece);
        self.top_up_time_critical(now);
    }

    /// Takes back the deadline of `piece`.
    pub fn reset_deadline(&mut self, now: Instant, piece: PieceIndex) {
        if let Some(alert) = self.pieces.end_deadline(piece) {
            if alert {
                self.event(TorrentEvent::DeadlineCancelled(piece));
            }
            self.top_up_starved(now);
        }
    }

    /// Takes back all deadlines.
    pub fn clear_deadlines(&mut self, now: Instant) {
        for piece in self.pieces.deadlines.pieces() {
            self.reset_deadline(now, piece);
        }
    }

    /// Pieces that are here need no deadline any more.
    pub(super) fn meet_deadlines(&mut self, pieces: &[PieceIndex]) {
        if self.pieces.deadlines.is_empty() {
            return;
        }
        for &piece in pieces {
            if self.pieces.end_deadline(piece) == Some(true) {
                self.event(TorrentEvent::DeadlineMet(piece));
            }
        }
    }

    /// Pieces that are not wanted any more have no deadline.
    pub(super) fn drop_unwanted_deadlines(&mut self, now: Instant) {
        for piece in self.pieces.deadlines.pieces() {
            if !self.pieces.picker.priority(piece).is_wanted() {
                self.reset_deadline(now, piece);
            }
        }
    }

    /// Hands out open blocks of pieces with a deadline.
    pub(super) fn top_up_time_critical(&mut self, now: Instant) {
        self.plan_time_critical(now, false);
    }

    /// Looks for blocks that will be late.
    pub(super) fn rescue_time_critical(&mut self, now: Instant) {
        self.plan_time_critical(now, true);
    }

    fn plan_time_critical(&mut self, now: Instant, rescue: bool) {
        if self.pieces.deadlines.is_empty() || !self.may_download() {
            return;
        }
        let deadlines = &self.pieces.deadlines;
        // What peers that refused some pieces are asked for.
        let mut willing = BTreeMap::new();
        for (&key, peer) in &self.peers {
            if !peer.download.refusals.is_empty() {
                willing.insert(key, peer.willing(now));
            }
        }
        let mut runners = Vec::with_capacity(self.peers.len());
        for (&key, peer) in &mut self.peers {
            if peer.download.choking_us || !peer.download.interested || peer.closing.is_some() {
                continue;
            }
            let most = peer.time_critical_allowance(now, deadlines);
            let rate = peer.traffic.rates.payload_download.rate(now);
            let target = peer.traffic.stats.target.max(FIRST_ROOM);
            let mut outstanding = (0, 0);
            for block in peer.download.leased() {
                outstanding.0 += 1;
                outstanding.1 += u32::from(deadlines.contains(block.piece));
            }
            runners.push(Runner {
                key,
                pieces: willing
                    .get(&key)
                    .map_or_else(|| peer.peer_pieces(), PeerPieces::Some),
                rate,
                known: peer.traffic.stats.payload_received > 0,
                snubbed: peer.traffic.stats.snubbed,
                outstanding: outstanding.0.min(target).max(outstanding.1),
                room: (target + target / 4 + 1)
                    .saturating_sub(outstanding.1)
                    .min(most),
            });
        }
        let mut plan = deadlines.assign(&mut self.pieces.picker, &mut runners);
        if rescue {
            plan.extend(deadlines.rescue(now, &mut self.pieces.picker, &mut runners));
        }
        self.send_time_critical(now, plan);
    }

    fn send_time_critical(&mut self, now: Instant, mut plan: Vec<(PeerKey, Block)>) {
        // Stable: each peer's blocks stay in the order of their deadlines.
        plan.sort_by_key(|&(key, _)| key);
        for part in plan.chunk_by(|a, b| a.0 == b.0) {
            let Some(&(key, _)) = part.first() else {
                continue;
            };
            let blocks: Vec<Block> = part.iter().map(|&(_, block)| block).collect();
            if let Some(peer) = self.peers.get_mut(&key) {
                peer.download.want = peer.download.want.saturating_sub(blocks.len() as u32);
                if peer.download.want == 0 {
                    self.starved.remove(key);
                }
                peer.download.lease(now, &blocks);
                for block in &blocks {
                    peer.download.refusals.asked(now, block.piece);
                }
                self.command(key, PeerCommand::TimeCritical(blocks));
            }
        }
    }

    /// What peers were asked for of this piece goes before their other leases.
    fn promote_leases(&mut self, piece: PieceIndex) {
        for (&key, peer) in &self.peers {
            let leased = peer.download.leased().filter(|block| block.piece == piece);
            let blocks: Vec<Block> = leased.collect();
            if !blocks.is_empty() {
                let promote = PeerCommand::Promote(blocks);
                self.outputs.push_back(super::Output::Peer(key, promote));
            }
        }
    }

    /// The first deadline clears the way: what peers were asked for otherwise
    /// would be in front of it for as long as their windows are deep.
    fn withdraw_leases(&mut self, but: PieceIndex) {
        for (&key, peer) in &mut self.peers {
            let blocks = peer.download.revoke(|piece| piece != but);
            for &block in &blocks {
                self.pieces.picker.returned(key, block);
            }
            if !blocks.is_empty() {
                let withdraw = PeerCommand::Withdraw(blocks);
                self.outputs.push_back(super::Output::Peer(key, withdraw));
            }
        }
    }
}

impl Peer {
    /// The pieces that it has, without those that it refused lately.
    fn willing(&self, now: Instant) -> Bitfield {
        let mut willing = (**self.pieces()).clone();
        for piece in self.download.refusals.pieces() {
            if self.download.refusals.forbids(now, piece) {
                willing.clear(piece.0);
            }
        }
        willing
    }

    /// Urgent blocks that it may be asked for: one, to see, if that is about
    /// something that it refused.
    fn time_critical_allowance(&self, now: Instant, deadlines: &Deadlines) -> u32 {
        let refused = || self.download.refusals.due(now).into_iter();
        match self.download.refusals.allowance(now) {
            RequestAllowance::Nothing => 0,
            RequestAllowance::One => 1,
            RequestAllowance::All if refused().any(|piece| deadlines.contains(piece)) => 1,
            RequestAllowance::All => u32::MAX,
        }
    }
}

/// A deadline that never comes.
const FAR: Duration = Duration::from_secs(365 * 86_400);
