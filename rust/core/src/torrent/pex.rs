//! Peer exchange (BEP 11): which peers are named to which, and which of those
//! that peers name are believed.
//!
//! Part of [`Torrent`]. Each peer that can be named has a number, given in the
//! order in which they joined; so has each that left. A peer that is informed
//! remembers two numbers only: up to where it knows of those that joined, and
//! of those that left. It is informed as soon as there is something that it does
//! not know of, and then at most once a minute.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Peer, PeerCommand, Torrent};
use crate::address::is_local;
use crate::ext::{PexFlags, PexMessage, PexPeer};
use crate::ids::PeerKey;
use crate::peer::ConnectionKind;
use crate::peerlist::{HandshakeKind, Sources};

/// Time between two messages to a peer.
const INTERVAL: Duration = Duration::from_secs(60);

/// Endpoints of each sort in a message; the others are in the next one. A
/// libtorrent keeps that many of one sender.
const MAX_NAMED: usize = 50;

/// Peers that left and are remembered; who has not heard of an older one by
/// then finds out by calling it.
const MAX_LEFT: usize = 500;

/// A peer that was named to others and has left.
#[derive(Clone, Copy, Debug)]
struct Left {
    endpoint: SocketAddr,
    /// Its number among those that joined.
    joined: u64,
    /// Its number among those that left.
    number: u64,
}

/// Peer exchange in one torrent.
#[derive(Debug)]
pub(super) struct PeerExchange {
    /// The torrent may take part; the settings may say otherwise.
    allowed: bool,
    /// The last number given to a peer that joined, and to one that left.
    last_joined: u64,
    last_left: u64,
    left: VecDeque<Left>,
    /// When peers are informed again, if there may be news by then.
    due: Option<Instant>,
}

impl Default for PeerExchange {
    fn default() -> Self {
        Self {
            allowed: true,
            last_joined: 0,
            last_left: 0,
            left: VecDeque::new(),
            due: None,
        }
    }
}

/// Peer exchange with one peer.
#[derive(Debug, Default)]
pub(super) struct PexPartner {
    /// It supports messages of ut_pex.
    supported: bool,
    /// Its number among those that joined and where it listens, once it can be
    /// named to others.
    named: Option<(u64, SocketAddr)>,
    /// It knows of those that joined and left up to these numbers.
    knows_joined: u64,
    knows_left: u64,
    /// When it was last sent a message.
    informed: Option<Instant>,
    /// Endpoints that it named and did not take back.
    taken: BTreeSet<SocketAddr>,
}

impl Torrent {
    /// Whether the torrent takes part in peer exchange.
    pub fn is_pex_enabled(&self) -> bool {
        self.pex.allowed && self.settings.enable_pex
    }

    /// Lets the torrent take part in peer exchange where the settings do too
    /// (`enable_pex`). Not to be allowed for a private torrent (BEP 27).
    pub fn set_pex_allowed(&mut self, now: Instant, allowed: bool) {
        let was = self.is_pex_enabled();
        self.pex.allowed = allowed;
        self.pex_changed(now, was);
    }

    /// Forgets the peers that only other peers, or strangers in a network, have
    /// named: the torrent is private (BEP 27).
    pub fn forget_discovered(&mut self) {
        let discovered = Sources::PEX | Sources::DHT | Sources::LSD;
        self.dialing.list.forget_those_from(discovered);
    }

    /// Informs connections when that changed.
    pub(super) fn pex_changed(&mut self, now: Instant, was: bool) {
        let enabled = self.is_pex_enabled();
        if enabled != was {
            self.command_all(PeerCommand::PexEnabled(enabled));
            self.pex.due = enabled.then_some(now);
        }
    }

