//! Renaming and moving.

use std::pin::pin;

use futures_util::FutureExt;
use torrent_core::ids::FileIndex;

use super::*;
use crate::disk::canonical::is_case_blind;
use crate::disk::fault_injection::{Errno, Plan};
use crate::disk::{CheckMode, DiskErrorKind, DiskOp, MoveMode};

const SIZE: u64 = BLOCK_SIZE as u64;

const FILES: &[(&str, u64)] = &[("t/a", SIZE + 5), ("t/sub/b", 2 * SIZE), ("t/c", 0)];

async fn complete() -> World {
    let mut world = world(BLOCK_SIZE, FILES);
    world.storage.prepare().await.unwrap();
    world.storage.write(world.all_blocks(), PEER);
    assert_eq!(verified(&world.settle().await).len(), 4);
    world
}

/// The files below `root`, with their lengths, sorted.
fn tree(root: &Path) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let path = entry.path();
                let name = path.strip_prefix(root).unwrap().to_str().unwrap();
                let name = name.replace(std::path::MAIN_SEPARATOR, "/");
                found.push((name, entry.metadata().unwrap().len()));
            }
        }
    }
    found.sort();
    found
}

fn names(root: &Path) -> Vec<String> {
    tree(root).into_iter().map(|(name, _)| name).collect()
}

async fn assert_readable(world: &World) {
    for piece in world.layout.pieces() {
        let length = world.layout.piece_len(piece);
        let data = world.storage.read(piece, 0, length).await.unwrap();
        let at = world.layout.piece_offset(piece) as usize;
        assert!(data == world.payload[at..at + length as usize]);
    }
}

/// As the system answers between two file systems.
fn other_file_system() -> Plan {
    Plan {
        op: DiskOp::Move,
        file: None,
        errno: Errno::XDEV.raw_os_error(),
        after: 0,
        times: u32::MAX,
    }
}

#[tokio::test]
async fn a_file_gets_another_name_while_it_is_written_and_read() {
    let mut world = world(BLOCK_SIZE, FILES);
    let blocks = world.all_blocks();
    world.storage.write(blocks[..2].to_vec(), PEER);
    let rename = world.storage.rename(FileIndex(0), "new/deep/x".into());
    let storage = world.storage.clone();
    let write = async { storage.write(blocks[2..].to_vec(), PEER) };
    let (old, ()) = tokio::join!(rename, write);
    assert_eq!(old.unwrap(), Path::new("t/a"));
    assert_eq!(verified(&world.settle().await).len(), 4);
    assert_eq!(names(world.dir.path()), ["new/deep/x", "t/sub/b"]);
    assert_readable(&world).await;
    // Only the case, and back to a folder that has gone.
    world
        .storage
        .rename(FileIndex(0), "new/deep/X".into())
        .await
        .unwrap();
    world
        .storage
        .rename(FileIndex(1), "T/sub/b".into())
        .await
        .unwrap();
    if is_case_blind(world.dir.path()) {
        // The folder is the one that was there; Wine also leaves the file's name.
        let found = names(world.dir.path()).join(" ").to_lowercase();
        assert_eq!(found, "new/deep/x t/sub/b");
    } else {
        assert_eq!(names(world.dir.path()), ["T/sub/b", "new/deep/X"]);
        assert!(!world.dir.path().join("t").exists());
    }
    assert_readable(&world).await;
}

#[tokio::test]
async fn names_that_lead_astray_or_are_taken_are_refused() {
    let world = complete().await;
    fs::write(world.dir.path().join("stranger"), b"mine").unwrap();
    let before = tree(world.dir.path());
    for (name, kind) in [
        ("", DiskErrorKind::BadName),
        ("..", DiskErrorKind::BadName),
        ("../x", DiskErrorKind::BadName),
        ("a/../../x", DiskErrorKind::BadName),
        ("/etc/x", DiskErrorKind::BadName),
        ("x\0y", DiskErrorKind::BadName),
        ("stranger", DiskErrorKind::Exists),
        ("t/sub/b", DiskErrorKind::Exists),
        ("t/sub", DiskErrorKind::Exists),
        ("t/c/x", DiskErrorKind::Exists),
        (".parts", DiskErrorKind::Exists),
        ("stranger/x", DiskErrorKind::NotADirectory),
    ] {
        let error = world.storage.rename(FileIndex(0), name.into()).await;
        let error = error.expect_err(name);
        assert_eq!((error.kind, error.op), (kind, DiskOp::Rename), "{name:?}");
    }
    assert_eq!(tree(world.dir.path()), before);
    assert_readable(&world).await;
}

