//! One torrent's files: the handle through which peers and the torrent task
//! use them ([`Storage`]), and what it shares with the workers.
//!
//! In order: [`Disk::open`](super::Disk::open), then either a
//! [`check`](Storage::check) or [`check_resume`](Storage::check_resume) with
//! resume data, [`prepare`](Storage::prepare) when a download starts, writes and
//! reads, [`close`](Storage::close). Dropping the last handle closes too.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use crossbeam_channel::Sender;
use tokio::sync::{mpsc, oneshot};
use torrent_core::bitfield::Bitfield;
use torrent_core::ids::{Block, FileIndex, PeerKey, PieceIndex};

use super::Common;
use super::check::{CheckHandle, CheckJob, CheckMode};
use super::ending::{Ending, WorkerShares};
use super::error::{DiskError, DiskOp, Fault};
use super::event::DiskEvent;
use super::exclusive_work::ExclusiveWork;
use super::file_storage::FileStorage;
use super::memory_storage::MemoryStorage;
use super::piece_states::PieceStates;
use super::spec::{StorageKind, StorageSpec};
use super::storage_interface::StorageInterface;
use super::worker::WorkerMessage;
use crate::buffers::BufferClass;
use crate::hash::padding::ZeroBudget;
use crate::status::OpenFile;

/// What the handles of a storage and the workers share.
pub(super) struct StorageShared {
    /// Unique in this process's disk.
    pub(super) id: u64,
    pub(super) spec: Arc<StorageSpec>,
    /// Where the bytes are.
    pub(super) io: Box<dyn StorageInterface>,
    pub(super) pieces: Arc<PieceStates>,
    pub(super) events: mpsc::Sender<DiskEvent>,
    /// The padding that may be hashed, checks apart.
    pub(super) padding: ZeroBudget,
    /// Slow work on the files, which is done by one thread at a time.
    pub(super) exclusive_work: ExclusiveWork,
    /// The worker that owns piece 0.
    pub(super) first_worker: usize,
    pub(super) ending: Arc<Ending>,
    pub(super) worker_shares: WorkerShares,
}

impl StorageShared {
    pub(super) fn new(
        id: u64,
        spec: StorageSpec,
        events: mpsc::Sender<DiskEvent>,
        workers: usize,
    ) -> Self {
        let spec = Arc::new(spec);
        let pieces = Arc::new(PieceStates::new(Arc::clone(&spec)));
        let ending = Arc::new(Ending::default());
        let io: Box<dyn StorageInterface> = match spec.kind {
            StorageKind::Files => Box::new(FileStorage::new(
                id,
                Arc::clone(&spec),
                Arc::clone(&pieces),
                Arc::clone(&ending),
            )),
            StorageKind::Memory { max_bytes } => {
                Box::new(MemoryStorage::new(Arc::clone(&spec), max_bytes))
            }
        };
        Self {
            id,
            io,
            pieces,
            padding: ZeroBudget::new(spec.layout.payload_length()),
            exclusive_work: ExclusiveWork::default(),
            spec,
            events,
            first_worker: (id % workers as u64) as usize,
            ending,
            worker_shares: WorkerShares::new(workers),
        }
    }

    pub(super) fn error(&self, op: DiskOp, file: Option<FileIndex>, fault: Fault) -> DiskError {
        self.io.error(op, file, fault)
    }

    /// Whether the worker has let go of this storage.
    pub(super) fn is_closed(&self, worker: usize) -> bool {
        self.worker_shares.is_closed(worker)
    }

    /// Neighbouring pieces go to different workers, so that one torrent uses
    /// them all, and torrents of one piece start at different ones.
    fn worker_of(&self, piece: PieceIndex) -> usize {
        (piece.0 as usize + self.first_worker) % self.worker_shares.count().max(1)
    }
}

/// A torrent's storage. Clones are the same storage.
#[derive(Clone)]
pub struct Storage {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<StorageShared>,
    common: Arc<Common>,
    workers: Arc<[Sender<WorkerMessage>]>,
}

impl Storage {
    pub(super) fn new(
        shared: Arc<StorageShared>,
        common: Arc<Common>,
        workers: Arc<[Sender<WorkerMessage>]>,
    ) -> Self {
        Self {
            handle: Arc::new(Handle {
                shared,
                common,
                workers,
            }),
        }
    }

    /// The files of this torrent that are open.
    pub fn open_files(&self) -> Vec<OpenFile> {
        let Handle { shared, common, .. } = &*self.handle;
        shared.io.open_files(common)
    }

