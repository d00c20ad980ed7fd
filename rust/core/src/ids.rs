//! Newtypes for everything that is counted or named in a swarm, so that a
//! piece index can never be passed where a file index is meant.

use std::fmt;

use data_encoding::HEXLOWER_PERMISSIVE;

/// Bytes in a full block, the unit of `request` and `piece` messages (BEP 3).
pub const BLOCK_SIZE: u32 = 16 * 1024;

/// Index of a piece within a torrent, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PieceIndex(pub u32);

/// Index of a file within a torrent, from 0, in the order of the info dict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileIndex(pub u32);

/// One block: the `index`-th run of [`BLOCK_SIZE`] bytes within `piece`.
/// The last block of the last piece may be shorter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block {
    /// The piece that the block belongs to.
    pub piece: PieceIndex,
    /// Position of the block within the piece, in blocks.
    pub index: u32,
}

impl Block {
    /// The block `index` of `piece`.
    pub const fn new(piece: PieceIndex, index: u32) -> Self {
        Self { piece, index }
    }

    /// Offset of the block's first byte within its piece.
    pub const fn begin(self) -> u32 {
        self.index * BLOCK_SIZE
    }
}

impl fmt::Display for PieceIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for FileIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.piece, self.index)
    }
}

/// SHA-1 of a torrent's info dict: the name of a v1 swarm (BEP 3).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InfoHash(pub [u8; 20]);

impl InfoHash {
    /// Reads 40 hexadecimal digits, of either case.
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }
}

impl fmt::Display for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER_PERMISSIVE.encode(&self.0))
    }
}

impl fmt::Debug for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InfoHash({self})")
    }
}

/// SHA-256 of a torrent's info dict: the name of a v2 swarm (BEP 52).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InfoHashV2(pub [u8; 32]);

impl InfoHashV2 {
    /// Reads 64 hexadecimal digits, of either case.
    pub fn from_hex(text: &str) -> Option<Self> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    /// Its first 20 bytes, which stand for it in handshakes, announces and the
    /// DHT (BEP 52).
    pub fn truncated(self) -> InfoHash {
        let mut short = [0; 20];
        short.copy_from_slice(&self.0[..20]);
        InfoHash(short)
    }
}

impl fmt::Display for InfoHashV2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER_PERMISSIVE.encode(&self.0))
    }
}

impl fmt::Debug for InfoHashV2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InfoHashV2({self})")
    }
}

/// What names a torrent outside of a session: one hash, or both for a hybrid
/// torrent (BEP 52). Never none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InfoHashes {
    /// A torrent of version 1, or one of which no more is known.
    V1(InfoHash),
    /// A torrent of version 2 alone, or one of which no more is known.
    V2(InfoHashV2),
    /// A torrent of both versions, which has two swarms.
    Hybrid(InfoHash, InfoHashV2),
}

impl InfoHashes {
    /// Those that there are; `None` where there is none.
    pub fn new(v1: Option<InfoHash>, v2: Option<InfoHashV2>) -> Option<Self> {
        match (v1, v2) {
            (Some(v1), Some(v2)) => Some(Self::Hybrid(v1, v2)),
            (Some(v1), None) => Some(Self::V1(v1)),
            (None, Some(v2)) => Some(Self::V2(v2)),
            (None, None) => None,
        }
    }

    /// The name of its v1 swarm (BEP 3).
    pub fn v1(self) -> Option<InfoHash> {
        match self {
            Self::V1(v1) | Self::Hybrid(v1, _) => Some(v1),
            Self::V2(_) => None,
        }
    }

    /// The name of its v2 swarm (BEP 52).
    pub fn v2(self) -> Option<InfoHashV2> {
        match self {
            Self::V2(v2) | Self::Hybrid(_, v2) => Some(v2),
            Self::V1(_) => None,
        }
    }

