//! Who may move how many bytes under rate limits: one direction of a session.
//!
//! A connection under a limit asks for an allowance ([`Bandwidth::request`])
//! when it has something to move and none left. While any connection waits, the driver
//! calls [`Bandwidth::grant`] at [`Bandwidth::poll_timeout`] (every 50 ms) and informs
//! each connection of what it got. Connections without a limit never come here.
//!
//! What there is goes in equal shares to all who wait; what one does not want,
//! or may not have because of its torrent's limit, goes to the others. So a
//! peer that moves little always has all that it can use, and the fast ones
//! share the remainder evenly. When there is too little for all, it goes round.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::ids::TorrentKey;
use crate::rate::TokenBucket;

/// Time between two distributions.
const TICK: Duration = Duration::from_millis(50);

/// A share is not cut smaller than this, or every connection would move a few bytes
/// at a time: then some wait for the next distribution.
const LEAST_SHARE: u64 = 512;

/// Bytes in the headers of a TCP packet over IPv4 and over IPv6.
const HEADERS: [u64; 2] = [40, 60];

/// Bytes in a packet.
const PACKET: u64 = 1500;

/// What the headers of TCP/IP add to `bytes`: first in their own direction,
/// then in the other, where every second packet is acknowledged.
pub fn ip_overhead(bytes: u64, v6: bool) -> (u64, u64) {
    let headers = HEADERS[usize::from(v6)];
    let packets = bytes.div_ceil(PACKET - headers);
    (packets * headers, packets.div_ceil(2) * headers)
}

/// What a limit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All torrents together.
    Session,
    /// One torrent.
    Torrent(TorrentKey),
}

/// One who waits for an allowance.
#[derive(Clone, Debug)]
struct BandwidthRequest<K> {
    key: K,
    torrent: TorrentKey,
    /// The session's limit does not hold for it.
    exempt: bool,
    want: u64,
    granted: u64,
}

/// A limit, and the overhead that still has to be taken off it.
#[derive(Clone, Debug)]
struct Channel {
    bucket: TokenBucket,
    overhead: u64,
    /// What may be granted in the present distribution.
    left: u64,
}

impl Channel {
    fn new(now: Instant, rate: Option<u64>) -> Self {
        Self {
            bucket: TokenBucket::new(now, rate),
            overhead: 0,
            left: 0,
        }
    }

    /// Opens a distribution. Overhead takes half of what there is at most: a
    /// limit smaller than the acknowledgements of the other direction must not
    /// bring everything to a standstill.
    fn open(&mut self, now: Instant) -> bool {
        let most = self.bucket.available(now) / 2;
        let too_much = self.bucket.rate().is_some() && self.overhead > most && most > 0;
        self.bucket.charge(self.overhead.min(most));
        self.overhead = 0;
        self.left = self.bucket.available(now);
        too_much
    }

    fn take(&mut self, bytes: u64) {
        self.left = self.left.saturating_sub(bytes);
        self.bucket.charge(bytes);
    }
}

/// What came of a distribution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted<K> {
    /// Who may move how many bytes; these wait no longer.
    pub grants: Vec<(K, u64)>,
    /// The headers of TCP/IP alone would use more than half of the session's
    /// limit.
    pub too_low: bool,
}

/// The limits of one direction, and who waits. `K` names a connection.
#[derive(Clone, Debug)]
pub struct Bandwidth<K> {
    session: Channel,
    torrents: BTreeMap<TorrentKey, Channel>,
    queue: VecDeque<BandwidthRequest<K>>,
    /// When the next distribution is due.
    due: Instant,
}

impl<K: Clone + PartialEq> Bandwidth<K> {
    /// No limits, and no connection waits.
    pub fn new(now: Instant) -> Self {
        Self {
            session: Channel::new(now, None),
            torrents: BTreeMap::new(),
            queue: VecDeque::new(),
            due: now,
        }
    }

    /// Sets a limit in bytes a second, or lifts it. Returns whether that
    /// changed anything; allowances that were granted and not used are void
    /// then.
    pub fn set_limit(&mut self, now: Instant, scope: Scope, rate: Option<u64>) -> bool {
        if self.limit(scope) == rate {
            return false;
        }
        match (scope, rate) {
            (Scope::Session, _) => self.session.bucket.set_rate(now, rate),
            (Scope::Torrent(torrent), None) => {
                self.torrents.remove(&torrent);
            }
            (Scope::Torrent(torrent), Some(_)) => {
                let channel = self.torrents.entry(torrent);
                let channel = channel.or_insert_with(|| Channel::new(now, None));
                channel.bucket.set_rate(now, rate);
            }
        }
        true
    }

    /// Whether there is any limit.
    pub fn is_limited(&self) -> bool {
        self.session.bucket.rate().is_some() || !self.torrents.is_empty()
    }

