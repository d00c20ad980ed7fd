//! Pieces that lie together: a new piece is taken next to one begun lately, so
//! that the disk sees long runs (`piece_extent_affinity`).

use std::collections::VecDeque;
use std::ops::Range;

/// Bytes of one extent.
const EXTENT: u32 = 4 * 1024 * 1024;

/// Extents that are filled at the same time.
const RECENT: usize = 5;

/// The extents in which pieces were begun last, the newest last.
#[derive(Clone, Debug)]
pub(super) struct Extents {
    pieces: u32,
    /// Pieces in one extent; with 1 or fewer there is nothing to keep together.
    per_extent: u32,
    recent: VecDeque<u32>,
}

impl Extents {
    pub(super) fn new(pieces: u32, piece_length: u32) -> Self {
        Self {
            pieces,
            per_extent: EXTENT / piece_length.max(1),
            recent: VecDeque::new(),
        }
    }

    /// Notes that `piece` was begun.
    pub(super) fn begun(&mut self, piece: u32) {
        if self.per_extent < 2 {
            return;
        }
        let extent = piece / self.per_extent;
        if self.recent.contains(&extent) {
            return;
        }
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(extent);
    }

    /// The pieces of the recent extents, the oldest first: it is to be filled
    /// before others are begun.
    pub(super) fn runs(&self) -> impl Iterator<Item = Range<u32>> + '_ {
        self.recent.iter().map(|&extent| {
            let first = extent * self.per_extent;
            first..(first + self.per_extent).min(self.pieces)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_extent_makes_room() {
        let mut extents = Extents::new(1000, 1024 * 1024);
        for piece in [1, 2, 40, 80, 120, 160, 200] {
            extents.begun(piece);
        }
        let firsts: Vec<u32> = extents.runs().map(|run| run.start).collect();
        assert_eq!(firsts, [40, 80, 120, 160, 200]);
        assert_eq!(extents.runs().next(), Some(40..44));
        let mut large = Extents::new(10, EXTENT);
        large.begun(3);
        assert_eq!(large.runs().count(), 0);
        let mut last = Extents::new(6, 1024 * 1024);
        last.begun(5);
        assert_eq!(last.runs().next(), Some(4..6));
    }
}
