//! The part file: bytes of wanted pieces that belong to unwanted
//! files, kept in one hidden file so that those files are never created.
//! In libtorrent's format, so that either can go on where the other stopped:
//!
//! - two big-endian numbers of 32 bits: the count of pieces, the piece length
//! - for each piece, 32 bits: the slot that holds its bytes, or -1
//! - zeros up to a multiple of 1024, and then the slots, each a piece long
//!
//! A slot holds the bytes of its piece that belong to unwanted files, at the place that
//! it has in the piece. Its entry is written after its first bytes. When the
//! last file with bytes in it is wanted, the slot is free again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::IoSlice;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use torrent_core::ids::{FileIndex, InfoHash, PieceIndex};
use torrent_core::layout::{Layout, Span};

use super::Common;
use super::error::{DiskError, DiskOp, Fault};
use super::file_storage::FileStorage;
use super::io::{read_exact_at, write_all_at};
use super::path::{self, Access};

/// The header is a multiple of this many bytes.
const HEADER_UNIT: u64 = 1024;

/// An entry of the header for a piece without a slot.
const NO_SLOT: [u8; 4] = (-1i32).to_be_bytes();

/// Where the part file of a torrent is, with this folder for part files.
pub(crate) fn part_file_in(folder: &Path, info_hash: InfoHash) -> PathBuf {
    folder.join(format!(".{info_hash}.parts"))
}

/// Which piece is in which slot.
#[derive(Default)]
pub(super) struct PartFile {
    slots: Mutex<SlotTable>,
}

#[derive(Default)]
struct SlotTable {
    of_piece: BTreeMap<PieceIndex, u32>,
    free: BTreeSet<u32>,
    /// Slots in use or free.
    count: u32,
    /// Whether the file has a header.
    has_header: bool,
}

impl SlotTable {
    fn reserve(&mut self) -> u32 {
        self.free.pop_first().unwrap_or_else(|| {
            self.count += 1;
            self.count - 1
        })
    }

    /// Reads the entries of a header, of which those that make no sense are
    /// left out: slots beyond the number of pieces, or used twice.
    fn read(layout: &Layout, header: &[u8]) -> Self {
        let mut slots = Self::default();
        let numbers = header.as_chunks::<4>().0;
        let expected = [layout.num_pieces(), layout.piece_length()];
        let found = numbers.iter().map(|&number| u32::from_be_bytes(number));
        if !found.clone().take(2).eq(expected) {
            return slots;
        }
        slots.has_header = true;
        let mut used = BTreeSet::new();
        for (piece, slot) in layout.pieces().zip(found.skip(2)) {
            if slot < layout.num_pieces() && used.insert(slot) {
                slots.of_piece.insert(piece, slot);
            }
        }
        slots.count = used.last().map_or(0, |&last| last + 1);
        slots.free = (0..slots.count)
            .filter(|slot| !used.contains(slot))
            .collect();
        slots
    }
}

fn header_length(layout: &Layout) -> u64 {
    ((u64::from(layout.num_pieces()) + 2) * 4).next_multiple_of(HEADER_UNIT)
}

fn entry_offset(piece: PieceIndex) -> u64 {
    (u64::from(piece.0) + 2) * 4
}

/// A span of an unwanted file: which piece it is in, and where there.
struct PartSpan {
    piece: PieceIndex,
    at: u64,
}

impl PartSpan {
    fn of(layout: &Layout, span: &Span) -> Option<Self> {
        let file = layout.files().get(span.file.0 as usize)?;
        let offset = file.offset + span.offset;
        let unit = u64::from(layout.piece_length());
        Some(Self {
            piece: PieceIndex((offset / unit) as u32),
            at: offset % unit,
        })
    }

    fn offset(&self, layout: &Layout, slot: u32) -> u64 {
        let slot = u64::from(slot) * u64::from(layout.piece_length());
        header_length(layout) + slot + self.at
    }
}

