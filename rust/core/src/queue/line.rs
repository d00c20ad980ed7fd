//! The line in which torrents wait to be downloaded.

use std::collections::BTreeMap;

use crate::ids::InfoHash;

/// A place in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// One place to the front.
    Up,
    /// One place to the back.
    Down,
    /// The first place.
    Top,
    /// The last place.
    Bottom,
    /// This place, from 0; beyond the end means the last one.
    To(usize),
}

/// Torrents in the order in which they are downloaded.
#[derive(Debug, Default)]
pub(super) struct Line(Vec<InfoHash>);

impl Line {
    pub(super) fn position(&self, torrent: InfoHash) -> Option<usize> {
        self.0.iter().position(|&other| other == torrent)
    }

    /// The places of all torrents.
    pub(super) fn places(&self) -> BTreeMap<InfoHash, usize> {
        self.0.iter().copied().zip(0..).collect()
    }

    /// Takes the last place, unless it has one.
    pub(super) fn join(&mut self, torrent: InfoHash) {
        if self.position(torrent).is_none() {
            self.0.push(torrent);
        }
    }

    pub(super) fn leave(&mut self, torrent: InfoHash) {
        self.0.retain(|&other| other != torrent);
    }

    /// Whether the torrent is in the line.
    pub(super) fn shift(&mut self, torrent: InfoHash, to: Move) -> bool {
        let Some(at) = self.position(torrent) else {
            return false;
        };
        self.0.remove(at);
        let end = self.0.len();
        let place = match to {
            Move::Up => at.saturating_sub(1),
            Move::Down => at + 1,
            Move::Top => 0,
            Move::Bottom => end,
            Move::To(place) => place,
        };
        self.0.insert(place.min(end), torrent);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn torrent(name: u8) -> InfoHash {
        InfoHash([name; 20])
    }

    #[test]
    fn torrents_move_in_the_line() {
        let mut line = Line::default();
        for name in 0..4 {
            line.join(torrent(name));
        }
        line.join(torrent(0));
        for (name, to, expected) in [
            (1, Move::Up, [1, 0, 2, 3]),
            (1, Move::Up, [1, 0, 2, 3]),
            (1, Move::Down, [0, 1, 2, 3]),
            (3, Move::Down, [0, 1, 2, 3]),
            (3, Move::Top, [3, 0, 1, 2]),
            (0, Move::Bottom, [3, 1, 2, 0]),
            (0, Move::To(1), [3, 0, 1, 2]),
            (3, Move::To(99), [0, 1, 2, 3]),
        ] {
            assert!(line.shift(torrent(name), to));
            assert_eq!(line.0, expected.map(torrent), "{name} {to:?}");
        }
        line.leave(torrent(1));
        assert!(!line.shift(torrent(1), Move::Top));
        assert_eq!(line.position(torrent(2)), Some(1));
        assert_eq!(line.position(torrent(1)), None);
    }
}
