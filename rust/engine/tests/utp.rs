//! Whole sessions that speak uTP (BEP 29) over loopback sockets.

mod support;

use std::time::{Duration, Instant};

use support::{LIMIT, Node, PIECE, Payload, stat, wait_until};
use torrent_engine::core::value::Value;
use torrent_engine::event::kind;
use torrent_engine::session::AddTorrent;
use torrent_engine::torrent::handle::TorrentHandle;

/// A node at an address, with these kinds of connection.
fn node(at: &str, utp: bool, tcp: bool, more: &[(&str, Value)]) -> Node {
    let mut patch = vec![
        ("listen_interfaces", Value::from(format!("{at}:0"))),
        ("enable_incoming_utp", Value::from(utp)),
        ("enable_outgoing_utp", Value::from(utp)),
        ("enable_incoming_tcp", Value::from(tcp)),
        ("enable_outgoing_tcp", Value::from(tcp)),
        // Connections can be looked at after the transfer.
        ("close_redundant_connections", Value::from(false)),
    ];
    patch.extend_from_slice(more);
    Node::with(&patch)
}

fn utp_only(at: &str) -> Node {
    node(at, true, false, &[])
}

const LOCAL: &str = "127.0.0.1";

fn files() -> Payload {
    let lengths = [
        ("a.bin", 300_001),
        ("empty", 0),
        ("deep/b.bin", 1_500_003),
        ("c", 7),
    ];
    Payload::new(&lengths, 65_536, 1)
}

/// What carries the connections of a torrent.
fn carriers(handle: &TorrentHandle) -> Vec<String> {
    let peers = handle.peers();
    peers
        .iter()
        .map(|peer| peer.connection_type.clone())
        .collect()
}

#[test]
fn several_files_arrive_over_either_family() {
    let payload = files();
    for at in [LOCAL, "[::1]"] {
        let mut seed = utp_only(at);
        if seed.session.listening().is_empty() {
            // A machine without IPv6.
            continue;
        }
        let seeding = seed.seed(&payload);
        let mut leech = node(at, true, false, &[]);
        let handle = leech.add(&payload.torrent(None));
        handle.connect_peer(seed.endpoint()).unwrap();
        leech.wait(kind::TORRENT_FINISHED);
        payload.assert_at(leech.folder.path());
        for handle in [&handle, &seeding] {
            wait_until("shown", || !carriers(handle).is_empty());
            assert_eq!(carriers(handle), ["utp"]);
        }
        for (session, role) in [(&leech.session, "in"), (&seed.session, "out")] {
            let packets = stat(session, &format!("utp.utp_payload_pkts_{role}"));
            assert!(packets >= 1_800_011 / 1500, "{packets}");
            assert_eq!(stat(session, "peer.num_utp_peers"), 1);
            assert_eq!(stat(session, "peer.num_tcp_peers"), 0);
        }
        seed.look();
    }
}

#[test]
fn a_magnet_link_brings_everything() {
    let payload = files();
    let seed = utp_only(LOCAL);
    let seeding = seed.seed(&payload);
    let mut leech = utp_only(LOCAL);
    let uri = format!("magnet:?xt=urn:btih:{}", seeding.info_hash());
    let add = AddTorrent::from_magnet(&uri, leech.folder.path()).unwrap();
    let handle = leech.session.add_torrent(add).unwrap();
    handle.connect_peer(seed.endpoint()).unwrap();
    leech.wait(kind::TORRENT_FINISHED);
    payload.assert_at(leech.folder.path());
}

/// More than is sent before a test looks.
fn large() -> Payload {
    Payload::new(&[("a.bin", 200 * PIECE)], PIECE, 5)
}

