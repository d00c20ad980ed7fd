//! Builds the snapshots of a torrent that readers copy.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use torrent_core::bitfield::Bitfield;
use torrent_core::clients;
use torrent_core::ids::BLOCK_SIZE;
use torrent_core::peer::Incoming;
use torrent_core::torrent::{Peer, TorrentState};

use super::Driver;
use super::times::seconds_since;
use crate::disk::Storage;
use crate::event::performance::PerformanceWarning;
use crate::event::unix_millis;
use crate::net::address::is_local;
use crate::net::bandwidth::Direction;
use crate::stats::Counter;
use crate::status::{PeerInfo, TorrentStatus, TrackerStatus, hex_peer_id};
use crate::torrent::handle::post::PostRequest;
use crate::torrent::handle::resume::SaveFlags;
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
        let trackers = tiers.flat_map(|(tier, number)| {
            tier.iter().map(move |url| TrackerStatus {
                source: self.tracker_source(url),
                ..TrackerStatus::not_contacted(url, number)
            })
        });
        view.trackers.store(Shown::new(trackers.collect()));
        let mut status = TorrentStatus {
            info_hash: self.info_hash().to_string(),
            name: self.name().to_owned(),
            save_path: self.save_path().display().to_string(),
            paused: self.waits(options),
            is_auto_managed: options.auto_managed,
            queue_position: -1,
            block_size: BLOCK_SIZE,
            num_complete: -1,
            num_incomplete: -1,
            time_since_download: -1,
            time_since_upload: -1,
            next_announce: -1,
            connections_limit: options.max_connections,
            uploads_limit: options.max_uploads,
            download_limit: options.download_limit,
            upload_limit: options.upload_limit,
            added_time: self.added_time(),
            eta: -1,
            ratio: -1.0,
            is_sequential_download: options.sequential,
            is_upload_mode: options.modes.upload_mode,
            is_share_mode: options.modes.share_mode,
            is_super_seeding: options.modes.super_seeding,
            is_stop_when_ready: options.modes.stop_when_ready,
            downloading_piece_index: -1,
            downloading_block_index: -1,
            storage_mode: options.storage_mode.name().to_owned(),
            ..TorrentStatus::default()
        };
        if let Some(metainfo) = self.metainfo() {
            let layout = &metainfo.info.layout;
            let pieces = layout.num_pieces();
            view.pieces.store(Arc::new(Bitfield::new(pieces)));
            let availability = vec![0; pieces as usize];
            view.availability.store(Arc::new(availability));
            let progress = vec![0; layout.files().len()];
            view.file_progress.store(Arc::new(progress));
            status.has_metadata = true;
            status.total_size = layout.payload_length();
            status.num_pieces = pieces;
        }
        view.status.store(Shown::new(status));
    }
}

impl Driver {
    /// Replaces the snapshots.
    pub(super) fn publish(&mut self, now: Instant) {
        let interval = self
            .context
            .services
            .settings
            .borrow()
            .status_update_interval;
        self.times.times.next_snapshot = now + Duration::from_millis(interval.unsigned_abs());
        self.feed_counters();
        self.warn_of_limits();
        self.follow_seed_mode();
        let status = self.status(now);
        self.observe(&status);
        let peers = self.peer_infos(now);
        let trackers = self.tracker_statuses(now);
        let picker = self.brain.picker();
        let availability: Vec<u32> = self
            .brain
            .layout()
            .pieces()
            .map(|piece| picker.availability(piece))
            .collect();
        let queue = self.download_queue();
        let view = &self.handle.shared.view;
        let seen = self.handle.shared.asked.seen();
        let session_paused = *self.context.services.paused.borrow();
        view.peers.store(Arc::new(peers));
        view.trackers.store(Shown::at(trackers, seen, false));
        view.availability.store(Arc::new(availability));
        view.download_queue.store(Arc::new(queue));
        view.file_progress
            .store(Arc::new(self.brain.file_progress()));
        view.failure.store(self.failure.error.clone().map(Arc::new));
        view.status.store(Shown::at(status, seen, session_paused));
    }

