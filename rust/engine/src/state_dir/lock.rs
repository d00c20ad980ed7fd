//! The lock of a state directory: against other processes by the file `lock`,
//! and among the sessions of this process by a list, which also says whether
//! the session that has the folder is about to release it.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Result};

/// The folders that sessions of this process have or are about to take. Never
/// locked while the disk
/// is asked, which may hang.
static HELD: Mutex<Vec<Held>> = Mutex::new(Vec::new());

#[derive(Debug)]
struct Held {
    /// As an absolute path, and without symbolic links.
    names: [PathBuf; 2],
    ending: Ending,
}

/// An entry in that list, while this exists.
#[derive(Debug)]
struct Entry(Ending);

impl Entry {
    fn new(names: [PathBuf; 2], ending: Ending) -> Self {
        HELD.lock().push(Held {
            names,
            ending: ending.clone(),
        });
        Self(ending)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let is_this = |held: &Held| Arc::ptr_eq(&held.ending.0, &self.0.0);
        HELD.lock().retain(|held| !is_this(held));
    }
}

/// Whether the session that has a folder, or is about to take it, is ending.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ending(Arc<AtomicBool>);

impl Ending {
    /// It is, from now on.
    pub(crate) fn begin(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// The lock of a folder, given up when this is dropped.
#[derive(Debug)]
pub(super) struct FolderLock {
    file: File,
    // Goes when the file is unlocked.
    entry: Entry,
}

impl FolderLock {
    /// Locks a folder that exists, by its absolute path, for a session that says
    /// by `ending` when it ends.
    ///
    /// # Errors
    ///
    /// Another session has it, or its lock cannot be opened.
    pub(super) fn take(folder: &Path, ending: Ending) -> Result<Self> {
        let path = folder.join("lock");
        let about = |error: std::io::Error| Error::from_io(&error, &path);
        let file = super::files::open_lock(&path).map_err(about)?;
        let real = fs::canonicalize(folder).map_err(about)?;
        // Before the file is locked: who finds it locked finds the entry.
        let entry = Entry::new([folder.to_owned(), real], ending);
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::because(
                    ErrorKind::SessionStartFailed,
                    "another session uses the state directory",
                )
                .about(folder.display().to_string()));
            }
            Err(TryLockError::Error(error)) => return Err(about(error)),
        }
        Ok(Self { file, entry })
    }

    /// Where the end of the session is announced.
    pub(super) fn ending(&self) -> Ending {
        self.entry.0.clone()
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a child process that another thread
        // is just starting has it open too, until it runs its program.
        if let Err(error) = self.file.unlock() {
            tracing::warn!(%error, "the state directory stays locked for now");
        }
    }
}

/// Whether a session of this process has the folder of this name and is about
/// to end.
pub(super) fn is_ending(name: &Path) -> bool {
    let all = HELD.lock();
    let mut ending = all
        .iter()
        .filter(|held| held.ending.0.load(Ordering::Acquire));
    ending.any(|held| held.names.iter().any(|known| known == name))
}
