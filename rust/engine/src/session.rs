//! The public face of the engine: start, settings, torrents, events, stop.
//! Cheap to clone; every call returns at once unless it says otherwise.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use torrent_core::external_ip::Witness;
use torrent_core::ids::InfoHash;
use torrent_core::places::Places;
use torrent_core::resume::ResumeData;
use torrent_core::session_state::SessionState;
use torrent_core::settings::Settings;
use torrent_core::value::{Fields, Value};

pub use crate::add::{AddTorrent, TorrentSource};
use crate::choke::ChokeDesk;
use crate::commands::{self, Place, Receiver, Sender};
use crate::connections::Connections;
use crate::disk::DiskWatch;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Detail, TorrentRef, kind};
use crate::events::EventSink;
use crate::guard::Guard;
use crate::handle::{Command, EndsWith, Options, TorrentHandle};
use crate::ipfilter::{Filter, IpFilter, Loaded, read_list};
use crate::net::listen::{self, Listening};
use crate::network::Network;
use crate::performance::Warnings;
use crate::placement::Deletion;
use crate::queue::QueueDesk;
use crate::rates::Rates;
use crate::restore::Restoring;
pub use crate::runtime::FAREWELL_LIMIT;
use crate::runtime::{self, Bound, Joiner, Start};
use crate::session_state::Lasting;
use crate::state::{Folder, Keeper};
use crate::stats::{Metric, Numbers, Stats};
use crate::successor;
pub use crate::successor::SUCCESSION_LIMIT;
use crate::territory::{Lease, Territory};

/// Messages that wait for the session's task; beyond that the caller gets an
/// error, since only a stuck task lets them become so many.
const SESSION_QUEUE: usize = 4096;

/// What the session's task is told.
#[derive(Debug)]
pub(crate) enum SessionCommand {
    /// Run this torrent.
    Add(Box<NewTorrent>),
    /// Close the listen sockets and open them anew.
    Reopen,
    /// Post a `state_update` event with what changed since the last one.
    PostUpdates,
}

/// A torrent on its way to its task.
#[derive(Debug)]
pub(crate) struct NewTorrent {
    pub(crate) handle: TorrentHandle,
    pub(crate) commands: Receiver<Command>,
    pub(crate) paused: bool,
    pub(crate) resume: Option<Box<ResumeData>>,
    /// Why that is not believed, whatever the files say.
    pub(crate) rejected: Option<Error>,
    pub(crate) verify_files: bool,
    /// Peers to try at once.
    pub(crate) peers: Vec<SocketAddr>,
    /// Priorities of pieces that are not known yet.
    pub(crate) piece_priorities: Vec<u8>,
    /// It is in the state directory already.
    pub(crate) remembered: bool,
    /// Where its files are, if that changed after its record was written.
    pub(crate) places: Option<Box<Places>>,
    pub(crate) seed_mode: bool,
    /// Says that the torrent has ended once it has, or never ran.
    pub(crate) ends: EndsWith,
    /// Its place on disk.
    pub(crate) lease: Lease,
    /// The torrents that are to leave it first.
    pub(crate) after: Vec<watch::Receiver<bool>>,
    /// What was given and has no effect.
    pub(crate) without_effect: Vec<String>,
    /// It came before the session had its folder: what it was registered with,
    /// until what the folder remembers of it is looked up.
    pub(crate) early: Option<Box<Options>>,
}

/// What the session's tasks share.
#[derive(Debug)]
pub(crate) struct SessionShared {
    pub(crate) settings: watch::Sender<Arc<Settings>>,
    pub(crate) paused: watch::Sender<bool>,
    /// True from the beginning of the shutdown on.
    pub(crate) stopping: watch::Sender<bool>,
    /// The program ends: nothing goes on in the background.
    pub(crate) hurry: watch::Sender<bool>,
    /// How long the shutdown may take, where it is not as usual.
    pub(crate) shutdown_limit: OnceLock<Duration>,
    pub(crate) events: EventSink,
    pub(crate) registry: Mutex<BTreeMap<InfoHash, TorrentHandle>>,
    /// Which torrent has which place on disk.
    pub(crate) territory: Arc<Territory>,
    pub(crate) network: Network,
    pub(crate) stats: Stats,
    pub(crate) choking: ChokeDesk,
    pub(crate) rates: Arc<Rates>,
    pub(crate) queue: Arc<QueueDesk>,
    pub(crate) guard: Guard,
    pub(crate) connections: Connections,
    /// The session's state as it was taken over, for what only others use.
    pub(crate) state: Mutex<SessionState>,
    /// The state directory, where there is one.
    /// From the time on at which the session has it.
    pub(crate) keeper: OnceLock<Arc<Keeper>>,
    /// The session's state is not what is saved.
    pub(crate) state_unsaved: Notify,
    /// The torrents in it that are not back yet.
    pub(crate) restoring: Restoring,
    /// Warnings that were given lately.
    pub(crate) warnings: Mutex<Warnings>,
    /// What the disk does, from when it is started on.
    pub(crate) disk: OnceLock<DiskWatch>,
    /// The names of the counters have been told.
    pub(crate) metrics_told: AtomicBool,
    running: AtomicBool,
    /// It has its folder and its ports.
    pub(crate) up: AtomicBool,
    /// Its listen sockets may be open.
    pub(crate) listening: AtomicBool,
    /// Why it ended by itself.
    pub(crate) failure: OnceLock<Error>,
    pub(crate) commands: Sender<SessionCommand>,
}

