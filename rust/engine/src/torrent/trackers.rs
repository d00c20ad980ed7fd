//! Announces of a torrent: carries out what the announcer plans.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use torrent_core::ids::BLOCK_SIZE;
use torrent_core::peerlist::Sources;
use torrent_core::settings::Settings;
use torrent_core::tracker::{
    AnnounceRequest, AnnouncerSettings, Failure, Reply, Report, RequestId,
};

use super::Driver;
use crate::event::{Detail, Kind, kind};

/// What became of an announce.
pub(super) struct Announced {
    id: RequestId,
    url: String,
    result: Result<Reply, Failure>,
}

/// The announcer's view of the settings.
pub(super) fn settings(settings: &Settings) -> AnnouncerSettings {
    AnnouncerSettings {
        num_want: settings.num_want as u32,
        min_interval: Duration::from_secs(settings.min_announce_interval.unsigned_abs()),
        backoff_percent: settings.tracker_backoff as u32,
    }
}

impl Driver {
    /// Starts the announces that are due.
    pub(super) fn announce_pending(&mut self) {
        while let Some(request) = self.announcer.poll_output() {
            self.announce(request);
        }
    }

    fn announce(&mut self, request: AnnounceRequest) {
        self.context.session.stats.num_announces.add(1);
        self.post(kind::TRACKER_ANNOUNCE, || Detail::Tracker {
            url: request.url.clone(),
            message: String::new(),
            num_peers: 0,
            times_in_row: 0,
            event: u32::from(request.event.code()),
        });
        let report = self.announce_report();
        let context = Arc::clone(&self.context);
        self.announces.spawn(async move {
            let result = context.trackers.announce(&request, &report).await;
            Announced {
                id: request.id,
                url: request.url,
                result: result.map_err(Failure::from),
            }
        });
    }

    fn announce_report(&mut self) -> Report {
        let listening = self.context.session.network.listening();
        let done = self.brain.picker().done();
        let left = match self.brain.has_metadata() {
            true => self.brain.layout().total_length().saturating_sub(done),
            // Not a seed, whatever else it may turn out to be.
            false => u64::from(BLOCK_SIZE),
        };
        let totals = self.brain.totals();
        Report {
            info_hash: self.handle.info_hash(),
            peer_id: self.context.peer_id,
            port: listening.first().map_or(0, SocketAddr::port),
            key: self.announce_key,
            uploaded: totals.payload_sent,
            downloaded: totals.payload_received,
            left,
            corrupt: totals.failed,
            redundant: totals.redundant,
        }
    }

    pub(super) fn announced(&mut self, announced: Announced) {
        let now = Instant::now();
        let Announced { id, url, result } = announced;
        match result {
            Ok(reply) => {
                if !self.announcer.on_reply(now, id, &reply) {
                    return;
                }
                if let Some(warning) = reply.warning {
                    self.tracker_event(kind::TRACKER_WARNING, &url, warning, 0, 0);
                }
                let num_peers = reply.peers.len() as u32;
                self.tracker_event(kind::TRACKER_REPLY, &url, String::new(), num_peers, 0);
                self.brain.add_peers(now, reply.peers, Sources::TRACKER);
            }
            Err(failure) => {
                self.context.session.stats.num_failed_announces.add(1);
                let message = failure.message.clone();
                if let Some(fails) = self.announcer.on_failure(now, id, failure) {
                    self.tracker_event(kind::TRACKER_ERROR, &url, message, 0, fails);
                }
            }
        }
        self.clocks.snapshot_now();
    }

    fn tracker_event(
        &self,
        kind: Kind,
        url: &str,
        message: String,
        num_peers: u32,
        times_in_row: u32,
    ) {
        self.post(kind, || Detail::Tracker {
            url: url.to_owned(),
            message,
            num_peers,
            times_in_row,
            event: 0,
        });
    }
}
