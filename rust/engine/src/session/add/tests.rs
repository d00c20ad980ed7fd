use std::path::Path;

use torrent_core::ids::PieceIndex;
use torrent_core::resume::{Allocation, Flags};
use torrent_core::value::{Fields, Value};

use super::*;
use crate::torrent::handle::resume::path_bytes;

/// Two files of one piece each.
fn torrent() -> Vec<u8> {
    let pieces = "x".repeat(40);
    format!(
        "d8:announce9:http://a/4:infod5:filesld6:lengthi16384e4:pathl1:aeed6:lengthi5e4:pathl1:beee\
         4:name1:n12:piece lengthi16384e6:pieces40:{pieces}e8:url-list9:http://w/e"
    )
    .into_bytes()
}

fn fields(more: &[(&'static str, Value)]) -> Fields {
    let mut fields: Fields = vec![
        ("torrent_data".into(), Value::Bytes(torrent().into())),
        ("save_path".into(), "/save".into()),
    ];
    fields.extend(
        more.iter()
            .map(|(name, value)| ((*name).into(), value.clone())),
    );
    fields
}

fn texts(texts: &[&'static str]) -> Value {
    Value::from(texts.to_vec())
}

fn map(entries: &[(&'static str, Value)]) -> Value {
    let entries = entries.iter().cloned();
    Value::Map(entries.map(|(name, value)| (name.into(), value)).collect())
}

fn added(more: &[(&'static str, Value)]) -> (AddTorrent, Options) {
    let mut add = AddTorrent::from_fields(&fields(more)).unwrap();
    add.check().unwrap();
    add.complete_source();
    let options = add.options().unwrap();
    (add, options)
}

fn refused(more: &[(&'static str, Value)]) -> Error {
    let given = fields(more);
    let read = AddTorrent::from_fields(&given);
    let checked = read.and_then(|add| add.check().and_then(|()| add.options()));
    checked.unwrap_err()
}

fn hash() -> InfoHash {
    Metainfo::parse(&torrent()).unwrap().info.hash()
}

#[test]
fn every_parameter_arrives() {
    let (add, options) = added(&[
        ("trackers", texts(&["http://b/", "http://a/"])),
        ("url_seeds", texts(&["http://w/", "http://v/"])),
        ("peers", texts(&["127.0.0.1:5", "[::1]:6"])),
        (
            "dht_nodes",
            Value::List(vec![
                "router.example:6881".into(),
                map(&[("host", "::1".into()), ("port", Value::Float(7.0))]),
            ]),
        ),
        (
            "file_priorities",
            Value::List(vec![Value::Int(0), Value::Float(7.0)]),
        ),
        ("piece_priorities", Value::Bytes(vec![3].into())),
        ("renamed_files", map(&[("1", "c".into())])),
        (
            "flags",
            texts(&["paused", "sequential_download", "disable_pex"]),
        ),
        ("apply_ip_filter", false.into()),
        ("no_verify_files", true.into()),
        ("max_connections", 9.into()),
        ("max_uploads", Value::Int(-1)),
        ("download_limit", Value::Int(-1)),
        ("upload_limit", 1000.into()),
        ("storage_mode", "allocate".into()),
        ("part_file_dir", "parts/here".into()),
        ("name", Value::Null),
    ]);
    assert_eq!(*options.trackers, [vec!["http://a/"], vec!["http://b/"]]);
    let TorrentSource::File(metainfo) = &add.source else {
        panic!("no torrent file");
    };
    assert_eq!(metainfo.url_seeds, ["http://w/", "http://v/"]);
    assert_eq!(
        metainfo.nodes,
        [("router.example".to_owned(), 6881), ("::1".to_owned(), 7)]
    );
    let peers: Vec<_> = add.peers.iter().map(ToString::to_string).collect();
    assert_eq!(peers, ["127.0.0.1:5", "[::1]:6"]);
    assert_eq!(*options.file_priorities, [0, 7]);
    assert_eq!(*options.piece_priorities, [3, 7]);
    assert_eq!(options.renamed_files[&FileIndex(1)], "c");
    assert!(options.plain.paused && options.plain.sequential && !add.verify_files);
    assert!(!options.plain.apply_ip_filter);
    assert_eq!(
        options.plain.discovery,
        Discovery {
            pex: false,
            ..Discovery::default()
        }
    );
    assert_eq!(
        (options.plain.max_connections, options.plain.max_uploads),
        (9, -1)
    );
    assert_eq!(
        (options.plain.download_limit, options.plain.upload_limit),
        (0, 1000)
    );
    assert_eq!(options.plain.storage_mode, StorageMode::Allocate);
    assert_eq!(*options.part_file_dir, *Path::new("parts/here"));
}

#[test]
fn the_part_file_stays_below_the_save_path() {
    for path in ["/tmp", "../out", "a/../..", "a/./../b"] {
        let mut add = AddTorrent::from_info_hash(InfoHash([7; 20]), "/save");
        add.part_file_dir = path.into();
        let error = add.check().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidPath, "{path}");
        assert!(error.to_string().contains("part_file_dir"), "{error}");
        // A record that says so does not justify an error.
        let record = ResumeData {
            hashes: Some(InfoHash([7; 20]).into()),
            part_file_dir: path.as_bytes().to_vec(),
            ..ResumeData::default()
        };
        let add = AddTorrent::from_info_hash(InfoHash([7; 20]), "/save");
        let add = add.with_resume(record).unwrap();
        assert_eq!(add.part_file_dir, Path::new(""));
    }
}

#[test]
fn what_is_unknown_or_wrong_is_named() {
    for (name, value) in [
        ("no_such", Value::Bool(true)),
        ("no_such", Value::Int(1)),
        ("save_path", Value::Int(5)),
        ("torrent_data", "text".into()),
        ("resume_data", "text".into()),
        ("paused", "yes".into()),
        ("paused", Value::Int(1)),
        ("flags", "paused".into()),
        ("flags", texts(&["no_flag"])),
        ("trackers", Value::List(vec![Value::Int(5)])),
        (
            "trackers",
            Value::List(vec![map(&[("tier", Value::Int(0))])]),
        ),
        ("peers", texts(&["localhost:5"])),
        ("peers", texts(&["127.0.0.1:0"])),
        ("peers", texts(&["10.0.0.1:6881", "224.0.0.1:5"])),
        ("peers", texts(&["0.0.0.0:5"])),
        ("dht_nodes", texts(&["host"])),
        ("renamed_files", map(&[("first", "c".into())])),
        ("file_priorities", texts(&["4"])),
        ("file_priorities", Value::List(vec![Value::Float(0.5)])),
        ("max_uploads", Value::Int(-2)),
        ("upload_limit", Value::Int(1 << 40)),
        ("storage_mode", "compact".into()),
        ("name", Value::Int(1)),
        ("magnet_uri", "magnet:?".into()),
    ] {
        let error = refused(&[(name, value.clone())]);
        assert_eq!(error.kind(), ErrorKind::InvalidParameter, "{name}: {error}");
        let named = error.to_string();
        assert!(
            named.contains(name) || named.contains("no_flag") || named.contains(":5"),
            "{name}: {named}"
        );
        let by_check = matches!(&value, Value::List(peers) if name == "peers" && peers.len() == 2)
            || value == texts(&["0.0.0.0:5"]);
        if name != "magnet_uri" && !by_check {
            assert!(
                AddTorrent::check_fields(&fields(&[(name, value)])).is_err(),
                "{name}"
            );
        }
    }
    AddTorrent::check_fields(&fields(&[("paused", true.into())])).unwrap();
}

#[test]
fn values_that_do_not_go_with_the_torrent_are_refused() {
    let eight = Value::List(vec![Value::Int(8)]);
    for (name, value, kind) in [
        ("save_path", "".into(), ErrorKind::EmptySavePath),
        ("trackers", texts(&["ftp://a/"]), ErrorKind::InvalidUrl),
        ("url_seeds", texts(&["ftp://a/"]), ErrorKind::InvalidUrl),
        ("file_priorities", eight.clone(), ErrorKind::InvalidPriority),
        ("piece_priorities", eight, ErrorKind::InvalidPriority),
        (
            "file_priorities",
            Value::Bytes(vec![4; 3].into()),
            ErrorKind::InvalidFileIndex,
        ),
        (
            "piece_priorities",
            Value::Bytes(vec![4; 3].into()),
            ErrorKind::InvalidPieceIndex,
        ),
        (
            "renamed_files",
            map(&[("2", "x".into())]),
            ErrorKind::InvalidFileIndex,
        ),
        (
            "renamed_files",
            map(&[("1", "../x".into())]),
            ErrorKind::InvalidPath,
        ),
        (
            "max_connections",
            Value::Int(1),
            ErrorKind::InvalidParameter,
        ),
    ] {
        assert_eq!(refused(&[(name, value)]).kind(), kind, "{name}");
    }
}

#[test]
fn files_that_no_torrent_has_are_refused_before_it_is_known_which_it_has() {
    let add = || AddTorrent::from_info_hash(hash(), "/save");
    let renamed = |file| {
        let mut add = add();
        add.renamed_files.insert(FileIndex(file), "x".to_owned());
        add.check()
    };
    renamed(MAX_FILES as u32 - 1).unwrap();
    for file in [MAX_FILES as u32, 4_000_000_000] {
        let error = renamed(file).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidFileIndex);
        assert!(error.to_string().contains(&file.to_string()), "{error}");
    }
    let mut add = add();
    add.file_priorities = vec![1; MAX_FILES];
    add.check().unwrap();
    add.file_priorities.push(1);
    let error = add.check().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidFileIndex);
}

#[test]
fn trackers_come_in_tiers() {
    let tier = |url: &'static str, tier| map(&[("url", url.into()), ("tier", Value::Int(tier))]);
    let given = Value::List(vec![
        tier("http://c/", 4),
        tier("http://b/", 1),
        tier("http://d/", 4),
    ]);
    let (_, options) = added(&[("trackers", given)]);
    assert_eq!(
        *options.trackers,
        [
            vec!["http://a/"],
            vec!["http://b/"],
            vec!["http://c/", "http://d/"]
        ]
    );
    let given = Value::List(vec![texts(&["http://b/", "http://c/"])]);
    let (_, options) = added(&[("trackers", given)]);
    assert_eq!(options.trackers[1], ["http://b/", "http://c/"]);
}

#[test]
fn files_can_be_unwanted_unless_named() {
    let (_, options) = added(&[
        ("default_dont_download", true.into()),
        ("file_priorities", Value::List(vec![Value::Int(4)])),
    ]);
    assert_eq!(*options.file_priorities, [4, 0]);
    let given: Fields = vec![
        ("info_hash".into(), hash().to_string().into()),
        ("save_path".into(), "/save".into()),
        ("name".into(), "shown".into()),
        ("default_dont_download".into(), true.into()),
    ];
    let mut add = AddTorrent::from_fields(&given).unwrap();
    add.complete_source();
    let TorrentSource::Magnet(magnet) = &add.source else {
        panic!("no link");
    };
    assert_eq!(magnet.name, "shown");
    assert_eq!(magnet.file_priorities(2), [0, 0]);
}

fn record() -> ResumeData {
    ResumeData {
        hashes: Some(hash().into()),
        save_path: path_bytes("/recorded".as_ref()),
        upload_limit: Some(7),
        download_limit: Some(8),
        file_priorities: vec![0, 4],
        piece_priorities: vec![5, 6],
        renamed_files: [(1, b"c"), (2, b"d")]
            .map(|(file, name)| (FileIndex(file), name.to_vec()))
            .into(),
        url_seeds: Some(vec!["http://r/".to_owned()]),
        flags: Flags {
            sequential_download: Some(true),
            apply_ip_filter: Some(false),
            disable_dht: Some(true),
            ..Flags::default()
        },
        ..ResumeData::default()
    }
}

#[test]
fn resume_data_gives_way_to_what_is_said() {
    let data = Value::Bytes(record().encode().into());
    let (add, options) = added(&[("resume_data", data.clone()), ("upload_limit", 9.into())]);
    assert_eq!(add.save_path, PathBuf::from("/save"));
    assert_eq!(
        (options.plain.upload_limit, options.plain.download_limit),
        (9, 8)
    );
    assert!(
        options.plain.sequential && !options.plain.apply_ip_filter && !options.plain.discovery.dht
    );
    assert_eq!(*options.file_priorities, [0, 4]);
    assert_eq!(*options.piece_priorities, [5, 6]);
    let renamed = BTreeMap::clone(&options.renamed_files)
        .into_iter()
        .collect::<Vec<_>>();
    assert_eq!(renamed, [(FileIndex(1), "c".to_owned())]);
    let TorrentSource::File(metainfo) = &add.source else {
        panic!("no torrent file");
    };
    assert_eq!(metainfo.url_seeds, ["http://r/"]);

    let files = Value::List(vec![Value::Int(1)]);
    let (_, options) = added(&[("file_priorities", files), ("resume_data", data.clone())]);
    assert_eq!(
        *options.piece_priorities,
        [1, 4],
        "those of the record followed from other files"
    );

    let alone: Fields = vec![("resume_data".into(), data)];
    let add = AddTorrent::from_fields(&alone).unwrap();
    assert_eq!(add.save_path, PathBuf::from("/recorded"));
    assert_eq!(add.source.hashes().v1(), Some(hash()));
    let none = AddTorrent::from_fields(&vec![("save_path".into(), "/save".into())]);
    assert!(none.unwrap_err().to_string().contains("'torrent_data'"));
}

/// What a record decides of a torrent that is on or off, by name.
fn switches(add: &AddTorrent) -> Vec<(&'static str, bool)> {
    let (modes, discovery) = (&add.modes, &add.discovery);
    vec![
        ("auto_managed", add.auto_managed),
        ("paused", add.paused),
        ("sequential", add.sequential),
        ("apply_ip_filter", add.apply_ip_filter),
        ("upload_mode", modes.upload_mode),
        ("share_mode", modes.share_mode),
        ("super_seeding", modes.super_seeding),
        ("stop_when_ready", modes.stop_when_ready),
        ("dht", discovery.dht),
        ("lsd", discovery.lsd),
        ("pex", discovery.pex),
        ("seed_mode", add.seed_mode),
        ("sparse", add.storage_mode == StorageMode::Sparse),
    ]
}

fn resumed(change: impl FnOnce(&mut ResumeData)) -> AddTorrent {
    let mut record = ResumeData {
        hashes: Some(hash().into()),
        ..ResumeData::default()
    };
    change(&mut record);
    let add = AddTorrent::from_data(&torrent(), "/save").unwrap();
    add.with_resume(record).unwrap()
}

/// The switches that a record turns.
fn turned(change: impl FnOnce(&mut ResumeData)) -> Vec<(&'static str, bool)> {
    let (before, mut after) = (switches(&resumed(|_| {})), switches(&resumed(change)));
    after.retain(|it| !before.contains(it));
    after
}

#[test]
fn each_word_of_a_record_arrives_alone() {
    let before = switches(&resumed(|_| {}));
    let on = before.iter().filter(|it| it.1).map(|it| it.0);
    let on: Vec<_> = on.collect();
    assert_eq!(on, ["apply_ip_filter", "dht", "lsd", "pex", "sparse"]);
    type Word = fn(&mut ResumeData);
    let words: [(Word, (&str, bool)); 12] = [
        (
            |it| it.flags.sequential_download = Some(true),
            ("sequential", true),
        ),
        (
            |it| it.flags.apply_ip_filter = Some(false),
            ("apply_ip_filter", false),
        ),
        (
            |it| it.flags.upload_mode = Some(true),
            ("upload_mode", true),
        ),
        (|it| it.flags.share_mode = Some(true), ("share_mode", true)),
        (
            |it| it.flags.super_seeding = Some(true),
            ("super_seeding", true),
        ),
        (
            |it| it.flags.stop_when_ready = Some(true),
            ("stop_when_ready", true),
        ),
        (|it| it.flags.disable_dht = Some(true), ("dht", false)),
        (|it| it.flags.disable_lsd = Some(true), ("lsd", false)),
        (|it| it.flags.disable_pex = Some(true), ("pex", false)),
        (|it| it.flags.seed_mode = Some(true), ("seed_mode", true)),
        (|it| it.allocation = Allocation::Full, ("sparse", false)),
        (|it| it.flags.auto_managed = Some(false), ("paused", true)),
    ];
    for (word, expected) in words {
        assert_eq!(turned(word), [expected]);
    }
    // Paused counts where the record says who decides about it.
    assert_eq!(turned(|it| it.flags.paused = Some(true)), []);
    let both = |auto, paused| {
        turned(|it| {
            it.flags.auto_managed = Some(auto);
            it.flags.paused = Some(paused);
        })
    };
    assert_eq!(both(true, false), [("auto_managed", true)]);
    assert_eq!(both(false, false), []);
    assert_eq!(both(false, true), [("paused", true)]);
    assert_eq!(both(true, true), [("auto_managed", true), ("paused", true)]);
}

#[test]
fn a_record_with_bad_places_claims_nothing() {
    let full = |it: &mut ResumeData| {
        it.flags.seed_mode = Some(true);
        it.flags.sequential_download = Some(true);
        it.total_downloaded = 9;
        it.pieces = vec![0xc0];
        it.verified = vec![0xc0];
        it.unfinished = [(PieceIndex(0), vec![0x80])].into();
        it.file_stats = vec![None, None];
        it.part_file_dir = b"parts".to_vec();
        it.renamed_files = [(FileIndex(0), b"c".to_vec())].into();
    };
    let good = resumed(full);
    assert!(good.rejected.is_none() && good.seed_mode);
    assert_eq!(good.part_file_dir, Path::new("parts"));
    assert_eq!(good.renamed_files, [(FileIndex(0), "c".to_owned())].into());
    let kept = good.resume.unwrap();
    assert!(!kept.pieces.is_empty() && !kept.verified.is_empty());
    assert!(!kept.unfinished.is_empty() && !kept.file_stats.is_empty());

    type Place = fn(&mut ResumeData);
    let places: [Place; 4] = [
        |it| it.part_file_dir = b"../parts".to_vec(),
        // Where a file of the torrent is.
        |it| it.part_file_dir = b"n/b".to_vec(),
        |it| it.renamed_files = [(FileIndex(0), b"../c".to_vec())].into(),
        |it| it.renamed_files = [(FileIndex(0), b"n/b".to_vec())].into(),
    ];
    for place in places {
        let add = resumed(|it| {
            full(it);
            place(it);
        });
        assert!(add.rejected.is_some() && !add.seed_mode);
        assert!(add.renamed_files.is_empty());
        assert_eq!(add.part_file_dir, Path::new(""));
        let record = add.resume.unwrap();
        assert!(record.pieces.is_empty() && record.verified.is_empty());
        assert!(record.unfinished.is_empty() && record.file_stats.is_empty());
        // What it says of anything else is as true as before.
        assert!(add.sequential && record.total_downloaded == 9);
    }
}

#[test]
fn a_record_of_another_torrent_is_refused() {
    for hashes in [None, Some(InfoHash([7; 20]).into())] {
        let record = ResumeData {
            hashes,
            ..ResumeData::default()
        };
        let add = AddTorrent::from_data(&torrent(), "/save").unwrap();
        add.with_resume(record).unwrap_err();
    }
}

#[test]
fn what_has_no_effect_is_named() {
    let (add, _) = added(&[]);
    assert!(add.without_effect().is_empty());
    let (add, _) = added(&[
        ("url_seeds", texts(&["http://v/"])),
        ("dht_nodes", texts(&["router.example:6881"])),
        ("name", "other".into()),
        ("share_mode", true.into()),
        ("file_priorities", Value::List(vec![Value::Int(4)])),
    ]);
    let notes = add.without_effect();
    let names = notes.iter().map(|note| note.split(':').next().unwrap());
    let names: Vec<_> = names.collect();
    assert_eq!(names, ["url_seeds", "dht_nodes", "name", "file_priorities"]);
    let mut record = record();
    record.file_priorities = vec![4; 5];
    let data = Value::Bytes(record.encode().into());
    let notes = added(&[("resume_data", data)]).0.without_effect();
    assert_eq!(notes.len(), 1, "{notes:?}");
}
