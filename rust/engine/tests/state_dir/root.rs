//! The folder of the files is gone, as when its disk is not mounted.

use std::fs;
use std::path::Path;

use torrent_engine::core::ids::FileIndex;
use torrent_engine::core::resume::ResumeData;
use torrent_engine::core::value::Value;
use torrent_engine::error::ErrorKind;
use torrent_engine::event::kind;
use torrent_engine::session::AddTorrent;
use torrent_engine::status::TorrentState;
use torrent_engine::torrent::handle::TorrentHandle;
use torrent_engine::torrent::handle::storage::MoveMode;

use super::faults::killed;
use super::support::{Node, Payload, until, wait};
use super::{start, stop};

/// The pieces that the newest record claims.
fn pieces(state: &Path, handle: &TorrentHandle) -> u32 {
    let path = state.join(format!("torrents/{}.resume", handle.info_hash()));
    // A copy may have been taken between two renames.
    let record = fs::read(&path).or_else(|_| fs::read(path.with_extension("resume.old")));
    let record = ResumeData::decode(&record.unwrap()).unwrap();
    record.have(30).unwrap().count()
}

fn added(node: &Node, payload: &Payload, folder: &Path) -> TorrentHandle {
    let add = AddTorrent::from_data(&payload.torrent(None), folder).unwrap();
    node.session.add_torrent(add).unwrap()
}

/// A torrent that has seeded from a folder, of a session that has stopped.
fn remembered(state: &Path, payload: &Payload, folder: &Path) -> TorrentHandle {
    payload.write(folder);
    let node = start(state);
    let handle = added(&node, payload, folder);
    until(|| handle.status().is_seeding);
    stop(&node);
    handle
}

/// Asserts that the torrent is in error because of its folder, and waits.
fn assert_missing(node: &mut Node, handle: &TorrentHandle, folder: &Path) {
    until(|| !handle.status().error.is_empty());
    let status = handle.status();
    let path = folder.display().to_string();
    assert!(status.error.contains(&path), "{}", status.error);
    assert_eq!(status.error_file, path);
    assert_eq!(status.pieces_downloaded, 0);
    assert!(status.state.is_checking() && !folder.join("payload").exists());
    node.wait_where(kind::FILE_ERROR, |event| {
        matches!(event.body.error(), Some(error) if error.kind() == ErrorKind::PathNotFound)
    });
}

#[test]
fn a_start_without_the_disk_loses_nothing() {
    let (state, disk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mounted, away) = (disk.path().join("games"), disk.path().join("away"));
    let payload = Payload::of_two_files(41);
    let handle = remembered(state.path(), &payload, &mounted);
    assert_eq!(pieces(state.path(), &handle), 30);
    fs::rename(&mounted, &away).unwrap();

    for empty in [false, true] {
        if empty {
            // As the folder that a disk is mounted on.
            fs::create_dir(&mounted).unwrap();
        }
        let mut node = start(state.path());
        let handle = node.session.find_torrent(handle.info_hash()).unwrap();
        assert_missing(&mut node, &handle, &mounted);
        assert_eq!(mounted.exists(), empty, "nothing is created");
        // What is set is saved all the same, and so is what was verified.
        handle.set_max_uploads(9 + i64::from(empty)).unwrap();
        handle.clear_error().unwrap();
        if !empty {
            // Nothing is better, which is the answer.
            assert_missing(&mut node, &handle, &mounted);
        }
        handle.force_recheck().unwrap_or_default();
        if empty {
            // The game knows better.
            until(|| handle.status().state == TorrentState::Downloading);
        }
        until(|| !handle.need_save_resume_data());
        let copy = killed(state.path());
        if !empty {
            assert_eq!(pieces(copy.path(), &handle), 30);
        }
        stop(&node);
        if !empty {
            assert_eq!(pieces(state.path(), &handle), 30);
        }
    }
}

