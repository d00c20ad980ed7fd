//! Worlds drawn as strings. A piece is a group of four blocks: `.` open, a small
//! letter for a lease of that peer, a capital for a block that the peer sent,
//! `*` for a piece that is had. Availability and priority are a digit a piece.

mod long_pieces;
mod settings;
mod time_critical;

use super::*;
use crate::ids::BLOCK_SIZE;

struct World {
    picker: Picker,
    len: u32,
}

fn peer(letter: char) -> PeerKey {
    PeerKey(u64::from(u32::from(letter.to_ascii_lowercase())))
}

fn letter(peer: PeerKey) -> char {
    char::from(peer.0 as u8)
}

fn set(digits: &str) -> Bitfield {
    let mut set = Bitfield::new(digits.len() as u32);
    for (piece, digit) in (0..).zip(digits.chars()) {
        if digit != '-' {
            set.set(piece);
        }
    }
    set
}

impl World {
    fn new(blocks: &str, availability: &str, priorities: &str) -> Self {
        let words: Vec<&str> = blocks.split_whitespace().collect();
        let len = words.len() as u32;
        let layout = Layout::new(
            4 * BLOCK_SIZE,
            [(u64::from(len) * 4 * u64::from(BLOCK_SIZE), false)],
        )
        .unwrap();
        let mut picker = Picker::new(&layout, 7);
        for (piece, digit) in (0..).map(PieceIndex).zip(priorities.chars()) {
            let value = digit.to_digit(10).unwrap() as u8;
            picker.set_priority(piece, Priority::new(value).unwrap());
        }
        let counts: Vec<u32> = availability
            .chars()
            .map(|digit| digit.to_digit(10).unwrap())
            .collect();
        for round in 0..9 {
            let mut pieces = Bitfield::new(len);
            for (piece, &count) in (0..).zip(&counts) {
                if count > round {
                    pieces.set(piece);
                }
            }
            picker.peer_joined(&pieces);
        }
        for (piece, word) in (0..).map(PieceIndex).zip(&words) {
            if *word == "****" {
                picker.set_have(piece);
            }
            for (index, state) in (0..).zip(word.chars()) {
                let block = Block::new(piece, index);
                match state {
                    'a'..='z' => {
                        if !picker.downloading.contains(piece.0) {
                            picker.begin(piece.0, None);
                        }
                        let partial = picker.downloading.get_mut(piece.0).unwrap();
                        assert!(partial.lease_block(peer(state), index));
                        picker.refresh_choosable(piece.0);
                    }
                    'A'..='Z' => {
                        let got = picker.received(peer(state), block, &mut Vec::new());
                        assert_eq!(got, Received::New);
                    }
                    _ => {}
                }
            }
        }
        picker.check_invariants();
        Self { picker, len }
    }

    /// Picks for a slow peer that has the pieces not drawn as `-`.
    fn pick(&mut self, who: char, has: &str, count: u32) -> String {
        self.pick_at(Speed::Slow, who, has, count)
    }

    fn pick_at(&mut self, speed: Speed, who: char, has: &str, count: u32) -> String {
        assert_eq!(has.len() as u32, self.len);
        let (pieces, mut out) = (set(has), Vec::new());
        let has = PeerPieces::Some(&pieces);
        self.picker
            .pick(peer(who), &has, count, speed, &[], &mut out);
        self.picker.check_invariants();
        let names: Vec<String> = out.iter().map(Block::to_string).collect();
        names.join(" ")
    }

    fn give_back(&mut self, who: char, piece: u32, index: u32) {
        let block = Block::new(PieceIndex(piece), index);
        self.picker.returned(peer(who), block);
        self.picker.check_invariants();
    }

    /// The verdict, and the peers to send a cancel to.
    fn receive(&mut self, who: char, piece: u32, index: u32) -> (Received, String) {
        let mut cancels = Vec::new();
        let block = Block::new(PieceIndex(piece), index);
        let got = self.picker.received(peer(who), block, &mut cancels);
        self.picker.check_invariants();
        (got, cancels.into_iter().map(letter).collect())
    }

