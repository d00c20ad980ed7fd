//! `TorrentHandle`: one torrent of a session.
mod files;
mod modes;
mod peers;
mod pieces;
mod queue;
mod resume;
mod trackers;
mod waits;

use std::net::SocketAddr;
use std::sync::Arc;

use godot::builtin::{AnyArray, Array, GString, PackedByteArray, PackedInt32Array, VarDictionary};
use godot::classes::{IRefCounted, RefCounted};
use godot::obj::{Base, Gd, NewGd};
use godot::register::{GodotClass, godot_api};
use torrent_engine::core::bitfield::Bitfield;
use torrent_engine::core::ids::TorrentKey;
use torrent_engine::error::{Error, ErrorKind, Result};
use torrent_engine::torrent::handle::TorrentHandle as Torrent;

use crate::cached_value::CachedValue;
use crate::convert::{self, invalid, to_int};
use crate::last_error::LastError;
use crate::live_objects::Alive;
use crate::paths;
use crate::peer_info::PeerInfo;
use crate::threads::{self, SharedField};
use crate::torrent_info::TorrentInfo;
use crate::torrent_status::TorrentStatus;

/// A torrent of a session: control it, ask it how it is doing, wait for it.
///
/// [method TorrentSession.add_torrent_file] returns one. The same torrent
/// always has the same handle, so signals can be connected once and handles
/// compared. A torrent that is added starts at once.
///
/// ```gdscript
/// var handle := session.add_torrent_file(data, "user://downloads")
/// handle.progress_changed.connect(func(progress): bar.value = progress)
/// var ok: bool = await handle.wait_finished()
/// ```
///
/// After the torrent was removed, or its session stopped, the handle is no
/// longer valid: it still returns what was last known, but takes no more
/// commands.
#[derive(GodotClass)]
#[class(base=RefCounted)]
pub(crate) struct TorrentHandle {
    torrent: Option<Torrent>,
    errors: LastError,
    /// The progress that was emitted last.
    reported_progress: SharedField<f64>,
    availability: CachedValue<Arc<Vec<u32>>, Array<i64>>,
    pieces: CachedValue<Arc<Bitfield>, PackedByteArray>,
    _alive: Alive,
    base: Base<RefCounted>,
}

#[godot_api]
impl IRefCounted for TorrentHandle {
    fn init(base: Base<RefCounted>) -> Self {
        Self {
            torrent: None,
            errors: LastError::default(),
            reported_progress: SharedField::default(),
            availability: CachedValue::default(),
            pieces: CachedValue::default(),
            _alive: Alive::new(&base),
            base,
        }
    }

    fn to_string(&self) -> GString {
        GString::from(&match &self.torrent {
            Some(torrent) if torrent.is_valid() => {
                format!("TorrentHandle({}, {})", torrent.name(), torrent.info_hash())
            }
            _ => "TorrentHandle(invalid)".to_owned(),
        })
    }
}

impl TorrentHandle {
    pub(crate) fn of(torrent: Torrent, errors: LastError) -> Gd<Self> {
        let mut object = Self::new_gd();
        {
            let mut handle = object.bind_mut();
            handle.torrent = Some(torrent);
            handle.errors = errors.of_torrent();
        }
        object
    }

    /// The engine's handle, unless a script made this object itself.
    pub(crate) fn torrent(&self) -> Result<&Torrent> {
        self.torrent
            .as_ref()
            .ok_or_else(|| Error::new(ErrorKind::InvalidTorrentHandle))
    }

    pub(crate) fn errors(&self) -> LastError {
        self.errors.clone()
    }

    /// Whether the torrent is part of a running session.
    pub(crate) fn is_in_session(&self) -> bool {
        self.torrent.as_ref().is_some_and(Torrent::is_valid)
    }

    /// Whether this is the object of `torrent`.
    pub(crate) fn is_of(&self, torrent: &Torrent) -> bool {
        self.torrent.as_ref() == Some(torrent)
    }

