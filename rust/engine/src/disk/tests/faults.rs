//! Storage that refuses: errors with a name, and no other torrent concerned.

use super::*;
use crate::disk::{DiskError, DiskErrorKind};

const SIZE: u64 = BLOCK_SIZE as u64;

/// Writes piece 0, which must fail, and returns why.
async fn refused(world: &mut World) -> DiskError {
    world.storage.write(world.blocks_of(0), PEER);
    let events = world.settle().await;
    let [DiskEvent::WriteFailed { piece, error }] = &events[..] else {
        panic!("unexpected {events:?}");
    };
    assert_eq!(*piece, PieceIndex(0));
    assert!(world.storage.have().none());
    assert_eq!(world.disk.queued_bytes(), 0);
    error.clone()
}

#[tokio::test]
async fn a_file_in_the_place_of_a_folder() {
    let mut world = world(BLOCK_SIZE, &[("t/f", 4 * SIZE)]);
    fs::write(world.dir.path().join("t"), b"in the way").unwrap();
    let error = refused(&mut world).await;
    assert_eq!(error.kind, DiskErrorKind::NotADirectory);
    assert_eq!(error.path, world.path(0));
    assert!(error.to_string().contains("t/f"));
    // Once the cause is gone the piece may come again.
    fs::remove_file(world.dir.path().join("t")).unwrap();
    world.storage.write(world.all_blocks(), PEER);
    assert_eq!(verified(&world.settle().await), [0, 1, 2, 3]);
}

#[tokio::test]
async fn a_folder_in_the_place_of_a_file() {
    let mut world = world(BLOCK_SIZE, &[("t/f", SIZE)]);
    fs::create_dir_all(world.path(0)).unwrap();
    assert_eq!(refused(&mut world).await.kind, DiskErrorKind::NotAFile);
}

#[tokio::test]
async fn a_name_that_no_file_system_takes() {
    let name = "n".repeat(300);
    let mut world = world(BLOCK_SIZE, &[(&name, SIZE)]);
    let kind = refused(&mut world).await.kind;
    // Wine says of such a name only that there is no such file.
    let is_wine = cfg!(windows) && kind == DiskErrorKind::NotFound;
    assert!(is_wine || kind == DiskErrorKind::BadName, "{kind:?}");
}

#[tokio::test]
async fn a_save_path_that_cannot_be_made() {
    let mut world = world(BLOCK_SIZE, &[("f", SIZE)]);
    let file = world.dir.path().join("file");
    fs::write(&file, b"").unwrap();
    let (sender, events) = mpsc::channel(8);
    let save_path = file.join("below");
    let spec = spec(&world.layout, &world.paths, &world.payload, &save_path);
    world.storage = world.disk.open(spec, sender);
    world.events = events;
    assert_eq!(refused(&mut world).await.kind, DiskErrorKind::NotADirectory);
    let error = world.storage.prepare().await.unwrap_err();
    assert_eq!(error.kind, DiskErrorKind::NotADirectory);
    assert_eq!(error.path, save_path);
}

#[cfg(any(unix, windows))]
#[tokio::test]
async fn two_names_of_one_file_are_only_read() {
    let mut world = world(BLOCK_SIZE, &[("t/f", SIZE), ("g", SIZE), ("h", SIZE)]);
    let content = world.payload[SIZE as usize..2 * SIZE as usize].to_vec();
    fs::write(world.path(1), &content).unwrap();
    fs::create_dir(world.path(0).parent().unwrap()).unwrap();
    fs::hard_link(world.path(1), world.path(0)).unwrap();
    // One that has another name elsewhere alone is written.
    fs::write(world.path(2), b"").unwrap();
    fs::hard_link(world.path(2), world.dir.path().join("mine")).unwrap();
    let error = refused(&mut world).await;
    assert_eq!(error.kind, DiskErrorKind::InUse);
    assert!(error.to_string().contains('g'), "{error}");
    assert_eq!(fs::read(world.path(1)).unwrap(), content);
    world.storage.write(world.blocks_of(2), PEER);
    assert_eq!(verified(&world.settle().await), [2]);
    // Once it has a file of its own.
    fs::remove_file(world.path(0)).unwrap();
    for piece in [0, 1] {
        world.storage.write(world.blocks_of(piece), PEER);
    }
    assert_eq!(verified(&world.settle().await), [0, 1]);
    world.assert_files();
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_that_leads_outside() {
    let outside = tempfile::tempdir().unwrap();
    let mut world = world(BLOCK_SIZE, &[("t/f", SIZE)]);
    std::os::unix::fs::symlink(outside.path(), world.dir.path().join("t")).unwrap();
    assert_eq!(refused(&mut world).await.kind, DiskErrorKind::Symlink);
    let error = world.storage.read(PieceIndex(0), 0, 1).await.unwrap_err();
    assert_eq!(error.kind, DiskErrorKind::Symlink);
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn an_early_write_that_fails_drops_its_piece_alone() {
    let config = DiskConfig {
        workers: 1,
        max_queued_bytes: 2 * BLOCK_SIZE as usize,
        ..DiskConfig::default()
    };
    let files = &[("t/f", 8 * SIZE), ("g", 8 * SIZE)];
    let mut world = world_with(8 * BLOCK_SIZE, files, config);
    fs::write(world.dir.path().join("t"), b"in the way").unwrap();
    world.storage.write(world.blocks_of(0)[..3].to_vec(), PEER);
    let DiskEvent::WriteFailed { piece, error } = world.event().await else {
        panic!("unexpected event");
    };
    assert_eq!((piece.0, error.kind), (0, DiskErrorKind::NotADirectory));
    world.storage.write(world.blocks_of(1), PEER);
    assert_eq!(verified(&world.settle().await), [1]);
    assert_eq!(world.disk.queued_bytes(), 0);
}

/// The limits below hold for a whole process, so each test that needs one
/// runs itself again in a child under that limit. `true` in the child.
#[cfg(unix)]
fn in_child(test: &str, limit: &str) -> bool {
    const CHILD: &str = "TORRENT_DISK_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        return true;
    }
    // An ignored signal stays ignored in a child: without that, passing a
    // file size limit kills it.
    let output = std::process::Command::new("sh")
        .arg("-c")
        .arg(format!("trap '' XFSZ; ulimit {limit}; exec \"$@\""))
        .arg("sh")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "--test-threads=1"])
        .arg(format!("disk::tests::faults::{test}"))
        .env(CHILD, "1")
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("1 passed"), "{out}\n{err}");
    false
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_beyond_the_size_limit() {
    // In units of 512 bytes: two pieces fit.
    if !in_child("a_file_beyond_the_size_limit", "-f 64") {
        return;
    }
    let mut world = world(BLOCK_SIZE, &[("f", 4 * SIZE)]);
    world.storage.write(world.all_blocks(), PEER);
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for event in world.settle().await {
        match event {
            DiskEvent::Verified(pieces) => good.extend(pieces.iter().map(|piece| piece.0)),
            DiskEvent::WriteFailed { piece, error } => {
                assert_eq!(error.kind, DiskErrorKind::FileTooLarge);
                bad.push(piece.0);
            }
            other => panic!("unexpected {other:?}"),
        }
    }
    good.sort_unstable();
    bad.sort_unstable();
    assert_eq!((good, bad), (vec![0, 1], vec![2, 3]));
    // What was verified stays readable.
    let data = world.storage.read(PieceIndex(1), 0, BLOCK_SIZE).await;
    assert!(data.unwrap() == world.payload[16384..32768]);
}

