//! Torrents whose bytes are in memory: all that others do, and nothing on a disk.

use std::path::Path;

use tempfile::tempdir;
use torrent_core::ids::{FileIndex, PieceIndex};
use torrent_core::resume::ResumeData;

use super::support::{LIMIT, Node, PIECE, Payload, until, wait};
use super::{faults, start};
use crate::disk::{DiskOp, Errno, Plan, StorageKind};
use crate::error::ErrorKind;
use crate::event::{EventBody, kind};
use crate::session::AddTorrent;
use crate::torrent::handle::TorrentHandle;
use crate::torrent::handle::resume::SaveFlags;
use crate::torrent::handle::storage::MoveMode;

/// More than any payload here.
const ENOUGH: u64 = 1 << 24;

/// How a torrent file or a link is added to be in memory.
fn in_memory(mut add: AddTorrent, max_bytes: u64) -> AddTorrent {
    add.storage = StorageKind::Memory { max_bytes };
    add
}

fn add_in_memory(node: &Node, payload: &Payload, max_bytes: u64) -> TorrentHandle {
    let add = AddTorrent::from_data(&payload.torrent(None), node.folder.path()).unwrap();
    node.session.add_torrent(in_memory(add, max_bytes)).unwrap()
}

/// A node that has all of a payload in memory.
fn filled(payload: &Payload) -> (Node, TorrentHandle) {
    let seed = Node::new();
    seed.seed(payload);
    let node = Node::new();
    let handle = add_in_memory(&node, payload, ENOUGH);
    handle.connect_peer(seed.endpoint()).unwrap();
    until(|| handle.status().is_seeding);
    (node, handle)
}

fn assert_empty(folder: &Path) {
    let entries = std::fs::read_dir(folder).unwrap();
    let names: Vec<_> = entries.map(|it| it.unwrap().file_name()).collect();
    assert!(names.is_empty(), "{names:?}");
}

/// Every piece is what it should be.
fn assert_reads(handle: &TorrentHandle, payload: &Payload) {
    let all: Vec<u8> = payload.files.iter().flat_map(|it| it.1.clone()).collect();
    for (piece, due) in (0..).zip(all.chunks(payload.piece_length)) {
        let read = wait(handle.read_piece_now(PieceIndex(piece))).unwrap();
        assert!(read == due, "piece {piece}");
    }
}

fn fault(node: &Node, op: DiskOp, errno: Errno) {
    faults(node).plan(Plan {
        op,
        file: None,
        errno: errno.raw_os_error(),
        after: 0,
        times: 1,
    });
}

#[test]
fn a_transfer_needs_no_disk_on_either_side() {
    let payload = Payload::of_two_files(91);
    let (seed, handle) = filled(&payload);
    assert_eq!(handle.storage(), StorageKind::Memory { max_bytes: ENOUGH });
    let leech = Node::new();
    let uri = handle.magnet_link().to_string();
    let add = AddTorrent::from_magnet(&uri, leech.folder.path()).unwrap();
    let other = leech.session.add_torrent(in_memory(add, ENOUGH)).unwrap();
    other.connect_peer(seed.endpoint()).unwrap();
    until(|| other.status().is_seeding);
    assert_reads(&other, &payload);
    assert_empty(seed.folder.path());
    assert_empty(leech.folder.path());
}

#[test]
fn a_check_finds_what_is_in_memory() {
    let payload = Payload::of_two_files(92);
    let (mut node, handle) = filled(&payload);
    node.drain();
    handle.force_recheck().unwrap();
    node.wait(kind::TORRENT_CHECKED);
    until(|| handle.status().is_seeding);
    assert_reads(&handle, &payload);
    assert_empty(node.folder.path());
}

#[test]
fn errors_are_those_of_a_disk() {
    let payload = Payload::of_two_files(93);
    let (seed, source) = filled(&payload);
    let mut node = Node::new();
    fault(&node, DiskOp::Write, Errno::NOSPC);
    let handle = add_in_memory(&node, &payload, ENOUGH);
    handle.connect_peer(seed.endpoint()).unwrap();
    let event = node.wait(kind::FILE_ERROR);
    let EventBody::FileError(error) = event.body else {
        panic!("{event:?}");
    };
    assert_eq!(error.kind(), ErrorKind::DiskFull);
    until(|| !handle.status().error.is_empty());
    handle.clear_error().unwrap();
    handle.connect_peer(seed.endpoint()).unwrap();
    until(|| handle.status().is_seeding);
    // A read that fails says nothing of the piece, which is checked again.
    node.drain();
    fault(&node, DiskOp::Read, Errno::IO);
    wait(handle.read_piece_now(PieceIndex(0))).unwrap_err();
    // The reader is answered before the torrent is in error.
    until(|| !handle.status().error.is_empty());
    handle.clear_error().unwrap();
    node.wait(kind::TORRENT_CHECKED);
    until(|| handle.status().error.is_empty() && handle.status().is_seeding);
    assert_reads(&handle, &payload);
    assert_reads(&source, &payload);
}

