//! What a storage consists of: lengths, paths, hashes and the folder. Made
//! from a torrent's metadata when its storage is opened, and fixed from then
//! on.

use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use torrent_core::ids::{FileIndex, PieceIndex};
use torrent_core::layout::Layout;

/// Bytes in a SHA-1.
const HASH: usize = 20;

/// What a torrent's storage consists of.
#[derive(Clone, Debug)]
pub struct StorageSpec {
    pub(super) layout: Layout,
    paths: Vec<PathBuf>,
    hashes: Bytes,
    pub(super) save_path: PathBuf,
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
    #[error("{bytes} bytes of hashes for {pieces} pieces")]
    HashCount {
        /// Bytes given; 20 a piece are due.
        bytes: usize,
        /// Pieces in the layout.
        pieces: u32,
    },
    /// A path is empty, absolute, or has a part that is not a plain name.
    #[error("unsafe file path {}", .0.display())]
    UnsafePath(PathBuf),
    /// The save path is empty.
    #[error("the save path is empty")]
    NoSavePath,
}

impl StorageSpec {
    /// The files of `layout` at `paths` (one per file, plain names below
    /// `save_path`), whose pieces have the SHA-1 `hashes` (20 bytes each). A
    /// relative save path is meant from the current folder of now.
    pub fn new(
        layout: Layout,
        paths: Vec<PathBuf>,
        hashes: Bytes,
        save_path: &Path,
    ) -> Result<Self, SpecError> {
        let (files, pieces) = (layout.files().len(), layout.num_pieces());
        if paths.len() != files {
            let paths = paths.len();
            return Err(SpecError::PathCount { paths, files });
        }
        if hashes.len() as u64 != u64::from(pieces) * HASH as u64 {
            let bytes = hashes.len();
            return Err(SpecError::HashCount { bytes, pieces });
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
        })
    }

    /// The path of a file, below the save path; empty for an unknown file.
    pub(super) fn path(&self, file: FileIndex) -> &Path {
        self.paths
            .get(file.0 as usize)
            .map_or(Path::new(""), PathBuf::as_path)
    }

    /// The due hash of a piece; empty for an unknown piece.
    pub(super) fn hash(&self, piece: PieceIndex) -> &[u8] {
        let at = piece.0 as usize * HASH;
        self.hashes.get(at..at + HASH).unwrap_or_default()
    }

    /// The files that are stored: their index, length in bytes and path.
    pub(super) fn stored_files(&self) -> impl Iterator<Item = (FileIndex, u64, &Path)> {
        (0u32..)
            .zip(self.layout.files().iter().zip(&self.paths))
            .filter(|(_, (place, _))| !place.pad)
            .map(|(index, (place, path))| (FileIndex(index), place.length, path.as_path()))
    }
}

fn is_plain(path: &Path) -> bool {
    !path.as_os_str().is_empty()
        && path.components().all(|part| match part {
            Component::Normal(name) => !name.as_encoded_bytes().contains(&0),
            _ => false,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(paths: &[&str], hashes: usize, save_path: &str) -> Result<StorageSpec, SpecError> {
        let layout = Layout::new(4, paths.iter().map(|_| (4, false))).unwrap();
        StorageSpec::new(
            layout,
            paths.iter().map(PathBuf::from).collect(),
            Bytes::from(vec![0; hashes]),
            Path::new(save_path),
        )
    }

    #[test]
    fn only_plain_relative_paths_are_taken() {
        for path in ["", ".", "..", "a/../b", "/etc/passwd", "../a", "a\0b"] {
            let error = spec(&[path], 20, "/save").unwrap_err();
            assert_eq!(error, SpecError::UnsafePath(PathBuf::from(path)), "{path}");
        }
        for path in ["a", "a/b", "..a/b..", "a b"] {
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
        let none = StorageSpec::new(layout, Vec::new(), Bytes::new(), Path::new("/"));
        assert!(matches!(none, Err(SpecError::PathCount { .. })));
    }
}
