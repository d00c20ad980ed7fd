//! What happens to the storage of a torrent, and what its machines have done about
//! it. In the order of the engine's torrent driver.

use std::time::{Duration, Instant};

use rand::RngExt;
use torrent_core::bitfield::Bitfield;
use torrent_core::check_state::{CheckMode, CheckOutput, CheckState, Conditions, Started};
use torrent_core::resume::ResumeData;
use torrent_core::save_schedule::{Changed, Save};
use torrent_core::storage_backoff::StorageOutput;

use super::files::{DiskFault, DiskOp};
use super::{SavedRecord, StorageNode};

/// The longest time of an operation.
const LATENCY_MICROS: u64 = 20_000;

/// The longest time of a sync: pieces arrive meanwhile.
const SYNC_MICROS: u64 = 400_000;

/// Between two pieces that peers send.
const ARRIVAL: Duration = Duration::from_millis(40);

/// How long an error is waited out.
const RETRY: Duration = Duration::from_secs(600);

/// Something that happens at its time.
pub(super) enum Event {
    /// Peers have sent a piece, if one may be fetched.
    Arrival,
    Wake,
    Looked,
    /// A piece of this check is read.
    CheckPiece(u64),
    Written(u32),
    Read(u32),
    /// These pieces were written before the sync began.
    Synced(Bitfield),
    Saved(SavedRecord),
}

impl StorageNode {
    /// The device does something.
    pub(super) fn work(&mut self, event: Event) {
        let longest = match event {
            Event::Synced(_) => SYNC_MICROS,
            _ => LATENCY_MICROS,
        };
        let time = Duration::from_micros(self.rng.random_range(1..longest));
        self.queue.push(self.queue.now() + time, event);
    }

    pub(super) fn next_arrival(&mut self) {
        self.queue.push(self.queue.now() + ARRIVAL, Event::Arrival);
    }

    pub(super) fn happen(&mut self, event: Event) {
        match event {
            Event::Arrival => self.arrival(),
            Event::Wake => self.wake(),
            Event::Looked => self.looked(),
            Event::CheckPiece(check) => self.check_piece(check),
            Event::Written(piece) => self.written(piece),
            Event::Read(piece) => self.was_read(piece),
            Event::Synced(covered) => self.synced(&covered),
            Event::Saved(record) => self.saved(record),
        }
        self.drain();
    }

    // ---- what the device says -----------------------------------------------

    fn arrival(&mut self) {
        let known = &self.known;
        let may_fetch = !(known.paused
            || known.checking
            || self.backoff.is_held()
            || self.checks.has_pending());
        let missing = |piece: &u32| !known.have.get(*piece) && !known.writing.get(*piece);
        let next = (0..known.have.len()).find(missing).filter(|_| may_fetch);
        if let Some(piece) = next {
            self.known.writing.set(piece);
            self.work(Event::Written(piece));
        }
        self.next_arrival();
    }

    fn written(&mut self, piece: u32) {
        self.known.writing.clear(piece);
        if let Err(fault) = self.files.attempt(DiskOp::Write) {
            return self.storage_failed(fault);
        }
        self.files.right.set(piece);
        // What a check looks at is its affair.
        if !self.known.checking {
            self.known.have.set(piece);
            self.changed(Changed::Progress);
        }
    }

    fn was_read(&mut self, piece: u32) {
        if !self.known.have.get(piece) {
            return;
        }
        if let Err(fault) = self.files.attempt(DiskOp::Read) {
            if fault == DiskFault::Error {
                let mut unreadable = Bitfield::new(self.known.have.len());
                unreadable.set(piece);
                self.known.have.clear(piece);
                self.known.synced.clear(piece);
                self.checks.add_pending(unreadable);
            }
            self.storage_failed(fault);
        }
    }

