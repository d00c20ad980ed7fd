//! What is announced to trackers while a torrent is checked, damaged and repaired.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use support::udp_tracker::{STOPPED, UdpAnnounce, udp_tracker};
use support::{LIMIT, Node, PIECE, Payload, wait_until};

/// An announce: the event and what is left.
type Announce = (String, u64);

/// A tracker without peers; every announce comes out of the channel.
fn tracker() -> (SocketAddr, Receiver<Announce>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (announces, heard) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut line = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            reader.read_line(&mut line).unwrap();
            let value = |key: &str| {
                let (_, rest) = line.split_once(&format!("&{key}=")).unwrap_or_default();
                rest.split(['&', ' ']).next().unwrap_or_default().to_owned()
            };
            let announce = (value("event"), value("left").parse().unwrap());
            while reader.read_line(&mut line).unwrap() > 2 {}
            let body = "d8:intervali1800e5:peers0:e";
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all((head + body).as_bytes());
            if announces.send(announce).is_err() {
                return;
            }
        }
    });
    (addr, heard)
}

/// The announces up to one with this event and number.
fn up_to(heard: &Receiver<Announce>, event: &str, left: u64) -> Vec<Announce> {
    let mut all = Vec::new();
    let deadline = Instant::now() + LIMIT;
    while all.last() != Some(&(event.to_owned(), left)) {
        let wait = deadline.saturating_duration_since(Instant::now());
        match heard.recv_timeout(wait) {
            Ok(announce) => all.push(announce),
            Err(_) => panic!("no {event} with {left} left: {all:?}"),
        }
    }
    all
}

#[test]
fn trackers_hear_what_was_true_and_of_a_repair_at_once() {
    let payload = Payload::of_two_files(77);
    let source = Node::new();
    source.seed(&payload);
    let (addr, heard) = tracker();
    let node = Node::new();
    payload.write(node.folder.path());
    let torrent = payload.torrent(Some(&format!("http://{addr}/announce")));
    let handle = node.add(&torrent);
    let told = |event: &str, left| (event.to_owned(), left);
    assert_eq!(up_to(&heard, "started", 0), [told("started", 0)]);

    // One piece is damaged: it was a seed when the check began, and is none
    // when it is over.
    let path = node.folder.path().join("payload/a.bin");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[3 * PIECE] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    handle.force_recheck().unwrap();
    let missing = PIECE as u64;
    let all = up_to(&heard, "started", missing);
    assert_eq!(all, [told("stopped", 0), told("started", missing)]);

    // The repair is no other download.
    handle.connect_peer(source.endpoint()).unwrap();
    wait_until("repaired", || handle.status().is_seeding);
    let since = Instant::now();
    let all = up_to(&heard, "", 0);
    // It takes milliseconds and may take five seconds; the machine may be busy.
    let after = since.elapsed();
    assert!(after < 4 * Duration::from_secs(5), "{after:?}");
    assert_eq!(all, [told("", 0)]);
    payload.assert_at(node.folder.path());

    // A check that finds nothing wrong is no news but for its stop and start.
    handle.force_recheck().unwrap();
    let all = up_to(&heard, "started", 0);
    assert_eq!(all, [told("stopped", 0), told("started", 0)]);
}

#[test]
fn udp_trackers_see_the_listening_port_and_hear_of_the_end() {
    let (addr, heard) = udp_tracker();
    let node = Node::new();
    let torrent = Payload::of_two_files(78).torrent(Some(&format!("udp://{addr}/announce")));
    node.add(&torrent);
    let started = UdpAnnounce {
        from: node.endpoint(),
        connection: 1,
        event: 2,
    };
    assert_eq!(heard.recv_timeout(LIMIT), Ok(started));
    // From which port is another matter: ours is given up for those who follow.
    node.session.stop();
    assert_eq!(heard.recv_timeout(LIMIT).unwrap().event, STOPPED);
}
