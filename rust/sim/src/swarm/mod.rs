//! The world: nodes, wires between them, and the loop that lets time pass.

mod conn;
mod control;
mod dial;
mod torrent;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use torrent_core::ids::{Block, PeerKey};
use torrent_core::peer::{ConnectionReport, PeerCommand, ReadJob};

use crate::disk::DiskEvent;
use crate::link::{Link, Pipe};
use crate::node::{Node, NodeSpec};
use crate::payload::Payload;
use crate::queue::EventQueue;
use conn::ConnectionEnd;

/// Names a node, in the order in which they were added, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub usize);

/// Longest time that a message between two tasks of a node takes.
const HOP_MICROS: u64 = 200;

/// The picker's invariants are looked at after each so many events of a node.
const CHECK_EVERY: u64 = 8;

/// What travels over a wire.
enum Packet {
    /// The other end's handshake.
    Greeting,
    Data(Vec<u8>),
    /// The other end has closed.
    Fin,
}

/// Something that happens at its time.
enum Event {
    Script(Box<dyn FnOnce(&mut Swarm)>),
    /// A dial reaches the other node.
    Called(usize),
    DialFailed(usize, SocketAddr),
    Arrived(usize, usize, Packet),
    Departed(usize, usize, usize),
    Reset(usize),
    Report(usize, PeerKey, ConnectionReport),
    Gone(usize, PeerKey, ConnectionReport, ConnectionEnd),
    Command(usize, PeerKey, PeerCommand),
    ConnTimer(usize, PeerKey),
    BrainTimer(usize),
    DiskWrite(usize, PeerKey, Vec<(Block, Bytes)>),
    DiskRead(usize, PeerKey, ReadJob),
    DiskCheck(usize),
    Disk(usize, DiskEvent),
}

/// A connection between two nodes: side 0 called side 1.
struct Wire {
    ends: [StreamEnd; 2],
    pipes: [Pipe; 2],
    /// The caller has the other's handshake, or has given up.
    answered: bool,
}

struct StreamEnd {
    node: usize,
    /// The endpoint as the other side sees it.
    endpoint: SocketAddr,
    /// Its connection, while it has one.
    key: Option<PeerKey>,
}

/// Two groups of nodes that cannot reach each other for some time.
struct Outage {
    one: Vec<usize>,
    other: Vec<usize>,
    from: Duration,
    until: Duration,
}

/// Many engines around one torrent. See the crate's documentation for how it is used.
pub struct Swarm {
    seed: u64,
    start: Instant,
    rng: StdRng,
    payload: Payload,
    queue: EventQueue<Event>,
    nodes: Vec<Node>,
    wires: Vec<Wire>,
    default_link: Link,
    links: BTreeMap<(usize, usize), Link>,
    outages: Vec<Outage>,
    log: String,
    events: u64,
}

impl Swarm {
    /// A world without nodes. All chance in it comes from `seed`.
    pub fn new(seed: u64, payload: Payload, link: Link) -> Self {
        Self {
            seed,
            start: Instant::now(),
            rng: StdRng::seed_from_u64(seed),
            payload,
            queue: EventQueue::new(),
            nodes: Vec::new(),
            wires: Vec::new(),
            default_link: link,
            links: BTreeMap::new(),
            outages: Vec::new(),
            log: String::new(),
            events: 0,
        }
    }

    /// Adds a node. It checks its files at once and then begins.
    pub fn add(&mut self, spec: NodeSpec) -> NodeId {
        let index = self.nodes.len();
        let seed = self.rng.random();
        let now = self.instant();
        self.nodes
            .push(Node::new(index, spec, &self.payload, seed, now));
        let brain = &mut self.nodes[index].brain;
        brain.start(now);
        if brain.has_metadata() {
            self.check_files(index);
        } else {
            brain.fetch_metadata(now);
        }
        self.drain_outputs(index);
        NodeId(index)
    }

    /// Lets something happen `at` a time since the beginning.
    pub fn at(&mut self, at: Duration, script: impl FnOnce(&mut Self) + 'static) {
        self.queue.push(at, Event::Script(Box::new(script)));
    }

    /// Time since the beginning.
    pub fn now(&self) -> Duration {
        self.queue.now()
    }

    /// Everything that happened, a line each. The same for the same seed.
    pub fn log(&self) -> &str {
        &self.log
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// What the nodes share.
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// Lets time pass until `done` says so or `limit` is reached, since the
    /// beginning. Whether `done` said so.
    pub fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        loop {
            if done(self) {
                return true;
            }
            match self.queue.pop(limit) {
                Some(event) => self.happen(event),
                None => return done(self),
            }
        }
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        let limit = self.now() + time;
        self.run_until(limit, |_| false);
    }

    fn instant(&self) -> Instant {
        self.start + self.queue.now()
    }

    fn happen(&mut self, event: Event) {
        self.events += 1;
        match event {
            Event::Script(script) => script(self),
            Event::Called(wire) => self.called(wire),
            Event::DialFailed(node, endpoint) => self.dial_failed(node, endpoint),
            Event::Arrived(wire, side, packet) => self.arrived(wire, side, packet),
            Event::Departed(wire, side, bytes) => self.departed(wire, side, bytes),
            Event::Reset(wire) => self.reset_wire(wire),
            Event::Report(node, key, report) => self.report(node, key, report),
            Event::Gone(node, key, report, ended) => self.gone(node, key, report, &ended),
            Event::Command(node, key, command) => self.command(node, key, command),
            Event::ConnTimer(node, key) => self.conn_timer(node, key),
            Event::BrainTimer(node) => self.brain_timer(node),
            Event::DiskWrite(node, key, blocks) => self.disk_write(node, key, blocks),
            Event::DiskRead(node, key, job) => self.disk_read(node, key, &job),
            Event::DiskCheck(node) => self.disk_check(node),
            Event::Disk(node, event) => self.disk_event(node, event),
        }
    }

    fn note(&mut self, node: usize, what: impl std::fmt::Display) {
        let now = self.now();
        // Writing to a string cannot fail.
        let _ = writeln!(
            self.log,
            "{:>6}.{:06} n{node} {what}",
            now.as_secs(),
            now.subsec_micros()
        );
    }

    /// How long a message between two tasks takes.
    fn hop(&mut self) -> Duration {
        Duration::from_micros(self.rng.random_range(0..HOP_MICROS))
    }

    fn link(&self, one: usize, other: usize) -> Link {
        let pair = (one.min(other), one.max(other));
        self.links.get(&pair).copied().unwrap_or(self.default_link)
    }

    /// When the two nodes reach each other again, if they do not now.
    fn down_until(&self, one: usize, other: usize) -> Option<Duration> {
        let now = self.now();
        let concerns = |outage: &&Outage| {
            let (a, b) = (&outage.one, &outage.other);
            (a.contains(&one) && b.contains(&other)) || (a.contains(&other) && b.contains(&one))
        };
        self.outages
            .iter()
            .filter(|outage| outage.from <= now && now < outage.until)
            .filter(concerns)
            .map(|outage| outage.until)
            .max()
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let tail: Vec<&str> = self.log.lines().rev().take(40).collect();
            eprintln!("the swarm of seed {} at its end:", self.seed);
            for line in tail.iter().rev() {
                eprintln!("{line}");
            }
        }
    }
}
