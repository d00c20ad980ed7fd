//! Callers that say nothing, and peers that never answer: they take no place
//! from those who mean well.
#![cfg(target_os = "linux")]

mod support;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use support::raw_peer::{is_closed, shake_from};
use support::{Node, Payload, wait_until};
use torrent_engine::core::value::Value;
use torrent_engine::event::{EventBody, kind};
use torrent_engine::torrent::handle::TorrentHandle;

const PIECE: usize = 32_768;

fn seed(patch: &[(&str, Value)]) -> (Node, Payload, TorrentHandle) {
    let payload = Payload::new(&[("a.bin", PIECE * 4)], PIECE, 11);
    let node = Node::with(patch);
    let handle = node.seed(&payload);
    (node, payload, handle)
}

fn download(payload: &Payload, from: SocketAddr) {
    let mut leech = Node::new();
    let handle = leech.add(&payload.torrent(None));
    handle.connect_peer(from).unwrap();
    leech.wait(kind::TORRENT_FINISHED);
    payload.assert_at(leech.folder.path());
}

#[test]
fn silent_callers_are_shown_out_and_a_real_peer_gets_in() {
    // The time limit alone would take an hour to make room.
    let (node, payload, _) = seed(&[("handshake_timeout", 3600.into())]);
    let silent: Vec<TcpStream> = (0..500)
        .map(|at| {
            let mut stream = TcpStream::connect(node.endpoint()).unwrap();
            if at % 2 == 0 {
                stream.write_all(b"\x13Bit").unwrap();
            }
            stream
        })
        .collect();
    download(&payload, node.endpoint());
    // The first ones made room for the last.
    wait_until("the lobby has emptied", || {
        silent.iter().filter(|stream| !is_closed(stream)).count() <= 256
    });
}

#[test]
fn peers_that_fall_silent_are_cut_and_their_places_are_free() {
    let (node, payload, handle) = seed(&[
        ("peer_timeout", 1.into()),
        ("connections_limit", 4.into()),
        ("connections_slack", 0.into()),
    ]);
    let silent: Vec<TcpStream> = (1..=4)
        .map(|id| shake_from(Ipv4Addr::LOCALHOST, node.endpoint(), handle.info_hash(), id))
        .collect();
    wait_until("they are cut", || silent.iter().all(is_closed));
    wait_until("their places are free", || handle.status().num_peers == 0);
    // The real one may take its time between two messages.
    let patient = Value::Int(3600);
    node.session
        .apply_settings([("peer_timeout", &patient)])
        .unwrap();
    download(&payload, node.endpoint());
}

/// An address that swallows connections: a listener whose backlog is full.
fn blackhole(ip: [u8; 4]) -> (socket2::Socket, SocketAddr, Vec<TcpStream>) {
    use socket2::{Domain, Socket, Type};
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from((ip, 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let at = listener.local_addr().unwrap().as_socket().unwrap();
    let mut fill = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&at, Duration::from_millis(100)) {
        fill.push(stream);
        assert!(fill.len() < 16, "the backlog never fills");
    }
    (listener, at, fill)
}

#[test]
fn blackholes_do_not_keep_us_from_a_real_peer() {
    let (source, payload, _) = seed(&[]);
    let holes: Vec<_> = (1..=12).map(|at| blackhole([127, 0, 1, at])).collect();
    let mut leech = Node::with(&[
        ("half_open_limit", 5.into()),
        ("connection_speed", 1000.into()),
        ("peer_connect_timeout", 1.into()),
    ]);
    let handle = leech.add(&payload.torrent(None));
    for (_, at, _) in &holes {
        handle.connect_peer(*at).unwrap();
    }
    handle.connect_peer(source.endpoint()).unwrap();
    leech.wait(kind::TORRENT_FINISHED);
    payload.assert_at(leech.folder.path());
    // Each of them has had its turn.
    for (_, at, _) in &holes {
        leech.wait_where(
            kind::PEER_DISCONNECTED,
            |event| matches!(&event.body, EventBody::PeerDisconnected(ended) if ended.peer.endpoint == *at),
        );
    }
}
