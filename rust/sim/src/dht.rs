//! A network of many DHT nodes on a virtual clock: links with delay and loss, nodes
//! that are dead, and hostile ones.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use torrent_core::dht::krpc::{Message, Method, Query, Reply, ReplyMessage, Response};
use torrent_core::dht::{Dht, DhtEndpoint, DhtOutput, DhtSettings, DhtState, NodeContact, NodeId};

use crate::queue::EventQueue;

enum Event {
    Datagram {
        from: SocketAddr,
        to: SocketAddr,
        packet: Vec<u8>,
    },
    Wake(usize),
}

struct SimDht {
    addr: SocketAddr,
    dht: Dht,
    alive: bool,
    /// Half a round trip, as far as it is the node's part.
    delay: Duration,
    wake: Option<Duration>,
}

/// Answers with lies: names only its like, as near to the target as can be, and takes
/// what is stored without giving it back.
struct Hostile {
    id: NodeId,
    /// Takes an id near to each target, so that it is the nearest of all.
    adapts: bool,
    delay: Duration,
}

/// The network.
pub struct DhtNetwork {
    queue: EventQueue<Event>,
    epoch: Instant,
    rng: StdRng,
    nodes: Vec<SimDht>,
    by_addr: HashMap<SocketAddr, usize>,
    hostile: HashMap<SocketAddr, Hostile>,
    hostile_addrs: Vec<SocketAddr>,
    loss: f64,
    resolves: u64,
    datagrams: u64,
    /// What nodes put out besides datagrams.
    events: Vec<(Duration, usize, DhtOutput)>,
}

impl DhtNetwork {
    /// An empty network, in which so many datagrams of a hundred are lost.
    pub fn new(seed: u64, loss_percent: u32) -> Self {
        Self {
            queue: EventQueue::new(),
            epoch: Instant::now(),
            rng: StdRng::seed_from_u64(seed),
            nodes: Vec::new(),
            by_addr: HashMap::new(),
            hostile: HashMap::new(),
            hostile_addrs: Vec::new(),
            loss: f64::from(loss_percent) / 100.0,
            resolves: 0,
            datagrams: 0,
            events: Vec::new(),
        }
    }

    /// Time since the beginning.
    pub fn now(&self) -> Duration {
        self.queue.now()
    }

    fn instant(&self) -> Instant {
        self.epoch + self.queue.now()
    }

    /// One node's part of the way, with a long tail: there and back, a round trip between
    /// two nodes takes 90 ms at the median.
    fn delay(&mut self) -> Duration {
        // A product of uniform numbers falls off as real delays do.
        let spread: f64 = (0..4).map(|_| self.rng.random_range(-1.0..1.0f64)).sum();
        Duration::from_secs_f64(0.0205 * (spread * 0.6).exp())
    }

    /// Adds a node at `addr` that knows `known`. Its place in the network.
    pub fn add(
        &mut self,
        addr: SocketAddr,
        known: Vec<SocketAddr>,
        settings: DhtSettings,
    ) -> usize {
        let now = self.instant();
        let state = DhtState {
            ids: Vec::new(),
            nodes: known,
        };
        let mut dht = Dht::new(now, self.rng.random(), settings, state);
        let endpoint = DhtEndpoint {
            local: addr,
            external: Some(addr.ip()),
        };
        dht.set_endpoints(now, &[endpoint]);
        let node = self.nodes.len();
        let delay = self.delay();
        self.nodes.push(SimDht {
            addr,
            dht,
            alive: true,
            delay,
            wake: None,
        });
        self.by_addr.insert(addr, node);
        self.drain(node);
        node
    }

    /// Adds `count` nodes at public addresses that join one after the other, each
    /// knowing three that came before.
    pub fn grow(&mut self, count: usize) {
        for _ in 0..count {
            let addr = self.fresh_addr();
            let before = self.nodes.len();
            let known = (0..3.min(before)).map(|_| {
                let at = self.rng.random_range(0..before);
                self.nodes[at].addr
            });
            let known = known.collect();
            self.add(addr, known, DhtSettings::default());
            let pause = Duration::from_millis(100);
            self.run_for(pause);
        }
    }

