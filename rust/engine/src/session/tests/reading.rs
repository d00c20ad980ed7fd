//! Reads that fail: what was verified is in doubt, and requested from no peer
//! before it was looked at.

use torrent_core::ids::PieceIndex;

use super::support::{Node, PIECE, Payload, wait, wait_until};
use super::{fail, faults};
use crate::core::resume::ResumeData;
use crate::core::value::Value;
use crate::disk::{DiskOp, Errno, Plan};
use crate::event::kind;
use crate::session::AddTorrent;
use crate::torrent::handle::TorrentHandle;
use crate::torrent::handle::resume::SaveFlags;

/// The check must not be spared: it is what the tests are about.
const NEVER: (&str, Value) = ("optimistic_disk_retry", Value::Int(3600));

/// What makes a seed read, and so find out.
#[derive(Clone, Copy, Debug)]
enum Reader {
    Peer,
    Game,
    Recheck,
}

/// A seed whose reads fail, in error because of `reader`; a peer that could
/// give it everything is connected.
fn in_error(
    reader: Reader,
    giver: &Node,
    payload: &Payload,
    patch: &[(&str, Value)],
) -> (Node, TorrentHandle) {
    let mut node = Node::with(patch);
    let handle = node.seed(payload);
    node.drain();
    fail(&node, DiskOp::Read, Errno::IO);
    match reader {
        Reader::Peer => {
            let leech = Node::new();
            let other = leech.add(&payload.torrent(None));
            other.connect_peer(node.endpoint()).unwrap();
            node.wait(kind::FILE_ERROR);
        }
        Reader::Game => {
            wait(handle.read_piece_now(PieceIndex(3))).unwrap_err();
        }
        Reader::Recheck => handle.force_recheck().unwrap(),
    }
    wait_until("in error", || {
        let status = handle.status();
        !status.error.is_empty() && !status.state.is_checking()
    });
    handle.connect_peer(giver.endpoint()).unwrap();
    node.wait(kind::PEER_CONNECT);
    (node, handle)
}

#[test]
fn what_could_not_be_read_is_found_again_and_not_fetched() {
    for reader in [Reader::Peer, Reader::Game, Reader::Recheck] {
        println!("{reader:?}");
        let payload = Payload::of_two_files(61);
        let giver = Node::new();
        giver.seed(&payload);
        let (node, handle) = in_error(reader, &giver, &payload, &[NEVER]);
        faults(&node).lift();
        handle.clear_error().unwrap();
        wait_until("it seeds again", || {
            let status = handle.status();
            status.is_seeding && status.error.is_empty()
        });
        assert_eq!(handle.status().total_payload_download, 0);
    }
}

#[test]
fn an_error_that_was_ended_is_not_posted_any_more() {
    type End = fn(&TorrentHandle);
    let manage = |handle: &TorrentHandle| handle.set_auto_managed(true).unwrap();
    let ends: [(End, End); 4] = [
        (|_| {}, |it| it.clear_error().unwrap()),
        (|_| {}, |it| it.force_recheck().unwrap()),
        (|it| it.pause().unwrap(), |it| it.resume().unwrap()),
        // It runs already.
        (manage, |it| it.resume().unwrap()),
    ];
    for (number, (prepare, end)) in ends.into_iter().enumerate() {
        let payload = Payload::of_two_files(63);
        let mut node = Node::with(&[NEVER]);
        let handle = node.seed(&payload);
        node.drain();
        fail(&node, DiskOp::Read, Errno::IO);
        wait(handle.read_piece_now(PieceIndex(3))).unwrap_err();
        // No event is taken meanwhile.
        wait_until("in error", || !handle.status().error.is_empty());
        prepare(&handle);
        faults(&node).lift();
        end(&handle);
        assert_eq!(handle.status().error, "", "{number}");
        wait_until("it seeds again", || {
            let status = handle.status();
            status.is_seeding && status.error.is_empty()
        });
        let mut events = Vec::new();
        node.session.events().take(&mut events);
        assert!(!events.is_empty());
        events.retain(|event| event.kind() == kind::FILE_ERROR);
        assert!(events.is_empty(), "{number}: {events:?}");
    }
}

