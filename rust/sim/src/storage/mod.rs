//! The storage of one torrent on the virtual clock: what is checked, written,
//! synced and recorded, over faults and power failures.
//!
//! What decides is the core's ([`CheckState`], [`StorageBackoff`],
//! [`SaveSchedule`], [`ActiveTime`]). What is modelled is a device, and the part of
//! the torrent's task that carries out what they decide.

mod drive;
mod files;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use torrent_core::active_time::ActiveTime;
use torrent_core::bitfield::Bitfield;
use torrent_core::check_state::CheckState;
use torrent_core::save_schedule::{Changed, SaveSchedule};
use torrent_core::storage_backoff::StorageBackoff;
use torrent_core::torrent::TorrentState;

use crate::queue::EventQueue;
use drive::Event;
use files::Files;
pub use files::{DiskFault, DiskOp};

/// What a torrent's record claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedRecord {
    /// The pieces that are durable.
    pub have: Bitfield,
    /// Seconds that the torrent was not paused.
    pub active_time: u64,
}

/// What happened, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorageCounters {
    /// Checks that began.
    pub checks: u32,
    /// Pieces that checks looked at.
    pub checked: u32,
    /// Errors that the game would hear of.
    pub errors: u32,
    /// Records that were saved.
    pub records: u32,
}

/// What is known of a torrent, all of it gone with the process.
#[derive(Debug)]
struct Knowledge {
    /// Verified, and what it has.
    have: Bitfield,
    /// Of that, what a sync has covered or a record claims.
    synced: Bitfield,
    /// Being written.
    writing: Bitfield,
    /// Something is known that no record has.
    unsaved: bool,
    /// A check decides what it has.
    checking: bool,
    paused: bool,
    /// The queue lets it check.
    may_check: bool,
}

/// One torrent with its storage. See the module's documentation.
pub struct StorageNode {
    seed: u64,
    start: Instant,
    rng: StdRng,
    queue: EventQueue<Event>,
    timer: Option<Duration>,
    files: Files,
    record: Option<SavedRecord>,
    known: Knowledge,
    checks: CheckState,
    backoff: StorageBackoff,
    schedule: SaveSchedule,
    times: ActiveTime,
    /// The check that runs: its number, what is left of it, what it has found.
    running: Option<(u64, Vec<u32>, Bitfield)>,
    counters: StorageCounters,
    events: u64,
}

impl StorageNode {
    /// A new torrent of so many pieces, which begin to arrive.
    pub fn new(seed: u64, num_pieces: u32) -> Self {
        Self::with(seed, Files::new(num_pieces), None, Duration::ZERO)
    }

    fn with(seed: u64, files: Files, record: Option<SavedRecord>, begun: Duration) -> Self {
        let start = Instant::now();
        let pieces = files.right.len();
        let mut node = Self {
            seed,
            start,
            rng: StdRng::seed_from_u64(seed),
            queue: EventQueue::new(),
            timer: None,
            files,
            record,
            known: Knowledge {
                have: Bitfield::new(pieces),
                synced: Bitfield::new(pieces),
                writing: Bitfield::new(pieces),
                unsaved: false,
                checking: true,
                paused: false,
                may_check: true,
            },
            checks: CheckState::new(),
            backoff: StorageBackoff::new(),
            schedule: SaveSchedule::new(start),
            times: ActiveTime::new(start),
            running: None,
            counters: StorageCounters::default(),
            events: 0,
        };
        // The clock goes on over power failures.
        node.queue.pop(begun);
        let now = node.instant();
        node.schedule = SaveSchedule::new(now);
        node.times = ActiveTime::new(now);
        node.restore_times(now);
        node.checks.start();
        node.drain();
        node.next_arrival();
        node
    }

    // ---- what happens to it -------------------------------------------------

    /// Everything that is not durable is lost, and the torrent begins again.
    #[must_use]
    pub fn lose_power(mut self) -> Self {
        let seed = self.rng.random();
        self.files.lose_power(&mut self.rng);
        Self::with(seed, self.files.clone(), self.record.clone(), self.now())
    }