    /// Hands over the blocks that `from` has sent. Never waits; the bytes
    /// count as queued until they are written or dropped, and it is up to the
    /// peer to mind [`Disk::below_watermark`](super::Disk::below_watermark)
    /// before it reads more. Blocks of verified pieces are reported as
    /// redundant. After [`close`](Self::close) blocks are dropped silently.
    pub fn write(&self, mut batch: Vec<(Block, Bytes)>, from: PeerKey) {
        let shared = &self.handle.shared;
        let Some(first) = batch.first() else { return };
        if shared.ending.is_closing() {
            return;
        }
        // Usually all blocks are of one piece.
        let owner = shared.worker_of(first.0.piece);
        let mut rest = batch.extract_if(.., |(block, _)| shared.worker_of(block.piece) != owner);
        let Some(stray) = rest.next() else {
            drop(rest);
            return self.send_blocks(owner, batch, from);
        };
        let mut strays: Vec<_> = std::iter::once(stray).chain(rest).collect();
        self.send_blocks(owner, batch, from);
        for worker in 0..self.handle.workers.len() {
            let part: Vec<_> = strays
                .extract_if(.., |(block, _)| shared.worker_of(block.piece) == worker)
                .collect();
            if !part.is_empty() {
                self.send_blocks(worker, part, from);
            }
        }
    }

    fn send_blocks(&self, worker: usize, blocks: Vec<(Block, Bytes)>, from: PeerKey) {
        let budget = &self.handle.common.budget;
        let bytes = blocks.iter().map(|(_, data)| data.len()).sum();
        let stops_peers = budget.charge(bytes);
        let sent = self.send(
            worker,
            WorkerMessage::Write {
                storage: self.handle.shared.clone(),
                from,
                blocks,
                bytes,
            },
        );
        if !sent {
            budget.release(bytes);
        }
        if stops_peers {
            // One that has nothing else to do may hold what is in the way.
            for worker in 0..self.handle.workers.len() {
                self.send(worker, WorkerMessage::Relieve);
            }
        }
    }

    /// Reads `length` bytes (1 byte to 256 KiB, within one piece) from offset
    /// `begin` of `piece`. The caller asks for verified pieces only; one that
    /// was taken on trust is hashed first. Bytes of pad files are zeros; a file that is missing or too short is an error,
    /// never made-up bytes.
    pub async fn read(
        &self,
        piece: PieceIndex,
        begin: u32,
        length: u32,
    ) -> Result<Bytes, DiskError> {
        let shared = &self.handle.shared;
        if !shared.spec.layout.contains(piece, begin, length)
            || length as usize > BufferClass::Large.size()
        {
            return Err(shared.error(DiskOp::Read, None, Fault::OutOfRange));
        }
        if shared.ending.is_closing() {
            return Err(shared.error(DiskOp::Read, None, Fault::Closed));
        }
        if shared.pieces.trusted.get(piece.0) {
            let vouched = self.ask(shared.worker_of(piece), DiskOp::Read, |reply| {
                WorkerMessage::Vouch {
                    storage: shared.clone(),
                    piece,
                    reply,
                }
            });
            vouched.await??;
        }
        let offset = shared.spec.layout.piece_offset(piece) + u64::from(begin);
        if let Some(data) = shared.io.read_cached(&self.handle.common, offset, length) {
            return Ok(data);
        }
        self.ask(shared.worker_of(piece), DiskOp::Read, |reply| {
            WorkerMessage::Read {
                storage: shared.clone(),
                offset,
                length,
                reply,
            }
        })
        .await?
    }

    /// The pieces that are verified now.
    pub fn have(&self) -> Bitfield {
        self.handle.shared.pieces.have.to_bitfield()
    }

    /// Hashes existing files on all workers. Unfinished pieces in memory are
    /// dropped first, and no blocks should be written before the check has
    /// ended with [`DiskEvent::Checked`] or [`DiskEvent::CheckFailed`]. Where
    /// no file holds a byte it ends at once.
    pub fn check(&self, mode: CheckMode) -> CheckHandle {
        self.discard_partials();
        let handle = &self.handle;
        if matches!(mode, CheckMode::All) {
            handle.shared.pieces.set_known(false);
            // A file that was deleted or replaced from outside lives on as long as
            // it is open: what counts is what stands there now.
            handle.shared.io.release(&handle.common);
        }
        let job = Arc::new(CheckJob::new(
            handle.common.next_id(),
            handle.shared.clone(),
            mode,
            handle.workers.clone(),
        ));
        self.send(
            handle.shared.first_worker,
            WorkerMessage::Survey(job.clone()),
        );
        CheckHandle::new(job)
    }

    /// Drops the blocks of unfinished pieces, in memory and on their way to
    /// the workers. For a torrent that forgets them too, as after an error.
    pub fn discard_partials(&self) {
        for worker in 0..self.handle.workers.len() {
            self.send(worker, WorkerMessage::Discard(self.handle.shared.clone()));
        }
    }

