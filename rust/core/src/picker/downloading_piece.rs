//! One piece that has been begun: the state of each block and who holds the
//! leases.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::block_table::{BlockTable, visit};
use crate::ids::PeerKey;

/// How many peers may hold a lease on the same block in the end game.
pub(super) const MAX_LEASES: u32 = 3;

/// The state of one block of a begun piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockState {
    /// Neither here nor asked for.
    Open,
    /// Asked for.
    Requested {
        /// The peer that was asked first.
        peer: PeerKey,
        /// How many peers have been asked: more than 1 only in the end game.
        peers: u32,
    },
    /// Here, not yet part of a verified piece.
    Received {
        /// The peer that sent it.
        peer: PeerKey,
    },
    /// Padding (BEP 47): zeros that are requested from no peer.
    Padding,
}

/// Who sent a block; [`PeerKey::NONE`] where it is not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BlockSender(PeerKey);

impl Default for BlockSender {
    fn default() -> Self {
        Self(PeerKey::NONE)
    }
}

/// What a lease given back leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Returned {
    /// The peer held no lease on the block.
    NotHeld,
    /// Another peer still holds one.
    StillLeased,
    /// The block is open again.
    Open,
}

/// What it takes in memory grows with the blocks that are here or asked for, not
/// with the length of the piece.
#[derive(Clone, Debug)]
pub(super) struct DownloadingPiece {
    blocks: u32,
    /// The runs of blocks that are padding, in order.
    padding: Box<[Range<u32>]>,
    senders: BlockTable<BlockSender>,
    /// The blocks that were asked for, each with the first peer that holds it.
    leased: BTreeMap<u32, PeerKey>,
    /// Second and later leases (block, peer), only in the end game and of
    /// time critical pieces: by block, those of one in the order in which they were
    /// given.
    spare: Vec<(u32, PeerKey)>,
    open: u32,
    received: u32,
    /// No block before this one is open.
    first_open: u32,
    /// Pieces begun earlier have lower numbers.
    pub(super) serial: u64,
    /// The fast peer that has the piece to itself.
    owner: Option<PeerKey>,
    /// Another number whenever the state of a block has changed.
    revision: u64,
}

impl DownloadingPiece {
    /// A piece of `blocks` blocks, of which those in the runs of `padding` are
    /// never asked for.
    pub(super) fn new(
        blocks: u32,
        padding: impl Iterator<Item = Range<u32>>,
        serial: u64,
        owner: Option<PeerKey>,
    ) -> Self {
        let padding: Box<[_]> = padding.collect();
        let padded: u32 = padding.iter().map(|run| run.end - run.start).sum();
        Self {
            blocks,
            padding,
            senders: BlockTable::new(blocks),
            leased: BTreeMap::new(),
            spare: Vec::new(),
            open: blocks.saturating_sub(padded),
            received: 0,
            first_open: 0,
            serial,
            owner,
            revision: 0,
        }
    }

    /// Another number whenever the state of a block has changed.
    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    pub(super) fn num_blocks(&self) -> u32 {
        self.blocks
    }

    /// The runs of blocks that are padding, in order.
    pub(super) fn padding(&self) -> &[Range<u32>] {
        &self.padding
    }

    /// Blocks that are requested from no peer.
    pub(super) fn open(&self) -> u32 {
        self.open
    }

    /// Blocks that are here.
    pub(super) fn received(&self) -> u32 {
        self.received
    }

    /// Blocks that are requested from a peer.
    pub(super) fn leased(&self) -> u32 {
        self.leased.len() as u32
    }

    pub(super) fn is_complete(&self) -> bool {
        self.open == 0 && self.leased.is_empty()
    }

    /// Whether `peer` has the piece to itself.
    pub(super) fn is_own(&self, peer: PeerKey) -> bool {
        self.owner == Some(peer)
    }

    /// Whether another, fast peer is at work on the piece by itself.
    pub(super) fn is_reserved(&self, peer: PeerKey) -> bool {
        !self.leased.is_empty() && self.owner.is_some_and(|owner| owner != peer)
    }

