//! The piece picker where it is most expensive: a fast download from one
//! seed, a swarm of many peers with different pieces, peers that come and go,
//! and the end game.

use divan::Bencher;
use divan::counter::ItemsCount;
use torrent_core::bitfield::Bitfield;
use torrent_core::ids::{Block, PeerKey, PieceIndex};
use torrent_core::layout::Layout;
use torrent_core::picker::{PeerPieces, Picker, Speed};

const PIECE: u32 = 256 * 1024;
const BLOCKS: u32 = 16;
/// Blocks asked for at a time: the brain tops up in batches.
const BATCH: u32 = 64;

fn main() {
    divan::main();
}

fn layout(pieces: u32) -> Layout {
    Layout::new(PIECE, [(u64::from(PIECE) * u64::from(pieces), false)]).expect("the size is sound")
}

/// About half of the pieces, others for each peer, the same in every run.
fn some_pieces(peer: u32, pieces: u32) -> Bitfield {
    let mut set = Bitfield::new(pieces);
    for piece in 0..pieces {
        // Knuth's multiplicative hash, its high bit.
        if (piece ^ (peer << 20)).wrapping_mul(2_654_435_761) >> 31 == 1 {
            set.set(piece);
        }
    }
    set
}

/// A picker that knows `peers` peers with about half of the pieces each.
fn swarm(pieces: u32, peers: u32) -> (Picker, Vec<Bitfield>) {
    let mut picker = Picker::new(&layout(pieces), 1);
    let sets: Vec<_> = (0..peers).map(|peer| some_pieces(peer, pieces)).collect();
    for set in &sets {
        picker.peer_joined(set);
    }
    (picker, sets)
}

/// Takes in what was picked; pieces that are whole pass their check.
fn receive(picker: &mut Picker, peer: PeerKey, blocks: &[Block]) {
    let mut cancels = Vec::new();
    for &block in blocks {
        picker.received(peer, block, &mut cancels);
        if picker.piece_complete_blocks(block.piece) {
            picker.set_have(block.piece);
        }
    }
}

/// All of a torrent from one seed, batch by batch.
#[divan::bench(args = [256, 4096, 65_536])]
fn download_from_a_seed(bencher: Bencher<'_, '_>, pieces: u32) {
    bencher
        .with_inputs(|| {
            let mut picker = Picker::new(&layout(pieces), 1);
            picker.peer_seed_joined();
            picker
        })
        .counter(ItemsCount::new(pieces * BLOCKS))
        .bench_local_values(|mut picker| {
            let mut blocks = Vec::new();
            while !picker.is_finished() {
                blocks.clear();
                picker.pick(
                    PeerKey(1),
                    &PeerPieces::All,
                    BATCH,
                    Speed::Fast,
                    &[],
                    &mut blocks,
                );
                receive(&mut picker, PeerKey(1), &blocks);
            }
            picker
        });
}

/// One batch after the other from 100 peers in turn, until each had 10.
#[divan::bench(args = [4096, 65_536])]
fn pick_in_a_swarm(bencher: Bencher<'_, '_>, pieces: u32) {
    const PEERS: u32 = 100;
    const TURNS: u32 = 10;
    bencher
        .with_inputs(|| swarm(pieces, PEERS))
        .counter(ItemsCount::new(PEERS * TURNS))
        .bench_local_values(|(mut picker, sets)| {
            let mut blocks = Vec::new();
            for _ in 0..TURNS {
                for (key, set) in (0..).map(PeerKey).zip(&sets) {
                    blocks.clear();
                    picker.pick(
                        key,
                        &PeerPieces::Some(set),
                        BATCH,
                        Speed::Slow,
                        &[],
                        &mut blocks,
                    );
                    receive(&mut picker, key, &blocks);
                }
            }
            picker
        });
}

/// Peers with half of the pieces that come and go again, one at a time.
#[divan::bench(args = [4096, 65_536])]
fn peers_come_and_go(bencher: Bencher<'_, '_>, pieces: u32) {
    let (mut picker, sets) = swarm(pieces, 50);
    bencher
        .counter(ItemsCount::new(2 * sets.len()))
        .bench_local(|| {
            for set in &sets {
                picker.peer_left(set);
                picker.peer_joined(set);
            }
        });
}

/// HAVEs one by one, for a peer that fetches the torrent beside us.
#[divan::bench(args = [4096, 65_536])]
fn haves(bencher: Bencher<'_, '_>, pieces: u32) {
    bencher
        .with_inputs(|| swarm(pieces, 50).0)
        .counter(ItemsCount::new(pieces))
        .bench_local_values(|mut picker| {
            for piece in 0..pieces {
                picker.peer_has(PieceIndex(piece));
            }
            picker
        });
}

/// Whether a peer has anything for us, where it takes longest: it has nothing.
#[divan::bench(args = [4096, 65_536])]
fn nothing_interesting(bencher: Bencher<'_, '_>, pieces: u32) {
    let (mut picker, sets) = swarm(pieces, 1);
    for piece in sets[0].iter() {
        picker.set_have(PieceIndex(piece));
    }
    bencher.bench_local(|| picker.is_interesting(&PeerPieces::Some(divan::black_box(&sets[0]))));
}

/// Everything is asked for, and idle peers ask what is left for them.
#[divan::bench]
fn end_game(bencher: Bencher<'_, '_>) {
    const PEERS: u64 = 50;
    bencher
        .with_inputs(|| {
            let mut picker = Picker::new(&layout(64), 1);
            let mut blocks = Vec::new();
            picker.pick(
                PeerKey(0),
                &PeerPieces::All,
                u32::MAX,
                Speed::Fast,
                &[],
                &mut blocks,
            );
            picker
        })
        .counter(ItemsCount::new(PEERS))
        .bench_local_values(|mut picker| {
            let mut blocks = Vec::new();
            for peer in 1..=PEERS {
                picker.pick(
                    PeerKey(peer),
                    &PeerPieces::All,
                    BATCH,
                    Speed::Fast,
                    &[],
                    &mut blocks,
                );
            }
            (picker, blocks)
        });
}
