//! Addresses that the game bans, by a torrent's handle.

mod support;

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, TcpStream};

use support::raw_peer::call_from;
use support::{Node, Payload, wait_until};
use torrent_engine::error::ErrorKind;
use torrent_engine::event::{EventBody, kind};
use torrent_engine::session::AddTorrent;
use torrent_engine::torrent::handle::TorrentHandle;
use torrent_engine::torrent::handle::storage::Deletion;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn payload(seed: u32) -> Payload {
    Payload::new(&[("a.bin", 100_000)], 16_384, seed)
}

/// A connection whose handshake was sent.
fn call(node: &Node, handle: &TorrentHandle) -> TcpStream {
    call_from(Ipv4Addr::LOCALHOST, node.endpoint(), handle.info_hash(), 9)
}

/// What came until the other end closed.
fn rest(mut stream: TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let mut part = [0; 65_536];
    while let Ok(count @ 1..) = stream.read(&mut part) {
        all.extend_from_slice(&part[..count]);
    }
    all
}

#[test]
fn a_ban_by_a_handle_holds_in_all_torrents_of_the_session() {
    let mut node = Node::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let first = node.add(&payload(1).torrent(None));
    let add = AddTorrent::from_data(&payload(2).torrent(None), elsewhere.path()).unwrap();
    let second = node.session.add_torrent(add).unwrap();
    for _ in 0..2 {
        node.wait(kind::TORRENT_CHECKED);
    }
    let calls = [&first, &second].map(|handle| call(&node, handle));
    wait_until("both are connected", || {
        first.peers().len() == 1 && second.peers().len() == 1
    });
    first.ban_peer(HERE).unwrap();
    let event = node.wait(kind::IP_BAN);
    assert!(
        matches!(event.body, EventBody::IpBan(HERE)),
        "{:?}",
        event.body
    );
    for stream in calls {
        rest(stream);
        node.wait(kind::PEER_BAN);
    }
    assert_eq!(node.session.banned_peers(), [HERE]);
    // There is no answer any more.
    assert!(rest(call(&node, &second)).is_empty());
    node.wait(kind::PEER_BLOCKED);
    wait_until("nobody is left", || {
        first.peers().is_empty() && second.peers().is_empty()
    });
    // It is reported once.
    first.ban_peer(HERE).unwrap();
    assert!(
        !node
            .drain()
            .iter()
            .any(|event| event.kind() == kind::IP_BAN)
    );
}

#[test]
fn a_torrent_that_is_gone_bans_nobody() {
    let node = Node::new();
    let handle = node.add(&payload(3).torrent(None));
    node.session
        .remove_torrent(&handle, Deletion::Nothing)
        .unwrap();
    let error = handle.ban_peer(HERE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidTorrentHandle);
    assert!(node.session.banned_peers().is_empty());
}
