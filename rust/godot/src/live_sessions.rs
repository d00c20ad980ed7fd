//! Every session that was started, until its threads have ended. A session
//! stops in the background when its object is freed; this is what waits for it
//! before the library goes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use torrent_engine::log;
use torrent_engine::session::Session;

use crate::threads::SharedField;

/// The engine's session while one runs.
pub(crate) type SharedRun = SharedField<Option<Session>>;

/// The session object and its alert manager both know the engine's session.
pub(crate) type Running = Arc<SharedRun>;

/// How long the end of the game may wait for ordered shutdowns.
const LIMIT: Duration = Duration::from_secs(5);

static SESSIONS: Mutex<Vec<Session>> = Mutex::new(Vec::new());

fn take() -> Vec<Session> {
    let mut sessions = SESSIONS.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::take(&mut *sessions)
}

/// Remembers a session that has just been started, and forgets those that
/// have ended since.
pub(crate) fn remember(session: &Session) {
    let mut sessions = SESSIONS.lock().unwrap_or_else(PoisonError::into_inner);
    sessions.retain(|known| known.is_running() || !known.join_threads(Duration::ZERO));
    sessions.push(session.clone());
}

/// Stops what still runs and waits until all threads have ended.
pub(crate) fn end_all() {
    let sessions = take();
    for session in &sessions {
        session.stop();
        session.skip_final_announces();
    }
    let deadline = Instant::now() + LIMIT;
    for session in &sessions {
        if !session.join_threads(deadline.saturating_duration_since(Instant::now())) {
            godot::global::godot_error!("TorrentSession: a session did not end in time");
        }
    }
    if !log::end_all(deadline.saturating_duration_since(Instant::now())) {
        godot::global::godot_error!("TorrentLogger: a log file was not written in time");
    }
}
