//! The storage in memory: nothing of it is on a disk, and nothing is left of it
//! when its torrent is removed or its session ends.
//!
//! Bytes are kept as they were written, in extents by their offset in the torrent,
//! so that what was never written is missing, and no hole reads as zeros. Names and
//! the save path are labels. What does not fit into the limit is an error of the
//! kind [`NoSpace`](super::DiskErrorKind::NoSpace), as on a disk that is full.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::RwLock;
use torrent_core::ids::{FileIndex, PieceIndex};
use torrent_core::layout::Span;
use torrent_core::resume::FileStat;

use super::Common;
use super::atomic_bitfield::AtomicBitfield;
use super::error::{DiskError, DiskOp, Fault};
use super::file_paths::FilePaths;
use super::relocate::{MoveMode, Moved};
use super::spec::StorageSpec;
use super::storage_interface::StorageInterface;
use crate::status::OpenFile;

/// The most bytes of an extent. One begins at each multiple of it, so that what is
/// written again mostly has the same extents.
const EXTENT: u64 = 256 * 1024;

/// The bytes of a torrent, in memory.
pub(super) struct MemoryStorage {
    spec: Arc<StorageSpec>,
    /// Bytes that it may hold.
    max_bytes: u64,
    extents: RwLock<Extents>,
    /// The files that are wanted; the bytes of others are kept all the same.
    wanted: AtomicBitfield,
    /// What the files are called; nothing is there.
    file_paths: ArcSwap<FilePaths>,
}

/// Runs of bytes that do not overlap, by their offsets in the torrent.
#[derive(Debug, Default)]
struct Extents {
    runs: BTreeMap<u64, Bytes>,
    /// The sum of their lengths.
    held: u64,
}

fn end_of((&start, data): (&u64, &Bytes)) -> u64 {
    start + data.len() as u64
}

impl Extents {
    /// The extents that have bytes of a range, in order.
    fn within(&self, start: u64, end: u64) -> impl Iterator<Item = (u64, &Bytes)> {
        let before = self.runs.range(..start).next_back();
        let before = before.filter(|&run| end_of(run) > start);
        let rest = self.runs.range(start..end);
        before.into_iter().chain(rest).map(|(&at, data)| (at, data))
    }

    /// Puts `data` in the place of what is there, unless more than `most` bytes
    /// would be held then.
    fn put(&mut self, start: u64, data: Bytes, most: u64) -> Result<(), Fault> {
        let end = start + data.len() as u64;
        let overlap = |at: u64, run: &Bytes| (at + run.len() as u64).min(end) - at.max(start);
        let replaced = self.within(start, end).map(|(at, run)| overlap(at, run));
        let held = self.held - replaced.sum::<u64>() + data.len() as u64;
        if held > most {
            return Err(full(held, most));
        }
        let old: Vec<_> = self.within(start, end).map(|(at, _)| at).collect();
        for at in old {
            let Some(run) = self.runs.remove(&at) else {
                continue;
            };
            // A copy: a slice would keep all of it in memory.
            if at < start {
                let head = run.slice(..(start - at) as usize);
                self.runs.insert(at, Bytes::copy_from_slice(&head));
            }
            if at + run.len() as u64 > end {
                let tail = run.slice((end - at) as usize..);
                self.runs.insert(end, Bytes::copy_from_slice(&tail));
            }
        }
        self.runs.insert(start, data);
        self.held = held;
        Ok(())
    }

    /// Fills `buffer`, if every byte of it is there.
    fn copy_to(&self, start: u64, buffer: &mut [u8]) -> Result<(), Fault> {
        let end = start + buffer.len() as u64;
        let mut filled = 0;
        for (at, run) in self.within(start, end) {
            let from = start + filled as u64;
            let skipped = from.checked_sub(at).ok_or(Fault::Short)? as usize;
            let part = run.get(skipped..).unwrap_or_default();
            let target = buffer.get_mut(filled..).unwrap_or_default();
            let count = part.len().min(target.len());
            let (target, _) = target.split_at_mut(count);
            target.copy_from_slice(&part[..count]);
            filled += count;
        }
        match filled == buffer.len() {
            true => Ok(()),
            false => Err(Fault::Short),
        }
    }

