//! What has arrived: packets that wait for earlier ones, and bytes that wait to
//! be read.

use std::collections::VecDeque;

use super::SeqNr;
use super::packet::MAX_SELECTIVE_ACK;

/// What became of a packet with payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// It was kept; whether there is more to read.
    Kept { readable: bool },
    /// It was here before, or comes after the end.
    Redundant,
    /// There is no room for it, or it is far ahead.
    Refused,
}

/// One direction of a connection, at its far end.
#[derive(Clone, Debug)]
pub(super) struct Receiver {
    /// Everything up to this number has arrived.
    ack_nr: SeqNr,
    /// Packets from `ack_nr + 1` on; the first one is missing, the last one here.
    early: VecDeque<Option<Box<[u8]>>>,
    early_bytes: usize,
    stream: VecDeque<u8>,
    /// The number of the peer's FIN.
    eof: Option<SeqNr>,
    /// Nothing of it is read any more.
    discard: bool,
    capacity: usize,
}

impl Receiver {
    pub(super) fn new(ack_nr: SeqNr, capacity: usize) -> Self {
        Self {
            ack_nr,
            early: VecDeque::new(),
            early_bytes: 0,
            stream: VecDeque::new(),
            eof: None,
            discard: false,
            capacity,
        }
    }

    pub(super) fn ack_nr(&self) -> SeqNr {
        self.ack_nr
    }

    /// Bytes that are held.
    pub(super) fn held(&self) -> usize {
        self.early_bytes + self.stream.len()
    }

    /// Bytes that can be read.
    pub(super) fn readable(&self) -> usize {
        self.stream.len()
    }

    /// Packets ahead of the last one in order that are kept. libtorrent keeps
    /// one for each 1,100 bytes; half of our packets may be smaller.
    fn max_early(&self) -> usize {
        (self.capacity / 550).clamp(16, MAX_SELECTIVE_ACK * 8)
    }

    /// Whether the peer has sent all that it will, and all has arrived.
    pub(super) fn is_finished(&self) -> bool {
        self.eof == Some(self.ack_nr)
    }

    /// A packet with payload. No more than `allowance` bytes may be held.
    pub(super) fn data(&mut self, seq: SeqNr, payload: &[u8], allowance: usize) -> Received {
        let ahead = seq.since(self.ack_nr);
        let is_past_end = self.eof.is_some_and(|eof| seq.since(eof) >= 0);
        if ahead <= 0 || is_past_end {
            return Received::Redundant;
        }
        let at = ahead as usize - 1;
        if self.early.get(at).is_some_and(Option::is_some) {
            return Received::Redundant;
        }
        if self.discard {
            return self.skip(at);
        }
        let room = allowance.min(self.capacity).saturating_sub(self.held());
        if payload.len() > room || at >= self.max_early() {
            return Received::Refused;
        }
        if at > 0 {
            if self.early.len() <= at {
                self.early.resize(at + 1, None);
            }
            self.early[at] = Some(payload.into());
            self.early_bytes += payload.len();
            return Received::Kept { readable: false };
        }
        self.early.pop_front();
        self.stream.extend(payload);
        self.ack_nr = self.ack_nr.plus(1);
        while let Some(next) = self.early.front_mut().and_then(Option::take) {
            self.early.pop_front();
            self.early_bytes -= next.len();
            self.stream.extend(&next[..]);
            self.ack_nr = self.ack_nr.plus(1);
        }
        self.meet_eof();
        Received::Kept { readable: true }
    }

    /// A packet of which nothing is kept but that it was here.
    fn skip(&mut self, at: usize) -> Received {
        if at > 0 {
            return Received::Refused;
        }
        self.ack_nr = self.ack_nr.plus(1);
        self.meet_eof();
        Received::Kept { readable: false }
    }

    /// The FIN takes the number after the last packet.
    fn meet_eof(&mut self) {
        if self.eof == Some(self.ack_nr.plus(1)) {
            self.ack_nr = self.ack_nr.plus(1);
            self.early.clear();
        }
    }

    /// The peer's FIN. Whether all of the stream is here now, and was not before.
    pub(super) fn fin(&mut self, seq: SeqNr) -> bool {
        let ahead = seq.since(self.ack_nr);
        if self.eof.is_some() || ahead <= 0 || ahead as usize > self.max_early() + 1 {
            return false;
        }
        // What would come after the end never was sent by a peer that means it.
        while self.early.len() >= ahead as usize {
            let beyond = self.early.pop_back().flatten();
            self.early_bytes -= beyond.map_or(0, |it| it.len());
        }
        self.eof = Some(seq);
        self.meet_eof();
        self.is_finished()
    }

    /// Bits of the packets that are ahead, in whole words of 32 bits as BEP 29
    /// wants them; none where none are.
    pub(super) fn selective_ack(&self, bits: &mut Vec<u8>) {
        bits.clear();
        // The first one is the one that is missing.
        for (at, packet) in self.early.iter().skip(1).enumerate() {
            if packet.is_none() || at / 8 >= MAX_SELECTIVE_ACK {
                continue;
            }
            if bits.len() <= at / 8 {
                bits.resize((at / 8 + 1).next_multiple_of(4), 0);
            }
            bits[at / 8] |= 1 << (at % 8);
        }
    }

    /// Takes bytes in order.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> usize {
        let mut copied = 0;
        let (first, second) = self.stream.as_slices();
        for part in [first, second] {
            let length = part.len().min(buffer.len() - copied);
            buffer[copied..copied + length].copy_from_slice(&part[..length]);
            copied += length;
        }
        self.stream.drain(..copied);
        // What a burst needed is not kept for good.
        if self.stream.is_empty() && self.stream.capacity() > 256 * 1024 {
            self.stream = VecDeque::new();
        }
        copied
    }

    /// Nothing more is read.
    pub(super) fn discard(&mut self) {
        self.discard = true;
        self.stream = VecDeque::new();
        self.early = VecDeque::new();
        self.early_bytes = 0;
    }
}