#[test]
fn an_end_in_mid_transfer_is_an_end_for_both() {
    let payload = large();
    let torrent = payload.torrent(None);
    let limit = [("upload_rate_limit", Value::Int(500_000))];
    for seed_ends in [true, false] {
        let mut seed = node(LOCAL, true, false, &limit);
        seed.seed(&payload);
        let mut leech = utp_only(LOCAL);
        let handle = leech.add(&torrent);
        handle.connect_peer(seed.endpoint()).unwrap();
        wait_until("under way", || handle.status().total_payload_download > 0);
        let (ending, staying) = match seed_ends {
            true => (&mut seed, &mut leech),
            false => (&mut leech, &mut seed),
        };
        let begun = Instant::now();
        ending.session.stop_within(LIMIT);
        assert!(ending.session.join(LIMIT));
        // It does not wait for time-outs of the other end.
        assert!(begun.elapsed() < Duration::from_secs(60));
        staying.wait(kind::PEER_DISCONNECTED);
    }
}

#[test]
fn a_torrent_that_is_removed_in_mid_transfer_closes_its_connection() {
    let payload = large();
    let limit = [("upload_rate_limit", Value::Int(500_000))];
    let mut seed = node(LOCAL, true, false, &limit);
    let seeding = seed.seed(&payload);
    let leech = utp_only(LOCAL);
    let handle = leech.add(&payload.torrent(None));
    handle.connect_peer(seed.endpoint()).unwrap();
    wait_until("under way", || handle.status().total_payload_download > 0);
    leech.session.remove_torrent(&handle, false).unwrap();
    seed.wait(kind::PEER_DISCONNECTED);
    wait_until("closed", || seeding.peers().is_empty());
}

#[test]
fn a_peer_without_utp_is_reached_over_tcp() {
    let payload = files();
    let seed = node(LOCAL, false, true, &[]);
    seed.seed(&payload);
    let mut leech = node(LOCAL, true, true, &[]);
    let handle = leech.add(&payload.torrent(None));
    handle.connect_peer(seed.endpoint()).unwrap();
    leech.wait(kind::TORRENT_FINISHED);
    payload.assert_at(leech.folder.path());
    wait_until("shown", || carriers(&handle) == ["tcp"]);
}

#[test]
fn a_peer_with_both_is_reached_over_utp() {
    let payload = files();
    let seed = node(LOCAL, true, true, &[]);
    seed.seed(&payload);
    let mut leech = node(LOCAL, true, true, &[]);
    let handle = leech.add(&payload.torrent(None));
    handle.connect_peer(seed.endpoint()).unwrap();
    leech.wait(kind::TORRENT_FINISHED);
    payload.assert_at(leech.folder.path());
    assert_eq!(stat(&seed.session, "peer.incoming_connections"), 1);
}

#[test]
fn a_closed_door_is_closed() {
    let payload = files();
    let seed = node(LOCAL, false, false, &[]);
    seed.seed(&payload);
    let hasty = [
        ("utp_connect_timeout", Value::Int(50)),
        ("utp_syn_resends", Value::Int(1)),
    ];
    let mut leech = node(LOCAL, true, false, &hasty);
    let handle = leech.add(&payload.torrent(None));
    handle.connect_peer(seed.endpoint()).unwrap();
    leech.wait(kind::PEER_DISCONNECTED);
    assert_eq!(stat(&seed.session, "peer.incoming_connections"), 0);
}

#[test]
fn listening_elsewhere_ends_connections_and_new_ones_work() {
    let payload = large();
    let limit = [("upload_rate_limit", Value::Int(500_000))];
    let seed = node(LOCAL, true, false, &limit);
    seed.seed(&payload);
    let mut leech = utp_only(LOCAL);
    let handle = leech.add(&payload.torrent(None));
    handle.connect_peer(seed.endpoint()).unwrap();
    wait_until("under way", || handle.status().total_payload_download > 0);
    let before = seed.endpoint();
    let elsewhere = [
        ("listen_interfaces", Value::from("127.0.0.2:0")),
        ("upload_rate_limit", Value::Int(0)),
    ];
    let patch = elsewhere.iter().map(|(name, value)| (*name, value));
    seed.session.apply_settings(patch).unwrap();
    let is_moved = || {
        seed.session
            .listening()
            .first()
            .is_some_and(|it| *it != before)
    };
    wait_until("moved", is_moved);
    handle.connect_peer(seed.endpoint()).unwrap();
    leech.wait(kind::TORRENT_FINISHED);
    payload.assert_at(leech.folder.path());
}
