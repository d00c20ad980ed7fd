//! `TorrentSession`: the torrents of a game, and their network.
mod alerts;
mod dispatch;
mod ip_filter;
mod network;
mod persistence;
mod polling;
mod run;
mod settings;
mod torrents;
mod waits;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use godot::builtin::{AnyDictionary, Array, GString, PackedByteArray, VarDictionary};
use godot::classes::{IRefCounted, RefCounted};
use godot::obj::{Base, Gd, NewGd, WithBaseField};
use godot::register::{GodotClass, godot_api};
use torrent_core::ids::InfoHash;
use torrent_core::metainfo::MetainfoLimits;
use torrent_core::settings::Settings;
use torrent_core::value::{Fields, Value};
use torrent_engine::error::{Error, ErrorKind, Result};
use torrent_engine::event::{Event, TorrentRef};
use torrent_engine::session::saved_state::SavedSession;
use torrent_engine::session::{AddTorrent, Session};
use torrent_engine::state_dir::Folder;
use torrent_engine::torrent::handle::TorrentHandle as Torrent;

use crate::alert_manager::AlertManager;
use crate::cached_value::CachedValue;
use crate::convert::{self, invalid};
use crate::frame_budget::{FrameBudget, Stopwatch};
use crate::frame_poll::Polled;
use crate::last_error::{self, LastError};
use crate::live_objects::Alive;
use crate::live_sessions::Running;
use crate::monitors::Gauge;
use crate::reference_cycles::{self, Dead, ReferenceHold};
use crate::signal_queue::{Notice, SignalQueue};
use crate::threads::{self, SharedField, main_only};
use crate::torrent_error::TorrentError;
use crate::torrent_handle::TorrentHandle;
use crate::torrent_logger::TorrentLogger;
use crate::{add_params, frame_poll, live_sessions, monitors, paths};

/// Downloads and shares torrents in the background.
///
/// A game makes one session, starts it and adds torrents:
///
/// ```gdscript
/// var session := TorrentSession.new()
///
/// func _ready():
///     session.start_session()
///     var torrent: TorrentFile = load("res://maps.torrent")
///     var handle := session.add_torrent_file(torrent.data, "user://maps")
///     var ok: bool = await handle.wait_finished()
///     print("All maps are there." if ok else handle.get_last_error().get_message())
/// ```
///
/// A `.torrent` file of the project is a resource, also in the exported game;
/// `FileAccess` reads those in `user://`, and others that the game has fetched.
///
/// Keep it in a variable that lives as long as it is needed: a session that
/// nothing refers to is stopped and freed, and with it its downloads.
///
/// Nothing here makes the game wait. Network, files and hashing run in threads
/// of their own; what happened there is reported by signals, once a frame, on the
/// main thread. A signal never comes during a call, always between two frames.
///
/// A call that fails returns null, false or something empty, prints one error
/// that names the reason, and leaves it in [method get_last_error].
///
/// A path of any method begins with `user://`, `res://` or `uid://`, or is one on
/// this machine. A relative one starts at the working directory of the program,
/// which is not the same on every machine: use `user://`. An exported game cannot
/// write into `res://`.
///
/// Any thread may call the methods that only read: every `get_`, `is_` and `wait_`,
/// [method TorrentHandle.have_piece], [method TorrentHandle.need_save_resume_data],
/// [method find_torrent], and everything of [TorrentInfo], [TorrentStatus], [PeerInfo]
/// and [TorrentError]; and every `clear_last_error`. It may also make
/// and drop objects of every class. The other methods belong to the main thread;
/// called elsewhere they do nothing but print the error
/// [constant TorrentError.WRONG_THREAD]: use [method Object.call_deferred].
///
/// Sizes are bytes, rates bytes per second, times seconds.
#[derive(GodotClass)]
#[class(base=RefCounted)]
pub(crate) struct TorrentSession {
    run: Running,
    /// Earlier runs that are about to end.
    ending: SharedField<Vec<Session>>,
    settings: SharedField<Settings>,
    /// The settings as they were read last.
    shown_settings: CachedValue<Settings, VarDictionary>,
    /// The statistics as they were read last.
    shown_stats: CachedValue<Instant, VarDictionary>,
    manager: SharedField<Gd<AlertManager>>,
    gauge: Arc<Gauge>,
    /// The object of each torrent.
    objects: SharedField<BTreeMap<InfoHash, Gd<TorrentHandle>>>,
    /// Objects of torrents that are being removed.
    leaving: SharedField<Vec<Gd<TorrentHandle>>>,
    /// Objects of torrents that are gone.
    dead: SharedField<Vec<Dead<TorrentHandle>>>,
    /// Whether the game still holds what it has stopped; `None` while it runs.
    hold: SharedField<Option<ReferenceHold>>,
    signal_queue: SharedField<SignalQueue>,
    /// When the last poll ended.
    polled: SharedField<Option<Instant>>,
    /// Whether `session_started` is in the queue or was emitted.
    announced: SharedField<bool>,
    delivering: SharedField<bool>,
    logger: SharedField<Gd<TorrentLogger>>,
    /// Where the next run keeps its state.
    state_directory: SharedField<Option<PathBuf>>,
    /// What the last run left for the next one.
    saved_session: SharedField<SavedSession>,
    errors: LastError,
    alive: Alive,
    base: Base<RefCounted>,
}

