//! A look-up: which node to ask next on the way to a target (BEP 5).
//!
//! The endpoint that owns the look-up asks the nodes that [`Lookup::next`] names, and
//! reports what becomes of each: an answer, lateness, silence. A few are asked at a time, the
//! nearest first; one whose answer is late leaves its place to another. It ends when
//! the nearest nodes have answered and no nearer one is known.
//!
//! Nodes that others made up must not end it: one operator has one node in it (a /24
//! or /64), and where most nodes have ids that fit their addresses (BEP 42) the others
//! are asked beside them and do not count.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use super::address::{NetworkPrefix, NodeContact};
use super::node_id::{Distance, NodeId};
use super::routing::K;

/// Nodes that a look-up remembers.
const MAX_NODES: usize = 100;

/// Nodes that a look-up asks at most, whatever answers name.
const MAX_QUERIES: usize = 300;

/// Nodes that are asked at a time beside the others, where their ids do not fit.
const UNVERIFIED_BRANCHING: usize = 2;

/// Answers after which it ends although most of those nodes do not count.
const MAX_ANSWERS: usize = 3 * K;

/// Names a look-up of one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LookupId(pub(super) u64);

/// How far a node has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Not asked yet.
    New,
    /// Asked; it counts as one of those that are asked at a time.
    Asked,
    /// Asked, and its place was given to another.
    Late,
    /// Asked, and not waited for at the end.
    Overdue,
    /// It answered.
    Answered,
    /// It did not.
    Failed,
}

/// A node on the way.
#[derive(Clone, Debug)]
struct LookupNode {
    addr: SocketAddr,
    /// `None` for one of which only the address is known.
    id: Option<NodeId>,
    distance: Distance,
    /// Whether its answer counts.
    counts: bool,
    progress: Progress,
    /// What a write to it needs.
    token: Option<Bytes>,
}

/// A node to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NextNode {
    /// Where it is.
    pub(super) addr: SocketAddr,
    /// The id that it has to have.
    pub(super) id: Option<NodeId>,
}

/// How a look-up is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct LookupPolicy {
    /// Nodes asked at a time: `dht_search_branching`.
    pub(super) branching: usize,
    /// `dht_restrict_search_ips`.
    pub(super) restrict_ips: bool,
    /// Whether only nodes count whose ids fit their addresses.
    pub(super) verified_only: bool,
}

/// Numbers for statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LookupCounts {
    /// Nodes that were asked.
    pub queries: u32,
    /// Nodes that answered.
    pub responses: u32,
    /// Nodes that did not.
    pub timeouts: u32,
}

/// One look-up.
#[derive(Debug)]
pub(super) struct Lookup {
    target: NodeId,
    policy: LookupPolicy,
    /// The nearest first; those without id last.
    nodes: Vec<LookupNode>,
    prefixes: HashSet<NetworkPrefix>,
    seen: HashSet<SocketAddr>,
    counts: LookupCounts,
    started: Instant,
}

impl Lookup {
    pub(super) fn new(now: Instant, target: NodeId, policy: LookupPolicy) -> Self {
        Self {
            target,
            policy,
            nodes: Vec::new(),
            prefixes: HashSet::new(),
            seen: HashSet::new(),
            counts: LookupCounts::default(),
            started: now,
        }
    }

    pub(super) fn target(&self) -> NodeId {
        self.target
    }

    pub(super) fn started(&self) -> Instant {
        self.started
    }

    pub(super) fn counts(&self) -> LookupCounts {
        self.counts
    }

    /// A node of our own table to begin with, whatever its network.
    pub(super) fn add_known(&mut self, contact: NodeContact) {
        self.insert(contact.addr, Some(contact.id));
    }

    /// An address to begin with, of which no id is known: a router, a saved node.
    pub(super) fn add_address(&mut self, addr: SocketAddr) {
        self.insert(addr, None);
    }

    /// A node that another one named.
    pub(super) fn add_named(&mut self, contact: NodeContact) {
        if self.seen.contains(&contact.addr) {
            return;
        }
        if self.policy.restrict_ips
            && let Some(prefix) = NetworkPrefix::of(contact.addr.ip())
            && !self.prefixes.insert(prefix)
        {
            return;
        }
        self.insert(contact.addr, Some(contact.id));
    }

    fn insert(&mut self, addr: SocketAddr, id: Option<NodeId>) {
        // What is forgotten again must not be asked again: neither is what was seen.
        if self.seen.len() >= 20 * MAX_NODES || !self.seen.insert(addr) {
            return;
        }
        if id.is_some() && self.nodes.iter().any(|node| node.id == id) {
            return;
        }
        let verified = id.is_none_or(|id| id.is_valid_for(addr.ip()));
        let node = LookupNode {
            addr,
            id,
            distance: id.map_or(Distance::MAX, |id| id.distance(self.target)),
            counts: verified || !self.policy.verified_only,
            progress: Progress::New,
            token: None,
        };
        let at = self
            .nodes
            .partition_point(|other| other.distance <= node.distance);
        if at >= MAX_NODES {
            return;
        }
        self.nodes.insert(at, node);
        self.nodes.truncate(MAX_NODES);
    }

    /// The next node to ask; `None` while those that are asked suffice. It counts as asked.
    pub(super) fn next(&mut self) -> Option<NextNode> {
        if self.counts.queries as usize >= MAX_QUERIES {
            return None;
        }
        let at = self.next_index()?;
        let node = &mut self.nodes[at];
        node.progress = Progress::Asked;
        self.counts.queries += 1;
        Some(NextNode {
            addr: node.addr,
            id: node.id,
        })
    }