    /// The peer has said whether it supports peer exchange.
    pub(super) fn note_pex_support(&mut self, now: Instant, key: PeerKey, supported: bool) {
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.pex.supported = supported;
            self.pex.due = Some(now);
        }
    }

    /// It is known where the peer listens: it can be named to others.
    pub(super) fn note_reachable(&mut self, now: Instant, key: PeerKey) {
        if let Some(peer) = self.peers.get_mut(&key)
            && let Some(endpoint) = peer.listed
        {
            self.pex.last_joined += 1;
            peer.pex.named = Some((self.pex.last_joined, endpoint));
            self.pex.due = Some(now);
        }
    }

    /// The peer has left.
    pub(super) fn note_left(&mut self, now: Instant, peer: &Peer) {
        let Some((joined, endpoint)) = peer.pex.named else {
            return;
        };
        if self.pex.left.len() >= MAX_LEFT {
            self.pex.left.pop_front();
        }
        self.pex.last_left += 1;
        self.pex.left.push_back(Left {
            endpoint,
            joined,
            number: self.pex.last_left,
        });
        self.pex.due = Some(now);
    }

    /// Takes what a peer names. No more than `max_pex_peers` are taken from one
    /// peer, and those on our own network only from one that is there too.
    pub(super) fn take_pex(&mut self, now: Instant, key: PeerKey, messages: Vec<PexMessage>) {
        if messages.is_empty() || !self.is_pex_enabled() {
            return;
        }
        let most = self.settings.max_pex_peers.unsigned_abs() as usize;
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        let from_near = is_local(peer.meta.endpoint.ip());
        let mut added = false;
        for message in messages {
            for endpoint in &message.dropped {
                peer.pex.taken.remove(endpoint);
            }
            for PexPeer { endpoint, flags } in message.added {
                // That it is a seed is not believed: then it would not be dialled
                // any more when we have everything.
                let far = from_near || !is_local(endpoint.ip());
                if far && peer.pex.taken.len() < most && peer.pex.taken.insert(endpoint) {
                    let list = &mut self.dialing.list;
                    added |= list.add(endpoint, Sources::PEX) == Ok(true);
                    if flags.contains(PexFlags::ENCRYPTION) {
                        list.suggest_handshake(endpoint, HandshakeKind::Encrypted);
                    }
                }
            }
        }
        if added && self.is_running() {
            self.connect_more(now);
        }
    }

    /// Informs the peers that are to be.
    pub(super) fn exchange_peers(&mut self, now: Instant) {
        if !self.is_pex_enabled() || self.pex.due.is_none_or(|due| now < due) {
            return;
        }
        self.pex.due = None;
        let open = |peer: &Peer| peer.closing.is_none() && peer.pex.supported;
        let partners = self.peers.iter().filter(|(_, peer)| open(peer));
        let partners: Vec<PeerKey> = partners.map(|(&key, _)| key).collect();
        let mut named = self.named();
        // In the order in which they joined.
        named.sort_unstable_by_key(|(number, _)| *number);
        for key in partners {
            self.inform(now, key, &named);
        }
    }

    /// The peers that can be named, with their numbers.
    fn named(&self) -> Vec<(u64, PexPeer)> {
        let open = self.peers.values().filter(|peer| peer.closing.is_none());
        let named = open.filter_map(|peer| {
            let (number, endpoint) = peer.pex.named?;
            let flags = PexFlags::default()
                .with(PexFlags::ENCRYPTION, peer.meta.encryption.is_some())
                .with(PexFlags::UTP, peer.meta.connection == ConnectionKind::Utp)
                .with(PexFlags::SEED, peer.is_seed() || peer.upload_only)
                .with(PexFlags::REACHABLE, !peer.meta.incoming);
            Some((number, PexPeer { endpoint, flags }))
        });
        named.collect()
    }

    /// Sends a peer what it does not know yet, or notes when it may be sent.
    fn inform(&mut self, now: Instant, key: PeerKey, named: &[(u64, PexPeer)]) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        let it = &mut peer.pex;
        let its_own = peer.listed;
        let near = is_local(peer.meta.endpoint.ip());
        let may_know =
            |endpoint: SocketAddr| Some(endpoint) != its_own && (near || !is_local(endpoint.ip()));
        let joined = named
            .iter()
            .filter(|(number, peer)| *number > it.knows_joined && may_know(peer.endpoint));
        let joined: Vec<&(u64, PexPeer)> = joined.take(MAX_NAMED).collect();
        let here = |endpoint| named.iter().any(|(_, peer)| peer.endpoint == endpoint);
        let left = self.pex.left.iter().filter(|left| {
            left.number > it.knows_left
                && left.joined <= it.knows_joined
                && may_know(left.endpoint)
                && !here(left.endpoint)
        });
        let left: Vec<&Left> = left.take(MAX_NAMED).collect();
        if joined.is_empty() && left.is_empty() {
            // What there is of news is not for this peer.
            it.knows_joined = self.pex.last_joined;
            it.knows_left = self.pex.last_left;
            return;
        }
        let next = it.informed.map_or(now, |last| last + INTERVAL);
        if now < next {
            self.pex.due = Some(self.pex.due.map_or(next, |due| due.min(next)));
            return;
        }
        let message = PexMessage {
            added: joined.iter().map(|(_, peer)| *peer).collect(),
            dropped: left.iter().map(|left| left.endpoint).collect(),
        };
        let more = |some: usize, last: Option<u64>| last.filter(|_| some == MAX_NAMED);
        let last_joined = more(joined.len(), joined.last().map(|(number, _)| *number));
        let last_left = more(left.len(), left.last().map(|left| left.number));
        it.knows_joined = last_joined.unwrap_or(self.pex.last_joined);
        it.knows_left = last_left.unwrap_or(self.pex.last_left);
        it.informed = Some(now);
        let again = now + INTERVAL;
        self.pex.due = Some(self.pex.due.map_or(again, |due| due.min(again)));
        self.command(key, PeerCommand::Pex(message.encode().into()));
    }
}
