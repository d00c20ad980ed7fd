use proptest::prelude::*;

use super::*;
use crate::metainfo::PathPolicy;

fn entry(path: &str, length: u64) -> CreateEntry {
    CreateEntry {
        path: path.split('/').map(str::to_owned).collect(),
        length,
        ..CreateEntry::default()
    }
}

fn link(path: &str, target: &str) -> CreateEntry {
    CreateEntry {
        symlink: Some(target.split('/').map(str::to_owned).collect()),
        ..entry(path, 0)
    }
}

fn builder(entries: impl IntoIterator<Item = CreateEntry>) -> TorrentBuilder {
    TorrentBuilder {
        entries: entries.into_iter().collect(),
        ..TorrentBuilder::default()
    }
}

fn finish(builder: TorrentBuilder) -> Vec<u8> {
    let plan = builder.plan().unwrap();
    let hashes = vec![[b'h'; 20]; plan.layout().num_pieces() as usize];
    plan.finish(&hashes).unwrap()
}

#[test]
fn a_single_file_becomes_the_smallest_torrent() {
    let data = finish(builder([entry("file", 5)]));
    assert_eq!(
        String::from_utf8(data).unwrap(),
        "d4:infod6:lengthi5e4:name4:file12:piece lengthi16384e6:pieces20:hhhhhhhhhhhhhhhhhhhhee"
    );
}

#[test]
fn every_option_has_its_place() {
    let texts = |texts: &[&str]| {
        texts
            .iter()
            .map(|&text| text.to_owned())
            .collect::<Vec<_>>()
    };
    let script = CreateEntry {
        mtime: Some(1_700_000_000),
        executable: true,
        hidden: true,
        ..entry("dir/sub/run", 3)
    };
    let data = finish(TorrentBuilder {
        piece_size: 32 * 1024,
        comment: "text".into(),
        creator: "me".into(),
        creation_date: Some(1),
        private: true,
        source: "S".into(),
        trackers: vec![
            ("http://b/".into(), 7),
            ("http://a/".into(), 1),
            ("http://c/".into(), 7),
            ("http://a/".into(), 7),
        ],
        url_seeds: texts(&["http://w/"]),
        http_seeds: texts(&["http://h/"]),
        nodes: vec![("n".into(), 6881)],
        similar: vec![InfoHash([b's'; 20])],
        collections: texts(&["c"]),
        ..builder([entry("dir/a", 1), script, link("dir/l", "sub/run")])
    });
    assert_eq!(
        String::from_utf8(data).unwrap(),
        "d8:announce9:http://a/13:announce-listll9:http://a/el9:http://b/9:http://c/ee\
         7:comment4:text10:created by2:me13:creation datei1e9:httpseedsl9:http://h/e\
         4:infod11:collectionsl1:ce5:filesld6:lengthi1e4:pathl1:aee\
         d4:attr2:hx6:lengthi3e5:mtimei1700000000e4:pathl3:sub3:runee\
         d4:attr1:l6:lengthi0e4:pathl1:le12:symlink pathl3:sub3:runeee\
         4:name3:dir12:piece lengthi32768e6:pieces20:hhhhhhhhhhhhhhhhhhhh\
         7:privatei1e7:similarl20:sssssssssssssssssssse6:source1:Se\
         5:nodesll1:ni6881eee8:url-list9:http://w/e"
    );
}

#[test]
fn one_file_in_a_folder_keeps_the_folder_and_a_name_replaces_it() {
    let read = |builder: TorrentBuilder| Metainfo::parse(&finish(builder)).unwrap().info;
    let info = read(builder([entry("dir/a", 1)]));
    assert!(info.is_multi_file() && info.files.path(0) == "dir/a");
    let renamed = |path: &str| TorrentBuilder {
        name: Some("new".into()),
        ..builder([entry(path, 1)])
    };
    assert_eq!(read(renamed("dir/a")).files.path(0), "new/a");
    let single = read(renamed("a"));
    assert!(!single.is_multi_file() && single.files.path(0) == "new");
}

#[test]
fn piece_sizes_follow_the_total() {
    let table = [
        (1, 16 << 10),
        (2_684_355, 16 << 10),
        (2_684_356, 32 << 10),
        (687_194_767, 256 << 10),
        (687_194_768, 512 << 10),
        (703_687_441_777, 8 << 20),
        (703_687_441_778, 16 << 20),
        (u64::MAX, 16 << 20),
    ];
    for (total, expected) in table {
        assert_eq!(automatic_piece_size(total), expected, "{total}");
    }
    let plan = |piece_size| {
        let sized = TorrentBuilder {
            piece_size,
            ..builder([entry("a", 100_000)])
        };
        sized.plan().map(|plan| plan.layout().num_pieces())
    };
    assert_eq!(plan(1024), Ok(98));
    assert_eq!(plan(3 * 16_384), Ok(3));
    assert_eq!(plan(128 << 20), Ok(1));
    for bad in [1000, 16_385, (128 << 20) + 16_384] {
        assert_eq!(plan(bad), Err(CreateError::InvalidPieceSize(bad)));
    }
}

