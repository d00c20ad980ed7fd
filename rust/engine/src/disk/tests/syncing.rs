//! What is durable, and what is known not to be.

use torrent_core::ids::FileIndex;

use super::*;
use crate::disk::fault_injection::{Errno, Plan};
use crate::disk::{DiskErrorKind, DiskOp};

const SIZE: u64 = BLOCK_SIZE as u64;

fn fsync_fails(file: u32) -> Plan {
    Plan {
        op: DiskOp::Sync,
        file: Some(FileIndex(file)),
        errno: Errno::IO.raw_os_error(),
        after: 0,
        times: 1,
    }
}

#[tokio::test]
async fn a_sync_that_fails_is_reported_and_tried_again() {
    let mut world = world(BLOCK_SIZE, &[("a", SIZE), ("b", SIZE), ("c", SIZE)]);
    world.storage.write(world.blocks_of(0), PEER);
    world.storage.write(world.blocks_of(1), PEER);
    assert_eq!(verified(&world.settle().await), [0, 1]);
    let (shared, common) = world.storage.parts();
    common.faults.plan(fsync_fails(0));
    let error = world.storage.sync().await.unwrap_err();
    assert_eq!(error.kind, DiskErrorKind::Device);
    assert_eq!((error.op, error.file), (DiskOp::Sync, Some(FileIndex(0))));
    assert_eq!(error.path, world.path(0));
    // The other file was synced all the same, and the untouched one never.
    assert_eq!(shared.io.unsynced(), [0]);
    world.storage.sync().await.unwrap();
    assert!(shared.io.unsynced().is_empty());
}

#[tokio::test]
async fn a_file_that_vanished_is_not_durable() {
    let mut world = world(BLOCK_SIZE, &[("a", SIZE)]);
    world.storage.write(world.all_blocks(), PEER);
    assert_eq!(verified(&world.settle().await), [0]);
    let (shared, common) = world.storage.parts();
    shared.io.release(&common);
    fs::remove_file(world.path(0)).unwrap();
    let error = world.storage.sync().await.unwrap_err();
    assert_eq!(error.kind, DiskErrorKind::NotFound);
}
