//! The nodes whose ids have the same number of bits in common with ours.

use std::time::{Duration, Instant};

use super::super::address::NodeContact;
use super::K;

/// A node that has answered us.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct TableEntry {
    /// Its id and address.
    pub(in super::super) contact: NodeContact,
    /// Round trip time, smoothed.
    pub(in super::super) rtt: Duration,
    /// Queries in a row without an answer.
    pub(in super::super) fails: u8,
    /// When it was asked last; `None` where it is to be asked soon.
    pub(super) asked_at: Option<Instant>,
    /// Whether its id fits its address (BEP 42).
    pub(in super::super) verified: bool,
}

impl TableEntry {
    pub(super) fn new(now: Instant, contact: NodeContact, rtt: Duration) -> Self {
        Self {
            contact,
            rtt,
            fails: 0,
            asked_at: Some(now),
            verified: contact.id.is_valid_for(contact.addr.ip()),
        }
    }

    pub(super) fn answered(&mut self, now: Instant, rtt: Duration) {
        self.rtt = (self.rtt * 2 + rtt) / 3;
        self.fails = 0;
        self.asked_at = Some(now);
    }

    /// Smaller is better: what failed, what is not verified, what is slow.
    fn badness(&self) -> (u8, bool, Duration) {
        (self.fails, !self.verified, self.rtt)
    }
}

/// One bucket.
#[derive(Clone, Debug, Default)]
pub(super) struct KBucket {
    /// Nodes that are used.
    pub(super) live: Vec<TableEntry>,
    /// Nodes that have answered too and take the place of live ones that fail: at
    /// most [`K`].
    pub(super) cache: Vec<TableEntry>,
    /// Nodes that others have named, to be asked themselves: at most [`K`].
    pub(super) candidates: Vec<NodeContact>,
}

impl KBucket {
    /// Live and cached nodes.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &TableEntry> {
        self.live.iter().chain(&self.cache)
    }

    pub(super) fn is_mostly_verified(&self) -> bool {
        let verified = self.live.iter().filter(|node| node.verified).count();
        verified > 0 && verified * 3 >= self.live.len() * 2
    }

    /// A full bucket takes in `entry` in place of a node that is worse: one that
    /// fails, one whose id does not fit its address, one of several with the same
    /// next bits, or a much slower one. The node that has to go.
    pub(super) fn replace(
        &mut self,
        entry: TableEntry,
        limit: usize,
        shift: u32,
        prefer_verified: bool,
    ) -> Option<TableEntry> {
        let worst = (0..self.live.len()).max_by_key(|&at| self.live[at].badness())?;
        let node = &self.live[worst];
        let unverified = prefer_verified && entry.verified && !node.verified;
        let at = if node.fails > 0 || unverified {
            worst
        } else if prefer_verified && !entry.verified {
            // It replaces nothing that works.
            return None;
        } else {
            self.replaceable(&entry, limit, shift)?
        };
        Some(std::mem::replace(&mut self.live[at], entry))
    }

    /// Ids are to be spread evenly, so that each look-up finds one with as many bits
    /// as possible.
    fn replaceable(&self, entry: &TableEntry, limit: usize, shift: u32) -> Option<usize> {
        let bits = limit.trailing_zeros().min(8);
        let slot_of =
            |node: &TableEntry| usize::from(node.contact.id.bits_from(shift)) >> (8 - bits);
        let mut counts = [0u16; 256];
        for node in &self.live {
            counts[slot_of(node)] += 1;
        }
        let own = slot_of(entry);
        let is_candidate = |node: &&TableEntry| match counts[own] {
            0 => counts[slot_of(node)] > 1,
            _ => slot_of(node) == own && entry.rtt * 2 < node.rtt,
        };
        let candidates = self.live.iter().enumerate();
        candidates
            .filter(|(_, node)| is_candidate(node))
            .max_by_key(|(_, node)| node.badness())
            .map(|(at, _)| at)
    }

    /// Keeps a node in reserve. Whether it was kept, and which node it pushed out.
    pub(super) fn cache(&mut self, entry: TableEntry) -> (bool, Option<TableEntry>) {
        if self.cache.len() < K {
            self.cache.push(entry);
            return (true, None);
        }
        let worst = (0..self.cache.len()).max_by_key(|&at| self.cache[at].badness());
        match worst {
            // The newest answer is the best proof; but what does not fit its address
            // pushes out nothing that does.
            Some(at) if entry.verified || !self.cache[at].verified => {
                let dropped = std::mem::replace(&mut self.cache[at], entry);
                (true, Some(dropped))
            }
            _ => (false, None),
        }
    }

    /// Takes out the worst live node, where there are more than `limit`.
    pub(super) fn take_surplus(&mut self, limit: usize) -> Option<TableEntry> {
        if self.live.len() <= limit {
            return None;
        }
        let worst = (0..self.live.len()).max_by_key(|&at| self.live[at].badness())?;
        Some(self.live.swap_remove(worst))
    }

    /// The cached node that is promoted next.
    pub(super) fn best_cached(&self) -> Option<usize> {
        (0..self.cache.len()).min_by_key(|&at| self.cache[at].badness())
    }
}
