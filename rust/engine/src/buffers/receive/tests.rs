//! Conversations in any splits, against the protocol machine that is given all
//! at once; and what they cost in memory.

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use proptest::prelude::*;
use torrent_core::bitfield::Bitfield;
use torrent_core::ids::{BLOCK_SIZE, Block, InfoHash, PieceIndex};
use torrent_core::layout::Layout;
use torrent_core::peer::{
    Connection, ConnectionLimits, ConnectionReport, Opening, PeerError, PeerStats,
};
use torrent_core::settings::Settings;
use torrent_core::wire::{Features, Message, Request};

use super::ReceiveBuffer;
use crate::buffers::BufferPool;

const BLOCK: usize = BLOCK_SIZE as usize;

/// Blocks in one piece of the torrent.
const IN_PIECE: u32 = 4;

/// Pieces of the torrent.
const PIECES: u32 = 1000;

fn block(at: u32) -> Block {
    Block::new(PieceIndex(at / IN_PIECE), at % IN_PIECE)
}

/// The contents of a block; no two are alike.
fn contents(at: u32) -> Vec<u8> {
    (0..BLOCK).map(|byte| (byte as u32 ^ at) as u8).collect()
}

/// A connection that was unchoked and asks for the first `requests` blocks.
fn downloading(now: Instant, requests: u32) -> Connection {
    let length = u64::from(PIECES * IN_PIECE) * BLOCK as u64;
    let layout = Layout::new(IN_PIECE * BLOCK_SIZE, [(length, false)]).unwrap();
    let limits = ConnectionLimits::from(&Settings::default());
    let mut connection = Connection::new(Arc::new(layout), limits, now);
    let opening = Opening {
        info_hash: InfoHash([1; 20]),
        remote: ([127, 0, 0, 1], 1).into(),
        client: "us".into(),
        port: None,
        allowed_fast: 3,
        pex: true,
    };
    connection.set_opening(Features::OURS, opening);
    connection.offer_metadata(Bytes::from(vec![1; 50_000]));
    let mut have = Bitfield::new(PIECES);
    have.set(PIECES - 1);
    connection.announce_pieces(&have);
    let unchoke = encode(&[Said::Small(1, 0)]);
    connection
        .handle_input(now, &unchoke, &mut Vec::new())
        .unwrap();
    connection.set_interested(now, true);
    // Requested at once, whatever the window, so that splits do not decide when.
    let blocks: Vec<Block> = (0..requests).map(block).collect();
    connection.lease_time_critical(now, &blocks);
    connection
}

/// One thing that a peer says.
#[derive(Clone, Debug)]
enum Said {
    /// A block, asked for or not.
    Block(u32),
    /// A message of this type without a body of its own choice, about a block.
    Small(u8, u32),
    Bitfield(u8),
    Extended(u8, Vec<u8>),
    /// A message of an unknown type, of this length.
    Unknown(usize),
}

fn any_said() -> impl Strategy<Value = Said> {
    prop_oneof![
        8 => (0u32..64).prop_map(Said::Block),
        4 => (0u8..12, 0u32..4000).prop_map(|(kind, at)| Said::Small(kind, at)),
        1 => any::<u8>().prop_map(Said::Bitfield),
        2 => (0u8..5, prop::collection::vec(any::<u8>(), 0..200)).prop_map(|(id, it)| Said::Extended(id, it)),
        2 => (0usize..100_000).prop_map(Said::Unknown),
        1 => (500_000usize..1 << 20).prop_map(Said::Unknown),
    ]
}

fn encode(conversation: &[Said]) -> Vec<u8> {
    let mut out = Vec::new();
    for said in conversation {
        let data;
        let payload;
        let message = match said {
            Said::Block(at) => {
                data = contents(*at);
                let (piece, begin) = (block(*at).piece, block(*at).begin());
                let data = &data;
                Message::Piece { piece, begin, data }
            }
            Said::Small(kind, at) => small(*kind, *at),
            Said::Bitfield(byte) => {
                payload = vec![*byte; PIECES as usize / 8];
                Message::Bitfield(&payload)
            }
            Said::Extended(id, payload) => Message::Extended { id: *id, payload },
            Said::Unknown(length) => {
                out.extend((*length as u32 + 1).to_be_bytes());
                out.push(99);
                out.resize(out.len() + length, 7);
                continue;
            }
        };
        message.encode(&mut out);
    }
    out
}

