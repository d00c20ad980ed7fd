//! SHA-1 as the disk workers use it. One core of the reference machine does
//! about 1.5 GiB/s; what the block-wise numbers lack of the whole-buffer ones
//! is the cost of our calls.

use divan::Bencher;
use divan::counter::BytesCount;
use torrent_core::ids::{BLOCK_SIZE, PieceIndex};
use torrent_core::layout::Layout;
use torrent_core::piece_hash::PieceHashKind;
use torrent_engine::hash::{PieceHasher, sha1};

const KIB: usize = 1024;
const PIECES: [usize; 3] = [256 * KIB, 1024 * KIB, 4096 * KIB];

fn main() {
    divan::main();
}

fn data(length: usize) -> Vec<u8> {
    (0..length).map(|at| ((at * 31) >> 3) as u8).collect()
}

/// A piece in one buffer, as when existing files are checked.
#[divan::bench(args = PIECES)]
fn whole_piece(bencher: Bencher<'_, '_>, length: usize) {
    let piece = data(length);
    bencher
        .counter(BytesCount::new(length))
        .bench_local(|| sha1(divan::black_box(&piece)));
}

/// A piece that grows block by block, as when it is downloaded.
#[divan::bench(args = PIECES)]
fn block_by_block(bencher: Bencher<'_, '_>, length: usize) {
    let piece = data(length);
    let layout = Layout::new(length as u32, [(length as u64, false)]).unwrap();
    bencher.counter(BytesCount::new(length)).bench_local(|| {
        let mut hasher = PieceHasher::new(PieceHashKind::Sha1, &layout, PieceIndex(0));
        for block in divan::black_box(&piece).chunks(BLOCK_SIZE as usize) {
            hasher.update(block);
        }
        hasher.finish()
    });
}

/// One block, as when the author of a bad piece is looked for.
#[divan::bench]
fn one_block(bencher: Bencher<'_, '_>) {
    let block = data(BLOCK_SIZE as usize);
    bencher
        .counter(BytesCount::new(block.len()))
        .bench_local(|| sha1(divan::black_box(&block)));
}