#[godot_api]
impl IRefCounted for TorrentSession {
    fn init(base: Base<RefCounted>) -> Self {
        let run = Running::default();
        let manager = AlertManager::new_gd();
        let errors = LastError::default();
        manager.bind().attach(&run, errors.clone());
        let gauge = Gauge::new(Arc::clone(&run), manager.bind().alert_queue());
        Self {
            run,
            gauge,
            ending: SharedField::default(),
            settings: SharedField::default(),
            shown_settings: CachedValue::default(),
            shown_stats: CachedValue::default(),
            manager: SharedField::new(manager),
            objects: SharedField::default(),
            leaving: SharedField::default(),
            dead: SharedField::default(),
            hold: SharedField::default(),
            signal_queue: SharedField::default(),
            polled: SharedField::default(),
            announced: SharedField::default(),
            delivering: SharedField::default(),
            logger: SharedField::new(TorrentLogger::new_gd()),
            state_directory: SharedField::default(),
            saved_session: SharedField::default(),
            errors,
            alive: Alive::new(&base),
            base,
        }
    }

    fn to_string(&self) -> GString {
        GString::from(&match self.run.get() {
            Some(session) => format!("TorrentSession({} torrents)", session.torrents().len()),
            None => "TorrentSession(stopped)".to_owned(),
        })
    }
}

impl Drop for TorrentSession {
    fn drop(&mut self) {
        // Threads end in the background; `lifetime` waits for them.
        if let Some(session) = self.run.take() {
            session.stop();
        }
        let gauge = Arc::clone(&self.gauge);
        // Objects with what the game has connected to them.
        let parts = (self.manager.get(), self.logger.get());
        let handles = self.objects.take().into_values();
        let handles = handles.chain(self.leaving.take()).map(Dead::new);
        let mut dead: Vec<_> = handles.chain(self.dead.take()).collect();
        threads::on_main(move || {
            monitors::show(&gauge, false);
            dead.retain_mut(|dead| !dead.is_over());
            drop((parts, dead));
        });
    }
}

impl TorrentSession {
    pub(crate) fn errors(&self) -> LastError {
        self.errors.clone()
    }

    pub(crate) fn manager(&self) -> Gd<AlertManager> {
        self.manager.get()
    }

    /// The result of a call; a failure is reported and `None`.
    fn report<T>(&self, method: &str, result: Result<T>) -> Option<T> {
        self.errors.ok(&format!("TorrentSession.{method}"), result)
    }

    /// The engine's session.
    fn running(&self) -> Result<Session> {
        let session = self.run.get();
        session.ok_or_else(|| Error::new(ErrorKind::SessionNotRunning))
    }

    /// Whether it was started and not stopped.
    fn has_run(&self) -> bool {
        self.run.lock().is_some()
    }

    /// The settings of this run or the next one.
    fn settings(&self) -> Settings {
        let mut settings = self.settings.get();
        self.manager().bind().write_to(&mut settings);
        settings
    }

    /// How large torrent files may be.
    fn torrent_limits(&self) -> MetainfoLimits {
        MetainfoLimits::of_files(&self.settings())
    }

    fn apply(&self, patch: &Fields) -> Result<()> {
        let mut settings = self.settings();
        settings.apply(entries(patch))?;
        if let Ok(session) = self.running() {
            session.apply_settings(entries(patch))?;
        }
        self.manager().bind().read_from(&settings);
        self.settings.replace(settings);
        self.show_monitors();
        Ok(())
    }

    /// Shows the session's numbers among Godot's monitors, if it is to.
    fn show_monitors(&self) {
        let wanted = self.settings.lock().performance_monitors;
        monitors::show(&self.gauge, wanted && self.has_run());
    }

    fn apply_one(&self, name: &'static str, value: i64) -> Result<()> {
        self.apply(&vec![(name.into(), value.into())])
    }

    /// Keeps the handle of a torrent that is gone until the game lets go of it.
    pub(crate) fn bury(&self, handle: Gd<TorrentHandle>) {
        self.dead.lock().push(Dead::new(handle));
    }

    /// The object of a torrent; made with the first need.
    pub(crate) fn object(&self, torrent: &Torrent) -> Gd<TorrentHandle> {
        let hash = torrent.info_hash();
        // Locked until it is known, so that two threads get the same one.
        let mut objects = self.objects.lock();
        let known = objects.get(&hash).cloned();
        if let Some(object) = known.filter(|object| object.bind().is_of(torrent)) {
            return object;
        }
        let object = TorrentHandle::of(torrent.clone(), self.errors());
        // One that was removed meanwhile is not kept any more.
        let before = torrent
            .is_valid()
            .then(|| objects.insert(hash, object.clone()));
        drop(objects);
        // Freed with nothing locked, like those of a session that stops.
        drop(before);
        object
    }

