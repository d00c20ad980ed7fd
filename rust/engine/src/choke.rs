//! The session's choker: one task that hears from all torrents how their peers
//! stand, and tells them whom to choke and to let download.
//!
//! Torrents leave their standing at the [`ChokeDesk`], where only the last one
//! of each is kept: it never fills up, and no torrent waits. A decision that a
//! torrent's queue does not take is made again from its next standing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;
use torrent_core::choker::{Choker, Standing};
use torrent_core::ids::TorrentKey;

use crate::due::sleep_until;
use crate::fair;
use crate::handle::{Command, TorrentHandle};
use crate::performance::PerformanceWarning;
use crate::session::SessionShared;

/// What a torrent said last; `None` when it is gone.
type Word = Option<(Standing, TorrentHandle)>;

/// Where torrents leave word for the choker.
#[derive(Debug, Default)]
pub(crate) struct ChokeDesk {
    words: Mutex<BTreeMap<TorrentKey, Word>>,
    arrived: Notify,
}

impl ChokeDesk {
    /// How a torrent's peers stand; decisions go to `answers`.
    pub(crate) fn report(&self, torrent: TorrentKey, standing: Standing, answers: &TorrentHandle) {
        self.leave(torrent, Some((standing, answers.clone())));
    }

    /// A torrent is gone: its slots are free.
    pub(crate) fn gone(&self, torrent: TorrentKey) {
        self.leave(torrent, None);
    }

    fn leave(&self, torrent: TorrentKey, word: Word) {
        self.words.lock().insert(torrent, word);
        self.arrived.notify_one();
    }
}

/// Says so when no slot, or next to none, is given for merit.
fn warn(session: &SessionShared) {
    let settings = session.settings.borrow().clone();
    let slots = settings.unchoke_slots_limit;
    let optimistic = settings.num_optimistic_unchoke_slots;
    if settings.choking_algorithm != 2 && slots >= 0 && optimistic > 0 && optimistic >= slots / 2 {
        session.warn(None, PerformanceWarning::TooManyOptimisticUnchokeSlots);
    }
}

/// Decides until the session ends.
pub(crate) async fn run(session: Arc<SessionShared>) {
    let mut settings = session.settings.subscribe();
    let mut choker = Choker::new((&**settings.borrow_and_update()).into());
    let mut answers = HashMap::new();
    warn(&session);
    loop {
        fair::round().await;
        let due = choker.poll_timeout(Instant::now());
        tokio::select! {
            () = session.choking.arrived.notified() => {}
            () = sleep_until(due) => {}
            changed = settings.changed() => match changed {
                Ok(()) => {
                    choker.set_settings((&**settings.borrow_and_update()).into());
                    warn(&session);
                }
                Err(_) => return,
            },
        }
        let words = std::mem::take(&mut *session.choking.words.lock());
        for (torrent, word) in words {
            match word {
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
        for (torrent, changes) in choker.decide(Instant::now()) {
            let sent = answers
                .get(&torrent)
                .is_some_and(|to| to.offer(Command::Choking(changes)));
            if !sent {
                choker.undelivered(torrent);
            }
        }
    }
}
