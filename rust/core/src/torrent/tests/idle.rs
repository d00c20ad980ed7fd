//! A torrent that has nothing to do needs no timer.

use super::*;

/// A torrent in which time has nothing to change any more.
fn idle(drawing: &str) -> World {
    let mut world = World::new(drawing);
    world.torrent.handle_timeout(world.now());
    assert_eq!(world.torrent.poll_timeout(), None, "{drawing}");
    world
}

#[test]
fn without_peers_there_is_no_timer() {
    for drawing in ["xx", "..", "x-"] {
        let mut world = idle(drawing);
        world.torrent.woke_up(world.now(), Duration::ZERO);
        assert_eq!(world.torrent.poll_timeout(), None);
    }
}

#[test]
fn a_connection_needs_one_until_it_has_ended() {
    let mut world = idle("xx");
    world.millis += 3_600_000;
    world.join('a', true).unwrap();
    let due = world.torrent.poll_timeout().unwrap();
    assert!(due <= world.now(), "the first tick is at once");
    world.torrent.handle_timeout(world.now());
    assert_eq!(world.torrent.poll_timeout(), Some(world.now() + TICK));
    world.say('a', |it| {
        it.pieces.bitfield = Some(bits(".."));
        it.interested = Some(true);
    });
    world.out();
    world.leave('a', false);
    // The choker hears of its end before the torrent rests.
    assert!(world.torrent.poll_timeout().is_some());
    world.out();
    assert_eq!(world.torrent.poll_timeout(), None);
}

#[test]
fn a_peer_that_is_called_later_needs_one_for_that_moment() {
    let mut world = idle("..");
    world
        .torrent
        .add_peers(world.now(), [endpoint('a')], Sources::TRACKER);
    assert_eq!(world.out(), ["connect 10.0.0.97:6881"]);
    assert_eq!(world.torrent.poll_timeout(), None, "it is being called");
    world.torrent.connect_failed(world.now(), endpoint('a'));
    let due = world.torrent.poll_timeout().unwrap();
    assert!(due > world.now() + TICK, "after a wait");
    world.torrent.handle_timeout(due);
    assert_eq!(world.out(), ["connect 10.0.0.97:6881"]);
    // After as many failures as the settings allow it is given up.
    let mut calls = 1;
    loop {
        world.torrent.connect_failed(due, endpoint('a'));
        let Some(next) = world.torrent.poll_timeout() else {
            break;
        };
        world.torrent.handle_timeout(next);
        assert_eq!(world.out().len(), 1);
        calls += 1;
    }
    assert_eq!(calls, Settings::default().max_failcount - 1);
}

#[test]
fn a_named_peer_needs_one_for_its_next_call() {
    let mut world = idle("..");
    world.torrent.connect_to(world.now(), endpoint('a'));
    world.out();
    world.torrent.connect_failed(world.now(), endpoint('a'));
    let due = world.torrent.poll_timeout().unwrap();
    assert_eq!(due, world.now() + Duration::from_secs(1));
    world.torrent.handle_timeout(due);
    assert_eq!(world.out(), ["connect 10.0.0.97:6881 by name"]);
}

#[test]
fn one_that_may_not_run_needs_none() {
    let mut world = World::new("..");
    world
        .torrent
        .add_peers(world.now(), [endpoint('a')], Sources::TRACKER);
    world.out();
    world.torrent.connect_failed(world.now(), endpoint('a'));
    world.torrent.stop(world.now());
    world.out();
    assert_eq!(world.torrent.poll_timeout(), None);
    world.torrent.start(world.now());
    assert!(world.torrent.poll_timeout().is_some());
}