    /// The object of a torrent that has one.
    pub(crate) fn known_object(&self, hash: InfoHash) -> Option<Gd<TorrentHandle>> {
        self.objects.lock().get(&hash).cloned()
    }

    /// The torrent that an event names, unless it has been removed since.
    pub(crate) fn torrent_of(&self, named: &TorrentRef) -> Option<Torrent> {
        self.running().ok()?.torrent_of(named)
    }

    /// The object of the torrent that an event is about, unless the torrent
    /// has been removed since: then there is no receiver for it any more.
    pub(crate) fn object_of(&self, event: &Event) -> Option<Gd<TorrentHandle>> {
        let torrent = self.torrent_of(event.torrent.as_deref()?)?;
        Some(self.object(&torrent))
    }

    /// Drops the object of a torrent that is gone.
    pub(crate) fn take_leaving(&self, torrent: &TorrentRef) -> Option<Gd<TorrentHandle>> {
        let mut leaving = self.leaving.lock();
        let at = leaving
            .iter()
            .position(|object| object.bind().key() == Some(torrent.key))?;
        Some(leaving.swap_remove(at))
    }

    fn add(&self, add: Result<AddTorrent>) -> Result<Gd<TorrentHandle>> {
        let added = self.running().and_then(|session| session.add_torrent(add?));
        if let (Err(error), Ok(session)) = (&added, self.running()) {
            session.post_add_failure(error);
        }
        added.map(|torrent| self.object(&torrent))
    }

    fn remove(&self, handle: Option<Gd<TorrentHandle>>, delete_files: bool) -> Result<()> {
        let session = self.running()?;
        let handle = handle.ok_or_else(|| Error::new(ErrorKind::InvalidTorrentHandle))?;
        let torrent = handle.bind().torrent()?.clone();
        if torrent.is_valid()
            && session.find_torrent(torrent.info_hash()).as_ref() != Some(&torrent)
        {
            let message = "the torrent belongs to another session";
            return Err(Error::because(ErrorKind::TorrentNotFound, message));
        }
        session.remove_torrent(&torrent, delete_files)?;
        let object = self.objects.lock().remove(&torrent.info_hash());
        self.leaving.lock().push(handle);
        drop(object);
        Ok(())
    }
}

fn entries(patch: &Fields) -> impl Iterator<Item = (&str, &Value)> {
    patch.iter().map(|(name, value)| (name.as_ref(), value))
}

fn settings_dictionary(settings: &Settings) -> VarDictionary {
    let values = settings.values().into_iter();
    convert::to_dictionary(
        &values
            .map(|(name, value)| (name.into(), value))
            .collect::<Fields>(),
    )
}

#[godot_api]
impl TorrentSession {
    /// Peers and trackers say that this is our address in the Internet.
    #[signal]
    pub(crate) fn external_address_changed(ip: GString);

    /// The session runs, and the torrents of its state directory are back
    /// (see [method set_state_directory]).
    #[signal]
    pub(crate) fn session_started();

    /// The session has stopped: all files are closed, the port is free.
    #[signal]
    pub(crate) fn session_stopped();

    /// An alert passed the mask of the session's [AlertManager].
    #[signal]
    pub(crate) fn alert_posted(alert: VarDictionary);

    /// A torrent is part of the session now.
    #[signal]
    pub(crate) fn torrent_added(handle: Gd<TorrentHandle>);

    /// A torrent has left the session, its files are closed.
    #[signal]
    pub(crate) fn torrent_removed(info_hash: GString);

    /// Peers have sent the metadata of a torrent that was added by a magnet link.
    #[signal]
    pub(crate) fn metadata_received(info_hash: GString);

    /// Everything wanted of a torrent is complete and can be opened.
    #[signal]
    pub(crate) fn torrent_finished(handle: Gd<TorrentHandle>);

    /// A torrent does something else now: `STATE_` constants of [TorrentStatus].
    #[signal]
    pub(crate) fn torrent_state_changed(handle: Gd<TorrentHandle>, state: i64, previous: i64);

    /// Something went wrong with a torrent, for example with its files.
    #[signal]
    pub(crate) fn torrent_error(handle: Gd<TorrentHandle>, message: GString);

    /// The status of these torrents is another one. Comes every half second at most (see
    /// the setting `status_update_interval`), and only when something changed.
    #[signal]
    pub(crate) fn torrents_updated(handles: Array<Gd<TorrentHandle>>);

    /// A port that the session should listen on cannot be used.
    #[signal]
    pub(crate) fn listen_failed(message: GString);
}
