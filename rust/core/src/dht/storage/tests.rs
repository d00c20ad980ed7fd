use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use rand::{SeedableRng, rngs::StdRng};

use super::super::item::immutable_target;
use super::super::krpc::Response;
use super::super::node_id::NodeId;
use super::*;
use crate::testing::at;

fn hash(number: u16) -> NodeId {
    let mut hash = NodeId::default();
    hash.0[..2].copy_from_slice(&number.to_be_bytes());
    hash
}

#[test]
fn peers_torrents_and_players_of_one_house_are_bounded() {
    let mut it = PeerStore::new(at(0), 10, 20);
    for torrent in 0..50 {
        for peer in 0..50u8 {
            it.announce(
                at(0),
                hash(torrent),
                SocketAddr::from(([1, 2, peer, 4], 5)),
                false,
            );
            it.check_invariants();
        }
    }
    assert_eq!(it.sizes(), (10, 200));
    let mut it = PeerStore::new(at(0), 10, 20);
    for port in 1..100 {
        let peer = SocketAddr::from(([1, 2, 3, 4], port));
        assert!(it.announce(at(u64::from(port)), hash(1), peer, false));
    }
    assert_eq!(it.sizes(), (1, 8));
}

#[test]
fn peers_expire_and_their_torrents_with_them() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut it = PeerStore::new(at(0), 10, 20);
    let peer = SocketAddr::from(([1, 2, 3, 4], 5));
    it.announce(at(0), hash(1), peer, false);
    let query = PeersQuery {
        info_hash: hash(1),
        noseed: false,
        scrape: false,
        from: peer.ip(),
    };
    let mut peers = |it: &PeerStore, minutes: u64| {
        let mut response = Response::default();
        it.get(at(minutes * 60_000), &mut rng, query, 50, &mut response);
        response.peers.len()
    };
    assert_eq!((peers(&it, 44), peers(&it, 45)), (1, 0));
    it.sweep(at(44 * 60_000));
    assert_eq!(it.sizes(), (1, 1));
    it.sweep(at(46 * 60_000));
    assert_eq!(it.sizes(), (0, 0));
}

#[test]
fn of_too_many_items_those_stay_that_are_near_or_popular() {
    let own = [NodeId([0; 20])];
    let mut it = ItemStore::new(20, None);
    let value = |number: u32| Bytes::from(format!("i{number}e"));
    let from = |last: u8| IpAddr::from([1, 2, 3, last]);
    // One that many announce.
    for last in 0..60 {
        let item = StoredItem::Immutable(value(0));
        it.put(at(0), &own, item, None, from(last)).unwrap();
    }
    for number in 1..500 {
        let item = StoredItem::Immutable(value(number));
        it.put(at(0), &own, item, None, from(1)).unwrap();
        it.check_invariants();
    }
    assert_eq!(it.len(), 20);
    let is_there = |number| {
        let mut response = Response::default();
        it.get(at(0), immutable_target(&value(number)), None, &mut response);
        response.value.is_some()
    };
    assert!(is_there(0), "the popular one");
    let mut numbers: Vec<u32> = (1..499).collect();
    numbers.sort_by_key(|number| immutable_target(&value(*number)));
    let near = numbers[..19].iter().filter(|it| is_there(**it)).count();
    assert!(near >= 10, "{near} of the nearest");
}

#[test]
fn items_expire_where_that_is_set() {
    let mut it = ItemStore::new(20, Some(Duration::from_secs(60)));
    let value = Bytes::from_static(b"i1e");
    let item = StoredItem::Immutable(value.clone());
    it.put(at(0), &[], item, None, [1, 2, 3, 4].into()).unwrap();
    let found = |it: &ItemStore, now| {
        let mut response = Response::default();
        it.get(now, immutable_target(&value), None, &mut response);
        response.value.is_some()
    };
    assert!(found(&it, at(59_000)) && !found(&it, at(60_000)));
    it.sweep(at(60_000));
    assert_eq!(it.len(), 0);
}