impl PartFile {
    fn slot(&self, piece: PieceIndex) -> Option<u32> {
        self.slots.lock().of_piece.get(&piece).copied()
    }

    /// Whether the part file holds something of `piece`.
    pub(super) fn holds(&self, piece: PieceIndex) -> bool {
        self.slot(piece).is_some()
    }

    /// Whether the part file holds nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.lock().of_piece.is_empty()
    }
}

impl FileStorage {
    /// Learns what is in the part file. One that is not of this torrent's
    /// shape counts as empty.
    pub(super) fn load_parts(&self, common: &Common) -> Result<(), DiskError> {
        let layout = &self.spec.layout;
        let index = self.parts_file();
        let length = self.stat_file(common, index)?.map(|found| found.length);
        let expected = header_length(layout);
        let mut slots = SlotTable::default();
        if length.is_some_and(|length| length >= expected)
            && let Ok(expected) = usize::try_from(expected)
        {
            let file = common.files.file(self, index, Access::Read)?;
            let mut header = vec![0; expected];
            read_exact_at(&file, &mut header, 0)
                .map_err(|fault| self.error(DiskOp::Read, Some(index), fault))?;
            slots = SlotTable::read(layout, &header);
        }
        *self.parts.slots.lock() = slots;
        Ok(())
    }

