//! The merkle root of bytes that come one after the other: SHA-256 over blocks
//! of 16 KiB (BEP 52, "pieces root").

use sha2::{Digest, Sha256};

use crate::ids::BLOCK_SIZE;

/// A node of a tree, or its root.
type Node = [u8; 32];

/// The tree of a run of bytes: its leaves are the SHA-256 of each block, and
/// zeros from the last block to the width of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeShape {
    /// Bytes below the tree; none of them is padding (BEP 47).
    pub length: u32,
    /// Leaves, a power of two, enough for the bytes.
    pub width: u32,
}

/// Computes the root of a tree from its bytes, in order, in any parts. Holds
/// one node for each level of the tree at most.
#[derive(Clone, Debug)]
pub struct MerkleHasher {
    shape: TreeShape,
    /// The block that the bytes have come to.
    block: Sha256,
    /// Bytes seen.
    seen: u32,
    /// The roots of the complete subtrees, the largest first: one for each bit
    /// that is set in the number of complete blocks.
    subtrees: Vec<Node>,
}

impl MerkleHasher {
    /// A hasher for a tree of this shape.
    pub fn new(shape: TreeShape) -> Self {
        Self {
            shape,
            block: Sha256::new(),
            seen: 0,
            subtrees: Vec::with_capacity(shape.width.trailing_zeros() as usize + 1),
        }
    }

    /// Appends `bytes`. What goes beyond the length of the tree is padding
    /// (BEP 47), which a tree does not cover.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.seen < self.shape.length {
            let room = BLOCK_SIZE - self.seen % BLOCK_SIZE;
            let most = room.min(self.shape.length - self.seen) as usize;
            let (part, rest) = bytes.split_at(most.min(bytes.len()));
            self.block.update(part);
            self.seen += part.len() as u32;
            bytes = rest;
            if self.seen.is_multiple_of(BLOCK_SIZE) {
                let leaf = self.block.finalize_reset().into();
                self.push(leaf);
            }
        }
    }

    /// Takes in the leaf of a block, the last one of those that are complete.
    fn push(&mut self, leaf: Node) {
        let mut node = leaf;
        // One for each subtree that the leaf completes.
        for _ in 0..self.blocks().trailing_zeros() {
            match self.subtrees.pop() {
                Some(left) => node = parent(&left, &node),
                None => break,
            }
        }
        self.subtrees.push(node);
    }

    /// The blocks that have begun.
    fn blocks(&self) -> u32 {
        self.seen.div_ceil(BLOCK_SIZE)
    }

    /// The root of the tree. The hasher is used up.
    pub fn finish(&mut self) -> [u8; 32] {
        if !self.seen.is_multiple_of(BLOCK_SIZE) {
            let leaf = self.block.finalize_reset().into();
            self.push(leaf);
        }
        let blocks = self.blocks();
        let mut padding = Node::default();
        // The subtree that has padding in it, of the height of the loop.
        let mut last: Option<Node> = None;
        for height in 0..self.shape.width.trailing_zeros() {
            if (blocks >> height) & 1 == 1 {
                let left = self.subtrees.pop().unwrap_or_default();
                last = Some(parent(&left, &last.unwrap_or(padding)));
            } else if let Some(left) = last {
                last = Some(parent(&left, &padding));
            }
            padding = parent(&padding, &padding);
        }
        last.or_else(|| self.subtrees.pop()).unwrap_or(padding)
    }
}

/// The node above two others.
fn parent(left: &Node, right: &Node) -> Node {
    let mut hasher = Sha256::new();
    hasher.update(left);
    hasher.update(right);
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::*;

    fn pattern(length: u32) -> Vec<u8> {
        (0..length).map(|at| (at % 251) as u8).collect()
    }

    /// The root of all of the bytes, as of a file that has no more than a piece.
    fn root(bytes: &[u8], part: usize) -> Node {
        let length = bytes.len() as u32;
        let width = length.div_ceil(BLOCK_SIZE).next_power_of_two();
        let mut hasher = MerkleHasher::new(TreeShape { length, width });
        bytes.chunks(part).for_each(|part| hasher.update(part));
        hasher.finish()
    }

    /// The same by the definition: all levels, one after the other.
    fn naive(bytes: &[u8], width: usize) -> Node {
        let leaves = bytes.chunks(BLOCK_SIZE as usize).map(Sha256::digest);
        let mut level: Vec<Node> = leaves.map(Node::from).collect();
        level.resize(width, Node::default());
        while level.len() > 1 {
            let pairs = level.chunks(2);
            level = pairs.map(|pair| parent(&pair[0], &pair[1])).collect();
        }
        level[0]
    }

    /// Roots that libtorrent computes for bytes that count up to 250.
    #[test]
    fn roots_are_those_of_libtorrent() {
        for (length, expected) in [
            (
                1,
                "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            ),
            (
                16_383,
                "e08c7d58e58b9318263144a618d6f2b6f6825974decd9e6f9371567354b6f566",
            ),
            (
                16_384,
                "4348e3b98e8a327b34ced39c1da9e67cdb4cd5e48e4d7960607a3ae403d35f0c",
            ),
            (
                16_385,
                "9d7887c65d577a0237fb3c0998b87b3a62762d03796889a2caea01db914ccbb8",
            ),
            (
                32_768,
                "d9e13d0b676ad681164ef0b7b5910d1328ea83a047cad57e619d76bbe3a08525",
            ),
            (
                32_769,
                "934c793a4cecccfd47faaf6b69c17703875e6c58ffe623bcd31ff3b2170770d1",
            ),
            (
                49_152,
                "c23d35ec942288a7d9b58d1d0446a76104660b7c72e5cf39f38bddb028ff8ca0",
            ),
            (
                65_537,
                "27e4ccf8e3d554bfce504235da1292c2c8beb24ba5b3e1cd62f41bd692517fbe",
            ),
            (
                114_688,
                "ff6fd65fd7050c30237e4297829cacb36a006f32acfc88cf8f2757d57353aef4",
            ),
            (
                262_144,
                "936f20cb9f0648c16ce2556795f1cc50ad21a3e3ec53ed8a6e554a75f8a4357f",
            ),
            (
                262_145,
                "d6f39dae7db99e68cc1fd1541d0b1d18494351053ab3ab19f7fcd0c442ed6b00",
            ),
        ] {
            let root = HEXLOWER.encode(&root(&pattern(length), 5000));
            assert_eq!(root, expected, "{length}");
        }
    }

    #[test]
    fn bytes_beyond_the_length_are_padding() {
        let shape = TreeShape {
            length: 20_000,
            width: 4,
        };
        let mut hasher = MerkleHasher::new(shape);
        let mut bytes = pattern(20_000);
        let expected = naive(&bytes, 4);
        bytes.resize(65_536, 0);
        hasher.update(&bytes);
        assert_eq!(hasher.finish(), expected);
        let nothing = TreeShape {
            length: 0,
            width: 4,
        };
        assert_eq!(MerkleHasher::new(nothing).finish(), naive(&[], 4));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_shape_and_any_split_give_the_root_by_definition(
            length in 0..300_000u32, wider in 0..3u32, part in 1..40_000usize,
        ) {
            let width = length.div_ceil(BLOCK_SIZE).next_power_of_two() << wider;
            let mut hasher = MerkleHasher::new(TreeShape { length, width });
            let bytes = pattern(length);
            bytes.chunks(part).for_each(|part| hasher.update(part));
            prop_assert_eq!(hasher.finish(), naive(&bytes, width as usize));
        }
    }
}
