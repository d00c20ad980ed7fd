//! Peers that fall silent, and silences that are our own doing.

use super::*;

/// A peer that sent three blocks, one each 100 ms, of the many that it was
/// leased.
fn steady() -> World {
    let mut world = World::new().downloading(31);
    let data = vec![7; BLOCK_SIZE as usize];
    for at in 0..3 {
        world.now += Duration::from_millis(100);
        world.feed(&[piece(at, &data)]).unwrap();
    }
    world.sent();
    world.report();
    world
}

/// Lets time pass until the connection has something to do.
fn next(world: &mut World) -> (u128, Vec<Block>) {
    let before = world.now;
    world.now = world.conn.poll_timeout();
    world.conn.handle_timeout(world.now).unwrap();
    let passed = (world.now - before).as_millis();
    (passed, world.conn.final_report().returned)
}

#[test]
fn a_quick_peer_that_falls_silent_loses_block_after_block() {
    let mut world = steady();
    let asked: Vec<Block> = world.conn.outstanding.iter().copied().collect();
    let leased: Vec<Block> = world.conn.leased.iter().copied().collect();
    assert!(asked.len() > 3 && !leased.is_empty());
    let (passed, returned) = next(&mut world);
    assert_eq!(passed, 2000);
    assert!(world.conn.final_report().stats.snubbed);
    assert_eq!(returned[0], asked[asked.len() - 1], "the last one");
    assert_eq!(returned[1..], leased, "and what it was not asked for");
    for at in (1..asked.len() - 1).rev() {
        assert_eq!(next(&mut world), (1000, vec![asked[at]]));
    }
    // The first one is what it may be at; it has all its time.
    let waited = 2000 + (asked.len() as u128 - 2) * 1000;
    assert_eq!(next(&mut world), (20_000 - waited, vec![asked[0]]));
    assert!(world.conn.outstanding.is_empty());

    // One block shows whether it is back.
    world.conn.lease(world.now, &[block(30)]);
    assert_eq!(world.sent().len(), 1);
    assert_eq!(next(&mut world), (20_000, vec![block(30)]));
    let data = vec![7; BLOCK_SIZE as usize];
    assert_eq!(world.feed(&[piece(3, &data)]).unwrap().len(), 1, "late");
    assert!(!world.conn.final_report().stats.snubbed);
}

#[test]
fn nobody_snubs_us_while_we_do_not_listen() {
    let mut world = steady();
    world.now += Duration::from_secs(1);
    world.conn.hold(world.now, true);
    for _ in 0..20 {
        // Only keep-alives.
        let (passed, returned) = next(&mut world);
        assert!(passed >= 58_000 && returned.is_empty(), "{passed}");
        assert_eq!(world.sent(), ["keepalive"]);
    }
    world.conn.hold(world.now, false);
    let (passed, returned) = next(&mut world);
    assert_eq!(passed, 1000, "what was left of its time");
    assert!(!returned.is_empty());
    // It has been silent for long, but most of that was our doing.
    world.now += Duration::from_secs(117);
    world.conn.handle_timeout(world.now).unwrap();
    world.now += Duration::from_secs(1);
    let timed_out = world.conn.handle_timeout(world.now);
    assert_eq!(timed_out, Err(PeerError::TimedOut));
}

#[test]
fn requests_that_have_not_left_yet_are_known() {
    let mut world = World::new().downloading(2);
    assert!(world.conn.has_unsent_requests());
    world.conn.handle_sent(world.now, 5 + 17);
    assert!(world.conn.has_unsent_requests());
    world.conn.handle_sent(world.now, 17);
    assert!(!world.conn.has_unsent_requests());
    world.conn.set_choking(false);
    assert!(!world.conn.has_unsent_requests(), "something else");
}
