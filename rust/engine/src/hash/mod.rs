//! The one SHA-1 of the engine. The disk workers feed it a piece as its
//! blocks come in; for the digest of a whole buffer there is [`sha1()`].
//! The backend uses the SHA extensions of x86 and ARM where the CPU has them.

pub(crate) mod padding;

use sha1::{Digest, Sha1};

/// A SHA-1 that grows with its input (BEP 3 piece hashes).
#[derive(Clone, Default)]
pub struct PieceHasher {
    sha1: Sha1,
    /// Bytes seen.
    length: u64,
    /// Some of them were not known to be zeros.
    data: bool,
}

impl PieceHasher {
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
        let mut hasher = PieceHasher::new();
        for _ in 0..2 {
            hasher.update(&whole[..7]);
            hasher.update(&whole[7..]);
            let digest = hasher.finish();
            assert_eq!(digest, sha1(whole));
            assert_eq!(digest[..4], [0x2f, 0xd4, 0xe1, 0xc6]);
        }
    }
}
