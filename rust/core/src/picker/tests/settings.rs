//! What the settings of a picker change.

use super::*;

#[test]
fn begun_pieces_can_go_before_priorities() {
    let mut world = after_start("b... ....", "11", "17");
    world.picker.set_settings(PickerSettings {
        partials_first: true,
        ..PickerSettings::default()
    });
    assert_eq!(world.pick('a', "xxxxxx", 4), "4:1 4:2 4:3 5:0");
}

#[test]
fn without_the_strict_end_game_a_peer_helps_where_it_can() {
    let mut world = after_start("bbbb ....", "11", "44");
    assert_eq!(world.pick('a', "xxxxx-", 1), "");
    world.picker.set_settings(PickerSettings {
        strict_end_game: false,
        ..PickerSettings::default()
    });
    assert_eq!(world.pick('a', "xxxxx-", 1), "4:3");
}

#[test]
fn the_random_start_lasts_as_long_as_it_is_told() {
    let layout = Layout::new(BLOCK_SIZE, [(500 * u64::from(BLOCK_SIZE), false)]).unwrap();
    let rarest = |random_first| {
        let mut picker = Picker::new(&layout, 5);
        for piece in 0..400 {
            picker.peer_has(PieceIndex(piece));
        }
        picker.set_settings(PickerSettings {
            random_first,
            ..PickerSettings::default()
        });
        let mut out = Vec::new();
        picker.pick(PeerKey(1), &PeerPieces::All, 50, Speed::Slow, &[], &mut out);
        out.iter().all(|block| block.piece.0 >= 400)
    };
    assert!(rarest(0));
    assert!(!rarest(4));
}

#[test]
fn new_pieces_keep_to_the_extents_that_were_begun() {
    let mib = 1024 * 1024;
    let layout = Layout::new(mib, [(400 * u64::from(mib), false)]).unwrap();
    let mut picker = Picker::new(&layout, 1);
    for piece in 0..4 {
        picker.set_have(PieceIndex(piece));
    }
    picker.set_settings(PickerSettings {
        extent_affinity: true,
        ..PickerSettings::default()
    });
    let mut out = Vec::new();
    picker.pick(
        PeerKey(1),
        &PeerPieces::All,
        4 * 64,
        Speed::Slow,
        &[],
        &mut out,
    );
    picker.pick(
        PeerKey(2),
        &PeerPieces::All,
        3 * 64,
        Speed::Slow,
        &[],
        &mut out,
    );
    let extents: BTreeSet<u32> = out.iter().map(|block| block.piece.0 / 4).collect();
    // The first pick takes adjacent pieces in its order of merit, the next
    // ones fill those extents.
    let pieces: BTreeSet<u32> = out.iter().map(|block| block.piece.0).collect();
    assert_eq!(pieces.len(), 7);
    assert!(extents.len() <= 3, "{pieces:?}");
}
