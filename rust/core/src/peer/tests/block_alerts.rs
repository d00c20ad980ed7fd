//! What a connection reports beside its blocks.

use super::*;

#[test]
fn only_what_is_watched_is_noted() {
    let everything = Watched {
        progress: true,
        request_failures: true,
        peer: true,
        upload: true,
        asked: true,
    };
    for watched in [Watched::default(), everything] {
        let mut world = World::new();
        world.conn.watch(watched);
        let mut world = world.downloading(2);
        let data = vec![7; BLOCK_SIZE as usize];
        let piece = |index| Message::Piece {
            piece: PieceIndex(index),
            begin: 0,
            data: &data,
        };
        world.feed(&[piece(0), piece(4)]).unwrap();
        world.conn.set_choking(false);
        let request = Request {
            piece: PieceIndex(1),
            begin: 0,
            length: 1,
        };
        world
            .feed(&[Message::Request(request), Message::Choke])
            .unwrap();
        let expected = vec![
            BlockNote::Requested(block(0)),
            BlockNote::Requested(block(1)),
            BlockNote::Finished(block(0)),
            BlockNote::Unwanted(block(16)),
            BlockNote::Invalid {
                request,
                we_have: false,
                interested: false,
                withheld: false,
            },
            BlockNote::Dropped(block(1)),
        ];
        let noted = world.conn.final_report().notes;
        let quiet = watched == Watched::default();
        assert_eq!(noted, if quiet { Vec::new() } else { expected });
    }
}

#[test]
fn a_block_under_way_is_shown() {
    let mut world = World::new().downloading(1);
    let data = vec![7; BLOCK_SIZE as usize];
    let mut input = Vec::new();
    piece(0, &data).encode(&mut input);
    let mut blocks = Vec::new();
    for (end, bytes) in [(12, None), (13, Some(0)), (113, Some(100))] {
        world
            .conn
            .handle_input(world.now, &input[..end], &mut blocks)
            .unwrap();
        let incoming = world.conn.final_report().stats.incoming;
        assert_eq!(incoming.map(|it| it.bytes), bytes);
    }
    world
        .conn
        .handle_input(world.now, &input, &mut blocks)
        .unwrap();
    assert_eq!(world.conn.final_report().stats.incoming, None);
}

#[test]
fn a_block_that_comes_in_parts_is_told_of_on_the_way() {
    let mut world = World::new().downloading(1);
    while world.conn.take_report().is_some() {}
    let data = vec![7; BLOCK_SIZE as usize];
    let mut input = Vec::new();
    piece(0, &data).encode(&mut input);
    let mut blocks = Vec::new();
    let mut told = |world: &mut World, end: usize| {
        let conn = &mut world.conn;
        conn.handle_input(world.now, &input[..end], &mut blocks)
            .unwrap();
        let report = conn.take_report();
        report.map(|it| it.stats.incoming.unwrap().bytes)
    };
    assert_eq!(told(&mut world, 113), Some(100));
    assert_eq!(told(&mut world, 113), None, "nothing is new");
    world.now += Duration::from_millis(20);
    assert_eq!(told(&mut world, 213), None, "not of every byte");
    let due = world.conn.poll_timeout().unwrap();
    assert!(due > world.now && due <= world.now + Duration::from_millis(100));
    world.now = due;
    world.conn.handle_timeout(world.now).unwrap();
    let report = world.conn.take_report().unwrap();
    assert_eq!(report.stats.incoming.unwrap().bytes, 200);
    assert!(world.conn.poll_timeout().unwrap() > world.now + Duration::from_millis(100));
}
