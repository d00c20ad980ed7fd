//! Who is connected and who is called: seeds, duplicates, ourselves, peers that
//! the game names.

use super::*;

#[test]
fn connections_of_seeds_are_closed_when_nothing_is_wanted() {
    let mut world = World::new("x.-");
    world.givers(&[('s', "xxx"), ('l', "x..")]);
    world.pass(500);
    assert!(world.out().is_empty());
    world.verified(&[1]);
    world.out();
    world.pass(500);
    let redundant = "s close: neither side needs anything";
    assert_eq!(world.out(), [redundant]);
    world.pass(5000);
    assert!(world.out().is_empty(), "told once");
    // A peer that becomes a seed.
    let mut world = World::new("xx");
    world.peer('l', "x.");
    world.pass(500);
    world.out();
    world.say('l', |it| it.haves = vec![PieceIndex(1)]);
    world.pass(500);
    assert_eq!(world.out(), ["l close: neither side needs anything"]);
}

#[test]
fn a_seed_is_called_again_when_more_is_wanted() {
    let mut world = World::new("x-");
    world
        .torrent
        .add_peers(at(0), [endpoint('s')], Sources::TRACKER);
    assert_eq!(world.out(), ["connect 10.0.0.115:6881"]);
    world.peer('s', "xx");
    world.pass(500);
    world.leave('s', false);
    world.out();
    world.pass(300_000);
    assert!(world.out().is_empty());
    world.prioritize("x.");
    world.pass(500);
    assert_eq!(world.out(), ["downloading", "connect 10.0.0.115:6881"]);
}

#[test]
fn the_newest_connections_go_when_there_are_too_many() {
    let mut world = World::new("..");
    for peer in ['a', 'b', 'c'] {
        world.join(peer, false).unwrap();
    }
    world.out();
    world.torrent.set_limits(world.now(), 2, -1);
    assert_eq!(world.out(), ["c close: too many connections"]);
    world.torrent.set_limits(world.now(), 2, -1);
    assert!(world.out().is_empty(), "told once");
    assert_eq!(world.join('d', false), Err(CloseReason::TooMany));
    world.leave('a', false);
    assert_eq!(world.join('e', true), Ok(()), "the third is on its way out");
    assert_eq!(world.join('f', true), Err(CloseReason::TooMany));
}

#[test]
fn we_do_not_talk_to_ourselves() {
    let mut world = World::new("..");
    world
        .torrent
        .add_peers(at(0), [endpoint('M')], Sources::TRACKER);
    assert_eq!(world.out(), ["connect 10.0.0.77:6881"]);
    assert_eq!(world.join('M', true), Err(CloseReason::OurselvesAgain));
    assert_eq!(world.join('M', false), Err(CloseReason::OurselvesAgain));
    assert_eq!(world.torrent.peer_list().failcount(endpoint('M')), 1);
    assert!(world.out().is_empty());
}

#[test]
fn of_two_dials_that_cross_the_one_of_the_greater_id_stays() {
    let call = SocketAddr::from(([10, 0, 0, 9], 50_000));
    for (letter, ours_stays) in [(b'A', true), (b'Z', false)] {
        let peer = char::from(letter);
        for incoming_first in [true, false] {
            let mut world = World::with("..", |it| it.allow_multiple_connections_per_ip = true);
            world.torrent.connect_to(at(0), endpoint(peer));
            world.out();
            let [first, second] = [incoming_first, !incoming_first].map(|incoming| {
                let endpoint = if incoming { call } else { endpoint(peer) };
                meta(letter, endpoint, incoming)
            });
            let (now, out) = (at(100), |world: &mut World| world.out().join(", "));
            let torrent = &mut world.torrent;
            assert_eq!(
                torrent.peer_connected(now, key('1'), first, Room::Free),
                Ok(())
            );
            let verdict = torrent.peer_connected(now, key('2'), second, Room::Free);
            let second_stays = incoming_first == ours_stays;
            if second_stays {
                assert_eq!(verdict, Ok(()));
                assert!(out(&mut world).contains("1 close: the peer is connected already"));
                world.leave('1', false);
            } else {
                assert_eq!(verdict, Err(CloseReason::Duplicate));
            }
            // Whichever it is, the peer's own endpoint is not called again
            // until the connection is over.
            world.torrent.connect_to(at(200), endpoint(peer));
            world.pass(400_000);
            assert!(!out(&mut world).contains("connect 10"));
            world.leave(if second_stays { '2' } else { '1' }, false);
            world.out();
            world.pass(70_000);
            assert_eq!(out(&mut world), format!("connect {}", endpoint(peer)));
        }
    }
}

#[test]
fn an_old_connection_is_not_given_up_for_a_new_one() {
    for letter in [b'A', b'Z'] {
        for incoming in [true, false] {
            let mut world = World::with("..", |it| it.allow_multiple_connections_per_ip = true);
            let now = at(0);
            let [old, new] = [incoming, !incoming].map(|it| meta(letter, endpoint('a'), it));
            let torrent = &mut world.torrent;
            assert_eq!(
                torrent.peer_connected(now, key('1'), old, Room::Free),
                Ok(())
            );
            assert_eq!(
                torrent.peer_connected(at(60_000), key('2'), new, Room::Free),
                Err(CloseReason::Duplicate)
            );
        }
    }
}

