//! What keeps the endpoints part of the network.

use std::net::SocketAddr;
use std::time::Instant;

use rand::RngExt;

use super::address::{canonical, is_usable};
use super::bootstrap::BootstrapStage;
use super::endpoint::ENOUGH;
use super::krpc::Method;
use super::lookup::{Lookup, LookupId, NextNode};
use super::requests::{ActiveLookup, Goal};
use super::routing::K;
use super::transactions::Purpose;
use super::{Dht, DhtOutput, Family, MAX_KNOWN};

/// Nodes that are tried at a bootstrap.
const MAX_TRIED: usize = 64;

/// Buckets that are filled at a bootstrap, the farthest first.
const FILLED: u32 = 4;

impl Dht {
    /// A node that may be there: of a torrent file, a magnet link, the game, or a peer
    /// whose PORT message names it. It is asked, and becomes one of those that
    /// bootstraps begin with.
    pub fn add_node(&mut self, now: Instant, addr: SocketAddr) {
        self.now = now;
        let addr = canonical(addr);
        if !is_usable(addr) || self.is_filtered(addr) {
            return;
        }
        let is_new = !self.known.contains(&addr);
        self.known.retain(|it| *it != addr);
        if self.known.len() >= MAX_KNOWN {
            self.known.pop_front();
        }
        self.known.push_back(addr);
        let family = Family::of(addr.ip());
        let locals = self.endpoints.values().filter(|it| it.family == family);
        let locals: Vec<_> = locals.map(|it| it.local).collect();
        for local in locals {
            let Some(endpoint) = self.endpoints.get_mut(&local) else {
                continue;
            };
            match endpoint.bootstrap.stage {
                BootstrapStage::Known(lookup) | BootstrapStage::Routers(lookup) => {
                    if let Some(active) = self.lookups.get_mut(&lookup) {
                        active.lookup.add_address(addr);
                    }
                    self.advance(now, lookup);
                }
                // Not found yet: it begins with this one.
                _ if endpoint.table.good() == 0 => {
                    endpoint.bootstrap.restart();
                    self.begin_bootstrap(now, local);
                }
                _ if is_new && endpoint.table.good() < ENOUGH => {
                    let target = endpoint.table.own_id();
                    let want = self.want(local);
                    let method = Method::FindNode { target, want };
                    let to = NextNode { addr, id: None };
                    self.ask(now, local, to, method, Purpose::Refresh);
                }
                _ => {}
            }
        }
        self.proceed(now);
    }

    /// The addresses of the bootstrap nodes: the answer to
    /// [`DhtOutput::ResolveRouters`].
    pub fn set_routers(&mut self, now: Instant, routers: &[SocketAddr]) {
        self.now = now;
        let routers = routers.iter().copied().map(canonical);
        self.routers = routers
            .filter(|addr| is_usable(*addr))
            .take(MAX_TRIED)
            .collect();
        let locals: Vec<_> = self.endpoints.keys().copied().collect();
        for local in locals {
            let stage = self.endpoints.get(&local).map(|it| it.bootstrap.stage);
            if let Some(BootstrapStage::Resolving { .. }) = stage {
                self.begin_at_routers(now, local);
            }
        }
        self.proceed(now);
    }

    /// The network may have changed or come back: all tables are revived, and all
    /// torrents announced again. So it is when the bootstrap nodes of the settings have changed.
    pub fn network_changed(&mut self, now: Instant) {
        self.now = now;
        let locals: Vec<_> = self.endpoints.keys().copied().collect();
        for local in locals {
            self.revive(now, local);
        }
        self.proceed(now);
    }

    /// The network of an endpoint is back.
    pub(super) fn revive(&mut self, now: Instant, local: SocketAddr) {
        let Some(endpoint) = self.endpoints.get_mut(&local) else {
            return;
        };
        endpoint.table.forgive();
        endpoint.announces.all_due(now);
        if !endpoint.bootstrap.is_under_way() {
            endpoint.bootstrap.restart();
            self.begin_bootstrap(now, local);
        }
    }

