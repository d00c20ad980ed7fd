//! Whole sessions that encrypt their connections (MSE) over loopback sockets.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use support::{LIMIT, Node, Payload, stat, wait_until};
use torrent_engine::core::ids::{InfoHash, PeerId};
use torrent_engine::core::mse::{Initiator, Method, Methods};
use torrent_engine::core::value::Value;
use torrent_engine::core::wire::{Features, HANDSHAKE_LEN, Handshake};
use torrent_engine::event::kind;
use torrent_engine::torrent::handle::TorrentHandle;

const FORCED: i64 = 0;
const ENABLED: i64 = 1;
const DISABLED: i64 = 2;

const PLAINTEXT: i64 = 1;
const RC4: i64 = 2;
const BOTH: i64 = 3;

fn node(settings: &[(&str, i64)]) -> Node {
    let mut patch = vec![("close_redundant_connections", Value::from(false))];
    patch.extend(
        settings
            .iter()
            .map(|&(name, value)| (name, Value::Int(value))),
    );
    Node::with(&patch)
}

fn apply(node: &Node, name: &str, value: bool) {
    let patch = [(name, &Value::from(value))];
    node.session.apply_settings(patch).unwrap();
}

/// How the connections of a torrent are encrypted.
fn encryption(handle: &TorrentHandle) -> Vec<String> {
    let peers = handle.peers();
    for peer in peers.iter() {
        assert_eq!(peer.is_encrypted, !peer.encryption.is_empty());
    }
    peers.iter().map(|peer| peer.encryption.clone()).collect()
}

/// Moves a payload from one node to another, and returns how they were connected.
fn transfer(seed: &Node, leech: &mut Node, payload: &Payload) -> String {
    let seeding = seed.seed(payload);
    let handle = leech.add(&payload.torrent(None));
    handle.connect_peer(seed.endpoint()).unwrap();
    leech.wait(kind::TORRENT_FINISHED);
    payload.assert_at(leech.folder.path());
    for handle in [&handle, &seeding] {
        wait_until("shown", || !handle.peers().is_empty());
    }
    let (ours, theirs) = (encryption(&handle), encryption(&seeding));
    assert_eq!(ours, theirs);
    assert_eq!(ours.len(), 1);
    ours[0].clone()
}

#[test]
fn each_pair_of_policies_that_fit_transfers() {
    let payload = Payload::of_two_files(1);
    for (incoming, outgoing, expected) in [
        (ENABLED, ENABLED, ""),
        (DISABLED, ENABLED, ""),
        (ENABLED, DISABLED, ""),
        (ENABLED, FORCED, "plaintext"),
        (FORCED, FORCED, "plaintext"),
        // The plain handshake is refused, and an encrypted one tried at once.
        (FORCED, ENABLED, "plaintext"),
    ] {
        let seed = node(&[("in_enc_policy", incoming)]);
        let mut leech = node(&[("out_enc_policy", outgoing)]);
        let got = transfer(&seed, &mut leech, &payload);
        assert_eq!(got, expected, "{incoming} {outgoing}");
    }
}

#[test]
fn each_pair_of_levels_that_fit_transfers() {
    let payload = Payload::of_two_files(2);
    for (theirs, prefer_rc4, ours, expected) in [
        (BOTH, false, BOTH, "plaintext"),
        (BOTH, true, BOTH, "rc4"),
        (RC4, false, BOTH, "rc4"),
        (BOTH, false, RC4, "rc4"),
        (PLAINTEXT, true, BOTH, "plaintext"),
        (BOTH, true, PLAINTEXT, "plaintext"),
    ] {
        let seed = node(&[("in_enc_policy", FORCED), ("allowed_enc_level", theirs)]);
        apply(&seed, "prefer_rc4", prefer_rc4);
        let mut leech = node(&[("out_enc_policy", FORCED), ("allowed_enc_level", ours)]);
        let got = transfer(&seed, &mut leech, &payload);
        assert_eq!(got, expected, "{theirs} {prefer_rc4} {ours}");
    }
}

#[test]
fn utp_is_encrypted_too() {
    let payload = Payload::new(&[("a.bin", 3_000_007)], 65_536, 3);
    let utp = |policy: &str| {
        let node = node(&[(policy, FORCED), ("allowed_enc_level", RC4)]);
        apply(&node, "enable_utp", true);
        apply(&node, "enable_incoming_tcp", false);
        apply(&node, "enable_outgoing_tcp", false);
        node
    };
    let seed = utp("in_enc_policy");
    let mut leech = utp("out_enc_policy");
    assert_eq!(transfer(&seed, &mut leech, &payload), "rc4");
    assert_eq!(stat(&leech.session, "peer.num_utp_peers"), 1);
}