#[test]
fn one_address_calls_once_unless_it_may_call_more_often() {
    for allowed in [false, true] {
        let mut world = World::with("..", |it| it.allow_multiple_connections_per_ip = allowed);
        let now = world.now();
        let mut call = |letter, port| {
            let endpoint = SocketAddr::from(([10, 0, 0, 9], port));
            let key = PeerKey(u64::from(letter));
            let torrent = &mut world.torrent;
            torrent.peer_connected(now, key, meta(letter, endpoint, true), Room::Free)
        };
        assert_eq!(call(b'a', 1000), Ok(()));
        assert_eq!(call(b'b', 1001).is_ok(), allowed);
    }
}

#[test]
fn a_peer_that_calls_anew_takes_the_place_of_its_old_connection() {
    let mut world = World::new("..");
    let call = |world: &mut World, name, host, port| {
        let endpoint = SocketAddr::from(([10, 0, 0, host], port));
        let torrent = &mut world.torrent;
        torrent.peer_connected(at(0), key(name), meta(b'a', endpoint, true), Room::Free)
    };
    assert_eq!(call(&mut world, '1', 9, 1000), Ok(()));
    world.out();
    // A stranger does not push it out by its name.
    let stranger = call(&mut world, '2', 8, 1000);
    assert_eq!(stranger, Err(CloseReason::Duplicate));
    assert_eq!(call(&mut world, '3', 9, 1001), Ok(()));
    let out = world.out().join(", ");
    assert!(
        out.contains("1 close: the peer is connected already"),
        "{out}"
    );
    world.leave('1', false);
    assert!(world.torrent.peer(key('3')).is_some());
}

#[test]
fn a_peer_that_the_game_names_is_called_once_and_at_once() {
    let mut world = World::new("..");
    let peer = endpoint('a');
    for _ in 0..3 {
        world.torrent.connect_to(world.now(), peer);
        world.pass(500);
    }
    assert_eq!(world.out(), ["connect 10.0.0.97:6881 by name"]);
    world.torrent.connect_failed(world.now(), peer);
    world.torrent.connect_to(world.now(), peer);
    assert_eq!(
        world.out(),
        ["connect 10.0.0.97:6881 by name"],
        "whatever its failures"
    );
    world.join('a', false).unwrap();
    world.out();
    world.torrent.connect_to(world.now(), peer);
    assert!(world.out().is_empty());
    // Not while there is no traffic, and no endpoint that is none.
    world
        .torrent
        .connect_to(world.now(), "10.0.0.1:0".parse().unwrap());
    world.torrent.stop();
    world.torrent.connect_to(world.now(), endpoint('b'));
    assert_eq!(world.out(), ["a close: the torrent was stopped"]);
    assert_eq!(world.join('c', true), Err(CloseReason::Stopped));
    world.leave('a', false);
    world.torrent.start(world.now());
    world.pass(500);
    let out = world.out();
    assert_eq!(out.len(), 2, "both are called now: {out:?}");
}

#[test]
fn a_connection_knows_how_often_it_failed_before() {
    let mut world = World::new("..");
    let peer = endpoint('a');
    world.torrent.connect_to(world.now(), peer);
    for _ in 0..2 {
        world.torrent.connect_failed(world.now(), peer);
    }
    world.join('a', false).unwrap();
    assert_eq!(world.torrent.peer(key('a')).unwrap().failures, 2);
    world.leave('a', false);
    world.join('a', false).unwrap();
    let again = world.torrent.peer(key('a')).unwrap();
    assert_eq!(again.failures, 0, "one that went well forgives them");
}

#[test]
fn who_leaves_because_nothing_was_wanted_is_called_again_when_something_is() {
    let mut world = World::new("x.");
    world.prioritize("--");
    world.torrent.connect_to(world.now(), endpoint('a'));
    world.join('a', false).unwrap();
    world.peer('b', "xx");
    world.out();
    // Both learnt that we want nothing, and are about to leave.
    world.prioritize("xx");
    world.out();
    world.leave('a', false);
    world.pass(1000);
    let calls = world.out();
    assert!(calls.iter().any(|out| out.contains("connect")), "{calls:?}");
    // Once only: it knows that we want something now.
    world.join('a', false).unwrap();
    world.leave('a', false);
    world.pass(1000);
    let calls = world.out();
    assert!(
        !calls.iter().any(|out| out.contains("connect")),
        "{calls:?}"
    );
}

#[test]
fn a_stop_that_is_taken_back_at_once_costs_no_wait() {
    let mut world = World::new("..");
    world.torrent.connect_to(world.now(), endpoint('a'));
    world.join('a', false).unwrap();
    world.torrent.stop();
    world.torrent.start(world.now());
    world.pass(500);
    world.leave('a', false);
    world.out();
    world.pass(500);
    assert_eq!(world.out(), ["connect 10.0.0.97:6881"]);
}
