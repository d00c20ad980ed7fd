//! The torrent and the session's queue: what is reported to the queue, and what its
//! verdicts change.

use std::time::{Duration, Instant};

use torrent_core::queue::{Observation, Phase, Seeding};
use torrent_core::torrent::TorrentState;

use super::Driver;
use crate::status::TorrentStatus;

impl Driver {
    /// Reports to the queue how the torrent is now.
    pub(super) fn observe(&self, status: &TorrentStatus) {
        let known = |number: i64| u32::try_from(number).ok();
        self.handle.observed(Observation {
            auto_managed: self.handle.is_auto_managed(),
            paused: self.paused,
            failed: self.failure.error.is_some(),
            phase: match status.state {
                state if state.is_checking() => Phase::Checking,
                TorrentState::Finished => Phase::Finished,
                TorrentState::Seeding => Phase::Seeding,
                _ => Phase::Downloading,
            },
            download_rate: status.download_payload_rate,
            upload_rate: status.upload_payload_rate,
            seeding: Seeding {
                active: Duration::from_secs(status.active_time),
                finished: Duration::from_secs(status.finished_time),
                downloaded: status.all_time_download.max(status.total_size),
                uploaded: status.all_time_upload,
                tracker_seeds: known(status.num_complete),
                tracker_downloaders: known(status.num_incomplete),
                known_seeds: status.list_seeds,
                known_downloaders: status.list_peers.saturating_sub(status.list_seeds),
            },
        });
    }

    /// Applies the queue's verdict.
    pub(super) fn queue_verdict_changed(&mut self) {
        self.enable_announcer();
        self.read_options();
    }

    /// Enables announces if the queue's verdict or the owner allows them.
    pub(super) fn enable_announcer(&mut self) {
        let announce = self.handle.shared.queue.verdict().announce;
        let allowed = announce || !self.handle.is_auto_managed();
        self.announcing
            .announcer
            .set_enabled(Instant::now(), allowed);
    }

    /// A peer has connected to a torrent that waits in the queue.
    pub(super) fn wake_for_peer(&mut self) {
        let settings = self.context.services.settings.borrow();
        let wakes = settings.incoming_starts_queued_torrents;
        drop(settings);
        if wakes && self.paused && self.handle.is_auto_managed() {
            self.handle.wake();
            self.queue_verdict_changed();
        }
    }
}
