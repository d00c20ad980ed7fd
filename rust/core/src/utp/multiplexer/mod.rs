//! All connections of one UDP socket.

mod cookie;
mod replies;
mod transmit;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

use super::clock::Clock;
use super::connection::{Connection, Ids};
use super::packet::{Header, Packet, PacketType};
use super::{SeqNr, UtpError, UtpId, UtpOutput, UtpSettings, UtpStats, UtpStatus};
use cookie::{Claim, Cookies};
use replies::Replies;
use transmit::LastTransmit;
pub use transmit::Transmit;

/// How a peer began a connection: its address, the id that its packets carry, and
/// the number of its SYN.
type Begin = (SocketAddr, u16, SeqNr);

/// Connections that are over and remembered, at most.
const MAX_ENDED: usize = 256;

/// Connections over one UDP socket (BEP 29).
///
/// Inputs are datagrams ([`Multiplexer::handle_datagram`]), what the owners of
/// the connections do ([`Multiplexer::connect`], `read`, `write`, `shutdown`,
/// `release`, `reset`), time, and what the system made of datagrams
/// ([`Multiplexer::handle_refused`], [`Multiplexer::handle_writable`],
/// [`Multiplexer::handle_too_large`]). Outputs are datagrams
/// ([`Multiplexer::poll_transmit`]) and [`UtpOutput`]s. Datagrams that have
/// arrived together are best handled together before anything is polled: one ack
/// then answers for all.
///
/// A connection is known by a [`UtpId`] from [`Multiplexer::connect`] or
/// [`UtpOutput::Incoming`] until its owner calls [`Multiplexer::release`] or
/// [`Multiplexer::reset`].
#[derive(Debug)]
pub struct Multiplexer {
    settings: UtpSettings,
    clock: Clock,
    rng: StdRng,
    cookies: Cookies,
    accepts: bool,
    connections: HashMap<UtpId, Connection>,
    /// The peer and the id that its packets carry.
    routes: HashMap<(SocketAddr, u16), UtpId>,
    next_id: u64,
    timers: BTreeSet<(Instant, UtpId)>,
    /// Connections that may have something to send.
    ready: VecDeque<UtpId>,
    /// Connections that linger, oldest first; some may be gone.
    lingering: VecDeque<UtpId>,
    /// Connections of peers that are over, oldest first: a late copy of their
    /// first packet begins no second stream.
    ended: VecDeque<(Instant, Begin)>,
    replies: Replies,
    outputs: VecDeque<UtpOutput>,
    /// Since when the socket takes no datagrams.
    blocked: Option<Instant>,
    last: LastTransmit,
    /// Bytes that connections hold of what has arrived.
    held: usize,
    bits: Vec<u8>,
    stats: UtpStats,
}

impl Multiplexer {
    /// No connections. From `seed` come numbers that other hosts must not be able to
    /// guess, so it has to be chosen by chance.
    pub fn new(now: Instant, settings: UtpSettings, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut secret = [0; 20];
        rng.fill_bytes(&mut secret);
        Self {
            settings,
            clock: Clock::new(now, rng.random()),
            cookies: Cookies::new(secret, now),
            rng,
            accepts: true,
            connections: HashMap::new(),
            routes: HashMap::new(),
            next_id: 0,
            timers: BTreeSet::new(),
            ready: VecDeque::new(),
            lingering: VecDeque::new(),
            ended: VecDeque::new(),
            replies: Replies::new(now),
            outputs: VecDeque::new(),
            blocked: None,
            last: LastTransmit::default(),
            held: 0,
            bits: Vec::new(),
            stats: UtpStats::default(),
        }
    }

    /// What holds for connections that are made from now on.
    pub fn set_settings(&mut self, settings: UtpSettings) {
        self.settings = settings;
    }

    /// Whether connections of peers are accepted (`enable_incoming_utp`).
    pub fn set_accepts(&mut self, accepts: bool) {
        self.accepts = accepts;
    }

    /// Connections, those that linger included.
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// What has happened so far.
    pub fn stats(&self) -> UtpStats {
        self.stats
    }

    /// Bytes that all connections hold of what has arrived and was not read.
    pub fn held(&self) -> usize {
        self.held
    }

    /// What a connection has measured; `None` when there is no such one.
    pub fn status(&self, id: UtpId) -> Option<UtpStatus> {
        self.connections.get(&id).map(Connection::status)
    }

    /// The peer of a connection.
    pub fn peer(&self, id: UtpId) -> Option<SocketAddr> {
        self.connections.get(&id).map(|it| it.peer)
    }

    /// Why the peer closes the connection, by libtorrent's numbers, where it
    /// said so.
    pub fn close_reason(&self, id: UtpId) -> Option<u16> {
        self.connections.get(&id)?.close_reason()
    }

