//! Torrents that have nothing to do replace no snapshot, and what is shown of
//! them is true all the same.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::support::{LIMIT, Node, Payload, until};
use crate::core::value::Value;
use crate::event::kind;
use crate::session::AddTorrent;
use crate::session::queue::Move;
use crate::torrent::handle::TorrentHandle;

/// How often snapshots would be replaced.
const INTERVAL: Duration = Duration::from_millis(20);

fn added(node: &Node, seed: u32) -> TorrentHandle {
    let data = Payload::of_two_files(seed).torrent(None);
    let folder = node.folder.path().join(seed.to_string());
    let add = AddTorrent::from_data(&data, folder).unwrap();
    node.session.add_torrent(add).unwrap()
}

/// Waits until no snapshot has come for many intervals.
fn comes_to_rest(torrents: &[&TorrentHandle]) {
    let published = || -> u64 {
        let counts = torrents.iter().map(|it| &it.shared.view.published);
        counts.map(|it| it.load(Ordering::Relaxed)).sum()
    };
    let deadline = Instant::now() + LIMIT;
    let (mut count, mut since) = (published(), Instant::now());
    while since.elapsed() < 50 * INTERVAL {
        assert!(
            Instant::now() < deadline,
            "snapshots are replaced all the time"
        );
        std::thread::sleep(INTERVAL);
        if published() != count {
            (count, since) = (published(), Instant::now());
        }
    }
}

#[test]
fn an_idle_session_publishes_nothing_and_shows_what_is_true() {
    let interval = Value::Int(INTERVAL.as_millis() as i64);
    let mut node = Node::with(&[("status_update_interval", interval)]);
    let payload = Payload::of_two_files(1);
    let seed = node.seed(&payload);
    let (first, second, third) = (added(&node, 3), added(&node, 5), added(&node, 7));
    first.pause().unwrap();
    until(|| seed.status().is_seeding);
    comes_to_rest(&[&seed, &first, &second, &third]);

    // The clocks run, and only of what runs.
    let (status, paused) = (seed.status(), first.status());
    until(|| {
        let now = seed.status();
        now.seeding_time > status.seeding_time && now.active_time > status.active_time
    });
    assert!(seed.status().last_seen_complete >= status.last_seen_complete);
    assert_eq!(first.status().active_time, paused.active_time);

    // Others change a torrent's place in the queue.
    assert_eq!(third.status().queue_position, 2);
    third.move_in_queue(Move::Top).unwrap();
    assert_eq!(second.status().queue_position, 2);
    comes_to_rest(&[&seed, &first, &second, &third]);
    assert_eq!(
        second.shared.view.status.load().value.status.queue_position,
        2
    );

    // Peers come and go.
    let leech = Node::new();
    let data = payload.torrent(None);
    let add = AddTorrent::from_data(&data, leech.folder.path()).unwrap();
    let leech_torrent = leech.session.add_torrent(add).unwrap();
    leech_torrent.connect_peer(node.endpoint()).unwrap();
    until(|| leech_torrent.status().is_finished);
    node.wait(kind::PEER_CONNECT);
    until(|| seed.status().total_payload_upload > 0);
    drop(leech);
    until(|| seed.status().num_peers == 0);
    assert!(seed.peers().is_empty());
    comes_to_rest(&[&seed, &first, &second, &third]);

    // Its clocks stand still when it is over.
    node.session.stop();
    until(|| seed.has_ended());
    assert!(Arc::ptr_eq(&seed.status(), &seed.status()));
}
