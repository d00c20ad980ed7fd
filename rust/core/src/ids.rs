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
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InfoHashV2(pub [u8; 32]);

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
/// torrent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InfoHashes {
    /// The name of its v1 swarm (BEP 3).
    pub v1: Option<InfoHash>,
    /// The name of its v2 swarm (BEP 52).
    pub v2: Option<InfoHashV2>,
}

impl From<InfoHash> for InfoHashes {
    fn from(v1: InfoHash) -> Self {
        Self {
            v1: Some(v1),
            v2: None,
        }
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
