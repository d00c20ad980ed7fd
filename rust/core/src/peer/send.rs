//! What waits to be sent to one peer: small messages gathered in one buffer,
//! block payloads as slices of what the disk read, never copied.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

use crate::ids::PieceIndex;
use crate::wire::{Message, PIECE_HEADER_LEN, piece_header};

/// Bytes in order, in as few segments as their origins allow.
#[derive(Debug, Default)]
pub(super) struct SendQueue {
    segments: VecDeque<Bytes>,
    /// Small messages behind the last segment.
    tail: Vec<u8>,
    bytes: usize,
}

impl SendQueue {
    pub(super) fn message(&mut self, message: &Message<'_>) {
        let before = self.tail.len();
        message.encode(&mut self.tail);
        self.bytes += self.tail.len() - before;
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
        self.seal();
        let mut headers = Vec::with_capacity(spans.len() * PIECE_HEADER_LEN);
        for &(begin, length) in spans {
            headers.extend_from_slice(&piece_header(piece, begin, length));
        }
        let mut headers = Bytes::from(headers);
        for &(begin, length) in spans {
            let from = (begin - data_begin) as usize;
            self.push(headers.split_to(PIECE_HEADER_LEN));
            self.push(data.slice(from..from + length as usize));
        }
    }

    /// Queues a message of the extension protocol (BEP 10) whose payload ends
    /// with `data`, which is not copied.
    pub(super) fn extended(&mut self, id: u8, head: &[u8], data: Bytes) {
        let length = (2 + head.len() + data.len()) as u32;
        let before = self.tail.len();
        self.tail.extend_from_slice(&length.to_be_bytes());
        self.tail.extend_from_slice(&[20, id]);
        self.tail.extend_from_slice(head);
        self.bytes += self.tail.len() - before;
        self.seal();
        self.push(data);
    }

    fn push(&mut self, segment: Bytes) {
        self.bytes += segment.len();
        self.segments.push_back(segment);
    }

    /// Turns the gathered messages into a segment.
    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.segments
                .push_back(Bytes::from(std::mem::take(&mut self.tail)));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    /// Fills `out` with what to send next, up to `most` bytes; returns how many
    /// are filled.
    pub(super) fn slices<'a>(&'a mut self, out: &mut [IoSlice<'a>], most: usize) -> usize {
        self.seal();
        let (mut filled, mut left) = (0, most);
        for (slot, segment) in out.iter_mut().zip(&self.segments) {
            let bytes = segment.get(..left).unwrap_or(segment);
            if bytes.is_empty() {
                break;
            }
            *slot = IoSlice::new(bytes);
            left -= bytes.len();
            filled += 1;
        }
        filled
    }

    /// Drops the first `count` bytes, which are sent.
    pub(super) fn advance(&mut self, mut count: usize) {
        self.bytes = self.bytes.saturating_sub(count);
        while let Some(segment) = self.segments.front_mut() {
            if segment.len() > count {
                segment.advance(count);
                return;
            }
            count -= segment.len();
            self.segments.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(queue: &mut SendQueue, step: usize) -> Vec<u8> {
        let mut sent = Vec::new();
        while queue.len() > 0 {
            let mut slices = [IoSlice::new(&[]); 4];
            let filled = queue.slices(&mut slices, step.max(2));
            let bytes: Vec<u8> = slices[..filled]
                .iter()
                .flat_map(|slice| slice.to_vec())
                .collect();
            assert!(!bytes.is_empty() && bytes.len() <= step.max(2));
            let count = bytes.len().min(step);
            sent.extend_from_slice(&bytes[..count]);
            queue.advance(count);
        }
        sent
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
            assert_eq!(drain(&mut queue, step), expected);
        }
    }
}
