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
use torrent_core::ids::{InfoHash, TorrentKey};
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
    pub(crate) scrape: Option<TorrentKey>,
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
    /// Where each torrent finds its verdict, and the hash by which the order is
    /// saved.
    verdicts: HashMap<TorrentKey, (VerdictSender, InfoHash)>,
}

impl QueueState {
    /// Informs torrents of what is new.
    fn send_verdicts(&mut self) {
        while let Some((torrent, verdict)) = self.queue.poll_verdict() {
            if let Some((sender, _)) = self.verdicts.get(&torrent) {
                sender.send_if_modified(|known| std::mem::replace(known, verdict) != verdict);
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

    /// A torrent has come, whose place in the order is saved under `hash`.
    pub(crate) fn join(
        &self,
        torrent: TorrentKey,
        hash: InfoHash,
        sender: &VerdictSender,
        seen: Observation,
    ) {
        {
            let mut state = self.state.lock();
            state.verdicts.insert(torrent, (Arc::clone(sender), hash));
            state.queue.add(Instant::now(), torrent, seen);
            state.send_verdicts();
        }
        self.changed.notify_one();
    }

    /// Does something to the queue, if the torrent has its place in it.
    pub(crate) fn with<T>(
        &self,
        torrent: TorrentKey,
        act: impl FnOnce(&mut Queue, Instant) -> T,
    ) -> Option<T> {
        let done = {
            let mut state = self.state.lock();
            if !state.verdicts.contains_key(&torrent) {
                return None;
            }
            let done = act(&mut state.queue, Instant::now());
            state.send_verdicts();
            done
        };
        self.changed.notify_one();
        Some(done)
    }

    pub(crate) fn leave(&self, torrent: TorrentKey) {
        {
            let mut state = self.state.lock();
            if state.verdicts.remove(&torrent).is_none() {
                return;
            }
            state.queue.remove(Instant::now(), torrent);
        }
        self.changed.notify_one();
    }

    /// Reads something of the queue, if the torrent has its place in it.
    pub(crate) fn ask<T>(&self, torrent: TorrentKey, ask: impl FnOnce(&Queue) -> T) -> Option<T> {
        let state = self.state.lock();
        let is_here = state.verdicts.contains_key(&torrent);
        is_here.then(|| ask(&state.queue))
    }

    /// How the torrent is now.
    pub(crate) fn observe(&self, torrent: TorrentKey, seen: Observation) {
        let mut state = self.state.lock();
        if !state.verdicts.contains_key(&torrent) {
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

    /// The torrents that wait to be downloaded, the first one first, as they
    /// are saved.
    pub(crate) fn order(&self) -> Vec<InfoHash> {
        let state = self.state.lock();
        let hash = |torrent: &TorrentKey| state.verdicts.get(torrent).map(|&(_, hash)| hash);
        state.queue.order().iter().filter_map(hash).collect()
    }

    /// Puts torrents into an order from before.
    pub(crate) fn arrange(&self, order: &[InfoHash]) {
        {
            let mut state = self.state.lock();
            let keys = state
                .verdicts
                .iter()
                .map(|(&torrent, &(_, hash))| (hash, torrent));
            let keys: HashMap<InfoHash, TorrentKey> = keys.collect();
            let order: Vec<_> = order
                .iter()
                .filter_map(|it| keys.get(it).copied())
                .collect();
            state.queue.arrange(Instant::now(), &order);
        }
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
