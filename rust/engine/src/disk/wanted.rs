//! Which files are wanted, and so where the bytes of each go: into the file,
//! or, for an unwanted one that does not exist, into the part file.

use std::io::IoSlice;

use torrent_core::ids::{FileIndex, PieceIndex};
use torrent_core::layout::Span;

use super::Common;
use super::error::{DiskError, DiskOp, Fault};
use super::file_storage::FileStorage;
use super::io::{allocate, write_all_at};
use super::path::Access;
use super::storage::Storage;
use crate::buffers::BufferClass;

impl Storage {
    /// Whether [`set_wanted`](Self::set_wanted) would change nothing.
    pub fn has_wanted(&self, wanted: &[bool]) -> bool {
        self.parts().0.io.has_wanted(wanted)
    }

    /// Says of every file whether it is wanted. A file that is wanted again
    /// gets what the part file holds of it. Returns those for which that
    /// failed: their bytes stay in the part file, and they count as unwanted.
    pub async fn set_wanted(
        &self,
        wanted: Vec<bool>,
    ) -> Result<Vec<(FileIndex, DiskError)>, DiskError> {
        let (shared, _) = self.parts();
        if shared.io.has_wanted(&wanted) {
            return Ok(Vec::new());
        }
        self.alone(DiskOp::Create, move |shared, common| {
            Ok(shared.io.set_wanted(common, &wanted))
        })
        .await
    }
}

impl FileStorage {
    pub(super) fn same_wanted(&self, wanted: &[bool]) -> bool {
        (0..)
            .zip(wanted)
            .all(|(file, &wanted)| self.wanted.get(file) == wanted)
    }

    fn exists(&self, common: &Common, file: FileIndex) -> Result<bool, DiskError> {
        self.stat_file(common, file).map(|found| found.is_some())
    }

    /// Looks which unwanted files exist and what is in the part file. Before
    /// anything is read or written, and again before a check. What the part
    /// file holds of a wanted file that does not exist moves there.
    pub(super) fn survey_parts(&self, common: &Common) -> Result<(), DiskError> {
        self.load_parts(common)?;
        for (file, length) in self.spec.stored_files() {
            let in_parts = !self.wanted.get(file.0) && !self.exists(common, file)?;
            self.in_parts.put(file.0, in_parts);
            let lies_there = || {
                let mut pieces = self.spec.layout.file_pieces(file);
                length > 0 && pieces.any(|piece| self.parts.holds(PieceIndex(piece)))
            };
            if !in_parts && !self.parts.is_empty() && lies_there() && !self.exists(common, file)? {
                self.in_parts.set(file.0);
                self.export(common, file)?;
            }
        }
        Ok(())
    }

    pub(super) fn change_wanted(
        &self,
        common: &Common,
        wanted: &[bool],
    ) -> Vec<(FileIndex, DiskError)> {
        let mut failed = Vec::new();
        let changed = |file: FileIndex, now: bool| self.wanted.get(file.0) != now;
        for (file, length) in self.spec.placed_files() {
            let now = wanted.get(file.0 as usize).copied().unwrap_or(true);
            if !changed(file, now) {
                continue;
            }
            let outcome = if self.spec.links.contains_key(&file) {
                Ok(())
            } else if !now {
                self.exists(common, file)
                    .map(|exists| self.in_parts.put(file.0, !exists))
            } else if self.in_parts.get(file.0) {
                self.export(common, file)
                    .and_then(|()| self.make_room(common, file, length))
            } else {
                Ok(())
            };
            match outcome {
                Ok(()) => self.wanted.put(file.0, now),
                Err(error) => failed.push((file, error)),
            }
        }
        if let Err(error) = self.make_links() {
            let file = error.file.unwrap_or_default();
            self.wanted.clear(file.0);
            failed.push((file, error));
        }
        failed
    }

    /// Creates an empty file, and gives any other its room on the disk where
    /// that is asked for.
    pub(super) fn make_room(
        &self,
        common: &Common,
        file: FileIndex,
        length: u64,
    ) -> Result<(), DiskError> {
        if self.is_shared(file) {
            return Ok(());
        }
        if length == 0 {
            return common.files.create(self, file);
        }
        if !self.spec.allocate {
            return Ok(());
        }
        let opened = common.files.file(self, file, Access::Write)?;
        self.touched.set(file.0);
        common
            .faults
            .strike(DiskOp::Allocate, file)
            .and_then(|()| allocate(&opened, length))
            .map_err(|fault| self.error(DiskOp::Allocate, Some(file), fault))
    }

    /// Moves what the part file holds of `file` to the file.
    fn export(&self, common: &Common, file: FileIndex) -> Result<(), DiskError> {
        self.check_alone(file)?;
        let layout = &self.spec.layout;
        let mut buffer = common.pool.take(BufferClass::Large);
        for piece in layout.file_pieces(file).map(PieceIndex) {
            if !self.parts.holds(piece) {
                continue;
            }
            let mine = |span: &Span| span.file == file;
            for span in layout.piece_spans(piece).filter(mine) {
                self.export_span(common, span, &mut buffer)?;
            }
        }
        self.in_parts.clear(file.0);
        self.free_parts(common, file)
    }

    fn export_span(&self, common: &Common, span: Span, buffer: &mut [u8]) -> Result<(), DiskError> {
        let mut done = 0;
        // The last slot may end before the piece does.
        let length = self.part_available(common, &span)?;
        while done < length {
            let left = usize::try_from(length - done).unwrap_or(usize::MAX);
            let count = left.min(buffer.len());
            let target = buffer.get_mut(..count).unwrap_or_default();
            let part = Span {
                offset: span.offset + done,
                length: count as u64,
                ..span
            };
            let failed = |op, fault| self.error(op, Some(span.file), fault);
            self.go_on().map_err(|fault| failed(DiskOp::Write, fault))?;
            self.read_part(common, &part, target)?;
            let file = common.files.file(self, span.file, Access::Write)?;
            common
                .faults
                .strike(DiskOp::Write, span.file)
                .and_then(|()| write_all_at(&file, &mut [IoSlice::new(target)], part.offset))
                .map_err(|fault: Fault| failed(DiskOp::Write, fault))?;
            self.unsynced.set(span.file.0);
            self.touched.set(span.file.0);
            done += count as u64;
        }
        Ok(())
    }
}
