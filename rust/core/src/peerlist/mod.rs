//! The peers that a torrent knows of, connected or not, and which of them to
//! try next.
//!
//! One [`PeerList`] a torrent, owned by its brain. What trackers, the DHT and
//! peers name goes in through [`PeerList::add`]; [`PeerList::next_candidate`]
//! hands out an endpoint to dial, and [`PeerList::connected`],
//! [`PeerList::failed`] and [`PeerList::closed`] say what became of it. A peer
//! that dialled us is known by the port on which it listens, once it has said
//! so (`p`, BEP 10): add it with [`Sources::INCOMING`], then say `connected`.
//!
//! Endpoints come from outside, so their number is bounded, and what was
//! never tried gives way only to what comes from a better source.

mod canonical;
mod capabilities;

#[cfg(test)]
mod tests;

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    ops::BitOr,
    time::{Duration, Instant},
};

pub use self::canonical::canonical_priority;
pub use self::capabilities::{HandshakeKind, UtpSupport};
use crate::address::{is_host, is_local};
use crate::ban::{BanList, ban_unit};

/// Sources of a peer: a set of libtorrent's flags, empty for one that the
/// user entered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sources(u8);

impl Sources {
    /// The user.
    pub const MANUAL: Self = Self(0);
    /// A tracker.
    pub const TRACKER: Self = Self(1);
    /// The DHT (BEP 5).
    pub const DHT: Self = Self(2);
    /// Another peer (BEP 11).
    pub const PEX: Self = Self(4);
    /// The local network (BEP 14).
    pub const LSD: Self = Self(8);
    /// Resume data.
    pub const RESUME_DATA: Self = Self(16);
    /// The peer itself: it connected to us.
    pub const INCOMING: Self = Self(32);

    /// The flags as a number.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether all of `other` are among these.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The flags by name; "manual" when the user entered the peer.
    pub fn names(self) -> Vec<&'static str> {
        const NAMES: [(Sources, &str); 6] = [
            (Sources::TRACKER, "tracker"),
            (Sources::DHT, "dht"),
            (Sources::PEX, "pex"),
            (Sources::LSD, "lsd"),
            (Sources::RESUME_DATA, "resume"),
            (Sources::INCOMING, "incoming"),
        ];
        if self == Self::MANUAL {
            return vec!["manual"];
        }
        let known = NAMES.iter().filter(|(flag, _)| self.contains(*flag));
        known.map(|(_, name)| *name).collect()
    }

    /// How trustworthy they are: 0 for the word of peers alone.
    fn rank(self) -> u8 {
        let any = |flags: Self| self.0 & flags.0 != 0;
        if self == Self::MANUAL || any(Self::TRACKER | Self::LSD | Self::INCOMING) {
            2
        } else {
            u8::from(any(Self::DHT | Self::PEX))
        }
    }
}

impl BitOr for Sources {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Why an endpoint was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// No peer listens on port 0.
    #[error("the port of the peer is 0")]
    PortZero,
    /// The address is unspecified, multicast or broadcast.
    #[error("the address of the peer is no host's")]
    NoHost,
    /// It is where we listen ourselves.
    #[error("the peer is ourselves")]
    Own,
    /// The address is banned.
    #[error("the peer is banned")]
    Banned,
    /// The list is full, and holds nothing worse.
    #[error("the list of peers is full")]
    Full,
}

/// The settings of a peer list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerListSettings {
    /// Most peers known (`max_peerlist_size`).
    pub max_size: usize,
    /// After this many failures in a row a peer is not tried again
    /// (`max_failcount`).
    pub max_failcount: u8,
    /// Wait before a peer is tried again, once more for each failure
    /// (`min_reconnect_time`).
    pub min_reconnect: Duration,
    /// Connections with one address, if several with its whole /64 where it is
    /// an IPv6 one (`allow_multiple_connections_per_ip`,
    /// `max_connections_per_ip`).
    pub max_per_ip: usize,
    /// Whether peers on ports below 1024 are left alone
    /// (`no_connect_privileged_ports`).
    pub no_privileged_ports: bool,
}

impl Default for PeerListSettings {
    fn default() -> Self {
        Self {
            max_size: 3000,
            max_failcount: 3,
            min_reconnect: Duration::from_secs(60),
            max_per_ip: 8,
            no_privileged_ports: false,
        }
    }
}

/// Ports below it belong to a system's own services.
pub const FIRST_UNPRIVILEGED: u16 = 1024;

