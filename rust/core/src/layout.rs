//! Where bytes are: the only place with piece, block and file arithmetic.
//!
//! A torrent is one run of bytes, cut into pieces of equal length (the last
//! one may be shorter) and at the same time into files, laid end to end in
//! the order of the info dict (BEP 3). Pad files (BEP 47) take part in the
//! arithmetic and are zeros that are not stored.

use std::ops::Range;

use crate::ids::{BLOCK_SIZE, Block, FileIndex, PieceIndex};
use crate::merkle::TreeShape;

/// One file's place in the torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilePlace {
    /// Offset of its first byte in the torrent.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Whether it is padding (BEP 47): all zeros, never stored.
    pub pad: bool,
}

/// A run of bytes within one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The file.
    pub file: FileIndex,
    /// Offset of the run within the file.
    pub offset: u64,
    /// Length of the run, never 0.
    pub length: u64,
    /// Whether the file is padding.
    pub pad: bool,
}

/// The arithmetic of one torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    piece_length: u32,
    total: u64,
    pieces: u32,
    files: Vec<FilePlace>,
    /// The runs of padding, in order, none touching the next.
    padding: Vec<PaddingRun>,
}

/// A run of padding: of one file, or of several in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PaddingRun {
    start: u64,
    end: u64,
    /// Bytes of padding before it.
    before: u64,
}

/// Why a set of files and a piece length make no torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The piece length is zero.
    #[error("the piece length is zero")]
    ZeroPieceLength,
    /// There is not one byte of payload.
    #[error("the torrent has no content")]
    Empty,
    /// The total length or the number of pieces does not fit.
    #[error("the torrent is too large")]
    TooLarge,
}

/// More bytes than this in one torrent are refused: 2^48 - 1 for one file is
/// the field's limit, and the sum stays far from overflow.
const MAX_TOTAL: u64 = (1 << 56) - 1;

impl Layout {
    /// Lays `files` (length in bytes, padding or not) end to end.
    pub fn new(
        piece_length: u32,
        files: impl IntoIterator<Item = (u64, bool)>,
    ) -> Result<Self, LayoutError> {
        if piece_length == 0 {
            return Err(LayoutError::ZeroPieceLength);
        }
        let mut total = 0u64;
        let files = files.into_iter();
        let mut places = Vec::with_capacity(files.size_hint().0);
        let mut padding: Vec<PaddingRun> = Vec::new();
        for (length, pad) in files {
            places.push(FilePlace {
                offset: total,
                length,
                pad,
            });
            total = total
                .checked_add(length)
                .filter(|&total| total <= MAX_TOTAL)
                .ok_or(LayoutError::TooLarge)?;
            if pad && length > 0 {
                let start = total - length;
                match padding.last_mut() {
                    Some(last) if last.end == start => last.end = total,
                    last => {
                        let before = last.map_or(0, |last| last.before + last.end - last.start);
                        padding.push(PaddingRun {
                            start,
                            end: total,
                            before,
                        });
                    }
                }
            }
        }
        if total == 0 {
            return Err(LayoutError::Empty);
        }
        let pieces = u32::try_from(total.div_ceil(u64::from(piece_length)))
            .map_err(|_| LayoutError::TooLarge)?;
        Ok(Self {
            piece_length,
            total,
            pieces,
            files: places,
            padding,
        })
    }

    /// The arithmetic of a torrent whose metadata is not known yet: no files
    /// and no pieces.
    pub fn unknown() -> Self {
        Self {
            piece_length: BLOCK_SIZE,
            total: 0,
            pieces: 0,
            files: Vec::new(),
            padding: Vec::new(),
        }
    }

    /// The same pieces, blocks and padding without the files: everything is
    /// one file.
    pub fn lengths_only(&self) -> Self {
        Self {
            files: vec![FilePlace {
                offset: 0,
                length: self.total,
                pad: false,
            }],
            padding: self.padding.clone(),
            ..*self
        }
    }

    /// Bytes in all files together, padding included.
    pub fn total_length(&self) -> u64 {
        self.total
    }

    /// Bytes in all files together that are stored: without padding.
    pub fn payload_length(&self) -> u64 {
        self.total - self.padding_before(self.total)
    }

    /// Whether there is any padding (BEP 47).
    pub fn has_padding(&self) -> bool {
        !self.padding.is_empty()
    }

