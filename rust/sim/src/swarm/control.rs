//! What a test does to a swarm, and what it asks.

use std::net::IpAddr;
use std::time::Duration;

use torrent_core::ids::PieceIndex;
use torrent_core::peerlist::Sources;
use torrent_core::picker::{Picker, Priority};
use torrent_core::torrent::{Modes, Torrent, TorrentState};

use super::{NodeId, Outage, Swarm};
use crate::link::Link;
use crate::node::Counters;

impl Swarm {
    /// Makes every node known to every other, as a tracker would.
    pub fn introduce_all(&mut self) {
        let everybody: Vec<_> = self.nodes.iter().map(|node| node.endpoint).collect();
        let now = self.instant();
        for node in 0..self.nodes.len() {
            let mut others = everybody.clone();
            others.remove(node);
            self.nodes[node]
                .brain
                .add_peers(now, others, Sources::TRACKER);
            self.drain_outputs(node);
        }
    }

    /// Lets a node connect to another now.
    pub fn connect(&mut self, node: NodeId, to: NodeId) {
        let endpoint = self.nodes[to.0].endpoint;
        let now = self.instant();
        self.nodes[node.0].brain.connect_to(now, endpoint);
        self.drain_outputs(node.0);
    }

    /// The address that others see a node under.
    pub fn address(&self, node: NodeId) -> IpAddr {
        self.nodes[node.0].endpoint.ip()
    }

    /// Gives two nodes a link of their own, for what is sent from now on.
    pub fn set_link(&mut self, one: NodeId, other: NodeId, link: Link) {
        let pair = (one.0.min(other.0), one.0.max(other.0));
        self.links.insert(pair, link);
    }

    /// Gives all nodes the link, except those that have one of their own.
    pub fn set_default_link(&mut self, link: Link) {
        self.default_link = link;
    }

    /// Cuts the network between two groups of nodes for some time from now on.
    pub fn partition(&mut self, one: &[NodeId], other: &[NodeId], time: Duration) {
        let indexes = |nodes: &[NodeId]| nodes.iter().map(|node| node.0).collect();
        let from = self.now();
        self.outages.push(Outage {
            one: indexes(one),
            other: indexes(other),
            from,
            until: from + time,
        });
    }

    /// Breaks all connections between two nodes.
    pub fn reset(&mut self, one: NodeId, other: NodeId) {
        let between = |wire: &super::Wire| {
            let nodes = [wire.ends[0].node, wire.ends[1].node];
            nodes == [one.0, other.0] || nodes == [other.0, one.0]
        };
        let open = |wire: &super::Wire| wire.ends.iter().any(|end| end.key.is_some());
        let broken: Vec<usize> = (0..self.wires.len())
            .filter(|&at| between(&self.wires[at]) && open(&self.wires[at]))
            .collect();
        for wire in broken {
            self.reset_wire(wire);
        }
    }

    /// Stops a node's traffic.
    pub fn pause(&mut self, node: NodeId) {
        self.note(node.0, "pause");
        let now = self.instant();
        self.nodes[node.0].brain.stop(now);
        self.drain_outputs(node.0);
    }

    /// Lets a node's traffic flow again.
    pub fn resume(&mut self, node: NodeId) {
        self.note(node.0, "resume");
        let now = self.instant();
        self.nodes[node.0].brain.start(now);
        self.drain_outputs(node.0);
    }

    /// Lets a node forget what it has and look at its files again.
    pub fn recheck(&mut self, node: NodeId) {
        self.begin_check(node.0);
    }

    /// Changes a byte of a piece in a node's files, unseen by it.
    pub fn damage(&mut self, node: NodeId, piece: u32) {
        self.nodes[node.0].disk.damage(PieceIndex(piece));
    }

    /// Lets the next writes of whole pieces fail.
    pub fn fail_writes(&mut self, node: NodeId, pieces: u32) {
        self.nodes[node.0].disk.failing_writes = pieces;
    }

    /// Lets a node fetch again after a storage error.
    pub fn clear_error(&mut self, node: NodeId) {
        self.note(node.0, "clear error");
        let now = self.instant();
        let it = &mut self.nodes[node.0];
        it.upload_mode = false;
        it.brain.set_storage_failed(now, false);
        self.drain_outputs(node.0);
    }

    /// Sets the priorities of all pieces of a node.
    pub fn set_priorities(&mut self, node: NodeId, of: impl Fn(u32) -> Priority) {
        let priorities: Vec<Priority> = (0..self.payload.num_pieces()).map(of).collect();
        let now = self.instant();
        self.nodes[node.0].brain.set_priorities(now, &priorities);
        self.drain_outputs(node.0);
    }

    /// Wants a piece of a node within some time; the log says when it is there.
    pub fn set_deadline(&mut self, node: NodeId, piece: u32, after: Duration) {
        let now = self.instant();
        let piece = PieceIndex(piece);
        self.nodes[node.0]
            .brain
            .set_deadline(now, piece, after, true);
        self.drain_outputs(node.0);
    }

    /// Puts a node into other modes.
    pub fn set_modes(&mut self, node: NodeId, modes: Modes) {
        let now = self.instant();
        self.nodes[node.0].brain.set_modes(now, modes);
        self.drain_outputs(node.0);
    }

    /// Payload bytes that came to a node twice or unasked.
    pub fn redundant_bytes(&mut self, node: NodeId) -> u64 {
        self.nodes[node.0].brain.totals().redundant
    }

    /// The brain of a node.
    pub fn brain(&self, node: NodeId) -> &Torrent {
        &self.nodes[node.0].brain
    }

    /// What a node has, wants and fetches.
    pub fn picker(&self, node: NodeId) -> &Picker {
        self.brain(node).picker()
    }

    /// What a node is doing.
    pub fn state(&self, node: NodeId) -> TorrentState {
        self.brain(node).state()
    }

    /// Whether a node's storage has failed and the error was not cleared.
    pub fn has_failed(&self, node: NodeId) -> bool {
        self.nodes[node.0].upload_mode
    }

    /// Open connections of a node.
    pub fn num_connections(&self, node: NodeId) -> usize {
        self.nodes[node.0].conns.len()
    }

    /// What happened at a node, in numbers.
    pub fn counters(&self, node: NodeId) -> Counters {
        let it = &self.nodes[node.0];
        Counters {
            redundant: it.disk.redundant,
            ..it.counters.clone()
        }
    }

    /// Whether every one of the nodes has everything that it wants.
    pub fn all_finished(&self, nodes: &[NodeId]) -> bool {
        nodes.iter().all(|&node| {
            matches!(
                self.state(node),
                TorrentState::Finished | TorrentState::Seeding
            )
        })
    }

    /// Whether every byte of what a node believes to have is right.
    pub fn payload_is_right(&self, node: NodeId) -> bool {
        let it = &self.nodes[node.0];
        it.brain.picker().have().iter().all(|piece| {
            let piece = PieceIndex(piece);
            let from = self.payload.layout.piece_offset(piece) as usize;
            let right = self.payload.piece(piece);
            it.disk.have.get(piece.0) && it.disk.bytes[from..from + right.len()] == *right
        })
    }
}
