//! `TorrentSession`: the torrents of a game, and their network.
mod alerts;
mod ip_filter;
mod network;
mod persistence;
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
use torrent_core::metainfo::Limits;
use torrent_core::settings::Settings;
use torrent_core::value::{Fields, Value};
use torrent_engine::error::{Error, ErrorKind, Result};
use torrent_engine::event::{Event, TorrentRef};
use torrent_engine::handle::TorrentHandle as Torrent;
use torrent_engine::session::{AddTorrent, Session};
use torrent_engine::session_state::Lasting;
use torrent_engine::state::Folder;

use crate::alert_manager::AlertManager;
use crate::alive::Alive;
use crate::convert::{self, invalid};
use crate::cycles::{self, Dead, Hold};
use crate::dispatch::{self, Poll};
use crate::frames::Polled;
use crate::kept::Kept;
use crate::monitors::Gauge;
use crate::outbox::{Notice, Outbox};
use crate::report::{self, LastError};
use crate::share::{Allowance, Stopwatch};
use crate::threads::{self, Shared, main_only};
use crate::torrent_error::TorrentError;
use crate::torrent_handle::TorrentHandle;
use crate::torrent_logger::TorrentLogger;
use crate::{add_params, frames, lifetime, monitors, paths};

/// The engine's session while one runs.
pub(crate) type SharedRun = Shared<Option<Session>>;

/// The session object and its alert manager both know the engine's session.
pub(crate) type Running = Arc<SharedRun>;

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
/// of their own; what happened there is told by signals, once a frame, on the
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
    ending: Shared<Vec<Session>>,
    settings: Shared<Settings>,
    /// The settings as they were read last.
    shown_settings: Kept<Settings, VarDictionary>,
    /// The statistics as they were read last.
    shown_stats: Kept<Instant, VarDictionary>,
    manager: Shared<Gd<AlertManager>>,
    gauge: Arc<Gauge>,
    /// The object of each torrent.
    objects: Shared<BTreeMap<InfoHash, Gd<TorrentHandle>>>,
    /// Objects of torrents that were told to go.
    leaving: Shared<Vec<Gd<TorrentHandle>>>,
    /// Objects of torrents that are gone.
    dead: Shared<Vec<Dead<TorrentHandle>>>,
    /// Whether the game still holds what it has stopped; `None` while it runs.
    hold: Shared<Option<Hold>>,
    outbox: Shared<Outbox>,
    /// When the last poll ended.
    polled: Shared<Option<Instant>>,
    /// Whether `session_started` is in the outbox or was told.
    announced: Shared<bool>,
    delivering: Shared<bool>,
    logger: Shared<Gd<TorrentLogger>>,
    /// Where the next run keeps its state.
    state_directory: Shared<Option<PathBuf>>,
    /// What the last run left for the next one.
    lasting: Shared<Lasting>,
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
            ending: Shared::default(),
            settings: Shared::default(),
            shown_settings: Kept::default(),
            shown_stats: Kept::default(),
            manager: Shared::new(manager),
            objects: Shared::default(),
            leaving: Shared::default(),
            dead: Shared::default(),
            hold: Shared::default(),
            outbox: Shared::default(),
            polled: Shared::default(),
            announced: Shared::default(),
            delivering: Shared::default(),
            logger: Shared::new(TorrentLogger::new_gd()),
            state_directory: Shared::default(),
            lasting: Shared::default(),
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

/// Ends the state of delivering, also when a listener made us panic.
struct Delivering<'a>(&'a Gd<TorrentSession>);

impl Drop for Delivering<'_> {
    fn drop(&mut self) {
        self.0.bind().delivering.replace(false);
    }
}

impl Polled for TorrentSession {
    fn alive(&self) -> &Alive {
        &self.alive
    }

