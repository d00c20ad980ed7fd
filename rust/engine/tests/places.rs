//! Two torrents, one place: each path belongs to one torrent of a session, or
//! to several that say the same of it, and then it is only read.

mod support;

use std::path::Path;

use support::{Node, PIECE, Payload, wait, wait_until};
use tempfile::TempDir;
use torrent_engine::core::ids::FileIndex;
use torrent_engine::core::settings::Settings;
use torrent_engine::core::value::Value;
use torrent_engine::error::{Error, ErrorKind};
use torrent_engine::event::kind;
use torrent_engine::handle::TorrentHandle;
use torrent_engine::placement::{Deletion, MoveMode};
use torrent_engine::resume::SaveFlags;
use torrent_engine::session::{AddTorrent, Session};
use torrent_engine::state::StateDir;

/// The same content in another torrent, as on another site.
fn elsewhere(payload: &Payload) -> Vec<u8> {
    let mut torrent = payload.torrent(None);
    let end = torrent.len() - 2;
    torrent.splice(end..end, *b"6:source1:x");
    torrent
}

fn add(node: &Node, torrent: &[u8], folder: &Path) -> Result<TorrentHandle, Error> {
    let add = AddTorrent::from_data(torrent, folder).unwrap();
    node.session.add_torrent(add)
}

/// That the error names `first`.
fn assert_names(error: &Error, first: &TorrentHandle) {
    let words = error.to_string();
    assert!(words.contains(&first.info_hash().to_string()), "{words}");
    assert!(words.contains("payload"), "{words}");
}

fn is_at_rest(handle: &TorrentHandle) -> bool {
    handle.status().is_seeding && handle.status().error.is_empty()
}

/// Two torrents of one content, both complete.
fn sharing(node: &Node, payload: &Payload) -> [TorrentHandle; 2] {
    let first = node.seed(payload);
    let second = add(node, &elsewhere(payload), node.folder.path()).unwrap();
    wait_until("both seed", || second.status().is_seeding);
    [first, second]
}

#[test]
fn another_content_in_the_same_place_is_refused() {
    let payload = Payload::of_two_files(71);
    let other = Payload::of_two_files(108);
    let node = Node::new();
    let first = node.seed(&payload);
    let folder = node.folder.path();
    let link = TempDir::new().unwrap();
    let link = link.path().join("link");
    #[cfg(unix)]
    std::os::unix::fs::symlink(folder, &link).unwrap();
    #[cfg(not(unix))]
    let link = folder.to_owned();
    for place in [
        folder.to_owned(),
        folder.join("payload/.."),
        folder.join("new/.."),
        link,
    ] {
        let error = add(&node, &other.torrent(None), &place).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TorrentAddFailed);
        assert_names(&error, &first);
    }
    // By other names, and where one has a file and the other a folder.
    for name in ["payload/a.bin", "payload/b.bin/x", "payload"] {
        let mut add = AddTorrent::from_data(&other.torrent(None), folder.join("two")).unwrap();
        add.save_path = folder.to_owned();
        let names = [(0, name), (1, "elsewhere.bin")];
        add.renamed_files = names
            .map(|(file, name)| (FileIndex(file), name.to_owned()))
            .into();
        let error = node.session.add_torrent(add).unwrap_err();
        assert_names(&error, &first);
    }
    // From a folder within, and one above.
    let within = Payload::new(&[("c.bin", PIECE)], PIECE, 73);
    let mut inside = AddTorrent::from_data(&within.torrent(None), folder.join("payload")).unwrap();
    inside.renamed_files = [(FileIndex(0), "a.bin".to_owned())].into();
    assert_names(&node.session.add_torrent(inside).unwrap_err(), &first);
    assert_eq!(node.session.torrents().len(), 1);
    assert!(is_at_rest(&first));
    payload.assert_at(folder);
    // The same torrent is no other one.
    assert_eq!(add(&node, &payload.torrent(None), folder).unwrap(), first);
    // Beside it there is room.
    add(&node, &within.torrent(None), folder).unwrap();
}

