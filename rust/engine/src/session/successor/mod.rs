//! A session in the place of one that is ending: it waits, in the background,
//! until that has given up its state directory and its ports. Sessions of other
//! processes are not waited for.

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use torrent_core::settings::Settings;

use crate::error::{Error, ErrorKind, Result};
use crate::net::listen;
use crate::session::SessionShared;
use crate::session::bound::Bound;
use crate::state_dir::{Ending, Folder, StateDir};

/// How long the end of an earlier session is waited for. It takes some seconds
/// at most unless its disk hangs.
pub const SUCCESSION_LIMIT: Duration = Duration::from_secs(30);

/// How often a waiting session looks whether the folder and the ports are free.
const PAUSE: Duration = Duration::from_millis(10);

/// The sessions of this process.
static SESSIONS: Mutex<Vec<Weak<SessionShared>>> = Mutex::new(Vec::new());

/// Registers a session that begins.
pub(crate) fn enter(session: &Arc<SessionShared>) {
    let mut sessions = SESSIONS.lock();
    sessions.retain(|known| known.strong_count() > 0);
    sessions.push(Arc::downgrade(session));
}

/// Whether a session that is ending still has a port that these settings name.
pub(crate) fn are_ports_awaited(settings: &Settings) -> bool {
    let sessions = SESSIONS.lock().clone();
    let ending = sessions.iter().filter_map(Weak::upgrade);
    let mut ending = ending.filter(|session| session.is_stopping() && session.is_listening());
    ending.any(|session| {
        let ports = session.services.network.listening();
        ports.iter().any(|end| is_named(settings, end.port()))
    })
}

/// Whether a port is one on which a session may come to listen.
fn is_named(settings: &Settings, port: u16) -> bool {
    let more = u16::try_from(settings.max_retry_port_bind).unwrap_or(u16::MAX);
    let entries = settings.listen().unwrap_or_default();
    let mut first = entries.iter().map(|entry| entry.port);
    first.any(|first| first != 0 && (first..=first.saturating_add(more)).contains(&port))
}

/// Waits for the folder and the ports, and takes them. `None` when the session
/// is asked to stop before.
///
/// # Errors
///
/// The earlier session does not end in time, or the folder cannot be used.
pub(crate) async fn take_up(
    session: &Arc<SessionShared>,
    folder: Option<PathBuf>,
    usual: &Settings,
    limit: Duration,
) -> Result<Option<Bound>> {
    let mut stopping = session.services.stopping.subscribe();
    tokio::select! {
        taken = take(session, folder, usual, Instant::now() + limit) => taken.map(Some),
        _ = stopping.wait_for(|stopping| *stopping) => Ok(None),
    }
}

async fn take(
    session: &Arc<SessionShared>,
    folder: Option<PathBuf>,
    usual: &Settings,
    deadline: Instant,
) -> Result<Bound> {
    if let Some(folder) = folder {
        let state = await_folder(folder, deadline, Folder::open_as).await?;
        session.take_folder(state, usual);
    }
    while are_ports_awaited(&session.services.settings.borrow()) && Instant::now() < deadline {
        sleep(PAUSE).await;
    }
    let settings = session.services.settings.borrow().clone();
    let listening = listen::bind(&settings)?;
    session.services.network.show(
        &session.services.events,
        &listening.sockets,
        &listening.errors,
    );
    Ok(Bound::new(listening, &settings))
}

/// An attempt to open the folder, in a thread that may be left behind. When it is
/// given up, a session that comes after waits for what becomes of it.
struct StartAttempt(Option<Ending>);

impl Drop for StartAttempt {
    fn drop(&mut self) {
        if let Some(ending) = &self.0 {
            ending.begin();
        }
    }
}

async fn await_folder(
    folder: PathBuf,
    deadline: Instant,
    open: impl FnOnce(PathBuf, Ending) -> Result<Folder> + Clone + Send + 'static,
) -> Result<StateDir> {
    loop {
        let (name, ending, open) = (folder.clone(), Ending::default(), open.clone());
        let mut attempt = StartAttempt(Some(ending.clone()));
        // If the disk hangs, only this thread does.
        let opened = tokio::task::spawn_blocking(|| open(name, ending));
        let opened = tokio::time::timeout_at(deadline, opened).await;
        match opened {
            Ok(Ok(Ok(Folder::Open(state)))) => {
                attempt.0.take();
                return Ok(*state);
            }
            Ok(Ok(Ok(Folder::Ending(_)))) if Instant::now() < deadline => sleep(PAUSE).await,
            Ok(Ok(Err(error))) => return Err(error),
            _ => {
                let message = "an earlier session does not give up the state directory";
                return Err(Error::because(ErrorKind::SessionStartFailed, message)
                    .about(folder.display().to_string()));
            }
        }
    }
}

impl SessionShared {
    /// Takes over a folder, under what the session has by itself already.
    fn take_folder(&self, folder: StateDir, usual: &Settings) {
        self.services.settings.send_modify(|current| {
            let settings = folder.settings_under(current, usual);
            let limit = settings.alert_queue_size as usize;
            self.services
                .events
                .configure(settings.alert_mask as u32, limit);
            *current = Arc::new(settings);
        });
        let StateDir {
            state_store,
            session: mut remembered,
            mut errors,
        } = folder;
        if let Some(filter) = remembered.ip_filter.take() {
            errors.extend(
                self.services
                    .address_filter
                    .change_filter(|held| held.put_on(filter))
                    .err(),
            );
        }
        self.state.lock().put_on(remembered);
        self.services.path_claims.keep_out_of(state_store.folder());
        let _ = self.services.state_store.set(Arc::clone(&state_store));
        // The session may have been asked to stop meanwhile.
        if self.is_stopping() {
            state_store.begin_end();
        }
        for error in errors {
            self.post_error(error);
        }
    }
}

#[cfg(test)]
mod tests;