#[derive(Clone, Debug)]
struct Known {
    sources: Sources,
    failures: u8,
    /// Being dialled, or connected.
    busy: bool,
    /// When it was last dialled, or its connection closed.
    last_tried: Option<Instant>,
    seed: bool,
    local: bool,
    utp: UtpSupport,
    /// The kind of handshake that it answers, as far as that was tried.
    handshake: Option<HandshakeKind>,
    /// BEP 40.
    priority: u32,
}

impl Known {
    /// How little is lost with it: the highest goes first.
    fn dispensable(&self) -> (u8, Reverse<u8>, Reverse<u32>) {
        (
            self.failures,
            Reverse(self.sources.rank()),
            Reverse(self.priority),
        )
    }

    /// In which order to try it: the lowest goes first.
    fn merit(&self) -> impl Ord + use<> {
        (
            self.failures,
            !self.local,
            self.last_tried,
            Reverse(self.sources.rank()),
            Reverse(self.priority),
        )
    }
}

/// All known peers of one torrent.
#[derive(Clone, Debug)]
pub struct PeerList {
    settings: PeerListSettings,
    peers: BTreeMap<SocketAddr, Known>,
    /// Connections, dials included, by address.
    busy: BTreeMap<IpAddr, usize>,
    banned: BanList,
    /// Where we listen, as others see it.
    own: Vec<SocketAddr>,
    finished: bool,
}

impl PeerList {
    /// An empty list.
    pub fn new(settings: PeerListSettings) -> Self {
        Self {
            settings,
            peers: BTreeMap::new(),
            busy: BTreeMap::new(),
            banned: BanList::default(),
            own: Vec::new(),
            finished: false,
        }
    }

    /// Puts other settings into effect. A list that is now too long shrinks as
    /// peers come in.
    pub fn set_settings(&mut self, settings: PeerListSettings) {
        self.settings = settings;
    }

    /// Sets where we listen, both locally and as seen from outside: we never
    /// dial ourselves, and the first endpoint of each family ranks the peers of
    /// that family (BEP 40), those on the local network by the first one there
    /// if there is one.
    pub fn set_own(&mut self, own: Vec<SocketAddr>) {
        self.own = own.into_iter().map(canonical).collect();
        let own = &self.own;
        self.peers
            .retain(|addr, known| known.busy || !own.contains(addr));
        for (addr, known) in &mut self.peers {
            known.priority = priority_of(&self.own, *addr);
        }
    }

    /// Sets whether we have all that we want: then seeds are of no use to us.
    pub fn set_finished(&mut self, finished: bool) {
        self.finished = finished;
    }

    /// Learns of a peer from `source`. Returns whether it is new. One that is
    /// known, and now vouched for by a tracker, the local network or the user,
    /// has one failure forgiven.
    pub fn add(&mut self, addr: SocketAddr, source: Sources) -> Result<bool, Refused> {
        let addr = canonical(addr);
        if addr.port() == 0 {
            return Err(Refused::PortZero);
        }
        if !is_host(addr.ip()) {
            return Err(Refused::NoHost);
        }
        if self.own.contains(&addr) {
            return Err(Refused::Own);
        }
        if self.is_banned(addr.ip()) {
            return Err(Refused::Banned);
        }
        if let Some(known) = self.peers.get_mut(&addr) {
            if source.rank() > 1 {
                known.failures = known.failures.saturating_sub(1);
            }
            known.sources = known.sources | source;
            return Ok(false);
        }
        let known = Known {
            sources: source,
            failures: 0,
            busy: false,
            last_tried: None,
            seed: false,
            local: is_local(addr.ip()),
            utp: UtpSupport::Unknown,
            handshake: None,
            priority: priority_of(&self.own, addr),
        };
        while self.peers.len() >= self.settings.max_size {
            self.evict_for(&known)?;
        }
        self.peers.insert(addr, known);
        Ok(true)
    }

    /// Drops the peer that is missed least, if that is less than `other`.
    fn evict_for(&mut self, other: &Known) -> Result<(), Refused> {
        let worst = self
            .peers
            .iter()
            .filter(|(_, known)| !known.busy)
            .max_by_key(|(_, known)| known.dispensable())
            // Among equals the older stays, or a flood would wash it away.
            .filter(|(_, known)| {
                (known.failures, Reverse(known.sources.rank()))
                    > (other.failures, Reverse(other.sources.rank()))
            })
            .map(|(&addr, _)| addr);
        match worst {
            Some(addr) => {
                self.peers.remove(&addr);
                Ok(())
            }
            None => Err(Refused::Full),
        }
    }

