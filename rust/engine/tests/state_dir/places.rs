//! Moving and renaming, and a process that is killed in the middle of it: the
//! next one finds the data wherever it is.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};

use tempfile::TempDir;
use torrent_engine::core::ids::FileIndex;
use torrent_engine::core::metainfo::Metainfo;
use torrent_engine::core::resume::ResumeData;
use torrent_engine::core::value::Value;
use torrent_engine::event::kind;
use torrent_engine::session::AddTorrent;
use torrent_engine::state_dir::{FileOp, StateFaults};
use torrent_engine::torrent::handle::TorrentHandle;
use torrent_engine::torrent::handle::storage::MoveMode;

use super::faults::{killed, places};
use super::support::{Node, Payload, until, wait};
use super::{begin_with, start, stop};

/// A session whose state directory is copied whenever a change of places is
/// written down as over: at that moment all its files are at their new place.
fn watched(state: &Path) -> (Node, Arc<Mutex<Vec<TempDir>>>) {
    let copies = Arc::<Mutex<Vec<TempDir>>>::default();
    let (taken, folder) = (Arc::clone(&copies), state.to_owned());
    let faults = StateFaults::new(move |op, path| {
        let is_places = path.to_string_lossy().ends_with(".places.tmp");
        if op == FileOp::Create && is_places && path.with_extension("").exists() {
            taken.lock().unwrap().push(killed(&folder));
        }
        Ok(())
    });
    let node = begin_with(state, faults);
    until(|| node.session.is_restored());
    (node, copies)
}

fn seeding(node: &Node, state: &Path, payload: &Payload, folder: &Path) -> TorrentHandle {
    payload.write(folder);
    let add = AddTorrent::from_data(&payload.torrent(None), folder).unwrap();
    let handle = node.session.add_torrent(add).unwrap();
    until(|| handle.status().is_seeding);
    let path = state.join(format!("torrents/{}.resume", handle.info_hash()));
    until(|| {
        let record = fs::read(&path)
            .ok()
            .and_then(|it| ResumeData::decode(&it).ok());
        let have = record.and_then(|it| it.have(30));
        have.is_some_and(|have| have.is_full())
    });
    handle
}

/// Opens a folder as a killed process left it, and asserts that the torrent is
/// whole in `folder` without a check.
fn assert_whole(state: &Path, payload: &Payload, folder: &Path) {
    for _ in 0..2 {
        let node = start(state);
        let handle = node.session.torrents().remove(0);
        until(|| handle.status().is_seeding);
        assert_eq!(*handle.save_path(), folder);
        assert!(!node.has_seen(kind::FASTRESUME_REJECTED));
        // The record's sample is hashed, and nothing else.
        assert!(hashed(&node) < 40);
        until(|| places(state, &handle).is_none());
        stop(&node);
    }
    payload.assert_at(folder);
}

