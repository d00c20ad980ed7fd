//! `TorrentError`: the engine's error in a script.

use std::borrow::Cow;

use godot::builtin::{GString, VarDictionary};
use godot::classes::{IRefCounted, RefCounted};
use godot::obj::{Base, Gd, NewGd};
use godot::register::{GodotClass, godot_api};
use torrent_engine::error::{Error, ErrorCategory, ErrorKind};

use crate::convert::{invalid, to_dictionary};
use crate::last_error;
use crate::live_objects::Alive;

/// What went wrong, as a number that stays the same, and as text.
///
/// ```gdscript
/// var handle := session.add_torrent_file(data, "user://downloads")
/// if handle == null:
///     var error := session.get_last_error()
///     if error.get_code() == TorrentError.INVALID_TORRENT_FILE:
///         show_message("This is not a torrent: " + error.get_message())
/// ```
///
/// The hundreds of a code are its category: 4xx is about files, 6xx about
/// arguments.
#[derive(GodotClass)]
#[class(base=RefCounted)]
pub(crate) struct TorrentError {
    error: Error,
    _alive: Alive,
}

impl TorrentError {
    pub(crate) fn of(error: Error) -> Gd<Self> {
        let mut object = Self::new_gd();
        object.bind_mut().error = error;
        object
    }
}

#[godot_api]
impl IRefCounted for TorrentError {
    fn init(base: Base<RefCounted>) -> Self {
        Self {
            error: Error::new(ErrorKind::Ok),
            _alive: Alive::new(&base),
        }
    }

    fn to_string(&self) -> GString {
        let code = self.error.kind().code();
        GString::from(&format!("TorrentError({code}: {})", self.error))
    }
}

