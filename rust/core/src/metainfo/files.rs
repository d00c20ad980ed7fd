//! The file list of an info dict (BEP 3, attributes from BEP 47).

use crate::bencode::{Dict, List};

use super::Limits;
use super::error::MetainfoError;
use super::path::{PathPolicy, push_element};

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
    /// SHA-1 of the whole file, as the torrent claims; nobody has checked it.
    pub sha1: Option<[u8; 20]>,
}

/// Longest file: as many blocks as libtorrent can count in one.
const MAX_FILE: u64 = (i32::MAX as u64 / 2) * 16 * 1024 - 1;
/// All files together.
const MAX_TOTAL: u64 = (1 << 48) - 1;
/// Links beyond this many are treated as empty files.
const MAX_SYMLINKS: usize = (1 << 15) - 2;

/// Collects files and keeps count of what they add up to.
pub(super) struct FileList<'l> {
    limits: &'l Limits,
    files: Vec<FileEntry>,
    total: u64,
    symlinks: usize,
}

impl<'l> FileList<'l> {
    pub(super) fn new(limits: &'l Limits) -> Self {
        Self {
            limits,
            files: Vec::new(),
            total: 0,
            symlinks: 0,
        }
    }

    /// Reads the `files` of a multi-file torrent named `root`.
    pub(super) fn read_list(
        mut self,
        list: List<'_>,
        root: &str,
    ) -> Result<Vec<FileEntry>, MetainfoError> {
        for (file, value) in list.iter().enumerate() {
            let dict = value.as_dict().ok_or(MetainfoError::InvalidFile { file })?;
            self.read_one(dict, file, |attributes, limits| {
                file_path(dict, file, root, attributes, limits)
            })?;
        }
        Ok(self.files)
    }

    /// Reads the one file of a single-file torrent, described by the info dict
    /// itself.
    pub(super) fn read_single(
        mut self,
        info: Dict<'_>,
        name: &[u8],
    ) -> Result<Vec<FileEntry>, MetainfoError> {
        self.read_one(info, 0, |_, limits| {
            let mut path = String::new();
            if !name.is_empty() {
                push_element(&mut path, name, false, limits.paths);
            }
            match path.is_empty() {
                true => Err(MetainfoError::MissingName),
                false => Ok(path),
            }
        })?;
        Ok(self.files)
    }

    fn read_one(
        &mut self,
        dict: Dict<'_>,
        file: usize,
        path: impl FnOnce(&Attributes, &Limits) -> Result<String, MetainfoError>,
    ) -> Result<(), MetainfoError> {
        let attributes = Attributes::read(dict);
        let length = if attributes.symlink {
            0
        } else {
            dict.int("length")
                .and_then(|length| u64::try_from(length).ok())
                .filter(|&length| length <= MAX_FILE)
                .ok_or(MetainfoError::InvalidLength { file })?
        };
        let path = path(
            &Attributes {
                length,
                ..attributes
            },
            self.limits,
        )?;
        let mut symlink = None;
        if attributes.symlink
            && let Some(target) = dict.list("symlink path")
        {
            let target = symlink_target(target, file, self.limits)?;
            if !target.is_empty() && self.symlinks < MAX_SYMLINKS {
                self.symlinks += 1;
                symlink = Some(target);
            }
        }
        let offset = self.total;
        self.total = offset
            .checked_add(length)
            .filter(|&total| total <= MAX_TOTAL)
            .ok_or(MetainfoError::TotalTooLarge)?;
        self.files.push(FileEntry {
            pad: attributes.pad || path.contains("_____padding_file_"),
            path,
            length,
            offset,
            executable: attributes.executable,
            hidden: attributes.hidden,
            symlink,
            mtime: dict.int("mtime").filter(|&mtime| mtime != 0),
            sha1: dict.bytes("sha1").and_then(|hash| hash.try_into().ok()),
        });
        Ok(())
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

/// The path of an entry in the file list, below `root`.
fn file_path(
    dict: Dict<'_>,
    file: usize,
    root: &str,
    attributes: &Attributes,
    limits: &Limits,
) -> Result<String, MetainfoError> {
    let elements = dict.list("path.utf-8").or_else(|| dict.list("path"));
    match elements {
        Some(elements) if !elements.is_empty() => {
            let mut path = root.to_owned();
            for element in checked_elements(elements, file, limits)? {
                push_element(&mut path, element, true, limits.paths);
            }
            Ok(path)
        }
        _ if attributes.pad => Ok(format!(".pad/{}", attributes.length)),
        _ => Err(MetainfoError::InvalidPath { file }),
    }
}

/// What a link points to, below the torrent's own folder, not yet checked
/// against the files. `.` and `..`, which BEP 47 forbids, are dropped.
fn symlink_target(list: List<'_>, file: usize, limits: &Limits) -> Result<String, MetainfoError> {
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
    limits: &Limits,
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