#[test]
fn what_nobody_could_read_is_refused() {
    use CreateError::*;
    let clash = |path: &str| NameClash { path: path.into() };
    let outside = |path: &str| NotInFolder { path: path.into() };
    let becomes = |path: &str, instead: &str| UnsafeName {
        path: path.into(),
        instead: instead.into(),
    };
    let long = format!("d/{}", "x".repeat(260));
    let table = [
        (builder([]), NoFiles),
        (builder([entry("a", 0)]), Invalid(MetainfoError::Empty)),
        (builder([link("a", "b")]), Invalid(MetainfoError::Empty)),
        (builder([entry("", 1)]), Invalid(MetainfoError::MissingName)),
        (
            builder([entry("..", 1)]),
            Invalid(MetainfoError::MissingName),
        ),
        (
            builder([CreateEntry {
                length: 1,
                ..CreateEntry::default()
            }]),
            outside(""),
        ),
        (builder([entry("d/a", 1), entry("e/b", 1)]), outside("e/b")),
        (builder([entry("d/a", 1), entry("d", 1)]), outside("d")),
        (builder([entry("d/..", 1)]), becomes("d/..", "d/_")),
        (builder([entry("../a", 1)]), becomes("../a", "d")),
        (builder([entry("d//a", 1)]), becomes("d//a", "d/_/a")),
        (builder([entry("d/a\\b", 1)]), becomes("d/a\\b", "d/ab")),
        (builder([entry("d/a\n", 1)]), becomes("d/a\n", "d/a_")),
        (builder([entry(&long, 1)]), becomes(&long, &long[..242])),
        (
            builder([entry("d/_____padding_file_1", 1)]),
            becomes("d/_____padding_file_1", "padding that is not stored"),
        ),
        (builder([entry("d/a", 1), entry("d/a", 1)]), clash("d/a")),
        (builder([entry("d/a", 1), entry("d/A", 1)]), clash("d/A")),
        (builder([entry("d/a", 1), entry("d/a/b", 1)]), clash("d/a")),
        (
            builder([entry("d/a", 1), link("d/l", "nowhere")]),
            InvalidLink { path: "d/l".into() },
        ),
        (
            builder([entry("d/a", 1), link("d/l", "l")]),
            InvalidLink { path: "d/l".into() },
        ),
        (
            TorrentBuilder {
                trackers: vec![("example".into(), 0)],
                ..builder([entry("a", 1)])
            },
            InvalidTracker("example".into()),
        ),
        (
            TorrentBuilder {
                url_seeds: vec!["http://host/a b".into(), "udp://host:1/".into()],
                ..builder([entry("a", 1)])
            },
            InvalidWebSeed("udp://host:1/".into()),
        ),
        (
            TorrentBuilder {
                http_seeds: vec!["/a".into()],
                ..builder([entry("a", 1)])
            },
            InvalidWebSeed("/a".into()),
        ),
        (
            builder([entry("d/a", u64::MAX), entry("d/b", 1)]),
            OutOfRange("the total length"),
        ),
        (
            builder([entry("a", u64::MAX)]),
            OutOfRange("the length of a file"),
        ),
        (
            builder([entry("a", 1 << 46)]),
            Invalid(MetainfoError::TooManyPieces),
        ),
    ];
    for (builder, expected) in table {
        let paths = builder.entries.clone();
        match (builder.plan().unwrap_err(), expected) {
            // A hash stands for a root without a name.
            (UnsafeName { path, .. }, UnsafeName { path: wanted, .. }) if path == "../a" => {
                assert_eq!(path, wanted);
            }
            (error, expected) => assert_eq!(error, expected, "{paths:?}"),
        }
    }
}

#[test]
fn hashes_must_be_as_many_as_pieces() {
    let plan = builder([entry("a", 20_000)]).plan().unwrap();
    assert_eq!(plan.entries().len(), 1);
    assert_eq!(
        plan.finish(&[[0; 20]]),
        Err(CreateError::WrongHashCount {
            given: 1,
            expected: 2
        })
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_made_reads_back(
        files in prop::collection::btree_map("[a-c]{1,2}(/[d-f]{1,2}){0,2}", 0u64..200_000, 1..8),
        piece_size in prop::sample::select(vec![0u32, 16 << 10, 48 << 10, 1 << 20]),
        trackers in prop::collection::vec(("http://[a-d]/", 0u32..3), 0..6),
        comment in "\\PC{0,10}",
        private: bool,
    ) {
        let builder = TorrentBuilder {
            piece_size,
            trackers,
            comment,
            private,
            ..builder(files.iter().map(|(path, length)| entry(&format!("root/{path}"), *length)))
        };
        let Ok(plan) = builder.clone().plan() else { return Ok(()); };
        let pieces: Vec<[u8; 20]> = (0..plan.layout().num_pieces()).map(|at| [at as u8; 20]).collect();
        let data = plan.finish(&pieces).unwrap();
        let limits = MetainfoLimits { paths: PathPolicy::Posix, ..MetainfoLimits::default() };
        let metainfo = Metainfo::parse_with(&data, &limits).unwrap();
        let read = metainfo.info.files.iter().map(|file| (file.path, file.length));
        let asked = files.iter().map(|(path, length)| (format!("root/{path}"), *length));
        prop_assert_eq!(read.collect::<Vec<_>>(), asked.collect::<Vec<_>>());
        prop_assert_eq!(&metainfo.info.layout, plan.layout());
        prop_assert_eq!(metainfo.tiers, builder.tiers());
        prop_assert_eq!(&metainfo.comment, &builder.comment);
        prop_assert_eq!(metainfo.info.private, private);
        let last = metainfo.info.layout.num_pieces() - 1;
        let expected = crate::piece_hash::PieceHash::Sha1([last as u8; 20]);
        prop_assert_eq!(metainfo.info.piece_hash(crate::ids::PieceIndex(last)), Some(expected));
    }
}
