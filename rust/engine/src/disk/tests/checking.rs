//! Checks of what is on disk.

use super::*;
use crate::disk::{CheckMode, DiskOp};
use torrent_core::bitfield::Bitfield;

const SIZE: u64 = BLOCK_SIZE as u64;

const FILES: &[(&str, u64)] = &[
    ("a", 5 * SIZE + 3),
    (".pad/2", SIZE - 3),
    ("sub/b", 9 * SIZE),
    ("empty", 0),
    ("sub/c", 100),
];

/// Checks and returns what was found, in numbers.
async fn found(world: &mut World, mode: CheckMode) -> Vec<u32> {
    found_with(world, mode, &mut false).await
}

/// The same, and whether a file was longer than it should be.
async fn found_with(world: &mut World, mode: CheckMode, oversized: &mut bool) -> Vec<u32> {
    let check = world.storage.check(mode);
    loop {
        match world.event().await {
            DiskEvent::Checked { check: id, have } => {
                assert_eq!(id, check.id());
                assert_eq!(have, world.storage.have());
                return have.iter().collect();
            }
            DiskEvent::CheckProgress { done, total, .. } => assert!(done <= total),
            DiskEvent::Oversized => *oversized = true,
            other => panic!("unexpected {other:?}"),
        }
    }
}

#[tokio::test]
async fn nothing_on_disk_is_an_empty_set_at_once() {
    let mut world = world(2 * BLOCK_SIZE, FILES);
    assert!(found(&mut world, CheckMode::All).await.is_empty());
    world.storage.prepare().await.unwrap();
    assert!(found(&mut world, CheckMode::All).await.is_empty());
    assert!(!world.path(0).exists(), "a check created a file");
}

#[tokio::test]
async fn a_complete_torrent_is_found_complete() {
    for piece_length in [1000, BLOCK_SIZE, 6 * BLOCK_SIZE] {
        let mut world = world(piece_length, FILES);
        world.fill_files();
        let pieces = world.layout.num_pieces();
        assert_eq!(found(&mut world, CheckMode::All).await.len() as u32, pieces);
        world.storage.write(world.blocks_of(0), PEER);
        let events = world.settle().await;
        assert!(matches!(events[..], [DiskEvent::Redundant { .. }]));
    }
}

#[tokio::test]
async fn short_missing_spoilt_and_oversized_files() {
    let mut world = world(2 * BLOCK_SIZE, FILES);
    world.fill_files();
    // Pieces: a 0..=2, b 3..=7 with c at the end of 7.
    let mut spoilt = fs::read(world.path(0)).unwrap();
    spoilt[2 * BLOCK_SIZE as usize] ^= 1;
    fs::write(world.path(0), spoilt).unwrap();
    assert_eq!(
        found(&mut world, CheckMode::All).await,
        [0, 2, 3, 4, 5, 6, 7]
    );
    fs::remove_file(world.path(4)).unwrap();
    assert_eq!(found(&mut world, CheckMode::All).await, [0, 2, 3, 4, 5, 6]);
    let b = fs::OpenOptions::new()
        .write(true)
        .open(world.path(2))
        .unwrap();
    b.set_len(3 * SIZE).unwrap();
    assert_eq!(found(&mut world, CheckMode::All).await, [0, 2, 3]);
    let a = fs::OpenOptions::new()
        .write(true)
        .open(world.path(0))
        .unwrap();
    a.set_len(50 * SIZE).unwrap();
    let mut oversized = false;
    let pieces = found_with(&mut world, CheckMode::All, &mut oversized).await;
    assert_eq!((pieces, oversized), (vec![0, 2, 3], true));
    assert_eq!(fs::metadata(world.path(0)).unwrap().len(), 50 * SIZE);
}

#[tokio::test]
#[cfg_attr(windows, ignore = "Wine does not replace open files as Windows does")]
async fn a_file_that_was_replaced_while_it_was_open_is_the_new_one() {
    let mut world = world(2 * BLOCK_SIZE, FILES);
    world.fill_files();
    assert_eq!(found(&mut world, CheckMode::All).await.len(), 8);
    assert!(!world.storage.open_files().is_empty(), "files stay open");
    let other = world.path(0).with_extension("new");
    fs::write(&other, vec![7; 5 * SIZE as usize + 3]).unwrap();
    fs::rename(&other, world.path(0)).unwrap();
    assert_eq!(found(&mut world, CheckMode::All).await, [3, 4, 5, 6, 7]);
}

