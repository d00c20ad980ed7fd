//! How many peers have each piece, and how many pieces there are of each
//! rarity.
//!
//! A peer that has everything is counted once, not a million times. The
//! histogram makes the health of the swarm a matter of a few steps.

use super::PeerPieces;
use super::bit_scan::Common;
use crate::bitfield::Bitfield;

/// Peers that have each piece.
#[derive(Clone, Debug)]
pub(super) struct Availability {
    /// Peers that have each piece, seeds left out.
    peers: Vec<u16>,
    /// How many pieces have how many copies, seeds left out and our own
    /// included.
    copies: Vec<u32>,
    seeds: u32,
}

impl Availability {
    pub(super) fn new(pieces: u32) -> Self {
        Self {
            peers: vec![0; pieces as usize],
            copies: vec![pieces],
            seeds: 0,
        }
    }

    /// Peers that have the piece, seeds left out; none when there is no such
    /// piece.
    pub(super) fn of(&self, piece: u32) -> u16 {
        self.peers.get(piece as usize).copied().unwrap_or(0)
    }

    /// Peers that have the piece, seeds included.
    pub(super) fn with_seeds(&self, piece: u32) -> u32 {
        self.peers
            .get(piece as usize)
            .map_or(0, |&peers| u32::from(peers) + self.seeds)
    }

    /// Peers that have each piece, seeds left out.
    pub(super) fn all(&self) -> &[u16] {
        &self.peers
    }

    pub(super) fn seed_joined(&mut self) {
        self.seeds += 1;
    }

    pub(super) fn seed_left(&mut self) {
        debug_assert!(self.seeds > 0);
        self.seeds = self.seeds.saturating_sub(1);
    }

    /// One more peer has the piece; `ours` says whether we do. The counts
    /// before and after, or `None` when there is no such piece.
    pub(super) fn add(&mut self, piece: u32, ours: bool) -> Option<(u16, u16)> {
        let peers = self.peers.get_mut(piece as usize)?;
        let before = *peers;
        *peers = before.saturating_add(1);
        let after = *peers;
        self.shift(copies(before, ours), copies(after, ours));
        Some((before, after))
    }

    /// One peer fewer has the piece.
    pub(super) fn sub(&mut self, piece: u32, ours: bool) -> Option<(u16, u16)> {
        let peers = self.peers.get_mut(piece as usize)?;
        debug_assert!(*peers > 0);
        let before = *peers;
        *peers = before.saturating_sub(1);
        let after = *peers;
        self.shift(copies(before, ours), copies(after, ours));
        Some((before, after))
    }

    /// [`Self::add`] or [`Self::sub`] for a whole set, in one pass.
    pub(super) fn count(&mut self, pieces: &Bitfield, have: &Bitfield, joined: bool) {
        for piece in Common::all(pieces, &PeerPieces::All) {
            let ours = have.get(piece);
            let _ = if joined {
                self.add(piece, ours)
            } else {
                self.sub(piece, ours)
            };
        }
    }

    /// We got the piece.
    pub(super) fn got(&mut self, piece: u32) {
        if let Some(&peers) = self.peers.get(piece as usize) {
            self.shift(usize::from(peers), usize::from(peers) + 1);
        }
    }

    /// We lost the piece.
    pub(super) fn we_dont_have(&mut self, piece: u32) {
        if let Some(&peers) = self.peers.get(piece as usize) {
            self.shift(usize::from(peers) + 1, usize::from(peers));
        }
    }

    fn shift(&mut self, from: usize, to: usize) {
        if to >= self.copies.len() {
            self.copies.resize(to + 1, 0);
        }
        if let Some(count) = self.copies.get_mut(from) {
            debug_assert!(*count > 0);
            *count = count.saturating_sub(1);
        }
        if let Some(count) = self.copies.get_mut(to) {
            *count += 1;
        }
    }

    /// Copies of the rarest piece, and how many pieces in a thousand there are
    /// more copies of.
    pub(super) fn distributed_copies(&self) -> (u32, u32) {
        let full = self.copies.iter().position(|&count| count > 0).unwrap_or(0);
        let rarest = self.copies.get(full).copied().unwrap_or(0);
        let pieces = self.peers.len() as u64;
        let more = pieces - u64::from(rarest);
        (
            full as u32 + self.seeds,
            (more * 1000 / pieces.max(1)) as u32,
        )
    }

    /// Panics when the histogram and the counts disagree.
    #[cfg(any(debug_assertions, test))]
    pub(super) fn check_invariants(&self, have: &Bitfield) {
        let mut copies_of = vec![0; self.copies.len()];
        for (piece, &peers) in (0..).zip(&self.peers) {
            copies_of[copies(peers, have.get(piece))] += 1;
        }
        assert_eq!(copies_of, self.copies);
    }
}

fn copies(peers: u16, ours: bool) -> usize {
    usize::from(peers) + usize::from(ours)
}