    fn draw(&self) -> String {
        let words: Vec<String> = (0..self.len)
            .map(|piece| match self.picker.downloading.get(piece) {
                Some(partial) => partial
                    .states()
                    .map(|state| match state {
                        BlockState::Open => '.',
                        BlockState::Requested { peer, .. } => letter(peer),
                        BlockState::Received { peer } => letter(peer).to_ascii_uppercase(),
                        BlockState::Padding => '=',
                    })
                    .collect(),
                None if self.picker.we_have(PieceIndex(piece)) => "****".into(),
                None => "....".into(),
            })
            .collect();
        words.join(" ")
    }
}

/// Four pieces that are had, so that what follows is picked by rarity.
const HAD: &str = "**** **** **** ****";

fn after_start(blocks: &str, availability: &str, priorities: &str) -> World {
    World::new(
        &format!("{HAD} {blocks}"),
        &format!("0000{availability}"),
        &format!("4444{priorities}"),
    )
}

#[test]
fn the_rarest_piece_comes_first() {
    let mut world = after_start(".... .... .... ....", "3212", "4444");
    assert_eq!(world.pick('a', "xxxxxxxx", 4), "6:0 6:1 6:2 6:3");
    assert_eq!(world.pick('a', "----x--x", 5), "7:0 7:1 7:2 7:3 4:0");
}

#[test]
fn priority_goes_before_rarity_and_before_what_is_begun() {
    let mut world = after_start("bB.. .... .... ....", "1129", "4470");
    assert_eq!(
        world.pick('a', "xxxxxxxx", 7),
        "6:0 6:1 6:2 6:3 4:2 4:3 5:0"
    );
    assert_eq!(world.pick('a', "-------x", 4), "");
}

#[test]
fn begun_pieces_come_first_the_fullest_then_the_oldest() {
    let mut world = after_start("b... BB.. b... ....", "9991", "4444");
    assert_eq!(
        world.pick('a', "xxxxxxxx", 9),
        "5:2 5:3 4:1 4:2 4:3 6:1 6:2 6:3 7:0"
    );
}

#[test]
fn a_fast_peer_has_its_pieces_to_itself_while_others_have_a_choice() {
    let mut world = after_start(".... .... ....", "123", "444");
    assert_eq!(world.pick_at(Speed::Fast, 'a', "xxxxxxx", 2), "4:0 4:1");
    assert_eq!(world.pick_at(Speed::Fast, 'b', "xxxxxxx", 2), "5:0 5:1");
    assert_eq!(world.pick_at(Speed::Fast, 'a', "xxxxxxx", 3), "4:2 4:3 6:0");
    // Nothing is open any more: now the others' pieces are as good as any.
    assert_eq!(world.pick('c', "xxxxxxx", 3), "5:2 5:3 6:1");
    assert_eq!(world.draw(), format!("{HAD} aaaa bbcc ac.."));
}

#[test]
fn a_fast_peer_that_gives_up_leaves_its_piece_to_all() {
    let mut world = after_start(".... ....", "12", "44");
    assert_eq!(world.pick_at(Speed::Fast, 'a', "xxxxxx", 2), "4:0 4:1");
    world.give_back('a', 4, 1);
    assert_eq!(world.pick('b', "xxxxxx", 2), "4:1 4:2");
}

#[test]
fn the_first_pieces_are_picked_at_random_and_a_seed_repeats_itself() {
    let first = |seed| {
        let layout = Layout::new(BLOCK_SIZE, [(1000 * u64::from(BLOCK_SIZE), false)]).unwrap();
        let mut picker = Picker::new(&layout, seed);
        for piece in 0..999 {
            picker.peer_has(PieceIndex(piece));
        }
        let mut out = Vec::new();
        picker.pick(PeerKey(1), &PeerPieces::All, 1, Speed::Slow, &[], &mut out);
        out[0].piece.0
    };
    let picks: BTreeSet<u32> = (0..50).map(first).collect();
    assert!(picks.len() > 40, "{picks:?}");
    assert_eq!(first(3), first(3));
}

