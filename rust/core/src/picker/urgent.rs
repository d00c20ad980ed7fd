//! Pieces that the owner hands out itself, because they have a deadline: the
//! ordinary choice leaves them alone, so that no slow peer sits on one.

use super::{BlockState, PeerPieces, Picker};
use crate::ids::{Block, PeerKey, PieceIndex};

impl Picker {
    /// Takes `piece` out of the ordinary choice, or gives it back. Leases and
    /// blocks that are here stay.
    pub fn set_urgent(&mut self, piece: PieceIndex, urgent: bool) {
        if !self.exists(piece) {
            return;
        }
        if urgent {
            self.close(piece.0);
            self.urgent.insert(piece.0);
        } else if self.urgent.remove(&piece.0)
            && self.lacking.get(piece.0)
            && !self.partials.contains_key(&piece.0)
        {
            self.open(piece.0);
        }
        self.refresh_loose(piece.0);
    }

    /// The state of each block of a piece that is wanted and lacks some.
    pub fn urgent_blocks(&self, piece: PieceIndex) -> impl Iterator<Item = (Block, BlockState)> {
        let partial = self.partials.get(&piece.0);
        let blocks = match self.is_wanted(piece) {
            true => self.layout.blocks_in_piece(piece),
            false => 0,
        };
        (0..blocks).map(move |index| {
            let block = Block::new(piece, index);
            let state = match partial {
                Some(partial) => partial.state(index),
                None if self.is_padding(block) => BlockState::Padding,
                None => BlockState::Open,
            };
            (block, state)
        })
    }

    fn is_padding(&self, block: Block) -> bool {
        self.layout.block_payload(block) == 0
    }

    /// Leases one block of an urgent piece to `peer`: an open one, or one that
    /// others hold too. False when it cannot be leased.
    pub fn lease_urgent(&mut self, peer: PeerKey, has: &PeerPieces<'_>, block: Block) -> bool {
        let piece = block.piece.0;
        let leasable = has.has(piece)
            && self.lacking.get(piece)
            && block.index < self.layout.blocks_in_piece(block.piece)
            && !self.is_padding(block);
        if !leasable {
            return false;
        }
        if !self.partials.contains_key(&piece) {
            self.begin(piece, None);
        }
        let leased = self
            .partials
            .get_mut(&piece)
            .is_some_and(|partial| partial.lease_block(peer, block.index));
        self.refresh_loose(piece);
        leased
    }
}
