//! Opening, measuring and deleting a torrent's files without ever leaving the
//! save path.
//!
//! The save path itself is the user's choice and may be anything, a symbolic
//! link included. Below it the names come from a stranger, and the folder may
//! have been prepared by one: so every part is opened relative to the folder
//! before it, symbolic links are refused (those that stay inside too: a rule
//! without exceptions needs no race-free resolution of targets), and only
//! regular files are opened, so that a planted pipe or device cannot stall or
//! feed a worker. Callers pass paths of plain names only; `StorageSpec` has
//! checked that.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use torrent_core::resume::FileStat;

use super::error::Fault;
pub(super) use super::real::real;

#[cfg(not(unix))]
pub(super) use fallback::{open, remove_file, remove_folder, rename, stat, sync_folder};
#[cfg(unix)]
pub(super) use unix::{
    folder_of, is_missing, open, remove_file, remove_folder, rename, stat, sync_folder,
};

/// The length of the file `name` below `root`; `None` where there is no such
/// file.
pub(super) fn length(root: &Path, name: &Path) -> Result<Option<u64>, Fault> {
    Ok(stat(root, name)?.map(|stat| stat.length))
}

/// Deletes the folders between `root` and each of `names` that are empty, the
/// deepest first. One that holds something stays.
pub(super) fn remove_empty_folders<'a>(root: &Path, names: impl IntoIterator<Item = &'a Path>) {
    let names = names.into_iter();
    let folders = names.flat_map(|name| name.ancestors().skip(1));
    let mut folders: Vec<_> = folders.filter(|it| !it.as_os_str().is_empty()).collect();
    folders.sort_unstable_by_key(|folder| (Reverse(folder.components().count()), *folder));
    folders.dedup();
    for folder in folders {
        // It is not empty, or not there.
        let _ = remove_folder(root, folder);
    }
}

/// Creates the save path, with the folders above it.
pub(super) fn create_root(root: &Path) -> Result<(), Fault> {
    match std::fs::create_dir_all(root) {
        // A file is there, or where a folder above it should be.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(Fault::Io(ErrorKind::NotADirectory.into()))
        }
        created => Ok(created?),
    }
}

/// The folders between `root` and each of `names` that are missing, those
/// above others first.
pub(super) fn missing_folders<'a>(
    root: &Path,
    names: impl IntoIterator<Item = &'a Path>,
) -> Vec<PathBuf> {
    let folders: BTreeSet<_> = names
        .into_iter()
        .flat_map(|name| name.ancestors().skip(1))
        .collect();
    let folders = folders.into_iter().filter(|it| !it.as_os_str().is_empty());
    let missing = folders.map(|folder| root.join(folder));
    missing.filter(|folder| is_absent(folder)).collect()
}

/// `folder` and those above it that are missing, the topmost first.
pub(super) fn missing_ancestors(folder: &Path) -> Vec<PathBuf> {
    let missing = folder.ancestors().take_while(|folder| is_absent(folder));
    let mut missing: Vec<_> = missing.map(Path::to_owned).collect();
    missing.reverse();
    missing
}

fn is_absent(path: &Path) -> bool {
    let found = std::fs::symlink_metadata(path);
    found.is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// Makes durable that `names` are below `root`, or no longer are, and that the
/// folders in `made` are where they are.
pub(super) fn sync_folders<'a>(
    root: &Path,
    names: impl IntoIterator<Item = &'a Path>,
    made: &[PathBuf],
) -> Result<(), Fault> {
    let folders: BTreeSet<_> = names
        .into_iter()
        .flat_map(|name| name.ancestors().skip(1))
        .collect();
    // Those below before those above, which have them.
    for folder in folders.into_iter().rev() {
        sync_folder(root, folder)?;
    }
    if let Some(above) = made.first().and_then(|folder| folder.parent()) {
        let between = root.ancestors().skip(1);
        for folder in between.take_while(|folder| folder.starts_with(above)) {
            sync_folder(folder, Path::new(""))?;
        }
    }
    Ok(())
}

/// Has reads leave the file's time of access alone, where the system can and
/// the file is ours.
pub(super) fn leave_atime(file: &File) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
        if let Ok(flags) = fcntl_getfl(file) {
            // A nicety: without it the time changes.
            let _ = fcntl_setfl(file, flags | OFlags::NOATIME);
        }
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = file;
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Reading an existing file.
    Read,
    /// Making durable what was written to an existing file.
    Sync,
    /// Reading and writing; the file and its folders are created where
    /// missing, and never truncated.
    Write,
    /// The same; a file that is created may be run as a program.
    WriteProgram,
    /// Writing a file that is not there yet.
    CreateNew,
}

