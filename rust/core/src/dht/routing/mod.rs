//! The routing table (BEP 5): nodes that have answered us, the more of them the
//! nearer their ids are to ours.
//!
//! The endpoint that owns the table reports answers ([`RoutingTable::answered`]),
//! silence ([`RoutingTable::failed`]) and nodes that others name
//! ([`RoutingTable::heard_about`]); it asks for the nodes nearest to a target
//! ([`RoutingTable::closest`]) and which node is to be asked whether it is still
//! there ([`RoutingTable::next_refresh`]).
//!
//! Only a node that has answered a query of ours is in the table. One operator gets
//! few places (a /24 or /64 one in a bucket, an address one at all) except on private
//! networks; nodes whose id fits their address (BEP 42) go before others; a node that
//! answers with another id than before is thrown out.

mod bucket;
mod refresh;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::address::{Family, NetworkPrefix, NodeContact, is_usable};
use super::node_id::NodeId;
use bucket::KBucket;
pub(super) use bucket::TableEntry;

/// Nodes in a bucket, and in an answer (BEP 5).
pub(super) const K: usize = 8;

/// How many times as large the first buckets are: most look-ups begin there, and
/// each bit that the first answer is nearer saves traffic.
const EXTENDED: [usize; 4] = [16, 8, 4, 2];

/// Buckets; deeper ones only ids that are made up could fill.
const MAX_BUCKETS: usize = 50;

/// Places in the whole table for one /24 or /64.
const MAX_PER_PREFIX: u32 = 4;

/// How a table is kept, by the settings of libtorrent's names.
#[derive(Clone, Copy, Debug)]
pub(super) struct TablePolicy {
    /// `dht_extended_routing_table`.
    pub(super) extended: bool,
    /// `dht_restrict_routing_ips`.
    pub(super) restrict_ips: bool,
    /// `dht_prefer_verified_node_ids`.
    pub(super) prefer_verified: bool,
    /// `dht_max_fail_count`.
    pub(super) max_fails: u8,
}

/// What became of a node that answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// It was in the table, or is now.
    Kept,
    /// There is no place for it.
    Refused,
    /// It had another id before: it is out of the table.
    Evicted,
}

/// The table of one endpoint.
#[derive(Debug)]
pub(super) struct RoutingTable {
    own: NodeId,
    family: Family,
    policy: TablePolicy,
    buckets: Vec<KBucket>,
    /// Where the nodes in live places and in the cache are.
    by_addr: HashMap<SocketAddr, NodeId>,
    per_ip: HashMap<IpAddr, u32>,
    per_prefix: HashMap<NetworkPrefix, u32>,
}

impl RoutingTable {
    pub(super) fn new(own: NodeId, family: Family, policy: TablePolicy) -> Self {
        Self {
            own,
            family,
            policy,
            buckets: vec![KBucket::default()],
            by_addr: HashMap::new(),
            per_ip: HashMap::new(),
            per_prefix: HashMap::new(),
        }
    }

    pub(super) fn own_id(&self) -> NodeId {
        self.own
    }