    /// The peer to dial next, from now on counted as being dialled. `None` when
    /// there is none, or none whose wait is over.
    pub fn next_candidate(&mut self, now: Instant) -> Option<SocketAddr> {
        let addr = self
            .peers
            .iter()
            .filter(|(addr, known)| {
                self.is_candidate(addr, known) && self.due(known).is_none_or(|due| due <= now)
            })
            .min_by_key(|(_, known)| known.merit())
            .map(|(&addr, _)| addr)?;
        self.dialling(now, addr);
        Some(addr)
    }

    /// Notes that a peer is being dialled out of its turn.
    pub fn dialling(&mut self, now: Instant, addr: SocketAddr) {
        let addr = canonical(addr);
        if let Some(known) = self.peers.get_mut(&addr) {
            known.last_tried = Some(now);
        }
        self.set_busy(addr, true);
    }

    /// When [`PeerList::next_candidate`] will return a peer, if nothing else
    /// happens: perhaps in the past. `None` for never.
    pub fn next_at(&self, now: Instant) -> Option<Instant> {
        self.peers
            .iter()
            .filter(|(addr, known)| self.is_candidate(addr, known))
            .map(|(_, known)| self.due(known).unwrap_or(now))
            .min()
    }

    fn is_candidate(&self, addr: &SocketAddr, known: &Known) -> bool {
        let useless = self.finished && known.seed;
        let privileged = self.settings.no_privileged_ports && addr.port() < FIRST_UNPRIVILEGED;
        !(known.busy || useless || privileged)
            && known.failures < self.settings.max_failcount
            && self.busy_at(addr.ip()) < self.settings.max_per_ip
    }

    /// Connections, dials included, that count against the same limit as `ip`:
    /// where several are allowed, an IPv6 address stands for its /64.
    fn busy_at(&self, ip: IpAddr) -> usize {
        let exact = self.settings.max_per_ip == 1 || ip.is_ipv4();
        if exact {
            return self.busy.get(&ip).copied().unwrap_or(0);
        }
        let unit = ban_unit(ip);
        self.busy
            .range(unit..)
            .take_while(|(ip, _)| ban_unit(**ip) == unit)
            .map(|(_, count)| count)
            .sum()
    }

    /// When the wait of a peer is over; `None` when it was never tried.
    fn due(&self, known: &Known) -> Option<Instant> {
        let wait = self
            .settings
            .min_reconnect
            .saturating_mul(u32::from(known.failures) + 1);
        known.last_tried.map(|last| last + wait.min(MAX_WAIT))
    }

    /// Notes that a peer, dialled or incoming, has completed its handshake.
    /// Unknown ones are ignored.
    pub fn connected(&mut self, addr: SocketAddr) {
        let addr = canonical(addr);
        self.set_busy(addr, true);
        if let Some(known) = self.peers.get_mut(&addr) {
            known.failures = 0;
        }
    }

    /// Whether a peer can be reached over uTP, as far as that was tried.
    pub fn utp_support(&self, addr: SocketAddr) -> UtpSupport {
        let known = self.peers.get(&canonical(addr));
        known.map_or(UtpSupport::Unknown, |known| known.utp)
    }

    /// Notes whether a peer was reached over uTP.
    pub fn note_utp(&mut self, addr: SocketAddr, support: UtpSupport) {
        if let Some(known) = self.peers.get_mut(&canonical(addr)) {
            known.utp = support;
        }
    }

    /// The kind of handshake that a peer answers, as far as that was tried.
    pub fn handshake_kind(&self, addr: SocketAddr) -> Option<HandshakeKind> {
        self.peers.get(&canonical(addr))?.handshake
    }

    /// Notes which kind of handshake a peer has answered.
    pub fn note_handshake(&mut self, addr: SocketAddr, kind: HandshakeKind) {
        if let Some(known) = self.peers.get_mut(&canonical(addr)) {
            known.handshake = Some(kind);
        }
    }

    /// Notes which kind of handshake a peer is said to want. What it has answered
    /// counts more.
    pub fn suggest_handshake(&mut self, addr: SocketAddr, kind: HandshakeKind) {
        if let Some(known) = self.peers.get_mut(&canonical(addr)) {
            known.handshake.get_or_insert(kind);
        }
    }

    /// Notes that a dial failed, or a connection closed by the peer's fault.
    pub fn failed(&mut self, now: Instant, addr: SocketAddr) {
        let addr = canonical(addr);
        self.closed(now, addr);
        if let Some(known) = self.peers.get_mut(&addr) {
            known.failures = known.failures.saturating_add(1);
        }
    }

    /// Notes that a dial or connection ended without a fault of the peer.
    pub fn closed(&mut self, now: Instant, addr: SocketAddr) {
        let addr = canonical(addr);
        self.set_busy(addr, false);
        if let Some(known) = self.peers.get_mut(&addr) {
            known.last_tried = Some(now);
        }
    }

