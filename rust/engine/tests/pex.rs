//! Peers find each other by a peer that both know (BEP 11), unless they must not.

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use support::raw_peer::connect_from;
use support::{Node, Payload, until, wait_until};
use torrent_engine::core::ext::ExtendedHandshake;
use torrent_engine::core::ids::PeerId;
use torrent_engine::core::value::Value;
use torrent_engine::core::wire::{Features, Handshake, Message};
use torrent_engine::session::AddTorrent;
use torrent_engine::torrent::handle::TorrentHandle;
use torrent_engine::torrent::handle::modes::Discovery;

/// A torrent that none here has the files of, so that all connections stay.
fn torrent() -> Vec<u8> {
    Payload::of_two_files(0x9e37).torrent(None)
}

/// A node that takes part in peer exchange.
fn node() -> Node {
    Node::with(&[("enable_pex", Value::from(true))])
}

fn connect(from: &TorrentHandle, to: &Node) {
    from.connect_peer(to.endpoint()).unwrap();
}

/// Whether it is connected to the node, which a peer has named.
fn found(handle: &TorrentHandle, node: &Node) -> bool {
    let at = node.endpoint().to_string();
    let peers = handle.peers();
    let mut peers = peers
        .iter()
        .filter(|it| format!("{}:{}", it.ip, it.port) == at);
    peers.any(|it| it.source.contains("pex"))
}

/// Whether each is connected to that many.
fn connected(handles: &[TorrentHandle], counts: &[usize]) -> bool {
    let all = handles.iter().zip(counts);
    all.into_iter()
        .all(|(handle, &count)| handle.peers().len() == count)
}

#[test]
fn peers_that_know_a_third_find_each_other() {
    let nodes = [node(), node(), node()];
    let handles = nodes.each_ref().map(|node| node.add(&torrent()));
    connect(&handles[1], &nodes[0]);
    connect(&handles[2], &nodes[0]);
    wait_until("all are connected", || connected(&handles, &[2, 2, 2]));
    // One of the two has dialled the other.
    until(|| found(&handles[1], &nodes[2]) || found(&handles[2], &nodes[1]));
}

/// A peer that understands extensions, and takes part in no exchange itself.
struct Onlooker {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Onlooker {
    fn of(node: &Node, handle: &TorrentHandle) -> Self {
        wait_until("it is checked", || !handle.status().state.is_checking());
        let mut stream = connect_from(Ipv4Addr::LOCALHOST, node.endpoint());
        let ours = Handshake {
            reserved: Features::OURS.reserved(),
            info_hash: handle.info_hash(),
            peer_id: PeerId([b'o'; 20]),
        };
        stream.write_all(&ours.encode()).unwrap();
        stream.read_exact(&mut [0; 68]).unwrap();
        let bytes = Vec::new();
        Self { stream, bytes }
    }

    /// Whether the next extended handshake offers peer exchange.
    fn is_offered(&mut self) -> bool {
        loop {
            while let Some((message, used)) = Message::decode(&self.bytes, 1 << 20).unwrap() {
                let offered = match message {
                    Message::Extended { id: 0, payload } => {
                        Some(ExtendedHandshake::decode(payload).unwrap().numbers.pex != 0)
                    }
                    _ => None,
                };
                self.bytes.drain(..used);
                if let Some(offered) = offered {
                    return offered;
                }
            }
            let mut chunk = [0; 4096];
            let length = self.stream.read(&mut chunk).unwrap();
            assert!(length > 0, "closed");
            self.bytes.extend_from_slice(&chunk[..length]);
        }
    }
}

#[test]
fn a_private_torrent_takes_no_part() {
    let mut torrent = torrent();
    torrent.truncate(torrent.len() - 2);
    torrent.extend_from_slice(b"7:privatei1eee");
    let node = node();
    let handle = node.add(&torrent);
    assert!(handle.is_private());
    assert!(!Onlooker::of(&node, &handle).is_offered());
}

#[test]
fn a_torrent_and_a_session_may_take_no_part() {
    let node = node();
    let mut add = AddTorrent::from_data(&torrent(), node.folder.path()).unwrap();
    add.set_flag("disable_pex", true).unwrap();
    let handle = node.session.add_torrent(add).unwrap();
    let mut onlooker = Onlooker::of(&node, &handle);
    assert!(!onlooker.is_offered());
    handle.set_discovery(Discovery::default()).unwrap();
    assert!(onlooker.is_offered());
    let set = |on: bool| {
        let value = Value::from(on);
        node.session
            .apply_settings([("enable_pex", &value)])
            .unwrap();
    };
    set(false);
    assert!(!onlooker.is_offered());
    set(true);
    assert!(onlooker.is_offered());
}
