//! Which node is asked next whether it is still there.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::super::address::{Family, NetworkPrefix, NodeContact, is_usable};
use super::{K, RoutingTable, TableEntry};

/// A node that answered is asked again after this long.
const GOOD_FOR: Duration = Duration::from_secs(15 * 60);

/// One that did not answer is asked again after this long, and twice as long each
/// time.
const FIRST_RETRY: Duration = Duration::from_secs(30);

/// A query that keeps the table alive.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Refresh {
    /// Whom to ask.
    pub(in super::super) contact: NodeContact,
    /// Whether it was never asked before.
    pub(in super::super) is_first: bool,
    /// Bits that ids of its bucket have in common with ours, where the bucket has
    /// room: the answer is to name more such nodes. `None` for a mere ping.
    pub(in super::super) wanted_bits: Option<u32>,
}

impl TableEntry {
    /// When it is to be asked again; `None` for at once.
    fn due(&self) -> Option<Instant> {
        let doublings = u32::from(self.fails.saturating_sub(1)).min(10);
        let pause = match self.fails {
            0 => GOOD_FOR,
            _ => (FIRST_RETRY * (1 << doublings)).min(GOOD_FOR),
        };
        self.asked_at.map(|asked| asked + pause)
    }
}

impl RoutingTable {
    /// Others name a node, or it asks us something: it is a candidate for a place
    /// that is free.
    pub(in super::super) fn heard_about(&mut self, contact: NodeContact) {
        let NodeContact { id, addr } = contact;
        if id == self.own
            || Family::of(addr.ip()) != self.family
            || !is_usable(addr)
            || self.by_addr.contains_key(&addr)
        {
            return;
        }
        let prefix = NetworkPrefix::of(addr.ip());
        if self.policy.restrict_ips
            && prefix.is_some_and(|prefix| self.per_prefix.contains_key(&prefix))
        {
            return;
        }
        let at = self.bucket_of(id);
        let last = at + 1 == self.buckets.len();
        let full = self.buckets[at].live.len() >= self.limit(at);
        let verified = id.is_valid_for(addr.ip());
        if full && !last || self.policy.prefer_verified && full && !verified {
            return;
        }
        let bucket = &mut self.buckets[at];
        let is_known = |other: &NodeContact| {
            let other_prefix = NetworkPrefix::of(other.addr.ip());
            other.addr == addr || other.id == id || prefix.is_some() && prefix == other_prefix
        };
        if bucket.candidates.len() < K && !bucket.candidates.iter().any(is_known) {
            bucket.candidates.push(contact);
        }
    }

    pub(super) fn forget_candidate(&mut self, addr: SocketAddr) {
        for bucket in &mut self.buckets {
            bucket.candidates.retain(|it| it.addr != addr);
        }
    }

    /// Whether there are nodes to be asked for the first time.
    pub(in super::super) fn has_candidates(&self) -> bool {
        self.buckets.iter().any(|it| !it.candidates.is_empty())
    }

    /// When the node that has waited longest is to be asked; `None` for never.
    pub(in super::super) fn refresh_due(&self, now: Instant) -> Option<Instant> {
        let due = self.live().map(|node| node.due().unwrap_or(now));
        due.min()
    }

    /// The node to ask now: one that others named, the nearest first, or the live one
    /// that has waited longest, if it has waited long enough. It counts as asked.
    pub(in super::super) fn next_refresh(&mut self, now: Instant) -> Option<Refresh> {
        for bucket in self.buckets.iter_mut().rev() {
            if let Some(contact) = bucket.candidates.pop() {
                let at = self.bucket_of(contact.id);
                return Some(self.refresh(contact, at, true));
            }
        }
        let is_due = |node: &TableEntry| node.due().is_none_or(|due| due <= now);
        let (at, contact) = self
            .buckets
            .iter()
            .enumerate()
            .flat_map(|(at, bucket)| bucket.live.iter().map(move |node| (at, node)))
            .filter(|(_, node)| is_due(node))
            .min_by_key(|(_, node)| node.due())
            .map(|(at, node)| (at, node.contact))?;
        self.asked(now, contact);
        Some(self.refresh(contact, at, false))
    }

    /// A query goes to a node.
    pub(in super::super) fn asked(&mut self, now: Instant, contact: NodeContact) {
        let at = self.bucket_of(contact.id);
        let nodes = self.buckets[at].live.iter_mut();
        for node in nodes.filter(|node| node.contact == contact) {
            node.asked_at = Some(now);
        }
    }

    fn refresh(&self, contact: NodeContact, at: usize, is_first: bool) -> Refresh {
        let full = self.buckets[at].live.len() >= self.limit(at);
        let wanted_bits = (!full).then_some(at as u32);
        Refresh {
            contact,
            is_first,
            wanted_bits,
        }
    }
}