    /// Writes the blocks of unfinished pieces to the files and returns which
    /// blocks of which pieces are there then.
    pub async fn save_partials(&self) -> BTreeMap<PieceIndex, Bitfield> {
        let shared = &self.handle.shared;
        let ask = |worker| {
            let (reply, answer) = oneshot::channel();
            let storage = shared.clone();
            self.send(worker, WorkerMessage::SavePartials { storage, reply });
            answer
        };
        let answers: Vec<_> = (0..self.handle.workers.len()).map(ask).collect();
        let mut all = BTreeMap::new();
        for answer in answers {
            // A worker that has stopped holds nothing.
            all.extend(answer.await.unwrap_or_default());
        }
        all
    }

    /// Takes these blocks of an unfinished piece, which are in the files
    /// already, as if they had come.
    pub fn adopt_partial(&self, piece: PieceIndex, blocks: Bitfield) {
        let shared = &self.handle.shared;
        let message = WorkerMessage::Adopt {
            storage: shared.clone(),
            piece,
            blocks,
        };
        self.send(shared.worker_of(piece), message);
    }

    /// Creates the save path and the wanted files of length 0. Other files are
    /// created with their first piece, or now where the room for them is to be
    /// allocated.
    pub async fn prepare(&self) -> Result<(), DiskError> {
        let shared = &self.handle.shared;
        self.ask(shared.first_worker, DiskOp::Create, |reply| {
            WorkerMessage::Prepare {
                storage: shared.clone(),
                reply,
            }
        })
        .await?
    }

    /// Waits until everything handed over before has been dealt with: all
    /// pieces that it completes are written and reported (or failed), and
    /// blocks of unfinished pieces are in memory.
    pub async fn flush(&self) {
        // What a fence holds back is dealt with after it.
        let permit = self.handle.shared.exclusive_work.permit().await;
        self.ask_all(|reply| WorkerMessage::Flush { reply }).await;
        drop(permit);
    }

    /// Cancels moving, renaming and taking files out of the part file: each ends as
    /// soon as it can, with every file where it was, and none begins from now on. For a
    /// torrent that ends.
    pub fn cut_short(&self) {
        self.handle.shared.ending.cut_short();
    }

    /// Closes the storage: blocks handed over before are dealt with, then
    /// unfinished pieces are dropped, checks end without an event and the
    /// files are closed. Nothing is written afterwards.
    pub async fn close(&self) {
        let shared = &self.handle.shared;
        shared.ending.close();
        // Long work on the files sees it and ends.
        let permit = shared.exclusive_work.permit().await;
        self.ask_all(|reply| WorkerMessage::Close {
            storage: shared.clone(),
            reply: Some(reply),
        })
        .await;
        drop(permit);
    }

    /// Whether bytes outlive the process, in a folder that can go missing.
    pub fn is_on_disk(&self) -> bool {
        self.handle.shared.io.is_on_disk()
    }

    /// What work on the files needs.
    pub(super) fn parts(&self) -> (Arc<StorageShared>, Arc<Common>) {
        let handle = &self.handle;
        (Arc::clone(&handle.shared), Arc::clone(&handle.common))
    }

    /// The worker that owns piece 0, and what it knows this storage by.
    #[cfg(test)]
    pub(super) fn first_worker(&self) -> (Sender<WorkerMessage>, Arc<StorageShared>) {
        let shared = self.handle.shared.clone();
        (self.handle.workers[shared.first_worker].clone(), shared)
    }

    /// Sends to a worker. False where it has stopped.
    fn send(&self, worker: usize, message: WorkerMessage) -> bool {
        self.handle
            .workers
            .get(worker)
            .is_some_and(|worker| worker.send(message).is_ok())
    }

    /// Asks one worker; a worker that has stopped is a closed storage.
    pub(super) async fn ask<T>(
        &self,
        worker: usize,
        op: DiskOp,
        message: impl FnOnce(oneshot::Sender<T>) -> WorkerMessage,
    ) -> Result<T, DiskError> {
        let (reply, answer) = oneshot::channel();
        self.send(worker, message(reply));
        answer
            .await
            .map_err(|_| self.handle.shared.error(op, None, Fault::Closed))
    }

    pub(super) fn workers(&self) -> Arc<[Sender<WorkerMessage>]> {
        Arc::clone(&self.handle.workers)
    }

    /// Asks every worker and waits for all, stopped ones excepted.
    pub(super) async fn ask_all(&self, message: impl Fn(oneshot::Sender<()>) -> WorkerMessage) {
        let ask = |worker| {
            let (reply, answer) = oneshot::channel();
            self.send(worker, message(reply));
            answer
        };
        let answers: Vec<_> = (0..self.handle.workers.len()).map(ask).collect();
        for answer in answers {
            // An error is a worker that has stopped: it holds nothing.
            let _ = answer.await;
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.shared.ending.close() {
            return;
        }
        for worker in self.workers.iter() {
            // A worker that has stopped holds nothing.
            let _ = worker.send(WorkerMessage::Close {
                storage: self.shared.clone(),
                reply: None,
            });
        }
    }
}
