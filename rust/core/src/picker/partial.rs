//! One piece that has been begun: the state of each block and who holds the
//! leases.

use std::ops::Range;

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
    /// Padding (BEP 47): zeros that nobody is asked for.
    Padding,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Open,
    Leased,
    Received,
    Padding,
}

/// A block: its stage, and the first peer to hold it or the one that sent it.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    peer: PeerKey,
    stage: Stage,
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

#[derive(Clone, Debug)]
pub(super) struct Partial {
    slots: Box<[Slot]>,
    /// Second and later leases (block, peer), only in the end game and of
    /// urgent pieces: by block, those of one in the order in which they were
    /// given.
    spare: Vec<(u32, PeerKey)>,
    open: u32,
    received: u32,
    padding: u32,
    /// No block before this one is open.
    first_open: u32,
    /// Pieces begun earlier have lower numbers.
    pub(super) serial: u64,
    /// The fast peer that has the piece to itself.
    owner: Option<PeerKey>,
}

impl Partial {
    /// A piece of `blocks` blocks, of which those in `padding` (each once) are
    /// never asked for.
    pub(super) fn new(
        blocks: u32,
        padding: impl Iterator<Item = u32>,
        serial: u64,
        owner: Option<PeerKey>,
    ) -> Self {
        let mut partial = Self {
            slots: vec![Slot::default(); blocks as usize].into(),
            spare: Vec::new(),
            open: blocks,
            received: 0,
            padding: 0,
            first_open: 0,
            serial,
            owner,
        };
        for index in padding {
            if let Some(slot) = partial.slots.get_mut(index as usize) {
                slot.stage = Stage::Padding;
                partial.open -= 1;
                partial.padding += 1;
            }
        }
        partial
    }

    /// Blocks that nobody has been asked for.
    pub(super) fn open(&self) -> u32 {
        self.open
    }

    /// Blocks that are here.
    pub(super) fn received(&self) -> u32 {
        self.received
    }

    /// Blocks that somebody has been asked for.
    pub(super) fn leased(&self) -> u32 {
        self.slots.len() as u32 - self.open - self.received - self.padding
    }

    pub(super) fn is_complete(&self) -> bool {
        self.open == 0 && self.leased() == 0
    }

    /// Whether `peer` has the piece to itself.
    pub(super) fn is_own(&self, peer: PeerKey) -> bool {
        self.owner == Some(peer)
    }

    /// Whether another, fast peer is at work on the piece by itself.
    pub(super) fn is_reserved(&self, peer: PeerKey) -> bool {
        self.leased() > 0 && self.owner.is_some_and(|owner| owner != peer)
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
        let mut left = count;
        let from = self.first_open;
        for (index, slot) in (0..).zip(self.slots.iter_mut()).skip(from as usize) {
            if slot.stage == Stage::Open {
                *slot = Slot {
                    peer,
                    stage: Stage::Leased,
                };
                self.open -= 1;
                left -= 1;
                leased(index);
            }
            self.first_open = index + 1;
            if left == 0 || self.open == 0 {
                return;
            }
        }
    }

    /// Leases to `peer` up to `count` blocks that exactly `holders` others
    /// hold, the first of them not `quicker`, from the back: whoever holds them works from the front.
    pub(super) fn lease_again(
        &mut self,
        peer: PeerKey,
        holders: u32,
        count: usize,
        quicker: impl Fn(PeerKey) -> bool,
        mut leased: impl FnMut(u32),
    ) {
        let mut left = count;
        for index in (0..self.slots.len() as u32).rev() {
            if left == 0 {
                return;
            }
            let first = self.slot(index).map(|slot| slot.peer);
            if self.holders(index) == holders
                && !self.holds(peer, index)
                && !first.is_some_and(&quicker)
            {
                self.lend(peer, index);
                self.owner = None;
                left -= 1;
                leased(index);
            }
        }
    }

    fn slot(&self, index: u32) -> Option<&Slot> {
        self.slots.get(index as usize)
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
    }

    /// How many peers hold a lease on the block.
    pub(super) fn holders(&self, index: u32) -> u32 {
        match self.slot(index) {
            Some(slot) if slot.stage == Stage::Leased => 1 + self.spares(index).len() as u32,
            _ => 0,
        }
    }

