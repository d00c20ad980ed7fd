//! Files with holes. Elsewhere any file may have them; on Windows it has to be
//! marked so, or the first block at the end of a file fills all of it before
//! with zeros, on the disk and while the worker waits.

use std::fs::File;

/// Lets a new file have holes. Where the file system has no such thing, it is
/// an ordinary file as before.
#[cfg(windows)]
pub(super) fn allow_holes(file: &File) {
    use std::os::windows::io::AsRawHandle;
    use std::ptr::{null, null_mut};

    use windows_sys::Win32::System::IO::DeviceIoControl;
    use windows_sys::Win32::System::Ioctl::FSCTL_SET_SPARSE;

    if !file.metadata().is_ok_and(|found| found.len() == 0) {
        return;
    }
    let mut returned = 0;
    // SAFETY: the handle is open as long as `file` is borrowed; this request
    // reads no input and writes no output, for which there are none, and
    // `returned` outlives the call, which is not overlapped.
    #[allow(unsafe_code, reason = "no safe wrapper of this request is well kept")]
    let marked = unsafe {
        DeviceIoControl(
            file.as_raw_handle(),
            FSCTL_SET_SPARSE,
            null(),
            0,
            null_mut(),
            0,
            &raw mut returned,
            null_mut(),
        )
    };
    if marked == 0 {
        let error = std::io::Error::last_os_error();
        tracing::debug!(%error, "a file cannot have holes");
    }
}

/// Any file may have holes here.
#[cfg(not(windows))]
pub(super) fn allow_holes(_: &File) {}
