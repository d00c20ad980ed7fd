//! Requests of peers: read, sent, refused or ignored.

use bytes::Bytes;

use super::*;

#[test]
fn adjacent_requests_become_one_read() {
    let mut world = World::new();
    world.conn.announce_pieces(&Bitfield::full(8));
    world.conn.set_choking(false);
    world.sent();
    world
        .feed(&[request(0), request(1), request(2), request(9)])
        .unwrap();
    let job = world.conn.poll_read().unwrap();
    assert_eq!(
        (job.piece, job.begin, job.length),
        (PieceIndex(0), 0, 3 * BLOCK_SIZE)
    );
    let other = world.conn.poll_read().unwrap();
    assert_eq!(
        (other.piece, other.begin, other.length),
        (PieceIndex(2), BLOCK_SIZE, BLOCK_SIZE)
    );
    assert_eq!(world.conn.poll_read(), None);
    let data = Bytes::from(vec![1; job.length as usize]);
    assert_eq!(world.conn.handle_read(world.now, &job, Some(&data)), None);
    assert_eq!(
        world.sent(),
        [
            "piece 0:0+16384",
            "piece 0:16384+16384",
            "piece 0:32768+16384"
        ]
    );
    // What cannot be read is not sent.
    let left = world.conn.handle_read(world.now, &other, None);
    assert_eq!(
        left,
        Some(CloseReason::DontHaveUnsupported),
        "it knows no refusals"
    );
    assert!(world.sent().is_empty());
}

#[test]
fn uploads_respect_the_watermark_and_the_choke() {
    let mut world = World::with(|settings| settings.send_buffer_watermark = 32_768);
    world.conn.announce_pieces(&Bitfield::full(8));
    world.conn.set_choking(false);
    for at in [0, 4, 8, 12] {
        world.feed(&[request(at)]).unwrap();
    }
    let one = world.conn.poll_read().unwrap();
    let two = world.conn.poll_read().unwrap();
    let data = Bytes::from(vec![1; BLOCK_SIZE as usize]);
    assert_eq!(world.conn.handle_read(world.now, &one, Some(&data)), None);
    assert_eq!(world.conn.handle_read(world.now, &two, Some(&data)), None);
    assert_eq!(world.conn.poll_read(), None, "above the watermark");
    world.sent();
    let three = world.conn.poll_read().unwrap();
    world.conn.set_choking(true);
    assert_eq!(world.conn.handle_read(world.now, &three, Some(&data)), None);
    assert_eq!(world.sent(), ["choke"]);
    assert_eq!(world.conn.poll_read(), None, "the choke dropped the rest");
}

#[test]
fn under_a_limit_blocks_wait_and_what_we_ask_for_does_not() {
    let mut world = World::new().downloading(1);
    world.conn.announce_pieces(&Bitfield::full(8));
    world.conn.set_choking(false);
    world.sent();
    assert!(world.conn.take_overhead() > 0, "what we said of ourselves");
    world.feed(&[request(0), request(1), request(2)]).unwrap();
    let wire = BLOCK_SIZE as usize + 13;
    assert_eq!(world.conn.next_read_len(), Some(wire));
    assert_eq!(world.conn.poll_read_within(wire - 1), None);
    // Nothing is in the way of a request.
    world.conn.set_interested(world.now, false);
    assert_eq!(world.sent(), ["notinterested"]);
    assert_eq!(world.conn.take_overhead(), 0, "asking is free");
    let two = world.conn.poll_read_within(3 * wire - 1).unwrap();
    assert_eq!(two.wire_len(), 2 * wire);
    assert_eq!(world.conn.poll_read_within(wire).unwrap().wire_len(), wire);
    assert_eq!(world.conn.next_read_len(), None);
    let data = Bytes::from(vec![1; two.length as usize]);
    assert_eq!(world.conn.handle_read(world.now, &two, Some(&data)), None);
    assert_eq!(world.sent().len(), 2);
    assert_eq!(world.conn.take_overhead(), 0, "blocks are paid for before");
}

