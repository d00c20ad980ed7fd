//! Sleeping until a machine of the core wants to be woken, and the time of day,
//! by which a suspend of the machine is noticed.

#[cfg(test)]
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;
use torrent_core::suspend::SuspendWatch;

/// Time between two looks for a suspend: far below the gap that counts as one, so
/// that a busy machine does not pass for one that slept.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Milliseconds of Unix time.
pub fn unix_millis() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}

/// The time of day of a session. In tests it can be set, as if the machine had
/// been suspended.
#[derive(Debug, Default)]
pub(crate) struct WallClock {
    /// The last sleep of the machine: how much of it the clock of timers has not
    /// counted.
    slept: watch::Sender<Duration>,
    #[cfg(test)]
    ahead: AtomicI64,
}

impl WallClock {
    /// Notices the sleeps of the machine, once for all that subscribe, until it is
    /// dropped.
    pub(crate) async fn watch_for_suspends(&self) {
        let mut clocks = SuspendWatch::new(Instant::now(), self.unix_millis());
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            if let Some(uncounted) = clocks.look(Instant::now(), self.unix_millis()) {
                self.slept.send_replace(uncounted);
            }
        }
    }

    /// Hears of the sleeps that are noticed from now on: each changes the value.
    pub(crate) fn suspends(&self) -> watch::Receiver<Duration> {
        self.slept.subscribe()
    }

    /// Milliseconds of Unix time.
    pub(crate) fn unix_millis(&self) -> i64 {
        #[cfg(test)]
        let ahead = self.ahead.load(Ordering::Relaxed);
        #[cfg(not(test))]
        let ahead = 0;
        unix_millis().saturating_add(ahead)
    }

    /// Is so many milliseconds ahead from now on.
    #[cfg(test)]
    pub(crate) fn advance(&self, millis: i64) {
        self.ahead.fetch_add(millis, Ordering::Relaxed);
    }
}

/// Ends at `due`; never, if there is nothing to wait for.
pub(crate) async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
