//! Upload mode, share mode, super-seeding and stopping when ready.

use super::*;
use crate::choker::Changes;

fn modes(world: &mut World, change: impl FnOnce(&mut Modes)) {
    let mut modes = world.torrent.modes();
    change(&mut modes);
    let now = world.now();
    world.torrent.set_modes(now, modes);
    world.torrent.check_invariants();
}

/// The pieces that the peers are shown, as "peer piece".
fn shown(world: &mut World) -> Vec<(char, u32)> {
    let mut shown = Vec::new();
    for line in world.out() {
        let mut words = line.split(' ');
        if let (Some(peer), Some("have"), pieces) = (words.next(), words.next(), words) {
            let peer = peer.chars().next().unwrap();
            shown.extend(pieces.map(|piece| (peer, piece.parse::<u32>().unwrap())));
        }
    }
    shown
}

fn has(world: &mut World, peer: char, piece: u32) {
    world.say(peer, |it| it.pieces.haves = [PieceIndex(piece)].into());
}

#[test]
fn upload_mode_asks_for_nothing_until_it_ends() {
    let mut world = World::new("x..");
    world.givers(&[('a', "xxx")]);
    modes(&mut world, |it| it.upload_mode = true);
    assert_eq!(world.out(), ["a upload only true", "a interested false"]);
    // A storage error that ends does not end the mode.
    world.torrent.set_storage_failed(world.now(), true);
    world.torrent.set_storage_failed(world.now(), false);
    assert_eq!(world.out(), [""; 0]);
    modes(&mut world, |it| it.upload_mode = false);
    assert_eq!(world.out(), ["a upload only false", "a interested true"]);
    world.want('a', 9);
    assert_eq!(world.leases().len(), 1);
}

#[test]
fn draining_takes_in_what_was_asked_for_and_nothing_else() {
    let mut world = World::new("x..");
    world.givers(&[('a', "xxx"), ('b', "xxx")]);
    let unchoke = Changes {
        number: 1,
        unchoke: vec![key('a')],
        ..Changes::default()
    };
    let now = world.now();
    world.torrent.apply_choking(now, &unchoke);
    world.want('a', 1);
    world.torrent.pause_gracefully(now);
    world.torrent.apply_choking(now, &unchoke);
    assert!(world.torrent.is_pausing_gracefully() && !world.torrent.is_running());
    let out = world.out();
    let lease = out.iter().find(|line| line.starts_with("a lease"));
    let asked = lease.unwrap().rsplit(' ').next().unwrap().to_owned();
    assert!(out.contains(&"a choke".to_owned()), "{out:?}");
    assert!(
        out.iter().any(|line| line.starts_with("b close")),
        "{out:?}"
    );
    world.want('a', 9);
    assert_eq!(world.leases(), [""; 0], "nothing new is asked for");
    world.got('a', &asked);
    let out = world.out();
    assert!(out[0].starts_with("a close"), "{out:?}");
    assert_eq!(out[1..], ["drained"]);
    assert!(!world.torrent.is_pausing_gracefully());
    world.torrent.start(now);
    assert!(world.torrent.is_running());
    // No peer is there, and nothing is awaited.
    world.leave('a', false);
    world.leave('b', false);
    world.out();
    world.torrent.pause_gracefully(now);
    assert_eq!(world.out(), ["drained"]);
}

#[test]
fn a_torrent_stops_when_it_is_ready_and_only_once() {
    for drawing in ["x.", "xx"] {
        let mut world = World::unchecked(2, |_| {});
        modes(&mut world, |it| it.stop_when_ready = true);
        assert_eq!(world.out(), [""; 0]);
        world.torrent.checked(at(0), &bits(drawing));
        let out = world.out();
        assert_eq!(out.last().unwrap(), "stopped when ready");
        assert!(!world.torrent.is_running() && !world.torrent.modes().stop_when_ready);
        world.torrent.start(at(0));
        world.pass(1000);
        assert!(world.torrent.is_running());
    }
    // Ready already.
    let mut world = World::new("x.");
    modes(&mut world, |it| it.stop_when_ready = true);
    assert_eq!(world.out(), ["stopped when ready"]);
}

#[test]
fn a_super_seed_shows_each_piece_once_as_long_as_it_is_passed_on() {
    let mut world = World::new("xxxxxx");
    modes(&mut world, |it| it.super_seeding = true);
    world.join('a', true).unwrap();
    world.join('b', true).unwrap();
    assert_eq!(world.out(), ["a start 0", "b start 0"]);
    world.pass(500);
    let first = shown(&mut world);
    assert_eq!(first.len(), 4, "two pieces each");
    let mut pieces: Vec<u32> = first.iter().map(|&(_, piece)| piece).collect();
    pieces.sort_unstable();
    pieces.dedup();
    assert_eq!(pieces.len(), 4);
    // It has the piece, which has reached no other peer: no next one.
    let (peer, piece) = first[0];
    has(&mut world, peer, piece);
    assert_eq!(shown(&mut world), []);
    let other = if peer == 'a' { 'b' } else { 'a' };
    has(&mut world, other, piece);
    let next = shown(&mut world);
    assert_eq!((next.len(), next[0].0), (1, peer));
    assert!(!pieces.contains(&next[0].1));
}

#[test]
fn a_super_seed_helps_a_peer_that_is_stuck_or_alone() {
    let mut world = World::new("xxx");
    modes(&mut world, |it| it.super_seeding = true);
    world.join('a', true).unwrap();
    world.pass(500);
    let first = shown(&mut world);
    assert_eq!(first.len(), 2);
    // No peer to pass it on to.
    has(&mut world, 'a', first[0].1);
    assert_eq!(shown(&mut world).len(), 1);
    // Everything is out; a newcomer that gets nothing is helped after a while.
    world.join('b', true).unwrap();
    world.pass(500);
    assert_eq!(shown(&mut world), []);
    world.pass(11_000);
    assert!(!shown(&mut world).is_empty());
}

