//! Peers that the game named (`connect_peer`): whenever a connection with one
//! of them ends, or could not be made, it is called again, after 1, 2, 4, ...
//! and at last every 60 seconds.
//!
//! The brain says what becomes of connections, and calls who is due once a
//! tick ([`Redials::next`]), if there is room. A peer pauses while there is nothing
//! to do with it: the torrent is stopped, both are seeds, or neither side has wanted
//! anything for long. One whose place went to others is called again, after a
//! turnover when those have had a minute: the game has named it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{CloseReason, Haste, Output, Peer, Torrent};
use crate::peerlist::{Refused, Sources};

/// The wait after the first connection that ended; it doubles with each one.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait, and how long a connection must have lasted for the next
/// wait to be the first one again.
const LAST_WAIT: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RedialState {
    /// It is connected since then, or being called.
    Busy(Instant),
    /// It is called then.
    Waits(Instant),
    /// It is called with the next tick.
    Due,
    /// It is called when there is something to do with it again.
    Rests,
}

#[derive(Clone, Copy, Debug)]
struct NamedPeer {
    state: RedialState,
    /// What is waited when its connection ends.
    wait: Duration,
}

/// The peers that the game named.
#[derive(Debug, Default)]
pub(super) struct Redials {
    peers: BTreeMap<SocketAddr, NamedPeer>,
}

impl Redials {
    /// The game names a peer.
    fn name(&mut self, endpoint: SocketAddr) {
        let named = self.peers.entry(endpoint).or_insert(NamedPeer {
            state: RedialState::Due,
            wait: FIRST_WAIT,
        });
        if !matches!(named.state, RedialState::Busy(_)) {
            named.state = RedialState::Due;
        }
        named.wait = FIRST_WAIT;
    }

    /// Whether the game named this peer.
    pub(super) fn contains(&self, endpoint: SocketAddr) -> bool {
        self.peers.contains_key(&endpoint)
    }

    /// It is called, or connected.
    pub(super) fn busy(&mut self, now: Instant, endpoint: SocketAddr) {
        if let Some(named) = self.peers.get_mut(&endpoint) {
            named.state = RedialState::Busy(now);
        }
    }

    /// A connection with it ended or could not be made.
    pub(super) fn ended(&mut self, now: Instant, endpoint: SocketAddr) {
        let Some(named) = self.peers.get_mut(&endpoint) else {
            return;
        };
        if let RedialState::Busy(since) = named.state
            && now.saturating_duration_since(since) >= LAST_WAIT
        {
            named.wait = FIRST_WAIT;
        }
        named.state = RedialState::Waits(now + named.wait);
        named.wait = (named.wait * 2).min(LAST_WAIT);
    }

    /// Its place went to others, which are tried first.
    fn turned_over(&mut self, now: Instant, endpoint: SocketAddr) {
        if let Some(named) = self.peers.get_mut(&endpoint) {
            named.state = RedialState::Waits(now + LAST_WAIT);
            named.wait = LAST_WAIT;
        }
    }

    /// There is nothing to do with it for now.
    pub(super) fn rest(&mut self, endpoint: SocketAddr) {
        if let Some(named) = self.peers.get_mut(&endpoint) {
            named.state = RedialState::Rests;
        }
    }

    /// It is not called any more.
    pub(super) fn forget(&mut self, endpoint: SocketAddr) {
        self.peers.remove(&endpoint);
    }

    /// Those that `unwanted` names are not called any more.
    pub(super) fn forget_where(&mut self, unwanted: impl Fn(SocketAddr) -> bool) {
        self.peers.retain(|&endpoint, _| !unwanted(endpoint));
    }

    /// A peer that is not connected is called with the next tick.
    pub(super) fn call_all(&mut self) {
        for named in self.peers.values_mut() {
            if !matches!(named.state, RedialState::Busy(_)) {
                named.state = RedialState::Due;
            }
            named.wait = FIRST_WAIT;
        }
    }

    /// When the time of the next one comes, as of `now`.
    pub(super) fn next_at(&self, now: Instant) -> Option<Instant> {
        let times = self.peers.values().filter_map(|named| match named.state {
            RedialState::Due => Some(now),
            RedialState::Waits(until) => Some(until),
            RedialState::Busy(_) | RedialState::Rests => None,
        });
        times.min()
    }

