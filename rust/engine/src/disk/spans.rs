//! Bytes between a torrent's run of bytes and its files: one vectored write
//! and one read per file span. Pad files are never stored and read as zeros
//! (BEP 47).

use std::fs::File;
use std::io::IoSlice;
use std::time::Instant;

use bytes::Bytes;

use super::counters::Counters;
use super::error::{DiskError, DiskOp, Fault};
use super::file_storage::FileStorage;
use super::io::{read_exact_at, write_all_at};
use super::path::Access;
use super::storage::StorageShared;
use super::sync::forget_cached;
use super::{Common, WriteMode};

impl FileStorage {
    /// Writes a run of neighbouring blocks that starts at `offset` in the
    /// torrent.
    pub(super) fn write_run(
        &self,
        common: &Common,
        offset: u64,
        run: &[&[u8]],
    ) -> Result<(), DiskError> {
        let begun = Instant::now();
        let mut blocks = run.iter().copied();
        let length = blocks.clone().map(<[u8]>::len).sum::<usize>() as u64;
        let mut slices = Vec::with_capacity(run.len());
        let mut rest: &[u8] = &[];
        for span in self.spec.layout.spans(offset, length) {
            slices.clear();
            let mut wanted = span.length;
            while wanted > 0 {
                if rest.is_empty() {
                    let Some(next) = blocks.next() else { break };
                    rest = next;
                }
                let part = usize::try_from(wanted).map_or(rest.len(), |n| n.min(rest.len()));
                let (head, tail) = rest.split_at(part);
                slices.push(IoSlice::new(head));
                rest = tail;
                wanted -= part as u64;
            }
            if span.pad {
                continue;
            }
            if self.in_parts.get(span.file.0) {
                self.write_part(common, &span, &mut slices)?;
                continue;
            }
            self.check_alone(span.file)?;
            let file = common.files.file(self, span.file, Access::Write)?;
            common
                .faults
                .strike(DiskOp::Write, span.file)
                .and_then(|()| write_all_at(&file, &mut slices, span.offset))
                .map_err(|fault| self.error(DiskOp::Write, Some(span.file), fault))?;
            Counters::add(&common.counters.write_ops, 1);
            common
                .after_write(&file)
                .map_err(|fault| self.error(DiskOp::Sync, Some(span.file), fault))?;
            // After the write, so that a sync meanwhile cannot miss it.
            self.unsynced.set(span.file.0);
            self.touched.set(span.file.0);
        }
        common.counters.wrote(length, begun);
        Ok(())
    }

    /// Fills `buffer` from `offset` in the torrent on.
    pub(super) fn read_run(
        &self,
        common: &Common,
        offset: u64,
        mut buffer: &mut [u8],
    ) -> Result<(), DiskError> {
        let begun = Instant::now();
        let total = buffer.len() as u64;
        for span in self.spec.layout.spans(offset, total) {
            let length = usize::try_from(span.length).map_or(buffer.len(), |n| n.min(buffer.len()));
            let (part, rest) = buffer.split_at_mut(length);
            buffer = rest;
            if span.pad {
                part.fill(0);
                continue;
            }
            if self.in_parts.get(span.file.0) {
                self.read_part(common, &span, part)?;
                continue;
            }
            let file = common.files.file(self, span.file, Access::Read)?;
            common
                .faults
                .strike(DiskOp::Read, span.file)
                .and_then(|()| read_exact_at(&file, part, span.offset))
                .map_err(|fault| self.error(DiskOp::Read, Some(span.file), fault))?;
            Counters::add(&common.counters.read_ops, 1);
            if common.tuned(|tuning| tuning.forget_reads) == Some(true) {
                forget_cached(&file);
            }
        }
        common.counters.read(total, begun);
        Ok(())
    }

    /// Reads `length` bytes without waiting for a device: `None` unless the
    /// files are open and the page cache holds all of it. What a seed sends
    /// is mostly there, and a trip to a worker and back costs more than the
    /// copy.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) fn read_from_page_cache(
        &self,
        common: &Common,
        offset: u64,
        length: u32,
    ) -> Option<Bytes> {
        use std::io::IoSliceMut;

        use rustix::io::{ReadWriteFlags, preadv2};

        if common.faults.are_planned() {
            return None;
        }
        let begun = Instant::now();
        let length = length as usize;
        // Before a buffer is taken: most misses are files that are not open.
        let first = self.spec.layout.spans(offset, 1).next()?;
        if !first.pad {
            common.files.if_open(self, first.file)?;
        }
        let mut buffer = common.pool.take_at_least(length);
        let mut at = 0;
        for span in self.spec.layout.spans(offset, length as u64) {
            let part = buffer.get_mut(at..at + usize::try_from(span.length).ok()?)?;
            at += part.len();
            if span.pad {
                part.fill(0);
                continue;
            }
            if self.in_parts.get(span.file.0) {
                return None;
            }
            let file = common.files.if_open(self, span.file)?;
            let wanted = part.len();
            let slices = &mut [IoSliceMut::new(part)];
            match preadv2(&*file, slices, span.offset, ReadWriteFlags::NOWAIT) {
                Ok(read) if read == wanted => Counters::add(&common.counters.read_ops, 1),
                // Not cached, short or failed: the worker finds out which.
                _ => return None,
            }
        }
        common.counters.read(length as u64, begun);
        Some(buffer.freeze(length))
    }

    /// This system has no read from the page cache alone.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(super) fn read_from_page_cache(&self, _: &Common, _: u64, _: u32) -> Option<Bytes> {
        None
    }
}

impl Common {
    /// Applies the write mode of the settings to what was written.
    fn after_write(&self, file: &File) -> Result<(), Fault> {
        match self.tuned(|tuning| tuning.writes).unwrap_or_default() {
            WriteMode::Cached => {}
            WriteMode::Forgotten => forget_cached(file),
            WriteMode::Through => file.sync_data()?,
        }
        Ok(())
    }

    /// Reads `length` bytes into a pooled buffer.
    pub(super) fn read_pooled(
        &self,
        storage: &StorageShared,
        offset: u64,
        length: u32,
    ) -> Result<Bytes, DiskError> {
        let length = length as usize;
        let mut buffer = self.pool.take_at_least(length);
        storage.io.read(self, offset, &mut buffer[..length])?;
        Ok(buffer.freeze(length))
    }
}
