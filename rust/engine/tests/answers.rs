//! What getters and events say right after a call belongs to that call.

mod support;

use std::time::{Duration, Instant};

use support::{LIMIT, Node, PIECE, Payload, wait_until};
use torrent_engine::core::torrent::TorrentState;
use torrent_engine::error::ErrorKind;
use torrent_engine::event::kind;
use torrent_engine::torrent::handle::TorrentHandle;
use torrent_engine::torrent::handle::post::PostRequest;
use torrent_engine::torrent::handle::storage::{Deletion, MoveMode};

/// Damages a piece on disk.
fn damage(node: &Node, round: usize) {
    let path = node.folder.path().join("payload/a.bin");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[round * PIECE] ^= 1;
    std::fs::write(&path, bytes).unwrap();
}

#[test]
fn a_check_that_is_over_does_not_answer_the_next_one() {
    let payload = Payload::of_two_files(5);
    let mut node = Node::new();
    // Its `torrent_checked` is not taken yet.
    let handle = node.seed(&payload);
    for round in 0..10 {
        damage(&node, round);
        handle.force_recheck().unwrap();
        // It is checked, or has been already: the state from before is gone.
        let status = handle.status();
        assert!(!status.is_finished && !status.is_seeding);
        node.wait(kind::TORRENT_CHECKED);
        let (status, missing) = (handle.status(), round as u32 + 1);
        assert_eq!(status.state, TorrentState::Downloading, "round {round}");
        assert_eq!(status.pieces_downloaded, status.num_pieces - missing);
    }
    assert!(
        !node
            .drain()
            .iter()
            .any(|it| it.kind() == kind::TORRENT_FINISHED)
    );
}

#[test]
fn a_check_that_is_asked_for_during_another_looks_anew() {
    let payload = Payload::of_two_files(6);
    for _ in 0..10 {
        let mut node = Node::new();
        payload.write(node.folder.path());
        let handle = node.add(&payload.torrent(None));
        damage(&node, 3);
        handle.force_recheck().unwrap();
        node.wait(kind::TORRENT_CHECKED);
        assert_eq!(handle.status().state, TorrentState::Downloading);
        assert!(!handle.status().is_seeding);
    }
}

/// Fills the torrent's queue, as far as its task lets it.
fn fill(handle: &TorrentHandle) {
    for _ in 0..1_000_000 {
        if let Err(error) = handle.ask(PostRequest::Trackers) {
            assert_eq!(error.kind(), ErrorKind::Timeout);
            return;
        }
    }
    panic!("the queue never fills");
}

#[test]
fn whatever_waits_a_torrent_pauses_moves_and_goes() {
    let payload = Payload::of_two_files(7);
    let mut node = Node::new();
    let handle = node.seed(&payload);
    fill(&handle);
    handle.pause().unwrap();
    assert!(handle.status().paused);
    node.wait(kind::TORRENT_PAUSED);
    let elsewhere = node.folder.path().join("elsewhere");
    fill(&handle);
    handle
        .move_storage(&elsewhere, MoveMode::default())
        .unwrap();
    node.wait(kind::STORAGE_MOVED);
    assert!(!handle.status().is_moving_storage);
    payload.assert_at(&elsewhere);
    fill(&handle);
    handle.resume().unwrap();
    node.wait(kind::TORRENT_RESUMED);
    assert!(!handle.status().paused);
    fill(&handle);
    node.session
        .remove_torrent(&handle, Deletion::Files)
        .unwrap();
    assert!(node.session.torrents().is_empty());
    node.wait(kind::TORRENT_REMOVED);
    assert!(!elsewhere.join("payload").exists());
    // And a session stops, with what was accepted before.
    let handle = node.add(&payload.torrent(None));
    fill(&handle);
}

#[test]
fn a_pause_that_changes_nothing_in_the_end_is_answered() {
    let payload = Payload::of_two_files(8);
    let mut node = Node::new();
    let handle = node.seed(&payload);
    node.drain();
    for _ in 0..50 {
        handle.pause().unwrap();
        handle.resume().unwrap();
        node.wait(kind::TORRENT_RESUMED);
        assert!(!handle.status().paused);
        node.drain();
    }
    handle.pause().unwrap();
    node.wait(kind::TORRENT_PAUSED);
    for _ in 0..50 {
        handle.resume().unwrap();
        handle.pause().unwrap();
        node.wait(kind::TORRENT_PAUSED);
        assert!(handle.status().paused);
        node.drain();
    }
}

#[test]
fn every_move_is_answered() {
    let payload = Payload::of_two_files(9);
    let mut node = Node::new();
    let handle = node.seed(&payload);
    let folders = ["one", "two", "three"].map(|name| node.folder.path().join(name));
    for folder in &folders {
        handle.move_storage(folder, MoveMode::default()).unwrap();
    }
    let answers = [kind::STORAGE_MOVED, kind::STORAGE_MOVED_FAILED];
    let (mut count, deadline) = (0, Instant::now() + LIMIT);
    while count < folders.len() {
        assert!(Instant::now() < deadline, "{count} answers");
        let events = node.drain();
        count += events
            .iter()
            .filter(|it| answers.contains(&it.kind()))
            .count();
        std::thread::sleep(Duration::from_millis(2));
    }
    wait_until("the moves are over", || !handle.status().is_moving_storage);
}
