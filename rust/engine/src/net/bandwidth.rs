//! Rate limits at work: between the connections, which ask before they move
//! bytes, and `torrent_core::bandwidth`, which says who may move how many.
//!
//! Each connection has a [`Valve`](crate::net::allowance::Valve) for each
//! direction, and waits when its allowance is used up. The session's [`run`]
//! task gives it another, every 50 ms while any connection waits. It owns the
//! machines of both directions and is informed by notes. The limits themselves are
//! published, so that a valve knows by itself whether one holds for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, watch};
use torrent_core::bandwidth::{Bandwidth, Granted, Scope};
use torrent_core::ids::TorrentKey;
use torrent_core::settings::Settings;
use torrent_core::value::Fields;

use crate::coop;
use crate::timer::sleep_until;

/// Notes taken at once, so that work per wake is bounded.
const BATCH: usize = 256;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// To us.
    Down,
    /// To the peer.
    Up,
}

impl Direction {
    const BOTH: [Self; 2] = [Self::Down, Self::Up];

    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Down => Self::Up,
            Self::Up => Self::Down,
        }
    }
}

/// Where a grant is left for a connection.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    pub(crate) granted: AtomicU64,
    pub(crate) arrived: Notify,
}

/// A connection in line.
#[derive(Clone, Debug)]
pub(crate) struct BandwidthTicket(pub(crate) Arc<Slot>);

impl PartialEq for BandwidthTicket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Notes for the task, in the order in which things happened.
#[derive(Debug)]
pub(crate) enum BandwidthNote {
    /// A limit is another one, in either direction.
    Limits(Scope, [Option<u64>; 2]),
    /// A connection waits for an allowance.
    Wants(Share, BandwidthTicket, u64),
    /// Bytes went beside the allowances.
    Overhead(Share, u64),
    /// A connection has ended.
    Ended {
        share: Share,
        ticket: BandwidthTicket,
        /// What it had and did not use, of the limits of this epoch.
        unused: u64,
        epoch: u64,
    },
}

/// Which limits hold for a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) direction: Direction,
    pub(crate) torrent: TorrentKey,
    /// The session's limit does not.
    pub(crate) exempt: bool,
}

/// The limits of one direction, in bytes a second.
#[derive(Clone, Debug, Default)]
pub(crate) struct BandwidthLimits {
    session: Option<u64>,
    torrents: BTreeMap<TorrentKey, u64>,
}

impl BandwidthLimits {
    fn set(&mut self, scope: Scope, limit: Option<u64>) {
        match (scope, limit) {
            (Scope::Session, limit) => self.session = limit,
            (Scope::Torrent(torrent), Some(limit)) => {
                self.torrents.insert(torrent, limit);
            }
            (Scope::Torrent(torrent), None) => {
                self.torrents.remove(&torrent);
            }
        }
    }

    fn get(&self, scope: Scope) -> Option<u64> {
        match scope {
            Scope::Session => self.session,
            Scope::Torrent(torrent) => self.torrents.get(&torrent).copied(),
        }
    }

    /// Whether one holds for a connection.
    fn hold_for(&self, share: &Share) -> bool {
        (!share.exempt && self.session.is_some()) || self.torrents.contains_key(&share.torrent)
    }

    fn is_limited(&self) -> bool {
        self.session.is_some() || !self.torrents.is_empty()
    }
}

/// The connections that waited when bytes were last given out.
#[derive(Clone, Debug, Default)]
pub(crate) struct QueuedRequest {
    all: u64,
    bytes: u64,
    torrents: BTreeMap<TorrentKey, u64>,
}

/// One direction of a session, as all tasks may read it.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    limits: ArcSwap<BandwidthLimits>,
    /// Raised by every change of a limit: allowances from before are void.
    pub(crate) epoch: AtomicU64,
    queued: ArcSwap<QueuedRequest>,
}

impl Lane {
    /// Whether a limit holds for a connection.
    pub(crate) fn is_limited(&self, share: &Share) -> bool {
        self.limits.load().hold_for(share)
    }
}

