//! Any course of events keeps the contract of the machines.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::testing::{Machine, check_contract, count_outputs};

/// A connection with a disk and a socket that take everything at once, until the
/// connection ends.
struct Driven {
    conn: Connection,
    /// Why it ended: it is not driven any more.
    ended: Option<PeerError>,
}

impl Machine for Driven {
    fn poll_timeout(&self) -> Option<Instant> {
        self.conn.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.ended.is_none() {
            self.ended = self.conn.handle_timeout(now).err();
        }
    }

    fn poll_all(&mut self, now: Instant) -> usize {
        let conn = &mut self.conn;
        let data = Bytes::from(vec![0; PIECE as usize]);
        let reads = count_outputs(|| {
            let job = conn.poll_read()?;
            let data = data.slice(..job.length as usize);
            let _ = conn.handle_read(now, &job, Some(&data));
            Some(())
        });
        let sent = count_outputs(|| {
            let mut slices = [IoSlice::new(&[]); 8];
            let filled = conn.slices(&mut slices);
            let bytes = slices[..filled].iter().map(|slice| slice.len()).sum();
            conn.wants_write().then(|| conn.handle_sent(now, bytes))
        });
        reads + sent + count_outputs(|| conn.take_report())
    }
}

/// Something happens to the connection; `choice` says to which block.
fn step(world: &mut Driven, now: Instant, what: u8, choice: u8) {
    let at = u32::from(choice) % 31;
    let data = vec![7; BLOCK_SIZE as usize];
    let message = match what {
        0 => Message::Choke,
        1 | 2 => Message::Unchoke,
        3 => Message::Have(PieceIndex(at / 4)),
        4..=7 => piece(at, &data),
        8 => request(at),
        9 => Message::Interested,
        10 => {
            world.conn.set_interested(now, choice > 50);
            Message::KeepAlive
        }
        11..=13 => {
            let blocks: Vec<Block> = (at..31).map(block).collect();
            world.conn.lease(now, &blocks);
            return;
        }
        14 => return world.conn.cancel(now, &[block(at)]),
        15 => return world.conn.hold(now, choice > 127),
        16 => return world.conn.set_choking(choice > 127),
        17 => return world.conn.announce_have(&[PieceIndex(at / 4)]),
        _ => return,
    };
    let mut input = Vec::new();
    message.encode(&mut input);
    // A part of it, at times.
    let length = input.len() - usize::from(what == 7) * 100;
    let taken = world
        .conn
        .handle_input(now, &input[..length], &mut Vec::new());
    world.ended = taken.err();
}

proptest! {
    #[test]
    fn the_contract_holds_whatever_happens(
        steps in prop::collection::vec((0u8..24, any::<u8>()), 1..100),
    ) {
        let World { mut now, conn } = World::new();
        let mut driven = Driven { conn, ended: None };
        for (what, choice) in steps {
            if what > 17 {
                now += Duration::from_millis(u64::from(choice) * [1, 10, 100][usize::from(what) % 3]);
            }
            step(&mut driven, now, what, choice);
            if driven.ended.is_some() {
                break;
            }
            check_contract(&mut driven, now);
        }
    }
}

#[test]
fn a_connection_that_is_given_up_asks_for_nothing_more() {
    let mut driven = Driven {
        conn: World::new().conn,
        ended: None,
    };
    let mut wakes = 0;
    while let Some(due) = driven.poll_timeout() {
        wakes += 1;
        check_contract(&mut driven, due);
    }
    assert!(matches!(driven.ended, Some(PeerError::TimedOut)));
    assert_eq!(wakes, 2, "a keep-alive, and the end");
}