#[test]
fn the_retry_finds_it_too() {
    let payload = Payload::of_two_files(62);
    let giver = Node::new();
    giver.seed(&payload);
    let soon = ("optimistic_disk_retry", Value::Int(1));
    let (node, handle) = in_error(Reader::Peer, &giver, &payload, &[soon]);
    faults(&node).lift();
    wait_until("it seeds again", || handle.status().is_seeding);
    assert_eq!(handle.status().total_payload_download, 0);
}

#[test]
fn only_what_is_really_bad_is_fetched() {
    let payload = Payload::of_two_files(63);
    let giver = Node::new();
    giver.seed(&payload);
    let (mut node, handle) = in_error(Reader::Game, &giver, &payload, &[NEVER]);
    let path = node.folder.path().join("payload/a.bin");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[3 * PIECE] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    node.drain();
    faults(&node).lift();
    handle.clear_error().unwrap();
    // The check has closed its connections.
    node.wait(kind::TORRENT_CHECKED);
    handle.connect_peer(giver.endpoint()).unwrap();
    wait_until("it seeds again", || handle.status().is_seeding);
    assert_eq!(handle.status().total_payload_download, PIECE as u64);
    payload.assert_at(node.folder.path());
}

#[test]
fn a_first_check_that_fails_leaves_nothing_to_be_fetched() {
    for seed_mode in [false, true] {
        let payload = Payload::of_two_files(64);
        let giver = Node::new();
        giver.seed(&payload);
        let mut node = Node::with(&[NEVER]);
        payload.write(node.folder.path());
        fail(&node, DiskOp::Read, Errno::IO);
        let mut add = AddTorrent::from_data(&payload.torrent(None), node.folder.path()).unwrap();
        add.seed_mode = seed_mode;
        add.peers.push(giver.endpoint());
        let handle = node.session.add_torrent(add).unwrap();
        if seed_mode {
            wait_until("it is believed", || handle.status().is_seeding);
            wait(handle.read_piece_now(PieceIndex(3))).unwrap_err();
        }
        node.wait(kind::FILE_ERROR);
        handle.connect_peer(giver.endpoint()).unwrap();
        node.wait(kind::PEER_CONNECT);
        faults(&node).lift();
        handle.clear_error().unwrap();
        wait_until("it seeds", || handle.status().is_seeding);
        assert_eq!(handle.status().total_payload_download, 0);
    }
}

#[test]
fn no_record_says_that_what_is_in_doubt_is_missing() {
    let payload = Payload::of_two_files(65);
    let giver = Node::new();
    giver.seed(&payload);
    let (node, handle) = in_error(Reader::Game, &giver, &payload, &[NEVER]);
    let data = wait(handle.save_resume_data_now(SaveFlags::default())).unwrap();
    assert!(ResumeData::decode(&data).unwrap().pieces.is_empty());
    // As after a kill: another session goes on from there.
    let next = Node::new();
    let add = AddTorrent::from_data(&payload.torrent(None), node.folder.path()).unwrap();
    let add = add.with_resume_data(&data).unwrap();
    let handle = next.session.add_torrent(add).unwrap();
    wait_until("it seeds", || handle.status().is_seeding);
    assert_eq!(handle.status().total_payload_download, 0);
}

#[test]
fn a_record_that_could_not_be_judged_is_judged_once_it_can() {
    let payload = Payload::of_two_files(66);
    let seed = Node::new();
    let handle = seed.seed(&payload);
    let data = wait(handle.save_resume_data_now(SaveFlags::default())).unwrap();
    let mut node = Node::new();
    // The record's sample is read twice in vain: by the start and by the first
    // retry, which comes by itself.
    faults(&node).plan(Plan {
        op: DiskOp::Read,
        file: None,
        errno: Errno::IO.raw_os_error(),
        after: 0,
        times: 2,
    });
    let add = AddTorrent::from_data(&payload.torrent(None), seed.folder.path()).unwrap();
    let add = add.with_resume_data(&data).unwrap();
    let handle = node.session.add_torrent(add).unwrap();
    wait_until("in error", || !handle.status().error.is_empty());
    handle.clear_error().unwrap();
    node.wait(kind::TORRENT_CHECKED);
    let status = handle.status();
    assert!(status.is_seeding && status.error.is_empty(), "{status:?}");
    // Nothing of the attempts before is left: no second check follows.
    wait(handle.save_resume_data_now(SaveFlags::default())).unwrap();
    node.drain();
    assert!(!node.has_seen(kind::TORRENT_CHECKED));
    assert!(handle.status().is_seeding);
}
