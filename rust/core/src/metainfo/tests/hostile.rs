//! Torrents made to do harm: names that lead elsewhere, sizes that lie.

use super::*;
use crate::bencode::DecodeErrorKind;

#[test]
fn nothing_leads_out_of_the_torrents_folder() {
    let elements: &[&[u8]] = &[
        b"..",
        b".",
        b"",
        b"/",
        b"\\",
        b"../../etc",
        b"/etc/passwd",
        b"..\\..\\x",
        b"C:\\x",
        b"C:",
        b"a\0b",
        b"CON",
        b"\xc0\xae\xc0\xae",
        b"\xc0\xaf",
        b"\xff",
        b"\xe2\x80\xae",
        b"\xe2\x80\x8b..",
        b"~",
        b"\x1b[2J",
    ];
    let long = [b'x'; 300];
    let elements: Vec<&[u8]> = elements.iter().copied().chain([&long[..]]).collect();
    let mut files = Vec::new();
    for first in &elements {
        files.push(file([first], 1));
        files.extend(elements.iter().map(|second| file([first, second], 1)));
    }
    let total = files.len();
    for root in &elements {
        let info = with(multi(files.clone(), total), "name", *root);
        for policy in [PathPolicy::Posix, PathPolicy::Windows] {
            let limits = MetainfoLimits {
                paths: policy,
                duplicate_names: 100_000,
                ..MetainfoLimits::metadata()
            };
            let file = Metainfo::parse_with(&torrent(info.clone()), &limits).unwrap();
            // What peers send goes the same way.
            let sent = Info::parse(&dict(info.clone()).encode(), &limits).unwrap();
            assert_eq!(file.info, sent);
            let prefix = format!("{}/", sent.name);
            for entry in sent.files.iter() {
                let below = entry.path.strip_prefix(&prefix).unwrap();
                let fine =
                    |element: &str| !matches!(element, "" | "." | "..") && element.len() <= 260;
                assert!(below.split('/').all(fine), "{below:?}");
                assert!(!entry.path.contains(['\\', '\0']));
                assert!(policy != PathPolicy::Windows || !entry.path.contains(':'));
            }
        }
    }
}

