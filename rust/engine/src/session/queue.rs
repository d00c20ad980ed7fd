//! The session's queue: one task that says which torrents run, check their
//! files and announce. Torrents and handles reach it through the `SessionQueue`.

use std::sync::Arc;

use tokio::sync::watch;
use torrent_core::ids::TorrentKey;
pub use torrent_core::queue::Move;
use torrent_core::settings::Settings;

use crate::context::queue::SessionQueue;
use crate::coop;
use crate::timer::sleep_until;

/// Decides until the session ends. `order_changed` is called when another order
/// of torrents is to be saved, `scrape` for a torrent whose tracker is to be
/// asked for the numbers of its swarm.
pub(crate) async fn run(
    queue: Arc<SessionQueue>,
    mut settings: watch::Receiver<Arc<Settings>>,
    order_changed: impl Fn() + Send,
    scrape: impl Fn(TorrentKey) + Send,
) {
    // They may have changed since the queue was made.
    settings.mark_changed();
    loop {
        coop::round().await;
        tokio::select! {
            () = queue.changed() => {}
            () = sleep_until(queue.poll_timeout()) => {}
            changed = settings.changed() => {
                if changed.is_err() {
                    return;
                }
                queue.set_settings(&settings.borrow_and_update());
            }
        }
        let due = queue.handle_timeout();
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
        let queue = Arc::new(SessionQueue::new(&settings.borrow()));
        let task = run(Arc::clone(&queue), settings.subscribe(), || {}, drop);
        assert_gives_way(task, move || queue.arrange(&[])).await;
    }
}
