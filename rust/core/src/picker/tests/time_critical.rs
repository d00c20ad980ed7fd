//! Pieces with a deadline.

use super::*;

#[test]
fn urgent_pieces_are_not_for_everyone() {
    let mut world = after_start(".... ....", "11", "44");
    world.picker.set_time_critical(PieceIndex(4), true);
    world.picker.check_invariants();
    assert_eq!(world.pick('a', "xxxxx-", 4), "");
    let (all, block) = (PeerPieces::All, Block::new(PieceIndex(4), 2));
    assert!(world.picker.lease_time_critical(peer('a'), &all, block));
    assert!(!world.picker.lease_time_critical(peer('a'), &all, block));
    assert!(world.picker.lease_time_critical(peer('b'), &all, block));
    world.picker.check_invariants();
    assert_eq!(world.pick('c', "xxxxx-", 4), "");
    // Given back, it is open to all again.
    world.give_back('a', 4, 2);
    world.give_back('b', 4, 2);
    assert_eq!(world.draw(), format!("{HAD} .... ...."));
    assert!(world.picker.lease_time_critical(peer('b'), &all, block));
    world.picker.set_time_critical(PieceIndex(4), false);
    world.picker.check_invariants();
    assert_eq!(world.pick('c', "xxxxx-", 4), "4:0 4:1 4:3");
    world.picker.set_time_critical(PieceIndex(5), true);
    world.picker.set_have(PieceIndex(5));
    world.picker.check_invariants();
    let had = Block::new(PieceIndex(5), 0);
    assert!(!world.picker.lease_time_critical(peer('a'), &all, had));
}

#[test]
fn an_urgent_piece_of_many_blocks_and_much_padding_is_no_burden() {
    const BLOCKS: u32 = 1 << 16;
    let unit = u64::from(BLOCK_SIZE);
    let half = u64::from(BLOCKS / 2) * unit;
    let layout = Layout::new(BLOCKS * BLOCK_SIZE, [(half, false), (half, true)]).unwrap();
    let mut picker = Picker::new(&layout, 7);
    let (piece, all) = (PieceIndex(0), PeerPieces::All);
    picker.set_time_critical(piece, true);
    let count = |picker: &Picker, state| {
        let pieces = picker.partial_pieces();
        let states = pieces.flat_map(|partial| partial.blocks());
        states.filter(|it| *it == state).count() as u32
    };
    let open = picker.time_critical_open(piece, usize::MAX);
    assert_eq!(open.len() as u32, BLOCKS / 2);
    assert_eq!(picker.time_critical_open(piece, 3), open[..3]);
    // All peers are asked for all of it.
    for name in ['a', 'b', 'c', 'd'] {
        let leased = (0..BLOCKS).filter(|&index| {
            let block = Block::new(piece, index);
            picker.lease_time_critical(peer(name), &all, block)
        });
        let expected = if name == 'd' { 0 } else { BLOCKS / 2 };
        assert_eq!(leased.count() as u32, expected, "{name}");
    }
    assert_eq!(count(&picker, BlockState::Padding), BLOCKS / 2);
    let thrice = BlockState::Requested {
        peer: peer('a'),
        peers: 3,
    };
    assert_eq!(count(&picker, thrice), BLOCKS / 2);
    for index in 0..BLOCKS / 4 {
        picker.returned(peer('a'), Block::new(piece, index));
    }
    let inherited = BlockState::Requested {
        peer: peer('b'),
        peers: 2,
    };
    assert_eq!(count(&picker, inherited), BLOCKS / 4);
    let mut cancels = Vec::new();
    for index in BLOCKS / 4..BLOCKS / 2 {
        picker.received(peer('b'), Block::new(piece, index), &mut cancels);
    }
    let others: Vec<PeerKey> = cancels.iter().take(4).copied().collect();
    assert_eq!(others, [peer('a'), peer('c'), peer('a'), peer('c')]);
    assert_eq!(cancels.len() as u32, BLOCKS / 2);
}