    /// Writes bytes of an unwanted file.
    pub(super) fn write_part(
        &self,
        common: &Common,
        span: &Span,
        data: &mut [IoSlice<'_>],
    ) -> Result<(), DiskError> {
        let layout = &self.spec.layout;
        let index = self.parts_file();
        let failed = |fault| self.error(DiskOp::Write, Some(index), fault);
        let place = PartSpan::of(layout, span).ok_or_else(|| failed(Fault::OutOfRange))?;
        let file = common.files.file(self, index, Access::Write)?;
        let known = self.parts.slot(place.piece);
        let slot = match known {
            Some(slot) => slot,
            None => self.parts.slots.lock().reserve(),
        };
        let written = common
            .faults
            .strike(DiskOp::Write, index)
            .and_then(|()| write_all_at(&file, data, place.offset(layout, slot)));
        let mut slots = self.parts.slots.lock();
        let entered = written.and_then(|()| match known {
            Some(_) => Ok(()),
            None => enter(layout, &mut slots, &file, place.piece, slot),
        });
        if entered.is_err() && known.is_none() {
            slots.free.insert(slot);
        }
        drop(slots);
        entered.map_err(failed)?;
        self.unsynced.set(index.0);
        Ok(())
    }

    /// Reads bytes of an unwanted file.
    pub(super) fn read_part(
        &self,
        common: &Common,
        span: &Span,
        buffer: &mut [u8],
    ) -> Result<(), DiskError> {
        let layout = &self.spec.layout;
        let index = self.parts_file();
        let failed = |fault| self.error(DiskOp::Read, Some(index), fault);
        let place = PartSpan::of(layout, span).ok_or_else(|| failed(Fault::OutOfRange))?;
        let slot = self.parts.slot(place.piece);
        let slot = slot.ok_or_else(|| failed(Fault::Short))?;
        let file = common.files.file(self, index, Access::Read)?;
        common
            .faults
            .strike(DiskOp::Read, index)
            .and_then(|()| read_exact_at(&file, buffer, place.offset(layout, slot)))
            .map_err(failed)
    }

    /// Whether the part file has something of the piece that a span is in.
    pub(super) fn part_holds(&self, span: &Span) -> bool {
        PartSpan::of(&self.spec.layout, span).is_some_and(|place| self.parts.holds(place.piece))
    }

    /// How many bytes of a span, from its first on, the part file reaches.
    pub(super) fn part_available(&self, common: &Common, span: &Span) -> Result<u64, DiskError> {
        let layout = &self.spec.layout;
        let index = self.parts_file();
        let place = PartSpan::of(layout, span);
        let slot = place
            .as_ref()
            .and_then(|place| self.parts.slot(place.piece));
        let (Some(place), Some(slot)) = (place, slot) else {
            return Ok(0);
        };
        let file = common.files.file(self, index, Access::Read)?;
        let length = file
            .metadata()
            .map_err(|error| self.error(DiskOp::Stat, Some(index), error.into()))?
            .len();
        Ok(length
            .saturating_sub(place.offset(layout, slot))
            .min(span.length))
    }

    /// Frees the slots of the pieces of `file` that hold nothing of an
    /// unwanted file any more; deletes the part file with the last one. Only
    /// while the storage is fenced.
    pub(super) fn free_parts(&self, common: &Common, file: FileIndex) -> Result<(), DiskError> {
        let layout = &self.spec.layout;
        let index = self.parts_file();
        let mut slots = self.parts.slots.lock();
        for piece in layout.file_pieces(file).map(PieceIndex) {
            let needed = |span: Span| !span.pad && self.in_parts.get(span.file.0);
            if layout.piece_spans(piece).any(needed) {
                continue;
            }
            if let Some(&slot) = slots.of_piece.get(&piece) {
                let file = common.files.file(self, index, Access::Write)?;
                write_all_at(&file, &mut [IoSlice::new(&NO_SLOT)], entry_offset(piece))
                    .map_err(|fault| self.error(DiskOp::Write, Some(index), fault))?;
                slots.of_piece.remove(&piece);
                slots.free.insert(slot);
            }
        }
        if slots.of_piece.is_empty() && slots.has_header {
            *slots = SlotTable::default();
            common.files.close(self, index);
            let file_paths = self.file_paths();
            path::remove_file(&file_paths.root, file_paths.name(index))
                .map_err(|fault| self.error(DiskOp::Delete, Some(index), fault))?;
        }
        Ok(())
    }
}

/// Writes the entry of a new slot, in a header that is there then.
fn enter(
    layout: &Layout,
    slots: &mut SlotTable,
    file: &File,
    piece: PieceIndex,
    slot: u32,
) -> Result<(), Fault> {
    if !slots.has_header {
        let mut header = Vec::with_capacity(header_length(layout) as usize);
        header.extend_from_slice(&layout.num_pieces().to_be_bytes());
        header.extend_from_slice(&layout.piece_length().to_be_bytes());
        for _ in layout.pieces() {
            header.extend_from_slice(&NO_SLOT);
        }
        header.resize(header_length(layout) as usize, 0);
        write_all_at(file, &mut [IoSlice::new(&header)], 0)?;
        slots.has_header = true;
    }
    let entry = slot.to_be_bytes();
    write_all_at(file, &mut [IoSlice::new(&entry)], entry_offset(piece))?;
    slots.of_piece.insert(piece, slot);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_headers_are_read_without_harm() {
        let layout = Layout::new(16, [(64, false)]).unwrap();
        let header = |numbers: &[u32]| -> Vec<u8> {
            numbers.iter().flat_map(|it| it.to_be_bytes()).collect()
        };
        let none = u32::MAX;
        // Twice the same slot, one out of range, none.
        let slots = SlotTable::read(&layout, &header(&[4, 16, 2, 2, 9, none]));
        assert_eq!(slots.of_piece, [(PieceIndex(0), 2)].into());
        assert_eq!((slots.count, slots.has_header), (3, true));
        assert_eq!(slots.free, [0, 1].into());
        for wrong in [&[4, 17, 0, 1, 2, 3][..], &[5, 16, 0], &[4], &[]] {
            let slots = SlotTable::read(&layout, &header(wrong));
            assert!(slots.of_piece.is_empty() && !slots.has_header);
        }
        assert_eq!(header_length(&layout), 1024);
        let large = Layout::new(1, [(255, false)]).unwrap();
        assert_eq!(header_length(&large), 2048);
    }
}
