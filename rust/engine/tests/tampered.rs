//! Records with flipped bits: whatever one says, nothing wrong is ever handed
//! out, and the torrent finds its way back to what is there.

mod support;

use std::path::Path;

use support::{Node, Payload, wait, wait_until};
use torrent_engine::core::ids::PieceIndex;
use torrent_engine::core::resume::ResumeData;
use torrent_engine::event::kind;
use torrent_engine::session::AddTorrent;
use torrent_engine::torrent::handle::TorrentHandle;
use torrent_engine::torrent::handle::resume::SaveFlags;

const PIECE: usize = 16 * 1024;
const PIECES: usize = 12;

/// Flips of other bits than those of the piece map.
const RANDOM_FLIPS: usize = 160;

/// The record of a torrent whose odd pieces are wrong, and its files.
fn half_right(payload: &Payload, folder: &Path) -> Vec<u8> {
    payload.write(folder);
    let path = folder.join("payload/a.bin");
    let mut bytes = std::fs::read(&path).unwrap();
    for piece in (1..PIECES).step_by(2) {
        bytes[piece * PIECE + 5] ^= 1;
    }
    std::fs::write(&path, &bytes).unwrap();
    let mut node = Node::new();
    let add = AddTorrent::from_data(&payload.torrent(None), folder).unwrap();
    let handle = node.session.add_torrent(add).unwrap();
    node.wait(kind::TORRENT_CHECKED);
    assert_eq!(handle.status().pieces_downloaded as usize, PIECES / 2);
    wait(handle.save_resume_data_now(SaveFlags::default()))
        .unwrap()
        .to_vec()
}

/// Everything that the torrent gives out is right, whatever it believes.
fn assert_honest(payload: &Payload, handle: &TorrentHandle, what: &str) {
    let right = &payload.files[0].1;
    for piece in 0..PIECES {
        let index = PieceIndex(piece as u32);
        if let Ok(bytes) = wait(handle.read_piece_now(index)) {
            let range = piece * PIECE..((piece + 1) * PIECE).min(right.len());
            assert!(bytes == right[range], "{what}: piece {piece} is wrong");
        }
    }
}

/// Adds the torrent with a record, checks what it hands out, and removes it.
/// Whether the record was taken at all.
fn tried(node: &Node, payload: &Payload, folder: &Path, record: &[u8], what: &str) -> bool {
    let add = AddTorrent::from_data(&payload.torrent(None), folder).unwrap();
    let Ok(add) = add.with_resume_data(record) else {
        return false;
    };
    let add = AddTorrent {
        save_path: folder.to_owned(),
        paused: false,
        auto_managed: false,
        ..add
    };
    let handle = node.session.add_torrent(add).unwrap();
    wait_until(what, || !handle.status().state.is_checking());
    assert_honest(payload, &handle, what);
    // A lie that came out means that all is looked at again.
    wait_until(what, || !handle.status().state.is_checking());
    assert_honest(payload, &handle, what);
    let before = std::fs::read(folder.join("payload/a.bin")).unwrap();
    node.session.remove_torrent(&handle, false).unwrap();
    wait_until(what, || node.session.torrents().is_empty());
    assert_eq!(
        std::fs::read(folder.join("payload/a.bin")).unwrap(),
        before,
        "{what}: the file changed"
    );
    true
}

fn flipped(record: &[u8], bit: usize) -> Vec<u8> {
    let mut record = record.to_vec();
    record[bit / 8] ^= 1 << (bit % 8);
    record
}

#[test]
fn no_flipped_bit_of_a_record_makes_a_torrent_hand_out_what_is_wrong() {
    let payload = Payload::new(&[("a.bin", PIECES * PIECE - 7)], PIECE, 31);
    let folder = tempfile::tempdir().unwrap();
    let record = half_right(&payload, folder.path());
    let node = Node::new();
    assert!(tried(&node, &payload, folder.path(), &record, "as it was"));
    // All bits of what says which pieces are there, and some of all others.
    let key = b"6:pieces2:";
    let at = record.windows(key.len()).position(|it| it == key);
    let map = at.expect("a map of pieces") + key.len();
    let mut state = 0x2545_f491_u32;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as usize
    };
    let mut bits: Vec<usize> = (map * 8..(map + 2) * 8).collect();
    bits.extend((0..RANDOM_FLIPS).map(|_| random() % (record.len() * 8)));
    let mut taken = 0;
    for bit in bits {
        let what = format!("bit {bit} of {}", record.len() * 8);
        let record = flipped(&record, bit);
        taken += usize::from(tried(&node, &payload, folder.path(), &record, &what));
    }
    assert!(taken > 40, "hardly a record was taken: {taken}");
}

#[test]
fn a_record_cut_anywhere_is_refused_or_harmless() {
    let payload = Payload::new(&[("a.bin", PIECES * PIECE - 7)], PIECE, 33);
    let folder = tempfile::tempdir().unwrap();
    let record = half_right(&payload, folder.path());
    for length in 0..record.len() {
        let add = AddTorrent::from_data(&payload.torrent(None), folder.path()).unwrap();
        assert!(
            add.with_resume_data(&record[..length]).is_err(),
            "{length} of {} bytes",
            record.len()
        );
    }
}

#[test]
fn a_record_that_claims_everything_is_caught_before_a_wrong_byte_leaves() {
    let payload = Payload::new(&[("a.bin", PIECES * PIECE - 7)], PIECE, 35);
    let folder = tempfile::tempdir().unwrap();
    let record = half_right(&payload, folder.path());
    let mut lie = ResumeData::decode(&record).unwrap();
    lie.pieces = vec![0xff, 0xf0];
    let node = Node::new();
    let lie = lie.encode();
    assert!(tried(&node, &payload, folder.path(), &lie, "all of it"));
}