#[test]
fn names_that_differ_in_case_are_one_where_the_file_system_says_so() {
    let one = Payload::new(&[("a.bin", PIECE)], PIECE, 74);
    let other = Payload::new(&[("A.BIN", PIECE)], PIECE, 75);
    let node = Node::new();
    node.seed(&one);
    let folder = node.folder.path();
    let blind = folder.join("PAYLOAD/A.BIN").exists();
    let added = add(&node, &other.torrent(None), folder);
    assert_eq!(added.is_err(), blind);
    let left = std::fs::read_dir(folder).unwrap().count();
    assert_eq!(left, 1, "a probe was left");
}

#[test]
fn the_same_content_is_shared_and_only_read() {
    let payload = Payload::of_two_files(76);
    let mut node = Node::new();
    let [first, second] = sharing(&node, &payload);
    payload.assert_at(node.folder.path());
    // It leaves what the other has, and its own part file is nobody else's.
    node.session
        .remove_torrent(&second, Deletion::Files)
        .unwrap();
    node.wait(kind::TORRENT_REMOVED);
    payload.assert_at(node.folder.path());
    first.force_recheck().unwrap();
    node.drain();
    wait_until("it still seeds", || is_at_rest(&first));
    // The last one takes them with it.
    node.session
        .remove_torrent(&first, Deletion::Files)
        .unwrap();
    node.wait(kind::TORRENT_REMOVED);
    assert!(!node.folder.path().join("payload").exists());
}

#[test]
fn what_is_shared_is_not_written_moved_or_renamed() {
    let payload = Payload::of_two_files(77);
    let giver = Node::new();
    giver.seed(&payload);
    let mut node = Node::new();
    let [first, second] = sharing(&node, &payload);
    let folder = node.folder.path().to_owned();
    let to = TempDir::new().unwrap();
    for handle in [&first, &second] {
        let mode = MoveMode::AlwaysReplaceFiles;
        wait(handle.move_storage_now(to.path(), mode)).unwrap_err();
        wait(handle.rename_file_now(FileIndex(0), "x")).unwrap_err();
    }
    payload.assert_at(&folder);
    // Damage is found by one, and mended by none.
    let path = folder.join("payload/a.bin");
    let mut damaged = std::fs::read(&path).unwrap();
    damaged[3 * PIECE] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    node.drain();
    first.force_recheck().unwrap();
    node.wait(kind::TORRENT_CHECKED);
    first.connect_peer(giver.endpoint()).unwrap();
    wait_until("it may not write", || !first.status().error.is_empty());
    let error = first.status().error.clone();
    assert!(error.contains(&second.info_hash().to_string()), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), damaged);
    // Alone it may.
    node.session.remove_torrent(&second, false).unwrap();
    node.wait(kind::TORRENT_REMOVED);
    first.clear_error().unwrap();
    first.connect_peer(giver.endpoint()).unwrap();
    wait_until("mended", || is_at_rest(&first));
    payload.assert_at(&folder);
    wait(first.move_storage_now(to.path(), MoveMode::FailIfExist)).unwrap();
    payload.assert_at(to.path());
}

#[test]
fn what_is_not_complete_is_not_shared() {
    let payload = Payload::of_two_files(78);
    let node = Node::new();
    let first = node.add(&payload.torrent(None));
    let second = add(&node, &elsewhere(&payload), node.folder.path());
    assert_names(&second.unwrap_err(), &first);
}

