//! Where peers are and where we are: the ports on which those that called us
//! listen (`p`, BEP 10), our own endpoints, and the rank of connections that
//! follows from both (BEP 40).

use std::net::SocketAddr;
use std::time::Instant;

use super::{CloseReason, Peer, Torrent};
use crate::ids::PeerKey;
use crate::peerlist::Sources;

impl Torrent {
    /// Sets where we listen, as others see it first: we never dial ourselves,
    /// and peers are ranked by it.
    pub fn set_own(&mut self, own: Vec<SocketAddr>) {
        self.dialing.list.set_own(own);
    }

    /// A peer that called us listens on this port: it can be called there too.
    pub(super) fn note_port(&mut self, now: Instant, key: PeerKey, port: u16) {
        let Some(peer) = self.peers.get(&key) else {
            return;
        };
        // The first value counts, or it could fill the list of peers.
        if !peer.meta.incoming || peer.listed.is_some() || peer.closing.is_some() {
            return;
        }
        let is_seed = peer.is_seed();
        let endpoint = SocketAddr::new(peer.meta.endpoint.ip(), port);
        if self.dialing.is_connecting(endpoint) {
            // What comes of that says which of the connections stays.
            return;
        }
        let mut others = self.peers.values();
        if others.any(|other| other.closing.is_none() && other.listed == Some(endpoint)) {
            // Players behind one router listen on the same port there, and
            // which of them can be called at it is not known.
            return;
        }
        if self.dialing.list.add(endpoint, Sources::INCOMING).is_err() {
            return;
        }
        self.dialing.list.connected(endpoint);
        self.dialing.list.set_seed(endpoint, is_seed);
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.listed = Some(endpoint);
        }
        self.note_reachable(now, key);
    }

    /// How much a connection is preferred when there are too many (BEP 40).
    fn rank(&self, peer: &Peer) -> u32 {
        let endpoint = peer.listed.unwrap_or(peer.meta.endpoint);
        self.dialing.list.priority(endpoint)
    }

    /// Makes room for a connection that came in: closes the one of the lowest
    /// rank, if that is lower than the new one's.
    pub(super) fn displace_for(&mut self, new: &Peer) -> bool {
        let open = self.peers.iter().filter(|(_, it)| it.closing.is_none());
        let lowest = open
            .map(|(&key, peer)| (self.rank(peer), key))
            .min()
            .filter(|&(rank, _)| rank < self.rank(new));
        if let Some((_, key)) = lowest {
            self.close(key, CloseReason::TooMany);
        }
        lowest.is_some()
    }
}