#[test]
fn ties_are_broken_at_random() {
    let picks: BTreeSet<u32> = (0..50)
        .map(|seed| {
            let layout = Layout::new(BLOCK_SIZE, [(200 * u64::from(BLOCK_SIZE), false)]).unwrap();
            let mut picker = Picker::new(&layout, seed);
            for piece in 0..100 {
                picker.set_have(PieceIndex(piece));
            }
            let mut out = Vec::new();
            picker.pick(PeerKey(1), &PeerPieces::All, 1, Speed::Slow, &[], &mut out);
            out[0].piece.0
        })
        .collect();
    assert!(picks.len() > 30, "{picks:?}");
}

#[test]
fn sequential_mode_goes_by_priority_and_then_in_order() {
    let mut world = World::new(".... .... .b.. .... ....", "13211", "44447");
    world.picker.set_sequential(true);
    assert_eq!(
        world.pick('a', "-xxxx", 9),
        "4:0 4:1 4:2 4:3 1:0 1:1 1:2 1:3 2:0"
    );
    assert_eq!(world.pick('a', "xxxxx", 20).split(' ').count(), 4 + 2 + 4);
}

#[test]
fn sequential_mode_begins_with_its_range() {
    let mut world = World::new(".... .b.. .... .... ....", "11111", "44447");
    world.picker.set_sequential(true);
    let range = Some((PieceIndex(1), PieceIndex(2)));
    world.picker.set_sequential_range(range);
    assert_eq!(
        world.pick('a', "xxxxx", 9),
        "4:0 4:1 4:2 4:3 1:0 1:2 1:3 2:0 2:1"
    );
    assert_eq!(world.pick('a', "xxxxx", 4), "2:2 2:3 0:0 0:1");
    world.picker.set_sequential_range(None);
    assert_eq!(world.pick('a', "xxxxx", 20), "0:2 0:3 3:0 3:1 3:2 3:3");
}

#[test]
fn the_end_game_asks_again_only_when_nothing_is_open() {
    let mut world = after_start("bbBb cc..", "11", "44");
    assert_eq!(world.pick('a', "xxxxx-", 4), "");
    assert_eq!(world.pick('c', "xxxxxx", 4), "5:2 5:3");
    // From the back, never a block that the peer already holds.
    assert_eq!(world.pick('c', "xxxxxx", 9), "4:3 4:1 4:0");
    assert_eq!(world.pick('c', "xxxxxx", 9), "");
    // Blocks with one holder first, then those with two, then no more.
    assert_eq!(world.pick('a', "xxxxxx", 5), "5:3 5:2 5:1 5:0 4:3");
    assert_eq!(world.pick('d', "xxxxx-", 9), "4:1 4:0");
    assert_eq!(world.receive('c', 4, 3), (Received::New, "ba".into()));
    assert_eq!(world.receive('b', 4, 3), (Received::Duplicate, "".into()));
    assert_eq!(world.draw(), format!("{HAD} bbBC cccc"));
}

#[test]
fn a_lease_given_back_passes_to_the_next_holder() {
    let mut world = after_start("bBBB", "1", "4");
    assert_eq!(world.pick('a', "xxxxx", 1), "4:0");
    world.give_back('b', 4, 0);
    assert_eq!(world.draw(), format!("{HAD} aBBB"));
    world.give_back('b', 4, 0);
    world.give_back('a', 4, 0);
    assert_eq!(world.draw(), format!("{HAD} .BBB"));
    assert_eq!(world.pick('c', "xxxxx", 9), "4:0");
}

#[test]
fn a_piece_without_leases_and_blocks_is_open_again() {
    let mut world = after_start("bb.. ....", "11", "44");
    world.give_back('b', 4, 0);
    world.give_back('b', 4, 1);
    assert!(world.picker.downloading.iter().next().is_none());
    assert_eq!(world.pick('a', "xxxxx-", 1), "4:0");
}