#[test]
fn what_does_not_fit_is_an_error_of_that_torrent() {
    let payload = Payload::of_two_files(94);
    let bytes = payload
        .files
        .iter()
        .map(|it| it.1.len() as u64)
        .sum::<u64>();
    let (seed, _source) = filled(&payload);
    let mut node = Node::new();
    let handle = add_in_memory(&node, &payload, bytes - 1);
    handle.connect_peer(seed.endpoint()).unwrap();
    let event = node.wait(kind::FILE_ERROR);
    let EventBody::FileError(error) = event.body else {
        panic!("{event:?}");
    };
    assert_eq!(error.kind(), ErrorKind::DiskFull);
    until(|| handle.status().error.contains(&(bytes - 1).to_string()));
    // With less to fetch it goes on.
    handle.prioritize_files(&[0, 4]).unwrap();
    node.wait(kind::FILE_PRIO);
    handle.clear_error().unwrap();
    handle.connect_peer(seed.endpoint()).unwrap();
    until(|| handle.status().is_finished);
}

#[test]
fn names_and_the_save_path_are_labels() {
    let payload = Payload::of_two_files(95);
    let (mut node, handle) = filled(&payload);
    let to = node.folder.path().join("never/made");
    wait(handle.move_storage_now(&to, MoveMode::default())).unwrap();
    node.wait(kind::STORAGE_MOVED);
    assert_eq!(**handle.save_path(), to);
    wait(handle.rename_file_now(FileIndex(0), "other/name.bin")).unwrap();
    node.wait(kind::FILE_RENAMED);
    assert_eq!(handle.file_path(FileIndex(0)).unwrap(), "other/name.bin");
    let taken = wait(handle.rename_file_now(FileIndex(1), "other/name.bin"));
    assert_eq!(taken.unwrap_err().kind(), ErrorKind::FileRenameFailed);
    assert_reads(&handle, &payload);
    handle.force_recheck().unwrap();
    node.wait(kind::TORRENT_CHECKED);
    until(|| handle.status().is_seeding);
    assert_empty(node.folder.path());
}

#[test]
fn nothing_is_left_after_removal() {
    let payload = Payload::of_two_files(96);
    let (mut node, mut handle) = filled(&payload);
    for delete in [false, true] {
        node.session.remove_torrent(&handle, delete).unwrap();
        node.wait(kind::TORRENT_REMOVED);
        if delete {
            node.wait(kind::TORRENT_DELETED);
        }
        node.drain();
        handle = add_in_memory(&node, &payload, ENOUGH);
        node.wait(kind::TORRENT_CHECKED);
        assert_eq!(handle.status().total_done, 0);
    }
    assert_empty(node.folder.path());
}

#[test]
fn paths_in_memory_are_in_the_way_of_none() {
    let payload = Payload::of_two_files(97);
    let (node, handle) = filled(&payload);
    // Files of the same names, with other bytes.
    let other = Payload::of_two_files(98);
    node.seed(&other);
    assert_reads(&handle, &payload);
    other.assert_at(node.folder.path());
    // Nor are files that are there taken for those in memory.
    node.session.remove_torrent(&handle, true).unwrap();
    until(|| handle.shared.lifetime.has_left());
    other.assert_at(node.folder.path());
}

#[test]
fn records_claim_nothing_of_what_is_in_memory() {
    let payload = Payload::of_two_files(99);
    let (seed, source) = filled(&payload);
    let flags = SaveFlags::SAVE_INFO_DICT;
    let data = wait(source.save_resume_data_now(flags)).unwrap();
    let record = ResumeData::decode(&data).unwrap();
    assert!(record.pieces.iter().all(|&byte| byte == 0) && record.unfinished.is_empty());
    assert!(record.total_downloaded >= 29 * PIECE as u64);
    // As files: nothing is there, and the folder is made for them.
    let node = Node::new();
    let missing = node.folder.path().join("missing");
    let mut add = AddTorrent::from_resume_data(&data).unwrap();
    add.save_path.clone_from(&missing);
    let handle = node.session.add_torrent(add).unwrap();
    handle.connect_peer(seed.endpoint()).unwrap();
    until(|| handle.status().is_seeding);
    payload.assert_at(&missing);
    // In memory: whatever a record of files claims.
    let data = wait(handle.save_resume_data_now(flags)).unwrap();
    let mut add = AddTorrent::from_resume_data(&data).unwrap();
    add.paused = true;
    let mut node = Node::new();
    let handle = node.session.add_torrent(in_memory(add, ENOUGH)).unwrap();
    node.wait(kind::TORRENT_CHECKED);
    assert!(!node.has_seen(kind::FASTRESUME_REJECTED));
    assert_eq!(
        (handle.status().total_done, handle.status().error.as_str()),
        (0, "")
    );
    handle.resume().unwrap();
    handle.connect_peer(seed.endpoint()).unwrap();
    until(|| handle.status().is_seeding);
}

#[test]
fn a_state_directory_leaves_out_what_is_in_memory() {
    let payload = Payload::of_two_files(100);
    let (seed, _source) = filled(&payload);
    let state = tempdir().unwrap();
    let node = start(state.path());
    let handle = add_in_memory(&node, &payload, ENOUGH);
    handle.connect_peer(seed.endpoint()).unwrap();
    until(|| handle.status().is_seeding);
    wait(handle.save_resume_data_now(SaveFlags::default())).unwrap();
    node.session.stop_within(LIMIT);
    assert!(node.session.join(LIMIT));
    drop(node);
    let node = start(state.path());
    assert!(node.session.torrents().is_empty());
}
