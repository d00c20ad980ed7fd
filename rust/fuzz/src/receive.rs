//! A peer's bytes in any splits, against the receive buffer and the protocol
//! machine; and against the machine that is given all of them at once.
//!
//! The input: sixteen bytes that choose the bursts, then chunks. A chunk is a
//! length below 255 and as many bytes, or 255 and two bytes that say how much
//! filler there is, so that a short input makes a long message.

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use torrent_core::bitfield::Bitfield;
use torrent_core::ids::{Block, InfoHash, PieceIndex};
use torrent_core::layout::Layout;
use torrent_core::peer::{Connection, ConnectionLimits, Opening, PeerError};
use torrent_core::settings::Settings;
use torrent_core::wire::Features;
use torrent_engine::buffers::BufferPool;
use torrent_engine::fuzzing::ReceiveBuffer;

/// Bytes of a piece, which is one block: a message with one fits in an input.
const PIECE: u32 = 64;

const PIECES: u32 = 64;

/// Bytes of a conversation.
const LONGEST: usize = 3 << 20;

pub(crate) fn conversation(data: &[u8]) {
    let Some((bursts, chunks)) = data.split_at_checked(16) else {
        return;
    };
    let stream = expand(chunks);
    // The first bit of the first burst says whether the metadata is known.
    let known = bursts[0] & 1 == 0;
    let now = Instant::now();

    let mut connection = downloading(now, known);
    let mut blocks = Vec::new();
    drain(&mut connection, now);
    let whole = connection.handle_input(now, &stream, &mut blocks).map(drop);
    let whole: (Result<(), PeerError>, Vec<(Block, Bytes)>) = (
        whole,
        blocks
            .into_iter()
            .map(|it| (it.block, Bytes::copy_from_slice(&stream[it.payload])))
            .collect(),
    );

    let mut connection = downloading(now, known);
    drain(&mut connection, now);
    let pool = BufferPool::new(4, 4);
    let mut buffer = ReceiveBuffer::new(pool.clone());
    let (mut blocks, mut outcome, mut rest) = (Vec::new(), Ok(()), &stream[..]);
    for burst in bursts.iter().cycle() {
        let burst = match usize::from(*burst) {
            small @ 0..128 => 1 + small,
            large => (large - 126) * 2048,
        };
        let room = buffer.room();
        let count = burst.min(room.len()).min(rest.len());
        room[..count].copy_from_slice(&rest[..count]);
        rest = &rest[count..];
        match buffer.received(now, count, &mut connection) {
            Ok(more) => blocks.extend(more),
            Err(error) => outcome = Err(error),
        }
        drain(&mut connection, now);
        let received = stream.len() - rest.len();
        assert!(pool.outstanding_bytes() <= received + received / 8 + (64 << 10));
        if rest.is_empty() || outcome.is_err() {
            break;
        }
    }
    assert_eq!(whole.0, outcome);
    if outcome.is_ok() {
        assert_eq!(whole.1, blocks);
    }
}

fn expand(mut chunks: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    while let Some((&length, rest)) = chunks.split_first() {
        chunks = if length < 255 {
            let (raw, rest) = rest.split_at(rest.len().min(length.into()));
            stream.extend_from_slice(raw);
            rest
        } else if let Some((&[high, low], rest)) = rest.split_first_chunk() {
            let filler = 16 * usize::from(u16::from_be_bytes([high, low]));
            stream.resize(LONGEST.min(stream.len() + filler), 7);
            rest
        } else {
            &[]
        };
        if stream.len() >= LONGEST {
            break;
        }
    }
    stream
}

/// A connection that asked for half of the pieces, and has some.
fn downloading(now: Instant, known: bool) -> Connection {
    let layout = Layout::new(PIECE, [(u64::from(PIECE * PIECES), false)]).expect("a layout");
    let limits = ConnectionLimits::from(&Settings::default());
    let mut connection = match known {
        true => Connection::new(Arc::new(layout), limits, now),
        false => Connection::without_metadata(limits, now),
    };
    let opening = Opening {
        info_hash: InfoHash([1; 20]),
        remote: ([127, 0, 0, 1], 1).into(),
        client: "us".into(),
        port: None,
        allowed_fast: 3,
        pex: true,
    };
    connection.set_opening(Features::OURS, opening);
    if known {
        connection.offer_metadata(Bytes::from(vec![1; 50_000]));
        let mut have = Bitfield::new(PIECES);
        for piece in 40..PIECES {
            have.set(piece);
        }
        connection.announce_pieces(&have);
        connection.set_choking(false);
        let unchoke = [0, 0, 0, 1, 1];
        let input = connection.handle_input(now, &unchoke, &mut Vec::new());
        assert_eq!(input, Ok(5));
        connection.set_interested(now, true);
        // At once, whatever the window, so that splits do not decide when.
        let blocks: Vec<Block> = (0..32).map(|at| Block::new(PieceIndex(at), 0)).collect();
        connection.lease_time_critical(now, &blocks);
    }
    connection
}

/// Sends all that waits.
fn drain(connection: &mut Connection, now: Instant) {
    while connection.wants_write() {
        let mut slices = [IoSlice::new(&[]); 8];
        let filled = connection.slices(&mut slices);
        let count = slices[..filled].iter().map(|slice| slice.len()).sum();
        connection.handle_sent(now, count);
    }
}
