//! One worker's share of one torrent: takes blocks, follows the hash, and
//! turns complete pieces into writes and events.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::RandomState;
use std::sync::Arc;

use bytes::Bytes;
use torrent_core::ban::ReceivedBlock;
use torrent_core::bitfield::Bitfield;
use torrent_core::ids::{BLOCK_SIZE, Block, PeerKey, PieceIndex};

use super::Common;
use super::counters::Counters;
use super::error::{DiskError, DiskOp, Fault};
use super::event::{DiskEvent, DiskEventQueue};
use super::piece_buffer::{Next, PieceBuffer};
use super::spec::StorageSpec;
use super::storage::StorageShared;
use super::worker::WorkerMessage;
use crate::buffers::BufferClass;

/// Bytes of padding that a worker hashes before it looks at its other work
/// again.
const PADDING_STEP: u64 = 4 * 1024 * 1024;

/// Failed pieces of one torrent that a worker remembers.
const MAX_FAILED: usize = 1024;

/// What one worker uses for all its torrents.
pub(super) struct Tools {
    pub(super) common: Arc<Common>,
    /// Payload bytes in memory, over all unfinished pieces of the worker.
    pub(super) held: usize,
}

impl Tools {
    pub(super) fn new(common: Arc<Common>) -> Self {
        Self { common, held: 0 }
    }

    /// Forgets what an unfinished piece holds.
    fn drop(&mut self, buffer: PieceBuffer) {
        self.held -= buffer.held();
    }
}

fn untouched(spec: &StorageSpec, piece: PieceIndex) -> PieceBuffer {
    let layout = &spec.layout;
    let padding = layout.padding_runs(piece);
    PieceBuffer::new(layout.piece_len(piece), padding, spec.hasher(piece))
}

/// A torrent's unfinished pieces in one worker, and its unsent events.
pub(super) struct Local {
    pub(super) shared: Arc<StorageShared>,
    pub(super) partials: HashMap<PieceIndex, PieceBuffer>,
    /// Pieces whose hash has come to padding that is not hashed yet.
    padding: VecDeque<PieceIndex>,
    pub(super) event_queue: DiskEventQueue,
    /// What came since the storage was fenced (see `fence`), if it is.
    kept: Option<Vec<WorkerMessage>>,
    /// Pieces that failed their hash and are not here yet.
    failed: BTreeSet<PieceIndex>,
    /// For the digests of their blocks.
    keys: RandomState,
}

impl Local {
    pub(super) fn new(shared: Arc<StorageShared>) -> Self {
        Self {
            shared,
            partials: HashMap::new(),
            padding: VecDeque::new(),
            event_queue: DiskEventQueue::default(),
            kept: None,
            failed: BTreeSet::new(),
            keys: RandomState::new(),
        }
    }

    /// Keeps what comes from now on.
    pub(super) fn fence(&mut self) {
        self.kept.get_or_insert_default();
    }

    /// Ends that, and returns what was kept.
    pub(super) fn unfence(&mut self) -> Vec<WorkerMessage> {
        self.kept.take().unwrap_or_default()
    }

    pub(super) fn is_fenced(&self) -> bool {
        self.kept.is_some()
    }

    /// Keeps a message if the storage is fenced; returns it otherwise.
    pub(super) fn keep(&mut self, message: WorkerMessage) -> Option<WorkerMessage> {
        match &mut self.kept {
            Some(kept) => {
                kept.push(message);
                None
            }
            None => Some(message),
        }
    }

    /// Takes one block, and finishes its piece if it was the last.
    pub(super) fn accept(&mut self, tools: &mut Tools, block: Block, data: Bytes, from: PeerKey) {
        let layout = &self.shared.spec.layout;
        let length = data.len();
        if length == 0 || layout.block_len(block) as usize != length {
            // Peers' blocks are compared with the requests before they come here.
            return self.event_queue.push(DiskEvent::Internal {
                message: format!("block {block} came with {length} bytes"),
            });
        }
        if self.shared.pieces.have.get(block.piece.0) {
            return self.event_queue.push(DiskEvent::Redundant {
                bytes: length as u64,
            });
        }
        let buffer = self
            .partials
            .entry(block.piece)
            .or_insert_with(|| untouched(&self.shared.spec, block.piece));
        if !buffer.insert(block.index, data, from) {
            return self.event_queue.push(DiskEvent::Redundant {
                bytes: length as u64,
            });
        }
        tools.held += length;
        self.advance(tools, block.piece);
    }

    /// Hashes what is next in line in `piece`, and finishes it when it is
    /// complete.
    fn advance(&mut self, tools: &mut Tools, piece: PieceIndex) {
        const BLOCKS: u32 = BufferClass::Large.size() as u32 / BLOCK_SIZE;
        let layout = &self.shared.spec.layout;
        while let Some(buffer) = self.partials.get_mut(&piece) {
            let (first, count) = match buffer.advance(BLOCKS) {
                Next::Wait => return,
                Next::Complete => return self.complete(tools, piece),
                Next::Padding(length) => {
                    // One after the other: the next may be equal to the first.
                    let is_first = self.padding.front().is_none_or(|&first| first == piece);
                    if !is_first && length > PADDING_STEP {
                        if !self.padding.contains(&piece) {
                            self.padding.push_back(piece);
                        }
                        return;
                    }
                    let zeros = &tools.common.zeros;
                    let (all, spent) = buffer.hash_padding(length, zeros, PADDING_STEP);
                    if let Err(error) = self.shared.padding.spend(spent) {
                        let error = self.shared.error(DiskOp::Write, None, Fault::Io(error));
                        return self.lose(tools, piece, error);
                    }
                    if !all {
                        if self.padding.is_empty() {
                            self.padding.push_back(piece);
                        }
                        return;
                    }
                    if is_first {
                        self.padding.pop_front();
                    }
                    continue;
                }
                Next::ReadBack { first, count } => (first, count),
            };
            let begin = first * BLOCK_SIZE;
            let length = (count * BLOCK_SIZE).min(layout.piece_len(piece) - begin);
            let offset = layout.piece_offset(piece) + u64::from(begin);
            match tools.common.read_pooled(&self.shared, offset, length) {
                Ok(data) => {
                    Counters::add(&tools.common.counters.read_back, u64::from(count));
                    buffer.hash_stored(&data, count);
                }
                Err(error) => return self.lose(tools, piece, error),
            }
        }
    }

