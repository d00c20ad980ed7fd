//! Several nodes together.

use bytes::Bytes;

use super::super::item::{ItemError, keypair};
use super::*;

const TORRENT: InfoHash = InfoHash([0x42; 20]);

fn announce(port: u16) -> DhtAnnounce {
    DhtAnnounce {
        port,
        implied_port: false,
        seed: false,
    }
}

fn peers_of(events: &[DhtOutput]) -> Vec<SocketAddr> {
    let peers = events.iter().filter_map(|event| match event {
        DhtOutput::Peers { peers, .. } => Some(peers.clone()),
        _ => None,
    });
    peers.flatten().collect()
}

#[test]
fn three_nodes_on_a_lan_need_one_address_and_no_router() {
    let mut world = World::new();
    for port in [1, 2, 3] {
        world.add(loopback(port), &[]);
    }
    world.run(1000);
    world.with(loopback(2), |dht, now| dht.add_node(now, loopback(1)));
    world.with(loopback(3), |dht, now| dht.add_node(now, loopback(1)));
    world.run(5000);
    for port in [1, 2, 3] {
        assert_eq!(world.good(loopback(port)), 2, "{port}");
    }
    world.with(loopback(2), |dht, now| {
        dht.add_torrent(now, TORRENT, announce(777))
    });
    world.run(2000);
    world.with(loopback(3), |dht, now| dht.get_peers(now, TORRENT, false));
    world.run(2000);
    let events = world.take_events(loopback(3));
    assert_eq!(peers_of(&events), [loopback(777)]);
    assert!(
        events
            .iter()
            .any(|it| matches!(it, DhtOutput::PeersDone { peers: 1, .. }))
    );
    world.check();
}

#[test]
fn peers_find_each_other_and_are_gone_when_a_torrent_is_removed() {
    let mut world = World::network(24);
    let (a, b) = (loopback(7005), loopback(7021));
    world.with(a, |dht, now| dht.add_torrent(now, TORRENT, announce(1111)));
    world.run(3000);
    let done = world.take_events(a);
    let stored = done.iter().find_map(|event| match event {
        DhtOutput::PeersDone { stored, .. } => Some(*stored),
        _ => None,
    });
    assert_eq!(stored, Some(8));
    world.with(b, |dht, now| dht.add_torrent(now, TORRENT, announce(2222)));
    world.run(3000);
    assert_eq!(peers_of(&world.take_events(b)), [loopback(1111)]);
    // A quarter of an hour later both are announced again, and hear of each other.
    world.run(1_000_000);
    let heard = peers_of(&world.take_events(a));
    assert!(heard.contains(&loopback(2222)), "{heard:?}");
    for node in [a, b] {
        world.with(node, |dht, now| dht.remove_torrent(now, TORRENT));
        world.take_events(node);
    }
    world.run(1_000_000);
    assert!(world.take_events(a).is_empty() && world.take_events(b).is_empty());
    world.with(b, |dht, now| dht.get_peers(now, TORRENT, false));
    world.run(2_000_000);
    world.take_events(b);
    world.with(b, |dht, now| dht.get_peers(now, TORRENT, false));
    world.run(5000);
    assert_eq!(peers_of(&world.take_events(b)), [], "they expire");
    world.check();
}

#[test]
fn items_are_published_and_found() {
    let mut world = World::network(20);
    let (a, b) = (loopback(7001), loopback(7019));
    let value = Bytes::from_static(b"5:hello");
    world.with(a, |dht, now| dht.put_immutable(now, value.clone()).unwrap());
    world.run(3000);
    let put = world.take_events(a);
    let Some(DhtOutput::PutDone { target, stored, .. }) = put.last() else {
        panic!("{put:?}");
    };
    assert_eq!(*stored, 8);
    let target = *target;
    world.with(b, |dht, now| dht.get_immutable(now, target));
    world.with(b, |dht, now| dht.get_immutable(now, NodeId([1; 20])));
    world.run(3000);
    let found = world.take_events(b);
    let values = found.iter().map(|event| match event {
        DhtOutput::ImmutableItem { value, .. } => value.clone(),
        other => panic!("{other:?}"),
    });
    let values: Vec<_> = values.collect();
    assert_eq!(values, [Some(value), None]);
    let broken = world.with(a, |dht, now| dht.put_immutable(now, "nonsense".into()));
    assert_eq!(broken, Err(ItemError::NotBencode));
    world.check();
}

