//! Several peers behind one address, and how many of them there may be.

mod support;

use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use support::raw_peer::{call_from, connect_from, is_closed};
use support::{Node, PIECE, Payload, wait_until};
use torrent_engine::core::settings::Settings;
use torrent_engine::core::value::Value;
use torrent_engine::session::Session;
use torrent_engine::torrent::handle::TorrentHandle;

fn payload() -> Payload {
    Payload::new(&[("a.bin", PIECE * 12)], PIECE, 23)
}

/// A connection whose handshake was sent.
fn call(from: Ipv4Addr, node: &Node, handle: &TorrentHandle, id: u8) -> TcpStream {
    call_from(from, node.endpoint(), handle.info_hash(), id)
}

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;

#[test]
fn five_players_behind_one_address_all_finish() {
    let payload = payload();
    let torrent = payload.torrent(None);
    // All defaults, but for where they listen.
    let mut settings = Settings::default();
    let listen = Value::from("127.0.0.1:0");
    settings.apply([("listen_interfaces", &listen)]).unwrap();
    let start = |_| Node::of(Session::start(settings.clone()).unwrap());
    let nodes: Vec<Node> = (0..5).map(start).collect();
    payload.write(nodes[0].folder.path());
    let handles: Vec<TorrentHandle> = nodes.iter().map(|node| node.add(&torrent)).collect();
    wait_until("the first one seeds", || handles[0].status().is_seeding);
    for (at, handle) in handles.iter().enumerate() {
        for other in nodes.iter().enumerate().filter(|(other, _)| *other != at) {
            handle.connect_peer(other.1.endpoint()).unwrap();
        }
    }
    for (node, handle) in nodes.iter().zip(&handles) {
        wait_until("it is finished", || handle.status().is_finished);
        payload.assert_at(node.folder.path());
    }
}

#[test]
#[cfg(target_os = "linux")]
fn one_address_has_its_number_and_others_get_in() {
    let payload = payload();
    let node = Node::with(&[("max_connections_per_ip", Value::Int(8))]);
    // Not a seed, so that no connection is closed because nothing is wanted.
    let handle = node.add(&payload.torrent(None));
    wait_until("it is checked", || !handle.status().state.is_checking());
    let calls: Vec<TcpStream> = (1..=30).map(|id| call(HERE, &node, &handle, id)).collect();
    let open = || calls.iter().filter(|stream| !is_closed(stream)).count();
    wait_until("those beyond the limit are closed", || open() <= 8);
    wait_until("the others are in", || handle.peers().len() == 8);
    assert_eq!(open(), 8);
    let other = call(Ipv4Addr::new(127, 0, 0, 2), &node, &handle, 99);
    wait_until("another address gets in", || handle.peers().len() == 9);
    drop((other, calls));
    wait_until("all are gone", || handle.peers().is_empty());
    let again: Vec<TcpStream> = (1..=8).map(|id| call(HERE, &node, &handle, id)).collect();
    wait_until("the places are free", || handle.peers().len() == 8);
    drop(again);
}

#[test]
#[cfg(target_os = "linux")]
fn one_address_dawdles_in_so_many_handshakes() {
    let node = Node::with(&[("max_connections_per_ip", Value::Int(8))]);
    let silent: Vec<TcpStream> = (0..60)
        .map(|_| connect_from(HERE, node.endpoint()))
        .collect();
    let open = || silent.iter().filter(|stream| !is_closed(stream)).count();
    wait_until("most are shown out", || open() <= 8);
    assert_eq!(open(), 8);
}

#[test]
fn a_peer_that_calls_anew_takes_its_own_place() {
    let payload = payload();
    let node = Node::with(&[("max_connections_per_ip", Value::Int(2))]);
    let handle = node.add(&payload.torrent(None));
    wait_until("it is checked", || !handle.status().state.is_checking());
    let other = call(HERE, &node, &handle, 1);
    let mut last = call(HERE, &node, &handle, 2);
    wait_until("both are in", || handle.peers().len() == 2);
    for _ in 0..5 {
        let again = call(HERE, &node, &handle, 2);
        wait_until("the old connection is closed", || is_closed(&last));
        last = again;
        wait_until("there are two", || handle.peers().len() == 2);
    }
    assert!(!is_closed(&other) && !is_closed(&last));
}

#[test]
fn one_connection_an_address_is_still_to_be_had() {
    let payload = payload();
    let node = Node::with(&[("allow_multiple_connections_per_ip", Value::Bool(false))]);
    let handle = node.add(&payload.torrent(None));
    wait_until("it is checked", || !handle.status().state.is_checking());
    let first = call(HERE, &node, &handle, 1);
    wait_until("the first is in", || handle.peers().len() == 1);
    let second = call(HERE, &node, &handle, 2);
    wait_until("the second is turned away", || is_closed(&second));
    assert!(!is_closed(&first));
}

#[test]
fn a_named_peer_that_hangs_up_is_called_again() {
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let listener = TcpListener::bind((here, 0)).unwrap();
    // One call each time: it is not tried with an encrypted handshake too.
    let node = Node::with(&[("out_enc_policy", Value::Int(2))]);
    let handle = node.add(&payload().torrent(None));
    handle.connect_peer(listener.local_addr().unwrap()).unwrap();
    let mut calls = Vec::new();
    for _ in 0..3 {
        let (stream, _) = listener.accept().unwrap();
        calls.push(Instant::now());
        drop(stream);
    }
    let waits = calls.windows(2).map(|pair| pair[1] - pair[0]);
    for (wait, at_least) in waits.zip([1, 2]) {
        assert!(wait >= Duration::from_secs(at_least), "{wait:?}");
    }
}
