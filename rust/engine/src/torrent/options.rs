//! Applies the options of a torrent.

use std::time::Instant;

use torrent_core::ids::PieceIndex;
use torrent_core::peer::{ConnectionReport, Watched};
use torrent_core::picker::Priority;

use super::Driver;
use crate::event::command_sequence::CommandTopic;
use crate::event::{PeerRef, kind, typed};
use crate::torrent::handle::PendingState;

impl Driver {
    /// Applies the options, all but the priorities.
    pub(super) fn read_options(&mut self) {
        let now = Instant::now();
        let (options, answers, is_resumed) = {
            let held = self.handle.shared.options.lock();
            let asked = &self.handle.shared.asked;
            asked.saw(CommandTopic::Options, asked.last(CommandTopic::Options));
            let saw = |topic| asked.saw(topic, asked.last(topic));
            let of_session = saw(CommandTopic::SessionPause) && !self.handle.waits(held.plain);
            let answers = saw(CommandTopic::Pause) || of_session;
            (held.plain, answers, saw(CommandTopic::Resume))
        };
        self.brain.set_sequential(options.sequential);
        self.brain.set_sequential_range(options.sequential_range);
        self.brain
            .set_pex_allowed(now, options.discovery.pex && !self.handle.is_private());
        self.set_filtered(options.apply_ip_filter);
        self.context.services.bandwidth.set_torrent(
            self.handle.key(),
            options.download_limit,
            options.upload_limit,
        );
        self.brain
            .set_limits(now, options.max_connections, options.max_uploads);
        self.enable_announcer();
        let paused = self.handle.waits(options) || *self.context.services.paused.borrow();
        if is_resumed && (paused || !self.paused) {
            // Otherwise it begins to run, which ends an error too.
            self.clear_error();
        }
        if paused != self.paused {
            self.paused = paused;
            self.pause_changed(now);
        } else if self.brain.is_pausing_gracefully() && !options.graceful {
            // It was not to take that long after all.
            self.brain.stop(now);
            self.post(typed::TORRENT_PAUSED, || ());
        } else if answers && !self.brain.is_pausing_gracefully() {
            // Paused and resumed, or the other way round, before it was seen:
            // a caller that waits for the last event learns that it holds.
            self.publish(now);
            let kind = if paused {
                typed::TORRENT_PAUSED
            } else {
                typed::TORRENT_RESUMED
            };
            self.post(kind, || ());
        }
        self.brain.set_modes(now, options.modes);
        self.drain_check_outputs();
        self.times.times.snapshot_now();
    }

    /// Puts the game's priorities into effect: a walk over all pieces, and so
    /// only when they changed.
    pub(super) fn read_priorities(&mut self) {
        let shared = &self.handle.shared;
        // Before they are read: a later change must notify the task again.
        shared.pending.looking(PendingState::Priorities as u32);
        let priorities = shared.options.lock().piece_priorities.clone();
        self.sort_files();
        // What becomes wanted waits until its file is where it belongs: else
        // it would be finished, and lie in the part file still.
        let waits = self.storage.work.sorting;
        let picker = self.brain.picker();
        let priorities: Vec<Priority> = priorities
            .iter()
            .zip(0..)
            .map(
                |(&priority, piece)| match picker.priority(PieceIndex(piece)) {
                    unwanted if waits && !unwanted.is_wanted() => unwanted,
                    _ => Priority::new(priority).unwrap_or_default(),
                },
            )
            .collect();
        self.brain.set_priorities(Instant::now(), &priorities);
        self.times.times.snapshot_now();
    }

    /// The files are checked and the torrent was to stop then: it is paused
    /// as if the game had said so now.
    pub(super) fn stopped_when_ready(&mut self) {
        let mut options = self.handle.shared.options.lock();
        options.plain.modes.stop_when_ready = false;
        drop(options);
        self.pause_until_resumed();
    }

    /// Pauses the torrent until the game resumes it.
    pub(super) fn pause_until_resumed(&mut self) {
        {
            let options = &mut self.handle.shared.options.lock().plain;
            options.paused = true;
            options.graceful = false;
            options.auto_managed = false;
        }
        if !self.paused {
            self.paused = true;
            self.pause_changed(Instant::now());
        }
    }

    pub(super) fn reset_deadline(&mut self, piece: Option<PieceIndex>) {
        let now = Instant::now();
        match piece {
            Some(piece) => self.brain.reset_deadline(now, piece),
            None => self.brain.clear_deadlines(now),
        }
    }

    /// Makes connections record what a consumer of alerts wants.
    pub(super) fn watch(&mut self) {
        let events = &self.context.services.events;
        let any = |kinds: &[crate::event::Kind]| kinds.iter().any(|&kind| events.wants(kind));
        self.brain.watch(Watched {
            progress: any(&[kind::BLOCK_DOWNLOADING, kind::BLOCK_FINISHED]),
            request_failures: any(&[kind::REQUEST_DROPPED, kind::BLOCK_TIMEOUT]),
            peer: any(&[kind::UNWANTED_BLOCK, kind::INVALID_REQUEST]),
            upload: any(&[kind::BLOCK_UPLOADED]),
            asked: any(&[kind::INCOMING_REQUEST]),
        });
    }

    /// Posts what a connection noted.
    pub(super) fn post_notes(
        &self,
        key: torrent_core::ids::PeerKey,
        report: &mut ConnectionReport,
    ) {
        if report.notes.is_empty() {
            return;
        }
        let Some(peer) = self.brain.peer(key).map(|peer| PeerRef {
            endpoint: peer.meta.endpoint,
            id: peer.meta.id,
        }) else {
            return;
        };
        for note in report.notes.drain(..) {
            self.post_body(crate::event::of_note(peer, note));
        }
    }
}
