//! Sleeping until a machine of the core wants to be woken.

use std::time::Instant;

/// Ends at `due`; never, if there is nothing to wait for.
pub(crate) async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
