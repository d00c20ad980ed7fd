//! Pieces that are gone, and peers that ask for them all the same.

use super::*;
use crate::ext::{ExtendedHandshake, ExtensionIds};
use crate::wire::Features;

/// A connection that may download, whose peer asks for the first block of the
/// third piece.
fn serving(fast: bool, dont_have: u8) -> World {
    let mut world = World::new();
    world.conn.features = Features {
        fast,
        extensions: true,
    };
    let hello = ExtendedHandshake {
        numbers: ExtensionIds {
            dont_have,
            ..ExtensionIds::default()
        },
        ..ExtendedHandshake::default()
    };
    world
        .feed(&[Message::Extended {
            id: 0,
            payload: &hello.encode(),
        }])
        .unwrap();
    world.conn.announce_pieces(&Bitfield::full(8));
    world.conn.set_choking(false);
    world.feed(&[request(8)]).unwrap();
    world.sent();
    world
}

const GONE: &[PieceIndex] = &[PieceIndex(2)];

#[test]
fn a_request_that_crossed_the_news_is_no_crime() {
    let mut world = serving(true, 9);
    let now = world.now;
    assert_eq!(world.conn.send_dont_have(now, GONE), None);
    world.now += Duration::from_secs(1);
    for _ in 0..1000 {
        world.feed(&[request(8)]).unwrap();
        world.sent();
    }
    assert_eq!(world.conn.pending_report.traffic.invalid_requests, 0);
    // Another piece that was never announced to it is.
    world.conn.announced.clear(3);
    world.feed(&[request(12)]).unwrap();
    assert_eq!(world.conn.pending_report.traffic.invalid_requests, 1);
    // Later it knows.
    world.now += Duration::from_secs(2);
    world.feed(&[request(8)]).unwrap();
    assert_eq!(world.conn.pending_report.traffic.invalid_requests, 2);
    assert_eq!(world.sent().len(), 2, "all are refused");
}

#[test]
fn who_cannot_be_told_is_left() {
    let lose = |fast, dont_have, asks: bool| {
        let mut world = serving(fast, dont_have);
        if !asks {
            let Message::Request(it) = request(8) else {
                panic!("not a request");
            };
            world.feed(&[Message::Cancel(it)]).unwrap();
        }
        world.conn.send_dont_have(world.now, GONE)
    };
    let left = Some(CloseReason::DontHaveUnsupported);
    for asks in [false, true] {
        assert_eq!(lose(true, 9, asks), None);
        assert_eq!(lose(true, 0, asks), None, "it hears of each request");
        assert_eq!(lose(false, 0, asks), left);
    }
    assert_eq!(lose(false, 9, false), None);
    assert_eq!(lose(false, 9, true), left, "it waits for what never comes");
}

#[test]
fn a_read_that_failed_is_answered_or_ends_the_connection() {
    for (fast, expected) in [
        (true, None),
        (false, Some(CloseReason::DontHaveUnsupported)),
    ] {
        let mut world = serving(fast, 9);
        let job = world.conn.poll_read().unwrap();
        assert_eq!(world.conn.handle_read(world.now, &job, None), expected);
        assert_eq!(world.sent().len(), usize::from(fast));
        // A choke has said it already.
        let mut world = serving(fast, 9);
        let job = world.conn.poll_read().unwrap();
        world.conn.set_choking(true);
        assert_eq!(world.conn.handle_read(world.now, &job, None), None);
    }
}

#[test]
fn a_peer_loses_the_fewer_the_more_each_of_them_costs() {
    for (pieces, most) in [(100, 10_000), (100_000, 1000), (4_000_000, 50)] {
        let mut world = World::new();
        let layout = Layout::new(BLOCK_SIZE, [(u64::from(BLOCK_SIZE) * pieces, false)]);
        let limits = ConnectionLimits::from(&Settings::default());
        world.conn = Connection::new(Arc::new(layout.unwrap()), limits, world.now);
        world.conn.features.extensions = true;
        let gone = Message::Extended {
            id: crate::ext::DONT_HAVE,
            payload: &[0, 0, 0, 7],
        };
        let again = Message::Have(PieceIndex(7));
        for _ in 0..most {
            world.feed(&[gone, again]).unwrap();
        }
        assert_eq!(world.feed(&[gone]), Err(PeerError::LosesTooMuch));
    }
}
