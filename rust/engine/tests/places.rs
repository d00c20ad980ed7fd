//! Two torrents, one place: each path belongs to one torrent of a session, or
//! to several that say the same of it, and then it is only read.

mod places {
    // The files of the folder of that name.
    use super::*;

    mod newcomers;
    mod sharing;
    mod state_folder;
}
mod support;

use std::path::Path;

use support::{Node, PIECE, Payload, wait, wait_until};
use tempfile::TempDir;
use torrent_engine::core::ids::FileIndex;
use torrent_engine::error::{Error, ErrorKind};
use torrent_engine::event::kind;
use torrent_engine::session::AddTorrent;
use torrent_engine::torrent::handle::TorrentHandle;
use torrent_engine::torrent::handle::resume::SaveFlags;
use torrent_engine::torrent::handle::storage::{Deletion, MoveMode};

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

/// That it was accepted, and is refused when the disk was looked at.
fn assert_refused(handle: &TorrentHandle, first: &TorrentHandle) {
    wait_until("refused", || handle.has_ended());
    assert!(!handle.is_valid());
    assert_names(&handle.error().expect("it says why"), first);
}

fn is_at_rest(handle: &TorrentHandle) -> bool {
    handle.status().is_seeding && handle.status().error.is_empty()
}

#[test]
fn another_content_in_the_same_place_is_refused() {
    let payload = Payload::of_two_files(71);
    let other = Payload::of_two_files(108);
    let node = Node::new();
    let first = node.seed(&payload);
    let folder = node.folder.path();
    #[cfg(unix)]
    let links = TempDir::new().unwrap();
    #[cfg(unix)]
    let link = links.path().join("link");
    #[cfg(unix)]
    std::os::unix::fs::symlink(folder, &link).unwrap();
    // Another name of the same folder there.
    #[cfg(windows)]
    let link: std::path::PathBuf = folder.to_string_lossy().to_uppercase().into();
    let error = add(&node, &other.torrent(None), folder).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TorrentAddFailed);
    assert_names(&error, &first);
    // Where these lead to, only the disk knows.
    for place in [
        folder.join("payload/.."),
        folder.join("new/.."),
        link.clone(),
    ] {
        let handle = match add(&node, &other.torrent(None), &place) {
            Ok(handle) => handle,
            // On Windows `..` leads back wherever that is.
            Err(error) if cfg!(windows) && place != link => {
                assert_names(&error, &first);
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        assert_refused(&handle, &first);
        assert_eq!(handle.error().unwrap().kind(), ErrorKind::TorrentAddFailed);
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
    let other = Payload::new(&[("A.BIN", PIECE)], PIECE, 77);
    let node = Node::new();
    node.seed(&one);
    let folder = node.folder.path();
    let blind = folder.join("PAYLOAD/A.BIN").exists();
    let added = add(&node, &other.torrent(None), folder).unwrap();
    // It has begun then, or was refused.
    let _ = wait(added.save_resume_data_now(SaveFlags::default()));
    wait_until("it begins, or is refused", || {
        added.has_ended() || !added.status().state.is_checking()
    });
    assert_eq!(added.has_ended(), blind);
    let left = std::fs::read_dir(folder).unwrap().count();
    assert_eq!(left, 1, "a probe was left");
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
