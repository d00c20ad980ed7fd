//! Writes a torrent file whole or not at all: under another name beside where
//! it goes, and then in its place.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Makes `data` the contents of `path`; on an error what was there stays.
pub(super) fn whole(path: &Path, data: &[u8]) -> io::Result<()> {
    let unfinished = unfinished(path);
    let written = File::create(&unfinished)
        .and_then(|mut file| {
            file.write_all(data)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&unfinished, path));
    if written.is_err() {
        // It may never have come to be; the first error is the one that counts.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

/// The other name, which nobody else in this folder should have.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{}.unfinished", std::process::id()));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::create::tests::Folder;

    #[test]
    fn a_file_is_written_whole_or_not_at_all() {
        let folder = Folder::new("save");
        let path = folder.file("a.torrent", b"before");
        whole(&path, b"after").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"after");
        // A folder is in the way.
        let taken = folder.0.join("taken");
        fs::create_dir_all(taken.join("x")).unwrap();
        assert!(whole(&taken, b"data").is_err());
        assert!(whole(&folder.0.join("no/such/folder"), b"data").is_err());
        let left = fs::read_dir(&folder.0).unwrap().count();
        assert_eq!(left, 2, "something unfinished was left");
    }
}
