//! Permissions and refusals of the Fast extension (BEP 6).

use super::*;

fn fast() -> World {
    let mut world = World::new();
    world.conn.features.fast = true;
    world
}

fn allow(piece: u32) -> Message<'static> {
    Message::AllowedFast(PieceIndex(piece))
}

fn reject(at: u32) -> Message<'static> {
    let Message::Request(request) = request(at) else {
        panic!("not a request");
    };
    Message::Reject(request)
}

/// The pieces that the last report allows, if it contains them.
fn allowed(world: &mut World) -> Option<Vec<u32>> {
    let allowed = world.conn.final_report().allowed_fast?;
    Some(allowed.iter().map(|piece| piece.0).collect())
}

#[test]
fn the_torrent_hears_what_is_allowed_now_when_it_changes() {
    let mut world = fast();
    world
        .feed(&[allow(3), allow(1), allow(3), allow(8)])
        .unwrap();
    assert_eq!(allowed(&mut world), Some(vec![1, 3]));
    world.feed(&[allow(3), allow(8)]).unwrap();
    assert_eq!(allowed(&mut world), None, "nothing new");
    world.conn.set_interested(world.now, true);
    world
        .conn
        .lease(world.now, &[4, 5, 6, 12, 13, 14].map(block));
    assert_eq!(world.sent().len(), 1 + 4);
    world.report();
    world.feed(&[reject(5)]).unwrap();
    let report = world.report();
    assert_eq!(report.returned, [block(5)]);
    assert_eq!(report.refused, [block(5)]);
    assert_eq!(report.allowed_fast, None);
    assert_eq!(world.sent(), ["request 3:16384+16384"]);
    // What waits for the same fate is not asked for any more.
    world.feed(&[reject(13)]).unwrap();
    let report = world.report();
    assert_eq!(report.returned, [block(13), block(14)]);
    assert_eq!(report.refused, [block(13)]);
    assert!(world.sent().is_empty());
}

#[test]
fn what_was_allowed_before_the_metadata_is_judged_by_it() {
    let mut world = World::new();
    let limits = ConnectionLimits::from(&Settings::default());
    world.conn = Connection::without_metadata(limits, world.now);
    world.conn.features.fast = true;
    let all = [allow(2), allow(10), allow(u32::MAX)];
    world.feed(&all).unwrap();
    assert_eq!(allowed(&mut world), Some(vec![2, 10]));
    let layout = Layout::new(PIECE, [(u64::from(PIECE) * 10, false)]).unwrap();
    world.conn.set_metadata(Arc::new(layout)).unwrap();
    assert_eq!(allowed(&mut world), Some(vec![2]));
}

#[test]
fn a_choke_refuses_only_what_the_peer_never_meant_to_send() {
    for fast in [true, false] {
        let refusal: &[Message<'_>] = match fast {
            true => &[Message::Choke, reject(1), reject(2)],
            // A peer without Fast refuses by the choke alone.
            false => &[Message::Choke],
        };
        for sends in [true, false] {
            let mut world = World::new();
            world.conn.features.fast = fast;
            let mut world = world.downloading(3);
            if sends {
                world.feed(&[piece(0, &[7; BLOCK_SIZE as usize])]).unwrap();
            } else {
                world.conn.cancel(world.now, &[block(0)]);
            }
            world.report();
            world.feed(refusal).unwrap();
            let report = world.report();
            assert_eq!(report.returned, [block(1), block(2)]);
            let refused = report.refused == [block(1), block(2)];
            assert!(refused || report.refused.is_empty());
            assert_eq!(refused, !sends, "fast: {fast}");
            // The next time counts anew.
            world.feed(&[Message::Unchoke]).unwrap();
            world.conn.lease(world.now, &[block(1)]);
            world
                .feed(&[Message::Choke, reject(1)][..refusal.len().min(2)])
                .unwrap();
            assert_eq!(world.report().refused, [block(1)]);
        }
    }
}

#[test]
fn a_block_counts_before_the_refusal_behind_it_in_the_same_input() {
    let mut world = fast().downloading(2);
    world.report();
    let data = [7; BLOCK_SIZE as usize];
    world
        .feed(&[Message::Choke, piece(0, &data), reject(1)])
        .unwrap();
    let report = world.report();
    assert_eq!((report.returned, report.refused), (vec![block(1)], vec![]));
}