    /// The limit in bytes a second, if there is one.
    pub fn limit(&self, scope: Scope) -> Option<u64> {
        match scope {
            Scope::Session => self.session.bucket.rate(),
            Scope::Torrent(torrent) => self.torrents.get(&torrent)?.bucket.rate(),
        }
    }

    /// Puts a connection in line for `want` bytes. `exempt` when the session's
    /// limit does not hold for it.
    pub fn request(&mut self, key: K, torrent: TorrentKey, exempt: bool, want: u64) {
        self.queue.push_back(BandwidthRequest {
            key,
            torrent,
            exempt,
            want: want.max(1),
            granted: 0,
        });
    }

    /// Takes a connection out of line.
    pub fn cancel(&mut self, key: &K) {
        self.queue.retain(|request| request.key != *key);
    }

    /// Takes back what a connection got and did not use.
    pub fn give_back(&mut self, torrent: TorrentKey, exempt: bool, bytes: u64) {
        if !exempt {
            self.session.bucket.refund(bytes);
        }
        if let Some(channel) = self.torrents.get_mut(&torrent) {
            channel.bucket.refund(bytes);
        }
    }

    /// Counts bytes that went beside the allowances: [`ip_overhead`].
    pub fn add_overhead(&mut self, torrent: TorrentKey, exempt: bool, bytes: u64) {
        if !exempt && self.session.bucket.rate().is_some() {
            self.session.overhead = self.session.overhead.saturating_add(bytes);
        }
        if let Some(channel) = self.torrents.get_mut(&torrent) {
            channel.overhead = channel.overhead.saturating_add(bytes);
        }
    }

    /// How many wait, of one torrent if given.
    pub fn waiting(&self, torrent: Option<TorrentKey>) -> usize {
        let of = |request: &&BandwidthRequest<K>| torrent.is_none_or(|it| it == request.torrent);
        self.queue.iter().filter(of).count()
    }