macro_rules! error_class {
    (
        impl $class:ident {
            $($methods:tt)*
        }
        categories { $( $(#[$($category_doc:tt)*])+ $category:ident = $category_kind:ident; )* }
        codes { $( $(#[$($doc:tt)*])+ $code:ident = $kind:ident; )* }
    ) => {
        #[godot_api]
        impl $class {
            $(
                $(#[$($category_doc)*])+
                #[constant]
                const $category: i64 = ErrorCategory::$category_kind as i64;
            )*
            $(
                $(#[$($doc)*])+
                #[constant]
                const $code: i64 = ErrorKind::$kind.code() as i64;
            )*

            $($methods)*
        }

        #[cfg(test)]
        const NAMES: &[(&str, ErrorKind)] = &[ $( (stringify!($code), ErrorKind::$kind), )* ];
    };
}

error_class! {
    impl TorrentError {
        /// An error of one's own, with a code of this class. Without a message it carries
        /// the code's own text; the context names what it is about. Null for an unknown code.
        #[func]
        fn create(
            code: i64,
            #[opt(default = "")] message: GString,
            #[opt(default = "")] context: GString,
        ) -> Option<Gd<Self>> {
            let known = ErrorKind::from_code(code)
                .ok_or_else(|| invalid(format!("there is no error code {code}")));
            let kind = last_error::ok("TorrentError.create", known)?;
            let words = match message.is_empty() {
                true => Cow::Borrowed(kind.message()),
                false => Cow::Owned(message.to_string()),
            };
            Some(Self::of(Error::because(kind, words).about(context.to_string())))
        }

        /// One of this class's codes; [constant OK] when there is no error.
        #[func]
        fn get_code(&self) -> i64 {
            i64::from(self.error.code())
        }

        /// What part of the library the error concerns: [constant STORAGE_ERROR], …
        #[func]
        fn get_category(&self) -> i64 {
            self.error.kind().category() as i64
        }

        /// What is wrong, as text.
        #[func]
        fn get_message(&self) -> GString {
            GString::from(self.error.message())
        }

        /// What the error is about: a path, an address. May be empty.
        #[func]
        fn get_context(&self) -> GString {
            GString::from(self.error.context())
        }

        /// Whether this is an error at all.
        #[func]
        fn is_error(&self) -> bool {
            self.error.kind() != ErrorKind::Ok
        }

        /// Whether trying again, perhaps after a correction, can help.
        #[func]
        fn is_recoverable(&self) -> bool {
            self.error.kind().is_recoverable()
        }

        /// Everything by name: code, name, category, message, context, recoverable.
        #[func]
        fn to_dict(&self) -> VarDictionary {
            let kind = self.error.kind();
            to_dictionary(&[
                ("code".into(), self.error.code().into()),
                ("name".into(), kind.name().into()),
                ("category".into(), (kind.category() as i64).into()),
                ("message".into(), self.error.message().to_owned().into()),
                ("context".into(), self.error.context().to_owned().into()),
                ("recoverable".into(), kind.is_recoverable().into()),
            ])
        }
    }
    categories {
        /// No error.
        NONE = None;
        /// The session as a whole.
        SESSION_ERROR = Session;
        /// One torrent.
        TORRENT_ERROR = Torrent;
        /// Sockets.
        NETWORK_ERROR = Network;
        /// Files and folders.
        STORAGE_ERROR = Storage;
        /// Data that cannot be read.
        PARSE_ERROR = Parse;
        /// A wrong argument.
        VALIDATION_ERROR = Validation;
        /// Trackers.
        TRACKER_ERROR = Tracker;
        /// The distributed hash table.
        DHT_ERROR = Dht;
        /// Peers.
        PEER_ERROR = Peer;
        /// A fault of the library itself.
        INTERNAL_ERROR = Internal;
    }
    codes {
        /// No error.
        OK = Ok;
        /// The session is not running.
        SESSION_NOT_RUNNING = SessionNotRunning;
        /// The session is already running.
        SESSION_ALREADY_RUNNING = SessionAlreadyRunning;
        /// The session could not be started.
        SESSION_START_FAILED = SessionStartFailed;
        /// The session could not be stopped in order.
        SESSION_STOP_FAILED = SessionStopFailed;
        /// The torrent is no longer part of a session.
        INVALID_TORRENT_HANDLE = InvalidTorrentHandle;
        /// Not a valid torrent file.
        INVALID_TORRENT_FILE = InvalidTorrentFile;
        /// Not a valid magnet URI.
        INVALID_MAGNET_URI = InvalidMagnetUri;
        /// The torrent could not be added.
        TORRENT_ADD_FAILED = TorrentAddFailed;
        /// The torrent could not be removed.
        TORRENT_REMOVE_FAILED = TorrentRemoveFailed;
        /// No such torrent.
        TORRENT_NOT_FOUND = TorrentNotFound;
        /// The torrent's metadata is not known yet: a magnet link gets it from peers.
        NO_METADATA = NoMetadata;
        /// The network could not be set up.
        NETWORK_INIT_FAILED = NetworkInitFailed;
        /// The port could not be bound, usually because another program uses it.
        PORT_BINDING_FAILED = PortBindingFailed;
        /// The connection failed.
        CONNECTION_FAILED = ConnectionFailed;
        /// It took too long.
        TIMEOUT = Timeout;
        /// Not a usable path.
        INVALID_PATH = InvalidPath;
        /// No such file or folder.
        PATH_NOT_FOUND = PathNotFound;
        /// No permission to read or write it.
        PERMISSION_DENIED = PermissionDenied;
        /// No space left on the disk.
        DISK_FULL = DiskFull;
        /// The files could not be moved.
        STORAGE_MOVE_FAILED = StorageMoveFailed;
        /// The file could not be renamed.
        FILE_RENAME_FAILED = FileRenameFailed;
        /// Not valid bencoding, the form that torrent files are written in.
        BENCODE_PARSE_ERROR = BencodeParseError;
        /// The torrent's description makes no sense.
        TORRENT_INFO_PARSE_ERROR = TorrentInfoParseError;
        /// Not valid resume data.
        RESUME_DATA_PARSE_ERROR = ResumeDataParseError;
        /// Not a valid DHT state.
        DHT_STATE_PARSE_ERROR = DhtStateParseError;
        /// Not a valid argument.
        INVALID_PARAMETER = InvalidParameter;
        /// The save path is empty.
        EMPTY_SAVE_PATH = EmptySavePath;
        /// The torrent has no such piece.
        INVALID_PIECE_INDEX = InvalidPieceIndex;
        /// The torrent has no such file.
        INVALID_FILE_INDEX = InvalidFileIndex;
        /// A priority is a number from 0 to 7.
        INVALID_PRIORITY = InvalidPriority;
        /// Not a valid URL.
        INVALID_URL = InvalidUrl;
        /// Only the main thread may call this method: another one uses [code]call_deferred()[/code].
        WRONG_THREAD = WrongThread;
        /// The announce to the tracker failed.
        TRACKER_ANNOUNCE_FAILED = TrackerAnnounceFailed;
        /// Asking the tracker for its numbers failed.
        TRACKER_SCRAPE_FAILED = TrackerScrapeFailed;
        /// The tracker's reply makes no sense.
        TRACKER_INVALID_RESPONSE = TrackerInvalidResponse;
        /// The DHT could not be started.
        DHT_START_FAILED = DhtStartFailed;
        /// The DHT found no nodes.
        DHT_BOOTSTRAP_FAILED = DhtBootstrapFailed;
        /// The peer could not be reached.
        PEER_CONNECTION_FAILED = PeerConnectionFailed;
        /// The peer is banned.
        PEER_BANNED = PeerBanned;
        /// A fault of the library.
        INTERNAL_EXCEPTION = InternalException;
        /// An unknown error.
        UNKNOWN_ERROR = UnknownError;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_the_engine_has_its_constant() {
        let names: Vec<_> = ErrorKind::ALL
            .iter()
            .map(|kind| (kind.name(), *kind))
            .collect();
        assert_eq!(NAMES, names);
    }
}
