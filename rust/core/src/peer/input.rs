//! What a peer sends, message by message.
//!
//! Part of [`Connection`]; called by the driver with what it received.

use std::ops::Range;
use std::time::Instant;

use super::{Connection, Incoming, Note, PeerError};
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
    /// rest must come again, with more behind it. After an error none of the
    /// blocks of this input count as received.
    pub fn handle_input(
        &mut self,
        now: Instant,
        input: &[u8],
        blocks: &mut Vec<BlockIn>,
    ) -> Result<usize, PeerError> {
        self.check_unsent()?;
        // A part of a message is a sign of life too.
        self.last_received = now;
        let accepted_before = blocks.len();
        let before = self.report.stats.incoming;
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
            self.patience.delivered(now);
            self.report.stats.payload_received += bytes;
            self.window.on_block(now, bytes);
        }
        if self.report.stats.incoming != before && self.partial.came(now) {
            self.dirty = true;
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
            self.traffic.received.received(&message);
            self.handle_message(message, end, blocks)?;
            taken = end;
        }
        self.report.stats.incoming = self.incoming(&input[taken..]);
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
        let reported = &mut self.report.blocks;
        reported.truncate(reported.len().saturating_sub(blocks.len()));
        let returned = &mut self.report.returned;
        returned.extend(blocks.iter().map(|it| it.block));
    }

    /// Counts the handshakes that went before the first message.
    pub fn count_handshakes(&mut self) {
        self.report.stats.received += HANDSHAKE_LEN as u64;
        self.report.stats.sent += HANDSHAKE_LEN as u64;
    }

    /// Counts `bytes` that were received.
    pub fn count_received(&mut self, bytes: usize) {
        self.report.stats.received += bytes as u64;
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
                self.peer_choking = true;
                self.note_choke(true);
                if self.features.fast {
                    // What was asked for is refused one by one, or still sent.
                    self.give_back_leased();
                } else {
                    if self.watched.trouble {
                        let dropped = self.outstanding.iter().copied().map(Note::Dropped);
                        self.report.notes.extend(dropped);
                    }
                    if !self.fruitful {
                        self.report.refused.extend(&self.outstanding);
                    }
                    self.give_back();
                    self.late.clear();
                }
            }
            Message::Unchoke => {
                if self.peer_choking {
                    self.peer_choking = false;
                    self.fruitful = false;
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
                    self.traffic.cancelled_requests += 1;
                    self.reject(request)?;
                }
            }
            Message::Suggest(_)
            | Message::HaveAll
            | Message::HaveNone
            | Message::Reject(_)
            | Message::AllowedFast(_) => self.handle_fast(message)?,
            Message::Extended { id, payload } => self.handle_extended(id, payload)?,
            Message::Piece { piece, begin, data } => {
                let length = data.len() as u32;
                let block = self
                    .layout
                    .block_at(piece, begin, length)
                    .ok_or(PeerError::NoSuchBlock)?;
                if self.was_asked(block) {
                    // At once: a refusal behind it in the same input is another one.
                    self.fruitful = true;
                    self.report.blocks.push(block);
                    if self.watched.progress {
                        self.report.notes.push(Note::Finished(block));
                    }
                    blocks.push(BlockIn {
                        block,
                        payload: end - data.len()..end,
                    });
                } else {
                    self.report.stats.redundant += u64::from(length);
                    if self.watched.peer {
                        self.report.notes.push(Note::Unwanted(block));
                    }
                }
                self.dirty = true;
            }
        }
        Ok(())
    }

    /// Whether the block was asked for, which it is no longer.
    pub(super) fn was_asked(&mut self, block: Block) -> bool {
        for asked in [&mut self.outstanding, &mut self.late] {
            if let Some(at) = asked.iter().position(|&asked| asked == block) {
                asked.remove(at);
                return true;
            }
        }
        false
    }

    pub(super) fn note_choke(&mut self, choked: bool) {
        self.report.choked = Some(choked);
        // The torrent forgets what a choked peer asked for, and so do we.
        self.asked = 0;
        self.report.want = 0;
        self.dirty = true;
    }

    pub(super) fn note_interest(&mut self, interested: bool) {
        if !interested {
            self.drop_uploads(|_, _| false);
        }
        self.peer_interested = interested;
        self.report.interested = Some(interested);
        self.dirty = true;
    }
}
