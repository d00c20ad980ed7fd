//! A disk worker: one thread that owns a share of every torrent's pieces.
//!
//! Each wake it takes a bounded number of messages, answers reads first (a
//! peer waits for them), then takes blocks, writes early if it holds too
//! much, does a step of a check, and posts what it has to report. It never
//! waits for a torrent to take its events.
//!
//! The channel to a worker has no bound of its own. Writes are bounded by the
//! byte budget that peers mind; reads by the peers' send queues.
//!
//! Memory: blocks are held until their piece is verified, so that one write
//! does for a piece and nothing is read back. When a worker's share of half
//! the budget is used up it writes hashed prefixes early, and if that is not
//! enough blocks ahead of the hash, which it reads back when the hash gets
//! there. So many slow peers on large pieces never come to a standstill. The
//! same happens to all that is held when it pins more memory than the budget
//! allows: a block keeps the buffer that it came in.

use std::any::Any;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use tokio::sync::oneshot;
use torrent_core::bitfield::Bitfield;
use torrent_core::ids::{Block, FileIndex, PeerKey, PieceIndex};

use super::Common;
use super::check::{CheckJob, CheckTask};
use super::error::{DiskError, DiskErrorKind, DiskOp, Fault};
use super::event::DiskEvent;
use super::pieces::{Local, Tools};
use super::storage::StorageShared;

/// Messages taken in one wake. A write carries up to 256 KiB.
const BATCH: usize = 32;

/// How soon a worker tries again to post events to a full channel.
const REPOST: Duration = Duration::from_millis(5);

/// What a worker is asked to do.
pub(super) enum WorkerMessage {
    Write {
        storage: Arc<StorageShared>,
        from: PeerKey,
        blocks: Vec<(Block, Bytes)>,
        /// Their payload, as charged to the budget.
        bytes: usize,
    },
    Read {
        storage: Arc<StorageShared>,
        offset: u64,
        length: u32,
        reply: oneshot::Sender<Result<Bytes, DiskError>>,
    },
    /// Hash a piece that was taken on trust.
    Vouch {
        storage: Arc<StorageShared>,
        piece: PieceIndex,
        reply: oneshot::Sender<Result<(), DiskError>>,
    },
    /// Write the blocks of unfinished pieces, and say which are there.
    SavePartials {
        storage: Arc<StorageShared>,
        reply: oneshot::Sender<Vec<(PieceIndex, Bitfield)>>,
    },
    /// Take blocks of an unfinished piece that are in the files.
    Adopt {
        storage: Arc<StorageShared>,
        piece: PieceIndex,
        blocks: Bitfield,
    },
    Prepare {
        storage: Arc<StorageShared>,
        reply: oneshot::Sender<Result<(), DiskError>>,
    },
    /// Keep what comes for the storage for later.
    Fence {
        storage: Arc<StorageShared>,
        reply: oneshot::Sender<()>,
    },
    /// Do what was kept, and go on.
    Unfence(Arc<StorageShared>),
    /// Start a check.
    Survey(Arc<CheckJob>),
    /// Take part in a check.
    Check(Arc<CheckJob>),
    /// Look whether too much is held.
    Relieve,
    /// Drop unfinished pieces.
    Discard(Arc<StorageShared>),
    Flush {
        reply: oneshot::Sender<()>,
    },
    Close {
        storage: Arc<StorageShared>,
        reply: Option<oneshot::Sender<()>>,
    },
    Delete {
        storage: Arc<StorageShared>,
        files: BTreeSet<FileIndex>,
        reply: oneshot::Sender<Result<(), DiskError>>,
    },
    /// Deal with what came before, then end.
    Stop,
    /// Panic, for the test of what happens then.
    #[cfg(test)]
    Panic(Arc<StorageShared>),
}

impl WorkerMessage {
    /// The storage that it is about.
    fn storage(&self) -> Option<&Arc<StorageShared>> {
        match self {
            Self::Write { storage, .. }
            | Self::Read { storage, .. }
            | Self::Vouch { storage, .. }
            | Self::SavePartials { storage, .. }
            | Self::Adopt { storage, .. }
            | Self::Prepare { storage, .. }
            | Self::Discard(storage)
            | Self::Unfence(storage)
            | Self::Fence { storage, .. }
            | Self::Close { storage, .. }
            | Self::Delete { storage, .. } => Some(storage),
            Self::Survey(job) | Self::Check(job) => Some(&job.storage),
            Self::Flush { .. } | Self::Relieve | Self::Stop => None,
            #[cfg(test)]
            Self::Panic(storage) => Some(storage),
        }
    }
}