impl SessionShared {
    /// A peer or a tracker says that our address is `ip`.
    pub(crate) fn seen_as(&self, ip: IpAddr, by: IpAddr, witness: Witness) {
        if let Some(ip) = self.network.seen_as(ip, by, witness) {
            self.events
                .post(kind::EXTERNAL_IP, None, || Detail::Address(ip));
        }
    }

    pub(crate) fn stop(&self) {
        if self.running.swap(false, Ordering::AcqRel) {
            for handle in self.registry.lock().values() {
                handle.shared.removed.store(true, Ordering::Release);
            }
            if let Some(keeper) = self.keeper.get() {
                keeper.begin_end();
            }
            self.stopping.send_replace(true);
        }
    }

    /// Changes settings, in one go: or of two threads that change some, one
    /// would be forgotten. Nothing changes when `change` fails.
    pub(crate) fn change_settings(
        &self,
        change: impl FnOnce(&mut Settings) -> Result<()>,
    ) -> Result<()> {
        let mut changed = Ok(());
        self.settings.send_if_modified(|current| {
            let mut settings = Settings::clone(current);
            changed = change(&mut settings);
            if changed.is_ok() {
                let limit = settings.alert_queue_size as usize;
                self.events.configure(settings.alert_mask as u32, limit);
                *current = Arc::new(settings);
            }
            changed.is_ok()
        });
        changed?;
        self.state_changed();
        Ok(())
    }

    /// Whether it was told to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        !self.running.load(Ordering::Acquire)
    }

    /// Whether its listen sockets may be open.
    pub(crate) fn is_listening(&self) -> bool {
        self.listening.load(Ordering::Acquire)
    }

    /// Ends by itself, because of `error`.
    pub(crate) fn fail(&self, error: Error) {
        tracing::error!(%error, "the session cannot run");
        let _ = self.failure.set(error.clone());
        self.complain(error);
        self.stop();
    }

    pub(crate) fn check_running(&self) -> Result<()> {
        if self.running.load(Ordering::Acquire) {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::SessionNotRunning))
        }
    }

    /// A place for a message to the session's task: to be reserved before
    /// anything changes that belongs to it.
    pub(crate) fn place(&self) -> Result<Place<'_, SessionCommand>> {
        self.check_running()?;
        let place = self.commands.reserve(SESSION_QUEUE);
        place.map_err(|_| Error::because(ErrorKind::Timeout, "the session does not take commands"))
    }

    pub(crate) fn post(&self, command: SessionCommand) -> Result<()> {
        self.place()?.send(command);
        Ok(())
    }

    /// Takes a torrent out of the registry, if it is still this one.
    pub(crate) fn forget(&self, handle: &TorrentHandle) {
        let mut registry = self.registry.lock();
        if registry.get(&handle.info_hash()) == Some(handle) {
            registry.remove(&handle.info_hash());
            // A session that stops remembers who waited.
            if self.running.load(Ordering::Acquire) {
                handle.leave_queue();
            }
        }
    }
}

/// A running (or stopped) session.
#[derive(Clone, Debug)]
pub struct Session {
    pub(crate) shared: Arc<SessionShared>,
    joiner: Arc<Joiner>,
    /// Shared by all clones: the last one to go stops the session.
    _stop: Arc<StopOnDrop>,
}

