//! Files that have several names: hard links.

use std::path::Path;

/// By what a file is known whatever its names are: the device, and the number
/// that the file has there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileId(u64, u64);

/// Which file `name` below `root` is, if it is one that has other names too.
#[cfg(unix)]
pub(crate) fn linked(root: &Path, name: &Path) -> Option<FileId> {
    use rustix::fs::{AtFlags, FileType, statat};

    use super::path::folder_of;

    let (folder, leaf) = folder_of(root, name, false).ok()?;
    let stat = statat(&folder, leaf, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    #[allow(clippy::unnecessary_cast, reason = "the types differ between systems")]
    let id = FileId(stat.st_dev as u64, stat.st_ino as u64);
    (is_file && stat.st_nlink > 1).then_some(id)
}

/// Which file `name` below `root` is, if it is one that has other names too.
#[cfg(windows)]
pub(crate) fn linked(root: &Path, name: &Path) -> Option<FileId> {
    use std::os::windows::io::AsRawHandle;

    use windows_sys::Win32::Storage::FileSystem::{
        BY_HANDLE_FILE_INFORMATION, GetFileInformationByHandle,
    };

    use super::path::{Access, open};

    let file = open(root, name, Access::Read).ok()?;
    let mut found = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the handle is open as long as `file` lives, and `found` is what
    // the call fills.
    #[allow(unsafe_code, reason = "no safe wrapper of this call is well kept")]
    let known = unsafe { GetFileInformationByHandle(file.as_raw_handle(), &raw mut found) };
    let index = u64::from(found.nFileIndexHigh) << 32 | u64::from(found.nFileIndexLow);
    let id = FileId(found.dwVolumeSerialNumber.into(), index);
    (known != 0 && found.nNumberOfLinks > 1).then_some(id)
}

/// The system does not say which files are one.
#[cfg(not(any(unix, windows)))]
pub(crate) fn linked(_: &Path, _: &Path) -> Option<FileId> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_names_of_one_file_are_known_as_such() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        let id = |name: &str| linked(dir.path(), Path::new(name));
        assert_eq!([id("a"), id("none"), id(".")], [None; 3]);
        std::fs::create_dir(dir.path().join("folder")).unwrap();
        std::fs::hard_link(dir.path().join("a"), dir.path().join("folder/d")).unwrap();
        assert!(id("a").is_some());
        assert_eq!(id("a"), id("folder/d"));
        assert_eq!([id("b"), id("folder")], [None; 2]);
        std::fs::hard_link(dir.path().join("b"), dir.path().join("e")).unwrap();
        assert_ne!(id("a"), id("b"));
    }
}