    /// Whether every byte of a range is there.
    fn covers(&self, start: u64, end: u64) -> bool {
        let mut reached = start;
        for (at, run) in self.within(start, end) {
            if at > reached {
                return false;
            }
            reached = at + run.len() as u64;
        }
        reached >= end
    }

    /// The range without a copy, where one extent has all of it.
    fn slice(&self, start: u64, length: usize) -> Option<Bytes> {
        let (&at, run) = self.runs.range(..=start).next_back()?;
        let begin = usize::try_from(start - at).ok()?;
        let end = begin.checked_add(length)?;
        (end <= run.len()).then(|| run.slice(begin..end))
    }
}

/// The error of bytes that do not fit.
fn full(bytes: u64, most: u64) -> Fault {
    let words = format!("{bytes} bytes do not fit into the {most} that it may have in memory");
    Fault::Io(io::Error::new(io::ErrorKind::StorageFull, words))
}

/// Takes `length` bytes off the front of `run`.
fn take_front(run: &mut &[&[u8]], skip: &mut usize, length: usize) -> Result<Vec<u8>, Fault> {
    let mut taken = Vec::new();
    taken
        .try_reserve_exact(length)
        .map_err(|_| Fault::Io(io::ErrorKind::OutOfMemory.into()))?;
    while let Some((first, rest)) = run.split_first()
        && taken.len() < length
    {
        let part = first.get(*skip..).unwrap_or_default();
        let count = part.len().min(length - taken.len());
        taken.extend_from_slice(&part[..count]);
        *skip += count;
        if *skip >= first.len() {
            (*run, *skip) = (rest, 0);
        }
    }
    Ok(taken)
}

impl MemoryStorage {
    pub(super) fn new(spec: Arc<StorageSpec>, max_bytes: u64) -> Self {
        Self {
            max_bytes,
            extents: RwLock::default(),
            wanted: spec.wanted_files(),
            file_paths: ArcSwap::from_pointee(spec.file_paths()),
            spec,
        }
    }

    /// Where a span begins in the torrent.
    fn offset_of(&self, span: &Span) -> u64 {
        let place = self.spec.layout.files().get(span.file.0 as usize);
        place.map_or(0, |place| place.offset + span.offset)
    }

    /// How far the bytes of a file reach.
    fn reach(&self, file: FileIndex) -> u64 {
        let Some(place) = self.spec.layout.files().get(file.0 as usize) else {
            return 0;
        };
        let end = place.offset + place.length;
        let extents = self.extents.read();
        let last = extents.runs.range(..end).next_back();
        let reached = last.map_or(0, end_of).min(end);
        reached.saturating_sub(place.offset)
    }
}

impl StorageInterface for MemoryStorage {
    fn write(&self, common: &Common, offset: u64, mut run: &[&[u8]]) -> Result<(), DiskError> {
        let length = run.iter().map(|block| block.len() as u64).sum();
        let mut skip = 0;
        for span in self.spec.layout.spans(offset, length) {
            let failed = |fault| self.error(DiskOp::Write, Some(span.file), fault);
            let struck = match span.pad {
                true => Ok(()),
                false => common.faults.strike(DiskOp::Write, span.file),
            };
            struck.map_err(failed)?;
            let mut at = self.offset_of(&span);
            let end = at + span.length;
            while at < end {
                let next = end.min((at / EXTENT + 1) * EXTENT);
                // At most an extent.
                let data = take_front(&mut run, &mut skip, (next - at) as usize);
                let data = data.map_err(failed)?;
                if !span.pad {
                    let mut extents = self.extents.write();
                    extents
                        .put(at, data.into(), self.max_bytes)
                        .map_err(failed)?;
                }
                at = next;
            }
        }
        Ok(())
    }

