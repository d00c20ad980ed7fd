//! The files of a torrent, kept small: a hostile torrent has hundreds of
//! thousands of them, so that every byte for each counts. Paths are kept in one
//! text without the folder that all share; what few files have is kept apart.
//! [`FileEntry`] is made on demand.

use std::fmt;

use super::error::MetainfoError;

/// One file of a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Where the file goes, relative to the folder that the torrent is saved
    /// in: elements joined by `/`, the torrent's own folder included. Safe to
    /// create, and no other file's.
    pub path: String,
    /// Length in bytes; 0 for a symbolic link.
    pub length: u64,
    /// Offset of the first byte in the torrent.
    pub offset: u64,
    /// Padding (BEP 47): zeros that are never stored.
    pub pad: bool,
    /// To be made executable.
    pub executable: bool,
    /// To be hidden, where the file system can.
    pub hidden: bool,
    /// What the symbolic link points to, if this is one: a path of the same
    /// kind as `path`, always of this torrent.
    pub symlink: Option<String>,
    /// When the file was last changed, in seconds since 1970.
    pub mtime: Option<i64>,
    /// SHA-1 of the whole file, as the torrent claims; it is not verified.
    pub sha1: Option<[u8; 20]>,
}

/// All files of a torrent, in its order.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Files {
    /// The folder that they lie in; empty for a file alone.
    root: Box<str>,
    /// All paths below `root`, one after the other, without separators in
    /// between. That of a file which was renamed is here twice.
    paths: String,
    places: Vec<FileRecord>,
    total: u64,
    /// By file, in order, as are the others.
    symlinks: Vec<(u32, Box<str>)>,
    mtimes: Vec<(u32, i64)>,
    sha1s: Vec<(u32, [u8; 20])>,
}

/// What is known of every file. Its length is the distance between its
/// offset and the next one.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileRecord {
    offset: u64,
    path_start: u32,
    path_length: u32,
    marks: Marks,
}

/// What a file is or is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks(u8);

impl Marks {
    pub(super) const PAD: Self = Self(1);
    pub(super) const EXECUTABLE: Self = Self(2);
    pub(super) const HIDDEN: Self = Self(4);
    /// Its path is not below the torrent's folder.
    pub(super) const OUTSIDE: Self = Self(8);

    pub(super) fn with(self, mark: Self, set: bool) -> Self {
        if set { Self(self.0 | mark.0) } else { self }
    }

    fn has(self, mark: Self) -> bool {
        self.0 & mark.0 != 0
    }
}

/// A file on its way into [`Files`].
pub(super) struct NewFile<'p> {
    /// Below the torrent's folder, unless it is outside.
    pub(super) path: &'p str,
    pub(super) length: u64,
    pub(super) marks: Marks,
    pub(super) symlink: Option<String>,
    pub(super) mtime: Option<i64>,
    pub(super) sha1: Option<[u8; 20]>,
}

impl Files {
    pub(super) fn new(root: &str, expected: usize) -> Self {
        Self {
            root: root.into(),
            places: Vec::with_capacity(expected),
            ..Self::default()
        }
    }

    /// Adds a file behind the others; their lengths must not overflow.
    pub(super) fn push(&mut self, file: NewFile<'_>) -> Result<(), MetainfoError> {
        let index = u32::try_from(self.places.len()).map_err(|_| self.too_large())?;
        let (path_start, path_length) = self.keep_path(file.path)?;
        self.places.push(FileRecord {
            offset: self.total,
            path_start,
            path_length,
            marks: file.marks,
        });
        self.total += file.length;
        self.symlinks
            .extend(file.symlink.map(|target| (index, target.into_boxed_str())));
        self.mtimes.extend(file.mtime.map(|mtime| (index, mtime)));
        self.sha1s.extend(file.sha1.map(|hash| (index, hash)));
        Ok(())
    }

    fn keep_path(&mut self, path: &str) -> Result<(u32, u32), MetainfoError> {
        let start = u32::try_from(self.paths.len()).map_err(|_| self.too_large())?;
        let length = u32::try_from(path.len()).map_err(|_| self.too_large())?;
        self.paths.push_str(path);
        Ok((start, length))
    }

    fn too_large(&self) -> MetainfoError {
        MetainfoError::TooLarge {
            bytes: self.paths.len(),
            limit: u32::MAX as usize,
        }
    }

    /// Frees what was only needed while it grew.
    pub(super) fn shrink(&mut self) {
        self.paths.shrink_to_fit();
        self.places.shrink_to_fit();
    }

