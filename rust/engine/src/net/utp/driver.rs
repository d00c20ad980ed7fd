//! The task of an endpoint: sends what its machine has to send, and keeps its
//! timer.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use torrent_core::settings::Settings;

use super::UtpTotals;
use super::mux::Mux;
use crate::coop;
use crate::net::udp::Endpoint;
use crate::timer::sleep_until;

/// Pause after the system had no room for a datagram. Some say at once that they
/// have room again, although there is none.
const FULL_PAUSE: Duration = Duration::from_millis(1);

/// Runs until the socket is to be closed.
pub(super) async fn drive(
    mux: Arc<Mux>,
    endpoint: Arc<Endpoint>,
    mut settings: watch::Receiver<Arc<Settings>>,
    totals: Arc<UtpTotals>,
) {
    let mut buffer = Vec::new();
    settings.mark_changed();
    // What an earlier socket did not take may go out of this one.
    mux.handle_writable();
    loop {
        coop::round().await;
        let flushed = mux.flush(&endpoint, &mut buffer);
        totals.add(flushed.counted);
        let more = async {
            match flushed.is_unfinished {
                true => {}
                false => mux.wake.notified().await,
            }
        };
        let room = async {
            if flushed.is_short || endpoint.writable().await.is_err() {
                tokio::time::sleep(FULL_PAUSE).await;
            }
        };
        tokio::select! {
            biased;
            () = endpoint.closing() => return,
            Ok(()) = settings.changed() => mux.apply(&settings.borrow_and_update()),
            () = room, if flushed.is_blocked => mux.handle_writable(),
            () = more => {}
            () = sleep_until(flushed.due) => {}
        }
    }
}
