//! Deadlines as the brain carries them out.

use std::time::Duration;

use super::*;

fn deadline(world: &mut World, piece: u32, millis: u64, alert: bool) {
    let (now, after) = (world.now(), Duration::from_millis(millis));
    world
        .torrent
        .set_deadline(now, PieceIndex(piece), after, alert);
    world.torrent.check_invariants();
}

fn only(world: &mut World, what: &str) -> Vec<String> {
    let mut out = world.out();
    out.retain(|line| line.contains(what));
    out
}

#[test]
fn the_first_deadline_clears_the_way_and_is_asked_for_at_once() {
    let mut world = World::new("x......");
    world.givers(&[('a', "xxxxxxx")]);
    world.want('a', 3);
    let leased = world.leases()[0].split(' ').next_back().unwrap().to_owned();
    let begun = block(&leased).piece.0;
    let others: Vec<u32> = (1..7).filter(|&piece| piece != begun).collect();
    deadline(&mut world, begun, 1000, false);
    let out = world.out();
    assert!(out[0].starts_with("a withdraw"), "{out:?}");
    assert!(out[1].starts_with("a promote"), "{out:?}");
    for &piece in &others[..2] {
        deadline(&mut world, piece, 500, false);
        assert_eq!(world.out(), [format!("a urgent {piece}:0 {piece}:1")]);
    }
    // Others are leased behind it, but nothing of the time critical pieces.
    world.want('a', 40);
    let rest = world.leases().join(" ");
    let urgent = |piece: &u32| rest.contains(&format!(" {piece}:"));
    assert!(!others[..2].iter().any(urgent), "{rest}");
}

#[test]
fn a_deadline_says_when_it_is_met_or_taken_back() {
    let mut world = World::new("x...");
    world.givers(&[('a', "xxxx")]);
    deadline(&mut world, 0, 0, true);
    assert_eq!(world.events(), ["met 0"]);
    deadline(&mut world, 1, 0, true);
    deadline(&mut world, 2, 0, true);
    deadline(&mut world, 3, 0, false);
    deadline(&mut world, 99, 0, true);
    world.got('a', "1:0 1:1");
    world.verified(&[1]);
    assert_eq!(world.events(), ["verified 1", "met 1"]);
    let now = world.now();
    world.torrent.reset_deadline(now, PieceIndex(1));
    world.torrent.clear_deadlines(now);
    world.torrent.check_invariants();
    assert_eq!(world.events(), ["not met 2"]);
    world.torrent.clear_deadlines(now);
    assert_eq!(world.events(), [""; 0]);
}

#[test]
fn a_deadline_makes_a_piece_wanted_and_unwanting_it_ends_the_deadline() {
    let mut world = World::new("x--");
    world.givers(&[('a', "xxx")]);
    deadline(&mut world, 2, 100, true);
    let out = world.out();
    assert!(out.contains(&"a interested true".to_owned()), "{out:?}");
    assert_eq!(
        world.torrent.picker().priority(PieceIndex(2)),
        Priority::TOP
    );
    world.prioritize("x--");
    assert_eq!(world.events(), ["not met 2", "finished", "finished!"]);
}

#[test]
fn a_piece_that_fails_keeps_its_deadline() {
    let mut world = World::new("x...");
    world.givers(&[('a', "xxxx")]);
    deadline(&mut world, 2, 9000, true);
    world.got('a', "2:0 2:1");
    world.out();
    // Another peer took part: none is found guilty yet.
    world.failed(2, &['a', 'z']);
    assert_eq!(only(&mut world, "urgent"), ["a urgent 2:0 2:1"]);
    // The peer leaves: the next one is asked at once.
    world.givers(&[('b', "xxxx")]);
    world.leave('a', false);
    assert_eq!(only(&mut world, "urgent"), ["b urgent 2:0 2:1"]);
}

#[test]
fn a_late_block_is_asked_of_a_quicker_peer_too() {
    let mut world = World::new("x.......");
    world.givers(&[('a', "xxxxxxxx")]);
    deadline(&mut world, 2, 1500, false);
    assert_eq!(only(&mut world, "urgent"), ["a urgent 2:0 2:1"]);
    // It turns out to let requests time out.
    world.say('a', |it| it.stats.snubbed = true);
    world.givers(&[('b', "xxxxxxxx")]);
    world.pass(500);
    assert_eq!(only(&mut world, "urgent"), ["b urgent 2:0 2:1"]);
    world.got('b', "2:0");
    assert_eq!(only(&mut world, "cancel"), ["a cancel 2:0"]);
}
