//! Hashes of content. The disk workers feed a [`PieceHasher`] with the blocks
//! of a piece as they come in; [`Sha1Hasher`] and [`sha1()`] are for what is
//! hashed for other reasons.
//! The backends use the SHA extensions of x86 and ARM where the CPU has them.

pub(crate) mod padding;

use sha1::{Digest, Sha1};
use torrent_core::ids::PieceIndex;
use torrent_core::layout::Layout;
use torrent_core::merkle::MerkleHasher;
use torrent_core::piece_hash::{PieceHash, PieceHashKind};

/// Hashes a piece as its bytes come in, in order.
#[derive(Clone, Debug)]
pub enum PieceHasher {
    /// For [`PieceHashKind::Sha1`].
    Sha1(Sha1Hasher),
    /// For [`PieceHashKind::MerkleRoot`]. In a box: it is several times as large.
    MerkleRoot(Box<MerkleHasher>),
}

impl PieceHasher {
    /// A hasher for `piece`, which has seen nothing.
    pub fn new(kind: PieceHashKind, layout: &Layout, piece: PieceIndex) -> Self {
        match kind {
            PieceHashKind::Sha1 => Self::Sha1(Sha1Hasher::new()),
            PieceHashKind::MerkleRoot => {
                Self::MerkleRoot(Box::new(MerkleHasher::new(layout.piece_tree(piece))))
            }
        }
    }

    /// Appends `bytes` to what has been hashed.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::MerkleRoot(hasher) => hasher.update(bytes),
        }
    }

    /// The hash of everything seen. The hasher is used up.
    pub fn finish(&mut self) -> PieceHash {
        match self {
            Self::Sha1(hasher) => PieceHash::Sha1(hasher.finish()),
            Self::MerkleRoot(hasher) => PieceHash::MerkleRoot(hasher.finish()),
        }
    }
}

/// A SHA-1 that grows with its input.
#[derive(Clone, Debug, Default)]
pub struct Sha1Hasher {
    sha1: Sha1,
    /// Bytes seen.
    length: u64,
    /// Some of them were not known to be zeros.
    data: bool,
}

impl Sha1Hasher {
    /// A hasher that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `bytes` to what has been hashed.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha1.update(bytes);
        self.length += bytes.len() as u64;
        self.data |= !bytes.is_empty();
    }

    /// Appends `zeros`, which are nothing else.
    pub(crate) fn update_zeros(&mut self, zeros: &[u8]) {
        self.sha1.update(zeros);
        self.length += zeros.len() as u64;
    }

    /// How many bytes were hashed.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Whether all of them, if there are any, were appended as zeros.
    pub(crate) fn is_zeros(&self) -> bool {
        !self.data
    }

    /// The digest of what was seen so far.
    pub(crate) fn peek(&self) -> [u8; 20] {
        self.sha1.clone().finalize().into()
    }

    /// The digest of everything seen; the hasher starts over.
    pub fn finish(&mut self) -> [u8; 20] {
        std::mem::take(self).sha1.finalize().into()
    }
}

/// The SHA-1 of `bytes`.
pub fn sha1(bytes: &[u8]) -> [u8; 20] {
    Sha1::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_hash_like_the_whole_and_finish_starts_over() {
        let whole = b"The quick brown fox jumps over the lazy dog";
        let mut hasher = Sha1Hasher::new();
        for _ in 0..2 {
            hasher.update(&whole[..7]);
            hasher.update(&whole[7..]);
            let digest = hasher.finish();
            assert_eq!(digest, sha1(whole));
            assert_eq!(digest[..4], [0x2f, 0xd4, 0xe1, 0xc6]);
        }
    }
}
