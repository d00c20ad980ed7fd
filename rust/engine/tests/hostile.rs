//! Peers that mean no good, over real sockets: they are cut off, named in an
//! event, and the torrent goes on.

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};

use support::raw_peer::shake_from;
use support::{LIMIT, Node, Payload, wait_until};
use torrent_engine::core::ids::{InfoHash, PeerId, PieceIndex};
use torrent_engine::core::torrent::TorrentState;
use torrent_engine::core::wire::{Handshake, Message, Request};
use torrent_engine::event::{EventBody, FailedPeer, kind};
use torrent_engine::torrent::handle::TorrentHandle;

const PIECE: usize = 32_768;

fn seed() -> (Node, Payload, Vec<u8>, TorrentHandle) {
    let payload = Payload::new(&[("a.bin", PIECE * 8)], PIECE, 9);
    let mut node = Node::new();
    payload.write(node.folder.path());
    let torrent = payload.torrent(None);
    let handle = node.add(&torrent);
    node.wait(kind::TORRENT_CHECKED);
    wait_until("seeding", || handle.status().is_seeding);
    (node, payload, torrent, handle)
}

/// A raw connection with our handshake sent, and theirs received.
fn shake(to: SocketAddr, info_hash: InfoHash, id: u8) -> TcpStream {
    shake_from(Ipv4Addr::LOCALHOST, to, info_hash, id)
}

/// Reads until the other end closes, or resets because it left bytes unread.
fn wait_closed(mut stream: TcpStream) {
    let mut sink = [0; 65_536];
    while stream.read(&mut sink).is_ok_and(|count| count > 0) {}
}