    /// Begins a connection. It ends in [`UtpOutput::Connected`] or
    /// [`UtpOutput::Closed`].
    ///
    /// # Errors
    ///
    /// [`UtpError::TooMany`] when there are `max_connections`.
    pub fn connect(&mut self, now: Instant, peer: SocketAddr) -> Result<UtpId, UtpError> {
        if !self.make_room(now) {
            return Err(UtpError::TooMany);
        }
        let ids = self.new_ids(peer).ok_or(UtpError::TooMany)?;
        let number = SeqNr(self.rng.random());
        let connection = Connection::connect(now, self.settings, self.clock, peer, ids, number);
        Ok(self.insert(connection))
    }

    /// Ids that no connection with this peer uses, in either direction.
    fn new_ids(&mut self, peer: SocketAddr) -> Option<Ids> {
        for _ in 0..64 {
            let receive: u16 = self.rng.random();
            let send = receive.wrapping_add(1);
            let is_free = |id| !self.routes.contains_key(&(peer, id));
            if is_free(receive) && is_free(send) && is_free(receive.wrapping_sub(1)) {
                return Some(Ids { receive, send });
            }
        }
        None
    }

    /// Whether there may be one connection more; one that lingers makes room.
    fn make_room(&mut self, now: Instant) -> bool {
        while self.connections.len() >= self.settings.max_connections {
            let Some(oldest) = self.lingering.pop_front() else {
                return false;
            };
            self.forget(now, oldest);
        }
        true
    }

    fn insert(&mut self, connection: Connection) -> UtpId {
        let id = UtpId(self.next_id);
        self.next_id += 1;
        self.routes
            .insert((connection.peer, connection.ids.receive), id);
        self.connections.insert(id, connection);
        self.enqueue(id);
        id
    }

    /// The connection may have something to send.
    fn enqueue(&mut self, id: UtpId) {
        if let Some(connection) = self.connections.get_mut(&id)
            && !std::mem::replace(&mut connection.queued, true)
        {
            self.ready.push_back(id);
        }
    }

    /// Bytes that a connection which holds `held` may hold.
    fn allowance(&self, held: usize) -> usize {
        let shared = self.settings.receive_budget.saturating_sub(self.held);
        (held + shared).max(UtpSettings::MIN_RECEIVE_BUFFER)
    }

    /// Has `change` done to a connection, and notes what comes of it.
    fn with<T>(
        &mut self,
        now: Instant,
        id: UtpId,
        change: impl FnOnce(&mut Connection, usize, &mut UtpStats) -> T,
    ) -> Option<T> {
        let held = self.connections.get(&id)?.held();
        let allowance = self.allowance(held);
        let connection = self.connections.get_mut(&id)?;
        let result = change(connection, allowance, &mut self.stats);
        self.held = self.held - held + connection.held();
        self.settle(now, id);
        Some(result)
    }

