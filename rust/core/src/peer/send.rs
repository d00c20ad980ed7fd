//! What waits to be sent to one peer: small messages gathered in one buffer,
//! block payloads as slices of what the disk read, never copied.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

use super::message_stats::{MessageCounts, Sort};
use crate::ids::PieceIndex;
use crate::wire::{Message, PIECE_HEADER_LEN, piece_header};

/// Bytes that came from one place.
#[derive(Debug)]
struct Segment {
    bytes: Bytes,
    /// They are of a block.
    payload: bool,
}

/// Bytes in order, in as few segments as their origins allow.
#[derive(Debug, Default)]
pub(super) struct SendQueue {
    segments: VecDeque<Segment>,
    /// Small messages behind the last segment.
    tail: Vec<u8>,
    bytes: usize,
    /// Those of blocks among them.
    payload: usize,
    /// Bytes of announcements that were queued since nothing waited.
    announced: usize,
    /// Bytes queued, blocks and what asks for blocks apart, since that was last
    /// taken.
    pub(super) overhead: u64,
    /// What was queued since that was last taken.
    pub(super) counts: MessageCounts,
}

impl SendQueue {
    pub(super) fn message(&mut self, message: &Message<'_>) {
        self.counts.sent(message);
        let before = self.tail.len();
        message.encode(&mut self.tail);
        let length = self.tail.len() - before;
        self.bytes += length;
        let asks = matches!(
            message,
            Message::Request(_)
                | Message::Cancel(_)
                | Message::Interested
                | Message::NotInterested
                | Message::KeepAlive
        );
        if !asks {
            self.overhead += length as u64;
        }
    }

    /// Queues a message about our pieces, of which there are so many.
    pub(super) fn announce(&mut self, message: &Message<'_>) {
        let before = self.bytes;
        self.message(message);
        self.announced += self.bytes - before;
    }

    /// Bytes that wait, blocks and announcements apart.
    pub(super) fn small(&self) -> usize {
        self.bytes.saturating_sub(self.payload + self.announced)
    }

    /// Queues `piece` messages for spans of `data`, which starts at
    /// `data_begin` in the piece.
    pub(super) fn blocks(
        &mut self,
        piece: PieceIndex,
        data_begin: u32,
        data: &Bytes,
        spans: &[(u32, u32)],
    ) {
        self.counts.add(Sort::Piece, spans.len() as u32);
        self.seal();
        let mut headers = Vec::with_capacity(spans.len() * PIECE_HEADER_LEN);
        for &(begin, length) in spans {
            headers.extend_from_slice(&piece_header(piece, begin, length));
        }
        let mut headers = Bytes::from(headers);
        for &(begin, length) in spans {
            let from = (begin - data_begin) as usize;
            self.push(headers.split_to(PIECE_HEADER_LEN), false);
            self.push(data.slice(from..from + length as usize), true);
        }
    }

    /// Queues a message of the extension protocol (BEP 10) whose payload ends
    /// with `data`, which is not copied.
    pub(super) fn extended(&mut self, id: u8, head: &[u8], data: Bytes) {
        self.counts.add(Sort::Extended, 1);
        let length = (2 + head.len() + data.len()) as u32;
        let before = self.tail.len();
        self.tail.extend_from_slice(&length.to_be_bytes());
        self.tail.extend_from_slice(&[20, id]);
        self.tail.extend_from_slice(head);
        self.bytes += self.tail.len() - before;
        self.overhead += u64::from(length);
        self.seal();
        self.push(data, false);
    }

    fn push(&mut self, bytes: Bytes, payload: bool) {
        self.bytes += bytes.len();
        if payload {
            self.payload += bytes.len();
        }
        self.segments.push_back(Segment { bytes, payload });
    }

    /// Turns the gathered messages into a segment.
    fn seal(&mut self) {
        if !self.tail.is_empty() {
            let bytes = Bytes::from(std::mem::take(&mut self.tail));
            let payload = false;
            self.segments.push_back(Segment { bytes, payload });
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    /// Fills `out` with what to send next; returns how many are filled.
    pub(super) fn slices<'a>(&'a mut self, out: &mut [IoSlice<'a>]) -> usize {
        self.seal();
        let mut filled = 0;
        for (slot, segment) in out.iter_mut().zip(&self.segments) {
            *slot = IoSlice::new(&segment.bytes);
            filled += 1;
        }
        filled
    }

    /// Drops the first `count` bytes, which are sent. Returns how many of them
    /// were payload of blocks.
    pub(super) fn advance(&mut self, mut count: usize) -> u64 {
        self.bytes = self.bytes.saturating_sub(count);
        if self.bytes == 0 {
            self.announced = 0;
        }
        let mut payload = 0;
        while let Some(segment) = self.segments.front_mut() {
            let gone = segment.bytes.len().min(count);
            if segment.payload {
                self.payload -= gone;
                payload += gone as u64;
            }
            if segment.bytes.len() > count {
                segment.bytes.advance(count);
                break;
            }
            count -= gone;
            self.segments.pop_front();
        }
        payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(queue: &mut SendQueue, step: usize) -> (Vec<u8>, u64) {
        let mut sent = Vec::new();
        let mut payload = 0;
        while queue.len() > 0 {
            let mut slices = [IoSlice::new(&[]); 4];
            let filled = queue.slices(&mut slices);
            let bytes: Vec<u8> = slices[..filled]
                .iter()
                .flat_map(|slice| slice.to_vec())
                .collect();
            assert!(!bytes.is_empty());
            let count = bytes.len().min(step);
            sent.extend_from_slice(&bytes[..count]);
            payload += queue.advance(count);
        }
        (sent, payload)
    }

    #[test]
    fn bytes_leave_in_order_however_they_are_cut() {
        let data = Bytes::from_static(b"0123456789");
        let mut expected = Vec::new();
        Message::Unchoke.encode(&mut expected);
        for (begin, bytes) in [(101, &b"1234"[..]), (105, &b"567"[..])] {
            let piece = PieceIndex(3);
            Message::Piece {
                piece,
                begin,
                data: bytes,
            }
            .encode(&mut expected);
        }
        Message::Choke.encode(&mut expected);
        for step in [1, 3, 7, 1000] {
            let mut queue = SendQueue::default();
            queue.message(&Message::Unchoke);
            queue.blocks(PieceIndex(3), 100, &data, &[(101, 4), (105, 3)]);
            queue.message(&Message::Choke);
            assert_eq!(queue.len(), expected.len());
            let (sent, payload) = drain(&mut queue, step);
            assert_eq!((sent, payload), (expected.clone(), 7));
        }
    }
}
