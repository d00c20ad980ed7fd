//! Why a file operation failed, in terms that a user can act on.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use torrent_core::ids::FileIndex;

use super::busy::is_busy;
use crate::operation::Operation;

/// What was being done when a storage error came up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskOp {
    /// Opening an existing file or folder.
    Open,
    /// Creating a file or its folders.
    Create,
    /// Reading file contents.
    Read,
    /// Writing file contents.
    Write,
    /// Asking for a file's length.
    Stat,
    /// Deleting a file or folder.
    Delete,
    /// Making what was written durable.
    Sync,
    /// Getting a file its room on the disk.
    Allocate,
    /// Giving a file another name.
    Rename,
    /// Moving a file to another folder.
    Move,
    /// Making a symbolic link.
    Link,
}

impl DiskOp {
    fn verb(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Create => "create",
            Self::Read => "read",
            Self::Write => "write",
            Self::Stat => "examine",
            Self::Delete => "delete",
            Self::Sync => "sync",
            Self::Allocate => "allocate",
            Self::Rename => "rename",
            Self::Move => "move",
            Self::Link => "make the link",
        }
    }

    /// What libtorrent calls it.
    pub(crate) fn operation(self) -> Operation {
        match self {
            Self::Open | Self::Create => Operation::FileOpen,
            Self::Read => Operation::FileRead,
            Self::Write => Operation::FileWrite,
            Self::Stat => Operation::FileStat,
            Self::Delete => Operation::FileRemove,
            Self::Sync => Operation::File,
            Self::Allocate => Operation::FileAllocate,
            Self::Rename | Self::Move => Operation::FileRename,
            Self::Link => Operation::Symlink,
        }
    }
}

/// What kind of error it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskErrorKind {
    /// The disk is full or a quota is used up (ENOSPC, EDQUOT).
    NoSpace,
    /// The user may not do that (EACCES, EPERM).
    PermissionDenied,
    /// The file system is mounted read-only (EROFS).
    ReadOnly,
    /// The file would grow beyond what the file system or a limit allows (EFBIG).
    FileTooLarge,
    /// The device failed (EIO and the like).
    Device,
    /// Too many files are open in this process or system (EMFILE, ENFILE).
    TooManyOpenFiles,
    /// The system is out of memory (ENOMEM).
    NoMemory,
    /// The file or folder does not exist.
    NotFound,
    /// A part of the path is a file where a folder is needed.
    NotADirectory,
    /// The path names a folder, a device or a pipe where a file is needed.
    NotAFile,
    /// Something is in the place where a file should go.
    Exists,
    /// A name is too long or not valid on this file system.
    BadName,
    /// A symbolic link is on the path, below the save path.
    Symlink,
    /// The file ends before the bytes that were asked for.
    ShortFile,
    /// The bytes asked for are not inside one piece, or exceed a read job.
    OutOfRange,
    /// The storage has been closed, or is about to be.
    Closed,
    /// A piece that was taken on trust is not what it should be.
    WrongHash,
    /// Another torrent uses the file too.
    InUse,
    /// The folder of the files, which was there, is gone, or another one is in
    /// its place.
    FolderGone,
    /// Something else; the message says what.
    Other,
}

/// A storage error: what was done to which file, and what went wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot {verb} {path}: {message}", verb = .op.verb(), path = .path.display())]
pub struct DiskError {
    /// What was being done.
    pub op: DiskOp,
    /// The kind of error.
    pub kind: DiskErrorKind,
    /// The torrent's file that was concerned, where it was one file.
    pub file: Option<FileIndex>,
    /// The full path concerned.
    pub path: PathBuf,
    /// The system's message for it, or ours.
    pub message: String,
    /// The system's error number, where it gave one.
    pub os_code: Option<i32>,
    /// When it happened: an old error says nothing about a cause that has
    /// been put right since.
    pub at: Instant,
}

impl DiskError {
    /// Whether the system was short of something for the moment: the same may
    /// work at any time, and neither files nor device are at fault.
    pub fn is_transient(&self) -> bool {
        self.kind.is_shortage()
    }

    /// Whether the bytes are simply not there.
    pub fn is_absence(&self) -> bool {
        matches!(
            self.kind,
            DiskErrorKind::NotFound
                | DiskErrorKind::NotADirectory
                | DiskErrorKind::NotAFile
                | DiskErrorKind::Symlink
                | DiskErrorKind::ShortFile
                | DiskErrorKind::FolderGone
        )
    }

    pub(super) fn new(op: DiskOp, file: Option<FileIndex>, path: &Path, fault: Fault) -> Self {
        let (kind, os_code) = match &fault {
            Fault::Io(error) => (kind_of(error), error.raw_os_error()),
            Fault::Symlink => (DiskErrorKind::Symlink, None),
            Fault::Exists => (DiskErrorKind::Exists, None),
            Fault::UnsafeName => (DiskErrorKind::BadName, None),
            Fault::BadCopy => (DiskErrorKind::Device, None),
            Fault::NotAFile => (DiskErrorKind::NotAFile, None),
            Fault::Short => (DiskErrorKind::ShortFile, None),
            Fault::OutOfRange => (DiskErrorKind::OutOfRange, None),
            Fault::WrongHash => (DiskErrorKind::WrongHash, None),
            Fault::Closed | Fault::CutShort => (DiskErrorKind::Closed, None),
            Fault::InUse(_) => (DiskErrorKind::InUse, None),
            Fault::FolderGone => (DiskErrorKind::FolderGone, None),
        };
        Self {
            op,
            kind,
            file,
            path: path.to_owned(),
            message: match &fault {
                Fault::Io(error) if is_busy(error) => {
                    format!("another program has the file open ({error})")
                }
                fault => fault.to_string(),
            },
            os_code,
            at: Instant::now(),
        }
    }
}

