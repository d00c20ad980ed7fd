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
pub(crate) type Seat = Arc<watch::Sender<QueueVerdict>>;

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
pub(crate) struct QueueDesk {
    desk: Mutex<Desk>,
    changed: Notify,
}

#[derive(Debug)]
struct Desk {
    queue: Queue,
    seats: HashMap<InfoHash, Seat>,
}

impl Desk {
    /// Whether the torrent has its place here: another one of the same hash
    /// may have come after it.
    fn is_of(&self, torrent: InfoHash, seat: &Seat) -> bool {
        let known = self.seats.get(&torrent);
        known.is_some_and(|known| Arc::ptr_eq(known, seat))
    }

    /// Informs torrents of what is new.
    fn tell(&mut self) {
        while let Some((torrent, verdict)) = self.queue.poll_verdict() {
            if let Some(seat) = self.seats.get(&torrent) {
                seat.send_if_modified(|known| std::mem::replace(known, verdict) != verdict);
            }
        }
    }
}

impl QueueDesk {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            desk: Mutex::new(Desk {
                queue: Queue::new(settings),
                seats: HashMap::new(),
            }),
            changed: Notify::new(),
        }
    }

    /// A torrent has come.
    pub(crate) fn join(&self, torrent: InfoHash, seat: &Seat, seen: Observation) {
        {
            let mut desk = self.desk.lock();
            desk.seats.insert(torrent, Arc::clone(seat));
            desk.queue.add(Instant::now(), torrent, seen);
            desk.tell();
        }
        self.changed.notify_one();
    }

    /// Does something to the queue, if the torrent has its place in it.
    pub(crate) fn with<T>(
        &self,
        torrent: InfoHash,
        seat: &Seat,
        act: impl FnOnce(&mut Queue, Instant) -> T,
    ) -> Option<T> {
        let done = {
            let mut desk = self.desk.lock();
            if !desk.is_of(torrent, seat) {
                return None;
            }
            let done = act(&mut desk.queue, Instant::now());
            desk.tell();
            done
        };
        self.changed.notify_one();
        Some(done)
    }

    pub(crate) fn leave(&self, torrent: InfoHash, seat: &Seat) {
        {
            let mut desk = self.desk.lock();
            if !desk.is_of(torrent, seat) {
                return;
            }
            desk.seats.remove(&torrent);
            desk.queue.remove(Instant::now(), torrent);
        }
        self.changed.notify_one();
    }

    /// Reads something of the queue, if the torrent has its place in it.
    pub(crate) fn ask<T>(
        &self,
        torrent: InfoHash,
        seat: &Seat,
        ask: impl FnOnce(&Queue) -> T,
    ) -> Option<T> {
        let desk = self.desk.lock();
        desk.is_of(torrent, seat).then(|| ask(&desk.queue))
    }

    /// How the torrent is now.
    pub(crate) fn observe(&self, torrent: InfoHash, seat: &Seat, seen: Observation) {
        let mut desk = self.desk.lock();
        if !desk.is_of(torrent, seat) {
            return;
        }
        // The task is woken only where something has come of it: this happens
        // for every torrent all the time.
        let before = desk.queue.poll_timeout();
        desk.queue.observe(Instant::now(), torrent, seen);
        desk.tell();
        if desk.queue.poll_timeout() != before {
            self.changed.notify_one();
        }
    }

    /// The torrents that wait to be downloaded, the first one first.
    pub(crate) fn order(&self) -> Vec<InfoHash> {
        self.desk.lock().queue.order().to_vec()
    }

    /// Puts torrents into an order from before.
    pub(crate) fn arrange(&self, order: &[InfoHash]) {
        self.desk.lock().queue.arrange(Instant::now(), order);
        self.changed.notify_one();
    }

    /// Waits until something has changed. For the queue's task only.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// When the queue wants to be looked at.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.desk.lock().queue.poll_timeout()
    }

    /// Other settings are in force.
    pub(crate) fn set_settings(&self, settings: &Settings) {
        let mut desk = self.desk.lock();
        desk.queue.set_settings(Instant::now(), settings);
    }

    /// Looks at the queue and hands out its verdicts.
    pub(crate) fn handle_timeout(&self) -> Due {
        let (mut desk, now) = (self.desk.lock(), Instant::now());
        desk.queue.handle_timeout(now);
        desk.tell();
        Due {
            scrape: desk.queue.poll_scrape(now),
            order_changed: desk.queue.take_order_changed(),
        }
    }
}
