//! The hashes of an exchange.

use sha1::{Digest, Sha1};

use super::cipher::Cipher;
use super::key_exchange::Key;
use crate::ids::InfoHash;

/// HASH('req2', SKEY): names a swarm in an exchange without saying its
/// info-hash. It is the same in all exchanges, so that a session finds the
/// torrent of one in a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObfuscatedHash(pub [u8; 20]);

impl ObfuscatedHash {
    /// That of a swarm: of a v1 info-hash or a truncated v2 one.
    pub fn of(swarm: InfoHash) -> Self {
        Self(hash([b"req2", &swarm.0]))
    }

    /// Without the mask of an exchange, or with it.
    pub(super) fn masked(self, secret: &Key) -> Self {
        let mask = hash([b"req3", secret]);
        let mut masked = self.0;
        for (byte, mask) in masked.iter_mut().zip(mask) {
            *byte ^= mask;
        }
        Self(masked)
    }
}

/// HASH('req1', S): ends the padding of the first side.
pub(super) fn sync_hash(secret: &Key) -> [u8; 20] {
    hash([b"req1", secret])
}

/// What the first side's bytes are encrypted with.
pub(super) fn initiator_cipher(secret: &Key, swarm: InfoHash) -> Cipher {
    Cipher::new(&hash([b"keyA".as_slice(), secret, &swarm.0]))
}

/// What the second side's bytes are encrypted with.
pub(super) fn responder_cipher(secret: &Key, swarm: InfoHash) -> Cipher {
    Cipher::new(&hash([b"keyB".as_slice(), secret, &swarm.0]))
}

fn hash<const N: usize>(parts: [&[u8]; N]) -> [u8; 20] {
    let mut hasher = Sha1::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}