#[test]
fn it_goes_on_by_itself_when_the_disk_is_back() {
    let (state, disk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mounted, away) = (disk.path().join("games"), disk.path().join("away"));
    let payload = Payload::of_two_files(42);
    let handle = remembered(state.path(), &payload, &mounted);
    fs::rename(&mounted, &away).unwrap();
    for asked in [false, true] {
        let mut node = start(state.path());
        let handle = node.session.find_torrent(handle.info_hash()).unwrap();
        assert_missing(&mut node, &handle, &mounted);
        fs::rename(&away, &mounted).unwrap();
        if asked {
            handle.clear_error().unwrap();
        }
        until(|| handle.status().is_seeding);
        assert_eq!(handle.status().error, "");
        assert!(!node.has_seen(kind::FASTRESUME_REJECTED));
        // And again while it runs: a check of what is gone proves nothing.
        fs::rename(&mounted, &away).unwrap();
        handle.force_recheck().unwrap();
        until(|| !handle.status().error.is_empty());
        assert!(
            handle
                .status()
                .error
                .contains(&mounted.display().to_string())
        );
        until(|| !handle.need_save_resume_data());
        let copy = killed(state.path());
        assert_eq!(pieces(copy.path(), &handle), 30);
        assert!(!mounted.exists());
        stop(&node);
        assert_eq!(pieces(state.path(), &handle), 30);
    }
}

