//! The state directory over real sessions: what comes back, and when.

mod state_dir {
    // The files of the folder of that name.
    use super::*;

    mod carried;
    mod faults;
    mod places;
    mod reading;
    mod removal;
    mod removal_steps;
    mod root;
    mod version_0_1;
}
mod support;

use std::path::Path;

use support::{LIMIT, Node, Payload, until};

use torrent_engine::core::resume::ResumeData;
use torrent_engine::core::settings::Settings;
use torrent_engine::core::value::Value;
use torrent_engine::error::ErrorKind;
use torrent_engine::event::kind;
use torrent_engine::session::{AddTorrent, Session};
use torrent_engine::state_dir::{FileOp, StateDir, StateFaults};
use torrent_engine::status::TorrentState;
use torrent_engine::torrent::handle::TorrentHandle;

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings
        .apply([
            ("listen_interfaces", &Value::from("127.0.0.1:0")),
            ("alert_mask", &Value::Int(0xffff_ffff)),
        ])
        .unwrap();
    settings
}

fn start(folder: &Path) -> Node {
    let node = begin(folder);
    until(|| node.session.is_restored());
    node
}

/// Starts and does not wait for the torrents.
fn begin(folder: &Path) -> Node {
    begin_with(folder, StateFaults::default())
}

fn begin_with(folder: &Path, faults: StateFaults) -> Node {
    let state = StateDir::open_with(folder, faults).unwrap();
    let mut settings = settings();
    assert_eq!(state.session_state().restore_settings(&mut settings), []);
    Node::of(Session::start_with_state(settings, state).unwrap())
}

/// However long the disk takes.
fn stop(node: &Node) {
    node.session.stop_within(LIMIT);
    assert!(node.session.join(LIMIT));
}

#[test]
fn torrents_settings_and_times_come_back() {
    let state = tempfile::tempdir().unwrap();
    let data = tempfile::tempdir().unwrap();
    let (one, two) = (Payload::of_two_files(21), Payload::of_two_files(22));
    one.write(data.path());
    let elsewhere = tempfile::tempdir().unwrap();
    let (first, second);
    {
        let mut node = start(state.path());
        assert!(StateDir::open(state.path()).is_err(), "it is in use");
        let add = AddTorrent::from_data(&one.torrent(None), data.path()).unwrap();
        first = node.session.add_torrent(add).unwrap();
        node.wait(kind::TORRENT_CHECKED);
        let mut add = AddTorrent::from_data(&two.torrent(None), elsewhere.path()).unwrap();
        add.paused = true;
        second = node.session.add_torrent(add).unwrap();
        node.wait(kind::TORRENT_CHECKED);
        second.prioritize_files(&[0, 7]).unwrap();
        node.session
            .apply_settings([("connections_limit", &Value::Int(44))])
            .unwrap();
        stop(&node);
    }
    {
        let mut node = start(state.path());
        assert_eq!(node.session.settings().connections_limit, 44);
        assert_eq!(node.session.torrents().len(), 2);
        for _ in 0..2 {
            node.wait(kind::TORRENT_CHECKED);
        }
        assert!(!node.has_seen(kind::FASTRESUME_REJECTED));
        let seeding = node.session.find_torrent(first.info_hash()).unwrap();
        let paused = node.session.find_torrent(second.info_hash()).unwrap();
        assert_eq!(seeding.status().state, TorrentState::Seeding);
        assert!(!seeding.is_paused() && paused.is_paused());
        assert_eq!(paused.file_priorities(), [0, 7]);
        assert_eq!(*paused.save_path(), elsewhere.path());
        assert_eq!(seeding.added_time(), first.added_time());
        assert_eq!(
            seeding.metainfo().unwrap().info.raw,
            first.metainfo().unwrap().info.raw
        );
        node.session.remove_torrent(&paused, false).unwrap();
        node.wait(kind::TORRENT_REMOVED);
        stop(&node);
    }
    let node = start(state.path());
    let hashes: Vec<_> = node
        .session
        .torrents()
        .iter()
        .map(TorrentHandle::info_hash)
        .collect();
    assert_eq!(hashes, [first.info_hash()]);
    stop(&node);
}

#[test]
fn what_is_added_while_the_others_are_read_comes_back_as_it_was() {
    let state = tempfile::tempdir().unwrap();
    let (before, now) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let torrents = [21, 23, 25].map(|seed| Payload::of_two_files(seed).torrent(None));
    // Each has a place of its own in there.
    let at = |folder: &tempfile::TempDir, number: usize| folder.path().join(number.to_string());
    let add = |node: &Node, number: usize, folder: &tempfile::TempDir| {
        let mut add = AddTorrent::from_data(&torrents[number], at(folder, number)).unwrap();
        add.paused = folder.path() == before.path();
        node.session.add_torrent(add).unwrap()
    };
    let mut node = start(state.path());
    for number in 0..2 {
        add(&node, number, &before);
        node.wait(kind::TORRENT_CHECKED);
    }
    stop(&node);

    // Reading waits until it may.
    let last = format!("{:040}.magnet", 0);
    let pipe = state.path().join("torrents").join(&last);
    std::fs::write(&pipe, b"no link").unwrap();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let faults = StateFaults::new(move |op, path| {
        if op == FileOp::Read && path.ends_with(&last) {
            // The other end is dropped.
            let _ = wait.lock().unwrap().recv();
        }
        Ok(())
    });
    let mut node = begin_with(state.path(), faults);
    // It is looked up in the background: the caller waits for no disk.
    let first = add(&node, 0, &now);
    until(|| *first.save_path() == at(&before, 0));
    assert!(first.is_paused());
    assert_eq!(add(&node, 0, &now), first);
    // What was removed is not what it was any more.
    let second = add(&node, 1, &now);
    until(|| *second.save_path() == at(&before, 1));
    node.session.remove_torrent(&second, false).unwrap();
    let second = add(&node, 1, &now);
    assert_eq!(*second.save_path(), at(&now, 1));
    let third = add(&node, 2, &now);
    assert_eq!(node.session.torrents().len(), 3);
    assert!(!node.session.is_restored());

    drop(go_on);
    until(|| node.session.is_restored());
    let complaint = node.wait(kind::FILE_ERROR);
    assert!(matches!(complaint.body.error(), Some(error)
        if error.context() == pipe.display().to_string()));
    assert_eq!(node.session.torrents().len(), 3);
    let places = [at(&before, 0), at(&now, 1), at(&now, 2)];
    for (handle, place) in [&first, &second, &third].into_iter().zip(&places) {
        assert!(handle.is_valid());
        assert_eq!(*handle.save_path(), *place);
    }
    stop(&node);
    // And is kept so.
    let node = start(state.path());
    let folder = |handle: &TorrentHandle| {
        let back = node.session.find_torrent(handle.info_hash()).unwrap();
        back.save_path()
    };
    for (handle, place) in [&first, &second, &third].into_iter().zip(&places) {
        assert_eq!(*folder(handle), *place);
    }
    stop(&node);
}

