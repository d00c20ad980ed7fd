//! Writing small files so that a crash at any moment leaves the old contents
//! or the new ones, never half: temporary file, sync, rename, sync of the
//! folder. And reading them back, whatever somebody made of them.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// `path` with something after its name.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Where the contents before the present ones are kept.
pub(super) fn previous(path: &Path) -> PathBuf {
    with_suffix(path, ".old")
}

/// Where `data` is written before it takes the place of `path`.
fn temporary(path: &Path) -> PathBuf {
    with_suffix(path, ".tmp")
}

/// Makes `data` the contents of `path`. With `keep` what was there before
/// becomes [`previous`], so that at any moment at least one of them is whole.
pub(super) fn replace(path: &Path, data: &[u8], keep: bool) -> io::Result<()> {
    let temporary = temporary(path);
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(data)?;
        file.sync_all()
    });
    if let Err(error) = written {
        // What could not be written takes no space; failing at that too
        // changes nothing.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    if keep {
        absent_is_fine(fs::rename(path, previous(path)))?;
    }
    fs::rename(&temporary, path)?;
    sync_folder(path)
}

/// Deletes a file that may be missing.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    absent_is_fine(fs::remove_file(path))
}

/// Puts aside a file that makes no sense, for whoever wants to look at it.
pub(super) fn put_aside(path: &Path) -> io::Result<()> {
    absent_is_fine(fs::rename(path, with_suffix(path, ".bad")))
}

/// The contents of a file of at most `limit` bytes; `None` where there is no
/// such file.
pub(super) fn read(path: &Path, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
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

/// Makes renames and deletions in the folder of `path` durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    // Elsewhere a folder cannot be opened for that, and renames are durable
    // in their order.
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
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
        remove(&path).unwrap();
        remove(&path).unwrap();
    }

    #[test]
    fn what_cannot_be_written_leaves_the_old_contents() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.resume");
        replace(&path, b"one", true).unwrap();
        fs::create_dir(temporary(&path)).unwrap();
        assert!(replace(&path, b"two", true).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"one");
    }
}
