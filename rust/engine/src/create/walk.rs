//! Finds the files that a new torrent is made of.
//!
//! Folders are walked in the order of their names' bytes, so that the same
//! content gives the same torrent on every system. What cannot become part of
//! a torrent (a name that is not Unicode, a device, a link that leads out of
//! its folder) is an error that names it: a torrent that silently lacks a file
//! would only be noticed by the players.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use torrent_core::metainfo::MAX_FILES;

use crate::create::Interrupt;
use crate::error::{Error, ErrorKind, Result};

/// A file on its way into a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WalkedFile {
    /// Where it is on disk.
    pub(super) disk: PathBuf,
    /// Its name, or the path to it from the folder on that was added.
    pub(super) elements: Vec<String>,
    /// Its length in bytes.
    pub(super) length: u64,
    /// It may be executed.
    pub(super) executable: bool,
    /// The system hides it.
    pub(super) hidden: bool,
    /// For a link that is kept as one: the elements of the path that it leads
    /// to, from the folder on that was added, without that folder.
    pub(super) symlink: Option<Vec<String>>,
    /// When it was last changed.
    pub(super) modified: Option<SystemTime>,
}

/// Folders in one another, at most: as deep as torrents may be.
const MAX_DEPTH: usize = 100;

/// The one file at `path`.
pub(super) fn file(path: &Path) -> Result<WalkedFile> {
    let metadata = fs::metadata(path).map_err(|error| Error::from_io(&error, path))?;
    if metadata.is_dir() {
        return Err(refused(path, "it is a folder, not a file"));
    }
    let name = name_of(path)?;
    check_kind(path, &metadata)?;
    Ok(found(path.to_owned(), vec![name], &metadata))
}

