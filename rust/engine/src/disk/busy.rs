//! Files that another program has open. Windows lets a program keep all others
//! from opening, renaming or deleting a file meanwhile; virus scanners and search
//! indexes do that for a moment with every file that was just written. So what
//! fails for that reason is tried again for about half a second.

use std::io;
use std::time::Duration;

/// How often work is tried again.
const RETRIES: u32 = 6;

/// The wait before the first retry; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(8);

/// Whether another program has the file open and lets others do nothing with it.
pub(super) fn is_busy(error: &io::Error) -> bool {
    const SHARING_VIOLATION: i32 = 32;
    const LOCK_VIOLATION: i32 = 33;
    cfg!(windows)
        && matches!(
            error.raw_os_error(),
            Some(SHARING_VIOLATION | LOCK_VIOLATION)
        )
}

/// Does work on a file, again while that is busy. Blocks the thread.
pub(crate) fn when_free<T>(work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    again_while(is_busy, work)
}

/// Renames or deletes a file, again while it or the one to be replaced is busy:
/// Windows may also report that as missing permissions. Blocks the thread.
pub(crate) fn when_movable<T>(work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let may_be_busy = |error: &io::Error| {
        cfg!(windows) && error.kind() == io::ErrorKind::PermissionDenied || is_busy(error)
    };
    again_while(may_be_busy, work)
}

fn again_while<T>(
    is_busy: impl Fn(&io::Error) -> bool,
    mut work: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    for retry in 0..RETRIES {
        match work() {
            Err(error) if is_busy(&error) => std::thread::sleep(FIRST_WAIT * (1 << retry)),
            outcome => return outcome,
        }
    }
    work()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_tried_again_until_it_succeeds_or_fails_otherwise() {
        let is_busy = |error: &io::Error| error.kind() == io::ErrorKind::ResourceBusy;
        for (failing, last, tries) in [(0, Ok(()), 1), (3, Ok(()), 4), (2, Err(()), 3)] {
            let mut calls = 0;
            let outcome = again_while(is_busy, || {
                calls += 1;
                match calls > failing {
                    true => last.map_err(|()| io::ErrorKind::NotFound.into()),
                    false => Err(io::ErrorKind::ResourceBusy.into()),
                }
            });
            assert_eq!(
                outcome.map_err(|error| error.kind()),
                last.map_err(|()| io::ErrorKind::NotFound)
            );
            assert_eq!(calls, tries);
        }
        let mut calls = 0;
        let outcome: io::Result<()> = again_while(is_busy, || {
            calls += 1;
            Err(io::ErrorKind::ResourceBusy.into())
        });
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        assert_eq!(calls, RETRIES + 1);
    }
}
