//! `TorrentSession`: the torrents of a game, and their network.
mod alerts;
mod dispatch;
mod ip_filter;
mod network;
mod objects;
mod persistence;
mod polling;
mod run;
mod settings;
mod torrents;
mod waits;

use std::sync::Arc;
use std::time::{Duration, Instant};

use godot::builtin::{AnyDictionary, Array, GString, PackedByteArray, VarDictionary};
use godot::classes::{IRefCounted, RefCounted};
use godot::obj::{Base, Gd, NewGd, WithBaseField};
use godot::register::{GodotClass, godot_api};
use torrent_core::metainfo::MetainfoLimits;
use torrent_core::settings::Settings;
use torrent_core::value::{Fields, Value};
use torrent_engine::error::{Error, ErrorKind, Result};
use torrent_engine::event::{Event, TorrentRef};
use torrent_engine::session::{AddTorrent, RunNews, Session, SessionSlot};
use torrent_engine::torrent::handle::TorrentHandle as Torrent;

use crate::alert_manager::AlertManager;
use crate::cached_value::CachedValue;
use crate::convert::{self, invalid};
use crate::frame_budget::{FrameBudget, Stopwatch};
use crate::frame_poll::Polled;
use crate::last_error::{self, LastError};
use crate::live_objects::Alive;
use crate::monitors::Gauge;
use crate::reference_cycles::{self, ReferenceHold};
use crate::signal_queue::{Notice, SignalQueue};
use crate::threads::{self, SharedField, main_only};
use crate::torrent_error::TorrentError;
use crate::torrent_handle::TorrentHandle;
use crate::torrent_logger::TorrentLogger;
use crate::{add_params, frame_poll, monitors, paths};
use objects::TorrentObjects;

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
    slot: Arc<SessionSlot>,
    /// The settings as they were read last.
    shown_settings: CachedValue<Arc<Settings>, VarDictionary>,
    /// The statistics as they were read last.
    shown_stats: CachedValue<Instant, VarDictionary>,
    manager: SharedField<Gd<AlertManager>>,
    gauge: Arc<Gauge>,
    /// The object of each torrent.
    objects: TorrentObjects,
    /// Whether the game still holds what it has stopped; `None` while it runs.
    hold: SharedField<Option<ReferenceHold>>,
    signal_queue: SharedField<SignalQueue>,
    /// When the last poll ended.
    polled: SharedField<Option<Instant>>,
    delivering: SharedField<bool>,
    logger: SharedField<Gd<TorrentLogger>>,
    errors: LastError,
    alive: Alive,
    base: Base<RefCounted>,
}

#[godot_api]
impl IRefCounted for TorrentSession {
    fn init(base: Base<RefCounted>) -> Self {
        let slot = Arc::<SessionSlot>::default();
        let manager = AlertManager::new_gd();
        let errors = LastError::default();
        manager.bind().attach(&slot, errors.clone());
        let gauge = Gauge::new(Arc::clone(&slot), manager.bind().alert_queue());
        Self {
            slot,
            gauge,
            shown_settings: CachedValue::default(),
            shown_stats: CachedValue::default(),
            manager: SharedField::new(manager),
            objects: TorrentObjects::default(),
            hold: SharedField::default(),
            signal_queue: SharedField::default(),
            polled: SharedField::default(),
            delivering: SharedField::default(),
            logger: SharedField::new(TorrentLogger::new_gd()),
            errors,
            alive: Alive::new(&base),
            base,
        }
    }

    fn to_string(&self) -> GString {
        GString::from(&match self.slot.session() {
            Some(session) => format!("TorrentSession({} torrents)", session.torrents().len()),
            None => "TorrentSession(stopped)".to_owned(),
        })
    }
}

impl Drop for TorrentSession {
    fn drop(&mut self) {
        // Threads end in the background; `session::end_all` waits for them.
        self.slot.stop();
        let gauge = Arc::clone(&self.gauge);
        // Objects with what the game has connected to them.
        let parts = (self.manager.get(), self.logger.get());
        let mut dead = self.objects.take();
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
        self.slot.running()
    }

    /// The settings of this run or the next one.
    fn settings(&self) -> Arc<Settings> {
        self.slot.settings()
    }

    /// How large torrent files may be.
    fn torrent_limits(&self) -> MetainfoLimits {
        MetainfoLimits::of_files(&self.settings())
    }

    fn apply(&self, patch: &Fields) -> Result<()> {
        self.slot.apply_settings(entries(patch))?;
        self.show_settings();
        Ok(())
    }

    /// Settings have changed: those that show in other objects.
    fn show_settings(&self) {
        self.manager().bind().read_from(&self.settings());
        self.show_monitors();
    }

    /// Shows the session's numbers among Godot's monitors, if it is to.
    fn show_monitors(&self) {
        let wanted = self.settings().performance_monitors;
        monitors::show(&self.gauge, wanted && self.slot.has_run());
    }

    fn apply_one(&self, name: &'static str, value: i64) -> Result<()> {
        self.apply(&vec![(name.into(), value.into())])
    }

    /// The object of a torrent; made with the first need.
    pub(crate) fn object(&self, torrent: &Torrent) -> Gd<TorrentHandle> {
        self.objects.of(torrent, &self.errors)
    }

    /// The objects of its torrents.
    pub(crate) fn objects(&self) -> &TorrentObjects {
        &self.objects
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
        self.objects.leave(&torrent, handle);
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