    /// Nodes in live places.
    pub(super) fn len(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.live.len()).sum()
    }

    /// Nodes that answered when they were asked last.
    pub(super) fn good(&self) -> usize {
        self.live().filter(|node| node.fails == 0).count()
    }

    /// Live nodes and cached ones of each bucket, the farthest first.
    pub(super) fn sizes(&self) -> Vec<(usize, usize)> {
        let sizes = self.buckets.iter();
        sizes.map(|it| (it.live.len(), it.cache.len())).collect()
    }

    pub(super) fn live(&self) -> impl Iterator<Item = &TableEntry> {
        self.buckets.iter().flat_map(|bucket| &bucket.live)
    }

    /// Whether most nodes have ids that fit their addresses.
    pub(super) fn is_mostly_verified(&self) -> bool {
        let verified = self.live().filter(|node| node.verified).count();
        self.policy.prefer_verified && verified * 2 >= self.len()
    }

    /// Changes our id: all nodes find new places, as far as there are.
    pub(super) fn set_own_id(&mut self, own: NodeId) {
        let old = std::mem::replace(self, Self::new(own, self.family, self.policy));
        let mut nodes: Vec<_> = old.buckets.into_iter().flat_map(|it| it.live).collect();
        nodes.sort_by_key(|node| (node.fails, !node.verified));
        for node in nodes {
            self.place(node);
        }
    }

    /// Changes how the table is kept; nodes that are in it stay.
    pub(super) fn set_policy(&mut self, policy: TablePolicy) {
        self.policy = policy;
        // With smaller buckets there are too many: they find places anew.
        if (0..self.buckets.len()).any(|at| self.buckets[at].live.len() > self.limit(at)) {
            self.set_own_id(self.own);
        }
        (0..self.buckets.len()).for_each(|at| self.promote(at));
    }

    /// The `count` nodes nearest to `target`, the nearest first, of those that
    /// answered last time.
    pub(super) fn closest(&self, target: NodeId, count: usize) -> Vec<NodeContact> {
        let good = self.live().filter(|node| node.fails == 0);
        let mut nodes: Vec<_> = good
            .map(|node| (node.contact.id.distance(target), node.contact))
            .collect();
        if nodes.len() > count {
            nodes.select_nth_unstable_by_key(count, |node| node.0);
            nodes.truncate(count);
        }
        nodes.sort_unstable_by_key(|node| node.0);
        nodes.into_iter().map(|node| node.1).collect()
    }

    /// A node has answered a query of ours, after `rtt`.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        contact: NodeContact,
        rtt: Duration,
    ) -> Answered {
        let NodeContact { id, addr } = contact;
        if id == self.own || Family::of(addr.ip()) != self.family || !is_usable(addr) {
            return Answered::Refused;
        }
        self.forget_candidate(addr);
        match self.by_addr.get(&addr) {
            Some(&known) if known == id => {
                self.refresh_entry(now, contact, rtt);
                return Answered::Kept;
            }
            Some(&known) => {
                self.evict(known, addr);
                return Answered::Evicted;
            }
            None => {}
        }
        let at = self.bucket_of(id);
        if self.buckets[at].nodes().any(|node| node.contact.id == id) {
            // Another address claims the id of a node that is there.
            return Answered::Refused;
        }
        let entry = TableEntry::new(now, contact, rtt);
        if self.place(entry) {
            Answered::Kept
        } else {
            Answered::Refused
        }
    }

    /// A node has not answered. `link_works` says whether others have meanwhile:
    /// otherwise it may well be our own network that is at fault, and no node is
    /// replaced.
    pub(super) fn failed(&mut self, addr: SocketAddr, link_works: bool) {
        self.forget_candidate(addr);
        let Some(&id) = self.by_addr.get(&addr) else {
            return;
        };
        let at = self.bucket_of(id);
        let max_fails = self.policy.max_fails;
        let bucket = &mut self.buckets[at];
        if let Some(index) = bucket.live.iter().position(|it| it.contact.addr == addr) {
            let node = &mut bucket.live[index];
            node.fails = node.fails.saturating_add(1);
            let gone = node.fails >= max_fails || !bucket.cache.is_empty();
            if link_works && gone {
                let node = bucket.live.swap_remove(index);
                self.uncount(&node);
                self.promote(at);
            }
        } else if let Some(index) = bucket.cache.iter().position(|it| it.contact.addr == addr) {
            let node = bucket.cache.swap_remove(index);
            self.uncount(&node);
        }
    }

    /// A node answers with another id than it was asked by: it is out of the table.
    pub(super) fn wrong_id(&mut self, addr: SocketAddr) {
        self.forget_candidate(addr);
        if let Some(&id) = self.by_addr.get(&addr) {
            self.evict(id, addr);
        }
    }

    /// Nothing that failed counts: our network was gone, and is back.
    pub(super) fn forgive(&mut self) {
        for node in self.buckets.iter_mut().flat_map(|it| &mut it.live) {
            node.fails = 0;
        }
    }

    /// About how many nodes there are in the network: by how near to us the nearest
    /// ones are.
    pub(super) fn estimate(&self) -> u64 {
        let nodes = self.closest(self.own, 2 * K);
        if nodes.len() < 2 * K {
            return nodes.len() as u64 + 1;
        }
        let Some(farthest) = nodes.last() else {
            return 1;
        };
        let distance = farthest.id.distance(self.own).fraction();
        ((nodes.len() - 1) as f64 / distance.max(f64::MIN_POSITIVE)) as u64
    }

    fn limit(&self, bucket: usize) -> usize {
        match EXTENDED.get(bucket) {
            Some(factor) if self.policy.extended => K * factor,
            _ => K,
        }
    }

    fn bucket_of(&self, id: NodeId) -> usize {
        let bits = id.common_bits(self.own) as usize;
        bits.min(self.buckets.len() - 1)
    }

    /// Puts a node into the table, if there is a place for it.
    fn place(&mut self, entry: TableEntry) -> bool {
        if self.policy.restrict_ips && !self.make_room_in_network(&entry) {
            return false;
        }
        loop {
            let at = self.bucket_of(entry.contact.id);
            let limit = self.limit(at);
            let last = at + 1 == self.buckets.len();
            let may_split = last && self.buckets.len() < MAX_BUCKETS;
            let prefer_verified = self.policy.prefer_verified;
            let bucket = &mut self.buckets[at];
            if bucket.live.len() < limit {
                bucket.live.push(entry);
                self.count(&entry);
                return true;
            }
            let splits = entry.verified || !prefer_verified || !bucket.is_mostly_verified();
            if may_split && splits {
                self.split();
                continue;
            }
            let shift = at as u32 + u32::from(!last);
            let kept = match bucket.replace(entry, limit, shift, prefer_verified) {
                Some(replaced) => {
                    self.uncount(&replaced);
                    true
                }
                None => {
                    let (kept, dropped) = bucket.cache(entry);
                    if let Some(dropped) = dropped {
                        self.uncount(&dropped);
                    }
                    kept
                }
            };
            if kept {
                self.count(&entry);
            }
            return kept;
        }
    }

    /// Whether the node's operator may have one more place. Nodes of the same one
    /// whose ids do not fit their addresses give way to one whose id does.
    fn make_room_in_network(&mut self, entry: &TableEntry) -> bool {
        let ip = entry.contact.addr.ip();
        let Some(prefix) = NetworkPrefix::of(ip) else {
            return true;
        };
        let at = self.bucket_of(entry.contact.id);
        let everywhere = self.per_prefix.get(&prefix).copied().unwrap_or(0);
        if everywhere == 0 {
            return true;
        }
        let mut conflicts = Vec::new();
        for (index, bucket) in self.buckets.iter().enumerate() {
            for node in bucket.nodes() {
                let addr = node.contact.addr;
                let same_bucket = index == at && NetworkPrefix::of(addr.ip()) == Some(prefix);
                if addr.ip() == ip || same_bucket {
                    conflicts.push(*node);
                }
            }
        }
        if conflicts.is_empty() {
            return everywhere < MAX_PER_PREFIX;
        }
        let gives_way = |node: &TableEntry| !node.verified && entry.verified;
        if !self.policy.prefer_verified || !conflicts.iter().all(gives_way) {
            return false;
        }
        for node in conflicts {
            self.remove(node.contact);
        }
        true
    }

    /// The last bucket becomes two.
    fn split(&mut self) {
        let Some(old) = self.buckets.pop() else {
            return;
        };
        let at = self.buckets.len();
        let is_near =
            |node: &TableEntry, own: NodeId| node.contact.id.common_bits(own) as usize > at;
        let mut halves = [KBucket::default(), KBucket::default()];
        for node in old.live {
            halves[usize::from(is_near(&node, self.own))]
                .live
                .push(node);
        }
        for node in old.cache {
            halves[usize::from(is_near(&node, self.own))]
                .cache
                .push(node);
        }
        for candidate in old.candidates {
            let near = candidate.id.common_bits(self.own) as usize > at;
            halves[usize::from(near)].candidates.push(candidate);
        }
        self.buckets.extend(halves);
        // Deeper buckets are smaller, and cached nodes may find a place now.
        let limit = self.limit(at + 1);
        let deepest = self.buckets.len() >= MAX_BUCKETS;
        let near = &mut self.buckets[at + 1];
        if near.live.len() > limit && deepest {
            let rest = near.live.split_off(limit);
            for node in rest {
                self.uncount(&node);
            }
        } else if near.live.len() > limit {
            self.split();
        }
        self.shrink(at);
        self.promote(at);
        self.promote(at + 1);
    }

    /// A bucket that was split off a larger one has to get along with fewer places.
    fn shrink(&mut self, at: usize) {
        let limit = self.limit(at);
        while let Some(node) = self.buckets[at].take_surplus(limit) {
            let (kept, dropped) = self.buckets[at].cache(node);
            let gone = if kept { dropped } else { Some(node) };
            if let Some(gone) = gone {
                self.uncount(&gone);
            }
        }
    }

    /// Cached nodes take live places that are free.
    fn promote(&mut self, at: usize) {
        let limit = self.limit(at);
        if let Some(bucket) = self.buckets.get_mut(at) {
            while bucket.live.len() < limit
                && let Some(best) = bucket.best_cached()
            {
                let node = bucket.cache.swap_remove(best);
                bucket.live.push(node);
            }
        }
    }

    fn refresh_entry(&mut self, now: Instant, contact: NodeContact, rtt: Duration) {
        let at = self.bucket_of(contact.id);
        let bucket = &mut self.buckets[at];
        let nodes = bucket.live.iter_mut().chain(&mut bucket.cache);
        for node in nodes.filter(|node| node.contact == contact) {
            node.answered(now, rtt);
        }
    }

    /// A node answers with another id than it had: it, and perhaps more in its
    /// bucket, is not what it says.
    fn evict(&mut self, id: NodeId, addr: SocketAddr) {
        self.remove(NodeContact { id, addr });
        let at = self.bucket_of(id);
        for node in &mut self.buckets[at].live {
            node.asked_at = None;
        }
    }

    fn remove(&mut self, contact: NodeContact) {
        let at = self.bucket_of(contact.id);
        let bucket = &mut self.buckets[at];
        let is_it = |node: &TableEntry| node.contact == contact;
        let node = if let Some(index) = bucket.live.iter().position(is_it) {
            bucket.live.swap_remove(index)
        } else if let Some(index) = bucket.cache.iter().position(is_it) {
            bucket.cache.swap_remove(index)
        } else {
            return;
        };
        self.uncount(&node);
        self.promote(at);
    }

    fn count(&mut self, node: &TableEntry) {
        let addr = node.contact.addr;
        self.by_addr.insert(addr, node.contact.id);
        *self.per_ip.entry(addr.ip()).or_default() += 1;
        if let Some(prefix) = NetworkPrefix::of(addr.ip()) {
            *self.per_prefix.entry(prefix).or_default() += 1;
        }
    }

    fn uncount(&mut self, node: &TableEntry) {
        let addr = node.contact.addr;
        self.by_addr.remove(&addr);
        decrease(&mut self.per_ip, addr.ip());
        if let Some(prefix) = NetworkPrefix::of(addr.ip()) {
            decrease(&mut self.per_prefix, prefix);
        }
    }

    /// Panics where the table is not as it must be.
    pub(super) fn check_invariants(&self) {
        let mut places = 0;
        let mut ids = std::collections::HashSet::new();
        for (at, bucket) in self.buckets.iter().enumerate() {
            assert!(
                bucket.live.len() <= self.limit(at),
                "bucket {at} is too full"
            );
            assert!(bucket.cache.len() <= K && bucket.candidates.len() <= K);
            let free = bucket.live.len() < self.limit(at);
            assert!(
                !free || bucket.cache.is_empty(),
                "a cached node could be live"
            );
            for node in bucket.nodes() {
                places += 1;
                let NodeContact { id, addr } = node.contact;
                assert_eq!(self.bucket_of(id), at, "{id} is in the wrong bucket");
                assert_ne!(id, self.own, "our own id");
                assert!(ids.insert(id), "{id} is there twice");
                assert_eq!(self.by_addr.get(&addr), Some(&id), "{addr} is not indexed");
                assert_eq!(Family::of(addr.ip()), self.family);
                assert_eq!(node.verified, id.is_valid_for(addr.ip()));
            }
        }
        assert_eq!(self.by_addr.len(), places);
        assert_eq!(self.per_ip.values().sum::<u32>() as usize, places);
        assert!(self.buckets.len() <= MAX_BUCKETS && !self.buckets.is_empty());
        if self.policy.restrict_ips {
            let most = self.per_prefix.values().max();
            assert!(most.is_none_or(|most| *most <= MAX_PER_PREFIX));
        }
    }
}

fn decrease<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, u32>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}
