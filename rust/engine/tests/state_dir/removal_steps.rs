//! A process is killed at each step of a removal with files. The steps: the list of
//! what goes is written (create, write, sync, rename, sync of the folder), the files go
//! one by one, and so do their folders, the list is emptied (the same five), the records
//! go one by one, the folder is synced, the list goes.
//!
//! The folders of state and of data are copied before each operation on the state
//! directory; between the two lists, what of the files is there is varied.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use torrent_engine::core::ids::InfoHash;
use torrent_engine::event::kind;
use torrent_engine::session::AddTorrent;
use torrent_engine::state_dir::{FileOp, StateFaults};
use torrent_engine::torrent::handle::TorrentHandle;
use torrent_engine::torrent::handle::storage::Deletion;

use super::faults::killed;
use super::removal::seeding;
use super::support::{Node, Payload, until};
use super::{begin_with, start, stop};

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// What a kill leaves.
struct Left {
    step: String,
    state: TempDir,
    data: Files,
}

fn read_all(folder: &Path, into: &mut Files) {
    // What goes at this moment may be gone.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => read_all(&path, into),
            false => drop(fs::read(&path).map(|data| into.insert(path, data))),
        }
    }
}

fn write_all(folder: &Path, files: &Files) {
    fs::remove_dir_all(folder).unwrap();
    fs::create_dir(folder).unwrap();
    for (path, data) in files {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, data).unwrap();
    }
}

/// What a removal of the torrent, which `prepare` has brought into some state, leaves at
/// each of its steps.
fn kills(
    state: &Path,
    data: &Path,
    prepare: impl FnOnce(&mut Node) -> TorrentHandle,
) -> (Vec<Left>, InfoHash) {
    let (watching, taken) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let faults = {
        let (watching, taken) = (Arc::clone(&watching), Arc::clone(&taken));
        let (state, data) = (state.to_owned(), data.to_owned());
        let taken: Arc<Mutex<Vec<Left>>> = taken;
        StateFaults::new(move |op, path| {
            if watching.load(Ordering::SeqCst) && op != FileOp::Read {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let mut files = Files::new();
                read_all(&data, &mut files);
                taken.lock().unwrap().push(Left {
                    step: format!("{op:?} {name}"),
                    state: killed(&state),
                    data: files,
                });
            }
            Ok(())
        })
    };
    let mut node = begin_with(state, faults);
    let handle = prepare(&mut node);
    watching.store(true, Ordering::SeqCst);
    let removed = node.session.remove_torrent(&handle, Deletion::Files);
    removed.unwrap();
    // Asked for twice, it happens once.
    let again = node.session.remove_torrent(&handle, Deletion::Files);
    assert!(again.is_err(), "it is removed");
    node.wait(kind::TORRENT_DELETED);
    node.wait(kind::TORRENT_REMOVED);
    watching.store(false, Ordering::SeqCst);
    stop(&node);
    assert!(!node.has_seen(kind::TORRENT_DELETED) && !node.has_seen(kind::TORRENT_REMOVED));
    let left = std::mem::take(&mut *taken.lock().unwrap());
    (left, handle.info_hash())
}

fn at(state: &Path, info_hash: InfoHash, suffix: &str) -> PathBuf {
    state.join(format!("torrents/{info_hash}.{suffix}"))
}

/// The records and the list, of whatever suffix.
fn records(state: &Path, info_hash: InfoHash) -> usize {
    let entries = fs::read_dir(state.join("torrents")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name());
    let own = info_hash.to_string();
    names
        .filter(|name| name.to_string_lossy().starts_with(&own))
        .count()
}

