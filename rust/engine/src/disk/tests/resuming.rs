//! Claims of resume data, true and false.

use torrent_core::ids::FileIndex;
use torrent_core::resume::FileStat;

use super::*;
use crate::disk::error::DiskOp;
use crate::disk::fault_injection::{Errno, Plan};
use crate::disk::{CheckMode, DiskErrorKind, ResumeRejected};

const SIZE: u64 = BLOCK_SIZE as u64;

/// Pieces of two blocks: a is 0..=2, b 3..=7, c the end of 7.
const FILES: &[(&str, u64)] = &[
    ("a", 5 * SIZE + 3),
    (".pad/2", SIZE - 3),
    ("sub/b", 9 * SIZE),
    ("sub/c", 100),
];

fn filled() -> World {
    let world = world(2 * BLOCK_SIZE, FILES);
    world.fill_files();
    world
}

async fn stats(world: &World) -> Vec<Option<FileStat>> {
    let files = (0..FILES.len() as u32).map(FileIndex).collect();
    let stats = world.storage.file_stats(files).await;
    stats.into_iter().map(|(_, stat)| stat).collect()
}

/// Spoils one byte of a file and gives the file back its time.
fn spoil(world: &World, file: usize, at: usize) {
    let path = world.path(file);
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(time).unwrap();
}

#[tokio::test]
async fn a_true_claim_is_accepted_and_each_piece_hashed_before_its_first_read() {
    let world = filled();
    let have = Bitfield::full(world.layout.num_pieces());
    let stats = stats(&world).await;
    assert_eq!(stats[0].unwrap().length, FILES[0].1);
    assert_eq!(stats[1], None);
    let accepted = world
        .storage
        .check_resume(ResumeClaim {
            stats,
            ..claim(have.clone())
        })
        .await
        .unwrap();
    assert!(accepted.suspects.none());
    assert_eq!(world.storage.have(), have);
    let (shared, _) = world.storage.parts();
    for piece in world.layout.pieces() {
        let length = world.layout.piece_len(piece).min(100);
        let read = world.storage.read(piece, 0, length).await.unwrap();
        let begin = world.layout.piece_offset(piece) as usize;
        assert_eq!(read, world.payload[begin..begin + length as usize]);
        assert!(!shared.pieces.trusted.get(piece.0));
    }
}

#[tokio::test]
async fn files_that_are_missing_or_too_short_are_a_lie() {
    for (file, length) in [(0, None), (2, Some(9 * SIZE - 1)), (3, Some(99))] {
        let world = filled();
        match length {
            None => fs::remove_file(world.path(file)).unwrap(),
            Some(length) => {
                let file = fs::File::options()
                    .write(true)
                    .open(world.path(file))
                    .unwrap();
                file.set_len(length).unwrap();
            }
        }
        let have = Bitfield::full(world.layout.num_pieces());
        let rejected = world.storage.check_resume(claim(have)).await.unwrap_err();
        let ResumeRejected::FileSize { file: found, error } = rejected else {
            panic!("{rejected:?}");
        };
        assert_eq!(found, FileIndex(file as u32));
        assert_eq!(error.kind, DiskErrorKind::ShortFile);
        assert_eq!(error.path, world.path(file));
        assert!(world.storage.have().none());
    }
}

#[tokio::test]
async fn what_is_not_claimed_may_be_missing() {
    let world = filled();
    fs::remove_file(world.path(0)).unwrap();
    let mut have = Bitfield::new(world.layout.num_pieces());
    have.set(4);
    let mut claim = claim(have.clone());
    let mut blocks = Bitfield::new(2);
    blocks.set(1);
    for piece in [0, 3] {
        claim.unfinished.insert(PieceIndex(piece), blocks.clone());
    }
    let accepted = world.storage.check_resume(claim).await.unwrap();
    assert_eq!(world.storage.have(), have);
    // The file of piece 0 is gone.
    assert_eq!(
        accepted.unfinished.keys().collect::<Vec<_>>(),
        [&PieceIndex(3)]
    );
}

#[tokio::test]
async fn the_sample_finds_a_wrong_first_or_last_piece_at_once() {
    for (file, at) in [(0, 7), (3, 99)] {
        let world = filled();
        spoil(&world, file, at);
        let have = Bitfield::full(world.layout.num_pieces());
        let rejected = world.storage.check_resume(claim(have)).await;
        assert!(matches!(rejected, Err(ResumeRejected::Hash { .. })));
        assert!(world.storage.have().none());
    }
}

#[tokio::test]
async fn a_complete_file_that_changed_is_under_suspicion() {
    let world = filled();
    let stats = stats(&world).await;
    let file = fs::File::options().write(true).open(world.path(0)).unwrap();
    let touched = std::time::SystemTime::now() + Duration::from_secs(10);
    file.set_modified(touched).unwrap();
    let have = Bitfield::full(world.layout.num_pieces());
    let claim = ResumeClaim {
        stats,
        ..claim(have)
    };
    let accepted = world.storage.check_resume(claim).await.unwrap();
    assert_eq!(accepted.suspects.iter().collect::<Vec<_>>(), [0, 1, 2]);
}

