//! Checks that the game cancels. A torrent whose turn to be checked never
//! comes is caught in the act.

mod support;

use std::path::Path;
use std::time::{Duration, SystemTime};

use support::{Node, Payload, wait, wait_until};
use torrent_engine::core::ids::PieceIndex;
use torrent_engine::core::resume::ResumeData;
use torrent_engine::core::value::Value;
use torrent_engine::event::kind;
use torrent_engine::session::AddTorrent;
use torrent_engine::status::TorrentState;
use torrent_engine::torrent::handle::TorrentHandle;
use torrent_engine::torrent::handle::resume::SaveFlags;
use torrent_engine::torrent::handle::storage::MoveMode;

const PIECE: usize = 16 * 1024;

/// Pieces of `a.bin`, and those of `b.bin` after it.
const A: usize = 10;
const B: usize = 7;

fn payload() -> Payload {
    Payload::new(&[("a.bin", A * PIECE), ("b.bin", B * PIECE)], PIECE, 77)
}

/// A session in which no managed torrent's turn to be checked comes.
fn busy() -> Node {
    Node::with(&[("active_checking", Value::Int(0))])
}

fn add_managed(node: &Node, add: AddTorrent) -> TorrentHandle {
    let add = AddTorrent {
        auto_managed: true,
        ..add
    };
    node.session.add_torrent(add).unwrap()
}

fn from_file(payload: &Payload, folder: &Path) -> AddTorrent {
    AddTorrent::from_data(&payload.torrent(None), folder).unwrap()
}

fn save(handle: &TorrentHandle) -> Vec<u8> {
    let saved = handle.save_resume_data_now(SaveFlags::default());
    wait(saved).unwrap().into()
}

fn claimed(record: &[u8]) -> Vec<u8> {
    ResumeData::decode(record).unwrap().pieces
}

/// A complete torrent's record.
fn record(payload: &Payload, folder: &Path) -> Vec<u8> {
    payload.write(folder);
    let mut node = Node::new();
    let handle = node.session.add_torrent(from_file(payload, folder));
    node.wait(kind::TORRENT_CHECKED);
    save(&handle.unwrap())
}

