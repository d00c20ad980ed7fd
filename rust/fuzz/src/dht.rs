//! Datagrams that reach a DHT node.

use std::net::SocketAddr;
use std::time::Instant;

use torrent_core::dht::krpc::{Message, Transaction};
use torrent_core::dht::{Dht, DhtEndpoint, DhtOutput, DhtSettings, DhtState};
use torrent_core::ids::InfoHash;

/// One datagram: what is read can be written, and is read the same again.
pub(crate) fn krpc(data: &[u8]) {
    match Message::decode(data) {
        Ok(Message::Query(query)) => {
            let again = Message::decode(&query.encode());
            assert_eq!(again, Ok(Message::Query(query)));
        }
        Ok(Message::Reply(reply)) => {
            assert!(Message::decode(&reply.encode()).is_ok());
        }
        Err(_) => {}
    }
}

/// Datagrams, each after two bytes: its length, and what is done with it. It may answer the last
/// query of the node, come from one of several addresses, or later.
pub(crate) fn node(mut data: &[u8]) {
    let mut now = Instant::now();
    let local = SocketAddr::from(([9, 8, 7, 6], 6881));
    let mut dht = Dht::new(now, 1, DhtSettings::default(), DhtState::default());
    let external = None;
    dht.set_endpoints(now, &[DhtEndpoint { local, external }]);
    dht.add_node(now, SocketAddr::from(([1, 2, 3, 1], 7001)));
    let request = dht.get_peers(now, InfoHash([7; 20]), false);
    let mut last = (local, Transaction::short(0));
    let mut done = false;
    let mut sent = 0;
    loop {
        while let Some(output) = dht.poll_output() {
            match output {
                DhtOutput::Send { to, packet, .. } => {
                    sent += packet.len();
                    if let Ok(Message::Query(query)) = Message::decode(&packet) {
                        last = (to, query.transaction);
                    }
                }
                DhtOutput::ResolveRouters => dht.set_routers(now, &[]),
                DhtOutput::PeersDone { request: of, .. } => done |= of == request,
                _ => {}
            }
        }
        dht.check_invariants();
        let Some((&[length, how], rest)) = data.split_first_chunk() else {
            break;
        };
        let (datagram, rest) = rest.split_at(rest.len().min(length.into()));
        data = rest;
        if how & 2 != 0
            && let Some(due) = dht.poll_timeout()
        {
            now = now.max(due);
            dht.handle_timeout(now);
        }
        let mut datagram = datagram.to_vec();
        let mut from = SocketAddr::from(([1, 2, how >> 4, 1], 7001 + u16::from(how >> 6)));
        if how & 1 == 0 {
            from = last.0;
            // Behind `1:t2:`, where there is one.
            let mark = b"1:t2:";
            let at = datagram.windows(mark.len()).position(|it| it == mark);
            if let Some(slot) = at.and_then(|at| datagram.get_mut(at + 5..at + 7)) {
                slot.copy_from_slice(&last.1.0);
            }
        }
        dht.handle_datagram(now, local, from, &datagram);
    }
    // The request ends, whatever came.
    for _ in 0..10_000 {
        let Some(due) = dht.poll_timeout().filter(|_| !done) else {
            break;
        };
        now = now.max(due);
        dht.handle_timeout(now);
        while let Some(output) = dht.poll_output() {
            match output {
                DhtOutput::ResolveRouters => dht.set_routers(now, &[]),
                DhtOutput::PeersDone { request: of, .. } => done |= of == request,
                _ => {}
            }
        }
    }
    assert!(done, "a request hangs");
    assert!(sent <= 1_000_000);
}