    /// Looks for ourselves, beginning with the nodes that we know.
    pub(super) fn begin_bootstrap(&mut self, now: Instant, local: SocketAddr) {
        let Some(endpoint) = self.endpoints.get_mut(&local) else {
            return;
        };
        endpoint.bootstrap.retry.attempt();
        endpoint.bootstrap.thin.attempt();
        let family = endpoint.family;
        let of_family = self.known.iter().rev().copied();
        let known: Vec<_> = of_family
            .filter(|it| Family::of(it.ip()) == family)
            .take(MAX_TRIED)
            .collect();
        if known.is_empty() && endpoint.table.len() == 0 {
            return self.resolve_routers(now, local);
        }
        let target = endpoint.table.own_id();
        let lookup = self.bootstrap_lookup(now, local, target, &known);
        self.set_stage(local, BootstrapStage::Known(lookup));
        self.advance(now, lookup);
    }

    fn set_stage(&mut self, local: SocketAddr, stage: BootstrapStage) {
        if let Some(endpoint) = self.endpoints.get_mut(&local) {
            endpoint.bootstrap.stage = stage;
        }
    }

    fn resolve_routers(&mut self, now: Instant, local: SocketAddr) {
        let resolving =
            |it: &super::Endpoint| matches!(it.bootstrap.stage, BootstrapStage::Resolving { .. });
        if !self.endpoints.values().any(resolving) {
            self.outputs.push_back(DhtOutput::ResolveRouters);
        }
        if let Some(endpoint) = self.endpoints.get_mut(&local) {
            endpoint.bootstrap.resolve(now);
        }
    }

    fn begin_at_routers(&mut self, now: Instant, local: SocketAddr) {
        let Some(endpoint) = self.endpoints.get(&local) else {
            return;
        };
        let (family, target) = (endpoint.family, endpoint.table.own_id());
        let routers = self.routers.iter().copied();
        let routers: Vec<_> = routers.filter(|it| Family::of(it.ip()) == family).collect();
        if routers.is_empty() {
            return self.bootstrap_failed_or_done(now, local);
        }
        let lookup = self.bootstrap_lookup(now, local, target, &routers);
        self.set_stage(local, BootstrapStage::Routers(lookup));
        self.advance(now, lookup);
    }

    fn bootstrap_lookup(
        &mut self,
        now: Instant,
        local: SocketAddr,
        target: super::NodeId,
        first: &[SocketAddr],
    ) -> LookupId {
        let policy = self.lookup_policy(local);
        let mut lookup = Lookup::new(now, target, policy);
        if let Some(endpoint) = self.endpoints.get(&local) {
            for contact in endpoint.table.closest(target, 2 * K) {
                lookup.add_known(contact);
            }
        }
        for addr in first {
            lookup.add_address(*addr);
        }
        let id = LookupId(self.new_id());
        let active = ActiveLookup::new(local, lookup, Goal::Bootstrap);
        self.lookups.insert(id, active);
        id
    }

    /// A look-up for ourselves has come to its end.
    pub(super) fn bootstrap_done(&mut self, now: Instant, local: SocketAddr, lookup: LookupId) {
        let Some(endpoint) = self.endpoints.get_mut(&local) else {
            return;
        };
        let good = endpoint.table.good();
        match endpoint.bootstrap.stage {
            BootstrapStage::Known(current) if current == lookup => {
                if good < K {
                    return self.resolve_routers(now, local);
                }
                self.fill(now, local, 0);
            }
            BootstrapStage::Routers(current) if current == lookup => {
                if good < K {
                    return self.bootstrap_failed_or_done(now, local);
                }
                self.fill(now, local, 0);
            }
            BootstrapStage::Filling {
                lookup: current,
                bits,
            } if current == lookup => self.fill(now, local, bits + 1),
            _ => {}
        }
    }