/// All files in the folder at `path` and below, the folder's own name before
/// theirs. Those whose name begins with a dot only with `hidden`. Links are
/// what they lead to, or with `links` links.
pub(super) fn folder(
    path: &Path,
    hidden: bool,
    links: bool,
    interrupt: &Interrupt,
) -> Result<Vec<WalkedFile>> {
    let root = path
        .canonicalize()
        .map_err(|error| Error::from_io(&error, path))?;
    let walk = Walk {
        given: path,
        root: &root,
        hidden,
        links,
        interrupt,
    };
    let mut files = Vec::new();
    // The entries still to be looked at, the next one last.
    let mut pending = walk.entries(path, &[name_of(path)?])?;
    while let Some((disk, elements)) = pending.pop() {
        let metadata = walk.look_at(&disk)?;
        if metadata.is_symlink() {
            let symlink = Some(walk.target(&disk)?);
            files.push(WalkedFile {
                symlink,
                ..found(disk, elements, &metadata)
            });
        } else if metadata.is_dir() {
            if elements.len() >= MAX_DEPTH {
                return Err(refused(&disk, "it is nested too deep"));
            }
            pending.extend(walk.entries(&disk, &elements)?);
        } else if files.len() < MAX_FILES {
            check_kind(&disk, &metadata)?;
            files.push(found(disk, elements, &metadata));
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
type WalkEntry = (PathBuf, Vec<String>);

struct Walk<'a> {
    /// The folder, as it was given.
    given: &'a Path,
    /// The folder, without links on the way to it.
    root: &'a Path,
    hidden: bool,
    links: bool,
    interrupt: &'a Interrupt,
}

impl Walk<'_> {
    /// The entries of `folder`, in reverse order.
    fn entries(&self, folder: &Path, elements: &[String]) -> Result<Vec<WalkEntry>> {
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
    /// file of this folder, unless links are kept.
    fn look_at(&self, disk: &Path) -> Result<Metadata> {
        let failed = |error: io::Error| Error::from_io(&error, disk);
        let metadata = fs::symlink_metadata(disk).map_err(failed)?;
        if self.links || !metadata.is_symlink() {
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

    /// Where the link at `disk` leads, from the folder on. That is read, not
    /// tried: what else there is decides whether it leads anywhere.
    fn target(&self, disk: &Path) -> Result<Vec<String>> {
        let target = fs::read_link(disk).map_err(|error| Error::from_io(&error, disk))?;
        let outside = || refused(disk, "it is a link that leads out of the folder");
        let (mut elements, rest) = if target.is_absolute() {
            let below = [self.given, self.root].map(|root| target.strip_prefix(root).ok());
            (Vec::new(), below.into_iter().flatten().next())
        } else {
            let parent = disk
                .parent()
                .and_then(|it| it.strip_prefix(self.given).ok());
            let parent = parent.into_iter().flat_map(Path::components);
            let parent = parent.map(|part| part.as_os_str().to_owned());
            (parent.collect(), Some(target.as_path()))
        };
        for part in rest.ok_or_else(outside)?.components() {
            match part {
                Component::Normal(name) => elements.push(name.to_owned()),
                Component::CurDir => {}
                Component::ParentDir => drop(elements.pop().ok_or_else(outside)?),
                Component::RootDir | Component::Prefix(_) => return Err(outside()),
            }
        }
        if elements.is_empty() {
            return Err(refused(disk, "it is a link to the folder itself"));
        }
        let names = elements.into_iter().map(|name| name.into_string());
        let names: std::result::Result<_, _> = names.collect();
        names.map_err(|_| {
            refused(
                disk,
                "what it leads to has a name that is not valid Unicode",
            )
        })
    }
}

fn check_kind(disk: &Path, metadata: &Metadata) -> Result<()> {
    match metadata.is_file() {
        true => Ok(()),
        false => Err(refused(disk, "it is neither a file nor a folder")),
    }
}

fn found(disk: PathBuf, elements: Vec<String>, metadata: &Metadata) -> WalkedFile {
    WalkedFile {
        length: if metadata.is_symlink() {
            0
        } else {
            metadata.len()
        },
        executable: is_executable(metadata),
        hidden: is_hidden(metadata),
        symlink: None,
        modified: metadata.modified().ok(),
        elements,
        disk,
    }
}

#[cfg(windows)]
fn is_hidden(metadata: &Metadata) -> bool {
    use std::os::windows::fs::MetadataExt;
    const FILE_ATTRIBUTE_HIDDEN: u32 = 2;
    metadata.file_attributes() & FILE_ATTRIBUTE_HIDDEN != 0
}

/// A name that begins with a dot says all there is to say.
#[cfg(not(windows))]
fn is_hidden(_: &Metadata) -> bool {
    false
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

    fn names(files: &[WalkedFile]) -> Vec<String> {
        let below = |file: &WalkedFile| file.elements[1..].join("/");
        files.iter().map(below).collect()
    }

    fn walk(folder: &Folder, hidden: bool) -> Result<Vec<WalkedFile>> {
        super::folder(&folder.0, hidden, false, &Interrupt::default())
    }

    #[test]
    fn the_order_is_that_of_the_names() {
        let folder = Folder::new("walk-order");
        for name in ["b", "a/z", "a.txt", "a/b/c", "C", ".hidden/x", "a/.y"] {
            folder.file(name, b"1");
        }
        let files = walk(&folder, false).unwrap();
        assert_eq!(names(&files), ["C", "a/b/c", "a/z", "a.txt", "b"]);
        let files = walk(&folder, true).unwrap();
        assert_eq!(names(&files)[..3], [".hidden/x", "C", "a/.y"]);
        assert!(cfg!(windows) || !files.iter().any(|file| file.hidden));
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = file(Path::new("/no/such/file")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PathNotFound);
        assert_eq!(error.context(), "/no/such/file");
        let folder = Folder::new("walk-missing");
        assert_eq!(file(&folder.0).unwrap_err().kind(), ErrorKind::InvalidPath);
        let missing = super::folder(&folder.0.join("x"), false, false, &Interrupt::default());
        assert!(Path::new(missing.unwrap_err().context()).ends_with("x"));
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
    fn links_are_kept_when_that_is_asked_for() {
        use std::os::unix::fs::symlink;

        let folder = Folder::new("walk-kept");
        folder.file("a/real", b"12");
        let keep = || super::folder(&folder.0, false, true, &Interrupt::default());
        symlink("./a/../a/real", folder.0.join("b")).unwrap();
        symlink("../a", folder.0.join("a/self")).unwrap();
        symlink(folder.0.join("a/real"), folder.0.join("c")).unwrap();
        let files = keep().unwrap();
        let link = |name: &str| {
            let file = files
                .iter()
                .find(|file| file.elements.ends_with(&[name.to_owned()]));
            (
                file.unwrap().length,
                file.unwrap().symlink.clone().unwrap().join("/"),
            )
        };
        assert_eq!(link("b"), (0, "a/real".to_owned()));
        assert_eq!(link("self"), (0, "a".to_owned()));
        assert_eq!(link("c"), (0, "a/real".to_owned()));
        for target in ["../x", "/etc/passwd", "a/../.."] {
            let bad = folder.0.join("bad");
            symlink(target, &bad).unwrap();
            let error = keep().unwrap_err().to_string();
            assert!(
                error.contains("leads out") && error.contains("bad"),
                "{error}"
            );
            fs::remove_file(bad).unwrap();
        }
        symlink(".", folder.0.join("bad")).unwrap();
        assert!(keep().unwrap_err().to_string().contains("itself"));
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