    /// Answers a question, as of now.
    pub(super) fn answer(&mut self, request: PostRequest) {
        self.publish(Instant::now());
        let storage = self.storage.slot.get();
        let open = || storage.map_or_else(Vec::new, Storage::open_files);
        let (kind, detail) = self.handle.answer(request, open);
        self.post(kind, || detail);
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
            let changed = SaveFlags::IF_COUNTERS_CHANGED.bits();
            self.handle
                .shared
                .unsaved
                .fetch_or(changed, Ordering::AcqRel);
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
        let have = self.brain.picker().have().clone();
        self.handle.shared.view.pieces.store(Arc::new(have));
    }

    fn status(&mut self, now: Instant) -> TorrentStatus {
        self.times.times.advance(now);
        let options = self.handle.plain_options();
        let rates = &self.context.services.bandwidth;
        let waiting = [Direction::Down, Direction::Up]
            .map(|direction| rates.waiting(direction, self.handle.key()) as u32);
        let state = self.brain.state();
        let swarm = self.announcing.announcer.swarm();
        let next_announce = self.announcing.announcer.next_announce(now);
        let current_tracker = self
            .announcing
            .announcer
            .last_working()
            .unwrap_or_default()
            .to_owned();
        let list = self.brain.peer_list();
        let (list_peers, list_seeds) = (list.len() as u32, list.num_seeds() as u32);
        let candidates = list.num_candidates() as u32;
        let num_connections = self.brain.num_connections() as u32;
        let (mut num_peers, mut num_seeds, mut num_uploads) = (0, 0, 0);
        let mut incoming = None;
        for (_, peer) in self.brain.peers() {
            incoming = incoming.or(peer.traffic.stats.incoming);
            num_peers += 1;
            num_seeds += u32::from(peer.is_seed());
            num_uploads += u32::from(!peer.upload.choked_by_us);
        }
        if num_seeds > 0 || state == TorrentState::Seeding {
            self.times.times.last_seen_complete = unix_millis() / 1000;
        }
        let picker = self.brain.picker();
        let (wanted, wanted_done) = (picker.total_wanted(), picker.wanted_done());
        let (done, have) = (picker.done(), picker.num_have());
        let has_metadata = self.brain.has_metadata();
        // A wanted file that is still in the part file cannot be read yet.
        let is_finished = has_metadata && picker.is_finished() && !self.storage.work.sorting;
        let is_seeding = has_metadata && picker.is_seed();
        let (copies, fraction) = picker.distributed_copies();
        let checking = state.is_checking();
        let (total_size, num_pieces) = {
            let layout = self.brain.layout();
            (layout.payload_length(), layout.num_pieces())
        };
        let totals = self.brain.totals();
        self.times
            .times
            .note_payload(now, totals.payload_received, totals.payload_sent);
        let resume_state = &self.records.resume_state.record;
        let all_time_download = resume_state
            .total_downloaded
            .saturating_add(totals.payload_received);
        let all_time_upload = resume_state
            .total_uploaded
            .saturating_add(totals.payload_sent);
        let (seeds_known, downloaders_known) = (
            swarm.complete.or(resume_state.num_complete),
            swarm.incomplete.or(resume_state.num_incomplete),
        );
        let payload_rate = totals.rates.payload_download.rate(now);
        let left = wanted.saturating_sub(wanted_done);
        TorrentStatus {
            info_hash: self.handle.info_hash().to_string(),
            name: self.handle.name().to_owned(),
            save_path: self.handle.save_path().display().to_string(),
            state,
            paused: self.paused,
            is_auto_managed: options.auto_managed,
            queue_position: self.handle.queue_position(),
            seed_rank: self.handle.seed_rank(),
            is_finished: is_finished && !checking,
            is_seeding: is_seeding && !checking,
            has_metadata,
            progress: match (checking, wanted) {
                (true, _) => self.checking.progress,
                (false, 0) if !has_metadata => 0.0,
                (false, 0) => 1.0,
                (false, wanted) => wanted_done as f64 / wanted as f64,
            },
            total_done: done,
            total_size,
            total_wanted: wanted,
            total_wanted_done: wanted_done,
            total_download: totals.received,
            total_upload: totals.sent,
            total_payload_download: totals.payload_received,
            total_payload_upload: totals.payload_sent,
            total_failed_bytes: totals.failed,
            total_redundant_bytes: totals.redundant,
            download_rate: totals.rates.download.rate(now),
            upload_rate: totals.rates.upload.rate(now),
            download_payload_rate: payload_rate,
            upload_payload_rate: totals.rates.payload_upload.rate(now),
            all_time_download,
            all_time_upload,
            ratio: match all_time_download {
                0 => -1.0,
                received => all_time_upload as f64 / received as f64,
            },
            num_peers,
            num_seeds,
            num_complete: seeds_known.map_or(-1, i64::from),
            num_incomplete: downloaders_known.map_or(-1, i64::from),
            num_connections,
            connections_limit: options.max_connections,
            uploads_limit: options.max_uploads,
            download_limit: options.download_limit,
            upload_limit: options.upload_limit,
            down_bandwidth_queue: waiting[0],
            up_bandwidth_queue: waiting[1],
            num_uploads,
            list_peers,
            list_seeds,
            connect_candidates: candidates,
            active_time: self.times.times.active.as_secs(),
            finished_time: self.times.times.finished.as_secs(),
            seeding_time: self.times.times.seeding.as_secs(),
            time_since_download: seconds_since(now, self.times.times.last_download),
            time_since_upload: seconds_since(now, self.times.times.last_upload),
            next_announce: next_announce.map_or(-1, |due| {
                due.saturating_duration_since(now).as_secs() as i64
            }),
            announces_to_trackers: next_announce.is_some(),
            current_tracker,
            num_pieces,
            pieces_downloaded: have,
            block_size: BLOCK_SIZE,
            distributed_copies: if is_seeding {
                -1.0
            } else {
                f64::from(copies) + f64::from(fraction) / 1000.0
            },
            error: self
                .failure
                .error
                .as_ref()
                .map_or_else(String::new, |error| error.message().to_owned()),
            error_file: self
                .failure
                .error
                .as_ref()
                .map_or_else(String::new, |error| error.context().to_owned()),
            added_time: self.handle.added_time(),
            completed_time: self.times.times.completed_time,
            last_seen_complete: self.times.times.last_seen_complete,
            eta: match (left, payload_rate) {
                (0, _) if !has_metadata => -1,
                (0, _) => 0,
                (_, 0) => -1,
                (left, rate) => left.div_ceil(rate) as i64,
            },
            is_sequential_download: options.sequential,
            is_moving_storage: self.is_moving(),
            is_seed_mode: self.storage.work.seed_mode,
            storage_mode: options.storage_mode.name().to_owned(),
            is_upload_mode: options.modes.upload_mode || self.failure.error.is_some(),
            is_share_mode: options.modes.share_mode,
            is_super_seeding: options.modes.super_seeding,
            is_stop_when_ready: options.modes.stop_when_ready,
            availability: f64::from(copies) + f64::from(fraction) / 1000.0,
            downloading_piece_index: piece_of(incoming),
            downloading_block_index: block_of(incoming),
            downloading_progress: incoming.map_or(0, |it| it.bytes),
            downloading_total: incoming.map_or(0, |it| it.total),
        }
    }