#[test]
fn no_file_is_moved_or_renamed_to_where_another_torrent_has_one() {
    let payload = Payload::of_two_files(79);
    let other = Payload::of_two_files(110);
    let node = Node::new();
    let first = node.seed(&payload);
    let folder = node.folder.path();
    let home = TempDir::new().unwrap();
    other.write(home.path());
    let second = add(&node, &other.torrent(None), home.path()).unwrap();
    wait_until("seeding", || second.status().is_seeding);
    for mode in (0..5).map(|mode| MoveMode::from_number(mode).unwrap()) {
        let error = wait(second.move_storage_now(folder, mode)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageMoveFailed);
        assert_names(&error, &first);
    }
    // Beside it, and then onto it.
    wait(second.rename_file_now(FileIndex(0), "beside/a.bin")).unwrap();
    wait(second.rename_file_now(FileIndex(1), "beside/b.bin")).unwrap();
    wait(second.move_storage_now(folder, MoveMode::FailIfExist)).unwrap();
    for name in ["payload/a.bin", "payload/a.bin/x", "payload"] {
        let error = wait(second.rename_file_now(FileIndex(0), name)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileRenameFailed);
        assert_names(&error, &first);
    }
    assert!(is_at_rest(&first) && is_at_rest(&second));
    payload.assert_at(folder);
    // Where it was there is room now, and where a name was.
    let third = Payload::of_two_files(106);
    add(&node, &third.torrent(None), home.path()).unwrap();
    wait(first.rename_file_now(FileIndex(0), "payload/new.bin")).unwrap();
    wait(second.rename_file_now(FileIndex(0), "payload/a.bin")).unwrap();
}

#[test]
fn a_magnet_link_hears_of_it_when_its_files_are_known() {
    let payload = Payload::of_two_files(82);
    let other = Payload::of_two_files(102);
    let giver = Node::new();
    let seeding = giver.seed(&other);
    let mut node = Node::new();
    let first = node.seed(&payload);
    let add = AddTorrent::from_info_hash(seeding.info_hash(), node.folder.path());
    let handle = node.session.add_torrent(add).unwrap();
    let info = seeding.metainfo().unwrap().info.raw.to_vec();
    handle.set_metadata(&info).unwrap();
    wait_until("refused", || !handle.status().error.is_empty());
    let error = handle.status().error.clone();
    assert!(error.contains(&first.info_hash().to_string()), "{error}");
    payload.assert_at(node.folder.path());
    // When the place is free it is taken, also while the first one leaves it.
    node.drain();
    node.session
        .remove_torrent(&first, Deletion::Files)
        .unwrap();
    handle.clear_error().unwrap();
    handle.set_metadata(&info).unwrap();
    handle.connect_peer(giver.endpoint()).unwrap();
    node.wait(kind::TORRENT_FINISHED);
    other.assert_at(node.folder.path());
}

#[test]
fn what_takes_the_place_of_a_torrent_that_is_removed_waits_for_its_end() {
    let giver = Node::new();
    let next = Payload::of_two_files(104);
    giver.seed(&next);
    for delete in [Deletion::Nothing, Deletion::Files] {
        let payload = Payload::of_two_files(84);
        let mut node = Node::new();
        let first = node.seed(&payload);
        node.drain();
        node.session.remove_torrent(&first, delete).unwrap();
        let second = add(&node, &next.torrent(None), node.folder.path()).unwrap();
        second.connect_peer(giver.endpoint()).unwrap();
        node.wait(kind::TORRENT_FINISHED);
        next.assert_at(node.folder.path());
        wait_until("it seeds", || is_at_rest(&second));
    }
}

#[test]
fn those_that_share_come_back_together() {
    let payload = Payload::of_two_files(86);
    let state = TempDir::new().unwrap();
    let files = TempDir::new().unwrap();
    payload.write(files.path());
    let start = || {
        let mut settings = Settings::default();
        let name = "listen_interfaces";
        let patch = [(name, &Value::from("127.0.0.1:0"))];
        settings.apply(patch).unwrap();
        let folder = StateDir::open(state.path()).unwrap();
        Node::of(Session::start_with_state(settings, folder).unwrap())
    };
    let node = start();
    for torrent in [payload.torrent(None), elsewhere(&payload)] {
        let handle = add(&node, &torrent, files.path()).unwrap();
        wait_until("it seeds", || handle.status().is_seeding);
        wait(handle.save_resume_data_now(SaveFlags::default())).unwrap();
    }
    drop(node);
    let node = start();
    wait(node.session.restored());
    let torrents = node.session.torrents();
    assert_eq!(torrents.len(), 2);
    for handle in &torrents {
        wait_until("it seeds again", || is_at_rest(handle));
    }
    // And still neither takes the files from the other.
    wait(torrents[0].rename_file_now(FileIndex(0), "x")).unwrap_err();
}
