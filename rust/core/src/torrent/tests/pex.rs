//! Peer exchange: which peers are named to which, and which names are believed.

use super::*;
use crate::ext::{ExtendedHandshake, ExtensionIds, PexFlags, PexMessage, PexPeer, UT_PEX};

/// A message, as "+10.0.0.97:6881 -10.0.0.98:6881", with the flags behind a slash.
pub(super) fn text(payload: &[u8]) -> String {
    let message = PexMessage::decode(payload).unwrap();
    let added = message
        .added
        .iter()
        .map(|it| format!(" +{}/{}", it.endpoint, it.flags.0));
    let dropped = message.dropped.iter().map(|it| format!(" -{it}"));
    let all: String = added.chain(dropped).collect();
    format!("pex{all}")
}

/// The peer says that it supports peer exchange, and where it listens.
fn greet(world: &mut World, peer: char, port: Option<u16>) {
    let hello = ExtendedHandshake {
        numbers: ExtensionIds {
            pex: UT_PEX,
            ..ExtensionIds::default()
        },
        port,
        ..ExtendedHandshake::default()
    };
    world.say(peer, |it| it.extended.hello = Some(Box::new(hello)));
}

/// A peer that we have dialled and that supports peer exchange.
fn partner(world: &mut World, peer: char) {
    world.join(peer, false).unwrap();
    greet(world, peer, None);
}

/// Messages that were sent since this was asked last.
fn sent(world: &mut World) -> Vec<String> {
    let mut out = world.out();
    out.retain(|line| line.contains(" pex"));
    out
}

/// The peer names these, and takes those back.
fn name(world: &mut World, peer: char, added: &[&str], dropped: &[&str]) {
    let message = PexMessage {
        added: added
            .iter()
            .map(|endpoint| PexPeer {
                endpoint: endpoint.parse().unwrap(),
                flags: PexFlags::SEED,
            })
            .collect(),
        dropped: dropped.iter().map(|it| it.parse().unwrap()).collect(),
    };
    world.say(peer, |it| it.extended.pex = vec![message]);
}

#[test]
fn peers_hear_of_each_other_at_once_and_then_once_a_minute() {
    let mut world = World::new("..");
    partner(&mut world, 'a');
    world.pass(500);
    assert!(sent(&mut world).is_empty(), "there is none to name");
    partner(&mut world, 'b');
    world.pass(500);
    assert_eq!(
        sent(&mut world),
        ["a pex +10.0.0.98:6881/16", "b pex +10.0.0.97:6881/16"]
    );
    partner(&mut world, 'c');
    world.say('c', |it| it.pieces.bitfield = Some(bits("xx")));
    world.pass(500);
    assert_eq!(
        sent(&mut world),
        ["c pex +10.0.0.97:6881/16 +10.0.0.98:6881/16"]
    );
    world.leave('b', false);
    world.pass(58_500);
    assert!(sent(&mut world).is_empty(), "not before a minute is over");
    world.pass(1000);
    let seed = "+10.0.0.99:6881/18";
    assert_eq!(sent(&mut world), [format!("a pex {seed} -10.0.0.98:6881")]);
    world.pass(500);
    assert_eq!(sent(&mut world), ["c pex -10.0.0.98:6881"]);
    world.pass(600_000);
    assert!(sent(&mut world).is_empty(), "nothing is new");
}

#[test]
fn who_called_is_named_by_where_it_listens() {
    let mut world = World::new("..");
    partner(&mut world, 'a');
    world.join('b', true).unwrap();
    greet(&mut world, 'b', None);
    world.pass(500);
    // Its port is that of its end of the connection.
    assert_eq!(sent(&mut world), ["b pex +10.0.0.97:6881/16"]);
    greet(&mut world, 'b', Some(7000));
    world.pass(500);
    assert_eq!(sent(&mut world), ["a pex +10.0.0.98:7000/0"]);
}

#[test]
fn who_came_and_went_unseen_is_not_named() {
    let mut world = World::new("..");
    partner(&mut world, 'a');
    partner(&mut world, 'b');
    world.pass(500);
    sent(&mut world);
    partner(&mut world, 'c');
    world.leave('c', false);
    world.pass(60_000);
    assert!(sent(&mut world).is_empty());
    // It comes back: it has not left.
    world.leave('b', false);
    partner(&mut world, 'b');
    world.pass(500);
    assert_eq!(
        sent(&mut world),
        ["a pex +10.0.0.98:6881/16", "b pex +10.0.0.97:6881/16"]
    );
}

#[test]
fn long_lists_are_told_in_parts() {
    let mut world = World::with("..", |it| it.connections_limit = 200);
    let join = |world: &mut World, number: u8| {
        let endpoint = SocketAddr::from(([10, 0, 1, number], 6881));
        let key = PeerKey(1000 + u64::from(number));
        let meta = meta(number, endpoint, false);
        let now = world.now();
        world
            .torrent
            .peer_connected(now, key, meta, Room::Free)
            .unwrap();
    };
    for number in 0..70 {
        join(&mut world, number);
    }
    partner(&mut world, 'a');
    world.pass(500);
    let named = |lines: &[String]| {
        lines
            .iter()
            .map(|it| it.matches('+').count())
            .sum::<usize>()
    };
    let first = sent_to(&mut world, 'a');
    assert_eq!(named(&first), 50);
    world.pass(60_000);
    let second = sent_to(&mut world, 'a');
    assert_eq!(named(&second), 20);
    for number in 0..70 {
        let once = format!("+10.0.1.{number}:6881/");
        let lines = first.iter().chain(&second);
        assert_eq!(lines.filter(|it| it.contains(&once)).count(), 1, "{number}");
    }
}

