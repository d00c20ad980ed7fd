//! The line in which torrents wait to be downloaded.

use std::collections::BTreeMap;

use crate::ids::TorrentKey;

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
pub(super) struct Line {
    order: Vec<TorrentKey>,
    changed: bool,
}

impl Line {
    pub(super) fn position(&self, torrent: TorrentKey) -> Option<usize> {
        self.order.iter().position(|&other| other == torrent)
    }

    pub(super) fn order(&self) -> &[TorrentKey] {
        &self.order
    }

    /// Whether it is another one than at the last call.
    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Puts those that `order` names first, in that order.
    pub(super) fn arrange(&mut self, order: &[TorrentKey]) {
        let mut places: BTreeMap<TorrentKey, usize> = BTreeMap::new();
        for (place, &torrent) in order.iter().enumerate() {
            places.entry(torrent).or_insert(place);
        }
        let place = |torrent: &TorrentKey| places.get(torrent).copied().unwrap_or(usize::MAX);
        self.changed |= !self.order.is_sorted_by_key(place);
        self.order.sort_by_key(place);
    }

    /// The places of all torrents.
    pub(super) fn places(&self) -> BTreeMap<TorrentKey, usize> {
        self.order.iter().copied().zip(0..).collect()
    }

    /// Takes the last place, unless it has one.
    pub(super) fn join(&mut self, torrent: TorrentKey) {
        if self.position(torrent).is_none() {
            self.order.push(torrent);
            self.changed = true;
        }
    }

    pub(super) fn leave(&mut self, torrent: TorrentKey) {
        if let Some(at) = self.position(torrent) {
            self.order.remove(at);
            self.changed = true;
        }
    }

    /// Whether the torrent is in the line.
    pub(super) fn shift(&mut self, torrent: TorrentKey, to: Move) -> bool {
        let Some(at) = self.position(torrent) else {
            return false;
        };
        self.order.remove(at);
        let end = self.order.len();
        let place = match to {
            Move::Up => at.saturating_sub(1),
            Move::Down => at + 1,
            Move::Top => 0,
            Move::Bottom => end,
            Move::To(place) => place,
        };
        let place = place.min(end);
        self.order.insert(place, torrent);
        self.changed |= place != at;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn torrent(name: u8) -> TorrentKey {
        TorrentKey(name.into())
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
            assert_eq!(line.order(), expected.map(torrent), "{name} {to:?}");
        }
        line.leave(torrent(1));
        assert!(!line.shift(torrent(1), Move::Top));
        assert_eq!(line.position(torrent(2)), Some(1));
        assert_eq!(line.position(torrent(1)), None);
    }
    #[test]
    fn a_remembered_order_comes_back() {
        let mut line = Line::default();
        for name in 0..4 {
            line.join(torrent(name));
        }
        assert!(line.take_changed() && !line.take_changed());
        // Named twice, unknown ones, and some not named at all.
        line.arrange(&[3, 9, 1, 3].map(torrent));
        assert_eq!(line.order(), [3, 1, 0, 2].map(torrent));
        assert!(line.take_changed());
        line.arrange(&[3, 1, 0].map(torrent));
        line.leave(torrent(9));
        line.shift(torrent(3), Move::Up);
        assert!(!line.take_changed(), "nothing has moved");
        line.leave(torrent(1));
        assert!(line.take_changed());
    }
}
