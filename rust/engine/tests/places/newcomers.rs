//! Torrents that the game adds before those of the state directory are known.

use std::cell::OnceCell;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use tempfile::TempDir;
use torrent_engine::core::ids::{FileIndex, InfoHash};
use torrent_engine::core::settings::Settings;
use torrent_engine::core::value::Value;
use torrent_engine::event::kind;
use torrent_engine::session::Session;
use torrent_engine::session::saved_state::SavedSession;
use torrent_engine::state_dir::{FileOp, Folder, StateDir, StateFaults};
use torrent_engine::torrent::handle::TorrentHandle;
use torrent_engine::torrent::handle::resume::SaveFlags;
use torrent_engine::torrent::handle::storage::Deletion;

use super::support::{LIMIT, Node, Payload, wait, wait_until};
use super::{add, assert_names, assert_refused, is_at_rest};

fn settings() -> Settings {
    let mut settings = Settings::default();
    let patch = [
        ("listen_interfaces", &Value::from("127.0.0.1:0")),
        ("status_update_interval", &Value::Int(20)),
        ("alert_mask", &Value::Int(0x7fff_ffff)),
    ];
    settings.apply(patch).unwrap();
    settings
}

pub(super) fn start_with(state: &Path, faults: StateFaults) -> Node {
    // A session that a gate has held may give it up later than it stops.
    let open = OnceCell::new();
    wait_until("the folder is free", || {
        StateDir::open_with(state, faults.clone()).is_ok_and(|it| open.set(it).is_ok())
    });
    let folder = open.into_inner().unwrap();
    Node::of(Session::start_with_state(settings(), folder).unwrap())
}

pub(super) fn restart(state: &Path) -> Node {
    start_with(state, StateFaults::default())
}

/// A place where a thread waits while it is closed.
#[derive(Clone, Default)]
pub(super) struct Gate(Arc<(Mutex<Way>, Condvar)>);

#[derive(Default)]
struct Way {
    closed: bool,
    reached: bool,
}

/// Keeps a gate closed, until it is dropped.
pub(super) struct Closed(Gate);

impl Gate {
    pub(super) fn closed(&self) -> Closed {
        self.0.0.lock().closed = true;
        Closed(self.clone())
    }

    pub(super) fn pass(&self) {
        let mut way = self.0.0.lock();
        way.reached |= way.closed;
        self.0.1.notify_all();
        self.0.1.wait_while(&mut way, |way| way.closed);
    }
}

impl Closed {
    pub(super) fn wait_until_reached(&self) {
        let Gate(gate) = &self.0;
        let mut way = gate.0.lock();
        let late = gate.1.wait_while_for(&mut way, |way| !way.reached, LIMIT);
        assert!(!late.timed_out(), "nothing comes to the gate");
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        let Gate(gate) = &self.0;
        gate.0.lock().closed = false;
        gate.1.notify_all();
    }
}

/// A torrent that is complete, and remembered by a state directory.
struct Past {
    payload: Payload,
    state: TempDir,
    files: TempDir,
    info_hash: InfoHash,
}

impl Past {
    fn new(seed: u32) -> Self {
        let payload = Payload::of_two_files(seed);
        let [state, files] = [(); 2].map(|()| TempDir::new().unwrap());
        payload.write(files.path());
        let node = restart(state.path());
        let handle = add(&node, &payload.torrent(None), files.path()).unwrap();
        wait_until("it seeds", || handle.status().is_seeding);
        wait(handle.save_resume_data_now(SaveFlags::default())).unwrap();
        let info_hash = handle.info_hash();
        Self {
            payload,
            state,
            files,
            info_hash,
        }
    }

    /// A session that does not get to read its torrents until the gate opens.
    fn start(&self) -> (Node, Closed) {
        let gate = Gate::default();
        let closed = gate.closed();
        let hold = move |op, _: &Path| {
            if op == FileOp::List {
                gate.pass();
            }
            Ok(())
        };
        let node = start_with(self.state.path(), StateFaults::new(hold));
        closed.wait_until_reached();
        (node, closed)
    }

    /// That it is back and as it was.
    fn assert_back(&self, node: &Node) -> TorrentHandle {
        wait(node.session.restored());
        let handle = node.session.find_torrent(self.info_hash);
        let handle = handle.expect("it has come back");
        wait_until("it seeds again", || is_at_rest(&handle));
        self.payload.assert_at(self.files.path());
        handle
    }
}