/// The rate limits of a session.
#[derive(Debug)]
pub(crate) struct BandwidthLimiter {
    down: Lane,
    up: Lane,
    /// There is a limit somewhere.
    active: AtomicBool,
    /// Headers of TCP/IP count (`rate_limit_ip_overhead`).
    headers: AtomicBool,
    /// The session's limits do not hold for the local network
    /// (`ignore_limits_on_local_network`).
    spare_local: AtomicBool,
    /// Not bounded: a connection waits for one allowance at a time, and reports
    /// headers some kilobytes at a time.
    notes: mpsc::UnboundedSender<BandwidthNote>,
    /// For the task, which takes it.
    inbox: Mutex<Option<mpsc::UnboundedReceiver<BandwidthNote>>>,
}

/// Bytes a second as settings and options have it: 0 and less is no limit.
fn rate(limit: i64) -> Option<u64> {
    u64::try_from(limit).ok().filter(|&limit| limit > 0)
}

impl BandwidthLimiter {
    /// The limits of `settings`.
    pub(crate) fn new(settings: &Settings) -> Self {
        let (notes, inbox) = mpsc::unbounded_channel();
        let limiter = Self {
            down: Lane::default(),
            up: Lane::default(),
            active: AtomicBool::new(false),
            headers: AtomicBool::new(true),
            spare_local: AtomicBool::new(false),
            notes,
            inbox: Mutex::new(Some(inbox)),
        };
        limiter.apply(settings);
        limiter
    }

    fn apply(&self, settings: &Settings) {
        self.headers
            .store(settings.rate_limit_ip_overhead, Ordering::Relaxed);
        self.spare_local
            .store(settings.ignore_limits_on_local_network, Ordering::Relaxed);
        let (down, up) = (settings.download_rate_limit, settings.upload_rate_limit);
        self.set(Scope::Session, down, up);
    }

    /// Limits one torrent, in bytes a second; 0 or less for no limit.
    pub(crate) fn set_torrent(&self, torrent: TorrentKey, down: i64, up: i64) {
        self.set(Scope::Torrent(torrent), down, up);
    }

    fn set(&self, scope: Scope, down: i64, up: i64) {
        let limits = [rate(down), rate(up)];
        let lanes = [&self.down, &self.up];
        // Each scope is set by one task. Settings change for all torrents at once.
        if lanes.map(|lane| lane.limits.load().get(scope)) == limits {
            return;
        }
        for (lane, limit) in [&self.down, &self.up].into_iter().zip(limits) {
            lane.limits.rcu(|limits| {
                let mut limits = BandwidthLimits::clone(limits);
                limits.set(scope, limit);
                limits
            });
        }
        // Torrents set theirs at the same time: the last one to look sees all.
        loop {
            let active = self.is_limited();
            self.active.store(active, Ordering::SeqCst);
            if active == self.is_limited() {
                break;
            }
        }
        self.note(BandwidthNote::Limits(scope, limits));
    }

    fn is_limited(&self) -> bool {
        let lanes = [&self.down, &self.up];
        lanes.iter().any(|lane| lane.limits.load().is_limited())
    }

    /// Whether there is any limit, cheaply.
    pub(crate) fn is_active(&self) -> bool {
        self.active.load(Ordering::Relaxed)
    }

    /// Whether headers of TCP/IP count.
    pub(crate) fn counts_headers(&self) -> bool {
        self.headers.load(Ordering::Relaxed)
    }

    /// Whether the session's limits do not hold for the local network.
    pub(crate) fn spares_local(&self) -> bool {
        self.spare_local.load(Ordering::Relaxed)
    }

    pub(crate) fn note(&self, note: BandwidthNote) {
        // Where no task is, nothing moves any more.
        let _ = self.notes.send(note);
    }

    pub(crate) fn lane(&self, direction: Direction) -> &Lane {
        match direction {
            Direction::Down => &self.down,
            Direction::Up => &self.up,
        }
    }

    /// How many connections of a torrent wait for an allowance.
    pub(crate) fn waiting(&self, direction: Direction, torrent: TorrentKey) -> u64 {
        if !self.is_active() {
            return 0;
        }
        let queued = self.lane(direction).queued.load();
        queued.torrents.get(&torrent).copied().unwrap_or(0)
    }

