//! The DHT: finds peers, and stores small items, without a server (BEP 5, 32, 33, 42,
//! 43, 44, 45, 51).
//!
//! One [`Dht`] serves a session. Its driver gives it the session's UDP sockets
//! ([`Dht::set_endpoints`]), datagrams ([`Dht::handle_datagram`]), what is to be
//! announced or looked for, and calls [`Dht::handle_timeout`] when
//! [`Dht::poll_timeout`] says so; after each of these it polls outputs until there are
//! none.
//!
//! Each socket is a node of its own (BEP 45), with an id that fits its address, a
//! routing table and queries of its own; what others store is shared. What is not used
//! costs next to nothing: without a torrent to announce or an item asked for, only the
//! tables are kept alive, by one small query every few seconds at most.

mod address;
mod announces;
mod answer;
mod bloom;
mod bootstrap;
mod bootstrapping;
mod endpoint;
pub mod item;
pub mod krpc;
mod lookup;
mod node_id;
mod output;
mod rate_limit;
mod replies;
mod requests;
mod routing;
mod saved_state;
mod settings;
mod stats;
mod storage;
mod storing;
#[cfg(test)]
mod tests;
mod token;
mod transactions;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use rand::{RngExt, SeedableRng, rngs::StdRng};

pub use address::{Family, NodeContact};
pub use bloom::{BLOOM_BYTES, BloomFilter};
pub use lookup::LookupCounts;
pub use node_id::{Distance, NodeId};
pub use output::{DhtAnnounce, DhtEndpoint, DhtOutput, MutablePut, RequestId, SwarmEstimate};
pub use saved_state::DhtState;
pub use settings::DhtSettings;
pub use stats::{DhtEndpointStats, DhtLookupStats, DhtStats, DhtTraffic};

use address::{canonical, is_usable};
use endpoint::Endpoint;
use krpc::{Message, Method, Query, Transaction, Undecodable, Want};
use lookup::LookupId;
use rate_limit::AnswerLimits;
use requests::{ActiveLookup, Request};
use storage::{ItemStore, PeerStore};
use token::WriteTokens;
use transactions::{Purpose, Stage};

use crate::ids::InfoHash;
use crate::ip_filter::IpFilter;

/// Seconds for which a node may keep a sample (BEP 51).
const MAX_SAMPLE_INTERVAL: u32 = 21600;

/// Nodes that are known besides those in the tables: for bootstraps.
const MAX_KNOWN: usize = 400;

/// All of it; see the [module](self).
#[derive(Debug)]
pub struct Dht {
    settings: DhtSettings,
    rng: StdRng,
    endpoints: BTreeMap<SocketAddr, Endpoint>,
    lookups: BTreeMap<LookupId, ActiveLookup>,
    requests: BTreeMap<RequestId, Request>,
    /// Requests that begin once an endpoint is ready.
    waiting: VecDeque<RequestId>,
    torrents: BTreeMap<InfoHash, DhtAnnounce>,
    saved: DhtState,
    /// Nodes to begin with, the most trusted last.
    known: VecDeque<SocketAddr>,
    routers: Vec<SocketAddr>,
    filter: Option<Arc<IpFilter>>,
    tokens: WriteTokens,
    peers: PeerStore,
    items: ItemStore,
    limits: AnswerLimits,
    traffic: DhtTraffic,
    next_id: u64,
    now: Instant,
    outputs: VecDeque<DhtOutput>,
}

