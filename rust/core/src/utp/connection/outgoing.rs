//! Packets that are sent.

use std::time::Instant;

use super::super::packet::{Header, Packet, PacketType, SelectiveAck};
use super::super::sender::Outgoing;
use super::super::{SeqNr, UtpStats};
use super::{Connection, State};

/// Full packets that wait behind an MTU probe, so that its loss is noticed by
/// them and holds nothing up.
const BEHIND_PROBE: usize = 3;

/// What was sent, for the case that the system does not take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum SentKind {
    Syn,
    Ack,
    Ping,
    Packet(SeqNr),
}

/// A packet that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Sent {
    pub(in super::super) kind: SentKind,
    /// It is larger than what is known to arrive, and goes alone.
    pub(in super::super) is_probe: bool,
}

impl Connection {
    /// Appends the next packet to `out`, if there is one of `limit` bytes at
    /// most. `bits` is room to work in.
    pub(in super::super) fn poll_packet(
        &mut self,
        now: Instant,
        limit: usize,
        allowance: usize,
        bits: &mut Vec<u8>,
        out: &mut Vec<u8>,
        stats: &mut UtpStats,
    ) -> Option<Sent> {
        match self.state {
            State::Closed(_) => return None,
            State::SynSent { .. } => return self.poll_syn(now, out),
            State::Connected => {}
        }
        self.note_idle(now);
        self.receiver.selective_ack(bits);
        if self.pending.ping {
            return self.poll_ping(now, allowance, bits, out);
        }
        let room = self.room(self.mtu.size() - Packet::overhead(bits.len(), false));
        let Some(next) = self.sender.next(room) else {
            return self.poll_ack(now, allowance, bits, out);
        };
        // A packet that was cut when there was less to ack keeps its size.
        if next.length > room.payload {
            let free = self
                .mtu
                .size()
                .saturating_sub(next.length + Packet::overhead(4, false) - 4);
            bits.truncate(free / 4 * 4);
        }
        let size = Packet::overhead(bits.len(), false) + next.length;
        let probe = self.probe_size(next, room.payload);
        if size.max(probe) > limit {
            return None;
        }
        self.write_packet(now, next, probe, allowance, bits, out);
        stats.payload_packets_out += u64::from(next.length > 0);
        stats.packet_resend += u64::from(next.is_resend);
        Some(Sent {
            kind: SentKind::Packet(next.seq),
            is_probe: probe > 0,
        })
    }

    fn write_packet(
        &mut self,
        now: Instant,
        next: Outgoing,
        probe: usize,
        allowance: usize,
        bits: &[u8],
        out: &mut Vec<u8>,
    ) {
        let kind = if next.is_fin {
            PacketType::Fin
        } else {
            PacketType::Data
        };
        let start = out.len();
        let header = self.header(now, kind, next.seq, allowance);
        // The payload comes from two places, so that it is appended apart: the
        // padding goes in front of it.
        let padded = probe.saturating_sub(next.length);
        packet(header, bits, &[]).encode(padded, out);
        self.sender.payload(next, out);
        if probe > 0 {
            self.mtu.probe_sent(out.len() - start);
        }
        self.sender.sent(now, next, probe > 0);
        if next.is_resend && next.seq == self.sender.acked().plus(1) && self.timers.timeouts > 0 {
            self.black_hole.resent = Some(now);
        }
        self.note_sent(now);
    }

    /// The size of this packet as an MTU probe, 0 if it should be none.
    fn probe_size(&mut self, next: Outgoing, payload: usize) -> usize {
        if next.is_resend || next.is_fin {
            return 0;
        }
        let behind = BEHIND_PROBE * payload;
        let is_followed = self.sender.unsent() >= next.length + behind
            && self.congestion.window() >= next.length + behind;
        match self.mtu.probe() {
            Some(size) if is_followed => size,
            _ => 0,
        }
    }

    fn poll_syn(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Sent> {
        let State::SynSent { number, sends } = &mut self.state else {
            return None;
        };
        if !std::mem::take(&mut self.pending.syn) {
            return None;
        }
        *sends += 1;
        let number = *number;
        let mut header = self.header(now, PacketType::Syn, number, usize::MAX);
        // The number that the answer shall carry; all later packets carry the
        // one after it.
        header.connection_id = self.ids.receive;
        header.ack_nr = SeqNr(0);
        packet(header, &[], &[]).encode(0, out);
        self.timers.last_sent = now;
        self.arm(now);
        Some(Sent {
            kind: SentKind::Syn,
            is_probe: false,
        })
    }

    /// A byte that the peer has already: it answers with what it has, and what
    /// it has room for.
    fn poll_ping(
        &mut self,
        now: Instant,
        allowance: usize,
        bits: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<Sent> {
        self.pending.ping = false;
        self.timers.ping_sent = true;
        let seq = self.sender.acked();
        let header = self.header(now, PacketType::Data, seq, allowance);
        packet(header, bits, &[0]).encode(0, out);
        self.note_sent(now);
        Some(Sent {
            kind: SentKind::Ping,
            is_probe: false,
        })
    }

    fn poll_ack(
        &mut self,
        now: Instant,
        allowance: usize,
        bits: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<Sent> {
        if !self.pending.ack {
            return None;
        }
        let seq = self.sender.state_nr();
        let header = self.header(now, PacketType::State, seq, allowance);
        packet(header, bits, &[]).encode(0, out);
        self.note_sent(now);
        Some(Sent {
            kind: SentKind::Ack,
            is_probe: false,
        })
    }

    fn note_sent(&mut self, now: Instant) {
        self.pending.ack = false;
        self.timers.last_sent = now;
        self.arm(now);
    }

    fn header(&mut self, now: Instant, kind: PacketType, seq: SeqNr, allowance: usize) -> Header {
        self.advertised = self.window(allowance);
        Header {
            kind,
            connection_id: self.ids.send,
            timestamp: self.clock.micros(now),
            timestamp_difference: self.delays.reply,
            window: u32::try_from(self.advertised).unwrap_or(u32::MAX),
            seq_nr: seq,
            ack_nr: self.receiver.ack_nr(),
        }
    }

    /// The system did not take a packet: it is sent later, and nothing was lost.
    pub(in super::super) fn handle_refused(&mut self, kind: SentKind) {
        match kind {
            SentKind::Syn => {
                if let State::SynSent { sends, .. } = &mut self.state {
                    *sends = sends.saturating_sub(1);
                    self.pending.syn = true;
                }
            }
            SentKind::Ack => self.pending.ack = true,
            SentKind::Ping => self.pending.ping = true,
            SentKind::Packet(seq) => {
                if self.sender.refused(seq) {
                    self.mtu.probe_cancelled();
                }
                self.pending.ack = true;
            }
        }
    }

    /// The system says that a datagram of `size` bytes is too large for the way.
    pub(in super::super) fn handle_too_large(&mut self, now: Instant, kind: SentKind, size: usize) {
        if let SentKind::Packet(seq) = kind
            && self.sender.refused(seq)
        {
            self.mtu.too_large(now, size);
        }
    }
}

fn packet<'a>(header: Header, bits: &'a [u8], payload: &'a [u8]) -> Packet<'a> {
    Packet {
        header,
        selective_ack: (!bits.is_empty()).then_some(SelectiveAck(bits)),
        close_reason: None,
        payload,
    }
}
