//! A torrent's symbolic links (BEP 47) on the disk. They hold no bytes: nothing
//! is ever read or written through them (see `path`), and one that leads
//! nowhere is no error of the torrent. Each is relative, and leads to something
//! of the same torrent. What is in the place of one and is not that link is
//! not ours, and stays.

use std::path::{Path, PathBuf};

use super::error::{DiskError, DiskOp, Fault};
use super::file_paths::FilePaths;
use super::file_storage::FileStorage;

#[cfg(not(unix))]
use fallback::{make, read, remove};
#[cfg(unix)]
use unix::{make, read, remove};

impl FileStorage {
    /// Makes the wanted links that are missing.
    pub(super) fn make_links(&self) -> Result<(), DiskError> {
        let file_paths = self.file_paths();
        for (&file, target) in &self.spec.links {
            let name = file_paths.name(file);
            // One that leads to itself stands for a link to nowhere.
            if !self.wanted.get(file.0) || name == target {
                continue;
            }
            self.make_root()?;
            make(&file_paths.root, name, &text(name, target))
                .map_err(|fault| self.error(DiskOp::Link, Some(file), fault))?;
        }
        Ok(())
    }

    /// Brings the links along after a move. They can be made again from the
    /// metadata, so one that cannot be moved does not undo it.
    pub(super) fn carry_links(&self, old: &FilePaths, new: &FilePaths) {
        for (&file, target) in &self.spec.links {
            let name = old.name(file);
            let text = text(name, target);
            let carried = match is_ours(old, name, &text) {
                Ok(false) => continue,
                Ok(true) => make(&new.root, name, &text).and_then(|()| remove(&old.root, name)),
                Err(fault) => Err(fault),
            };
            if let Err(error) = carried {
                let link = old.root.join(name);
                tracing::warn!(link = %link.display(), %error, "a link was not moved");
            }
        }
    }

    /// Gives a link another name, from where it leads to the same.
    pub(super) fn rename_link(
        &self,
        file_paths: &FilePaths,
        target: &Path,
        from: &Path,
        to: &Path,
    ) -> Result<(), Fault> {
        if !is_ours(file_paths, from, &text(from, target))? {
            return Ok(());
        }
        let text = text(to, target);
        make(&file_paths.root, to, &text)?;
        // Something else was in its place.
        if !is_ours(file_paths, to, &text)? {
            return Err(Fault::Exists);
        }
        remove(&file_paths.root, from)
    }

    /// Deletes a link, if it is the torrent's.
    pub(super) fn delete_link(&self, name: &Path, target: &Path) -> Result<(), Fault> {
        let file_paths = self.file_paths();
        match is_ours(&file_paths, name, &text(name, target))? {
            false => Ok(()),
            true => remove(&file_paths.root, name),
        }
    }
}

/// What the link `name` contains to lead to `target`, both below the same root.
/// It climbs no higher than through its own folders, and those are never links.
fn text(name: &Path, target: &Path) -> PathBuf {
    let folder = name.parent().unwrap_or(Path::new(""));
    let shared = folder.iter().zip(target);
    let shared = shared.take_while(|(here, there)| here == there).count();
    let mut text: PathBuf = folder.iter().skip(shared).map(|_| "..").collect();
    text.extend(target.iter().skip(shared));
    match text.as_os_str().is_empty() {
        // It leads to the folder that it is in.
        true => PathBuf::from("."),
        false => text,
    }
}

fn is_ours(file_paths: &FilePaths, name: &Path, text: &Path) -> Result<bool, Fault> {
    Ok(read(&file_paths.root, name)?.as_deref() == Some(text))
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    use std::path::{Path, PathBuf};

    use rustix::fs::{AtFlags, readlinkat, symlinkat, unlinkat};
    use rustix::io::Errno;

    use super::super::error::Fault;
    use super::super::path::{folder_of, is_missing};

    /// Makes the link `name` below `root`, and its folders. What is there
    /// already stays, and a file system without links does without.
    pub(super) fn make(root: &Path, name: &Path, text: &Path) -> Result<(), Fault> {
        let (folder, leaf) = folder_of(root, name, true)?;
        match symlinkat(text, &folder, leaf) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(Errno::PERM | Errno::NOSYS | Errno::NOTSUP) => {
                let link = root.join(name);
                tracing::warn!(link = %link.display(), "the file system has no symbolic links");
                Ok(())
            }
            Err(errno) => Err(errno.into()),
        }
    }

    /// What the link `name` below `root` contains; `None` where there is none.
    pub(super) fn read(root: &Path, name: &Path) -> Result<Option<PathBuf>, Fault> {
        let read = folder_of(root, name, false)
            .and_then(|(folder, leaf)| Ok(readlinkat(&folder, leaf, Vec::new())?));
        match read {
            Ok(text) => Ok(Some(OsString::from_vec(text.into_bytes()).into())),
            Err(Fault::Io(error)) if is_missing(&error) => Ok(None),
            // It is something else, or behind a link that is not ours.
            Err(Fault::Io(error)) if error.kind() == std::io::ErrorKind::InvalidInput => Ok(None),
            Err(Fault::Symlink) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Deletes the link `name` below `root`.
    pub(super) fn remove(root: &Path, name: &Path) -> Result<(), Fault> {
        let (folder, leaf) = folder_of(root, name, false)?;
        Ok(unlinkat(&folder, leaf, AtFlags::empty())?)
    }
}

/// Where making links takes privileges, a torrent does without.
#[cfg(not(unix))]
mod fallback {
    use std::path::{Path, PathBuf};

    use super::super::error::Fault;

    pub(super) fn make(_: &Path, _: &Path, _: &Path) -> Result<(), Fault> {
        Ok(())
    }

    pub(super) fn read(_: &Path, _: &Path) -> Result<Option<PathBuf>, Fault> {
        Ok(None)
    }

    pub(super) fn remove(_: &Path, _: &Path) -> Result<(), Fault> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_climbs_no_higher_than_it_must() {
        for (name, target, expected) in [
            ("t/link", "t/file", "file"),
            ("t/a/link", "t/file", "../file"),
            ("t/a/b/link", "t/a/c/file", "../c/file"),
            ("t/a/b/link", "t/a/b", "."),
            ("t/a/b/link", "t/a", ".."),
            ("t/a/link", "t/a/b/c", "b/c"),
            ("elsewhere/link", "t/file", "../t/file"),
            ("link", "file", "file"),
        ] {
            let text = text(Path::new(name), Path::new(target));
            assert_eq!(text, Path::new(expected), "{name} to {target}");
        }
    }
}
