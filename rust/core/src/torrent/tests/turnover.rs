//! Who goes when connections are full, and how they are made.

use super::*;

/// The endpoints to connect to, from the drawing of their letters.
fn learn(world: &mut World, peers: &str) {
    let now = world.now();
    let endpoints: Vec<_> = peers.chars().map(endpoint).collect();
    world.torrent.add_peers(now, endpoints, Sources::TRACKER);
}

fn dials(world: &mut World) -> (usize, usize) {
    let out = world.out();
    let of = |end: &str| {
        let dials = out.iter().filter(|line| line.starts_with("connect "));
        dials.filter(|line| line.ends_with(end)).count()
    };
    (of(" at once"), of(":6881") + of(":1023"))
}

fn closed(world: &mut World) -> Vec<char> {
    let out = world.out();
    let lines = out.iter().filter(|line| line.contains(" close: "));
    lines.filter_map(|line| line.chars().next()).collect()
}

#[test]
fn the_least_useful_make_way_for_candidates() {
    let mut world = World::new("....");
    world.join('n', true).unwrap();
    world.givers(&[('s', "xxxx"), ('p', "xx.."), ('f', "xx.."), ('q', "xx..")]);
    world.say('f', |it| it.stats.payload_received = 1_000_000);
    world.say('q', |it| it.choked = Some(true));
    world.pass(1000);
    world.out();
    assert_eq!(world.torrent.turn_over(world.now(), 9), 0, "for nobody");
    world.torrent.set_session_room(0);
    learn(&mut world, "12345");
    assert_eq!(world.torrent.turn_over(world.now(), 2), 2);
    assert_eq!(closed(&mut world), ['n', 'q'], "without interest; choking");
    assert_eq!(world.torrent.turn_over(world.now(), 2), 2);
    assert_eq!(closed(&mut world), ['p', 'f'], "slower; not a seed");
    assert_eq!(world.torrent.turn_over(world.now(), 2), 1);
    assert_eq!(closed(&mut world), ['s']);
}

#[test]
fn inactive_peers_go_only_when_there_is_no_room() {
    let mut world = World::with("xx..", |it| it.inactivity_timeout = 60);
    world.peer('a', "xx..");
    world.peer('b', "xx..");
    world.peer('c', "xxx.");
    world.say('b', |it| it.interested = Some(true));
    world.pass(61_000);
    assert!(closed(&mut world).is_empty());
    world.torrent.set_session_room(0);
    world.pass(500);
    assert_eq!(closed(&mut world), ['a']);
    world.say('b', |it| it.interested = Some(false));
    world.pass(59_000);
    assert!(closed(&mut world).is_empty());
    world.pass(2000);
    assert_eq!(closed(&mut world), ['b']);
}

#[test]
fn a_torrents_own_limit_makes_it_full_too() {
    let mut world = World::with("xx..", |it| it.inactivity_timeout = 60);
    world.peer('a', "xx..");
    world.torrent.set_limits(world.now(), 1, -1);
    world.pass(61_000);
    assert_eq!(closed(&mut world), ['a']);
}

#[test]
fn beyond_the_limit_only_callers_are_taken_in_and_for_idle_peers() {
    let mut world = World::new("x...");
    world.peer('a', "x...");
    world.peer('b', ".x..");
    world.out();
    world.room = Room::Slack;
    assert_eq!(world.join('c', false), Err(CloseReason::TooMany));
    // None has been idle for long: it comes on top.
    world.join('d', true).unwrap();
    assert!(closed(&mut world).is_empty());
    world.pass(21_000);
    world.join('e', true).unwrap();
    assert_eq!(closed(&mut world), ['a']);
    world.room = Room::None;
    assert_eq!(world.join('f', true), Err(CloseReason::TooMany));
    assert!(closed(&mut world).is_empty());
}

#[test]
fn a_full_torrent_takes_callers_in_for_idle_peers() {
    let mut world = World::new("x...");
    world.peer('a', "x...");
    world.torrent.set_limits(world.now(), 1, -1);
    assert_eq!(world.join('b', true), Err(CloseReason::TooMany));
    world.pass(21_000);
    assert_eq!(world.join('c', false), Err(CloseReason::TooMany));
    world.join('d', true).unwrap();
    assert_eq!(closed(&mut world), ['a']);
}