fn small(kind: u8, at: u32) -> Message<'static> {
    let piece = PieceIndex(at % PIECES);
    let request = Request {
        piece: PieceIndex(PIECES - 1 - at % 3),
        begin: at % IN_PIECE * BLOCK_SIZE,
        length: BLOCK_SIZE,
    };
    let asked = Request {
        piece: block(at % 64).piece,
        begin: block(at % 64).begin(),
        length: BLOCK_SIZE,
    };
    match kind {
        0 => Message::KeepAlive,
        1 => Message::Unchoke,
        2 => Message::Choke,
        3 => Message::Interested,
        4 => Message::NotInterested,
        5 => Message::Have(piece),
        6 => Message::Request(request),
        7 => Message::Cancel(request),
        8 => Message::Suggest(piece),
        9 => Message::Reject(asked),
        10 => Message::AllowedFast(piece),
        _ => Message::Port(at as u16),
    }
}

/// All that a conversation comes to.
#[derive(Debug, PartialEq)]
struct Outcome {
    blocks: Vec<(Block, Bytes)>,
    report: ConnectionReport,
    sent: Vec<u8>,
    error: Option<PeerError>,
}

fn drain(connection: &mut Connection, now: Instant, sent: &mut Vec<u8>) {
    while connection.wants_write() {
        let mut slices = [IoSlice::new(&[]); 8];
        let filled = connection.slices(&mut slices);
        let before = sent.len();
        for slice in &slices[..filled] {
            sent.extend_from_slice(slice);
        }
        let count = sent.len() - before;
        connection.handle_sent(now, count);
    }
}

/// What the machine makes of it when it gets all at once.
fn at_once(now: Instant, requests: u32, input: &[u8]) -> Outcome {
    let mut connection = downloading(now, requests);
    let (mut blocks, mut sent) = (Vec::new(), Vec::new());
    drain(&mut connection, now, &mut sent);
    connection.count_received(input.len());
    let error = connection.handle_input(now, input, &mut blocks).err();
    drain(&mut connection, now, &mut sent);
    let bytes = |range: std::ops::Range<usize>| Bytes::copy_from_slice(&input[range]);
    Outcome {
        blocks: blocks
            .into_iter()
            .map(|it| (it.block, bytes(it.payload)))
            .collect(),
        report: comparable(connection.final_report()),
        sent,
        error,
    }
}

