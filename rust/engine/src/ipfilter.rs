//! IP filters from files.

use std::io::Read;
use std::path::Path;

pub use torrent_core::ipfilter::{IpFilter, IpRange, Loaded};

use crate::error::{Error, ErrorKind, Result};

/// Bytes of a filter file that are read, at most.
pub const MAX_FILTER_FILE: u64 = 128 * 1024 * 1024;

/// Adds the ranges of a list (eMule, PeerGuardian, or a rule a line) to
/// `filter`. Reads the whole file, so it takes a moment.
///
/// # Errors
///
/// The file cannot be read, is larger than [`MAX_FILTER_FILE`], or is a
/// broken binary list.
pub fn load_filter(filter: &mut IpFilter, path: &Path) -> Result<Loaded> {
    let about = |error: Error| error.about(path.display().to_string());
    let failed = |error: std::io::Error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::PathNotFound,
            std::io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
            _ => ErrorKind::InvalidPath,
        };
        about(Error::because(kind, error.to_string()))
    };
    let wrong = |reason: String| about(Error::because(ErrorKind::InvalidParameter, reason));
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut list = Vec::new();
    file.take(MAX_FILTER_FILE + 1)
        .read_to_end(&mut list)
        .map_err(failed)?;
    if list.len() as u64 > MAX_FILTER_FILE {
        return Err(wrong(format!("more than {MAX_FILTER_FILE} bytes")));
    }
    filter.load(&list).map_err(|error| wrong(error.to_string()))
}
