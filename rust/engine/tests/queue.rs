//! The queue of a session: who runs, who checks, who waits.

mod support;

use std::path::Path;

use support::{Node, Payload, wait, wait_until};
use torrent_engine::core::ids::InfoHash;
use torrent_engine::core::session_state::SessionState;
use torrent_engine::core::settings::Settings;
use torrent_engine::core::torrent::TorrentState;
use torrent_engine::core::value::Value;
use torrent_engine::event::kind;
use torrent_engine::session::queue::Move;
use torrent_engine::session::{AddTorrent, Session};
use torrent_engine::state_dir::StateDir;
use torrent_engine::torrent::handle::TorrentHandle;

fn payload(seed: u32) -> Payload {
    // Only odd ones differ.
    Payload::new(&[("a.bin", 70_000)], 16_384, 2 * seed + 1)
}

/// Adds torrents that the queue manages, in their order.
fn add_all(node: &Node, payloads: &[Payload]) -> Vec<TorrentHandle> {
    let add = |(number, payload): (usize, &Payload)| {
        let folder = node.folder.path().join(number.to_string());
        let mut add = AddTorrent::from_data(&payload.torrent(None), folder).unwrap();
        add.auto_managed = true;
        add.paused = true;
        node.session.add_torrent(add).unwrap()
    };
    payloads.iter().enumerate().map(add).collect()
}

fn running(handles: &[TorrentHandle]) -> Vec<usize> {
    let numbered = handles.iter().enumerate();
    let runs = |handle: &TorrentHandle| {
        let status = handle.status();
        !status.paused && !status.state.is_checking()
    };
    numbered
        .filter(|(_, handle)| runs(handle))
        .map(|(at, _)| at)
        .collect()
}

fn wait_for(handles: &[TorrentHandle], expected: &[usize]) {
    wait_until(&format!("{expected:?} run"), || {
        running(handles) == expected
    });
}

fn set(node: &Node, name: &str, value: impl Into<Value>) {
    let value = value.into();
    node.session.apply_settings([(name, &value)]).unwrap();
}

/// A queue that is looked at when something has changed, and not as time goes.
const ONLY_WHEN_ASKED: [(&str, Value); 2] = [
    ("auto_manage_interval", Value::Int(86_400)),
    ("auto_manage_startup", Value::Int(86_400)),
];

/// Lets the queue look at all that was reported so far, which another place for
/// a download shows: what runs until it is looked at next runs on from here.
/// Expects that `all` of these run with it, and `few` without.
fn have_looked(node: &Node, handles: &[TorrentHandle], few: &[usize], all: &[usize]) {
    for handle in handles {
        wait(handle.flush()).unwrap();
    }
    set(node, "active_downloads", 2);
    wait_for(handles, all);
    set(node, "active_downloads", 1);
    wait_for(handles, few);
}

#[test]
fn the_first_few_run_and_the_next_follow() {
    let payloads: Vec<Payload> = (1..=5).map(payload).collect();
    let giver = Node::new();
    payloads[0].write(giver.folder.path());
    let seed = giver.add(&payloads[0].torrent(None));
    wait_until("seeding", || seed.status().state == TorrentState::Seeding);

    let [_, startup] = ONLY_WHEN_ASKED;
    let mut node = Node::with(&[
        ("active_downloads", Value::Int(2)),
        ("active_checking", Value::Int(1)),
        startup,
    ]);
    let all = add_all(&node, &payloads);
    wait_for(&all, &[0, 1]);
    wait_until("all are checked", || {
        all.iter().all(|it| !it.status().state.is_checking())
    });
    let places: Vec<i64> = all.iter().map(TorrentHandle::queue_position).collect();
    assert_eq!(places, [0, 1, 2, 3, 4]);
    assert!(all[4].is_paused() && all[4].is_auto_managed());

    all[4].move_in_queue(Move::Top).unwrap();
    assert_eq!(all[4].queue_position(), 0, "at once");
    wait_for(&all, &[0, 4]);
    assert_eq!(all[0].queue_position(), 1);

    all[0].connect_peer(giver.endpoint()).unwrap();
    node.wait(kind::TORRENT_FINISHED);
    // A seed has a place of its own.
    wait_for(&all, &[0, 1, 4]);
    assert_eq!(all[0].queue_position(), -1);
    wait_until("the status says so", || {
        all[0].status().queue_position == -1 && all[0].status().seed_rank > 0
    });

    set(&node, "active_downloads", -1);
    wait_for(&all, &[0, 1, 2, 3, 4]);
    set(&node, "active_limit", 1);
    wait_for(&all, &[4]);
}

