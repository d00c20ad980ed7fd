use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::*;

const ID: NodeId = NodeId(*b"abcdefghij0123456789");
const TARGET: NodeId = NodeId(*b"mnopqrstuvwxyz123456");

fn query(method: Method) -> Query {
    Query {
        transaction: Transaction(Bytes::from_static(b"aa")),
        id: ID,
        read_only: false,
        method,
    }
}

fn both() -> Want {
    Want { v4: true, v6: true }
}

/// One of each kind.
fn queries() -> Vec<Query> {
    let token = Bytes::from_static(b"aoeusnth");
    let want = Want::default();
    let put = |mutable| Method::Put {
        token: token.clone(),
        value: Bytes::from_static(b"12:Hello World!"),
        mutable,
    };
    let mut queries: Vec<_> = [
        Method::Ping,
        Method::FindNode {
            target: TARGET,
            want: both(),
        },
        Method::GetPeers {
            info_hash: TARGET,
            noseed: true,
            scrape: true,
            want,
        },
        Method::AnnouncePeer {
            info_hash: TARGET,
            port: 6881,
            implied_port: true,
            seed: true,
            token: token.clone(),
        },
        Method::Get {
            target: TARGET,
            seq: Some(4),
            want,
        },
        put(None),
        put(Some(PutMutable {
            key: [1; 32],
            signature: [2; 64],
            seq: 4,
            cas: Some(3),
            salt: Bytes::from_static(b"salt"),
        })),
        Method::SampleInfohashes {
            target: TARGET,
            want,
        },
        Method::Unknown {
            target: TARGET,
            want,
        },
    ]
    .map(query)
    .into();
    queries[0].read_only = true;
    queries
}

fn replies() -> Vec<ReplyMessage> {
    let node = |addr: &str| NodeContact {
        id: TARGET,
        addr: addr.parse().unwrap(),
    };
    let peers = ["1.2.3.4:5", "[2001:db8::7]:8", "9.9.9.9:9"];
    let response = Response {
        id: ID,
        nodes: Some(vec![node("4.3.2.1:99"); 8]),
        nodes6: Some(vec![node("[2001:db8::1]:7")]),
        peers: peers.map(|peer| peer.parse().unwrap()).into(),
        token: Some(Bytes::from_static(b"token")),
        seeds: Some(Box::default()),
        downloaders: Some(Box::new(BloomFilter([7; 256]))),
        value: Some(Bytes::from_static(b"li1e3:abce")),
        key: Some([3; 32]),
        signature: Some([4; 64]),
        seq: Some(12),
        samples: Some(Samples {
            interval: 21600,
            total: 77,
            hashes: vec![TARGET, ID],
        }),
    };
    let error = Reply::Error {
        code: error_code::OLD_SEQUENCE,
        text: "old".to_owned(),
    };
    [
        (Reply::Response(Box::new(response)), "7.7.7.7:7"),
        (Reply::Response(Box::default()), "[2001:db8::9]:1"),
        (error, "7.7.7.7:7"),
    ]
    .map(|(reply, external)| ReplyMessage {
        transaction: Transaction::short(515),
        external: external.parse().ok(),
        reply,
    })
    .into()
}

#[test]
fn the_examples_of_bep_5() {
    let table: [(&[u8], Method); 4] = [
        (
            b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe",
            Method::Ping,
        ),
        (
            b"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q9:find_node1:t2:aa1:y1:qe",
            Method::FindNode {
                target: TARGET,
                want: Want::default(),
            },
        ),
        (
            b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers1:t2:aa1:y1:qe",
            Method::GetPeers {
                info_hash: TARGET,
                noseed: false,
                scrape: false,
                want: Want::default(),
            },
        ),
        (
            b"d1:ad2:id20:abcdefghij012345678912:implied_porti1e9:info_hash20:mnopqrstuvwxyz1234564:porti6881e5:token8:aoeusnthe1:q13:announce_peer1:t2:aa1:y1:qe",
            Method::AnnouncePeer {
                info_hash: TARGET,
                port: 6881,
                implied_port: true,
                seed: false,
                token: Bytes::from_static(b"aoeusnth"),
            },
        ),
    ];
    for (bytes, method) in table {
        let query = query(method);
        assert_eq!(query.encode(), bytes);
        assert_eq!(Message::decode(bytes), Ok(Message::Query(query)));
    }
    let bytes = b"d1:rd2:id20:abcdefghij01234567895:token8:aoeusnth6:valuesl6:axje.u6:idhtnmee1:t2:aa1:y1:re";
    let Ok(Message::Reply(reply)) = Message::decode(bytes) else {
        panic!("no reply");
    };
    assert_eq!(reply.encode(), bytes);
    let bytes = b"d1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee";
    let Ok(Message::Reply(reply)) = Message::decode(bytes) else {
        panic!("no error");
    };
    assert!(matches!(reply.reply, Reply::Error { code: 201, .. }));
}

#[test]
fn all_kinds_are_read_as_they_were_written() {
    for query in queries() {
        let bytes = query.encode();
        assert_eq!(Message::decode(&bytes), Ok(Message::Query(query)));
    }
    for reply in replies() {
        let bytes = reply.encode();
        assert_eq!(Message::decode(&bytes), Ok(Message::Reply(reply)));
    }
}