    fn set_busy(&mut self, addr: SocketAddr, busy: bool) {
        let Some(known) = self.peers.get_mut(&addr) else {
            return;
        };
        if std::mem::replace(&mut known.busy, busy) == busy {
            return;
        }
        let count = self.busy.entry(addr.ip()).or_default();
        if busy {
            *count += 1;
        } else {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.busy.remove(&addr.ip());
            }
        }
    }

    /// Forgets the peers that are known from these sources alone, but for those
    /// that are connected or being dialled.
    pub fn forget_those_from(&mut self, sources: Sources) {
        self.peers.retain(|_, known| {
            known.busy || known.sources == Sources::MANUAL || !sources.contains(known.sources)
        });
    }

    /// Notes whether a peer is a seed.
    pub fn set_seed(&mut self, addr: SocketAddr, seed: bool) {
        if let Some(known) = self.peers.get_mut(&canonical(addr)) {
            known.seed = seed;
        }
    }

    /// Forgives all failures and waits: after the network was away, or the
    /// torrent paused, they say nothing.
    pub fn forgive_all(&mut self) {
        for known in self.peers.values_mut() {
            known.failures = 0;
            known.last_tried = None;
            if known.utp == UtpSupport::Failed {
                known.utp = UtpSupport::Unknown;
            }
        }
    }

    /// Bans an address, an IPv6 one with its whole /64, and forgets its peers.
    /// Their connections are the caller's to close.
    pub fn ban(&mut self, ip: IpAddr) {
        if !self.banned.ban(ip) {
            return;
        }
        let ip = ban_unit(ip);
        let gone: Vec<SocketAddr> = self
            .peers
            .keys()
            .filter(|addr| ban_unit(addr.ip()) == ip)
            .copied()
            .collect();
        for addr in gone {
            self.set_busy(addr, false);
            self.peers.remove(&addr);
        }
    }

    /// Whether an address is banned.
    pub fn is_banned(&self, ip: IpAddr) -> bool {
        self.banned.contains(ip)
    }

    /// The banned addresses; an IPv6 one stands for its /64.
    pub fn banned(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.banned.iter()
    }

    /// The canonical priority of the connection with this endpoint (BEP 40),
    /// higher is better; 0 while it is not known where we are.
    pub fn priority(&self, addr: SocketAddr) -> u32 {
        priority_of(&self.own, canonical(addr))
    }

    /// The source of a peer; `None` when it is not known.
    pub fn sources(&self, addr: SocketAddr) -> Option<Sources> {
        self.peers.get(&canonical(addr)).map(|known| known.sources)
    }

    /// Failures of a peer in a row; 0 when it is not known.
    pub fn failcount(&self, addr: SocketAddr) -> u8 {
        self.peers
            .get(&canonical(addr))
            .map_or(0, |known| known.failures)
    }

    /// How many peers are known.
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether no peer is known.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// Whether a peer is known to be a seed.
    pub fn is_seed(&self, addr: SocketAddr) -> bool {
        let known = self.peers.get(&canonical(addr));
        known.is_some_and(|known| known.seed)
    }

    /// How many known peers are seeds.
    pub fn num_seeds(&self) -> usize {
        self.peers.values().filter(|known| known.seed).count()
    }

    /// How many peers may be dialled, now or after their wait.
    pub fn num_candidates(&self) -> usize {
        self.peers
            .iter()
            .filter(|(addr, known)| self.is_candidate(addr, known))
            .count()
    }

    /// Peers to remember in resume data: none that has failed.
    pub fn resumable(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.peers
            .iter()
            .filter(|(_, known)| known.failures == 0)
            .map(|(&addr, _)| addr)
    }
}

/// No wait is longer, whatever the settings.
const MAX_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// One name for each endpoint: IPv4 within IPv6 is IPv4, and an IPv6 endpoint
/// is the same whatever its flow.
fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V6(mut v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(v4.into(), v6.port()),
            None => {
                v6.set_flowinfo(0);
                v6.into()
            }
        },
        v4 => v4,
    }
}

fn priority_of(own: &[SocketAddr], addr: SocketAddr) -> u32 {
    let same_family = |own: &&SocketAddr| own.is_ipv4() == addr.is_ipv4();
    let near = |own: &SocketAddr| is_local(own.ip()) == is_local(addr.ip());
    let mut known = own.iter().filter(same_family);
    let first = known.clone().next();
    let nearest = known.find(|own| near(own)).or(first);
    nearest.map_or(0, |own| canonical_priority(*own, addr))
}
