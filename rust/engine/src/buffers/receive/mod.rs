//! The receive buffer of one connection: what comes from the socket, until
//! [`Connection::handle_input`] takes it.
//!
//! The connection's task receives into [`ReceiveBuffer::room`] and passes the
//! count to [`ReceiveBuffer::received`], which feeds the protocol machine and
//! returns the blocks that came. There is no socket here, so a test or a fuzz
//! target drives the same code with any bytes in any splits.
//!
//! Memory is bounded by what the peer has sent: between two messages there is
//! no buffer at all, a message that does not fit makes its buffer grow in steps
//! as it arrives, whatever length it claims, and a large buffer comes after
//! [`BULK`] bytes. Blocks leave as slices of the buffer where they are nearly
//! all of it; otherwise they are copied out, so that a block among other
//! messages does not keep a whole buffer.

use std::time::Instant;

use bytes::Bytes;
use torrent_core::ids::Block;
use torrent_core::peer::{BlockIn, Connection, PeerError};

use crate::buffers::{BufferClass, BufferPool, PooledBuffer};

/// Bytes by which a buffer grows that a message does not fit in, or an eighth of
/// it if that is more.
const STEP: usize = 16 * 1024;

/// Bytes that a peer has sent before large buffers are taken for it.
const BULK: u64 = 2 * BufferClass::Large.size() as u64;

/// What a connection has received and not taken yet.
pub struct ReceiveBuffer {
    pool: BufferPool,
    /// None while nothing waits.
    buffer: Option<PooledBuffer>,
    /// The class to take next.
    class: BufferClass,
    /// Received and not yet taken: `start..end`; empty without a buffer.
    start: usize,
    end: usize,
    /// Bytes received so far.
    total: u64,
}

impl ReceiveBuffer {
    /// An empty one, whose buffers are of `pool`.
    pub fn new(pool: BufferPool) -> Self {
        Self {
            pool,
            buffer: None,
            class: BufferClass::Small,
            start: 0,
            end: 0,
            total: 0,
        }
    }

    /// Where to receive to: at least one byte, at most 256 KiB.
    pub fn room(&mut self) -> &mut [u8] {
        let waiting = self.end - self.start;
        let size = self.class.size();
        let buffer = match self.buffer.take() {
            None => self.pool.take(self.class),
            Some(buffer) if self.end < buffer.len() => buffer,
            Some(mut buffer) => {
                if waiting < size && buffer.len() != size {
                    buffer = self.moved(&buffer, self.pool.take(self.class));
                } else if waiting < buffer.len() {
                    buffer.copy_within(self.start..self.end, 0);
                } else {
                    let more = STEP.max(waiting / 8);
                    buffer = self.moved(&buffer, self.pool.take_exact(waiting + more));
                }
                (self.start, self.end) = (0, waiting);
                buffer
            }
        };
        let end = self.end;
        let buffer = self.buffer.insert(buffer);
        let most = buffer.len().min(end + BufferClass::Large.size());
        &mut buffer[end..most]
    }

    /// What waits, at the beginning of another buffer that it fits in.
    fn moved(&self, from: &PooledBuffer, mut to: PooledBuffer) -> PooledBuffer {
        to[..self.end - self.start].copy_from_slice(&from[self.start..self.end]);
        to
    }

    /// Takes note of `count` bytes in the room (0 where none came after all),
    /// and feeds `connection` with all that waits. Returns the blocks that came.
    ///
    /// # Errors
    ///
    /// The peer broke the protocol; none of the blocks counts as received, and
    /// the connection is to be closed.
    pub fn received(
        &mut self,
        now: Instant,
        count: usize,
        connection: &mut Connection,
    ) -> Result<Vec<(Block, Bytes)>, PeerError> {
        let Some(buffer) = &self.buffer else {
            return Ok(Vec::new());
        };
        let mut blocks = Vec::new();
        if count > 0 {
            self.end = buffer.len().min(self.end + count);
            self.total = self.total.saturating_add(count as u64);
            connection.count_received(count);
            let input = &buffer[self.start..self.end];
            let taken = connection.handle_input(now, input, &mut blocks)?;
            blocks = blocks_at(self.start, blocks);
            self.start += taken;
        }
        Ok(self.hand_out(blocks))
    }

    /// The bytes of these blocks, which stand in the buffer.
    fn hand_out(&mut self, blocks: Vec<BlockIn>) -> Vec<(Block, Bytes)> {
        let Some(buffer) = self.buffer.take() else {
            return Vec::new();
        };
        if !blocks.is_empty() {
            let bulk = self.end == buffer.len() && self.total >= BULK;
            if bulk {
                self.class = BufferClass::Large;
            } else if self.end < BufferClass::Small.size() {
                self.class = BufferClass::Small;
            }
        }
        let payload: usize = blocks.iter().map(|it| it.payload.len()).sum();
        if !blocks.is_empty() && payload / 7 >= buffer.len() / 8 {
            let rest = self.end - self.start;
            if rest > 0 {
                let next = match rest < self.class.size() {
                    true => self.pool.take(self.class),
                    false => self.pool.take_exact(rest + STEP),
                };
                self.buffer = Some(self.moved(&buffer, next));
            }
            let shared = buffer.pin(self.start);
            (self.start, self.end) = (0, rest);
            let slice = |it: BlockIn| (it.block, shared.slice(it.payload));
            return blocks.into_iter().map(slice).collect();
        }
        let copy = |it: BlockIn| (it.block, self.pool.copy(&buffer[it.payload]));
        let copies = blocks.into_iter().map(copy).collect();
        if self.start < self.end {
            self.buffer = Some(buffer);
        } else {
            (self.start, self.end) = (0, 0);
        }
        copies
    }
}

/// Moves the places of blocks from an input to the buffer that it stands in at
/// `start`.
fn blocks_at(start: usize, mut blocks: Vec<BlockIn>) -> Vec<BlockIn> {
    for it in &mut blocks {
        it.payload = start + it.payload.start..start + it.payload.end;
    }
    blocks
}

#[cfg(test)]
mod tests;
