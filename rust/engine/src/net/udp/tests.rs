use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;
use crate::coop::testing::assert_gives_way;

const DHT: &[u8] = b"d1:t2:aa1:y1:qe";
const TRACKER: &[u8] = b"\0\0\0\x03TRAN";
const UTP: &[u8] = b"\x41\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// The sockets have no errors in these tests.
fn sockets() -> UdpSockets {
    UdpSockets::new(Arc::new(|at, operation, error| {
        panic!("{at}: {operation}: {error}")
    }))
}

/// Opens one at an address, on a port of the system's choice.
fn open(sockets: &UdpSockets, ip: impl Into<std::net::IpAddr>) -> SocketAddr {
    let socket = bind(SocketAddr::new(ip.into(), 0)).unwrap();
    let endpoint = socket.local_addr().unwrap();
    sockets.open(vec![BoundUdp {
        socket,
        endpoint,
        local: false,
    }]);
    endpoint
}

async fn other(ip: impl Into<std::net::IpAddr>) -> UdpSocket {
    UdpSocket::bind(SocketAddr::new(ip.into(), 0))
        .await
        .unwrap()
}

async fn heard(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 64];
    let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
    (buffer[..length].to_vec(), from)
}

#[tokio::test]
async fn datagrams_go_to_the_subscriber_of_their_kind() {
    let sockets = sockets();
    let mut dht = sockets.subscribe(DatagramKind::Dht, 8);
    let mut trackers = sockets.subscribe(DatagramKind::Tracker, 8);
    let ends: [std::net::IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    for ip in ends {
        let local = open(&sockets, ip);
        let other = other(ip).await;
        let from = other.local_addr().unwrap();
        for bytes in [b"nonsense", UTP, DHT, b"", TRACKER] {
            other.send_to(bytes, local).await.unwrap();
        }
        let datagram = |bytes| Datagram {
            local,
            from,
            bytes: Bytes::from_static(bytes),
        };
        assert_eq!(trackers.recv().await, Some(datagram(TRACKER)));
        assert_eq!(dht.recv().await, Some(datagram(DHT)));
    }
    assert!(dht.try_recv().is_err() && trackers.try_recv().is_err());
}

#[tokio::test]
async fn a_full_queue_holds_nothing_up() {
    let sockets = sockets();
    let mut dht = sockets.subscribe(DatagramKind::Dht, 2);
    let mut trackers = sockets.subscribe(DatagramKind::Tracker, 1);
    let local = open(&sockets, Ipv4Addr::LOCALHOST);
    let other = other(Ipv4Addr::LOCALHOST).await;
    for _ in 0..9 {
        other.send_to(DHT, local).await.unwrap();
    }
    other.send_to(TRACKER, local).await.unwrap();
    trackers.recv().await.unwrap();
    for _ in 0..2 {
        dht.try_recv().unwrap();
    }
    assert!(dht.try_recv().is_err());
    // Nor does a subscriber that is gone.
    drop(dht);
    other.send_to(DHT, local).await.unwrap();
    other.send_to(TRACKER, local).await.unwrap();
    trackers.recv().await.unwrap();
}

#[tokio::test]
async fn what_is_sent_leaves_from_the_endpoint() {
    let sockets = sockets();
    let ends: [std::net::IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    for ip in ends {
        let local = open(&sockets, ip);
        let other = other(ip).await;
        let to = other.local_addr().unwrap();
        sockets.send(local, to, b"hello").await.unwrap();
        assert_eq!(heard(&other).await, (b"hello".to_vec(), local));
    }
}

#[tokio::test]
async fn an_endpoint_that_is_not_open_has_a_socket_of_its_own() {
    let sockets = sockets();
    let mut trackers = sockets.subscribe(DatagramKind::Tracker, 8);
    let other = other(Ipv4Addr::LOCALHOST).await;
    let to = other.local_addr().unwrap();
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 9));
    sockets.send(local, to, b"one").await.unwrap();
    sockets.send(local, to, b"two").await.unwrap();
    let [(_, first), (_, second)] = [heard(&other).await, heard(&other).await];
    assert_eq!(first, second, "the same socket");
    assert_ne!(first.port(), 9);
    other.send_to(TRACKER, first).await.unwrap();
    assert_eq!(trackers.recv().await.unwrap().local, local);
}

