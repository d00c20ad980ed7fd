//! Reads the file list of an info dict (BEP 3, attributes from BEP 47).

use crate::bencode::{Dict, List};

use super::error::MetainfoError;
use super::files::{Files, Marks, NewFile};
use super::path::{PathPolicy, push_element};
use super::{MAX_FILES, MetainfoLimits};

/// Longest file: as many blocks as libtorrent can count in one.
const MAX_FILE: u64 = (i32::MAX as u64 / 2) * 16 * 1024 - 1;
/// All files together.
const MAX_TOTAL: u64 = (1 << 48) - 1;
/// Links beyond this many are treated as empty files.
const MAX_SYMLINKS: usize = (1 << 15) - 2;

/// Collects files and keeps count of what they add up to.
pub(super) struct FileList<'l> {
    limits: &'l MetainfoLimits,
    files: Files,
    /// The path that is being put together.
    path: String,
}

impl<'l> FileList<'l> {
    /// Reads the `files` of a multi-file torrent named `root`.
    pub(super) fn read_list(
        list: List<'_>,
        root: &str,
        limits: &'l MetainfoLimits,
    ) -> Result<Files, MetainfoError> {
        let count = list.len();
        if count > MAX_FILES {
            return Err(MetainfoError::TooManyFiles);
        }
        let mut files = Self {
            limits,
            files: Files::new(root, count),
            path: String::new(),
        };
        for (file, value) in list.iter().enumerate() {
            let dict = value.as_dict().ok_or(MetainfoError::InvalidFile { file })?;
            files.read_one(dict, file, |attributes, path| {
                file_path(dict, file, attributes, limits, path)
            })?;
        }
        Ok(files.files)
    }

    /// Reads the one file of a single-file torrent, described by the info dict
    /// itself.
    pub(super) fn read_single(
        info: Dict<'_>,
        name: &[u8],
        limits: &'l MetainfoLimits,
    ) -> Result<Files, MetainfoError> {
        let mut files = Self {
            limits,
            files: Files::new("", 1),
            path: String::new(),
        };
        files.read_one(info, 0, |_, path| {
            if !name.is_empty() {
                push_element(path, name, false, limits.paths);
            }
            match path.is_empty() {
                true => Err(MetainfoError::MissingName),
                false => Ok(false),
            }
        })?;
        Ok(files.files)
    }

    /// Reads one entry. `path` makes its path and says whether that
    /// is outside of the torrent's folder.
    fn read_one(
        &mut self,
        dict: Dict<'_>,
        file: usize,
        path: impl FnOnce(&Attributes, &mut String) -> Result<bool, MetainfoError>,
    ) -> Result<(), MetainfoError> {
        let mut attributes = Attributes::read(dict);
        if !attributes.symlink {
            attributes.length = dict
                .int("length")
                .and_then(|length| u64::try_from(length).ok())
                .filter(|&length| length <= MAX_FILE)
                .ok_or(MetainfoError::InvalidLength { file })?;
        }
        self.path.clear();
        let outside = path(&attributes, &mut self.path)?;
        let mut symlink = None;
        if attributes.symlink
            && let Some(target) = dict.list("symlink path")
        {
            let target = symlink_target(target, file, self.limits)?;
            let room = self.files.symlinks().len() < MAX_SYMLINKS;
            symlink = Some(target).filter(|target| room && !target.is_empty());
        }
        let total = self.files.total_length().checked_add(attributes.length);
        if total.is_none_or(|total| total > MAX_TOTAL) {
            return Err(MetainfoError::TotalTooLarge);
        }
        const BITCOMET: &str = "_____padding_file_";
        // The folder's name counts too.
        let pad = attributes.pad
            || self.path.contains(BITCOMET)
            || (!outside && self.files.root().contains(BITCOMET));
        self.files.push(NewFile {
            path: &self.path,
            length: attributes.length,
            marks: Marks::default()
                .with(Marks::PAD, pad)
                .with(Marks::EXECUTABLE, attributes.executable)
                .with(Marks::HIDDEN, attributes.hidden)
                .with(Marks::OUTSIDE, outside),
            symlink,
            mtime: dict.int("mtime").filter(|&mtime| mtime != 0),
            sha1: dict.bytes("sha1").and_then(|hash| hash.try_into().ok()),
        })
    }
}

/// The letters of `attr` (BEP 47), and the length beside them.
#[derive(Clone, Copy, Default)]
struct Attributes {
    pad: bool,
    executable: bool,
    hidden: bool,
    symlink: bool,
    length: u64,
}

impl Attributes {
    fn read(dict: Dict<'_>) -> Self {
        let letters = dict.bytes("attr").unwrap_or_default();
        let has = |letter: u8| letters.contains(&letter);
        Self {
            pad: has(b'p'),
            executable: has(b'x'),
            hidden: has(b'h'),
            symlink: has(b'l'),
            length: 0,
        }
    }
}

/// Puts the path of an entry in the file list, below the torrent's folder, into
/// `path`; or one outside, which it reports.
fn file_path(
    dict: Dict<'_>,
    file: usize,
    attributes: &Attributes,
    limits: &MetainfoLimits,
    path: &mut String,
) -> Result<bool, MetainfoError> {
    let elements = dict.list("path.utf-8").or_else(|| dict.list("path"));
    match elements {
        Some(elements) if !elements.is_empty() => {
            for element in checked_elements(elements, file, limits)? {
                push_element(path, element, true, limits.paths);
            }
            Ok(false)
        }
        _ if attributes.pad => {
            path.push_str(".pad/");
            path.push_str(&attributes.length.to_string());
            Ok(true)
        }
        _ => Err(MetainfoError::MissingPath { file }),
    }
}

/// What a link points to, below the torrent's own folder, not yet checked
/// against the files. `.` and `..`, which BEP 47 forbids, are dropped.
fn symlink_target(
    list: List<'_>,
    file: usize,
    limits: &MetainfoLimits,
) -> Result<String, MetainfoError> {
    let mut target = String::new();
    for element in checked_elements(list, file, limits)? {
        if !matches!(element, b"." | b"..") {
            push_element(&mut target, element, true, limits.paths);
        }
    }
    Ok(target)
}

/// The elements of a path, all of them strings and not too many.
fn checked_elements<'d>(
    list: List<'d>,
    file: usize,
    limits: &MetainfoLimits,
) -> Result<impl Iterator<Item = &'d [u8]> + use<'d>, MetainfoError> {
    if list.iter().nth(limits.directory_depth).is_some() {
        return Err(MetainfoError::DirectoryTooDeep { file });
    }
    if list.iter().any(|element| element.as_bytes().is_none()) {
        return Err(MetainfoError::InvalidPath { file });
    }
    Ok(list.iter().filter_map(|element| element.as_bytes()))
}

/// The name of the folder of a multi-file torrent; `None` when nothing usable
/// remains of it.
pub(super) fn root_name(name: &[u8], policy: PathPolicy) -> Option<String> {
    let mut root = String::new();
    push_element(&mut root, name, false, policy);
    (!root.is_empty()).then_some(root)
}
