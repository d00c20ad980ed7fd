//! Pieces that peers are advised to ask us for (BEP 6), where `suggest_mode`
//! says so: rare ones that we have just read or received, and so have in
//! memory. A peer gets two when it may download, and two more when it
//! has one of those that were suggested to it. The numbers are libtorrent's.

use std::collections::{BTreeSet, VecDeque};

use super::{PeerCommand, Torrent};
use crate::ids::{PeerKey, PieceIndex};

/// Pieces that are suggested to a peer at once.
const AT_ONCE: usize = 2;

/// Pieces over which the availability is averaged, about.
const SAMPLES: u64 = 30;

/// What the average is counted in.
const UNIT: u64 = 64;

/// The pieces that could be suggested.
#[derive(Debug, Default)]
pub(super) struct Suggestions {
    /// The latest last.
    pieces: VecDeque<PieceIndex>,
    /// The average number of peers that have a piece we used, in parts of
    /// [`UNIT`].
    mean: u64,
    samples: u64,
}

impl Suggestions {
    /// A piece, which so many peers have, is in memory: it is suggested, as
    /// one of `most` at most, if it is not more common than others.
    fn used(&mut self, piece: PieceIndex, availability: u32, most: usize) {
        let availability = u64::from(availability) * UNIT;
        let before = self.mean;
        self.samples = (self.samples + 1).min(SAMPLES);
        self.mean = (self.mean * (self.samples - 1) + availability) / self.samples;
        if availability / UNIT > before.div_ceil(UNIT) {
            return;
        }
        self.pieces.retain(|&known| known != piece);
        self.pieces.push_back(piece);
        while self.pieces.len() > most {
            self.pieces.pop_front();
        }
    }
}

impl Torrent {
    fn suggests(&self) -> bool {
        // A super-seed shows pieces in its own way.
        self.settings.suggest_mode == 1 && !self.is_super_seeding()
    }

    fn most_suggested(&self) -> usize {
        self.settings.max_suggest_pieces.unsigned_abs() as usize
    }

    /// These pieces were read or received just now.
    pub(super) fn pieces_used(&mut self, pieces: &[PieceIndex]) {
        if !self.suggests() {
            return;
        }
        let most = self.most_suggested();
        for &piece in pieces {
            let availability = self.pieces.picker.availability(piece);
            self.suggestions.used(piece, availability, most);
        }
    }

    /// A peer that may download got one of the pieces suggested to it.
    pub(super) fn suggest_next(&mut self, key: PeerKey, got: &BTreeSet<PieceIndex>) {
        let Some(peer) = self
            .peers
            .get(&key)
            .filter(|peer| !peer.upload.choked_by_us)
        else {
            return;
        };
        if got.iter().any(|piece| peer.upload.was_advised(*piece)) {
            self.suggest(key);
        }
    }

    /// Suggests the next pieces to a peer that may download.
    pub(super) fn suggest(&mut self, key: PeerKey) {
        if !self.suggests() {
            return;
        }
        let most = self.most_suggested();
        let picker = &self.pieces.picker;
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        let candidates = self.suggestions.pieces.iter().rev().copied();
        let mut new: Vec<PieceIndex> = candidates
            .filter(|piece| !peer.pieces().get(piece.0) && picker.we_have(*piece))
            .filter(|piece| !peer.upload.was_advised(*piece))
            .take(AT_ONCE)
            .collect();
        if new.is_empty() {
            return;
        }
        // The last value counts most.
        new.reverse();
        peer.upload.advise(&new, most);
        self.command(key, PeerCommand::Suggest(new));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_pieces_are_kept_the_latest_of_them() {
        let mut it = Suggestions::default();
        let mut used = |piece, availability| {
            it.used(PieceIndex(piece), availability, 2);
            it.pieces.iter().map(|piece| piece.0).collect::<Vec<_>>()
        };
        assert!(used(1, 5).is_empty(), "nothing to compare it with");
        assert_eq!(used(2, 5), [2]);
        assert_eq!(used(3, 50), [2], "too common");
        assert_eq!(used(4, 1), [2, 4]);
        assert_eq!(used(2, 2), [4, 2]);
        assert_eq!(used(5, 0), [2, 5]);
    }
}
