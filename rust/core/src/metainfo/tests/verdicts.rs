//! What is read from good torrents, and why broken ones are refused.

use sha1::{Digest, Sha1};

use super::*;
use crate::bencode::DecodeErrorKind;
use crate::ids::FileIndex;
use crate::piece_hash::PieceHash;
use crate::settings::Settings;

#[test]
fn a_single_file_torrent_is_read() {
    let metainfo = parse(torrent(single())).unwrap();
    check_invariants(&metainfo);
    let info = &metainfo.info;
    assert_eq!((info.name.as_str(), info.is_multi_file()), ("file", false));
    assert_eq!(paths(&metainfo), ["file"]);
    assert_eq!(info.layout.num_pieces(), 3);
    assert_eq!(info.layout.file_pieces(FileIndex(0)), 0..3);
    assert_eq!(
        info.piece_hash(PieceIndex(2)),
        Some(PieceHash::Sha1([b'h'; 20]))
    );
    assert_eq!(info.piece_hash(PieceIndex(u32::MAX)), None);
    assert_eq!(info.hash().0, *Sha1::digest(dict(single()).encode()));
    assert!(!info.private && info.source.is_empty());
}

#[test]
fn a_multi_file_torrent_is_read() {
    let mut script = file(["bin", "run.sh"], 10);
    script.extend([("attr", "xh".into()), ("mtime", 1_700_000_000u32.into())]);
    script.push(("sha1", [7u8; 20].into()));
    let mut pad = file([".pad", "6384"], 6384);
    pad.push(("attr", "p".into()));
    let files = [file(["a"], 10_000), pad, script, file(["empty"], 0)];
    let info = with(multi(files, 16_394), "private", 1u32);
    let metainfo = parse(torrent(with(info, "source", "SRC"))).unwrap();
    check_invariants(&metainfo);
    let info = &metainfo.info;
    assert!(info.is_multi_file() && info.private);
    assert_eq!(info.source, "SRC");
    assert_eq!(
        paths(&metainfo),
        ["root/a", "root/.pad/6384", "root/bin/run.sh", "root/empty"]
    );
    let (pad, script) = (info.files.get(1).unwrap(), info.files.get(2).unwrap());
    assert!(pad.pad && !script.pad);
    assert_eq!((script.offset, script.length), (16_384, 10));
    assert!(script.executable && script.hidden && !pad.executable);
    assert_eq!(script.mtime, Some(1_700_000_000));
    assert_eq!(script.sha1, Some([7; 20]));
}

#[test]
fn what_stands_beside_the_info_dict_is_read() {
    let texts = |texts: &[&str]| texts.iter().copied().collect::<Item>();
    let outer = dict(vec![
        ("announce", "http://ignored.example/".into()),
        (
            "announce-list",
            Item::List(vec![
                texts(&[" http://a.example/", "gopher://x", "udp://b.example:1"]),
                texts(&["not a url"]),
                "no list".into(),
                texts(&["wss://c.example/"]),
            ]),
        ),
        ("comment", "old".into()),
        ("comment.utf-8", "nëw".into()),
        ("created by", Item::from(&b"L\xe4tin"[..])),
        ("creation date", 1_700_000_000u32.into()),
        ("httpseeds", texts(&["http://h.example/seed"])),
        (
            "info",
            dict(multi([file(["a"], 1), file(["b"], 1)], 2)).into(),
        ),
        (
            "nodes",
            raw("ll9:h.examplei6881eel1:xi0eel1:yi65536eel1:zel1:zi-1eee"),
        ),
        (
            "similar",
            Item::List(vec![[1u8; 20].into(), [1u8; 19].into(), 3u32.into()]),
        ),
        ("collections", texts(&["c"])),
        (
            "url-list",
            texts(&[
                "http://w.example/a b",
                "",
                "http://w.example/a b",
                "http://v.example/",
            ]),
        ),
    ]);
    let metainfo = parse(outer.encode()).unwrap();
    check_invariants(&metainfo);
    assert_eq!(
        metainfo.tiers,
        [
            vec!["http://a.example/", "udp://b.example:1"],
            vec!["wss://c.example/"]
        ]
    );
    assert_eq!(metainfo.comment, "nëw");
    // 0xe4 says that three bytes belong together.
    assert_eq!(metainfo.created_by, "L_n");
    assert_eq!(metainfo.creation_date, Some(1_700_000_000));
    assert_eq!(
        metainfo.url_seeds,
        ["http://w.example/a%20b/", "http://v.example/"]
    );
    assert_eq!(metainfo.http_seeds, ["http://h.example/seed"]);
    assert_eq!(metainfo.nodes, [("h.example".to_owned(), 6881)]);
    assert_eq!(metainfo.similar, [InfoHash([1; 20])]);
    assert_eq!(metainfo.collections, ["c"]);
    assert_eq!(
        metainfo.magnet().to_string(),
        format!(
            "magnet:?xt=urn:btih:{}&dn=root&tr=http%3a%2f%2fa.example%2f&tr=udp%3a%2f%2fb.example%3a1\
             &tr=wss%3a%2f%2fc.example%2f&ws=http%3a%2f%2fw.example%2fa%2520b%2f&ws=http%3a%2f%2fv.example%2f\
             &dht=h.example:6881",
            metainfo.info.hash()
        )
    );
}