    fn peer_infos(&mut self, now: Instant) -> Vec<PeerInfo> {
        let peers = self.brain.peers();
        peers.map(|(_, peer)| peer_info(now, peer)).collect()
    }
}

fn peer_info(now: Instant, peer: &mut Peer) -> PeerInfo {
    let endpoint = peer.meta.endpoint;
    let pieces = peer.pieces();
    PeerInfo {
        ip: endpoint.ip().to_string(),
        port: endpoint.port(),
        client: match peer.client.as_str() {
            "" => clients::name(peer.meta.id),
            client => client.to_owned(),
        },
        peer_id: hex_peer_id(peer.meta.id),
        connection_type: peer.meta.connection.name().to_owned(),
        source: peer.meta.source.names().join(","),
        is_seed: peer.is_seed(),
        is_local: is_local(endpoint.ip()),
        is_incoming: peer.meta.incoming,
        progress: f64::from(pieces.count()) / f64::from(pieces.len().max(1)),
        pieces_downloaded: pieces.count(),
        pieces: Arc::clone(pieces),
        rtt: u32::try_from(peer.meta.connect_time.as_millis()).unwrap_or(u32::MAX),
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
    }
}

fn piece_of(incoming: Option<Incoming>) -> i64 {
    incoming.map_or(-1, |it| i64::from(it.block.piece.0))
}

fn block_of(incoming: Option<Incoming>) -> i64 {
    incoming.map_or(-1, |it| i64::from(it.block.index))
}