#[test]
fn metadata_that_comes_during_a_move_counts_where_it_leads() {
    let (state, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (old, new) = (data.path().join("old"), data.path().join("new"));
    let payload = Payload::of_two_files(52);
    payload.write(&new);
    // The move is written down only once the metadata is here.
    let (go_on, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let faults = StateFaults::new(move |op, path| {
        if op == FileOp::Create && path.to_string_lossy().ends_with(".places.tmp") {
            let _ = held.lock().unwrap().recv();
        }
        Ok(())
    });
    let node = begin_with(state.path(), faults);
    until(|| node.session.is_restored());
    let file = payload.torrent(None);
    let info = Metainfo::parse(&file).unwrap().info;
    let handle = node
        .session
        .add_torrent(AddTorrent::from_info_hash(info.hash(), &old))
        .unwrap();
    handle.move_storage(&new, MoveMode::FailIfExist).unwrap();
    handle.set_metadata(&info.raw).unwrap();
    assert!(!handle.status().has_metadata);
    drop(go_on);
    until(|| handle.status().is_seeding);
    assert_eq!(*handle.save_path(), new);
    assert!(!old.exists());
    stop(&node);
}

#[test]
fn a_move_that_was_cut_short_is_dropped_or_finished() {
    let (state, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (old, new) = (data.path().join("old"), data.path().join("new"));
    let payload = Payload::of_two_files(51);
    let (node, copies) = watched(state.path());
    let handle = seeding(&node, state.path(), &payload, &old);
    wait(handle.move_storage_now(&new, MoveMode::FailIfExist)).unwrap();
    // Answered: it holds.
    let answered = killed(state.path());
    until(|| places(state.path(), &handle).is_none());
    stop(&node);
    let begun = copies.lock().unwrap().remove(0);
    let copy = || killed(begun.path());
    assert!(places(begun.path(), &handle).unwrap().change.is_some());
    assert_whole(answered.path(), &payload, &new);

    // Everything was moved.
    assert_whole(copy().path(), &payload, &new);
    // One of the files; and the new disk is not there at first.
    fs::create_dir_all(old.join("payload")).unwrap();
    let [at_old, at_new] = [&old, &new].map(|it| it.join("payload/a.bin"));
    fs::rename(&at_new, &at_old).unwrap();
    let away = data.path().join("away");
    fs::rename(&new, &away).unwrap();
    let half = copy();
    let mut node = start(half.path());
    let handle = node.session.torrents().remove(0);
    node.wait(kind::FILE_ERROR);
    assert!(handle.status().error.contains(&new.display().to_string()));
    let refused = wait(handle.move_storage_now(data.path(), MoveMode::default()));
    refused.unwrap_err();
    assert!(!new.exists());
    fs::rename(&away, &new).unwrap();
    until(|| handle.status().is_seeding);
    assert_eq!(*handle.save_path(), new);
    stop(&node);
    assert_whole(half.path(), &payload, &new);
    // None of them: it has not begun.
    fs::rename(new.join("payload"), old.join("payload")).unwrap();
    assert_whole(copy().path(), &payload, &old);
}

/// Blocks that the session has hashed on disk, of the 59 that there are.
fn hashed(node: &Node) -> i64 {
    let stats = node.session.stats();
    let name = "disk.num_blocks_hashed";
    let found = stats.iter().find(|(known, _)| *known == name);
    match found {
        Some((_, Value::Int(count))) => *count,
        other => panic!("{other:?}"),
    }
}

/// As a process leaves them that is killed after its last copy, or while it
/// deletes what it has copied.
#[test]
fn copies_of_a_move_that_was_cut_short_are_recognised() {
    let (state, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (old, new) = (data.path().join("old"), data.path().join("new"));
    let payload = Payload::of_two_files(54);
    let (node, copies) = watched(state.path());
    let handle = seeding(&node, state.path(), &payload, &old);
    wait(handle.move_storage_now(&new, MoveMode::FailIfExist)).unwrap();
    until(|| places(state.path(), &handle).is_none());
    stop(&node);
    let begun = copies.lock().unwrap().remove(0);
    let bring_back = |name: &str| {
        let [from, to] = [&new, &old].map(|it| it.join("payload").join(name));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(&from, &to).unwrap();
        let time = fs::metadata(&from).unwrap().modified().unwrap();
        let file = fs::File::options().write(true).open(&to).unwrap();
        file.set_modified(time).unwrap();
    };
    let half = format!("payload/.{}.moving0.0", handle.info_hash());
    let half = new.join(half);
    for left in [&["a.bin", "b.bin"][..], &["b.bin"], &[]] {
        left.iter().for_each(|name| bring_back(name));
        fs::write(&half, b"half a copy").unwrap();
        assert_whole(killed(begun.path()).path(), &payload, &new);
        assert!(!old.join("payload").exists() && !half.exists());
    }
    // No copy was whole yet.
    fs::create_dir_all(&old).unwrap();
    fs::rename(new.join("payload"), old.join("payload")).unwrap();
    fs::create_dir_all(half.parent().unwrap()).unwrap();
    fs::write(&half, b"half a copy").unwrap();
    assert_whole(killed(begun.path()).path(), &payload, &old);
    assert!(!half.exists());
    // Something else that is there now is taken for what it is.
    fs::create_dir_all(new.join("payload")).unwrap();
    fs::write(new.join("payload/a.bin"), b"somebody's").unwrap();
    let copy = killed(begun.path());
    let node = start(copy.path());
    let handle = node.session.torrents().remove(0);
    until(|| handle.status().is_seeding);
    assert_eq!(*handle.save_path(), old);
    stop(&node);
    let other = fs::read(new.join("payload/a.bin")).unwrap();
    assert_eq!(other, b"somebody's");
}

#[test]
fn a_rename_that_was_cut_short_is_found_and_answers_hold() {
    let (state, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let payload = Payload::of_two_files(52);
    let (node, copies) = watched(state.path());
    let handle = seeding(&node, state.path(), &payload, data.path());
    let [one, two] = [0, 1].map(FileIndex);
    // At once, one after the other.
    handle.rename_file(one, "other/one.bin").unwrap();
    wait(handle.rename_file_now(two, "two.bin")).unwrap();
    let answered = killed(state.path());
    stop(&node);
    let name = |handle: &TorrentHandle, file| handle.file_path(file).unwrap();
    let names = |state: &Path| {
        let node = start(state);
        let handle = node.session.torrents().remove(0);
        until(|| handle.status().is_seeding);
        assert!(!node.has_seen(kind::FASTRESUME_REJECTED));
        let names = [one, two].map(|file| name(&handle, file));
        stop(&node);
        names
    };
    assert_eq!(names(answered.path()), ["other/one.bin", "two.bin"]);
    let copies = copies.lock().unwrap();
    let [.., begun] = &copies[..] else { panic!() };
    assert!(places(begun.path(), &handle).unwrap().change.is_some());
    assert_eq!(
        names(killed(begun.path()).path()),
        ["other/one.bin", "two.bin"]
    );
    let [old, new] = ["payload/b.bin", "two.bin"].map(|it| data.path().join(it));
    fs::create_dir_all(data.path().join("payload")).unwrap();
    fs::rename(new, old).unwrap();
    let other = ["other/one.bin", "payload/b.bin"];
    assert_eq!(names(killed(begun.path()).path()), other);
}

#[test]
fn pause_and_priorities_are_saved_soon() {
    let (state, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let payload = Payload::of_two_files(53);
    let node = start(state.path());
    let handle = seeding(&node, state.path(), &payload, data.path());
    handle.pause().unwrap();
    handle.set_file_priority(FileIndex(1), 7).unwrap();
    until(|| {
        let path = state
            .path()
            .join(format!("torrents/{}.resume", handle.info_hash()));
        let Ok(record) = fs::read(path) else {
            return false;
        };
        let record = ResumeData::decode(&record).unwrap();
        let claims = record.have(30).is_some_and(|have| have.is_full());
        assert!(claims, "what was durable stays so");
        record.flags.paused == Some(true) && record.file_priorities == [4, 7]
    });
    stop(&node);
}
