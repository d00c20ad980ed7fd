//! The pool of open files, one for all torrents: least recently used files
//! are closed to stay within `file_pool_size`. Workers (and reads from the
//! page cache) ask it for a file by torrent and index.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use torrent_core::ids::FileIndex;
use torrent_core::storage_backoff::FileLimit;

use super::counters::Counters;
use super::error::{DiskError, DiskOp, Fault};
use super::fault_injection::DiskFaults;
use super::file_storage::FileStorage;
use super::path::{self, Access};
use super::sparse::allow_holes;
use crate::status::OpenFile;

/// How often something is tried again when the process has no file descriptor
/// or memory left, after the pool has given up its own files. Sockets come and
/// go meanwhile.
const RETRIES: u32 = 5;

/// The wait before the first such retry; doubles with each.
const RETRY_WAIT: Duration = Duration::from_millis(2);

/// The open files.
pub(super) struct FilePool {
    open: Mutex<Open>,
    faults: Arc<DiskFaults>,
    counters: Arc<Counters>,
}

struct Open {
    files: HashMap<FileKey, PooledFile>,
    limit: FileLimit,
    /// Counts uses, to find the file that has been idle longest.
    clock: u64,
    no_atime: bool,
}

/// The storage's number and the file's index in it.
type FileKey = (u64, FileIndex);

struct PooledFile {
    file: Arc<File>,
    access: Access,
    used: u64,
    /// The time of that use.
    used_at: Instant,
    /// The clock when it was opened.
    opened: u64,
}

impl Open {
    /// How many files may be open now.
    fn room(&mut self) -> usize {
        self.limit.at(Instant::now())
    }

    /// The process has no file descriptor left: all files are given up.
    fn give_up(&mut self) -> HashMap<FileKey, PooledFile> {
        self.limit.shortage(Instant::now(), self.files.len());
        std::mem::take(&mut self.files)
    }

    fn take_least(&mut self, key: impl Fn(&PooledFile) -> u64) -> Option<Arc<File>> {
        let least = self.files.iter().min_by_key(|(_, entry)| key(entry));
        let least = least.map(|(&key, _)| key)?;
        self.files.remove(&least).map(|entry| entry.file)
    }

    fn find(&mut self, key: FileKey, access: Access) -> Option<Arc<File>> {
        self.clock += 1;
        let entry = self.files.get_mut(&key)?;
        if !entry.access.serves(access) {
            return None;
        }
        entry.used = self.clock;
        entry.used_at = Instant::now();
        Some(entry.file.clone())
    }

    /// Keeps `file`, unless another thread was faster with one that serves as
    /// well. Returns what is to be used, and what is to be closed.
    fn keep(
        &mut self,
        key: FileKey,
        access: Access,
        file: Arc<File>,
    ) -> (Arc<File>, Option<Arc<File>>) {
        if let Some(found) = self.find(key, access) {
            return (found, Some(file));
        }
        let mut closed = None;
        if !self.files.contains_key(&key) && self.files.len() >= self.room() {
            closed = self.take_least(|entry| entry.used);
        }
        let entry = PooledFile {
            file: file.clone(),
            access,
            used: self.clock,
            used_at: Instant::now(),
            opened: self.clock,
        };
        let replaced = self.files.insert(key, entry).map(|entry| entry.file);
        (file, closed.or(replaced))
    }
}

impl FilePool {
    /// A pool of up to `limit` open files, at least one.
    pub(super) fn new(limit: usize, faults: Arc<DiskFaults>, counters: Arc<Counters>) -> Self {
        Self {
            open: Mutex::new(Open {
                files: HashMap::new(),
                limit: FileLimit::new(limit),
                clock: 0,
                no_atime: false,
            }),
            faults,
            counters,
        }
    }

    /// A file of `storage`, opened where it is not open for that yet.
    pub(super) fn file(
        &self,
        storage: &FileStorage,
        index: FileIndex,
        access: Access,
    ) -> Result<Arc<File>, DiskError> {
        let key = (storage.id, index);
        if let Some(file) = self.open.lock().find(key, access) {
            Counters::add(&self.counters.pool_hits, 1);
            return Ok(file);
        }
        Counters::add(&self.counters.pool_misses, 1);
        let file = Arc::new(self.open_file(storage, index, access)?);
        let (file, closed) = self.open.lock().keep(key, access, file);
        // Closing may take its time; not under the lock.
        drop(closed);
        Ok(file)
    }