    /// The key of its torrent.
    pub(crate) fn key(&self) -> Option<TorrentKey> {
        self.torrent.as_ref().map(Torrent::key)
    }

    /// Remembers the progress; whether it is news.
    pub(crate) fn note_progress(&self, progress: f64) -> bool {
        self.reported_progress.replace(progress) != progress
    }

    /// The value of a success; a failure is reported and `None`.
    fn report<T>(&self, method: &str, result: Result<T>) -> Option<T> {
        self.errors.ok(&format!("TorrentHandle.{method}"), result)
    }

    /// The result of a call on the torrent; a failure is reported and `None`.
    fn call<T>(&self, method: &str, call: impl FnOnce(&Torrent) -> Result<T>) -> Option<T> {
        self.report(method, self.torrent().and_then(call))
    }

    /// Sends a command to the torrent, on the main thread alone; whether that worked.
    fn command(&self, method: &str, call: impl FnOnce(&Torrent) -> Result<()>) -> bool {
        let done = threads::require_main().and_then(|()| call(self.torrent()?));
        self.report(method, done).is_some()
    }

    /// Something that can always be read.
    fn read<T>(&self, method: &str, read: impl FnOnce(&Torrent) -> T) -> Option<T> {
        self.call(method, |torrent| Ok(read(torrent)))
    }
}

#[godot_api]
impl TorrentHandle {
    /// Everything wanted is complete and can be opened. Comes once; what waits for it is
    /// safer with [method wait_finished].
    #[signal]
    pub(crate) fn finished();

    /// The files are in another folder now, which [method move_storage] asked for.
    #[signal]
    pub(crate) fn storage_moved(path: GString);

    /// The files could not be moved, and are where they were.
    #[signal]
    pub(crate) fn storage_move_failed(message: GString);

    /// A file has another name now.
    #[signal]
    pub(crate) fn file_renamed(index: i64, name: GString);

    /// What [method save_resume_data] asked for.
    #[signal]
    pub(crate) fn resume_data_ready(data: PackedByteArray);

    /// Peers have sent the torrent's metadata: its files and pieces are known now.
    #[signal]
    pub(crate) fn metadata_received();

    /// The torrent does something else now: `STATE_` constants of [TorrentStatus].
    #[signal]
    pub(crate) fn state_changed(state: i64, previous: i64);

    /// The progress is another one, 0.0 to 1.0. A few times a second at most.
    #[signal]
    pub(crate) fn progress_changed(progress: f64);

    /// A piece was received and matches its hash. Comes once for each piece; when there are
    /// many, it may come after [signal finished], but not after the torrent was removed or its
    /// session stopped. See [signal pieces_finished].
    #[signal]
    pub(crate) fn piece_finished(index: i64);

    /// These pieces have been received since the last frame and match their hashes. Comes
    /// once a frame at most and before everything that follows from the pieces, such as
    /// [signal finished]; [signal piece_finished], which comes once for each, may come later
    /// when there are many.
    #[signal]
    pub(crate) fn pieces_finished(indices: PackedInt32Array);

    /// A file is complete.
    #[signal]
    pub(crate) fn file_completed(index: i64);

    /// The files that were found on disk are checked.
    #[signal]
    pub(crate) fn checked();

    /// A piece that [method read_piece] asked for; empty when it could not be read.
    #[signal]
    pub(crate) fn piece_read(index: i64, data: PackedByteArray);

    /// Something went wrong with the torrent.
    #[signal]
    pub(crate) fn error_occurred(message: GString);

    /// The torrent is out of the session, its files are closed.
    #[signal]
    pub(crate) fn removed();

    /// Whether the torrent is part of a running session.
    #[func]
    fn is_valid(&self) -> bool {
        self.is_in_session()
    }