#[tokio::test]
async fn everything_moves_and_goes_on_there() {
    for across in [false, true] {
        let world = complete().await;
        let (_, common) = world.storage.parts();
        if across {
            common.faults.plan(other_file_system());
        }
        fs::write(world.dir.path().join("t/stranger"), b"mine").unwrap();
        let target = tempfile::tempdir().unwrap();
        let to = target.path().join("not/yet");
        let moved = world
            .storage
            .relocate(to.clone(), MoveMode::AlwaysReplaceFiles)
            .await
            .unwrap();
        assert_eq!((moved.from.as_path(), &moved.to), (world.dir.path(), &to));
        assert!(!moved.needs_check);
        assert_eq!(world.storage.save_path(), to);
        assert_eq!(names(&to), ["t/a", "t/c", "t/sub/b"]);
        assert_eq!(names(world.dir.path()), ["t/stranger"]);
        assert!(!world.dir.path().join("t/sub").exists());
        assert_readable(&world).await;
        world.storage.delete_files().await.unwrap();
        assert!(tree(&to).is_empty());
    }
}

/// Moving fails at the second file, or when everything is there.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Failing {
    File,
    Sync,
}

#[tokio::test]
async fn a_move_that_fails_leaves_what_others_have_there() {
    for (across, failing) in [
        (false, Failing::File),
        (true, Failing::File),
        (false, Failing::Sync),
        (true, Failing::Sync),
    ] {
        println!("{across} {failing:?}");
        let world = complete().await;
        let (shared, common) = world.storage.parts();
        let before = tree(world.dir.path());
        let target = tempfile::tempdir().unwrap();
        let to = target.path().join("to");
        // A file in the way, an empty folder, one that has what a copy is
        // called while it is made, and what a replaced file is called.
        fs::create_dir_all(to.join("t/sub")).unwrap();
        fs::write(to.join("t/a"), b"mine").unwrap();
        fs::write(to.join("t/.moving0.0"), b"mine too").unwrap();
        fs::write(to.join("t/.replaced0.0"), b"and this").unwrap();
        let there = tree(&to);
        if across {
            common.faults.plan(other_file_system());
        }
        let op = match failing {
            Failing::Sync => DiskOp::Sync,
            Failing::File if across => DiskOp::Write,
            Failing::File => DiskOp::Move,
        };
        common.faults.plan(Plan {
            op,
            file: Some(match failing {
                Failing::File => FileIndex(1),
                Failing::Sync => shared.spec.parts_file(),
            }),
            errno: Errno::IO.raw_os_error(),
            after: 0,
            times: 1,
        });
        let moving = || {
            world
                .storage
                .relocate(to.clone(), MoveMode::AlwaysReplaceFiles)
        };
        moving().await.unwrap_err();
        assert_eq!(tree(world.dir.path()), before);
        assert_eq!(tree(&to), there);
        assert_eq!(fs::read(to.join("t/a")).unwrap(), b"mine");
        assert!(to.join("t/sub").is_dir());
        assert_readable(&world).await;
        // Asked for again it is replaced, and nothing else.
        moving().await.unwrap();
        assert_readable(&world).await;
        let mut expected: Vec<_> = before.into_iter().map(|(name, _)| name).collect();
        expected.extend([".moving0.0", ".replaced0.0"].map(|it| format!("t/{it}")));
        expected.sort();
        assert_eq!(names(&to), expected);
    }
}

#[tokio::test]
async fn a_move_to_the_same_folder_by_another_name_moves_nothing() {
    let world = complete().await;
    let before = tree(world.dir.path());
    let mut names = vec![world.dir.path().join("t/..")];
    if is_case_blind(world.dir.path()) {
        let upper = world.dir.path().to_string_lossy().to_uppercase();
        names.push(upper.into());
    }
    #[cfg(unix)]
    let links = tempfile::tempdir().unwrap();
    #[cfg(unix)]
    {
        let link = links.path().join("link");
        std::os::unix::fs::symlink(world.dir.path(), &link).unwrap();
        names.push(link);
    }
    for to in names {
        for mode in [MoveMode::FailIfExist, MoveMode::AlwaysReplaceFiles] {
            let moved = world.storage.relocate(to.clone(), mode).await.unwrap();
            assert!(!moved.needs_check);
            assert_eq!(tree(world.dir.path()), before);
        }
    }
    assert_readable(&world).await;
}

#[tokio::test]
async fn a_move_that_would_put_one_file_in_the_place_of_another_is_refused() {
    let mut world = world(BLOCK_SIZE, &[("t/t/a", SIZE), ("t/a", SIZE)]);
    world.storage.write(world.all_blocks(), PEER);
    assert_eq!(verified(&world.settle().await).len(), 2);
    let to = world.dir.path().join("t");
    let moved = world.storage.relocate(to, MoveMode::AlwaysReplaceFiles);
    assert_eq!(moved.await.unwrap_err().kind, DiskErrorKind::Exists);
    world.assert_files();
    assert_readable(&world).await;
}

