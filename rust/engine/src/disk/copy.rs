//! Copying a file to another file system, so that the copy is there whole and
//! durable, or not at all.

use std::fs::File;
use std::io::IoSlice;
use std::path::Path;

use torrent_core::ids::FileIndex;

use super::Common;
use super::error::{DiskOp, Fault};
use super::file_storage::FileStorage;
use super::io::{read_exact_at, write_all_at};
use super::path::{self, Access};
use super::relocate::COPY;
use super::sparse::allow_holes;
use super::sync::forget_cached;
use crate::buffers::BufferClass;
use crate::hash::Sha1Hasher;

/// Bytes of a copy after which it is synced, so that no single sync takes long:
/// a torrent that ends waits for the one that is under way.
const SYNC_EVERY: u64 = 16 * 1024 * 1024;

impl FileStorage {
    /// Copies a file to another file system, under a name of its own until the
    /// copy has been read back and found right. Fails where something is in
    /// its place.
    pub(super) fn copy(
        &self,
        from: (&Path, &Path),
        to: (&Path, &Path),
        common: &Common,
        file: FileIndex,
    ) -> Result<(), Fault> {
        if path::length(to.0, to.1)?.is_some() {
            return Err(Fault::Exists);
        }
        let (target, name) = self.temporary(to.1, file, COPY, |name| {
            path::open(to.0, name, Access::CreateNew)
        })?;
        allow_holes(&target);
        let copied = self
            .copy_contents(from, &target, common, file)
            .and_then(|()| path::rename((to.0, &name), to));
        drop(target);
        if copied.is_err() {
            // The error that counts is the one above.
            let _ = path::remove_file(to.0, &name);
        }
        copied
    }

    fn copy_contents(
        &self,
        from: (&Path, &Path),
        target: &File,
        common: &Common,
        file: FileIndex,
    ) -> Result<(), Fault> {
        let source = path::open(from.0, from.1, Access::Read)?;
        let metadata = source.metadata()?;
        let mut buffer = common.pool.take(BufferClass::Large);
        let mut unsynced = 0;
        let sent = self.stream(&source, metadata.len(), &mut buffer, |offset, data| {
            common.faults.strike(DiskOp::Write, file)?;
            // Holes stay holes.
            if data.iter().any(|&byte| byte != 0) {
                write_all_at(target, &mut [IoSlice::new(data)], offset)?;
                unsynced += data.len() as u64;
            }
            if unsynced >= SYNC_EVERY {
                target.sync_data()?;
                unsynced = 0;
            }
            Ok(())
        })?;
        target.set_len(metadata.len())?;
        target.set_permissions(metadata.permissions())?;
        if let Ok(time) = metadata.modified() {
            target.set_modified(time)?;
        }
        target.sync_all()?;
        forget_cached(target);
        let found = self.stream(target, metadata.len(), &mut buffer, |_, _| Ok(()))?;
        if found != sent {
            return Err(Fault::BadCopy);
        }
        Ok(())
    }

    /// Reads all of a file, and returns its hash.
    fn stream(
        &self,
        file: &File,
        length: u64,
        buffer: &mut [u8],
        mut each: impl FnMut(u64, &[u8]) -> Result<(), Fault>,
    ) -> Result<[u8; 20], Fault> {
        let mut hasher = Sha1Hasher::new();
        let mut offset = 0;
        while offset < length {
            self.go_on()?;
            let left = usize::try_from(length - offset).unwrap_or(usize::MAX);
            let count = left.min(buffer.len());
            let part = buffer.get_mut(..count).unwrap_or_default();
            read_exact_at(file, part, offset)?;
            hasher.update(part);
            each(offset, part)?;
            offset += count as u64;
        }
        Ok(hasher.finish())
    }
}
