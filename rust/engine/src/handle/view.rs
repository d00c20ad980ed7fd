//! What can be read of a torrent: the last snapshots, which the torrent's task
//! replaces on every change of state and every `status_update_interval`. A
//! reader waits for nobody.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use torrent_core::bitfield::Bitfield;

use super::TorrentHandle;
use crate::error::Error;
use crate::status::{PartialPiece, PeerInfo, TorrentStatus, TrackerStatus};

/// Everything that can be read of a torrent; each part is replaced as a whole.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) status: ArcSwap<TorrentStatus>,
    /// What the status says is wrong.
    pub(crate) failure: ArcSwapOption<Error>,
    pub(crate) peers: ArcSwap<Vec<PeerInfo>>,
    pub(crate) pieces: ArcSwap<Bitfield>,
    pub(crate) verified: ArcSwap<Bitfield>,
    pub(crate) availability: ArcSwap<Vec<u32>>,
    pub(crate) download_queue: ArcSwap<Vec<PartialPiece>>,
    pub(crate) file_progress: ArcSwap<Vec<u64>>,
    pub(crate) trackers: ArcSwap<Vec<TrackerStatus>>,
}

impl TorrentHandle {
    /// The last snapshot of its status.
    pub fn status(&self) -> Arc<TorrentStatus> {
        self.shared.view.status.load_full()
    }

    /// The last snapshot of its connections.
    pub fn peers(&self) -> Arc<Vec<PeerInfo>> {
        self.shared.view.peers.load_full()
    }

    /// The verified pieces.
    pub fn pieces(&self) -> Arc<Bitfield> {
        self.shared.view.pieces.load_full()
    }

    /// How many connected peers have each piece.
    pub fn piece_availability(&self) -> Arc<Vec<u32>> {
        self.shared.view.availability.load_full()
    }

    /// The pieces being fetched.
    pub fn download_queue(&self) -> Arc<Vec<PartialPiece>> {
        self.shared.view.download_queue.load_full()
    }

    /// Verified bytes of each file.
    pub fn file_progress(&self) -> Arc<Vec<u64>> {
        self.shared.view.file_progress.load_full()
    }

    /// Its trackers.
    pub fn trackers(&self) -> Arc<Vec<TrackerStatus>> {
        self.shared.view.trackers.load_full()
    }
}
