//! Fills the snapshot of the pieces that are being fetched.

use std::sync::Arc;

use torrent_core::picker::{BlockState, PartialPiece};

use super::Driver;
use crate::status::BlockProgress;
use crate::status::download_queue::{BegunBlock, BegunPiece, DownloadQueue};

impl Driver {
    /// Every begun piece with the state of its blocks. A piece that is as it was
    /// in the queue `before` is not read again.
    pub(super) fn download_queue(&mut self, before: &DownloadQueue) -> DownloadQueue {
        if self.brain.picker().partial_pieces().next().is_none() {
            return DownloadQueue::default();
        }
        let peers = self.brain.peers();
        let peers =
            peers.map(|(key, peer)| (key, (peer.meta.endpoint, peer.traffic.stats.incoming)));
        let peers = peers.collect();
        let layout = Arc::clone(self.brain.layout());
        let partials = self.brain.picker().partial_pieces();
        let row = |partial: PartialPiece<'_>| {
            before
                .row(partial.piece, partial.revision())
                .unwrap_or_else(|| Arc::new(begun(&partial)))
        };
        DownloadQueue::new(layout, partials.map(row).collect(), peers)
    }
}

/// Reads the blocks of a begun piece.
fn begun(partial: &PartialPiece<'_>) -> BegunPiece {
    let block = |(index, state)| match state {
        BlockState::Requested { peer, peers } => Some(BegunBlock {
            index,
            state: BlockProgress::Requested,
            peer,
            num_peers: peers,
        }),
        BlockState::Received { peer } => Some(BegunBlock {
            index,
            state: BlockProgress::Finished,
            peer,
            num_peers: 1,
        }),
        BlockState::Open | BlockState::Padding => None,
    };
    BegunPiece {
        piece: partial.piece,
        revision: partial.revision(),
        num_blocks: partial.num_blocks(),
        received: partial.received(),
        requested: partial.requested(),
        complete: partial.is_complete(),
        padding: partial.padding().into(),
        begun: partial.begun_blocks().filter_map(block).collect(),
    }
}