fn encode(messages: &[Message<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in messages {
        message.encode(&mut bytes);
    }
    bytes
}

#[test]
fn strangers_are_refused_before_they_can_do_anything() {
    let (mut node, _, _, handle) = seed();
    let greetings: [Vec<u8>; 3] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        vec![0xff; 200],
        // A torrent that is not here.
        Handshake {
            reserved: [0xff; 8],
            info_hash: InfoHash([7; 20]),
            peer_id: PeerId([1; 20]),
        }
        .encode()
        .to_vec(),
    ];
    for greeting in greetings {
        let mut stream = TcpStream::connect(node.endpoint()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.write_all(&greeting).unwrap();
        // What could be the beginning of an encrypted handshake is waited for.
        // It may be refused by now.
        let _ = stream.shutdown(Shutdown::Write);
        wait_closed(stream);
        let event = node.wait(kind::PEER_ERROR);
        let EventBody::PeerError(FailedPeer { fault, .. }) = event.body else {
            panic!("{event:?}");
        };
        assert!(!fault.error.is_empty());
    }
    assert!(handle.status().error.is_empty());
}

#[test]
fn broken_messages_end_the_connection_and_nothing_else() {
    let (mut node, payload, torrent, handle) = seed();
    let request = |piece, begin, length| {
        Message::Request(Request {
            piece: PieceIndex(piece),
            begin,
            length,
        })
    };
    let flood: Vec<_> = (0..400).map(|at| request(at + 8, 0, 16_384)).collect();
    let mut unchoked_flood = vec![Message::Interested];
    unchoked_flood.extend(flood);
    let attacks: Vec<Vec<u8>> = vec![
        // A length prefix of 4 GiB, 1 MiB and a byte; then nothing.
        vec![0xff; 4],
        (1_048_577u32).to_be_bytes().to_vec(),
        // Known messages of impossible lengths.
        vec![0, 0, 0, 2, 0, 0],
        vec![0, 0, 0, 9, 7, 0, 0, 0, 0, 0, 0, 0, 0],
        // Numbers beyond the torrent.
        encode(&[Message::Have(PieceIndex(8))]),
        encode(&[Message::Bitfield(&[0xff, 0xff])]),
        encode(&[Message::Piece {
            piece: PieceIndex(3),
            begin: 5,
            data: &[0; 100],
        }]),
    ];
    for (id, attack) in (1..).zip(attacks) {
        let mut stream = shake(node.endpoint(), handle.info_hash(), id);
        stream.write_all(&attack).unwrap();
        wait_closed(stream);
        node.wait(kind::PEER_ERROR);
    }
    // Requests that make no sense, until the patience is over. The peer must
    // be unchoked first, so that they do not count as crossing a choke.
    let mut stream = shake(node.endpoint(), handle.info_hash(), 99);
    stream.write_all(&encode(&[Message::Interested])).unwrap();
    wait_until("the peer is unchoked", || {
        handle.peers().iter().any(|peer| !peer.is_choked)
    });
    stream.write_all(&encode(&unchoked_flood)).unwrap();
    wait_closed(stream);
    node.wait(kind::PEER_ERROR);

    let mut leech = Node::new();
    leech.add(&torrent).connect_peer(node.endpoint()).unwrap();
    leech.wait(kind::TORRENT_FINISHED);
    payload.assert_at(leech.folder.path());
}

#[test]
fn blocks_that_nobody_asked_for_change_nothing() {
    let (seed, payload, torrent, _) = seed();
    let leech = Node::new();
    let handle = leech.add(&torrent);
    wait_until("downloading", || {
        handle.status().state.name() == "downloading"
    });
    let mut stream = shake(leech.endpoint(), handle.info_hash(), 5);
    let lie = [0xee; 16_384];
    let pushes: Vec<_> = (0..8)
        .map(|piece| Message::Piece {
            piece: PieceIndex(piece),
            begin: 0,
            data: &lie,
        })
        .collect();
    stream.write_all(&encode(&pushes)).unwrap();
    wait_until("it is counted", || {
        handle.status().total_redundant_bytes == 8 * 16_384
    });
    assert_eq!(handle.status().total_done, 0);
    handle.connect_peer(seed.endpoint()).unwrap();
    wait_until("all is there", || handle.status().is_seeding);
    payload.assert_at(leech.folder.path());
    assert_eq!(handle.status().total_failed_bytes, 0);
}

#[test]
fn a_silent_connection_is_cut_by_the_handshake_limit() {
    let mut node = Node::with(&[("handshake_timeout", 1.into())]);
    let mut stream = TcpStream::connect(node.endpoint()).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(b"\x13Bit").unwrap();
    wait_closed(stream);
    node.wait(kind::PEER_ERROR);
}

#[test]
fn a_long_message_behind_a_block_is_no_trouble() {
    let payload = Payload::new(&[("a.bin", PIECE * 8)], PIECE, 9);
    let mut node = Node::new();
    let handle = node.add(&payload.torrent(None));
    wait_until("it downloads", || {
        handle.status().state == TorrentState::Downloading
    });
    let mut stream = shake(node.endpoint(), handle.info_hash(), 6);
    let unknown = |length: usize| {
        let mut bytes = (length as u32 + 1).to_be_bytes().to_vec();
        bytes.push(99);
        bytes.resize(5 + length, 7);
        bytes
    };
    let mut hello = encode(&[Message::Bitfield(&[0xff]), Message::Unchoke]);
    hello.extend(unknown(40_000));
    stream.write_all(&hello).unwrap();
    let mut heard = Vec::new();
    let asked = loop {
        let mut some = [0; 1024];
        let count = stream.read(&mut some).unwrap();
        assert!(count > 0, "closed");
        heard.extend_from_slice(&some[..count]);
        let mut rest = &heard[..];
        let mut messages = std::iter::from_fn(|| {
            let (message, used) = Message::decode(rest, 1 << 20).unwrap()?;
            rest = &rest[used..];
            Some(message)
        });
        if let Some(Message::Request(request)) =
            messages.find(|message| matches!(message, Message::Request(_)))
        {
            break request;
        }
    };
    let at = asked.piece.0 as usize * PIECE + asked.begin as usize;
    let mut burst = encode(&[Message::Piece {
        piece: asked.piece,
        begin: asked.begin,
        data: &payload.files[0].1[at..at + asked.length as usize],
    }]);
    burst.extend(unknown(512 << 10));
    stream.write_all(&burst).unwrap();
    wait_until("all of it has come", || {
        handle.status().total_download > burst.len() as u64
    });
    assert_eq!(handle.status().total_payload_download, 16_384);
    drop(stream);
    node.wait(kind::PEER_DISCONNECTED);
    assert!(!node.has_seen(kind::INTERNAL_ERROR));
}

/// Sends requests and cancels without end until asked to stop.
fn flood(mut stream: TcpStream, stop: &AtomicBool) {
    stream
        .write_all(&encode(&[Message::Interested]))
        .expect("a connection");
    let mut reader = stream.try_clone().unwrap();
    let mut seen = Vec::new();
    while !seen.windows(5).any(|it| it == [0, 0, 0, 1, 1]) {
        let mut some = [0; 64];
        let count = reader.read(&mut some).expect("an unchoke");
        assert!(count > 0, "closed before the unchoke");
        seen.extend_from_slice(&some[..count]);
    }
    let request = Request {
        piece: PieceIndex(0),
        begin: 0,
        length: 16_384,
    };
    let pair = [Message::Request(request), Message::Cancel(request)];
    let burst = encode(&pair).repeat(1000);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut sink = [0; 65_536];
            while reader.read(&mut sink).is_ok_and(|count| count > 0) {}
        });
        while !stop.load(Ordering::Relaxed) && stream.write_all(&burst).is_ok() {}
        // Which ends the reader.
        let _ = stream.shutdown(std::net::Shutdown::Both);
    });
}

#[test]
fn floods_of_requests_and_cancels_leave_time_for_everybody_else() {
    let (node, payload, torrent, handle) = seed();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for id in 0..4 {
            let stream = shake(node.endpoint(), handle.info_hash(), 10 + id);
            scope.spawn(|| flood(stream, &stop));
        }
        wait_until("the flood has begun", || handle.status().num_peers == 4);
        let mut leech = Node::new();
        let wants = leech.add(&torrent);
        wants.connect_peer(node.endpoint()).unwrap();
        leech.wait(kind::TORRENT_FINISHED);
        payload.assert_at(leech.folder.path());
        for _ in 0..20 {
            let piece = handle.read_piece_now(PieceIndex(1));
            support::wait(piece).expect("the piece");
        }
        stop.store(true, Ordering::Relaxed);
    });
}
