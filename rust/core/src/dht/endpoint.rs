//! One UDP socket of ours as a node of the network: an id, a table, queries that wait.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rand::{RngExt, rngs::StdRng};

use super::address::Family;
use super::announces::AnnounceSchedule;
use super::bootstrap::Bootstrap;
use super::node_id::NodeId;
use super::routing::{K, RoutingTable, TablePolicy};
use super::transactions::Transactions;
use crate::address::is_local;

/// Pause between two queries that keep the table alive.
const SPACING: Duration = Duration::from_secs(12);

/// The same while the table is small and others have named nodes.
const EARLY_SPACING: Duration = Duration::from_secs(1);

/// Nodes with which a table is not small any more.
pub(super) const ENOUGH: usize = 64;

/// Queries in a row without an answer, after which our own network may be gone.
const SUSPICIOUS: u32 = 8;

/// Pauses between attempts to find out whether it is back.
const FIRST_PROBE: Duration = Duration::from_secs(4);
const LONGEST_PROBE: Duration = Duration::from_secs(60);

/// Whether anything reaches us.
#[derive(Debug)]
pub(super) struct Link {
    /// When a node answered last.
    pub(super) heard: Option<Instant>,
    silent: u32,
    /// Since when the network works, as far as it was gone before.
    back: Option<Instant>,
    gone: Option<(Instant, Instant)>,
}

impl Link {
    /// A query remains without an answer.
    pub(super) fn silence(&mut self, now: Instant) {
        self.silent = self.silent.saturating_add(1);
        if self.silent >= SUSPICIOUS && self.gone.is_none() && self.heard.is_some() {
            self.gone = Some((now, now + FIRST_PROBE));
        }
    }

    /// A node answered. Whether the network was gone, and is back.
    pub(super) fn answer(&mut self, now: Instant) -> bool {
        self.heard = Some(now);
        self.silent = 0;
        let is_back = self.gone.take().is_some();
        if is_back {
            self.back = Some(now);
        }
        is_back
    }

    /// Whether other nodes have answered since `sent`, when a query went out that was
    /// not answered.
    pub(super) fn worked_since(&self, sent: Instant) -> bool {
        self.heard.is_some_and(|heard| heard > sent) && !self.was_gone(sent)
    }

    /// Whether the network was gone at `sent`, and is back.
    pub(super) fn was_gone(&self, sent: Instant) -> bool {
        self.back.is_some_and(|back| sent <= back)
    }

    /// When it is to be found out whether the network is back.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.gone.map(|gone| gone.1)
    }

    /// A query goes out to find out.
    pub(super) fn probed(&mut self, now: Instant) {
        if let Some((since, next)) = &mut self.gone {
            let pause = now.saturating_duration_since(*since) / 8;
            *next = now + pause.clamp(FIRST_PROBE, LONGEST_PROBE);
        }
    }
}

/// One endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) local: SocketAddr,
    pub(super) external: Option<IpAddr>,
    pub(super) family: Family,
    pub(super) table: RoutingTable,
    pub(super) transactions: Transactions,
    pub(super) bootstrap: Bootstrap,
    pub(super) announces: AnnounceSchedule,
    pub(super) link: Link,
    last_refresh: Option<Instant>,
}

impl Endpoint {
    pub(super) fn new(
        local: SocketAddr,
        external: Option<IpAddr>,
        saved: Option<NodeId>,
        policy: TablePolicy,
        rng: &mut StdRng,
    ) -> Self {
        let family = Family::of(local.ip());
        let id = suitable_id(saved, external, rng);
        Self {
            local,
            external,
            family,
            table: RoutingTable::new(id, family, policy),
            transactions: Transactions::default(),
            bootstrap: Bootstrap::new(),
            announces: AnnounceSchedule::default(),
            link: Link {
                heard: None,
                silent: 0,
                back: None,
                gone: None,
            },
            last_refresh: None,
        }
    }

    /// Whether look-ups lead anywhere, as far as they can by now.
    pub(super) fn is_ready(&self) -> bool {
        self.table.good() >= K || !self.bootstrap.is_under_way()
    }

    /// Our address as others see it. Whether that gives us another id.
    pub(super) fn set_external(&mut self, external: Option<IpAddr>, rng: &mut StdRng) -> bool {
        self.external = external.or(self.external);
        let id = suitable_id(Some(self.table.own_id()), self.external, rng);
        let changed = id != self.table.own_id();
        if changed {
            self.table.set_own_id(id);
        }
        changed
    }

    /// When the next query that keeps the table alive is due.
    pub(super) fn refresh_due(&self, now: Instant) -> Option<Instant> {
        let early = self.table.has_candidates() && self.table.good() < ENOUGH;
        let spacing = if early { EARLY_SPACING } else { SPACING };
        let spaced = self.last_refresh.map(|last| last + spacing);
        let due = match self.table.has_candidates() {
            true => Some(spaced.unwrap_or(now)),
            false => self.table.refresh_due(now),
        };
        due.map(|due| spaced.map_or(due, |spaced| due.max(spaced)))
    }

    pub(super) fn refreshed(&mut self, now: Instant) {
        self.last_refresh = Some(now);
    }

    /// When time alone has it do something, announces apart.
    pub(super) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let announces = self.is_ready().then(|| self.announces.poll_timeout());
        [
            self.transactions.poll_timeout(),
            self.bootstrap.poll_timeout(),
            self.refresh_due(now),
            self.link.poll_timeout(),
            announces.flatten(),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

/// The id that we had, if it fits our address, or a new one (BEP 42).
fn suitable_id(had: Option<NodeId>, external: Option<IpAddr>, rng: &mut StdRng) -> NodeId {
    match (had, external.filter(|ip| !is_local(*ip))) {
        (Some(id), Some(ip)) if id.is_valid_for(ip) => id,
        (_, Some(ip)) => {
            let rand = rng.random();
            NodeId::for_address(ip, rand, rng)
        }
        (Some(id), None) => id,
        (None, None) => NodeId::random(rng),
    }
}
