//! Checking: hashing what is on disk, piece by piece, on all workers.
//!
//! A check starts with a survey on one worker: the length of every file. No
//! byte anywhere ends it at once; pieces that lie beyond the end of a file
//! are never read. Then every worker claims pieces in ascending order, so a
//! spinning disk reads nearly in sequence, and hashes them in steps of 1 MiB
//! between its other work. The last one to find nothing left reports.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crossbeam_channel::Sender;
pub use torrent_core::check_state::CheckMode;
use torrent_core::ids::{BLOCK_SIZE, PieceIndex};
use torrent_core::layout::Layout;

use super::Common;
use super::atomic_bitfield::AtomicBitfield;
use super::counters::Counters;
use super::error::{DiskError, DiskErrorKind, DiskOp, Fault};
use super::event::DiskEvent;
use super::storage::StorageShared;
use super::worker::WorkerMessage;
use crate::buffers::BufferClass;
use crate::hash::PieceHasher;
use crate::hash::padding::{ZeroBudget, ZeroRun};

/// Bytes that a worker hashes before it looks at its other work again.
const STEP: usize = 1024 * 1024;

/// Shorter runs of padding are read as zeros with what is around them.
const LONG_PADDING: u64 = 64 * 1024;

/// Bytes of a step that a run of padding counts for whose hash is known.
const ZEROS_COST: usize = 16 * 1024;

/// Pieces that a worker rules out without reading, in one step.
const SKIPS: u32 = 4096;

/// Milliseconds between two progress events.
const PROGRESS: u64 = 100;

/// Names one check, so that late events of a cancelled one can be recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CheckId(pub u64);

/// A running check. Dropping it does not end the check.
pub struct CheckHandle {
    job: Arc<CheckJob>,
}

impl CheckHandle {
    pub(super) fn new(job: Arc<CheckJob>) -> Self {
        Self { job }
    }

    /// The check's name in its events.
    pub fn id(&self) -> CheckId {
        self.job.id
    }

    /// Ends the check: no event follows that was not under way already, and
    /// the verified pieces stay those from before. False if it has come to an
    /// end before, which an event reports.
    pub fn cancel(&self) -> bool {
        self.job.cancel()
    }
}

/// What the workers share about a check.
pub(super) struct CheckJob {
    id: CheckId,
    pub(super) storage: Arc<StorageShared>,
    mode: CheckMode,
    workers: Arc<[Sender<WorkerMessage>]>,
    /// The length of every file on disk, from the survey.
    lengths: OnceLock<Vec<u64>>,
    /// The next piece that no worker has claimed.
    next: AtomicU32,
    done: AtomicU32,
    total: u32,
    found: AtomicBitfield,
    /// Workers that still look for pieces.
    looking: AtomicU32,
    /// Cancelled or failed: a worker that sees it stops.
    ended: AtomicBool,
    /// The padding that it may hash.
    padding: ZeroBudget,
    started: Instant,
    /// When progress was last reported, in milliseconds since the start.
    reported: AtomicU64,
}

impl CheckJob {
    pub(super) fn new(
        id: u64,
        storage: Arc<StorageShared>,
        mode: CheckMode,
        workers: Arc<[Sender<WorkerMessage>]>,
    ) -> Self {
        let pieces = storage.spec.layout.num_pieces();
        Self {
            id: CheckId(id),
            total: match &mode {
                CheckMode::All => pieces,
                CheckMode::Only(wanted) => wanted.count(),
            },
            mode,
            looking: AtomicU32::new(workers.len() as u32),
            workers,
            lengths: OnceLock::new(),
            next: AtomicU32::new(0),
            done: AtomicU32::new(0),
            found: AtomicBitfield::new(pieces),
            ended: AtomicBool::new(false),
            padding: ZeroBudget::new(storage.spec.layout.payload_length()),
            started: Instant::now(),
            reported: AtomicU64::new(0),
            storage,
        }
    }

    /// Makes every worker drop the check. False if it was over.
    pub(super) fn cancel(&self) -> bool {
        !self.ended.swap(true, Ordering::AcqRel)
    }

