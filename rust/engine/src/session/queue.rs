//! The session's queue: one task that says which torrents run, check their
//! files and announce. Torrents and handles reach it through the `QueueDesk`.

use std::sync::Arc;

use tokio::sync::watch;
use torrent_core::ids::InfoHash;
pub use torrent_core::queue::Move;
use torrent_core::settings::Settings;

use crate::context::queue::QueueDesk;
use crate::coop;
use crate::timer::sleep_until;

/// Decides until the session ends. `order_changed` is called when another order
/// of torrents is to be saved, `scrape` for a torrent whose tracker is to be
/// asked for the numbers of its swarm.
pub(crate) async fn run(
    desk: Arc<QueueDesk>,
    mut settings: watch::Receiver<Arc<Settings>>,
    order_changed: impl Fn() + Send,
    scrape: impl Fn(InfoHash) + Send,
) {
    // They may have changed since the queue was made.
    settings.mark_changed();
    loop {
        coop::round().await;
        tokio::select! {
            () = desk.changed() => {}
            () = sleep_until(desk.poll_timeout()) => {}
            changed = settings.changed() => {
                if changed.is_err() {
                    return;
                }
                desk.set_settings(&settings.borrow_and_update());
            }
        }
        let due = desk.handle_timeout();
        if due.order_changed {
            order_changed();
        }
        if let Some(torrent) = due.scrape {
            scrape(torrent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coop::testing::assert_gives_way;

    #[tokio::test]
    async fn torrents_that_never_stop_changing_leave_others_their_turn() {
        let settings = watch::Sender::new(Arc::<Settings>::default());
        let desk = Arc::new(QueueDesk::new(&settings.borrow()));
        let task = run(Arc::clone(&desk), settings.subscribe(), || {}, drop);
        assert_gives_way(task, move || desk.arrange(&[])).await;
    }
}
