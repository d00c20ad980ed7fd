//! What queries of others are answered with.

use bytes::Bytes;

use super::super::item::{MutableItem, immutable_target, keypair};
use super::super::krpc::{PutMutable, error_code};
use super::*;

const TORRENT: NodeId = NodeId([3; 20]);

fn get_peers(noseed: bool, scrape: bool) -> Method {
    Method::GetPeers {
        info_hash: TORRENT,
        noseed,
        scrape,
        want: Want::default(),
    }
}

fn announce(port: u16, implied_port: bool, seed: bool, token: &Bytes) -> Method {
    Method::AnnouncePeer {
        info_hash: TORRENT,
        port,
        implied_port,
        seed,
        token: token.clone(),
    }
}

fn get(target: NodeId, seq: Option<i64>) -> Method {
    let want = Want::default();
    Method::Get { target, seq, want }
}

fn token(node: &mut Asked, from: SocketAddr) -> Bytes {
    node.ask(from, get_peers(false, false)).token.unwrap()
}

#[test]
fn a_peer_is_stored_with_its_token_and_only_so() {
    let mut node = Asked::new(DhtSettings::default());
    let [a, b] = ["1.2.3.4:100", "1.2.3.5:100"].map(addr);
    let good = token(&mut node, a);
    let bad = [Bytes::new(), Bytes::from_static(b"12345678")];
    for token in bad {
        let code = node.error(a, announce(80, false, false, &token));
        assert_eq!(code, error_code::PROTOCOL);
    }
    let of_other = announce(80, false, false, &good);
    assert_eq!(node.error(b, of_other), error_code::PROTOCOL);
    let other_torrent = Method::AnnouncePeer {
        info_hash: NodeId([4; 20]),
        port: 80,
        implied_port: false,
        seed: false,
        token: good.clone(),
    };
    assert_eq!(node.error(a, other_torrent), error_code::PROTOCOL);
    assert!(node.ask(b, get_peers(false, false)).peers.is_empty());
    node.ask(a, announce(80, false, false, &good));
    assert_eq!(
        node.ask(b, get_peers(false, false)).peers,
        [addr("1.2.3.4:80")]
    );
    node.ask(a, announce(80, true, true, &good));
    let mut peers = node.ask(b, get_peers(false, false)).peers;
    peers.sort();
    assert_eq!(peers, ["1.2.3.4:80", "1.2.3.4:100"].map(addr));
    assert_eq!(
        node.ask(b, get_peers(true, false)).peers,
        [addr("1.2.3.4:80")]
    );
    let scrape = node.ask(b, get_peers(false, true));
    assert!(scrape.peers.is_empty());
    let count = |filter: Option<Box<BloomFilter>>| filter.unwrap().estimate().round();
    assert_eq!((count(scrape.seeds), count(scrape.downloaders)), (1.0, 1.0));
    node.now = 46 * 60_000;
    assert!(node.ask(b, get_peers(false, false)).peers.is_empty());
    let late = announce(80, false, false, &good);
    assert_eq!(node.error(a, late), error_code::PROTOCOL);
}

#[test]
fn peers_of_the_other_family_are_not_named() {
    let mut node = Asked::new(DhtSettings::default());
    let a = addr("1.2.3.4:100");
    let good = token(&mut node, a);
    node.ask(a, announce(80, false, false, &good));
    let v6 = addr("[2001:db8::1]:5");
    assert!(node.ask(v6, get_peers(false, false)).peers.is_empty());
}

#[test]
fn a_full_store_gives_no_token_and_the_answer_fits_a_packet() {
    let settings = DhtSettings {
        max_peers: 300,
        ..DhtSettings::default()
    };
    let mut node = Asked::new(settings);
    let now = at(0);
    for number in 0..400u16 {
        let [high, low] = number.to_be_bytes();
        let peer = SocketAddr::from(([5, 5, high, low], 80));
        node.dht.peers.announce(now, TORRENT, peer, false);
    }
    let response = node.ask(addr("1.2.3.4:100"), get_peers(false, false));
    assert_eq!(response.token, None);
    assert_eq!(response.peers.len(), 100);
    let known = node.ask(addr("5.5.0.1:100"), get_peers(false, false));
    assert!(known.token.is_some(), "it is stored already");
    assert_eq!(node.dht.stats(now).stored_peers, 300);
}

