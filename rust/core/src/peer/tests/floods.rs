//! What costs the peer a few bytes must not cost us a walk: floods of messages that
//! change nothing, or take back what came right before.

use super::*;
use crate::ext;
use crate::testing::blocks_visited;

/// Requests that may wait.
const MOST: u32 = 2000;

/// A request for the `at`-th of many small spans.
fn small(at: u32) -> Request {
    Request {
        piece: PieceIndex(at % 7),
        begin: at / 7 * 8,
        length: 8,
    }
}

#[test]
fn cancels_take_no_walk_over_what_waits() {
    let mut world = World::new();
    world.conn.announce_pieces(&Bitfield::full(8));
    world.conn.set_choking(false);
    let requests: Vec<_> = (0..MOST).map(small).map(Message::Request).collect();
    world.feed(&requests).unwrap();
    // Of what was never asked for.
    let cancels: Vec<_> = (MOST..9 * MOST).map(small).map(Message::Cancel).collect();
    let visited = blocks_visited::during(|| drop(world.feed(&cancels).unwrap()));
    assert_eq!(visited, 0);
    // The last first.
    let cancels: Vec<_> = (7..MOST).rev().map(small).map(Message::Cancel).collect();
    let visited = blocks_visited::during(|| drop(world.feed(&cancels).unwrap()));
    assert_eq!(visited, u64::from(MOST - 7));
    let mut read = Vec::new();
    while let Some(job) = world.conn.poll_read() {
        read.push(job.piece.0);
        let _ = world.conn.handle_read(world.now, &job, None);
    }
    assert_eq!(read, [0, 1, 2, 3, 4, 5, 6], "in order");
}

#[test]
fn several_requests_for_the_same_are_cancelled_together() {
    let mut world = World::new();
    world.conn.announce_pieces(&Bitfield::full(8));
    world.conn.set_choking(false);
    let again = [0, 1, 0, 0].map(|at| Message::Request(small(at)));
    world.feed(&again).unwrap();
    world.feed(&[Message::Cancel(small(0))]).unwrap();
    assert_eq!(world.conn.poll_read().unwrap().piece, PieceIndex(1));
    assert_eq!(world.conn.poll_read(), None);
}

#[test]
fn answers_to_nothing_are_taken_up_to_a_limit() {
    let reject = |at| {
        let Message::Request(request) = request(at) else {
            panic!("not a request");
        };
        Message::Reject(request)
    };
    let data = vec![7; BLOCK_SIZE as usize];
    for answer in [reject(30), piece(30, &data)] {
        let mut world = World::new();
        world.conn.features.fast = true;
        let mut world = world.downloading(4);
        // As many as there were requests, and a thousand: those may be cancelled ones.
        let asked = world.sent().len() as u32 - 1;
        for _ in 0..1000 + asked {
            world.feed(&[answer]).unwrap();
        }
        assert_eq!(world.feed(&[answer]), Err(PeerError::Unsolicited));
        // What was asked for is no surplus.
        let mut world = World::new().downloading(4);
        for at in 0..4 {
            world.feed(&[piece(at, &data)]).unwrap();
        }
    }
}

#[test]
fn of_a_piece_the_last_word_counts() {
    let mut world = World::new();
    world.conn.features.extensions = true;
    let lost = 3u32.to_be_bytes();
    let lose = Message::Extended {
        id: ext::DONT_HAVE,
        payload: &lost,
    };
    let have = Message::Have(PieceIndex(3));
    for (words, has) in [
        (vec![have; 5000], true),
        (vec![have, lose, have], true),
        (vec![have, lose, lose], false),
        (vec![lose, have, lose], false),
    ] {
        world.feed(&words).unwrap();
        let report = world.report();
        let (haves, losses) = (report.pieces.haves.len(), report.pieces.dont_have.len());
        assert_eq!((haves, losses), (usize::from(has), usize::from(!has)));
    }
}
