//! The system is short of file descriptors or memory for a moment: that is no
//! error of a torrent, and nothing is lost by it.

use crate::disk::Errno;
use torrent_core::ids::FileIndex;

use super::support::{Node, PIECE, Payload, until, wait};
use super::{fail, faults, start};
use crate::disk::{DiskOp, Plan};
use crate::event::{Event, kind};
use crate::session::AddTorrent;
use crate::torrent::handle::resume::SaveFlags;
use crate::torrent::handle::storage::MoveMode;

/// More than what is tried again on the spot.
const LONG: u32 = 8;

fn shortage(node: &Node, op: DiskOp, errno: Errno, times: u32) {
    faults(node).plan(Plan {
        op,
        file: None,
        errno: errno.raw_os_error(),
        after: 0,
        times,
    });
}

fn count(events: &[Event], wanted: crate::event::Kind) -> usize {
    events.iter().filter(|it| it.kind() == wanted).count()
}

#[test]
fn a_record_is_judged_when_there_is_enough_again() {
    let payload = Payload::of_two_files(81);
    let seed = Node::new();
    let handle = seed.seed(&payload);
    let data = wait(handle.save_resume_data_now(SaveFlags::default())).unwrap();
    for (op, seed_mode) in [
        (DiskOp::Stat, false),
        (DiskOp::Open, false),
        (DiskOp::Stat, true),
    ] {
        println!("{op:?} {seed_mode}");
        let mut node = Node::new();
        shortage(&node, op, Errno::MFILE, LONG);
        let mut add = AddTorrent::from_data(&payload.torrent(None), seed.folder.path()).unwrap();
        if seed_mode {
            add.seed_mode = true;
        } else {
            add = add.with_resume_data(&data).unwrap();
        }
        let handle = node.session.add_torrent(add).unwrap();
        until(|| {
            assert_eq!(handle.status().error, "");
            handle.status().is_seeding
        });
        node.wait(kind::TORRENT_CHECKED);
        let events = node.drain();
        assert_eq!(count(&events, kind::FILE_ERROR), 1, "it says so once");
        assert_eq!(count(&events, kind::FASTRESUME_REJECTED), 0);
        assert_eq!(count(&events, kind::TORRENT_CHECKED), 0);
    }
}

#[test]
fn moves_and_renames_wait_a_moment() {
    let payload = Payload::of_two_files(82);
    let (state, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let node = start(state.path());
    payload.write(data.path());
    let add = AddTorrent::from_data(&payload.torrent(None), data.path()).unwrap();
    let handle = node.session.add_torrent(add).unwrap();
    until(|| handle.status().is_seeding && !handle.need_save_resume_data());
    let new = data.path().join("new");
    for op in [DiskOp::Stat, DiskOp::Move, DiskOp::Sync] {
        shortage(&node, op, Errno::NFILE, 3);
    }
    wait(handle.move_storage_now(&new, MoveMode::default())).unwrap();
    payload.assert_at(&new);
    shortage(&node, DiskOp::Rename, Errno::NOMEM, 3);
    wait(handle.rename_file_now(FileIndex(0), "x.bin")).unwrap();
    // What cannot be looked at does not count as absent: the move would be
    // written down without it.
    fail(&node, DiskOp::Stat, Errno::MFILE);
    let old = data.path().join("old");
    wait(handle.move_storage_now(&old, MoveMode::default())).unwrap_err();
    wait(handle.rename_file_now(FileIndex(0), "y.bin")).unwrap_err();
    assert_eq!(handle.status().error, "");
    assert!(new.join("x.bin").exists() && !old.exists());
    faults(&node).lift();
    wait(handle.move_storage_now(&old, MoveMode::default())).unwrap();
}

#[test]
fn a_file_that_is_wanted_again_stays_so() {
    let payload = Payload::of_two_files(83);
    let giver = Node::new();
    giver.seed(&payload);
    let mut node = Node::new();
    let mut add = AddTorrent::from_data(&payload.torrent(None), node.folder.path()).unwrap();
    add.file_priorities = vec![4, 0];
    let handle = node.session.add_torrent(add).unwrap();
    handle.connect_peer(giver.endpoint()).unwrap();
    until(|| handle.status().is_finished);
    node.drain();
    // The piece that both files have is in the part file.
    shortage(&node, DiskOp::Create, Errno::MFILE, LONG);
    handle.set_file_priority(FileIndex(1), 4).unwrap();
    until(|| {
        handle.connect_peer(giver.endpoint()).unwrap();
        handle.status().is_seeding
    });
    assert_eq!(handle.file_priorities(), [4, 4]);
    payload.assert_at(node.folder.path());
    let once = (29 * PIECE + 77) as u64;
    assert_eq!(handle.status().total_payload_download, once);
}

#[test]
fn seed_mode_outlasts_a_shortage() {
    let payload = Payload::of_two_files(84);
    let mut node = Node::new();
    payload.write(node.folder.path());
    let mut add = AddTorrent::from_data(&payload.torrent(None), node.folder.path()).unwrap();
    add.seed_mode = true;
    let handle = node.session.add_torrent(add).unwrap();
    until(|| handle.status().is_seeding);
    // Neither the reads of pieces that are hashed for the first time, nor those that
    // serve them.
    for (op, errno) in [(DiskOp::Open, Errno::MFILE), (DiskOp::Read, Errno::NOMEM)] {
        shortage(&node, op, errno, LONG);
    }
    let leech = Node::new();
    let add = AddTorrent::from_data(&payload.torrent(None), leech.folder.path()).unwrap();
    let download = leech.session.add_torrent(add).unwrap();
    download.connect_peer(node.endpoint()).unwrap();
    until(|| {
        assert_eq!(handle.status().error, "");
        assert!(handle.status().is_seeding, "nothing is lost");
        download.status().is_seeding
    });
    payload.assert_at(leech.folder.path());
    let events = node.drain();
    assert!(count(&events, kind::FILE_ERROR) > 0, "the reads did fail");
    assert_eq!(count(&events, kind::TORRENT_CHECKED), 1);
    assert_eq!(count(&events, kind::HASH_FAILED), 0);
}
