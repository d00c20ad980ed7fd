//! Builds the snapshots of a torrent that readers copy.

mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use torrent_core::bitfield::Bitfield;
use torrent_core::ids::BLOCK_SIZE;
use torrent_core::peer::Incoming;
use torrent_core::torrent::Peer;

use super::Driver;
use super::times::seconds_since;
use crate::disk::Storage;
use crate::event::command_sequence::CommandNumbers;
use crate::event::performance::PerformanceWarning;
use crate::stats::Counter;
use crate::status::{PeerInfo, TorrentStatus};
use crate::torrent::handle::post::PostRequest;
use crate::torrent::handle::resume::SaveFlags;
use crate::torrent::handle::snapshots::{
    FilesSnapshot, PeerRow, StatusSnapshot, SwarmSnapshot, TrackersSnapshot, new_tracker,
};
use crate::torrent::handle::{Shown, TorrentHandle};

/// What the session's counters know of the torrent's totals.
#[derive(Debug, Default)]
pub(super) struct CountedStats {
    received: u64,
    sent: u64,
    payload_received: u64,
    payload_sent: u64,
    redundant: u64,
}

impl TorrentHandle {
    /// Shows what is known of a torrent before its task has begun.
    pub(crate) fn show_new(&self) {
        let view = &self.shared.view;
        let (options, trackers) = (self.plain_options(), self.tracker_tiers());
        let tiers = trackers.iter().zip(0..);
        let rows = tiers.flat_map(|(tier, number)| {
            let urls = tier.iter();
            urls.map(move |url| (new_tracker(url, number), self.tracker_source(url)))
        });
        let rows = rows.collect();
        view.trackers.store(Shown::new(TrackersSnapshot {
            rows,
            ..TrackersSnapshot::default()
        }));
        let mut status = TorrentStatus {
            info_hash: self.info_hash().to_string(),
            name: self.name().to_owned(),
            save_path: self.save_path().display().to_string(),
            paused: self.waits(options),
            queue_position: -1,
            block_size: BLOCK_SIZE,
            num_complete: -1,
            num_incomplete: -1,
            time_since_download: -1,
            time_since_upload: -1,
            next_announce: -1,
            added_time: self.added_time(),
            eta: -1,
            ratio: -1.0,
            downloading_piece_index: -1,
            downloading_block_index: -1,
            storage_mode: options.storage_mode.name().to_owned(),
            ..TorrentStatus::default()
        };
        options.show(&mut status);
        if let Some(metainfo) = self.metainfo() {
            let layout = &metainfo.info.layout;
            let pieces = layout.num_pieces();
            view.pieces.store(Arc::new(Bitfield::new(pieces)));
            let swarm = SwarmSnapshot::new(pieces, Vec::new(), &SwarmSnapshot::default());
            view.swarm.store(Arc::new(swarm));
            let files = FilesSnapshot::none_of(layout.files().len());
            view.files.store(Arc::new(files));
            status.has_metadata = true;
            status.total_size = layout.payload_length();
            status.num_pieces = pieces;
        }
        view.status.store(Shown::new(StatusSnapshot::still(status)));
    }
}

