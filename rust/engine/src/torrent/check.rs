//! Checks of the files, by the decisions of [`CheckState`]: what happens is
//! reported to it ([`Driver::check_input`]), and what it puts out is carried
//! out.
//!
//! Code that asks for a check because something turned out to be other than it
//! should says so first ([`Driver::mark_unknown`]): what is in doubt does not count
//! until a check finds it, and records claim nothing meanwhile.

use std::time::Instant;

use torrent_core::bitfield::Bitfield;
use torrent_core::check_state::{CheckOutput, CheckState, Conditions, LookPurpose};
use torrent_core::ids::PieceIndex;
use torrent_core::torrent::TorrentState;

use super::Driver;
use crate::disk::{CheckId, DiskError, Storage};

impl Driver {
    /// Something has happened that decides about checks.
    pub(super) fn check_input(&mut self, input: impl FnOnce(&mut CheckState)) {
        input(&mut self.checking.state);
        self.drain_check_outputs();
    }

    /// Carries out what is decided about checks. Called when the conditions may
    /// have changed, too.
    pub(super) fn drain_check_outputs(&mut self) {
        while !self.ending {
            // Each output may change them.
            let conditions = self.check_conditions();
            self.checking.state.set_conditions(conditions);
            let Some(output) = self.checking.state.poll_output() else {
                return;
            };
            self.times.times.changed();
            self.carry_out_check(output);
        }
    }

    fn check_conditions(&self) -> Conditions {
        let is_turn = self.handle.shared.queue.verdict().check;
        Conditions {
            // The queue decides about the torrents that are in it.
            may_check: is_turn || !self.handle.is_auto_managed(),
            is_short: self.failure.backoff.is_short(),
            has_failed: self.failure.backoff.has_failed(),
        }
    }

    fn carry_out_check(&mut self, output: CheckOutput) {
        let Some(storage) = self.storage.slot.get().cloned() else {
            return;
        };
        match output {
            CheckOutput::Start => self.find_out(&storage),
            CheckOutput::Enter => {
                self.leave_seed_mode();
                self.stop_announcing();
                self.brain
                    .checking(Instant::now(), TorrentState::CheckingFiles);
            }
            CheckOutput::Look(look) => {
                let is_new = look.purpose == LookPurpose::Check
                    && !self.had_data()
                    && !Storage::has_root(&storage);
                if is_new {
                    // The folder is made where it is missing.
                    self.checking.state.folder_found();
                } else {
                    self.look_for_root(look);
                }
            }
            CheckOutput::Begin(mode) => self.checking.running = Some(storage.check(mode)),
            CheckOutput::Cancel => {
                let running = &mut self.checking.running;
                let in_time = running.as_ref().is_some_and(|check| check.cancel());
                if in_time {
                    *running = None;
                }
                self.checking.state.cancelled(in_time);
            }
            CheckOutput::Accept(found) => {
                let have = found.unwrap_or_else(|| storage.have());
                self.checked(Instant::now(), &have);
            }
            CheckOutput::Pause => self.pause_until_resumed(),
            CheckOutput::Hold => self.hold_download(),
            CheckOutput::ClearError => {
                self.forget_error();
            }
            CheckOutput::SortFiles => self.sort_files(),
        }
    }

    /// Finds out what is on disk, now that there are files.
    pub(super) fn start_check(&mut self) {
        if self.storage.slot.get().is_some() {
            self.check_input(CheckState::start);
        }
    }

    /// Forgets which pieces we have and checks the files again. A check that is
    /// under way may have read files before they changed, and begins anew. An
    /// earlier error no longer counts: what the check finds does.
    pub(super) fn recheck(&mut self) {
        if self.checking.state.awaits_folder() {
            // Where several wait for one folder, the game says it of each.
            self.location.awaited = None;
        }
        self.check_input(CheckState::recheck);
        self.times.times.snapshot_now();
    }

    /// Checks these pieces again; the others stay what they are.
    pub(super) fn recheck_some(&mut self, pieces: Bitfield) {
        self.mark_unknown(&pieces);
        self.check_input(|checks| checks.recheck_some(pieces));
    }

    /// Only a check can say whether these pieces are on disk.
    pub(super) fn mark_unknown(&mut self, pieces: &Bitfield) {
        self.checking.state.mark_unknown();
        if let Some(storage) = self.storage.slot.get() {
            storage.mark_unknown(pieces);
        }
    }

    /// The state of every piece is unknown.
    pub(super) fn mark_all_unknown(&mut self) {
        self.mark_unknown(&Bitfield::full(self.brain.layout().num_pieces()));
    }

    /// The bytes of `piece` could not be read, which says nothing of them.
    pub(super) fn unreadable(&mut self, piece: PieceIndex, error: DiskError) {
        let mut pieces = Bitfield::new(self.brain.layout().num_pieces());
        pieces.set(piece.0);
        self.mark_unknown(&pieces);
        self.checking.state.add_pending(pieces);
        // First, so that the missing piece is not requested from peers.
        self.hold_download();
        if self.brain.picker().we_have(piece) {
            self.brain.piece_lost(Instant::now(), piece);
            self.publish_pieces();
        }
        self.storage_failed(error);
        self.drain_check_outputs();
    }

    // ---- what the disk says of the check that runs --------------------------

    pub(super) fn is_current_check(&self, check: CheckId) -> bool {
        let running = self.checking.running.as_ref();
        running.is_some_and(|current| current.id() == check)
    }

    pub(super) fn check_progress(&mut self, done: u32, total: u32) {
        self.checking.state.checked_some(done, total);
        if self.brain.state() == TorrentState::CheckingResumeData {
            self.brain
                .checking(Instant::now(), TorrentState::CheckingFiles);
        }
        self.times.times.snapshot_now();
    }

    pub(super) fn check_over(&mut self, have: Bitfield) {
        self.checking.running = None;
        let known = self.records.saver.known();
        let is_less = known.iter().any(|piece| !have.get(piece));
        self.check_input(|checks| checks.checked(have, is_less));
    }

    pub(super) fn check_failed(&mut self, error: DiskError) {
        self.checking.running = None;
        if error.is_transient() {
            self.shortage_began(error);
            return self.check_input(CheckState::check_is_short);
        }
        // Before the error, which is reported before the outcome of the check.
        self.checking.state.check_failed();
        self.storage_failed(error);
        self.drain_check_outputs();
    }

    /// The check went down with a disk worker.
    pub(super) fn check_died(&mut self) {
        if let Some(check) = self.checking.running.take() {
            check.cancel();
            self.check_input(CheckState::check_failed);
        }
    }
}