#[test]
fn only_malformed_queries_are_answered() {
    let ignored: [&[u8]; 12] = [
        b"",
        b"de",
        b"le",
        b"d1:t2:aae",
        b"d1:t2:aa1:y1:xe",
        b"d1:t2:aa1:yi1ee",
        b"d1:q4:ping1:y1:qe",
        // Replies that say nothing.
        b"d1:t2:aa1:y1:re",
        b"d1:rde1:t2:aa1:y1:re",
        b"d1:rd2:id3:abce1:t2:aa1:y1:re",
        // A transaction to be echoed at length.
        b"d1:q4:ping1:t33:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1:y1:qe",
        b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe and more",
    ];
    for bytes in ignored {
        let read = Message::decode(bytes);
        assert_eq!(read, Err(Undecodable::Ignored), "{}", bytes.escape_ascii());
    }
    let answered: [(&[u8], i64); 9] = [
        (b"d1:t2:aa1:y1:qe", 203),
        (b"d1:q4:ping1:t2:aa1:y1:qe", 203),
        (b"d1:ad2:id2:abe1:q4:ping1:t2:aa1:y1:qe", 203),
        (b"d1:ad2:id20:abcdefghij01234567896:target3:abce1:q9:find_node1:t2:aa1:y1:qe", 203),
        (b"d1:ad2:id20:abcdefghij0123456789e1:q9:get_peers1:t2:aa1:y1:qe", 203),
        (b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234564:porti0e5:token1:ae1:q13:announce_peer1:t2:aa1:y1:qe", 203),
        (b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234564:porti70000e5:token1:ae1:q13:announce_peer1:t2:aa1:y1:qe", 203),
        (b"d1:ad2:id20:abcdefghij01234567895:token1:a1:vd1:bi1e1:ai1eee1:q3:put1:t2:aa1:y1:qe", 203),
        (b"d1:ad2:id20:abcdefghij0123456789e1:q4:what1:t2:aa1:y1:qe", 204),
    ];
    for (bytes, expected) in answered {
        let Err(Undecodable::BadQuery { code, .. }) = Message::decode(bytes) else {
            panic!("{}", bytes.escape_ascii());
        };
        assert_eq!(code, expected, "{}", bytes.escape_ascii());
    }
}

#[test]
fn what_is_not_canonical_or_not_known_is_read_all_the_same() {
    let loose = b"d1:y1:q1:t2:aa1:q9:find_node1:v4:LT01\
        1:ad6:target020:mnopqrstuvwxyz1234562:id20:abcdefghij01234567893:newdeee";
    let read = Message::decode(loose).unwrap();
    let expected = query(Method::FindNode {
        target: TARGET,
        want: Want::default(),
    });
    assert_eq!(read, Message::Query(expected));
    // All peers in one string.
    let one = b"d1:rd2:id20:abcdefghij01234567896:valuesl12:\x01\x02\x03\x04\0\x05\x01\x02\x03\x05\0\x05ee1:t2:aa1:y1:re";
    let Ok(Message::Reply(ReplyMessage {
        reply: Reply::Response(response),
        ..
    })) = Message::decode(one)
    else {
        panic!("no response");
    };
    assert_eq!(response.peers.len(), 2);
}

#[test]
fn no_more_is_kept_than_other_clients_send() {
    let mut response = Response {
        id: ID,
        ..Response::default()
    };
    let contact = NodeContact {
        id: ID,
        addr: "1.2.3.4:5".parse().unwrap(),
    };
    response.nodes = Some(vec![contact; 2000]);
    response.peers = vec![contact.addr; 900];
    let mut reply = ReplyMessage {
        transaction: Transaction::short(1),
        external: None,
        reply: Reply::Response(Box::new(response)),
    };
    let Ok(Message::Reply(read)) = Message::decode(&reply.encode()) else {
        panic!("no reply");
    };
    let Reply::Response(response) = read.reply else {
        panic!("no response");
    };
    assert_eq!(response.nodes.map(|nodes| nodes.len()), Some(16));
    assert_eq!(response.peers.len(), 200);
    // More values than are counted.
    if let Reply::Response(response) = &mut reply.reply {
        response.peers = vec![contact.addr; 1100];
    }
    assert_eq!(Message::decode(&reply.encode()), Err(Undecodable::Ignored));
}

/// Some bytes of a message are others, some are missing, some are there twice.
pub(crate) fn mutate(bytes: &mut Vec<u8>, rng: &mut StdRng) {
    for _ in 0..rng.random_range(1..4) {
        if bytes.is_empty() {
            return;
        }
        let at = rng.random_range(0..bytes.len());
        match rng.random_range(0..5) {
            0 => bytes[at] = rng.random(),
            1 => bytes[at] ^= 1 << rng.random_range(0..8),
            2 => bytes.truncate(at),
            3 => {
                let end = (at + rng.random_range(0..8)).min(bytes.len());
                bytes.drain(at..end);
            }
            _ => {
                let end = (at + rng.random_range(0..8)).min(bytes.len());
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
        }
    }
}

#[test]
fn a_hundred_thousand_mutated_messages_are_read_or_refused() {
    let originals: Vec<_> = (queries().iter().map(Query::encode))
        .chain(replies().iter().map(ReplyMessage::encode))
        .collect();
    let seed = 7;
    let mut rng = StdRng::seed_from_u64(seed);
    let mut read = 0;
    for round in 0..100_000 {
        let mut bytes = originals[round % originals.len()].clone();
        mutate(&mut bytes, &mut rng);
        match Message::decode(&bytes) {
            Ok(Message::Query(query)) => {
                let again = Message::decode(&query.encode());
                assert_eq!(again, Ok(Message::Query(query)), "seed {seed}");
                read += 1;
            }
            Ok(Message::Reply(reply)) => {
                // Not all that is read can be written the same way: peers that were
                // one string, an address without a port.
                assert!(Message::decode(&reply.encode()).is_ok(), "seed {seed}");
                read += 1;
            }
            Err(_) => {}
        }
    }
    assert!(read > 10_000, "{read} were messages");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Message::decode(&bytes);
    }
}