#[test]
fn what_is_added_or_removed_right_before_the_end_counts() {
    let state = tempfile::tempdir().unwrap();
    let data = tempfile::tempdir().unwrap();
    let torrents = [21, 23].map(|seed| Payload::of_two_files(seed).torrent(None));
    let add = |node: &Node, number: usize| {
        let place = data.path().join(number.to_string());
        let add = AddTorrent::from_data(&torrents[number], place).unwrap();
        node.session.add_torrent(add).unwrap()
    };
    for _ in 0..10 {
        let node = start(state.path());
        let first = add(&node, 0);
        stop(&node);
        let node = start(state.path());
        let back = node.session.find_torrent(first.info_hash()).unwrap();
        let second = add(&node, 1);
        node.session.remove_torrent(&back, false).unwrap();
        stop(&node);
        let node = start(state.path());
        let [back] = &node.session.torrents()[..] else {
            panic!("{:?}", node.session.torrents());
        };
        assert_eq!(back.info_hash(), second.info_hash());
        node.session.remove_torrent(back, false).unwrap();
        stop(&node);
    }
}

#[test]
fn a_magnet_link_comes_back_without_its_metadata_and_with_it() {
    let state = tempfile::tempdir().unwrap();
    let payload = Payload::of_two_files(23);
    let data = tempfile::tempdir().unwrap();
    let seed = Node::new();
    let source = seed.seed(&payload);
    let hash = source.info_hash();
    {
        let mut node = start(state.path());
        let uri = format!("magnet:?xt=urn:btih:{hash}&dn=the+name&so=0");
        let add = AddTorrent::from_magnet(&uri, data.path()).unwrap();
        node.session.add_torrent(add).unwrap();
        node.wait(kind::ADD_TORRENT);
        stop(&node);
    }
    {
        let node = start(state.path());
        let handle = node.session.find_torrent(hash).unwrap();
        assert_eq!(handle.name(), "the name");
        assert!(handle.metainfo().is_none());
        let info = source.metainfo().unwrap().info.raw.clone();
        handle.set_metadata(&info).unwrap();
        handle.connect_peer(seed.endpoint()).unwrap();
        until(|| handle.status().is_finished);
        assert_eq!(handle.file_priorities(), [4, 0]);
        stop(&node);
    }
    let node = start(state.path());
    let handle = node.session.find_torrent(hash).unwrap();
    assert_eq!(handle.name(), "payload");
    until(|| handle.status().is_finished);
    assert_eq!(handle.file_priorities(), [4, 0]);
    stop(&node);
}

#[test]
fn progress_is_saved_unasked_and_a_record_that_was_spoilt_costs_a_check() {
    let state = tempfile::tempdir().unwrap();
    let payload = Payload::of_two_files(24);
    let data = tempfile::tempdir().unwrap();
    let seed = Node::new();
    let source = seed.seed(&payload);
    let record = state
        .path()
        .join(format!("torrents/{}.resume", source.info_hash()));
    {
        let node = start(state.path());
        let add = AddTorrent::from_data(&payload.torrent(None), data.path()).unwrap();
        let handle = node.session.add_torrent(add).unwrap();
        handle.connect_peer(seed.endpoint()).unwrap();
        until(|| handle.status().is_seeding);
        // It was not requested, and the session was not stopped yet.
        until(|| {
            let Ok(bytes) = std::fs::read(&record) else {
                return false;
            };
            let record = ResumeData::decode(&bytes).unwrap();
            record.have(30).is_some_and(|have| have.is_full())
        });
        stop(&node);
    }
    std::fs::write(&record, b"spoilt").unwrap();
    std::fs::remove_file(record.with_extension("resume.old")).unwrap();
    let mut node = start(state.path());
    node.wait(kind::FASTRESUME_REJECTED);
    let handle = node.session.find_torrent(source.info_hash()).unwrap();
    until(|| handle.status().is_seeding);
    payload.assert_at(data.path());
    stop(&node);
}

#[test]
fn session_state_moves_between_sessions() {
    let one = Node::with(&[("connections_limit", Value::Int(33))]);
    let two = Node::new();
    let before = two.session.settings();
    let refused = two.session.load_state(&one.session.save_state()).unwrap();
    assert_eq!(refused, []);
    let after = two.session.settings();
    assert_eq!(after.connections_limit, 33);
    assert_eq!(after.alert_mask, before.alert_mask);
    let error = two.session.load_state(b"nonsense").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BencodeParseError);
}
