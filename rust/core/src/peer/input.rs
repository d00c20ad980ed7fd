//! What a peer sends, message by message.
//!
//! Part of [`Connection`]; called by the driver with what it received.

use std::ops::Range;
use std::time::Instant;

use super::{BlockNote, Connection, Incoming, PeerError};
use crate::ids::{BLOCK_SIZE, Block};
use crate::wire::{HANDSHAKE_LEN, Message};

/// A block that arrived and was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockIn {
    /// Which block.
    pub block: Block,
    /// Where its bytes stand in the input.
    pub payload: Range<usize>,
}

impl Connection {
    /// Takes all whole messages at the beginning of `input`, appending the
    /// blocks among them to `blocks`. Returns how many bytes were taken; the
    /// remainder must come again, with more behind it. After an error none of the
    /// blocks of this input count as received.
    pub fn handle_input(
        &mut self,
        now: Instant,
        input: &[u8],
        blocks: &mut Vec<BlockIn>,
    ) -> Result<usize, PeerError> {
        self.check_unsent()?;
        // A part of a message is a sign of life too.
        self.last.received = now;
        let accepted_before = blocks.len();
        let before = self.pending_report.report.stats.incoming;
        let taken = match self.take_messages(input, blocks) {
            Ok(taken) => taken,
            Err(error) => {
                self.disown(&blocks.split_off(accepted_before));
                return Err(error);
            }
        };
        let accepted = &blocks[accepted_before..];
        if !accepted.is_empty() {
            let bytes = accepted
                .iter()
                .map(|block| block.payload.len() as u64)
                .sum();
            self.requests.request_timer.delivered(now);
            self.pending_report.report.stats.payload_received += bytes;
            self.requests.window.on_block(now, bytes);
        }
        if self.pending_report.report.stats.incoming != before
            && self.pending_report.partial.came(now)
        {
            self.pending_report.dirty = true;
        }
        self.fill_window(now);
        Ok(taken)
    }

    pub(super) fn take_messages(
        &mut self,
        input: &[u8],
        blocks: &mut Vec<BlockIn>,
    ) -> Result<usize, PeerError> {
        let mut taken = 0;
        while let Some((message, used)) = Message::decode(&input[taken..], self.message_limit)? {
            let end = taken + used;
            self.pending_report.traffic.received.received(&message);
            self.handle_message(message, end, blocks)?;
            taken = end;
        }
        self.pending_report.report.stats.incoming = self.incoming(&input[taken..]);
        Ok(taken)
    }

    /// The block that is on its way, if `rest` begins with one.
    pub(super) fn incoming(&self, rest: &[u8]) -> Option<Incoming> {
        let (piece, begin, bytes) = Message::piece_under_way(rest)?;
        let block = Block::new(piece, begin / BLOCK_SIZE);
        let total = self.layout.block_len(block);
        (bytes <= total).then_some(Incoming {
            block,
            bytes,
            total,
        })
    }

    /// Takes back that these blocks, the last ones, were received.
    pub(super) fn disown(&mut self, blocks: &[BlockIn]) {
        let reported = &mut self.pending_report.report.blocks;
        reported.truncate(reported.len().saturating_sub(blocks.len()));
        let returned = &mut self.pending_report.report.returned;
        returned.extend(blocks.iter().map(|it| it.block));
    }

    /// Counts the handshakes that went before the first message.
    pub fn count_handshakes(&mut self) {
        self.pending_report.report.stats.received += HANDSHAKE_LEN as u64;
        self.pending_report.report.stats.sent += HANDSHAKE_LEN as u64;
    }

    /// Counts `bytes` that were received.
    pub fn count_received(&mut self, bytes: usize) {
        self.pending_report.report.stats.received += bytes as u64;
    }

    pub(super) fn handle_message(
        &mut self,
        message: Message<'_>,
        end: usize,
        blocks: &mut Vec<BlockIn>,
    ) -> Result<(), PeerError> {
        match message {
            Message::KeepAlive | Message::Port(_) | Message::Unknown(_) => {}
            Message::Choke => {
                self.requests.peer_choking = true;
                self.note_choke(true);
                if self.features.fast {
                    // What was asked for is refused one by one, or still sent.
                    self.give_back_leased();
                } else {
                    if self.pending_report.watched.request_failures {
                        let dropped = self
                            .requests
                            .outstanding
                            .iter()
                            .copied()
                            .map(BlockNote::Dropped);
                        self.pending_report.report.notes.extend(dropped);
                    }
                    if !self.requests.fruitful {
                        self.pending_report
                            .report
                            .refused
                            .extend(&self.requests.outstanding);
                    }
                    self.give_back();
                    self.requests.late.clear();
                }
            }
            Message::Unchoke => {
                if self.requests.peer_choking {
                    self.requests.peer_choking = false;
                    self.requests.fruitful = false;
                    self.note_choke(false);
                }
            }
            Message::Interested => self.note_interest(true),
            Message::NotInterested => self.note_interest(false),
            Message::Have(piece) => self.take_have(piece)?,
            Message::Bitfield(bits) => self.take_bitfield(bits)?,
            Message::Request(request) => self.handle_request(request)?,
            Message::Cancel(request) => {
                if self.uploads.cancel(request) {
                    self.pending_report.traffic.cancelled_requests += 1;
                    self.reject(request)?;
                }
            }
            Message::Suggest(_)
            | Message::HaveAll
            | Message::HaveNone
            | Message::Reject(_)
            | Message::AllowedFast(_) => self.handle_fast(message)?,
            Message::Extended { id, payload } => {
                self.handle_extended(self.last.received, id, payload)?;
            }
            Message::Piece { piece, begin, data } => {
                let length = data.len() as u32;
                let block = self
                    .layout
                    .block_at(piece, begin, length)
                    .ok_or(PeerError::NoSuchBlock)?;
                if self.requests.take_asked(block) {
                    // At once: a refusal behind it in the same input is another one.
                    self.requests.fruitful = true;
                    self.pending_report.report.blocks.push(block);
                    if self.pending_report.watched.progress {
                        self.pending_report
                            .report
                            .notes
                            .push(BlockNote::Finished(block));
                    }
                    blocks.push(BlockIn {
                        block,
                        payload: end - data.len()..end,
                    });
                } else {
                    self.requests.count_surplus()?;
                    self.pending_report.report.stats.redundant += u64::from(length);
                    if self.pending_report.watched.peer {
                        self.pending_report
                            .report
                            .notes
                            .push(BlockNote::Unwanted(block));
                    }
                }
                self.pending_report.dirty = true;
            }
        }
        Ok(())
    }

    pub(super) fn note_choke(&mut self, choked: bool) {
        self.pending_report.report.choked = Some(choked);
        // The torrent forgets what a choked peer asked for, and so do we.
        self.requests.asked = 0;
        self.pending_report.report.want = 0;
        self.pending_report.dirty = true;
    }

    pub(super) fn note_interest(&mut self, interested: bool) {
        if !interested {
            self.drop_uploads(|_, _| false);
        }
        self.uploads.peer_interested = interested;
        self.pending_report.report.interested = Some(interested);
        self.pending_report.dirty = true;
    }
}