    /// Bytes of padding before `offset`.
    fn padding_before(&self, offset: u64) -> u64 {
        let after = self.padding.partition_point(|run| run.start < offset);
        match after.checked_sub(1).and_then(|at| self.padding.get(at)) {
            Some(run) => run.before + offset.min(run.end) - run.start,
            None => 0,
        }
    }

    /// Bytes of padding among `length` bytes from `offset` in the torrent.
    fn padding_in(&self, offset: u64, length: u64) -> u64 {
        if self.padding.is_empty() {
            return 0;
        }
        self.padding_before(offset.saturating_add(length)) - self.padding_before(offset)
    }

    /// Bytes of `piece` that are no padding; 0 when there is no such piece.
    pub fn piece_payload(&self, piece: PieceIndex) -> u32 {
        let length = self.piece_len(piece);
        length - self.padding_in(self.piece_offset(piece), u64::from(length)) as u32
    }

    /// Whether every file that has bytes begins at a piece, and pieces are a
    /// whole power of two of blocks, as in a torrent of version 2 (BEP 52).
    pub fn is_aligned(&self) -> bool {
        let unit = u64::from(self.piece_length);
        let mut files = self
            .files
            .iter()
            .filter(|file| !file.pad && file.length > 0);
        self.piece_length >= BLOCK_SIZE
            && self.piece_length.is_power_of_two()
            && files.all(|file| file.offset.is_multiple_of(unit))
    }

    /// The merkle tree over `piece` in a layout that [is
    /// aligned](Self::is_aligned): as wide as a piece, or in a file that is
    /// shorter than one as wide as its blocks need (BEP 52).
    pub fn piece_tree(&self, piece: PieceIndex) -> TreeShape {
        let length = self.piece_payload(piece);
        let offset = self.piece_offset(piece);
        let file = self.spans(offset, u64::from(length)).next();
        let file = file.and_then(|span| self.files.get(span.file.0 as usize));
        let covered = file.map_or(0, |file| file.length.min(self.piece_length.into()));
        let blocks = covered.div_ceil(u64::from(BLOCK_SIZE)) as u32;
        TreeShape {
            length,
            width: blocks.next_power_of_two(),
        }
    }

    /// Bytes of `block` that are no padding; 0 when there is no such block.
    pub fn block_payload(&self, block: Block) -> u32 {
        let length = self.block_len(block);
        let offset =
            self.piece_offset(block.piece) + u64::from(block.index) * u64::from(BLOCK_SIZE);
        length - self.padding_in(offset, u64::from(length)) as u32
    }

