//! The codec of the peer wire protocol, in the batches that a wake of a peer
//! task sees: one read of 256 KiB down, a window of requests up.

use std::hint::black_box;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use torrent_core::bitfield::Bitfield;
use torrent_core::ids::{BLOCK_SIZE, InfoHash, PeerId, PieceIndex};
use torrent_core::wire::{Handshake, Message, Request, message_limit, piece_header};

const PIECES: u32 = 16_384;
const BLOCKS_PER_READ: u32 = 16;
const REQUESTS: u32 = 64;

fn main() {
    divan::main();
}

fn request(index: u32) -> Request {
    Request {
        piece: PieceIndex(index / 16),
        begin: index % 16 * BLOCK_SIZE,
        length: BLOCK_SIZE,
    }
}

/// The wire form of `messages`, one after the other.
fn stream<'a>(messages: impl IntoIterator<Item = Message<'a>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in messages {
        message.encode(&mut bytes);
    }
    bytes
}

/// Decodes all of `input` and returns how many messages there were.
fn decode_all(mut input: &[u8]) -> usize {
    let limit = message_limit(PIECES);
    let mut count = 0;
    while let Ok(Some((message, used))) = Message::decode(input, limit) {
        black_box(message);
        input = &input[used..];
        count += 1;
    }
    assert!(input.is_empty());
    count
}

/// A leecher's read: blocks back to back.
#[divan::bench]
fn decode_blocks(bencher: Bencher<'_, '_>) {
    let data = vec![7; BLOCK_SIZE as usize];
    let input = stream((0..BLOCKS_PER_READ).map(|index| Message::Piece {
        piece: PieceIndex(3),
        begin: index * BLOCK_SIZE,
        data: &data,
    }));
    bencher
        .counter(ItemsCount::new(BLOCKS_PER_READ))
        .bench_local(|| decode_all(black_box(&input)));
}

/// A seeder's read: requests back to back.
#[divan::bench]
fn decode_requests(bencher: Bencher<'_, '_>) {
    let input = stream((0..REQUESTS).map(|index| Message::Request(request(index))));
    bencher
        .counter(ItemsCount::new(REQUESTS))
        .bench_local(|| decode_all(black_box(&input)));
}

/// A busy swarm's read: nothing but HAVEs.
#[divan::bench]
fn decode_haves(bencher: Bencher<'_, '_>) {
    let input = stream((0..REQUESTS).map(|index| Message::Have(PieceIndex(index))));
    bencher
        .counter(ItemsCount::new(REQUESTS))
        .bench_local(|| decode_all(black_box(&input)));
}

/// A leecher's window topped up.
#[divan::bench]
fn encode_requests(bencher: Bencher<'_, '_>) {
    let mut out = Vec::with_capacity(4096);
    bencher.counter(ItemsCount::new(REQUESTS)).bench_local(|| {
        out.clear();
        for index in 0..REQUESTS {
            Message::Request(black_box(request(index))).encode(&mut out);
        }
        out.len()
    });
}

/// The headers that a seeder sends before the blocks of one read job.
#[divan::bench]
fn encode_piece_headers(bencher: Bencher<'_, '_>) {
    bencher
        .counter(ItemsCount::new(BLOCKS_PER_READ))
        .bench_local(|| {
            for index in 0..BLOCKS_PER_READ {
                let begin = black_box(index * BLOCK_SIZE);
                black_box(piece_header(PieceIndex(3), begin, BLOCK_SIZE));
            }
        });
}

#[divan::bench]
fn handshake_there_and_back(bencher: Bencher<'_, '_>) {
    let handshake = Handshake {
        reserved: [0; 8],
        info_hash: InfoHash([1; 20]),
        peer_id: PeerId([2; 20]),
    };
    bencher.bench_local(|| Handshake::decode(&black_box(handshake).encode()));
}

/// A bitfield message taken in as a set of pieces.
#[divan::bench(args = [1024, 16_384, 262_144])]
fn bitfield_from_wire(bencher: Bencher<'_, '_>, pieces: u32) {
    let bytes = Bitfield::full(pieces).as_bytes().to_vec();
    bencher
        .counter(BytesCount::new(bytes.len()))
        .bench_local(|| Bitfield::from_wire(black_box(&bytes), pieces));
}
