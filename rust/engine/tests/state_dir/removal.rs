//! A process is killed while it deletes the files of a torrent: the torrent does
//! not come back, and the next session deletes the rest.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};

use tempfile::TempDir;
use torrent_engine::core::ids::{FileIndex, InfoHash};
use torrent_engine::core::removal_journal::RemovalJournal;
use torrent_engine::event::kind;
use torrent_engine::session::AddTorrent;
use torrent_engine::state_dir::{FileOp, StateFaults};
use torrent_engine::torrent::handle::TorrentHandle;
use torrent_engine::torrent::handle::storage::Deletion;

use super::faults::killed;
use super::reading::failing_first;
use super::support::{LIMIT, Node, Payload, until, wait};
use super::{begin_with, start, stop};

/// What a process that was killed has left.
struct Left {
    state: TempDir,
    data: TempDir,
    payload: Payload,
    info_hash: InfoHash,
}

pub(super) fn is_tombstone(op: FileOp, path: &Path) -> bool {
    op == FileOp::Create && path.to_string_lossy().ends_with(".removed.tmp")
}

/// Adds a torrent whose files are there, and waits until it is saved.
pub(super) fn seeding(
    node: &Node,
    state: &Path,
    payload: &Payload,
    folder: &Path,
) -> TorrentHandle {
    payload.write(folder);
    let add = AddTorrent::from_data(&payload.torrent(None), folder).unwrap();
    let handle = node.session.add_torrent(add).unwrap();
    until(|| handle.status().is_seeding && !handle.need_save_resume_data());
    let record = state.join(format!("torrents/{}.resume", handle.info_hash()));
    until(|| record.exists());
    handle
}

impl Left {
    /// Of a torrent whose first file is deleted, and its second is not.
    fn new(seed: u32) -> Self {
        Self::after(seed, |_, _| {})
    }