    /// The runs of blocks of `piece` that are padding as a whole, in order:
    /// they are never requested.
    pub fn padding_runs(&self, piece: PieceIndex) -> impl Iterator<Item = Range<u32>> + use<'_> {
        let unit = u64::from(BLOCK_SIZE);
        let start = self.piece_offset(piece);
        let length = u64::from(self.piece_len(piece));
        let first = self.padding.partition_point(|run| run.end <= start);
        let runs = self.padding.iter().skip(first);
        runs.take_while(move |run| run.start < start + length)
            .filter_map(move |run| {
                let from = run.start.max(start) - start;
                let to = (run.end - start).min(length);
                let first = from.div_ceil(unit);
                // The last block may be shorter.
                let end = match to == length {
                    true => length.div_ceil(unit),
                    false => to / unit,
                };
                (first < end).then_some(first as u32..end as u32)
            })
    }

    /// The first run of padding that ends after `offset` in the torrent, of one
    /// file or of several in a row.
    pub fn next_padding(&self, offset: u64) -> Option<Range<u64>> {
        let at = self.padding.partition_point(|run| run.end <= offset);
        self.padding.get(at).map(|run| run.start..run.end)
    }

    /// The pieces that are padding as a whole, in order: they are had from the
    /// start.
    pub fn padding_pieces(&self) -> impl Iterator<Item = PieceIndex> + use<'_> {
        let unit = u64::from(self.piece_length);
        self.padding.iter().flat_map(move |run| {
            let first = run.start.div_ceil(unit);
            let end = if run.end == self.total {
                u64::from(self.pieces)
            } else {
                run.end / unit
            };
            (first as u32..end as u32).map(PieceIndex)
        })
    }

    /// Bytes in a piece, except perhaps the last.
    pub fn piece_length(&self) -> u32 {
        self.piece_length
    }

    /// Number of pieces.
    pub fn num_pieces(&self) -> u32 {
        self.pieces
    }

    /// The files, in order.
    pub fn files(&self) -> &[FilePlace] {
        &self.files
    }

    /// Every piece, in order.
    pub fn pieces(&self) -> impl DoubleEndedIterator<Item = PieceIndex> + use<> {
        (0..self.pieces).map(PieceIndex)
    }

    /// Length of `piece` in bytes; 0 when there is no such piece.
    pub fn piece_len(&self, piece: PieceIndex) -> u32 {
        if piece.0 >= self.pieces {
            return 0;
        }
        let rest = self.total - self.piece_offset(piece);
        rest.min(u64::from(self.piece_length)) as u32
    }

    /// Offset of the first byte of `piece` in the torrent.
    pub fn piece_offset(&self, piece: PieceIndex) -> u64 {
        u64::from(piece.0) * u64::from(self.piece_length)
    }

    /// The piece that has the byte at `offset` in the torrent.
    pub fn piece_at(&self, offset: u64) -> PieceIndex {
        let piece = offset / u64::from(self.piece_length);
        PieceIndex(u32::try_from(piece).unwrap_or(u32::MAX))
    }

    /// Number of blocks in `piece`; 0 when there is no such piece.
    pub fn blocks_in_piece(&self, piece: PieceIndex) -> u32 {
        self.piece_len(piece).div_ceil(BLOCK_SIZE)
    }

    /// Length of `block` in bytes; 0 when there is no such block.
    pub fn block_len(&self, block: Block) -> u32 {
        let begin = u64::from(block.index) * u64::from(BLOCK_SIZE);
        u64::from(self.piece_len(block.piece))
            .saturating_sub(begin)
            .min(u64::from(BLOCK_SIZE)) as u32
    }

    /// The block that starts at `begin` in `piece` and is `length` long, if
    /// there is exactly such a block.
    pub fn block_at(&self, piece: PieceIndex, begin: u32, length: u32) -> Option<Block> {
        let block = Block::new(piece, begin / BLOCK_SIZE);
        (begin.is_multiple_of(BLOCK_SIZE) && length > 0 && self.block_len(block) == length)
            .then_some(block)
    }

    /// Whether `length` bytes from `begin` lie inside `piece`.
    pub fn contains(&self, piece: PieceIndex, begin: u32, length: u32) -> bool {
        length > 0 && u64::from(begin) + u64::from(length) <= u64::from(self.piece_len(piece))
    }

    /// The file spans of `length` bytes from `offset` in the torrent, in
    /// order, padding included, empty files left out. Bytes past the end of
    /// the torrent are left out.
    pub fn spans(&self, offset: u64, length: u64) -> impl Iterator<Item = Span> + '_ {
        let end = offset.saturating_add(length).min(self.total);
        let first = self
            .files
            .partition_point(|file| file.offset + file.length <= offset);
        self.files[first..]
            .iter()
            .enumerate()
            .take_while(move |(_, file)| file.offset < end)
            .filter_map(move |(at, file)| {
                let from = offset.max(file.offset);
                let to = end.min(file.offset + file.length);
                (from < to).then(|| Span {
                    file: FileIndex((first + at) as u32),
                    offset: from - file.offset,
                    length: to - from,
                    pad: file.pad,
                })
            })
    }

    /// The file spans of a whole piece.
    pub fn piece_spans(&self, piece: PieceIndex) -> impl Iterator<Item = Span> + '_ {
        self.spans(self.piece_offset(piece), u64::from(self.piece_len(piece)))
    }

    /// The pieces that hold at least one byte of `file`; empty for an empty
    /// or unknown file.
    pub fn file_pieces(&self, file: FileIndex) -> Range<u32> {
        match self.files.get(file.0 as usize) {
            Some(place) if place.length > 0 => {
                let unit = u64::from(self.piece_length);
                let first = place.offset / unit;
                let last = (place.offset + place.length - 1) / unit;
                first as u32..last as u32 + 1
            }
            _ => 0..0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(file: u32, offset: u64, length: u64) -> Span {
        Span {
            file: FileIndex(file),
            offset,
            length,
            pad: false,
        }
    }

    #[test]
    fn the_last_piece_and_block_may_be_short() {
        let layout = Layout::new(32768, [(70_000, false)]).unwrap();
        assert_eq!(layout.num_pieces(), 3);
        assert_eq!(layout.piece_len(PieceIndex(2)), 70_000 - 65_536);
        assert_eq!(layout.piece_len(PieceIndex(3)), 0);
        assert_eq!(layout.blocks_in_piece(PieceIndex(0)), 2);
        assert_eq!(layout.blocks_in_piece(PieceIndex(2)), 1);
        assert_eq!(layout.block_len(Block::new(PieceIndex(2), 0)), 4464);
        assert_eq!(layout.block_len(Block::new(PieceIndex(2), 1)), 0);
        assert_eq!(
            layout.block_at(PieceIndex(0), 16384, 16384),
            Some(Block::new(PieceIndex(0), 1))
        );
        assert_eq!(layout.block_at(PieceIndex(0), 16384, 16383), None);
        assert_eq!(layout.block_at(PieceIndex(0), 1, 16384), None);
    }

    #[test]
    fn spans_skip_empty_files_and_stop_at_the_end() {
        let layout = Layout::new(4, [(3, false), (0, false), (5, false)]).unwrap();
        let spans: Vec<_> = layout.spans(2, 100).collect();
        assert_eq!(spans, [span(0, 2, 1), span(2, 0, 5)]);
        assert_eq!(layout.file_pieces(FileIndex(0)), 0..1);
        assert_eq!(layout.file_pieces(FileIndex(1)), 0..0);
        assert_eq!(layout.file_pieces(FileIndex(2)), 0..2);
        assert_eq!(layout.file_pieces(FileIndex(9)), 0..0);
        assert_eq!(layout.spans(u64::MAX, 1).count(), 0);
    }

    #[test]
    fn impossible_torrents_are_refused() {
        let new = |piece, files: &[u64]| Layout::new(piece, files.iter().map(|&len| (len, false)));
        assert_eq!(new(0, &[1]), Err(LayoutError::ZeroPieceLength));
        assert_eq!(new(1, &[0, 0]), Err(LayoutError::Empty));
        assert_eq!(new(1, &[]), Err(LayoutError::Empty));
        assert_eq!(new(1, &[1 << 33]), Err(LayoutError::TooLarge));
        assert_eq!(new(1, &[u64::MAX, u64::MAX]), Err(LayoutError::TooLarge));
    }

    #[test]
    fn padding_is_known_by_piece_and_block() {
        const UNIT: u64 = BLOCK_SIZE as u64;
        // Pieces of two blocks: a short file padded to the piece, a run of
        // padding from two files that covers a whole piece, and a tail.
        let files = [
            (100, false),
            (2 * UNIT - 100, true),
            (UNIT + 1, false),
            (UNIT - 1, true),
            (2 * UNIT, true),
            (2 * UNIT, false),
            (7, true),
        ];
        let layout = Layout::new(2 * BLOCK_SIZE, files).unwrap();
        assert_eq!(layout.num_pieces(), 5);
        assert!(layout.has_padding());
        assert_eq!(layout.payload_length(), 100 + UNIT + 1 + 2 * UNIT);
        let payload: Vec<u32> = layout.pieces().map(|at| layout.piece_payload(at)).collect();
        assert_eq!(payload, [100, BLOCK_SIZE + 1, 0, 2 * BLOCK_SIZE, 0]);
        let pads = |piece| {
            let runs = layout.padding_runs(PieceIndex(piece));
            runs.flatten().collect::<Vec<_>>()
        };
        assert_eq!(pads(0), [1]);
        assert!(pads(1).is_empty());
        assert_eq!(pads(2), [0, 1]);
        assert!(pads(3).is_empty());
        assert_eq!(pads(4), [0]);
        assert_eq!(layout.block_payload(Block::new(PieceIndex(1), 1)), 1);
        let whole: Vec<u32> = layout.padding_pieces().map(|piece| piece.0).collect();
        assert_eq!(whole, [2, 4]);
        let lengths = layout.lengths_only();
        assert_eq!(lengths.files().len(), 1);
        assert_eq!(lengths.payload_length(), layout.payload_length());
        let plain = Layout::new(2 * BLOCK_SIZE, [(9 * UNIT, false)]).unwrap();
        assert!(!plain.has_padding() && plain.padding_pieces().next().is_none());
    }

    #[test]
    fn a_tree_is_as_wide_as_a_piece_or_as_its_short_file_needs() {
        const UNIT: u64 = BLOCK_SIZE as u64;
        // Pieces of four blocks: a file of one byte, one of two blocks and a
        // bit, an empty one, and one of a piece and a bit.
        let files = [
            (1, false),
            (4 * UNIT - 1, true),
            (2 * UNIT + 1, false),
            (2 * UNIT - 1, true),
            (0, false),
            (4 * UNIT + 1, false),
        ];
        let layout = Layout::new(4 * BLOCK_SIZE, files).unwrap();
        assert!(layout.is_aligned());
        let shapes: Vec<_> = layout.pieces().map(|at| layout.piece_tree(at)).collect();
        let shapes: Vec<_> = shapes.iter().map(|it| (it.length, it.width)).collect();
        let long = 2 * BLOCK_SIZE + 1;
        assert_eq!(shapes, [(1, 1), (long, 4), (4 * BLOCK_SIZE, 4), (1, 4)]);
        for (piece, files) in [
            (4 * BLOCK_SIZE, [(1, false), (1, false)]),
            (3 * BLOCK_SIZE, [(1, false), (0, false)]),
            (BLOCK_SIZE / 2, [(1, false), (0, false)]),
        ] {
            assert!(!Layout::new(piece, files).unwrap().is_aligned());
        }
    }

    proptest! {
        #[test]
        fn padding_agrees_with_a_byte_by_byte_model(
            piece_length in 1u32..40,
            files in prop::collection::vec((0u64..30, any::<bool>()), 1..12),
        ) {
            let pads: Vec<bool> = files.iter()
                .flat_map(|&(len, pad)| (0..len).map(move |_| pad))
                .collect();
            prop_assume!(!pads.is_empty());
            let layout = Layout::new(piece_length, files).unwrap();
            let payload: Vec<u32> = pads.chunks(piece_length as usize)
                .map(|piece| piece.iter().filter(|&&pad| !pad).count() as u32)
                .collect();
            let ours: Vec<u32> = layout.pieces().map(|at| layout.piece_payload(at)).collect();
            let whole: Vec<u32> = layout.padding_pieces().map(|piece| piece.0).collect();
            let model: Vec<u32> = (0..).zip(&payload)
                .filter(|&(_, &bytes)| bytes == 0).map(|(at, _)| at).collect();
            prop_assert_eq!(ours, &payload[..]);
            prop_assert_eq!(whole, model);
            let sum: u64 = payload.iter().map(|&bytes| u64::from(bytes)).sum();
            prop_assert_eq!(layout.payload_length(), sum);
        }

        #[test]
        fn agrees_with_a_byte_by_byte_model(
            piece_length in 1u32..40,
            files in prop::collection::vec(0u64..30, 1..12),
            offset in 0u64..200,
            length in 0u64..100,
        ) {
            // Every byte of the torrent as (file, offset in file).
            let bytes: Vec<(u32, u64)> = files.iter().enumerate()
                .flat_map(|(file, &len)| (0..len).map(move |at| (file as u32, at)))
                .collect();
            let layout = Layout::new(piece_length, files.iter().map(|&len| (len, false)));
            prop_assume!(!bytes.is_empty());
            let layout = layout.unwrap();
            prop_assert_eq!(layout.total_length(), bytes.len() as u64);
            let model: Vec<(u32, u64)> = bytes.iter().copied()
                .skip(offset as usize).take(length as usize).collect();
            let ours: Vec<(u32, u64)> = layout.spans(offset, length)
                .flat_map(|span| (0..span.length).map(move |at| (span.file.0, span.offset + at)))
                .collect();
            prop_assert_eq!(ours, model);
            for (file, _) in files.iter().enumerate() {
                let index = FileIndex(file as u32);
                let pieces: std::collections::BTreeSet<u32> = bytes.iter().enumerate()
                    .filter(|(_, byte)| byte.0 == index.0)
                    .map(|(at, _)| at as u32 / piece_length)
                    .collect();
                prop_assert_eq!(layout.file_pieces(index).collect::<std::collections::BTreeSet<_>>(), pieces);
            }
            let sum: u64 = layout.pieces().map(|piece| u64::from(layout.piece_len(piece))).sum();
            prop_assert_eq!(sum, layout.total_length());
        }
    }
}