#[test]
fn the_owner_has_the_last_word() {
    let payloads: Vec<Payload> = (11..=13).map(payload).collect();
    let [interval, startup] = ONLY_WHEN_ASKED;
    let mut node = Node::with(&[("active_downloads", Value::Int(1)), interval, startup]);
    let all = add_all(&node, &payloads);
    wait_for(&all, &[0]);
    all[0].pause().unwrap();
    assert!(!all[0].is_auto_managed() && all[0].is_paused());
    node.wait(kind::TORRENT_PAUSED);
    wait_for(&all, &[1]);
    // Not managed: it takes no place.
    all[0].resume().unwrap();
    wait_for(&all, &[0, 1]);
    all[0].set_auto_managed(true).unwrap();
    wait_for(&all, &[0]);
    all[2].set_auto_managed(false).unwrap();
    assert!(all[2].is_paused(), "it stays as it is");
    all[2].resume().unwrap();
    wait_for(&all, &[0, 2]);
    // A managed one runs for a while.
    have_looked(&node, &all, &[0, 2], &[0, 1, 2]);
    all[1].resume().unwrap();
    wait_for(&all, &[0, 1, 2]);
    set(&node, "active_checking", 2);
    wait_for(&all, &[0, 2]);
}

#[test]
fn checks_wait_for_each_other() {
    let payloads: Vec<Payload> = (21..=23).map(payload).collect();
    let node = Node::with(&[("active_checking", Value::Int(0))]);
    let all = add_all(&node, &payloads);
    let owned = payload(24);
    owned.write(node.folder.path());
    let owned = node.add(&owned.torrent(None));
    wait_until("it is its owner's affair", || {
        owned.status().state == TorrentState::Seeding
    });
    assert!(all.iter().all(|it| it.status().state.is_checking()));
    owned.set_auto_managed(true).unwrap();
    owned.force_recheck().unwrap();
    wait_until("it waits", || owned.status().state.is_checking());
    set(&node, "active_checking", 1);
    wait_until("all are checked", || {
        all.iter().all(|it| !it.status().state.is_checking())
            && owned.status().state == TorrentState::Seeding
    });
    set(&node, "active_checking", 0);
    owned.force_recheck().unwrap();
    wait_until("it waits again", || owned.status().state.is_checking());
    owned.set_auto_managed(false).unwrap();
    wait_until("it is checked", || {
        owned.status().state == TorrentState::Seeding
    });
}

fn start_on(folder: &Path) -> Node {
    let state = StateDir::open(folder).unwrap();
    let mut settings = Settings::default();
    let [_, startup] = ONLY_WHEN_ASKED;
    let limits = [
        ("listen_interfaces", Value::from("127.0.0.1:0")),
        ("active_downloads", Value::Int(1)),
        startup,
    ];
    let patch = limits.iter().map(|(name, value)| (*name, value));
    settings.apply(patch).unwrap();
    let node = Node::of(Session::start_with_state(settings, state).unwrap());
    wait_until("all are back", || node.session.is_restored());
    node
}