#[test]
fn items_are_stored_and_given() {
    let mut node = Asked::new(DhtSettings::default());
    let a = addr("1.2.3.4:100");
    let value = Bytes::from_static(b"12:Hello World!");
    let target = immutable_target(&value);
    let response = node.ask(a, get(target, None));
    assert_eq!(response.value, None);
    let put = |token: Bytes, value: Bytes| Method::Put {
        token,
        value,
        mutable: None,
    };
    let token = response.token.unwrap();
    node.ask(a, put(token.clone(), value.clone()));
    assert_eq!(node.ask(a, get(target, None)).value, Some(value));
    let long = format!("{}:{}", 997, "x".repeat(997));
    let code = node.error(a, put(token.clone(), long.into()));
    assert_eq!(code, error_code::VALUE_TOO_BIG);
    let other = put(token, Bytes::from_static(b"i7e"));
    assert_eq!(node.error(a, other), error_code::PROTOCOL);
}

#[test]
fn mutable_items_obey_their_numbers_and_signatures() {
    let mut node = Asked::new(DhtSettings::default());
    let a = addr("1.2.3.4:100");
    let (key, secret) = keypair([1; 32]);
    let item = |seq, salt: &[u8]| {
        let (salt, value) = (
            Bytes::copy_from_slice(salt),
            Bytes::from(format!("i{seq}e")),
        );
        MutableItem::sign(&secret, key, salt, seq, value).unwrap()
    };
    let target = item(1, b"salt").target();
    let token = node.ask(a, get(target, None)).token.unwrap();
    let put = |item: MutableItem, cas: Option<i64>| Method::Put {
        token: token.clone(),
        value: item.value,
        mutable: Some(PutMutable {
            key: item.key.0,
            signature: item.signature,
            seq: item.seq,
            cas,
            salt: item.salt,
        }),
    };
    node.ask(a, put(item(5, b"salt"), None));
    let found = node.ask(a, get(target, None));
    assert_eq!((found.seq, found.value), (Some(5), Some("i5e".into())));
    let same = node.ask(a, get(target, Some(5)));
    assert_eq!((same.seq, same.value), (Some(5), None));
    assert!(node.ask(a, get(target, Some(4))).value.is_some());
    let mut forged = item(9, b"salt");
    forged.signature[3] ^= 1;
    let mut negative = item(9, b"salt");
    negative.seq = -1;
    let mut salted = item(9, b"salt");
    salted.salt = vec![b's'; 65].into();
    for (method, code) in [
        (put(forged, None), error_code::INVALID_SIGNATURE),
        (put(negative, None), error_code::PROTOCOL),
        (put(salted, None), error_code::SALT_TOO_BIG),
        (put(item(9, b"other"), None), error_code::PROTOCOL),
        (put(item(4, b"salt"), None), error_code::OLD_SEQUENCE),
        (put(item(6, b"salt"), Some(4)), error_code::CAS_MISMATCH),
    ] {
        assert_eq!(node.error(a, method), code);
        assert_eq!(node.ask(a, get(target, None)).seq, Some(5));
    }
    node.ask(a, put(item(6, b"salt"), Some(5)));
    assert_eq!(node.ask(a, get(target, None)).seq, Some(6));
}

#[test]
fn samples_stay_the_same_for_a_while() {
    let mut node = Asked::new(DhtSettings::default());
    let a = addr("1.2.3.4:100");
    let sample = Method::SampleInfohashes {
        target: TORRENT,
        want: Want::default(),
    };
    let none = node.ask(a, sample.clone()).samples.unwrap();
    assert_eq!((none.total, none.hashes.len()), (0, 0));
    for number in 0..50 {
        let hash = NodeId([number; 20]);
        node.dht.peers.announce(at(0), hash, a, false);
    }
    let first = node.ask(a, sample.clone()).samples.unwrap();
    assert_eq!((first.total, first.hashes.len()), (50, 20));
    assert!(first.interval <= 21600);
    let again = node.ask(a, sample.clone()).samples.unwrap();
    assert_eq!(again.hashes, first.hashes);
}