    /// Notes what a connection has to say, and when it wants to be woken.
    fn settle(&mut self, now: Instant, id: UtpId) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if connection.is_over(now) {
            if connection.wants_reset() {
                self.reset_peer(now, id);
            }
            self.forget(now, id);
            return;
        }
        if connection.is_lingering() && !connection.lingers {
            connection.lingers = true;
            self.lingering.push_back(id);
        }
        let news = connection.take_news();
        if !connection.released {
            let outputs = [
                news.connected.then_some(UtpOutput::Connected(id)),
                news.readable.then_some(UtpOutput::Readable(id)),
                news.writable.then_some(UtpOutput::Writable(id)),
                news.closed.map(|error| UtpOutput::Closed(id, error)),
            ];
            self.outputs.extend(outputs.into_iter().flatten());
        }
        let due = connection.poll_timeout();
        if connection.listed != due {
            if let Some(old) = connection.listed {
                self.timers.remove(&(old, id));
            }
            connection.listed = due;
            self.timers.extend(due.map(|due| (due, id)));
        }
        self.enqueue(id);
    }

    fn forget(&mut self, now: Instant, id: UtpId) {
        let Some(connection) = self.connections.remove(&id) else {
            return;
        };
        self.held -= connection.held();
        let route = (connection.peer, connection.ids.receive);
        self.routes.remove(&route);
        if let Some(syn) = connection.syn {
            if self.ended.len() >= MAX_ENDED {
                self.ended.pop_front();
            }
            self.ended.push_back((now, (route.0, route.1, syn)));
        }
        if let Some(due) = connection.listed {
            self.timers.remove(&(due, id));
        }
    }

    /// A datagram of uTP. What is none, or of no connection and no begin of one,
    /// changes nothing.
    pub fn handle_datagram(&mut self, now: Instant, peer: SocketAddr, datagram: &[u8]) {
        self.stats.packets_in += 1;
        let Ok(packet) = Packet::parse(datagram) else {
            self.stats.invalid_packets_in += 1;
            return;
        };
        let id = packet.header.connection_id;
        let found = match packet.header.kind {
            PacketType::Syn => {
                self.handle_syn(now, peer, &packet);
                return;
            }
            PacketType::Reset => self.route_reset(peer, id),
            PacketType::Data | PacketType::Fin | PacketType::State => {
                self.routes.get(&(peer, id)).copied()
            }
        };
        let found = found.or_else(|| self.accept(now, peer, &packet));
        if let Some(found) = found {
            self.with(now, found, |connection, allowance, stats| {
                connection.handle_packet(now, &packet, allowance, stats);
            });
        }
    }

    /// The connection that a reset ends: libtorrent names it by the id that we
    /// receive, libutp by the one that it received.
    fn route_reset(&self, peer: SocketAddr, id: u16) -> Option<UtpId> {
        let by = |receive: u16| self.routes.get(&(peer, receive)).copied();
        let by_send = |receive: u16| {
            let found = by(receive)?;
            let connection = self.connections.get(&found)?;
            (connection.ids.send == id).then_some(found)
        };
        by(id)
            .or_else(|| by_send(id.wrapping_add(1)))
            .or_else(|| by_send(id.wrapping_sub(1)))
    }

    fn handle_syn(&mut self, now: Instant, peer: SocketAddr, packet: &Packet<'_>) {
        let header = &packet.header;
        let receive = header.connection_id.wrapping_add(1);
        let is_known = self.routes.contains_key(&(peer, receive));
        if !self.accepts || is_known || !self.can_accept() || !self.replies.has_room(now) {
            self.stats.redundant_packets_in += 1;
            return;
        }
        let first = self
            .cookies
            .answer(now, peer, header.connection_id, header.seq_nr);
        let answer = self.bare(now, PacketType::State, header.connection_id);
        let sent = header.timestamp;
        self.replies.push(
            peer,
            Header {
                timestamp_difference: self.clock.micros(now).wrapping_sub(sent).max(1),
                window: u32::try_from(self.settings.receive_buffer).unwrap_or(u32::MAX),
                seq_nr: first,
                ack_nr: header.seq_nr,
                ..answer
            },
        );
    }

    fn can_accept(&self) -> bool {
        self.connections.len() < self.settings.max_connections || !self.lingering.is_empty()
    }

    fn bare(&self, now: Instant, kind: PacketType, connection_id: u16) -> Header {
        Header {
            kind,
            connection_id,
            timestamp: self.clock.micros(now),
            timestamp_difference: 0,
            window: 0,
            seq_nr: SeqNr(0),
            ack_nr: SeqNr(0),
        }
    }

    /// Makes the connection that a packet is the first one of, if it is; a peer
    /// that means a connection which is not here hears so.
    fn accept(&mut self, now: Instant, peer: SocketAddr, packet: &Packet<'_>) -> Option<UtpId> {
        let header = &packet.header;
        if header.kind == PacketType::Reset {
            return None;
        }
        let has_room = self.replies.has_room(now);
        let send = header.connection_id.wrapping_sub(1);
        let numbers = (header.seq_nr, header.ack_nr);
        match self.cookies.claim(now, peer, send, numbers, has_room) {
            Claim::First { syn }
                if self.accepts
                    && !self.has_ended(now, (peer, header.connection_id, syn))
                    && self.make_room(now) =>
            {
                let ids = Ids {
                    receive: header.connection_id,
                    send,
                };
                let first = header.ack_nr.plus(1);
                let connection =
                    Connection::accept(now, self.settings, self.clock, peer, ids, (syn, first));
                let id = self.insert(connection);
                self.outputs.push_back(UtpOutput::Incoming(id, peer));
                return Some(id);
            }
            Claim::Early => {}
            Claim::First { .. } | Claim::None if has_room => {
                let reset = self.bare(now, PacketType::Reset, header.connection_id);
                self.push_reset(peer, reset, header.seq_nr);
            }
            Claim::First { .. } | Claim::None => {}
        }
        None
    }

    /// Whether there was such a connection, as long as an answer to its SYN holds.
    fn has_ended(&mut self, now: Instant, begin: Begin) -> bool {
        let is_old = |at: Instant| now.saturating_duration_since(at) >= 2 * cookie::SLOT;
        while self.ended.front().is_some_and(|it| is_old(it.0)) {
            self.ended.pop_front();
        }
        self.ended.iter().any(|it| it.1 == begin)
    }

    fn push_reset(&mut self, peer: SocketAddr, reset: Header, ack_nr: SeqNr) {
        let seq_nr = SeqNr(self.rng.random());
        self.replies.push(
            peer,
            Header {
                seq_nr,
                ack_nr,
                ..reset
            },
        );
    }

    /// Says to the peer of a connection that it is over.
    fn reset_peer(&mut self, now: Instant, id: UtpId) {
        if let Some(connection) = self.connections.get(&id)
            && self.replies.has_room(now)
        {
            let (peer, ack_nr) = (connection.peer, connection.ack_nr());
            let reset = self.bare(now, PacketType::Reset, connection.ids.send);
            self.push_reset(peer, reset, ack_nr);
        }
    }

    /// Reads bytes in order: `Ok(None)` when there are none yet, `Ok(Some(0))`
    /// at the end of the stream. Whether there are more is said by
    /// [`UtpOutput::Readable`] after a read that found none.
    ///
    /// # Errors
    ///
    /// When the connection is over.
    pub fn read(
        &mut self,
        now: Instant,
        id: UtpId,
        buffer: &mut [u8],
    ) -> Result<Option<usize>, UtpError> {
        self.with(now, id, |connection, allowance, _| {
            connection.read(buffer, allowance)
        })
        .unwrap_or(Err(UtpError::Closed))
    }

    /// Takes bytes to send, and says how many. After a write of which not all
    /// was taken, [`UtpOutput::Writable`] says when there is room again.
    ///
    /// # Errors
    ///
    /// When the connection is over, or was shut.
    pub fn write(&mut self, now: Instant, id: UtpId, bytes: &[u8]) -> Result<usize, UtpError> {
        self.with(now, id, |connection, _, _| {
            let taken = connection.write(bytes);
            connection.arm(now);
            taken
        })
        .unwrap_or(Err(UtpError::Closed))
    }

    /// Ends what is written: the peer reads the end of the stream once it has
    /// everything.
    pub fn shutdown(&mut self, now: Instant, id: UtpId) {
        self.with(now, id, |connection, _, _| connection.shutdown());
    }

    /// The owner of a connection lets it go: what was written is still
    /// delivered, what arrives is not kept, and nothing more is said of it.
    pub fn release(&mut self, now: Instant, id: UtpId) {
        self.with(now, id, |connection, _, _| connection.release(now));
    }

    /// Ends a connection at once, and says so to the peer.
    pub fn reset(&mut self, now: Instant, id: UtpId) {
        self.reset_peer(now, id);
        self.forget(now, id);
    }

    /// Lets all connections go, as [`Multiplexer::release`] does.
    pub fn release_all(&mut self, now: Instant) {
        let ids: Vec<UtpId> = self.connections.keys().copied().collect();
        for id in ids {
            self.release(now, id);
        }
    }

    /// Whether the peers of all connections that were let go have everything
    /// that was written, the end included.
    pub fn is_settled(&self) -> bool {
        self.connections.values().all(Connection::is_settled)
    }

    /// Ends all connections at once. Peers that wait for something get a reset.
    pub fn reset_all(&mut self, now: Instant) {
        let ids: Vec<UtpId> = self.connections.keys().copied().collect();
        for id in ids {
            let connection = self.connections.get(&id);
            match connection.is_some_and(Connection::wants_reset) {
                true => self.reset(now, id),
                false => self.forget(now, id),
            }
        }
    }

    /// What has happened.
    pub fn poll_output(&mut self) -> Option<UtpOutput> {
        self.outputs.pop_front()
    }

    /// When time alone will have it do something. Never while the socket takes
    /// nothing: time stands still then.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.blocked.is_some() {
            return None;
        }
        self.timers.first().map(|(due, _)| *due)
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.blocked.is_some() {
            return;
        }
        while let Some((_, id)) = self.timers.first().copied().filter(|(due, _)| *due <= now) {
            let again = self.with(now, id, |connection, _, stats| {
                connection.handle_timeout(now, stats)
            });
            if again == Some(true) {
                self.begin_again(now, id);
            }
        }
    }

    fn begin_again(&mut self, now: Instant, id: UtpId) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let (peer, old) = (connection.peer, connection.ids.receive);
        let number = SeqNr(self.rng.random());
        let Some(ids) = self.new_ids(peer) else {
            self.with(now, id, |connection, _, _| {
                connection.fail(UtpError::TimedOut)
            });
            return;
        };
        self.routes.remove(&(peer, old));
        self.routes.insert((peer, ids.receive), id);
        self.with(now, id, |connection, _, _| {
            connection.begin_again(ids, number);
            connection.arm(now);
        });
    }
}
