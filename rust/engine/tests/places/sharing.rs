//! Torrents that say the same of a file share it, and only read it.

use std::path::Path;

use tempfile::TempDir;
use torrent_engine::core::ids::FileIndex;
use torrent_engine::event::kind;
use torrent_engine::session::AddTorrent;
use torrent_engine::state_dir::{FileOp, StateFaults};
use torrent_engine::status::TorrentState;
use torrent_engine::torrent::handle::TorrentHandle;
use torrent_engine::torrent::handle::resume::SaveFlags;
use torrent_engine::torrent::handle::storage::{Deletion, MoveMode};

use super::newcomers::{Gate, restart, start_with};
use super::support::{Node, PIECE, Payload, wait, wait_until};
use super::{add, assert_names, assert_refused, elsewhere, is_at_rest};

/// Two torrents of one content, both complete.
fn sharing(node: &Node, payload: &Payload) -> [TorrentHandle; 2] {
    let first = node.seed(payload);
    let second = add(node, &elsewhere(payload), node.folder.path()).unwrap();
    wait_until("both seed", || second.status().is_seeding);
    [first, second]
}

#[test]
fn the_same_content_is_shared_and_only_read() {
    let payload = Payload::of_two_files(76);
    let mut node = Node::new();
    let [first, second] = sharing(&node, &payload);
    payload.assert_at(node.folder.path());
    // It leaves what the other has, and its own part file belongs to it alone.
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
    // Damage is found by one, and repaired by none.
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
fn those_that_share_come_back_together() {
    let payload = Payload::of_two_files(86);
    let state = TempDir::new().unwrap();
    let files = TempDir::new().unwrap();
    payload.write(files.path());
    let node = restart(state.path());
    for torrent in [payload.torrent(None), elsewhere(&payload)] {
        let handle = add(&node, &torrent, files.path()).unwrap();
        wait_until("it seeds", || handle.status().is_seeding);
        wait(handle.save_resume_data_now(SaveFlags::default())).unwrap();
    }
    drop(node);
    let node = restart(state.path());
    wait(node.session.restored());
    let torrents = node.session.torrents();
    assert_eq!(torrents.len(), 2);
    for handle in &torrents {
        wait_until("it seeds again", || is_at_rest(handle));
    }
    // And still neither takes the files from the other.
    wait(torrents[0].rename_file_now(FileIndex(0), "x")).unwrap_err();
}

#[test]
fn of_those_that_share_and_go_together_the_last_one_deletes_the_files() {
    use Deletion::{Files, Nothing};
    for (deletions, stay) in [
        ([Files, Files], false),
        ([Nothing, Files], false),
        ([Files, Nothing], true),
    ] {
        for is_second_first in [false, true] {
            let payload = Payload::of_two_files(88);
            let node = Node::new();
            let mut both = sharing(&node, &payload);
            if is_second_first {
                both.reverse();
            }
            for (handle, delete) in both.iter().zip(deletions) {
                node.session.remove_torrent(handle, delete).unwrap();
            }
            for handle in &both {
                wait_until("removed", || handle.has_ended());
            }
            let there = node.folder.path().join("payload").exists();
            assert_eq!(there, stay, "{deletions:?}");
        }
    }
}

#[test]
fn three_that_share_and_go_together_leave_nothing() {
    let payload = Payload::of_two_files(89);
    let node = Node::new();
    let [first, second] = sharing(&node, &payload);
    let mut third = payload.torrent(None);
    let end = third.len() - 2;
    third.splice(end..end, *b"6:source1:y");
    let third = add(&node, &third, node.folder.path()).unwrap();
    wait_until("it seeds", || third.status().is_seeding);
    for handle in [&second, &third, &first] {
        node.session
            .remove_torrent(handle, Deletion::Files)
            .unwrap();
    }
    for handle in [first, second, third] {
        wait_until("removed", || handle.has_ended());
    }
    assert!(!node.folder.path().join("payload").exists());
}

/// A program that is killed between the two removals finds the second torrent
/// with its files, and removes it again.
#[test]
fn a_kill_between_two_removals_leaves_no_file_behind() {
    let payload = Payload::of_two_files(90);
    let [state, killed, files] = [(); 3].map(|()| TempDir::new().unwrap());
    payload.write(files.path());
    let gate = Gate::default();
    let node = {
        let gate = gate.clone();
        start_with(
            state.path(),
            StateFaults::new(move |op, path| {
                // The last step: the torrent is forgotten.
                let is_last = path.extension().is_some_and(|it| it == "removed");
                if op == FileOp::Remove && is_last {
                    gate.pass();
                }
                Ok(())
            }),
        )
    };
    let both = [payload.torrent(None), elsewhere(&payload)].map(|torrent| {
        let handle = add(&node, &torrent, files.path()).unwrap();
        wait_until("it seeds", || handle.status().is_seeding);
        wait(handle.save_resume_data_now(SaveFlags::default())).unwrap();
        handle
    });
    let gate = gate.closed();
    for handle in &both {
        node.session
            .remove_torrent(handle, Deletion::Files)
            .unwrap();
    }
    gate.wait_until_reached();
    payload.assert_at(files.path());
    copy(state.path(), killed.path());
    let next = restart(killed.path());
    wait(next.session.restored());
    let torrents = next.session.torrents();
    assert_eq!(
        torrents,
        [next.session.find_torrent(both[1].info_hash()).unwrap()]
    );
    wait_until("it seeds", || is_at_rest(&torrents[0]));
    next.session
        .remove_torrent(&torrents[0], Deletion::Files)
        .unwrap();
    wait_until("removed", || torrents[0].has_ended());
    assert!(!files.path().join("payload").exists());
    drop(gate);
}

/// A session that stops takes the files of its torrents along.
#[test]
fn what_one_removes_right_before_a_stop_stays_with_the_other() {
    let payload = Payload::of_two_files(96);
    let [state, files] = [(); 2].map(|()| TempDir::new().unwrap());
    payload.write(files.path());
    let node = restart(state.path());
    let [first, second] = [payload.torrent(None), elsewhere(&payload)].map(|torrent| {
        let handle = add(&node, &torrent, files.path()).unwrap();
        wait_until("it seeds", || handle.status().is_seeding);
        handle
    });
    node.session
        .remove_torrent(&first, Deletion::Files)
        .unwrap();
    drop(node);
    payload.assert_at(files.path());
    let node = restart(state.path());
    wait(node.session.restored());
    let back = node.session.torrents();
    let hashes: Vec<_> = back.iter().map(TorrentHandle::info_hash).collect();
    assert_eq!(hashes, [second.info_hash()]);
    wait_until("it seeds again", || is_at_rest(&back[0]));
}

/// Copies what a state directory holds.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.join("torrents")).unwrap();
    for entry in std::fs::read_dir(from.join("torrents")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join("torrents").join(entry.file_name())).unwrap();
    }
}

