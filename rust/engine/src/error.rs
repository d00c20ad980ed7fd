//! The one public error, and the one table of its kinds. The numbers are
//! stable: Godot's constants, the JSON-RPC shim's codes and the documentation
//! all come from here.

use std::borrow::Cow;
use std::fmt;

use torrent_core::create::CreateError;
use torrent_core::ip_filter::FilterError;
use torrent_core::magnet::MagnetError;
use torrent_core::metainfo::MetainfoError;
use torrent_core::resume::ResumeError;
use torrent_core::session_state::SessionStateError;
use torrent_core::settings::SettingsError;

use crate::operation::Operation;

/// What part of the library an error concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum ErrorCategory {
    /// No error.
    None = 0,
    /// The session as a whole.
    Session = 1,
    /// One torrent.
    Torrent = 2,
    /// Sockets.
    Network = 3,
    /// Files and folders.
    Storage = 4,
    /// Data that cannot be read.
    Parse = 5,
    /// A wrong argument.
    Validation = 6,
    /// Trackers.
    Tracker = 7,
    /// The distributed hash table.
    Dht = 8,
    /// Peers.
    Peer = 9,
    /// A fault of the library itself.
    Internal = 10,
}

macro_rules! kinds {
    ($( $variant:ident = $code:literal, $name:literal, $category:ident, $recoverable:literal, $message:literal; )*) => {
        /// What went wrong. The discriminant is the stable code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(i32)]
        pub enum ErrorKind {
            $( #[doc = $message] $variant = $code, )*
        }

        impl ErrorKind {
            /// Every kind, in the order of the codes.
            pub const ALL: &[ErrorKind] = &[ $( Self::$variant, )* ];

            /// The constant's name, as in `TorrentError` of the Godot API.
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => $name, )* }
            }

            /// What the error concerns.
            pub const fn category(self) -> ErrorCategory {
                match self { $( Self::$variant => ErrorCategory::$category, )* }
            }

            /// Whether trying again, perhaps after a correction, can help.
            pub const fn is_recoverable(self) -> bool {
                match self { $( Self::$variant => $recoverable, )* }
            }

            /// What it means, in short.
            pub const fn message(self) -> &'static str {
                match self { $( Self::$variant => $message, )* }
            }
        }
    };
}

kinds! {
    Ok = 0, "OK", None, true, "no error";
    SessionNotRunning = 100, "SESSION_NOT_RUNNING", Session, true, "the session is not running";
    SessionAlreadyRunning = 101, "SESSION_ALREADY_RUNNING", Session, true, "the session is already running";
    SessionStartFailed = 102, "SESSION_START_FAILED", Session, true, "the session could not be started";
    SessionStopFailed = 103, "SESSION_STOP_FAILED", Session, false, "the session could not be stopped in order";
    InvalidTorrentHandle = 200, "INVALID_TORRENT_HANDLE", Torrent, false, "the torrent is no longer part of the session";
    InvalidTorrentFile = 201, "INVALID_TORRENT_FILE", Torrent, false, "not a valid torrent file";
    InvalidMagnetUri = 202, "INVALID_MAGNET_URI", Torrent, false, "not a valid magnet URI";
    TorrentAddFailed = 203, "TORRENT_ADD_FAILED", Torrent, true, "the torrent could not be added";
    TorrentRemoveFailed = 204, "TORRENT_REMOVE_FAILED", Torrent, true, "the torrent could not be removed";
    TorrentNotFound = 205, "TORRENT_NOT_FOUND", Torrent, false, "no such torrent";
    NoMetadata = 206, "NO_METADATA", Torrent, true, "the torrent's metadata is not known yet";
    NetworkInitFailed = 300, "NETWORK_INIT_FAILED", Network, true, "the network could not be set up";
    PortBindingFailed = 301, "PORT_BINDING_FAILED", Network, true, "the port could not be bound";
    ConnectionFailed = 302, "CONNECTION_FAILED", Network, true, "the connection failed";
    Timeout = 303, "TIMEOUT", Network, true, "it took too long";
    InvalidPath = 400, "INVALID_PATH", Storage, false, "not a usable path";
    PathNotFound = 401, "PATH_NOT_FOUND", Storage, true, "no such file or folder";
    PermissionDenied = 402, "PERMISSION_DENIED", Storage, true, "permission denied";
    DiskFull = 403, "DISK_FULL", Storage, true, "no space left";
    StorageMoveFailed = 404, "STORAGE_MOVE_FAILED", Storage, true, "the files could not be moved";
    FileRenameFailed = 405, "FILE_RENAME_FAILED", Storage, true, "the file could not be renamed";
    BencodeParseError = 500, "BENCODE_PARSE_ERROR", Parse, false, "not valid bencoding";
    TorrentInfoParseError = 501, "TORRENT_INFO_PARSE_ERROR", Parse, false, "not a valid info dictionary";
    ResumeDataParseError = 502, "RESUME_DATA_PARSE_ERROR", Parse, false, "not valid resume data";
    DhtStateParseError = 503, "DHT_STATE_PARSE_ERROR", Parse, false, "not a valid DHT state";
    InvalidParameter = 600, "INVALID_PARAMETER", Validation, false, "not a valid argument";
    EmptySavePath = 601, "EMPTY_SAVE_PATH", Validation, false, "the save path is empty";
    InvalidPieceIndex = 602, "INVALID_PIECE_INDEX", Validation, false, "no such piece";
    InvalidFileIndex = 603, "INVALID_FILE_INDEX", Validation, false, "no such file in the torrent";
    InvalidPriority = 604, "INVALID_PRIORITY", Validation, false, "a priority is a number from 0 to 7";
    InvalidUrl = 605, "INVALID_URL", Validation, false, "not a valid URL";
    WrongThread = 606, "WRONG_THREAD", Validation, true, "only the main thread may call this: use call_deferred()";
    TrackerAnnounceFailed = 700, "TRACKER_ANNOUNCE_FAILED", Tracker, true, "the announce failed";
    TrackerScrapeFailed = 701, "TRACKER_SCRAPE_FAILED", Tracker, true, "the scrape failed";
    TrackerInvalidResponse = 702, "TRACKER_INVALID_RESPONSE", Tracker, true, "the tracker's reply makes no sense";
    DhtStartFailed = 800, "DHT_START_FAILED", Dht, true, "the DHT could not be started";
    DhtBootstrapFailed = 801, "DHT_BOOTSTRAP_FAILED", Dht, true, "the DHT found no nodes";
    PeerConnectionFailed = 900, "PEER_CONNECTION_FAILED", Peer, true, "the peer could not be reached";
    PeerBanned = 901, "PEER_BANNED", Peer, false, "the peer is banned";
    InternalException = 1000, "INTERNAL_EXCEPTION", Internal, false, "a fault of the library";
    UnknownError = 1001, "UNKNOWN_ERROR", Internal, false, "an unknown error";
}