    fn fresh_addr(&mut self) -> SocketAddr {
        loop {
            let ip: [u8; 4] = [
                self.rng.random_range(11..100),
                self.rng.random(),
                self.rng.random(),
                self.rng.random_range(1..255),
            ];
            let addr = SocketAddr::from((ip, self.rng.random_range(1024..u16::MAX)));
            if ip[0] != 66 && !self.by_addr.contains_key(&addr) {
                return addr;
            }
        }
    }

    /// Adds `ids` hostile nodes on `addresses` addresses in `networks` networks of 256
    /// addresses. One of eight has an id that fits its address.
    pub fn add_hostile(&mut self, ids: usize, addresses: usize, networks: usize) {
        for number in 0..ids {
            let address = number % addresses;
            let ip = [
                66,
                6,
                (address % networks) as u8,
                (address / networks) as u8 + 1,
            ];
            let ip = IpAddr::from(ip);
            let addr = SocketAddr::new(ip, 2000 + (number / addresses) as u16);
            let id = match number % 8 {
                0 => NodeId::for_address(ip, self.rng.random(), &mut self.rng),
                _ => NodeId::random(&mut self.rng),
            };
            let delay = self.delay() / 2;
            let adapts = number % 2 == 1;
            self.hostile.insert(addr, Hostile { id, adapts, delay });
            self.hostile_addrs.push(addr);
        }
    }

    /// Each hostile node asks `count` nodes something, so as to be known.
    pub fn hostile_knock(&mut self, count: usize) {
        for at in 0..self.hostile_addrs.len() {
            let from = self.hostile_addrs[at];
            let id = self.hostile[&from].id;
            for _ in 0..count {
                let to = self.nodes[self.rng.random_range(0..self.nodes.len())].addr;
                let query = Query {
                    transaction: torrent_core::dht::krpc::Transaction::short(7),
                    id,
                    read_only: false,
                    method: Method::FindNode {
                        target: id,
                        want: Default::default(),
                    },
                };
                self.transmit(from, to, query.encode());
            }
            self.run_for(Duration::from_millis(5));
        }
    }

    /// So many of a hundred nodes fall silent, chosen at random.
    pub fn kill(&mut self, percent: u32) {
        for node in &mut self.nodes {
            node.alive &= !self.rng.random_bool(f64::from(percent) / 100.0);
        }
    }

    /// Nodes that are alive.
    pub fn alive(&self) -> Vec<usize> {
        let alive = (0..self.nodes.len()).filter(|at| self.nodes[*at].alive);
        alive.collect()
    }

    /// A node, to be looked at.
    pub fn dht(&self, node: usize) -> &Dht {
        &self.nodes[node].dht
    }

    /// Queries that a node has sent.
    pub fn queries(&self, node: usize) -> u64 {
        let stats = self.nodes[node].dht.stats(self.instant());
        stats.traffic.queries_out
    }

    /// Has a node do something.
    pub fn with<R>(&mut self, node: usize, work: impl FnOnce(&mut Dht, Instant) -> R) -> R {
        let now = self.instant();
        let result = work(&mut self.nodes[node].dht, now);
        self.drain(node);
        result
    }

    /// The address of a node.
    pub fn addr(&self, node: usize) -> SocketAddr {
        self.nodes[node].addr
    }

    /// Whether the address is that of a hostile node.
    pub fn is_hostile(&self, addr: SocketAddr) -> bool {
        self.hostile.contains_key(&addr)
    }

    /// What nodes have put out since this was asked last: when, which node, what.
    pub fn take_events(&mut self) -> Vec<(Duration, usize, DhtOutput)> {
        std::mem::take(&mut self.events)
    }

    /// How often bootstrap nodes were asked for.
    pub fn resolves(&self) -> u64 {
        self.resolves
    }

    /// Datagrams that were sent.
    pub fn datagrams(&self) -> u64 {
        self.datagrams
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time: Duration) {
        let limit = self.queue.now() + time;
        while let Some(event) = self.queue.pop(limit) {
            match event {
                Event::Datagram { from, to, packet } => self.deliver(from, to, &packet),
                Event::Wake(node) => self.wake(node),
            }
        }
    }