#[tokio::test]
async fn a_partial_check_leaves_the_others_what_they_are() {
    let mut world = world(2 * BLOCK_SIZE, FILES);
    world.fill_files();
    let mut claimed = Bitfield::new(world.layout.num_pieces());
    claimed.set(0);
    claimed.set(1);
    world.trust(&claimed).await;
    let mut wanted = Bitfield::new(world.layout.num_pieces());
    wanted.set(1);
    wanted.set(6);
    let b = fs::OpenOptions::new()
        .write(true)
        .open(world.path(0))
        .unwrap();
    b.set_len(0).unwrap();
    assert_eq!(found(&mut world, CheckMode::Only(wanted)).await, [0, 6]);
}

#[tokio::test]
async fn a_check_forgets_unfinished_pieces() {
    let mut world = world(2 * BLOCK_SIZE, FILES);
    world.storage.write(world.blocks_of(3)[..1].to_vec(), PEER);
    assert!(found(&mut world, CheckMode::All).await.is_empty());
    world.storage.flush().await;
    assert_eq!(world.disk.queued_bytes(), 0);
    world.storage.write(world.blocks_of(3), PEER);
    assert_eq!(verified(&world.settle().await), [3]);
}

#[tokio::test]
async fn deleted_files_are_noticed_although_they_were_open() {
    let mut world = world(2 * BLOCK_SIZE, FILES);
    world.storage.write(world.all_blocks(), PEER);
    assert_eq!(verified(&world.settle().await).len(), 8);
    fs::remove_file(world.path(0)).unwrap();
    assert_eq!(found(&mut world, CheckMode::All).await, [3, 4, 5, 6, 7]);
}

#[tokio::test]
async fn a_cancelled_check_says_nothing_and_changes_nothing() {
    let mut world = world(BLOCK_SIZE, &[("f", 2000 * SIZE)]);
    world.fill_files();
    // In the middle of it, wherever the threads are.
    let (_, common) = world.storage.parts();
    let hold = common.faults.hold(DiskOp::Read);
    let check = world.storage.check(CheckMode::All);
    until(|| hold.is_reached()).await;
    assert!(check.cancel());
    drop(hold);
    world.storage.flush().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    while let Ok(event) = world.events.try_recv() {
        assert!(matches!(event, DiskEvent::CheckProgress { .. }));
    }
    assert!(world.storage.have().none());
    assert_eq!(found(&mut world, CheckMode::All).await.len(), 2000);
}

#[tokio::test]
async fn a_check_that_is_over_cannot_be_cancelled() {
    let mut world = world(BLOCK_SIZE, &[("f", 3 * SIZE)]);
    world.fill_files();
    let check = world.storage.check(CheckMode::All);
    while !matches!(world.event().await, DiskEvent::Checked { .. }) {}
    assert!(!check.cancel());
    assert!(world.storage.have().is_full());
}

#[tokio::test]
async fn what_is_in_doubt_does_not_count_until_it_is_found() {
    let mut world = world(2 * BLOCK_SIZE, &[("a", 3 * SIZE), (".pad/1", 5 * SIZE)]);
    world.fill_files();
    let all = Bitfield::full(4);
    world.trust(&all).await;
    assert_eq!(world.storage.trusted().count(), 4);
    world.storage.mark_unknown(&all);
    // Padding is always there.
    assert_eq!(world.storage.have().iter().collect::<Vec<_>>(), [2, 3]);
    assert_eq!(found(&mut world, CheckMode::All).await, [0, 1, 2, 3]);
    assert!(world.storage.trusted().none());
}

#[cfg(unix)]
#[tokio::test]
async fn files_that_cannot_be_read_fail_the_check() {
    let mut world = world(2 * BLOCK_SIZE, FILES);
    std::os::unix::fs::symlink("/etc/passwd", world.path(0)).unwrap();
    let check = world.storage.check(CheckMode::All);
    let DiskEvent::CheckFailed { check: id, error } = world.event().await else {
        panic!("unexpected event");
    };
    assert_eq!(id, check.id());
    assert_eq!(error.kind, crate::disk::DiskErrorKind::Symlink);
    assert_eq!(error.path, world.path(0));
}
