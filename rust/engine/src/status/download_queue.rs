//! The snapshot of the pieces that are being fetched, block by block.
//!
//! A hostile torrent has pieces of 32,768 blocks, of which hardly any is begun:
//! the snapshot holds what is begun, and a reader makes the whole list of it.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use torrent_core::ids::{Block, PieceIndex};
use torrent_core::layout::Layout;

use super::{BlockInfo, BlockProgress, PartialPiece, PeerAddress};

/// Every begun piece, in ascending order.
#[derive(Debug, Default)]
pub(crate) struct DownloadQueue {
    layout: Option<Arc<Layout>>,
    pieces: Vec<BegunPiece>,
    /// Made for the first reader, and shared by all of this snapshot.
    list: OnceLock<Arc<Vec<PartialPiece>>>,
}

#[derive(Debug)]
pub(crate) struct BegunPiece {
    pub(crate) piece: PieceIndex,
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
    pub(crate) peer: PeerAddress,
    pub(crate) num_peers: u32,
    /// Bytes that are here of a block that is still on its way.
    pub(crate) incoming: u32,
}

impl DownloadQueue {
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(crate) fn new(layout: Arc<Layout>, pieces: Vec<BegunPiece>) -> Self {
        Self {
            layout: Some(layout),
            pieces,
            list: OnceLock::new(),
        }
    }

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
