//! Leased blocks become requests and come back as payload, or are returned.

use super::*;

#[test]
fn leases_become_requests_as_far_as_the_window_is_open() {
    let mut world = World::new().downloading(0);
    let want = world.report().want;
    assert!(want >= 4, "a first request for blocks, not {want}");
    let blocks: Vec<Block> = (0..31).map(block).collect();
    world.conn.lease(world.now, &blocks);
    let sent = world.sent();
    assert_eq!(sent[0], "interested");
    let first = sent.len() - 1;
    assert!((2..31).contains(&first), "{first} requests at first");
    assert_eq!(sent[1], "request 0:0+16384");

    // Each block lets more requests out, from the lease and without asking.
    let data = vec![7; BLOCK_SIZE as usize];
    let got = world.feed(&[piece(0, &data), piece(1, &data)]).unwrap();
    assert_eq!(got.len(), 2);
    assert_eq!((got[0].block, got[1].block), (block(0), block(1)));
    assert_eq!(got[1].payload.len(), data.len());
    assert!(world.sent().len() >= 2);
    let report = world.report();
    assert_eq!(report.blocks, [block(0), block(1)]);
    assert_eq!(report.stats.payload_received, 2 * u64::from(BLOCK_SIZE));
}

#[test]
fn unasked_blocks_are_not_passed_on() {
    let mut world = World::new().downloading(1);
    let data = vec![7; BLOCK_SIZE as usize];
    assert!(world.feed(&[piece(5, &data)]).unwrap().is_empty());
    assert_eq!(world.report().stats.redundant, u64::from(BLOCK_SIZE));
    // The same block twice: the second time it is no longer asked for.
    assert_eq!(
        world
            .feed(&[piece(0, &data), piece(0, &data)])
            .unwrap()
            .len(),
        1
    );
    assert_eq!(world.report().stats.redundant, 2 * u64::from(BLOCK_SIZE));
}

#[test]
fn a_choke_gives_every_lease_back() {
    let mut world = World::new().downloading(20);
    world.sent();
    world.report();
    world.feed(&[Message::Choke]).unwrap();
    let report = world.report();
    assert_eq!(report.choked, Some(true));
    assert_eq!(report.returned.len(), 20);
    assert_eq!(report.want, 0);
    // A lease that crossed the choke comes straight back.
    world.conn.lease(world.now, &[block(3)]);
    assert_eq!(world.report().returned, [block(3)]);
    assert!(world.sent().is_empty());
    // Unchoked again, it asks again.
    world.feed(&[Message::Unchoke]).unwrap();
    assert!(world.report().want > 0);
}

#[test]
fn a_cancelled_lease_is_taken_back_on_the_wire_if_it_was_sent() {
    let mut world = World::new().downloading(30);
    let requested = world.sent().len() as u32 - 1;
    let reserve = 29;
    assert!(requested <= reserve);
    world.conn.cancel(world.now, &[block(0), block(reserve)]);
    assert_eq!(world.sent()[0], "cancel 0:0");
    assert!(
        world
            .feed(&[piece(0, &vec![0; BLOCK_SIZE as usize])])
            .unwrap()
            .is_empty()
    );
}

#[test]
fn urgent_blocks_are_requested_before_all_others_be_the_window_full_or_not() {
    let mut world = World::new().downloading(12);
    assert_eq!(world.sent().len(), 1 + 4);
    world
        .conn
        .lease_time_critical(world.now, &[block(20), block(21)]);
    assert_eq!(world.sent(), ["request 5:0+16384", "request 5:16384+16384"]);
    assert_eq!(world.conn.final_report().stats.outstanding, 6);
}

