//! What every storage does, whatever holds its bytes: each of these runs with
//! files and with memory.

use torrent_core::ids::FileIndex;

use super::super::{CheckMode, DiskErrorKind, DiskOp, MoveMode, ResumeRejected};
use super::super::{Errno, Plan};
use super::*;

const SIZE: u64 = BLOCK_SIZE as u64;

/// Files that share pieces, an empty one, and padding before the last.
const FILES: [(&str, u64); 5] = [
    ("t/a", 5 * SIZE + 100),
    ("t/b", 3 * SIZE - 7),
    ("t/none", 0),
    (".pad/1", 8 * SIZE - 93),
    ("t/c", 4 * SIZE + 1),
];

/// Every contract with every storage.
macro_rules! with_every_storage {
    ($($name:ident),* $(,)?) => {
        mod files {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::StorageKind::Files).await;
            })*
        }

        mod memory {
            $(#[tokio::test]
            async fn $name() {
                let kind = super::StorageKind::Memory { max_bytes: 1 << 20 };
                super::$name(kind).await;
            })*
        }
    };
}

with_every_storage!(
    what_was_verified_can_be_read,
    what_was_not_written_cannot_be_read,
    blocks_in_any_order_under_any_budget,
    a_bad_piece_leaves_nothing_behind,
    a_failed_write_loses_its_piece_alone,
    a_failed_read_is_reported,
    a_check_finds_what_is_there,
    a_record_counts_if_its_pieces_are_there,
    unfinished_pieces_go_on_where_they_were,
    bytes_follow_names_and_the_save_path,
    names_are_refused_for_the_same_reasons,
    unwanted_files_keep_their_bytes,
    everything_is_trusted_only_if_all_is_there,
    nothing_is_left_of_what_is_deleted,
    a_closed_storage_takes_nothing,
);

fn new_world(kind: StorageKind) -> World {
    let config = DiskConfig::default();
    world_in(kind, PieceHashKind::Sha1, 4 * BLOCK_SIZE, &FILES, config)
}

/// A world whose pieces are all there.
async fn complete(kind: StorageKind) -> World {
    let mut world = new_world(kind);
    world.storage.prepare().await.unwrap();
    world.storage.write(world.all_blocks(), PEER);
    let expected = world.payload_pieces();
    assert_eq!(verified(&world.settle().await), expected);
    world
}

/// Every byte of these pieces is what it should be, by reads of odd lengths too.
async fn assert_reads(world: &World, pieces: impl IntoIterator<Item = u32>) {
    for piece in pieces.into_iter().map(PieceIndex) {
        let length = world.layout.piece_len(piece);
        for (begin, length) in [(0, length), (length / 2, length.div_ceil(3))] {
            let read = world.storage.read(piece, begin, length).await.unwrap();
            let offset = world.layout.piece_offset(piece) as usize + begin as usize;
            let due = &world.payload[offset..offset + length as usize];
            assert!(read == due, "{piece} at {begin}");
        }
    }
}

fn all_pieces(world: &World) -> Vec<u32> {
    world.layout.pieces().map(|piece| piece.0).collect()
}

fn fails(world: &World, op: DiskOp, errno: Errno) {
    let (_, common) = world.storage.parts();
    common.faults.plan(Plan {
        op,
        file: None,
        errno: errno.raw_os_error(),
        after: 0,
        times: 1,
    });
}

/// What a check of everything finds.
async fn checked(world: &mut World) -> Bitfield {
    let check = world.storage.check(CheckMode::All);
    loop {
        match world.event().await {
            DiskEvent::Checked { check: id, have } if id == check.id() => return have,
            DiskEvent::CheckProgress { .. } => {}
            other => panic!("unexpected {other:?}"),
        }
    }
}

async fn what_was_verified_can_be_read(kind: StorageKind) {
    let world = complete(kind).await;
    assert_reads(&world, all_pieces(&world)).await;
    assert_eq!(
        world.storage.have(),
        Bitfield::full(world.layout.num_pieces())
    );
    world.storage.sync().await.unwrap();
    assert_reads(&world, all_pieces(&world)).await;
}

