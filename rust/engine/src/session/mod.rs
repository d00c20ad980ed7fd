//! The public face of the engine: start, settings, torrents, events, stop.
//! Cheap to clone; every call returns at once unless it says otherwise.

pub(crate) mod accept;
pub mod add;
pub(crate) mod bound;
pub(crate) mod choker;
pub(crate) mod disk_settings;
pub(crate) mod helpers;
pub(crate) mod joiner;
pub mod network;
pub mod queue;
pub(crate) mod registry;
pub(crate) mod restore;
pub(crate) mod runtime;
pub mod saved_state;
mod shared;
pub(crate) mod shutdown;
pub mod slot;
pub(crate) mod successor;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod torrent_index;
pub(crate) mod turnover;
pub(crate) mod updates;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use torrent_core::ids::InfoHashes;
use torrent_core::settings::Settings;
use torrent_core::value::{Fields, Value};

use crate::command_queue;
use crate::context::address_filter::AddressFilter;
use crate::context::{Owner, Services};
use crate::error::{Error, ErrorKind, Result};
use crate::event::command_sequence::CommandTopic;
use crate::event::sink::EventSink;
use crate::event::{TorrentRef, typed};
use crate::ip_filter::{Filter, IpFilter, Loaded, read_list};
use crate::net::listen::{self, Listening};
use crate::state_dir::Folder;
use crate::stats::{Metric, SessionNumbers, TorrentNumbers};
use crate::torrent::handle::storage::Deletion;
use crate::torrent::handle::{Command, PendingState, TorrentHandle};
pub use add::{AddTorrent, TorrentSource};
use bound::Bound;
use runtime::Start;
use saved_state::SavedSession;

