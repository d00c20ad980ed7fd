//! Blocks in, files and events out.

use super::*;
use crate::disk::{DiskErrorKind, DiskOp};

const SIZE: u64 = BLOCK_SIZE as u64;

/// Odd sizes, an empty file, padding, tiny files within one block.
const FILES: &[(&str, u64)] = &[
    ("t/a", 3 * SIZE + 77),
    ("t/empty", 0),
    ("t/sub/b", 1),
    (".pad/1", 1000),
    ("t/sub/c", 5),
    ("t/d", 2 * SIZE),
    ("t/e", SIZE * 4 + 1),
];

#[tokio::test]
async fn blocks_in_order_become_files() {
    for piece_length in [7, 16384, 20_000, 49_152] {
        let mut world = world(piece_length, FILES);
        world.storage.prepare().await.unwrap();
        for piece in world.layout.pieces() {
            world.storage.write(world.blocks_of(piece.0), PEER);
        }
        let events = world.settle().await;
        let all = world.payload_pieces();
        assert!(verified(&events) == all, "piece length {piece_length}");
        world.assert_files();
        assert!(world.storage.have().is_full());
        assert_eq!(world.disk.queued_bytes(), 0);
    }
}

#[tokio::test]
async fn blocks_in_any_order_and_split_become_files() {
    let mut world = world(3 * BLOCK_SIZE, FILES);
    world.storage.prepare().await.unwrap();
    let mut blocks = world.all_blocks();
    let mut dice = Dice(11);
    dice.shuffle(&mut blocks);
    while !blocks.is_empty() {
        let count = 1 + dice.below(blocks.len().min(4));
        world.storage.write(blocks.drain(..count).collect(), PEER);
    }
    let events = world.settle().await;
    assert_eq!(verified(&events), world.payload_pieces());
    world.assert_files();
}

#[tokio::test]
async fn duplicates_are_redundant_before_and_after_verification() {
    let mut world = world(2 * BLOCK_SIZE, &[("f", 3 * SIZE)]);
    let blocks = world.blocks_of(0);
    world.storage.write(vec![blocks[0].clone(); 2], PEER);
    let redundant = DiskEvent::Redundant { bytes: SIZE };
    assert_eq!(world.settle().await, [redundant]);
    world.storage.write(vec![blocks[1].clone()], PEER);
    assert_eq!(verified(&world.settle().await), [0]);
    world.storage.write(blocks, PEER);
    let redundant = DiskEvent::Redundant { bytes: 2 * SIZE };
    assert_eq!(world.settle().await, [redundant]);
    assert_eq!(world.disk.queued_bytes(), 0);
}

