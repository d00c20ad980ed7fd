//! A session or a torrent that ends while work is under way: nothing that was
//! verified is lost, and everything that was asked for is answered before.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use crate::disk::Errno;
use torrent_core::ids::{FileIndex, PieceIndex};

use super::support::{LIMIT, Node, PIECE, Payload, until, wait};
use super::{fail, faults, start};
use crate::core::resume::ResumeData;
use crate::core::value::Value;
use crate::disk::DiskOp;
use crate::event::{Event, EventBody, Kind, kind};
use crate::session::AddTorrent;
use crate::status::TorrentState;
use crate::torrent::handle::TorrentHandle;
use crate::torrent::handle::post::PostRequest;
use crate::torrent::handle::resume::SaveFlags;
use crate::torrent::handle::storage::{Deletion, MoveMode};

/// Pieces that are copied in as many steps.
const PIECES: usize = 40;

fn long(seed: u32) -> Payload {
    let length = 256 * 1024;
    Payload::new(&[("a.bin", PIECES * length)], length, seed)
}

/// Moves between file systems, slowly.
fn slow_down(node: &Node) {
    fail(node, DiskOp::Move, Errno::XDEV);
    faults(node).slow(DiskOp::Write, Duration::from_millis(200));
}

#[test]
fn a_stop_cuts_a_long_move_and_saves_what_there_is() {
    let (state, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (old, new) = (data.path().join("old"), data.path().join("new"));
    let payload = long(71);
    payload.write(&old);
    let mut node = start(state.path());
    let add = AddTorrent::from_data(&payload.torrent(None), &old).unwrap();
    let handle = node.session.add_torrent(add).unwrap();
    until(|| handle.status().is_seeding && !handle.need_save_resume_data());
    let name = |suffix| {
        let name = format!("torrents/{}.{suffix}", handle.info_hash());
        state.path().join(name)
    };
    until(|| name("resume").exists());
    slow_down(&node);
    handle.move_storage(&new, MoveMode::default()).unwrap();
    until(|| new.join("payload").exists());
    // The last record is written anew.
    fs::remove_file(name("resume")).unwrap();
    let begun = std::time::Instant::now();
    node.session.stop_within(LIMIT);
    assert!(node.session.join(LIMIT));
    println!("stopped after {:?}", begun.elapsed());
    let failed = node.wait(kind::STORAGE_MOVED_FAILED);
    assert!(matches!(&failed.body, EventBody::StorageMovedFailed(error)
        if error.to_string().contains("cut short")));
    payload.assert_at(&old);
    assert!(!new.exists());
    let record = ResumeData::decode(&fs::read(name("resume")).unwrap()).unwrap();
    assert!(record.have(PIECES as u32).unwrap().is_full());
    assert!(!name("places").exists());
    assert_whole_without_check(start(state.path()), &payload);
}

/// The torrent of a session is whole, and was not hashed as a whole.
fn assert_whole_without_check(mut node: Node, payload: &Payload) {
    let handle = node.session.torrents().remove(0);
    until(|| handle.status().is_seeding);
    payload.assert_at(&handle.save_path());
    let checked = |event: &Event| {
        let checking = TorrentState::CheckingFiles;
        event.kind() == kind::FASTRESUME_REJECTED
            || matches!(&event.body, EventBody::StateChanged(change) if change.state == checking)
    };
    assert!(!node.drain().iter().any(checked));
}

#[test]
fn a_removal_cuts_a_long_move() {
    let payload = long(72);
    let mut node = Node::new();
    let handle = node.seed(&payload);
    slow_down(&node);
    let new = node.folder.path().join("new");
    handle.move_storage(&new, MoveMode::default()).unwrap();
    until(|| new.join("payload").exists());
    node.session
        .remove_torrent(&handle, Deletion::Nothing)
        .unwrap();
    node.wait(kind::TORRENT_REMOVED);
    assert!(node.has_seen(kind::STORAGE_MOVED_FAILED));
    payload.assert_at(node.folder.path());
    assert!(!new.exists());
}

/// What is asked for, and the events that may answer it.
fn ask_everything(handle: &TorrentHandle, node: &Node) -> Vec<(&'static [Kind], usize)> {
    let missing = PieceIndex(29);
    handle
        .set_piece_deadline(missing, Duration::from_secs(3600), true)
        .unwrap();
    handle.read_piece(PieceIndex(0)).unwrap();
    handle.save_resume_data(SaveFlags::default()).unwrap();
    handle.save_resume_data(SaveFlags::default()).unwrap();
    let new = node.folder.path().join("new");
    handle.move_storage(&new, MoveMode::default()).unwrap();
    handle.rename_file(FileIndex(0), "other.bin").unwrap();
    handle.rename_file(FileIndex(1), "another.bin").unwrap();
    handle.flush_cache().unwrap();
    handle.scrape_tracker(None).unwrap();
    handle.force_recheck().unwrap();
    handle.ask(PostRequest::Trackers).unwrap();
    vec![
        (&[kind::READ_PIECE], 2),
        (&[kind::SAVE_RESUME_DATA, kind::SAVE_RESUME_DATA_FAILED], 2),
        (&[kind::STORAGE_MOVED, kind::STORAGE_MOVED_FAILED], 1),
        (&[kind::FILE_RENAMED, kind::FILE_RENAME_FAILED], 2),
        (&[kind::CACHE_FLUSHED], 1),
        (&[kind::SCRAPE_REPLY, kind::SCRAPE_FAILED], 1),
        (&[kind::TORRENT_CHECKED, kind::TORRENT_ERROR], 1),
        (&[kind::TRACKER_LIST], 1),
    ]
}

#[test]
fn whatever_is_asked_for_is_answered_before_the_end() {
    // A tracker that never answers.
    let tracker = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/announce", tracker.local_addr().unwrap());
    for (is_stop, under_way) in [(true, true), (true, false), (false, true), (false, false)] {
        println!("stop: {is_stop}, under way: {under_way}");
        let payload = Payload::of_two_files(73);
        let mut node = Node::new();
        payload.write(node.folder.path());
        // The last piece is missing.
        let b = node.folder.path().join("payload/b.bin");
        let file = fs::OpenOptions::new().write(true).open(b).unwrap();
        file.set_len(8 * PIECE as u64).unwrap();
        let handle = node.add(&payload.torrent(Some(&url)));
        until(|| handle.status().state == TorrentState::Downloading);
        node.drain();
        if under_way {
            for op in [DiskOp::Read, DiskOp::Sync, DiskOp::Move] {
                faults(&node).slow(op, Duration::from_millis(100));
            }
        }
        let expected = ask_everything(&handle, &node);
        if under_way {
            // The last question is answered when everything has begun.
            while !node.has_seen(kind::TRACKER_LIST) {
                node.look();
            }
        }
        match is_stop {
            true => {
                node.session.stop_within(LIMIT);
                assert!(node.session.join(LIMIT));
            }
            false => {
                let delete = Deletion::Nothing;
                node.session.remove_torrent(&handle, delete).unwrap();
                until(|| handle.shared.lifetime.has_left());
            }
        }
        let events = node.drain();
        let end = events
            .iter()
            .position(|event| event.kind() == kind::TORRENT_REMOVED);
        let before = &events[..end.unwrap_or(events.len())];
        assert_eq!(end.is_some(), !is_stop);
        for (kinds, least) in expected {
            let answers = before.iter().filter(|event| kinds.contains(&event.kind()));
            let count = answers.count();
            let names: Vec<_> = kinds.iter().map(|kind| kind.name).collect();
            assert!(count >= least, "{count} of {least} {names:?}");
        }
    }
}

#[test]
fn every_save_that_fails_is_answered() {
    let payload = Payload::of_two_files(74);
    let mut node = Node::new();
    let handle = node.seed(&payload);
    handle.save_resume_data(SaveFlags::default()).unwrap();
    node.wait(kind::SAVE_RESUME_DATA);
    node.drain();
    // Those that come while the first is under way are one save.
    faults(&node).slow(DiskOp::Stat, Duration::from_millis(50));
    fail(&node, DiskOp::Sync, Errno::IO);
    for _ in 0..4 {
        handle.save_resume_data(SaveFlags::default()).unwrap();
    }
    let mut answers = 0;
    while answers < 4 {
        let kinds = [kind::SAVE_RESUME_DATA, kind::SAVE_RESUME_DATA_FAILED];
        let events = node.drain();
        answers += events
            .iter()
            .filter(|it| kinds.contains(&it.kind()))
            .count();
        std::thread::yield_now();
    }
}

#[test]
fn a_save_that_fails_has_one_event() {
    let payload = Payload::of_two_files(76);
    let giver = Node::new();
    giver.seed(&payload);
    let mut node = Node::with(&[("optimistic_disk_retry", Value::Int(3600))]);
    fail(&node, DiskOp::Sync, Errno::IO);
    let handle = node.add(&payload.torrent(None));
    handle.connect_peer(giver.endpoint()).unwrap();
    until(|| handle.status().is_seeding);
    node.drain();
    let mut failed = 0;
    for _ in 0..3 {
        let saved = handle.save_resume_data_now(SaveFlags::default());
        failed += usize::from(wait(saved).is_err());
    }
    // What is asked for afterwards is answered after all of them.
    handle.ask(PostRequest::Trackers).unwrap();
    let mut events = Vec::new();
    while !events
        .iter()
        .any(|event: &Event| event.kind() == kind::TRACKER_LIST)
    {
        events.extend(node.drain());
    }
    let count = |kind: Kind| events.iter().filter(|event| event.kind() == kind).count();
    assert!(failed > 0);
    assert_eq!(count(kind::SAVE_RESUME_DATA_FAILED), failed);
    assert_eq!(count(kind::SAVE_RESUME_DATA), 3 - failed);
}
