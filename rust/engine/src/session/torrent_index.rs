//! The torrents of a session: each known by its key, and found by the hashes
//! that name its swarms.

use std::collections::{BTreeMap, HashMap};

use torrent_core::ids::{InfoHash, InfoHashes, TorrentKey};
use torrent_core::mse::ObfuscatedHash;

use crate::torrent::handle::TorrentHandle;

/// The torrents of a session. No two share a hash.
#[derive(Debug, Default)]
pub(crate) struct TorrentIndex {
    torrents: BTreeMap<TorrentKey, TorrentHandle>,
    /// By the 20 bytes that name each swarm: a hybrid torrent has two.
    swarms: BTreeMap<InfoHash, TorrentKey>,
    /// By what names each swarm in encrypted handshakes.
    obfuscated: HashMap<ObfuscatedHash, InfoHash>,
}

impl TorrentIndex {
    /// The torrent of a key.
    pub(crate) fn get(&self, key: TorrentKey) -> Option<&TorrentHandle> {
        self.torrents.get(&key)
    }

    /// The swarm that an encrypted handshake names.
    pub(crate) fn find_obfuscated(&self, hash: ObfuscatedHash) -> Option<InfoHash> {
        self.obfuscated.get(&hash).copied()
    }

    /// The torrent that has one of these hashes. A v1 hash finds a torrent by
    /// its truncated v2 hash too (BEP 52); a whole v2 hash has to be the
    /// torrent's own.
    pub(crate) fn find(&self, hashes: InfoHashes) -> Option<&TorrentHandle> {
        let known = |handle: &&TorrentHandle| {
            let v2 = hashes.v2().zip(handle.hashes().v2());
            v2.is_none_or(|(asked, known)| asked == known)
        };
        self.holders(hashes).find(known)
    }

    /// A torrent that `hashes` would be mistaken for, in handshakes or announces.
    pub(crate) fn holder(&self, hashes: InfoHashes) -> Option<&TorrentHandle> {
        self.holders(hashes).next()
    }

    fn holders(&self, hashes: InfoHashes) -> impl Iterator<Item = &TorrentHandle> {
        let keys = hashes.swarms().filter_map(|swarm| self.swarms.get(&swarm));
        keys.filter_map(|key| self.torrents.get(key))
    }

    /// Takes in a torrent that none [holds](Self::holder) the hashes of.
    pub(crate) fn insert(&mut self, handle: TorrentHandle) {
        let key = handle.key();
        for swarm in handle.hashes().swarms() {
            self.swarms.insert(swarm, key);
            self.obfuscated.insert(ObfuscatedHash::of(swarm), swarm);
        }
        self.torrents.insert(key, handle);
    }

    /// Takes a torrent out.
    pub(crate) fn remove(&mut self, key: TorrentKey) -> Option<TorrentHandle> {
        let handle = self.torrents.remove(&key)?;
        for swarm in handle.hashes().swarms() {
            self.swarms.remove(&swarm);
            self.obfuscated.remove(&ObfuscatedHash::of(swarm));
        }
        Some(handle)
    }

    /// All torrents, in the order in which they were added.
    pub(crate) fn all(&self) -> Vec<TorrentHandle> {
        self.torrents.values().cloned().collect()
    }
}
