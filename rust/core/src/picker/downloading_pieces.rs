//! The pieces that are begun and not verified yet, and which of them the
//! ordinary choice may take blocks of.

use std::collections::{BTreeMap, BTreeSet};

use super::downloading_piece::DownloadingPiece;

/// All begun pieces of a torrent, by their index.
///
/// A piece that is removed is not choosable any more. Which others are is kept
/// up to date by the picker, with [`set_choosable`](Self::set_choosable): those
/// that are wanted and not time critical. One without an open block never is.
#[derive(Debug, Default)]
pub(super) struct DownloadingPieces {
    pieces: BTreeMap<u32, DownloadingPiece>,
    choosable: BTreeSet<u32>,
    /// The serial number of the piece that was begun last.
    last_serial: u64,
}

impl DownloadingPieces {
    pub(super) fn contains(&self, piece: u32) -> bool {
        self.pieces.contains_key(&piece)
    }

    pub(super) fn get(&self, piece: u32) -> Option<&DownloadingPiece> {
        self.pieces.get(&piece)
    }

    /// After a change of the piece's blocks, [`Self::set_choosable`] is to be
    /// called.
    pub(super) fn get_mut(&mut self, piece: u32) -> Option<&mut DownloadingPiece> {
        self.pieces.get_mut(&piece)
    }

    /// In ascending order of their indices.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &DownloadingPiece)> {
        self.pieces.iter().map(|(&piece, state)| (piece, state))
    }

    /// The number of the next piece that is begun; later ones are higher.
    pub(super) fn next_serial(&self) -> u64 {
        self.last_serial + 1
    }

    /// Takes in a piece that was made with [`Self::next_serial`].
    pub(super) fn insert(&mut self, piece: u32, state: DownloadingPiece) {
        self.last_serial = state.serial;
        self.pieces.insert(piece, state);
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, piece: u32) -> bool {
        self.choosable.remove(&piece);
        self.pieces.remove(&piece).is_some()
    }

    /// The pieces that the ordinary choice may take blocks of, in ascending
    /// order.
    pub(super) fn choosable(&self) -> impl Iterator<Item = (u32, &DownloadingPiece)> {
        let state = |&piece| Some((piece, self.pieces.get(&piece)?));
        self.choosable.iter().filter_map(state)
    }

    pub(super) fn is_choosable(&self, piece: u32) -> bool {
        self.choosable.contains(&piece)
    }

    pub(super) fn any_choosable(&self) -> bool {
        !self.choosable.is_empty()
    }

    /// The ordinary choice may take blocks of the piece, if `allowed` and if one
    /// is open.
    pub(super) fn set_choosable(&mut self, piece: u32, allowed: bool) {
        let has_open = |state: &DownloadingPiece| state.open() > 0;
        if allowed && self.pieces.get(&piece).is_some_and(has_open) {
            self.choosable.insert(piece);
        } else {
            self.choosable.remove(&piece);
        }
    }
}