/// The same through the receive buffer, in bursts of these sizes, over and over.
fn in_bursts(now: Instant, requests: u32, input: &[u8], bursts: &[usize]) -> Outcome {
    let mut connection = downloading(now, requests);
    let pool = BufferPool::new(4, 4);
    let mut buffer = ReceiveBuffer::new(pool.clone());
    let (mut blocks, mut sent, mut error) = (Vec::new(), Vec::new(), None);
    drain(&mut connection, now, &mut sent);
    let mut rest = input;
    let mut bursts = bursts.iter().cycle();
    while !rest.is_empty() && error.is_none() {
        let mut burst = (*bursts.next().unwrap()).min(rest.len());
        if burst == 0 {
            buffer.room();
            let none = buffer.received(now, 0, &mut connection).unwrap();
            assert!(none.is_empty());
        }
        // A burst may be more than there is room for.
        while burst > 0 && error.is_none() {
            let room = buffer.room();
            let count = burst.min(room.len());
            assert!(count > 0, "no room");
            room[..count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            burst -= count;
            match buffer.received(now, count, &mut connection) {
                Ok(more) => blocks.extend(more),
                Err(it) => error = Some(it),
            }
            drain(&mut connection, now, &mut sent);
        }
        let received = input.len() - rest.len();
        assert!(
            pool.outstanding_bytes() <= received + received / 8 + 64 * 1024,
            "{} bytes are kept of {received}",
            pool.outstanding_bytes()
        );
    }
    Outcome {
        blocks,
        report: comparable(connection.final_report()),
        sent,
        error,
    }
}

/// Without what depends on how much comes at a time: the request window follows
/// the bytes of each input.
fn comparable(report: ConnectionReport) -> ConnectionReport {
    ConnectionReport {
        want: 0,
        stats: PeerStats {
            incoming: None,
            target: 0,
            ..report.stats
        },
        ..report
    }
}

fn any_bursts() -> impl Strategy<Value = Vec<usize>> {
    let burst = prop_oneof![
        Just(0),
        1usize..20,
        1usize..40_000,
        100_000usize..400_000,
        Just(BLOCK + 13),
        Just(32 * 1024),
        Just(256 * 1024),
    ];
    prop::collection::vec(burst, 1..8).prop_filter("bytes", |it| it.iter().any(|&it| it > 0))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A peer may choke, refuse, or break the protocol: the blocks, the reports,
    /// what is sent and how it ends are the same however the bytes arrive.
    #[test]
    fn a_conversation_means_the_same_in_any_splits(
        conversation in prop::collection::vec(any_said(), 1..80),
        bursts in any_bursts(),
    ) {
        let now = Instant::now();
        let input = encode(&conversation);
        let whole = at_once(now, 40, &input);
        let parts = in_bursts(now, 40, &input, &bursts);
        prop_assert_eq!(&whole.error, &parts.error);
        // What came in the same input as an error does not count.
        if whole.error.is_none() {
            prop_assert!(whole.blocks == parts.blocks);
            prop_assert_eq!(&whole.report, &parts.report);
            prop_assert!(whole.sent == parts.sent);
        }
    }
}

#[test]
fn a_rest_beyond_every_class_of_buffer_finds_room() {
    let now = Instant::now();
    let parts = [
        Said::Unknown(40_000),
        Said::Block(0),
        Said::Unknown(512 << 10),
    ];
    let mut input = encode(&parts);
    let first = 40_005;
    input.truncate(first + 16_397 + 5 + 100_000);
    for bursts in [vec![first, usize::MAX], vec![usize::MAX], vec![1000]] {
        let outcome = in_bursts(now, 1, &input, &bursts);
        assert_eq!(outcome.error, None);
        assert_eq!(outcome.blocks, [(block(0), contents(0).into())]);
    }
}

#[test]
fn nothing_is_kept_between_messages_and_no_buffer_for_one_block() {
    let now = Instant::now();
    let pool = BufferPool::new(4, 4);
    let mut buffer = ReceiveBuffer::new(pool.clone());
    let mut connection = downloading(now, 40);
    assert_eq!(pool.outstanding_bytes(), 0);
    let mut blocks = Vec::new();
    for at in 0..40 {
        // A block among as much of something else.
        let burst = encode(&[Said::Unknown(9000), Said::Block(at), Said::Unknown(5000)]);
        buffer.room()[..burst.len()].copy_from_slice(&burst);
        let received = buffer.received(now, burst.len(), &mut connection).unwrap();
        blocks.extend(received);
        assert_eq!(pool.outstanding_bytes(), 0);
    }
    assert_eq!(blocks.len(), 40);
    assert_eq!(pool.pinned_bytes(), 40 * BLOCK);
    drop(blocks);
    assert_eq!(pool.pinned_bytes(), 0);
}

#[test]
fn what_comes_in_bulk_is_not_copied() {
    let now = Instant::now();
    let pool = BufferPool::new(4, 40);
    let mut buffer = ReceiveBuffer::new(pool.clone());
    let mut connection = downloading(now, 400);
    let all: Vec<Said> = (0..400).map(Said::Block).collect();
    let input = encode(&all);
    let (mut rest, mut blocks) = (&input[..], Vec::new());
    while !rest.is_empty() {
        let room = buffer.room();
        let count = room.len().min(rest.len());
        room[..count].copy_from_slice(&rest[..count]);
        rest = &rest[count..];
        blocks.extend(buffer.received(now, count, &mut connection).unwrap());
    }
    assert_eq!(blocks.len(), 400);
    let frozen = pool.outstanding_bytes();
    assert!(frozen > 250 * BLOCK, "only {frozen} bytes were not copied");
    assert!(pool.pinned_bytes() < 410 * BLOCK * 8 / 7);
}