#[cfg(unix)]
#[tokio::test]
async fn no_file_descriptors_left() {
    if !in_child("no_file_descriptors_left", "-n 40") {
        return;
    }
    let files: Vec<_> = (0..60).map(|at| (format!("t/{at}"), SIZE)).collect();
    let files: Vec<_> = files
        .iter()
        .map(|(path, len)| (path.as_str(), *len))
        .collect();
    // The pool may have more than the process may: it gives its files up.
    let config = DiskConfig {
        file_pool_size: 1000,
        ..DiskConfig::default()
    };
    let mut world = world_with(BLOCK_SIZE, &files, config);
    world.storage.write(world.all_blocks(), PEER);
    assert_eq!(verified(&world.settle().await).len(), 60);
    world.assert_files();
    // Nothing left at all is an error with a name.
    world.storage.close().await;
    let (sender, events) = mpsc::channel(8);
    let spec = spec(
        &world.layout,
        &world.paths,
        &world.payload,
        world.dir.path(),
    );
    world.storage = world.disk.open(spec, sender);
    world.events = events;
    let mut hogs = Vec::new();
    while let Ok(hog) = fs::File::open("/dev/null") {
        hogs.push(hog);
    }
    let kind = refused(&mut world).await.kind;
    assert_eq!(kind, DiskErrorKind::TooManyOpenFiles);
    drop(hogs);
    world.storage.write(world.blocks_of(0), PEER);
    assert_eq!(verified(&world.settle().await), [0]);
}

/// As when a disk is not mounted any more: what it was mounted on is there, and
/// empty.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_folder_whose_disk_is_gone_is_not_written_to() {
    use std::os::unix::fs::{MetadataExt, symlink};

    let mut world = world(BLOCK_SIZE, &[("t/f", SIZE), ("g", SIZE)]);
    let (disk, left) = (world.dir.path().join("disk"), world.dir.path().join("left"));
    fs::create_dir(&left).unwrap();
    let Ok(mounted) = tempfile::tempdir_in("/dev/shm") else {
        return;
    };
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    if device(mounted.path()) == device(&left) {
        // There are no two file systems to distinguish.
        return;
    }
    symlink(mounted.path(), &disk).unwrap();
    let (sender, events) = mpsc::channel(8);
    let spec = spec(&world.layout, &world.paths, &world.payload, &disk);
    world.storage = world.disk.open(spec, sender);
    world.events = events;
    world.storage.write(world.blocks_of(0), PEER);
    assert_eq!(verified(&world.settle().await), [0]);
    let swap = |to: &Path| {
        fs::remove_file(&disk).unwrap();
        symlink(to, &disk).unwrap();
    };
    swap(&left);
    world.storage.write(world.blocks_of(1), PEER);
    let events = world.settle().await;
    let [DiskEvent::WriteFailed { error, .. }] = &events[..] else {
        panic!("unexpected {events:?}");
    };
    assert_eq!(
        (error.kind, &error.path),
        (DiskErrorKind::FolderGone, &disk)
    );
    assert!(world.storage.prepare().await.is_err());
    assert_eq!(fs::read_dir(&left).unwrap().count(), 0);
    // Another disk that has something on it, as the same one mounted anew.
    fs::write(left.join("something"), b"").unwrap();
    world.storage.write(world.blocks_of(1), PEER);
    assert_eq!(verified(&world.settle().await), [1]);
    assert!(left.join("g").exists());
}