    /// The same, where something else was done with the torrent before.
    fn after(seed: u32, first: impl FnOnce(&TorrentHandle, &Path)) -> Self {
        let (state, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let payload = Payload::of_two_files(seed);
        // It is killed before its last step, which is to delete the records.
        let (reached, deleted) = mpsc::channel();
        let (go_on, gate) = mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let tombstones = AtomicUsize::new(0);
        let faults = StateFaults::new(move |op, path| {
            if is_tombstone(op, path) && tombstones.fetch_add(1, Ordering::SeqCst) == 1 {
                let _ = reached.send(());
                // The other end is dropped.
                let _ = gate.lock().unwrap().recv();
            }
            Ok(())
        });
        let node = begin_with(state.path(), faults);
        let handle = seeding(&node, state.path(), &payload, data.path());
        first(&handle, state.path());
        let names: Vec<_> = (0..2u32)
            .map(|file| handle.file_path(FileIndex(file)))
            .map(|name| data.path().join(name.unwrap()))
            .collect();
        node.session
            .remove_torrent(&handle, Deletion::Files)
            .unwrap();
        deleted.recv_timeout(LIMIT).unwrap();
        assert!(names.iter().all(|name| !name.exists()));
        let copy = killed(state.path());
        drop(go_on);
        stop(&node);
        // As if the second file had not been deleted yet.
        fs::create_dir_all(names[1].parent().unwrap()).unwrap();
        fs::write(&names[1], &payload.files[1].1).unwrap();
        fs::write(data.path().join("mine"), b"mine").unwrap();
        Self {
            state: copy,
            info_hash: handle.info_hash(),
            data,
            payload,
        }
    }

    fn rest(&self) -> PathBuf {
        self.data.path().join("payload/b.bin")
    }

    fn tombstone(&self) -> PathBuf {
        let name = format!("torrents/{}.removed", self.info_hash);
        self.state.path().join(name)
    }

    fn records(&self) -> usize {
        fs::read_dir(self.state.path().join("torrents"))
            .unwrap()
            .count()
    }

    /// The next session deletes the rest, and shows no torrent.
    fn finish(&self) {
        let mut node = start(self.state.path());
        let deleted = node.wait(kind::TORRENT_DELETED);
        let torrent = deleted.torrent.unwrap();
        assert_eq!(torrent.info_hash(), self.info_hash);
        until(|| self.records() == 0);
        assert!(node.session.torrents().is_empty());
        assert!(!node.has_seen(kind::ADD_TORRENT));
        stop(&node);
        self.assert_gone();
    }

    /// Nothing of the torrent is left, and what is not the torrent's is.
    fn assert_gone(&self) {
        assert!(!self.rest().exists());
        assert!(self.data.path().join("mine").exists());
        assert_eq!(self.records(), 0);
        let node = start(self.state.path());
        assert!(node.session.torrents().is_empty());
        stop(&node);
    }
}

#[test]
fn the_next_session_deletes_the_rest() {
    let left = Left::new(61);
    let other = left.data.path().join("payload/mine");
    fs::write(&other, b"mine").unwrap();
    left.finish();
    assert!(other.exists());
}

#[test]
fn the_rest_is_deleted_by_its_name() {
    let left = Left::after(62, |handle, _| {
        let file = FileIndex(1);
        wait(handle.rename_file_now(file, "other/two.bin")).unwrap();
    });
    let rest = left.data.path().join("other/two.bin");
    assert!(rest.exists());
    // A file in the place that it had before is none of the torrent's.
    fs::create_dir_all(left.rest().parent().unwrap()).unwrap();
    fs::write(left.rest(), b"mine").unwrap();
    let mut node = start(left.state.path());
    node.wait(kind::TORRENT_DELETED);
    stop(&node);
    assert!(!rest.exists());
    assert_eq!(fs::read(left.rest()).unwrap(), b"mine");
}

#[test]
fn the_rest_waits_for_its_disk() {
    let left = Left::new(63);
    let away = left.data.path().with_extension("away");
    fs::rename(left.data.path(), &away).unwrap();
    let mut node = start(left.state.path());
    node.wait(kind::TORRENT_DELETE_FAILED);
    stop(&node);
    assert!(left.records() > 1);
    // In the session after that it is there later.
    let mut node = start(left.state.path());
    node.wait(kind::TORRENT_DELETE_FAILED);
    assert!(node.session.torrents().is_empty());
    fs::rename(&away, left.data.path()).unwrap();
    node.wait(kind::TORRENT_DELETED);
    assert!(
        !node.has_seen(kind::TORRENT_DELETE_FAILED),
        "it is said once"
    );
    stop(&node);
    left.assert_gone();
}

#[test]
fn a_torrent_that_is_added_again_keeps_the_rest() {
    for is_early in [true, false] {
        let left = Left::new(65);
        let away = left.data.path().with_extension("away");
        let (open, gate) = mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let faults = StateFaults::new(move |op, _| {
            if op == FileOp::List {
                // The torrents are read when the gate opens: the other end is dropped.
                let _ = gate.lock().unwrap().recv();
            }
            Ok(())
        });
        let mut node = begin_with(left.state.path(), faults);
        let mut open = Some(open);
        if !is_early {
            // What is to be deleted is out of reach for now.
            fs::rename(left.data.path(), &away).unwrap();
            open.take();
            until(|| node.session.is_restored());
            node.wait(kind::TORRENT_DELETE_FAILED);
        }
        let new = tempfile::tempdir().unwrap();
        let torrent = left.payload.torrent(None);
        let add = AddTorrent::from_data(&torrent, new.path()).unwrap();
        let handle = node.session.add_torrent(add).unwrap();
        drop(open);
        until(|| node.session.is_restored());
        until(|| !left.tombstone().exists());
        if !is_early {
            fs::rename(&away, left.data.path()).unwrap();
        }
        node.wait(kind::TORRENT_CHECKED);
        assert_eq!(*handle.save_path(), new.path());
        stop(&node);
        let node = start(left.state.path());
        let handle = node.session.find_torrent(left.info_hash).unwrap();
        assert_eq!(*handle.save_path(), new.path());
        stop(&node);
        assert!(left.rest().exists(), "{is_early}");
    }
}

#[test]
fn what_is_another_torrents_by_now_stays() {
    let left = Left::new(67);
    // Of other content, and by the same names.
    let other = Payload::of_two_files(68);
    let state = tempfile::tempdir().unwrap();
    let node = start(state.path());
    let handle = seeding(&node, state.path(), &other, left.data.path());
    stop(&node);
    for entry in fs::read_dir(state.path().join("torrents")).unwrap() {
        let path = entry.unwrap().path();
        let to = left
            .state
            .path()
            .join("torrents")
            .join(path.file_name().unwrap());
        fs::copy(&path, to).unwrap();
    }
    let mut node = start(left.state.path());
    node.wait(kind::TORRENT_DELETE_FAILED);
    let handle = node.session.find_torrent(handle.info_hash()).unwrap();
    until(|| handle.status().is_seeding);
    until(|| !left.tombstone().exists());
    stop(&node);
    other.assert_at(left.data.path());
}

/// A list from elsewhere deletes nothing that the torrent's record does not have there.
#[test]
fn a_list_that_was_tampered_with_deletes_nothing_else() {
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    fs::write(&victim, b"mine").unwrap();
    let absolute = victim.display().to_string();
    let left = Left::new(69);
    let journal = RemovalJournal::decode(&fs::read(left.tombstone()).unwrap()).unwrap();
    let begun = killed(left.state.path());
    // Below the folder, and out of it.
    let names = ["mine", "", ".", "../victim", &absolute, "payload"];
    let named = names.map(|name| {
        let mut journal = journal.clone();
        journal.files.names = vec![name.as_bytes().to_vec()];
        (journal, Some(kind::TORRENT_DELETED))
    });
    // In another folder; of a move that there was not; of another torrent.
    let [mut elsewhere, mut moved, mut other] = [(); 3].map(|()| journal.clone());
    elsewhere.files.folder = path_bytes(outside.path());
    elsewhere.files.names = vec![b"victim".to_vec()];
    moved.carried = Some(elsewhere.files.clone());
    other.info_hash = InfoHash([7; 20]);
    let failed = Some(kind::TORRENT_DELETE_FAILED);
    let tampered = [(elsewhere, failed), (moved, failed), (other, None)];
    let lists = named.into_iter().chain(tampered);
    let lists = lists.map(|(journal, end)| (journal.encode(), end));
    // Nonsense is a removal of which only records are left.
    let nonsense = [&b""[..], b"d", b"nonsense"].map(|it| (it.to_vec(), None));
    for (list, end) in lists.chain(nonsense) {
        let state = killed(begun.path());
        let name = format!("torrents/{}.removed", left.info_hash);
        fs::write(state.path().join(name), list).unwrap();
        let mut node = start(state.path());
        if let Some(end) = end {
            node.wait(end);
        }
        until(|| fs::read_dir(state.path().join("torrents")).unwrap().count() == 0);
        assert!(node.session.torrents().is_empty());
        stop(&node);
        assert!(victim.exists() && left.rest().exists());
        assert!(left.data.path().join("mine").exists());
    }
}

fn path_bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_encoded_bytes().to_vec()
}

