//! The storage in files: where each is, what is known of it, and what all
//! work on it has in common. Bytes go through [`super::spans`]; moving, renaming,
//! the part file, links and the folder have modules of their own.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use torrent_core::ids::{FileIndex, PieceIndex};
use torrent_core::layout::Span;
use torrent_core::resume::FileStat;

use super::Common;
use super::atomic_bitfield::AtomicBitfield;
use super::ending::Ending;
use super::error::{DiskError, DiskOp, Fault};
use super::file_id;
use super::file_paths::FilePaths;
use super::part_file::PartFile;
use super::path;
use super::piece_states::PieceStates;
use super::relocate::{MoveMode, Moved};
use super::root::Root;
use super::spec::StorageSpec;
use super::storage_interface::StorageInterface;
use crate::status::OpenFile;

/// The files of a torrent.
pub(super) struct FileStorage {
    /// The number of the storage, by which the pool knows its files.
    pub(super) id: u64,
    pub(super) spec: Arc<StorageSpec>,
    pub(super) pieces: Arc<PieceStates>,
    pub(super) ending: Arc<Ending>,
    /// The files written since they were last synced.
    pub(super) unsynced: AtomicBitfield,
    /// The files that were written or made, or that hold blocks of ours.
    pub(super) touched: AtomicBitfield,
    /// The files that are wanted.
    pub(super) wanted: AtomicBitfield,
    /// The files whose bytes are in the part file.
    pub(super) in_parts: AtomicBitfield,
    pub(super) parts: PartFile,
    pub(super) file_paths: ArcSwap<FilePaths>,
    pub(super) root: Root,
}

impl FileStorage {
    pub(super) fn new(
        id: u64,
        spec: Arc<StorageSpec>,
        pieces: Arc<PieceStates>,
        ending: Arc<Ending>,
    ) -> Self {
        let files = spec.layout.files().len() as u32;
        Self {
            id,
            pieces,
            ending,
            unsynced: AtomicBitfield::new(files + 1),
            touched: AtomicBitfield::new(files),
            wanted: spec.wanted_files(),
            in_parts: AtomicBitfield::new(files),
            parts: PartFile::default(),
            file_paths: ArcSwap::from_pointee(spec.file_paths()),
            root: Root::default(),
            spec,
        }
    }

    pub(super) fn error(&self, op: DiskOp, file: Option<FileIndex>, fault: Fault) -> DiskError {
        let file_paths = self.file_paths();
        if let Fault::Io(error) = &fault
            && super::canonical::is_absence(error)
            && self.is_root_gone()
        {
            return DiskError::new(op, None, &file_paths.root, Fault::FolderGone);
        }
        let path = match file {
            Some(file) => file_paths.root.join(file_paths.name(file)),
            None => file_paths.root.clone(),
        };
        // The part file has a number that only the storage knows.
        let file = file.filter(|&file| file != self.parts_file());
        DiskError::new(op, file, &path, fault)
    }

    /// Length and time of a file; `None` where there is none.
    pub(super) fn stat_file(
        &self,
        common: &Common,
        file: FileIndex,
    ) -> Result<Option<FileStat>, DiskError> {
        let file_paths = self.file_paths();
        let stat = common.files.patiently(|| {
            let struck = common.faults.strike(DiskOp::Stat, file);
            struck.and_then(|()| path::stat(&file_paths.root, file_paths.name(file)))
        });
        stat.map_err(|fault| self.error(DiskOp::Stat, Some(file), fault))
    }

    /// Fails when the storage is being closed or its torrent ends: long work
    /// asks now and then.
    pub(super) fn go_on(&self) -> Result<(), Fault> {
        self.ending.go_on()
    }

    /// Creates the save path, the wanted files that are empty and the wanted
    /// links, and gives the other files their room.
    fn prepare_files(&self, common: &Common) -> Result<(), DiskError> {
        self.make_root()?;
        for (file, length) in self.spec.stored_files() {
            if self.wanted.get(file.0) && !self.in_parts.get(file.0) {
                self.make_room(common, file, length)?;
            }
        }
        self.make_links()
    }

    /// Whether another torrent has the file too.
    pub(super) fn is_shared(&self, file: FileIndex) -> bool {
        self.spec.shared.load().contains_key(&file)
    }

    /// Whether another torrent has the file by the same name.
    pub(super) fn is_name_shared(&self, file: FileIndex) -> bool {
        let shared = self.spec.shared.load();
        shared.get(&file).is_some_and(|it| !it.by_link)
    }