impl Driver {
    /// Replaces the snapshots: the status, and of the others what has changed.
    /// None of it is a walk over pieces, and what takes one is done for those who
    /// read it (`handle::snapshots`).
    pub(super) fn publish(&mut self, now: Instant) {
        self.feed_counters();
        self.warn_of_limits();
        self.follow_seed_mode();
        let (status, clocks) = self.status(now);
        self.observe(&status);
        self.publish_swarm(now);
        let before = self.handle.shared.view.download_queue.load_full();
        let queue = self.download_queue(&before);
        let view = &self.handle.shared.view;
        let seen = self.handle.shared.asked.seen();
        let session_paused = *self.context.services.paused.borrow();
        self.publish_trackers(now, seen);
        self.publish_files();
        if !(queue.is_empty() && before.is_empty()) {
            view.download_queue.store(Arc::new(queue));
        }
        view.failure.store(self.failure.error.clone().map(Arc::new));
        let is_moving = self.is_in_motion(&status);
        let status = StatusSnapshot::running(status, clocks);
        view.status.store(Shown::at(status, seen, session_paused));
        let settings = self.context.services.settings.borrow();
        let interval = Duration::from_millis(settings.status_update_interval.unsigned_abs());
        self.times.times.published(now + interval, is_moving);
        #[cfg(test)]
        view.published
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    /// Whether numbers of this status change while nothing is reported.
    fn is_in_motion(&self, status: &TorrentStatus) -> bool {
        let rates = [status.download_rate, status.upload_rate];
        status.num_peers > 0 || rates.iter().any(|&rate| rate > 0)
    }

    /// Answers a question, as of now.
    pub(super) fn answer(&mut self, request: PostRequest) {
        self.publish(Instant::now());
        let storage = self.storage.slot.get();
        let open = || storage.map_or_else(Vec::new, Storage::open_files);
        let body = self.handle.answer(request, open);
        self.post_body(body);
    }

    /// Warns when a peer could be asked for more at once than the settings let.
    fn warn_of_limits(&mut self) {
        let session = &self.context.services;
        let most = session.settings.borrow().max_out_request_queue;
        let mut peers = self.brain.peers();
        if peers.any(|(_, peer)| {
            peer.download.interested && i64::from(peer.traffic.stats.target) >= most
        }) {
            let warning = PerformanceWarning::OutstandingRequestLimitReached;
            session
                .events
                .warn(Some(&self.handle.torrent_ref()), warning);
        }
    }

    /// Brings the session's counters up to date.
    fn feed_counters(&mut self) {
        let totals = self.brain.totals();
        let stats = &self.context.services.stats;
        let counted = &mut self.times.counted;
        if totals.payload_received != counted.payload_received
            || totals.payload_sent != counted.payload_sent
        {
            self.handle.note_unsaved(SaveFlags::IF_COUNTERS_CHANGED);
        }
        let feed = |counter: &Counter, known: &mut u64, total: u64| {
            counter.add(total - std::mem::replace(known, total));
        };
        feed(&stats.recv_bytes, &mut counted.received, totals.received);
        feed(&stats.sent_bytes, &mut counted.sent, totals.sent);
        feed(
            &stats.recv_payload_bytes,
            &mut counted.payload_received,
            totals.payload_received,
        );
        feed(
            &stats.sent_payload_bytes,
            &mut counted.payload_sent,
            totals.payload_sent,
        );
        feed(
            &stats.recv_redundant_bytes,
            &mut counted.redundant,
            totals.redundant,
        );
    }

    /// Replaces the snapshot of what we have.
    pub(super) fn publish_pieces(&self) {
        let have = Arc::clone(self.brain.picker().have());
        self.handle.shared.view.pieces.store(have);
    }

    fn peer_rows(&mut self, now: Instant) -> Vec<PeerRow> {
        let peers = self.brain.peers();
        peers.map(|(_, peer)| peer_row(now, peer)).collect()
    }

    /// Shows the connections.
    fn publish_swarm(&mut self, now: Instant) {
        let num_pieces = self.brain.layout().num_pieces();
        let before = self.handle.shared.view.swarm.load_full();
        if self.brain.peers().len() == 0 && before.is_empty_of(num_pieces) {
            return;
        }
        let swarm = SwarmSnapshot::new(num_pieces, self.peer_rows(now), &before);
        self.handle.shared.view.swarm.store(Arc::new(swarm));
    }

    /// Shows the trackers, if they are not as they were.
    fn publish_trackers(&self, now: Instant, seen: CommandNumbers) {
        let view = &self.handle.shared.view.trackers;
        let revision = Some(self.announcing.announcer.revision());
        let before = view.load();
        // Where they come from depends on what the torrent consists of.
        if before.value.revision == revision && before.seen == seen {
            return;
        }
        let rows = self.announcing.announcer.status(now).into_iter();
        let rows = rows.map(|row| {
            let source = self.handle.tracker_source(&row.url);
            (row, source)
        });
        let trackers = TrackersSnapshot {
            rows: rows.collect(),
            taken: Some(now),
            revision,
        };
        view.store(Shown::at(trackers, seen, false));
    }

    /// Shows how much there is of each file, if that has changed.
    fn publish_files(&self) {
        let files = &self.handle.shared.view.files;
        let have = self.brain.picker().have();
        if let Some(new) = FilesSnapshot::new(self.brain.layout(), have, &files.load()) {
            files.store(Arc::new(new));
        }
    }
}

/// The numbers of a connection, as of `now`.
fn peer_row(now: Instant, peer: &mut Peer) -> PeerRow {
    let pieces = peer.pieces();
    let numbers = PeerInfo {
        is_seed: peer.is_seed(),
        progress: f64::from(pieces.count()) / f64::from(pieces.len().max(1)),
        pieces_downloaded: pieces.count(),
        pieces: Arc::clone(pieces),
        download_rate: peer.traffic.rates.download.rate(now),
        upload_rate: peer.traffic.rates.upload.rate(now),
        payload_download_rate: peer.traffic.rates.payload_download.rate(now),
        payload_upload_rate: peer.traffic.rates.payload_upload.rate(now),
        total_download: peer.traffic.stats.payload_received,
        total_upload: peer.traffic.stats.payload_sent,
        last_request: seconds_since(now, peer.download.last_lease),
        last_active: seconds_since(now, Some(peer.traffic.last_active)),
        download_queue_length: peer.traffic.stats.outstanding,
        upload_queue_length: peer.traffic.stats.upload_queue,
        target_download_queue_length: peer.traffic.stats.target,
        is_interesting: peer.download.interested,
        is_choked: peer.upload.choked_by_us,
        is_remote_interested: peer.upload.interested_in_us,
        is_remote_choked: peer.download.choking_us,
        is_snubbed: peer.traffic.stats.snubbed,
        is_optimistic_unchoke: peer.upload.optimistic,
        is_on_parole: peer.download.on_parole,
        num_hashfails: peer.download.hash_failures,
        failcount: u32::from(peer.failures),
        downloading_piece_index: piece_of(peer.traffic.stats.incoming),
        downloading_block_index: block_of(peer.traffic.stats.incoming),
        downloading_progress: peer.traffic.stats.incoming.map_or(0, |it| it.bytes),
        downloading_total: peer.traffic.stats.incoming.map_or(0, |it| it.total),
        ..PeerInfo::default()
    };
    PeerRow {
        numbers,
        meta: peer.meta,
        client: Arc::clone(&peer.client),
    }
}

fn piece_of(incoming: Option<Incoming>) -> i64 {
    incoming.map_or(-1, |it| i64::from(it.block.piece.0))
}

fn block_of(incoming: Option<Incoming>) -> i64 {
    incoming.map_or(-1, |it| i64::from(it.block.index))
}