/// Gives the files of the payload other names, by hard links.
#[cfg(unix)]
fn link(payload: &Payload, from: &Path, to: &Path) {
    for (name, _) in &payload.files {
        let [from, to] = [from, to].map(|folder| folder.join("payload").join(name));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::hard_link(from, to).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn two_names_of_one_file_are_one_place() {
    let payload = Payload::of_two_files(92);
    let other = Payload::of_two_files(94);
    let node = Node::new();
    let first = node.seed(&payload);
    let folder = node.folder.path().to_owned();
    let names = TempDir::new().unwrap();
    link(&payload, &folder, names.path());
    // Another content would be written over the first.
    let second = add(&node, &other.torrent(None), names.path()).unwrap();
    assert_refused(&second, &first);
    let add_named = || {
        let mut add = AddTorrent::from_data(&other.torrent(None), &folder).unwrap();
        let names = [(0, "c.bin"), (1, "d.bin")];
        let names = names.map(|(file, name)| (FileIndex(file), name.to_owned()));
        add.renamed_files = names.into();
        add
    };
    std::fs::hard_link(folder.join("payload/b.bin"), folder.join("d.bin")).unwrap();
    let second = node.session.add_torrent(add_named()).unwrap();
    assert_refused(&second, &first);
    std::fs::remove_file(folder.join("d.bin")).unwrap();
    let second = node.session.add_torrent(add_named()).unwrap();
    wait_until("it begins", || {
        second.status().state == TorrentState::Downloading
    });
    // A move that would take over such files is none either.
    let home = TempDir::new().unwrap();
    for (name, from) in [("c.bin", "a.bin"), ("d.bin", "b.bin")] {
        std::fs::hard_link(folder.join("payload").join(from), home.path().join(name)).unwrap();
    }
    for mode in [MoveMode::DontReplace, MoveMode::ResetSavePath] {
        let error = wait(second.move_storage_now(home.path(), mode)).unwrap_err();
        assert_names(&error, &first);
    }
    payload.assert_at(&folder);
    // The same content is read by both, and neither has the other's name.
    let third = add(&node, &elsewhere(&payload), names.path()).unwrap();
    wait_until("it seeds", || is_at_rest(&third));
    for handle in [&first, &third] {
        wait(handle.rename_file_now(FileIndex(0), "x")).unwrap_err();
    }
    node.session
        .remove_torrent(&third, Deletion::Files)
        .unwrap();
    wait_until("removed", || third.has_ended());
    assert!(!names.path().join("payload").exists());
    payload.assert_at(&folder);
    first.force_recheck().unwrap();
    wait_until("it still seeds", || is_at_rest(&first));
    wait(first.rename_file_now(FileIndex(0), "x")).unwrap();
}
