//! Resume data: what is remembered of a torrent between two sessions, in
//! libtorrent's format (a bencoded dict), so that both libraries can go on
//! where the other one stopped.
//!
//! [`ResumeData::decode`] reads versions 1 and 2 of untrusted bytes,
//! [`ResumeData::encode`] writes version 2. Nothing in it is believed here but
//! the info dict, which must have the hash it is stored under: what a record
//! claims to be on disk is for the driver to verify. The driver decodes a
//! record when a torrent is added and encodes one when it is saved.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;

use crate::bencode::DecodeError;
use crate::bitfield::Bitfield;
use crate::ids::{FileIndex, InfoHash, InfoHashes, PieceIndex};

/// The value of `file-format`.
const FILE_FORMAT: &str = "libtorrent resume file";

/// The version that is written.
const FILE_VERSION: i64 = 2;

/// The key under which the files' lengths and times stand; ours alone, other
/// readers pass over it.
const FILE_STATS: &str = "godot-torrent-files";

/// What a running libtorrent writes for "unlimited" and "unknown".
const UNLIMITED: i64 = 0xff_ffff;

/// Bytes that a record may have: an info dict of 30 MiB and what goes with
/// the most pieces a torrent can have.
pub const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Why bytes are not resume data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// There are more bytes than any record has.
    #[error("{0} bytes are too many for resume data")]
    TooLarge(usize),
    /// It is not bencode.
    #[error("resume data is not bencode: {0}")]
    Bencode(#[from] DecodeError),
    /// It is bencode, but not a dict.
    #[error("resume data is not a dict")]
    NotADict,
    /// `file-format` or `file-version` says that it is something else.
    #[error("invalid file tag: the file-format is not libtorrent's or its version neither 1 nor 2")]
    InvalidFileTag,
    /// There is no info-hash in it.
    #[error("missing info hash")]
    MissingInfoHash,
    /// The info dict has another hash than the record, or the record is of
    /// another torrent.
    #[error("mismatching info hash")]
    MismatchingInfoHash,
}

impl ResumeError {
    /// libtorrent's number for it, where it has one.
    pub fn libtorrent_code(&self) -> Option<u32> {
        match self {
            Self::InvalidFileTag => Some(28),
            Self::MissingInfoHash => Some(29),
            Self::MismatchingInfoHash => Some(30),
            _ => None,
        }
    }
}

/// How the files take up their space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Allocation {
    /// As they are written.
    #[default]
    Sparse,
    /// All of it at the start.
    Full,
}

