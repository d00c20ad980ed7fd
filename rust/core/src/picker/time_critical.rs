//! Pieces that the owner hands out itself, because they have a deadline: the
//! ordinary choice leaves them alone, so that no slow peer sits on one.

use super::downloading_piece::DownloadingPiece;
use super::{PeerPieces, Picker};
use crate::ids::{Block, PeerKey, PieceIndex};

impl Picker {
    /// Takes `piece` out of the ordinary choice, or gives it back. Leases and
    /// blocks that are here stay.
    pub fn set_time_critical(&mut self, piece: PieceIndex, time_critical: bool) {
        if !self.exists(piece) {
            return;
        }
        if time_critical {
            self.close(piece.0);
            self.time_critical.insert(piece.0);
        } else if self.time_critical.remove(&piece.0)
            && self.lacking.get(piece.0)
            && !self.downloading.contains(piece.0)
        {
            self.open(piece.0);
        }
        self.refresh_choosable(piece.0);
    }

    /// The first `most` blocks of a wanted piece that are requested from no
    /// peer, in order.
    pub fn time_critical_open(&self, piece: PieceIndex, most: usize) -> Vec<Block> {
        let blocks = |partial: &DownloadingPiece| {
            let open = partial.open_blocks().take(most);
            open.map(|index| Block::new(piece, index)).collect()
        };
        match self.downloading.get(piece.0) {
            _ if !self.is_wanted(piece) => Vec::new(),
            Some(partial) => blocks(partial),
            None => blocks(&self.untouched(piece.0, None)),
        }
    }

    /// The blocks of a piece that were asked for, each with the peer that was
    /// asked first and how many were.
    pub fn time_critical_requested(
        &self,
        piece: PieceIndex,
    ) -> impl Iterator<Item = (Block, PeerKey, u32)> {
        let partial = self.downloading.get(piece.0).into_iter();
        let leased = partial.flat_map(DownloadingPiece::leased_blocks);
        leased.map(move |(index, peer, peers)| (Block::new(piece, index), peer, peers))
    }

    fn is_padding(&self, block: Block) -> bool {
        self.layout.block_payload(block) == 0
    }

    /// Leases one block of a time critical piece to `peer`: an open one, or one that
    /// others hold too. False when it cannot be leased.
    pub fn lease_time_critical(
        &mut self,
        peer: PeerKey,
        has: &PeerPieces<'_>,
        block: Block,
    ) -> bool {
        let piece = block.piece.0;
        let leasable = has.has(piece)
            && self.lacking.get(piece)
            && block.index < self.layout.blocks_in_piece(block.piece)
            && !self.is_padding(block);
        if !leasable {
            return false;
        }
        if !self.downloading.contains(piece) {
            self.begin(piece, None);
        }
        let leased = self
            .downloading
            .get_mut(piece)
            .is_some_and(|partial| partial.lease_block(peer, block.index));
        self.refresh_choosable(piece);
        leased
    }
}
