//! Files: worker threads that hash, write, read and check; a pool of open
//! files; backpressure.
//!
//! The session starts one [`Disk`] and opens a [`Storage`] on it for every
//! torrent. Peer tasks hand blocks to [`Storage::write`] and wait at
//! [`Disk::below_watermark`] before they read more from their sockets. The
//! worker that owns a piece advances its hash (BEP 3, BEP 52) as blocks come in,
//! writes it when it matches, and reports [`DiskEvent`]s to the torrent. At
//! the end storages are closed and [`Disk::stop`] joins every thread.
//!
//! Nothing here panics on what a peer or a file contains, and a storage error
//! concerns the piece and the torrent it happened to, no other.

mod atomic_bitfield;
mod awaited;
mod budget;
mod busy;
mod canonical;
mod check;
mod copy;
mod counters;
mod delete;
mod ending;
mod error;
mod event;
mod exclusive_work;
mod fault_injection;
mod fence;
mod file_id;
mod file_paths;
mod file_storage;
mod files;
mod io;
mod links;
mod memory_storage;
#[cfg(windows)]
mod move_windows;
mod names;
mod part_file;
mod path;
mod piece_buffer;
mod piece_states;
mod pieces;
mod relocate;
mod rename;
mod resume;
mod root;
mod seed_mode;
mod spans;
mod sparse;
mod spec;
mod storage;
mod storage_interface;
mod sync;
#[cfg(test)]
mod tests;
mod wanted;
mod worker;
mod worker_limit;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use arc_swap::ArcSwapOption;
use crossbeam_channel::Sender;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use torrent_core::piece_hash::PieceHash;

pub(crate) use awaited::{AwaitedFolder, AwaitedFolders};
pub(crate) use busy::{when_free, when_movable};
pub(crate) use canonical::{is_case_blind, real};
pub use check::{CheckHandle, CheckId, CheckMode};
pub use counters::DiskWatch;
pub(crate) use error::is_shortage;
pub use error::{DiskError, DiskErrorKind, DiskOp};
pub use event::DiskEvent;
pub(crate) use file_id::{FileId, linked};
pub use names::NameError;
pub(crate) use names::{fold as fold_name, is_plain, judge as judge_names};
pub(crate) use part_file::part_file_in;
pub use relocate::{MoveMode, Moved};
pub use resume::{ResumeAccepted, ResumeClaim, ResumeRejected};
pub(crate) use root::is_empty as is_folder_empty;
pub use spec::{SharedFile, SharedFiles, SpecError, StorageKind, StorageSpec};
pub use storage::Storage;

use crate::buffers::BufferPool;
use crate::hash::padding::ZeroHashes;
use budget::Budget;
use counters::Counters;
pub(crate) use fault_injection::DiskFaults;
#[cfg(test)]
pub(crate) use fault_injection::{Errno, Plan};
use files::FilePool;
use storage::StorageShared;
use worker::{Worker, WorkerMessage};
use worker_limit::WorkerLimit;

/// The files of a torrent; empty until its metadata is known. Connections look
/// into it, and find it filled before they learn of the metadata.
pub(crate) type StorageSlot = Arc<OnceLock<Storage>>;

/// How a [`Disk`] is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskConfig {
    /// Worker threads, at least 1.
    pub workers: usize,
    /// Files open at once, over all torrents, at least 1.
    pub file_pool_size: usize,
    /// Payload bytes handed over and not yet written or dropped, above which
    /// peers should stop reading.
    pub max_queued_bytes: usize,
}

impl Default for DiskConfig {
    /// Two workers, 40 files, 100 MiB.
    fn default() -> Self {
        Self {
            workers: 2,
            file_pool_size: 40,
            max_queued_bytes: 100 * 1024 * 1024,
        }
    }
}

/// What can be changed while a [`Disk`] runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskTuning {
    /// Files open at once, over all torrents, at least 1.
    pub file_pool_size: usize,
    /// As [`DiskConfig::max_queued_bytes`].
    pub max_queued_bytes: usize,
    /// Workers that work at once, at least 1.
    pub working: usize,
    /// The system forgets what was read.
    pub forget_reads: bool,
    /// What becomes of what is written.
    pub writes: WriteMode,
    /// Leave the times of access alone, in files opened from now on.
    pub no_atime: bool,
    /// Compare pieces with their hashes.
    pub check_hashes: bool,
}

/// What becomes of what is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WriteMode {
    /// The system writes it when it likes.
    #[default]
    Cached,
    /// The same, and it forgets it then.
    Forgotten,
    /// It is on the device before its piece counts as had.
    Through,
}

/// What all workers and storages use.
struct Common {
    files: FilePool,
    pool: BufferPool,
    budget: Budget,
    zeros: ZeroHashes,
    worker_limit: WorkerLimit,
    faults: Arc<DiskFaults>,
    counters: Arc<Counters>,
    tuning: ArcSwapOption<DiskTuning>,
    /// Numbers storages and checks.
    ids: AtomicU64,
}

impl Common {
    /// What is done with reads, writes and hashes.
    fn tuned<T>(&self, read: impl FnOnce(&DiskTuning) -> T) -> Option<T> {
        self.tuning.load().as_deref().map(read)
    }

