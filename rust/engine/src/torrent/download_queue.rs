//! The snapshot of the pieces that are being fetched, block by block.

use std::collections::HashMap;
use std::net::SocketAddr;

use torrent_core::ids::{Block, PeerKey};
use torrent_core::peer::Incoming;
use torrent_core::picker::BlockState;

use super::Driver;
use crate::status::{BlockInfo, BlockProgress, PartialPiece, PeerAddress};

impl Driver {
    /// Every begun piece with the state of its blocks.
    pub(super) fn download_queue(&mut self) -> Vec<PartialPiece> {
        let mut peers: HashMap<PeerKey, (SocketAddr, Option<Incoming>)> = HashMap::new();
        for (key, peer) in self.brain.peers() {
            peers.insert(key, (peer.meta.endpoint, peer.traffic.stats.incoming));
        }
        let address = |key| PeerAddress(peers.get(&key).map(|(endpoint, _)| *endpoint));
        let layout = self.brain.layout();
        self.brain
            .picker()
            .partial_pieces()
            .map(|partial| {
                let states = partial.blocks();
                let missing =
                    |state| matches!(state, BlockState::Open | BlockState::Requested { .. });
                let complete = !partial.blocks().any(missing);
                let blocks: Vec<BlockInfo> = (0..)
                    .zip(states)
                    .map(|(index, state)| {
                        let block = Block::new(partial.piece, index);
                        let block_size = layout.block_len(block);
                        let (state, key, num_peers, bytes_progress) = match state {
                            BlockState::Open => (BlockProgress::None, None, 0, 0),
                            BlockState::Requested { peer, peers: count } => {
                                let incoming = peers.get(&peer).and_then(|it| it.1);
                                let incoming = incoming.filter(|it| it.block == block);
                                let here = incoming.map_or(0, |it| it.bytes);
                                (BlockProgress::Requested, Some(peer), count, here)
                            }
                            BlockState::Padding => (BlockProgress::Finished, None, 0, block_size),
                            BlockState::Received { peer } => {
                                let state = if complete {
                                    BlockProgress::Writing
                                } else {
                                    BlockProgress::Finished
                                };
                                (state, Some(peer), 1, block_size)
                            }
                        };
                        BlockInfo {
                            state,
                            peer: key.map_or_else(PeerAddress::default, address),
                            num_peers,
                            bytes_progress,
                            block_size,
                        }
                    })
                    .collect();
                let received = partial.received();
                PartialPiece {
                    piece_index: partial.piece.0,
                    blocks_in_piece: blocks.len() as u32,
                    finished: if complete { 0 } else { received },
                    writing: if complete { received } else { 0 },
                    requested: partial.requested(),
                    blocks,
                }
            })
            .collect()
    }
}
