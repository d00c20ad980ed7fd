//! Pieces whose hashes are merkle roots (BEP 52): written, checked and resumed
//! as others are.

use super::*;
use crate::disk::{CheckMode, DiskErrorKind, ResumeRejected};

const SIZE: u64 = BLOCK_SIZE as u64;

/// Pieces of four blocks: a file of one piece and three blocks and a bit, one
/// shorter than a block, an empty one, and one of a whole piece, each padded to
/// a piece as in a hybrid torrent.
const FILES: &[(&str, u64)] = &[
    ("t/a", 7 * SIZE + 3),
    (".pad/1", SIZE - 3),
    ("t/b", 5),
    (".pad/2", 4 * SIZE - 5),
    ("t/empty", 0),
    ("t/c", 4 * SIZE),
    ("t/d", 2 * SIZE + 1),
];

fn merkle_world(config: DiskConfig) -> World {
    world_of(PieceHashKind::MerkleRoot, 4 * BLOCK_SIZE, FILES, config)
}

async fn checked(world: &mut World) -> Vec<u32> {
    let _check = world.storage.check(CheckMode::All);
    loop {
        match world.event().await {
            DiskEvent::Checked { have, .. } => return have.iter().collect(),
            DiskEvent::CheckProgress { .. } => {}
            other => panic!("unexpected {other:?}"),
        }
    }
}

#[tokio::test]
async fn blocks_in_any_order_become_files() {
    // Without memory for them, blocks are written early and read back.
    for max_queued_bytes in [1, 100 << 20] {
        let mut world = merkle_world(DiskConfig {
            max_queued_bytes,
            ..DiskConfig::default()
        });
        world.storage.prepare().await.unwrap();
        let mut blocks = world.all_blocks();
        Dice(5).shuffle(&mut blocks);
        for block in blocks {
            world.storage.write(vec![block], PEER);
        }
        assert_eq!(verified(&world.settle().await), [0, 1, 2, 3, 4]);
        world.assert_files();
        assert_eq!(checked(&mut world).await, [0, 1, 2, 3, 4]);
    }
}

#[tokio::test]
async fn a_bad_block_fails_its_piece_which_may_come_again() {
    let mut world = merkle_world(DiskConfig::default());
    let good = world.blocks_of(1);
    let mut bad = good.clone();
    let mut spoilt = bad[3].1.to_vec();
    spoilt[2] ^= 1;
    bad[3].1 = spoilt.into();
    world.storage.write(bad, PEER);
    let events = world.settle().await;
    let [DiskEvent::PieceFailed { piece, blocks }] = &events[..] else {
        panic!("{events:?}");
    };
    let senders: Vec<_> = blocks.iter().map(|it| it.sender).collect();
    assert_eq!((piece.0, senders), (1, vec![PEER; 4]));
    world.storage.write(good, PEER);
    assert_eq!(verified(&world.settle().await), [1]);
}

#[tokio::test]
async fn a_check_finds_what_is_spoilt() {
    let mut world = merkle_world(DiskConfig::default());
    world.fill_files();
    for (file, at) in [(0, 7 * SIZE + 2), (5, 0)] {
        let mut content = fs::read(world.path(file)).unwrap();
        content[at as usize] ^= 1;
        fs::write(world.path(file), content).unwrap();
    }
    assert_eq!(checked(&mut world).await, [0, 2, 4]);
}

#[tokio::test]
async fn a_claim_is_sampled_and_hashed_before_its_first_read() {
    let world = merkle_world(DiskConfig::default());
    world.fill_files();
    let have = Bitfield::full(world.layout.num_pieces());
    world
        .storage
        .check_resume(claim(have.clone()))
        .await
        .unwrap();
    for piece in world.layout.pieces() {
        world.storage.read(piece, 0, 5).await.unwrap();
    }
    let world = merkle_world(DiskConfig::default());
    world.fill_files();
    fs::write(world.path(2), b"wrong").unwrap();
    world.trust(&have).await;
    let error = world.storage.read(PieceIndex(2), 0, 5).await.unwrap_err();
    assert_eq!(error.kind, DiskErrorKind::WrongHash);
    let mut only = Bitfield::new(world.layout.num_pieces());
    only.set(2);
    let rejected = world.storage.check_resume(claim(only)).await.unwrap_err();
    let piece = PieceIndex(2);
    assert_eq!(rejected, ResumeRejected::Hash { piece });
}