async fn what_was_not_written_cannot_be_read(kind: StorageKind) {
    let mut world = new_world(kind);
    world.storage.write(world.blocks_of(0), PEER);
    assert_eq!(verified(&world.settle().await), [0]);
    let error = world.storage.read(PieceIndex(1), 0, 16).await.unwrap_err();
    assert!(error.is_absence(), "{error}");
    assert!(matches!(
        world.event().await,
        DiskEvent::ReadFailed {
            piece: PieceIndex(1),
            ..
        }
    ));
    let outside = world
        .storage
        .read(PieceIndex(0), 4 * BLOCK_SIZE - 1, 2)
        .await;
    assert_eq!(outside.unwrap_err().kind, DiskErrorKind::OutOfRange);
    assert_reads(&world, [0]).await;
}

async fn blocks_in_any_order_under_any_budget(kind: StorageKind) {
    for seed in 0..8 {
        // Under the small one they are written before they are hashed, and read back.
        let config = DiskConfig {
            max_queued_bytes: [1 << 26, SIZE as usize][seed as usize % 2],
            ..DiskConfig::default()
        };
        let mut world = world_in(kind, PieceHashKind::Sha1, 4 * BLOCK_SIZE, &FILES, config);
        let mut blocks = world.all_blocks();
        let mut dice = Dice(seed);
        dice.shuffle(&mut blocks);
        for block in blocks {
            world.storage.write(vec![block], PEER);
        }
        let expected = world.payload_pieces();
        assert_eq!(verified(&world.settle().await), expected, "seed {seed}");
        assert_reads(&world, all_pieces(&world)).await;
    }
}

async fn a_bad_piece_leaves_nothing_behind(kind: StorageKind) {
    let mut world = new_world(kind);
    let mut bad = world.blocks_of(0);
    bad[1].1 = Bytes::from(vec![7; SIZE as usize]);
    world.storage.write(bad, PEER);
    let events = world.settle().await;
    assert!(
        matches!(&events[..], [DiskEvent::PieceFailed { piece, .. }] if piece.0 == 0),
        "{events:?}"
    );
    assert!(world.storage.read(PieceIndex(0), 0, 16).await.is_err());
    world.settle().await;
    world.storage.write(world.blocks_of(0), PEER);
    assert_eq!(verified(&world.settle().await), [0]);
    assert_reads(&world, [0]).await;
}

async fn a_failed_write_loses_its_piece_alone(kind: StorageKind) {
    let mut world = new_world(kind);
    world.storage.write(world.blocks_of(1), PEER);
    assert_eq!(verified(&world.settle().await), [1]);
    fails(&world, DiskOp::Write, Errno::NOSPC);
    world.storage.write(world.blocks_of(0), PEER);
    let events = world.settle().await;
    let [DiskEvent::WriteFailed { piece, error }] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!((piece.0, error.kind), (0, DiskErrorKind::NoSpace));
    assert_eq!((error.op, error.file), (DiskOp::Write, Some(FileIndex(0))));
    assert_eq!(error.path, world.path(0));
    assert!(!world.storage.have().get(0) && world.storage.have().get(1));
    world.storage.write(world.blocks_of(0), PEER);
    assert_eq!(verified(&world.settle().await), [0]);
    assert_reads(&world, [0, 1]).await;
}

async fn a_failed_read_is_reported(kind: StorageKind) {
    let mut world = complete(kind).await;
    fails(&world, DiskOp::Read, Errno::IO);
    let error = world.storage.read(PieceIndex(0), 0, 16).await.unwrap_err();
    assert_eq!(
        (error.kind, error.op),
        (DiskErrorKind::Device, DiskOp::Read)
    );
    let event = world.event().await;
    assert!(
        matches!(
            event,
            DiskEvent::ReadFailed {
                piece: PieceIndex(0),
                ..
            }
        ),
        "{event:?}"
    );
    // It says nothing about whether the piece is there.
    assert!(world.storage.have().get(0));
    assert_reads(&world, [0]).await;
}

async fn a_check_finds_what_is_there(kind: StorageKind) {
    let mut world = new_world(kind);
    let padding = world.storage.have();
    assert_eq!(checked(&mut world).await, padding);
    for piece in [0, 3] {
        world.storage.write(world.blocks_of(piece), PEER);
        verified(&world.settle().await);
    }
    let there = world.storage.have();
    // What is forgotten is found again, and what is not there is not.
    world.storage.mark_unknown(&there);
    assert_eq!(world.storage.have(), padding);
    assert_eq!(checked(&mut world).await, there);
    fails(&world, DiskOp::Read, Errno::IO);
    let check = world.storage.check(CheckMode::All);
    let DiskEvent::CheckFailed { check: id, error } = world.event().await else {
        panic!("the check went on");
    };
    assert_eq!((id, error.kind), (check.id(), DiskErrorKind::Device));
    assert_eq!(checked(&mut world).await, there);
    assert_reads(&world, [0, 3]).await;
}