    /// Whether there is padding to go on with.
    pub(super) fn has_padding(&self) -> bool {
        !self.is_fenced() && !self.padding.is_empty()
    }

    /// Goes on with the padding of the first piece in line.
    pub(super) fn hash_padding(&mut self, tools: &mut Tools) {
        let Some(&piece) = self.padding.front() else {
            return;
        };
        match self.partials.contains_key(&piece) {
            true => self.advance(tools, piece),
            // It was lost meanwhile.
            false => drop(self.padding.pop_front()),
        }
    }

    fn complete(&mut self, tools: &mut Tools, piece: PieceIndex) {
        let Some(mut buffer) = self.partials.remove(&piece) else {
            return;
        };
        let digest = buffer.digest();
        let blocks = self.shared.spec.layout.blocks_in_piece(piece);
        Counters::add(&tools.common.counters.blocks_hashed, u64::from(blocks));
        let due = self.shared.spec.hash(piece);
        let event = if !tools.common.accepts(digest, due) {
            self.note_failed(piece);
            DiskEvent::PieceFailed {
                piece,
                blocks: buffer.received_blocks(&self.keys),
            }
        } else if let Err(error) = self.write(tools, piece, &buffer, false) {
            DiskEvent::WriteFailed { piece, error }
        } else {
            self.shared.pieces.have.set(piece.0);
            if self.failed.remove(&piece) {
                let blocks = buffer.received_blocks(&self.keys).into_iter();
                let digest = |it: ReceivedBlock| Some((it.block, it.digest?));
                let digests = blocks.filter_map(digest).collect();
                self.event_queue.push(DiskEvent::Audited { piece, digests });
            }
            DiskEvent::Verified(vec![piece])
        };
        self.event_queue.push(event);
        tools.drop(buffer);
    }

    /// Remembers that `piece` failed, to name its blocks when it is right.
    fn note_failed(&mut self, piece: PieceIndex) {
        self.failed.insert(piece);
        if self.failed.len() > MAX_FAILED {
            self.failed.pop_first();
        }
    }

    /// Writes what `piece` holds in memory before it is complete, to free the
    /// memory. Only what is hashed if `hashed_only`: that need never be read
    /// back.
    pub(super) fn write_early(&mut self, tools: &mut Tools, piece: PieceIndex, hashed_only: bool) {
        let Some(mut buffer) = self.partials.remove(&piece) else {
            return;
        };
        let written = self.write(tools, piece, &buffer, hashed_only);
        if written.is_ok() {
            tools.held -= buffer.stored(hashed_only, &self.keys);
        }
        self.partials.insert(piece, buffer);
        if let Err(error) = written {
            self.lose(tools, piece, error);
        }
    }

    fn write(
        &self,
        tools: &Tools,
        piece: PieceIndex,
        buffer: &PieceBuffer,
        hashed_only: bool,
    ) -> Result<(), DiskError> {
        let offset = self.shared.spec.layout.piece_offset(piece);
        let mut runs = buffer.runs(hashed_only).into_iter();
        runs.try_for_each(|(begin, run)| self.shared.io.write(&tools.common, offset + begin, &run))
    }

    /// Drops `piece` for a storage error.
    fn lose(&mut self, tools: &mut Tools, piece: PieceIndex, error: DiskError) {
        if let Some(buffer) = self.partials.remove(&piece) {
            tools.drop(buffer);
        }
        self.event_queue
            .push(DiskEvent::WriteFailed { piece, error });
    }

    /// Drops every unfinished piece.
    pub(super) fn discard(&mut self, tools: &mut Tools) {
        self.padding.clear();
        for (_, buffer) in self.partials.drain() {
            tools.drop(buffer);
        }
    }

    /// Writes everything that unfinished pieces hold, and says which of their
    /// blocks are in the files.
    pub(super) fn save_partials(&mut self, tools: &mut Tools) -> Vec<(PieceIndex, Bitfield)> {
        let pieces: Vec<_> = self.partials.keys().copied().collect();
        for &piece in &pieces {
            self.write_early(tools, piece, false);
        }
        let partials = self.partials.iter();
        partials
            .map(|(&piece, buffer)| (piece, buffer.stored_blocks()))
            .collect()
    }

    /// Takes blocks that are in the files already.
    pub(super) fn adopt(&mut self, tools: &mut Tools, piece: PieceIndex, blocks: &Bitfield) {
        if self.shared.pieces.have.get(piece.0) {
            return;
        }
        let buffer = self.partials.entry(piece);
        let buffer = buffer.or_insert_with(|| untouched(&self.shared.spec, piece));
        self.shared.io.adopted(piece);
        for block in blocks.iter() {
            buffer.adopt(block);
        }
        self.advance(tools, piece);
    }

    /// Payload bytes in memory.
    pub(super) fn held(&self) -> usize {
        self.partials.values().map(PieceBuffer::held).sum()
    }
}