/// What went wrong, before it is known in which file.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("a symbolic link lies on the way, and links below the save path are not followed")]
    Symlink,
    #[error("not a regular file")]
    NotAFile,
    #[error("something is there already")]
    Exists,
    #[error("not a plain path below the save path")]
    UnsafeName,
    #[error("the copy is not what was written")]
    BadCopy,
    #[error("the file is shorter than the torrent says")]
    Short,
    #[error("these bytes are not inside one piece or exceed one read")]
    OutOfRange,
    #[error("the storage is closed")]
    Closed,
    #[error("the piece does not match its hash")]
    WrongHash,
    #[error("the work was cut short")]
    CutShort,
    #[error("{0} uses it too, and so it is only read")]
    InUse(String),
    #[error("the folder, in which there were files, is missing")]
    FolderGone,
}

impl Fault {
    /// Whether the system was short of something for the moment.
    pub(super) fn is_shortage(&self) -> bool {
        matches!(self, Self::Io(error) if is_shortage(error))
    }
}

/// Whether the system was short of something for the moment: the same may work
/// at any time.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    kind_of(error).is_shortage()
}

impl DiskErrorKind {
    fn is_shortage(self) -> bool {
        matches!(self, Self::TooManyOpenFiles | Self::NoMemory)
    }
}

#[cfg(unix)]
impl From<rustix::io::Errno> for Fault {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Io(errno.into())
    }
}

fn kind_of(error: &io::Error) -> DiskErrorKind {
    use io::ErrorKind;
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::MFILE | Errno::NFILE) => return DiskErrorKind::TooManyOpenFiles,
            Some(Errno::NOMEM | Errno::NOBUFS) => return DiskErrorKind::NoMemory,
            Some(Errno::IO | Errno::NXIO | Errno::NODEV) => return DiskErrorKind::Device,
            Some(Errno::LOOP) => return DiskErrorKind::Symlink,
            _ => {}
        }
    }
    #[cfg(windows)]
    match error.raw_os_error() {
        // ERROR_TOO_MANY_OPEN_FILES
        Some(4) => return DiskErrorKind::TooManyOpenFiles,
        // ERROR_NO_SYSTEM_RESOURCES, ERROR_NONPAGED_SYSTEM_RESOURCES,
        // ERROR_PAGED_SYSTEM_RESOURCES
        Some(1450 | 1451 | 1452) => return DiskErrorKind::NoMemory,
        // ERROR_CRC, ERROR_IO_DEVICE
        Some(23 | 1117) => return DiskErrorKind::Device,
        // ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION
        Some(32 | 33) => return DiskErrorKind::PermissionDenied,
        _ => {}
    }
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => DiskErrorKind::NoSpace,
        ErrorKind::PermissionDenied => DiskErrorKind::PermissionDenied,
        ErrorKind::ReadOnlyFilesystem => DiskErrorKind::ReadOnly,
        ErrorKind::FileTooLarge => DiskErrorKind::FileTooLarge,
        ErrorKind::OutOfMemory => DiskErrorKind::NoMemory,
        ErrorKind::NotFound => DiskErrorKind::NotFound,
        ErrorKind::AlreadyExists => DiskErrorKind::Exists,
        ErrorKind::NotADirectory => DiskErrorKind::NotADirectory,
        ErrorKind::IsADirectory => DiskErrorKind::NotAFile,
        ErrorKind::InvalidFilename => DiskErrorKind::BadName,
        _ => DiskErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_names_deed_path_and_cause() {
        let error = DiskError::new(
            DiskOp::Write,
            Some(FileIndex(3)),
            Path::new("/games/a.bin"),
            Fault::Io(io::Error::from(io::ErrorKind::StorageFull)),
        );
        assert_eq!(error.kind, DiskErrorKind::NoSpace);
        assert_eq!(
            error.to_string(),
            "cannot write /games/a.bin: no storage space"
        );
    }

    #[cfg(unix)]
    #[test]
    fn errnos_have_their_kind() {
        use rustix::io::Errno;
        for (errno, kind) in [
            (Errno::NOSPC, DiskErrorKind::NoSpace),
            (Errno::DQUOT, DiskErrorKind::NoSpace),
            (Errno::ACCESS, DiskErrorKind::PermissionDenied),
            (Errno::PERM, DiskErrorKind::PermissionDenied),
            (Errno::ROFS, DiskErrorKind::ReadOnly),
            (Errno::FBIG, DiskErrorKind::FileTooLarge),
            (Errno::IO, DiskErrorKind::Device),
            (Errno::MFILE, DiskErrorKind::TooManyOpenFiles),
            (Errno::NFILE, DiskErrorKind::TooManyOpenFiles),
            (Errno::NOMEM, DiskErrorKind::NoMemory),
            (Errno::NOTDIR, DiskErrorKind::NotADirectory),
            (Errno::ISDIR, DiskErrorKind::NotAFile),
            (Errno::NAMETOOLONG, DiskErrorKind::BadName),
            (Errno::LOOP, DiskErrorKind::Symlink),
        ] {
            assert_eq!(kind_of(&errno.into()), kind, "{errno:?}");
        }
    }
}
