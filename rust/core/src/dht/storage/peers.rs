//! Peers of torrents, as they announce themselves (BEP 5, 33), and samples of the
//! torrents (BEP 51).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rand::{RngExt, rngs::StdRng};

use super::super::address::Family;
use super::super::bloom::BloomFilter;
use super::super::krpc::{Response, Samples};
use super::super::node_id::NodeId;

/// How long a peer is remembered.
const LIFETIME: Duration = Duration::from_secs(45 * 60);

/// Peers of one torrent behind one address: players behind one router are several,
/// one node is not the whole swarm.
const MAX_PER_IP: usize = 8;

/// How often what has expired is looked for.
const SWEEP: Duration = Duration::from_secs(2 * 60);

#[derive(Clone, Copy, Debug)]
struct StoredPeer {
    addr: SocketAddr,
    seed: bool,
    added: Instant,
}

impl StoredPeer {
    fn is_alive(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.added) < LIFETIME
    }
}

/// What a `get_peers` asks for.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct PeersQuery {
    pub(in super::super) info_hash: NodeId,
    pub(in super::super) noseed: bool,
    pub(in super::super) scrape: bool,
    /// Who asks.
    pub(in super::super) from: IpAddr,
}

/// All of them.
#[derive(Debug)]
pub(in super::super) struct PeerStore {
    max_torrents: usize,
    max_peers: usize,
    torrents: HashMap<NodeId, Vec<StoredPeer>>,
    swept: Instant,
    sample: Vec<NodeId>,
    sampled: Option<Instant>,
}

impl PeerStore {
    pub(in super::super) fn new(now: Instant, max_torrents: usize, max_peers: usize) -> Self {
        Self {
            max_torrents,
            max_peers,
            torrents: HashMap::new(),
            swept: now,
            sample: Vec::new(),
            sampled: None,
        }
    }

    pub(in super::super) fn set_limits(&mut self, max_torrents: usize, max_peers: usize) {
        self.max_torrents = max_torrents;
        self.max_peers = max_peers;
    }

    /// Torrents and peers that are stored.
    pub(in super::super) fn sizes(&self) -> (usize, usize) {
        let peers = self.torrents.values().map(Vec::len).sum();
        (self.torrents.len(), peers)
    }

    /// Adds to `response` what is known of a torrent, at most `most` peers. Whether
    /// the sender may announce itself: where there is no room for it, it gets no
    /// token, and turns to other nodes.
    pub(in super::super) fn get(
        &self,
        now: Instant,
        rng: &mut StdRng,
        query: PeersQuery,
        most: usize,
        response: &mut Response,
    ) -> bool {
        let family = Family::of(query.from);
        let Some(peers) = self.torrents.get(&query.info_hash) else {
            return self.torrents.len() < self.max_torrents;
        };
        let alive = |peer: &&StoredPeer| peer.is_alive(now) && Family::of(peer.addr.ip()) == family;
        let peers: Vec<_> = peers.iter().filter(alive).collect();
        if query.scrape {
            let filter = |seed: bool| {
                let mut filter = BloomFilter::default();
                let peers = peers.iter().filter(|peer| peer.seed == seed);
                peers.for_each(|peer| filter.insert(peer.addr.ip()));
                Some(Box::new(filter))
            };
            response.seeds = filter(true);
            response.downloaders = filter(false);
        } else {
            let mut wanted: Vec<_> = peers
                .iter()
                .filter(|peer| !(query.noseed && peer.seed))
                .map(|peer| peer.addr)
                .collect();
            // A random choice: the first so many places of a shuffle.
            for at in 0..most.min(wanted.len()) {
                let with = rng.random_range(at..wanted.len());
                wanted.swap(at, with);
            }
            wanted.truncate(most);
            response.peers = wanted;
        }
        peers.len() < self.max_peers || peers.iter().any(|peer| peer.addr.ip() == query.from)
    }

    /// A peer announces itself. Whether it is stored.
    pub(in super::super) fn announce(
        &mut self,
        now: Instant,
        info_hash: NodeId,
        addr: SocketAddr,
        seed: bool,
    ) -> bool {
        let new = !self.torrents.contains_key(&info_hash);
        if new && self.torrents.len() >= self.max_torrents {
            return false;
        }
        let family = Family::of(addr.ip());
        let peers = self.torrents.entry(info_hash).or_default();
        peers.retain(|peer| peer.is_alive(now) && peer.addr != addr);
        let same_ip = peers.iter().filter(|peer| peer.addr.ip() == addr.ip());
        if same_ip.count() >= MAX_PER_IP {
            let same_ip = peers.iter().enumerate();
            let oldest = same_ip
                .filter(|(_, peer)| peer.addr.ip() == addr.ip())
                .min_by_key(|(_, peer)| peer.added);
            if let Some((at, _)) = oldest {
                peers.swap_remove(at);
            }
        }
        let of_family = |peer: &&StoredPeer| Family::of(peer.addr.ip()) == family;
        let stored = peers.iter().filter(of_family).count() < self.max_peers;
        if stored {
            let added = now;
            peers.push(StoredPeer { addr, seed, added });
        }
        if peers.is_empty() {
            self.torrents.remove(&info_hash);
        }
        stored
    }

    /// Some of the torrents, the same ones for `interval`.
    pub(in super::super) fn sample(
        &mut self,
        now: Instant,
        rng: &mut StdRng,
        interval: Duration,
        most: usize,
    ) -> Samples {
        let age = self.sampled.map(|then| now.saturating_duration_since(then));
        let few = self.sample.len() < most.min(self.torrents.len());
        if age.is_none_or(|age| age >= interval) || few {
            let mut all: Vec<_> = self.torrents.keys().copied().collect();
            all.sort_unstable();
            for at in 0..most.min(all.len()) {
                let with = rng.random_range(at..all.len());
                all.swap(at, with);
            }
            all.truncate(most);
            self.sample = all;
            self.sampled = Some(now);
        }
        let age = self.sampled.map(|then| now.saturating_duration_since(then));
        let left = interval.saturating_sub(age.unwrap_or_default());
        Samples {
            interval: left.as_secs() as u32,
            total: self.torrents.len() as u32,
            hashes: self.sample.clone(),
        }
    }

    /// Lets go of what has expired, now and then.
    pub(in super::super) fn sweep(&mut self, now: Instant) {
        if now.saturating_duration_since(self.swept) < SWEEP {
            return;
        }
        self.swept = now;
        self.torrents.retain(|_, peers| {
            peers.retain(|peer| peer.is_alive(now));
            !peers.is_empty()
        });
    }

    pub(in super::super) fn check_invariants(&self) {
        assert!(self.torrents.len() <= self.max_torrents);
        for peers in self.torrents.values() {
            assert!(!peers.is_empty() && peers.len() <= 2 * self.max_peers);
        }
    }
}
