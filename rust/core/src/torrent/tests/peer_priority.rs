//! The ports on which callers listen, and which connection is closed for which (BEP 40).

use super::*;
use crate::ext::ExtendedHandshake;
use crate::peer::ConnectionKind;
use crate::peerlist::canonical_priority;

fn own() -> SocketAddr {
    "123.213.32.10:6881".parse().unwrap()
}

/// A peer calls from an address of its own.
fn call(world: &mut World, peer: char, from: [u8; 4]) -> Result<(), CloseReason> {
    let meta = PeerMeta {
        endpoint: (from, 40_000).into(),
        id: id(peer as u8),
        connection: ConnectionKind::Tcp,
        encryption: None,
        incoming: true,
        source: Sources::INCOMING,
        connect_time: Duration::ZERO,
    };
    let (now, room) = (world.now(), world.room);
    world.torrent.peer_connected(now, key(peer), meta, room)
}

fn listens(world: &mut World, peer: char, port: u16) {
    let hello = ExtendedHandshake {
        port: Some(port),
        ..ExtendedHandshake::default()
    };
    world.say(peer, |it| it.extended.hello = Some(Box::new(hello)));
}

fn closed(world: &mut World) -> Vec<String> {
    let out = world.out();
    let lines = out.into_iter();
    lines.filter(|line| line.contains(" close: ")).collect()
}

#[test]
fn a_caller_is_called_back_where_it_listens() {
    let mut world = World::new("..");
    call(&mut world, 'a', [4, 3, 2, 1]).unwrap();
    let listening = SocketAddr::from(([4, 3, 2, 1], 6881));
    listens(&mut world, 'a', 6881);
    listens(&mut world, 'a', 6882);
    let list = world.torrent.peer_list();
    assert_eq!(list.len(), 1, "one port is enough");
    assert_eq!(list.sources(listening), Some(Sources::INCOMING));
    assert_eq!(list.num_candidates(), 0, "connected already");
    world.say('a', |it| it.pieces.bitfield = Some(bits("xx")));
    assert_eq!(world.torrent.peer_list().num_seeds(), 1);
    world.out();
    let now = world.now();
    world
        .torrent
        .peer_disconnected(now, key('a'), ConnectionReport::default(), false);
    assert_eq!(world.torrent.peer_list().num_candidates(), 1);
    world.pass(61_000);
    assert_eq!(world.out(), ["connect 4.3.2.1:6881"]);
}

#[test]
fn players_behind_one_router_listen_on_the_same_port() {
    let mut world = World::new("..");
    for peer in ['a', 'b'] {
        call(&mut world, peer, [4, 3, 2, 1]).unwrap();
        listens(&mut world, peer, 6881);
    }
    assert!(closed(&mut world).is_empty(), "each is a peer of its own");
    assert_eq!(world.torrent.peer_list().len(), 1);
    world.pass(70_000);
    world.leave('b', false);
    assert_eq!(world.torrent.peer_list().num_candidates(), 0);
    world.leave('a', false);
    assert_eq!(world.torrent.peer_list().num_candidates(), 1);
    world.torrent.set_own(Vec::new());
    // A dial that is under way decides for itself.
    let now = world.now();
    let endpoint = SocketAddr::from(([4, 3, 2, 1], 7000));
    world.torrent.connect_to(now, endpoint);
    call(&mut world, 'c', [4, 3, 2, 1]).unwrap();
    listens(&mut world, 'c', 7000);
    assert!(closed(&mut world).is_empty());
    world.torrent.connect_failed(now, endpoint);
    assert_eq!(world.torrent.peer_list().failcount(endpoint), 1);
}

#[test]
fn a_caller_of_higher_rank_takes_the_place_of_the_lowest() {
    let rank = |ip: [u8; 4]| canonical_priority(own(), (ip, 40_000).into());
    let mut ips: Vec<[u8; 4]> = (1..=5).map(|at| [50 * at, 7, at, 9]).collect();
    ips.sort_by_key(|&ip| rank(ip));
    let mut world = World::new("x.");
    world.torrent.set_own(vec![own()]);
    world.torrent.set_limits(world.now(), 2, -1);
    call(&mut world, 'd', ips[3]).unwrap();
    call(&mut world, 'b', ips[1]).unwrap();
    assert_eq!(call(&mut world, 'a', ips[0]), Err(CloseReason::TooMany));
    assert!(closed(&mut world).is_empty());
    call(&mut world, 'c', ips[2]).unwrap();
    assert_eq!(closed(&mut world), ["b close: too many connections"]);
    call(&mut world, 'e', ips[4]).unwrap();
    assert_eq!(closed(&mut world), ["c close: too many connections"]);
    // The rank goes by where we are.
    world.torrent.set_own(Vec::new());
    assert_eq!(
        call(&mut world, 'f', [9, 9, 9, 9]),
        Err(CloseReason::TooMany)
    );
    world.room = Room::None;
    world.torrent.set_own(vec![own()]);
    assert_eq!(call(&mut world, 'f', ips[4]), Err(CloseReason::TooMany));
}