    /// Fails where another file of the torrent is the same one by another name (a hard
    /// link): what is written to one would be in the other, which may be verified. Such
    /// files are only read. Looks at the disk.
    pub(super) fn check_one_name(&self, file: FileIndex) -> Result<(), DiskError> {
        let paths = self.file_paths();
        let id_of = |file| file_id::linked(&paths.root, paths.name(file));
        let Some(id) = id_of(file) else {
            return Ok(());
        };
        let mut others = self.spec.stored_files().map(|(other, _)| other);
        match others.find(|&other| other != file && id_of(other) == Some(id)) {
            None => Ok(()),
            Some(other) => {
                let name = paths.name(other).display();
                let fault = Fault::InUse(format!("the file {name} of the same torrent"));
                Err(self.error(DiskOp::Write, Some(file), fault))
            }
        }
    }

    /// Fails where another torrent has the file too: it is not written then.
    pub(super) fn check_alone(&self, file: FileIndex) -> Result<(), DiskError> {
        match self.spec.shared.load().get(&file) {
            None => Ok(()),
            Some(other) => {
                let fault = Fault::InUse(other.owner.clone());
                Err(self.error(DiskOp::Write, Some(file), fault))
            }
        }
    }
}

/// Each call is a method of the module that it belongs to.
impl StorageInterface for FileStorage {
    fn write(&self, common: &Common, offset: u64, run: &[&[u8]]) -> Result<(), DiskError> {
        self.write_run(common, offset, run)
    }

    fn read(&self, common: &Common, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        self.read_run(common, offset, buffer)
    }

    fn read_cached(&self, common: &Common, offset: u64, length: u32) -> Option<Bytes> {
        self.read_from_page_cache(common, offset, length)
    }

    fn sync(&self, common: &Common) -> Result<(), DiskError> {
        self.sync_files(common)
    }

    fn adopted(&self, piece: PieceIndex) {
        for span in self.spec.layout.piece_spans(piece) {
            self.touched.set(span.file.0);
        }
    }

    fn look(&self, common: &Common) -> Result<(), DiskError> {
        self.learn_root();
        self.survey_parts(common)
    }

    fn stat(&self, common: &Common, file: FileIndex) -> Result<Option<FileStat>, DiskError> {
        self.stat_file(common, file)
    }

    fn has_parts(&self) -> bool {
        !self.parts.is_empty()
    }

    fn reaches(&self, span: &Span, length: u64) -> bool {
        match self.in_parts.get(span.file.0) {
            true => self.part_holds(span),
            false => span.offset + span.length <= length,
        }
    }

    fn prepare(&self, common: &Common) -> Result<(), DiskError> {
        self.prepare_files(common)
    }

    fn has_wanted(&self, wanted: &[bool]) -> bool {
        self.same_wanted(wanted)
    }

    fn set_wanted(&self, common: &Common, wanted: &[bool]) -> Vec<(FileIndex, DiskError)> {
        self.change_wanted(common, wanted)
    }

    fn rename(&self, common: &Common, file: FileIndex, name: &Path) -> Result<PathBuf, DiskError> {
        self.rename_file(common, file, name)
    }

    fn relocate(
        &self,
        common: &Common,
        to: &Path,
        mode: MoveMode,
        carried: Option<&BTreeSet<FileIndex>>,
    ) -> Result<Moved, DiskError> {
        self.relocate_files(common, to, mode, carried)
    }

    fn has_copies(
        &self,
        common: &Common,
        to: &Path,
        carried: &BTreeSet<FileIndex>,
    ) -> Result<bool, DiskError> {
        self.has_copied_files(common, to, carried)
    }

    fn files_to_delete(&self, parts_only: bool) -> BTreeSet<FileIndex> {
        self.own_files(parts_only)
    }

    fn delete(&self, common: &Common, files: &BTreeSet<FileIndex>) -> Result<(), DiskError> {
        self.delete_files(common, files)
    }

    fn file_name(&self, file: FileIndex) -> PathBuf {
        self.file_paths().name(file).to_owned()
    }

    fn release(&self, common: &Common) {
        common.files.close_all(self);
    }

    fn open_files(&self, common: &Common) -> Vec<OpenFile> {
        common.files.open_of(self)
    }

    fn is_on_disk(&self) -> bool {
        true
    }

    fn has_root(&self) -> bool {
        self.root.is_seen()
    }

    fn has_any(&self, files: &[FileIndex]) -> io::Result<bool> {
        self.has_any_file(files)
    }

    fn is_root_on_its_device(&self) -> bool {
        self.is_root_the_same()
    }

    fn save_path(&self) -> PathBuf {
        self.file_paths().root.clone()
    }

    fn error(&self, op: DiskOp, file: Option<FileIndex>, fault: Fault) -> DiskError {
        self.error(op, file, fault)
    }

    #[cfg(test)]
    fn unsynced(&self) -> Vec<u32> {
        self.unsynced.to_bitfield().iter().collect()
    }
}
