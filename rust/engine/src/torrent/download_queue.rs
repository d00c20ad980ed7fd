//! The snapshot of the pieces that are being fetched, block by block.
//!
//! A hostile torrent has pieces of 32,768 blocks, of which hardly any is begun:
//! the snapshot holds what is begun, and a reader makes the whole list of it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use torrent_core::ids::{Block, PeerKey, PieceIndex};
use torrent_core::layout::Layout;
use torrent_core::peer::Incoming;
use torrent_core::picker::{BlockState, PartialPiece as Partial};

use super::Driver;
use crate::status::{BlockInfo, BlockProgress, PartialPiece, PeerAddress};

/// Every begun piece, in ascending order.
#[derive(Debug, Default)]
pub(crate) struct DownloadQueue {
    layout: Option<Arc<Layout>>,
    pieces: Vec<BegunPiece>,
    /// Made for the first reader, and shared by all of this snapshot.
    list: OnceLock<Arc<Vec<PartialPiece>>>,
}

#[derive(Debug)]
struct BegunPiece {
    piece: PieceIndex,
    num_blocks: u32,
    received: u32,
    requested: u32,
    complete: bool,
    padding: Box<[Range<u32>]>,
    begun: Vec<BegunBlock>,
}

#[derive(Debug)]
struct BegunBlock {
    index: u32,
    state: BlockProgress,
    peer: PeerAddress,
    num_peers: u32,
    /// Bytes that are here of a block that is still on its way.
    incoming: u32,
}

impl Driver {
    /// Every begun piece with the state of its blocks.
    pub(super) fn download_queue(&mut self) -> DownloadQueue {
        let mut peers: HashMap<PeerKey, (SocketAddr, Option<Incoming>)> = HashMap::new();
        for (key, peer) in self.brain.peers() {
            peers.insert(key, (peer.meta.endpoint, peer.traffic.stats.incoming));
        }
        let begun = |partial: Partial<'_>| {
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
        DownloadQueue {
            layout: Some(Arc::clone(self.brain.layout())),
            pieces: self.brain.picker().partial_pieces().map(begun).collect(),
            list: OnceLock::new(),
        }
    }
}

impl DownloadQueue {
    /// The pieces with every block of them.
    pub(crate) fn list(&self) -> Arc<Vec<PartialPiece>> {
        let make = || {
            let layout = self.layout.iter();
            let pieces = layout.flat_map(|layout| self.pieces.iter().map(|it| it.list(layout)));
            Arc::new(pieces.collect())
        };
        Arc::clone(self.list.get_or_init(make))
    }
}

impl BegunPiece {
    fn list(&self, layout: &Layout) -> PartialPiece {
        let mut blocks: Vec<BlockInfo> = (0..self.num_blocks)
            .map(|index| BlockInfo {
                block_size: layout.block_len(Block::new(self.piece, index)),
                ..BlockInfo::default()
            })
            .collect();
        for run in &self.padding {
            for block in blocks
                .get_mut(run.start as usize..run.end as usize)
                .unwrap_or_default()
            {
                block.state = BlockProgress::Finished;
                block.bytes_progress = block.block_size;
            }
        }
        for begun in &self.begun {
            let Some(block) = blocks.get_mut(begun.index as usize) else {
                continue;
            };
            (block.state, block.bytes_progress) = match begun.state {
                BlockProgress::Finished if self.complete => {
                    (BlockProgress::Writing, block.block_size)
                }
                BlockProgress::Finished => (BlockProgress::Finished, block.block_size),
                state => (state, begun.incoming),
            };
            block.peer = begun.peer;
            block.num_peers = begun.num_peers;
        }
        PartialPiece {
            piece_index: self.piece.0,
            blocks_in_piece: self.num_blocks,
            finished: if self.complete { 0 } else { self.received },
            writing: if self.complete { self.received } else { 0 },
            requested: self.requested,
            blocks,
        }
    }
}
