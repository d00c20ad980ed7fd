//! The end of a session: its torrents and its disk within a limit, its state
//! directory, and the last announces, which may take a little longer.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::SessionShared;
use super::joiner::{Done, End};
use crate::context::Context;

/// How long the parts of a shutdown may take together, unless the owner says
/// otherwise. A game that quits waits for this at most.
const SHUTDOWN_LIMIT: Duration = Duration::from_millis(4500);

/// How long the end of a session waits for the answers of trackers.
pub const FINAL_ANNOUNCE_LIMIT: Duration = Duration::from_secs(1);

/// What the state directory is given to finish what is queued for it, beyond
/// the time that the other parts have left.
const STORE_LIMIT: Duration = Duration::from_millis(500);

/// When everything but the last announces has to be over.
pub(crate) fn deadline(session: &SessionShared) -> Instant {
    let limit = session.shutdown_limit.get();
    Instant::now() + *limit.unwrap_or(&SHUTDOWN_LIMIT)
}

/// The session has stopped: its trackers may take a little longer, and then go
/// on being informed in the background, within the limit of that.
pub(crate) async fn finish_announces(session: &SessionShared, context: &Context, done: &Done) {
    let patience = session.services.settings.borrow().stop_tracker_timeout;
    let patience = Duration::from_secs(patience.unsigned_abs());
    let begun = context.final_announces.begun();
    let mut skip_final_announces = session.skip_final_announces.subscribe();
    let mut announces = context.final_announces.all();
    let all = async { while announces.join_next().await.is_some() {} };
    tokio::pin!(all);
    let early = timeout_at(begun + FINAL_ANNOUNCE_LIMIT.min(patience), &mut all).await;
    done.reach(End::Stopped);
    if early.is_err() {
        tracing::debug!("trackers do not answer, and are told in the background");
        tokio::select! {
            _ = timeout_at(begun + patience, all) => {}
            _ = skip_final_announces.wait_for(|skip_final_announces| *skip_final_announces) => {}
        }
    }
}

/// Closes the state directory, which is given a little beyond the deadline.
pub(crate) async fn close_folder(session: &SessionShared, deadline: Instant) {
    if let Some(state_store) = session.services.state_store.get().cloned() {
        // It releases the folder's lock when it is done.
        let closed = tokio::task::spawn_blocking(move || state_store.stop());
        let closed = timeout_at(deadline + STORE_LIMIT, closed);
        if closed.await.is_err() {
            tracing::warn!("the state directory took too long to close");
        }
    }
}

/// Puts the session's state into the state directory; done when it is there
/// or did not get there at once.
pub(crate) fn save_state(session: &SessionShared) -> impl Future<Output = ()> + use<> {
    let state_store = session.services.state_store.get();
    let saved =
        state_store.map(|state_store| state_store.save_session(session.encode_state().into()));
    async {
        if let Some(saved) = saved {
            // The directory's thread reports what fails.
            let _ = saved.await;
        }
    }
}