#[test]
fn the_order_of_the_queue_outlives_the_session() {
    let payloads: Vec<Payload> = (51..=55).map(payload).collect();
    let state = tempfile::tempdir().unwrap();
    let files = tempfile::tempdir().unwrap();
    let mut node = start_on(state.path());
    node.folder = tempfile::tempdir_in(files.path()).unwrap();
    // A seed has no place.
    payloads[1].write(&node.folder.path().join("1"));
    let all = add_all(&node, &payloads);
    wait_until("the seed is known", || all[1].queue_position() == -1);
    all[4].move_in_queue(Move::Top).unwrap();
    all[0].move_in_queue(Move::Bottom).unwrap();
    let order = |node: &Node| {
        let mut line: Vec<(i64, InfoHash)> = node
            .session
            .torrents()
            .iter()
            .map(|it| (it.queue_position(), it.info_hash()))
            .filter(|&(place, _)| place >= 0)
            .collect();
        line.sort_unstable();
        line
    };
    let hashes: Vec<_> = all.iter().map(TorrentHandle::info_hash).collect();
    let expected = [4, 2, 3, 0].map(|number: usize| hashes[number]);
    let names = |node: &Node| -> Vec<_> { order(node).into_iter().map(|it| it.1).collect() };
    assert_eq!(names(&node), expected);

    // What is saved by itself is what a crash leaves behind.
    let path = state.path().join("session.state");
    wait_until("it is saved by itself", || {
        let data = std::fs::read(&path).unwrap_or_default();
        SessionState::decode(&data).is_ok_and(|state| state.queue == expected)
    });
    let saved = node.session.save_state();
    node.session.stop_within(support::LIMIT);
    assert!(node.session.join(support::LIMIT));

    let again = start_on(state.path());
    let of = |number: usize| again.session.find_torrent(hashes[number]).unwrap();
    wait_until("the seed is known again", || of(1).queue_position() == -1);
    assert_eq!(names(&again), expected);
    wait_until("the first one runs", || !of(4).is_paused());
    wait_until("all are checked", || {
        let torrents = again.session.torrents();
        torrents.iter().all(|it| !it.status().state.is_checking())
    });
    assert!([2, 3, 0].into_iter().all(|number| of(number).is_paused()));

    // A session's state brings the order back too.
    of(0).move_in_queue(Move::Top).unwrap();
    assert_ne!(names(&again), expected);
    again.session.load_state(&saved).unwrap();
    assert_eq!(names(&again), expected);
    again.session.remove_torrent(&of(2), false).unwrap();
    let left = [4, 3, 0].map(|number: usize| hashes[number]);
    assert_eq!(names(&again), left);
}

#[test]
fn a_peer_starts_a_torrent_that_waits_when_that_is_wanted() {
    let payloads: Vec<Payload> = (31..=32).map(payload).collect();
    let [interval, startup] = ONLY_WHEN_ASKED;
    let node = Node::with(&[
        ("active_downloads", Value::Int(1)),
        ("incoming_starts_queued_torrents", Value::Bool(true)),
        interval,
        startup,
    ]);
    let all = add_all(&node, &payloads);
    wait_for(&all, &[0]);
    wait_until("both are checked", || !all[1].status().state.is_checking());
    have_looked(&node, &all, &[0], &[0, 1]);
    let giver = Node::new();
    payloads[1].write(giver.folder.path());
    let seed = giver.add(&payloads[1].torrent(None));
    wait_until("seeding", || seed.status().state == TorrentState::Seeding);
    seed.connect_peer(node.endpoint()).unwrap();
    wait_until("it has come", || {
        all[1].status().state == TorrentState::Seeding
    });
}

#[test]
fn a_graceful_pause_takes_in_what_was_asked_for() {
    let payload = Payload::new(&[("a.bin", 3_000_000)], 65_536, 41);
    // Without the second half the download cannot be over before it pauses.
    let giver = Node::with(&[("upload_rate_limit", Value::Int(300_000))]);
    payload.write(giver.folder.path());
    let path = giver.folder.path().join("payload/a.bin");
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_len(1_500_000).unwrap();
    let half = giver.add(&payload.torrent(None));
    wait_until("it gives half", || {
        half.status().state == TorrentState::Downloading
    });
    let source = Node::new();
    payload.write(source.folder.path());
    let seed = source.add(&payload.torrent(None));
    wait_until("seeding", || seed.status().state == TorrentState::Seeding);
    let mut node = Node::new();
    let handle = node.add(&payload.torrent(None));
    handle.connect_peer(giver.endpoint()).unwrap();
    wait_until("blocks come", || handle.status().total_payload_download > 0);
    handle.pause_gracefully().unwrap();
    assert!(handle.is_paused());
    node.wait(kind::TORRENT_PAUSED);
    wait_until("nobody is left", || handle.peers().is_empty());
    let status = handle.status();
    assert!(status.paused && status.state == TorrentState::Downloading);
    assert_eq!(status.total_redundant_bytes, 0);
    handle.resume().unwrap();
    handle.connect_peer(source.endpoint()).unwrap();
    set(&giver, "upload_rate_limit", 0);
    node.wait(kind::TORRENT_FINISHED);
    payload.assert_at(node.folder.path());
}
