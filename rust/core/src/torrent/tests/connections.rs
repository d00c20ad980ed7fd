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
    world.say('l', |it| it.pieces.haves = [PieceIndex(1)].into());
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
            let mut world = World::new("..");
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
            world.pass(2000);
            let called = format!("connect {} by name", endpoint(peer));
            assert_eq!(out(&mut world), called);
        }
    }
}

#[test]
fn an_old_connection_is_given_up_for_a_new_one_if_it_is_silent() {
    for letter in [b'A', b'Z'] {
        for (incoming, silent, gives_way) in [
            // A peer that we called, and that calls us itself now.
            (false, true, true),
            (false, false, false),
            // One that called us, and that we call now.
            (true, true, false),
            (true, false, false),
        ] {
            let mut world = World::new("..");
            let [old, new] = [incoming, !incoming].map(|it| meta(letter, endpoint('a'), it));
            let torrent = &mut world.torrent;
            assert_eq!(
                torrent.peer_connected(at(0), key('1'), old, Room::Free),
                Ok(())
            );
            world.pass(55_000);
            if !silent {
                world.say('1', |it| it.stats.received += 4);
            }
            let torrent = &mut world.torrent;
            let verdict = torrent.peer_connected(at(60_000), key('2'), new, Room::Free);
            let expected = if gives_way {
                Ok(())
            } else {
                Err(CloseReason::Duplicate)
            };
            assert_eq!(verdict, expected, "{letter} {incoming} {silent}");
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
fn one_address_has_so_many_connections() {
    let mut world = World::with("..", |it| it.max_connections_per_ip = 3);
    let call = |world: &mut World, letter: u8, from: &str, room| {
        let endpoint = SocketAddr::new(from.parse().unwrap(), 1000 + u16::from(letter));
        let (now, torrent) = (world.now(), &mut world.torrent);
        torrent.peer_connected(
            now,
            PeerKey(letter.into()),
            meta(letter, endpoint, true),
            room,
        )
    };
    for (letter, from, verdict) in [
        (b'a', "10.0.0.9", Ok(())),
        (b'b', "10.0.0.9", Ok(())),
        (b'c', "10.0.0.9", Ok(())),
        (b'd', "10.0.0.9", Err(CloseReason::Crowded)),
        (b'e', "10.0.0.8", Ok(())),
        (b'f', "2001:db8::1", Ok(())),
        (b'g', "2001:db8::2", Ok(())),
        (b'h', "2001:db8::3", Ok(())),
        (b'i', "2001:db8::4", Err(CloseReason::Crowded)),
        (b'j', "2001:db8:0:1::4", Ok(())),
    ] {
        assert_eq!(
            call(&mut world, letter, from, Room::Free),
            verdict,
            "{from}"
        );
    }
    // What the session says counts too.
    let verdict = call(&mut world, b'k', "10.0.0.7", Room::Crowded);
    assert_eq!(verdict, Err(CloseReason::Crowded));
    // One on which nothing has been wanted for long is closed.
    world.pass(10_000);
    let verdict = call(&mut world, b'd', "10.0.0.9", Room::Free);
    assert_eq!(verdict, Err(CloseReason::Crowded));
    world.say('a', |it| it.interested = Some(true));
    world.pass(15_000);
    world.out();
    assert_eq!(call(&mut world, b'd', "10.0.0.9", Room::Free), Ok(()));
    let out = world.out().join(", ");
    assert!(out.contains("b close: its place is for others"), "{out}");
    // With no limit there is none.
    let mut world = World::with("..", |it| it.max_connections_per_ip = 0);
    for letter in 101..=200 {
        assert_eq!(call(&mut world, letter, "10.0.0.9", Room::Free), Ok(()));
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
    // A third peer does not push it out by its name.
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
    world.torrent.stop(world.now());
    world.torrent.connect_to(world.now(), endpoint('b'));
    assert_eq!(world.out(), ["a close: the torrent was stopped"]);
    assert_eq!(world.join('c', true), Err(CloseReason::Stopped));
    world.leave('a', false);
    world.torrent.start(world.now());
    world.pass(500);
    let out = world.out();
    assert_eq!(out.len(), 2, "both are called now: {out:?}");
}

/// When the named peer is called within the next minutes, in seconds.
fn calls(world: &mut World, seconds: u64, mut answer: impl FnMut(&mut World)) -> Vec<u64> {
    let begun = world.millis;
    let mut calls = Vec::new();
    while world.millis < begun + seconds * 1000 {
        world.pass(500);
        for line in world.out() {
            if line.contains("connect ") {
                assert_eq!(line, "connect 10.0.0.97:6881 by name");
                calls.push((world.millis - begun) / 1000);
                answer(world);
            }
        }
    }
    calls
}

fn refuse(world: &mut World) {
    world.torrent.connect_failed(world.now(), endpoint('a'));
}

#[test]
fn a_named_peer_is_called_again_and_again() {
    let mut world = World::new("..");
    world.torrent.connect_to(world.now(), endpoint('a'));
    world.out();
    refuse(&mut world);
    let waits = [1, 3, 7, 15, 31, 63, 123, 183, 243];
    assert_eq!(calls(&mut world, 250, refuse), waits);
    // One that answers and hangs up at once waits as long.
    let mut world = World::new("..");
    let hang_up = |world: &mut World| {
        world.join('a', false).unwrap();
        world.leave('a', true);
    };
    world.torrent.connect_to(world.now(), endpoint('a'));
    world.out();
    hang_up(&mut world);
    assert_eq!(calls(&mut world, 250, hang_up), waits);
    // After one that lasted it begins anew, whichever side closed it.
    for failed in [false, true] {
        world.torrent.connect_to(world.now(), endpoint('a'));
        world.out();
        world.join('a', false).unwrap();
        world.pass(60_000);
        world.leave('a', failed);
        assert_eq!(calls(&mut world, 16, refuse), [1, 3, 7, 15]);
    }
    // The game's request, or a suspend, is a reason to call at once.
    world.torrent.connect_to(world.now(), endpoint('a'));
    assert_eq!(world.out(), ["connect 10.0.0.97:6881 by name"]);
    refuse(&mut world);
    calls(&mut world, 30, refuse);
    world.out();
    world.millis += 3_600_000;
    world.torrent.woke_up(world.now(), Duration::ZERO);
    assert_eq!(world.out(), ["connect 10.0.0.97:6881 by name"]);
    refuse(&mut world);
    assert_eq!(calls(&mut world, 8, refuse), [1, 3, 7]);
}

#[test]
fn what_peers_have_given_up_during_a_sleep_is_closed() {
    let silence = Duration::from_secs(120);
    let mut world = World::new("..");
    world.torrent.connect_to(world.now(), endpoint('a'));
    let others = [endpoint('b')];
    world
        .torrent
        .add_peers(world.now(), others, Sources::TRACKER);
    world.join('a', false).unwrap();
    world.join('b', false).unwrap();
    world.pass(30_000);
    world.out();
    let moment = Duration::from_millis(1);
    world.torrent.woke_up(world.now(), silence - moment);
    assert!(world.out().is_empty(), "they may be there still");
    world.torrent.woke_up(world.now(), silence);
    let close = |peer| format!("{peer} close: {}", CloseReason::Asleep);
    assert_eq!(world.out(), [close('a'), close('b')]);
    world.leave('b', false);
    world.leave('a', false);
    world.pass(500);
    let calls = [
        "connect 10.0.0.97:6881 by name".to_owned(),
        "connect 10.0.0.98:6881".to_owned(),
    ];
    assert_eq!(world.out(), calls, "at once, the named one first");
    // One that is paused calls when it runs.
    world.torrent.stop(world.now());
    world.torrent.woke_up(world.now(), silence);
    assert!(world.out().is_empty());
}

#[test]
fn a_sleep_is_one_tick() {
    let mut world = World::new("..");
    world.givers(&[('a', "xx")]);
    world.want('a', 4);
    world.pass(10_000);
    for _ in 0..3 {
        world.millis += 24 * 3_600_000;
        let now = world.now();
        check_contract(&mut world.torrent, now);
    }
}

#[test]
fn a_named_peer_is_let_alone_where_there_is_nothing_to_do() {
    // Ourselves, banned, filtered.
    let mut world = World::new("..");
    for peer in ['M', 'a', 'b'] {
        world.torrent.connect_to(world.now(), endpoint(peer));
    }
    world.out();
    assert_eq!(world.join('M', false), Err(CloseReason::OurselvesAgain));
    world.torrent.ban(endpoint('a').ip());
    world.torrent.connect_forbidden(world.now(), endpoint('b'));
    assert!(calls(&mut world, 50, refuse).is_empty());
    world.torrent.connect_to(world.now(), endpoint('c'));
    world.join('c', false).unwrap();
    world.out();
    world.torrent.filter(|ip| ip == endpoint('c').ip());
    world.leave('c', false);
    assert!(calls(&mut world, 50, refuse).is_empty());
    // Two seeds; but not when more is wanted.
    let mut world = World::new("x-");
    world.torrent.connect_to(world.now(), endpoint('a'));
    world.peer('a', "xx");
    world.leave('a', false);
    world.out();
    assert!(calls(&mut world, 50, refuse).is_empty());
    world.prioritize("x.");
    assert_eq!(calls(&mut world, 4, refuse), [0, 1, 3]);
    // A seed that a peer leaves calls it back.
    let mut world = World::new("xx");
    world.torrent.connect_to(world.now(), endpoint('a'));
    world.peer('a', "x.");
    world.leave('a', false);
    world.out();
    assert_eq!(calls(&mut world, 4, refuse), [1, 3]);
    // A stopped torrent calls no peer, and all when it goes on.
    world.torrent.stop(world.now());
    assert!(calls(&mut world, 50, refuse).is_empty());
    world.torrent.start(world.now());
    assert_eq!(calls(&mut world, 4, refuse), [0, 1, 3]);
}

#[test]
fn a_named_peer_whose_place_went_to_others_is_called_again() {
    for (why, seconds, expected) in [
        (CloseReason::TooMany, 8, &[1, 3, 7][..]),
        (CloseReason::Crowded, 8, &[1, 3, 7]),
        // The others are tried first.
        (CloseReason::Turnover, 130, &[60, 120]),
    ] {
        let mut world = World::new("..");
        world.torrent.connect_to(world.now(), endpoint('a'));
        world.peer('a', "xx");
        world.torrent.close(key('a'), why);
        world.leave('a', false);
        world.out();
        assert_eq!(calls(&mut world, seconds, refuse), expected, "{why:?}");
    }
    // Neither side wanted anything: there is nothing to do with it.
    let mut world = World::new("..");
    world.torrent.connect_to(world.now(), endpoint('a'));
    world.peer('a', "xx");
    world.torrent.close(key('a'), CloseReason::Inactive);
    world.leave('a', false);
    world.out();
    assert!(calls(&mut world, 50, refuse).is_empty());
}

#[test]
fn two_who_name_each_other_keep_one_connection() {
    let call = SocketAddr::from(([10, 0, 0, 97], 50_000));
    for (letter, ours_stays) in [(b'A', true), (b'Z', false)] {
        let mut world = World::new("..");
        world.torrent.connect_to(at(0), endpoint('a'));
        world.out();
        let (now, torrent) = (at(0), &mut world.torrent);
        let ours = meta(letter, endpoint('a'), false);
        let theirs = meta(letter, call, true);
        torrent
            .peer_connected(now, key('1'), theirs, Room::Free)
            .unwrap();
        let verdict = torrent.peer_connected(now, key('2'), ours, Room::Free);
        assert_eq!(verdict.is_ok(), ours_stays);
        if ours_stays {
            world.leave('1', false);
        }
        assert!(calls(&mut world, 50, refuse).is_empty());
        world.leave(if ours_stays { '2' } else { '1' }, false);
        assert_eq!(calls(&mut world, 4, refuse), [1, 3]);
    }
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
    let peers = [endpoint('a')];
    world.torrent.add_peers(at(0), peers, Sources::TRACKER);
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
    let peers = [endpoint('a')];
    world.torrent.add_peers(at(0), peers, Sources::TRACKER);
    world.join('a', false).unwrap();
    world.torrent.stop(world.now());
    world.torrent.start(world.now());
    world.pass(500);
    world.leave('a', false);
    world.out();
    world.pass(500);
    assert_eq!(world.out(), ["connect 10.0.0.97:6881"]);
}