    /// Looks for nodes in the farthest buckets, while the table is small: they are
    /// where look-ups begin.
    fn fill(&mut self, now: Instant, local: SocketAddr, bits: u32) {
        let Some(endpoint) = self.endpoints.get_mut(&local) else {
            return;
        };
        endpoint.bootstrap.stage = BootstrapStage::Idle;
        endpoint.bootstrap.retry.succeeded();
        endpoint.bootstrap.thin.succeeded();
        let good = endpoint.table.good();
        if good < ENOUGH && bits < FILLED {
            let own = endpoint.table.own_id();
            let mut target = own.random_near(bits, &mut self.rng);
            // The bit behind them decides about the bucket.
            target.0[0] = target.0[0] & !(0x80 >> bits) | !own.0[0] & (0x80 >> bits);
            let lookup = self.bootstrap_lookup(now, local, target, &[]);
            self.set_stage(local, BootstrapStage::Filling { lookup, bits });
            self.report_bootstrap(local);
            self.advance(now, lookup);
            return;
        }
        self.report_bootstrap(local);
    }

    fn report_bootstrap(&mut self, local: SocketAddr) {
        if let Some(endpoint) = self.endpoints.get_mut(&local)
            && !std::mem::replace(&mut endpoint.bootstrap.reported, true)
        {
            let nodes = endpoint.table.good();
            self.outputs
                .push_back(DhtOutput::Bootstrapped { local, nodes });
        }
    }

    /// Everything that is known was tried, and led to few nodes or none.
    fn bootstrap_failed_or_done(&mut self, now: Instant, local: SocketAddr) {
        let Some(endpoint) = self.endpoints.get_mut(&local) else {
            return;
        };
        endpoint.bootstrap.stage = BootstrapStage::Idle;
        if endpoint.table.good() == 0 {
            endpoint.bootstrap.retry.failed(now);
            return;
        }
        // A small network may be all there is: it is looked for more at long intervals.
        endpoint.bootstrap.retry.succeeded();
        endpoint.bootstrap.thin.failed(now);
        self.report_bootstrap(local);
    }

    /// What is due at an endpoint.
    pub(super) fn keep_up(&mut self, now: Instant, local: SocketAddr) {
        let Some(endpoint) = self.endpoints.get_mut(&local) else {
            return;
        };
        if endpoint
            .bootstrap
            .poll_timeout()
            .is_some_and(|due| due <= now)
        {
            match endpoint.bootstrap.stage {
                BootstrapStage::Resolving { .. } => self.begin_at_routers(now, local),
                _ => self.begin_bootstrap(now, local),
            }
        }
        self.probe(now, local);
        self.refresh(now, local);
    }

    /// One query that keeps the table alive.
    fn refresh(&mut self, now: Instant, local: SocketAddr) {
        let want = self.want(local);
        let Some(endpoint) = self.endpoints.get_mut(&local) else {
            return;
        };
        if endpoint.refresh_due(now).is_none_or(|due| due > now) {
            return;
        }
        endpoint.refreshed(now);
        let Some(refresh) = endpoint.table.next_refresh(now) else {
            return;
        };
        // A ping is much smaller: more nodes are asked for now and then.
        let asks_for_more = refresh.is_first || self.rng.random_ratio(1, 4);
        let method = match refresh.wanted_bits.filter(|_| asks_for_more) {
            None => Method::Ping,
            Some(bits) => Method::FindNode {
                target: endpoint.table.own_id().random_near(bits, &mut self.rng),
                want,
            },
        };
        let to = NextNode {
            addr: refresh.contact.addr,
            id: Some(refresh.contact.id),
        };
        self.ask(now, local, to, method, Purpose::Refresh);
    }

    /// Finds out whether the network of an endpoint is back.
    fn probe(&mut self, now: Instant, local: SocketAddr) {
        let Some(endpoint) = self.endpoints.get_mut(&local) else {
            return;
        };
        if endpoint.link.poll_timeout().is_none_or(|due| due > now) {
            return;
        }
        endpoint.link.probed(now);
        let nodes: Vec<_> = endpoint.table.live().map(|node| node.contact).collect();
        // Two, because each may be gone for good.
        for _ in 0..2.min(nodes.len()) {
            let contact = nodes[self.rng.random_range(0..nodes.len())];
            let to = NextNode {
                addr: contact.addr,
                id: Some(contact.id),
            };
            self.ask(now, local, to, Method::Ping, Purpose::Refresh);
        }
    }
}
