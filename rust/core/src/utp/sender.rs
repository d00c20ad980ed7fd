//! What was written: bytes that wait to be sent, and packets that wait to be
//! acked.
//!
//! A packet keeps its number and its payload for good, since uTP numbers
//! packets. The bytes themselves stay in one buffer until everything before them
//! was acked.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::SeqNr;

/// Packets sent later and acked that make one count as lost (BEP 29, packet
/// loss).
const LOSS_THRESHOLD: u64 = 3;

/// A packet that was sent again counts as lost again after so long at the
/// earliest, whatever acks say.
const MIN_RESEND: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flight {
    /// To be sent, for the first time or again.
    Waiting,
    /// Sent, not acked.
    UnderWay,
    /// Acked, with packets before it that are not.
    Acked,
}

#[derive(Clone, Debug)]
struct SentPacket {
    /// Where its payload begins in the stream.
    offset: u64,
    length: usize,
    flight: Flight,
    sent_at: Instant,
    /// The how-manieth transmission of the connection the last one was.
    order: u64,
    transmissions: u32,
    is_fin: bool,
    is_probe: bool,
}

/// What an ack has brought.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Acked {
    /// Bytes of payload.
    pub(super) bytes: usize,
    /// Packets.
    pub(super) packets: usize,
    /// The round trip of the packet that was sent last, where it was sent once.
    pub(super) rtt: Option<Duration>,
    /// The shortest time since one of them was sent.
    pub(super) min_rtt: Option<Duration>,
    /// The MTU probe is among them.
    pub(super) probe: bool,
    /// There is more room for writes.
    pub(super) freed: bool,
}

/// What was lost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lost {
    /// Packets, the probe not counted.
    pub(super) packets: usize,
    /// The number of the last one of these.
    pub(super) newest: Option<SeqNr>,
    /// The MTU probe was lost.
    pub(super) probe: bool,
}

/// A packet to be put on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outgoing {
    pub(super) seq: SeqNr,
    pub(super) offset: u64,
    pub(super) length: usize,
    pub(super) is_fin: bool,
    pub(super) is_resend: bool,
}

/// What may be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Bytes under way that the congestion window allows.
    pub(super) congestion: usize,
    /// Bytes that the peer has room for.
    pub(super) peer: usize,
    /// Bytes of payload that a packet takes.
    pub(super) payload: usize,
    /// Packets that the peer keeps in any order.
    pub(super) packets: usize,
}

/// One direction of a connection, at its near end.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    /// Everything up to this number was acked.
    acked: SeqNr,
    /// Packets from `acked + 1` on.
    packets: VecDeque<SentPacket>,
    /// Payload under way, in bytes.
    in_flight: usize,
    /// Payload of packets that are not acked, in bytes.
    outstanding: usize,
    /// Packets that are to be sent, again or for the first time.
    waiting: usize,
    stream: VecDeque<u8>,
    /// Where `stream` begins.
    stream_offset: u64,
    /// Up to here the stream is in packets.
    packed: u64,
    next_order: u64,
    newest_acked: u64,
    /// Acks without news while packets are under way.
    duplicate_acks: u32,
    fin: FinState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FinState {
    Open,
    Wanted,
    Sent,
}

impl Sender {
    pub(super) fn new(next: SeqNr) -> Self {
        Self {
            acked: next.minus(1),
            packets: VecDeque::new(),
            in_flight: 0,
            outstanding: 0,
            waiting: 0,
            stream: VecDeque::new(),
            stream_offset: 0,
            packed: 0,
            next_order: 1,
            newest_acked: 0,
            duplicate_acks: 0,
            fin: FinState::Open,
        }
    }

    /// The number of the last packet that was acked with all before it.
    pub(super) fn acked(&self) -> SeqNr {
        self.acked
    }

    /// The number of the last packet that was sent.
    pub(super) fn last(&self) -> SeqNr {
        self.acked.plus(self.packets.len())
    }

