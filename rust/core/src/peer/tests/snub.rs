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
    world.now = world.conn.poll_timeout().unwrap();
    world.conn.handle_timeout(world.now).unwrap();
    let passed = (world.now - before).as_millis();
    (passed, world.conn.final_report().returned)
}

#[test]
fn a_quick_peer_that_falls_silent_loses_block_after_block() {
    let mut world = steady();
    let asked: Vec<Block> = world.conn.requests.outstanding.iter().copied().collect();
    let leased: Vec<Block> = world.conn.requests.leased.iter().copied().collect();
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
    assert!(world.conn.requests.outstanding.is_empty());

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
fn a_silent_debtor_is_snubbed_and_loses_its_leases() {
    let mut world = World::new().downloading(20);
    world.report();
    let due = world.conn.poll_timeout().unwrap();
    assert_eq!(due, world.now + Duration::from_secs(20));
    world.now = due;
    world.conn.handle_timeout(due).unwrap();
    let report = world.report();
    assert_eq!(report.returned.len(), 20);
    assert!(report.stats.snubbed);
    assert!((1..=3).contains(&report.want), "{}", report.want);
}

#[test]
fn silence_ends_a_connection_and_quiet_is_filled_with_keep_alives() {
    let mut world = World::new();
    let start = world.now;
    world.now = world.conn.poll_timeout().unwrap();
    world.conn.handle_timeout(world.now).unwrap();
    assert_eq!(world.sent(), ["keepalive"]);
    world.now = start + Duration::from_secs(120);
    assert_eq!(
        world.conn.handle_timeout(world.now),
        Err(PeerError::TimedOut)
    );
}

#[test]
fn a_snubbed_peer_keeps_few_of_the_blocks_it_asked_for_before() {
    let mut world = World::new().downloading(1);
    world.now = world.conn.poll_timeout().unwrap();
    world.conn.handle_timeout(world.now).unwrap();
    world.report();
    let blocks: Vec<Block> = (0..20).map(block).collect();
    world.conn.lease(world.now, &blocks);
    let report = world.report();
    assert!(report.stats.snubbed);
    assert_eq!(report.stats.outstanding, 1);
    assert!(report.returned.len() >= 15, "{}", report.returned.len());
}

#[test]
fn a_long_message_over_a_slow_link_is_not_silence() {
    let mut world = World::new().downloading(1);
    let mut input = Vec::new();
    piece(0, &[7; BLOCK_SIZE as usize]).encode(&mut input);
    for part in 1..5 {
        world.now += Duration::from_secs(50);
        let (now, end) = (world.now, part * 4000);
        let taken = world.conn.handle_input(now, &input[..end], &mut Vec::new());
        assert_eq!(taken, Ok(0));
        world.conn.handle_timeout(now).unwrap();
    }
}

#[test]
fn a_snubbing_peer_may_still_deliver_what_others_are_asked_for() {
    let mut world = World::new().downloading(3);
    world.sent();
    world.now += Duration::from_secs(20);
    world.conn.handle_timeout(world.now).unwrap();
    let report = world.conn.final_report();
    assert_eq!(report.returned, [block(0), block(1), block(2)]);
    assert!(report.stats.snubbed && report.notes.is_empty());
    let data = vec![7; BLOCK_SIZE as usize];
    let late = Message::Piece {
        piece: PieceIndex(0),
        begin: 16_384,
        data: &data,
    };
    assert_eq!(world.feed(&[late]).unwrap().len(), 1);
    assert!(!world.conn.final_report().stats.snubbed);
}