    /// Gives a file another path, where it was before: below the torrent's
    /// folder or outside.
    pub(super) fn rename(&mut self, index: usize, path: &str) -> Result<(), MetainfoError> {
        let (start, length) = self.keep_path(path)?;
        if let Some(place) = self.places.get_mut(index) {
            (place.path_start, place.path_length) = (start, length);
        }
        Ok(())
    }

    /// The files that are symbolic links, with what they point to, below the
    /// torrent's folder.
    pub(super) fn symlinks(&self) -> &[(u32, Box<str>)] {
        &self.symlinks
    }

    /// Lets the `at`-th link point elsewhere.
    pub(super) fn point(&mut self, at: usize, target: &str) {
        if let Some((_, old)) = self.symlinks.get_mut(at) {
            *old = target.into();
        }
    }

    /// How many files there are, padding included.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Bytes of all files together, padding included.
    pub fn total_length(&self) -> u64 {
        self.total
    }

    /// Bytes of one file.
    pub fn length(&self, index: usize) -> Option<u64> {
        let start = self.places.get(index)?.offset;
        let next = self.places.get(index + 1);
        Some(next.map_or(self.total, |next| next.offset) - start)
    }

    /// Whether a file is padding.
    pub fn is_pad(&self, index: usize) -> bool {
        let place = self.places.get(index);
        place.is_some_and(|place| place.marks.has(Marks::PAD))
    }

    /// The path of a file below the torrent's folder, and whether it is below
    /// that at all.
    pub(super) fn below_root(&self, index: usize) -> (&str, bool) {
        let Some(place) = self.places.get(index) else {
            return ("", false);
        };
        let start = place.path_start as usize;
        let path = self.paths.get(start..start + place.path_length as usize);
        let below = !self.root.is_empty() && !place.marks.has(Marks::OUTSIDE);
        (path.unwrap_or_default(), below)
    }

    /// The folder that the files lie in; empty for a file alone.
    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// The path of a file, relative to the folder that the torrent is saved in.
    pub fn path(&self, index: usize) -> String {
        let (path, below) = self.below_root(index);
        self.complete(path, below)
    }

    fn complete(&self, path: &str, below: bool) -> String {
        match below {
            true => format!("{}/{path}", self.root),
            false => path.to_owned(),
        }
    }

    /// One file; `None` when there are fewer.
    pub fn get(&self, index: usize) -> Option<FileEntry> {
        let place = self.places.get(index)?;
        let (path, below) = self.below_root(index);
        let number = u32::try_from(index).ok()?;
        let symlink = find(&self.symlinks, number);
        Some(FileEntry {
            path: self.complete(path, below),
            length: self.length(index)?,
            offset: place.offset,
            pad: place.marks.has(Marks::PAD),
            executable: place.marks.has(Marks::EXECUTABLE),
            hidden: place.marks.has(Marks::HIDDEN),
            symlink: symlink.map(|target| self.complete(target, !self.root.is_empty())),
            mtime: find(&self.mtimes, number).copied(),
            sha1: find(&self.sha1s, number).copied(),
        })
    }

    /// The files that are symbolic links (BEP 47), each with the path that it
    /// leads to, relative to the folder that the torrent is saved in. One that
    /// leads to itself stands for a link to nowhere.
    pub fn links(&self) -> impl Iterator<Item = (u32, String)> + use<'_> {
        let below = !self.root.is_empty();
        let links = self.symlinks.iter();
        links.map(move |(index, target)| (*index, self.complete(target, below)))
    }

    /// The files that may be run as programs (BEP 47).
    pub fn executables(&self) -> impl Iterator<Item = u32> + use<'_> {
        let marked = |(index, place): (u32, &FileRecord)| {
            place.marks.has(Marks::EXECUTABLE).then_some(index)
        };
        (0..).zip(&self.places).filter_map(marked)
    }

    /// The files, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = FileEntry> + '_ {
        (0..self.len()).map(|index| {
            // Every index below the length has a file.
            self.get(index).unwrap_or_else(|| FileEntry {
                path: String::new(),
                length: 0,
                offset: 0,
                pad: false,
                executable: false,
                hidden: false,
                symlink: None,
                mtime: None,
                sha1: None,
            })
        })
    }
}

fn find<T>(sorted: &[(u32, T)], file: u32) -> Option<&T> {
    let at = sorted
        .binary_search_by_key(&file, |(index, _)| *index)
        .ok()?;
    sorted.get(at).map(|(_, value)| value)
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
