//! What the game and its torrents ask of the DHT: peers, items, announces. A request
//! takes a look-up on each family's network; an announce, on each socket.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use super::address::Family;
use super::bloom::BloomFilter;
use super::item::{
    ItemError, MAX_SALT, MutableItem, PublicKey, check_value, immutable_target, mutable_target,
};
use super::krpc::Method;
use super::lookup::{Lookup, LookupId, LookupPolicy, NextNode};
use super::node_id::NodeId;
use super::routing::K;
use super::storing::Storing;
use super::transactions::Purpose;
use super::{Dht, DhtAnnounce, DhtOutput, MutablePut, RequestId};
use crate::ids::InfoHash;

/// Look-ups of requests that may be under way; more of them wait.
const MAX_LOOKUPS: usize = 64;

/// What a look-up is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// Nodes for a table.
    Bootstrap,
    /// A request.
    Request(RequestId),
}

/// A look-up that is under way.
#[derive(Debug)]
pub(super) struct ActiveLookup {
    /// The endpoint that asks.
    pub(super) local: SocketAddr,
    pub(super) lookup: Lookup,
    pub(super) goal: Goal,
    /// The writes at its end.
    pub(super) storing: Option<Storing>,
}

impl ActiveLookup {
    pub(super) fn new(local: SocketAddr, lookup: Lookup, goal: Goal) -> Self {
        Self {
            local,
            lookup,
            goal,
            storing: None,
        }
    }
}

/// A request: what for, and what has come of it.
#[derive(Debug)]
pub(super) enum RequestKind {
    Peers {
        info_hash: InfoHash,
        noseed: bool,
        scrape: Option<Box<[BloomFilter; 2]>>,
        announce: Option<DhtAnnounce>,
        found: HashSet<SocketAddr>,
    },
    Immutable {
        target: NodeId,
    },
    Mutable {
        key: PublicKey,
        salt: Bytes,
        best: Option<MutableItem>,
    },
    PutImmutable {
        value: Bytes,
    },
    PutMutable {
        put: Box<MutablePut>,
        best: Option<MutableItem>,
        signed: Option<MutableItem>,
        error: Option<ItemError>,
    },
    Sample {
        to: SocketAddr,
        target: NodeId,
    },
}

#[derive(Debug)]
pub(super) struct Request {
    pub(super) kind: RequestKind,
    /// The endpoint, where it is for one alone.
    only: Option<SocketAddr>,
    lookups: Vec<LookupId>,
    pub(super) responses: u32,
    pub(super) stored: u32,
}

impl RequestKind {
    fn target(&self) -> NodeId {
        match self {
            Self::Peers { info_hash, .. } => (*info_hash).into(),
            Self::Immutable { target } | Self::Sample { target, .. } => *target,
            Self::Mutable { key, salt, .. } => mutable_target(*key, salt),
            Self::PutImmutable { value } => immutable_target(value),
            Self::PutMutable { put, .. } => mutable_target(put.key, &put.salt),
        }
    }
}

impl Dht {
    /// Looks for peers of a torrent. Ends with [`DhtOutput::PeersDone`]. `scrape` asks
    /// how many there are instead (BEP 33).
    pub fn get_peers(&mut self, now: Instant, info_hash: InfoHash, scrape: bool) -> RequestId {
        let kind = RequestKind::Peers {
            info_hash,
            noseed: false,
            scrape: scrape.then(Box::default),
            announce: None,
            found: HashSet::new(),
        };
        self.request(now, kind, None)
    }

    /// Looks for an immutable item. Ends with [`DhtOutput::ImmutableItem`].
    pub fn get_immutable(&mut self, now: Instant, target: NodeId) -> RequestId {
        self.request(now, RequestKind::Immutable { target }, None)
    }

    /// Looks for a mutable item. Ends with an authoritative
    /// [`DhtOutput::MutableItem`]; what is found before may be reported earlier.
    pub fn get_mutable(&mut self, now: Instant, key: PublicKey, salt: Bytes) -> RequestId {
        let best = None;
        self.request(now, RequestKind::Mutable { key, salt, best }, None)
    }

    /// Publishes an immutable item: `value`, bencoded. Ends with
    /// [`DhtOutput::PutDone`].
    pub fn put_immutable(&mut self, now: Instant, value: Bytes) -> Result<RequestId, ItemError> {
        check_value(&value)?;
        Ok(self.request(now, RequestKind::PutImmutable { value }, None))
    }

