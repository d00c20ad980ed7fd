//! The end of the library: what still runs in the background is waited for. A
//! session stops there when its object is freed.

use std::time::{Duration, Instant};

use godot::global::godot_error;
use torrent_engine::{log, session};

/// How long the end of the game may wait for ordered shutdowns.
const LIMIT: Duration = Duration::from_secs(5);

/// Stops what still runs and waits until all threads have ended.
pub(crate) fn end_all() {
    let deadline = Instant::now() + LIMIT;
    for _ in 0..session::end_all(LIMIT) {
        godot_error!("TorrentSession: a session did not end in time");
    }
    if !log::end_all(deadline.saturating_duration_since(Instant::now())) {
        godot_error!("TorrentLogger: a log file was not written in time");
    }
}