    /// Who waits, and for how much, by libtorrent's metric names.
    pub(crate) fn fields(&self) -> Fields {
        let (up, down) = (self.up.queued.load(), self.down.queued.load());
        vec![
            ("net.limiter_up_queue".into(), up.all.into()),
            ("net.limiter_down_queue".into(), down.all.into()),
            ("net.limiter_up_bytes".into(), up.bytes.into()),
            ("net.limiter_down_bytes".into(), down.bytes.into()),
        ]
    }
}

/// Distributes until the session ends. `too_low` is called for a direction whose
/// limit headers alone use up.
pub(crate) async fn run(
    limiter: Arc<BandwidthLimiter>,
    mut settings: watch::Receiver<Arc<Settings>>,
    too_low: impl Fn(Direction) + Send,
) {
    let Some(mut inbox) = limiter.inbox.lock().take() else {
        return;
    };
    // They may have changed since the limiter was made.
    settings.mark_changed();
    let mut distributor = Distributor::new(limiter, Instant::now());
    let mut notes = Vec::with_capacity(BATCH);
    loop {
        coop::round().await;
        tokio::select! {
            _ = inbox.recv_many(&mut notes, BATCH) => {
                let now = Instant::now();
                for note in notes.drain(..) {
                    distributor.hear(note, now);
                }
            }
            () = sleep_until(distributor.poll_timeout()) => {}
            changed = settings.changed() => match changed {
                Ok(()) => distributor.limiter.apply(&settings.borrow_and_update()),
                Err(_) => return,
            },
        }
        let now = Instant::now();
        for direction in Direction::BOTH {
            if distributor.distribute(direction, now) {
                too_low(direction);
            }
        }
    }
}

/// Gives out what the limits allow.
struct Distributor {
    limiter: Arc<BandwidthLimiter>,
    down: Bandwidth<BandwidthTicket>,
    up: Bandwidth<BandwidthTicket>,
}

impl Distributor {
    fn new(limiter: Arc<BandwidthLimiter>, now: Instant) -> Self {
        Self {
            limiter,
            down: Bandwidth::new(now),
            up: Bandwidth::new(now),
        }
    }

    fn bandwidth(&mut self, direction: Direction) -> &mut Bandwidth<BandwidthTicket> {
        match direction {
            Direction::Down => &mut self.down,
            Direction::Up => &mut self.up,
        }
    }

    fn hear(&mut self, note: BandwidthNote, now: Instant) {
        match note {
            BandwidthNote::Limits(scope, limits) => {
                for (direction, limit) in Direction::BOTH.into_iter().zip(limits) {
                    if self.bandwidth(direction).set_limit(now, scope, limit) {
                        let epoch = &self.limiter.lane(direction).epoch;
                        epoch.fetch_add(1, Ordering::Release);
                    }
                }
            }
            BandwidthNote::Wants(share, ticket, bytes) => {
                let bandwidth = self.bandwidth(share.direction);
                bandwidth.request(ticket, share.torrent, share.exempt, bytes);
            }
            BandwidthNote::Overhead(share, bytes) => {
                let bandwidth = self.bandwidth(share.direction);
                bandwidth.add_overhead(share.torrent, share.exempt, bytes);
            }
            BandwidthNote::Ended {
                share,
                ticket,
                unused,
                epoch,
            } => {
                let known = self
                    .limiter
                    .lane(share.direction)
                    .epoch
                    .load(Ordering::Acquire);
                let bandwidth = self.bandwidth(share.direction);
                bandwidth.cancel(&ticket);
                // It may have been given something after it had gone.
                let unused = unused + ticket.0.granted.swap(0, Ordering::Acquire);
                if epoch == known && unused > 0 {
                    bandwidth.give_back(share.torrent, share.exempt, unused);
                }
                if bandwidth.waiting(None) == 0 {
                    self.publish(share.direction);
                }
            }
        }
    }

    /// When bytes are given out next.
    fn poll_timeout(&self) -> Option<Instant> {
        let lanes = [&self.down, &self.up].into_iter();
        lanes.filter_map(|lane| lane.poll_timeout()).min()
    }

