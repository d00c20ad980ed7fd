//! One connection.
//!
//! The [`Multiplexer`](super::Multiplexer) owns it, gives it the packets that
//! are of it (`incoming`), asks it for packets to send (`outgoing`) and calls it
//! when time has passed (`timers`).

mod incoming;
mod outgoing;
mod timers;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::clock::Clock;
use super::congestion::Congestion;
use super::delay::Delays;
use super::mtu::PathMtu;
use super::packet::HEADER_SIZE;
use super::receiver::Receiver;
use super::rtt::Rtt;
use super::sender::{Room, Sender};
use super::{SeqNr, UtpError, UtpSettings};

pub(super) use outgoing::SentKind;

/// What one connection writes ahead of its congestion window, at least.
const MIN_SEND_BUFFER: usize = 128 * 1024;

/// Packets that are under way at most, whatever the peer has room for.
const MAX_PACKETS: usize = 2000;

/// Bytes of a peer's buffer for each packet that it keeps out of order, as
/// libtorrent does.
const BYTES_PER_EARLY_PACKET: usize = 1100;

/// Both numbers of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ids {
    /// What the peer's packets carry.
    pub(super) receive: u16,
    /// What our packets carry, but for a SYN.
    pub(super) send: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A SYN waits for its answer; so many were sent.
    SynSent {
        number: SeqNr,
        sends: u32,
    },
    Connected,
    Closed(UtpError),
}

/// What is to be sent apart from payload.
#[derive(Clone, Copy, Debug, Default)]
struct Pending {
    syn: bool,
    ack: bool,
    /// A packet that the peer has already, which it acks.
    ping: bool,
}

/// What the driver has not heard of yet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct News {
    pub(super) connected: bool,
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) closed: Option<UtpError>,
}

#[derive(Clone, Copy, Debug)]
struct Timers {
    /// When what was sent last counts as lost.
    retransmit: Option<Instant>,
    /// Time-outs since the last packet that was acked.
    timeouts: u32,
    /// Time-outs since the last packet of the peer.
    silent: u32,
    last_sent: Instant,
    /// A ping has no answer yet.
    ping_sent: bool,
    /// When the connection is forgotten, once its owner has let it go.
    close: Option<Instant>,
    /// How far both ends were when that was set: acked, and whether the peer has
    /// said all.
    closing: (SeqNr, bool),
}

/// Whether large packets vanish on the way.
#[derive(Clone, Copy, Debug, Default)]
struct BlackHole {
    /// When the oldest packet was sent again, together with a ping.
    resent: Option<Instant>,
    /// Answers to such pings that say that the packet did not arrive.
    answers: u32,
}

/// A connection to one peer.
#[derive(Debug)]
pub(super) struct Connection {
    settings: UtpSettings,
    clock: Clock,
    pub(super) peer: SocketAddr,
    pub(super) ids: Ids,
    /// The number of the peer's SYN, where the peer began.
    pub(super) syn: Option<SeqNr>,
    state: State,
    sender: Sender,
    receiver: Receiver,
    congestion: Congestion,
    /// Losses up to this packet were answered for.
    recovery: Option<SeqNr>,
    /// A round trip is over when this packet is acked.
    round_end: SeqNr,
    mtu: PathMtu,
    rtt: Rtt,
    delays: Delays,
    /// Bytes that the peer has room for, and the most that it ever had.
    peer_window: usize,
    peer_window_max: usize,
    /// The room that the peer was told of last.
    advertised: usize,
    pending: Pending,
    timers: Timers,
    black_hole: BlackHole,
    news: News,
    /// A write found no room.
    wants_to_write: bool,
    /// Its owner has let it go.
    pub(super) released: bool,
    close_reason: Option<u16>,
    /// In the multiplexer's queue of those that linger.
    pub(super) lingers: bool,
    /// In the multiplexer's queue of those that may have something to send.
    pub(super) queued: bool,
    /// What the multiplexer's list of timers has of it.
    pub(super) listed: Option<Instant>,
}

impl Connection {
    /// A connection that begins with a SYN of the number `number`.
    pub(super) fn connect(
        now: Instant,
        settings: UtpSettings,
        clock: Clock,
        peer: SocketAddr,
        ids: Ids,
        number: SeqNr,
    ) -> Self {
        let mut connection = Self::new(now, settings, clock, peer, ids, number.plus(1));
        connection.state = State::SynSent { number, sends: 0 };
        connection.pending.syn = true;
        connection
    }

    /// A connection that a peer began with a SYN of the number `syn`, and whose
    /// packets from here begin with `first`.
    pub(super) fn accept(
        now: Instant,
        settings: UtpSettings,
        clock: Clock,
        peer: SocketAddr,
        ids: Ids,
        (syn, first): (SeqNr, SeqNr),
    ) -> Self {
        let mut connection = Self::new(now, settings, clock, peer, ids, first);
        connection.syn = Some(syn);
        connection.receiver = Receiver::new(syn, settings.receive_buffer);
        connection
    }

    fn new(
        now: Instant,
        settings: UtpSettings,
        clock: Clock,
        peer: SocketAddr,
        ids: Ids,
        first: SeqNr,
    ) -> Self {
        let max = if peer.is_ipv6() {
            settings.max_datagram_v6
        } else {
            settings.max_datagram_v4
        };
        let mtu = PathMtu::new(peer.is_ipv6(), max);
        Self {
            settings,
            clock,
            peer,
            ids,
            syn: None,
            state: State::Connected,
            sender: Sender::new(first),
            receiver: Receiver::new(SeqNr(0), settings.receive_buffer),
            congestion: Congestion::new(mtu.size() - HEADER_SIZE),
            recovery: None,
            round_end: first,
            mtu,
            rtt: Rtt::default(),
            delays: Delays::default(),
            peer_window: 0,
            peer_window_max: 0,
            advertised: settings.receive_buffer,
            pending: Pending::default(),
            timers: Timers {
                retransmit: None,
                timeouts: 0,
                silent: 0,
                last_sent: now,
                ping_sent: false,
                close: None,
                closing: (first, false),
            },
            black_hole: BlackHole::default(),
            news: News::default(),
            wants_to_write: false,
            released: false,
            close_reason: None,
            lingers: false,
            queued: false,
            listed: None,
        }
    }

