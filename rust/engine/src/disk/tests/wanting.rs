//! Unwanted files: the part file, and what becomes of it.

use torrent_core::ids::FileIndex;

use super::*;
use crate::disk::fault_injection::{Errno, Plan};
use crate::disk::{CheckMode, DiskErrorKind, DiskOp, MoveMode};

const SIZE: u64 = BLOCK_SIZE as u64;

/// Pieces of two blocks, none of which ends with a file.
const FILES: &[(&str, u64)] = &[
    ("t/a", 3 * SIZE + 100),
    ("t/b", SIZE),
    ("t/c", 3 * SIZE + 7),
    ("t/d", 2 * SIZE),
    ("t/e", 0),
];

fn picky(wanted: &[bool]) -> World {
    let world = world(2 * BLOCK_SIZE, FILES);
    reopened(world, wanted)
}

/// The same files in a new storage.
fn reopened(mut world: World, wanted: &[bool]) -> World {
    let spec = spec(
        &world.layout,
        &world.paths,
        &world.payload,
        world.dir.path(),
    )
    .wanted(wanted.to_vec())
    .part_file(".hash.parts".into())
    .unwrap();
    let (sender, events) = mpsc::channel(1 << 10);
    world.storage = world.disk.open(spec, sender);
    world.events = events;
    world
}

async fn check(world: &mut World) -> Vec<u32> {
    let check = world.storage.check(CheckMode::All).id();
    loop {
        match world.event().await {
            DiskEvent::Checked { check: found, have } if found == check => {
                return have.iter().collect();
            }
            DiskEvent::CheckProgress { .. } => {}
            other => panic!("unexpected {other:?}"),
        }
    }
}

fn there(world: &World) -> Vec<&'static str> {
    let files = FILES.iter().map(|(name, _)| *name).chain([".hash.parts"]);
    files
        .filter(|name| world.dir.path().join(name).exists())
        .collect()
}

async fn assert_reads(world: &World, pieces: &[u32]) {
    for &piece in pieces {
        let length = world.layout.piece_len(PieceIndex(piece));
        let data = world
            .storage
            .read(PieceIndex(piece), 0, length)
            .await
            .unwrap();
        let at = world.layout.piece_offset(PieceIndex(piece)) as usize;
        assert!(data == world.payload[at..at + length as usize], "{piece}");
    }
}

/// Only c is wanted: pieces 2 and 3, of which 2 has the end of b and 3 the
/// beginning of d.
const ONLY_C: &[bool] = &[false, false, true, false, false];

async fn with_c() -> World {
    let mut world = picky(ONLY_C);
    assert!(check(&mut world).await.is_empty());
    world.storage.prepare().await.unwrap();
    world.storage.write(world.blocks_of(2), PEER);
    world.storage.write(world.blocks_of(3), PEER);
    assert_eq!(verified(&world.settle().await), [2, 3]);
    assert_eq!(there(&world), ["t/c", ".hash.parts"]);
    world
}

#[tokio::test]
async fn unwanted_files_are_never_created_and_their_bytes_are_kept() {
    let world = with_c().await;
    assert_reads(&world, &[2, 3]).await;
    // Another run finds them.
    world.storage.close().await;
    let mut world = reopened(world, ONLY_C);
    assert_eq!(check(&mut world).await, [2, 3]);
    assert_reads(&world, &[2, 3]).await;
    // The file is what libtorrent writes: header, then the slots.
    let bytes = fs::read(world.dir.path().join(".hash.parts")).unwrap();
    let numbers: Vec<_> = bytes[..28].chunks(4).collect();
    assert_eq!(numbers[0], 5u32.to_be_bytes());
    assert_eq!(numbers[1], (2 * BLOCK_SIZE).to_be_bytes());
    assert_eq!(numbers[2], [0xff; 4]);
    let slot = |piece: usize| u32::from_be_bytes(numbers[2 + piece].try_into().unwrap());
    let mut slots = [slot(2), slot(3)];
    let start = 1024 + slots[0] as usize * 2 * BLOCK_SIZE as usize;
    assert!(bytes[start..start + 100] == world.payload[2 * 2 * BLOCK_SIZE as usize..][..100]);
    slots.sort_unstable();
    assert_eq!(slots, [0, 1]);
}

