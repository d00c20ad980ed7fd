//! Closing, deleting, stopping, and what a panic leaves behind.

use super::*;
use crate::disk::worker::WorkerMessage;
use crate::disk::{CheckMode, DiskErrorKind};

const SIZE: u64 = BLOCK_SIZE as u64;

#[tokio::test]
async fn after_close_nothing_is_written_and_nothing_is_open() {
    let mut world = world(2 * BLOCK_SIZE, &[("f", 8 * SIZE)]);
    world.storage.write(world.blocks_of(0), PEER);
    world.storage.write(world.blocks_of(1)[..1].to_vec(), PEER);
    world.storage.close().await;
    // The worker counts after it has answered.
    until(|| world.disk.queued_bytes() == 0).await;
    assert_eq!(world.disk.inner.common.files.len(), 0);
    assert_eq!(verified(&[world.event().await]), [0]);
    world.storage.write(world.blocks_of(1), PEER);
    world.storage.write(world.blocks_of(2), PEER);
    let error = world.storage.read(PieceIndex(0), 0, 1).await.unwrap_err();
    assert_eq!(error.kind, DiskErrorKind::Closed);
    assert!(world.storage.prepare().await.is_err());
    world.storage.check(CheckMode::All);
    world.storage.close().await;
    assert!(world.events.try_recv().is_err());
    assert_eq!(fs::metadata(world.path(0)).unwrap().len(), 2 * SIZE);
    until(|| world.disk.queued_bytes() == 0).await;
}

#[tokio::test]
async fn dropping_the_last_handle_closes() {
    let mut world = world(2 * BLOCK_SIZE, &[("f", 8 * SIZE)]);
    world.storage.write(world.blocks_of(0), PEER);
    world.storage.write(world.blocks_of(1)[..1].to_vec(), PEER);
    assert_eq!(verified(&world.settle().await), [0]);
    drop(world.storage);
    // The channel ends when no worker holds the storage any more.
    assert_eq!(world.events.recv().await, None);
    until(|| world.disk.queued_bytes() == 0).await;
    until(|| world.disk.inner.common.files.len() == 0).await;
}

#[tokio::test]
async fn deleting_leaves_what_is_not_ours() {
    let files = &[
        ("t/a", SIZE),
        ("t/x/b", SIZE),
        ("t/y/z/c", SIZE),
        ("t/empty", 0),
    ];
    let mut world = world(BLOCK_SIZE, files);
    world.storage.prepare().await.unwrap();
    world.storage.write(world.all_blocks(), PEER);
    assert_eq!(verified(&world.settle().await).len(), 3);
    let root = world.dir.path().to_owned();
    fs::write(root.join("t/x/stranger"), b"mine").unwrap();
    fs::write(root.join("other"), b"mine").unwrap();
    world.storage.delete_files().await.unwrap();
    assert!(root.join("t/x/stranger").exists() && root.join("other").exists());
    assert!(!root.join("t/y").exists() && !root.join("t/a").exists());
    assert!(!root.join("t/x/b").exists() && !root.join("t/empty").exists());
    // Again is fine, and without other files the folders go too.
    fs::remove_file(root.join("t/x/stranger")).unwrap();
    world.storage.delete_files().await.unwrap();
    assert!(!root.join("t").exists() && root.exists());
}

#[cfg(unix)]
#[tokio::test]
async fn deleting_does_not_follow_links() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("a"), b"victim").unwrap();
    let world = world(BLOCK_SIZE, &[("t/a", SIZE), ("b", SIZE)]);
    std::os::unix::fs::symlink(outside.path(), world.dir.path().join("t")).unwrap();
    fs::write(world.path(1), b"ours").unwrap();
    let error = world.storage.delete_files().await.unwrap_err();
    assert_eq!(error.kind, DiskErrorKind::Symlink);
    assert!(outside.path().join("a").exists());
    assert!(!world.path(1).exists(), "it stopped at the first error");
}

#[tokio::test]
async fn stopping_deals_with_what_was_handed_over() {
    let mut world = world(4 * BLOCK_SIZE, &[("f", 64 * SIZE)]);
    world.storage.write(world.all_blocks(), PEER);
    world.disk.stop().await;
    let mut events = Vec::new();
    while let Ok(event) = world.events.try_recv() {
        events.push(event);
    }
    assert_eq!(verified(&events).len(), 16);
    world.assert_files();
    // No caller hangs on workers that are gone.
    world.storage.write(world.blocks_of(0), PEER);
    world.disk.below_watermark().await;
    world.storage.flush().await;
    world.storage.check(CheckMode::All);
    fs::remove_file(world.path(0)).unwrap();
    world.storage.close().await;
    assert!(world.storage.read(PieceIndex(0), 0, 1).await.is_err());
    assert!(world.storage.delete_files().await.is_err());
    world.disk.stop().await;
}

#[tokio::test]
async fn a_panic_is_an_event_and_the_worker_lives_on() {
    let config = DiskConfig {
        workers: 1,
        ..DiskConfig::default()
    };
    let mut world = world_with(2 * BLOCK_SIZE, &[("f", 8 * SIZE)], config);
    let (sender, mut others) = mpsc::channel(8);
    let folder = tempfile::tempdir().unwrap();
    let spec = spec(&world.layout, &world.paths, &world.payload, folder.path());
    let other = world.disk.open(spec, sender);
    other.write(world.blocks_of(0)[..1].to_vec(), PEER);
    world.storage.write(world.blocks_of(0)[..1].to_vec(), PEER);
    world.storage.flush().await;
    let (worker, shared) = world.storage.first_worker();
    worker.send(WorkerMessage::Panic(shared)).unwrap();
    let events = world.settle().await;
    assert!(matches!(&events[..], [DiskEvent::Internal { message }] if message == "asked to"));
    assert_eq!(world.disk.queued_bytes(), 16384);
    world.storage.write(world.blocks_of(0), PEER);
    assert_eq!(verified(&world.settle().await), [0]);
    other.write(world.blocks_of(0)[1..].to_vec(), PEER);
    assert_eq!(verified(&[others.recv().await.unwrap()]), [0]);
}

#[tokio::test]
async fn a_torrent_that_waits_for_its_storage_does_not_stop_the_workers() {
    let mut world = world(BLOCK_SIZE, &[("f", 200 * SIZE)]);
    let (sender, mut events) = mpsc::channel(1);
    let spec = spec(
        &world.layout,
        &world.paths,
        &world.payload,
        world.dir.path(),
    );
    world.storage = world.disk.open(spec, sender);
    for piece in world.layout.pieces() {
        world.storage.write(world.blocks_of(piece.0), PEER);
        world.storage.flush().await;
    }
    let mut pieces = 0;
    while pieces < 200 {
        let DiskEvent::Verified(some) = events.recv().await.unwrap() else {
            panic!("unexpected event");
        };
        pieces += some.len();
    }
}