    /// Whether `peer` holds a lease on the block.
    pub(super) fn holds(&self, peer: PeerKey, index: u32) -> bool {
        self.slot(index)
            .is_some_and(|slot| slot.stage == Stage::Leased && slot.peer == peer)
            || self.spare_of(peer, index).is_some()
    }

    /// Takes back the lease of `peer` on the block.
    pub(super) fn give_back(&mut self, peer: PeerKey, index: u32) -> Returned {
        if !self.holds(peer, index) {
            return Returned::NotHeld;
        }
        // A peer that gives work back has no claim to the rest of the piece.
        self.owner = None;
        if let Some(at) = self.spare_of(peer, index) {
            self.spare.remove(at);
            return Returned::StillLeased;
        }
        let heir = self.spares(index).next();
        let Some(slot) = self.slots.get_mut(index as usize) else {
            return Returned::NotHeld;
        };
        if let Some(at) = heir {
            slot.peer = self.spare.remove(at).1;
            return Returned::StillLeased;
        }
        slot.stage = Stage::Open;
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
        let Some(slot) = self.slots.get_mut(index as usize) else {
            return false;
        };
        match slot.stage {
            Stage::Received | Stage::Padding => return false,
            Stage::Open => self.open -= 1,
            Stage::Leased if slot.peer != peer => cancels.push(slot.peer),
            Stage::Leased => {}
        }
        *slot = Slot {
            peer,
            stage: Stage::Received,
        };
        self.received += 1;
        let spares = self.spares(index);
        let others = self.spare.drain(spares).map(|(_, holder)| holder);
        cancels.extend(others.filter(|&holder| holder != peer));
        true
    }

    /// Which blocks are here.
    pub(super) fn received_blocks(&self) -> impl Iterator<Item = (u32, PeerKey)> + '_ {
        (0..)
            .zip(self.slots.iter())
            .filter(|(_, slot)| slot.stage == Stage::Received)
            .map(|(index, slot)| (index, slot.peer))
    }

    /// The state of every block, in order.
    pub(super) fn states(&self) -> impl ExactSizeIterator<Item = BlockState> + '_ {
        (0..self.slots.len()).map(|index| self.state(index as u32))
    }

    /// The state of one block; open when there is no such block.
    pub(super) fn state(&self, index: u32) -> BlockState {
        let Some(&Slot { peer, stage }) = self.slot(index) else {
            return BlockState::Open;
        };
        match stage {
            Stage::Open => BlockState::Open,
            Stage::Leased => BlockState::Requested {
                peer,
                peers: self.holders(index),
            },
            Stage::Received => BlockState::Received { peer },
            Stage::Padding => BlockState::Padding,
        }
    }

    /// Leases one block to `peer`: an open one, or once more one that others
    /// hold. False when it is here, held by the peer itself, or by too many.
    pub(super) fn lease_block(&mut self, peer: PeerKey, index: u32) -> bool {
        let (holders, holds) = (self.holders(index), self.holds(peer, index));
        let Some(slot) = self.slots.get_mut(index as usize) else {
            return false;
        };
        match slot.stage {
            Stage::Open => {
                *slot = Slot {
                    peer,
                    stage: Stage::Leased,
                };
                self.open -= 1;
            }
            Stage::Leased if !holds && holders < MAX_LEASES => self.lend(peer, index),
            Stage::Leased | Stage::Received | Stage::Padding => return false,
        }
        if self.owner != Some(peer) {
            self.owner = None;
        }
        true
    }

    /// Panics when the counts and the slots disagree.
    #[cfg(any(debug_assertions, test))]
    pub(super) fn check_invariants(&self) {
        let count = |stage| self.slots.iter().filter(|slot| slot.stage == stage).count() as u32;
        assert_eq!(self.open, count(Stage::Open));
        assert_eq!(self.received, count(Stage::Received));
        assert_eq!(self.padding, count(Stage::Padding));
        for (index, slot) in (0..).zip(self.slots.iter()) {
            assert!(index >= self.first_open || slot.stage != Stage::Open);
            assert!(self.holders(index) <= MAX_LEASES);
        }
        for (at, &(index, peer)) in self.spare.iter().enumerate() {
            let slot = self
                .slot(index)
                .expect("a spare lease on a block that exists");
            assert_eq!(slot.stage, Stage::Leased);
            assert_ne!(slot.peer, peer);
            assert!(!self.spare[..at].contains(&(index, peer)));
            assert!(at == 0 || self.spare[at - 1].0 <= index);
        }
    }
}