#[test]
fn mutable_items_count_on_and_the_newest_is_found() {
    let mut world = World::network(20);
    let (a, b) = (loopback(7001), loopback(7019));
    let (key, secret) = keypair([1; 32]);
    let put = |value: &'static [u8], seq| MutablePut {
        secret: secret.clone(),
        key,
        salt: Bytes::from_static(b"salt"),
        value: Bytes::from_static(value),
        seq,
    };
    for (value, seq, expected) in [
        (&b"i1e"[..], None, 0),
        (b"i2e", None, 1),
        (b"i3e", Some(7), 7),
        (b"i4e", None, 8),
    ] {
        world.with(a, |dht, now| dht.put_mutable(now, put(value, seq)).unwrap());
        world.run(3000);
        let done = world.take_events(a);
        let Some(DhtOutput::PutDone {
            item: Some(item),
            stored,
            ..
        }) = done.last()
        else {
            panic!("{done:?}");
        };
        assert_eq!((item.seq, *stored), (expected, 8), "{value:?}");
        world.with(b, |dht, now| {
            dht.get_mutable(now, key, Bytes::from_static(b"salt"))
        });
        world.run(3000);
        let found = world.take_events(b);
        let Some(DhtOutput::MutableItem {
            item: Some(item),
            authoritative: true,
            ..
        }) = found.last()
        else {
            panic!("{found:?}");
        };
        assert_eq!((item.seq, &item.value[..]), (expected, value));
    }
    // An older one is refused by all that have the newer one.
    world.with(a, |dht, now| {
        dht.put_mutable(now, put(b"i5e", Some(2))).unwrap()
    });
    world.run(3000);
    let done = world.take_events(a);
    assert!(matches!(
        done.last(),
        Some(DhtOutput::PutDone { stored: 0, .. })
    ));
    let (other, _) = keypair([2; 32]);
    let wrong = MutablePut {
        key: other,
        ..put(b"i1e", None)
    };
    let refused = world.with(a, |dht, now| dht.put_mutable(now, wrong));
    assert_eq!(refused, Err(ItemError::BadKey));
    // The greatest number has no next one.
    world.with(a, |dht, now| {
        dht.put_mutable(now, put(b"i6e", Some(i64::MAX))).unwrap()
    });
    world.run(3000);
    world.take_events(a);
    world.with(a, |dht, now| {
        dht.put_mutable(now, put(b"i7e", None)).unwrap()
    });
    world.run(3000);
    let done = world.take_events(a);
    assert!(matches!(
        done.last(),
        Some(DhtOutput::PutDone {
            stored: 0,
            error: Some(_),
            ..
        })
    ));
    world.check();
}

#[test]
fn samples_and_scrapes_are_asked_for() {
    let mut world = World::network(20);
    let (a, b) = (loopback(7001), loopback(7019));
    let seed = DhtAnnounce {
        seed: true,
        ..announce(5)
    };
    world.with(a, |dht, now| dht.add_torrent(now, TORRENT, seed));
    world.run(3000);
    world.with(b, |dht, now| dht.get_peers(now, TORRENT, true));
    world.run(3000);
    let done = world.take_events(b);
    let Some(DhtOutput::PeersDone {
        scrape: Some(scrape),
        ..
    }) = done.last()
    else {
        panic!("{done:?}");
    };
    assert_eq!((scrape.seeds.round(), scrape.downloaders), (1.0, 0.0));
    let mut sampled = 0;
    for port in 7000..7019 {
        world.with(b, |dht, now| {
            dht.sample_infohashes(now, loopback(port), NodeId([1; 20]))
        });
        world.run(100);
        let events = world.take_events(b);
        let Some(DhtOutput::Samples {
            samples: Some((samples, nodes)),
            ..
        }) = events.last()
        else {
            panic!("{events:?}");
        };
        assert!(!nodes.is_empty());
        sampled += samples.hashes.iter().filter(|it| it.0 == TORRENT.0).count();
    }
    assert!(sampled >= 7, "{sampled} nodes store it");
    world.with(b, |dht, now| {
        dht.sample_infohashes(now, loopback(1), NodeId([1; 20]))
    });
    world.run(20_000);
    let events = world.take_events(b);
    assert!(matches!(
        events.last(),
        Some(DhtOutput::Samples { samples: None, .. })
    ));
}

#[test]
fn saved_nodes_go_before_routers_and_routers_after_dead_ones() {
    let mut world = World::network(20);
    world.take_events(loopback(1));
    let saved = world.nodes[&loopback(7003)].saved_state();
    assert!(saved.nodes.len() >= 8, "{saved:?}");
    world.add(loopback(1), &saved.nodes);
    world.run(5000);
    assert!(world.good(loopback(1)) >= 8);
    assert!(!world.resolved.contains(&loopback(1)));
    world.routers = vec![loopback(7007)];
    let dead: Vec<_> = (100..110).map(loopback).collect();
    world.add(loopback(2), &dead);
    world.run(8000);
    assert!(world.good(loopback(2)) >= 8);
    assert!(world.resolved.contains(&loopback(2)));
    // A router that is only that is no worse than any other node: it has answered.
    let restored = DhtState::decode(
        &crate::bencode::Document::parse(&saved.encode().encode())
            .unwrap()
            .root()
            .as_dict()
            .unwrap(),
    );
    assert_eq!(restored, saved);
}

#[test]
fn a_start_without_a_network_is_tried_again_ever_more_rarely() {
    let mut world = World::network(12);
    world.cut = true;
    world.add(loopback(1), &[loopback(7003)]);
    world.with(loopback(1), |dht, now| dht.get_peers(now, TORRENT, false));
    world.run(60_000);
    let done = world.take_events(loopback(1));
    let ended = done
        .iter()
        .any(|it| matches!(it, DhtOutput::PeersDone { peers: 0, .. }));
    assert!(ended, "a request hangs: {done:?}");
    world.cut = false;
    world.run(80_000);
    assert!(world.good(loopback(1)) >= 8, "it never comes back");
    // Alone for a day: little is sent.
    let mut alone = World::new();
    alone.add(loopback(1), &[loopback(2)]);
    alone.run(24 * 3_600_000);
    assert!(alone.sent < 400, "{} datagrams", alone.sent);
}
