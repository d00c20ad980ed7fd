//! A torrent is removed with its files while a move of them is not finished: what is at
//! the new place already goes too.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};

use tempfile::TempDir;
use torrent_engine::core::ids::InfoHash;
use torrent_engine::event::kind;
use torrent_engine::state_dir::{FileOp, StateFaults};
use torrent_engine::torrent::handle::storage::{Deletion, MoveMode};

use super::faults::killed;
use super::removal::{is_tombstone, seeding};
use super::support::{LIMIT, Payload, until, wait};
use super::{begin_with, start, stop};

/// A state directory and files as a process leaves them that is killed in the middle
/// of a move: the first file is at the new place alone, of the second there is a copy.
fn half_moved(payload: &Payload, old: &Path, new: &Path) -> (TempDir, InfoHash) {
    let state = tempfile::tempdir().unwrap();
    let (taken, copies) = mpsc::channel();
    let folder = state.path().to_owned();
    let faults = StateFaults::new(move |op, path| {
        let is_places = path.to_string_lossy().ends_with(".places.tmp");
        if op == FileOp::Create && is_places && path.with_extension("").exists() {
            let _ = taken.send(killed(&folder));
        }
        Ok(())
    });
    let node = begin_with(state.path(), faults);
    let handle = seeding(&node, state.path(), payload, old);
    wait(handle.move_storage_now(new, MoveMode::FailIfExist)).unwrap();
    let begun = copies.recv_timeout(LIMIT).unwrap();
    stop(&node);
    let [from, to] = [new, old].map(|it| it.join("payload/b.bin"));
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(&from, &to).unwrap();
    let time = fs::metadata(&from).unwrap().modified().unwrap();
    let file = fs::File::options().write(true).open(&to).unwrap();
    file.set_modified(time).unwrap();
    (begun, handle.info_hash())
}

#[test]
fn a_removal_takes_along_what_an_unfinished_move_has_carried() {
    for is_killed in [false, true] {
        let data = tempfile::tempdir().unwrap();
        let (old, new) = (data.path().join("old"), data.path().join("new"));
        let away = data.path().join("away");
        let payload = Payload::of_two_files(74);
        let (state, info_hash) = half_moved(&payload, &old, &new);
        fs::write(new.join("payload/mine"), b"mine").unwrap();
        // The move cannot be finished: its new disk is not there.
        fs::rename(&new, &away).unwrap();
        let (reached, deleted) = mpsc::channel();
        let (go_on, gate) = mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let tombstones = AtomicUsize::new(0);
        let faults = StateFaults::new(move |op, path| {
            if is_killed && is_tombstone(op, path) && tombstones.fetch_add(1, Ordering::SeqCst) == 1
            {
                let _ = reached.send(());
                // The other end is dropped.
                let _ = gate.lock().unwrap().recv();
            }
            Ok(())
        });
        let mut node = begin_with(state.path(), faults);
        until(|| node.session.is_restored());
        let handle = node.session.find_torrent(info_hash).unwrap();
        until(|| !handle.status().error.is_empty());
        node.drain();
        fs::rename(&away, &new).unwrap();
        node.session
            .remove_torrent(&handle, Deletion::Files)
            .unwrap();
        if is_killed {
            deleted.recv_timeout(LIMIT).unwrap();
            let copy = killed(state.path());
            drop(go_on);
            stop(&node);
            // As if nothing had been deleted there yet; and a file in the old place
            // that is not the torrent's.
            payload.write(&new);
            fs::create_dir_all(&old).unwrap();
            let mut node = start(copy.path());
            node.wait(kind::TORRENT_DELETED);
            stop(&node);
        } else {
            node.wait(kind::TORRENT_DELETED);
            stop(&node);
        }
        assert!(!old.join("payload").exists());
        assert!(!new.join("payload/a.bin").exists());
        assert!(!new.join("payload/b.bin").exists());
        assert!(new.join("payload/mine").exists());
    }
}

#[test]
fn what_an_unfinished_move_has_not_carried_stays() {
    let data = tempfile::tempdir().unwrap();
    let (old, new) = (data.path().join("old"), data.path().join("new"));
    let away = data.path().join("away");
    let payload = Payload::of_two_files(76);
    let (state, info_hash) = half_moved(&payload, &old, &new);
    // Something else is there by now.
    fs::write(new.join("payload/b.bin"), b"mine").unwrap();
    fs::rename(&new, &away).unwrap();
    let mut node = start(state.path());
    let handle = node.session.find_torrent(info_hash).unwrap();
    until(|| !handle.status().error.is_empty());
    // The new disk is still not there: it is said.
    node.session
        .remove_torrent(&handle, Deletion::Files)
        .unwrap();
    node.wait(kind::TORRENT_DELETE_FAILED);
    stop(&node);
    fs::rename(&away, &new).unwrap();
    assert_eq!(fs::read(new.join("payload/b.bin")).unwrap(), b"mine");
    assert!(!old.join("payload").exists());
}

/// Whether what was cut short is being finished by then, or has not begun.
#[test]
fn a_removal_right_after_a_start_takes_along_what_had_been_carried() {
    let data = tempfile::tempdir().unwrap();
    let (old, new) = (data.path().join("old"), data.path().join("new"));
    let payload = Payload::of_two_files(78);
    let (begun, info_hash) = half_moved(&payload, &old, &new);
    for _ in 0..5 {
        payload.write(&new);
        let state = killed(begun.path());
        let mut node = begin_with(state.path(), StateFaults::default());
        until(|| node.session.find_torrent(info_hash).is_some());
        let handle = node.session.find_torrent(info_hash).unwrap();
        node.session
            .remove_torrent(&handle, Deletion::Files)
            .unwrap();
        node.wait(kind::TORRENT_DELETED);
        stop(&node);
        let left = [&old, &new].map(|folder| folder.join("payload").exists());
        assert_eq!(left, [false; 2]);
    }
}
