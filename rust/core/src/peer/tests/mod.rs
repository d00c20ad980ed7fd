//! One connection, fed with messages; what it sends is compared as text.

mod block_alerts;
mod contract;
mod dont_have;
mod fast;
mod floods;
mod input;
mod leases;
mod pex;
mod send_backlog;
mod serve;
mod snub;

use std::time::Duration;

use super::*;
use crate::ids::{BLOCK_SIZE, Block};
use crate::settings::Settings;
use crate::wire::Request;

const PIECE: u32 = 64 * 1024;

struct World {
    now: Instant,
    conn: Connection,
}

impl World {
    /// A connection for a torrent of eight pieces of four blocks each, the
    /// last of which is one byte short.
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        change(&mut settings);
        let layout = Layout::new(PIECE, [(u64::from(PIECE) * 8 - 1, false)]).unwrap();
        // The only clock in these tests: everything else is relative to it.
        #[expect(clippy::disallowed_methods)]
        let now = Instant::now();
        Self {
            now,
            conn: Connection::new(Arc::new(layout), ConnectionLimits::from(&settings), now),
        }
    }

    fn feed(&mut self, messages: &[Message<'_>]) -> Result<Vec<BlockIn>, PeerError> {
        let mut input = Vec::new();
        for message in messages {
            message.encode(&mut input);
        }
        let mut blocks = Vec::new();
        let taken = self.conn.handle_input(self.now, &input, &mut blocks)?;
        assert_eq!(taken, input.len());
        Ok(blocks)
    }

    /// Everything that waits to be sent, decoded.
    fn sent(&mut self) -> Vec<String> {
        let mut bytes = Vec::new();
        while self.conn.wants_write() {
            let mut slices = [IoSlice::new(&[]); 8];
            let filled = self.conn.slices(&mut slices);
            let chunk: Vec<u8> = slices[..filled]
                .iter()
                .flat_map(|slice| slice.to_vec())
                .collect();
            self.conn.handle_sent(self.now, chunk.len());
            bytes.extend(chunk);
        }
        let mut messages = Vec::new();
        let mut rest = &bytes[..];
        while let Some((message, used)) = Message::decode(rest, 1 << 20).unwrap() {
            messages.push(match message {
                Message::Request(it) => format!("request {}:{}+{}", it.piece, it.begin, it.length),
                Message::Cancel(it) => format!("cancel {}:{}", it.piece, it.begin),
                Message::Piece { piece, begin, data } => {
                    format!("piece {piece}:{begin}+{}", data.len())
                }
                Message::Have(piece) => format!("have {piece}"),
                other => format!("{other:?}").to_lowercase(),
            });
            rest = &rest[used..];
        }
        assert!(rest.is_empty());
        messages
    }

    /// Unchoked by the peer and interested in it, with `count` blocks leased.
    fn downloading(mut self, count: u32) -> Self {
        self.feed(&[Message::Unchoke]).unwrap();
        self.conn.set_interested(self.now, true);
        let blocks: Vec<Block> = (0..count).map(block).collect();
        self.conn.lease(self.now, &blocks);
        self
    }

    fn report(&mut self) -> ConnectionReport {
        self.conn.take_report().expect("a report")
    }
}

/// The `at`-th block of the torrent.
fn block(at: u32) -> Block {
    Block::new(PieceIndex(at / 4), at % 4)
}

fn piece(at: u32, data: &[u8]) -> Message<'_> {
    let block = block(at);
    Message::Piece {
        piece: block.piece,
        begin: block.begin(),
        data,
    }
}

fn request(at: u32) -> Message<'static> {
    let block = block(at);
    Message::Request(Request {
        piece: block.piece,
        begin: block.begin(),
        length: BLOCK_SIZE,
    })
}