    /// The torrents of those who wait, one for each.
    pub fn torrents_waiting(&self) -> impl Iterator<Item = TorrentKey> + '_ {
        self.queue.iter().map(|request| request.torrent)
    }

    /// Bytes that those who wait have asked for.
    pub fn waiting_bytes(&self) -> u64 {
        self.queue.iter().map(|request| request.want).sum()
    }

    /// When to call [`Self::grant`]; `None` while no connection waits.
    pub fn poll_timeout(&self) -> Option<Instant> {
        (!self.queue.is_empty()).then_some(self.due)
    }

    /// Distributes what the limits allow by now.
    pub fn grant(&mut self, now: Instant) -> Granted<K> {
        self.due = now + TICK;
        let too_low = self.session.open(now);
        for channel in self.torrents.values_mut() {
            channel.open(now);
        }
        while self.pass() {}
        let mut grants = Vec::new();
        self.queue.retain(|request| {
            if request.granted > 0 {
                grants.push((request.key.clone(), request.granted));
            }
            request.granted == 0
        });
        Granted { grants, too_low }
    }

    /// Gives a share to every connection that can take more; whether any got one.
    fn pass(&mut self) -> bool {
        let unsatisfied = |request: &BandwidthRequest<K>| request.granted < request.want;
        let mut of_session = 0u64;
        let mut of_torrent: BTreeMap<TorrentKey, u64> = BTreeMap::new();
        for request in self.queue.iter().filter(|it| unsatisfied(it)) {
            let channel = self.torrents.get(&request.torrent);
            if channel.is_none_or(|channel| channel.left > 0) {
                of_session += u64::from(!request.exempt);
                *of_torrent.entry(request.torrent).or_default() += 1;
            }
        }
        let share = |left: u64, among: u64| (left / among.max(1)).max(LEAST_SHARE).min(left);
        let of_all = share(self.session.left, of_session);
        for (torrent, among) in &mut of_torrent {
            let left = self.torrents.get(torrent).map_or(u64::MAX, |it| it.left);
            *among = share(left, *among);
        }
        let mut any = false;
        for request in self.queue.iter_mut().filter(|it| unsatisfied(it)) {
            let mut bytes = request.want - request.granted;
            bytes = bytes.min(of_torrent.get(&request.torrent).copied().unwrap_or(0));
            if !request.exempt {
                bytes = bytes.min(of_all).min(self.session.left);
            }
            let channel = self.torrents.get_mut(&request.torrent);
            if let Some(channel) = &channel {
                bytes = bytes.min(channel.left);
            }
            if bytes == 0 {
                continue;
            }
            if let Some(channel) = channel {
                channel.take(bytes);
            }
            if !request.exempt && self.session.bucket.rate().is_some() {
                self.session.take(bytes);
            }
            request.granted += bytes;
            any = true;
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{Machine, at, check_contract};

    const ONE: TorrentKey = TorrentKey(1);
    const TWO: TorrentKey = TorrentKey(2);

    /// A peer that moves `speed` bytes a second when it may.
    struct Mover {
        torrent: TorrentKey,
        exempt: bool,
        speed: u64,
        held: u64,
        moved: u64,
        waiting: bool,
        /// What it could have moved by now and was not let.
        backlog: u64,
    }

    fn mover(torrent: TorrentKey, speed: u64) -> Mover {
        Mover {
            torrent,
            exempt: false,
            speed,
            held: 0,
            moved: 0,
            waiting: false,
            backlog: 0,
        }
    }

    /// Lets time pass in steps of 10 ms, and returns how much each moved.
    fn run(
        bandwidth: &mut Bandwidth<usize>,
        movers: &mut [Mover],
        from: u64,
        millis: u64,
    ) -> Vec<u64> {
        let before: Vec<u64> = movers.iter().map(|it| it.moved).collect();
        for now in (from..from + millis).step_by(10) {
            for (key, mover) in movers.iter_mut().enumerate() {
                mover.backlog = (mover.backlog + mover.speed / 100).min(mover.speed / 5 + 1);
                let moved = mover.backlog.min(mover.held);
                mover.backlog -= moved;
                mover.held -= moved;
                mover.moved += moved;
                if mover.backlog > 0 && mover.held == 0 && !mover.waiting {
                    bandwidth.request(key, mover.torrent, mover.exempt, 65_536);
                    mover.waiting = true;
                }
            }
            if bandwidth.poll_timeout().is_some_and(|due| due <= at(now)) {
                for (key, bytes) in bandwidth.grant(at(now)).grants {
                    movers[key].held += bytes;
                    movers[key].waiting = false;
                }
            }
        }
        movers
            .iter()
            .zip(before)
            .map(|(it, before)| it.moved - before)
            .collect()
    }

    fn within(percent: u64, value: u64, of: u64) -> bool {
        value.abs_diff(of) * 100 <= of * percent
    }

    #[test]
    fn the_slow_have_what_they_need_and_the_fast_share_the_rest() {
        let mut bandwidth = Bandwidth::new(at(0));
        bandwidth.set_limit(at(0), Scope::Session, Some(500_000));
        let mut movers = [
            mover(ONE, 10_000),
            mover(ONE, 10_000_000),
            mover(TWO, 10_000_000),
            mover(TWO, 10_000_000),
        ];
        run(&mut bandwidth, &mut movers, 0, 1000);
        let moved = run(&mut bandwidth, &mut movers, 1000, 5000);
        assert!(within(5, moved.iter().sum(), 2_500_000), "{moved:?}");
        assert!(within(10, moved[0], 50_000), "{moved:?}");
        for fast in &moved[1..] {
            assert!(within(5, *fast, 2_450_000 / 3), "{moved:?}");
        }
    }

    #[test]
    fn a_torrents_limit_holds_within_the_sessions() {
        let mut bandwidth = Bandwidth::new(at(0));
        bandwidth.set_limit(at(0), Scope::Session, Some(300_000));
        bandwidth.set_limit(at(0), Scope::Torrent(ONE), Some(50_000));
        let mut movers = [
            mover(ONE, 1_000_000),
            mover(ONE, 1_000_000),
            mover(TWO, 1_000_000),
        ];
        run(&mut bandwidth, &mut movers, 0, 1000);
        let moved = run(&mut bandwidth, &mut movers, 1000, 5000);
        assert!(within(5, moved[0] + moved[1], 250_000), "{moved:?}");
        assert!(within(5, moved[2], 1_250_000), "{moved:?}");
        // Lifting the session's limit leaves the torrent's.
        assert!(bandwidth.set_limit(at(6000), Scope::Session, None));
        let moved = run(&mut bandwidth, &mut movers, 6000, 5000);
        assert!(within(5, moved[0] + moved[1], 250_000), "{moved:?}");
        assert!(moved[2] > 4_000_000, "{moved:?}");
    }

    #[test]
    fn the_exempt_are_held_by_their_torrent_alone() {
        let mut bandwidth = Bandwidth::new(at(0));
        bandwidth.set_limit(at(0), Scope::Session, Some(10_000));
        let mut movers = [mover(ONE, 100_000), mover(TWO, 100_000)];
        movers[0].exempt = true;
        let moved = run(&mut bandwidth, &mut movers, 0, 5000);
        assert!(moved[0] > 400_000 && moved[1] < 52_500, "{moved:?}");
        bandwidth.set_limit(at(5000), Scope::Torrent(ONE), Some(20_000));
        movers[0].held = 0;
        let moved = run(&mut bandwidth, &mut movers, 5000, 5000);
        assert!(within(5, moved[0], 100_000), "{moved:?}");
    }

    #[test]
    fn too_little_for_all_goes_round() {
        let mut bandwidth = Bandwidth::new(at(0));
        bandwidth.set_limit(at(0), Scope::Session, Some(10_000));
        let mut movers: Vec<_> = (0..100).map(|_| mover(ONE, 1_000_000)).collect();
        let moved = run(&mut bandwidth, &mut movers, 0, 20_000);
        assert!(within(5, moved.iter().sum(), 200_000));
        assert!(moved.iter().all(|&it| it >= 1024), "{moved:?}");
    }

    #[test]
    fn headers_count_and_never_take_everything() {
        assert_eq!(ip_overhead(0, false), (0, 0));
        assert_eq!(ip_overhead(1460, false), (40, 40));
        assert_eq!(ip_overhead(1461, false), (80, 40));
        assert_eq!(ip_overhead(3 * 1440, true), (180, 120));
        let mut bandwidth = Bandwidth::new(at(0));
        bandwidth.set_limit(at(0), Scope::Session, Some(10_000));
        bandwidth.request(1, ONE, false, 65_536);
        bandwidth.add_overhead(ONE, false, 300);
        let granted = bandwidth.grant(at(100));
        assert_eq!((granted.grants, granted.too_low), (vec![(1, 700)], false));
        bandwidth.request(1, ONE, false, 65_536);
        bandwidth.add_overhead(ONE, false, 1_000_000);
        let granted = bandwidth.grant(at(200));
        assert_eq!((granted.grants, granted.too_low), (vec![(1, 500)], true));
    }

    #[test]
    fn who_leaves_is_not_waited_for_and_its_allowance_comes_back() {
        let mut bandwidth = Bandwidth::new(at(0));
        bandwidth.set_limit(at(0), Scope::Session, Some(10_000));
        bandwidth.request(1, ONE, false, 100);
        bandwidth.request(2, ONE, false, 100);
        assert_eq!(
            (bandwidth.waiting(None), bandwidth.waiting(Some(TWO))),
            (2, 0)
        );
        assert_eq!(bandwidth.poll_timeout(), Some(at(0)));
        bandwidth.cancel(&1);
        assert_eq!(bandwidth.grant(at(100)).grants, [(2, 100)]);
        assert_eq!(bandwidth.poll_timeout(), None);
        bandwidth.give_back(ONE, false, 100);
        bandwidth.request(3, ONE, false, 10_000);
        assert_eq!(bandwidth.poll_timeout(), Some(at(150)));
        assert_eq!(bandwidth.grant(at(150)).grants, [(3, 1500)]);
        assert!(!bandwidth.set_limit(at(0), Scope::Session, Some(10_000)));
    }

    impl Machine for Bandwidth<usize> {
        fn poll_timeout(&self) -> Option<Instant> {
            Bandwidth::poll_timeout(self)
        }

        fn handle_timeout(&mut self, now: Instant) {
            if self.poll_timeout().is_some_and(|due| due <= now) {
                self.grant(now);
            }
        }

        fn poll_all(&mut self, _now: Instant) -> usize {
            0
        }
    }

    proptest! {
        #[test]
        fn nobody_gets_more_than_it_wants_and_no_limit_is_broken(
            session in prop::option::of(0u64..100_000),
            torrent in prop::option::of(0u64..100_000),
            wants in prop::collection::vec((0u64..50_000, any::<bool>(), any::<bool>()), 0..30),
        ) {
            let mut bandwidth = Bandwidth::new(at(0));
            bandwidth.set_limit(at(0), Scope::Session, session);
            bandwidth.set_limit(at(0), Scope::Torrent(ONE), torrent);
            for (key, &(want, exempt, one)) in wants.iter().enumerate() {
                bandwidth.request(key, if one { ONE } else { TWO }, exempt, want);
            }
            let grants = bandwidth.grant(at(100)).grants;
            let sum = |of: &dyn Fn(usize) -> bool| -> u64 {
                grants.iter().filter(|it| of(it.0)).map(|it| it.1).sum()
            };
            prop_assert!(grants.iter().all(|&(key, bytes)| bytes <= wants[key].0.max(1)));
            prop_assert!(sum(&|key| !wants[key].1) <= session.map_or(u64::MAX, |it| it / 10 + 1));
            prop_assert!(sum(&|key| wants[key].2) <= torrent.map_or(u64::MAX, |it| it / 10 + 1));
            let everybody = session.is_none() && torrent.is_none();
            prop_assert!(!everybody || grants.len() == wants.len());
            check_contract(&mut bandwidth, at(120));
            check_contract(&mut bandwidth, at(1000));
        }
    }
}