#[test]
fn the_newcomer_is_refused_and_has_touched_nothing() {
    let past = Past::new(112);
    let (node, gate) = past.start();
    let giver = Node::new();
    let other = Payload::of_two_files(114);
    giver.seed(&other);
    let newcomer = add(&node, &other.torrent(None), past.files.path()).unwrap();
    newcomer.connect_peer(giver.endpoint()).unwrap();
    // What does not share a path with any other begins then.
    let elsewhere = TempDir::new().unwrap();
    let beside = add(&node, &other_content().torrent(None), elsewhere.path()).unwrap();
    other_content().write(elsewhere.path());
    // Calls on it work.
    newcomer.pause().unwrap();
    assert!(newcomer.status().paused);
    newcomer.resume().unwrap();
    assert!(!newcomer.status().paused);
    newcomer.force_recheck().unwrap();
    assert!(newcomer.is_valid() && newcomer.awaited_finish().is_none());
    past.payload.assert_at(past.files.path());
    drop(gate);
    let first = past.assert_back(&node);
    assert_refused(&newcomer, &first);
    assert!(newcomer.awaited_finish().unwrap().is_err());
    assert!(newcomer.awaited_removal().unwrap().is_ok());
    wait_until("it begins", || beside.status().is_seeding);
    past.payload.assert_at(past.files.path());
    // And at no later start.
    drop(node);
    let node = restart(past.state.path());
    past.assert_back(&node);
    assert_eq!(node.session.torrents().len(), 2);
}

fn other_content() -> Payload {
    Payload::of_two_files(116)
}

#[test]
fn the_newcomer_is_removed_at_once() {
    let past = Past::new(118);
    let (mut node, gate) = past.start();
    let newcomer = add(&node, &other_content().torrent(None), past.files.path()).unwrap();
    newcomer.rename_file(FileIndex(0), "other.bin").unwrap();
    newcomer.save_resume_data(SaveFlags::default()).unwrap();
    newcomer.flush_cache().unwrap();
    node.session
        .remove_torrent(&newcomer, Deletion::Files)
        .unwrap();
    wait_until("it has ended", || newcomer.has_ended());
    // What was asked for has ended before.
    let mut events = node.drain();
    // Those of the session go on meanwhile.
    events.retain(|event| event.torrent.is_some());
    let mut kinds: Vec<_> = events.into_iter().map(|event| event.kind()).collect();
    assert_eq!(kinds.pop(), Some(kind::TORRENT_REMOVED));
    for ended in [
        kind::FILE_RENAME_FAILED,
        kind::SAVE_RESUME_DATA_FAILED,
        kind::CACHE_FLUSHED,
        kind::TORRENT_DELETED,
    ] {
        assert!(kinds.contains(&ended), "no {} in {kinds:?}", ended.name);
    }
    assert!(newcomer.awaited_removal().unwrap().is_ok());
    drop(gate);
    past.assert_back(&node);
}

#[test]
fn a_stop_does_not_wait_for_the_newcomer_and_the_first_stays_the_first() {
    let past = Past::new(120);
    let (node, gate) = past.start();
    let newcomer = add(&node, &other_content().torrent(None), past.files.path()).unwrap();
    node.session.stop();
    wait_until("it has ended", || newcomer.has_ended());
    drop(gate);
    drop(node);
    past.payload.assert_at(past.files.path());
    let mut node = restart(past.state.path());
    let first = past.assert_back(&node);
    let refused = node.wait(kind::TORRENT_ERROR);
    assert_eq!(refused.torrent.unwrap().info_hash(), newcomer.info_hash());
    let Some(error) = refused.body.error() else {
        panic!("it has no error");
    };
    assert_names(error, &first);
    past.payload.assert_at(past.files.path());
}

#[test]
fn what_is_added_before_a_session_has_its_folder_is_no_more_than_a_newcomer() {
    let past = Past::new(122);
    let (before, gate) = past.start();
    before.session.stop();
    let folder = Folder::open(past.state.path()).unwrap();
    assert!(
        matches!(folder, Folder::Ending(_)),
        "it still has its folder"
    );
    let next = Session::start_again(settings(), SavedSession::default(), Some(folder)).unwrap();
    let next = Node::of(next);
    let newcomer = add(&next, &other_content().torrent(None), past.files.path()).unwrap();
    // The same torrent is no other one: it is as it was.
    let elsewhere = TempDir::new().unwrap();
    let same = add(&next, &past.payload.torrent(None), elsewhere.path()).unwrap();
    drop(gate);
    let first = past.assert_back(&next);
    assert_eq!(first, same);
    assert_refused(&newcomer, &first);
    past.payload.assert_at(past.files.path());
    drop(before);
}

#[test]
fn the_same_torrent_is_no_newcomer() {
    let past = Past::new(124);
    let (node, gate) = past.start();
    let elsewhere = TempDir::new().unwrap();
    let same = add(&node, &past.payload.torrent(None), elsewhere.path()).unwrap();
    wait_until("it seeds again", || is_at_rest(&same));
    assert_eq!(*same.save_path(), past.files.path());
    drop(gate);
    assert_eq!(past.assert_back(&node), same);
}
