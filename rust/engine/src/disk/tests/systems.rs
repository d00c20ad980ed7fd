//! What systems differ in: long paths everywhere, and files that another program
//! has open on Windows.

use torrent_core::ids::FileIndex;

use super::*;
use crate::disk::MoveMode;

const SIZE: u64 = BLOCK_SIZE as u64;

#[tokio::test]
async fn paths_may_be_longer_than_260_characters() {
    let deep = ["n"; 5].map(|part| part.repeat(80)).join("/");
    let names = [format!("t/{deep}/a"), format!("t/{deep}/b")];
    let files = names.each_ref().map(|name| (name.as_str(), SIZE));
    let mut world = world(BLOCK_SIZE, &files);
    world.storage.prepare().await.unwrap();
    world.storage.write(world.all_blocks(), PEER);
    assert_eq!(verified(&world.settle().await), [0, 1]);
    world.storage.sync().await.unwrap();
    world.assert_files();
    let renamed = PathBuf::from(format!("t/{deep}/{}/c", "x".repeat(80)));
    let rename = world.storage.rename(FileIndex(1), renamed.clone());
    rename.await.unwrap();
    world.paths[1] = renamed;
    world.assert_files();
    let moved = world.dir.path().join("m".repeat(100)).join("n".repeat(100));
    let mode = MoveMode::FailIfExist;
    world.storage.relocate(moved.clone(), mode).await.unwrap();
    assert!(!world.dir.path().join("t").exists());
    world.storage.sync().await.unwrap();
    let data = world.storage.read(PieceIndex(1), 0, BLOCK_SIZE).await;
    assert!(data.unwrap() == world.payload[SIZE as usize..]);
    world.storage.delete_files().await.unwrap();
    assert!(!moved.join("t").exists());
}

#[cfg(windows)]
mod windows {
    use std::fs::{File, OpenOptions};
    use std::os::windows::fs::OpenOptionsExt;

    use super::*;
    use crate::disk::DiskErrorKind;

    /// Opens a file as a virus scanner does: no other program may have it meanwhile.
    fn alone(path: &Path) -> File {
        let mut options = OpenOptions::new();
        options.read(true).share_mode(0).open(path).unwrap()
    }

    #[tokio::test]
    async fn a_file_that_another_program_has_open_is_waited_for() {
        let mut world = world(BLOCK_SIZE, &[("a", SIZE), ("b", SIZE)]);
        world.storage.write(world.all_blocks(), PEER);
        assert_eq!(verified(&world.settle().await), [0, 1]);
        let (shared, common) = world.storage.parts();
        shared.io.release(&common);
        let scanner = alone(&world.path(0));
        let error = world.storage.read(PieceIndex(0), 0, 1).await.unwrap_err();
        assert_eq!(error.kind, DiskErrorKind::PermissionDenied);
        let says = "another program has the file open";
        assert!(error.to_string().contains(says), "{error}");
        let freed = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            drop(scanner);
        });
        world.storage.read(PieceIndex(0), 0, 1).await.unwrap();
        freed.join().unwrap();
        // One that is to have another name, or to be deleted.
        shared.io.release(&common);
        let scanner = alone(&world.path(0));
        let freed = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            drop(scanner);
        });
        let rename = world.storage.rename(FileIndex(0), "c".into());
        assert_eq!(rename.await.unwrap(), Path::new("a"));
        freed.join().unwrap();
    }

    #[tokio::test]
    async fn files_are_renamed_moved_and_replaced_while_they_are_read() {
        let world = world(BLOCK_SIZE, &[("a", SIZE)]);
        world.fill_files();
        let reader = File::open(world.path(0)).unwrap();
        let rename = world.storage.rename(FileIndex(0), "b".into());
        rename.await.unwrap();
        let other = world.dir.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("b"), b"replaced").unwrap();
        let target = File::open(other.join("b")).unwrap();
        let mode = MoveMode::AlwaysReplaceFiles;
        world.storage.relocate(other.clone(), mode).await.unwrap();
        drop((reader, target));
        assert!(fs::read(other.join("b")).unwrap() == world.payload);
        assert_eq!(fs::read_dir(&other).unwrap().count(), 1);
    }
}
