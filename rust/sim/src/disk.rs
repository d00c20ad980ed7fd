//! A disk in memory that takes its time, hashes what it is given, and fails
//! where it is scripted to.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher};
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt;
use rand::rngs::StdRng;
use torrent_core::ban::ReceivedBlock;
use torrent_core::bitfield::Bitfield;
use torrent_core::ids::{Block, PeerKey, PieceIndex};
use torrent_core::peer::ReadJob;

use crate::payload::Payload;

/// What a disk is like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DiskSpec {
    /// Longest time of one operation.
    pub latency: Duration,
    /// Part of the reads that come back with a wrong byte, 0 to 1.
    pub corrupt_reads: f64,
    /// Part of the blocks that are spoilt on their way to the hash, 0 to 1.
    pub corrupt_writes: f64,
}

impl Default for DiskSpec {
    /// Up to 5 ms, no faults.
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(5),
            corrupt_reads: 0.0,
            corrupt_writes: 0.0,
        }
    }
}

/// What the disk reports to its torrent.
#[derive(Debug)]
pub(crate) enum DiskEvent {
    Verified(PieceIndex),
    PieceFailed(PieceIndex, Vec<ReceivedBlock>),
    /// Verified, after it had failed.
    Audited(PieceIndex, Vec<(u32, u64)>),
    WriteFailed(PieceIndex),
    Checked(Bitfield),
}

/// A block's bytes and who sent them; `None` until they come.
type SimPiece = Option<(Bytes, PeerKey)>;

#[derive(Debug)]
pub(crate) struct Disk {
    spec: DiskSpec,
    payload: Payload,
    free_at: Duration,
    /// The files.
    pub(crate) bytes: Vec<u8>,
    pub(crate) have: Bitfield,
    partials: BTreeMap<PieceIndex, Vec<SimPiece>>,
    /// Pieces that failed their hash and are not here yet.
    failed: BTreeSet<PieceIndex>,
    /// So many writes fail from now on.
    pub(crate) failing_writes: u32,
    pub(crate) redundant: u64,
}

impl Disk {
    pub(crate) fn new(spec: DiskSpec, payload: Payload, have: Bitfield) -> Self {
        let mut bytes = vec![0; payload.bytes.len()];
        for piece in have.iter().map(PieceIndex) {
            let from = payload.layout.piece_offset(piece) as usize;
            let right = payload.piece(piece);
            bytes[from..from + right.len()].copy_from_slice(right);
        }
        Self {
            spec,
            payload,
            free_at: Duration::ZERO,
            bytes,
            have,
            partials: BTreeMap::new(),
            failed: BTreeSet::new(),
            failing_writes: 0,
            redundant: 0,
        }
    }

    /// When an operation that is asked for now is done: one after the other.
    pub(crate) fn schedule(&mut self, now: Duration, rng: &mut StdRng) -> Duration {
        let time = self.spec.latency.mul_f64(rng.random());
        self.free_at = self.free_at.max(now) + time;
        self.free_at
    }

    /// Takes a block. Says what became of its piece if it was the last.
    pub(crate) fn write(
        &mut self,
        block: Block,
        mut data: Bytes,
        from: PeerKey,
        rng: &mut StdRng,
    ) -> Option<DiskEvent> {
        let piece = block.piece;
        if self.have.get(piece.0) {
            self.redundant += data.len() as u64;
            return None;
        }
        if chance(self.spec.corrupt_writes, rng) {
            data = spoilt(&data, rng);
        }
        let blocks = self.payload.layout.blocks_in_piece(piece) as usize;
        let slots = self
            .partials
            .entry(piece)
            .or_insert_with(|| vec![None; blocks]);
        let slot = &mut slots[block.index as usize];
        if slot.is_some() {
            self.redundant += data.len() as u64;
            return None;
        }
        *slot = Some((data, from));
        if slots.iter().any(Option::is_none) {
            return None;
        }
        let slots = self.partials.remove(&piece)?;
        Some(self.complete(piece, slots))
    }

    fn complete(&mut self, piece: PieceIndex, slots: Vec<SimPiece>) -> DiskEvent {
        let (data, senders): (Vec<Bytes>, Vec<PeerKey>) = slots.into_iter().flatten().unzip();
        let digests = (0..).zip(data.iter().map(|it| digest(it)));
        let digests: Vec<(u32, u64)> = digests.collect();
        let data = data.concat();
        if !self.payload.is_right(piece, &data) {
            self.failed.insert(piece);
            let received = |(&(block, digest), sender)| ReceivedBlock {
                block,
                sender,
                digest: Some(digest),
            };
            let blocks = digests.iter().zip(senders).map(received).collect();
            return DiskEvent::PieceFailed(piece, blocks);
        }
        if self.failing_writes > 0 {
            self.failing_writes -= 1;
            return DiskEvent::WriteFailed(piece);
        }
        let from = self.payload.layout.piece_offset(piece) as usize;
        self.bytes[from..from + data.len()].copy_from_slice(&data);
        self.have.set(piece.0);
        if self.failed.remove(&piece) {
            return DiskEvent::Audited(piece, digests);
        }
        DiskEvent::Verified(piece)
    }

    pub(crate) fn read(&mut self, job: &ReadJob, rng: &mut StdRng) -> Bytes {
        let from = self.payload.layout.piece_offset(job.piece) + u64::from(job.begin);
        let data = &self.bytes[from as usize..from as usize + job.length as usize];
        if chance(self.spec.corrupt_reads, rng) {
            spoilt(data, rng)
        } else {
            Bytes::copy_from_slice(data)
        }
    }

    /// Drops what is unfinished and looks at the files.
    pub(crate) fn check(&mut self) -> DiskEvent {
        self.partials.clear();
        self.have = Bitfield::new(self.payload.num_pieces());
        for piece in self.payload.layout.pieces() {
            let from = self.payload.layout.piece_offset(piece) as usize;
            let length = self.payload.layout.piece_len(piece) as usize;
            if self
                .payload
                .is_right(piece, &self.bytes[from..from + length])
            {
                self.have.set(piece.0);
            }
        }
        DiskEvent::Checked(self.have.clone())
    }

    /// Overwrites a piece in the files, unnoticed.
    pub(crate) fn damage(&mut self, piece: PieceIndex) {
        let from = self.payload.layout.piece_offset(piece) as usize;
        self.bytes[from] ^= 1;
    }
}

fn digest(data: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(data);
    hasher.finish()
}

fn chance(part: f64, rng: &mut StdRng) -> bool {
    part > 0.0 && rng.random_bool(part)
}

fn spoilt(data: &[u8], rng: &mut StdRng) -> Bytes {
    let mut data = data.to_vec();
    let at = rng.random_range(0..data.len());
    data[at] ^= 1;
    data.into()
}
