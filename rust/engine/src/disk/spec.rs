//! What a storage consists of: lengths, paths, hashes and the folder. Made
//! from a torrent's metadata when its storage is opened, and fixed from then
//! on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use torrent_core::ids::{FileIndex, PieceIndex};
use torrent_core::layout::Layout;
use torrent_core::piece_hash::{PieceHash, PieceHashKind, PieceHashes};

use super::atomic_bitfield::AtomicBitfield;
use super::awaited::AwaitedFolders;
use super::file_paths::FilePaths;
use super::names::{NameError, is_plain, judge};
use crate::hash::PieceHasher;

/// The files of a storage that other torrents have too. They are read alone:
/// not written, moved, renamed or deleted. May change at any time.
pub type SharedFiles = Arc<ArcSwap<BTreeMap<FileIndex, SharedFile>>>;

/// Why a file is not for its torrent alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedFile {
    /// Words for another torrent that has it.
    pub owner: String,
    /// It has another name there, a hard link: ours can be deleted.
    pub by_link: bool,
}

/// What holds the bytes of a torrent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StorageKind {
    /// Files below the save path.
    #[default]
    Files,
    /// Memory. Nothing of the torrent is on a disk: its save path and the names of
    /// its files are labels, and resume data and state directories claim nothing of
    /// it.
    Memory {
        /// Bytes of payload that it may hold. Where the wanted files are larger, or
        /// what comes does not fit, the torrent is in error as with a full disk.
        max_bytes: u64,
    },
}

/// What a torrent's storage consists of.
#[derive(Clone, Debug)]
pub struct StorageSpec {
    pub(super) layout: Layout,
    paths: Vec<PathBuf>,
    hashes: PieceHashes,
    save_path: PathBuf,
    parts: PathBuf,
    /// Which files are wanted at first; all those that it does not reach.
    wanted: Vec<bool>,
    /// Files get their room on the disk before they are written.
    pub(super) allocate: bool,
    /// The files that are symbolic links, with what they point to below the
    /// save path.
    pub(super) links: BTreeMap<FileIndex, PathBuf>,
    /// The files that may be run as programs.
    pub(super) executables: BTreeSet<FileIndex>,
    pub(super) shared: SharedFiles,
    pub(super) kind: StorageKind,
    pub(super) awaited: Arc<AwaitedFolders>,
}

/// Why a [`StorageSpec`] makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// There is not one path per file.
    #[error("{paths} paths for {files} files")]
    PathCount {
        /// Paths given.
        paths: usize,
        /// Files in the layout.
        files: usize,
    },
    /// There is not one hash per piece.
    #[error("{hashes} hashes for {pieces} pieces")]
    HashCount {
        /// Hashes given.
        hashes: usize,
        /// Pieces in the layout.
        pieces: u32,
    },
    /// The hashes are merkle roots, and a piece can have bytes of several files.
    #[error("files do not begin at pieces, as those of merkle trees do")]
    NotAligned,
    /// A path is empty, absolute, or has a part that is not a plain name.
    #[error("unsafe file path {}", .0.display())]
    UnsafePath(PathBuf),
    /// A file cannot have the name that it was given.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The save path is empty.
    #[error("the save path is empty")]
    NoSavePath,
}

impl StorageSpec {
    /// The files of `layout` at `paths` (one per file, plain names below
    /// `save_path`), whose pieces have these `hashes`. A relative save path is
    /// meant from the current folder of now.
    pub fn new(
        layout: Layout,
        paths: Vec<PathBuf>,
        hashes: PieceHashes,
        save_path: &Path,
    ) -> Result<Self, SpecError> {
        let (files, pieces) = (layout.files().len(), layout.num_pieces());
        if paths.len() != files {
            let paths = paths.len();
            return Err(SpecError::PathCount { paths, files });
        }
        if hashes.len() as u64 != u64::from(pieces) {
            let hashes = hashes.len();
            return Err(SpecError::HashCount { hashes, pieces });
        }
        if hashes.kind() == PieceHashKind::MerkleRoot && !layout.is_aligned() {
            return Err(SpecError::NotAligned);
        }
        if let Some(path) = paths.iter().find(|path| !is_plain(path)) {
            return Err(SpecError::UnsafePath(path.clone()));
        }
        let save_path = std::path::absolute(save_path).map_err(|_| SpecError::NoSavePath)?;
        Ok(Self {
            layout,
            paths,
            hashes,
            save_path,
            parts: PathBuf::from(".parts"),
            wanted: Vec::new(),
            allocate: false,
            links: BTreeMap::new(),
            executables: BTreeSet::new(),
            shared: SharedFiles::default(),
            kind: StorageKind::default(),
            awaited: Arc::default(),
        })
    }

    /// Which files are symbolic links (BEP 47), each with what it points to: a
    /// plain path below the save path.
    pub fn links(
        mut self,
        links: impl IntoIterator<Item = (FileIndex, PathBuf)>,
    ) -> Result<Self, SpecError> {
        self.links = links.into_iter().collect();
        match self.links.values().find(|target| !is_plain(target)) {
            Some(target) => Err(SpecError::UnsafePath(target.clone())),
            None => Ok(self),
        }
    }

    /// Which files may be run as programs (BEP 47): they are created so, where
    /// the system marks programs on the file.
    pub fn executables(mut self, files: impl IntoIterator<Item = FileIndex>) -> Self {
        self.executables = files.into_iter().collect();
        self
    }

