//! Leased blocks that are not requested yet, in the order in which they will
//! be: the time critical ones, then the others.
//!
//! Part of [`Connection`](super::Connection); only this type counts the time critical
//! ones, so that the count is right whichever blocks go.

use std::collections::VecDeque;

use crate::ids::Block;

/// Blocks that wait to be requested.
#[derive(Debug, Default)]
pub(super) struct RequestQueue {
    blocks: VecDeque<Block>,
    /// How many at the front are time critical; never more than there are blocks.
    time_critical: usize,
}

impl RequestQueue {
    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter()
    }

    /// Adds blocks behind all others.
    pub(super) fn extend(&mut self, blocks: &[Block]) {
        self.blocks.extend(blocks);
    }

    /// Adds blocks behind those that are time critical too, before all others.
    pub(super) fn extend_time_critical(&mut self, blocks: &[Block]) {
        for &block in blocks {
            self.blocks.insert(self.time_critical, block);
            self.time_critical += 1;
        }
    }

    /// The block to request next.
    pub(super) fn pop(&mut self) -> Option<Block> {
        let block = self.blocks.pop_front()?;
        self.time_critical = self.time_critical.saturating_sub(1);
        Some(block)
    }

    /// Removes a block; whether it was there.
    pub(super) fn remove(&mut self, block: Block) -> bool {
        let Some(at) = self.blocks.iter().position(|&waiting| waiting == block) else {
            return false;
        };
        self.blocks.remove(at);
        if at < self.time_critical {
            self.time_critical -= 1;
        }
        true
    }

    /// Removes all but the blocks to `keep`; the others stay in their order.
    pub(super) fn retain(&mut self, keep: impl Fn(Block) -> bool, removed: &mut Vec<Block>) {
        let (mut at, time_critical) = (0, self.time_critical);
        self.blocks.retain(|&block| {
            let kept = keep(block);
            if !kept {
                removed.push(block);
                self.time_critical -= usize::from(at < time_critical);
            }
            at += 1;
            kept
        });
    }

    /// Removes all but the first `most` blocks.
    pub(super) fn truncate(&mut self, most: usize, removed: &mut Vec<Block>) {
        if let Some(surplus) = self.blocks.len().checked_sub(most) {
            removed.extend(self.blocks.drain(self.blocks.len() - surplus..));
            self.time_critical = self.time_critical.min(most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::PieceIndex;

    fn block(at: u32) -> Block {
        Block::new(PieceIndex(at), 0)
    }

    fn blocks(numbers: &[u32]) -> Vec<Block> {
        numbers.iter().copied().map(block).collect()
    }

    /// Blocks 1 and 2, which are time critical, and 3 and 4.
    fn waiting() -> RequestQueue {
        let mut it = RequestQueue::default();
        it.extend(&blocks(&[3, 4]));
        it.extend_time_critical(&blocks(&[1]));
        it.extend_time_critical(&blocks(&[2]));
        it
    }

    /// All of them, with one more that is time critical.
    fn with_time_critical(mut it: RequestQueue) -> Vec<u32> {
        it.extend_time_critical(&blocks(&[9]));
        std::iter::from_fn(|| it.pop().map(|block| block.piece.0)).collect()
    }

    #[test]
    fn urgent_blocks_stay_in_front_whatever_goes() {
        assert_eq!(with_time_critical(waiting()), [1, 2, 9, 3, 4]);
        for (gone, left) in [(1, [2, 9, 3, 4]), (2, [1, 9, 3, 4]), (3, [1, 2, 9, 4])] {
            let mut it = waiting();
            assert!(it.remove(block(gone)) && !it.remove(block(gone)));
            assert_eq!(with_time_critical(it), left);
        }
        let mut it = waiting();
        assert_eq!(it.pop(), Some(block(1)));
        assert_eq!(with_time_critical(it), [2, 9, 3, 4]);
    }

    #[test]
    fn what_is_removed_comes_out_in_its_order() {
        let mut removed = Vec::new();
        let mut it = waiting();
        it.retain(|block| block.piece.0 % 2 == 1, &mut removed);
        assert_eq!(with_time_critical(it), [1, 9, 3]);
        let mut it = waiting();
        it.retain(|_| false, &mut removed);
        assert!(it.is_empty() && with_time_critical(it) == [9]);
        assert_eq!(removed, blocks(&[2, 4, 1, 2, 3, 4]));
        for (most, left) in [(0, &[9][..]), (1, &[1, 9]), (3, &[1, 2, 9, 3])] {
            let mut removed = Vec::new();
            let mut it = waiting();
            it.truncate(most, &mut removed);
            assert_eq!((it.len(), removed.len()), (most, 4 - most));
            assert_eq!(with_time_critical(it), left);
        }
        let mut it = waiting();
        it.truncate(5, &mut Vec::new());
        assert_eq!(with_time_critical(it), [1, 2, 9, 3, 4]);
    }
}