#[test]
fn a_failed_piece_is_fetched_anew() {
    let mut world = after_start("AbBB", "1", "4");
    assert!(!world.picker.piece_complete_blocks(PieceIndex(4)));
    assert_eq!(world.receive('b', 4, 1), (Received::New, "".into()));
    assert!(world.picker.piece_complete_blocks(PieceIndex(4)));
    assert_eq!(
        world.picker.contributors(PieceIndex(4)),
        [peer('a'), peer('b')]
    );
    assert_eq!(world.pick('c', "xxxxx", 9), "");
    assert_eq!(world.picker.wanted_left(), 0);
    assert!(!world.picker.is_finished());
    world.picker.we_dont_have(PieceIndex(4));
    world.picker.check_invariants();
    assert_eq!(world.picker.wanted_left(), 4 * u64::from(BLOCK_SIZE));
    assert!(world.picker.contributors(PieceIndex(4)).is_empty());
    assert_eq!(world.pick('c', "xxxxx", 9), "4:0 4:1 4:2 4:3");
    world.picker.set_have(PieceIndex(4));
    world.picker.check_invariants();
    assert!(world.picker.is_finished() && world.picker.is_seed());
    assert_eq!(world.receive('c', 4, 0), (Received::Duplicate, "".into()));
}

#[test]
fn a_late_block_is_welcome_and_an_unwanted_one_is_not() {
    let mut world = after_start(".... .... bb..", "111", "404");
    assert_eq!(world.receive('a', 4, 2), (Received::New, "".into()));
    assert_eq!(world.receive('a', 5, 2), (Received::NotWanted, "".into()));
    assert_eq!(world.receive('a', 4, 4), (Received::NotWanted, "".into()));
    assert_eq!(world.receive('a', 99, 0), (Received::NotWanted, "".into()));
    assert_eq!(
        world.receive('a', u32::MAX, u32::MAX).0,
        Received::NotWanted
    );
    // What was asked for before it became unwanted is kept.
    world.picker.set_priority(PieceIndex(6), Priority::SKIP);
    assert_eq!(world.receive('b', 6, 0), (Received::New, "".into()));
    assert_eq!(world.pick('a', "xxxxxxx", 9), "4:0 4:1 4:3");
    world.picker.set_priority(PieceIndex(6), Priority::TOP);
    assert_eq!(world.pick('a', "xxxxxxx", 1), "6:2");
}

#[test]
fn interest_follows_what_is_lacking() {
    let world = after_start(".... AAAA ....", "111", "440");
    let interesting = |has| world.picker.is_interesting(&PeerPieces::Some(&set(has)));
    assert!(interesting("xxxxx--") && interesting("-----x-"));
    assert!(!interesting("xxxx--x"));
    assert_eq!(world.picker.interesting_pieces(&PeerPieces::All), 2);
    assert!(world.picker.is_wanted(PieceIndex(4)) && !world.picker.is_wanted(PieceIndex(6)));
    assert!(!world.picker.is_wanted(PieceIndex(7)));
}

#[test]
fn copies_are_counted_with_ours() {
    let mut world = World::new("**** .... .... ....", "0112", "4444");
    assert_eq!(world.picker.distributed_copies(), (1, 250));
    world.picker.peer_seed_joined();
    assert_eq!(world.picker.distributed_copies(), (2, 250));
    assert_eq!(world.picker.availability(PieceIndex(3)), 3);
    assert_eq!(world.picker.availability(PieceIndex(4)), 0);
}

#[test]
fn a_peer_that_lacks_all_the_rare_pieces_still_gets_the_rarest_of_its_own() {
    let layout = Layout::new(BLOCK_SIZE, [(50_000 * u64::from(BLOCK_SIZE), false)]).unwrap();
    let mut picker = Picker::new(&layout, 1);
    for piece in 0..4 {
        picker.set_have(PieceIndex(piece));
    }
    let mut some = Bitfield::new(50_000);
    for piece in (40_000..41_000).step_by(2) {
        some.set(piece);
    }
    picker.peer_joined(&some);
    picker.peer_joined(&some);
    for piece in [40_100, 40_500] {
        some.clear(piece);
    }
    picker.peer_joined(&some);
    some.set(40_100);
    some.set(40_500);
    let mut out = Vec::new();
    picker.pick(
        PeerKey(1),
        &PeerPieces::Some(&some),
        3,
        Speed::Slow,
        &[],
        &mut out,
    );
    let picked: Vec<u32> = out.iter().map(|block| block.piece.0).collect();
    assert_eq!(picked[..2], [40_100, 40_500]);
    assert!(some.get(picked[2]));
}

