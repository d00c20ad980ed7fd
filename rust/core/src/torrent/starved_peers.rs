//! Peers that have room for more requests than there were blocks to give them.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::ids::PeerKey;

/// Peers that wait for blocks.
#[derive(Debug, Default)]
pub(super) struct StarvedPeers {
    peers: BTreeSet<PeerKey>,
    /// When one of them may be asked again for what it refused.
    retry: Option<Instant>,
}

impl StarvedPeers {
    /// There was less for this peer than it could take.
    pub(super) fn insert(&mut self, key: PeerKey) {
        self.peers.insert(key);
    }

    /// This peer has enough, or may not be asked for anything.
    pub(super) fn remove(&mut self, key: PeerKey) {
        self.peers.remove(&key);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = PeerKey> + '_ {
        self.peers.iter().copied()
    }

    /// When one of them is to be asked again, if something may come of it.
    pub(super) fn retry(&self) -> Option<Instant> {
        self.retry
    }

    /// Plans when to ask again: at the earliest moment that `when` has for one
    /// of them.
    pub(super) fn plan(&mut self, when: impl Fn(PeerKey) -> Option<Instant>) {
        self.retry = self.iter().filter_map(when).min();
    }
}
