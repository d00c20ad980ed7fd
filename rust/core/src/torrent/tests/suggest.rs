//! Pieces that peers are advised to ask for.

use super::*;

/// A world in which the peer has come and may download.
fn world(change: impl FnOnce(&mut Settings)) -> World {
    let mut world = World::with("xxxx..", |settings| {
        settings.suggest_mode = 1;
        change(settings);
    });
    world.peer('a', "......");
    world.out();
    world
}

fn read(world: &mut World, pieces: &[u32]) {
    world.say('a', |it| {
        it.served = pieces.iter().copied().map(PieceIndex).collect();
    });
}

fn unchoke(world: &mut World, peer: char) -> Vec<String> {
    let now = world.now();
    world.torrent.choke(now, &[key(peer)], false);
    suggested(world)
}

fn suggested(world: &mut World) -> Vec<String> {
    let out = world.out();
    let lines = out.into_iter();
    lines.filter(|line| line.contains("suggest")).collect()
}

#[test]
fn two_that_were_used_last_and_two_more_for_each_that_is_taken() {
    let mut world = world(|_| {});
    read(&mut world, &[0, 1, 2]);
    assert!(
        suggested(&mut world).is_empty(),
        "not before it may download"
    );
    assert_eq!(unchoke(&mut world, 'a'), ["a suggest 1 2"]);
    read(&mut world, &[3]);
    world.say('a', |it| it.pieces.haves = [PieceIndex(0)].into());
    assert!(suggested(&mut world).is_empty(), "it was not told of that");
    world.say('a', |it| it.pieces.haves = [PieceIndex(1)].into());
    assert_eq!(suggested(&mut world), ["a suggest 3"], "it has 0");
    let now = world.now();
    world.torrent.choke(now, &[key('a')], true);
    world.out();
    assert_eq!(
        unchoke(&mut world, 'a'),
        ["a suggest 2 3"],
        "from the beginning"
    );
}

#[test]
fn pieces_that_came_just_now_are_suggested_too() {
    let mut world = world(|it| it.max_suggest_pieces = 1);
    world.verified(&[4]);
    world.verified(&[5]);
    world.out();
    assert_eq!(
        unchoke(&mut world, 'a'),
        ["a suggest 5"],
        "one is remembered"
    );
    world.torrent.piece_lost(at(0), PieceIndex(5));
    world.peer('b', "......");
    assert!(unchoke(&mut world, 'b').is_empty(), "it is gone");
}

#[test]
fn nothing_is_suggested_unless_told_so() {
    let mut world = world(|it| it.suggest_mode = 0);
    read(&mut world, &[0]);
    assert!(unchoke(&mut world, 'a').is_empty());
}