#[test]
fn a_new_torrent_creates_its_folder_and_a_deleted_file_is_fetched_again() {
    let (state, disk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let payload = Payload::of_two_files(43);
    let seed = Node::new();
    seed.seed(&payload);
    let folder = disk.path().join("not/there/yet");
    let node = start(state.path());
    let handle = added(&node, &payload, &folder);
    until(|| handle.status().state == TorrentState::Downloading);
    stop(&node);
    // Nothing has come yet: it begins again.
    fs::remove_dir_all(&folder).unwrap_or_default();
    let node = start(state.path());
    let handle = node.session.find_torrent(handle.info_hash()).unwrap();
    handle.connect_peer(seed.endpoint()).unwrap();
    until(|| handle.status().is_seeding);
    stop(&node);
    // The folder is there, and a file was deleted.
    fs::remove_file(folder.join("payload/a.bin")).unwrap();
    let mut node = start(state.path());
    node.wait(kind::FASTRESUME_REJECTED);
    let handle = node.session.find_torrent(handle.info_hash()).unwrap();
    until(|| handle.status().state == TorrentState::Downloading);
    handle.connect_peer(seed.endpoint()).unwrap();
    until(|| handle.status().is_seeding);
    payload.assert_at(&folder);
    stop(&node);
}

#[test]
fn a_folder_with_none_of_the_files_is_missing_until_the_game_asks_for_a_check() {
    let (state, disk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mounted, away) = (disk.path().join("games"), disk.path().join("away"));
    let payload = Payload::of_two_files(46);
    let handle = remembered(state.path(), &payload, &mounted);
    // The mount point has a file of its own.
    fs::rename(&mounted, &away).unwrap();
    fs::create_dir(&mounted).unwrap();
    fs::write(mounted.join(".keep"), b"").unwrap();
    let mut node = start(state.path());
    let handle = node.session.find_torrent(handle.info_hash()).unwrap();
    assert_missing(&mut node, &handle, &mounted);
    handle.set_max_uploads(9).unwrap();
    // Only another look.
    handle.clear_error().unwrap();
    until(|| !handle.need_save_resume_data());
    assert_eq!(pieces(killed(state.path()).path(), &handle), 30);
    stop(&node);
    assert_eq!(pieces(state.path(), &handle), 30);
    // It is mounted.
    fs::remove_dir_all(&mounted).unwrap();
    fs::rename(&away, &mounted).unwrap();
    let node = start(state.path());
    let handle = node.session.find_torrent(handle.info_hash()).unwrap();
    until(|| handle.status().is_seeding);
    assert!(!node.has_seen(kind::FASTRESUME_REJECTED));
    stop(&node);
    // Deleted by hand, and to be fetched again.
    fs::remove_dir_all(mounted.join("payload")).unwrap();
    fs::write(mounted.join("mine"), b"mine").unwrap();
    let mut node = start(state.path());
    let handle = node.session.find_torrent(handle.info_hash()).unwrap();
    assert_missing(&mut node, &handle, &mounted);
    handle.force_recheck().unwrap();
    until(|| handle.status().state == TorrentState::Downloading);
    assert_eq!(handle.status().error, "");
    let seed = Node::new();
    seed.seed(&payload);
    handle.connect_peer(seed.endpoint()).unwrap();
    until(|| handle.status().is_seeding);
    payload.assert_at(&mounted);
    stop(&node);
}

#[test]
fn files_that_are_out_of_reach_are_neither_moved_nor_renamed() {
    let (state, disk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mounted, away) = (disk.path().join("games"), disk.path().join("away"));
    let to = disk.path().join("elsewhere");
    let payload = Payload::of_two_files(51);
    let handle = remembered(state.path(), &payload, &mounted);
    let refused = |handle: &TorrentHandle| {
        let moved = wait(handle.move_storage_now(&to, MoveMode::default())).unwrap_err();
        assert_eq!(moved.kind(), ErrorKind::StorageMoveFailed);
        let renamed = wait(handle.rename_file_now(FileIndex(0), "x.bin")).unwrap_err();
        assert_eq!(renamed.kind(), ErrorKind::FileRenameFailed);
        for error in [moved, renamed] {
            assert_eq!(error.context(), mounted.display().to_string());
        }
        assert!(!to.exists());
    };
    // While the torrent runs and has not looked yet, and where a start finds nothing.
    let mut node = start(state.path());
    let found = node.session.find_torrent(handle.info_hash()).unwrap();
    until(|| found.status().is_seeding);
    fs::rename(&mounted, &away).unwrap();
    refused(&found);
    stop(&node);
    node = start(state.path());
    let found = node.session.find_torrent(handle.info_hash()).unwrap();
    refused(&found);
    assert_missing(&mut node, &found, &mounted);
    refused(&found);
    fs::rename(&away, &mounted).unwrap();
    until(|| found.status().is_seeding);
    wait(found.move_storage_now(&to, MoveMode::default())).unwrap();
    payload.assert_at(&to);
    stop(&node);
}

#[test]
fn no_other_torrent_makes_a_folder_that_is_awaited() {
    let (state, disk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mounted, away) = (disk.path().join("games"), disk.path().join("away"));
    let payload = Payload::of_two_files(47);
    payload.write(&mounted);
    // The first one is known to have no data, and comes before in the queue.
    let others = [
        Payload::new(&[("c.bin", 99_999)], 32 * 1024, 48),
        Payload::new(&[("d.bin", 99_999)], 32 * 1024, 49),
        Payload::new(&[("e.bin", 99_999)], 32 * 1024, 50),
    ];
    let folders = [mounted.clone(), mounted.join("below"), mounted.clone()];
    let giver = Node::new();
    for other in &others {
        giver.seed(other);
    }
    let node = start(state.path());
    let before = added(&node, &others[0], &folders[0]);
    until(|| before.status().state == TorrentState::Downloading);
    let handle = added(&node, &payload, &mounted);
    until(|| handle.status().is_seeding);
    stop(&node);
    fs::rename(&mounted, &away).unwrap();
    for empty in [false, true] {
        if empty {
            fs::create_dir(&mounted).unwrap();
        }
        let mut node = start(state.path());
        let handle = node.session.find_torrent(handle.info_hash()).unwrap();
        let mut all: Vec<_> = node
            .session
            .find_torrent(before.info_hash())
            .into_iter()
            .collect();
        all.push(added(&node, &others[1], &folders[1]));
        all.push(added(&node, &others[2], &folders[2]));
        for (other, folder) in all.iter().zip(&folders) {
            other.connect_peer(giver.endpoint()).unwrap();
            until(|| other.status().error.contains(&folder.display().to_string()));
        }
        assert_missing(&mut node, &handle, &mounted);
        assert_eq!(mounted.exists(), empty);
        assert!(!empty || fs::read_dir(&mounted).unwrap().next().is_none());
        if empty {
            fs::remove_dir(&mounted).unwrap();
            fs::rename(&away, &mounted).unwrap();
            until(|| handle.status().is_seeding);
            for ((other, folder), payload) in all.iter().zip(&folders).zip(&others) {
                until(|| other.status().error.is_empty());
                other.connect_peer(giver.endpoint()).unwrap();
                until(|| other.status().is_seeding);
                payload.assert_at(folder);
            }
        }
        stop(&node);
    }
    assert_eq!(pieces(state.path(), &handle), 30);
}

#[test]
fn a_disk_that_goes_while_peers_read_from_it_takes_nothing_along() {
    let (state, disk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mounted, away) = (disk.path().join("games"), disk.path().join("away"));
    let payload = Payload::of_two_files(44);
    payload.write(&mounted);
    // Hashed in this session, and then taken on trust.
    for _ in 0..2 {
        let mut node = start(state.path());
        let handle = added(&node, &payload, &mounted);
        until(|| handle.status().is_seeding);
        // Files that are open go on being read.
        let soon = Value::Int(1);
        node.session
            .apply_settings([("close_file_interval", &soon)])
            .unwrap();
        let mut are_open = true;
        while are_open {
            handle.post_file_status().unwrap();
            let status = node.wait(kind::FILE_STATUS);
            are_open = !format!("{:?}", status.body).contains("Files([])");
        }
        fs::rename(&mounted, &away).unwrap();
        let leech = Node::new();
        let fetched = leech.add(&payload.torrent(None));
        until(|| fetched.status().state == TorrentState::Downloading);
        fetched.connect_peer(node.endpoint()).unwrap();
        until(|| !handle.status().error.is_empty());
        assert!(
            handle
                .status()
                .error
                .contains(&mounted.display().to_string())
        );
        until(|| !handle.need_save_resume_data());
        assert_eq!(pieces(killed(state.path()).path(), &handle), 30);
        assert!(!mounted.exists());
        fs::rename(&away, &mounted).unwrap();
        until(|| handle.status().is_seeding);
        fetched.connect_peer(node.endpoint()).unwrap();
        until(|| fetched.status().is_seeding);
        node.drain();
        stop(&node);
    }
}

#[cfg(unix)]
#[test]
fn files_that_cannot_be_looked_at_leave_the_record_alone() {
    use std::os::unix::fs::symlink;

    let (state, disk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (real, link) = (disk.path().join("real"), disk.path().join("link"));
    let payload = Payload::of_two_files(45);
    payload.write(&real);
    symlink(&real, &link).unwrap();
    let node = start(state.path());
    let handle = added(&node, &payload, &link);
    until(|| handle.status().is_seeding);
    stop(&node);
    // Neither there nor missing: the system refuses to say.
    fs::remove_file(&link).unwrap();
    symlink(&link, &link).unwrap();
    let node = start(state.path());
    let handle = node.session.find_torrent(handle.info_hash()).unwrap();
    until(|| !handle.status().error.is_empty());
    until(|| !handle.need_save_resume_data());
    assert_eq!(pieces(killed(state.path()).path(), &handle), 30);
    fs::remove_file(&link).unwrap();
    symlink(&real, &link).unwrap();
    handle.clear_error().unwrap();
    until(|| handle.status().is_seeding);
    assert!(!node.has_seen(kind::FASTRESUME_REJECTED));
    stop(&node);
}
