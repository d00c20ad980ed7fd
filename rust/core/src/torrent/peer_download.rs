//! What we want of one peer, what it may be asked for, and what it was asked
//! for.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use super::rejected_requests::Refusals;
use crate::ids::{Block, PieceIndex};

/// The download from one peer.
#[derive(Debug)]
pub struct PeerDownload {
    /// It was sent that we are interested.
    pub interested: bool,
    /// It chokes us.
    pub choking_us: bool,
    /// It is suspected of bad data, and fetches whole pieces, alone.
    pub on_parole: bool,
    /// Pieces it took part in that failed their hash.
    pub hash_failures: u32,
    /// When it was last given blocks to request.
    pub last_lease: Option<Instant>,
    leased: VecDeque<Block>,
    /// Wanted pieces that it has and we lack.
    pub(super) interesting: u32,
    /// Blocks it could take on.
    pub(super) want: u32,
    /// Pieces that it suggested, the latest first (BEP 6).
    pub(super) suggested: Vec<PieceIndex>,
    /// Pieces that it serves although it chokes us (BEP 6).
    pub(super) allowed_fast: BTreeSet<PieceIndex>,
    /// What it refused.
    pub(super) refusals: Refusals,
    /// The disk has dropped what it delivered last.
    pub(super) disowned: bool,
}

impl PeerDownload {
    pub(super) fn new() -> Self {
        Self {
            interested: false,
            choking_us: true,
            on_parole: false,
            hash_failures: 0,
            last_lease: None,
            leased: VecDeque::new(),
            interesting: 0,
            want: 0,
            suggested: Vec::new(),
            allowed_fast: BTreeSet::new(),
            refusals: Refusals::default(),
            disowned: false,
        }
    }

    /// It chokes us now, or lets us download. The connection begins anew too:
    /// it says again how much it could take on.
    pub(super) fn set_choking_us(&mut self, choking: bool) {
        self.choking_us = choking;
        self.want = 0;
    }

    /// We are interested now, or not any more; whether that is new.
    pub(super) fn set_interested(&mut self, interested: bool) -> bool {
        if !interested && self.interested {
            self.want = 0;
        }
        std::mem::replace(&mut self.interested, interested) != interested
    }

    /// It suggests a piece; no more than `most` are remembered.
    pub(super) fn note_suggested(&mut self, pieces: &[PieceIndex], most: usize) {
        for &piece in pieces {
            self.suggested.retain(|&known| known != piece);
            self.suggested.insert(0, piece);
        }
        self.suggested.truncate(most);
    }

    /// Blocks that it was asked for, in order.
    pub(super) fn leased(&self) -> impl Iterator<Item = Block> + '_ {
        self.leased.iter().copied()
    }

    /// It is asked for these blocks.
    pub(super) fn lease(&mut self, now: Instant, blocks: &[Block]) {
        self.last_lease = Some(now);
        self.leased.extend(blocks);
    }

    /// Ends the leases on blocks of some pieces, and returns the blocks.
    pub(super) fn revoke(&mut self, concerned: impl Fn(PieceIndex) -> bool) -> Vec<Block> {
        let mut revoked = Vec::new();
        self.leased.retain(|&block| {
            let ends = concerned(block.piece);
            if ends {
                revoked.push(block);
            }
            !ends
        });
        revoked
    }

    /// A block is here, or will not come.
    pub(super) fn lease_ended(&mut self, block: Block) {
        // Leases end roughly in the order in which they began.
        if let Some(at) = self.leased.iter().position(|&leased| leased == block) {
            self.leased.remove(at);
        }
    }
}
