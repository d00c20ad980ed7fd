//! One multiplexer against a peer that is played by hand.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod closing;
mod congestion;
mod contract;
mod handshake;
mod hostile;
mod losses;
mod packets;

use std::net::SocketAddr;
use std::time::Instant;

use super::packet::{Header, Packet, PacketType, SelectiveAck};
use super::{Multiplexer, SeqNr, UtpId, UtpOutput, UtpSettings};
use crate::testing::at;

fn peer() -> SocketAddr {
    ([10, 0, 0, 2], 1000).into()
}

/// A datagram, taken apart.
#[derive(Clone, Debug)]
struct Raw {
    header: Header,
    sack: Vec<u8>,
    payload: Vec<u8>,
    size: usize,
}

impl Raw {
    fn new(kind: PacketType, id: u16, seq: SeqNr, ack: SeqNr) -> Self {
        Self {
            header: Header {
                kind,
                connection_id: id,
                timestamp: 1,
                timestamp_difference: 1,
                window: 1 << 20,
                seq_nr: seq,
                ack_nr: ack,
            },
            sack: Vec::new(),
            payload: Vec::new(),
            size: 0,
        }
    }

    fn with_payload(mut self, payload: &[u8]) -> Self {
        self.payload = payload.to_vec();
        self
    }

    fn with_sack(mut self, sack: &[u8]) -> Self {
        self.sack = sack.to_vec();
        self
    }

    fn parse(datagram: &[u8]) -> Self {
        let packet = Packet::parse(datagram).unwrap();
        Self {
            header: packet.header,
            sack: packet.selective_ack.map_or(Vec::new(), |it| it.0.to_vec()),
            payload: packet.payload.to_vec(),
            size: datagram.len(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let packet = Packet {
            header: self.header,
            selective_ack: (!self.sack.is_empty()).then_some(SelectiveAck(&self.sack)),
            close_reason: None,
            payload: &self.payload,
        };
        packet.encode(0, &mut out);
        out
    }
}

/// A multiplexer, and a peer with one connection to it.
struct Bench {
    utp: Multiplexer,
    now: u64,
    id: UtpId,
    /// What the peer's packets carry.
    send_id: u16,
    /// The number of the peer's next packet.
    seq: SeqNr,
    /// What the peer has received.
    ack: SeqNr,
}

impl Bench {
    /// The multiplexer has made the connection.
    fn connected() -> Self {
        Self::connected_with(UtpSettings::default())
    }

    fn connected_with(settings: UtpSettings) -> Self {
        let mut utp = Multiplexer::new(at(0), settings, 1);
        let id = utp.connect(at(0), peer()).unwrap();
        let syn = sent(&mut utp, at(0)).remove(0);
        assert_eq!(syn.header.kind, PacketType::Syn);
        let mut bench = Self {
            utp,
            now: 20,
            id,
            send_id: syn.header.connection_id,
            seq: SeqNr(65_534),
            ack: syn.header.seq_nr,
        };
        bench.give(&bench.state());
        assert_eq!(bench.outputs()[0], UtpOutput::Connected(id));
        let confirm = bench.sent().remove(0);
        assert_eq!(confirm.header.kind, PacketType::State);
        bench
    }

    /// The peer has made it.
    fn accepted() -> Self {
        let mut utp = Multiplexer::new(at(0), UtpSettings::default(), 1);
        let syn = Raw::new(PacketType::Syn, 7, SeqNr(65_534), SeqNr(0));
        utp.handle_datagram(at(0), peer(), &syn.bytes());
        let answer = sent(&mut utp, at(0)).remove(0);
        assert_eq!(answer.header.connection_id, 7);
        assert_eq!(answer.header.ack_nr, SeqNr(65_534));
        let mut bench = Self {
            utp,
            now: 20,
            id: UtpId(0),
            send_id: 8,
            seq: SeqNr(65_535),
            ack: answer.header.seq_nr.minus(1),
        };
        bench.give(&bench.state());
        assert_eq!(bench.outputs(), [UtpOutput::Incoming(UtpId(0), peer())]);
        bench
    }

    fn at(&self) -> Instant {
        at(self.now)
    }

    fn state(&self) -> Raw {
        Raw::new(PacketType::State, self.send_id, self.seq, self.ack)
    }

    fn data(&mut self, payload: &[u8]) -> Raw {
        let packet = Raw::new(PacketType::Data, self.send_id, self.seq, self.ack);
        self.seq = self.seq.plus(1);
        packet.with_payload(payload)
    }

    fn fin(&self) -> Raw {
        Raw::new(PacketType::Fin, self.send_id, self.seq, self.ack)
    }

    fn give(&mut self, packet: &Raw) {
        self.utp
            .handle_datagram(at(self.now), peer(), &packet.bytes());
    }

    fn sent(&mut self) -> Vec<Raw> {
        sent(&mut self.utp, at(self.now))
    }

    fn outputs(&mut self) -> Vec<UtpOutput> {
        std::iter::from_fn(|| self.utp.poll_output()).collect()
    }

    /// Lets time pass, and says what was sent.
    fn pass(&mut self, millis: u64) -> Vec<Raw> {
        let until = self.now + millis;
        let mut all = Vec::new();
        while let Some(due) = self.utp.poll_timeout().filter(|due| *due <= at(until)) {
            self.utp.handle_timeout(due);
            all.extend(sent(&mut self.utp, due));
        }
        self.now = until;
        all
    }

    fn write(&mut self, length: usize) {
        let now = self.at();
        assert_eq!(self.utp.write(now, self.id, &vec![1; length]), Ok(length));
    }

    fn read(&mut self) -> Vec<u8> {
        let now = self.at();
        let mut all = Vec::new();
        let mut buffer = [0; 1000];
        while let Ok(Some(count @ 1..)) = self.utp.read(now, self.id, &mut buffer) {
            all.extend(&buffer[..count]);
        }
        all
    }

    fn is_at_end(&mut self) -> bool {
        let now = self.at();
        self.utp.read(now, self.id, &mut [0; 10]) == Ok(Some(0))
    }

    fn window(&self) -> usize {
        self.utp.status(self.id).unwrap().congestion_window
    }
}

fn sent(utp: &mut Multiplexer, now: Instant) -> Vec<Raw> {
    let mut all = Vec::new();
    let mut buffer = Vec::new();
    while let Some(transmit) = utp.poll_transmit(now, 8, &mut buffer) {
        let segments = buffer.chunks(transmit.segment_size);
        assert_eq!(segments.len(), transmit.segments);
        all.extend(segments.map(Raw::parse));
        buffer.clear();
    }
    all
}
