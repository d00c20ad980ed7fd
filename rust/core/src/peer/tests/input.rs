//! What peers say, and what of it is accepted.

use super::*;

#[test]
fn what_a_peer_says_before_the_metadata_is_judged_when_it_comes() {
    let has = |bits| Message::Bitfield(bits);
    let layout = || Arc::new(Layout::new(PIECE, [(u64::from(PIECE) * 10, false)]).unwrap());
    let mut world = World::new();
    let limits = ConnectionLimits::from(&Settings::default());
    world.conn = Connection::without_metadata(limits, world.now);
    let early = Message::Have(PieceIndex(9));
    let asked = request(0);
    world
        .feed(&[has(&[0x80, 0]), Message::Unchoke, early, asked])
        .unwrap();
    let report = world.report();
    assert_eq!(
        (report.pieces.bitfield, report.pieces.haves.len()),
        (None, 0)
    );
    world.conn.set_metadata(layout()).unwrap();
    let pieces = world.report().pieces.bitfield.unwrap();
    assert_eq!(pieces.iter().collect::<Vec<_>>(), [0, 9]);
    world.feed(&[Message::Have(PieceIndex(1))]).unwrap();
    assert_eq!(world.report().pieces.haves, [PieceIndex(1)].into());

    let mut world = World::new();
    world.conn = Connection::without_metadata(limits, world.now);
    world.feed(&[has(&[0x80])]).unwrap();
    let judged = world.conn.set_metadata(layout());
    assert_eq!(judged, Err(PeerError::WrongBitfield));
}

#[test]
fn partial_messages_are_left_and_come_again() {
    let mut world = World::new().downloading(1);
    let data = vec![7; BLOCK_SIZE as usize];
    let mut input = Vec::new();
    Message::KeepAlive.encode(&mut input);
    piece(0, &data).encode(&mut input);
    let mut blocks = Vec::new();
    let now = world.now;
    let taken = world
        .conn
        .handle_input(now, &input[..1000], &mut blocks)
        .unwrap();
    assert_eq!((taken, blocks.len()), (4, 0));
    let taken = world
        .conn
        .handle_input(now, &input[4..], &mut blocks)
        .unwrap();
    assert_eq!((taken, blocks.len()), (input.len() - 4, 1));
    assert_eq!(blocks[0].payload, 13..13 + data.len());
}

#[test]
fn hostile_numbers_end_the_connection() {
    let cases: [(Message<'_>, PeerError); 3] = [
        (Message::Have(PieceIndex(8)), PeerError::NoSuchPiece(8)),
        (Message::Bitfield(&[0xff, 0xff]), PeerError::WrongBitfield),
        (
            Message::Piece {
                piece: PieceIndex(0),
                begin: 1,
                data: &[0; 100],
            },
            PeerError::NoSuchBlock,
        ),
    ];
    for (message, error) in cases {
        assert_eq!(World::new().feed(&[message]), Err(error));
    }
}

#[test]
fn a_later_bitfield_replaces_what_was_said_before() {
    let mut world = World::new();
    world
        .feed(&[
            Message::Have(PieceIndex(1)),
            Message::Bitfield(&[0x80]),
            Message::Have(PieceIndex(2)),
        ])
        .unwrap();
    let report = world.report();
    assert_eq!(report.pieces.bitfield.unwrap().as_bytes(), [0x80]);
    assert_eq!(report.pieces.haves, [PieceIndex(2)].into());
}

#[test]
fn pieces_are_announced_once() {
    let mut world = World::new();
    let mut have = Bitfield::new(8);
    have.set(1);
    world.conn.announce_pieces(&have);
    world.conn.announce_have(&[PieceIndex(1), PieceIndex(2)]);
    assert_eq!(world.sent(), ["bitfield([64])", "have 2"]);
    let mut world = World::new();
    world.conn.announce_pieces(&Bitfield::new(8));
    assert!(world.sent().is_empty(), "an empty bitfield is not sent");
}

#[test]
fn blocks_before_an_error_in_the_same_input_are_given_back() {
    let mut world = World::new().downloading(3);
    let data = vec![7; BLOCK_SIZE as usize];
    world.feed(&[piece(0, &data)]).unwrap();
    let bad = Message::Have(PieceIndex(8));
    let error = world.feed(&[piece(1, &data), bad, piece(2, &data)]);
    assert_eq!(error, Err(PeerError::NoSuchPiece(8)));
    let report = world.report();
    assert_eq!(report.blocks, [block(0)]);
    assert_eq!(report.returned, [block(1)]);
}

#[test]
fn nobody_says_for_ever_all_that_it_has() {
    let all = [Message::HaveAll, Message::HaveNone];
    let cases = [&all[..], &all[..1], &all[1..], &[Message::Bitfield(&[0])]];
    for messages in cases {
        for early in [false, true] {
            let mut world = World::new();
            if early {
                let limits = ConnectionLimits::from(&Settings::default());
                world.conn = Connection::without_metadata(limits, world.now);
            }
            world.conn.features.fast = true;
            // A few may come by mistake.
            for _ in 0..4 {
                world.feed(messages).unwrap();
            }
            let error = (0..20).find_map(|_| world.feed(messages).err());
            assert_eq!(error, Some(PeerError::TooManyBitfields));
        }
    }
}

#[test]
fn the_last_word_on_all_pieces_counts() {
    let mut world = World::new();
    world.conn.features.fast = true;
    let one = Message::Have(PieceIndex(1));
    for (messages, pieces, haves) in [
        (&[Message::HaveAll, Message::HaveNone, one][..], 0, 1),
        (&[one, Message::HaveAll], 8, 0),
        (&[Message::HaveNone, Message::Bitfield(&[0x81])], 2, 0),
    ] {
        world.feed(messages).unwrap();
        let report = world.report();
        assert_eq!(report.pieces.bitfield.unwrap().count(), pieces);
        assert_eq!(report.pieces.haves.len(), haves);
    }
}
