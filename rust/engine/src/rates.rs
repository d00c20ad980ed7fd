//! Rate limits at work: between the connections, which ask before they move
//! bytes, and `torrent_core::bandwidth`, which says who may move how many.
//!
//! Each connection has a [`Valve`] for each direction. While there is no limit
//! anywhere in the session a valve costs one relaxed load. Under a limit it
//! holds an allowance; when that is used up the connection reads nothing from
//! its socket, or no blocks for the peer from the disk, until the session's
//! [`run`] task, which distributes every 50 ms while any connection waits, has
//! given it another. What a connection sends to ask for blocks is free.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use torrent_core::bandwidth::{Bandwidth, Granted, Scope, ip_overhead};
use torrent_core::ids::TorrentKey;
use torrent_core::settings::Settings;
use torrent_core::value::Fields;

use crate::due::sleep_until;
use crate::fair;
use crate::net::address::is_local;

/// What a connection asks for at first; a fast one soon asks for more.
const FIRST_WISH: u64 = 16 * 1024;

/// What a connection asks for at most.
const MAX_WISH: u64 = 4 * 1024 * 1024;

/// Bytes of headers that a connection counts before it reports them.
const HEADERS_BATCH: u64 = 4096;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// To us.
    Down,
    /// To the peer.
    Up,
}

/// Where a grant is left for a connection.
#[derive(Debug, Default)]
struct Slot {
    granted: AtomicU64,
    arrived: Notify,
}

/// A connection in line.
#[derive(Clone, Debug)]
struct Ticket(Arc<Slot>);

impl PartialEq for Ticket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// One direction of a session.
#[derive(Debug)]
struct Lane {
    bandwidth: Mutex<Bandwidth<Ticket>>,
    /// Raised by every change of a limit: allowances from before are void.
    epoch: AtomicU64,
}

impl Lane {
    fn new(now: Instant) -> Self {
        Self {
            bandwidth: Mutex::new(Bandwidth::new(now)),
            epoch: AtomicU64::new(0),
        }
    }
}

/// The rate limits of a session.
#[derive(Debug)]
pub(crate) struct Rates {
    down: Lane,
    up: Lane,
    /// There is a limit somewhere.
    active: AtomicBool,
    /// Headers of TCP/IP count (`rate_limit_ip_overhead`).
    headers: AtomicBool,
    /// The session's limits do not hold for the local network
    /// (`ignore_limits_on_local_network`).
    spare_local: AtomicBool,
    changed: Notify,
}

/// Bytes a second as settings and options have it: 0 and less is no limit.
fn rate(limit: i64) -> Option<u64> {
    u64::try_from(limit).ok().filter(|&limit| limit > 0)
}

impl Rates {
    /// The limits of `settings`.
    pub(crate) fn new(settings: &Settings) -> Self {
        let now = Instant::now();
        let rates = Self {
            down: Lane::new(now),
            up: Lane::new(now),
            active: AtomicBool::new(false),
            headers: AtomicBool::new(true),
            spare_local: AtomicBool::new(false),
            changed: Notify::new(),
        };
        rates.apply(settings);
        rates
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
        let now = Instant::now();
        let mut active = false;
        for (lane, limit) in [(&self.down, down), (&self.up, up)] {
            let mut bandwidth = lane.bandwidth.lock();
            if bandwidth.set_limit(now, scope, rate(limit)) {
                lane.epoch.fetch_add(1, Ordering::Release);
            }
            active |= bandwidth.is_limited();
        }
        self.active.store(active, Ordering::Release);
        self.changed.notify_one();
    }

    fn lane(&self, direction: Direction) -> &Lane {
        match direction {
            Direction::Down => &self.down,
            Direction::Up => &self.up,
        }
    }

    /// How many connections of a torrent, or of all, wait for an allowance.
    pub(crate) fn waiting(&self, direction: Direction, torrent: Option<TorrentKey>) -> u64 {
        if !self.active.load(Ordering::Relaxed) {
            return 0;
        }
        self.lane(direction).bandwidth.lock().waiting(torrent) as u64
    }

    /// Who waits, and for how much, by libtorrent's metric names.
    pub(crate) fn fields(&self) -> Fields {
        let (up, down) = (self.up.bandwidth.lock(), self.down.bandwidth.lock());
        vec![
            ("net.limiter_up_queue".into(), up.waiting(None).into()),
            ("net.limiter_down_queue".into(), down.waiting(None).into()),
            ("net.limiter_up_bytes".into(), up.waiting_bytes().into()),
            ("net.limiter_down_bytes".into(), down.waiting_bytes().into()),
        ]
    }

    /// Distributes what is due in one direction. Whether headers alone use up
    /// half of the session's limit.
    fn distribute(&self, direction: Direction, now: Instant) -> bool {
        let Granted { grants, too_low } = {
            let mut bandwidth = self.lane(direction).bandwidth.lock();
            let due = bandwidth.poll_timeout().is_some_and(|due| due <= now);
            if !due {
                return false;
            }
            bandwidth.grant(now)
        };
        for (Ticket(slot), bytes) in grants {
            slot.granted.fetch_add(bytes, Ordering::Release);
            slot.arrived.notify_one();
        }
        too_low
    }
}

/// Distributes until the session ends. `too_low` hears of a direction whose
/// limit headers alone use up.
pub(crate) async fn run(
    rates: Arc<Rates>,
    mut settings: watch::Receiver<Arc<Settings>>,
    too_low: impl Fn(Direction) + Send,
) {
    loop {
        fair::round().await;
        let due = [&rates.down, &rates.up]
            .into_iter()
            .filter_map(|lane| lane.bandwidth.lock().poll_timeout())
            .min();
        tokio::select! {
            () = sleep_until(due) => {}
            () = rates.changed.notified() => {}
            changed = settings.changed() => match changed {
                Ok(()) => rates.apply(&settings.borrow_and_update()),
                Err(_) => return,
            },
        }
        let now = Instant::now();
        for direction in [Direction::Up, Direction::Down] {
            if rates.distribute(direction, now) {
                too_low(direction);
            }
        }
    }
}

