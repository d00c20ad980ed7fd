//! The end of the library: what still runs in the background is waited for. A
//! session stops there when its object is freed.

use std::time::Duration;

use godot::global::godot_error;
use torrent_engine::{log, session};

/// How long the end of the game may wait for ordered shutdowns.
const LIMIT: Duration = Duration::from_secs(5);

/// How long it may wait beyond that for log files: a disk that hangs is no reason to lose
/// the last lines of a log on another one.
const LOG_LIMIT: Duration = Duration::from_secs(1);

/// Stops what still runs and waits until all threads have ended.
pub(crate) fn end_all() {
    for _ in 0..session::end_all(LIMIT) {
        godot_error!("TorrentSession: a session did not end in time");
    }
    if !log::end_all(LOG_LIMIT) {
        godot_error!("TorrentLogger: a log file was not written in time");
    }
}