#[test]
fn a_list_that_cannot_be_read_for_a_moment_is_read_later() {
    let left = Left::new(75);
    let (_, faults) = failing_first(FileOp::Read, ".removed", 1);
    let mut node = begin_with(left.state.path(), faults);
    node.wait(kind::FILE_ERROR);
    node.wait(kind::TORRENT_DELETED);
    assert!(node.session.torrents().is_empty());
    assert!(!node.has_seen(kind::ADD_TORRENT));
    until(|| left.records() == 0);
    stop(&node);
    left.assert_gone();
}

#[test]
fn a_file_that_cannot_be_deleted_is_tried_again() {
    let left = Left::new(77);
    // A folder is in its place.
    fs::remove_file(left.rest()).unwrap();
    fs::create_dir_all(left.rest().join("below")).unwrap();
    let mut node = start(left.state.path());
    let failed = node.wait(kind::TORRENT_DELETE_FAILED);
    assert!(matches!(failed.body.error(), Some(error)
        if error.context().contains("b.bin")));
    fs::remove_dir_all(left.rest()).unwrap();
    fs::write(left.rest(), b"the rest").unwrap();
    node.wait(kind::TORRENT_DELETED);
    assert!(!node.has_seen(kind::TORRENT_DELETE_FAILED));
    until(|| left.records() == 0);
    stop(&node);
    left.assert_gone();
}