/// The next session finishes what had begun, or has the torrent as it was; and touches
/// nothing else.
fn assert_finished(left: &Left, info_hash: InfoHash, all: &Files, strangers: &Files, data: &Path) {
    write_all(data, &left.data);
    let state = killed(left.state.path());
    let tombstone = at(state.path(), info_hash, "removed");
    let is_begun = tombstone.exists();
    let has_record = ["resume", "added"].map(|suffix| at(state.path(), info_hash, suffix));
    let comes_back = !is_begun && has_record.iter().any(|path| path.exists());
    let step = &left.step;
    let node = start(state.path());
    let own = node.session.find_torrent(info_hash);
    assert_eq!(own.is_some(), comes_back, "{step}");
    let expected = match comes_back {
        true => {
            // Nothing was deleted of what comes back.
            until(|| own.as_ref().unwrap().status().is_seeding);
            all
        }
        false => {
            until(|| records(state.path(), info_hash) == 0);
            strangers
        }
    };
    let torrents = node.session.torrents();
    let other = torrents.iter().find(|it| it.info_hash() != info_hash);
    until(|| other.unwrap().status().is_seeding);
    stop(&node);
    let mut found = Files::new();
    read_all(data, &mut found);
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(expected), "{step}");
    assert!(found == *expected, "{step}: other contents");
    if !comes_back {
        assert!(!data.join("own/payload/a.bin").exists());
        let node = start(state.path());
        assert_eq!(node.session.torrents().len(), 1, "{step}");
        stop(&node);
    }
}

fn test(prepare: impl FnOnce(&mut Node, &Path, &Payload) -> TorrentHandle, seed: u32) {
    let (state, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let data = dir.path().join("data");
    let own = data.join("own");
    let [payload, other] = [seed, seed + 1].map(Payload::of_two_files);
    payload.write(&own);
    fs::write(own.join("payload/mine"), b"mine").unwrap();
    let mut all = Files::new();
    let (kills, info_hash) = kills(state.path(), &data, |node| {
        seeding(node, state.path(), &other, &data.join("other"));
        let handle = prepare(node, &own, &payload);
        read_all(&data, &mut all);
        handle
    });
    let is_own = |path: &Path| path.ends_with("a.bin") || path.ends_with("b.bin");
    let mut strangers = all.clone();
    strangers.retain(|path, _| !path.starts_with(&own) || !is_own(path));
    let steps: Vec<_> = kills.iter().map(|left| left.step.as_str()).collect();
    println!("{steps:?}");
    // Every step is among them.
    for step in ["Create", "Write", "Sync", "Rename"] {
        let of_list = |name: &&&str| name.starts_with(step) && !name.contains(".resume");
        assert!(steps.iter().filter(of_list).count() >= 2, "{step}");
    }
    for suffix in ["resume", "added", "torrent", "removed"] {
        let step = format!("Remove {info_hash}.{suffix}");
        assert!(steps.contains(&step.as_str()), "{step}");
    }
    for left in &kills {
        assert_finished(left, info_hash, &all, &strangers, &data);
        let tombstone = at(left.state.path(), info_hash, "removed");
        if fs::read(tombstone).is_ok_and(|list| !list.is_empty()) {
            // As many of its files as there may be at a kill between the lists.
            for gone in [&[][..], &["a.bin"], &["b.bin"]] {
                let mut some = all.clone();
                some.retain(|path, _| {
                    !path.starts_with(&own) || !gone.iter().any(|name| path.ends_with(name))
                });
                let left = Left {
                    step: format!("{} without {gone:?}", left.step),
                    state: killed(left.state.path()),
                    data: some,
                };
                assert_finished(&left, info_hash, &all, &strangers, &data);
            }
        }
    }
}

fn add(node: &Node, folder: &Path, payload: &Payload) -> TorrentHandle {
    let add = AddTorrent::from_data(&payload.torrent(None), folder).unwrap();
    node.session.add_torrent(add).unwrap()
}

#[test]
fn a_removal_of_a_torrent_that_seeds() {
    test(
        |node, own, payload| {
            let handle = add(node, own, payload);
            until(|| handle.status().is_seeding && !handle.need_save_resume_data());
            handle
        },
        91,
    );
}

#[test]
fn a_removal_during_a_check() {
    test(
        |node, own, payload| {
            let handle = add(node, own, payload);
            until(|| handle.status().is_seeding && !handle.need_save_resume_data());
            handle.force_recheck().unwrap();
            handle
        },
        93,
    );
}

#[test]
fn a_removal_of_a_torrent_in_error() {
    test(
        |node, own, payload| {
            let handle = add(node, own, payload);
            until(|| handle.status().is_seeding && !handle.need_save_resume_data());
            // Its folder is gone for a moment.
            let away = own.with_extension("away");
            fs::rename(own, &away).unwrap();
            handle.force_recheck().unwrap();
            until(|| !handle.status().error.is_empty());
            until(|| !handle.need_save_resume_data());
            fs::rename(&away, own).unwrap();
            handle
        },
        95,
    );
}