    /// The 20 bytes that name the torrent where there is room for one name: in
    /// handshakes, to trackers, in the names of files and in what the API
    /// shows. The v1 hash, or the truncated v2 hash where there is none.
    pub fn handshake_hash(self) -> InfoHash {
        match self {
            Self::V1(v1) | Self::Hybrid(v1, _) => v1,
            Self::V2(v2) => v2.truncated(),
        }
    }

    /// The 20 bytes that name each of its swarms.
    pub fn swarms(self) -> impl Iterator<Item = InfoHash> {
        let v2 = self.v2().map(InfoHashV2::truncated);
        self.v1().into_iter().chain(v2)
    }

    /// These and what `other` knows beside them.
    pub fn with(self, other: Self) -> Self {
        match (self, other.v1(), other.v2()) {
            (Self::V1(v1), _, Some(v2)) | (Self::V2(v2), Some(v1), _) => Self::Hybrid(v1, v2),
            _ => self,
        }
    }

    /// Whether both can name the same torrent: they have one hash in common,
    /// and none that differs.
    pub fn agree(self, other: Self) -> bool {
        let v1 = self.v1().zip(other.v1()).map(|(one, other)| one == other);
        let v2 = self.v2().zip(other.v2()).map(|(one, other)| one == other);
        matches!(
            (v1, v2),
            (Some(true), None | Some(true)) | (None, Some(true))
        )
    }
}

impl From<InfoHash> for InfoHashes {
    fn from(v1: InfoHash) -> Self {
        Self::V1(v1)
    }
}

impl From<InfoHashV2> for InfoHashes {
    fn from(v2: InfoHashV2) -> Self {
        Self::V2(v2)
    }
}

/// The 20 bytes with which a client names itself in a handshake (BEP 20).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub [u8; 20]);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({self})")
    }
}

/// Names one connection within its torrent. Never reused while the torrent
/// lives, so a late message from a closed connection cannot reach another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey(pub u64);

impl PeerKey {
    /// No connection: for bytes without a sender, such as padding.
    pub const NONE: Self = Self(u64::MAX);

    /// A connection of which nothing is known any more: where something was on
    /// disk when the session began.
    pub const UNKNOWN: Self = Self(u64::MAX - 1);
}

/// Names one torrent within its process. Never reused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TorrentKey(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    const V1: InfoHash = InfoHash([1; 20]);
    const V2: InfoHashV2 = InfoHashV2([2; 32]);

    #[test]
    fn a_torrent_is_named_by_what_there_is_of_hashes() {
        assert_eq!(InfoHashes::new(None, None), None);
        let named = |v1, v2| InfoHashes::new(v1, v2).unwrap();
        let short = InfoHash([2; 20]);
        for (hashes, one, swarms) in [
            (named(Some(V1), None), V1, vec![V1]),
            (named(None, Some(V2)), short, vec![short]),
            (named(Some(V1), Some(V2)), V1, vec![V1, short]),
        ] {
            assert_eq!(InfoHashes::new(hashes.v1(), hashes.v2()), Some(hashes));
            assert_eq!(hashes.handshake_hash(), one);
            assert_eq!(hashes.swarms().collect::<Vec<_>>(), swarms);
        }
        assert_eq!(InfoHashV2::from_hex(&V2.to_string()), Some(V2));
        assert_eq!(InfoHashV2::from_hex(&V1.to_string()), None);
    }

    #[test]
    fn names_agree_that_have_a_hash_in_common_and_none_that_differs() {
        let (v1, v2) = (InfoHashes::V1(V1), InfoHashes::V2(V2));
        let both = InfoHashes::Hybrid(V1, V2);
        assert!(both.agree(both) && both.agree(v1) && v2.agree(both) && v1.agree(v1));
        assert!(!v1.agree(v2));
        assert_eq!(
            (v1.with(both), v2.with(both), v1.with(v1)),
            (both, both, v1)
        );
        let other = InfoHashes::Hybrid(V1, InfoHashV2([3; 32]));
        assert!(!both.agree(other) && other.agree(v1) && !other.agree(v2));
    }
}
