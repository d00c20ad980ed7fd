//! The session's limit of connections, for torrents that learn of peers late.

mod support;

use std::net::TcpListener;

use support::{Node, Payload, stat, wait, wait_until};
use torrent_engine::core::value::Value;
use torrent_engine::session::AddTorrent;

#[test]
fn a_torrent_that_was_idle_calls_nobody_where_the_session_is_full() {
    // Peers that hear of each other would call, too.
    let alone = ("enable_pex", Value::Bool(false));
    let others = [(); 2].map(|()| Node::with(std::slice::from_ref(&alone)));
    let node = Node::with(&[("connections_limit", Value::Int(2)), alone]);
    let torrents = [11, 13].map(|seed| Payload::of_two_files(seed).torrent(None));
    let busy = node.add(&torrents[0]);
    let of_idle = || AddTorrent::from_data(&torrents[1], node.folder.path().join("idle")).unwrap();
    let idle = node.session.add_torrent(of_idle()).unwrap();
    wait_until("checked", || {
        [&busy, &idle]
            .iter()
            .all(|it| !it.status().state.is_checking())
    });
    for other in &others {
        let theirs = other.add(&torrents[0]);
        wait_until("checked", || !theirs.status().state.is_checking());
        busy.connect_peer(other.endpoint()).unwrap();
    }
    wait_until("the session is full", || busy.status().num_peers == 2);
    let attempts = || stat(&node.session, "peer.connection_attempts");
    let before = attempts();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut again = of_idle();
    again.peers = vec![listener.local_addr().unwrap()];
    node.session.add_torrent(again).unwrap();
    wait_until("the peer is known", || idle.status().list_peers == 1);
    // By then it has done what it does about a peer.
    wait(idle.flush()).unwrap();
    assert_eq!(attempts(), before);
}
