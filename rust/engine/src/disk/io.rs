//! Positioned reads and writes that finish or fail.

use std::fs::File;
use std::io::{self, IoSlice};

use super::error::Fault;

/// The most buffers that one vectored write takes (IOV_MAX on Linux, macOS
/// and the BSDs).
#[cfg(unix)]
const MAX_SLICES: usize = 1024;

/// Writes all of `slices`, one after the other, from `offset` on.
#[cfg(unix)]
pub(super) fn write_all_at(
    file: &File,
    mut slices: &mut [IoSlice<'_>],
    mut offset: u64,
) -> Result<(), Fault> {
    while !slices.is_empty() {
        let batch = &slices[..slices.len().min(MAX_SLICES)];
        match rustix::io::pwritev(file, batch, offset) {
            Ok(0) => return Err(Fault::Io(io::ErrorKind::WriteZero.into())),
            Ok(written) => {
                offset += written as u64;
                IoSlice::advance_slices(&mut slices, written);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Writes all of `slices`, one after the other, from `offset` on.
#[cfg(windows)]
pub(super) fn write_all_at(
    file: &File,
    slices: &mut [IoSlice<'_>],
    mut offset: u64,
) -> Result<(), Fault> {
    use std::os::windows::fs::FileExt;
    for slice in slices {
        let mut rest: &[u8] = slice;
        while !rest.is_empty() {
            match file.seek_write(rest, offset) {
                Ok(0) => return Err(Fault::Io(io::ErrorKind::WriteZero.into())),
                Ok(written) => {
                    offset += written as u64;
                    rest = &rest[written..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// Fills `buffer` from `offset` on. A file that ends before that is
/// [`Fault::Short`].
pub(super) fn read_exact_at(
    file: &File,
    mut buffer: &mut [u8],
    mut offset: u64,
) -> Result<(), Fault> {
    while !buffer.is_empty() {
        #[cfg(unix)]
        let read = std::os::unix::fs::FileExt::read_at(file, buffer, offset);
        #[cfg(windows)]
        let read = std::os::windows::fs::FileExt::seek_read(file, buffer, offset);
        match read {
            Ok(0) => return Err(Fault::Short),
            Ok(read) => {
                offset += read as u64;
                buffer = &mut buffer[read..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Windows says so when the read starts past the end.
            #[cfg(windows)]
            Err(error) if error.raw_os_error() == Some(38) => return Err(Fault::Short),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Gets the file room for `length` bytes, and that length. What is in it stays.
/// Where the file system cannot reserve room the file gets its length alone.
pub(super) fn allocate(file: &File, length: u64) -> Result<(), Fault> {
    if file.metadata()?.len() >= length {
        return Ok(());
    }
    #[cfg(unix)]
    {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        loop {
            match fallocate(file, FallocateFlags::empty(), 0, length) {
                Ok(()) => break,
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => break,
                Err(errno) => return Err(errno.into()),
            }
        }
    }
    if file.metadata()?.len() < length {
        file.set_len(length)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_slices_than_one_call_takes_are_all_written() {
        let file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..5000u32).map(|at| at as u8).collect();
        let mut slices: Vec<_> = bytes.chunks(2).map(IoSlice::new).collect();
        write_all_at(&file, &mut slices, 3).unwrap();
        let mut back = vec![0; 5000];
        read_exact_at(&file, &mut back, 3).unwrap();
        assert_eq!(back, bytes);
        assert!(matches!(
            read_exact_at(&file, &mut back, 4),
            Err(Fault::Short)
        ));
    }
}
