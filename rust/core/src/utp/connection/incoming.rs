//! Packets that arrive.

use std::time::Instant;

use super::super::congestion::AckInfo;
use super::super::packet::{HEADER_SIZE, Packet, PacketType};
use super::super::receiver::{Received, Receiver};
use super::super::sender::Acked;
use super::super::{SeqNr, UtpError, UtpStats};
use super::{BlackHole, Connection, State};

/// Acks that are older than the newest one by more packets than this are of no
/// packet that was sent lately.
const MAX_BEHIND: i32 = 1024;

/// Packets that are ahead by more than this were not sent with a window of ours.
const MAX_AHEAD: i32 = 4096;

impl Connection {
    /// A packet for this connection. `allowance` is what it may hold.
    pub(in super::super) fn handle_packet(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        allowance: usize,
        stats: &mut UtpStats,
    ) {
        if !self.is_plausible(packet) {
            stats.redundant_packets_in += 1;
            return;
        }
        if packet.header.kind == PacketType::Reset {
            self.fail(match self.state {
                State::SynSent { .. } => UtpError::Refused,
                State::Connected | State::Closed(_) => UtpError::Reset,
            });
            return;
        }
        if let State::SynSent { sends, .. } = self.state {
            self.establish(now, packet.header.seq_nr, sends);
        }
        if self.close_reason.is_none() {
            self.close_reason = packet.close_reason;
        }
        self.note_delay(now, packet);
        self.take_acks(now, packet, stats);
        self.take_payload(packet, allowance, stats);
        self.note_closing(now);
        self.arm(now);
        #[cfg(test)]
        self.sender.check_invariants();
    }

    /// Whether the packet can be of this connection and of now. Others may send
    /// such that are not; they change nothing.
    fn is_plausible(&self, packet: &Packet<'_>) -> bool {
        let header = &packet.header;
        if header.kind == PacketType::Syn {
            return false;
        }
        match self.state {
            State::Closed(_) => false,
            State::SynSent { number, .. } => header.ack_nr == number,
            State::Connected => {
                let beyond = header.ack_nr.since(self.sender.last());
                let behind = self.sender.acked().since(header.ack_nr);
                let ahead = header.seq_nr.since(self.receiver.ack_nr());
                let is_reset = header.kind == PacketType::Reset;
                // The number of a reset is any.
                beyond <= 0 && behind <= MAX_BEHIND && (is_reset || ahead <= MAX_AHEAD)
            }
        }
    }

    /// The SYN was answered by a packet of the number `first`.
    fn establish(&mut self, now: Instant, first: SeqNr, sends: u32) {
        self.state = State::Connected;
        self.receiver = Receiver::new(first.minus(1), self.settings.receive_buffer);
        self.pending.syn = false;
        // The peer begins to send once it knows that we are where we say.
        self.pending.ack = true;
        self.news.connected = true;
        self.news.writable = true;
        self.timers.timeouts = 0;
        self.timers.retransmit = None;
        if sends == 1 {
            self.rtt
                .add(now.saturating_duration_since(self.timers.last_sent));
        }
    }

    fn note_delay(&mut self, now: Instant, packet: &Packet<'_>) {
        if packet.header.timestamp != 0 {
            let sent = packet.header.timestamp;
            let delay = self.clock.micros(now).wrapping_sub(sent);
            self.delays.arrived(now, delay.max(1));
        }
        self.timers.silent = 0;
        if std::mem::take(&mut self.timers.ping_sent) {
            self.timers.retransmit = None;
        }
    }