    fn next_index(&self) -> Option<usize> {
        let mut wanted = K;
        let mut answers = 0;
        // Of those that count, nearer ones that turn up are asked at once: what is asked
        // farther away does not hold them up.
        let mut asked = [self.asked_beside(), 0];
        let most = [UNVERIFIED_BRANCHING, self.policy.branching];
        for (at, node) in self.nodes.iter().enumerate() {
            let class = usize::from(node.counts);
            match node.progress {
                Progress::Answered => {
                    wanted -= usize::from(node.counts);
                    answers += 1;
                }
                Progress::Asked => asked[1] += class,
                Progress::New if asked[class] < most[class] => return Some(at),
                _ => {}
            }
            if wanted == 0 || answers >= MAX_ANSWERS || asked[1] >= most[1] {
                return None;
            }
        }
        None
    }

    /// Nodes that do not count and are asked.
    fn asked_beside(&self) -> usize {
        let asked = self.nodes.iter();
        asked
            .filter(|it| it.progress == Progress::Asked && !it.counts)
            .count()
    }

    /// Whether it has come to its end: there is no node to ask any more, and none
    /// whose answer is worth the wait.
    pub(super) fn is_done(&self) -> bool {
        if self.counts.queries as usize >= MAX_QUERIES {
            return !self.waits_for(&[Progress::Asked]);
        }
        if self.next_index().is_some() {
            return false;
        }
        if self.has_enough() {
            // The late ones among the nearest have had their time.
            return !self.waits_nearby();
        }
        !self.waits_for(&[Progress::Asked, Progress::Late])
    }

    fn has_enough(&self) -> bool {
        let answered = || {
            self.nodes
                .iter()
                .filter(|it| it.progress == Progress::Answered)
        };
        answered().filter(|node| node.counts).count() >= K || answered().count() >= MAX_ANSWERS
    }

    fn waits_for(&self, stages: &[Progress]) -> bool {
        self.nodes
            .iter()
            .any(|node| stages.contains(&node.progress))
    }

    /// Whether one of those nearer than the last that counts is asked and not late.
    fn waits_nearby(&self) -> bool {
        let mut wanted = K;
        for node in &self.nodes {
            match node.progress {
                Progress::Answered => wanted -= usize::from(node.counts),
                Progress::Asked => return true,
                _ => {}
            }
            if wanted == 0 {
                break;
            }
        }
        false
    }

    /// A node answered, with its id and perhaps a token for writes.
    pub(super) fn answered(&mut self, addr: SocketAddr, id: NodeId, token: Option<Bytes>) {
        let Some(at) = self.nodes.iter().position(|node| node.addr == addr) else {
            return;
        };
        if matches!(
            self.nodes[at].progress,
            Progress::Answered | Progress::Failed
        ) {
            return;
        }
        self.counts.responses += 1;
        let mut node = self.nodes.remove(at);
        node.progress = Progress::Answered;
        node.token = token;
        if node.id.is_none() {
            // Now it has a place.
            node.id = Some(id);
            node.distance = id.distance(self.target);
            node.counts = id.is_valid_for(addr.ip()) || !self.policy.verified_only;
        }
        let to = self
            .nodes
            .partition_point(|other| other.distance <= node.distance);
        self.nodes.insert(to, node);
    }

    /// A node's answer is late: another one is asked.
    pub(super) fn late(&mut self, addr: SocketAddr) {
        self.progress(addr, Progress::Asked, Progress::Late);
    }

    /// A node's answer is not waited for at the end.
    pub(super) fn overdue(&mut self, addr: SocketAddr) {
        self.progress(addr, Progress::Asked, Progress::Overdue);
        self.progress(addr, Progress::Late, Progress::Overdue);
    }

    /// A node did not answer, or answered wrongly.
    pub(super) fn failed(&mut self, addr: SocketAddr) {
        if let Some(node) = self.nodes.iter_mut().find(|node| node.addr == addr)
            && node.progress != Progress::Answered
        {
            node.progress = Progress::Failed;
            self.counts.timeouts += 1;
        }
    }

    fn progress(&mut self, addr: SocketAddr, from: Progress, to: Progress) {
        if let Some(node) = self.nodes.iter_mut().find(|node| node.addr == addr)
            && node.progress == from
        {
            node.progress = to;
        }
    }

    /// The nearest nodes that gave a token: where something is stored. Those that do
    /// not count get a copy beside the others.
    pub(super) fn writable(&self) -> Vec<(NodeContact, Bytes)> {
        let mut left = [K / 2, K];
        let mut nodes = Vec::new();
        for node in &self.nodes {
            let Some((id, token)) = node.id.zip(node.token.clone()) else {
                continue;
            };
            let left = &mut left[usize::from(node.counts)];
            if node.progress == Progress::Answered && *left > 0 {
                *left -= 1;
                let addr = node.addr;
                nodes.push((NodeContact { id, addr }, token));
            }
        }
        nodes
    }

    pub(super) fn check_invariants(&self) {
        assert!(self.nodes.len() <= MAX_NODES);
        assert!(self.nodes.is_sorted_by_key(|node| node.distance));
        assert!(self.asked_beside() <= UNVERIFIED_BRANCHING);
        assert!(self.counts.queries as usize <= MAX_QUERIES);
    }
}
