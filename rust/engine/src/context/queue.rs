//! The session's queue as torrents see it: the machine of `torrent_core::queue`,
//! and where its verdicts go.
//!
//! The machine is behind a mutex, because a caller reads right after it has
//! changed something (a position, whether a torrent runs), and must find what it
//! has set. Each call does one step of the machine. What it decides is put into
//! each torrent's own `watch` channel, whose last word counts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use torrent_core::ids::InfoHash;
use torrent_core::queue::{Observation, Queue, QueueVerdict};
use torrent_core::settings::Settings;

/// Where a torrent finds what the queue has decided for it.
pub(crate) type VerdictSender = Arc<watch::Sender<QueueVerdict>>;

/// What the queue asks of the session.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Due {
    /// The order of torrents is another one, and is to be saved.
    pub(crate) order_changed: bool,
    /// A torrent whose swarm's numbers are wanted.
    pub(crate) scrape: Option<InfoHash>,
}

/// The queue, and where its verdicts go.
#[derive(Debug)]
pub(crate) struct SessionQueue {
    state: Mutex<QueueState>,
    changed: Notify,
}

#[derive(Debug)]
struct QueueState {
    queue: Queue,
    verdicts: HashMap<InfoHash, VerdictSender>,
}

impl QueueState {
    /// Whether the torrent has its place here: another one of the same hash
    /// may have come after it.
    fn is_of(&self, torrent: InfoHash, queue_verdict: &VerdictSender) -> bool {
        let known = self.verdicts.get(&torrent);
        known.is_some_and(|known| Arc::ptr_eq(known, queue_verdict))
    }

    /// Informs torrents of what is new.
    fn send_verdicts(&mut self) {
        while let Some((torrent, verdict)) = self.queue.poll_verdict() {
            if let Some(queue_verdict) = self.verdicts.get(&torrent) {
                queue_verdict
                    .send_if_modified(|known| std::mem::replace(known, verdict) != verdict);
            }
        }
    }
}

impl SessionQueue {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            state: Mutex::new(QueueState {
                queue: Queue::new(settings),
                verdicts: HashMap::new(),
            }),
            changed: Notify::new(),
        }
    }

    /// A torrent has come.
    pub(crate) fn join(&self, torrent: InfoHash, queue_verdict: &VerdictSender, seen: Observation) {
        {
            let mut state = self.state.lock();
            state.verdicts.insert(torrent, Arc::clone(queue_verdict));
            state.queue.add(Instant::now(), torrent, seen);
            state.send_verdicts();
        }
        self.changed.notify_one();
    }

    /// Does something to the queue, if the torrent has its place in it.
    pub(crate) fn with<T>(
        &self,
        torrent: InfoHash,
        queue_verdict: &VerdictSender,
        act: impl FnOnce(&mut Queue, Instant) -> T,
    ) -> Option<T> {
        let done = {
            let mut state = self.state.lock();
            if !state.is_of(torrent, queue_verdict) {
                return None;
            }
            let done = act(&mut state.queue, Instant::now());
            state.send_verdicts();
            done
        };
        self.changed.notify_one();
        Some(done)
    }

    pub(crate) fn leave(&self, torrent: InfoHash, queue_verdict: &VerdictSender) {
        {
            let mut state = self.state.lock();
            if !state.is_of(torrent, queue_verdict) {
                return;
            }
            state.verdicts.remove(&torrent);
            state.queue.remove(Instant::now(), torrent);
        }
        self.changed.notify_one();
    }

    /// Reads something of the queue, if the torrent has its place in it.
    pub(crate) fn ask<T>(
        &self,
        torrent: InfoHash,
        queue_verdict: &VerdictSender,
        ask: impl FnOnce(&Queue) -> T,
    ) -> Option<T> {
        let state = self.state.lock();
        state
            .is_of(torrent, queue_verdict)
            .then(|| ask(&state.queue))
    }

    /// How the torrent is now.
    pub(crate) fn observe(
        &self,
        torrent: InfoHash,
        queue_verdict: &VerdictSender,
        seen: Observation,
    ) {
        let mut state = self.state.lock();
        if !state.is_of(torrent, queue_verdict) {
            return;
        }
        // The task is woken only where something has come of it: this happens
        // for every torrent all the time.
        let before = state.queue.poll_timeout();
        state.queue.observe(Instant::now(), torrent, seen);
        state.send_verdicts();
        if state.queue.poll_timeout() != before {
            self.changed.notify_one();
        }
    }

    /// The torrents that wait to be downloaded, the first one first.
    pub(crate) fn order(&self) -> Vec<InfoHash> {
        self.state.lock().queue.order().to_vec()
    }

    /// Puts torrents into an order from before.
    pub(crate) fn arrange(&self, order: &[InfoHash]) {
        self.state.lock().queue.arrange(Instant::now(), order);
        self.changed.notify_one();
    }

    /// Waits until something has changed. For the queue's task only.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// When the queue wants to be looked at.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.state.lock().queue.poll_timeout()
    }

    /// Other settings are in force.
    pub(crate) fn set_settings(&self, settings: &Settings) {
        let mut state = self.state.lock();
        state.queue.set_settings(Instant::now(), settings);
    }

    /// Looks at the queue and hands out its verdicts.
    pub(crate) fn handle_timeout(&self) -> Due {
        let (mut state, now) = (self.state.lock(), Instant::now());
        state.queue.handle_timeout(now);
        state.send_verdicts();
        Due {
            scrape: state.queue.poll_scrape(now),
            order_changed: state.queue.take_order_changed(),
        }
    }
}
