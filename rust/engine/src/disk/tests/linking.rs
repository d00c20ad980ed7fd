//! Symbolic links and programs (BEP 47).

use std::os::unix::fs::{PermissionsExt, symlink};

use torrent_core::ids::FileIndex;

use super::*;
use crate::disk::fault_injection::{Errno, Plan};
use crate::disk::{CheckMode, DiskErrorKind, DiskOp, MoveMode};

const SIZE: u64 = BLOCK_SIZE as u64;

const FILES: &[(&str, u64)] = &[
    ("t/real", SIZE),
    ("t/sub/deep/link", 0),
    ("t/nowhere", 0),
    ("t/run", SIZE),
];
const LINK: FileIndex = FileIndex(1);
const NOWHERE: FileIndex = FileIndex(2);

/// A torrent with a link to its first file, one to itself, and a program.
fn linked() -> World {
    let mut world = world(BLOCK_SIZE, FILES);
    let spec = spec(
        &world.layout,
        &world.paths,
        &world.payload,
        world.dir.path(),
    )
    .links([(LINK, "t/real".into()), (NOWHERE, "t/nowhere".into())])
    .unwrap()
    .executables([FileIndex(3)]);
    let (sender, events) = mpsc::channel(1 << 16);
    world.storage = world.disk.open(spec, sender);
    world.events = events;
    world
}

async fn downloaded() -> World {
    let mut world = linked();
    world.storage.prepare().await.unwrap();
    world.storage.write(world.all_blocks(), PEER);
    assert_eq!(verified(&world.settle().await), [0, 1]);
    world
}

fn is_missing(path: &Path) -> bool {
    path.symlink_metadata().is_err()
}

#[tokio::test]
async fn a_download_makes_the_links() {
    let world = downloaded().await;
    let link = world.path(1);
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("../../real"));
    assert_eq!(fs::read(link).unwrap(), world.payload[..SIZE as usize]);
    assert!(is_missing(&world.path(2)), "a link to nowhere");
    // Again is fine, and what was put in its place stays.
    world.storage.prepare().await.unwrap();
    fs::remove_file(world.path(1)).unwrap();
    fs::write(world.path(1), b"mine").unwrap();
    world.storage.prepare().await.unwrap();
    assert_eq!(fs::read(world.path(1)).unwrap(), b"mine");
}

#[tokio::test]
async fn programs_are_created_as_such() {
    let world = downloaded().await;
    let mode = |file| world.path(file).metadata().unwrap().permissions().mode();
    assert_eq!((mode(0) & 0o100, mode(3) & 0o100), (0, 0o100));
}

#[tokio::test]
async fn links_that_are_there_are_no_obstacle_to_a_check() {
    let mut world = linked();
    fs::create_dir_all(world.path(1).parent().unwrap()).unwrap();
    fs::write(world.path(0), &world.payload[..SIZE as usize]).unwrap();
    fs::write(world.path(3), &world.payload[SIZE as usize..]).unwrap();
    symlink("/etc/passwd", world.path(1)).unwrap();
    symlink("nowhere", world.path(2)).unwrap();
    world.storage.check(CheckMode::All);
    loop {
        match world.event().await {
            DiskEvent::Checked { have, .. } => break assert!(have.is_full()),
            DiskEvent::CheckProgress { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    // Nor to a record of them.
    let claim = claim(Bitfield::full(2));
    world.storage.check_resume(claim).await.unwrap();
}

#[tokio::test]
async fn an_unwanted_link_is_made_when_it_is_wanted() {
    let world = linked();
    let wanted = vec![true, false, true, true];
    assert!(world.storage.set_wanted(wanted).await.unwrap().is_empty());
    world.storage.prepare().await.unwrap();
    assert!(is_missing(&world.path(1)));
    let all = vec![true; 4];
    assert!(
        world
            .storage
            .set_wanted(all.clone())
            .await
            .unwrap()
            .is_empty()
    );
    assert!(world.storage.has_wanted(&all));
    assert!(world.path(1).is_symlink());
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_named() {
    let world = linked();
    fs::create_dir_all(world.dir.path().join("t")).unwrap();
    fs::write(world.dir.path().join("t/sub"), b"in the way").unwrap();
    let error = world.storage.prepare().await.unwrap_err();
    assert_eq!((error.op, error.file), (DiskOp::Link, Some(LINK)));
    assert_eq!(error.kind, DiskErrorKind::NotADirectory);
    assert!(error.to_string().contains("make the link"), "{error}");
}

#[tokio::test]
async fn no_link_is_made_through_a_link() {
    let outside = tempfile::tempdir().unwrap();
    let world = linked();
    fs::create_dir_all(world.dir.path().join("t")).unwrap();
    symlink(outside.path(), world.dir.path().join("t/sub")).unwrap();
    let error = world.storage.prepare().await.unwrap_err();
    assert_eq!(error.kind, DiskErrorKind::Symlink);
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn links_move_along() {
    for other_file_system in [false, true] {
        let world = downloaded().await;
        if other_file_system {
            world.disk.inner.common.faults.plan(Plan {
                op: DiskOp::Move,
                file: None,
                errno: Errno::XDEV.raw_os_error(),
                after: 0,
                times: u32::MAX,
            });
        }
        let new = tempfile::tempdir().unwrap();
        let to = new.path().join("moved");
        let mode = MoveMode::AlwaysReplaceFiles;
        world.storage.relocate(to.clone(), mode).await.unwrap();
        assert!(!world.dir.path().join("t").exists());
        let link = to.join("t/sub/deep/link");
        assert!(link.is_symlink());
        assert_eq!(fs::read(link).unwrap(), world.payload[..SIZE as usize]);
    }
}

#[tokio::test]
async fn a_renamed_link_leads_to_the_same() {
    let world = downloaded().await;
    let name = PathBuf::from("t/b/other");
    let old = world.storage.rename(LINK, name.clone()).await.unwrap();
    assert_eq!(old, Path::new("t/sub/deep/link"));
    assert!(!world.dir.path().join("t/sub").exists());
    let link = world.dir.path().join(&name);
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("../real"));
    // Not to where something is.
    fs::write(world.dir.path().join("t/stranger"), b"mine").unwrap();
    for taken in ["t/stranger", "t/real", "t/nowhere"] {
        let error = world.storage.rename(LINK, taken.into()).await.unwrap_err();
        assert_eq!(error.kind, DiskErrorKind::Exists, "{taken}");
    }
    assert!(link.is_symlink());
    let file = world.storage.rename(FileIndex(0), name).await.unwrap_err();
    assert_eq!(file.kind, DiskErrorKind::Exists);
}

#[tokio::test]
async fn deleting_takes_the_links_and_no_other() {
    let world = downloaded().await;
    world.storage.delete_files().await.unwrap();
    assert!(!world.dir.path().join("t").exists());

    let world = downloaded().await;
    fs::remove_file(world.path(1)).unwrap();
    symlink("elsewhere", world.path(1)).unwrap();
    world.storage.delete_files().await.unwrap();
    assert!(world.path(1).is_symlink(), "somebody's link");
    assert!(is_missing(&world.path(0)));
}
