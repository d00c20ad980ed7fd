//! Carries out commands from handles, and applies changed settings.

use std::time::Instant;

use torrent_core::check_state::CheckState;
use torrent_core::peerlist::Sources;
use torrent_core::save_schedule::Changed;

use super::{Driver, TaskEnd};
use crate::event::command_sequence::CommandTopic;
use crate::event::typed;
use crate::torrent::handle::resume::SaveFlags;
use crate::torrent::handle::{Command, PendingState};

impl Driver {
    pub(super) fn handle_command(&mut self, command: Command) {
        let now = Instant::now();
        match command {
            Command::Look(state) => self.look(state),
            Command::Deadline {
                piece,
                after,
                alert,
            } => self.brain.set_deadline(now, piece, after, alert),
            Command::ResetDeadline(piece) => self.reset_deadline(piece),
            Command::Reannounce(request) => {
                self.tasks.spawn(async move {
                    tokio::time::sleep(request.after).await;
                    TaskEnd::Reannounce(request)
                });
            }
            Command::Scrape(tracker) => {
                self.announcing.announcer.scrape(tracker);
            }
            Command::Connect(peer) => self.connect_to(now, peer),
            Command::Peers(peers) => self.add_peers(now, peers, Sources::MANUAL),
            Command::Ask(request) => self.answer(request),
            Command::SaveResumeData(request) => self.save_requested(request),
            Command::ReadPiece(piece, answer) => self.read_piece(piece, answer),
            Command::Flush(answer) => self.flush(answer),
            Command::Metadata(info) => self.metadata_known(info),
            Command::Storage(command) => self.start_storage_command(*command),
            Command::Incoming(arrival) => self.welcome(*arrival),
            Command::Ban(ip) => self.brain.ban(ip),
            Command::TurnOver(count) => {
                self.brain.turn_over(now, count);
            }
            Command::Choking(changes) => self.brain.apply_choking(now, &changes),
            // Taken out before it comes here.
            Command::Remove { .. } => {}
        }
    }

    /// A state has changed.
    fn look(&mut self, state: PendingState) {
        // Before the state is read: a later change must notify the task again.
        self.handle.shared.pending.looking(state as u32);
        match state {
            PendingState::Options => {
                // The handle has noted what changed.
                self.records.saver.changed(Instant::now(), Changed::Config);
                self.read_options();
            }
            PendingState::Priorities => {
                self.unsaved(SaveFlags::IF_CONFIG_CHANGED);
                self.read_priorities();
            }
            PendingState::Trackers => {
                self.unsaved(SaveFlags::IF_METADATA_CHANGED);
                self.trackers_changed(Instant::now());
            }
            PendingState::Check => {
                let request = std::mem::take(&mut *self.handle.shared.check.lock());
                if let Some(command) = request.begin {
                    self.handle.shared.asked.saw(CommandTopic::Check, command);
                    self.uncompleted.check = self.brain.has_metadata();
                    self.recheck();
                }
                if request.cancel {
                    self.check_input(CheckState::cancel);
                }
            }
            PendingState::Error => {
                let asked = &self.handle.shared.asked;
                asked.saw(CommandTopic::Error, asked.last(CommandTopic::Error));
                if self.checking.state.awaits_folder() {
                    self.failure.backoff.attempt_wanted(Instant::now());
                }
                self.clear_error();
                self.times.times.snapshot_now();
            }
        }
    }

    pub(super) fn apply_settings(&mut self) {
        let settings = self.context.services.settings.borrow().clone();
        self.set_announcer(&settings);
        self.brain.apply_settings(Instant::now(), settings);
        self.watch();
        self.read_options();
    }

    pub(super) fn pause_changed(&mut self, now: Instant) {
        self.times.times.paused_changed(now, self.paused);
        if self.paused {
            self.stop_announcing();
            if self.handle.plain_options().graceful && self.brain.is_running() {
                self.brain.pause_gracefully(now);
            } else {
                self.brain.stop(now);
                self.publish(now);
                self.post(typed::TORRENT_PAUSED, || ());
            }
        } else {
            self.checking.state.resumed();
            self.brain.start(now);
            if !self.brain.state().is_checking() {
                self.start_announcing(now);
            }
            // A caller that resumes it wants it to go on.
            self.clear_error();
            self.publish(now);
            self.post(typed::TORRENT_RESUMED, || ());
        }
        self.times.times.snapshot_now();
    }
}
