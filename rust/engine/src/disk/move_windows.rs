//! Renaming on Windows in one step that replaces nothing: the standard library
//! has only the one that replaces.

use std::io;
use std::os::windows::ffi::OsStrExt;
use std::path::Path;

use windows_sys::Win32::Storage::FileSystem::{MOVEFILE_WRITE_THROUGH, MoveFileExW};

/// Renames a file within a volume; returns when that is on the disk. What has
/// the name `to` already is an error, and so is another volume.
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    let (from, to) = (wide(from)?, wide(to)?);
    // SAFETY: both are strings that end with a NUL, and outlive the call.
    #[allow(unsafe_code, reason = "the standard library has no such rename")]
    let moved = unsafe { MoveFileExW(from.as_ptr(), to.as_ptr(), MOVEFILE_WRITE_THROUGH) };
    if moved == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// A path as Windows takes it. With the prefix it may be longer than 260 units,
/// which the standard library sees to elsewhere; it keeps all else from being
/// read into the path, so that has to be absolute and without `/` and `..`.
fn wide(path: &Path) -> io::Result<Vec<u16>> {
    let path = std::path::absolute(path)?;
    let mut units: Vec<u16> = path.as_os_str().encode_wide().collect();
    if units.contains(&0) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let slashes: Vec<u16> = r"\\".encode_utf16().collect();
    if !units.starts_with(&slashes) {
        units.splice(..0, r"\\?\".encode_utf16());
    } else if !matches!(units.get(2..4), Some([63 | 46, 92])) {
        // A share: neither `\\?\` nor `\\.\`.
        units.splice(..2, r"\\?\UNC\".encode_utf16());
    }
    units.push(0);
    Ok(units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_get_the_prefix_that_lets_them_be_long() {
        for (path, expected) in [
            (r"C:\a/b\..\c", r"\\?\C:\a\c"),
            (r"\\server\share\a", r"\\?\UNC\server\share\a"),
            (r"\\?\C:\a", r"\\?\C:\a"),
            (r"\\.\pipe\a", r"\\.\pipe\a"),
        ] {
            let mut units = wide(Path::new(path)).unwrap();
            assert_eq!(units.pop(), Some(0));
            assert_eq!(String::from_utf16(&units).unwrap(), expected);
        }
    }
}