#[tokio::test]
async fn what_is_not_ours_is_not_deleted() {
    // Nothing of it is there; a file that is not ours has its name.
    let mut world = world(BLOCK_SIZE, FILES);
    fs::create_dir_all(world.dir.path().join("t/sub")).unwrap();
    fs::write(world.path(1), b"somebody's").unwrap();
    world.storage.check(CheckMode::All);
    while !matches!(world.event().await, DiskEvent::Checked { .. }) {}
    world.storage.write(world.blocks_of(0), PEER);
    assert_eq!(verified(&world.settle().await), [0]);
    world.storage.delete_files().await.unwrap();
    assert_eq!(names(world.dir.path()), ["t/sub/b"]);
    assert_eq!(fs::read(world.path(1)).unwrap(), b"somebody's");
}

#[tokio::test]
async fn a_move_that_fails_leaves_everything_where_it_was() {
    for across in [false, true] {
        let world = complete().await;
        let (_, common) = world.storage.parts();
        let before = tree(world.dir.path());
        if across {
            common.faults.plan(other_file_system());
        }
        common.faults.plan(Plan {
            op: if across { DiskOp::Write } else { DiskOp::Move },
            file: Some(FileIndex(1)),
            errno: Errno::NOSPC.raw_os_error(),
            after: 0,
            times: 1,
        });
        let target = tempfile::tempdir().unwrap();
        let to = target.path().join("to");
        let moved = world
            .storage
            .relocate(to.clone(), MoveMode::AlwaysReplaceFiles);
        let error = moved.await.unwrap_err();
        assert_eq!(
            (error.kind, error.op),
            (DiskErrorKind::NoSpace, DiskOp::Move)
        );
        assert_eq!(error.path, to.join("t/sub/b"));
        assert_eq!(tree(world.dir.path()), before);
        // What was made for it is gone again.
        assert!(!to.exists());
        assert_eq!(world.storage.save_path(), world.dir.path());
        assert_readable(&world).await;
    }
}

#[tokio::test]
async fn files_in_the_way_are_treated_as_the_mode_says() {
    let target = tempfile::tempdir().unwrap();
    let taken = target.path().join("t/a");
    fs::create_dir_all(taken.parent().unwrap()).unwrap();
    fs::write(&taken, b"other").unwrap();
    let to = || target.path().to_owned();

    let world = complete().await;
    let error = world.storage.relocate(to(), MoveMode::FailIfExist).await;
    let error = error.unwrap_err();
    assert_eq!((error.kind, &error.path), (DiskErrorKind::Exists, &taken));
    assert_readable(&world).await;

    let moved = world.storage.relocate(to(), MoveMode::DontReplace).await;
    assert!(moved.unwrap().needs_check);
    assert_eq!(fs::read(&taken).unwrap(), b"other");
    assert_eq!(names(world.dir.path()), ["t/a"]);

    let world = complete().await;
    let moved = world.storage.relocate(to(), MoveMode::AlwaysReplaceFiles);
    assert!(!moved.await.unwrap().needs_check);
    assert_readable(&world).await;

    // Nothing is moved: the files there are taken for ours.
    let mut world = complete().await;
    let moved = world
        .storage
        .relocate(to(), MoveMode::ResetSavePathUnchecked);
    assert!(!moved.await.unwrap().needs_check);
    assert_readable(&world).await;
    assert_eq!(names(world.dir.path()).len(), 3);
    // Without a check, but not without a look before a piece is served.
    fs::write(&taken, vec![7; SIZE as usize + 5]).unwrap();
    let moved = world
        .storage
        .relocate(world.dir.path().into(), MoveMode::ResetSavePath);
    assert!(moved.await.unwrap().needs_check);
    let moved = world
        .storage
        .relocate(to(), MoveMode::ResetSavePathUnchecked);
    moved.await.unwrap();
    let error = world.storage.read(PieceIndex(0), 0, 1).await.unwrap_err();
    assert_eq!(error.kind, DiskErrorKind::WrongHash);
    assert!(matches!(world.event().await, DiskEvent::TrustBroken { .. }));
}

#[tokio::test]
async fn closing_ends_a_move_with_everything_where_it_was() {
    let world = complete().await;
    let (_, common) = world.storage.parts();
    common.faults.plan(other_file_system());
    let before = tree(world.dir.path());
    let target = tempfile::tempdir().unwrap();
    let hold = common.faults.hold(DiskOp::Write);
    let moving = world
        .storage
        .relocate(target.path().into(), MoveMode::default());
    let closing = async {
        until(|| hold.is_reached()).await;
        let mut close = pin!(world.storage.close());
        // It waits for the move, which goes on now.
        assert!(close.as_mut().now_or_never().is_none());
        drop(hold);
        close.await;
    };
    let (moved, ()) = tokio::join!(moving, closing);
    assert!(moved.is_err());
    assert_eq!(tree(world.dir.path()), before);
    assert!(tree(target.path()).is_empty());
}