#[test]
fn payload_counts_as_sent_when_it_is_and_is_reported_soon() {
    let mut world = World::new();
    world.conn.announce_pieces(&Bitfield::full(8));
    world.conn.set_choking(false);
    world
        .feed(&[Message::Interested, request(0), request(1)])
        .unwrap();
    let job = world.conn.poll_read().unwrap();
    let data = Bytes::from(vec![7; job.length as usize]);
    assert_eq!(world.conn.handle_read(world.now, &job, Some(&data)), None);
    assert_eq!(world.report().stats.payload_sent, 0);
    let mut reported = Vec::new();
    while world.conn.wants_write() {
        // As under a low limit.
        world.conn.handle_sent(world.now, 1000);
        reported.extend(world.conn.take_report().map(|it| it.stats.payload_sent));
    }
    assert_eq!(reported.last(), Some(&(2 * u64::from(BLOCK_SIZE))));
    assert_eq!(reported.len(), 2);
}

#[test]
fn requests_for_what_cannot_be_read_are_refused() {
    let mut world = World::new();
    world.conn.features.fast = true;
    world.conn.announce_pieces(&Bitfield::full(8));
    world.conn.set_choking(false);
    world.feed(&[request(4), request(8), request(9)]).unwrap();
    world.sent();
    let refusal = |at| {
        let Message::Request(request) = request(at) else {
            panic!("not a request");
        };
        format!("{:?}", Message::Reject(request)).to_lowercase()
    };
    let read = world.conn.poll_read().unwrap();
    assert_eq!(world.conn.handle_read(world.now, &read, None), None);
    assert_eq!(world.sent(), [refusal(4)]);
    // What still waits for a piece that is gone is not read in vain.
    let told = world.conn.send_dont_have(world.now, &[PieceIndex(2)]);
    assert_eq!(told, None);
    assert_eq!(world.sent(), [refusal(8), refusal(9)]);
    assert_eq!(world.conn.poll_read(), None);
    world.feed(&[request(8)]).unwrap();
    assert_eq!(world.sent(), [refusal(8)]);
}

#[test]
fn senseless_requests_are_ignored_up_to_a_limit() {
    let mut world = World::new();
    world.conn.announce_pieces(&Bitfield::full(8));
    world.feed(&[request(0)]).unwrap();
    assert_eq!(world.conn.poll_read(), None, "choked peers get nothing");
    world.conn.set_choking(false);
    let bad = |piece, begin, length| {
        Message::Request(Request {
            piece: PieceIndex(piece),
            begin,
            length,
        })
    };
    let bad = [
        bad(8, 0, BLOCK_SIZE),
        bad(0, PIECE, 1),
        bad(0, u32::MAX, u32::MAX),
        bad(0, 0, BLOCK_SIZE + 1),
        bad(7, PIECE - BLOCK_SIZE, BLOCK_SIZE),
        bad(0, 0, 0),
    ];
    world.feed(&bad).unwrap();
    assert_eq!(world.conn.poll_read(), None);
    let error = (0..100).find_map(|_| world.feed(&bad).err());
    assert_eq!(error, Some(PeerError::InvalidRequests));
}

#[test]
fn a_request_flood_is_cut_off() {
    let mut world = World::with(|settings| settings.max_allowed_in_request_queue = 16);
    world.conn.announce_pieces(&Bitfield::full(8));
    world.conn.set_choking(false);
    let flood: Vec<_> = (0..17).map(request).collect();
    assert_eq!(world.feed(&flood), Err(PeerError::TooManyRequests));
}

#[test]
fn a_cancel_takes_a_request_out_of_the_queue() {
    let mut world = World::new();
    world.conn.announce_pieces(&Bitfield::full(8));
    world.conn.set_choking(false);
    let Message::Request(first) = request(0) else {
        unreachable!()
    };
    world
        .feed(&[request(0), request(9), Message::Cancel(first)])
        .unwrap();
    assert_eq!(world.conn.poll_read().unwrap().piece, PieceIndex(2));
    assert_eq!(world.conn.poll_read(), None);
}

#[test]
fn requests_that_cross_a_choke_are_no_offence() {
    let mut world = World::with(|settings| settings.max_allowed_in_request_queue = 100);
    world.conn.announce_pieces(&Bitfield::full(8));
    for _ in 0..20 {
        world.conn.set_choking(false);
        world.conn.set_choking(true);
        let flood: Vec<_> = (0..30).chain(0..30).map(request).collect();
        world.feed(&flood).unwrap();
        assert_eq!(world.conn.poll_read(), None);
    }
    let flood: Vec<_> = (0..30).map(request).collect();
    world.feed(&flood).unwrap();
    assert_eq!(world.feed(&flood), Err(PeerError::InvalidRequests));
}