    /// Publishes a mutable item. Ends with [`DhtOutput::PutDone`].
    pub fn put_mutable(&mut self, now: Instant, put: MutablePut) -> Result<RequestId, ItemError> {
        // What cannot be signed is refused at once; the real number is known later.
        let seq = put.seq.unwrap_or(0);
        let (salt, value) = (put.salt.clone(), put.value.clone());
        MutableItem::sign(&put.secret, put.key, salt, seq, value)?;
        debug_assert!(put.salt.len() <= MAX_SALT);
        let kind = RequestKind::PutMutable {
            put: Box::new(put),
            best: None,
            signed: None,
            error: None,
        };
        Ok(self.request(now, kind, None))
    }

    /// Asks one node for a sample of its torrents, and for nodes near `target` (BEP 51).
    /// Ends with [`DhtOutput::Samples`].
    pub fn sample_infohashes(&mut self, now: Instant, to: SocketAddr, target: NodeId) -> RequestId {
        self.request(now, RequestKind::Sample { to, target }, None)
    }

    /// Announces a torrent from now on, at intervals, from every endpoint; or changes
    /// how. Peers that are found on the way are reported. Never for private torrents
    /// (BEP 27): the caller sees to that.
    pub fn add_torrent(&mut self, now: Instant, info_hash: InfoHash, announce: DhtAnnounce) {
        self.now = now;
        if self.torrents.insert(info_hash, announce).is_none() {
            self.announce_at(now, info_hash);
        }
        self.proceed(now);
    }

    /// Announces a torrent again soon; nothing where it is not announced at all.
    pub fn announce_now(&mut self, now: Instant, info_hash: InfoHash) {
        self.now = now;
        if self.torrents.contains_key(&info_hash) {
            self.announce_at(now, info_hash);
        }
        self.proceed(now);
    }

    fn announce_at(&mut self, now: Instant, info_hash: InfoHash) {
        let mut of_family = [0, 0];
        for endpoint in self.endpoints.values_mut() {
            // Not from all addresses of one machine at once (BEP 45).
            let same = &mut of_family[usize::from(endpoint.family == Family::V6)];
            let later = std::time::Duration::from_secs(10) * *same;
            *same += 1;
            endpoint.announces.add(now + later, info_hash);
        }
    }

    /// Announces a torrent no more, and looks for none of its peers.
    pub fn remove_torrent(&mut self, now: Instant, info_hash: InfoHash) {
        self.now = now;
        if self.torrents.remove(&info_hash).is_none() {
            return;
        }
        let endpoints = self.endpoints.values_mut();
        let running = endpoints.filter_map(|it| it.announces.remove(info_hash));
        for request in running.collect::<Vec<_>>() {
            self.forget_request(request);
        }
        self.proceed(now);
    }

    fn request(&mut self, now: Instant, kind: RequestKind, only: Option<SocketAddr>) -> RequestId {
        self.now = now;
        let id = RequestId(self.new_id());
        let request = Request {
            kind,
            only,
            lookups: Vec::new(),
            responses: 0,
            stored: 0,
        };
        self.requests.insert(id, request);
        self.waiting.push_back(id);
        self.proceed(now);
        id
    }

    /// Begins what can begin: requests that wait, and announces that are due.
    pub(super) fn proceed(&mut self, now: Instant) {
        let ready = self.endpoints.is_empty() || self.endpoints.values().any(|it| it.is_ready());
        while ready
            && self.lookups.len() < MAX_LOOKUPS
            && let Some(id) = self.waiting.pop_front()
        {
            self.start(now, id);
        }
        let locals: Vec<_> = self.endpoints.keys().copied().collect();
        for local in locals {
            self.start_announces(now, local);
        }
    }

    fn start_announces(&mut self, now: Instant, local: SocketAddr) {
        let interval = self.settings.announce_interval;
        while let Some(endpoint) = self.endpoints.get_mut(&local)
            && endpoint.is_ready()
            && let Some(info_hash) = endpoint.announces.next(now, interval)
        {
            let Some(announce) = self.torrents.get(&info_hash).copied() else {
                continue;
            };
            let id = RequestId(self.new_id());
            if let Some(endpoint) = self.endpoints.get_mut(&local) {
                endpoint.announces.started(info_hash, id);
            }
            let kind = RequestKind::Peers {
                info_hash,
                noseed: announce.seed,
                scrape: None,
                announce: Some(announce),
                found: HashSet::new(),
            };
            let request = Request {
                kind,
                only: Some(local),
                lookups: Vec::new(),
                responses: 0,
                stored: 0,
            };
            self.requests.insert(id, request);
            self.start(now, id);
        }
    }