fn damage(folder: &Path) {
    let path = folder.join("payload/a.bin");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[3 * PIECE + 5] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

/// Stays paused with so many pieces, until the game says what next.
#[track_caller]
fn assert_stands_still(handle: &TorrentHandle, pieces: usize) {
    let status = handle.status();
    assert_eq!(status.state, TorrentState::Downloading);
    assert_eq!(status.pieces_downloaded as usize, pieces);
    assert!(handle.is_paused() && !handle.is_auto_managed());
    assert!(status.error.is_empty(), "{}", status.error);
}

#[test]
fn a_recheck_that_is_given_up_changes_nothing() {
    let payload = payload();
    let mut node = busy();
    payload.write(node.folder.path());
    let handle = node.add(&payload.torrent(None));
    node.wait(kind::TORRENT_CHECKED);
    // There is nothing to cancel.
    handle.cancel_check().unwrap();
    handle.set_auto_managed(true).unwrap();
    damage(node.folder.path());
    handle.force_recheck().unwrap();
    wait_until("checking", || handle.status().state.is_checking());
    handle.cancel_check().unwrap();
    node.wait(kind::TORRENT_CHECKED);
    let status = handle.status();
    assert_eq!(status.state, TorrentState::Seeding);
    assert_eq!(status.pieces_downloaded as usize, A + B);
    assert!(handle.is_auto_managed() && !handle.is_paused());
    assert!(!claimed(&save(&handle)).is_empty());
    // Its turn alone begins nothing; who asks again gets the whole check.
    handle.set_auto_managed(false).unwrap();
    wait(handle.flush()).unwrap();
    assert_eq!(handle.status().state, TorrentState::Seeding);
    handle.force_recheck().unwrap();
    wait_until("the damage is found", || {
        handle.status().pieces_downloaded as usize == A + B - 1
    });
}

#[test]
fn a_first_check_that_is_given_up_claims_nothing_and_the_next_session_looks() {
    let payload = payload();
    let mut node = busy();
    let folder = node.folder.path().to_owned();
    payload.write(&folder);
    let handle = add_managed(&node, from_file(&payload, &folder));
    wait_until("checking", || handle.status().state.is_checking());
    handle.cancel_check().unwrap();
    node.wait(kind::TORRENT_PAUSED);
    node.wait(kind::TORRENT_CHECKED);
    assert_stands_still(&handle, 0);
    payload.assert_at(&folder);
    let record = save(&handle);
    assert!(claimed(&record).is_empty());

    let mut later = Node::new();
    let add = from_file(&payload, &folder).with_resume_data(&record);
    let again = later.session.add_torrent(add.unwrap()).unwrap();
    later.wait(kind::TORRENT_CHECKED);
    assert_eq!(again.status().pieces_downloaded as usize, A + B);

    // Here too, once the game asks for it.
    handle.force_recheck().unwrap();
    node.wait(kind::TORRENT_CHECKED);
    assert_eq!(handle.status().pieces_downloaded as usize, A + B);
    assert!(!claimed(&save(&handle)).is_empty());
}

#[test]
fn who_resumes_it_gets_what_is_missing_from_peers() {
    let payload = payload();
    let mut seed = Node::new();
    payload.write(seed.folder.path());
    seed.add(&payload.torrent(None));
    seed.wait(kind::TORRENT_CHECKED);

    let mut node = busy();
    let folder = node.folder.path().to_owned();
    payload.write(&folder);
    damage(&folder);
    let handle = add_managed(&node, from_file(&payload, &folder));
    handle.cancel_check().unwrap();
    node.wait(kind::TORRENT_CHECKED);
    assert_stands_still(&handle, 0);
    handle.resume().unwrap();
    handle.connect_peer(seed.endpoint()).unwrap();
    node.wait(kind::TORRENT_FINISHED);
    let received = handle.status().total_payload_download;
    assert_eq!(received as usize, (A + B) * PIECE);
    payload.assert_at(&folder);
    assert!(!claimed(&save(&handle)).is_empty());
}

#[test]
fn files_that_changed_since_the_record_do_not_count() {
    let payload = payload();
    let folder = tempfile::tempdir().unwrap();
    let record = record(&payload, folder.path());
    let a = std::fs::File::options()
        .write(true)
        .open(folder.path().join("payload/a.bin"));
    let touched = SystemTime::now() + Duration::from_secs(10);
    a.unwrap().set_modified(touched).unwrap();

    let mut node = busy();
    let add = from_file(&payload, folder.path()).with_resume_data(&record);
    let handle = add_managed(&node, add.unwrap());
    // Before or after the record is looked at: it comes to the same.
    handle.cancel_check().unwrap();
    node.wait(kind::TORRENT_CHECKED);
    assert_stands_still(&handle, B);
    assert!(claimed(&save(&handle)).is_empty());
    handle.force_recheck().unwrap();
    node.wait(kind::TORRENT_CHECKED);
    assert_eq!(handle.status().pieces_downloaded as usize, A + B);
}

#[test]
fn a_record_that_lied_does_not_count() {
    let payload = payload();
    let folder = tempfile::tempdir().unwrap();
    let record = record(&payload, folder.path());
    damage(folder.path());
    let mut node = busy();
    let add = AddTorrent {
        verify_files: false,
        ..from_file(&payload, folder.path())
            .with_resume_data(
                &ResumeData {
                    file_stats: Vec::new(),
                    ..ResumeData::decode(&record).unwrap()
                }
                .encode(),
            )
            .unwrap()
    };
    let handle = add_managed(&node, add);
    node.wait(kind::TORRENT_CHECKED);
    assert_eq!(handle.status().pieces_downloaded as usize, A + B);
    // One piece is hashed, and counts whatever becomes of the others.
    wait(handle.read_piece_now(PieceIndex(1))).unwrap();
    wait(handle.read_piece_now(PieceIndex(3))).unwrap_err();
    node.wait(kind::FASTRESUME_REJECTED);
    wait_until("checking", || handle.status().state.is_checking());
    handle.cancel_check().unwrap();
    node.wait(kind::TORRENT_CHECKED);
    assert_stands_still(&handle, 1);
}

#[test]
fn files_that_are_taken_over_unseen_do_not_count() {
    let payload = payload();
    let mut node = busy();
    payload.write(node.folder.path());
    let handle = node.add(&payload.torrent(None));
    node.wait(kind::TORRENT_CHECKED);
    handle.set_auto_managed(true).unwrap();
    let there = tempfile::tempdir().unwrap();
    wait(handle.move_storage_now(there.path(), MoveMode::ResetSavePath)).unwrap();
    wait_until("checking", || handle.status().state.is_checking());
    handle.cancel_check().unwrap();
    node.wait(kind::TORRENT_CHECKED);
    assert_stands_still(&handle, 0);
    payload.assert_at(node.folder.path());
}
