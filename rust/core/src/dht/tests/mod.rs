mod contract;
mod network;
mod queries;
mod robust;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::krpc::{Reply, ReplyMessage, Response};
use super::*;
use crate::testing::at;

/// A datagram takes so many milliseconds.
const DELAY: u64 = 10;

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// A few nodes on a wire without loss, and a clock in milliseconds.
struct World {
    nodes: BTreeMap<SocketAddr, Dht>,
    wire: VecDeque<(u64, SocketAddr, SocketAddr, Vec<u8>)>,
    events: Vec<(SocketAddr, DhtOutput)>,
    routers: Vec<SocketAddr>,
    /// Nodes that wanted to know the routers.
    resolved: Vec<SocketAddr>,
    /// No node receives anything.
    cut: bool,
    sent: u64,
    bytes: u64,
    now: u64,
}

impl World {
    fn new() -> Self {
        Self {
            nodes: BTreeMap::new(),
            wire: VecDeque::new(),
            events: Vec::new(),
            routers: Vec::new(),
            resolved: Vec::new(),
            cut: false,
            sent: 0,
            bytes: 0,
            now: 0,
        }
    }

    fn add_with(&mut self, local: SocketAddr, known: &[SocketAddr], settings: DhtSettings) {
        let saved = DhtState {
            ids: Vec::new(),
            nodes: known.to_vec(),
        };
        let seed = u64::from(local.port()) * 77 + self.now;
        let mut dht = Dht::new(at(self.now), seed, settings, saved);
        let external = None;
        dht.set_endpoints(at(self.now), &[DhtEndpoint { local, external }]);
        self.nodes.insert(local, dht);
        self.drain(local);
    }

    fn add(&mut self, local: SocketAddr, known: &[SocketAddr]) {
        self.add_with(local, known, DhtSettings::default());
    }

    /// Nodes on one machine that all know the first one.
    fn network(count: u16) -> Self {
        let mut world = Self::new();
        world.add(loopback(7000), &[]);
        for port in 7001..7000 + count {
            world.add(loopback(port), &[loopback(7000)]);
            world.run(200);
        }
        world.run(30_000);
        world
    }

    fn with<R>(&mut self, node: SocketAddr, work: impl FnOnce(&mut Dht, Instant) -> R) -> R {
        let now = at(self.now);
        let result = work(self.nodes.get_mut(&node).unwrap(), now);
        self.drain(node);
        result
    }

    fn drain(&mut self, node: SocketAddr) {
        let dht = self.nodes.get_mut(&node).unwrap();
        while let Some(output) = dht.poll_output() {
            match output {
                DhtOutput::Send { local, to, packet } => {
                    assert!(packet.len() <= 1500, "{} bytes", packet.len());
                    self.sent += 1;
                    self.bytes += packet.len() as u64;
                    self.wire.push_back((self.now + DELAY, local, to, packet));
                }
                DhtOutput::ResolveRouters => {
                    let routers = self.routers.clone();
                    dht.set_routers(at(self.now), &routers);
                    self.resolved.push(node);
                }
                DhtOutput::ExternalAddress { .. } | DhtOutput::Bootstrapped { .. } => {}
                other => self.events.push((node, other)),
            }
        }
    }

    /// Lets time pass.
    fn run(&mut self, millis: u64) {
        let end = self.now + millis;
        loop {
            let due = |dht: &Dht| dht.poll_timeout();
            let timer = self.nodes.values().filter_map(due).min();
            let timer = timer.map(|due| due.saturating_duration_since(at(0)).as_millis() as u64);
            let wire = self.wire.front().map(|it| it.0);
            let next = [timer.map(|it| it.max(self.now)), wire];
            let Some(next) = next.into_iter().flatten().min().filter(|it| *it <= end) else {
                self.now = end;
                return;
            };
            self.now = next;
            while let Some((_, from, to, packet)) = self.wire.pop_front_if(|it| it.0 <= next) {
                if !self.cut && self.nodes.contains_key(&to) {
                    self.with(to, |dht, now| dht.handle_datagram(now, to, from, &packet));
                }
            }
            let locals: Vec<_> = self.nodes.keys().copied().collect();
            for local in locals {
                // Milliseconds are coarse: what is due within one is due.
                let soon = at(self.now) + Duration::from_millis(1);
                if self.nodes[&local]
                    .poll_timeout()
                    .is_some_and(|it| it < soon)
                {
                    self.now += u64::from(self.nodes[&local].poll_timeout() > Some(at(self.now)));
                    self.with(local, |dht, now| dht.handle_timeout(now));
                }
            }
        }
    }

    fn take_events(&mut self, node: SocketAddr) -> Vec<DhtOutput> {
        let all = std::mem::take(&mut self.events);
        let (own, others) = all.into_iter().partition(|it| it.0 == node);
        self.events = others;
        let own: Vec<(SocketAddr, DhtOutput)> = own;
        own.into_iter().map(|it| it.1).collect()
    }

    fn check(&self) {
        self.nodes.values().for_each(Dht::check_invariants);
    }

    fn good(&self, node: SocketAddr) -> usize {
        self.nodes[&node].stats(at(self.now)).endpoints[0].good_nodes
    }
}

/// One node that is asked by hand.
struct Asked {
    dht: Dht,
    local: SocketAddr,
    now: u64,
}

impl Asked {
    fn new(settings: DhtSettings) -> Self {
        let mut dht = Dht::new(at(0), 1, settings, DhtState::default());
        let local = addr("9.8.7.6:6881");
        let external = None;
        dht.set_endpoints(at(0), &[DhtEndpoint { local, external }]);
        while dht.poll_output().is_some() {}
        dht.set_routers(at(0), &[]);
        Self { dht, local, now: 0 }
    }

    /// What is sent in answer to a datagram.
    fn datagram(&mut self, from: SocketAddr, bytes: &[u8]) -> Vec<(SocketAddr, Vec<u8>)> {
        let now = at(self.now);
        self.dht.handle_datagram(now, self.local, from, bytes);
        let mut sent = Vec::new();
        while let Some(output) = self.dht.poll_output() {
            if let DhtOutput::Send { to, packet, .. } = output {
                sent.push((to, packet));
            }
        }
        self.dht.check_invariants();
        sent
    }

    fn reply(&mut self, from: SocketAddr, method: Method) -> ReplyMessage {
        let query = Query {
            transaction: Transaction::short(9),
            id: NodeId([5; 20]),
            read_only: false,
            method,
        };
        let sent = self.datagram(from, &query.encode());
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].0, from);
        match Message::decode(&sent[0].1) {
            Ok(Message::Reply(reply)) => reply,
            other => panic!("{other:?}"),
        }
    }

    fn ask(&mut self, from: SocketAddr, method: Method) -> Response {
        let reply = self.reply(from, method);
        assert_eq!(reply.external, Some(from));
        assert_eq!(reply.transaction, Transaction::short(9));
        match reply.reply {
            Reply::Response(response) => *response,
            error => panic!("{error:?}"),
        }
    }

    fn error(&mut self, from: SocketAddr, method: Method) -> i64 {
        match self.reply(from, method).reply {
            Reply::Error { code, .. } => code,
            response => panic!("{response:?}"),
        }
    }
}