    fn start(&mut self, now: Instant, id: RequestId) {
        let Some(request) = self.requests.get(&id) else {
            return;
        };
        let target = request.kind.target();
        let locals = match request.only {
            Some(local) => vec![local],
            None => self.ready_endpoints(),
        };
        if let RequestKind::Sample { to, .. } = request.kind {
            return self.start_sample(now, id, to, target);
        }
        let mut begun = Vec::new();
        for local in locals {
            let Some(endpoint) = self.endpoints.get(&local) else {
                continue;
            };
            let mut lookup = Lookup::new(now, target, self.lookup_policy(local));
            let nodes = endpoint.table.closest(target, 2 * K);
            let family = endpoint.family;
            if nodes.len() < 3 {
                let others = self.known.iter().rev().take(K).chain(&self.routers);
                let others = others.filter(|it| Family::of(it.ip()) == family);
                others.for_each(|addr| lookup.add_address(*addr));
            }
            nodes.into_iter().for_each(|node| lookup.add_known(node));
            let lookup_id = LookupId(self.new_id());
            let active = ActiveLookup::new(local, lookup, Goal::Request(id));
            self.lookups.insert(lookup_id, active);
            begun.push(lookup_id);
        }
        if let Some(request) = self.requests.get_mut(&id) {
            request.lookups.clone_from(&begun);
        }
        if begun.is_empty() {
            return self.request_done(now, id);
        }
        for lookup in begun {
            self.advance(now, lookup);
        }
    }

    fn start_sample(&mut self, now: Instant, id: RequestId, to: SocketAddr, target: NodeId) {
        let family = Family::of(to.ip());
        let local = self.endpoints.values().find(|it| it.family == family);
        let local = local.map(|it| it.local);
        let sent = local.is_some_and(|local| {
            let want = super::krpc::Want::default();
            let method = Method::SampleInfohashes { target, want };
            let to = NextNode { addr: to, id: None };
            self.ask(now, local, to, method, Purpose::Sample(id))
        });
        if !sent {
            self.samples_done(id, None);
        }
    }

    /// An endpoint of each family on whose network look-ups lead somewhere.
    fn ready_endpoints(&self) -> Vec<SocketAddr> {
        let of_family = |family| {
            let endpoints = self.endpoints.values();
            let mut ready = endpoints.filter(move |it| it.family == family && it.is_ready());
            ready.next().map(|it| it.local)
        };
        Family::ALL.into_iter().filter_map(of_family).collect()
    }

    pub(super) fn lookup_policy(&self, local: SocketAddr) -> LookupPolicy {
        let endpoint = self.endpoints.get(&local);
        LookupPolicy {
            branching: self.settings.search_branching.max(1),
            restrict_ips: self.settings.restrict_search_ips,
            verified_only: endpoint.is_some_and(|it| it.table.is_mostly_verified()),
        }
    }

    /// Asks the next nodes of a look-up, or brings it to its end.
    pub(super) fn advance(&mut self, now: Instant, id: LookupId) {
        while let Some(active) = self.lookups.get_mut(&id)
            && active.storing.is_none()
            && let Some(next) = active.lookup.next()
        {
            let (local, goal, target) = (active.local, active.goal, active.lookup.target());
            let method = self.method(goal, local, target);
            if !self.ask(now, local, next, method, Purpose::Lookup(id))
                && let Some(active) = self.lookups.get_mut(&id)
            {
                active.lookup.failed(next.addr);
            }
        }
        let Some(active) = self.lookups.get(&id) else {
            return;
        };
        let done = match &active.storing {
            None => active.lookup.is_done(),
            Some(storing) => storing.is_done(),
        };
        if done {
            self.lookup_done(now, id);
        }
    }

    fn method(&self, goal: Goal, local: SocketAddr, target: NodeId) -> Method {
        let want = self.want(local);
        let kind = match goal {
            Goal::Bootstrap => None,
            Goal::Request(id) => self.requests.get(&id).map(|it| &it.kind),
        };
        match kind {
            None | Some(RequestKind::Sample { .. }) => Method::FindNode { target, want },
            Some(RequestKind::Peers { noseed, scrape, .. }) => Method::GetPeers {
                info_hash: target,
                noseed: *noseed,
                scrape: scrape.is_some(),
                want,
            },
            Some(_) => Method::Get {
                target,
                seq: None,
                want,
            },
        }
    }

    /// A look-up has asked all that it had to, or its writes are done.
    fn lookup_done(&mut self, now: Instant, id: LookupId) {
        let Some(active) = self.lookups.get(&id) else {
            return;
        };
        let (local, goal, first_end) = (active.local, active.goal, active.storing.is_none());
        let request = match goal {
            Goal::Bootstrap => {
                self.lookups.remove(&id);
                self.bootstrap_done(now, local, id);
                return self.proceed(now);
            }
            Goal::Request(request) => request,
        };
        if first_end && self.begin_storing(now, id, request) {
            return;
        }
        let counts = self.lookups.remove(&id).map(|it| it.lookup.counts());
        let Some(found) = self.requests.get_mut(&request) else {
            return;
        };
        found.responses += counts.unwrap_or_default().responses;
        found.lookups.retain(|it| *it != id);
        if found.lookups.is_empty() {
            self.request_done(now, request);
        }
    }