    fn wake(&mut self, node: usize) {
        let now = self.queue.now();
        let instant = self.instant();
        let it = &mut self.nodes[node];
        if it.wake.is_none_or(|due| due > now) || !it.alive {
            return;
        }
        it.wake = None;
        it.dht.handle_timeout(instant);
        self.drain(node);
    }

    fn deliver(&mut self, from: SocketAddr, to: SocketAddr, packet: &[u8]) {
        if self.hostile.contains_key(&to) {
            return self.lie(to, from, packet);
        }
        let Some(&node) = self.by_addr.get(&to) else {
            return;
        };
        let instant = self.instant();
        let it = &mut self.nodes[node];
        if it.alive {
            it.dht.handle_datagram(instant, to, from, packet);
            self.drain(node);
        }
    }

    /// Carries out what a node wants, and sets its timer.
    fn drain(&mut self, node: usize) {
        while let Some(output) = self.nodes[node].dht.poll_output() {
            match output {
                DhtOutput::Send { local, to, packet } => {
                    if self.nodes[node].alive {
                        self.transmit(local, to, packet);
                    }
                }
                DhtOutput::ResolveRouters => {
                    self.resolves += 1;
                    let now = self.instant();
                    self.nodes[node].dht.set_routers(now, &[]);
                }
                DhtOutput::ExternalAddress { .. } => {}
                other => self.events.push((self.queue.now(), node, other)),
            }
        }
        let epoch = self.epoch;
        let it = &mut self.nodes[node];
        if let Some(due) = it.dht.poll_timeout() {
            let due = due.saturating_duration_since(epoch);
            if it.wake.is_none_or(|wake| due < wake) {
                it.wake = Some(due);
                self.queue.push(due, Event::Wake(node));
            }
        }
    }

    fn delay_of(&self, addr: SocketAddr) -> Duration {
        let node = self.by_addr.get(&addr).map(|at| self.nodes[*at].delay);
        let hostile = || self.hostile.get(&addr).map(|it| it.delay);
        node.or_else(hostile).unwrap_or_default()
    }

    fn transmit(&mut self, from: SocketAddr, to: SocketAddr, packet: Vec<u8>) {
        self.datagrams += 1;
        if self.rng.random_bool(self.loss) {
            return;
        }
        let due = self.queue.now() + self.delay_of(from) + self.delay_of(to);
        self.queue.push(due, Event::Datagram { from, to, packet });
    }

    /// The answer of a hostile node.
    fn lie(&mut self, at: SocketAddr, to: SocketAddr, packet: &[u8]) {
        let Ok(Message::Query(query)) = Message::decode(packet) else {
            return;
        };
        let target = match query.method {
            Method::FindNode { target, .. } | Method::Get { target, .. } => Some(target),
            Method::GetPeers { info_hash, .. } => Some(info_hash),
            _ => None,
        };
        let adapted = |addr: SocketAddr, target: NodeId| {
            let mut id = target;
            id.0[18] ^= addr.port() as u8;
            id.0[19] ^= match addr.ip() {
                IpAddr::V4(ip) => ip.octets()[3] << 4 | ip.octets()[2],
                IpAddr::V6(_) => 0,
            };
            id
        };
        let own = &self.hostile[&at];
        let mut response = Response {
            id: own.id,
            ..Response::default()
        };
        if let Some(target) = target {
            if own.adapts {
                response.id = adapted(at, target);
            }
            let named = (0..8).map(|_| {
                let addr = self.hostile_addrs[self.rng.random_range(0..self.hostile_addrs.len())];
                let it = &self.hostile[&addr];
                let id = if it.adapts {
                    adapted(addr, target)
                } else {
                    it.id
                };
                NodeContact { id, addr }
            });
            response.nodes = Some(named.collect());
            response.token = Some(bytes::Bytes::from_static(b"hostile!"));
        }
        let reply = ReplyMessage {
            transaction: query.transaction,
            external: Some(to),
            reply: Reply::Response(Box::new(response)),
        };
        self.transmit(at, to, reply.encode());
    }
}