    fn looked(&mut self) {
        let now = self.instant();
        match self.files.attempt(DiskOp::Look) {
            Ok(()) => self.checks.folder_found(),
            Err(DiskFault::Shortage) => {
                self.backoff.shortage(now);
                self.checks.look_is_short();
            }
            Err(DiskFault::Error) => {
                if self.checks.folder_missing(now) {
                    self.storage_failed(DiskFault::Error);
                }
            }
        }
    }

    fn check_piece(&mut self, check: u64) {
        let Some((number, left, found)) = &mut self.running else {
            return;
        };
        if *number != check {
            return;
        }
        if let Err(fault) = self.files.attempt(DiskOp::Check) {
            self.running = None;
            match fault {
                DiskFault::Shortage => {
                    self.storage_failed(fault);
                    self.checks.check_is_short();
                }
                DiskFault::Error => {
                    self.checks.check_failed();
                    self.storage_failed(fault);
                }
            }
            return;
        }
        self.counters.checked += 1;
        if let Some(piece) = left.pop()
            && self.files.right.get(piece)
        {
            found.set(piece);
        }
        if left.is_empty() {
            let found = found.clone();
            self.running = None;
            let is_less = self.known.synced.iter().any(|piece| !found.get(piece));
            self.known.have = found.clone();
            return self.checks.checked(found, is_less);
        }
        let (done, total) = (found.len() - left.len() as u32, found.len());
        self.checks.checked_some(done, total);
        self.work(Event::CheckPiece(check));
    }

    fn synced(&mut self, covered: &Bitfield) {
        let now = self.instant();
        let succeeded = self.files.attempt(DiskOp::Sync).is_ok();
        self.schedule.synced(now, succeeded);
        if !succeeded {
            self.known.unsaved = true;
            return;
        }
        for piece in covered.iter() {
            if self.files.right.get(piece) {
                self.files.durable.set(piece);
            }
            // It may be in doubt by now.
            if self.known.have.get(piece) {
                self.known.synced.set(piece);
            }
        }
        self.save();
    }

    fn saved(&mut self, record: SavedRecord) {
        if self.files.attempt(DiskOp::SaveRecord).is_err() {
            return self.changed(Changed::Progress);
        }
        self.counters.records += 1;
        self.record = Some(record);
    }

    fn storage_failed(&mut self, fault: DiskFault) {
        let now = self.instant();
        match fault {
            DiskFault::Shortage => drop(self.backoff.shortage(now)),
            DiskFault::Error => {
                let is_news = self.backoff.failed(now, now, Some(RETRY));
                self.counters.errors += u32::from(is_news);
            }
        }
    }

    // ---- what is decided ----------------------------------------------------

    pub(super) fn changed(&mut self, what: Changed) {
        let now = self.instant();
        self.known.unsaved = true;
        self.schedule.changed(now, what);
    }