    /// Lets an operation fail so many times; `None` for ever.
    pub fn fail(&mut self, op: DiskOp, fault: DiskFault, times: Option<u32>) {
        self.files.script(op, fault, times);
    }

    /// Nothing fails any more.
    pub fn repair(&mut self) {
        self.files.repair();
    }

    /// Something else changes a piece on the device.
    pub fn damage(&mut self, piece: u32) {
        self.files.damage(piece);
    }

    /// The game wants everything checked.
    pub fn recheck(&mut self) {
        self.checks.recheck();
        self.drain();
    }

    /// The game wants no check.
    pub fn cancel_check(&mut self) {
        self.checks.cancel();
        self.drain();
    }

    /// The queue lets it check, or makes it wait.
    pub fn set_may_check(&mut self, may_check: bool) {
        self.known.may_check = may_check;
        self.drain();
    }

    /// The game resumes it.
    pub fn resume(&mut self) {
        let now = self.instant();
        self.known.paused = false;
        self.times.paused_changed(now, false);
        self.checks.resumed();
        self.changed(Changed::Config);
        self.drain();
    }

    /// A peer asks for a piece.
    pub fn read(&mut self, piece: u32) {
        self.work(Event::Read(piece));
    }

    // ---- time ---------------------------------------------------------------

    /// Lets time pass until `done` says so, or `limit` since the beginning.
    /// Whether `done` said so. What must always hold is looked at on the way.
    pub fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        loop {
            if done(self) {
                return true;
            }
            if !self.step(limit) {
                return done(self);
            }
        }
    }

    /// Lets one thing happen, if there is one before `limit`.
    pub fn step(&mut self, limit: Duration) -> bool {
        let Some(event) = self.queue.pop(limit) else {
            return false;
        };
        self.events += 1;
        self.happen(event);
        self.check_claims();
        true
    }

    /// A record claims what outlasts a power failure, and nothing else; nothing is
    /// counted twice.
    fn check_claims(&self) {
        if let Some(record) = &self.record {
            let lost: Vec<u32> = record
                .have
                .iter()
                .filter(|&piece| !self.files.durable.get(piece) && !self.files.damaged.get(piece))
                .collect();
            assert!(lost.is_empty(), "claimed and not durable: {lost:?}");
            assert!(record.active_time <= self.now().as_secs());
        }
    }

    // ---- answers ------------------------------------------------------------

    /// Time since the beginning.
    pub fn now(&self) -> Duration {
        self.queue.now()
    }

    /// What happened, in numbers.
    pub fn counters(&self) -> StorageCounters {
        self.counters
    }

    /// How often each operation was tried.
    pub fn attempts(&self) -> &BTreeMap<DiskOp, u32> {
        &self.files.attempts
    }

    /// How many things have happened.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The pieces that the torrent believes to have.
    pub fn have(&self) -> &Bitfield {
        &self.known.have
    }

    /// The record as it was saved last.
    pub fn record(&self) -> Option<&SavedRecord> {
        self.record.as_ref()
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.known.paused
    }

    /// Whether a check decides what it has.
    pub fn is_checking(&self) -> bool {
        self.known.checking
    }

    /// How much of the check is done, 0 to 1.
    pub fn check_progress(&self) -> f64 {
        self.checks.progress()
    }

    /// Whether storage is in error.
    pub fn has_failed(&self) -> bool {
        self.backoff.has_failed()
    }

    /// Whether everything is here, right and durable, and a record says so.
    pub fn is_complete(&self) -> bool {
        self.known.have.is_full()
            && self.files.right.is_full()
            && self.record.as_ref().is_some_and(|it| it.have.is_full())
    }

    fn state(&self) -> TorrentState {
        match (self.known.checking, self.known.have.is_full()) {
            (true, _) => TorrentState::CheckingFiles,
            (false, true) => TorrentState::Seeding,
            (false, false) => TorrentState::Downloading,
        }
    }

    fn instant(&self) -> Instant {
        self.start + self.queue.now()
    }
}

impl Drop for StorageNode {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "the storage of seed {} after {} events at {:?}: {:?} {:?}",
                self.seed,
                self.events,
                self.queue.now(),
                self.known,
                self.checks
            );
        }
    }
}
