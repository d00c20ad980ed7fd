//! Writing small files so that a crash at any moment leaves the old contents
//! or the new ones, never half: temporary file, sync, rename, sync of the
//! folder. And reading them back, whatever became of them meanwhile.
//!
//! Only regular files are read, replaced and deleted. A pipe would keep the
//! reader waiting, a link or a folder is not of the engine's making: they are
//! left alone, or put aside where they stand in the way.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::faults::{FileOp, StateFaults};
use crate::disk::{when_free, when_movable};

/// Names that are tried for a temporary file: one may be taken by something
/// that cannot be deleted.
const TEMPORARIES: usize = 4;

/// Names under which something is put aside.
const ASIDE: usize = 8;

/// `path` with something after its name.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// `path` with `suffix`, and with a number after that from the second on.
fn numbered(path: &Path, suffix: &str, count: usize) -> impl Iterator<Item = PathBuf> {
    (0..count).map(move |number| match number {
        0 => with_suffix(path, suffix),
        number => with_suffix(path, &format!("{suffix}{number}")),
    })
}

/// Where the contents before the present ones are kept.
pub(super) fn previous(path: &Path) -> PathBuf {
    with_suffix(path, ".old")
}

/// Where `data` is written before it takes the place of `path`.
fn temporaries(path: &Path) -> impl Iterator<Item = PathBuf> {
    numbered(path, ".tmp", TEMPORARIES)
}

/// What stands at a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FoundFile {
    Nothing,
    File,
    Other,
}

fn look(path: &Path) -> io::Result<FoundFile> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(FoundFile::File),
        Ok(_) => Ok(FoundFile::Other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(FoundFile::Nothing),
        Err(error) => Err(error),
    }
}

/// Makes `data` the contents of `path`. With `keep` what was there before
/// becomes [`previous`], so that at any moment at least one of them is whole.
pub(super) fn replace(
    faults: &StateFaults,
    path: &Path,
    data: &[u8],
    keep: bool,
) -> io::Result<()> {
    let temporary = write_temporary(faults, path, data)?;
    let placed = put_in_place(faults, &temporary, path, keep);
    if placed.is_err() {
        // What is not in its place takes no space; failing at that too
        // changes nothing.
        let _ = fs::remove_file(&temporary);
    }
    placed?;
    sync_folder(faults, path)
}

fn write_temporary(faults: &StateFaults, path: &Path, data: &[u8]) -> io::Result<PathBuf> {
    let (temporary, mut file) = create_temporary(faults, path)?;
    let written = faults
        .strike(FileOp::Write, &temporary)
        .and_then(|()| file.write_all(data))
        .and_then(|()| faults.strike(FileOp::Sync, &temporary))
        .and_then(|()| file.sync_all());
    drop(file);
    match written {
        Ok(()) => Ok(temporary),
        Err(error) => {
            let _ = fs::remove_file(&temporary);
            Err(error)
        }
    }
}

fn create_temporary(faults: &StateFaults, path: &Path) -> io::Result<(PathBuf, File)> {
    let mut outcome = Err(io::ErrorKind::AlreadyExists.into());
    for temporary in temporaries(path) {
        // Left by a process that died. What cannot be deleted shows below.
        let _ = remove(faults, &temporary);
        // A new one: neither a link nor a pipe is opened.
        let created = faults.strike(FileOp::Create, &temporary).and_then(|()| {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            when_free(|| options.open(&temporary))
        });
        match created {
            Ok(file) => return Ok((temporary, file)),
            Err(error) => {
                // On Windows a file that another program holds and that is
                // deleted meanwhile denies access.
                let taken = matches!(
                    error.kind(),
                    io::ErrorKind::AlreadyExists | io::ErrorKind::PermissionDenied
                );
                outcome = Err(error);
                if !taken {
                    break;
                }
            }
        }
    }
    outcome
}

fn put_in_place(faults: &StateFaults, temporary: &Path, path: &Path, keep: bool) -> io::Result<()> {
    match look(path)? {
        FoundFile::File if keep => {
            let kept = faults
                .strike(FileOp::Rename, path)
                .and_then(|()| when_movable(|| fs::rename(path, previous(path))));
            if let Err(error) = kept {
                // Something stands there. The new contents take their place
                // at once all the same.
                tracing::warn!(path = %path.display(), %error, "the contents before are not kept");
            }
        }
        FoundFile::Other => put_aside(faults, path)?,
        FoundFile::File | FoundFile::Nothing => {}
    }
    faults.strike(FileOp::Rename, temporary)?;
    when_movable(|| fs::rename(temporary, path))
}

/// Deletes a file that may be missing. What is no file is left alone.
pub(super) fn remove(faults: &StateFaults, path: &Path) -> io::Result<()> {
    if look(path)? != FoundFile::File {
        return Ok(());
    }
    faults.strike(FileOp::Remove, path)?;
    absent_is_fine(when_movable(|| fs::remove_file(path)))
}

/// Deletes all that [`replace`] may have left of a path.
pub(super) fn remove_all(faults: &StateFaults, path: &Path) -> io::Result<()> {
    remove(faults, path)?;
    remove(faults, &previous(path))?;
    temporaries(path).try_for_each(|temporary| remove(faults, &temporary))
}

