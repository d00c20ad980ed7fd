//! Which files are complete: a count of missing pieces for each.

use crate::bitfield::Bitfield;
use crate::ids::{FileIndex, PieceIndex};
use crate::layout::Layout;

/// Missing pieces of each file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FileProgress {
    missing: Vec<u32>,
}

impl FileProgress {
    pub(super) fn new(layout: &Layout) -> Self {
        let missing = (0..layout.files().len() as u32)
            .map(|file| layout.file_pieces(FileIndex(file)).len() as u32)
            .collect();
        Self { missing }
    }

    /// Counts again from what we have.
    pub(super) fn reset(&mut self, layout: &Layout, have: &Bitfield) {
        *self = Self::new(layout);
        for piece in have.iter() {
            for span in layout.piece_spans(PieceIndex(piece)) {
                self.missing[span.file.0 as usize] -= 1;
            }
        }
    }

    /// Takes pieces off; returns the files that this completed, padding apart.
    pub(super) fn completed_by(&mut self, layout: &Layout, pieces: &[PieceIndex]) -> Vec<u32> {
        let mut completed = Vec::new();
        for &piece in pieces {
            for span in layout.piece_spans(piece) {
                let missing = &mut self.missing[span.file.0 as usize];
                *missing = missing.saturating_sub(1);
                if *missing == 0 && !span.pad {
                    completed.push(span.file.0);
                }
            }
        }
        completed
    }

    /// Verified bytes of each file.
    pub(super) fn progress(&self, layout: &Layout, have: &Bitfield) -> Vec<u64> {
        layout
            .files()
            .iter()
            .enumerate()
            .map(|(at, place)| {
                let pieces = layout.file_pieces(FileIndex(at as u32));
                if self.missing[at] == 0 {
                    return place.length;
                }
                if self.missing[at] as usize == pieces.len() {
                    return 0;
                }
                let end = place.offset + place.length;
                pieces
                    .filter(|&piece| have.get(piece))
                    .map(|piece| {
                        let piece = PieceIndex(piece);
                        let from = layout.piece_offset(piece).max(place.offset);
                        let to = layout.piece_offset(piece) + u64::from(layout.piece_len(piece));
                        to.min(end) - from
                    })
                    .sum()
            })
            .collect()
    }
}

/// Verified bytes of each file of a torrent of which these pieces are here.
pub fn file_progress(layout: &Layout, have: &Bitfield) -> Vec<u64> {
    let mut files = FileProgress::new(layout);
    files.reset(layout, have);
    files.progress(layout, have)
}

/// The files without a byte, padding apart.
pub(super) fn empty(layout: &Layout) -> impl Iterator<Item = u32> + use<> {
    let files = layout.files().iter().zip(0..);
    let empty = files.filter(|(place, _)| place.length == 0 && !place.pad);
    empty.map(|(_, file)| file).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_complete_when_their_last_piece_does() {
        let layout = Layout::new(4, [(3, false), (0, false), (6, false)]).unwrap();
        let mut files = FileProgress::new(&layout);
        let mut have = Bitfield::new(layout.num_pieces());
        have.set(1);
        assert!(files.completed_by(&layout, &[PieceIndex(1)]).is_empty());
        assert_eq!(files.progress(&layout, &have), [0, 0, 4]);
        have.set(0);
        assert_eq!(files.completed_by(&layout, &[PieceIndex(0)]), [0]);
        assert_eq!(files.progress(&layout, &have), [3, 0, 5]);
        have.set(2);
        assert_eq!(files.completed_by(&layout, &[PieceIndex(2)]), [2]);
        files.reset(&layout, &have);
        assert_eq!(files.progress(&layout, &have), [3, 0, 6]);
    }
}