#[test]
fn a_lone_announce_is_the_only_tier() {
    let info = dict(single());
    let outer = |pairs: Pairs| parse(dict(with(pairs, "info", info.clone())).encode()).unwrap();
    let url = "http://a.example/";
    assert_eq!(outer(vec![("announce", url.into())]).tiers, [[url]]);
    let useless = vec![
        ("announce", url.into()),
        ("announce-list", raw("ll3:badee")),
    ];
    assert_eq!(outer(useless).tiers, [[url]]);
    assert!(outer(vec![("announce", "bad".into())]).tiers.is_empty());
}

#[test]
fn the_sloppiness_of_old_files_is_read() {
    let pieces = "1".repeat(20);
    let sloppy = format!(
        "d4:infod4:name1:x6:lengthi05e12:piece lengthi1000e06:pieces20:{pieces}4:name1:yeejunk"
    );
    let metainfo = parse(&sloppy).unwrap();
    check_invariants(&metainfo);
    assert_eq!(
        (
            metainfo.info.name.as_str(),
            metainfo.info.layout.total_length()
        ),
        ("x", 5)
    );
    let strict = sloppy.replace("6:lengthi05e", "6:lengthi05e12:meta versioni1e");
    assert!(matches!(parse(strict), Err(MetainfoError::NotCanonical(_))));
    // A peer sends an info dict and nothing else.
    let trailing = [dict(single()).encode(), b"x".to_vec()].concat();
    let Err(MetainfoError::Bencode(error)) = Info::parse(&trailing, &limits()) else {
        panic!("trailing byte accepted");
    };
    assert_eq!(error.kind, DecodeErrorKind::TrailingBytes);
}

#[test]
fn versions_are_told_apart() {
    use MetainfoError::*;
    let tree = || raw("d4:filed0:d6:lengthi40000eeee");
    let version = |version: u32, info: Pairs| parse(torrent(with(info, "meta version", version)));
    assert!(version(1, single()).is_ok());
    assert_eq!(version(2, single()), Err(MissingFileTree));
    assert_eq!(version(3, single()), Err(UnknownVersion(3)));
    let hybrid = with(single(), "file tree", tree());
    assert_eq!(parse(torrent(hybrid.clone())), Err(MissingMetaVersion));
    check_invariants(&version(2, hybrid.clone()).unwrap());
    let odd = with(hybrid.clone(), "piece length", 16_385u32);
    assert_eq!(version(2, odd), Err(InvalidPieceLength));
    let v2 = without(without(hybrid, "length"), "pieces");
    let error = version(2, v2).unwrap_err();
    assert_eq!(error, UnsupportedVersion(2));
    assert!(error.to_string().contains("meta version 2"));
}