    /// Distributes what is due in one direction. Whether headers alone use up
    /// half of the session's limit.
    fn distribute(&mut self, direction: Direction, now: Instant) -> bool {
        let bandwidth = self.bandwidth(direction);
        let due = bandwidth.poll_timeout().is_some_and(|due| due <= now);
        if !due {
            return false;
        }
        self.publish(direction);
        let bandwidth = self.bandwidth(direction);
        let Granted { grants, too_low } = bandwidth.grant(now);
        let is_empty = bandwidth.waiting(None) == 0;
        if is_empty {
            self.publish(direction);
        }
        for (BandwidthTicket(slot), bytes) in grants {
            slot.granted.fetch_add(bytes, Ordering::Release);
            slot.arrived.notify_one();
        }
        too_low
    }

    /// Shows who waits.
    fn publish(&mut self, direction: Direction) {
        let bandwidth = self.bandwidth(direction);
        let mut queued = QueuedRequest {
            bytes: bandwidth.waiting_bytes(),
            ..QueuedRequest::default()
        };
        for torrent in bandwidth.torrents_waiting() {
            queued.all += 1;
            *queued.torrents.entry(torrent).or_default() += 1;
        }
        self.limiter.lane(direction).queued.store(Arc::new(queued));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::coop::testing::assert_gives_way;
    use crate::net::allowance::Valve;

    #[test]
    fn a_connection_waits_is_granted_and_leaves_nothing_behind() {
        let limited = |download_rate_limit| Settings {
            download_rate_limit,
            ..Settings::default()
        };
        let limiter = Arc::new(BandwidthLimiter::new(&limited(100_000)));
        let mut inbox = limiter.inbox.lock().take().unwrap();
        let begin = Instant::now();
        let mut task = Distributor::new(Arc::clone(&limiter), begin);
        let mut hear = |task: &mut Distributor| {
            while let Ok(note) = inbox.try_recv() {
                task.hear(note, begin);
            }
        };
        hear(&mut task);
        let (down, torrent) = (Direction::Down, TorrentKey(1));
        let peer = "10.0.0.1:1".parse().unwrap();
        let mut valve = Valve::new(Arc::clone(&limiter), down, torrent, peer);
        let mut up = Valve::new(Arc::clone(&limiter), Direction::Up, torrent, peer);
        assert_eq!(up.open(1), usize::MAX, "that way there is no limit");
        assert_eq!(valve.open(1), 0);
        hear(&mut task);
        assert!(task.poll_timeout().is_some());
        task.distribute(down, begin + Duration::from_secs(1));
        assert!(valve.open(1) > 1);
        limiter.apply(&limited(50_000));
        hear(&mut task);
        assert_eq!(
            valve.open(1),
            0,
            "what was granted under another limit is void"
        );
        hear(&mut task);
        assert!(task.poll_timeout().is_some());
        drop(valve);
        hear(&mut task);
        assert_eq!(task.poll_timeout(), None);
        assert_eq!(limiter.waiting(down, torrent), 0);
        // A torrent has its own limit until that is lifted.
        limiter.apply(&limited(0));
        limiter.set_torrent(torrent, 0, 1_000);
        assert_eq!(up.open(1), 0);
        limiter.set_torrent(torrent, 0, 0);
        assert_eq!(up.open(1), usize::MAX);
    }

    #[tokio::test]
    async fn connections_that_never_stop_asking_leave_others_their_turn() {
        let settings = watch::Sender::new(Arc::<Settings>::default());
        let limiter = Arc::new(BandwidthLimiter::new(&settings.borrow()));
        let task = run(Arc::clone(&limiter), settings.subscribe(), drop);
        let mut limit = 0;
        let feed = move || {
            limit += 1;
            limiter.set_torrent(TorrentKey(1), limit, limit);
        };
        assert_gives_way(task, feed).await;
    }

    #[tokio::test]
    async fn limits_that_are_set_before_it_runs_hold() {
        let settings = watch::Sender::new(Arc::<Settings>::default());
        let limiter = Arc::new(BandwidthLimiter::new(&settings.borrow()));
        settings.send_modify(|settings| Arc::make_mut(settings).upload_rate_limit = 1000);
        let task = run(Arc::clone(&limiter), settings.subscribe(), drop);
        let limited = async {
            while limiter.lane(Direction::Up).limits.load().session != Some(1000) {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = task => panic!("the task has ended"),
            () = limited => {}
        }
    }
}