    /// A file of `storage` that can be read, if it is open.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(super) fn if_open(&self, storage: &FileStorage, index: FileIndex) -> Option<Arc<File>> {
        self.open.lock().find((storage.id, index), Access::Read)
    }

    /// Creates a file of `storage` where it is missing, and leaves it closed.
    pub(super) fn create(&self, storage: &FileStorage, index: FileIndex) -> Result<(), DiskError> {
        self.open_file(storage, index, Access::Write).map(drop)
    }

    fn open_file(
        &self,
        storage: &FileStorage,
        index: FileIndex,
        access: Access,
    ) -> Result<File, DiskError> {
        let op = match access {
            Access::Read | Access::Sync => DiskOp::Open,
            Access::Write | Access::WriteProgram | Access::CreateNew => DiskOp::Create,
        };
        let is_program = access == Access::Write && storage.spec.executables.contains(&index);
        let how = if is_program {
            Access::WriteProgram
        } else {
            access
        };
        if access.writes() {
            storage.make_root()?;
        }
        let file_paths = storage.file_paths();
        let opened = self.patiently(|| {
            let struck = self.faults.strike(op, index);
            struck.and_then(|()| path::open(&file_paths.root, file_paths.name(index), how))
        });
        let file = opened.map_err(|fault| storage.error(op, Some(index), fault))?;
        if access.writes() {
            storage.check_one_name(index)?;
        }
        if access.writes() && !storage.spec.allocate {
            allow_holes(&file);
        }
        if self.open.lock().no_atime {
            path::leave_atime(&file);
        }
        Ok(file)
    }

    /// Does what takes file descriptors or memory: where the system has none to
    /// give, the pool gives up its open files and it is tried again a few times.
    /// An attempt that fails must leave everything as it was.
    pub(super) fn patiently<T>(
        &self,
        mut attempt: impl FnMut() -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut retries = 0;
        loop {
            match attempt() {
                Err(fault) if fault.is_shortage() && retries < RETRIES => {}
                outcome => return outcome,
            }
            let closed = self.open.lock().give_up();
            drop(closed);
            if retries > 0 {
                std::thread::sleep(RETRY_WAIT * (1 << retries));
            }
            retries += 1;
        }
    }

    /// Takes another limit into use.
    pub(super) fn tune(&self, limit: usize, no_atime: bool) {
        let mut closed = Vec::new();
        let mut open = self.open.lock();
        open.no_atime = no_atime;
        open.limit = FileLimit::new(limit);
        while open.files.len() > open.room() {
            closed.extend(open.take_least(|entry| entry.used));
        }
        drop(open);
        drop(closed);
    }

    /// Closes the file that has been open longest.
    pub(super) fn close_oldest(&self) {
        let closed = self.open.lock().take_least(|entry| entry.opened);
        drop(closed);
    }

    /// Closes a file of `storage`.
    pub(super) fn close(&self, storage: &FileStorage, index: FileIndex) {
        let closed = self.open.lock().files.remove(&(storage.id, index));
        drop(closed);
    }

    /// Closes every file of `storage`.
    pub(super) fn close_all(&self, storage: &FileStorage) {
        let closed: Vec<_> = {
            let mut open = self.open.lock();
            open.files
                .extract_if(|key, _| key.0 == storage.id)
                .collect()
        };
        drop(closed);
    }

    /// The open files of `storage`, in the order of the files.
    pub(super) fn open_of(&self, storage: &FileStorage) -> Vec<OpenFile> {
        let open = self.open.lock();
        let own = open.files.iter().filter(|(key, _)| key.0 == storage.id);
        let mut files: Vec<OpenFile> = own
            .map(|((_, file), entry)| OpenFile {
                file_index: file.0,
                open_mode: match entry.access {
                    Access::Read | Access::Sync => 0,
                    Access::Write | Access::WriteProgram | Access::CreateNew => 2,
                },
                last_use: entry.used_at.elapsed().as_secs(),
            })
            .collect();
        files.sort_unstable_by_key(|file| file.file_index);
        files
    }

    /// How many files are open.
    pub(super) fn len(&self) -> usize {
        self.open.lock().files.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_that_had_to_give_up_its_files_keeps_fewer() {
        let pool = FilePool::new(40, Arc::default(), Arc::default());
        let mut open = pool.open.lock();
        let file = Arc::new(tempfile::tempfile().unwrap());
        let fill = |open: &mut Open| {
            for index in 0..50 {
                open.keep((1, FileIndex(index)), Access::Read, Arc::clone(&file));
            }
            open.files.len()
        };
        assert_eq!(fill(&mut open), 40);
        assert_eq!(open.give_up().len(), 40);
        // Giving up nothing says nothing more.
        assert!(open.give_up().is_empty());
        assert_eq!(fill(&mut open), 20);
        open.give_up();
        assert_eq!(fill(&mut open), 10);
    }
}