#[tokio::test]
async fn a_bad_piece_names_its_senders_and_may_come_again() {
    let mut world = world(2 * BLOCK_SIZE, &[("f", 4 * SIZE)]);
    let blocks = world.blocks_of(1);
    let mut bad = blocks[1].1.to_vec();
    bad[5] ^= 1;
    world
        .storage
        .write(vec![(blocks[1].0, bad.into())], PeerKey(8));
    world.storage.write(vec![blocks[0].clone()], PeerKey(9));
    let events = world.settle().await;
    let [
        DiskEvent::PieceFailed {
            piece: PieceIndex(1),
            blocks: before,
        },
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    let senders: Vec<_> = before.iter().map(|it| (it.block, it.sender)).collect();
    assert_eq!(senders, [(0, PeerKey(9)), (1, PeerKey(8))]);
    assert!(!world.path(0).exists(), "a bad piece was written");
    assert!(world.storage.have().none());
    assert_eq!(world.disk.queued_bytes(), 0);
    world.storage.write(blocks, PEER);
    let events = world.settle().await;
    let [
        DiskEvent::Audited {
            piece: PieceIndex(1),
            digests: after,
        },
        verdict,
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(*verdict, DiskEvent::Verified(vec![PieceIndex(1)]));
    // The digests show which block was the bad one.
    let before: Vec<_> = before
        .iter()
        .map(|it| (it.block, it.digest.unwrap()))
        .collect();
    assert_eq!(before[0], after[0]);
    assert!(after[1].0 == 1 && before[1] != after[1]);
}

#[tokio::test]
async fn verified_pieces_are_readable_at_once() {
    let mut world = world(3 * BLOCK_SIZE, FILES);
    world.storage.write(world.all_blocks(), PEER);
    let mut pieces = 0;
    while pieces < world.layout.num_pieces() {
        let DiskEvent::Verified(some) = world.event().await else {
            panic!("unexpected event");
        };
        for piece in some {
            let length = world.layout.piece_len(piece);
            let data = world.storage.read(piece, 0, length).await.unwrap();
            let at = world.layout.piece_offset(piece) as usize;
            assert!(data == world.payload[at..at + length as usize]);
            let data = world.storage.read(piece, length - 1, 1).await.unwrap();
            assert_eq!(data[0], world.payload[at + length as usize - 1]);
            pieces += 1;
        }
    }
    drop(world.storage);
    assert_eq!(world.pool.outstanding_bytes(), 0);
}

#[tokio::test]
async fn reads_never_make_bytes_up() {
    let world = world(3 * BLOCK_SIZE, &[("f", 6 * SIZE), ("g", 10)]);
    let (storage, first) = (&world.storage, PieceIndex(0));
    let missing = storage.read(first, 0, 1).await.unwrap_err();
    assert_eq!(
        (missing.kind, missing.op),
        (DiskErrorKind::NotFound, DiskOp::Open)
    );
    assert_eq!(missing.path, world.path(0));
    fs::write(world.path(0), &world.payload[..SIZE as usize + 9]).unwrap();
    assert_eq!(
        storage.read(first, 0, BLOCK_SIZE).await.unwrap().len(),
        16384
    );
    for _ in 0..2 {
        let short = storage.read(first, BLOCK_SIZE, BLOCK_SIZE).await;
        assert_eq!(short.unwrap_err().kind, DiskErrorKind::ShortFile);
    }
    for (begin, length) in [(0, 0), (3 * BLOCK_SIZE, 1), (1, u32::MAX), (u32::MAX, 2)] {
        let error = storage.read(first, begin, length).await.unwrap_err();
        assert_eq!(error.kind, DiskErrorKind::OutOfRange);
    }
    assert!(storage.read(PieceIndex(99), 0, 1).await.is_err());
}

#[tokio::test]
async fn blocks_of_the_wrong_length_are_a_reported_bug() {
    let mut world = world(2 * BLOCK_SIZE, &[("f", 3 * SIZE)]);
    let short = Bytes::from_static(b"short");
    for block in [
        Block::new(PieceIndex(0), 0),
        Block::new(PieceIndex(0), u32::MAX),
        Block::new(PieceIndex(u32::MAX), 0),
    ] {
        world.storage.write(vec![(block, short.clone())], PEER);
        let events = world.settle().await;
        assert!(matches!(events[..], [DiskEvent::Internal { .. }]));
    }
    assert_eq!(world.disk.queued_bytes(), 0);
}

#[tokio::test]
async fn a_tiny_budget_writes_early_and_still_gets_there() {
    for seed in 0..4 {
        let config = DiskConfig {
            workers: 2,
            file_pool_size: 2,
            max_queued_bytes: 4 * BLOCK_SIZE as usize,
        };
        let files = &[("a", 37 * SIZE + 5), (".pad/9", 9), ("b", 30 * SIZE)];
        let mut world = world_with(16 * BLOCK_SIZE, files, config);
        let mut blocks = world.all_blocks();
        Dice(seed).shuffle(&mut blocks);
        if seed == 0 {
            // The worst order: every piece from its end.
            blocks.sort_by_key(|(block, _)| std::cmp::Reverse(block.index));
        }
        for block in blocks {
            world.disk.below_watermark().await;
            world.storage.write(vec![block], PEER);
        }
        let events = world.settle().await;
        assert_eq!(verified(&events).len() as u32, world.layout.num_pieces());
        world.assert_files();
        assert_eq!(world.disk.queued_bytes(), 0);
    }
}

#[tokio::test]
async fn what_was_written_early_and_then_spoilt_is_not_verified() {
    let config = DiskConfig {
        workers: 1,
        max_queued_bytes: BLOCK_SIZE as usize,
        ..DiskConfig::default()
    };
    let mut world = world_with(4 * BLOCK_SIZE, &[("f", 4 * SIZE)], config);
    let blocks = world.blocks_of(0);
    world.storage.write(blocks[1..].to_vec(), PEER);
    until(|| world.disk.queued_bytes() == 0).await;
    let mut spoilt = fs::read(world.path(0)).unwrap();
    spoilt[3 * BLOCK_SIZE as usize] ^= 1;
    fs::write(world.path(0), spoilt).unwrap();
    world.storage.write(blocks[..1].to_vec(), PEER);
    let events = world.settle().await;
    assert!(matches!(events[..], [DiskEvent::PieceFailed { .. }]));
}

#[tokio::test]
async fn no_more_files_are_open_than_allowed() {
    let files: Vec<_> = (0..50).map(|at| (format!("t/{at}"), 1000)).collect();
    let files: Vec<_> = files
        .iter()
        .map(|(path, len)| (path.as_str(), *len))
        .collect();
    let config = DiskConfig {
        file_pool_size: 3,
        ..DiskConfig::default()
    };
    let mut world = world_with(BLOCK_SIZE, &files, config);
    world.storage.write(world.all_blocks(), PEER);
    assert_eq!(verified(&world.settle().await).len(), 4);
    world.assert_files();
    assert!(world.disk.inner.common.files.len() <= 3);
    world.storage.close().await;
    assert_eq!(world.disk.inner.common.files.len(), 0);
}

#[tokio::test]
async fn an_oversized_file_keeps_its_tail() {
    let mut world = world(BLOCK_SIZE, &[("f", SIZE + 10)]);
    fs::write(world.path(0), vec![9; 2 * SIZE as usize]).unwrap();
    world.storage.write(world.all_blocks(), PEER);
    assert_eq!(verified(&world.settle().await), [0, 1]);
    let found = fs::read(world.path(0)).unwrap();
    assert!(found[..world.payload.len()] == world.payload);
    assert!(found[world.payload.len()..].iter().all(|&byte| byte == 9));
    assert_eq!(found.len(), 2 * SIZE as usize);
}

#[tokio::test]
async fn any_layout_in_any_order_under_any_budget() {
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let names: Vec<_> = (0..1 + dice.below(8))
            .map(|at| match dice.below(4) {
                0 => format!(".pad/{at}"),
                1 => format!("deep/er/{at}"),
                _ => format!("{at}"),
            })
            .collect();
        let mut files: Vec<(&str, u64)> = names
            .iter()
            .map(|name| {
                let scale = [1, 20, 20_000, 200_000][dice.below(4)];
                (name.as_str(), dice.below(scale) as u64)
            })
            .collect();
        files.push(("last", 1));
        let piece_length = [1000, 16_384, 40_000, 65_536, 300_000][dice.below(5)];
        let config = DiskConfig {
            workers: 1 + dice.below(3),
            file_pool_size: 1 + dice.below(3),
            max_queued_bytes: [1, 40_000, 100_000, 10_000_000][dice.below(4)],
        };
        let mut world = world_with(piece_length, &files, config);
        world.storage.prepare().await.unwrap();
        let mut blocks = world.all_blocks();
        if dice.below(3) > 0 {
            dice.shuffle(&mut blocks);
        }
        let again = blocks[dice.below(blocks.len())].clone();
        let twice = again.1.len() as u64;
        blocks.push(again);
        while !blocks.is_empty() {
            world.disk.below_watermark().await;
            let count = 1 + dice.below(blocks.len().min(20));
            world.storage.write(blocks.drain(..count).collect(), PEER);
        }
        let mut redundant = 0;
        let mut events = world.settle().await;
        events.retain(|event| match event {
            DiskEvent::Redundant { bytes } => {
                redundant += bytes;
                false
            }
            _ => true,
        });
        assert_eq!(redundant, twice, "seed {seed}");
        assert_eq!(verified(&events), world.payload_pieces(), "seed {seed}");
        assert!(world.storage.have().is_full());
        world.assert_files();
        assert_eq!(world.disk.queued_bytes(), 0, "seed {seed}");
        for piece in world.layout.pieces() {
            let length = world.layout.piece_len(piece).min(256 * 1024);
            let data = world.storage.read(piece, 0, length).await.unwrap();
            let at = world.layout.piece_offset(piece) as usize;
            assert!(data == world.payload[at..at + length as usize]);
        }
    }
}