/// Puts aside what makes no sense, for a human to look at.
pub(super) fn put_aside(faults: &StateFaults, path: &Path) -> io::Result<()> {
    faults.strike(FileOp::Rename, path)?;
    let is_file = look(path)? == FoundFile::File;
    let mut outcome = Ok(());
    for aside in numbered(path, ".bad", ASIDE) {
        match look(&aside)? {
            FoundFile::Nothing => {}
            // The latest is enough.
            FoundFile::File if is_file => {}
            FoundFile::File | FoundFile::Other => continue,
        }
        outcome = absent_is_fine(when_movable(|| fs::rename(path, &aside)));
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// The contents of a file of at most `limit` bytes; `None` where there is no
/// such file.
pub(super) fn read(faults: &StateFaults, path: &Path, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let opened = faults.strike(FileOp::Read, path).and_then(|()| open(path));
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut data = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut data)?;
    if data.len() > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("more than {limit} bytes"),
        ));
    }
    Ok(Some(data))
}

fn no_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")
}

/// Opens a regular file for reading, without ever waiting for what is none.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use rustix::fs::{FileType, Mode, OFlags, fstat};
    use rustix::io::Errno;

    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => file,
        // FreeBSD says MLINK, and every other system LOOP, of a link; NXIO is
        // said of a socket.
        Err(Errno::LOOP | Errno::MLINK | Errno::NXIO) => return Err(no_file()),
        Err(errno) => return Err(errno.into()),
    };
    if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::RegularFile {
        return Err(no_file());
    }
    Ok(File::from(file))
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    match look(path)? {
        FoundFile::File => when_free(|| File::open(path)),
        FoundFile::Nothing => Err(io::ErrorKind::NotFound.into()),
        FoundFile::Other => Err(no_file()),
    }
}

/// Opens the file of a lock, which is created if it is missing; what stands
/// there instead of a file is an error.
pub(super) fn open_lock(path: &Path) -> io::Result<File> {
    if look(path)? == FoundFile::Other {
        return Err(no_file());
    }
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        // It may have become something else meanwhile.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        options.custom_flags(flags.bits().cast_signed());
    }
    when_free(|| options.open(path))
}

/// Makes renames and deletions in the folder of `path` durable.
pub(super) fn sync_folder(faults: &StateFaults, path: &Path) -> io::Result<()> {
    // Elsewhere a folder cannot be opened for that, and renames are durable
    // in their order.
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        faults.strike(FileOp::Sync, folder)?;
        File::open(folder)?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = (faults, path);
    Ok(())
}

fn absent_is_fine(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replace(path: &Path, data: &[u8], keep: bool) -> io::Result<()> {
        super::replace(&StateFaults::default(), path, data, keep)
    }

    fn read(path: &Path, limit: usize) -> io::Result<Option<Vec<u8>>> {
        super::read(&StateFaults::default(), path, limit)
    }

    #[test]
    fn the_contents_before_are_kept_when_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.resume");
        replace(&path, b"one", true).unwrap();
        assert!(!previous(&path).exists());
        replace(&path, b"two", true).unwrap();
        replace(&path, b"three", false).unwrap();
        assert_eq!(read(&path, 5).unwrap().unwrap(), b"three");
        assert_eq!(fs::read(previous(&path)).unwrap(), b"one");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        assert!(read(&path, 4).is_err());
        assert!(read(&dir.path().join("b"), 4).unwrap().is_none());
        for _ in 0..2 {
            remove_all(&StateFaults::default(), &path).unwrap();
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_cannot_be_written_leaves_the_old_contents_at_whatever_step_it_fails() {
        let ops = [FileOp::Create, FileOp::Write, FileOp::Sync, FileOp::Rename];
        for failing in ops {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a.resume");
            replace(&path, b"one", true).unwrap();
            let faults = StateFaults::new(move |op, path| {
                let is_temporary = path.extension().is_some_and(|it| it != "resume");
                match op == failing && is_temporary {
                    true => Err(io::ErrorKind::StorageFull.into()),
                    false => Ok(()),
                }
            });
            let error = super::replace(&faults, &path, b"two", true).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            let [now, before] = [path.clone(), previous(&path)].map(|it| read(&it, 3).unwrap());
            assert_eq!(now.or(before).unwrap(), b"one", "{failing:?}");
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "{failing:?}");
        }
    }

    #[test]
    fn what_cannot_be_deleted_keeps_nothing_from_being_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.resume");
        for folder in [".tmp", ".tmp1", ".old"] {
            fs::create_dir_all(with_suffix(&path, folder).join("below")).unwrap();
        }
        for data in [b"one", b"two"] {
            replace(&path, data, true).unwrap();
            assert_eq!(read(&path, 3).unwrap().unwrap(), data);
        }
        remove_all(&StateFaults::default(), &path).unwrap();
        assert!(previous(&path).join("below").exists(), "it is left alone");
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_regular_file_is_not_read_and_put_aside_when_it_is_in_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let made = std::process::Command::new("mkfifo")
            .arg(at("pipe"))
            .status();
        assert!(made.unwrap().success());
        fs::create_dir_all(at("folder/below")).unwrap();
        fs::write(at("target"), b"mine").unwrap();
        std::os::unix::fs::symlink(at("target"), at("link")).unwrap();
        for name in ["pipe", "folder", "link"] {
            let error = read(&at(name), 9).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name}: {error}");
            assert!(open_lock(&at(name)).is_err());
            fs::create_dir(at(name).with_extension("bad")).unwrap();
            replace(&at(name), b"new", true).unwrap();
            assert_eq!(read(&at(name), 3).unwrap().unwrap(), b"new");
            assert!(fs::symlink_metadata(at(name).with_extension("bad1")).is_ok());
        }
        assert!(at("folder.bad1/below").exists());
        assert_eq!(fs::read(at("target")).unwrap(), b"mine");
    }
}
