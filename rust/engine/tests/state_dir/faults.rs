//! The state directory fails: what was to be saved is saved when it works
//! again, and a process that is killed then has lost nothing.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use torrent_engine::core::move_journal::MoveJournal;
use torrent_engine::core::resume::ResumeData;
use torrent_engine::core::value::Value;
use torrent_engine::event::{Event, kind};
use torrent_engine::session::AddTorrent;
use torrent_engine::state_dir::{FileOp, StateFaults};
use torrent_engine::torrent::handle::TorrentHandle;

use super::support::{Node, Payload, until, wait};
use super::{begin_with, start, stop};

/// Makes operations of one kind fail as long as it is on.
#[derive(Clone)]
struct Switch(Arc<AtomicBool>);

impl Switch {
    fn set(&self, on: bool) {
        self.0.store(on, Ordering::SeqCst);
    }
}

/// Every `op` on a path that `of` names fails with `error` while the switch is
/// on, as it is at first.
fn failing(
    op: FileOp,
    error: io::ErrorKind,
    of: impl Fn(&str) -> bool + Send + Sync + 'static,
) -> (Switch, StateFaults) {
    let switch = Switch(Arc::new(AtomicBool::new(true)));
    let on = Arc::clone(&switch.0);
    let faults = StateFaults::new(move |struck, path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match struck == op && of(&name) && on.load(Ordering::SeqCst) {
            true => Err(error.into()),
            false => Ok(()),
        }
    });
    (switch, faults)
}

/// As the folder is at this moment: what a process that is killed leaves.
pub(super) fn killed(state: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    fs::create_dir(copy.path().join("torrents")).unwrap();
    for below in ["", "torrents"] {
        for entry in fs::read_dir(state.join(below)).unwrap() {
            let path = entry.unwrap().path();
            let to = copy.path().join(below).join(path.file_name().unwrap());
            // What goes at this moment may be gone.
            if path.is_file() {
                let _ = fs::copy(&path, to);
            }
        }
    }
    copy
}

fn record(state: &Path, handle: &TorrentHandle) -> Option<ResumeData> {
    let name = format!("torrents/{}.resume", handle.info_hash());
    ResumeData::decode(&fs::read(state.join(name)).ok()?).ok()
}

fn pieces(state: &Path, handle: &TorrentHandle) -> u32 {
    let record = record(state, handle);
    let have = record.and_then(|record| record.have(30));
    have.map_or(0, |have| have.count())
}

fn fetch(node: &Node, payload: &Payload, folder: &Path, seed: &Node) -> TorrentHandle {
    let add = AddTorrent::from_data(&payload.torrent(None), folder).unwrap();
    let handle = node.session.add_torrent(add).unwrap();
    handle.connect_peer(seed.endpoint()).unwrap();
    until(|| handle.status().is_seeding);
    handle
}

