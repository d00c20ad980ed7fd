//! What a swarm shares: bytes that depend on a seed alone, and their hashes.

use std::sync::Arc;

use bytes::Bytes;
use sha1::{Digest, Sha1};
use torrent_core::ids::{InfoHash, PieceIndex};
use torrent_core::layout::Layout;

/// The contents of a torrent.
#[derive(Clone, Debug)]
pub struct Payload {
    pub(crate) layout: Arc<Layout>,
    pub(crate) bytes: Arc<[u8]>,
    hashes: Arc<[[u8; 20]]>,
    /// What stands for the info dict: a little more than two pieces of it.
    pub(crate) metadata: Bytes,
}

impl Payload {
    /// Files of these lengths, laid end to end, in pieces of `piece_length`
    /// bytes, filled as `seed` says.
    ///
    /// # Panics
    /// When the files make no torrent.
    pub fn new(seed: u64, piece_length: u32, files: &[u64]) -> Self {
        let files = files.iter().map(|&length| (length, false));
        let layout = Layout::new(piece_length, files).expect("a torrent");
        let words = (layout.total_length() as usize).div_ceil(8);
        let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
        let mut bytes = Vec::with_capacity(words * 8);
        for _ in 0..words {
            // xorshift64*: fast even without optimisation.
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            bytes.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
        }
        bytes.truncate(layout.total_length() as usize);
        let hashes = bytes
            .chunks(piece_length as usize)
            .map(|piece| Sha1::digest(piece).into())
            .collect();
        Self {
            layout: Arc::new(layout),
            bytes: bytes.into(),
            hashes,
            metadata: (0..40_000u32).map(|at| (at ^ seed as u32) as u8).collect(),
        }
    }

    /// Where everything is.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The torrent's hash.
    pub(crate) fn info_hash(&self) -> InfoHash {
        InfoHash(Sha1::digest(&self.metadata).into())
    }

    /// Number of pieces.
    pub fn num_pieces(&self) -> u32 {
        self.layout.num_pieces()
    }

    /// The right bytes of `piece`.
    pub(crate) fn piece(&self, piece: PieceIndex) -> &[u8] {
        let from = self.layout.piece_offset(piece) as usize;
        &self.bytes[from..from + self.layout.piece_len(piece) as usize]
    }

    /// Whether `bytes` have the hash of `piece`.
    pub(crate) fn is_right(&self, piece: PieceIndex, bytes: &[u8]) -> bool {
        let digest: [u8; 20] = Sha1::digest(bytes).into();
        self.hashes[piece.0 as usize] == digest
    }
}
