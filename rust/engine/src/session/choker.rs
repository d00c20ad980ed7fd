//! The session's choker: one task that receives from all torrents how their peers
//! stand, and decides which peers are choked and which may download.
//!
//! Torrents leave their standing at the [`StandingInbox`]. A decision that a
//! torrent's queue does not take is made again from its next standing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;
use torrent_core::choker::Choker;
use torrent_core::settings::Settings;

use crate::context::choker::StandingInbox;
use crate::coop;
use crate::event::performance::PerformanceWarning;
use crate::event::sink::EventSink;
use crate::timer::sleep_until;

/// Posts a warning when no slot, or next to none, is given for merit.
fn warn(settings: &Settings, events: &EventSink) {
    let slots = settings.unchoke_slots_limit;
    let optimistic = settings.num_optimistic_unchoke_slots;
    if settings.choking_algorithm != 2 && slots >= 0 && optimistic > 0 && optimistic >= slots / 2 {
        events.warn(None, PerformanceWarning::TooManyOptimisticUnchokeSlots);
    }
}

/// Decides until the session ends.
pub(crate) async fn run(
    inbox: Arc<StandingInbox>,
    mut settings: watch::Receiver<Arc<Settings>>,
    events: Arc<EventSink>,
) {
    let mut choker = Choker::new(Instant::now(), (&**settings.borrow_and_update()).into());
    let mut answers = HashMap::new();
    warn(&settings.borrow(), &events);
    loop {
        coop::round().await;
        let due = choker.poll_timeout();
        tokio::select! {
            () = inbox.arrived() => {}
            () = sleep_until(due) => {}
            changed = settings.changed() => match changed {
                Ok(()) => {
                    let settings = settings.borrow_and_update();
                    choker.set_settings(Instant::now(), (&**settings).into());
                    warn(&settings, &events);
                }
                Err(_) => return,
            },
        }
        for (torrent, report) in inbox.take() {
            match report {
                Some((standing, to)) => {
                    choker.update(torrent, standing);
                    answers.insert(torrent, to);
                }
                None => {
                    choker.remove(torrent);
                    answers.remove(&torrent);
                }
            }
        }
        choker.handle_timeout(Instant::now());
        while let Some((torrent, changes)) = choker.poll_output() {
            let sent = answers.get(&torrent).is_some_and(|to| to.choke(changes));
            if !sent {
                choker.undelivered(torrent);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use torrent_core::ids::TorrentKey;

    use super::*;
    use crate::coop::testing::assert_gives_way;

    #[tokio::test]
    async fn torrents_that_never_stop_reporting_leave_others_their_turn() {
        let settings = watch::Sender::new(Arc::<Settings>::default());
        let inbox = Arc::new(StandingInbox::default());
        let events = Arc::new(EventSink::new(0, 1));
        let task = run(Arc::clone(&inbox), settings.subscribe(), events);
        assert_gives_way(task, move || inbox.gone(TorrentKey(1))).await;
    }
}