    fn read(&self, common: &Common, offset: u64, mut buffer: &mut [u8]) -> Result<(), DiskError> {
        for span in self.spec.layout.spans(offset, buffer.len() as u64) {
            let length = usize::try_from(span.length).map_or(buffer.len(), |n| n.min(buffer.len()));
            let (part, rest) = buffer.split_at_mut(length);
            buffer = rest;
            if span.pad {
                part.fill(0);
                continue;
            }
            common
                .faults
                .strike(DiskOp::Read, span.file)
                .and_then(|()| self.extents.read().copy_to(self.offset_of(&span), part))
                .map_err(|fault| self.error(DiskOp::Read, Some(span.file), fault))?;
        }
        Ok(())
    }

    fn read_cached(&self, common: &Common, offset: u64, length: u32) -> Option<Bytes> {
        if common.faults.are_planned() {
            return None;
        }
        let length = length as usize;
        let whole = self.extents.read().slice(offset, length);
        whole.or_else(|| {
            let mut buffer = common.pool.take_at_least(length);
            let target = buffer.get_mut(..length)?;
            // The worker finds out what is wrong, and reports it.
            self.read(common, offset, target).ok()?;
            Some(buffer.freeze(length))
        })
    }

    /// There is no device.
    fn sync(&self, _: &Common) -> Result<(), DiskError> {
        Ok(())
    }

    fn adopted(&self, _: PieceIndex) {}

    fn look(&self, _: &Common) -> Result<(), DiskError> {
        Ok(())
    }

    fn stat(&self, common: &Common, file: FileIndex) -> Result<Option<FileStat>, DiskError> {
        common
            .faults
            .strike(DiskOp::Stat, file)
            .map_err(|fault| self.error(DiskOp::Stat, Some(file), fault))?;
        let length = self.reach(file);
        Ok((length > 0).then_some(FileStat {
            length,
            modified: 0,
        }))
    }

    fn has_parts(&self) -> bool {
        false
    }

    fn reaches(&self, span: &Span, _: u64) -> bool {
        let start = self.offset_of(span);
        self.extents.read().covers(start, start + span.length)
    }

    /// Fails where the wanted files cannot fit.
    fn prepare(&self, common: &Common) -> Result<(), DiskError> {
        let failed = |file, fault| self.error(DiskOp::Allocate, file, fault);
        let mut bytes = 0u64;
        for (file, length) in self.spec.stored_files() {
            if self.wanted.get(file.0) {
                let struck = common.faults.strike(DiskOp::Allocate, file);
                struck.map_err(|fault| failed(Some(file), fault))?;
                bytes = bytes.saturating_add(length);
            }
        }
        match bytes > self.max_bytes {
            true => Err(failed(None, full(bytes, self.max_bytes))),
            false => Ok(()),
        }
    }

    fn has_wanted(&self, wanted: &[bool]) -> bool {
        (0..)
            .zip(wanted)
            .all(|(file, &wanted)| self.wanted.get(file) == wanted)
    }

    fn set_wanted(&self, _: &Common, wanted: &[bool]) -> Vec<(FileIndex, DiskError)> {
        for (file, &wanted) in (0..).zip(wanted) {
            self.wanted.put(file, wanted);
        }
        Vec::new()
    }

    fn rename(&self, _: &Common, file: FileIndex, name: &Path) -> Result<PathBuf, DiskError> {
        let old = self.file_paths.load_full();
        old.judge_rename(&self.spec, file, name).map_err(|fault| {
            let path = old.root.join(name);
            DiskError::new(DiskOp::Rename, Some(file), &path, fault)
        })?;
        let mut new = FilePaths::clone(&old);
        new.rename(file, name.to_owned());
        self.file_paths.store(Arc::new(new));
        Ok(old.name(file).to_owned())
    }