    /// Whether a piece with this hash is taken for the right one.
    fn accepts(&self, found: PieceHash, due: Option<PieceHash>) -> bool {
        due == Some(found) || self.tuned(|tuning| tuning.check_hashes) == Some(false)
    }

    fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }
}

/// The disk workers. Clones are the same workers; dropping the last one stops
/// and joins them, like [`stop`](Self::stop) does without blocking.
#[derive(Clone)]
pub struct Disk {
    inner: Arc<Inner>,
}

struct Inner {
    common: Arc<Common>,
    workers: Arc<[Sender<WorkerMessage>]>,
    threads: Mutex<Vec<Thread>>,
}

struct Thread {
    handle: JoinHandle<()>,
    /// Resolves, with an error, when the thread is about to end.
    ended: oneshot::Receiver<()>,
}

impl Disk {
    /// Starts the workers. Fails where the system gives no threads.
    pub fn start(config: DiskConfig, pool: BufferPool) -> std::io::Result<Self> {
        let count = config.workers.max(1);
        let faults = Arc::new(DiskFaults::default());
        let counters = Arc::new(Counters::default());
        let common = Arc::new(Common {
            files: FilePool::new(
                config.file_pool_size,
                Arc::clone(&faults),
                Arc::clone(&counters),
            ),
            budget: Budget::new(config.max_queued_bytes, pool.clone()),
            pool,
            zeros: ZeroHashes::default(),
            worker_limit: WorkerLimit::new(count),
            faults,
            counters,
            tuning: ArcSwapOption::empty(),
            ids: AtomicU64::new(0),
        });
        let (workers, inboxes): (Vec<_>, Vec<_>) =
            (0..count).map(|_| crossbeam_channel::unbounded()).unzip();
        // Made first, so that a failure below stops the threads started.
        let disk = Self {
            inner: Arc::new(Inner {
                common: common.clone(),
                workers: workers.into(),
                threads: Mutex::new(Vec::with_capacity(count)),
            }),
        };
        for (index, inbox) in inboxes.into_iter().enumerate() {
            let limit = config.max_queued_bytes;
            let worker = Worker::new(index, count, limit, inbox, common.clone());
            let (alive, ended) = oneshot::channel::<()>();
            let handle = std::thread::Builder::new()
                .name(format!("torrent-disk-{index}"))
                .spawn(move || {
                    crate::threads::begin();
                    let _alive = alive;
                    worker.run();
                })?;
            disk.inner.threads.lock().push(Thread { handle, ended });
        }
        Ok(disk)
    }

    /// Opens a storage; does no I/O yet. Its events go to `events`; where that
    /// channel is full they wait and merge.
    pub fn open(&self, spec: StorageSpec, events: mpsc::Sender<DiskEvent>) -> Storage {
        let inner = &self.inner;
        let id = inner.common.next_id();
        let shared = Arc::new(StorageShared::new(id, spec, events, inner.workers.len()));
        Storage::new(shared, inner.common.clone(), inner.workers.clone())
    }

    /// Takes these into use at once.
    pub fn tune(&self, tuning: DiskTuning) {
        let common = &self.inner.common;
        common.files.tune(tuning.file_pool_size, tuning.no_atime);
        common.budget.set_limit(tuning.max_queued_bytes);
        common.worker_limit.set_limit(tuning.working);
        common.tuning.store(Some(Arc::new(tuning)));
    }

    /// Closes the file that has been open longest; it is opened again when it
    /// is needed.
    pub fn close_oldest_file(&self) {
        self.inner.common.files.close_oldest();
    }

    /// A look at what it does, for statistics.
    pub fn watch(&self) -> DiskWatch {
        DiskWatch::new(&self.inner.common)
    }

    /// Payload bytes handed over and not yet written or dropped.
    pub fn queued_bytes(&self) -> usize {
        self.inner.common.budget.queued()
    }

    /// Whether peers should stop reading from their sockets.
    pub fn is_congested(&self) -> bool {
        self.inner.common.budget.congested()
    }

    /// Waits while the workers are behind: from when the queued bytes passed
    /// the limit until they are down to three quarters of it.
    pub async fn below_watermark(&self) {
        self.inner.common.budget.below_watermark().await;
    }

    /// Lets every worker deal with what was handed over, then ends and joins
    /// their threads. Storages are of no use afterwards.
    pub async fn stop(&self) {
        let threads = self.inner.signal_stop();
        for thread in threads {
            // The sender goes with the thread: an error is what we wait for.
            let _ = thread.ended.await;
            // Workers catch their panics; there is nothing to pass on.
            let _ = thread.handle.join();
        }
        self.inner.common.budget.lift();
    }
}

impl Inner {
    fn signal_stop(&self) -> Vec<Thread> {
        for worker in self.workers.iter() {
            // A worker that has stopped needs no telling.
            let _ = worker.send(WorkerMessage::Stop);
        }
        std::mem::take(&mut *self.threads.lock())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for thread in self.signal_stop() {
            let _ = thread.handle.join();
        }
        self.common.budget.lift();
    }
}