/// What one direction of one connection may move.
#[derive(Debug)]
pub(crate) struct Valve {
    rates: Arc<Rates>,
    direction: Direction,
    torrent: TorrentKey,
    local: bool,
    v6: bool,
    slot: Arc<Slot>,
    /// Bytes that may go.
    quota: u64,
    epoch: u64,
    /// In line for more.
    waiting: bool,
    /// What to ask for next.
    wish: u64,
    /// Headers and other overhead not yet reported: in this direction, and in
    /// the other.
    headers: (u64, u64),
}

impl Valve {
    /// The valve of a connection with `peer`.
    pub(crate) fn new(
        rates: Arc<Rates>,
        direction: Direction,
        torrent: TorrentKey,
        peer: SocketAddr,
    ) -> Self {
        let ip = peer.ip().to_canonical();
        Self {
            rates,
            direction,
            torrent,
            local: is_local(ip),
            v6: matches!(ip, IpAddr::V6(_)),
            slot: Arc::default(),
            quota: 0,
            epoch: 0,
            waiting: false,
            wish: FIRST_WISH,
            headers: (0, 0),
        }
    }

    /// Bytes that may go now. When these are fewer than `least`, more are asked
    /// for: [`Self::granted`].
    pub(crate) fn open(&mut self, least: usize) -> usize {
        let least = least as u64;
        let rates = &self.rates;
        if !rates.active.load(Ordering::Relaxed) {
            return usize::MAX;
        }
        let exempt = self.is_exempt();
        let lane = rates.lane(self.direction);
        let granted = self.slot.granted.swap(0, Ordering::Acquire);
        if granted > 0 {
            self.waiting = false;
            if granted >= self.wish {
                self.wish = (self.wish * 2).min(MAX_WISH);
            }
            self.quota += granted;
        }
        let epoch = lane.epoch.load(Ordering::Acquire);
        if self.epoch != epoch {
            (self.epoch, self.quota) = (epoch, 0);
        }
        if self.quota < least {
            let mut bandwidth = lane.bandwidth.lock();
            let held = (!exempt && bandwidth.limit(Scope::Session).is_some())
                || bandwidth.limit(Scope::Torrent(self.torrent)).is_some();
            if !held {
                return usize::MAX;
            }
            if !self.waiting {
                let ticket = Ticket(Arc::clone(&self.slot));
                let want = self.wish.max(least - self.quota);
                bandwidth.request(ticket, self.torrent, exempt, want);
                self.waiting = true;
                rates.changed.notify_one();
            }
        }
        usize::try_from(self.quota).unwrap_or(usize::MAX)
    }

    fn is_exempt(&self) -> bool {
        self.local && self.rates.spare_local.load(Ordering::Relaxed)
    }

    /// Takes bytes off the allowance.
    pub(crate) fn charge(&mut self, bytes: usize) {
        self.quota = self.quota.saturating_sub(bytes as u64);
    }

    /// Puts bytes back that did not go after all.
    pub(crate) fn refund(&mut self, bytes: usize) {
        if self.rates.active.load(Ordering::Relaxed) {
            self.quota += bytes as u64;
        }
    }

    /// Counts what bytes that went cost besides: the headers of TCP/IP, and
    /// those among them that are `overhead`.
    pub(crate) fn passed(&mut self, bytes: usize, overhead: u64) {
        let rates = &self.rates;
        if !rates.active.load(Ordering::Relaxed) {
            return;
        }
        self.headers.0 += overhead;
        if rates.headers.load(Ordering::Relaxed) {
            let (with, against) = ip_overhead(bytes as u64, self.v6);
            self.headers.0 += with;
            self.headers.1 += against;
        }
        if self.headers.0 >= HEADERS_BATCH {
            self.report_headers();
        }
    }

    fn report_headers(&mut self) {
        let (with, against) = std::mem::take(&mut self.headers);
        let other = match self.direction {
            Direction::Down => Direction::Up,
            Direction::Up => Direction::Down,
        };
        let exempt = self.is_exempt();
        for (direction, bytes) in [(self.direction, with), (other, against)] {
            let lane = self.rates.lane(direction);
            let mut bandwidth = lane.bandwidth.lock();
            bandwidth.add_overhead(self.torrent, exempt, bytes);
        }
    }

    /// Waits until [`Self::open`] has something else to say.
    pub(crate) async fn granted(&self) {
        self.slot.arrived.notified().await;
    }
}

impl Drop for Valve {
    fn drop(&mut self) {
        let lane = self.rates.lane(self.direction);
        let granted = self.slot.granted.swap(0, Ordering::Acquire);
        if self.quota + granted == 0 && !self.waiting {
            return;
        }
        let exempt = self.is_exempt();
        let mut bandwidth = lane.bandwidth.lock();
        if self.waiting {
            bandwidth.cancel(&Ticket(Arc::clone(&self.slot)));
        }
        if self.epoch == lane.epoch.load(Ordering::Acquire) {
            bandwidth.give_back(self.torrent, exempt, self.quota + granted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fair::testing::assert_gives_way;

    #[tokio::test]
    async fn connections_that_never_stop_asking_leave_others_their_turn() {
        let settings = watch::Sender::new(Arc::<Settings>::default());
        let rates = Arc::new(Rates::new(&settings.borrow()));
        let task = run(Arc::clone(&rates), settings.subscribe(), drop);
        assert_gives_way(task, move || rates.changed.notify_one()).await;
    }
}
