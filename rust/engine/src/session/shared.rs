//! What the tasks of a session share with its public face, and torrents do not
//! see.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use torrent_core::ids::TorrentKey;
use torrent_core::session_state::SessionState;
use torrent_core::settings::Settings;

use crate::command_queue::{CommandPermit, Sender};
use crate::context::{Owner, Services};
use crate::disk::DiskWatch;
use crate::error::{Error, ErrorKind, Result};
use crate::event::typed;
use crate::session::restore::Restoring;
use crate::session::torrent_index::TorrentIndex;
use crate::torrent::handle::Command;
use crate::torrent::{NewTorrent, UnfinishedRemoval};

/// Messages that wait for the session's task; beyond that the caller gets an
/// error, since only a stuck task lets them become so many.
const SESSION_QUEUE: usize = 4096;

/// Commands for the session's task.
#[derive(Debug)]
pub(crate) enum SessionCommand {
    /// Run this torrent.
    Add(Box<NewTorrent>),
    /// Go on with a removal that an earlier session has begun.
    FinishRemoval(Box<UnfinishedRemoval>),
    /// Close the listen sockets and open them anew.
    Reopen,
    /// Post a `state_update` event with what changed since the last one.
    PostUpdates,
}

/// What the session's tasks share.
#[derive(Debug)]
pub(crate) struct SessionShared {
    pub(crate) services: Arc<Services>,
    /// The program ends: nothing goes on in the background.
    pub(crate) skip_final_announces: watch::Sender<bool>,
    /// How long the shutdown may take, where it is not as usual.
    pub(crate) shutdown_limit: OnceLock<Duration>,
    pub(crate) registry: Mutex<TorrentIndex>,
    /// The session's state as it was taken over, for what only others use.
    pub(crate) state: Mutex<SessionState>,
    /// The session's state is not what is saved.
    pub(crate) state_unsaved: Notify,
    /// The torrents of the state directory that are not back yet.
    pub(crate) restoring: Restoring,
    /// What the disk does, from when it is started on.
    pub(crate) disk: OnceLock<DiskWatch>,
    /// The names of the counters have been posted.
    pub(crate) metrics_posted: AtomicBool,
    pub(super) running: AtomicBool,
    /// It has its folder and its ports.
    pub(crate) up: AtomicBool,
    /// Its listen sockets may be open.
    pub(crate) listening: AtomicBool,
    /// Why it ended by itself.
    pub(crate) failure: OnceLock<Error>,
    pub(crate) commands: Sender<SessionCommand>,
}

impl SessionShared {
    /// A session that has these services and has not begun yet. It waits for
    /// torrents of a folder if `restores`, and has its folder and its ports if
    /// `is_up`.
    pub(crate) fn new(
        services: Arc<Services>,
        state: SessionState,
        commands: Sender<SessionCommand>,
        restores: bool,
        is_up: bool,
    ) -> Arc<Self> {
        let session = Arc::new(Self {
            services,
            skip_final_announces: watch::Sender::new(false),
            shutdown_limit: OnceLock::new(),
            registry: Mutex::default(),
            state: Mutex::new(state),
            state_unsaved: Notify::new(),
            restoring: Restoring::new(restores),
            disk: OnceLock::new(),
            metrics_posted: AtomicBool::new(false),
            running: AtomicBool::new(true),
            up: AtomicBool::new(is_up),
            listening: AtomicBool::new(true),
            failure: OnceLock::new(),
            commands,
        });
        session.services.path_claims.set_incomplete(restores);
        let owner: Weak<Self> = Arc::downgrade(&session);
        session.services.set_owner(owner);
        session
    }

    pub(crate) fn stop(&self) {
        if self.running.swap(false, Ordering::AcqRel) {
            for handle in self.registry.lock().all() {
                handle.shared.lifetime.invalidate();
            }
            if let Some(state_store) = self.services.state_store.get() {
                state_store.begin_end();
            }
            self.services.stopping.send_replace(true);
        }
    }

    /// Changes settings in one step: of two threads that change some, one
    /// would be forgotten. Nothing changes when `change` fails.
    pub(crate) fn change_settings(
        &self,
        change: impl FnOnce(&mut Settings) -> Result<()>,
    ) -> Result<()> {
        let mut changed = Ok(());
        self.services.settings.send_if_modified(|current| {
            let mut settings = Settings::clone(current);
            changed = change(&mut settings);
            if changed.is_ok() {
                let limit = settings.alert_queue_size as usize;
                self.services
                    .events
                    .configure(settings.alert_mask as u32, limit);
                *current = Arc::new(settings);
            }
            changed.is_ok()
        });
        changed?;
        self.state_changed();
        Ok(())
    }

    /// Whether it was asked to stop.
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
        self.post_error(error);
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
    pub(crate) fn place(&self) -> Result<CommandPermit<'_, SessionCommand>> {
        self.check_running()?;
        let place = self.commands.reserve(SESSION_QUEUE);
        place.map_err(|_| Error::because(ErrorKind::Timeout, "the session does not take commands"))
    }

    pub(crate) fn post(&self, command: SessionCommand) -> Result<()> {
        self.place()?.send(command);
        Ok(())
    }
}

impl Owner for SessionShared {
    fn forget(&self, torrent: TorrentKey) {
        // Under the lock: another one of its hashes takes its place after this.
        let mut registry = self.registry.lock();
        let Some(handle) = registry.remove(torrent) else {
            return;
        };
        // A session that stops remembers which torrents waited.
        if self.running.load(Ordering::Acquire) {
            handle.leave_queue();
        }
    }

    fn ban(&self, ip: IpAddr) {
        if !self.services.address_filter.ban(ip) {
            return;
        }
        self.services
            .events
            .post(typed::IP_BAN, None, || ip.to_canonical());
        let torrents = self.registry.lock().all();
        for torrent in torrents {
            // Never refused: each address is banned once.
            torrent.shared.commands.send(Command::Ban(ip));
        }
    }
}