#[test]
fn blocks_that_were_withdrawn_are_welcome_all_the_same() {
    let mut world = World::new().downloading(6);
    world.sent();
    world.conn.withdraw(world.now, &[block(0), block(5)]);
    let sent = world.sent();
    assert_eq!(sent, ["cancel 0:0", "request 1:0+16384"]);
    let data = vec![7; BLOCK_SIZE as usize];
    let late = Message::Piece {
        piece: PieceIndex(0),
        begin: 0,
        data: &data,
    };
    assert_eq!(world.feed(&[late]).unwrap().len(), 1);
    let report = world.conn.final_report();
    assert_eq!((report.blocks, report.stats.redundant), (vec![block(0)], 0));
    // Twice is once too often.
    assert!(world.feed(&[late]).unwrap().is_empty());
    assert_eq!(world.conn.final_report().stats.redundant, 16_384);
}

#[test]
fn urgent_blocks_beyond_the_limit_wait_in_their_order_before_all_others() {
    let mut world = World::with(|it| it.max_out_request_queue = 4).downloading(6);
    world.sent();
    world
        .conn
        .lease_time_critical(world.now, &[block(20), block(21)]);
    world.conn.lease_time_critical(world.now, &[block(24)]);
    world.conn.promote(world.now, &[block(5), block(30)]);
    assert_eq!(world.sent(), [""; 0]);
    world.conn.cancel(world.now, &[block(21)]);
    world
        .conn
        .cancel(world.now, &[block(0), block(1), block(2), block(3)]);
    let sent = world.sent();
    let requests: Vec<&str> = sent
        .iter()
        .filter_map(|it| it.strip_prefix("request "))
        .collect();
    assert_eq!(
        requests,
        ["5:0+16384", "6:0+16384", "1:16384+16384", "1:0+16384"]
    );
}

#[test]
fn urgent_blocks_come_back_at_a_choke_and_leave_nothing_behind() {
    for fast in [false, true] {
        let mut world = World::with(|it| it.max_out_request_queue = 1).downloading(0);
        world.conn.features.fast = fast;
        let urgent: Vec<Block> = (0..6).map(block).collect();
        world.conn.lease_time_critical(world.now, &urgent);
        assert_eq!(world.sent(), ["interested", "request 0:0+16384"]);
        world.report();
        world.feed(&[Message::Choke]).unwrap();
        let given_back = world.report().returned;
        let waiting = usize::from(fast);
        assert_eq!(given_back, urgent[waiting..], "fast: {fast}");
        world.feed(&[Message::Unchoke]).unwrap();
        world
            .conn
            .lease_time_critical(world.now, &[block(8), block(9)]);
        world.conn.lease(world.now, &[block(12)]);
        world.conn.lease_time_critical(world.now, &[block(10)]);
        let data = vec![7; BLOCK_SIZE as usize];
        let mut asked = world.sent();
        for at in [0, 8, 9, 10] {
            world.feed(&[piece(at, &data)]).unwrap();
            asked.extend(world.sent());
        }
        let expected = ["2:0", "2:16384", "2:32768", "3:0"];
        assert_eq!(asked, expected.map(|it| format!("request {it}+16384")));
    }
}

#[test]
fn what_an_allowed_piece_keeps_at_a_choke_stays_in_order() {
    let mut world = World::with(|it| it.max_out_request_queue = 1).downloading(1);
    world.conn.features.fast = true;
    world.feed(&[Message::AllowedFast(PieceIndex(1))]).unwrap();
    let urgent = [block(1), block(4), block(2), block(5)];
    world.conn.lease_time_critical(world.now, &urgent);
    world.conn.lease(world.now, &[block(6), block(3)]);
    world.report();
    world.feed(&[Message::Choke]).unwrap();
    assert_eq!(world.report().returned, [block(1), block(2), block(3)]);
    world.feed(&[Message::Unchoke]).unwrap();
    world.conn.lease_time_critical(world.now, &[block(8)]);
    world.sent();
    let data = vec![7; BLOCK_SIZE as usize];
    let mut asked = Vec::new();
    for at in [0, 4, 5, 8] {
        world.feed(&[piece(at, &data)]).unwrap();
        asked.extend(world.sent());
    }
    let expected = ["1:0", "1:16384", "2:0", "1:32768"];
    assert_eq!(asked, expected.map(|it| format!("request {it}+16384")));
}
