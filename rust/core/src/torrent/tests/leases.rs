//! Which peers' pieces interest us, and which of their blocks are requested from which peer.

use super::*;

#[test]
fn interest_follows_what_they_have_and_what_we_want() {
    let mut world = World::new("x..-");
    world.join('a', false).unwrap();
    assert_eq!(world.out(), ["a start 1"]);
    world.say('a', |it| it.pieces.bitfield = Some(bits("x..x")));
    assert!(world.out().is_empty(), "had, or not wanted");
    world.say('a', |it| {
        it.pieces.haves = [PieceIndex(1), PieceIndex(1)].into()
    });
    assert_eq!(world.out(), ["a interested true"]);
    world.verified(&[1]);
    assert_eq!(
        world.out(),
        ["a have 1", "verified 1", "a interested false"]
    );
    world.prioritize("x...");
    assert_eq!(world.out(), ["a interested true"]);
    world.prioritize("x..-");
    assert_eq!(world.out(), ["a interested false"]);
}

#[test]
fn blocks_are_leased_only_by_who_unchokes_us() {
    let mut world = World::new("..");
    world.peer('a', "x.");
    world.want('a', 2);
    assert!(world.leases().is_empty());
    world.say('a', |it| {
        it.choked = Some(false);
        it.want = 3;
    });
    assert_eq!(world.leases(), ["a lease 0:0 0:1"]);
}

#[test]
fn a_want_is_remembered_until_blocks_come_free() {
    // By a choke of another peer.
    let mut world = World::new("..");
    world.givers(&[('a', "xx"), ('b', "xx"), ('c', "xx"), ('d', "xx")]);
    for peer in ['a', 'b', 'c'] {
        world.want(peer, 4);
    }
    assert_eq!(world.leases().len(), 3, "the end game fills three leases");
    world.want('d', 4);
    assert!(world.leases().is_empty());
    world.say('a', |it| {
        it.choked = Some(true);
        it.returned = blocks("0:0 0:1 1:0 1:1");
    });
    assert_eq!(world.leases(), ["d lease 0:0 0:1 1:0 1:1"]);
    // By a disconnect.
    let mut world = World::new(".");
    world.givers(&[('a', "x"), ('b', "x")]);
    world.want('a', 1);
    assert_eq!(world.leases(), ["a lease 0:0"]);
    world.want('b', 1);
    world.say('b', |it| it.want = 3);
    world.leases();
    world.leave('a', true);
    world.got('b', "0:0 0:1");
    // By a hash failure.
    world.failed(0, &['a', 'b', 'b']);
    assert_eq!(world.leases(), ["b lease 0:0 0:1"]);
    let failures: Vec<u32> = world
        .torrent
        .peers()
        .map(|it| it.1.download.hash_failures)
        .collect();
    assert_eq!(failures, [1], "once a piece");
    // By a HAVE.
    let mut world = World::new("..");
    world.givers(&[('a', "x.")]);
    world.want('a', 9);
    assert_eq!(world.leases(), ["a lease 0:0 0:1"]);
    world.say('a', |it| it.pieces.haves = [PieceIndex(1)].into());
    assert_eq!(world.leases(), ["a lease 1:0 1:1"]);
    // By a change of priorities.
    let mut world = World::new(".-");
    world.givers(&[('a', "xx")]);
    world.want('a', 9);
    assert_eq!(world.leases(), ["a lease 0:0 0:1"]);
    world.prioritize("..");
    assert_eq!(world.leases(), ["a lease 1:0 1:1"]);
}

#[test]
fn a_want_is_forgotten_with_the_choke_and_with_our_interest() {
    let mut world = World::new("..");
    world.givers(&[('a', "xx"), ('b', "x.")]);
    world.want('a', 99);
    world.say('a', |it| {
        it.choked = Some(true);
        it.returned = blocks("0:0 0:1 1:0 1:1");
    });
    world.out();
    world.say('a', |it| it.choked = Some(false));
    assert!(world.leases().is_empty(), "it has not asked again");
    world.want('b', 9);
    assert_eq!(world.leases(), ["b lease 0:0 0:1"]);
    world.verified(&[0]);
    assert!(world.out().contains(&"b interested false".to_owned()));
    // A report that was under way.
    world.want('b', 9);
    world.say('b', |it| it.pieces.haves = [PieceIndex(1)].into());
    assert_eq!(world.out(), ["b interested true"]);
}

#[test]
fn the_end_game_asks_twice_and_cancels_the_slower() {
    let mut world = World::new(".");
    world.givers(&[('a', "x"), ('b', "x")]);
    world.want('a', 2);
    world.want('b', 2);
    assert_eq!(world.leases(), ["a lease 0:0 0:1", "b lease 0:0 0:1"]);
    world.got('b', "0:1");
    assert_eq!(world.out(), ["a cancel 0:1"]);
    world.got('a', "0:0");
    assert_eq!(world.out(), ["b cancel 0:0"]);
    // Blocks that crossed the cancel are not new.
    world.got('a', "0:1");
    assert_eq!(world.torrent.totals().redundant, u64::from(BLOCK_SIZE));
    assert!(world.out().is_empty());
    // Nothing is outstanding any more: the piece comes anew as a whole.
    world.failed(0, &['a', 'b']);
    world.out();
    world.leave('a', false);
    world.want('b', 2);
    assert_eq!(world.leases(), ["b lease 0:0 0:1"]);
}

#[test]
fn a_piece_that_is_lost_is_cancelled_before_it_is_asked_for_again() {
    let mut world = World::new(".");
    world.givers(&[('a', "x")]);
    world.want('a', 2);
    world.got('a', "0:0");
    world.want('a', 2);
    world.out();
    world.torrent.piece_lost(world.now(), PieceIndex(0));
    let out = world.out();
    assert_eq!(out, ["a cancel 0:1", "a lease 0:0 0:1"]);
}

#[test]
fn leases_on_pieces_that_are_no_longer_wanted_are_taken_back() {
    let mut world = World::new("..");
    world.givers(&[('a', "xx")]);
    world.want('a', 4);
    world.out();
    world.prioritize(".-");
    assert_eq!(world.out(), ["a cancel 1:0 1:1"]);
    world.prioritize("..");
    world.want('a', 2);
    assert_eq!(world.leases(), ["a lease 1:0 1:1"]);
}