#[tokio::test]
async fn nobody_there_ends_no_loop() {
    let sockets = sockets();
    let mut trackers = sockets.subscribe(DatagramKind::Tracker, 8);
    let local = open(&sockets, Ipv4Addr::LOCALHOST);
    let closed = {
        let socket = other(Ipv4Addr::LOCALHOST).await;
        socket.local_addr().unwrap()
    };
    for _ in 0..3 {
        sockets.send(local, closed, b"hello?").await.unwrap();
    }
    let other = other(Ipv4Addr::LOCALHOST).await;
    other.send_to(TRACKER, local).await.unwrap();
    trackers.recv().await.unwrap();
}

#[test]
fn errors_about_a_datagram_are_not_about_the_socket() {
    for kind in [
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::ConnectionRefused,
        io::ErrorKind::HostUnreachable,
        io::ErrorKind::NetworkUnreachable,
    ] {
        assert!(is_of_another(&kind.into()), "{kind}");
    }
    assert!(!is_of_another(&io::ErrorKind::NotConnected.into()));
}

#[tokio::test]
async fn closing_waits_for_the_last_sender_and_frees_the_port() {
    let sockets = Arc::new(sockets());
    let local = open(&sockets, Ipv4Addr::LOCALHOST);
    let held = sockets.endpoint(local).unwrap();
    let closing = tokio::spawn({
        let sockets = Arc::clone(&sockets);
        async move { sockets.close().await }
    });
    held.closing.clone().wait_for(|it| *it).await.unwrap();
    assert!(bind(local).is_err(), "a sender has it");
    assert!(!closing.is_finished());
    drop(held);
    closing.await.unwrap();
    bind(local).unwrap();
    // The next ones know nothing of it.
    let again = open(&sockets, Ipv4Addr::LOCALHOST);
    let other = other(Ipv4Addr::LOCALHOST).await;
    let to = other.local_addr().unwrap();
    sockets.send(again, to, b"hello").await.unwrap();
    assert_eq!(heard(&other).await.1, again);
}

#[tokio::test]
async fn local_endpoints_take_trackers_from_elsewhere_and_no_peers() {
    let sockets = sockets();
    let mut dht = sockets.subscribe(DatagramKind::Dht, 8);
    let mut trackers = sockets.subscribe(DatagramKind::Tracker, 8);
    let endpoint = Endpoint {
        socket: other(Ipv4Addr::LOCALHOST).await,
        name: (Ipv4Addr::LOCALHOST, 1).into(),
        local: true,
        closing: watch::channel(false).1,
    };
    for from in ["8.8.8.8:53", "192.168.0.9:53"] {
        for bytes in [DHT, TRACKER] {
            let from = from.parse().unwrap();
            sockets.subscribers.hand_on(&endpoint, from, bytes);
        }
    }
    let from = dht.try_recv().unwrap().from;
    assert_eq!(from, "192.168.0.9:53".parse().unwrap());
    assert!(dht.try_recv().is_err());
    trackers.try_recv().unwrap();
    trackers.try_recv().unwrap();
}

#[tokio::test]
async fn datagrams_without_end_leave_others_their_turn() {
    let socket = other(Ipv4Addr::LOCALHOST).await;
    let name = socket.local_addr().unwrap();
    let endpoint = Endpoint {
        socket,
        name,
        local: false,
        closing: watch::channel(false).1,
    };
    let from = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    // More than it takes in one round.
    let feed = move || (0..=BATCH).for_each(|_| drop(from.send_to(b"nonsense", name)));
    let reading = read(Arc::new(endpoint), Arc::clone(&sockets().subscribers));
    assert_gives_way(reading, feed).await;
}
