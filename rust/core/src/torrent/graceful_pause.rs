//! Stopping gracefully: no new blocks are requested, all peers are choked,
//! and each connection is closed as soon as all that was requested on it is here.

use std::time::Instant;

use super::{CloseReason, Torrent, TorrentEvent};
use crate::ids::PeerKey;

impl Torrent {
    /// Stops as [`Self::stop`] does, but takes in what peers have been asked
    /// for. [`TorrentEvent::GracefullyPaused`] says when the last of them is gone, which
    /// may be at once; [`Self::start`] and [`Self::stop`] end it earlier, and
    /// then it does not come.
    pub fn pause_gracefully(&mut self, now: Instant) {
        if !self.activity.pause_gracefully() {
            return;
        }
        let everybody: Vec<PeerKey> = self.peers.keys().copied().collect();
        self.choke(now, &everybody, true);
        self.choking.changed();
        self.close_finished();
    }

    /// Whether it stops gracefully just now.
    pub fn is_pausing_gracefully(&self) -> bool {
        self.activity.is_pausing_gracefully()
    }

    /// Goes on as if nothing had been.
    pub(super) fn end_graceful_pause(&mut self, now: Instant) {
        if self.activity.end_graceful_pause() {
            self.choking.changed();
            // What changed meanwhile found that nothing could be asked for.
            self.send_interest();
            self.top_up_starved(now);
        }
    }

    /// Closes the connections of which nothing is expected any more.
    pub(super) fn close_finished(&mut self) {
        if !self.activity.is_pausing_gracefully() {
            return;
        }
        let done: Vec<PeerKey> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.closing.is_none() && peer.download.leased().next().is_none())
            .map(|(&key, _)| key)
            .collect();
        for key in done {
            self.close(key, CloseReason::Stopped);
        }
        if self.peers.values().all(|peer| peer.closing.is_some()) {
            self.activity.stop();
            self.event(TorrentEvent::GracefullyPaused);
        }
    }
}
