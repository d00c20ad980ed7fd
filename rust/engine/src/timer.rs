//! Sleeping until a machine of the core wants to be woken, and the time of day,
//! by which a suspend of the machine is noticed.

#[cfg(test)]
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

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
    #[cfg(test)]
    ahead: AtomicI64,
}

impl WallClock {
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
