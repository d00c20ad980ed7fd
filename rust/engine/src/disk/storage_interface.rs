//! What holds the bytes of a torrent, behind one trait: files
//! ([`FileStorage`](super::file_storage::FileStorage)) or memory
//! ([`MemoryStorage`](super::memory_storage::MemoryStorage)).
//!
//! Hashing, unfinished pieces, checks, the order of work and the pieces that are
//! there are the same for all of them and stay above ([`super::pieces`],
//! [`super::check`], [`super::resume`]). A storage decides where bytes go and what
//! it knows of them. Workers and threads that do slow work call it, several at
//! once; methods marked *fenced* have it to themselves (see [`super::fence`]).
//! One call is made for each run of blocks that is written and for each read, none
//! for a block.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use torrent_core::ids::{FileIndex, PieceIndex};
use torrent_core::layout::Span;
use torrent_core::resume::FileStat;

use super::Common;
use super::error::{DiskError, DiskOp, Fault};
use super::relocate::{MoveMode, Moved};
use crate::status::OpenFile;

/// What holds the bytes of one torrent. Bytes of pad files are never stored, and
/// read as zeros (BEP 47).
pub(super) trait StorageInterface: Send + Sync {
    /// Writes a run of neighbouring blocks that starts at `offset` in the
    /// torrent. What is written is read from then on.
    fn write(&self, common: &Common, offset: u64, run: &[&[u8]]) -> Result<(), DiskError>;

    /// Fills `buffer` from `offset` in the torrent on. Bytes that are not there
    /// are an error, never made up.
    fn read(&self, common: &Common, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError>;

    /// Reads `length` bytes if that takes no waiting for a device; `None` sends
    /// the caller to a worker.
    fn read_cached(&self, common: &Common, offset: u64, length: u32) -> Option<Bytes>;

    /// Makes durable what was written before, as far as the storage can be.
    fn sync(&self, common: &Common) -> Result<(), DiskError>;

    /// Blocks of this piece are taken for ours without having been written.
    fn adopted(&self, piece: PieceIndex);

    /// Looks anew where the bytes of each file are. Before anything is read or
    /// written, and again before a check.
    fn look(&self, common: &Common) -> Result<(), DiskError>;

    /// Length and time of a file; `None` where there is none.
    fn stat(&self, common: &Common, file: FileIndex) -> Result<Option<FileStat>, DiskError>;

    /// Whether bytes of files are held elsewhere than in the files.
    fn has_parts(&self) -> bool;

    /// Whether the bytes of a span, of no pad file, can be there, where its file
    /// has this length.
    fn reaches(&self, span: &Span, length: u64) -> bool;

    /// Makes what exists before the first byte does, and reserves the room that
    /// is to be reserved.
    fn prepare(&self, common: &Common) -> Result<(), DiskError>;

    /// Whether [`Self::set_wanted`] would change nothing.
    fn has_wanted(&self, wanted: &[bool]) -> bool;

    /// Says of every file whether it is wanted. Returns those for which that
    /// failed. Fenced.
    fn set_wanted(&self, common: &Common, wanted: &[bool]) -> Vec<(FileIndex, DiskError)>;

    /// Gives a file another path below the save path, and returns the one that it
    /// had. Fenced.
    fn rename(&self, common: &Common, file: FileIndex, name: &Path) -> Result<PathBuf, DiskError>;

    /// Moves everything to another save path; `carried` as in
    /// [`Storage::relocate_rest`](super::Storage::relocate_rest). Fenced.
    fn relocate(
        &self,
        common: &Common,
        to: &Path,
        mode: MoveMode,
        carried: Option<&BTreeSet<FileIndex>>,
    ) -> Result<Moved, DiskError>;

    /// See [`Storage::has_copies`](super::Storage::has_copies).
    fn has_copies(
        &self,
        common: &Common,
        to: &Path,
        carried: &BTreeSet<FileIndex>,
    ) -> Result<bool, DiskError>;

    /// The files that go with the torrent, or with `parts_only` what is held
    /// beside them. See [`Storage::files_to_delete`](super::Storage::files_to_delete).
    fn files_to_delete(&self, parts_only: bool) -> BTreeSet<FileIndex>;

    /// Deletes these of them.
    fn delete(&self, common: &Common, files: &BTreeSet<FileIndex>) -> Result<(), DiskError>;

    /// The path of a file below the save path.
    fn file_name(&self, file: FileIndex) -> PathBuf;

    /// Gives up what is kept open. It is opened again when it is needed.
    fn release(&self, common: &Common);

    /// The files that are open.
    fn open_files(&self, common: &Common) -> Vec<OpenFile>;

    /// Whether bytes outlive the process, in a folder that can go missing.
    fn is_on_disk(&self) -> bool;

    /// See [`Storage::has_root`](super::Storage::has_root).
    fn has_root(&self) -> bool;

    /// See [`Storage::has_any`](super::Storage::has_any).
    fn has_any(&self, files: &[FileIndex]) -> io::Result<bool>;

    /// See [`Storage::is_root_on_its_device`](super::Storage::is_root_on_its_device).
    fn is_root_on_its_device(&self) -> bool;

    /// See [`Storage::save_path`](super::Storage::save_path).
    fn save_path(&self) -> PathBuf;

    /// The error of an operation, with the path that it is about.
    fn error(&self, op: DiskOp, file: Option<FileIndex>, fault: Fault) -> DiskError;

    /// The files that a sync would look at.
    #[cfg(test)]
    fn unsynced(&self) -> Vec<u32> {
        Vec::new()
    }
}