    /// Gives some files other paths. They too are plain names below the save
    /// path, and no other file's.
    pub fn renamed(
        mut self,
        names: impl IntoIterator<Item = (FileIndex, PathBuf)>,
    ) -> Result<Self, SpecError> {
        let mut given = Vec::new();
        for (file, name) in names {
            let place = self.layout.files().get(file.0 as usize);
            if let Some(path) = self.paths.get_mut(file.0 as usize) {
                *path = name;
                given.extend(place.filter(|place| !place.pad).map(|_| file));
            }
        }
        let path = |file: FileIndex| self.paths.get(file.0 as usize).map(PathBuf::as_path);
        let given = given.iter().filter_map(|&file| Some((file, path(file)?)));
        let placed = (0..)
            .map(FileIndex)
            .zip(&self.paths)
            .zip(self.layout.files());
        let placed = placed
            .filter(|(_, place)| !place.pad)
            .map(|(named, _)| named);
        judge(given, placed)?;
        Ok(self)
    }

    /// What holds the bytes.
    pub fn kind(mut self, kind: StorageKind) -> Self {
        self.kind = kind;
        self
    }

    /// Which files other torrents have too.
    pub fn shared(mut self, files: SharedFiles) -> Self {
        self.shared = files;
        self
    }

    /// The folders that other torrents wait for.
    pub(crate) fn awaited(mut self, folders: Arc<AwaitedFolders>) -> Self {
        self.awaited = folders;
        self
    }

    /// Names the part file, a plain name below the save path; `.parts` else.
    pub fn part_file(mut self, name: PathBuf) -> Result<Self, SpecError> {
        if !is_plain(&name) {
            return Err(SpecError::UnsafePath(name));
        }
        self.parts = name;
        Ok(self)
    }

    /// Which files are wanted at first; all those that `wanted` does not reach.
    pub fn wanted(mut self, wanted: Vec<bool>) -> Self {
        self.wanted = wanted;
        self
    }

    /// Whether wanted files get their room on the disk when a download starts
    /// (else it grows with what is written).
    pub fn allocate(mut self, allocate: bool) -> Self {
        self.allocate = allocate;
        self
    }

    pub(super) fn file_paths(&self) -> FilePaths {
        FilePaths::new(
            self.save_path.clone(),
            self.paths.clone(),
            self.parts.clone(),
        )
    }

    /// The number that stands for the part file among the files.
    pub(super) fn parts_file(&self) -> FileIndex {
        FileIndex(self.layout.files().len() as u32)
    }

    /// The files that have a place of their own, links included: their index
    /// and length in bytes.
    pub(super) fn placed_files(&self) -> impl Iterator<Item = (FileIndex, u64)> + use<'_> {
        (0u32..)
            .zip(self.layout.files())
            .filter(|(_, place)| !place.pad)
            .map(|(index, place)| (FileIndex(index), place.length))
    }

    /// Those of them that are stored as files.
    pub(super) fn stored_files(&self) -> impl Iterator<Item = (FileIndex, u64)> + use<'_> {
        self.placed_files()
            .filter(|(file, _)| !self.links.contains_key(file))
    }

    /// The files that are wanted at first.
    pub(super) fn wanted_files(&self) -> AtomicBitfield {
        let files = self.layout.files().len() as u32;
        let wanted = AtomicBitfield::new(files);
        for file in 0..files {
            let is_wanted = self.wanted.get(file as usize).copied();
            wanted.put(file, is_wanted.unwrap_or(true));
        }
        wanted
    }

    /// The due hash of a piece; `None` for an unknown piece.
    pub(super) fn hash(&self, piece: PieceIndex) -> Option<PieceHash> {
        self.hashes.get(piece)
    }

    /// A hasher for the content of a piece.
    pub(super) fn hasher(&self, piece: PieceIndex) -> PieceHasher {
        PieceHasher::new(self.hashes.kind(), &self.layout, piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(paths: &[&str], hashes: usize, save_path: &str) -> Result<StorageSpec, SpecError> {
        let layout = Layout::new(4, paths.iter().map(|_| (4, false))).unwrap();
        StorageSpec::new(
            layout,
            paths.iter().map(PathBuf::from).collect(),
            PieceHashes::sha1(vec![0; hashes]),
            Path::new(save_path),
        )
    }

    #[test]
    fn only_plain_relative_paths_are_taken() {
        for path in ["", ".", "..", "a/../b", "/etc/passwd", "../a", "a\0b"] {
            let error = spec(&[path], 20, "/save").unwrap_err();
            assert_eq!(error, SpecError::UnsafePath(PathBuf::from(path)), "{path}");
        }
        for path in ["a", "a/b", "..a/..b", "a b"] {
            assert!(spec(&[path], 20, "/save").is_ok(), "{path}");
        }
    }

    #[test]
    fn counts_must_match() {
        assert!(matches!(
            spec(&["a", "b"], 39, "/save"),
            Err(SpecError::HashCount { .. })
        ));
        assert_eq!(spec(&["a"], 20, "").unwrap_err(), SpecError::NoSavePath);
        let layout = Layout::new(4, [(4, false)]).unwrap();
        let none = StorageSpec::new(layout, Vec::new(), PieceHashes::default(), Path::new("/"));
        assert!(matches!(none, Err(SpecError::PathCount { .. })));
    }

    #[test]
    fn merkle_roots_are_of_pieces_of_one_file() {
        let roots = |files: [u64; 2]| {
            let layout = Layout::new(16_384, files.map(|length| (length, false))).unwrap();
            let pieces = layout.num_pieces() as usize;
            let roots = PieceHashes::new(PieceHashKind::MerkleRoot, vec![0; 32 * pieces]);
            let paths = vec![PathBuf::from("a"), PathBuf::from("b")];
            StorageSpec::new(layout, paths, roots, Path::new("/"))
        };
        assert_eq!(roots([1, 16_384]).unwrap_err(), SpecError::NotAligned);
        assert!(roots([16_384, 1]).is_ok());
    }
}
