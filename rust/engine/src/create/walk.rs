//! Finds the files that a new torrent is made of.
//!
//! Folders are walked in the order of their names' bytes, so that the same
//! content gives the same torrent on every system. What cannot become part of
//! a torrent (a name that is not Unicode, a device, a link that leads out of
//! its folder) is an error that names it: a torrent that silently lacks a file
//! would only be noticed by the players.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use crate::create::Interrupt;
use crate::error::{Error, ErrorKind, Result};

/// A file on its way into a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Where it is on disk.
    pub(super) disk: PathBuf,
    /// Its name, or the path to it from the folder on that was added.
    pub(super) elements: Vec<String>,
    /// Its length in bytes.
    pub(super) length: u64,
    /// It may be executed.
    pub(super) executable: bool,
    /// Its name asks to be hidden.
    pub(super) hidden: bool,
}

/// Folders in one another, at most: as deep as torrents may be.
const MAX_DEPTH: usize = 100;

/// Files in one torrent, at most: each costs memory here, in the torrent and
/// in everybody who downloads it.
const MAX_FILES: usize = 1_000_000;

/// The one file at `path`.
pub(super) fn file(path: &Path) -> Result<Found> {
    let metadata = fs::metadata(path).map_err(|error| Error::from_io(&error, path))?;
    if metadata.is_dir() {
        return Err(refused(path, "it is a folder, not a file"));
    }
    let name = name_of(path)?;
    found(path.to_owned(), vec![name], &metadata)
}

/// All files in the folder at `path` and below, the folder's own name before
/// theirs. Those whose name begins with a
/// dot only with `hidden`.
pub(super) fn folder(path: &Path, hidden: bool, interrupt: &Interrupt) -> Result<Vec<Found>> {
    let root = path
        .canonicalize()
        .map_err(|error| Error::from_io(&error, path))?;
    let walk = Walk {
        root: &root,
        hidden,
        interrupt,
    };
    let mut files = Vec::new();
    // The entries still to be looked at, the next one last.
    let mut pending = walk.entries(path, &[name_of(path)?])?;
    while let Some((disk, elements)) = pending.pop() {
        let metadata = walk.look_at(&disk)?;
        if metadata.is_dir() {
            if elements.len() >= MAX_DEPTH {
                return Err(refused(&disk, "it is nested too deep"));
            }
            pending.extend(walk.entries(&disk, &elements)?);
        } else if files.len() < MAX_FILES {
            files.push(found(disk, elements, &metadata)?);
        } else {
            return Err(refused(path, "there are too many files in it"));
        }
    }
    Ok(files)
}

/// The name under which the file or folder at `path` appears in a torrent.
pub(super) fn name_of(path: &Path) -> Result<String> {
    let named = match path.file_name() {
        Some(_) => path.to_owned(),
        // "." and ".." have a name all the same.
        None => path
            .canonicalize()
            .map_err(|error| Error::from_io(&error, path))?,
    };
    match named.file_name().map(|name| name.to_str()) {
        Some(Some(name)) => Ok(name.to_owned()),
        Some(None) => Err(refused(path, "its name is not valid Unicode")),
        None => Err(refused(path, "it has no name")),
    }
}

/// One entry: where it is, and its path in the torrent.
type Entry = (PathBuf, Vec<String>);

struct Walk<'a> {
    root: &'a Path,
    hidden: bool,
    interrupt: &'a Interrupt,
}