    /// Stops all traffic of this torrent until [method resume], and takes it out of the
    /// queue's hands. With [param graceful] it takes in what peers have been asked for
    /// first: they are asked for nothing more, and each is left when its last block is
    /// here.
    #[func]
    fn pause(&self, #[opt(default = false)] graceful: bool) -> bool {
        self.command("pause", |torrent| {
            if graceful {
                torrent.pause_gracefully()
            } else {
                torrent.pause()
            }
        })
    }

    /// Goes on after [method pause].
    #[func]
    fn resume(&self) -> bool {
        self.command("resume", Torrent::resume)
    }

    /// Whether the torrent was paused by [method pause].
    #[func]
    fn is_paused(&self) -> bool {
        self.read("is_paused", Torrent::is_paused)
            .unwrap_or_default()
    }

    /// Hashes everything on disk again. [method wait_checked] waits until that is done.
    /// A torrent whose files are all gone is in error; this starts it anew, if its folder exists.
    #[func]
    fn force_recheck(&self) -> bool {
        self.command("force_recheck", Torrent::force_recheck)
    }

    /// Writes every complete piece to the files soon. Finished files are written anyway.
    #[func]
    fn flush_cache(&self) -> bool {
        self.command("flush_cache", Torrent::flush_cache)
    }

    /// Forgets the torrent's error and goes on. Where its files are all gone it looks for them again; [method force_recheck] starts anew without them.
    #[func]
    fn clear_error(&self) -> bool {
        self.command("clear_error", Torrent::clear_error)
    }

    /// The torrent's name.
    #[func]
    fn get_name(&self) -> GString {
        self.read("get_name", |torrent| GString::from(torrent.name()))
            .unwrap_or_default()
    }

    /// The torrent's info-hash, its name all over the world: 40 hexadecimal digits.
    #[func]
    fn get_info_hash(&self) -> GString {
        let hash = self.read("get_info_hash", |torrent| torrent.info_hash().to_string());
        hash.as_ref().map(GString::from).unwrap_or_default()
    }

    /// What the torrent consists of: files, pieces, trackers. Null until the
    /// metadata of a magnet link is known.
    #[func]
    fn get_torrent_info(&self) -> Option<Gd<TorrentInfo>> {
        self.read("get_torrent_info", |torrent| {
            torrent.metainfo().cloned().map(TorrentInfo::of)
        })
        .flatten()
    }

    /// How the torrent is doing. Costs microseconds; ask as often as you like.
    #[func]
    fn get_status(&self) -> Option<Gd<TorrentStatus>> {
        self.read("get_status", |torrent| TorrentStatus::of(torrent.status()))
    }

    /// A link that names this torrent and its trackers.
    #[func]
    fn get_magnet_uri(&self) -> GString {
        let uri = self.read("get_magnet_uri", |torrent| torrent.magnet_uri().to_string());
        uri.as_ref().map(GString::from).unwrap_or_default()
    }

    /// The torrent file, as it can be saved and given to others.
    #[func]
    fn get_torrent_file_data(&self) -> PackedByteArray {
        let data = self.call("get_torrent_file_data", Torrent::torrent_file_data);
        data.map(PackedByteArray::from).unwrap_or_default()
    }

    /// The folder that the torrent's files are in, as an absolute path.
    #[func]
    fn get_save_path(&self) -> GString {
        let path = self.read("get_save_path", |torrent| {
            torrent.save_path().display().to_string()
        });
        path.as_ref().map(GString::from).unwrap_or_default()
    }

    /// Unix time at which the torrent was added.
    #[func]
    fn get_added_time(&self) -> i64 {
        self.read("get_added_time", Torrent::added_time)
            .unwrap_or_default()
    }
}

fn endpoint(ip: &GString, port: i64) -> Result<SocketAddr> {
    let ip = convert::to_ip(ip)?;
    let port = u16::try_from(port)
        .map_err(|_| invalid(format!("a port is a number from 1 to 65535, not {port}")))?;
    Ok(SocketAddr::new(ip, port))
}