/// Messages to one peer since this was asked last; the peers of this test that
/// have no letter are left out.
fn sent_to(world: &mut World, peer: char) -> Vec<String> {
    let outputs = std::iter::from_fn(|| world.torrent.poll_output());
    let messages = outputs.filter_map(|output| match output {
        Output::Peer(to, PeerCommand::Pex(payload)) if to == key(peer) => Some(text(&payload)),
        _ => None,
    });
    messages.collect()
}

#[test]
fn what_a_peer_names_is_bounded() {
    let mut world = World::with("..", |it| it.max_pex_peers = 3);
    partner(&mut world, 'a');
    name(
        &mut world,
        'a',
        &["9.0.0.1:1", "9.0.0.1:1", "9.0.0.2:0"],
        &[],
    );
    name(&mut world, 'a', &["9.0.0.3:1", "9.0.0.4:1"], &[]);
    let known = |world: &World, text: &str| {
        let endpoint = text.parse().unwrap();
        world.torrent.peer_list().sources(endpoint)
    };
    assert_eq!(known(&world, "9.0.0.1:1"), Some(Sources::PEX));
    assert!(
        !world
            .torrent
            .peer_list()
            .is_seed("9.0.0.1:1".parse().unwrap())
    );
    assert_eq!(known(&world, "9.0.0.2:0"), None);
    assert_eq!(known(&world, "9.0.0.3:1"), Some(Sources::PEX));
    assert_eq!(known(&world, "9.0.0.4:1"), None, "one too many");
    // Another peer has a share of its own, and what is taken back makes room.
    name(&mut world, 'a', &["9.0.0.5:1"], &["9.0.0.1:1"]);
    assert_eq!(known(&world, "9.0.0.5:1"), Some(Sources::PEX));
    assert_eq!(
        known(&world, "9.0.0.1:1"),
        Some(Sources::PEX),
        "it may be there"
    );
    partner(&mut world, 'b');
    name(&mut world, 'b', &["[2001:db8::9]:1"], &[]);
    assert_eq!(known(&world, "[2001:db8::9]:1"), Some(Sources::PEX));
}

#[test]
fn a_peer_of_the_world_names_none_of_the_local_network() {
    let mut world = World::new("..");
    let far = SocketAddr::from(([9, 9, 9, 9], 6881));
    let now = world.now();
    let meta = meta(b'f', far, false);
    world
        .torrent
        .peer_connected(now, key('f'), meta, Room::Free)
        .unwrap();
    greet(&mut world, 'f', None);
    partner(&mut world, 'n');
    world.pass(500);
    // The one here hears of the one there, and not the other way round.
    assert_eq!(sent(&mut world), ["n pex +9.9.9.9:6881/16"]);
    let local = [
        "192.168.0.7:1",
        "[fe80::1]:1",
        "127.0.0.1:1",
        "[::ffff:10.0.0.1]:1",
    ];
    name(&mut world, 'f', &local, &[]);
    assert_eq!(world.torrent.peer_list().len(), 0);
    name(&mut world, 'n', &local, &[]);
    assert_eq!(world.torrent.peer_list().len(), 4);
}

#[test]
fn a_torrent_that_takes_no_part_names_and_believes_none() {
    let mut world = World::new("..");
    world.torrent.set_pex_allowed(at(0), false);
    partner(&mut world, 'a');
    partner(&mut world, 'b');
    name(&mut world, 'a', &["9.0.0.1:1"], &[]);
    world.pass(500);
    assert!(sent(&mut world).is_empty());
    assert_eq!(world.torrent.peer_list().len(), 0);
    let now = world.now();
    world.torrent.set_pex_allowed(now, true);
    world.pass(500);
    assert_eq!(
        sent(&mut world),
        [
            "a pex true",
            "b pex true",
            "a pex +10.0.0.98:6881/16",
            "b pex +10.0.0.97:6881/16"
        ]
    );
    let settings = Settings {
        enable_pex: false,
        ..Settings::default()
    };
    let now = world.now();
    world.torrent.apply_settings(now, Arc::new(settings));
    assert_eq!(sent(&mut world), ["a pex false", "b pex false"]);
}

#[test]
fn what_was_discovered_is_forgotten_by_a_private_torrent() {
    let mut world = World::new("..");
    let now = world.now();
    let add = |world: &mut World, text: &str, source| {
        world
            .torrent
            .add_peers(now, [text.parse().unwrap()], source);
    };
    world.torrent.stop(world.now());
    add(&mut world, "9.0.0.1:1", Sources::PEX);
    add(&mut world, "9.0.0.2:1", Sources::DHT);
    add(&mut world, "9.0.0.3:1", Sources::PEX);
    add(&mut world, "9.0.0.3:1", Sources::TRACKER);
    add(&mut world, "9.0.0.4:1", Sources::MANUAL);
    world.torrent.forget_discovered();
    let list = world.torrent.peer_list();
    let known = |text: &str| list.sources(text.parse().unwrap()).is_some();
    assert!(known("9.0.0.3:1") && known("9.0.0.4:1"));
    assert_eq!(list.len(), 2);
}