#[test]
fn files_stay_where_it_cannot_be_written_down_that_they_go() {
    let (state, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let payload = Payload::of_two_files(71);
    let faults = StateFaults::failing(is_tombstone);
    let mut node = begin_with(state.path(), faults);
    let handle = seeding(&node, state.path(), &payload, data.path());
    node.session
        .remove_torrent(&handle, Deletion::Files)
        .unwrap();
    let failed = node.wait(kind::TORRENT_DELETE_FAILED);
    assert!(matches!(failed.body.error(), Some(error)
        if error.context() == state.path().display().to_string()));
    node.wait(kind::TORRENT_REMOVED);
    payload.assert_at(data.path());
    let copy = killed(state.path());
    stop(&node);
    // It comes back whole.
    let node = start(copy.path());
    let handle = node.session.find_torrent(handle.info_hash()).unwrap();
    until(|| handle.status().is_seeding);
    stop(&node);
}

#[test]
fn on_a_full_disk_records_go_first_and_files_all_the_same() {
    let (state, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let payload = Payload::of_two_files(72);
    let faults = StateFaults::new(|op, path| match is_tombstone(op, path) {
        true => Err(io::ErrorKind::StorageFull.into()),
        false => Ok(()),
    });
    let mut node = begin_with(state.path(), faults);
    let handle = seeding(&node, state.path(), &payload, data.path());
    node.session
        .remove_torrent(&handle, Deletion::Files)
        .unwrap();
    node.wait(kind::TORRENT_DELETED);
    node.wait(kind::TORRENT_REMOVED);
    stop(&node);
    assert!(!data.path().join("payload").exists());
    let node = start(state.path());
    assert!(node.session.torrents().is_empty());
    stop(&node);
}

#[test]
fn a_torrent_that_is_removed_while_it_cannot_be_read_does_not_come_back() {
    for delete in [Deletion::Nothing, Deletion::Files] {
        let (state, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let payload = Payload::of_two_files(73);
        let node = start(state.path());
        let handle = seeding(&node, state.path(), &payload, data.path());
        let name = format!("{}.resume", handle.info_hash());
        stop(&node);
        let (reached, read) = mpsc::channel();
        let reached = Mutex::new(reached);
        let faults = StateFaults::failing(move |op, path| {
            let is_it = op == FileOp::Read && path.ends_with(&name);
            if is_it {
                let _ = reached.lock().unwrap().send(());
            }
            is_it
        });
        let mut node = begin_with(state.path(), faults);
        let add = AddTorrent::from_data(&payload.torrent(None), data.path()).unwrap();
        let handle = node.session.add_torrent(add).unwrap();
        // Both have tried: the torrent's own task, and what reads them all.
        read.recv_timeout(LIMIT).unwrap();
        node.session.remove_torrent(&handle, delete).unwrap();
        node.wait(kind::TORRENT_REMOVED);
        // It is not known where its files are.
        let failed = node.has_seen(kind::TORRENT_DELETE_FAILED);
        assert_eq!(failed, delete == Deletion::Files);
        assert!(!node.has_seen(kind::TORRENT_DELETED));
        let copy = killed(state.path());
        stop(&node);
        for state in [state.path(), copy.path()] {
            let node = start(state);
            assert!(node.session.torrents().is_empty());
            stop(&node);
        }
        payload.assert_at(data.path());
    }
}

#[test]
fn files_that_are_out_of_reach_are_not_said_to_be_deleted() {
    let (state, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let payload = Payload::of_two_files(79);
    let mut node = start(state.path());
    let handle = seeding(&node, state.path(), &payload, data.path());
    let away = data.path().with_extension("away");
    fs::rename(data.path(), &away).unwrap();
    node.session
        .remove_torrent(&handle, Deletion::Files)
        .unwrap();
    node.wait(kind::TORRENT_DELETE_FAILED);
    node.wait(kind::TORRENT_REMOVED);
    stop(&node);
    fs::rename(&away, data.path()).unwrap();
    payload.assert_at(data.path());
}

#[test]
fn a_torrent_that_is_added_again_can_be_removed_while_the_directory_fails() {
    let left = Left::new(80);
    let away = left.data.path().with_extension("away");
    fs::rename(left.data.path(), &away).unwrap();
    let faults = StateFaults::failing(is_tombstone);
    let mut node = begin_with(left.state.path(), faults);
    until(|| node.session.is_restored());
    node.wait(kind::TORRENT_DELETE_FAILED);
    let new = tempfile::tempdir().unwrap();
    let add = AddTorrent::from_data(&left.payload.torrent(None), new.path()).unwrap();
    let handle = node.session.add_torrent(add).unwrap();
    // It does not begin: what is to be deleted would be its own.
    node.wait(kind::FILE_ERROR);
    assert!(!node.has_seen(kind::TORRENT_CHECKED));
    node.session
        .remove_torrent(&handle, Deletion::Nothing)
        .unwrap();
    node.wait(kind::TORRENT_REMOVED);
    stop(&node);
    assert!(left.tombstone().exists());
    fs::rename(&away, left.data.path()).unwrap();
}
