//! The folders that torrents of a session wait for: their files were there, and
//! the folder is missing or empty, as a mount point without its disk. No other
//! torrent makes such a folder, or one below it: its files would be on another
//! disk, and hidden when the right one is back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::canonical::real;
use super::names::fold;
use super::root::is_empty;

/// The folders, each with the numbers of those that wait for it.
#[derive(Debug, Default)]
pub(crate) struct AwaitedFolders(Mutex<Awaited>);

#[derive(Debug, Default)]
struct Awaited {
    last: u64,
    folders: BTreeMap<PathBuf, BTreeSet<u64>>,
}

/// That a torrent waits for its folder, or is about to look for it.
#[derive(Debug)]
pub(crate) struct AwaitedFolder {
    all: Arc<AwaitedFolders>,
    number: u64,
}

/// What a folder is known by.
fn key(folder: &Path) -> PathBuf {
    match cfg!(any(windows, target_os = "macos")) {
        true => fold(folder).into(),
        false => folder.to_owned(),
    }
}

impl AwaitedFolders {
    /// Waits for a folder, until what is returned is dropped. The disk is not
    /// looked at.
    pub(crate) fn wait_for(self: &Arc<Self>, folder: &Path) -> AwaitedFolder {
        let mut awaited = self.0.lock();
        awaited.last += 1;
        let number = awaited.last;
        let waiting = awaited.folders.entry(key(folder)).or_default();
        waiting.insert(number);
        AwaitedFolder {
            all: Arc::clone(self),
            number,
        }
    }

    /// Whether a folder, or one above it, is missing or empty and another
    /// torrent than `own` waits for it. Looks at the disk.
    pub(crate) fn is_awaited(&self, folder: &Path, own: Option<&AwaitedFolder>) -> bool {
        if self.0.lock().folders.is_empty() {
            return false;
        }
        let own = own.map(|own| own.number);
        [folder.to_owned(), real(folder)]
            .iter()
            .flat_map(|path| path.ancestors())
            .filter(|path| self.has_other(path, own))
            .any(|path| !path.is_dir() || is_empty(path).unwrap_or(true))
    }

    fn has_other(&self, folder: &Path, own: Option<u64>) -> bool {
        let awaited = self.0.lock();
        let mut waiting = awaited.folders.get(&key(folder)).into_iter().flatten();
        waiting.any(|&number| Some(number) != own)
    }
}

impl AwaitedFolder {
    /// Waits for the place that the folder's path leads to as well. Looks at
    /// the disk.
    pub(crate) fn wait_for_real(&self, folder: &Path) {
        let real = real(folder);
        let mut awaited = self.all.0.lock();
        let waiting = awaited.folders.entry(key(&real)).or_default();
        waiting.insert(self.number);
    }
}

impl Drop for AwaitedFolder {
    fn drop(&mut self) {
        let mut awaited = self.all.0.lock();
        awaited.folders.retain(|_, waiting| {
            waiting.remove(&self.number);
            !waiting.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_awaited_while_it_is_missing_or_empty() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("games");
        let below = folder.join("mods/one");
        let all = Arc::new(AwaitedFolders::default());
        assert!(!all.is_awaited(&folder, None));
        let first = all.wait_for(&folder);
        for _ in 0..2 {
            assert!(all.is_awaited(&folder, None) && all.is_awaited(&below, None));
            assert!(!all.is_awaited(dir.path(), None), "it is above");
            assert!(!all.is_awaited(&folder, Some(&first)));
            // As a mount point.
            std::fs::create_dir_all(&folder).unwrap();
        }
        let second = all.wait_for(&folder);
        assert!(all.is_awaited(&folder, Some(&first)));
        drop(second);
        std::fs::write(folder.join("file"), b"").unwrap();
        assert!(!all.is_awaited(&folder, None), "it is back");
        std::fs::remove_file(folder.join("file")).unwrap();
        assert!(all.is_awaited(&folder, None));
        drop(first);
        assert!(!all.is_awaited(&folder, None));
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_is_awaited_by_the_place_that_its_path_leads_to() {
        let dir = tempfile::tempdir().unwrap();
        let (link, folder) = (dir.path().join("link"), dir.path().join("disk/games"));
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        let all = Arc::new(AwaitedFolders::default());
        let waiting = all.wait_for(&link);
        waiting.wait_for_real(&link);
        assert!(all.is_awaited(&real(&folder), None));
        let all = Arc::new(AwaitedFolders::default());
        let _waiting = all.wait_for(&real(&folder));
        assert!(all.is_awaited(&link, None));
    }
}