#[test]
fn policies_and_levels_that_do_not_fit_connect_nobody() {
    let payload = Payload::of_two_files(4);
    for (theirs, ours) in [
        ((DISABLED, BOTH), (FORCED, BOTH)),
        ((FORCED, BOTH), (DISABLED, BOTH)),
        ((FORCED, RC4), (FORCED, PLAINTEXT)),
        ((FORCED, PLAINTEXT), (FORCED, RC4)),
    ] {
        let settings = |policy, (which, level)| [(policy, which), ("allowed_enc_level", level)];
        let mut seed = node(&settings("in_enc_policy", theirs));
        seed.seed(&payload);
        let mut leech = node(&settings("out_enc_policy", ours));
        let handle = leech.add(&payload.torrent(None));
        handle.connect_peer(seed.endpoint()).unwrap();
        leech.wait(kind::PEER_DISCONNECTED);
        seed.wait(kind::PEER_ERROR);
        assert!(handle.peers().is_empty());
    }
}

#[test]
fn what_a_peer_has_answered_is_tried_first_the_next_time() {
    let payload = Payload::of_two_files(5);
    let seed = node(&[("in_enc_policy", FORCED)]);
    let mut leech = node(&[]);
    assert_eq!(transfer(&seed, &mut leech, &payload), "plaintext");
    let refused = || stat(&seed.session, "peer.error_incoming_peers");
    assert_eq!(refused(), 1, "the plain handshake");
    let handle = leech.session.torrents().remove(0);
    handle.pause().unwrap();
    wait_until("closed", || handle.peers().is_empty());
    handle.resume().unwrap();
    handle.connect_peer(seed.endpoint()).unwrap();
    wait_until("connected again", || encryption(&handle) == ["plaintext"]);
    assert_eq!(refused(), 1);
}

/// The seed's answer to what a client of another make sends in single bytes.
fn converse(seed: &Node, info_hash: InfoHash, methods: Methods) -> (Method, Handshake) {
    let ours = Handshake {
        reserved: Features::OURS.reserved(),
        info_hash,
        peer_id: PeerId(*b"-XX0001-abcdefghijkl"),
    };
    let mut stream = TcpStream::connect(seed.endpoint()).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut exchange = Initiator::new([9; 32], info_hash, methods, &ours.encode());
    while !exchange.is_established() {
        while let Some(bytes) = exchange.poll_output() {
            for byte in bytes {
                stream.write_all(&[byte]).unwrap();
            }
        }
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        exchange.handle_input(&byte).unwrap();
    }
    let mut established = exchange.finish().unwrap();
    let mut answer = [0; HANDSHAKE_LEN];
    let got = established.received.len();
    answer[..got].copy_from_slice(&established.received);
    stream.read_exact(&mut answer[got..]).unwrap();
    if let Some(ciphers) = &mut established.ciphers {
        ciphers.receive.apply(&mut answer[got..]);
    }
    (established.method, Handshake::decode(&answer).unwrap())
}

#[test]
fn a_handshake_in_single_bytes_is_understood() {
    let payload = Payload::of_two_files(6);
    let seed = node(&[]);
    let info_hash = seed.seed(&payload).info_hash();
    for (methods, expected) in [
        (Methods::Plaintext, Method::Plaintext),
        (Methods::Rc4, Method::Rc4),
        (Methods::Both, Method::Plaintext),
    ] {
        let (method, answer) = converse(&seed, info_hash, methods);
        assert_eq!((method, answer.info_hash), (expected, info_hash));
    }
}

#[test]
fn what_is_no_handshake_is_closed_and_others_are_served() {
    let payload = Payload::of_two_files(7);
    let seed = node(&[]);
    seed.seed(&payload);
    let zeros = vec![0; 96];
    // A key that is none, one without an end of its padding, another torrent's.
    let no_end: Vec<u8> = (1..=200).cycle().take(1000).collect();
    let elsewhere = Initiator::new([3; 32], InfoHash([9; 20]), Methods::Both, &[0; 68])
        .poll_output()
        .unwrap();
    for (bytes, answers) in [(zeros, false), (no_end, true), (elsewhere, true)] {
        let mut stream = TcpStream::connect(seed.endpoint()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.write_all(&bytes).unwrap();
        // It may be refused by now.
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        // A public key at most, and its padding.
        assert!(answer.len() <= 96 + 512);
        assert!(answers || answer.is_empty());
    }
    let mut leech = node(&[("out_enc_policy", FORCED)]);
    let handle = leech.add(&payload.torrent(None));
    handle.connect_peer(seed.endpoint()).unwrap();
    leech.wait(kind::TORRENT_FINISHED);
    payload.assert_at(leech.folder.path());
}