impl Dht {
    /// A DHT without endpoints. Ids, transactions and tokens depend on `seed`, which
    /// must not be guessable. `saved` is the state of the last run.
    pub fn new(now: Instant, seed: u64, settings: DhtSettings, saved: DhtState) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut secret = [0; 16];
        rng.fill(&mut secret);
        let known = saved.nodes.iter().copied().take(MAX_KNOWN).collect();
        Self {
            tokens: WriteTokens::new(now, secret),
            peers: PeerStore::new(now, settings.max_torrents, settings.max_peers),
            items: ItemStore::new(settings.max_items, settings.item_lifetime),
            limits: AnswerLimits::new(now, settings.answers()),
            settings,
            rng,
            endpoints: BTreeMap::new(),
            lookups: BTreeMap::new(),
            requests: BTreeMap::new(),
            waiting: VecDeque::new(),
            torrents: BTreeMap::new(),
            saved,
            known,
            routers: Vec::new(),
            filter: None,
            traffic: DhtTraffic::default(),
            next_id: 0,
            now,
            outputs: VecDeque::new(),
        }
    }

    /// Changes the settings.
    pub fn set_settings(&mut self, settings: DhtSettings) {
        self.peers
            .set_limits(settings.max_torrents, settings.max_peers);
        self.items
            .set_limits(settings.max_items, settings.item_lifetime);
        self.limits.set_policy(settings.answers());
        for endpoint in self.endpoints.values_mut() {
            endpoint.table.set_policy(settings.table());
        }
        self.settings = settings;
    }

    /// Addresses that are not asked, not answered and not stored; `None` for none.
    pub fn set_filter(&mut self, filter: Option<Arc<IpFilter>>) {
        self.filter = filter;
    }

    /// These are the session's UDP sockets now. Those that are new become part of the
    /// network; those that are gone end what they had under way.
    pub fn set_endpoints(&mut self, now: Instant, endpoints: &[DhtEndpoint]) {
        self.now = now;
        let is_there = |local: &SocketAddr| endpoints.iter().any(|it| it.local == *local);
        let gone: Vec<_> = self
            .endpoints
            .keys()
            .copied()
            .filter(|it| !is_there(it))
            .collect();
        for local in gone {
            self.end_endpoint(now, local);
        }
        for endpoint in endpoints {
            if self.endpoints.contains_key(&endpoint.local) {
                self.set_external_address(now, endpoint.local, endpoint.external);
                continue;
            }
            let ip = endpoint.external.unwrap_or(endpoint.local.ip());
            let saved = self.saved.id_at(endpoint.local.ip());
            let saved = saved.or_else(|| self.saved.id_at(ip));
            let mut new = Endpoint::new(
                endpoint.local,
                endpoint.external,
                saved,
                self.settings.table(),
                &mut self.rng,
            );
            // Addresses of one machine do not ask the same nodes all at once.
            let same = self.endpoints.values().filter(|it| it.family == new.family);
            let later = std::time::Duration::from_secs(10) * same.count() as u32;
            for torrent in self.torrents.keys() {
                new.announces.add(now + later, *torrent);
            }
            self.endpoints.insert(endpoint.local, new);
            self.begin_bootstrap(now, endpoint.local);
        }
    }

    /// What our address at a socket is, as others see it: the session decides, by what
    /// many say ([`crate::external_ip::ExternalIp`]).
    pub fn set_external_address(&mut self, now: Instant, local: SocketAddr, ip: Option<IpAddr>) {
        self.now = now;
        let Some(endpoint) = self.endpoints.get_mut(&local) else {
            return;
        };
        if endpoint.set_external(ip, &mut self.rng) && !endpoint.bootstrap.is_under_way() {
            endpoint.bootstrap.restart();
            self.begin_bootstrap(now, local);
        }
    }

    /// A datagram has arrived at a socket.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        local: SocketAddr,
        from: SocketAddr,
        datagram: &[u8],
    ) {
        self.now = now;
        let from = canonical(from);
        self.traffic.bytes_in += datagram.len() as u64;
        if !is_usable(from) || self.is_filtered(from) || !self.endpoints.contains_key(&local) {
            return;
        }
        match Message::decode(datagram) {
            Ok(Message::Query(query)) => self.handle_query(now, local, from, query),
            Ok(Message::Reply(reply)) => self.handle_reply(now, local, from, reply),
            Err(Undecodable::BadQuery {
                transaction,
                code,
                text,
            }) => self.refuse(now, local, from, transaction, code, text),
            Err(Undecodable::Ignored) => self.traffic.malformed += 1,
        }
    }

    /// A datagram to `to` could not be delivered.
    pub fn unreachable(&mut self, now: Instant, local: SocketAddr, to: SocketAddr) {
        self.now = now;
        let Some(endpoint) = self.endpoints.get_mut(&local) else {
            return;
        };
        for query in endpoint.transactions.unreachable(canonical(to)) {
            self.stage_reached(now, local, query, Stage::Overdue);
            self.stage_reached(now, local, query, Stage::GivenUp);
        }
        self.proceed(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        let locals: Vec<_> = self.endpoints.keys().copied().collect();
        for local in locals {
            while let Some((query, stage)) = self
                .endpoints
                .get_mut(&local)
                .and_then(|it| it.transactions.next_late(now))
            {
                self.stage_reached(now, local, query, stage);
            }
            self.keep_up(now, local);
        }
        self.peers.sweep(now);
        self.items.sweep(now);
        self.proceed(now);
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let endpoints = self.endpoints.values();
        endpoints.filter_map(|it| it.poll_timeout(self.now)).min()
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<DhtOutput> {
        self.outputs.pop_front()
    }

    /// What is to be kept until the next run.
    pub fn saved_state(&self) -> DhtState {
        let endpoints = self.endpoints.values();
        let mut ids: Vec<_> = endpoints
            .map(|it| (it.local.ip().to_canonical(), it.table.own_id()))
            .collect();
        let mut nodes = Vec::new();
        for endpoint in self.endpoints.values() {
            let mut live: Vec<_> = endpoint.table.live().collect();
            live.sort_by_key(|node| (node.fails, !node.verified, node.rtt));
            let live = live.into_iter().map(|node| node.contact.addr);
            nodes.extend(
                live.take(200)
                    .filter(|addr| !nodes_contain(&nodes, addr))
                    .collect::<Vec<_>>(),
            );
        }
        // What was not reached in this run may be in the next one.
        for addr in self.known.iter().rev() {
            if nodes.len() >= 100 {
                break;
            }
            if !nodes_contain(&nodes, addr) {
                nodes.push(*addr);
            }
        }
        if ids.is_empty() {
            ids.clone_from(&self.saved.ids);
        }
        DhtState { ids, nodes }
    }

    /// Panics where something is not as it must be.
    pub fn check_invariants(&self) {
        for endpoint in self.endpoints.values() {
            endpoint.table.check_invariants();
            endpoint.transactions.check_invariants();
        }
        self.peers.check_invariants();
        self.items.check_invariants();
        self.limits.check_invariants();
        self.check_requests();
        assert!(self.known.len() <= MAX_KNOWN);
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn is_filtered(&self, addr: SocketAddr) -> bool {
        let filter = self.filter.as_ref();
        filter.is_some_and(|filter| filter.blocks(addr.ip()))
    }

    /// Sends a query, unless too many wait for answers.
    fn ask(
        &mut self,
        now: Instant,
        local: SocketAddr,
        to: lookup::NextNode,
        method: Method,
        purpose: Purpose,
    ) -> bool {
        if self.is_filtered(to.addr) {
            return false;
        }
        let Some(endpoint) = self.endpoints.get_mut(&local) else {
            return false;
        };
        let begun = endpoint
            .transactions
            .begin(now, &mut self.rng, to.addr, to.id, purpose);
        let Some(number) = begun else {
            return false;
        };
        if let Some(id) = to.id {
            let addr = to.addr;
            endpoint.table.asked(now, NodeContact { id, addr });
        }
        let query = Query {
            transaction: Transaction::short(number),
            id: endpoint.table.own_id(),
            read_only: self.settings.read_only,
            method,
        };
        self.traffic.queries_out += 1;
        self.send(local, to.addr, query.encode());
        true
    }

    fn send(&mut self, local: SocketAddr, to: SocketAddr, packet: Vec<u8>) {
        self.traffic.bytes_out += packet.len() as u64;
        self.outputs
            .push_back(DhtOutput::Send { local, to, packet });
    }

    /// Which nodes a query of ours asks for: those of the other family too, where we
    /// know few of them (BEP 32).
    fn want(&self, local: SocketAddr) -> Want {
        let Some(own) = self.endpoints.get(&local) else {
            return Want::default();
        };
        let others = self.endpoints.values().filter(|it| it.family != own.family);
        let thin = |it: &Endpoint| it.table.good() < routing::K;
        match others.into_iter().any(thin) {
            true => Want { v4: true, v6: true },
            false => Want::default(),
        }
    }
}

fn nodes_contain(nodes: &[SocketAddr], addr: &SocketAddr) -> bool {
    nodes.contains(addr)
}