    fn take_acks(&mut self, now: Instant, packet: &Packet<'_>, stats: &mut UtpStats) {
        let header = &packet.header;
        let in_flight = self.sender.in_flight();
        let is_old = header.ack_nr.since(self.sender.acked()) < 0;
        let had_window = self.peer_window;
        if !is_old {
            self.peer_window = header.window as usize;
            self.peer_window_max = self.peer_window_max.max(self.peer_window);
            if self.peer_window > had_window && !self.sender.is_waiting_for_acks() {
                self.timers.retransmit = None;
            }
        }
        let min_rtt = self.rtt.min();
        let bits = packet.selective_ack;
        let offsets = bits.iter().flat_map(|bits| bits.offsets());
        let acked = self.sender.ack(now, header.ack_nr, offsets, min_rtt);
        let repeats = acked.packets == 0
            && header.kind == PacketType::State
            && header.ack_nr == self.sender.acked()
            && bits.is_none()
            && self.peer_window == had_window;
        let third = repeats && self.sender.duplicate_ack();
        if let Some(rtt) = acked.rtt {
            self.rtt.add(rtt);
        }
        if acked.packets > 0 {
            self.timers.timeouts = 0;
            self.timers.retransmit = None;
            self.black_hole = BlackHole::default();
        } else if !is_old && bits.is_none() && header.kind == PacketType::State {
            self.suspect_black_hole(now);
        }
        if acked.probe {
            self.mtu.probe_acked(now);
            self.congestion.set_packet(self.mtu.size() - HEADER_SIZE);
        }
        if self
            .recovery
            .is_some_and(|upto| self.sender.acked().since(upto) >= 0)
        {
            self.recovery = None;
        }
        self.grow(now, packet, acked, in_flight, stats);
        if acked.packets > 0 || third {
            self.note_losses(now, third, stats);
        }
        if self.wants_to_write && (acked.freed || acked.packets > 0) && self.write_room() > 0 {
            self.wants_to_write = false;
            self.news.writable = true;
        }
    }

    fn grow(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        acked: Acked,
        in_flight: usize,
        stats: &mut UtpStats,
    ) {
        let sample = packet.header.timestamp_difference;
        // Some implementations send the greatest number for none.
        if sample == 0 || sample == u32::MAX >> 1 {
            return;
        }
        let mut delay = self.delays.reported(now, sample);
        if acked.bytes == 0 {
            return;
        }
        if let Some(min) = acked.min_rtt {
            delay = delay.min(min);
        }
        match delay < self.settings.target_delay {
            true => stats.samples_below_target += 1,
            false => stats.samples_above_target += 1,
        }
        let new_round = self.sender.acked().since(self.round_end) >= 0;
        if new_round {
            self.round_end = self.sender.last();
        }
        let info = AckInfo {
            acked: acked.bytes,
            in_flight,
            delay,
            recovering: self.recovery.is_some(),
            new_round,
        };
        if self.congestion.acked(&self.settings, info) {
            self.recovery = Some(self.sender.last());
        }
    }

    fn note_losses(&mut self, now: Instant, front: bool, stats: &mut UtpStats) {
        let lost = self.sender.detect_lost(now, self.rtt.min(), front);
        stats.packet_loss += lost.packets as u64;
        stats.fast_retransmit += lost.packets as u64;
        if lost.probe {
            self.mtu.probe_lost(now);
        }
        let Some(newest) = lost.newest else {
            return;
        };
        let is_new = self.recovery.is_none_or(|upto| newest.since(upto) > 0);
        if is_new && self.congestion.lost(&self.settings, now) {
            self.recovery = Some(self.sender.last());
        }
    }

    /// The peer answers, but has not received the oldest packet, which was sent
    /// again since.
    fn suspect_black_hole(&mut self, now: Instant) {
        let Some(resent) = self.black_hole.resent else {
            return;
        };
        if now.saturating_duration_since(resent) < self.rtt.min() {
            return;
        }
        self.black_hole.resent = None;
        self.black_hole.answers += 1;
        let is_large = self.mtu.is_above_base();
        if self.black_hole.answers >= 2 && is_large && self.sender.repack() {
            self.black_hole = BlackHole::default();
            self.mtu.black_hole();
            self.congestion.set_packet(self.mtu.size() - HEADER_SIZE);
            self.recovery = None;
            self.timers.timeouts = 0;
            self.timers.retransmit = None;
        }
    }

    fn take_payload(&mut self, packet: &Packet<'_>, allowance: usize, stats: &mut UtpStats) {
        let was_finished = self.receiver.is_finished();
        let seq = packet.header.seq_nr;
        match packet.header.kind {
            PacketType::Data => {
                stats.payload_packets_in += 1;
                self.pending.ack = true;
                match self.receiver.data(seq, packet.payload, allowance) {
                    Received::Kept { readable } => self.news.readable |= readable,
                    Received::Redundant | Received::Refused => stats.redundant_packets_in += 1,
                }
            }
            PacketType::Fin => {
                self.pending.ack = true;
                self.receiver.fin(seq);
            }
            PacketType::State | PacketType::Reset | PacketType::Syn => {}
        }
        self.news.readable |= self.receiver.is_finished() && !was_finished;
    }
}
