//! What the content of a piece is compared with: its SHA-1 (BEP 3), or the root
//! of the merkle tree over its blocks (BEP 52).

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use data_encoding::HEXLOWER;

use crate::ids::PieceIndex;

/// Which hash the pieces of a torrent have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PieceHashKind {
    /// SHA-1 of the piece with its padding (BEP 3).
    #[default]
    Sha1,
    /// Root of a merkle tree of SHA-256 (BEP 52).
    MerkleRoot,
}

impl PieceHashKind {
    /// Bytes in one hash.
    pub const fn size(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::MerkleRoot => 32,
        }
    }
}

/// The hash of one piece.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PieceHash {
    /// SHA-1 of the piece with its padding (BEP 3).
    Sha1([u8; 20]),
    /// Root of the merkle tree over the piece's blocks (BEP 52).
    MerkleRoot([u8; 32]),
}

impl PieceHash {
    /// Its bytes: 20 or 32.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Sha1(hash) => hash,
            Self::MerkleRoot(root) => root,
        }
    }
}

impl fmt::Debug for PieceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Sha1(_) => "Sha1",
            Self::MerkleRoot(_) => "MerkleRoot",
        };
        write!(f, "{name}({})", HEXLOWER.encode(self.as_bytes()))
    }
}

/// The hashes of pieces in a row, all of one kind. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PieceHashes {
    kind: PieceHashKind,
    bytes: Bytes,
}

impl PieceHashes {
    /// Hashes of `kind`, one after the other; what is left of a last one that
    /// is not whole does not count.
    pub fn new(kind: PieceHashKind, bytes: impl Into<Bytes>) -> Self {
        let mut bytes = bytes.into();
        bytes.truncate(bytes.len() / kind.size() * kind.size());
        Self { kind, bytes }
    }

    /// SHA-1 hashes of 20 bytes each.
    pub fn sha1(bytes: impl Into<Bytes>) -> Self {
        Self::new(PieceHashKind::Sha1, bytes)
    }

    /// Of which kind all of them are.
    pub fn kind(&self) -> PieceHashKind {
        self.kind
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.kind.size()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The hash of `piece`; `None` when there is no such piece.
    pub fn get(&self, piece: PieceIndex) -> Option<PieceHash> {
        let size = self.kind.size();
        let start = (piece.0 as usize).checked_mul(size)?;
        let hash = self.bytes.get(start..start.checked_add(size)?)?;
        Some(match self.kind {
            PieceHashKind::Sha1 => PieceHash::Sha1(hash.try_into().ok()?),
            PieceHashKind::MerkleRoot => PieceHash::MerkleRoot(hash.try_into().ok()?),
        })
    }

    /// The hashes of some pieces in a row; `None` where one of them is missing.
    pub fn slice(&self, pieces: Range<u32>) -> Option<Self> {
        let (start, end) = (pieces.start as usize, pieces.end as usize);
        (start <= end && end <= self.len()).then(|| Self {
            kind: self.kind,
            bytes: self
                .bytes
                .slice(start * self.kind.size()..end * self.kind.size()),
        })
    }

    /// All of them, as a torrent file has them.
    pub fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_either_kind_are_found_by_piece() {
        let bytes: Vec<u8> = (0..160).collect();
        let sha1 = PieceHashes::sha1(bytes.clone());
        let roots = PieceHashes::new(PieceHashKind::MerkleRoot, bytes.clone());
        assert_eq!((sha1.len(), roots.len()), (8, 5));
        let last = PieceHash::Sha1(bytes[140..].try_into().unwrap());
        assert_eq!(sha1.get(PieceIndex(7)), Some(last));
        assert_eq!(sha1.get(PieceIndex(8)), None);
        assert_eq!(sha1.get(PieceIndex(u32::MAX)), None);
        let last = PieceHash::MerkleRoot(bytes[128..].try_into().unwrap());
        assert_eq!(roots.get(PieceIndex(4)), Some(last));
        assert_eq!(roots.get(PieceIndex(5)), None);
        let some = roots.slice(3..5).unwrap();
        assert_eq!((some.len(), some.get(PieceIndex(1))), (2, Some(last)));
        assert_eq!(roots.slice(4..6), None);
        // The same bytes are other hashes.
        assert_ne!(sha1, roots);
        assert_eq!(PieceHashes::sha1(vec![0; 39]).len(), 1);
    }
}