#[tokio::test]
async fn a_file_that_is_wanted_again_gets_its_bytes_and_frees_the_slot() {
    let mut world = with_c().await;
    let all_but_d = vec![true, true, true, false, true];
    assert!(
        world
            .storage
            .set_wanted(all_but_d)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(there(&world), ["t/b", "t/c", "t/e", ".hash.parts"]);
    assert_reads(&world, &[2, 3]).await;
    // The slot of piece 2 is used again, and the file goes with the last one.
    world.storage.write(world.blocks_of(4), PEER);
    assert_eq!(verified(&world.settle().await), [4]);
    let length = fs::metadata(world.dir.path().join(".hash.parts"))
        .unwrap()
        .len();
    assert!(length <= 1024 + 2 * 2 * SIZE);
    world.storage.set_wanted(vec![true; 5]).await.unwrap();
    assert_eq!(there(&world), ["t/b", "t/c", "t/d", "t/e"]);
    world.storage.write(world.blocks_of(0), PEER);
    world.storage.write(world.blocks_of(1), PEER);
    assert_eq!(verified(&world.settle().await), [0, 1]);
    world.assert_files();
}

#[tokio::test]
async fn what_became_wanted_between_two_runs_is_taken_out_of_the_part_file() {
    let world = with_c().await;
    world.storage.close().await;
    let mut world = reopened(world, &[true; 5]);
    assert_eq!(check(&mut world).await, [2, 3]);
    assert_eq!(there(&world), ["t/b", "t/c", "t/d"]);
    assert_reads(&world, &[2, 3]).await;
}

#[tokio::test]
async fn a_file_that_exists_stays_in_use_when_it_is_not_wanted_any_more() {
    let mut world = picky(&[true; 5]);
    world.storage.write(world.blocks_of(1), PEER);
    assert_eq!(verified(&world.settle().await), [1]);
    world.storage.set_wanted(vec![false; 5]).await.unwrap();
    world.storage.write(world.blocks_of(0), PEER);
    world.storage.write(world.blocks_of(3), PEER);
    assert_eq!(verified(&world.settle().await), [0, 3]);
    assert_eq!(there(&world), ["t/a", "t/b", ".hash.parts"]);
    assert_reads(&world, &[0, 1, 3]).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_filled_stays_in_the_part_file() {
    let world = with_c().await;
    let (_, common) = world.storage.parts();
    common.faults.plan(Plan {
        op: DiskOp::Write,
        file: Some(FileIndex(1)),
        errno: Errno::NOSPC.raw_os_error(),
        after: 0,
        times: 1,
    });
    let failed = world.storage.set_wanted(vec![true; 5]).await.unwrap();
    let [(file, error)] = &failed[..] else {
        panic!("{failed:?}");
    };
    assert_eq!((file.0, error.kind), (1, DiskErrorKind::NoSpace));
    assert_reads(&world, &[2, 3]).await;
    assert!(
        world
            .storage
            .set_wanted(vec![true; 5])
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(there(&world), ["t/b", "t/c", "t/d", "t/e"]);
    assert_reads(&world, &[2, 3]).await;
}

#[tokio::test]
async fn the_part_file_moves_and_is_deleted_with_the_rest() {
    let world = with_c().await;
    let target = tempfile::tempdir().unwrap();
    let to = target.path().to_owned();
    world
        .storage
        .relocate(to, MoveMode::default())
        .await
        .unwrap();
    assert!(there(&world).is_empty());
    assert!(target.path().join(".hash.parts").exists());
    assert_reads(&world, &[2, 3]).await;
    world.storage.delete_files().await.unwrap();
    assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn wanted_files_get_their_room_where_that_is_asked_for() {
    let mut world = picky(ONLY_C);
    let spec = spec(
        &world.layout,
        &world.paths,
        &world.payload,
        world.dir.path(),
    )
    .wanted(ONLY_C.to_vec())
    .allocate(true);
    let (sender, events) = mpsc::channel(8);
    world.storage = world.disk.open(spec, sender);
    world.events = events;
    assert!(check(&mut world).await.is_empty());
    world.storage.prepare().await.unwrap();
    assert_eq!(there(&world), ["t/c"]);
    let metadata = fs::metadata(world.path(2)).unwrap();
    assert_eq!(metadata.len(), FILES[2].1);
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt;
        assert!(metadata.blocks() * 512 >= FILES[2].1);
    }
    let (_, common) = world.storage.parts();
    common.faults.plan(Plan {
        op: DiskOp::Allocate,
        file: None,
        errno: Errno::NOSPC.raw_os_error(),
        after: 0,
        times: 1,
    });
    let error = world.storage.prepare().await.unwrap_err();
    assert_eq!(
        (error.kind, error.op),
        (DiskErrorKind::NoSpace, DiskOp::Allocate)
    );
}