#[derive(Debug)]
struct StopOnDrop(Arc<SessionShared>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Session {
    /// Opens the listen sockets and starts the background threads.
    ///
    /// A port that cannot be bound does not stop the session: it shows in
    /// [`Self::listen_errors`] and as a `listen_failed` event.
    pub fn start(settings: Settings) -> Result<Self> {
        Self::start_again(settings, Lasting::default(), None)
    }

    /// As [`Self::start`], with a folder in which the session keeps its
    /// torrents and its state: those that are there come back, and everything
    /// new is kept by itself. The folder's settings count only as far as the
    /// caller took them over (see [`StateDir::session_state`](crate::state::StateDir::session_state)).
    ///
    /// Torrents are read in the background: [`Self::restored`] waits for them.
    /// One that is added before is read at once, and comes back as it was.
    pub fn start_with_state(settings: Settings, folder: impl Into<Folder>) -> Result<Self> {
        Self::start_again(settings, Lasting::default(), Some(folder.into()))
    }

    /// As [`Self::start`], or with a folder as [`Self::start_with_state`], in
    /// place of an earlier run: with what is left of that one
    /// ([`Self::lasting`]) on top of what the folder remembers.
    ///
    /// Where an earlier session of this process still has the folder, or the
    /// port, and is ending, the new one waits in the background until it has
    /// both, for [`SUCCESSION_LIMIT`] at most: see [`Self::is_up`]. Meanwhile it
    /// counts as running, listens nowhere, and runs none of its torrents; those
    /// that are added are there at once and come back as they were when it is
    /// up. The folder's settings that the caller has not set itself hold from
    /// then on. Stopped before, it has done nothing.
    pub fn start_again(
        settings: Settings,
        mut lasting: Lasting,
        folder: Option<Folder>,
    ) -> Result<Self> {
        let mut complaints = Vec::new();
        let keeper = OnceLock::new();
        let has_folder = folder.is_some();
        let mut awaited = None;
        match folder {
            None => {}
            Some(Folder::Ending(folder)) => awaited = Some(folder),
            Some(Folder::Open(folder)) => {
                complaints = folder.complaints;
                complaints.extend(lasting.put_on(folder.session).err());
                let _ = keeper.set(folder.keeper);
            }
        }
        let Lasting { state, filter } = lasting;
        let waits = awaited.is_some() || successor::are_ports_awaited(&settings);
        let listening = match waits {
            // What cannot be read is an error at once.
            true => settings.listen().map(|_| Listening::default())?,
            false => listen::bind(&settings)?,
        };
        let (commands, inbox) = commands::queue();
        let events = EventSink::new(
            settings.alert_mask as u32,
            settings.alert_queue_size as usize,
        );
        let rates = Arc::new(Rates::new(&settings));
        let queue = Arc::new(QueueDesk::new(&settings));
        let shared = Arc::new(SessionShared {
            settings: watch::Sender::new(Arc::new(settings)),
            paused: watch::Sender::new(false),
            stopping: watch::Sender::new(false),
            hurry: watch::Sender::new(false),
            shutdown_limit: OnceLock::new(),
            events,
            registry: Mutex::default(),
            territory: Arc::default(),
            network: Network::default(),
            stats: Stats::default(),
            choking: ChokeDesk::default(),
            rates,
            guard: Guard::new(filter),
            queue,
            connections: Connections::default(),
            state: Mutex::new(state),
            restoring: Restoring::new(has_folder || waits),
            up: AtomicBool::new(!waits),
            listening: AtomicBool::new(true),
            failure: OnceLock::new(),
            keeper,
            state_unsaved: Notify::new(),
            warnings: Mutex::default(),
            disk: OnceLock::new(),
            metrics_told: AtomicBool::new(false),
            running: AtomicBool::new(true),
            commands,
        });
        for error in complaints {
            shared.complain(error);
        }
        successor::enter(&shared);
        let start = match waits {
            true => Start::Waiting { folder: awaited },
            false => {
                shared.network.show(&shared.events, &listening);
                Start::Now(Bound::new(listening.sockets, &shared.settings.borrow()))
            }
        };
        let joiner = runtime::spawn(Arc::clone(&shared), inbox, start)?;
        Ok(Self {
            _stop: Arc::new(StopOnDrop(Arc::clone(&shared))),
            shared,
            joiner: Arc::new(joiner),
        })
    }

    /// Begins the ordered shutdown and returns at once: torrents stop and
    /// announce it, files are closed, threads end. A session that nobody holds
    /// any more does the same. What is not done with the files after 4.5 s is
    /// left undone: a game that quits waits for this. Announces are waited for
    /// [`FAREWELL_LIMIT`], and go on in the background after that.
    pub fn stop(&self) {
        self.shared.stop();
    }

    /// As [`Self::stop`] with another limit, for a program that would rather
    /// wait for a slow disk than lose what is not saved yet. A shutdown that
    /// has begun keeps its limit.
    pub fn stop_within(&self, limit: Duration) {
        // Whoever was first counts.
        let _ = self.shared.shutdown_limit.set(limit);
        self.shared.stop();
    }

    /// Waits until the shutdown is complete, at most `limit`: files are closed,
    /// the ports and the folder are free. Whether it is. Trackers that do not
    /// answer may still be told; [`Self::join_threads`] waits for that too.
    pub fn join(&self, limit: Duration) -> bool {
        self.joiner.join(limit)
    }

    /// Waits until all threads of a stopped session have ended, at most `limit`.
    /// Whether they have.
    pub fn join_threads(&self, limit: Duration) -> bool {
        self.joiner.join_threads(limit)
    }

    /// Announces that are still under way [`FAREWELL_LIMIT`] after the end began
    /// are given up, instead of going on in the background.
    pub fn hurry(&self) {
        self.shared.hurry.send_replace(true);
    }

    /// Whether all torrents of the state directory are back. Without one that
    /// is so from the start.
    pub fn is_restored(&self) -> bool {
        self.shared.restoring.is_done()
    }

    /// Waits until all torrents of the state directory are back, or the
    /// session stops.
    pub async fn restored(&self) {
        self.shared.restoring.done().await;
    }

    /// Whether it has all that it needs: one that waits for the end of an
    /// earlier session is not up yet.
    pub fn is_up(&self) -> bool {
        self.shared.up.load(Ordering::Acquire)
    }

    /// Why it ended by itself: the session that it waited for did not end in
    /// time, or its folder cannot be used.
    pub fn failure(&self) -> Option<Error> {
        self.shared.failure.get().cloned()
    }

    /// Whether it was started and not told to stop.
    pub fn is_running(&self) -> bool {
        self.shared.running.load(Ordering::Acquire)
    }

    fn check_running(&self) -> Result<()> {
        self.shared.check_running()
    }

    pub(crate) fn post(&self, command: SessionCommand) -> Result<()> {
        self.shared.post(command)
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<Settings> {
        self.shared.settings.borrow().clone()
    }

    /// Changes settings: all of `patch`, or nothing when one entry is wrong.
    pub fn apply_settings<'a>(
        &self,
        patch: impl IntoIterator<Item = (&'a str, &'a Value)>,
    ) -> Result<()> {
        self.shared
            .change_settings(|settings| Ok(settings.apply(patch)?))
    }

    /// Adds a torrent, which starts at once. A torrent that is already there
    /// is returned as it is.
    pub fn add_torrent(&self, add: AddTorrent) -> Result<TorrentHandle> {
        self.shared.add(add)
    }

    /// Tells readers of alerts that a torrent could not be added: an
    /// `add_torrent` alert, in the error category too, so that the default
    /// mask shows it.
    pub fn post_add_failure(&self, error: &Error) {
        self.shared.post_add_failure(error);
    }

    /// Takes a torrent out of the session, and its files or its part file off
    /// the disk if `delete` says so (true is all its files, with the folders
    /// that become empty by it). The handle is invalid from
    /// now on; a `torrent_removed` event says when the work is done.
    pub fn remove_torrent(
        &self,
        handle: &TorrentHandle,
        delete: impl Into<Deletion>,
    ) -> Result<()> {
        self.check_running()?;
        if handle.shared.removed.swap(true, Ordering::AcqRel) {
            return Err(Error::new(ErrorKind::InvalidTorrentHandle));
        }
        self.shared.forget(handle);
        let delete = delete.into();
        // Never refused; only a task that has ended by a fault cannot do it.
        if handle.shared.commands.send(Command::Remove { delete }) {
            return Ok(());
        }
        self.shared
            .events
            .post(kind::TORRENT_REMOVED, Some(&handle.torrent_ref()), || {
                Detail::None
            });
        match delete {
            Deletion::Nothing => Ok(()),
            _ => {
                let reason = "its task has ended by a fault: the files are left";
                let error = Error::because(ErrorKind::TorrentRemoveFailed, reason);
                Err(error.about(handle.info_hash().to_string()))
            }
        }
    }

    /// The torrent with this hash.
    pub fn find_torrent(&self, hash: InfoHash) -> Option<TorrentHandle> {
        self.shared.registry.lock().get(&hash).cloned()
    }

    /// The torrent that an event names, unless it has been removed since.
    pub fn torrent_of(&self, named: &TorrentRef) -> Option<TorrentHandle> {
        let handle = self.find_torrent(named.info_hash())?;
        (handle.key() == named.key && handle.is_valid()).then_some(handle)
    }

    /// All torrents, in the order of their hashes.
    pub fn torrents(&self) -> Vec<TorrentHandle> {
        self.shared.registry.lock().values().cloned().collect()
    }

    /// Bans an address, an IPv6 one with its whole /64, in all torrents: its
    /// connections are closed, and none is made with it until the session ends.
    pub fn ban_peer(&self, ip: IpAddr) -> Result<()> {
        self.check_running()?;
        self.shared.ban(ip);
        Ok(())
    }

    /// The banned addresses, the oldest first; an IPv6 one stands for its /64.
    pub fn banned_peers(&self) -> Vec<IpAddr> {
        self.shared.guard.banned()
    }

    /// Uses this IP filter from now on, for connections that are open too.
    pub fn set_ip_filter(&self, filter: IpFilter) {
        // To replace it is nothing that fails.
        let _ = self.change_ip_filter(|held| {
            held.replace(filter);
            Ok(())
        });
    }

    /// Changes the IP filter, for connections that are open too. `change` is
    /// to be quick: whoever asks the filter waits for it.
    ///
    /// # Errors
    ///
    /// Those of `change`, which changes nothing then.
    pub fn change_ip_filter(&self, change: impl FnOnce(&mut Filter) -> Result<()>) -> Result<()> {
        self.shared.guard.change_filter(change)?;
        self.shared.state_changed();
        Ok(())
    }

    /// The IP filter as it is.
    pub fn ip_filter(&self) -> Filter {
        self.shared.guard.filter().borrow().clone()
    }

    /// Adds the ranges of a list (eMule, PeerGuardian, or a rule a line) to the
    /// filter. Reads the whole file, so it takes a moment.
    ///
    /// # Errors
    ///
    /// Those of [`read_list`], and that there would be too many rules; nothing
    /// changes then.
    pub fn load_ip_filter(&self, path: &Path) -> Result<Loaded> {
        let (rules, loaded) = read_list(path)?;
        self.change_ip_filter(|filter| filter.add_rules(rules))?;
        Ok(loaded)
    }

    /// Stops the traffic of all torrents until [`Self::resume`].
    pub fn pause(&self) {
        self.shared.paused.send_replace(true);
    }

    /// Goes on after [`Self::pause`].
    pub fn resume(&self) {
        self.shared.paused.send_replace(false);
    }

    /// Whether the session as a whole is paused.
    pub fn is_paused(&self) -> bool {
        *self.shared.paused.borrow()
    }

    /// Closes the listen sockets and opens them anew, as after a change of
    /// network; what they become is told by events.
    pub fn reopen_network_sockets(&self) -> Result<()> {
        self.post(SessionCommand::Reopen)
    }

    pub(crate) fn shared(&self) -> &SessionShared {
        &self.shared
    }

    /// Where events wait.
    pub fn events(&self) -> &EventSink {
        &self.shared.events
    }

    /// Posts a `state_update` event with the torrents that changed since the
    /// last one.
    pub fn post_torrent_updates(&self) -> Result<()> {
        self.post(SessionCommand::PostUpdates)
    }

    /// Counters by libtorrent's metric names.
    pub fn stats(&self) -> Fields {
        self.numbers().all()
    }

    /// The names and types of what [`Self::stats`] tells.
    pub fn metrics(&self) -> Vec<Metric> {
        self.numbers().metrics()
    }

    fn numbers(&self) -> Numbers {
        let mut numbers = self.shared.stats.numbers(&self.torrents());
        numbers.gauges.extend(self.shared.rates.fields());
        if let Some(disk) = self.shared.disk.get() {
            numbers.counters.extend(disk.counters());
            numbers.gauges.extend(disk.gauges());
        }
        numbers
    }

    /// Posts the counters as a `session_stats` event; before the first one, a
    /// `session_stats_header` event names them.
    pub fn post_session_stats(&self) -> Result<()> {
        self.check_running()?;
        let numbers = self.numbers();
        let events = &self.shared.events;
        if !self.shared.metrics_told.swap(true, Ordering::AcqRel) {
            events.post(kind::SESSION_STATS_HEADER, None, || {
                Detail::Metrics(numbers.metrics())
            });
        }
        events.post(kind::SESSION_STATS, None, || Detail::Stats(numbers.all()));
        Ok(())
    }
}