    fn turn(this: Gd<Self>) {
        Self::poll_once(this, true);
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
    fn torrent_limits(&self) -> Limits {
        Limits::of_files(&self.settings())
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

    fn start(&self, patch: &Fields) -> Result<()> {
        if self.has_run() {
            return Err(Error::new(ErrorKind::SessionAlreadyRunning));
        }
        self.apply(patch)?;
        let session = self.begin()?;
        lifetime::remember(&session);
        self.run.replace(Some(session));
        // The engine's session owns it now, and need not copy it to change it.
        self.lasting.take();
        self.show_monitors();
        self.announced.replace(false);
        self.hold.take();
        self.announce();
        Ok(())
    }

    /// Starts the engine's session, with its state directory if it has one.
    fn begin(&self) -> Result<Session> {
        let lasting = self.lasting.get();
        let Some(folder) = self.state_directory.get() else {
            return Session::start_again(self.settings(), lasting, None);
        };
        let folder = Folder::open(folder)?;
        let settings = match &folder {
            Folder::Open(state) => state.settings_under(&self.settings()),
            // Those of the folder come when the session has it.
            Folder::Ending(_) => self.settings(),
        };
        self.take_settings(&settings);
        Session::start_again(settings, lasting, Some(folder))
    }

    /// Shows the settings that the engine's session has.
    fn take_settings(&self, settings: &Settings) {
        self.manager().bind().read_from(settings);
        self.settings.replace(settings.clone());
    }

    /// Starts and follows the frames from then on.
    fn start_object(this: &Gd<Self>, method: &str, patch: Result<Fields>) -> bool {
        let session = this.bind();
        let started = patch.and_then(|patch| session.start(&patch));
        let started = session.report(method, started).is_some();
        if started {
            frames::follow(this);
        }
        started
    }

    /// Takes what has happened since into the outbox. Alerts stay in the engine,
    /// whose queue is bounded, while there are some that wait here. Nothing of a
    /// run is told before that it has started.
    fn collect(&self) {
        let run = self.run.get();
        if run.is_some_and(|session| session.failure().is_some()) {
            // It could not run after all; what went wrong comes with its end.
            self.end_run();
        }
        self.announce();
        let mut events = Vec::new();
        let mut outbox = self.outbox.lock();
        outbox.begin();
        let alerts_wait = outbox.has_alerts();
        self.ending.lock().retain(|session| {
            // Asked first, so that nothing can come after the events taken.
            let ended = session.join(Duration::ZERO);
            if ended {
                session.events().take(&mut events);
            } else {
                take(session, alerts_wait, &mut events);
            }
            events.drain(..).for_each(|event| outbox.put(event));
            if ended {
                outbox.put_notice(Notice::Stopped);
            }
            !ended
        });
        if let Some(session) = self.run.get().filter(|_| self.announced.get()) {
            take(&session, alerts_wait, &mut events);
            events.drain(..).for_each(|event| outbox.put(event));
        }
    }

    /// Has `session_started` told once all torrents are back.
    fn announce(&self) {
        let is_ready =
            |session: &Session| session.is_up() && (session.is_restored() || !session.is_running());
        if !self.announced.get()
            && let Some(session) = self.run.get().filter(is_ready)
        {
            self.announced.replace(true);
            if session.is_running() {
                // The folder's own may have come to those of the start.
                self.take_settings(&session.settings());
                self.show_monitors();
            }
            self.outbox.lock().put_notice(Notice::Started);
        }
    }

    /// Lets go of dead handles that the game has let go of.
    fn let_go_of_dead(&self) {
        // Out of the lock: what goes with them may call us.
        let waits = !self.dead.lock().is_empty() && self.ending.lock().is_empty();
        if waits {
            let mut dead = self.dead.take();
            dead.retain_mut(|dead| !dead.is_over());
            self.dead.lock().extend(dead);
        }
    }

    /// How many hold the session, beside the one that calls.
    fn references(&self) -> i32 {
        self.to_gd().get_reference_count() - 1
    }

    /// Whether it has stopped and everything of it has been told.
    fn is_at_rest(&self) -> bool {
        !self.has_run() && self.ending.lock().is_empty() && self.outbox.lock().is_empty()
    }

    /// Keeps the handle of a torrent that is gone until the game lets go of it.
    pub(crate) fn bury(&self, handle: Gd<TorrentHandle>) {
        self.dead.lock().push(Dead::new(handle));
    }

    fn end_of_poll(&self, begun: Instant) {
        let now = Instant::now();
        self.gauge.note_poll(now.duration_since(begun));
        self.polled.replace(Some(now));
    }

    /// What this poll may take, by the time since the last one.
    fn allowance(&self, now: Instant) -> Allowance {
        let last = self.polled.get();
        let elapsed = last.map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        Allowance::new(elapsed, self.outbox.lock().waiting())
    }

    /// Has the run end in the background.
    fn end_run(&self) {
        if let Some(session) = self.run.get() {
            session.stop();
        }
        self.announce();
        let Some(session) = self.run.take() else {
            return;
        };
        monitors::show(&self.gauge, false);
        self.lasting.replace(session.lasting());
        self.ending.lock().push(session);
        let objects = self.objects.take();
        let dead = objects.into_values().map(Dead::new);
        self.dead.lock().extend(dead);
        self.hold.replace(Some(Hold::default()));
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
    /// has been removed since: then nobody wants to hear of it any more.
    pub(crate) fn object_of(&self, event: &Event) -> Option<Gd<TorrentHandle>> {
        let torrent = self.torrent_of(event.torrent.as_deref()?)?;
        Some(self.object(&torrent))
    }

    /// Gives up the object of a torrent that is gone.
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

/// Takes what has happened in a run, but no alerts while there are some that wait.
fn take(session: &Session, alerts_wait: bool, events: &mut Vec<Event>) {
    if alerts_wait {
        session.events().try_take_signals(events);
    } else {
        session.events().try_take(events);
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

    /// Peers have told what a torrent consists of that was added by a magnet link.
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

    /// Starts the session with the settings applied so far. False when it runs already or
    /// cannot be started. A port that is in use does not keep it from starting: see
    /// [signal listen_failed].
    ///
    /// Right after [method stop_session], or when a session object was just freed, the earlier
    /// run may still hold the port and the state directory. The new one waits for them in the
    /// background: it counts as running, listens nowhere, and torrents that are added are there
    /// at once but do nothing yet. [signal session_started] comes when it has both. After 30
    /// seconds, which only a disk that hangs can take, it gives up: the error is printed, and
    /// [signal session_stopped] comes.
    #[func(gd_self)]
    fn start_session(this: Gd<Self>) -> bool {
        main_only!(this.bind(), "start_session");
        Self::start_object(&this, "start_session", Ok(Fields::new()))
    }

    /// Applies settings, then starts the session. False when one of them is wrong, the
    /// session runs already or cannot be started.
    ///
    /// ```gdscript
    /// session.start_session_with_settings({"listen_port": 7000, "connections_limit": 50})
    /// ```
    #[func(gd_self)]
    fn start_session_with_settings(this: Gd<Self>, settings: AnyDictionary) -> bool {
        main_only!(this.bind(), "start_session_with_settings");
        let patch = convert::from_dictionary(&settings);
        Self::start_object(&this, "start_session_with_settings", patch)
    }

    /// Stops the session: its torrents say goodbye to their trackers, files are closed,
    /// threads end. That happens in the background; [signal session_stopped] says when it
    /// is done, within a second where only trackers do not answer: those are still told in the
    /// background. All handles become invalid at once. A game that quits waits for a second at
    /// most for trackers, and for five for the disk. When it is done, lambdas and bound
    /// callables are disconnected from them, which could keep them alive for ever; and from the
    /// session too, when the game lets go of it after that.
    #[func]
    fn stop_session(&self) {
        main_only!(self, "stop_session");
        self.end_run();
    }

    /// Whether the session was started and not stopped.
    #[func]
    fn is_running(&self) -> bool {
        self.run.get().as_ref().is_some_and(Session::is_running)
    }

    /// Stops the traffic of all torrents until [method resume_session].
    #[func]
    fn pause_session(&self) -> bool {
        main_only!(self, "pause_session");
        let paused = self.running().map(|session| session.pause());
        self.report("pause_session", paused).is_some()
    }

    /// Goes on after [method pause_session].
    #[func]
    fn resume_session(&self) -> bool {
        main_only!(self, "resume_session");
        let resumed = self.running().map(|session| session.resume());
        self.report("resume_session", resumed).is_some()
    }

    /// Whether the session as a whole is paused.
    #[func]
    fn is_session_paused(&self) -> bool {
        self.run.get().as_ref().is_some_and(Session::is_paused)
    }

    /// Emits the signals of what happened since the last time. In a SceneTree that happens
    /// by itself each frame; under a main loop of one's own, call it regularly. Within a
    /// signal's handler it does nothing. Takes a fraction of a millisecond at most, apart
    /// from what the handlers take. What is left comes with the next calls: pieces and files
    /// one by one, and alerts. Nothing else waits for them.
    #[func(gd_self)]
    fn poll(this: Gd<Self>) {
        main_only!(this.bind(), "poll");
        // The game's call comes with references of its own, such as a loop's
        // variable. Where there are frames, those look.
        let looks = !frames::are_followed();
        Self::poll_once(this, looks);
    }

    /// One poll; `looks` whether the game has let go of the session.
    fn poll_once(this: Gd<Self>, looks: bool) {
        if this.bind().delivering.replace(true) {
            return;
        }
        let delivering = Delivering(&this);
        let begun = Instant::now();
        this.bind().collect();
        let allowance = this.bind().allowance(begun);
        let poll = Poll {
            session: &this,
            stopwatch: Stopwatch::start(),
        };
        while dispatch::is_held(&this)
            && let Some(notice) = Self::next(&poll, &allowance)
        {
            dispatch::deliver(&poll, notice);
        }
        this.bind().end_of_poll(begun);
        // What goes on after a wait may poll as well.
        drop(delivering);
        if looks {
            Self::let_go(&this);
        }
        this.bind().let_go_of_dead();
        crate::waits::after_poll();
    }

    /// Disconnects from a stopped session what keeps it alive, once nothing else does.
    /// The references are counted from the first poll at rest on: during a stop there are
    /// some that mean nothing, such as those of a handler that stops.
    fn let_go(this: &Gd<Self>) {
        let session = this.bind();
        let Some(mut hold) = session.hold.get().filter(|_| session.is_at_rest()) else {
            return;
        };
        let manager = session.manager();
        let holders = || cycles::holders(this).len() + AlertManager::holders(&manager);
        // Without the reference that is `this`.
        let is_let_go = hold.is_let_go(session.references() - 1, holders);
        session.hold.replace(Some(hold));
        if is_let_go {
            cycles::release(this);
            AlertManager::release(&manager);
        }
    }

    fn next(poll: &Poll<'_>, allowance: &Allowance) -> Option<Notice> {
        let time = poll.stopwatch.left(allowance);
        poll.session.bind().outbox.lock().next(time)
    }
}