async fn a_record_counts_if_its_pieces_are_there(kind: StorageKind) {
    let mut world = new_world(kind);
    let mut have = world.storage.have();
    have.set(0);
    have.set(1);
    let error = world.storage.check_resume(claim(have.clone())).await;
    let Err(ResumeRejected::FileSize { file, .. }) = error else {
        panic!("{error:?}");
    };
    assert_eq!(file, FileIndex(0));
    for piece in [0, 1] {
        world.storage.write(world.blocks_of(piece), PEER);
        verified(&world.settle().await);
    }
    let accepted = world.storage.check_resume(claim(have.clone())).await;
    assert!(accepted.unwrap().suspects.none());
    assert_eq!(world.storage.have(), have);
    assert_reads(&world, [0, 1]).await;
}

async fn unfinished_pieces_go_on_where_they_were(kind: StorageKind) {
    let mut world = new_world(kind);
    let mut blocks = world.blocks_of(0);
    let rest = blocks.split_off(2);
    world.storage.write(blocks, PEER);
    assert!(world.settle().await.is_empty());
    let saved = world.storage.save_partials().await;
    let there = &saved[&PieceIndex(0)];
    assert_eq!(there.iter().collect::<Vec<_>>(), [0, 1]);
    world.storage.discard_partials();
    world.storage.adopt_partial(PieceIndex(0), there.clone());
    world.storage.write(rest, PEER);
    assert_eq!(verified(&world.settle().await), [0]);
    assert_reads(&world, [0]).await;
}

async fn bytes_follow_names_and_the_save_path(kind: StorageKind) {
    let mut world = complete(kind).await;
    let name = PathBuf::from("t/elsewhere/d");
    let old = world.storage.rename(FileIndex(0), name.clone()).await;
    assert_eq!(old.unwrap(), world.paths[0]);
    world.paths[0] = name;
    assert_reads(&world, all_pieces(&world)).await;
    let target = tempfile::tempdir().unwrap();
    let to = target.path().join("to");
    let moved = world
        .storage
        .relocate(to.clone(), MoveMode::default())
        .await
        .unwrap();
    assert_eq!((moved.from.as_path(), &moved.to), (world.dir.path(), &to));
    assert!(!moved.needs_check);
    assert_eq!(world.storage.save_path(), to);
    assert_reads(&world, all_pieces(&world)).await;
    // Errors name what is where it is now.
    fails(&world, DiskOp::Read, Errno::IO);
    let error = world.storage.read(PieceIndex(0), 0, 16).await.unwrap_err();
    assert_eq!(error.path, to.join(&world.paths[0]));
    assert!(matches!(world.event().await, DiskEvent::ReadFailed { .. }));
    let whole = checked(&mut world).await;
    assert_eq!(whole, Bitfield::full(world.layout.num_pieces()));
}

async fn names_are_refused_for_the_same_reasons(kind: StorageKind) {
    let world = complete(kind).await;
    for (name, kind) in [
        ("../a", DiskErrorKind::BadName),
        ("/a", DiskErrorKind::BadName),
        ("", DiskErrorKind::BadName),
        ("t/b", DiskErrorKind::Exists),
        ("t/b/below", DiskErrorKind::Exists),
        ("t", DiskErrorKind::Exists),
        (".parts", DiskErrorKind::Exists),
    ] {
        let renamed = world.storage.rename(FileIndex(0), PathBuf::from(name));
        let error = renamed.await.unwrap_err();
        assert_eq!((error.kind, error.op), (kind, DiskOp::Rename), "{name:?}");
    }
    let renamed = world.storage.rename(FileIndex(0), PathBuf::from("t/a"));
    assert_eq!(renamed.await.unwrap(), world.paths[0]);
    assert_reads(&world, all_pieces(&world)).await;
}

