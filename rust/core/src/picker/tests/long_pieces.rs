//! What long pieces cost while nothing comes of them: as much as was asked for or is
//! here, whatever their length. Counted in blocks that are looked at.

use super::*;
use crate::testing::blocks_visited;

const PIECES: u32 = 190;
const LENGTH: u32 = 512 << 20;

/// Pieces of `payload` bytes, the remainder of each is padding.
fn picker(payload: u32) -> Picker {
    let piece = [
        (u64::from(payload), false),
        (u64::from(LENGTH - payload), true),
    ];
    let files = std::iter::repeat_n(piece, PIECES as usize).flatten();
    Picker::new(&Layout::new(LENGTH, files).unwrap(), 1)
}

/// The blocks that the peer is asked for, at most `count`. Looks at a few for each piece.
fn pick(picker: &mut Picker, peer: u32, speed: Speed, count: u32) -> Vec<Block> {
    let mut leased = Vec::new();
    let peer = PeerKey(u64::from(peer));
    let visited = blocks_visited::during(|| {
        picker.pick(peer, &PeerPieces::All, count, speed, &[], &mut leased);
    });
    assert!(visited <= u64::from(4 * PIECES), "{visited}, {speed:?}");
    leased
}

#[test]
fn peers_that_ask_in_vain_cost_what_is_asked_for() {
    let mut picker = picker(BLOCK_SIZE);
    // As many as may be asked for the same block have been, and are silent.
    for peer in 0..PIECES * 8 {
        pick(&mut picker, peer, Speed::Slow, 5);
    }
    assert_eq!(pick(&mut picker, 5000, Speed::Slow, 5), []);
    for speed in [Speed::Slow, Speed::Fast, Speed::Snubbed, Speed::Alone] {
        for peer in 5000..5020 {
            assert_eq!(pick(&mut picker, peer, speed, 5), []);
        }
    }
}

#[test]
fn a_choice_among_begun_pieces_costs_what_it_chooses() {
    // One block of each is here, and one is asked for.
    let mut picker = picker(LENGTH);
    for peer in 0..PIECES {
        let leased = pick(&mut picker, peer, Speed::Fast, 2);
        assert_eq!(leased[0].piece, leased[1].piece);
        picker.received(PeerKey(u64::from(peer)), leased[0], &mut Vec::new());
    }
    for peer in 1000..1100 {
        assert_eq!(pick(&mut picker, peer, Speed::Slow, 5).len(), 5);
    }
    // What is shown of them, and their deadlines.
    let visited = blocks_visited::during(|| {
        let begun = picker.partial_pieces().map(|it| it.begun_blocks().count());
        assert_eq!(begun.sum::<usize>(), (2 * PIECES + 500) as usize);
        for piece in (0..PIECES).map(PieceIndex) {
            assert_eq!(picker.time_critical_open(piece, 3).len(), 3);
            assert!(picker.time_critical_requested(piece).count() > 0);
        }
    });
    // A table has slots for the neighbours of what is here.
    assert!(visited <= u64::from(200 * PIECES), "{visited}");
}