impl Access {
    /// Whether bytes may be written, and what is missing is created for them.
    pub(super) fn writes(self) -> bool {
        !matches!(self, Self::Read | Self::Sync)
    }

    /// Whether a file that is open for this will do for `wanted`.
    pub(super) fn serves(self, wanted: Self) -> bool {
        match wanted {
            Self::Read => true,
            // Windows flushes only what may be written to.
            Self::Sync => cfg!(not(windows)) || self != Self::Read,
            _ => self.writes(),
        }
    }
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::fs::File;
    use std::io;
    use std::path::Path;

    use rustix::fd::OwnedFd;
    use rustix::fs::{
        AtFlags, FileType, Mode, OFlags, fstat, mkdirat, openat, renameat, statat, unlinkat,
    };
    use rustix::io::Errno;

    use super::super::error::Fault;
    use super::{Access, FileStat, create_root};

    /// A handle that only serves to look names up in a folder.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const FOLDER: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);

    /// Opens the file `name` below `root`.
    pub(in super::super) fn open(root: &Path, name: &Path, access: Access) -> Result<File, Fault> {
        let (folder, leaf) = folder_of(root, name, access.writes())?;
        // Opening a pipe would wait for its other end without NONBLOCK; on
        // regular files it means nothing.
        let common = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        // The user's mask takes away what others may not do.
        let (flags, mode) = match access {
            Access::Read | Access::Sync => (OFlags::RDONLY, 0),
            Access::Write => (OFlags::RDWR | OFlags::CREATE, 0o666),
            Access::WriteProgram => (OFlags::RDWR | OFlags::CREATE, 0o777),
            Access::CreateNew => (OFlags::RDWR | OFlags::CREATE | OFlags::EXCL, 0o666),
        };
        let file = match openat(&folder, leaf, common | flags, Mode::from_raw_mode(mode)) {
            Ok(file) => file,
            Err(Errno::EXIST) => return Err(Fault::Exists),
            // FreeBSD says MLINK, and every other system LOOP.
            Err(Errno::LOOP | Errno::MLINK) => return Err(Fault::Symlink),
            Err(errno) => return Err(errno.into()),
        };
        if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
            return Err(Fault::NotAFile);
        }
        Ok(File::from(file))
    }

    /// Length and time of the file `name` below `root`; `None` where there is
    /// no such file.
    pub(in super::super) fn stat(root: &Path, name: &Path) -> Result<Option<FileStat>, Fault> {
        let stat = folder_of(root, name, false)
            .and_then(|(folder, leaf)| Ok(statat(&folder, leaf, AtFlags::SYMLINK_NOFOLLOW)?));
        let stat = match stat {
            Ok(stat) => stat,
            Err(Fault::Io(error)) if is_missing(&error) => return Ok(None),
            Err(fault) => return Err(fault),
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(Some(FileStat {
                length: u64::try_from(stat.st_size).unwrap_or(0),
                modified: stat
                    .st_mtime
                    .saturating_mul(1_000_000_000)
                    .saturating_add(stat.st_mtime_nsec as i64),
            })),
            FileType::Symlink => Err(Fault::Symlink),
            _ => Err(Fault::NotAFile),
        }
    }

    /// Deletes the regular file `name` below `root`. A missing one is fine.
    pub(in super::super) fn remove_file(root: &Path, name: &Path) -> Result<(), Fault> {
        if stat(root, name)?.is_some() {
            let (folder, leaf) = folder_of(root, name, false)?;
            unlinkat(&folder, leaf, AtFlags::empty())?;
        }
        Ok(())
    }

    /// Gives the file `from` (root and name) the place `to`, whose folders are
    /// created where missing. Something else in that place is an error.
    pub(in super::super) fn rename(from: (&Path, &Path), to: (&Path, &Path)) -> Result<(), Fault> {
        let (old, old_leaf) = folder_of(from.0, from.1, false)?;
        let source = statat(&old, old_leaf, AtFlags::SYMLINK_NOFOLLOW)?;
        check_kind(source.st_mode)?;
        let (new, new_leaf) = folder_of(to.0, to.1, true)?;
        match statat(&new, new_leaf, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(target) => {
                check_kind(target.st_mode)?;
                // Upper and lower case may be the same name.
                let same = (target.st_dev, target.st_ino) == (source.st_dev, source.st_ino);
                if !same || target.st_nlink > 1 {
                    return Err(Fault::Exists);
                }
                return Ok(renameat(&old, old_leaf, &new, new_leaf)?);
            }
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
        {
            use rustix::fs::{RenameFlags, renameat_with};
            match renameat_with(&old, old_leaf, &new, new_leaf, RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => return Err(Fault::Exists),
                // The file system does not know how.
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
                outcome => return Ok(outcome?),
            }
        }
        rename_reserved(&old, old_leaf, &new, new_leaf)
    }

    /// Renames where the system has no call that replaces nothing: the place
    /// is taken by an empty file first, which only one can make.
    pub(super) fn rename_reserved(
        old: &OwnedFd,
        old_leaf: &OsStr,
        new: &OwnedFd,
        new_leaf: &OsStr,
    ) -> Result<(), Fault> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        match openat(new, new_leaf, flags, Mode::from_raw_mode(0o600)) {
            Ok(_) => {}
            Err(Errno::EXIST) => return Err(Fault::Exists),
            Err(errno) => return Err(errno.into()),
        }
        renameat(old, old_leaf, new, new_leaf).map_err(|errno| {
            // The error that counts is the one above.
            let _ = unlinkat(new, new_leaf, AtFlags::empty());
            errno.into()
        })
    }

    /// Makes durable which files are in the folder `name` below `root`, that
    /// itself where it is empty. A missing one holds none.
    pub(in super::super) fn sync_folder(root: &Path, name: &Path) -> Result<(), Fault> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = if name.as_os_str().is_empty() {
            rustix::fs::open(root, flags, Mode::empty())
        } else {
            match folder_of(root, name, false) {
                Ok((folder, leaf)) => {
                    openat(&folder, leaf, flags | OFlags::NOFOLLOW, Mode::empty())
                }
                Err(Fault::Io(error)) if is_missing(&error) => return Ok(()),
                Err(fault) => return Err(fault),
            }
        };
        match opened.and_then(|folder| rustix::fs::fsync(&folder)) {
            // Missing, not for us to read, or of a file system without.
            Ok(()) | Err(Errno::NOENT | Errno::ACCESS | Errno::INVAL | Errno::NOTSUP) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn check_kind(mode: rustix::fs::RawMode) -> Result<(), Fault> {
        match FileType::from_raw_mode(mode) {
            FileType::RegularFile => Ok(()),
            FileType::Symlink => Err(Fault::Symlink),
            _ => Err(Fault::NotAFile),
        }
    }

    /// Deletes the folder `name` below `root` if it is empty.
    pub(in super::super) fn remove_folder(root: &Path, name: &Path) -> Result<(), Fault> {
        let (folder, leaf) = folder_of(root, name, false)?;
        Ok(unlinkat(&folder, leaf, AtFlags::REMOVEDIR)?)
    }

    pub(in super::super) fn is_missing(error: &io::Error) -> bool {
        matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
        )
    }

    /// The folder that holds `name`, and the last part of `name` in it.
    pub(in super::super) fn folder_of<'a>(
        root: &Path,
        name: &'a Path,
        create: bool,
    ) -> Result<(OwnedFd, &'a OsStr), Fault> {
        let invalid = || Fault::Io(io::ErrorKind::InvalidFilename.into());
        let leaf = name.file_name().ok_or_else(invalid)?;
        let mut folder = match rustix::fs::open(root, FOLDER, Mode::empty()) {
            Err(Errno::NOENT) if create => {
                create_root(root)?;
                rustix::fs::open(root, FOLDER, Mode::empty())?
            }
            opened => opened?,
        };
        for part in name.parent().into_iter().flat_map(Path::iter) {
            folder = enter(&folder, part, create)?;
        }
        Ok((folder, leaf))
    }

    fn enter(folder: &OwnedFd, part: &OsStr, create: bool) -> Result<OwnedFd, Fault> {
        let open = || openat(folder, part, FOLDER | OFlags::NOFOLLOW, Mode::empty());
        let opened = match open() {
            Err(Errno::NOENT) if create => {
                match mkdirat(folder, part, Mode::from_raw_mode(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => open(),
                    Err(errno) => Err(errno),
                }
            }
            opened => opened,
        };
        match opened {
            Err(Errno::NOTDIR | Errno::LOOP | Errno::MLINK) if is_symlink(folder, part) => {
                Err(Fault::Symlink)
            }
            opened => Ok(opened?),
        }
    }

    fn is_symlink(folder: &OwnedFd, part: &OsStr) -> bool {
        statat(folder, part, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
    }
}

/// Where there is no opening relative to a folder, every part is examined
/// before it is used. Somebody who can swap a folder for a link in between
/// can defeat that; on such systems making links needs privileges.
#[cfg(not(unix))]
mod fallback {
    use std::fs::{self, File, OpenOptions};
    use std::io;
    use std::path::{Path, PathBuf};

    use super::super::busy::{when_free, when_movable};
    use super::super::error::Fault;
    use super::super::move_windows::rename_new;
    use super::{Access, FileStat, create_root};

    /// Opens the file `name` below `root`.
    pub(in super::super) fn open(root: &Path, name: &Path, access: Access) -> Result<File, Fault> {
        let path = root.join(name);
        if access.writes() {
            create_root(root)?;
            create_folders(root, name)?;
        }
        if let Some(found) = examine(root, name)?
            && !found.is_file()
        {
            return Err(Fault::NotAFile);
        }
        let mut options = OpenOptions::new();
        options.read(true);
        match access {
            Access::Read => {}
            Access::Sync => _ = options.write(true),
            Access::Write | Access::WriteProgram => _ = options.write(true).create(true),
            Access::CreateNew => _ = options.write(true).create_new(true),
        }
        match when_free(|| options.open(&path)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Fault::Exists),
            opened => Ok(opened?),
        }
    }

    /// Length and time of the file `name` below `root`; `None` where there is
    /// no such file.
    pub(in super::super) fn stat(root: &Path, name: &Path) -> Result<Option<FileStat>, Fault> {
        let found = match examine(root, name) {
            Err(Fault::Io(error)) if error.kind() == io::ErrorKind::NotADirectory => None,
            found => found?,
        };
        match found {
            None => Ok(None),
            Some(found) if found.is_file() => Ok(Some(FileStat {
                length: found.len(),
                modified: found
                    .modified()
                    .ok()
                    .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
                    .map_or(0, |since| {
                        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
                    }),
            })),
            Some(_) => Err(Fault::NotAFile),
        }
    }

    /// Deletes the regular file `name` below `root`. A missing one is fine.
    pub(in super::super) fn remove_file(root: &Path, name: &Path) -> Result<(), Fault> {
        if stat(root, name)?.is_some() {
            let path = root.join(name);
            when_movable(|| fs::remove_file(&path))?;
        }
        Ok(())
    }

    /// Gives the file `from` (root and name) the place `to`, whose folders are
    /// created where missing. Something else in that place is an error.
    pub(in super::super) fn rename(from: (&Path, &Path), to: (&Path, &Path)) -> Result<(), Fault> {
        if stat(from.0, from.1)?.is_none() {
            return Err(io::Error::from(io::ErrorKind::NotFound).into());
        }
        let (old, new) = (from.0.join(from.1), to.0.join(to.1));
        // Upper and lower case may be the same name.
        let lower = |path: &Path| path.to_string_lossy().to_lowercase();
        let same = lower(&old) == lower(&new);
        if stat(to.0, to.1)?.is_some() {
            return match same {
                true => Ok(when_movable(|| fs::rename(&old, &new))?),
                false => Err(Fault::Exists),
            };
        }
        create_root(to.0)?;
        create_folders(to.0, to.1)?;
        match when_movable(|| rename_new(&old, &new)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Fault::Exists),
            renamed => Ok(renamed?),
        }
    }

    /// Folders cannot be synced here; renames are durable without.
    pub(in super::super) fn sync_folder(_: &Path, _: &Path) -> Result<(), Fault> {
        Ok(())
    }

    /// Deletes the folder `name` below `root` if it is empty.
    pub(in super::super) fn remove_folder(root: &Path, name: &Path) -> Result<(), Fault> {
        if examine(root, name)?.is_some() {
            fs::remove_dir(root.join(name))?;
        }
        Ok(())
    }

    fn no_folder() -> Fault {
        Fault::Io(io::ErrorKind::NotADirectory.into())
    }

    fn create_folders(root: &Path, name: &Path) -> Result<(), Fault> {
        let mut path = PathBuf::new();
        for part in name.parent().into_iter().flat_map(Path::iter) {
            path.push(part);
            match examine(root, &path)? {
                Some(found) if found.is_dir() => continue,
                Some(_) => return Err(no_folder()),
                None => {}
            }
            match fs::create_dir(root.join(&path)) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(error.into());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What `name` is, or `None` where it does not exist. Something else than a
    /// folder on the way is an error, which Windows itself does not tell from a
    /// missing folder.
    fn examine(root: &Path, name: &Path) -> Result<Option<fs::Metadata>, Fault> {
        let mut path = root.to_owned();
        let mut found: Option<fs::Metadata> = None;
        for part in name.iter() {
            if found.is_some_and(|above| !above.is_dir()) {
                return Err(no_folder());
            }
            path.push(part);
            match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_symlink() => return Err(Fault::Symlink),
                Ok(metadata) => found = Some(metadata),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::super::error::Fault;
    use super::*;

    #[test]
    fn folders_are_created_and_nothing_is_truncated() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("new/root");
        let name = Path::new("a/b/file");
        assert!(open(&root, name, Access::Read).is_err());
        assert_eq!(length(&root, name).unwrap(), None);
        drop(open(&root, name, Access::Write).unwrap());
        std::fs::write(root.join(name), b"abc").unwrap();
        drop(open(&root, name, Access::Write).unwrap());
        assert_eq!(length(&root, name).unwrap(), Some(3));
    }

    #[test]
    fn links_are_refused_wherever_they_lie_below_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("victim"), b"victim").unwrap();
        let real = dir.path().join("real");
        std::fs::create_dir(&real).unwrap();
        // The root may be a link.
        let root = dir.path().join("root");
        symlink(&real, &root).unwrap();
        symlink(&outside, root.join("folder")).unwrap();
        symlink(outside.join("victim"), root.join("leaf")).unwrap();
        symlink(outside.join("new"), root.join("dangling")).unwrap();
        for name in ["folder/victim", "folder/new", "leaf", "dangling"] {
            let name = Path::new(name);
            for access in [Access::Read, Access::Write] {
                assert!(matches!(open(&root, name, access), Err(Fault::Symlink)));
            }
            assert!(matches!(length(&root, name), Err(Fault::Symlink)));
            assert!(matches!(remove_file(&root, name), Err(Fault::Symlink)));
            assert!(remove_folder(&root, name).is_err());
        }
        assert!(open(&root, Path::new("own"), Access::Write).is_ok());
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
        assert!(real.join("own").exists());
    }

    #[test]
    fn only_regular_files_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("folder")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            dir.path().join("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        for name in ["folder", "pipe"] {
            let name = Path::new(name);
            assert!(matches!(
                open(dir.path(), name, Access::Read),
                Err(Fault::NotAFile)
            ));
            assert!(open(dir.path(), name, Access::Write).is_err());
            assert!(matches!(length(dir.path(), name), Err(Fault::NotAFile)));
            assert!(remove_file(dir.path(), name).is_err());
        }
    }

    #[test]
    fn a_rename_replaces_nothing_however_it_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for name in ["a", "b"] {
            std::fs::write(root.join(name), name).unwrap();
        }
        let [a, b, c] = ["a", "b", "c/c"].map(Path::new);
        let reserved = |from: &Path, to: &Path| {
            let (old, old_leaf) = folder_of(root, from, false)?;
            let (new, new_leaf) = folder_of(root, to, true)?;
            unix::rename_reserved(&old, old_leaf, &new, new_leaf)
        };
        assert!(matches!(rename((root, a), (root, b)), Err(Fault::Exists)));
        assert!(matches!(reserved(a, b), Err(Fault::Exists)));
        assert_eq!(std::fs::read(root.join(b)).unwrap(), b"b");
        reserved(a, c).unwrap();
        rename((root, c), (root, a)).unwrap();
        assert_eq!(std::fs::read(root.join(a)).unwrap(), b"a");
        // What could not be renamed leaves no empty file.
        assert!(reserved(Path::new("none"), c).is_err());
        assert!(!root.join(c).exists());
        // Two names of one file are two files all the same.
        std::fs::hard_link(root.join(a), root.join("link")).unwrap();
        let link = Path::new("link");
        assert!(matches!(
            rename((root, a), (root, link)),
            Err(Fault::Exists)
        ));
    }

    #[test]
    fn a_folder_goes_only_when_it_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let (name, folder) = (Path::new("t/a/1"), Path::new("t/a"));
        drop(open(dir.path(), name, Access::Write).unwrap());
        assert!(remove_folder(dir.path(), folder).is_err());
        remove_file(dir.path(), name).unwrap();
        remove_file(dir.path(), name).unwrap();
        remove_folder(dir.path(), folder).unwrap();
        assert!(!dir.path().join("t/a").exists() && dir.path().join("t").exists());
    }
}