    /// What has happened since the last call.
    pub(super) fn take_news(&mut self) -> News {
        std::mem::take(&mut self.news)
    }

    /// Bytes that are held of what has arrived.
    pub(super) fn held(&self) -> usize {
        self.receiver.held()
    }

    /// Reads bytes in order: `Ok(0)` is the end of the stream.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        allowance: usize,
    ) -> Result<Option<usize>, UtpError> {
        if self.receiver.readable() > 0 {
            let read = self.receiver.read(buffer);
            self.note_window(allowance);
            return Ok(Some(read));
        }
        match self.state {
            State::Connected if self.receiver.is_finished() => Ok(Some(0)),
            State::SynSent { .. } | State::Connected => Ok(None),
            State::Closed(error) => Err(error),
        }
    }

    /// The peer hears of room that the reader has made before it runs out of it.
    fn note_window(&mut self, allowance: usize) {
        let window = self.window(allowance);
        let grown = window.saturating_sub(self.advertised);
        if self.advertised < self.settings.receive_buffer / 4 && grown >= 2 * 1472 {
            self.pending.ack = true;
        }
    }

    /// Bytes that there is room for.
    fn window(&self, allowance: usize) -> usize {
        let capacity = self.settings.receive_buffer.min(allowance);
        capacity.saturating_sub(self.receiver.held())
    }

    /// Takes bytes to send, as many as there is room for; none while the
    /// connection is being made.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<usize, UtpError> {
        match self.state {
            State::Closed(error) => return Err(error),
            State::Connected if self.sender.is_shut() => return Err(UtpError::Closed),
            State::SynSent { .. } | State::Connected => {}
        }
        let room = self.write_room();
        let taken = room.min(bytes.len());
        self.sender.write(&bytes[..taken]);
        self.wants_to_write |= taken < bytes.len();
        Ok(taken)
    }

    fn write_room(&self) -> usize {
        let least = MIN_SEND_BUFFER.min(self.settings.send_buffer);
        let wanted = self.congestion.window().saturating_mul(2);
        let limit = wanted.clamp(least, self.settings.send_buffer);
        match self.state {
            State::Connected => limit.saturating_sub(self.sender.buffered()),
            State::SynSent { .. } | State::Closed(_) => 0,
        }
    }

    /// Nothing more is written: the peer sees the end once it has everything.
    pub(super) fn shutdown(&mut self) {
        self.sender.shut();
    }

    /// Its owner lets it go. What was written is still delivered.
    pub(super) fn release(&mut self, now: Instant) {
        self.released = true;
        self.news = News::default();
        self.sender.shut();
        self.receiver.discard();
        if matches!(self.state, State::SynSent { .. }) {
            self.state = State::Closed(UtpError::Closed);
        }
        self.note_closing(now);
    }

    /// Why the peer closes the connection, as far as it said so.
    pub(super) fn close_reason(&self) -> Option<u16> {
        self.close_reason
    }

    /// The connection is over.
    pub(super) fn fail(&mut self, error: UtpError) {
        if !matches!(self.state, State::Closed(_)) {
            self.state = State::Closed(error);
            self.news.closed = Some(error);
            self.timers.retransmit = None;
        }
    }

    /// Whether nothing is left to be done for it.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.released
            && (matches!(self.state, State::Closed(_))
                || self.timers.close.is_some_and(|close| close <= now))
    }

    /// Whether both ends have said all, and it only waits for packets that are
    /// late.
    pub(super) fn is_lingering(&self) -> bool {
        self.released && self.sender.is_finished() && self.receiver.is_finished()
    }

    /// Whether the peer has everything, or gets nothing more.
    pub(super) fn is_settled(&self) -> bool {
        self.sender.is_finished() || matches!(self.state, State::Closed(_))
    }

    /// Whether the peer would wait for something that never comes, once the
    /// connection is forgotten.
    pub(super) fn wants_reset(&self) -> bool {
        matches!(self.state, State::Connected) && !self.is_lingering()
    }

    /// The number of the last packet of the peer.
    pub(super) fn ack_nr(&self) -> SeqNr {
        self.receiver.ack_nr()
    }

    fn room(&self, payload: usize) -> Room {
        let packets = self.peer_window_max / BYTES_PER_EARLY_PACKET;
        Room {
            congestion: self.congestion.window(),
            peer: self.peer_window,
            payload,
            packets: packets.clamp(16, MAX_PACKETS),
        }
    }

    /// What it has measured.
    pub(super) fn status(&self) -> super::UtpStatus {
        super::UtpStatus {
            round_trip: self.rtt.smoothed(),
            congestion_window: self.congestion.window(),
            in_flight: self.sender.in_flight(),
            datagram: self.mtu.size(),
            readable: self.receiver.readable(),
            unacked: self.sender.buffered(),
            unsent: self.sender.unsent(),
        }
    }

    /// The timeout that holds for an ack.
    fn timeout(&self) -> Duration {
        self.rtt
            .timeout(self.settings.min_timeout, self.timers.timeouts)
    }
}
