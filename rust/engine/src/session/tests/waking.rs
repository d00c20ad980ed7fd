//! The machine was suspended: by the time of day hours have passed, of which the
//! clock of timers knows nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};

use super::support::udp_tracker::udp_tracker;
use super::support::{LIMIT, Node, Payload, until};
use crate::core::value::Value;
use crate::event::kind;
use crate::session::AddTorrent;
use crate::torrent::handle::TorrentHandle;

/// Two hours, in milliseconds: longer than any wait in these tests.
const LONG: i64 = 7_200_000;

fn suspend(node: &Node) {
    node.session.shared.services.clock.advance(LONG);
}

/// A torrent that is announced to `tracker` and knows these peers.
fn add(node: &Node, tracker: Option<&str>, peers: Vec<SocketAddr>) -> TorrentHandle {
    let torrent = Payload::of_two_files(91).torrent(tracker);
    let mut add = AddTorrent::from_data(&torrent, node.folder.path()).unwrap();
    add.peers = peers;
    node.session.add_torrent(add).unwrap()
}

/// A peer that hangs up on every call; each comes out of the channel.
fn rude_peer() -> (SocketAddr, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (calls, heard) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            drop(stream);
            if calls.send(()).is_err() {
                return;
            }
        }
    });
    (addr, heard)
}

#[test]
fn peers_that_failed_are_called_again() {
    let (addr, calls) = rude_peer();
    // One failure is enough, for good.
    let node = Node::with(&[("max_failcount", Value::Int(1))]);
    let handle = add(&node, None, vec![addr]);
    calls.recv_timeout(LIMIT).unwrap();
    until(|| {
        node.session
            .shared
            .services
            .stats
            .error_outgoing_peers
            .get()
            == 1
    });
    suspend(&node);
    calls.recv_timeout(LIMIT).unwrap();
    drop(handle);
}

#[test]
fn connections_that_peers_have_given_up_are_made_anew() {
    let (other, mut node) = (Node::new(), Node::new());
    let others = add(&other, None, Vec::new());
    let handle = add(&node, None, Vec::new());
    handle.connect_peer(other.endpoint()).unwrap();
    until(|| handle.status().num_peers == 1 && others.status().num_peers == 1);
    node.drain();
    suspend(&node);
    let ended = node.wait(kind::PEER_DISCONNECTED);
    let ended = format!("{ended:?}");
    assert!(ended.contains("TimedOutActivity"), "{ended}");
    node.wait(kind::PEER_CONNECT);
    until(|| handle.status().num_peers == 1);
}

/// A tracker without peers whose announces are half an hour apart; each one comes
/// out of the channel.
fn tracker() -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (announces, heard) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut request = String::new();
            reader.read_line(&mut request).unwrap();
            let mut line = String::new();
            while reader.read_line(&mut line).unwrap() > 2 {}
            let body = "d8:intervali1800e12:min intervali1800e5:peers0:e";
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all((head + body).as_bytes());
            // Until the other side has read it.
            let _ = reader.read(&mut [0]);
            if announces.send(request).is_err() {
                return;
            }
        }
    });
    (addr, heard)
}

#[test]
fn trackers_are_announced_to_again() {
    let (addr, announces) = tracker();
    let node = Node::new();
    add(&node, Some(&format!("http://{addr}/announce")), Vec::new());
    let first = announces.recv_timeout(LIMIT).unwrap();
    assert!(first.contains("event=started"), "{first}");
    suspend(&node);
    let second = announces.recv_timeout(LIMIT).unwrap();
    assert!(!second.contains("event="), "{second}");
}

#[test]
fn connection_ids_of_udp_trackers_do_not_outlive_a_suspend() {
    let (addr, announces) = udp_tracker();
    let node = Node::new();
    add(&node, Some(&format!("udp://{addr}/announce")), Vec::new());
    let connection = || announces.recv_timeout(LIMIT).unwrap().connection;
    assert_eq!(connection(), 1);
    suspend(&node);
    assert_eq!(connection(), 2);
}
