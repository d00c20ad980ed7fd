//! The session's queue: one task that says which torrents run, check their
//! files and announce.
//!
//! The machine is `torrent_core::queue`; it lies at the `QueueDesk`, where
//! torrents' tasks leave word of themselves and handles their wishes. What it
//! decides is put into each torrent's own `watch` channel, whose last word
//! counts: nobody waits, and nothing fills up.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use torrent_core::ids::InfoHash;
pub use torrent_core::queue::Move;
use torrent_core::queue::{Observation, Phase, Queue, Verdict};
use torrent_core::settings::Settings;

use crate::asked::Topic;
use crate::due::sleep_until;
use crate::error::Result;
use crate::fair;
use crate::handle::{Options, State, TorrentHandle};
use crate::session::SessionShared;

/// Where a torrent is told what the queue has decided of it.
pub(crate) type Seat = Arc<watch::Sender<Verdict>>;

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

    /// Tells torrents what is new.
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
    fn join(&self, torrent: InfoHash, seat: &Seat, seen: Observation) {
        {
            let mut desk = self.desk.lock();
            desk.seats.insert(torrent, Arc::clone(seat));
            desk.queue.add(Instant::now(), torrent, seen);
            desk.tell();
        }
        self.changed.notify_one();
    }

    /// Does something to the queue, if the torrent has its place in it.
    fn with<T>(
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

    fn leave(&self, torrent: InfoHash, seat: &Seat) {
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

    /// The torrents that wait to be downloaded, the first one first.
    pub(crate) fn order(&self) -> Vec<InfoHash> {
        self.desk.lock().queue.order().to_vec()
    }

    /// Puts torrents into an order from before.
    pub(crate) fn arrange(&self, order: &[InfoHash]) {
        self.desk.lock().queue.arrange(Instant::now(), order);
        self.changed.notify_one();
    }
}

/// Decides until the session ends.
pub(crate) async fn run(session: Arc<SessionShared>) {
    let mut settings = session.settings.subscribe();
    // They may have changed since the queue was made.
    settings.mark_changed();
    loop {
        fair::round().await;
        let due = session.queue.desk.lock().queue.poll_timeout();
        tokio::select! {
            () = session.queue.changed.notified() => {}
            () = sleep_until(due) => {}
            changed = settings.changed() => {
                if changed.is_err() {
                    return;
                }
                let settings = settings.borrow_and_update().clone();
                let mut desk = session.queue.desk.lock();
                desk.queue.set_settings(Instant::now(), &settings);
            }
        }
        let (scrapes, order_changed) = {
            let (mut desk, now) = (session.queue.desk.lock(), Instant::now());
            desk.queue.handle_timeout(now);
            desk.tell();
            (desk.queue.poll_scrape(now), desk.queue.take_order_changed())
        };
        if order_changed {
            session.state_changed();
        }
        // A session that is paused as a whole keeps silent.
        if let Some(torrent) = scrapes.filter(|_| !*session.paused.borrow()) {
            let handle = session.registry.lock().get(&torrent).cloned();
            if let Some(handle) = handle {
                // A full queue of commands only means that others come first.
                let _ = handle.scrape_tracker(None);
            }
        }
    }
}

impl TorrentHandle {
    fn with_queue<T>(&self, act: impl FnOnce(&mut Queue, Instant) -> T) -> Option<T> {
        let shared = &self.shared;
        shared.queue.with(shared.info_hash, &shared.seat, act)
    }

    fn ask_queue<T>(&self, ask: impl FnOnce(&Queue) -> T) -> Option<T> {
        let shared = &self.shared;
        let desk = shared.queue.desk.lock();
        desk.is_of(shared.info_hash, &shared.seat)
            .then(|| ask(&desk.queue))
    }

    /// Takes the last place in the queue.
    pub(crate) fn join_queue(&self) {
        let shared = &self.shared;
        let seen = {
            let options = shared.options.lock();
            Observation {
                auto_managed: options.auto_managed,
                paused: options.paused,
                phase: match self.metainfo() {
                    Some(_) => Phase::Checking,
                    None => Phase::Downloading,
                },
                ..Observation::default()
            }
        };
        shared.queue.join(shared.info_hash, &shared.seat, seen);
    }

    pub(crate) fn leave_queue(&self) {
        let shared = &self.shared;
        shared.queue.leave(shared.info_hash, &shared.seat);
    }

    /// Tells the queue how the torrent is now.
    pub(crate) fn observed(&self, seen: Observation) {
        let shared = &self.shared;
        let torrent = shared.info_hash;
        let mut desk = shared.queue.desk.lock();
        if !desk.is_of(torrent, &shared.seat) {
            return;
        }
        // The task is woken only where something has come of it: this happens
        // for every torrent all the time.
        let before = desk.queue.poll_timeout();
        desk.queue.observe(Instant::now(), torrent, seen);
        desk.tell();
        if desk.queue.poll_timeout() != before {
            shared.queue.changed.notify_one();
        }
    }

    /// Lets the torrent run until the queue is looked at the next time.
    pub(crate) fn wake(&self) {
        let torrent = self.info_hash();
        self.with_queue(|queue, _| queue.wake(torrent));
    }

    /// Stops all traffic of this torrent until [`Self::resume`], and takes it
    /// out of the queue's hands.
    pub fn pause(&self) -> Result<()> {
        self.change(|options| {
            options.paused = true;
            options.graceful = false;
            options.auto_managed = false;
        })
    }

    /// As [`Self::pause`], but takes in what peers have been asked for: they
    /// are asked for nothing more, none of them may download, and each is
    /// left when its last block is here. The `torrent_paused` event comes
    /// after that.
    pub fn pause_gracefully(&self) -> Result<()> {
        self.change(|options| {
            options.paused = true;
            options.graceful = true;
            options.auto_managed = false;
        })
    }

    /// Goes on after [`Self::pause`]. One that the queue manages runs until the
    /// queue is looked at the next time, and on if it is its turn.
    pub fn resume(&self) -> Result<()> {
        if self.is_auto_managed() {
            self.check_valid()?;
            self.wake();
            {
                let _options = self.shared.options.lock();
                self.shared.asked.ask(Topic::Options);
                self.shared.asked.ask(Topic::Pause);
            }
            self.look(State::Options);
            return Ok(());
        }
        self.change(|options| {
            options.paused = false;
            options.graceful = false;
        })
    }

    /// Whether it was told to pause, or waits for its turn.
    pub fn is_paused(&self) -> bool {
        self.waits(&self.shared.options.lock())
    }

    /// Whether these options and the queue keep it from running.
    pub(crate) fn waits(&self, options: &Options) -> bool {
        if options.auto_managed {
            !self.shared.seat.borrow().run
        } else {
            options.paused
        }
    }

    /// Lets the queue decide when it runs, or leaves it as it is now.
    pub fn set_auto_managed(&self, auto_managed: bool) -> Result<()> {
        self.check_valid()?;
        if self.is_auto_managed() == auto_managed {
            return Ok(());
        }
        let paused = self.is_paused();
        if auto_managed {
            let torrent = self.info_hash();
            self.with_queue(|queue, now| {
                if let Some(seen) = queue.seen(torrent) {
                    let seen = Observation {
                        auto_managed,
                        paused,
                        ..seen
                    };
                    queue.observe(now, torrent, seen);
                }
            });
        }
        self.change(|options| {
            options.auto_managed = auto_managed;
            options.paused = paused;
            options.graceful = false;
        })
    }

    /// Whether the queue decides when it runs.
    pub fn is_auto_managed(&self) -> bool {
        self.shared.options.lock().auto_managed
    }

    /// Its place in the queue, from 0; -1 for one that is finished, which has
    /// none.
    pub fn queue_position(&self) -> i64 {
        let torrent = self.info_hash();
        let place = self.ask_queue(|queue| queue.position(torrent));
        place.flatten().map_or(-1, |place| place as i64)
    }

    /// How much it is needed as a seed; 0 until it is finished.
    pub(crate) fn seed_rank(&self) -> u32 {
        let torrent = self.info_hash();
        let rank = self.ask_queue(|queue| queue.seed_rank(torrent));
        rank.unwrap_or_default()
    }

    /// Moves it in the queue, where one that is finished has no place.
    pub fn move_in_queue(&self, to: Move) -> Result<()> {
        self.check_valid()?;
        let torrent = self.info_hash();
        self.with_queue(|queue, now| queue.shift(now, torrent, to));
        self.shared.asked.ask(Topic::Options);
        self.look(State::Options);
        Ok(())
    }
}
