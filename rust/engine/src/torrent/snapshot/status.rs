//! The status of a torrent, put together of its parts.

use std::time::Instant;

use torrent_core::ids::BLOCK_SIZE;
use torrent_core::torrent::TorrentState;

use super::{block_of, piece_of};
use crate::event::unix_millis;
use crate::net::bandwidth::Direction;
use crate::status::TorrentStatus;
use crate::torrent::Driver;
use crate::torrent::handle::snapshots::{Clocks, known};

impl Driver {
    /// The status as of `now`, without its times: those are in the clocks.
    pub(super) fn status(&mut self, now: Instant) -> (TorrentStatus, Clocks) {
        let mut status = TorrentStatus {
            info_hash: self.handle.info_hash().to_string(),
            name: self.handle.name().to_owned(),
            save_path: self.handle.save_path().display().to_string(),
            state: self.brain.state(),
            paused: self.paused,
            queue_position: self.handle.queue_position(),
            added_time: self.handle.added_time(),
            block_size: BLOCK_SIZE,
            is_moving_storage: self.is_moving(),
            is_seed_mode: self.storage.work.seed_mode,
            ..TorrentStatus::default()
        };
        self.put_options(&mut status);
        self.put_transfer(now, &mut status);
        self.put_progress(&mut status);
        self.put_swarm(&mut status);
        self.put_error(&mut status);
        let clocks = self.put_times(now, &mut status);
        // After the times, which it follows from.
        status.seed_rank = self.handle.seed_rank();
        (status, clocks)
    }

    fn put_options(&self, status: &mut TorrentStatus) {
        let options = self.handle.plain_options();
        options.show(status);
        status.is_upload_mode |= self.failure.error.is_some();
        status.storage_mode = options.storage_mode.name().to_owned();
    }

    /// What went over the connections, now and in earlier sessions.
    fn put_transfer(&mut self, now: Instant, status: &mut TorrentStatus) {
        let totals = self.brain.totals();
        let (received, sent) = (totals.payload_received, totals.payload_sent);
        status.total_download = totals.received;
        status.total_upload = totals.sent;
        status.total_payload_download = received;
        status.total_payload_upload = sent;
        status.total_failed_bytes = totals.failed;
        status.total_redundant_bytes = totals.redundant;
        status.download_rate = totals.rates.download.rate(now);
        status.upload_rate = totals.rates.upload.rate(now);
        status.download_payload_rate = totals.rates.payload_download.rate(now);
        status.upload_payload_rate = totals.rates.payload_upload.rate(now);
        self.times.times.note_payload(now, received, sent);
        let record = &self.records.resume_state.record;
        status.all_time_download = record.total_downloaded.saturating_add(received);
        status.all_time_upload = record.total_uploaded.saturating_add(sent);
        status.ratio = match status.all_time_download {
            0 => -1.0,
            received => status.all_time_upload as f64 / received as f64,
        };
        let rates = &self.context.services.bandwidth;
        status.down_bandwidth_queue = rates.waiting(Direction::Down, self.handle.key()) as u32;
        status.up_bandwidth_queue = rates.waiting(Direction::Up, self.handle.key()) as u32;
    }

    /// What is here of the torrent, and how long the rest takes.
    fn put_progress(&self, status: &mut TorrentStatus) {
        let picker = self.brain.picker();
        let (wanted, wanted_done) = (picker.total_wanted(), picker.wanted_done());
        let has_metadata = self.brain.has_metadata();
        let checking = status.state.is_checking();
        // A wanted file that is still in the part file cannot be read yet.
        let is_finished = has_metadata && picker.is_finished() && !self.storage.work.sorting;
        let is_seeding = has_metadata && picker.is_seed();
        status.has_metadata = has_metadata;
        status.is_finished = is_finished && !checking;
        status.is_seeding = is_seeding && !checking;
        status.progress = match (checking, wanted) {
            (true, _) => self.checking.state.progress(),
            (false, 0) if !has_metadata => 0.0,
            (false, 0) => 1.0,
            (false, wanted) => wanted_done as f64 / wanted as f64,
        };
        status.total_done = picker.done();
        status.total_size = self.brain.layout().payload_length();
        status.total_wanted = wanted;
        status.total_wanted_done = wanted_done;
        status.num_pieces = self.brain.layout().num_pieces();
        status.pieces_downloaded = picker.num_have();
        let left = wanted.saturating_sub(wanted_done);
        status.eta = match (left, status.download_payload_rate) {
            (0, _) if !has_metadata => -1,
            (0, _) => 0,
            (_, 0) => -1,
            (left, rate) => left.div_ceil(rate) as i64,
        };
        let (copies, fraction) = picker.distributed_copies();
        status.availability = f64::from(copies) + f64::from(fraction) / 1000.0;
        status.distributed_copies = if is_seeding {
            -1.0
        } else {
            status.availability
        };
    }

    /// Peers that are connected, known and counted by trackers.
    fn put_swarm(&mut self, status: &mut TorrentStatus) {
        let list = self.brain.peer_list();
        status.list_peers = list.len() as u32;
        status.list_seeds = list.num_seeds() as u32;
        status.connect_candidates = list.num_candidates() as u32;
        status.num_connections = self.brain.num_connections() as u32;
        let mut incoming = None;
        for (_, peer) in self.brain.peers() {
            incoming = incoming.or(peer.traffic.stats.incoming);
            status.num_peers += 1;
            status.num_seeds += u32::from(peer.is_seed());
            status.num_uploads += u32::from(!peer.upload.choked_by_us);
        }
        status.downloading_piece_index = piece_of(incoming);
        status.downloading_block_index = block_of(incoming);
        status.downloading_progress = incoming.map_or(0, |it| it.bytes);
        status.downloading_total = incoming.map_or(0, |it| it.total);
        let (swarm, record) = (
            self.announcing.announcer.swarm(),
            &self.records.resume_state.record,
        );
        status.num_complete = known(swarm.complete.or(record.num_complete));
        status.num_incomplete = known(swarm.incomplete.or(record.num_incomplete));
        let tracker = self.announcing.announcer.last_working();
        status.current_tracker = tracker.unwrap_or_default().to_owned();
    }

    fn put_error(&self, status: &mut TorrentStatus) {
        if let Some(error) = &self.failure.error {
            status.error = error.message().to_owned();
            status.error_file = error.context().to_owned();
        }
    }

    /// How long and since when, as of `now` and from now on.
    fn put_times(&mut self, now: Instant, status: &mut TorrentStatus) -> Clocks {
        let next_announce = self.announcing.announcer.next_announce(now);
        let sees_complete = status.num_seeds > 0 || status.state == TorrentState::Seeding;
        let times = &mut self.times.times;
        times.advance(now);
        if sees_complete {
            times.last_seen_complete = unix_millis() / 1000;
        }
        status.announces_to_trackers = next_announce.is_some();
        status.completed_time = times.completed_time;
        status.last_seen_complete = times.last_seen_complete;
        let clocks = Clocks {
            times: **times,
            next_announce,
            sees_complete,
        };
        clocks.set(now, status);
        clocks
    }
}