impl Walk<'_> {
    /// The entries of `folder`, in reverse order.
    fn entries(&self, folder: &Path, elements: &[String]) -> Result<Vec<Entry>> {
        let failed = |error: io::Error| Error::from_io(&error, folder);
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            self.interrupt.check()?;
            let disk = entry.map_err(failed)?.path();
            let name = name_of(&disk)?;
            if name.starts_with('.') && !self.hidden {
                continue;
            }
            let elements: Vec<_> = elements.iter().cloned().chain([name]).collect();
            entries.push((disk, elements));
        }
        entries.sort_unstable_by(|(_, one), (_, other)| other.cmp(one));
        Ok(entries)
    }

    /// What is at `disk`. A link is what it points to, as long as that is a
    /// file of this folder.
    fn look_at(&self, disk: &Path) -> Result<Metadata> {
        let failed = |error: io::Error| Error::from_io(&error, disk);
        let metadata = fs::symlink_metadata(disk).map_err(failed)?;
        if !metadata.is_symlink() {
            return Ok(metadata);
        }
        let target = disk.canonicalize().map_err(failed)?;
        if !target.starts_with(self.root) {
            return Err(refused(disk, "it is a link that leads out of the folder"));
        }
        let metadata = fs::metadata(&target).map_err(failed)?;
        if metadata.is_dir() {
            // It could lead back to where it is, and on without end.
            return Err(refused(disk, "it is a link to a folder"));
        }
        Ok(metadata)
    }
}

fn found(disk: PathBuf, elements: Vec<String>, metadata: &Metadata) -> Result<Found> {
    if !metadata.is_file() {
        return Err(refused(&disk, "it is neither a file nor a folder"));
    }
    Ok(Found {
        length: metadata.len(),
        executable: is_executable(metadata),
        hidden: elements.last().is_some_and(|name| name.starts_with('.')),
        elements,
        disk,
    })
}

#[cfg(unix)]
fn is_executable(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o100 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &Metadata) -> bool {
    false
}

fn refused(path: &Path, why: &'static str) -> Error {
    Error::because(ErrorKind::InvalidPath, why).about(path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::create::tests::Folder;

    fn names(files: &[Found]) -> Vec<String> {
        let below = |file: &Found| file.elements[1..].join("/");
        files.iter().map(below).collect()
    }

    fn walk(folder: &Folder, hidden: bool) -> Result<Vec<Found>> {
        super::folder(&folder.0, hidden, &Interrupt::default())
    }

    #[test]
    fn the_order_is_that_of_the_names() {
        let folder = Folder::new("walk-order");
        for name in ["b", "a/z", "a.txt", "a/b/c", "B", ".hidden/x", "a/.y"] {
            folder.file(name, b"1");
        }
        let files = walk(&folder, false).unwrap();
        assert_eq!(names(&files), ["B", "a/b/c", "a/z", "a.txt", "b"]);
        let files = walk(&folder, true).unwrap();
        assert_eq!(names(&files)[..3], [".hidden/x", "B", "a/.y"]);
        assert!(!files[0].hidden && files[2].hidden);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = file(Path::new("/no/such/file")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PathNotFound);
        assert_eq!(error.context(), "/no/such/file");
        let folder = Folder::new("walk-missing");
        assert_eq!(file(&folder.0).unwrap_err().kind(), ErrorKind::InvalidPath);
        let missing = super::folder(&folder.0.join("x"), false, &Interrupt::default());
        assert!(missing.unwrap_err().context().ends_with("/x"));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_within_the_folder_only() {
        use std::os::unix::fs::symlink;

        let outside = Folder::new("walk-outside");
        outside.file("secret", b"1");
        let folder = Folder::new("walk-links");
        folder.file("a/real", b"12");
        symlink("a/real", folder.0.join("link")).unwrap();
        let files = walk(&folder, false).unwrap();
        assert_eq!(names(&files), ["a/real", "link"]);
        assert_eq!(files[1].length, 2);

        for (target, why) in [
            (outside.0.join("secret"), "leads out"),
            (PathBuf::from("../walk-outside"), "walk-links"),
            (PathBuf::from("a"), "link to a folder"),
            (PathBuf::from("nowhere"), "bad"),
        ] {
            let bad = folder.0.join("bad");
            symlink(&target, &bad).unwrap();
            let error = walk(&folder, false).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("bad"), "{error}");
            fs::remove_file(bad).unwrap();
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_refused_before_it_is_opened() {
        let folder = Folder::new("walk-socket");
        let _socket = std::os::unix::net::UnixListener::bind(folder.0.join("socket")).unwrap();
        let error = walk(&folder, false).unwrap_err();
        assert!(error.context().ends_with("/socket"), "{error}");
    }
}