    /// Learns the length of every file and sets all workers to work, or ends
    /// the check where there is nothing to read.
    pub(super) fn survey(self: &Arc<Self>, common: &Common) -> Vec<DiskEvent> {
        if self.ended.load(Ordering::Acquire) {
            return Vec::new();
        }
        // Open files may have been deleted or replaced under us.
        self.storage.io.release(common);
        if let Err(error) = self.storage.io.look(common) {
            return self.fail(error).into_iter().collect();
        }
        let mut oversized = false;
        let mut lengths = vec![0; self.storage.spec.layout.files().len()];
        let mut anything = self.storage.io.has_parts();
        for (file, due) in self.storage.spec.stored_files() {
            match self.storage.io.stat(common, file) {
                Ok(found) => {
                    let found = found.map_or(0, |found| found.length);
                    anything |= found > 0;
                    oversized |= found > due;
                    if let Some(length) = lengths.get_mut(file.0 as usize) {
                        *length = found;
                    }
                }
                Err(error) => return self.fail(error).into_iter().collect(),
            }
        }
        if !anything {
            return self.finish().into_iter().collect();
        }
        // The survey runs once.
        let _ = self.lengths.set(lengths);
        for worker in self.workers.iter() {
            // A worker that has stopped takes the check with it.
            let _ = worker.send(WorkerMessage::Check(self.clone()));
        }
        oversized
            .then_some(DiskEvent::Oversized)
            .into_iter()
            .collect()
    }

    fn wanted(&self, piece: PieceIndex) -> bool {
        match &self.mode {
            CheckMode::All => true,
            CheckMode::Only(wanted) => wanted.get(piece.0),
        }
    }

    /// Whether every file reaches to the end of the piece.
    fn is_there(&self, piece: PieceIndex) -> bool {
        let lengths = self.lengths.get().map_or(&[][..], Vec::as_slice);
        self.storage.spec.layout.piece_spans(piece).all(|span| {
            let length = lengths.get(span.file.0 as usize).copied();
            span.pad || self.storage.io.reaches(&span, length.unwrap_or(0))
        })
    }

    fn count(&self, outcome: Option<PieceIndex>) {
        if let Some(piece) = outcome {
            self.found.set(piece.0);
        }
        self.done.fetch_add(1, Ordering::AcqRel);
    }

    /// A progress event, if the last one is long ago.
    fn progress(&self) -> Option<DiskEvent> {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let last = self.reported.load(Ordering::Relaxed);
        let due = now >= last + PROGRESS
            && self
                .reported
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        due.then(|| DiskEvent::CheckProgress {
            check: self.id,
            done: self.done.load(Ordering::Acquire),
            total: self.total,
        })
    }

    fn fail(&self, error: DiskError) -> Option<DiskEvent> {
        let first = !self.ended.swap(true, Ordering::AcqRel);
        first.then_some(DiskEvent::CheckFailed {
            check: self.id,
            error,
        })
    }

    fn finish(&self) -> Option<DiskEvent> {
        if self.ended.swap(true, Ordering::AcqRel) {
            return None;
        }
        let mut have = self.found.to_bitfield();
        if let CheckMode::Only(wanted) = &self.mode {
            for piece in self.storage.pieces.have.to_bitfield().iter() {
                if !wanted.get(piece) {
                    have.set(piece);
                }
            }
        }
        self.storage.pieces.replace_have(&have);
        self.storage.pieces.set_known(true);
        // What was hashed needs no trust any more.
        match &self.mode {
            CheckMode::All => drop(self.storage.pieces.trusted.take()),
            CheckMode::Only(wanted) => {
                for piece in wanted.iter() {
                    self.storage.pieces.trusted.clear(piece);
                }
            }
        }
        let have = self.storage.pieces.have.to_bitfield();
        Some(DiskEvent::Checked {
            check: self.id,
            have,
        })
    }
}

/// One worker's part in a check.
pub(super) struct CheckTask {
    pub(super) job: Arc<CheckJob>,
    current: Option<Current>,
}

/// The piece that is being hashed.
struct Current {
    piece: PieceIndex,
    at: u32,
    hasher: PieceHasher,
    /// The run of padding that it has come to.
    zeros: ZeroRun,
}

/// The next run of padding that is long enough not to be read as zeros.
pub(super) fn next_run(layout: &Layout, offset: u64) -> Option<Range<u64>> {
    let run = layout.next_padding(offset)?;
    (run.end - run.start >= LONG_PADDING).then_some(run)
}