use joiner::Joiner;
pub use joiner::end_all;
pub(crate) use shared::{SessionCommand, SessionShared};
pub use shutdown::FINAL_ANNOUNCE_LIMIT;
pub use slot::{RunNews, SessionSlot};
pub use successor::SUCCESSION_LIMIT;

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
        Self::start_again(settings, SavedSession::default(), None)
    }

    /// As [`Self::start`], with a folder in which the session keeps its
    /// torrents and its state: those that are there come back, and everything
    /// new is kept by itself. The folder's settings count only as far as the
    /// caller took them over (see [`StateDir::session_state`](crate::state_dir::StateDir::session_state)).
    ///
    /// Torrents are read in the background: [`Self::restored`] waits for them.
    /// One that is added before is read at once, and comes back as it was.
    pub fn start_with_state(settings: Settings, folder: impl Into<Folder>) -> Result<Self> {
        Self::start_again(settings, SavedSession::default(), Some(folder.into()))
    }

    /// As [`Self::start`], or with a folder as [`Self::start_with_state`], in
    /// place of an earlier run: with what is left of that one
    /// ([`Self::saved_session`]) on top of what the folder remembers.
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
        saved_session: SavedSession,
        folder: Option<Folder>,
    ) -> Result<Self> {
        let usual = Settings::default();
        Self::start_within(SUCCESSION_LIMIT, &usual, settings, saved_session, folder)
    }

    /// As [`Self::start_again`], with another limit for the wait, and other
    /// settings that count as default where a folder's come under those given.
    pub(crate) fn start_within(
        limit: Duration,
        usual: &Settings,
        settings: Settings,
        mut saved_session: SavedSession,
        folder: Option<Folder>,
    ) -> Result<Self> {
        let mut errors = Vec::new();
        let mut state_store = None;
        let has_folder = folder.is_some();
        let mut awaited = None;
        match folder {
            None => {}
            Some(Folder::Ending(folder)) => awaited = Some(folder),
            Some(Folder::Open(folder)) => {
                errors = folder.errors;
                errors.extend(saved_session.put_on(folder.session).err());
                state_store = Some(folder.state_store);
            }
        }
        let SavedSession { state, filter } = saved_session;
        let waits = awaited.is_some() || successor::are_ports_awaited(&settings);
        let listening = match waits {
            // What cannot be read is an error at once.
            true => settings.listen().map(|_| Listening::default())?,
            false => listen::bind(&settings)?,
        };
        let (commands, inbox) = command_queue::queue();
        let services = Arc::new(Services::new(settings, AddressFilter::new(filter)));
        if let Some(state_store) = state_store {
            services.path_claims.keep_out_of(state_store.folder());
            let _ = services.state_store.set(state_store);
        }
        let restores = has_folder || waits;
        let shared = SessionShared::new(services, state, commands, restores, !waits);
        for error in errors {
            shared.post_error(error);
        }
        successor::enter(&shared);
        let start = match waits {
            true => Start::Waiting {
                folder: awaited,
                usual: Arc::new(usual.clone()),
                limit,
            },
            false => {
                shared.services.network.show(
                    &shared.services.events,
                    &listening.sockets,
                    &listening.errors,
                );
                Start::Now(Bound::new(listening, &shared.services.settings.borrow()))
            }
        };
        let joiner = Arc::new(runtime::spawn(Arc::clone(&shared), inbox, start)?);
        joiner::enter(&shared, &joiner);
        Ok(Self {
            _stop: Arc::new(StopOnDrop(Arc::clone(&shared))),
            shared,
            joiner,
        })
    }

    /// Begins the ordered shutdown and returns at once: torrents stop and
    /// announce it, files are closed, threads end. A session whose last handle is
    /// dropped does the same. What is not done with the files after 4.5 s is
    /// left undone: a game that quits waits for this. Announces are waited for
    /// [`FINAL_ANNOUNCE_LIMIT`], and go on in the background after that.
    pub fn stop(&self) {
        self.shared.stop();
    }

    /// As [`Self::stop`] with another limit, for a program that would rather
    /// wait for a slow disk than lose what is not saved yet. A shutdown that
    /// has begun keeps its limit.
    pub fn stop_within(&self, limit: Duration) {
        // The first caller counts.
        let _ = self.shared.shutdown_limit.set(limit);
        self.shared.stop();
    }

    /// Waits until the shutdown is complete, at most `limit`: files are closed,
    /// the ports and the folder are free. Whether it is. Trackers that do not
    /// answer may still be announced to; [`Self::join_threads`] waits for that too.
    pub fn join(&self, limit: Duration) -> bool {
        self.joiner.join(limit)
    }

    /// Waits until all threads of a stopped session have ended, at most `limit`.
    /// Whether they have.
    pub fn join_threads(&self, limit: Duration) -> bool {
        self.joiner.join_threads(limit)
    }

    /// Announces that are still under way [`FINAL_ANNOUNCE_LIMIT`] after the end began
    /// are given up, instead of going on in the background.
    pub fn skip_final_announces(&self) {
        self.shared.skip_final_announces.send_replace(true);
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

    /// Whether it was started and not asked to stop.
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
        self.shared.services.settings.borrow().clone()
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

    /// Informs readers of alerts that a torrent could not be added: an
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
        if !handle.shared.lifetime.invalidate() {
            return Err(Error::new(ErrorKind::InvalidTorrentHandle));
        }
        self.shared.forget(handle.key());
        self.shared
            .services
            .path_claims
            .removed(handle.shared.lifetime.removal());
        let delete = delete.into();
        // Never refused; only a task that has ended by a fault cannot do it.
        if handle.shared.commands.send(Command::Remove { delete }) {
            return Ok(());
        }
        self.shared.services.events.post(
            typed::TORRENT_REMOVED,
            Some(&handle.torrent_ref()),
            || (),
        );
        match delete {
            Deletion::Nothing => Ok(()),
            _ => {
                let reason = "its task has ended by a fault: the files are left";
                let error = Error::because(ErrorKind::TorrentRemoveFailed, reason);
                Err(error.about(handle.info_hash().to_string()))
            }
        }
    }

    /// The torrent with this hash, or one of these: a v1 hash, a v2 hash, or
    /// one that is truncated to 20 bytes (BEP 52).
    pub fn find_torrent(&self, hash: impl Into<InfoHashes>) -> Option<TorrentHandle> {
        self.shared.registry.lock().find(hash.into()).cloned()
    }

    /// The torrent that an event names, unless it has been removed since.
    pub fn torrent_of(&self, named: &TorrentRef) -> Option<TorrentHandle> {
        let handle = self.shared.registry.lock().get(named.key).cloned();
        handle.filter(TorrentHandle::is_valid)
    }

    /// All torrents, in the order of their hashes.
    pub fn torrents(&self) -> Vec<TorrentHandle> {
        let mut torrents = self.shared.registry.lock().all();
        torrents.sort_by_key(TorrentHandle::info_hash);
        torrents
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
        self.shared.services.address_filter.banned()
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
    /// be quick: callers that ask the filter wait for it.
    ///
    /// # Errors
    ///
    /// Those of `change`, which changes nothing then.
    pub fn change_ip_filter(&self, change: impl FnOnce(&mut Filter) -> Result<()>) -> Result<()> {
        self.shared.services.address_filter.change_filter(change)?;
        self.shared.state_changed();
        Ok(())
    }

    /// The IP filter as it is.
    pub fn ip_filter(&self) -> Filter {
        self.shared
            .services
            .address_filter
            .filter()
            .borrow()
            .clone()
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
        self.set_paused(true);
    }

    /// Goes on after [`Self::pause`].
    pub fn resume(&self) {
        self.set_paused(false);
    }

    fn set_paused(&self, paused: bool) {
        if self.is_paused() == paused {
            return;
        }
        let torrents = self.torrents();
        for handle in &torrents {
            let asked = &handle.shared.asked;
            asked.ask(CommandTopic::SessionPause);
            if !paused && !handle.waits(handle.plain_options()) {
                asked.ask(CommandTopic::Resume);
            }
        }
        self.shared.services.paused.send_replace(paused);
        // Also where another thread has undone it before any torrent noticed.
        let look = |handle: &TorrentHandle| handle.look(PendingState::Options);
        torrents.iter().for_each(look);
    }

    /// Whether the session as a whole is paused.
    pub fn is_paused(&self) -> bool {
        *self.shared.services.paused.borrow()
    }

    /// Closes the listen sockets and opens them anew, as after a change of
    /// network; the outcome is posted as events.
    pub fn reopen_network_sockets(&self) -> Result<()> {
        self.post(SessionCommand::Reopen)
    }

    pub(crate) fn shared(&self) -> &SessionShared {
        &self.shared
    }

    /// Where events wait.
    pub fn events(&self) -> &EventSink {
        &self.shared.services.events
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

    /// The names and types of what [`Self::stats`] returns.
    pub fn metrics(&self) -> Vec<Metric> {
        self.numbers().metrics()
    }

    fn numbers(&self) -> SessionNumbers {
        let torrents = self.torrents();
        let torrents = torrents.iter().map(|torrent| TorrentNumbers {
            status: torrent.status(),
            peers: torrent.peers(),
            is_filtered: torrent.applies_ip_filter(),
        });
        let mut numbers = self.shared.services.stats.numbers(torrents);
        numbers
            .gauges
            .extend(self.shared.services.bandwidth.fields());
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
        let events = &self.shared.services.events;
        if !self.shared.metrics_posted.swap(true, Ordering::AcqRel) {
            events.post(typed::SESSION_STATS_HEADER, None, || numbers.metrics());
        }
        events.post(typed::SESSION_STATS, None, || numbers.all());
        Ok(())
    }
}
