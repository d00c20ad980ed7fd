//! Fills the snapshot of the pieces that are being fetched.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use torrent_core::ids::{Block, PeerKey};
use torrent_core::peer::Incoming;
use torrent_core::picker::{BlockState, PartialPiece};

use super::Driver;
use crate::status::download_queue::{BegunBlock, BegunPiece, DownloadQueue};
use crate::status::{BlockProgress, PeerAddress};

impl Driver {
    /// Every begun piece with the state of its blocks.
    pub(super) fn download_queue(&mut self) -> DownloadQueue {
        if self.brain.picker().partial_pieces().next().is_none() {
            return DownloadQueue::default();
        }
        let mut peers: HashMap<PeerKey, (SocketAddr, Option<Incoming>)> = HashMap::new();
        for (key, peer) in self.brain.peers() {
            peers.insert(key, (peer.meta.endpoint, peer.traffic.stats.incoming));
        }
        let begun = |partial: PartialPiece<'_>| {
            let block = |(index, state)| match state {
                BlockState::Requested { peer, peers: count } => {
                    let block = Block::new(partial.piece, index);
                    let known = peers.get(&peer);
                    let incoming = known.and_then(|it| it.1).filter(|it| it.block == block);
                    Some(BegunBlock {
                        index,
                        state: BlockProgress::Requested,
                        peer: PeerAddress(known.map(|it| it.0)),
                        num_peers: count,
                        incoming: incoming.map_or(0, |it| it.bytes),
                    })
                }
                BlockState::Received { peer } => Some(BegunBlock {
                    index,
                    state: BlockProgress::Finished,
                    peer: PeerAddress(peers.get(&peer).map(|it| it.0)),
                    num_peers: 1,
                    incoming: 0,
                }),
                BlockState::Open | BlockState::Padding => None,
            };
            BegunPiece {
                piece: partial.piece,
                num_blocks: partial.num_blocks(),
                received: partial.received(),
                requested: partial.requested(),
                complete: partial.is_complete(),
                padding: partial.padding().into(),
                begun: partial.begun_blocks().filter_map(block).collect(),
            }
        };
        let pieces = self.brain.picker().partial_pieces().map(begun).collect();
        DownloadQueue::new(Arc::clone(self.brain.layout()), pieces)
    }
}