#[tokio::test]
async fn a_lie_that_the_sample_misses_is_found_before_a_byte_of_it_is_served() {
    // So many pieces that the sample cannot be all of them.
    let mut world = world(BLOCK_SIZE, &[("a", 200 * SIZE)]);
    world.fill_files();
    let have = Bitfield::full(200);
    let (shared, _) = world.storage.parts();
    world.storage.check_resume(claim(have)).await.unwrap();
    let trusted = shared.pieces.trusted.to_bitfield();
    assert!(trusted.count() >= 190 && !trusted.get(0) && !trusted.get(199));
    let victim = trusted.iter().nth(50).unwrap();
    spoil(&world, 0, victim as usize * SIZE as usize + 5);
    for _ in 0..2 {
        let error = world
            .storage
            .read(PieceIndex(victim), 0, 16)
            .await
            .unwrap_err();
        assert_eq!(error.kind, DiskErrorKind::WrongHash);
        let DiskEvent::TrustBroken { piece, .. } = world.event().await else {
            panic!("no word of the lie");
        };
        assert_eq!(piece, PieceIndex(victim));
    }
    // Its neighbour is fine, and a check finds out about all of them.
    let other = trusted.iter().nth(51).unwrap();
    world.storage.read(PieceIndex(other), 0, 16).await.unwrap();
    world.storage.check(CheckMode::All);
    loop {
        if let DiskEvent::Checked { have, .. } = world.event().await {
            assert_eq!(have.count(), 199);
            break;
        }
    }
    assert!(shared.pieces.trusted.to_bitfield().none());
}

#[tokio::test]
async fn a_failing_system_or_device_says_nothing_against_a_record() {
    for (errno, kind) in [
        (Errno::NOMEM, DiskErrorKind::NoMemory),
        (Errno::IO, DiskErrorKind::Device),
        (Errno::ACCESS, DiskErrorKind::PermissionDenied),
    ] {
        let mut world = filled();
        let have = Bitfield::full(world.layout.num_pieces());
        world.trust(&have).await;
        let (shared, common) = world.storage.parts();
        common.faults.plan(Plan {
            op: DiskOp::Read,
            file: None,
            errno: errno.raw_os_error(),
            after: 0,
            times: 1,
        });
        let error = world.storage.read(PieceIndex(3), 0, 9).await.unwrap_err();
        assert_eq!(error.kind, kind);
        let DiskEvent::ReadFailed { piece, error } = world.event().await else {
            panic!("the record is held to be a lie for {errno:?}");
        };
        assert_eq!((piece, error.kind), (PieceIndex(3), kind));
        assert_eq!(world.storage.have(), have);
        // It is still to be hashed before any of its bytes is sent.
        assert!(shared.pieces.trusted.get(3));
        world.storage.read(PieceIndex(3), 0, 9).await.unwrap();
        assert!(!shared.pieces.trusted.get(3));
    }
}

#[tokio::test]
async fn bytes_that_are_gone_make_the_record_a_lie() {
    let mut world = filled();
    world
        .trust(&Bitfield::full(world.layout.num_pieces()))
        .await;
    fs::remove_file(world.path(2)).unwrap();
    let error = world.storage.read(PieceIndex(3), 0, 9).await.unwrap_err();
    assert_eq!(error.kind, DiskErrorKind::NotFound);
    let DiskEvent::TrustBroken { piece, .. } = world.event().await else {
        panic!("no word of the lie");
    };
    assert_eq!(piece, PieceIndex(3));
}

#[tokio::test]
async fn unfinished_pieces_are_saved_and_taken_up_again() {
    let mut world = world(4 * BLOCK_SIZE, &[("a", 9 * SIZE)]);
    let mut blocks = world.blocks_of(0);
    let last = blocks.remove(1);
    world.storage.write(blocks, PEER);
    world.storage.write(world.blocks_of(1)[..2].to_vec(), PEER);
    let saved = world.storage.save_partials().await;
    let there: Vec<(u32, Vec<u32>)> = saved
        .iter()
        .map(|(piece, blocks)| (piece.0, blocks.iter().collect()))
        .collect();
    assert_eq!(there, [(0, vec![0, 2, 3]), (1, vec![0, 1])]);
    world.storage.close().await;

    // Another storage over the same files, as after a restart.
    let (sender, events) = mpsc::channel(64);
    let spec = spec(
        &world.layout,
        &world.paths,
        &world.payload,
        world.dir.path(),
    );
    world.storage = world.disk.open(spec, sender);
    world.events = events;
    let nothing = Bitfield::new(world.layout.num_pieces());
    let claim = ResumeClaim {
        unfinished: saved,
        ..claim(nothing)
    };
    let accepted = world.storage.check_resume(claim).await.unwrap();
    assert_eq!(accepted.unfinished.len(), 2);
    for (piece, blocks) in accepted.unfinished {
        world.storage.adopt_partial(piece, blocks);
    }
    world.storage.write(vec![last], PEER);
    world.storage.write(world.blocks_of(1)[2..].to_vec(), PEER);
    world.storage.write(world.blocks_of(2), PEER);
    assert_eq!(verified(&world.settle().await), [0, 1, 2]);
    world.assert_files();
}

#[tokio::test]
async fn blocks_that_only_seem_to_be_there_fail_their_piece() {
    let mut world = world(4 * BLOCK_SIZE, &[("a", 4 * SIZE)]);
    fs::write(world.path(0), vec![0; 4 * SIZE as usize]).unwrap();
    world
        .storage
        .adopt_partial(PieceIndex(0), Bitfield::full(4));
    let events = world.settle().await;
    assert!(
        matches!(events[..], [DiskEvent::PieceFailed { .. }]),
        "{events:?}"
    );
    world.storage.write(world.all_blocks(), PEER);
    assert_eq!(verified(&world.settle().await), [0]);
}
