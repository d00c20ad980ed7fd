//! Piece, block and file arithmetic: on the way of every block.

use std::hint::black_box;

use divan::Bencher;
use divan::counter::ItemsCount;
use torrent_core::bitfield::Bitfield;
use torrent_core::ids::{BLOCK_SIZE, PieceIndex};
use torrent_core::layout::Layout;

const PIECE: u32 = 1 << 20;
const BLOCKS: u32 = PIECE / BLOCK_SIZE;

fn main() {
    divan::main();
}

/// `files` files of odd sizes, 1 GiB together.
fn layout(files: u32) -> Layout {
    let mean = (1u64 << 30) / u64::from(files);
    let lengths = (0..files).map(|file| (mean + u64::from(file % 7) * 13, false));
    Layout::new(PIECE, lengths).expect("the sizes are sound")
}

/// Every block of a piece, as a peer task validates what comes in.
#[divan::bench]
fn block_at(bencher: Bencher<'_, '_>) {
    let layout = layout(1);
    bencher.counter(ItemsCount::new(BLOCKS)).bench_local(|| {
        for block in 0..BLOCKS {
            let begin = black_box(block * BLOCK_SIZE);
            black_box(layout.block_at(PieceIndex(500), begin, BLOCK_SIZE));
        }
    });
}

/// The files under one piece, as a disk worker writes it.
#[divan::bench(args = [1, 100, 10_000, 100_000])]
fn spans_of_a_piece(bencher: Bencher<'_, '_>, files: u32) {
    let layout = layout(files);
    let piece = PieceIndex(layout.num_pieces() / 2);
    bencher.bench_local(|| layout.piece_spans(black_box(piece)).count());
}

/// Walking a set of pieces, every other one in it.
#[divan::bench(args = [1024, 16_384, 262_144])]
fn bitfield_iter(bencher: Bencher<'_, '_>, pieces: u32) {
    let mut set = Bitfield::new(pieces);
    for piece in (0..pieces).step_by(2) {
        set.set(piece);
    }
    bencher
        .counter(ItemsCount::new(pieces / 2))
        .bench_local(|| black_box(&set).iter().map(u64::from).sum::<u64>());
}

/// Filling a set one piece at a time.
#[divan::bench]
fn bitfield_set(bencher: Bencher<'_, '_>) {
    const PIECES: u32 = 16_384;
    bencher
        .with_inputs(|| Bitfield::new(PIECES))
        .counter(ItemsCount::new(PIECES))
        .bench_local_values(|mut set| {
            for piece in 0..PIECES {
                set.set(black_box(piece));
            }
            set.is_full()
        });
}