#[test]
fn suggested_pieces_come_before_rarer_ones() {
    let mut world = after_start(".... .... ....", "139", "444");
    let (pieces, mut out) = (set("xxxxxxx"), Vec::new());
    let suggested = [PieceIndex(6), PieceIndex(99), PieceIndex(0)];
    world.picker.pick(
        peer('a'),
        &PeerPieces::Some(&pieces),
        5,
        Speed::Slow,
        &suggested,
        &mut out,
    );
    let picked: Vec<u32> = out.iter().map(|block| block.piece.0).collect();
    assert_eq!(picked, [6, 6, 6, 6, 4]);
}

#[test]
fn a_snubbed_peer_keeps_to_common_pieces_of_its_own() {
    let mut world = after_start("bbb. .... ....", "119", "444");
    assert_eq!(world.pick_at(Speed::Snubbed, 'a', "xxxxxxx", 1), "6:0");
    // Others leave it to the piece, and it comes back to it.
    assert_eq!(world.pick('c', "xxxxxxx", 2), "4:3 5:0");
    assert_eq!(world.pick_at(Speed::Snubbed, 'a', "xxxxxxx", 2), "6:1 6:2");
    // A piece that others are at work on only when there is nothing else.
    assert_eq!(world.pick_at(Speed::Snubbed, 'a', "xxxxxx-", 1), "5:1");
}

#[test]
fn a_large_torrent_is_filed_in_parts_and_picked_from_meanwhile() {
    let pieces = 100_000;
    let layout = Layout::new(
        BLOCK_SIZE,
        [(u64::from(pieces) * u64::from(BLOCK_SIZE), false)],
    )
    .unwrap();
    let mut picker = Picker::new(&layout, 1);
    for piece in 0..4 {
        picker.set_have(PieceIndex(piece));
    }
    let mut most = Bitfield::full(pieces);
    most.clear(70_000);
    picker.peer_joined(&most);
    let mut out = Vec::new();
    for round in 0..6 {
        out.clear();
        picker.pick(PeerKey(1), &PeerPieces::All, 8, Speed::Slow, &[], &mut out);
        assert_eq!(out.len(), 8);
        picker.check_invariants();
        for piece in [round * 10, 99_990 + round] {
            picker.peer_has(PieceIndex(piece));
        }
        picker.check_invariants();
    }
    assert_eq!(picker.availability(PieceIndex(70_000)), 0);
    let rare = picker.downloading.contains(70_000);
    assert!(rare, "found as soon as all are filed");
    picker.peer_left(&most);
    picker.check_invariants();
}

#[test]
fn padding_is_never_asked_for_and_counts_for_nothing() {
    // Piece 0 ends in two blocks of padding, piece 1 is padding alone.
    let unit = u64::from(BLOCK_SIZE);
    let files = [(unit + 5, false), (7 * unit - 5, true), (4 * unit, false)];
    let layout = Layout::new(4 * BLOCK_SIZE, files).unwrap();
    let mut world = World {
        picker: Picker::new(&layout, 7),
        len: 3,
    };
    world.picker.check_invariants();
    assert_eq!(world.draw(), ".... **** ....");
    assert!(!world.picker.is_interesting(&PeerPieces::Some(&set("-1-"))));
    assert_eq!(world.picker.total_wanted(), 5 * unit + 5);
    assert_eq!((world.picker.done(), world.picker.wanted_done()), (0, 0));
    assert_eq!(world.pick('a', "1--", 9), "0:0 0:1");
    assert_eq!(world.draw(), "aa== **** ....");
    assert_eq!(
        world.receive('a', 0, 3),
        (Received::Duplicate, String::new())
    );
    world.receive('a', 0, 1);
    assert_eq!(world.picker.done(), 5);
    assert!(!world.picker.piece_complete_blocks(PieceIndex(0)));
    world.receive('a', 0, 0);
    assert!(world.picker.piece_complete_blocks(PieceIndex(0)));
    assert_eq!(world.picker.contributors(PieceIndex(0)), [peer('a')]);
    world.picker.set_have(PieceIndex(0));
    world.picker.we_dont_have(PieceIndex(1));
    world.picker.check_invariants();
    assert_eq!(world.draw(), "**** **** ....");
    world.picker.set_have(PieceIndex(2));
    assert!(world.picker.is_seed());
    assert_eq!(world.picker.done(), 5 * unit + 5);
}