#[test]
fn broken_torrents_are_refused_by_name() {
    use MetainfoError::*;
    let one = |changed: Pairs| torrent(multi([changed], 1));
    let table: Vec<(Vec<u8>, MetainfoError)> = vec![
        (b"le".to_vec(), NotADict),
        (b"i1e".to_vec(), NotADict),
        (b"de".to_vec(), MissingInfo),
        (b"d4:infolee".to_vec(), MissingInfo),
        (
            b"d10:magnet-uri8:magnet:?e".to_vec(),
            MagnetInstead {
                uri: "magnet:?".into(),
            },
        ),
        (torrent(without(single(), "name")), MissingName),
        (torrent(with(single(), "name", "")), MissingName),
        (torrent(with(single(), "name", "..")), MissingName),
        (torrent(with(single(), "name", 1u32)), MissingName),
        (
            torrent(without(single(), "piece length")),
            InvalidPieceLength,
        ),
        (
            torrent(with(single(), "piece length", 0u32)),
            InvalidPieceLength,
        ),
        (
            torrent(with(single(), "piece length", -1i64)),
            InvalidPieceLength,
        ),
        (
            torrent(with(single(), "piece length", 536_854_529u32)),
            InvalidPieceLength,
        ),
        (
            torrent(with(single(), "piece length", (1i64 << 32) + 16_384)),
            InvalidPieceLength,
        ),
        (
            torrent(without(single(), "length")),
            InvalidLength { file: 0 },
        ),
        (
            torrent(with(single(), "length", -1i64)),
            InvalidLength { file: 0 },
        ),
        (
            torrent(with(single(), "length", "1")),
            InvalidLength { file: 0 },
        ),
        (
            torrent(with(single(), "length", 1i64 << 48)),
            InvalidLength { file: 0 },
        ),
        (
            torrent(with(single(), "length", raw("i9223372036854775808e"))),
            InvalidLength { file: 0 },
        ),
        (
            torrent(with(with(single(), "length", 0u32), "pieces", hashes(0))),
            Empty,
        ),
        (
            torrent(with(single(), "length", 0u32)),
            InvalidPieces {
                bytes: 60,
                expected: 0,
            },
        ),
        (torrent(without(single(), "pieces")), MissingPieces),
        (
            torrent(with(single(), "pieces", hashes(2))),
            InvalidPieces {
                bytes: 40,
                expected: 60,
            },
        ),
        (
            torrent(with(single(), "pieces", "x")),
            InvalidPieces {
                bytes: 1,
                expected: 60,
            },
        ),
        (torrent(multi([], 0)), NoFiles),
        (
            torrent(with(single(), "files", raw("li1ee"))),
            InvalidFile { file: 0 },
        ),
        (
            one(without(file(["a"], 1), "path")),
            MissingPath { file: 0 },
        ),
        (
            one(with(file(["a"], 1), "path", "a")),
            MissingPath { file: 0 },
        ),
        (
            one(with(file(["a"], 1), "path", raw("le"))),
            MissingPath { file: 0 },
        ),
        (
            one(with(file(["a"], 1), "path", raw("l1:ai1ee"))),
            InvalidPath { file: 0 },
        ),
        (
            torrent(multi([file(["a"], 1), file(vec!["d"; 101], 1)], 2)),
            DirectoryTooDeep { file: 1 },
        ),
    ];
    for (data, expected) in table {
        assert_eq!(parse(&data), Err(expected), "{}", data.escape_ascii());
    }
    check_invariants(&parse(torrent(multi([file(vec!["d"; 100], 1)], 1))).unwrap());
    let small = MetainfoLimits {
        bytes: 10,
        ..limits()
    };
    let error = Metainfo::parse_with(&torrent(single()), &small);
    assert!(matches!(error, Err(TooLarge { limit: 10, .. })));
}

#[test]
fn files_may_be_as_long_as_metadata_from_peers() {
    const LONGEST: usize = 30 << 20;
    let of_length = |length: usize| {
        let mut data = torrent(single());
        data.resize(length, b' ');
        Metainfo::parse(&data)
    };
    assert!(of_length(10_000_001).is_ok());
    assert!(of_length(LONGEST).is_ok());
    let limit = LONGEST;
    assert_eq!(
        of_length(LONGEST + 1).err(),
        Some(MetainfoError::TooLarge {
            bytes: LONGEST + 1,
            limit
        })
    );
    let settings = Settings {
        max_metadata_size: 1024,
        ..Settings::default()
    };
    assert_eq!(MetainfoLimits::of_files(&settings).bytes, 1024);
    assert_eq!(
        MetainfoLimits::of_files(&Settings::default()).bytes,
        LONGEST
    );
    for info in Settings::table() {
        let most = info.range.map(|range| *range.end() as usize);
        let widest = MetainfoLimits::widest();
        match info.name {
            "max_metadata_size" => assert_eq!(most, Some(widest.bytes)),
            "metadata_token_limit" => assert_eq!(most, Some(widest.tokens)),
            "max_piece_count" => assert_eq!(most, Some(widest.pieces as usize)),
            _ => {}
        }
    }
}