async fn unwanted_files_keep_their_bytes(kind: StorageKind) {
    let mut world = new_world(kind);
    let some = vec![true, false, true, true, true];
    assert!(!world.storage.has_wanted(&some));
    let failed = world.storage.set_wanted(some.clone()).await.unwrap();
    assert!(failed.is_empty() && world.storage.has_wanted(&some));
    world.storage.prepare().await.unwrap();
    world.storage.write(world.all_blocks(), PEER);
    let expected = world.payload_pieces();
    assert_eq!(verified(&world.settle().await), expected);
    assert_reads(&world, all_pieces(&world)).await;
    let failed = world.storage.set_wanted(vec![true; 5]).await.unwrap();
    assert!(failed.is_empty());
    assert_reads(&world, all_pieces(&world)).await;
    let whole = Bitfield::full(world.layout.num_pieces());
    assert_eq!(checked(&mut world).await, whole);
}

async fn everything_is_trusted_only_if_all_is_there(kind: StorageKind) {
    let world = new_world(kind);
    let before = world.storage.have();
    let error = world.storage.trust_all().await.unwrap_err();
    assert!(error.is_absence(), "{error}");
    assert_eq!(world.storage.have(), before);
    let world = complete(kind).await;
    world.storage.trust_all().await.unwrap();
    assert!(world.storage.hashed().none());
    assert_reads(&world, [0]).await;
    assert_eq!(world.storage.hashed().iter().collect::<Vec<_>>(), [0]);
}

async fn nothing_is_left_of_what_is_deleted(kind: StorageKind) {
    let world = complete(kind).await;
    let files = world.storage.all_files();
    world.storage.delete_files().await.unwrap();
    let (shared, common) = world.storage.parts();
    for file in files {
        assert_eq!(shared.io.stat(&common, file).unwrap(), None, "{file}");
    }
    assert!(fs::read_dir(world.dir.path()).unwrap().next().is_none());
    let error = world.storage.read(PieceIndex(0), 0, 1).await.unwrap_err();
    assert_eq!(error.kind, DiskErrorKind::Closed);
}

async fn a_closed_storage_takes_nothing(kind: StorageKind) {
    let mut world = new_world(kind);
    world.storage.write(world.blocks_of(0), PEER);
    world.storage.close().await;
    assert_eq!(verified(&world.settle().await), [0]);
    world.storage.write(world.blocks_of(1), PEER);
    assert!(world.settle().await.is_empty());
    assert_eq!(world.disk.queued_bytes(), 0);
    for closed in [
        world.storage.read(PieceIndex(0), 0, 1).await.map(drop),
        world.storage.prepare().await,
    ] {
        assert_eq!(closed.unwrap_err().kind, DiskErrorKind::Closed);
    }
}

/// What a storage in memory says of its limit.
#[tokio::test]
async fn memory_is_limited() {
    let mut max_bytes = FILES.iter().map(|(_, length)| length).sum::<u64>() - FILES[3].1;
    let mut world = new_world(StorageKind::Memory { max_bytes });
    world.storage.prepare().await.unwrap();
    world.storage.write(world.all_blocks(), PEER);
    let expected = world.payload_pieces();
    assert_eq!(verified(&world.settle().await), expected);

    max_bytes -= 1;
    let mut world = new_world(StorageKind::Memory { max_bytes });
    let error = world.storage.prepare().await.unwrap_err();
    assert_eq!(
        (error.kind, error.op),
        (DiskErrorKind::NoSpace, DiskOp::Allocate)
    );
    assert!(
        error.to_string().contains(&max_bytes.to_string()),
        "{error}"
    );
    world.storage.write(world.all_blocks(), PEER);
    let mut lost = Vec::new();
    for event in world.settle().await {
        match event {
            DiskEvent::Verified(_) => {}
            DiskEvent::WriteFailed { piece, error } => {
                assert_eq!(error.kind, DiskErrorKind::NoSpace);
                lost.push(piece.0);
            }
            other => panic!("unexpected {other:?}"),
        }
    }
    // One byte is too many: the piece that came last.
    assert_eq!(lost.len(), 1);
    let there: Vec<_> = world.storage.have().iter().collect();
    assert_reads(&world, there).await;
    // What is not wanted counts for nothing.
    let wanted = vec![false, true, true, true, true];
    assert!(world.storage.set_wanted(wanted).await.unwrap().is_empty());
    world.storage.prepare().await.unwrap();
    assert!(fs::read_dir(world.dir.path()).unwrap().next().is_none());
}