impl ErrorKind {
    /// The stable code.
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// The kind with this code.
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| i64::from(kind.code()) == code)
    }
}

/// An error of the library: its kind, what it was about, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
    context: String,
    operation: Operation,
}

/// What most calls return.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of `kind` with the kind's own text.
    pub fn new(kind: ErrorKind) -> Self {
        Self {
            kind,
            message: Cow::Borrowed(kind.message()),
            context: String::new(),
            operation: Operation::Unknown,
        }
    }

    /// An error of `kind` with a more precise text.
    pub fn because(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            context: String::new(),
            operation: Operation::Unknown,
        }
    }

    /// Names what the error was about: a path, an address, a torrent.
    #[must_use]
    pub fn about(mut self, context: impl Into<String>) -> Self {
        self.context = context.into();
        self
    }

    /// Names what was being done.
    #[must_use]
    pub fn during(mut self, operation: Operation) -> Self {
        self.operation = operation;
        self
    }

    /// An error of the file system about `path`.
    pub fn from_io(error: &std::io::Error, path: &std::path::Path) -> Self {
        Self::because(storage_kind(error.kind()), error.to_string())
            .about(path.display().to_string())
    }

    /// Its kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The stable code of its kind.
    pub fn code(&self) -> i32 {
        self.kind.code()
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What was being done, where that is known.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// What it was about; may be empty.
    pub fn context(&self) -> &str {
        &self.context
    }
}

/// The kind for a failed file operation.
pub fn storage_kind(kind: std::io::ErrorKind) -> ErrorKind {
    use std::io::ErrorKind as Io;
    match kind {
        Io::NotFound => ErrorKind::PathNotFound,
        Io::PermissionDenied | Io::ReadOnlyFilesystem => ErrorKind::PermissionDenied,
        Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => ErrorKind::DiskFull,
        _ => ErrorKind::InvalidPath,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.context.is_empty() {
            write!(f, " ({})", self.context)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<SettingsError> for Error {
    fn from(error: SettingsError) -> Self {
        Self::because(ErrorKind::InvalidParameter, error.to_string())
    }
}

impl From<CreateError> for Error {
    fn from(error: CreateError) -> Self {
        Self::because(ErrorKind::InvalidParameter, error.to_string())
    }
}

impl From<FilterError> for Error {
    fn from(error: FilterError) -> Self {
        Self::because(ErrorKind::InvalidParameter, error.to_string())
    }
}

impl From<MetainfoError> for Error {
    fn from(error: MetainfoError) -> Self {
        Self::because(ErrorKind::InvalidTorrentFile, error.to_string())
    }
}

impl From<ResumeError> for Error {
    fn from(error: ResumeError) -> Self {
        Self::because(ErrorKind::ResumeDataParseError, error.to_string())
    }
}

impl From<SessionStateError> for Error {
    fn from(error: SessionStateError) -> Self {
        Self::because(ErrorKind::BencodeParseError, error.to_string())
    }
}

impl From<MagnetError> for Error {
    fn from(error: MagnetError) -> Self {
        Self::because(ErrorKind::InvalidMagnetUri, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_name_their_category() {
        for (at, kind) in ErrorKind::ALL.iter().enumerate() {
            assert_eq!(ErrorKind::from_code(i64::from(kind.code())), Some(*kind));
            assert!(
                ErrorKind::ALL[..at]
                    .iter()
                    .all(|other| other.code() < kind.code())
            );
            assert_eq!(kind.code() / 100, kind.category() as i32, "{}", kind.name());
        }
    }

    #[test]
    fn display_names_the_reason_and_the_thing() {
        let error = Error::because(ErrorKind::DiskFull, "no space left").about("/save/a.bin");
        assert_eq!(error.to_string(), "no space left (/save/a.bin)");
    }
}