/// The state of a worker's thread.
pub(super) struct Worker {
    index: usize,
    inbox: Receiver<WorkerMessage>,
    tools: Tools,
    locals: HashMap<u64, Local>,
    checks: VecDeque<CheckTask>,
    /// Bytes charged to the budget for messages taken, and not released.
    charged: usize,
    /// Payload bytes that may be held.
    held_limit: usize,
    /// The storage that is being worked for, to know which one a panic concerns.
    current: Option<Arc<StorageShared>>,
    /// Whether some events could not be posted.
    unposted: bool,
}

impl Worker {
    /// The worker `index` of `workers`, under a budget of `limit` bytes.
    pub(super) fn new(
        index: usize,
        workers: usize,
        limit: usize,
        inbox: Receiver<WorkerMessage>,
        common: Arc<Common>,
    ) -> Self {
        Self {
            index,
            inbox,
            tools: Tools::new(common),
            locals: HashMap::new(),
            checks: VecDeque::new(),
            charged: 0,
            held_limit: limit / 2 / workers.max(1),
            current: None,
            unposted: false,
        }
    }

    /// Works until asked to stop.
    pub(super) fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        let common = Arc::clone(&self.tools.common);
        loop {
            let open = self.take(&mut batch);
            let _permit = common.worker_limit.take();
            let reads = batch
                .extract_if(.., |message| {
                    matches!(
                        message,
                        WorkerMessage::Read { .. } | WorkerMessage::Vouch { .. }
                    )
                })
                .collect::<Vec<_>>();
            for message in reads {
                self.guard(|worker| worker.handle(message));
            }
            let mut going = open;
            for message in batch.drain(..) {
                if matches!(message, WorkerMessage::Stop) {
                    going = false;
                    break;
                }
                self.guard(|worker| worker.handle(message));
                self.update_budget();
            }
            self.guard(Self::relieve);
            self.guard(Self::check);
            self.guard(Self::hash_padding);
            self.update_budget();
            self.post();
            if !going {
                // Unfinished pieces go with the worker, and their bytes.
                self.tools.common.budget.release(self.charged);
                return;
            }
        }
    }

    /// Waits for messages unless there is other work, and takes a batch.
    /// Returns false when all senders are gone.
    fn take(&mut self, batch: &mut Vec<WorkerMessage>) -> bool {
        let first = if self.has_check() || self.has_padding() {
            self.inbox.recv_timeout(Duration::ZERO)
        } else if self.unposted {
            self.inbox.recv_timeout(REPOST)
        } else {
            self.inbox
                .recv()
                .map_err(|_| RecvTimeoutError::Disconnected)
        };
        match first {
            Ok(first) => batch.push(first),
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        batch.extend(self.inbox.try_iter().take(BATCH - 1));
        true
    }

    /// Runs `work`; a panic in it becomes an event, and costs the torrent
    /// concerned its unfinished pieces, whose state may be half changed.
    fn guard(&mut self, work: impl FnOnce(&mut Self)) {
        let outcome = catch_unwind(AssertUnwindSafe(|| work(self)));
        let concerned = self.current.take();
        let Err(panic) = outcome else { return };
        let message = words_of(panic.as_ref());
        tracing::error!(worker = self.index, message, "disk worker panicked");
        if let Some(shared) = concerned {
            self.checks.retain(|task| {
                let other = task.job.storage.id != shared.id;
                if !other {
                    task.job.cancel();
                }
                other
            });
            if let Some(local) = self.local(&shared) {
                local.partials.clear();
                local.event_queue.push(DiskEvent::Internal { message });
            }
        }
        self.tools.held = self.locals.values().map(Local::held).sum();
    }

    /// This worker's share of a storage, unless it is closed.
    fn local(&mut self, shared: &Arc<StorageShared>) -> Option<&mut Local> {
        if shared.is_closed(self.index) {
            return None;
        }
        let local = self.locals.entry(shared.id);
        Some(local.or_insert_with(|| Local::new(shared.clone())))
    }

    fn report(&mut self, shared: &Arc<StorageShared>, event: Option<DiskEvent>) {
        if let (Some(event), Some(local)) = (event, self.local(shared)) {
            local.event_queue.push(event);
        }
    }

    fn handle(&mut self, message: WorkerMessage) {
        self.current = message.storage().cloned();
        let Some(message) = self.keep(message) else {
            return;
        };
        match message {
            WorkerMessage::Write {
                storage,
                from,
                blocks,
                bytes,
            } => {
                self.charged += bytes;
                self.write(&storage, from, blocks);
            }
            WorkerMessage::Read {
                storage,
                offset,
                length,
                reply,
            } => {
                // The caller may be gone, here and below.
                let _ = reply.send(self.read(&storage, offset, length));
            }
            WorkerMessage::Vouch {
                storage,
                piece,
                reply,
            } => {
                let _ = reply.send(self.vouch(&storage, piece));
            }
            WorkerMessage::SavePartials { storage, reply } => {
                let local = self.locals.get_mut(&storage.id);
                let saved = local.map(|local| local.save_partials(&mut self.tools));
                let _ = reply.send(saved.unwrap_or_default());
            }
            WorkerMessage::Adopt {
                storage,
                piece,
                blocks,
            } => {
                self.adopt(&storage, piece, &blocks);
            }
            WorkerMessage::Prepare { storage, reply } => {
                let _ = reply.send(self.prepare(&storage));
            }
            WorkerMessage::Survey(job) => {
                if !job.storage.is_closed(self.index) {
                    for event in job.survey(&self.tools.common) {
                        self.report(&job.storage, Some(event));
                    }
                }
            }
            WorkerMessage::Check(job) => {
                if !job.storage.is_closed(self.index) {
                    self.checks.push_back(CheckTask::new(job));
                }
            }
            WorkerMessage::Discard(storage) => {
                if let Some(local) = self.locals.get_mut(&storage.id) {
                    local.discard(&mut self.tools);
                }
            }
            WorkerMessage::Flush { reply } => {
                self.post();
                let _ = reply.send(());
            }
            WorkerMessage::Close { storage, reply } => {
                self.close(&storage);
                if let Some(reply) = reply {
                    let _ = reply.send(());
                }
            }
            WorkerMessage::Delete {
                storage,
                files,
                reply,
            } => {
                let _ = reply.send(storage.io.delete(&self.tools.common, &files));
            }
            WorkerMessage::Fence { storage, reply } => {
                if let Some(local) = self.local(&storage) {
                    local.fence();
                }
                let _ = reply.send(());
            }
            WorkerMessage::Unfence(storage) => {
                let local = self.locals.get_mut(&storage.id);
                for message in local.map(Local::unfence).unwrap_or_default() {
                    self.guard(|worker| worker.handle(message));
                    self.update_budget();
                }
            }
            // What comes after every batch does it.
            WorkerMessage::Relieve | WorkerMessage::Stop => {}
            #[cfg(test)]
            WorkerMessage::Panic(_) => panic!("asked to"),
        }
    }

    /// Reads for a peer, and reports a failure to the torrent.
    fn read(
        &mut self,
        storage: &Arc<StorageShared>,
        offset: u64,
        length: u32,
    ) -> Result<Bytes, DiskError> {
        if storage.is_closed(self.index) {
            return Err(storage.error(DiskOp::Read, None, Fault::Closed));
        }
        let outcome = self.tools.common.read_pooled(storage, offset, length);
        if let Err(error) = &outcome {
            let piece = storage.spec.layout.piece_at(offset);
            let error = error.clone();
            if error.is_absence() {
                storage.pieces.have.clear(piece.0);
            }
            self.report(storage, Some(DiskEvent::ReadFailed { piece, error }));
        }
        outcome
    }

    /// Hashes a piece that was taken on trust, and reports one that is wrong.
    fn vouch(&mut self, storage: &Arc<StorageShared>, piece: PieceIndex) -> Result<(), DiskError> {
        if storage.is_closed(self.index) {
            return Err(storage.error(DiskOp::Read, None, Fault::Closed));
        }
        let outcome = storage.vouch(&self.tools.common, piece);
        if let Err(error) = &outcome {
            self.report(storage, Some(broken_trust(piece, error.clone())));
        }
        outcome
    }

    /// Takes over blocks of an unfinished piece that are in the files already.
    fn adopt(&mut self, storage: &Arc<StorageShared>, piece: PieceIndex, blocks: &Bitfield) {
        if !storage.is_closed(self.index) {
            let local = self.locals.entry(storage.id);
            let local = local.or_insert_with(|| Local::new(storage.clone()));
            local.adopt(&mut self.tools, piece, blocks);
        }
    }

    fn prepare(&self, storage: &StorageShared) -> Result<(), DiskError> {
        if storage.is_closed(self.index) {
            return Err(storage.error(DiskOp::Create, None, Fault::Closed));
        }
        storage.io.prepare(&self.tools.common)
    }

    /// Keeps a message for a fenced storage for later, unless it is one of
    /// those that end the fence.
    fn keep(&mut self, message: WorkerMessage) -> Option<WorkerMessage> {
        let passes = matches!(
            message,
            WorkerMessage::Fence { .. }
                | WorkerMessage::Unfence(_)
                | WorkerMessage::Close { .. }
                | WorkerMessage::Delete { .. }
        );
        match message.storage().map(|storage| storage.id) {
            Some(id) if !passes => match self.locals.get_mut(&id) {
                Some(local) => local.keep(message),
                None => Some(message),
            },
            _ => Some(message),
        }
    }

    fn write(&mut self, storage: &Arc<StorageShared>, from: PeerKey, blocks: Vec<(Block, Bytes)>) {
        if storage.is_closed(self.index) {
            return;
        }
        let local = self
            .locals
            .entry(storage.id)
            .or_insert_with(|| Local::new(storage.clone()));
        for (block, data) in blocks {
            local.accept(&mut self.tools, block, data, from);
        }
    }

    fn close(&mut self, storage: &Arc<StorageShared>) {
        self.checks.retain(|task| task.job.storage.id != storage.id);
        if let Some(mut local) = self.locals.remove(&storage.id) {
            local.discard(&mut self.tools);
            for message in local.unfence() {
                if let WorkerMessage::Write { bytes, .. } = message {
                    self.tools.common.budget.release(bytes);
                }
            }
            // What does not fit in the channel now is lost with the storage.
            local.event_queue.post(&storage.events);
        }
        if storage.worker_shares.close(self.index) {
            storage.io.release(&self.tools.common);
        }
    }

    /// Writes early until no more than half of the allowed bytes are held.
    fn relieve(&mut self) {
        let pinned = self.tools.common.budget.is_pinned();
        if self.tools.held <= self.held_limit && !pinned {
            return;
        }
        // Which blocks pin much is not known.
        let target = match pinned {
            true => 0,
            false => self.held_limit / 2,
        };
        for hashed_only in [true, false] {
            let mut pieces: Vec<_> = self
                .locals
                .values()
                .filter(|local| !local.is_fenced())
                .flat_map(|local| {
                    local.partials.iter().map(move |(&piece, buffer)| {
                        let bytes = if hashed_only {
                            buffer.held_hashed()
                        } else {
                            buffer.held()
                        };
                        (bytes, local.shared.clone(), piece)
                    })
                })
                .filter(|&(bytes, ..)| bytes > 0)
                .collect();
            // The most bytes for the fewest writes.
            pieces.sort_unstable_by_key(|&(bytes, ..)| std::cmp::Reverse(bytes));
            for (_, shared, piece) in pieces {
                if self.tools.held <= target {
                    return;
                }
                if let Some(local) = self.locals.get_mut(&shared.id) {
                    self.current = Some(shared);
                    local.write_early(&mut self.tools, piece, hashed_only);
                }
            }
        }
    }

    /// Whether there is a check to go on with.
    fn has_check(&self) -> bool {
        let mut checks = self.checks.iter();
        checks.any(|task| !is_fenced(&self.locals, &task.job.storage))
    }

    fn has_padding(&self) -> bool {
        self.locals.values().any(Local::has_padding)
    }

    /// Goes on with the padding of one piece of each torrent.
    fn hash_padding(&mut self) {
        for local in self.locals.values_mut().filter(|it| it.has_padding()) {
            self.current = Some(local.shared.clone());
            local.hash_padding(&mut self.tools);
        }
    }

    /// Does a step of the check that is first in line and not fenced off.
    fn check(&mut self) {
        // It stays in line, so that a panic in it is put down to it.
        let locals = &self.locals;
        let free = |task: &CheckTask| !is_fenced(locals, &task.job.storage);
        let Some(at) = self.checks.iter().position(free) else {
            return;
        };
        let Some(task) = self.checks.get_mut(at) else {
            return;
        };
        let storage = task.job.storage.clone();
        self.current = Some(storage.clone());
        let step = task.step(&self.tools.common);
        if step.over {
            self.checks.remove(at);
        }
        self.report(&storage, step.event);
    }

    /// Releases what was dealt with.
    fn update_budget(&mut self) {
        let held = self.tools.held;
        self.tools
            .common
            .budget
            .release(self.charged.saturating_sub(held));
        self.charged = held;
    }

    /// Posts events, as far as the torrents' channels take them.
    fn post(&mut self) {
        self.unposted = false;
        for local in self.locals.values_mut() {
            self.unposted |= !local.event_queue.post(&local.shared.events);
        }
    }
}

/// What it means that a piece could not be vouched for: only bytes that are
/// wrong or gone are evidence against the record that claimed them.
fn broken_trust(piece: PieceIndex, error: DiskError) -> DiskEvent {
    if error.kind == DiskErrorKind::WrongHash || error.is_absence() {
        DiskEvent::TrustBroken { piece, error }
    } else {
        DiskEvent::ReadFailed { piece, error }
    }
}

fn is_fenced(locals: &HashMap<u64, Local>, storage: &StorageShared) -> bool {
    locals.get(&storage.id).is_some_and(Local::is_fenced)
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|&words| words.to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic without words".to_owned())
}