#[test]
fn who_tells_a_super_seed_the_same_again_gets_nowhere_and_is_helped() {
    let mut world = World::new("xxxxxx");
    modes(&mut world, |it| it.super_seeding = true);
    world.join('a', true).unwrap();
    world.join('b', true).unwrap();
    world.pass(500);
    let first = shown(&mut world);
    let &(peer, piece) = first.first().unwrap();
    has(&mut world, peer, piece);
    for _ in 0..6 {
        world.pass(2000);
        has(&mut world, peer, piece);
    }
    let next = shown(&mut world);
    assert!(next.iter().any(|it| it.0 == peer), "{next:?}");
}

#[test]
fn a_super_seed_shows_all_when_the_mode_ends() {
    let mut world = World::new("xxxx");
    world.join('o', true).unwrap();
    modes(&mut world, |it| it.super_seeding = true);
    world.join('a', true).unwrap();
    world.pass(500);
    let before = shown(&mut world);
    assert!(before.iter().all(|&(peer, _)| peer == 'a'), "'o' knows all");
    modes(&mut world, |it| it.super_seeding = false);
    let after = shown(&mut world);
    assert_eq!(before.len() + after.len(), 4);
    assert!(after.iter().all(|it| it.0 == 'a' && !before.contains(it)));
    world.join('b', true).unwrap();
    assert_eq!(world.out(), ["b upload only true", "b start 4"]);
}

#[test]
fn share_mode_fetches_only_what_pays() {
    let mut world = World::new("----------");
    modes(&mut world, |it| it.share_mode = true);
    let halves = ["x...xxxx..", "xx..xxxx..", "xxx.xxxx..", "xxx.xxxx.."];
    for (peer, pieces) in ['a', 'b', 'c'].into_iter().zip(halves) {
        world.givers(&[(peer, pieces)]);
    }
    world.pass(500);
    assert_eq!(world.events(), [""; 0], "too few peers lack a piece");
    world.givers(&[('d', "xxx.xxxx.."), ('e', "xxx.xxxx..")]);
    world.pass(500);
    // Piece 1 is lacked by one peer, piece 0 by none: the rarest will do.
    let out = world.out();
    assert!(out.is_empty(), "{out:?}: all pieces that exist are common");
    world.givers(&[('f', "........x.")]);
    world.pass(500);
    let out = world.out();
    assert!(out.contains(&"f interested true".to_owned()), "{out:?}");
    assert_eq!(
        world.torrent.picker().priority(PieceIndex(8)),
        Priority::NORMAL
    );
    world.want('f', 9);
    world.got('f', "8:0 8:1");
    world.verified(&[8]);
    // One piece fetched, nothing sent: no second one before it has paid.
    world.say('f', |it| it.pieces.haves = [PieceIndex(9)].into());
    world.pass(2000);
    assert_eq!(
        world.torrent.picker().priority(PieceIndex(9)),
        Priority::SKIP
    );
    let sent = u64::from(2 * BLOCK_SIZE) * 3;
    world.say('f', |it| it.stats.payload_sent = sent);
    world.pass(500);
    assert_eq!(
        world.torrent.picker().priority(PieceIndex(9)),
        Priority::NORMAL
    );
}

#[test]
fn peers_that_have_a_piece_need_not_hear_of_ours() {
    for redundant in [true, false] {
        let mut world = World::with("x..", |it| it.send_redundant_have = redundant);
        world.givers(&[('a', "xx."), ('b', "..x")]);
        world.verified(&[1]);
        let mut out = world.out();
        out.retain(|line| line.contains(" have"));
        let to_a = if redundant {
            "a have 1"
        } else {
            "a have too 1"
        };
        assert_eq!(out, [to_a, "b have 1"]);
    }
}

#[test]
fn nothing_is_fetched_in_upload_mode() {
    let mut world = World::new("x..");
    world.givers(&[('a', "xxx")]);
    world.want('a', 1);
    assert_eq!(world.leases().len(), 1);
    world.torrent.set_storage_failed(world.now(), true);
    assert_eq!(world.out(), ["a interested false"]);
    world.want('a', 5);
    world.peer('b', "..x");
    assert_eq!(world.out(), ["b start 1"]);
    // What we have is still given.
    world.say('b', |it| it.interested = Some(true));
    assert_eq!(world.out(), ["b unchoke"]);
    world.torrent.set_storage_failed(world.now(), false);
    assert_eq!(world.out(), ["a interested true", "b interested true"]);
    world.want('a', 9);
    assert_eq!(world.leases().len(), 1);
}

#[test]
fn a_graceful_pause_that_is_called_off_leaves_nothing_behind() {
    let mut world = World::new("...");
    world.givers(&[('a', "xxx")]);
    world.want('a', 2);
    world.torrent.pause_gracefully(world.now());
    let leased: Vec<Block> = world
        .torrent
        .peer(key('a'))
        .unwrap()
        .download
        .leased()
        .collect();
    world.say('a', |it| it.blocks = leased[..1].to_vec());
    // What it has for us is looked at anew.
    world.prioritize("...");
    world.prioritize("-..");
    world.out();
    world.torrent.start(world.now());
    world.torrent.check_invariants();
    world.want('a', 4);
    assert_eq!(world.leases().len(), 1);
}