#[test]
fn the_first_peers_are_dialled_at_once() {
    let mut world = World::with("..", |it| it.torrent_connect_boost = 3);
    learn(&mut world, "abcde");
    assert_eq!(dials(&mut world), (3, 2));
    learn(&mut world, "fg");
    assert_eq!(dials(&mut world), (0, 2));
    world.torrent.stop(world.now());
    world.torrent.start(world.now());
    learn(&mut world, "h");
    assert_eq!(dials(&mut world), (1, 0));
}

#[test]
fn no_more_is_dialled_than_the_session_has_room_for() {
    let mut world = World::new("..");
    world.torrent.set_session_room(2);
    learn(&mut world, "abcde");
    assert_eq!(dials(&mut world), (0, 2));
    world.torrent.connect_failed(world.now(), endpoint('a'));
    world.pass(500);
    assert_eq!(dials(&mut world), (0, 1));
    world.torrent.set_session_room(usize::MAX);
    world.pass(500);
    assert_eq!(dials(&mut world), (0, 2));
}

#[test]
fn a_seed_may_wait_to_be_called() {
    for (outgoing, count) in [(true, 2), (false, 0)] {
        let mut world = World::with("xx", |it| it.seeding_outgoing_connections = outgoing);
        learn(&mut world, "ab");
        assert_eq!(dials(&mut world), (0, count));
    }
    let mut world = World::with("x.", |it| it.seeding_outgoing_connections = false);
    learn(&mut world, "ab");
    assert_eq!(dials(&mut world), (0, 2), "not a seed yet");
}

#[test]
fn privileged_ports_are_left_alone_if_told_so() {
    for (left_alone, count) in [(false, 1), (true, 0)] {
        let mut world = World::with("..", |it| it.no_connect_privileged_ports = left_alone);
        let low = SocketAddr::from(([10, 0, 0, 1], 1023));
        world
            .torrent
            .add_peers(at(0), [low, endpoint('a')], Sources::TRACKER);
        assert_eq!(dials(&mut world), (0, 1 + count));
    }
}

#[test]
fn connections_that_nobody_needs_stay_if_told_so() {
    let mut world = World::with("xx", |it| it.close_redundant_connections = false);
    world.peer('s', "xx");
    world.pass(1000);
    assert!(closed(&mut world).is_empty());
    let settings = Settings::default();
    let now = world.now();
    world.torrent.apply_settings(now, Arc::new(settings));
    world.pass(500);
    assert_eq!(closed(&mut world), ['s']);
}

#[test]
fn peers_may_share_a_name_if_told_so() {
    for (allowed, verdict) in [(false, Err(CloseReason::Duplicate)), (true, Ok(()))] {
        let change = |it: &mut Settings| it.allow_multiple_connections_per_pid = allowed;
        let mut world = World::with("..", change);
        world.join('a', true).unwrap();
        let other = meta(b'a', endpoint('b'), true);
        let joined = world
            .torrent
            .peer_connected(at(60_000), key('b'), other, Room::Free);
        assert_eq!(joined, verdict);
        let ours = meta(OUR_ID, endpoint('c'), true);
        let joined = world
            .torrent
            .peer_connected(at(60_000), key('c'), ours, Room::Free);
        assert_eq!(joined, Err(CloseReason::OurselvesAgain));
    }
}

#[test]
fn a_look_at_a_peers_pieces_costs_nothing_and_stays_as_it_was() {
    let mut world = World::new("..");
    world.peer('a', "x.");
    let seen = Arc::clone(world.torrent.peer(key('a')).unwrap().pieces());
    world.say('a', |it| it.pieces.haves = [PieceIndex(0)].into());
    let same = world.torrent.peer(key('a')).unwrap().pieces();
    assert!(Arc::ptr_eq(&seen, same), "nothing new");
    world.say('a', |it| it.pieces.haves = [PieceIndex(1)].into());
    assert_eq!(seen.count(), 1);
    assert!(world.torrent.peer(key('a')).unwrap().is_seed());
}