    /// What packets without payload carry as their number: that of the next
    /// packet, or that of the FIN. libtorrent's FIN takes no number, and it
    /// ignores what is numbered after one.
    pub(super) fn state_nr(&self) -> SeqNr {
        match self.fin {
            FinState::Sent => self.last(),
            FinState::Open | FinState::Wanted => self.last().plus(1),
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Bytes that were written and are not acked.
    pub(super) fn buffered(&self) -> usize {
        self.stream.len()
    }

    /// Bytes that are in no packet yet.
    pub(super) fn unsent(&self) -> usize {
        (self.stream_offset + self.stream.len() as u64 - self.packed) as usize
    }

    /// Whether packets wait for acks.
    pub(super) fn is_waiting_for_acks(&self) -> bool {
        !self.packets.is_empty()
    }

    /// Whether the FIN is the only packet that waits for its ack.
    pub(super) fn only_fin_waits(&self) -> bool {
        self.packets.len() == 1 && self.packets[0].is_fin
    }

    /// Whether everything was acked, the FIN included.
    pub(super) fn is_finished(&self) -> bool {
        self.fin == FinState::Sent && self.packets.is_empty()
    }

    /// Whether writes are over.
    pub(super) fn is_shut(&self) -> bool {
        self.fin != FinState::Open
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.stream.extend(bytes);
    }

    pub(super) fn shut(&mut self) {
        if self.fin == FinState::Open {
            self.fin = FinState::Wanted;
        }
    }

    /// Takes acks in. The number and the bits must be of packets that were sent;
    /// what is not is left out.
    pub(super) fn ack(
        &mut self,
        now: Instant,
        ack_nr: SeqNr,
        offsets: impl Iterator<Item = usize>,
        min_rtt: Duration,
    ) -> Acked {
        let mut news = Acked::default();
        let mut newest = (0, None);
        let upto = ack_nr.since(self.acked).max(0) as usize;
        let behind = ack_nr.since(self.acked).min(0).unsigned_abs() as usize;
        let single = 0..upto.min(self.packets.len());
        let selected = offsets.filter_map(|offset| (upto + offset).checked_sub(1 + behind));
        for at in single.chain(selected) {
            let Some(packet) = self.packets.get_mut(at) else {
                break;
            };
            if packet.flight == Flight::Acked || packet.transmissions == 0 {
                continue;
            }
            match packet.flight {
                Flight::UnderWay => self.in_flight -= packet.length,
                _ => self.waiting -= 1,
            }
            packet.flight = Flight::Acked;
            self.outstanding -= packet.length;
            news.bytes += packet.length;
            news.packets += 1;
            news.probe |= packet.is_probe;
            let elapsed = now.saturating_duration_since(packet.sent_at);
            news.min_rtt = Some(news.min_rtt.map_or(elapsed, |min| min.min(elapsed)));
            // Of a packet that was sent twice, the ack may be of the first time.
            let is_last = packet.transmissions == 1 || elapsed >= min_rtt;
            if is_last && packet.order > newest.0 {
                let once = packet.transmissions == 1;
                newest = (packet.order, once.then_some(elapsed));
            }
        }
        news.rtt = newest.1;
        self.newest_acked = self.newest_acked.max(newest.0);
        self.pop_acked(&mut news);
        if news.packets > 0 {
            self.duplicate_acks = 0;
        }
        news
    }

    fn pop_acked(&mut self, news: &mut Acked) {
        while self
            .packets
            .front()
            .is_some_and(|it| it.flight == Flight::Acked)
        {
            let Some(packet) = self.packets.pop_front() else {
                break;
            };
            self.acked = self.acked.plus(1);
            let end = packet.offset + packet.length as u64;
            self.stream.drain(..(end - self.stream_offset) as usize);
            self.stream_offset = end;
            news.freed |= packet.length > 0;
        }
        if self.stream.is_empty() && self.stream.capacity() > 256 * 1024 {
            self.stream = VecDeque::new();
        }
    }

    /// An ack said nothing new although packets are under way. Whether that was
    /// the third one.
    pub(super) fn duplicate_ack(&mut self) -> bool {
        if self.in_flight == 0 && !self.only_fin_waits() {
            return false;
        }
        self.duplicate_acks += 1;
        self.duplicate_acks == LOSS_THRESHOLD as u32
    }

    /// Finds packets that must be lost, since such were acked that were sent
    /// after them. `front` is lost because of acks without news.
    pub(super) fn detect_lost(&mut self, now: Instant, min_rtt: Duration, front: bool) -> Lost {
        let mut lost = Lost::default();
        let newest = self.newest_acked;
        for (at, packet) in self.packets.iter_mut().enumerate() {
            if packet.flight != Flight::UnderWay {
                continue;
            }
            let overtaken = packet.order + LOSS_THRESHOLD <= newest;
            if !(overtaken || front && at == 0) {
                continue;
            }
            let elapsed = now.saturating_duration_since(packet.sent_at);
            if packet.transmissions > 1 && elapsed < min_rtt.max(MIN_RESEND) {
                continue;
            }
            packet.flight = Flight::Waiting;
            self.in_flight -= packet.length;
            self.waiting += 1;
            if std::mem::take(&mut packet.is_probe) {
                lost.probe = true;
            } else {
                lost.packets += 1;
                lost.newest = Some(self.acked.plus(at + 1));
            }
        }
        lost
    }

    /// No ack came for too long: everything under way counts as lost.
    pub(super) fn time_out(&mut self) -> Lost {
        let mut lost = Lost::default();
        for packet in &mut self.packets {
            if packet.flight != Flight::UnderWay {
                continue;
            }
            packet.flight = Flight::Waiting;
            self.in_flight -= packet.length;
            self.waiting += 1;
            if std::mem::take(&mut packet.is_probe) {
                lost.probe = true;
            } else {
                lost.packets += 1;
            }
        }
        self.duplicate_acks = 0;
        lost
    }

    /// Whether a window that has no room keeps bytes from being sent although
    /// nothing is under way.
    pub(super) fn is_blocked_by_peer(&self, room: Room) -> bool {
        self.packets.is_empty() && self.unsent() > 0 && self.new_length(room) == 0
    }

    /// The payload of the next new packet, 0 for none yet.
    fn new_length(&self, room: Room) -> usize {
        let unsent = self.unsent();
        let wanted = unsent.min(room.payload);
        if wanted == 0 || self.packets.len() >= room.packets {
            return 0;
        }
        let free = (room.congestion.saturating_sub(self.in_flight))
            .min(room.peer.saturating_sub(self.outstanding));
        // A packet is filled or not sent, unless nothing else is under way.
        match free {
            _ if free >= wanted => wanted,
            _ if self.outstanding == 0 => free,
            _ => 0,
        }
    }

    /// What is to be sent next; lost packets come first.
    pub(super) fn next(&self, room: Room) -> Option<Outgoing> {
        if self.waiting > 0 {
            let is_waiting = |it: &SentPacket| it.flight == Flight::Waiting;
            let at = self.packets.iter().position(is_waiting)?;
            let packet = &self.packets[at];
            let fits = self.in_flight + packet.length <= room.congestion;
            if !fits && self.in_flight > 0 {
                return None;
            }
            return Some(Outgoing {
                seq: self.acked.plus(at + 1),
                offset: packet.offset,
                length: packet.length,
                is_fin: packet.is_fin,
                is_resend: packet.transmissions > 0,
            });
        }
        let length = self.new_length(room);
        let is_fin = length == 0 && self.fin == FinState::Wanted && self.unsent() == 0;
        (length > 0 || is_fin).then(|| Outgoing {
            seq: self.last().plus(1),
            offset: self.packed,
            length,
            is_fin,
            is_resend: false,
        })
    }

    /// Appends the payload of a packet to `out`.
    pub(super) fn payload(&self, packet: Outgoing, out: &mut Vec<u8>) {
        let start = (packet.offset - self.stream_offset) as usize;
        let (first, second) = self.stream.as_slices();
        let end = start + packet.length;
        let split = first.len();
        if start < split {
            out.extend(&first[start..end.min(split)]);
        }
        if end > split {
            out.extend(&second[start.max(split) - split..end - split]);
        }
    }

    /// A packet that [`Sender::next`] gave was sent.
    pub(super) fn sent(&mut self, now: Instant, packet: Outgoing, is_probe: bool) {
        let at = packet.seq.since(self.acked) as usize - 1;
        let order = self.next_order;
        self.next_order += 1;
        if at == self.packets.len() {
            self.packets.push_back(SentPacket {
                offset: packet.offset,
                length: packet.length,
                flight: Flight::Waiting,
                sent_at: now,
                order,
                transmissions: 0,
                is_fin: packet.is_fin,
                is_probe: false,
            });
            self.waiting += 1;
            self.outstanding += packet.length;
            self.packed += packet.length as u64;
            if packet.is_fin {
                self.fin = FinState::Sent;
            }
        }
        let entry = &mut self.packets[at];
        entry.flight = Flight::UnderWay;
        entry.sent_at = now;
        entry.order = order;
        entry.transmissions += 1;
        entry.is_probe = is_probe;
        self.waiting -= 1;
        self.in_flight += entry.length;
    }

    /// The system did not take the packet: it is sent later, and nothing was
    /// lost. Whether it was the MTU probe.
    pub(super) fn refused(&mut self, seq: SeqNr) -> bool {
        let at = seq.since(self.acked) - 1;
        let entry = usize::try_from(at)
            .ok()
            .and_then(|at| self.packets.get_mut(at));
        let Some(entry) = entry.filter(|it| it.flight == Flight::UnderWay) else {
            return false;
        };
        entry.flight = Flight::Waiting;
        entry.transmissions -= 1;
        self.waiting += 1;
        self.in_flight -= entry.length;
        std::mem::take(&mut entry.is_probe)
    }

    /// Packets are cut anew, since those that were sent are too large for the
    /// way. Only while none of them has arrived, as far as acks say; whether it
    /// was done.
    pub(super) fn repack(&mut self) -> bool {
        let arrived = |it: &SentPacket| it.flight == Flight::Acked || it.is_fin;
        if self.packets.iter().any(arrived) {
            return false;
        }
        self.packets.clear();
        self.in_flight = 0;
        self.outstanding = 0;
        self.waiting = 0;
        self.packed = self.stream_offset;
        true
    }

    /// What always holds.
    #[cfg(test)]
    pub(super) fn check_invariants(&self) {
        let sum = |wanted: &[Flight]| -> usize {
            let packets = self.packets.iter().filter(|it| wanted.contains(&it.flight));
            packets.map(|it| it.length).sum()
        };
        assert_eq!(self.in_flight, sum(&[Flight::UnderWay]));
        assert_eq!(self.outstanding, sum(&[Flight::UnderWay, Flight::Waiting]));
        let waiting = |it: &&SentPacket| it.flight == Flight::Waiting;
        assert_eq!(self.waiting, self.packets.iter().filter(waiting).count());
        let packed: usize = self.packets.iter().map(|it| it.length).sum();
        assert_eq!(self.packed, self.stream_offset + packed as u64);
        assert!(self.packed <= self.stream_offset + self.stream.len() as u64);
    }
}
