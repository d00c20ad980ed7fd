//! Writes a torrent file whole or not at all: under another name beside where
//! it goes, and then in its place.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::disk::when_movable;

/// Names that are tried, where others are taken.
const MAX_NAMES: u32 = 1000;

/// Makes `data` the contents of `path`; on an error what was there stays.
pub(super) fn whole(path: &Path, data: &[u8]) -> io::Result<()> {
    let (mut file, unfinished) = begin(path)?;
    let written = file
        .write_all(data)
        .and_then(|()| file.sync_all())
        .and_then(|()| when_movable(|| fs::rename(&unfinished, path)));
    if written.is_err() {
        // The first error is the one that counts.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

/// A new file beside `path`, under a name that nothing had.
fn begin(path: &Path) -> io::Result<(File, PathBuf)> {
    let mut number = 0;
    loop {
        let mut name = OsString::from(path);
        name.push(format!(".{}.{number}.unfinished", std::process::id()));
        match File::create_new(&name) {
            // Left by a process that was killed, or not ours.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < MAX_NAMES => {
                number += 1;
            }
            made => return Ok((made?, name.into())),
        }
    }
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
        // A file that is not ours has the other name.
        let name = format!("a.torrent.{}.0.unfinished", std::process::id());
        let other = folder.file(&name, b"other");
        whole(&path, b"again").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"again");
        assert_eq!(fs::read(&other).unwrap(), b"other");
        fs::remove_file(other).unwrap();
        // A folder is in the way.
        let taken = folder.0.join("taken");
        fs::create_dir_all(taken.join("x")).unwrap();
        assert!(whole(&taken, b"data").is_err());
        assert!(whole(&folder.0.join("no/such/folder"), b"data").is_err());
        let left = fs::read_dir(&folder.0).unwrap().count();
        assert_eq!(left, 2, "something unfinished was left");
    }
}