    /// One whose time has come.
    pub(super) fn next(&self, now: Instant) -> Option<SocketAddr> {
        let is_due = |state| match state {
            RedialState::Due => true,
            RedialState::Waits(until) => until <= now,
            RedialState::Busy(_) | RedialState::Rests => false,
        };
        let mut due = self.peers.iter().filter(|(_, named)| is_due(named.state));
        due.next().map(|(&endpoint, _)| endpoint)
    }
}

impl Torrent {
    /// Connects to a peer now, whatever its failures were, and again whenever
    /// the connection ends. Returns why it is not to be called, if so.
    pub fn connect_to(&mut self, now: Instant, endpoint: SocketAddr) -> Option<Refused> {
        match self.dialing.list.add(endpoint, Sources::MANUAL) {
            // A peer that the game named counts without a place in the list too.
            Ok(_) | Err(Refused::Full) => {}
            Err(refused) => return Some(refused),
        }
        self.dialing.redials.name(endpoint);
        if self.is_running() {
            self.call(now, endpoint);
        }
        None
    }

    /// Calls the named peers whose time has come.
    pub(super) fn redial(&mut self, now: Instant) {
        while let Some(endpoint) = self.dialing.next_named(now, self.peers.len()) {
            self.call(now, endpoint);
        }
    }

    fn call(&mut self, now: Instant, endpoint: SocketAddr) {
        self.dialing.redials.busy(now, endpoint);
        let connected = |peer: &Peer| peer.closing.is_none() && peer.listed == Some(endpoint);
        if self.dialing.is_connecting(endpoint) || self.peers.values().any(connected) {
            return;
        }
        self.dialing.begin(now, endpoint);
        self.outputs.push_back(Output::Connect {
            endpoint,
            haste: Haste::Named,
        });
    }

    /// The peer at this endpoint must not be called.
    pub fn connect_forbidden(&mut self, now: Instant, endpoint: SocketAddr) {
        self.dialing.redials.forget(endpoint);
        self.connect_failed(now, endpoint);
    }

    /// The machine was asleep, or the program stood still: what became of
    /// connections meanwhile says nothing of the peers. The clock that `now` is
    /// of has not counted `uncounted` of it; where that is longer than a peer may
    /// be silent, the peers have given up the connections.
    pub fn woke_up(&mut self, now: Instant, uncounted: Duration) {
        self.forgive_all();
        if self.is_running() {
            if uncounted.as_secs() >= self.settings.peer_timeout.unsigned_abs() {
                self.close_all(CloseReason::Asleep);
            }
            self.redial(now);
        }
    }

    /// Peers that failed, or were of no use, may be tried again at once.
    pub(super) fn forgive_all(&mut self) {
        self.dialing.forgive_all();
    }

    /// A connection with the peer at this endpoint was not taken in.
    pub(super) fn call_refused(&mut self, now: Instant, endpoint: SocketAddr, why: CloseReason) {
        let mut peers = self.peers.values();
        match why {
            CloseReason::OurselvesAgain | CloseReason::Banned | CloseReason::Filtered => {
                self.dialing.redials.forget(endpoint);
            }
            CloseReason::Stopped => self.dialing.redials.rest(endpoint),
            // Another connection stands for it, whose end counts.
            CloseReason::Duplicate if peers.any(|it| it.listed == Some(endpoint)) => {}
            _ => self.dialing.redials.ended(now, endpoint),
        }
    }

    /// The connection that stands for this endpoint is over.
    pub(super) fn call_ended(&mut self, now: Instant, endpoint: SocketAddr, peer: &Peer) {
        let both_seeds = self.is_finished() && peer.is_seed() && !self.activity.modes.share_mode;
        match peer.closing {
            Some(CloseReason::Banned | CloseReason::Filtered) => {
                self.dialing.redials.forget(endpoint)
            }
            Some(CloseReason::Stopped | CloseReason::Redundant | CloseReason::Inactive) => {
                self.dialing.redials.rest(endpoint)
            }
            _ if both_seeds => self.dialing.redials.rest(endpoint),
            Some(CloseReason::Turnover) => self.dialing.redials.turned_over(now, endpoint),
            _ => self.dialing.redials.ended(now, endpoint),
        }
    }
}