#[test]
fn progress_that_could_not_be_saved_is_saved_when_there_is_room_again() {
    for op in [FileOp::Create, FileOp::Write, FileOp::Sync, FileOp::Rename] {
        let (state, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let payload = Payload::of_two_files(31);
        let seed = Node::new();
        seed.seed(&payload);
        let full = io::ErrorKind::StorageFull;
        let (switch, faults) = failing(op, full, |name| name.contains(".resume"));
        let mut node = begin_with(state.path(), faults);
        let handle = fetch(&node, &payload, data.path(), &seed);
        // It says so, once.
        let failed = node.wait(kind::FILE_ERROR);
        assert!(matches!(failed.body.error(), Some(error)
            if error.context() == state.path().display().to_string()));
        assert_eq!(
            failed.torrent.as_ref().map(|it| it.info_hash()),
            Some(handle.info_hash())
        );
        assert_eq!(pieces(state.path(), &handle), 0);
        assert!(handle.status().error.is_empty(), "it goes on");
        switch.set(false);
        until(|| pieces(state.path(), &handle) == 30);
        node.wait(kind::SAVE_RESUME_DATA);
        let copy = killed(state.path());
        stop(&node);
        let node = start(copy.path());
        let again = node.session.find_torrent(handle.info_hash()).unwrap();
        until(|| again.status().is_seeding);
        assert!(!node.has_seen(kind::FASTRESUME_REJECTED));
        stop(&node);
    }
}

#[test]
fn what_cannot_be_saved_is_said_once_however_often_it_is_tried() {
    let (state, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let payload = Payload::of_two_files(39);
    payload.write(data.path());
    let attempts = Arc::new(AtomicUsize::new(0));
    let (works, seen) = (Switch(Arc::default()), Arc::clone(&attempts));
    let on = Arc::clone(&works.0);
    let faults = StateFaults::new(move |op, path| {
        let is_record = op == FileOp::Create && path.to_string_lossy().contains(".resume");
        match is_record && !on.load(Ordering::SeqCst) {
            true => {
                seen.fetch_add(1, Ordering::SeqCst);
                Err(io::ErrorKind::StorageFull.into())
            }
            false => Ok(()),
        }
    });
    let mut node = begin_with(state.path(), faults);
    let add = AddTorrent::from_data(&payload.torrent(None), data.path()).unwrap();
    let handle = node.session.add_torrent(add).unwrap();
    until(|| attempts.load(Ordering::SeqCst) >= 3);
    works.set(true);
    until(|| pieces(state.path(), &handle) == 30);
    node.wait(kind::SAVE_RESUME_DATA);
    stop(&node);
    let events = node.drain();
    let said = events
        .iter()
        .filter(|event| event.kind() == kind::FILE_ERROR);
    assert_eq!(said.count(), 1);
    let saved = |event: &&Event| event.kind() == kind::SAVE_RESUME_DATA;
    assert_eq!(events.iter().filter(saved).count(), 0, "one was waited for");
}

#[test]
fn what_a_torrent_is_and_the_session_are_saved_when_there_is_room_again() {
    let (state, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let payload = Payload::of_two_files(32);
    payload.write(data.path());
    let (switch, faults) = failing(FileOp::Write, io::ErrorKind::StorageFull, |_| true);
    let mut node = begin_with(state.path(), faults);
    let add = AddTorrent::from_data(&payload.torrent(None), data.path()).unwrap();
    let handle = node.session.add_torrent(add).unwrap();
    let limit = Value::Int(55);
    node.session
        .apply_settings([("connections_limit", &limit)])
        .unwrap();
    // Of the torrent and of the session.
    node.wait_where(kind::FILE_ERROR, |event| event.torrent.is_some());
    node.wait_where(kind::FILE_ERROR, |event| event.torrent.is_none());
    until(|| handle.status().is_seeding);
    assert_eq!(
        fs::read_dir(state.path().join("torrents")).unwrap().count(),
        0
    );
    switch.set(false);
    until(|| pieces(state.path(), &handle) == 30 && state.path().join("session.state").exists());
    let copy = killed(state.path());
    stop(&node);
    let node = start(copy.path());
    assert_eq!(node.session.settings().connections_limit, 55);
    let again = node.session.find_torrent(handle.info_hash()).unwrap();
    assert!(again.metainfo().is_some());
    until(|| again.status().is_seeding);
    stop(&node);
}

#[test]
fn a_removal_that_failed_is_done_later_and_brings_nothing_back_meanwhile() {
    let (state, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let [one, two] = [33, 35].map(Payload::of_two_files);
    one.write(data.path());
    let denied = io::ErrorKind::PermissionDenied;
    let (switch, faults) = failing(FileOp::Remove, denied, |name| name.ends_with(".torrent"));
    let mut node = begin_with(state.path(), faults.clone());
    let add = |node: &Node, payload: &Payload| {
        // Each has a place of its own.
        let place = match std::ptr::eq(payload, &two) {
            true => data.path().join("two"),
            false => data.path().to_owned(),
        };
        let add = AddTorrent::from_data(&payload.torrent(None), place).unwrap();
        node.session.add_torrent(add).unwrap()
    };
    let first = add(&node, &one);
    let second = add(&node, &two);
    until(|| first.status().is_seeding);
    until(|| pieces(state.path(), &first) == 30 && record(state.path(), &second).is_some());
    node.session.remove_torrent(&first, false).unwrap();
    node.wait(kind::TORRENT_REMOVED);
    node.wait(kind::FILE_ERROR);
    let copy = killed(state.path());
    stop(&node);

    // What cannot be deleted is no affair of the others.
    let mut node = begin_with(copy.path(), faults);
    until(|| node.session.is_restored());
    node.wait(kind::FILE_ERROR);
    let torrents = node.session.torrents();
    assert_eq!(torrents.len(), 1);
    assert_eq!(torrents[0].info_hash(), second.info_hash());
    // It may be added again meanwhile, and then it stays.
    let again = add(&node, &one);
    switch.set(false);
    until(|| record(copy.path(), &again).is_some());
    until(|| {
        !copy
            .path()
            .join(format!("torrents/{}.removed", again.info_hash()))
            .exists()
    });
    let later = killed(copy.path());
    stop(&node);
    let node = start(later.path());
    assert_eq!(node.session.torrents().len(), 2);
    stop(&node);
}

#[test]
fn a_damaged_torrent_file_is_made_anew() {
    let (state, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let payload = Payload::of_two_files(36);
    payload.write(data.path());
    let node = start(state.path());
    let torrent = payload.torrent(Some("http://127.0.0.1:9/announce"));
    let add = AddTorrent::from_data(&torrent, data.path()).unwrap();
    let handle = node.session.add_torrent(add).unwrap();
    until(|| handle.status().is_seeding);
    until(|| pieces(state.path(), &handle) == 30);
    stop(&node);
    let path = state
        .path()
        .join(format!("torrents/{}.torrent", handle.info_hash()));
    let whole = fs::read(&path).unwrap();
    let damages: [&dyn Fn(); 3] = [
        &|| fs::write(&path, &whole[..whole.len() / 2]).unwrap(),
        &|| fs::remove_file(&path).unwrap(),
        &|| {
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
        },
    ];
    for damage in damages {
        damage();
        let node = start(state.path());
        let again = node.session.find_torrent(handle.info_hash()).unwrap();
        assert!(again.metainfo().is_some(), "it is no bare link");
        until(|| again.status().is_seeding);
        assert_eq!(again.trackers().len(), 1);
        until(|| fs::read(&path).is_ok());
        stop(&node);
    }
}

#[cfg(unix)]
#[test]
fn what_is_no_file_keeps_no_torrent_away() {
    let (state, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let payload = Payload::of_two_files(37);
    payload.write(data.path());
    let node = start(state.path());
    let add = AddTorrent::from_data(&payload.torrent(None), data.path()).unwrap();
    let handle = node.session.add_torrent(add).unwrap();
    until(|| handle.status().is_seeding && pieces(state.path(), &handle) == 30);
    stop(&node);
    let at = |hash: &str, suffix: &str| state.path().join(format!("torrents/{hash}.{suffix}"));
    let mine = handle.info_hash().to_string();
    let (pipe, link, folder) = ("1".repeat(40), "2".repeat(40), "3".repeat(40));
    for path in [
        at(&pipe, "resume"),
        at(&mine, "magnet"),
        at(&mine, "resume.tmp"),
    ] {
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
    }
    let target = data.path().join("target");
    fs::write(&target, b"mine").unwrap();
    std::os::unix::fs::symlink(&target, at(&link, "resume")).unwrap();
    fs::create_dir_all(at(&folder, "added").join("below")).unwrap();
    // A removal that was cut short, of which something stays.
    fs::create_dir_all(at(&folder, "removed").join("below")).unwrap();
    let mut node = start(state.path());
    for hash in [&pipe, &link] {
        let path = at(hash, "resume").display().to_string();
        let complaint = node.wait_where(
            kind::FILE_ERROR,
            |event| matches!(event.body.error(), Some(error) if error.context() == path),
        );
        assert!(matches!(complaint.body.error(), Some(error)
            if error.message().contains("not a regular file")));
    }
    let torrents = node.session.torrents();
    assert_eq!(torrents.len(), 1);
    until(|| torrents[0].status().is_seeding);
    torrents[0].set_max_uploads(9).unwrap();
    let limit = || record(state.path(), &torrents[0]).and_then(|record| record.max_uploads);
    until(|| limit() == Some(9));
    stop(&node);
    assert!(at(&folder, "added").join("below").exists());
    assert_eq!(fs::read(&target).unwrap(), b"mine");
}

#[test]
fn a_move_is_refused_when_it_cannot_be_written_down() {
    let (state, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let payload = Payload::of_two_files(38);
    payload.write(data.path());
    let full = io::ErrorKind::StorageFull;
    let (switch, faults) = failing(FileOp::Write, full, |name| name.contains(".places"));
    let node = begin_with(state.path(), faults);
    let add = AddTorrent::from_data(&payload.torrent(None), data.path()).unwrap();
    let handle = node.session.add_torrent(add).unwrap();
    until(|| handle.status().is_seeding && pieces(state.path(), &handle) == 30);
    let to = tempfile::tempdir().unwrap();
    wait(handle.move_storage_now(to.path(), Default::default())).unwrap_err();
    wait(handle.rename_file_now(torrent_engine::core::ids::FileIndex(0), "x")).unwrap_err();
    payload.assert_at(data.path());
    let copy = killed(state.path());
    let again = start(copy.path());
    let back = again.session.find_torrent(handle.info_hash()).unwrap();
    assert_eq!(*back.save_path(), data.path());
    until(|| back.status().is_seeding);
    stop(&again);
    switch.set(false);
    wait(handle.move_storage_now(to.path(), Default::default())).unwrap();
    payload.assert_at(to.path());
    // Whatever is written by now says where it is.
    let copy = killed(state.path());
    stop(&node);
    let node = start(copy.path());
    let back = node.session.find_torrent(handle.info_hash()).unwrap();
    assert_eq!(*back.save_path(), to.path());
    until(|| back.status().is_seeding);
    assert!(!node.has_seen(kind::FASTRESUME_REJECTED));
    stop(&node);
}

/// What stands beside a record of where the files are, if anything does.
pub(super) fn places(state: &Path, handle: &TorrentHandle) -> Option<MoveJournal> {
    let name = format!("torrents/{}.places", handle.info_hash());
    MoveJournal::decode(&fs::read(state.join(name)).ok()?).ok()
}