    fn wake(&mut self) {
        let (now, time) = (self.instant(), self.now());
        if self.timer.is_some_and(|due| due <= time) {
            self.timer = None;
            self.checks.handle_timeout(now);
            self.backoff.handle_timeout(now);
            self.drain();
            assert!(
                self.next_timeout().is_none_or(|due| due > now),
                "the driver would spin"
            );
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        let machines = [
            self.checks.poll_timeout(),
            self.backoff.poll_timeout(),
            self.schedule.poll_timeout(),
        ];
        machines.into_iter().flatten().min()
    }

    /// Carries out what the machines have decided.
    pub(super) fn drain(&mut self) {
        let now = self.instant();
        loop {
            self.checks.set_conditions(Conditions {
                may_check: self.known.may_check,
                is_short: self.backoff.is_short(),
                has_failed: self.backoff.has_failed(),
            });
            if let Some(output) = self.checks.poll_output() {
                self.carry_out_check(now, output);
            } else if let Some(output) = self.backoff.poll_output() {
                self.carry_out_storage(now, output);
            } else if let Some(save) = self.schedule.poll(now) {
                self.carry_out_save(now, save);
            } else {
                break;
            }
        }
        self.times
            .state_changed(now, self.state(), self.known.paused);
        if let Some(due) = self.next_timeout() {
            let due = due.saturating_duration_since(self.start).max(self.now());
            if self.timer.is_none_or(|set| due < set) {
                self.timer = Some(due);
                self.queue.push(due, Event::Wake);
            }
        }
    }

    fn carry_out_check(&mut self, now: Instant, output: CheckOutput) {
        match output {
            CheckOutput::Start => self.find_out(),
            CheckOutput::Enter => {
                self.known.checking = true;
                self.known.have = Bitfield::new(self.known.have.len());
            }
            CheckOutput::Look(_) => self.work(Event::Looked),
            CheckOutput::Begin(mode) => self.begin_check(mode),
            CheckOutput::Cancel => {
                let in_time = self.running.take().is_some();
                self.checks.cancelled(in_time);
            }
            CheckOutput::Accept(found) => {
                if let Some(found) = found {
                    self.known.have = found;
                }
                let pieces = 0..self.known.have.len();
                for piece in pieces.filter(|&piece| !self.known.have.get(piece)) {
                    self.known.synced.clear(piece);
                }
                self.known.checking = false;
                self.changed(Changed::Progress);
            }
            CheckOutput::Pause => {
                self.known.paused = true;
                self.times.paused_changed(now, true);
            }
            CheckOutput::ClearError => drop(self.backoff.cleared(now)),
            CheckOutput::Hold | CheckOutput::SortFiles => {}
        }
    }

    /// By what the record claims; without one by a check, where there is anything.
    fn find_out(&mut self) {
        let is_new = self.record.is_none() && self.files.right.none();
        if !is_new && !self.checks.has_seen_folder() {
            return self.checks.look_to_start();
        }
        let started = match &self.record {
            Some(record) => {
                self.known.synced = record.have.clone();
                Started::Found(Some(record.have.clone()))
            }
            None if is_new => Started::Found(Some(Bitfield::new(self.known.have.len()))),
            None => Started::Check(CheckMode::All),
        };
        self.checks.started(started);
    }

    fn begin_check(&mut self, mode: CheckMode) {
        let pieces = self.known.have.len();
        self.counters.checks += 1;
        let number = u64::from(self.counters.checks);
        let (left, found) = match mode {
            CheckMode::All => ((0..pieces).rev().collect(), Bitfield::new(pieces)),
            CheckMode::Only(only) => {
                let mut found = self.known.synced.clone();
                for piece in only.iter() {
                    found.clear(piece);
                }
                let left: Vec<u32> = only.iter().collect();
                (left, found)
            }
        };
        self.running = Some((number, left, found));
        self.work(Event::CheckPiece(number));
    }

    fn carry_out_storage(&mut self, now: Instant, output: StorageOutput) {
        match output {
            StorageOutput::Retry if self.checks.awaits_folder() => {
                CheckState::retry(&mut self.checks)
            }
            StorageOutput::Retry => drop(self.backoff.cleared(now)),
            StorageOutput::Hold | StorageOutput::ShortageOver => {}
        }
    }

    fn carry_out_save(&mut self, now: Instant, save: Save) {
        if !self.known.unsaved {
            return self.schedule.nothing_new(now, save);
        }
        self.known.unsaved = false;
        self.schedule.began(now, save);
        match save {
            Save::Record => self.save(),
            Save::Synced => self.work(Event::Synced(self.known.have.clone())),
        }
    }

    /// Saves a record of what is durable.
    fn save(&mut self) {
        let now = self.instant();
        let mut times = ResumeData::default();
        self.times.record(now, 0, &mut times);
        let record = SavedRecord {
            have: self.known.synced.clone(),
            active_time: times.active_time,
        };
        self.work(Event::Saved(record));
    }

    pub(super) fn restore_times(&mut self, now: Instant) {
        if let Some(record) = &self.record {
            let times = ResumeData {
                active_time: record.active_time,
                ..ResumeData::default()
            };
            self.times.restore(now, 0, &times);
        }
    }
}