macro_rules! flags {
    ($( $(#[doc = $doc:literal])+ $name:ident; )*) => {
        /// The torrent's switches; `None` where the record is silent.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Flags {
            $( $(#[doc = $doc])+ pub $name: Option<bool>, )*
        }

        impl Flags {
            fn each(&self) -> impl Iterator<Item = (&'static str, Option<bool>)> {
                [ $( (stringify!($name), self.$name), )* ].into_iter()
            }

            fn each_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut Option<bool>)> {
                [ $( (stringify!($name), &mut self.$name), )* ].into_iter()
            }
        }
    };
}

flags! {
    /// Believed to be complete; pieces are hashed before they are first sent.
    seed_mode;
    /// Nothing is downloaded.
    upload_mode;
    /// Only what raises the ratio is downloaded.
    share_mode;
    /// The session's IP filter holds for it.
    apply_ip_filter;
    /// It is paused.
    paused;
    /// The session's queue starts and stops it.
    auto_managed;
    /// Super-seeding (BEP 16).
    super_seeding;
    /// It is an I2P torrent.
    i2p;
    /// Pieces are fetched in order.
    sequential_download;
    /// It pauses once it is checked.
    stop_when_ready;
    /// It is not announced to the DHT.
    disable_dht;
    /// It is not announced in the local network.
    disable_lsd;
    /// Its peers are not exchanged.
    disable_pex;
    /// The version 1 half of a hybrid torrent is not used.
    disable_v1_hashes;
}

/// A file as it was when the record was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStat {
    /// Its length in bytes.
    pub length: u64,
    /// When it was last changed: nanoseconds of Unix time.
    pub modified: i64,
}

/// Everything that a record can hold. See libtorrent's `add_torrent_params`
/// for the origin of the names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResumeData {
    /// What names the torrent; always there in a record that was decoded.
    pub hashes: Option<InfoHashes>,
    /// The info dict as it stands in the torrent file; its SHA-1 is the v1 hash
    /// where there is one.
    pub info: Option<Bytes>,
    /// The display name.
    pub name: String,
    /// The torrent file's comment.
    pub comment: String,
    /// The program that made the torrent file.
    pub created_by: String,
    /// When the torrent file was made: Unix time, 0 unknown.
    pub creation_date: i64,

    /// How the files take up their space.
    pub allocation: Allocation,
    /// The folder of the files, in the system's own encoding; may be empty.
    pub save_path: Vec<u8>,
    /// The folder of the part file, if it is another one.
    pub part_file_dir: Vec<u8>,
    /// The certificate of an SSL torrent.
    pub root_certificate: String,

    /// Payload bytes sent, over all sessions.
    pub total_uploaded: u64,
    /// Payload bytes received, over all sessions.
    pub total_downloaded: u64,
    /// Seconds not paused.
    pub active_time: u64,
    /// Seconds with everything wanted there.
    pub finished_time: u64,
    /// Seconds with all of it there.
    pub seeding_time: u64,
    /// When it was added: Unix time, 0 unknown.
    pub added_time: i64,
    /// When it was finished: Unix time, 0 not yet.
    pub completed_time: i64,
    /// When a whole copy was last seen in the swarm: Unix time, 0 never.
    pub last_seen_complete: i64,
    /// When payload last came in: Unix time, 0 never.
    pub last_download: i64,
    /// When payload was last sent: Unix time, 0 never.
    pub last_upload: i64,

    /// Seeds, as the tracker said last.
    pub num_complete: Option<u32>,
    /// Downloaders, as the tracker said last.
    pub num_incomplete: Option<u32>,
    /// Downloads completed, as the tracker said last.
    pub num_downloaded: Option<u32>,

    /// Most connections; `None` for no limit.
    pub max_connections: Option<u32>,
    /// Most unchoked peers; `None` for no limit.
    pub max_uploads: Option<u32>,
    /// Bytes per second up; `None` for no limit.
    pub upload_limit: Option<u32>,
    /// Bytes per second down; `None` for no limit.
    pub download_limit: Option<u32>,
    /// The switches.
    pub flags: Flags,

    /// The pieces that are there, packed as on the wire; empty for none. See
    /// [`Self::have`].
    pub pieces: Vec<u8>,
    /// In seed mode: the pieces that have been hashed, packed likewise.
    pub verified: Vec<u8>,
    /// Priority of each piece, from 0 to 7; empty where all are normal.
    pub piece_priorities: Vec<u8>,
    /// Priority of each file, from 0 to 7; empty where all are normal.
    pub file_priorities: Vec<u8>,
    /// The 16 KiB blocks that are there of pieces that are not: packed as on
    /// the wire. See [`Self::unfinished_blocks`].
    pub unfinished: BTreeMap<PieceIndex, Vec<u8>>,

    /// Tiers of trackers instead of those in the torrent file; an empty list
    /// means none at all.
    pub trackers: Option<Vec<Vec<String>>>,
    /// Web seeds instead of those in the torrent file.
    pub url_seeds: Option<Vec<String>>,
    /// New paths of files, below the save path, in the system's own encoding.
    pub renamed_files: BTreeMap<FileIndex, Vec<u8>>,
    /// Peers to try.
    pub peers: Vec<SocketAddr>,
    /// Peers never to be connected to.
    pub banned_peers: Vec<SocketAddr>,
    /// Hash trees of BEP 52: the bencoded list, kept as it is in the form of
    /// version 2.
    pub trees: Option<Bytes>,
    /// Each file as it was; `None` for one that did not exist. Empty in
    /// records of others.
    pub file_stats: Vec<Option<FileStat>>,
}

impl ResumeData {
    /// The pieces that are claimed to be there, of a torrent of `num_pieces`.
    /// `None` when the record has another number of pieces.
    pub fn have(&self, num_pieces: u32) -> Option<Bitfield> {
        bits(&self.pieces, num_pieces)
    }

    /// The pieces hashed in seed mode.
    pub fn verified_pieces(&self, num_pieces: u32) -> Option<Bitfield> {
        bits(&self.verified, num_pieces)
    }

    /// The blocks that are claimed to be there of a piece of `blocks` blocks
    /// that is not complete. `None` when the record has another number.
    pub fn unfinished_blocks(&self, piece: PieceIndex, blocks: u32) -> Option<Bitfield> {
        Bitfield::from_wire(self.unfinished.get(&piece)?, blocks)
    }

    /// Whether the record is of the torrent with this hash, as
    /// [`InfoHashes::handshake_hash`].
    pub fn is_of(&self, info_hash: InfoHash) -> bool {
        self.hashes.map(InfoHashes::handshake_hash) == Some(info_hash)
    }
}

/// An empty string stands for an empty set.
fn bits(packed: &[u8], len: u32) -> Option<Bitfield> {
    if packed.is_empty() {
        return Some(Bitfield::new(len));
    }
    Bitfield::from_wire(packed, len)
}