#[test]
fn no_two_files_share_a_path() {
    let names = |files: &[&[&str]]| {
        let total = files.len();
        let files = files.iter().map(|path| file(path.iter(), 1));
        let metainfo = parse(torrent(multi(files, total))).unwrap();
        check_invariants(&metainfo);
        let paths = paths(&metainfo).into_iter();
        paths
            .map(|path| path.strip_prefix("root/").unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(&[&["a.txt"], &["A.TXT"], &["a.txt"]]),
        ["a.txt", "A.1.TXT", "a.2.txt"]
    );
    assert_eq!(names(&[&["a"], &["a", "b"]]), ["a.1", "a/b"]);
    assert_eq!(names(&[&["A", "b"], &["a"]]), ["A/b", "a.1"]);
    assert_eq!(
        names(&[&["a.txt"], &["a.txt"], &["a.1.txt"]]),
        ["a.txt", "a.1.txt", "a.1.1.txt"]
    );
    assert_eq!(
        names(&[&["a.1"], &["a"], &["a", "b"]]),
        ["a.1", "a.2", "a/b"]
    );
    assert_eq!(names(&[&["x.d", "a"], &["x.d", "a"]]), ["x.d/a", "x.d/a.1"]);
    assert_eq!(names(&[&[".x"], &[".x"]]), [".x", ".1.x"]);
    assert_eq!(names(&[&["é"], &["É"]]), ["é", "É"]);
    let windows = MetainfoLimits {
        paths: PathPolicy::Windows,
        ..limits()
    };
    let twins = torrent(multi([file(["é"], 1), file(["É"], 1)], 2));
    let twins = Metainfo::parse_with(&twins, &windows).unwrap();
    assert_eq!(paths(&twins), ["root/é", "root/É.1"]);
}

#[test]
fn only_padding_of_one_size_shares_a_path() {
    let pad = |length| with(file([".pad", "0"], length), "attr", "p");
    let bare = |length| without(pad(length), "path");
    let files = [pad(5), file(["a"], 1), pad(5), pad(6), bare(3), bare(3)];
    let metainfo = parse(torrent(multi(files, 23))).unwrap();
    assert_eq!(
        paths(&metainfo),
        [
            "root/.pad/0",
            "root/a",
            "root/.pad/0",
            "root/.pad/0.1",
            ".pad/3",
            ".pad/3"
        ]
    );
    assert_eq!(
        metainfo.info.files.iter().filter(|file| file.pad).count(),
        5
    );
}

#[test]
fn endless_name_clashes_are_given_up() {
    let same = |count: usize| parse(torrent(multi((0..count).map(|_| file(["a"], 1)), count)));
    check_invariants(&same(32).unwrap());
    assert_eq!(same(40), Err(MetainfoError::TooManyDuplicates));
}

#[test]
fn lying_sizes_cost_nothing() {
    use MetainfoError::*;
    let sized = |length: i64, piece_length: u32, pieces: usize| {
        let info = with(
            with(single(), "length", length),
            "piece length",
            piece_length,
        );
        let data = torrent(with(info, "pieces", hashes(pieces)));
        let limits = MetainfoLimits {
            bytes: 50_000_000,
            ..limits()
        };
        Metainfo::parse_with(&data, &limits).map(|metainfo| metainfo.info.layout.num_pieces())
    };
    assert_eq!(sized(1 << 21, 1, 1 << 21), Ok(1 << 21));
    assert_eq!(sized((1 << 21) + 1, 1, (1 << 21) + 1), Err(TooManyPieces));
    assert_eq!(sized(i64::MAX, 1, 1), Err(InvalidLength { file: 0 }));
    let largest = (i64::from(i32::MAX) / 2) * 16 * 1024 - 1;
    assert_eq!(sized(largest, 1, 1), Err(TooManyPieces));
    assert_eq!(sized(largest + 1, 1, 1), Err(InvalidLength { file: 0 }));
    assert!(matches!(
        sized(largest, 1 << 24, 1),
        Err(InvalidPieces { .. })
    ));
    let huge = (0..17).map(|at| with(file([format!("{at}")], 0), "length", largest));
    assert_eq!(parse(torrent(multi(huge, 1))), Err(TotalTooLarge));
}

#[test]
fn long_lists_beside_the_info_dict_are_cut() {
    let raw = |text: String| Item::Raw(text.into_bytes().into());
    let many = |unit: &str| raw(format!("l{}e", unit.repeat(MAX_LISTED + 7)));
    let urls: String = (0..MAX_LISTED + 7).map(|at| format!("6:{at:06}")).collect();
    let data = dict(vec![
        ("announce-list", many("l7:udp://a7:udp://be")),
        ("collections", many("1:c")),
        ("httpseeds", many("1:h")),
        ("info", dict(single()).into()),
        ("nodes", many("l1:ni1ee")),
        ("similar", many("20:ssssssssssssssssssss")),
        ("url-list", raw(format!("l{urls}e"))),
    ]);
    let metainfo = parse(data.encode()).unwrap();
    assert_eq!(metainfo.tiers.iter().flatten().count(), MAX_LISTED);
    assert_eq!(metainfo.tiers.len(), MAX_LISTED / 2);
    assert_eq!(metainfo.collections.len(), MAX_LISTED);
    assert_eq!(metainfo.http_seeds.len(), MAX_LISTED);
    assert_eq!(metainfo.nodes.len(), MAX_LISTED);
    assert_eq!(metainfo.similar.len(), MAX_LISTED);
    assert_eq!(metainfo.url_seeds.len(), MAX_LISTED);

    let url = |length: usize| format!("http://h/{}", "x".repeat(length - 9));
    let (fits, longer) = (url(16 * 1024), url(16 * 1024 + 1));
    let seeds = [longer.as_str(), &fits].into_iter().collect::<Item>();
    let data = dict(vec![("info", dict(single()).into()), ("url-list", seeds)]);
    assert_eq!(parse(data.encode()).unwrap().url_seeds, [fits]);
}

#[test]
fn a_hundred_thousand_files_are_no_burden() {
    let files = (0..100_000u32).map(|at| file(["dir".to_owned(), format!("{at}.bin")], 1));
    let metainfo = parse(torrent(multi(files, 100_000))).unwrap();
    assert_eq!(metainfo.info.files.len(), 100_000);
    assert_eq!(metainfo.info.files.get(99_999).unwrap().offset, 99_999);
}

#[test]
fn more_files_than_a_torrent_can_have_are_refused() {
    let files = |count: usize| {
        let list = format!("l{}e", "de".repeat(count));
        let info = with(multi([], 1), "files", Item::Raw(list.into()));
        Info::parse(&dict(info).encode(), &limits()).err()
    };
    assert_eq!(
        files(MAX_FILES),
        Some(MetainfoError::InvalidLength { file: 0 })
    );
    assert_eq!(files(MAX_FILES + 1), Some(MetainfoError::TooManyFiles));
}

#[test]
fn nesting_bombs_are_refused_on_a_small_stack() {
    let bombs = || {
        for unit in ["l", "d1:a", "d4:info"] {
            for size in [150_000, 9_999_999] {
                let bomb: Vec<u8> = unit.bytes().cycle().take(size).collect();
                for result in [parse(&bomb).err(), Info::parse(&bomb, &limits()).err()] {
                    let Some(MetainfoError::Bencode(error)) = result else {
                        panic!("{unit} was accepted");
                    };
                    assert_eq!(error.kind, DecodeErrorKind::TooDeep);
                }
            }
        }
    };
    #[expect(clippy::disallowed_types, reason = "recursion shows on a small stack")]
    let small = std::thread::Builder::new().stack_size(256 * 1024);
    small.spawn(bombs).unwrap().join().unwrap();
}
