//! Every part of a path is opened relative to the folder before it.

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
use super::{Access, FileStat};

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

/// Gives the file `from` (root and name) the place `to`, whose folders below
/// the root are created where missing. Something else in that place is an error.
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
            Ok((folder, leaf)) => openat(&folder, leaf, flags | OFlags::NOFOLLOW, Mode::empty()),
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

/// The folder that holds `name`, and the last part of `name` in it. Folders
/// below `root` are made where they are missing if `create`; `root` itself never
/// is (see `root`).
pub(in super::super) fn folder_of<'a>(
    root: &Path,
    name: &'a Path,
    create: bool,
) -> Result<(OwnedFd, &'a OsStr), Fault> {
    let invalid = || Fault::Io(io::ErrorKind::InvalidFilename.into());
    let leaf = name.file_name().ok_or_else(invalid)?;
    let mut folder = rustix::fs::open(root, FOLDER, Mode::empty())?;
    for part in name.parent().into_iter().flat_map(Path::iter) {
        folder = enter(&folder, part, create)?;
    }
    Ok((folder, leaf))
}

fn enter(folder: &OwnedFd, part: &OsStr, create: bool) -> Result<OwnedFd, Fault> {
    let open = || openat(folder, part, FOLDER | OFlags::NOFOLLOW, Mode::empty());
    let opened = match open() {
        Err(Errno::NOENT) if create => match mkdirat(folder, part, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => open(),
            Err(errno) => Err(errno),
        },
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