    /// All look-ups of a request are done.
    pub(super) fn request_done(&mut self, now: Instant, id: RequestId) {
        let Some(request) = self.forget_request(id) else {
            return;
        };
        let target = request.kind.target();
        let stored = request.stored;
        let output = match request.kind {
            RequestKind::Peers {
                info_hash,
                scrape,
                found,
                announce,
                ..
            } => {
                if announce.is_some()
                    && let Some(local) = request.only
                {
                    self.announce_done(now, local, info_hash, request.responses > 0);
                }
                let empty = BloomFilter::default();
                let known = scrape.filter(|it| it.iter().any(|filter| *filter != empty));
                DhtOutput::PeersDone {
                    request: id,
                    info_hash,
                    peers: found.len(),
                    stored,
                    scrape: known.map(|it| super::SwarmEstimate {
                        seeds: it[0].estimate(),
                        downloaders: it[1].estimate(),
                    }),
                }
            }
            RequestKind::Immutable { target } => DhtOutput::ImmutableItem {
                request: id,
                target,
                value: None,
            },
            RequestKind::Mutable { key, salt, best } => DhtOutput::MutableItem {
                request: id,
                key,
                salt,
                item: best,
                authoritative: true,
            },
            RequestKind::PutImmutable { .. } => DhtOutput::PutDone {
                request: id,
                target,
                item: None,
                stored,
                error: None,
            },
            RequestKind::PutMutable { signed, error, .. } => DhtOutput::PutDone {
                request: id,
                target,
                item: signed,
                stored,
                error,
            },
            RequestKind::Sample { to, .. } => DhtOutput::Samples {
                request: id,
                from: to,
                samples: None,
            },
        };
        self.outputs.push_back(output);
        self.proceed(now);
    }

    fn announce_done(&mut self, now: Instant, local: SocketAddr, torrent: InfoHash, any: bool) {
        let interval = self.settings.announce_interval;
        let wanted = self.torrents.contains_key(&torrent);
        if let Some(endpoint) = self.endpoints.get_mut(&local)
            && wanted
        {
            let rng = &mut self.rng;
            endpoint.announces.done(now, rng, torrent, any, interval);
        }
    }

    /// Takes a request out, with the look-ups that it still has.
    pub(super) fn forget_request(&mut self, id: RequestId) -> Option<Request> {
        let request = self.requests.remove(&id)?;
        for lookup in &request.lookups {
            self.lookups.remove(lookup);
        }
        self.waiting.retain(|it| *it != id);
        Some(request)
    }

    /// An endpoint is gone: what it had under way ends.
    pub(super) fn end_endpoint(&mut self, now: Instant, local: SocketAddr) {
        self.endpoints.remove(&local);
        let lookups = self.lookups.iter().filter(|it| it.1.local == local);
        let lookups: Vec<_> = lookups.map(|it| (*it.0, it.1.goal)).collect();
        for (lookup, goal) in lookups {
            self.lookups.remove(&lookup);
            if let Goal::Request(id) = goal
                && let Some(request) = self.requests.get_mut(&id)
            {
                request.lookups.retain(|it| *it != lookup);
                if request.lookups.is_empty() {
                    self.request_done(now, id);
                }
            }
        }
        // Samples have no look-up; those that were asked from there get no answer.
        let samples = self.requests.iter().filter(|(id, request)| {
            let asked = !self.waiting.contains(id);
            let family = match request.kind {
                RequestKind::Sample { to, .. } => Some(Family::of(to.ip())),
                _ => None,
            };
            asked && family == Some(Family::of(local.ip()))
        });
        for id in samples.map(|it| *it.0).collect::<Vec<_>>() {
            self.samples_done(id, None);
        }
    }

    pub(super) fn check_requests(&self) {
        for (id, active) in &self.lookups {
            active.lookup.check_invariants();
            assert!(self.endpoints.contains_key(&active.local));
            if let Goal::Request(request) = active.goal {
                let lookups = self.requests.get(&request).map(|it| &it.lookups);
                assert!(lookups.is_some_and(|it| it.contains(id)));
            }
        }
        for (id, request) in &self.requests {
            let sample = matches!(request.kind, RequestKind::Sample { .. });
            let waits = self.waiting.contains(id);
            assert!(
                waits || sample || !request.lookups.is_empty(),
                "{id:?} hangs"
            );
        }
    }
}