    fn relocate(
        &self,
        _: &Common,
        to: &Path,
        mode: MoveMode,
        _: Option<&BTreeSet<FileIndex>>,
    ) -> Result<Moved, DiskError> {
        let mut new = FilePaths::clone(&self.file_paths.load());
        let to = std::path::absolute(to)
            .map_err(|error| DiskError::new(DiskOp::Move, None, to, error.into()))?;
        let from = std::mem::replace(&mut new.root, to.clone());
        self.file_paths.store(Arc::new(new));
        Ok(Moved {
            from,
            to,
            needs_check: mode == MoveMode::ResetSavePath,
        })
    }

    /// A move takes no time, so that none is cut short.
    fn has_copies(&self, _: &Common, _: &Path, _: &BTreeSet<FileIndex>) -> Result<bool, DiskError> {
        Ok(false)
    }

    fn files_to_delete(&self, parts_only: bool) -> BTreeSet<FileIndex> {
        let files = self.spec.placed_files().map(|(file, _)| file);
        files.filter(|_| !parts_only).collect()
    }

    /// All of them go at once.
    fn delete(&self, _: &Common, files: &BTreeSet<FileIndex>) -> Result<(), DiskError> {
        if !files.is_empty() {
            let freed = std::mem::take(&mut *self.extents.write());
            drop(freed);
        }
        Ok(())
    }

    fn file_name(&self, file: FileIndex) -> PathBuf {
        self.file_paths.load().name(file).to_owned()
    }

    fn release(&self, _: &Common) {}

    fn open_files(&self, _: &Common) -> Vec<OpenFile> {
        Vec::new()
    }

    fn is_on_disk(&self) -> bool {
        false
    }

    fn has_root(&self) -> bool {
        true
    }

    fn has_any(&self, files: &[FileIndex]) -> io::Result<bool> {
        Ok(files.iter().any(|&file| self.reach(file) > 0))
    }

    fn is_root_on_its_device(&self) -> bool {
        true
    }

    fn save_path(&self) -> PathBuf {
        self.file_paths.load().root.clone()
    }

    fn error(&self, op: DiskOp, file: Option<FileIndex>, fault: Fault) -> DiskError {
        let paths = self.file_paths.load();
        let path = match file {
            Some(file) => paths.root.join(paths.name(file)),
            None => paths.root.clone(),
        };
        DiskError::new(op, file, &path, fault)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is written over what, every byte that was written is the last
        /// one, every other one is missing, and no byte counts twice.
        #[test]
        fn extents_hold_what_was_written_last(
            writes in proptest::collection::vec((0u64..100, 1usize..40, any::<u8>()), 0..40),
            most in 60u64..200,
        ) {
            let mut extents = Extents::default();
            let mut model = vec![None; 140];
            for (start, length, value) in writes {
                let mut after = model.clone();
                after[start as usize..start as usize + length].fill(Some(value));
                let bytes = after.iter().flatten().count() as u64;
                let put = extents.put(start, vec![value; length].into(), most);
                prop_assert_eq!(put.is_ok(), bytes <= most);
                if put.is_ok() {
                    model = after;
                }
                let held: usize = extents.runs.values().map(Bytes::len).sum();
                prop_assert_eq!(extents.held, held as u64);
                prop_assert_eq!(extents.held, model.iter().flatten().count() as u64);
            }
            for start in 0..model.len() {
                for length in [1, 2, 7, 40] {
                    let Some(range) = model.get(start..start + length) else { continue };
                    let expected: Option<Vec<u8>> = range.iter().copied().collect();
                    let mut found = vec![0; length];
                    let copied = extents.copy_to(start as u64, &mut found);
                    prop_assert_eq!(copied.is_ok(), expected.is_some());
                    let end = (start + length) as u64;
                    prop_assert_eq!(extents.covers(start as u64, end), expected.is_some());
                    if let Some(expected) = expected {
                        prop_assert_eq!(&found, &expected);
                        if let Some(slice) = extents.slice(start as u64, length) {
                            prop_assert_eq!(slice, expected);
                        }
                    } else {
                        prop_assert!(extents.slice(start as u64, length).is_none());
                    }
                }
            }
        }
    }
}
