use proptest::collection::{btree_map, hash_set, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::bencode::{DictItem, Document, Item};
use crate::ids::InfoHashV2;
use crate::metainfo::{MAX_FILES, MAX_LISTED};

/// The least that is a record, with `more` in it.
fn record(more: impl FnOnce(&mut DictItem)) -> Vec<u8> {
    let mut root = DictItem::new();
    root.insert("file-format", FILE_FORMAT)
        .insert("file-version", 2u32)
        .insert("info-hash", [7u8; 20]);
    more(&mut root);
    root.encode()
}

fn decode(more: impl FnOnce(&mut DictItem)) -> Result<ResumeData, ResumeError> {
    ResumeData::decode(&record(more))
}

#[test]
fn what_names_the_record_must_be_right() {
    assert_eq!(ResumeData::decode(b"i1e"), Err(ResumeError::NotADict));
    assert!(matches!(
        ResumeData::decode(b"d"),
        Err(ResumeError::Bencode(_))
    ));
    let tag = Err(ResumeError::InvalidFileTag);
    assert_eq!(ResumeData::decode(b"de"), tag);
    assert_eq!(
        decode(|it| {
            it.insert("file-format", "libtorrent resume");
        }),
        tag
    );
    for version in [0i64, 3, -1] {
        let decoded = decode(|it| {
            it.insert("file-version", version);
        });
        assert_eq!(decoded, tag, "version {version}");
    }
    let missing = Err(ResumeError::MissingInfoHash);
    for hash in [&[1u8; 19][..], &[0u8; 20][..]] {
        assert_eq!(
            decode(|it| {
                it.insert("info-hash", hash);
            }),
            missing
        );
    }
    let only_v2 = decode(|it| {
        it.insert("info-hash", [0u8; 20])
            .insert("info-hash2", [1u8; 32]);
    })
    .unwrap();
    assert_eq!(only_v2.hashes, Some(InfoHashV2([1; 32]).into()));
    let mismatch = decode(|it| {
        it.insert("info", DictItem::new());
    });
    assert_eq!(mismatch, Err(ResumeError::MismatchingInfoHash));
    let codes = [tag, missing, mismatch].map(|it| it.unwrap_err().libtorrent_code());
    assert_eq!(codes, [Some(28), Some(29), Some(30)]);
}

#[test]
fn the_first_version_spends_a_byte_on_a_piece() {
    let mut trees = DictItem::new();
    trees
        .insert("hashes", [9u8; 32])
        .insert("mask", "101")
        .insert("verified", "0000000001");
    let resume = decode(|it| {
        it.insert("file-version", 1u32)
            .insert("pieces", &[1u8, 0, 3, 0, 0, 0, 0, 0, 1][..])
            .insert("trees", Item::List(vec![trees.into()]));
    })
    .unwrap();
    let have = resume.have(9).unwrap();
    assert_eq!(have.iter().collect::<Vec<_>>(), [0, 2, 8]);
    let verified = resume.verified_pieces(9).unwrap();
    assert_eq!(verified.iter().collect::<Vec<_>>(), [2]);
    let trees = resume.trees.unwrap();
    let document = Document::parse(&trees).unwrap();
    let tree = document
        .root()
        .as_list()
        .unwrap()
        .get(0)
        .unwrap()
        .as_dict()
        .unwrap();
    assert_eq!(tree.bytes("mask"), Some(&[0b1010_0000][..]));
    assert_eq!(tree.bytes("verified"), Some(&[0, 0b0100_0000][..]));
    assert_eq!(tree.bytes("hashes"), Some(&[9; 32][..]));
}

#[test]
fn a_bitfield_of_another_size_is_no_claim() {
    let resume = decode(|it| {
        it.insert("pieces", [0xffu8, 0xff]);
    })
    .unwrap();
    assert_eq!(resume.have(16).unwrap().count(), 16);
    // Spare bits, which libtorrent's reader takes for pieces.
    assert!(resume.have(11).unwrap().is_full());
    assert_eq!(resume.have(8), None);
    assert_eq!(resume.have(17), None);
    assert_eq!(ResumeData::default().have(17).unwrap().count(), 0);
}

#[test]
fn limits_of_libtorrent_are_no_limits_in_any_of_its_forms() {
    for unlimited in [-1i64, 0, 0xff_ffff, 1 << 40] {
        let resume = decode(|it| {
            it.insert("max_connections", unlimited)
                .insert("max_uploads", unlimited);
        })
        .unwrap();
        assert_eq!((resume.max_connections, resume.max_uploads), (None, None));
    }
    let resume = decode(|it| {
        it.insert("num_complete", 0xff_ffffi64)
            .insert("num_incomplete", 0i64)
            .insert("upload_rate_limit", 0i64)
            .insert("download_rate_limit", 5000i64)
            .insert("total_uploaded", -5i64)
            .insert("added_time", i64::MAX)
            .insert("max_uploads", "x");
    })
    .unwrap();
    assert_eq!(
        (resume.num_complete, resume.num_incomplete),
        (None, Some(0))
    );
    assert_eq!(
        (resume.upload_limit, resume.download_limit),
        (None, Some(5000))
    );
    assert_eq!((resume.total_uploaded, resume.added_time), (0, 0));
}

#[test]
fn who_leaves_a_file_out_is_not_in_seed_mode() {
    let seed_mode = |priorities: &[i64]| {
        decode(|it| {
            it.insert("seed_mode", 1u32).insert(
                "file_priority",
                priorities.iter().copied().collect::<Item>(),
            );
        })
        .unwrap()
        .flags
        .seed_mode
    };
    assert_eq!(seed_mode(&[4, 300, 1]), Some(true));
    assert_eq!(seed_mode(&[4, -1]), Some(false));
}

#[test]
fn trackers_and_web_seeds_that_are_there_and_empty_are_not_missing() {
    let silent = decode(|_| {}).unwrap();
    assert_eq!((silent.trackers, silent.url_seeds), (None, None));
    let empty = decode(|it| {
        it.insert("trackers", Item::List(vec![]))
            .insert("url-list", Item::List(vec![]));
    })
    .unwrap();
    assert_eq!(empty.trackers, Some(vec![]));
    assert_eq!(empty.url_seeds, Some(vec![]));
}

#[test]
fn trackers_and_web_seeds_are_as_many_as_in_a_torrent_file_each_once() {
    let most = MAX_LISTED as u32;
    let tier = |at: u32| ["udp://same".to_owned(), format!("udp://{at}")];
    let tiers = (0..most).map(|at| tier(at).iter().map(String::as_str).collect::<Item>());
    let seeds = (0..2 * most + 14).map(|at| Item::from(format!("http://{}", at / 2).as_str()));
    let resume = decode(|it| {
        it.insert("trackers", tiers.collect::<Item>())
            .insert("url-list", seeds.collect::<Item>());
    })
    .unwrap();
    let tiers = resume.trackers.unwrap();
    assert_eq!(tiers[0], tier(0));
    assert_eq!(tiers[1], tier(1)[1..]);
    assert_eq!(tiers.iter().flatten().count(), MAX_LISTED);
    assert!(tiers.iter().all(|tier| !tier.is_empty()));
    let seeds = resume.url_seeds.unwrap();
    assert_eq!(seeds.len(), MAX_LISTED);
    assert_eq!(seeds[..2], ["http://0", "http://1"]);
}

#[test]
fn a_file_that_no_torrent_has_costs_nothing() {
    let last = FileIndex(MAX_FILES as u32 - 1);
    let name = || b"x".to_vec();
    let of = |files: &[FileIndex]| ResumeData {
        hashes: Some(InfoHash([7; 20]).into()),
        renamed_files: files.iter().map(|&file| (file, name())).collect(),
        ..ResumeData::default()
    };
    let beyond = [FileIndex(last.0 + 1), FileIndex(4_000_000_000)];
    assert_eq!(of(&beyond).encode(), of(&[]).encode());
    let some = [FileIndex(1), last, beyond[0], beyond[1]];
    let bytes = of(&some).encode();
    assert!(bytes.len() < 3 * MAX_FILES);
    assert_eq!(ResumeData::decode(&bytes), Ok(of(&some[..2])));

    // What is written of the most files is read again.
    let mut all = of(&some);
    all.file_priorities = vec![1; MAX_FILES + 1];
    all.file_stats = vec![None; MAX_FILES + 1];
    let read = ResumeData::decode(&all.encode()).unwrap();
    assert_eq!(read.file_priorities.len(), MAX_FILES);
    assert_eq!(read.file_stats.len(), MAX_FILES);
    assert_eq!(read.renamed_files.len(), 2);

    let many = Item::Raw(format!("l{}e", "1:x".repeat(MAX_FILES + 7)).into());
    let read = decode(|it| {
        it.insert("mapped_files", many);
    })
    .unwrap();
    assert_eq!(read.renamed_files.len(), MAX_FILES);
}

fn text() -> impl Strategy<Value = String> {
    "[a-z/:\u{e4}]{1,12}"
}

fn flags() -> impl Strategy<Value = Flags> {
    vec(option::of(any::<bool>()), 14).prop_map(|values| {
        let mut flags = Flags::default();
        for ((_, flag), value) in flags.each_mut().zip(values) {
            *flag = value;
        }
        flags
    })
}

prop_compose! {
    fn numbers()(
        (total_uploaded, total_downloaded) in (0..u64::MAX / 2, 0..u64::MAX / 2),
        (active_time, finished_time, seeding_time) in (0..1u64 << 40, 0..1u64 << 40, 0..1u64 << 40),
        times in vec(0..253_402_300_800i64, 6),
        (num_complete, num_incomplete, num_downloaded) in
            (option::of(0..0xff_ffffu32), option::of(0..0xff_ffffu32), option::of(0..0xff_ffffu32)),
        (max_connections, max_uploads) in (option::of(1..0xff_ffffu32), option::of(1..0xff_ffffu32)),
        (upload_limit, download_limit) in
            (option::of(1..i32::MAX as u32), option::of(1..i32::MAX as u32)),
        flags in flags(),
    ) -> ResumeData {
        ResumeData {
            total_uploaded, total_downloaded, active_time, finished_time, seeding_time,
            added_time: times[0], completed_time: times[1], last_seen_complete: times[2],
            last_download: times[3], last_upload: times[4], creation_date: times[5],
            num_complete, num_incomplete, num_downloaded, max_connections, max_uploads,
            upload_limit, download_limit, flags,
            ..ResumeData::default()
        }
    }
}

prop_compose! {
    fn any_resume()(
        base in numbers(),
        (info_hash, info_hash_v2) in (any::<[u8; 20]>(), option::of(any::<[u8; 32]>())),
        (name, comment, save_path) in (text(), text(), vec(any::<u8>(), 0..20)),
        (pieces, verified) in (vec(any::<u8>(), 0..8), vec(any::<u8>(), 0..8)),
        (piece_priorities, file_priorities) in (vec(0..8u8, 0..8), vec(1..8u8, 0..8)),
        unfinished in btree_map(any::<u32>().prop_map(PieceIndex), vec(any::<u8>(), 0..6), 0..4),
        trackers in option::of(tiers()),
        url_seeds in option::of(hash_set(text(), 0..3)),
        renamed_files in btree_map((0..50u32).prop_map(FileIndex), vec(any::<u8>(), 1..9), 0..4),
        (peers, banned_peers) in (endpoints(), endpoints()),
        file_stats in vec(option::of((0..1u64 << 60, any::<i64>()).prop_map(
            |(length, modified)| FileStat { length, modified })), 0..5),
        (trees, full) in (any::<bool>(), any::<bool>()),
    ) -> ResumeData {
        ResumeData {
            hashes: InfoHashes::new(
                Some(InfoHash(info_hash)).filter(|hash| hash.0 != [0; 20]),
                info_hash_v2.or(Some([1; 32])).map(InfoHashV2),
            ),
            name, comment, save_path, pieces, verified, piece_priorities, file_priorities,
            unfinished, trackers, renamed_files, peers, banned_peers, file_stats,
            url_seeds: url_seeds.map(|urls| urls.into_iter().collect()),
            allocation: if full { Allocation::Full } else { Allocation::Sparse },
            trees: trees.then(|| Bytes::from_static(b"ld6:hashes0:ee")),
            ..base
        }
    }
}

/// Tiers of trackers, each tracker once.
fn tiers() -> impl Strategy<Value = Vec<Vec<String>>> {
    let sizes = vec(1..3usize, 0..3);
    (hash_set(text(), 6), sizes).prop_map(|(urls, sizes)| {
        let mut urls = urls.into_iter();
        let tier = |size| urls.by_ref().take(size).collect();
        sizes.into_iter().map(tier).collect()
    })
}

/// IPv4 before IPv6, as the format keeps them.
fn endpoints() -> impl Strategy<Value = Vec<SocketAddr>> {
    let four = vec(any::<([u8; 4], u16)>().prop_map(SocketAddr::from), 0..4);
    let six = vec(any::<([u8; 16], u16)>().prop_map(SocketAddr::from), 0..4);
    (four, six).prop_map(|(four, six)| [four, six].concat())
}

proptest! {
    #[test]
    fn what_is_written_is_read(resume in any_resume()) {
        let bytes = resume.encode();
        prop_assert!(Document::parse(&bytes).unwrap().root().check_canonical().is_ok());
        prop_assert_eq!(ResumeData::decode(&bytes), Ok(resume));
    }

    #[test]
    fn damage_is_an_error_or_another_record_but_never_a_panic(
        resume in any_resume(),
        cut in any::<prop::sample::Index>(),
        flips in vec((any::<prop::sample::Index>(), 0..8u32), 0..4),
    ) {
        let mut bytes = resume.encode();
        let _ = ResumeData::decode(&bytes[..cut.index(bytes.len())]);
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        if let Ok(other) = ResumeData::decode(&bytes) {
            prop_assert_eq!(ResumeData::decode(&other.encode()), Ok(other.clone()));
            for pieces in [0, 1, 7, 8, 64] {
                prop_assert!(other.have(pieces).is_none_or(|have| have.len() == pieces));
            }
        }
    }
}