    /// Leases open blocks to `peer`, in order, until `count` are leased or
    /// none is left; calls `leased` with each.
    pub(super) fn lease(&mut self, peer: PeerKey, count: usize, mut leased: impl FnMut(u32)) {
        if count == 0 || self.open == 0 {
            return;
        }
        if self.owner != Some(peer) {
            self.owner = None;
        }
        for _ in 0..count {
            let Some(index) = self.next_open(self.first_open) else {
                self.first_open = self.blocks;
                return;
            };
            self.leased.insert(index, peer);
            self.open -= 1;
            self.first_open = index + 1;
            self.revision += 1;
            leased(index);
        }
    }

    /// The first open block from `from` on.
    fn next_open(&self, from: u32) -> Option<u32> {
        let mut at = from;
        while self.open > 0 && at < self.blocks {
            if let Some(run) = self.padding_at(at) {
                at = run.end;
            } else if self.leased.contains_key(&at) || self.sender(at).is_some() {
                at += 1;
            } else {
                return Some(at);
            }
        }
        None
    }

    /// The open blocks, in order.
    pub(super) fn open_blocks(&self) -> impl Iterator<Item = u32> + '_ {
        let first = self.next_open(self.first_open);
        std::iter::successors(first, |&at| self.next_open(at + 1))
    }

    /// The blocks that were asked for, each with the first peer that holds it
    /// and how many do.
    pub(super) fn leased_blocks(&self) -> impl Iterator<Item = (u32, PeerKey, u32)> + '_ {
        let leased = self.leased.iter();
        leased.map(|(&index, &peer)| (index, peer, self.holders(index)))
    }

    /// The run of padding that the block is part of.
    fn padding_at(&self, index: u32) -> Option<&Range<u32>> {
        let at = self.padding.partition_point(|run| run.end <= index);
        self.padding.get(at).filter(|run| run.start <= index)
    }

    /// Who sent the block, if it is here.
    fn sender(&self, index: u32) -> Option<PeerKey> {
        visit();
        let BlockSender(peer) = *self.senders.get(index)?;
        (peer != PeerKey::NONE).then_some(peer)
    }

    /// Leases to `peer` up to `count` blocks that exactly `holders` others
    /// hold, the first of them not `quicker`, from the back: its holder works from the front.
    pub(super) fn lease_again(
        &mut self,
        peer: PeerKey,
        holders: u32,
        count: usize,
        quicker: impl Fn(PeerKey) -> bool,
        mut leased: impl FnMut(u32),
    ) {
        let (mut left, mut end) = (count, self.blocks);
        while left > 0
            && let Some((&index, &first)) = self.leased.range(..end).next_back()
        {
            end = index;
            if self.holders(index) == holders && !self.holds(peer, index) && !quicker(first) {
                self.lend(peer, index);
                self.owner = None;
                left -= 1;
                leased(index);
            }
        }
    }

    /// Where the spare leases on the block are.
    fn spares(&self, index: u32) -> Range<usize> {
        let start = self.spare.partition_point(|&(block, _)| block < index);
        let rest = self.spare.iter().skip(start);
        start..start + rest.take_while(|&&(block, _)| block == index).count()
    }

    /// Where the spare lease of `peer` on the block is.
    fn spare_of(&self, peer: PeerKey, index: u32) -> Option<usize> {
        let mut spares = self.spares(index);
        spares.find(|&at| self.spare.get(at) == Some(&(index, peer)))
    }

    /// Adds a spare lease.
    fn lend(&mut self, peer: PeerKey, index: u32) {
        let at = self.spares(index).end;
        self.spare.insert(at, (index, peer));
        self.revision += 1;
    }

    /// How many peers hold a lease on the block.
    pub(super) fn holders(&self, index: u32) -> u32 {
        visit();
        match self.leased.contains_key(&index) {
            true => 1 + self.spares(index).len() as u32,
            false => 0,
        }
    }

    /// Whether `peer` holds a lease on the block.
    pub(super) fn holds(&self, peer: PeerKey, index: u32) -> bool {
        self.leased.get(&index) == Some(&peer) || self.spare_of(peer, index).is_some()
    }

    /// Takes back the lease of `peer` on the block.
    pub(super) fn give_back(&mut self, peer: PeerKey, index: u32) -> Returned {
        if !self.holds(peer, index) {
            return Returned::NotHeld;
        }
        // A peer that gives work back has no claim to the others of the piece.
        self.owner = None;
        self.revision += 1;
        if let Some(at) = self.spare_of(peer, index) {
            self.spare.remove(at);
            return Returned::StillLeased;
        }
        let heir = self.spares(index).next();
        let Some(first) = self.leased.get_mut(&index) else {
            return Returned::NotHeld;
        };
        if let Some(at) = heir {
            *first = self.spare.remove(at).1;
            return Returned::StillLeased;
        }
        self.leased.remove(&index);
        self.open += 1;
        self.first_open = self.first_open.min(index);
        Returned::Open
    }

    /// Notes that the block came from `peer`; appends to `cancels` the others
    /// that were asked for it. False when it was here already.
    pub(super) fn receive(
        &mut self,
        peer: PeerKey,
        index: u32,
        cancels: &mut Vec<PeerKey>,
    ) -> bool {
        debug_assert_ne!(peer, PeerKey::NONE, "it stands for a block not here");
        if self.padding_at(index).is_some() || self.sender(index).is_some() {
            return false;
        }
        let Some(sender) = self.senders.get_mut(index) else {
            return false;
        };
        *sender = BlockSender(peer);
        self.revision += 1;
        match self.leased.remove(&index) {
            None => self.open -= 1,
            Some(first) if first != peer => cancels.push(first),
            Some(_) => {}
        }
        self.received += 1;
        let spares = self.spares(index);
        let others = self.spare.drain(spares).map(|(_, holder)| holder);
        cancels.extend(others.filter(|&holder| holder != peer));
        true
    }

    /// Which blocks are here.
    pub(super) fn received_blocks(&self) -> impl Iterator<Item = (u32, PeerKey)> + '_ {
        let senders = self.senders.iter();
        let received = senders.filter(|(_, sender)| sender.0 != PeerKey::NONE);
        received.map(|(index, sender)| (index, sender.0))
    }

    /// The state of every block, in order.
    pub(super) fn states(&self) -> impl ExactSizeIterator<Item = BlockState> + '_ {
        (0..self.blocks as usize).map(|index| self.state(index as u32))
    }

    /// The state of one block; open when there is no such block.
    pub(super) fn state(&self, index: u32) -> BlockState {
        visit();
        if let Some(&peer) = self.leased.get(&index) {
            let peers = self.holders(index);
            BlockState::Requested { peer, peers }
        } else if let Some(peer) = self.sender(index) {
            BlockState::Received { peer }
        } else if self.padding_at(index).is_some() {
            BlockState::Padding
        } else {
            BlockState::Open
        }
    }

    /// Leases one block to `peer`: an open one, or once more one that others
    /// hold. False when it is here, held by the peer itself, or by too many.
    pub(super) fn lease_block(&mut self, peer: PeerKey, index: u32) -> bool {
        if index >= self.blocks {
            return false;
        }
        match self.state(index) {
            BlockState::Open => {
                self.leased.insert(index, peer);
                self.open -= 1;
                self.revision += 1;
            }
            BlockState::Requested { peers, .. }
                if peers < MAX_LEASES && !self.holds(peer, index) =>
            {
                self.lend(peer, index);
            }
            _ => return false,
        }
        if self.owner != Some(peer) {
            self.owner = None;
        }
        true
    }

    /// Panics when the counts and the slots disagree.
    #[cfg(any(debug_assertions, test))]
    pub(super) fn check_invariants(&self) {
        let (mut open, mut received, mut leased) = (0, 0, 0);
        for (index, state) in (0..).zip(self.states()) {
            match state {
                BlockState::Open => open += 1,
                BlockState::Received { .. } => received += 1,
                BlockState::Requested { .. } => leased += 1,
                BlockState::Padding => {}
            }
            assert!(index >= self.first_open || state != BlockState::Open);
            assert!(self.holders(index) <= MAX_LEASES);
        }
        assert_eq!(self.open, open);
        assert_eq!(self.received, received);
        assert_eq!(self.leased(), leased);
        for (at, &(index, peer)) in self.spare.iter().enumerate() {
            let first = self.leased.get(&index);
            assert!(first.is_some_and(|&first| first != peer));
            assert!(!self.spare[..at].contains(&(index, peer)));
            assert!(at == 0 || self.spare[at - 1].0 <= index);
        }
    }
}