#[test]
fn what_is_unknown_is_answered_as_find_node_where_it_has_a_target() {
    let mut node = Asked::new(DhtSettings::default());
    let unknown = Method::Unknown {
        target: TORRENT,
        want: Want { v4: true, v6: true },
    };
    let response = node.ask(addr("1.2.3.4:100"), unknown);
    assert_eq!(response.nodes, Some(Vec::new()));
    assert_eq!(response.nodes6, None, "there is no such endpoint");
}

#[test]
fn nothing_but_queries_is_answered() {
    let mut node = Asked::new(DhtSettings::default());
    let from = addr("1.2.3.4:100");
    let response = ReplyMessage {
        transaction: Transaction::short(1),
        external: None,
        reply: Reply::Response(Box::default()),
    };
    let error = ReplyMessage {
        reply: Reply::Error {
            code: 201,
            text: String::new(),
        },
        ..response.clone()
    };
    for bytes in [response.encode(), error.encode(), b"de".to_vec(), vec![]] {
        assert_eq!(node.datagram(from, &bytes), []);
    }
    let stats = node.dht.stats(at(0));
    assert_eq!((stats.traffic.unexpected, stats.nodes()), (2, 0));
    let malformed = node.datagram(from, b"d1:q4:ping1:t2:aa1:y1:qe");
    assert_eq!(malformed.len(), 1);
    assert!(malformed[0].1.len() < 60);
}

#[test]
fn a_read_only_node_answers_nothing_and_says_so() {
    let settings = DhtSettings {
        read_only: true,
        ..DhtSettings::default()
    };
    let mut node = Asked::new(settings);
    let ping = Query {
        transaction: Transaction::short(9),
        id: TORRENT,
        read_only: false,
        method: Method::Ping,
    };
    let from = addr("1.2.3.4:100");
    assert_eq!(node.datagram(from, &ping.encode()), []);
    assert_eq!(node.datagram(from, b"d1:t2:aa1:y1:qe"), []);
    node.dht.add_node(at(1), from);
    let Some(DhtOutput::Send { packet, .. }) = node.dht.poll_output() else {
        panic!("it asks nothing");
    };
    let Ok(Message::Query(query)) = Message::decode(&packet) else {
        panic!("no query");
    };
    assert!(query.read_only);
}

#[test]
fn a_flood_costs_a_bounded_number_of_bytes() {
    let mut node = Asked::new(DhtSettings::default());
    let query = |id: u8| Query {
        transaction: Transaction::short(9),
        id: NodeId([id; 20]),
        read_only: false,
        method: get_peers(false, false),
    };
    let mut bytes = 0;
    // From one address, and from ten thousand, in 30 seconds.
    for number in 0..30_000u32 {
        node.now = u64::from(number);
        let [_, _, high, low] = (number % 10_000).to_be_bytes();
        for ip in [[1, 2, 3, 4], [5, 6, high, low]] {
            let from = SocketAddr::from((ip, 99));
            let query = query(number as u8).encode();
            let now = at(node.now);
            node.dht.handle_datagram(now, node.local, from, &query);
            while let Some(output) = node.dht.poll_output() {
                if let DhtOutput::Send { packet, .. } = output {
                    bytes += packet.len();
                }
            }
        }
    }
    node.dht.check_invariants();
    // 8000 bytes a second, and what was saved up.
    assert!(bytes <= 8000 * 33 + 1500, "{bytes}");
    assert!(node.dht.stats(at(30_000)).traffic.dropped > 50_000);
    assert_eq!(
        node.dht.stats(at(30_000)).nodes(),
        0,
        "none has answered us"
    );
}
