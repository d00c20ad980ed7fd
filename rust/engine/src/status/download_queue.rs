//! The snapshot of the pieces that are being fetched, block by block.
//!
//! A hostile torrent has pieces of 32,768 blocks, of which hardly any is begun:
//! the snapshot holds what is begun, and a reader makes the whole list of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use torrent_core::ids::{Block, PeerKey, PieceIndex};
use torrent_core::layout::Layout;
use torrent_core::peer::Incoming;

use super::{BlockInfo, BlockProgress, PartialPiece, PeerAddress};

/// The connections: where each goes to, and the block that is on its way.
pub(crate) type Senders = BTreeMap<PeerKey, (SocketAddr, Option<Incoming>)>;

/// Every begun piece, in ascending order.
#[derive(Debug, Default)]
pub(crate) struct DownloadQueue {
    layout: Option<Arc<Layout>>,
    pieces: Vec<Arc<BegunPiece>>,
    peers: Senders,
    /// Made for the first reader, and shared by all of this snapshot.
    list: OnceLock<Arc<Vec<PartialPiece>>>,
}

#[derive(Debug)]
pub(crate) struct BegunPiece {
    pub(crate) piece: PieceIndex,
    /// The picker's number of it.
    pub(crate) revision: (u64, u64),
    pub(crate) num_blocks: u32,
    pub(crate) received: u32,
    pub(crate) requested: u32,
    pub(crate) complete: bool,
    pub(crate) padding: Box<[Range<u32>]>,
    pub(crate) begun: Vec<BegunBlock>,
}

#[derive(Debug)]
pub(crate) struct BegunBlock {
    pub(crate) index: u32,
    pub(crate) state: BlockProgress,
    pub(crate) peer: PeerKey,
    pub(crate) num_peers: u32,
}

impl DownloadQueue {
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(crate) fn new(layout: Arc<Layout>, pieces: Vec<Arc<BegunPiece>>, peers: Senders) -> Self {
        Self {
            layout: Some(layout),
            pieces,
            peers,
            list: OnceLock::new(),
        }
    }

    /// The piece as it is here, if that is this revision of it.
    pub(crate) fn row(&self, piece: PieceIndex, revision: (u64, u64)) -> Option<Arc<BegunPiece>> {
        let at = self
            .pieces
            .binary_search_by_key(&piece, |it| it.piece)
            .ok()?;
        let row = self.pieces.get(at)?;
        (row.revision == revision).then(|| Arc::clone(row))
    }

    #[cfg(test)]
    pub(crate) fn rows(&self) -> &[Arc<BegunPiece>] {
        &self.pieces
    }

    /// The pieces with every block of them.
    pub(crate) fn list(&self) -> Arc<Vec<PartialPiece>> {
        let make = || {
            let layout = self.layout.iter();
            let pieces =
                layout.flat_map(|layout| self.pieces.iter().map(|it| it.list(layout, &self.peers)));
            Arc::new(pieces.collect())
        };
        Arc::clone(self.list.get_or_init(make))
    }
}

impl BegunPiece {
    fn list(&self, layout: &Layout, peers: &Senders) -> PartialPiece {
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
            let peer = peers.get(&begun.peer);
            let incoming = peer.and_then(|&(_, incoming)| incoming);
            let is_it = |it: &Incoming| it.block == Block::new(self.piece, begun.index);
            let incoming = incoming.filter(is_it).map_or(0, |it| it.bytes);
            (block.state, block.bytes_progress) = match begun.state {
                BlockProgress::Finished if self.complete => {
                    (BlockProgress::Writing, block.block_size)
                }
                BlockProgress::Finished => (BlockProgress::Finished, block.block_size),
                state => (state, incoming),
            };
            block.peer = PeerAddress(peer.map(|&(endpoint, _)| endpoint));
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
