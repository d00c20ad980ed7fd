//! Which peers to connect to: known peers, those that the game named, those that are
//! being called, and how many connections there may be.
//!
//! An endpoint is being called from when it is handed out ([`Dialing::next`],
//! [`Dialing::next_named`], [`Dialing::begin`]) until the connection is made or
//! has failed. No peer is handed out where there is no room.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::Haste;
use super::redial::Redials;
use crate::ban::ban_unit;
use crate::ids::PeerId;
use crate::peerlist::{PeerList, PeerListSettings};
use crate::settings::Settings;

/// The endpoints of a swarm, and the connections that are being made.
#[derive(Debug)]
pub(super) struct Dialing {
    /// Our own: we do not connect to ourselves, and of two connections with one
    /// peer the greater id's stays.
    pub(super) our_id: PeerId,
    pub(super) list: PeerList,
    pub(super) redials: Redials,
    connecting: BTreeSet<SocketAddr>,
    /// Connections that there may be.
    pub(super) max_connections: usize,
    /// Connections that the session still has room for.
    session_room: usize,
    /// Connections that are still made beyond the session's pace.
    boost: i64,
}

impl Dialing {
    /// No peer is known; the torrent is not running.
    pub(super) fn new(our_id: PeerId, settings: &Settings) -> Self {
        Self {
            our_id,
            list: PeerList::new(peer_list_settings(settings, false)),
            redials: Redials::default(),
            connecting: BTreeSet::new(),
            max_connections: settings.connections_limit as usize,
            session_room: usize::MAX,
            boost: 0,
        }
    }

    pub(super) fn apply_settings(&mut self, settings: &Settings, running: bool) {
        self.list
            .set_settings(peer_list_settings(settings, running));
    }

    /// The torrent begins to run: its first connections are made at once, and
    /// earlier failures do not count.
    pub(super) fn start(&mut self, settings: &Settings) {
        self.boost = settings.torrent_connect_boost;
        self.apply_settings(settings, true);
        self.forgive_all();
    }

    /// Limits the connections; negative for the session's limit.
    pub(super) fn set_max_connections(&mut self, max_connections: i64, settings: &Settings) {
        let session = settings.connections_limit;
        let connections = if max_connections < 0 {
            session
        } else {
            max_connections.min(session)
        };
        self.max_connections = connections as usize;
    }

    /// Limits the connections that are being made.
    pub(super) fn set_session_room(&mut self, connections: usize) {
        self.session_room = connections;
    }

    /// Connections that are being made.
    pub(super) fn num_connecting(&self) -> usize {
        self.connecting.len()
    }

    /// Whether the peer at this endpoint is being called.
    pub(super) fn is_connecting(&self, endpoint: SocketAddr) -> bool {
        self.connecting.contains(&endpoint)
    }

    /// Whether one more connection may be made beside `open` ones.
    fn has_room(&self, open: usize) -> bool {
        open + self.connecting.len() < self.max_connections
            && self.connecting.len() < self.session_room
    }

    /// Whether candidates wait while all places are taken by `open` connections.
    pub(super) fn is_full(&self, open: usize) -> bool {
        self.session_room == 0 || open + self.connecting.len() >= self.max_connections
    }

    /// The most connections that are to be made at once; the session paces
    /// them, this only bounds one burst.
    pub(super) fn burst(&self, settings: &Settings) -> i64 {
        settings.connection_speed.max(self.boost)
    }

    /// The next peer to call, if there is room beside `open` connections.
    pub(super) fn next(&mut self, now: Instant, open: usize) -> Option<(SocketAddr, Haste)> {
        if !self.has_room(open) {
            return None;
        }
        let endpoint = self.list.next_candidate(now)?;
        self.connecting.insert(endpoint);
        if self.boost > 0 {
            self.boost -= 1;
            return Some((endpoint, Haste::First));
        }
        Some((endpoint, Haste::Paced))
    }

    /// A named peer whose time has come, if there is room beside `open`
    /// connections; then call [`Self::begin`], unless it is connected.
    pub(super) fn next_named(&self, now: Instant, open: usize) -> Option<SocketAddr> {
        self.redials.next(now).filter(|_| self.has_room(open))
    }

    /// When the time of the next peer comes, as of `now`, whether or not there is
    /// room for it.
    pub(super) fn next_at(&self, now: Instant) -> Option<Instant> {
        let times = [self.list.next_at(now), self.redials.next_at(now)];
        times.into_iter().flatten().min()
    }

    /// A named peer is called, beyond any limit.
    pub(super) fn begin(&mut self, now: Instant, endpoint: SocketAddr) {
        self.list.dialling(now, endpoint);
        self.connecting.insert(endpoint);
    }

    /// The call is over: there is a connection, which may be closed at once.
    pub(super) fn made(&mut self, endpoint: SocketAddr) {
        self.connecting.remove(&endpoint);
    }

    /// The call is over: there is no connection.
    pub(super) fn failed(&mut self, now: Instant, endpoint: SocketAddr) {
        self.connecting.remove(&endpoint);
        self.list.failed(now, endpoint);
        self.redials.ended(now, endpoint);
    }

    /// Failures, and that a peer was of no use, count no longer.
    pub(super) fn forgive_all(&mut self) {
        self.list.forgive_all();
        self.redials.call_all();
    }

    /// Forgets the peers of an address that is banned, an IPv6 one with its
    /// whole /64.
    pub(super) fn ban(&mut self, ip: IpAddr) {
        self.list.ban(ip);
        let unit = ban_unit(ip);
        self.redials
            .forget_where(|endpoint| ban_unit(endpoint.ip()) == unit);
    }
}

fn peer_list_settings(settings: &Settings, running: bool) -> PeerListSettings {
    let max_size = if running {
        settings.max_peerlist_size
    } else {
        settings.max_paused_peerlist_size
    };
    PeerListSettings {
        max_size: max_size as usize,
        max_failcount: settings.max_failcount.min(255) as u8,
        min_reconnect: Duration::from_secs(settings.min_reconnect_time.unsigned_abs()),
        max_per_ip: max_per_address(settings),
        no_privileged_ports: settings.no_connect_privileged_ports,
    }
}

/// Connections that one address may have.
pub(super) fn max_per_address(settings: &Settings) -> usize {
    match settings.max_connections_per_ip {
        _ if !settings.allow_multiple_connections_per_ip => 1,
        0 => usize::MAX,
        most => most as usize,
    }
}