/// What a step came to.
pub(super) struct CheckStep {
    /// Whether there is nothing left for this worker.
    pub(super) over: bool,
    /// What to report.
    pub(super) event: Option<DiskEvent>,
}

impl CheckTask {
    pub(super) fn new(job: Arc<CheckJob>) -> Self {
        Self { job, current: None }
    }

    /// Hashes up to 1 MiB.
    pub(super) fn step(&mut self, common: &Common) -> CheckStep {
        let over = |event| CheckStep { over: true, event };
        let mut buffer = common.pool.take(BufferClass::Large);
        let mut left = STEP;
        let mut skips = SKIPS;
        while left > 0 && skips > 0 {
            if self.job.ended.load(Ordering::Acquire) {
                return over(None);
            }
            let mut current = match self.current.take() {
                Some(current) => current,
                None => match self.claim(&mut skips) {
                    CheckClaim::Piece(current) => current,
                    CheckClaim::Later => break,
                    CheckClaim::Nothing => {
                        let last = self.job.looking.fetch_sub(1, Ordering::AcqRel) == 1;
                        return over(last.then(|| self.job.finish()).flatten());
                    }
                },
            };
            let layout = &self.job.storage.spec.layout;
            let length = layout.piece_len(current.piece);
            let offset = layout.piece_offset(current.piece) + u64::from(current.at);
            let mut part = buffer.len().min((length - current.at) as usize);
            if let Some(run) = next_run(layout, offset) {
                if run.start <= offset {
                    let zeros = run.end.min(offset + u64::from(length - current.at)) - offset;
                    let (run, hasher) = (&mut current.zeros, &mut current.hasher);
                    let all = common.zeros.advance(run, hasher, zeros, left as u64);
                    if let Err(error) = self.job.padding.spend(run.take_spent()) {
                        let storage = &self.job.storage;
                        let error = storage.error(DiskOp::Read, None, Fault::Io(error));
                        return over(self.job.fail(error));
                    }
                    if !all {
                        self.current = Some(current);
                        break;
                    }
                    current.zeros = ZeroRun::default();
                    current.at += zeros as u32;
                    left = left.saturating_sub(ZEROS_COST);
                    part = 0;
                } else {
                    part = part.min(usize::try_from(run.start - offset).unwrap_or(part));
                }
            }
            match self
                .job
                .storage
                .io
                .read(common, offset, &mut buffer[..part])
            {
                Ok(()) => {}
                // The file changed since the survey: the piece is not there.
                Err(error) if is_absence(&error) => {
                    self.job.count(None);
                    continue;
                }
                Err(error) => return over(self.job.fail(error)),
            }
            current.hasher.update(&buffer[..part]);
            current.at += part as u32;
            left = left.saturating_sub(part);
            if current.at < length {
                self.current = Some(current);
                continue;
            }
            let blocks = u64::from(length.div_ceil(BLOCK_SIZE));
            Counters::add(&common.counters.blocks_hashed, blocks);
            let due = self.job.storage.spec.hash(current.piece);
            let good = common.accepts(current.hasher.finish(), due);
            self.job.count(good.then_some(current.piece));
        }
        CheckStep {
            over: false,
            event: self.job.progress(),
        }
    }

    fn claim(&self, skips: &mut u32) -> CheckClaim {
        let pieces = self.job.storage.spec.layout.num_pieces();
        while *skips > 0 {
            // Below the number of pieces plus that of workers: no overflow
            // to fear, since piece numbers stay far below it.
            let piece = PieceIndex(self.job.next.fetch_add(1, Ordering::Relaxed));
            if piece.0 >= pieces {
                return CheckClaim::Nothing;
            }
            if self.job.wanted(piece) {
                if self.job.is_there(piece) {
                    return CheckClaim::Piece(Current {
                        piece,
                        at: 0,
                        hasher: self.job.storage.spec.hasher(piece),
                        zeros: ZeroRun::default(),
                    });
                }
                self.job.count(None);
            }
            *skips -= 1;
        }
        CheckClaim::Later
    }
}

enum CheckClaim {
    Piece(Current),
    /// Enough for one step.
    Later,
    Nothing,
}

fn is_absence(error: &DiskError) -> bool {
    let is_other = matches!(error.kind, DiskErrorKind::NotAFile | DiskErrorKind::Symlink);
    error.is_absence() && !is_other
}
