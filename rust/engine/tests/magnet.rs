//! Torrents that begin with a hash alone.

mod support;

use support::{Node, Payload, wait, wait_until};
use torrent_engine::core::ids::{FileIndex, InfoHash, InfoHashV2, InfoHashes, PieceIndex};
use torrent_engine::core::resume::ResumeData;
use torrent_engine::core::torrent::TorrentState;
use torrent_engine::core::value::Value;
use torrent_engine::error::ErrorKind;
use torrent_engine::event::{Event, EventBody, kind};
use torrent_engine::session::AddTorrent;
use torrent_engine::torrent::handle::TorrentHandle;
use torrent_engine::torrent::handle::resume::SaveFlags;

fn files() -> Payload {
    Payload::new(&[("a.bin", 300_001), ("deep/b.bin", 200_003)], 65_536, 3)
}

/// A seed that has checked its files.
fn seed(payload: &Payload) -> (Node, TorrentHandle) {
    let mut node = Node::new();
    payload.write(node.folder.path());
    let handle = node.add(&payload.torrent(None));
    node.wait(kind::TORRENT_CHECKED);
    wait_until("seeding", || handle.status().is_seeding);
    (node, handle)
}

fn info_dict(seed: &TorrentHandle) -> Vec<u8> {
    seed.metainfo().unwrap().info.raw.to_vec()
}

#[test]
fn the_metadata_can_come_after_the_peers() {
    let payload = files();
    let (seed, seeding) = seed(&payload);
    // It knows no more than we do. Once both have everything they part, unless
    // they are asked not to.
    let stay = [("close_redundant_connections", Value::Bool(false))];
    let mut other = Node::with(&stay);
    let add = AddTorrent::from_info_hash(seeding.info_hash(), other.folder.path());
    other.session.add_torrent(add).unwrap();
    let mut leech = Node::with(&stay);
    let uri = format!(
        "magnet:?xt=urn:btih:{}&dn=..%2f..%2fevil&x.pe={}&so=1",
        seeding.info_hash(),
        other.endpoint()
    );
    let mut add = AddTorrent::from_magnet(&uri, leech.folder.path()).unwrap();
    let names = [
        (1, "renamed.bin"),
        (2, "nothing.bin"),
        (999_999, "none.bin"),
    ];
    let names = names.map(|(file, name)| (FileIndex(file), name.to_owned()));
    add.renamed_files = names.into();
    let handle = leech.session.add_torrent(add).unwrap();
    other.wait(kind::PEER_CONNECT);
    leech.wait(kind::PEER_CONNECT);
    let status = handle.status();
    assert_eq!(status.state, TorrentState::DownloadingMetadata);
    assert_eq!((status.has_metadata, status.num_pieces), (false, 0));
    assert_eq!((status.progress, status.is_finished), (0.0, false));
    assert_eq!(handle.name(), "../../evil");
    assert!(handle.metainfo().is_none());
    let refused = |result: Result<(), _>| {
        let error: torrent_engine::error::Error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoMetadata);
    };
    refused(handle.have_piece(PieceIndex(0)).map(drop));
    refused(handle.read_piece(PieceIndex(0)));
    refused(handle.set_file_priority(FileIndex(0), 0));
    refused(handle.prioritize_pieces(&[1]));
    refused(handle.force_recheck());
    refused(handle.torrent_file_data().map(drop));

    let wrong = handle.set_metadata(
        b"d4:name1:x12:piece lengthi16384e6:lengthi1e6:pieces20:aaaaaaaaaaaaaaaaaaaae",
    );
    assert_eq!(wrong.unwrap_err().kind(), ErrorKind::TorrentInfoParseError);
    handle.set_metadata(&info_dict(&seeding)).unwrap();
    leech.wait(kind::METADATA_RECEIVED);
    assert_eq!(handle.name(), "payload");
    assert_eq!(handle.file_priorities(), [0, 4]);
    let renamed = handle.renamed_files().into_keys().collect::<Vec<_>>();
    assert_eq!(renamed, [FileIndex(1)], "others there are none of");
    other.wait(kind::METADATA_RECEIVED);
    handle.connect_peer(seed.endpoint()).unwrap();
    leech.wait(kind::TORRENT_FINISHED);
    let path = leech.folder.path().join("renamed.bin");
    assert!(std::fs::read(path).unwrap() == payload.files[1].1);
    handle.prioritize_files(&[4, 4]).unwrap();
    wait_until("seeding", || handle.status().is_seeding);
    let first = leech.folder.path().join("payload/a.bin");
    assert!(std::fs::read(first).unwrap() == payload.files[0].1);
    // The connection from before lives on.
    let ended = |event: &Event| event.kind() == kind::PEER_DISCONNECTED;
    assert!(!other.drain().iter().any(ended));
    assert_eq!(handle.torrent_file_data().unwrap(), payload.torrent(None));
}

#[test]
fn the_story_of_a_magnet_link_is_told_in_libtorrents_order() {
    let payload = files();
    let (_seed, seeding) = seed(&payload);
    let mut leech = Node::new();
    let add = AddTorrent::from_info_hash(seeding.info_hash(), leech.folder.path());
    let handle = leech.session.add_torrent(add).unwrap();
    handle.set_metadata(&info_dict(&seeding)).unwrap();
    leech.wait(kind::TORRENT_CHECKED);
    // What was waited for is taken out; everything else is there.
    let story: Vec<String> = leech
        .drain()
        .iter()
        .filter(|event| event.torrent.is_some())
        .map(|event| match event.body {
            EventBody::StateChanged(change) => change.state.name().to_owned(),
            _ => event.kind().name.to_owned(),
        })
        .filter(|line| line != "checking_files")
        .collect();
    let expected = [
        "downloading_metadata",
        "add_torrent",
        "metadata_received",
        "checking_resume_data",
        "downloading",
    ];
    assert_eq!(story, expected);
}

#[test]
fn a_version_2_link_is_refused_by_name() {
    let node = Node::new();
    let uri = format!("magnet:?xt=urn:btmh:1220{}", "0".repeat(64));
    let add = AddTorrent::from_magnet(&uri, node.folder.path()).unwrap();
    let error = node.session.add_torrent(add).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidMagnetUri);
    assert!(error.message().contains("version 2"), "{error}");
}

#[test]
fn a_tracker_that_there_is_not_cannot_be_removed() {
    let node = Node::new();
    let uri = format!(
        "magnet:?xt=urn:btih:{}&tr=udp://127.0.0.1:1/a",
        "01".repeat(20)
    );
    let add = AddTorrent::from_magnet(&uri, node.folder.path()).unwrap();
    let handle = node.session.add_torrent(add).unwrap();
    let other = handle.remove_tracker("udp://127.0.0.1:2/a").unwrap_err();
    assert_eq!(other.kind(), ErrorKind::InvalidUrl);
    assert!(other.to_string().contains("127.0.0.1:2"), "{other}");
    handle.remove_tracker("udp://127.0.0.1:1/a").unwrap();
    let again = handle.remove_tracker("udp://127.0.0.1:1/a").unwrap_err();
    assert_eq!(again.kind(), ErrorKind::InvalidUrl);
}

#[test]
fn a_torrent_without_metadata_stops_in_order() {
    let node = Node::new();
    let hash = seed(&files()).1.info_hash();
    let add = AddTorrent::from_info_hash(hash, node.folder.path());
    let handle = node.session.add_torrent(add).unwrap();
    handle.pause().unwrap();
    wait_until("paused", || handle.status().paused);
    handle.resume().unwrap();
    node.session.remove_torrent(&handle, true).unwrap();
    wait_until("gone", || node.session.find_torrent(hash).is_none());
    assert!(node.folder.path().read_dir().unwrap().next().is_none());
}

/// Which files there are comes out with the metadata, and so does what their
/// names are valid for.
#[test]
fn names_for_files_are_judged_when_the_files_are_known() {
    let payload = files();
    let (_seed, seeding) = seed(&payload);
    let taken = || [(FileIndex(0), "payload/deep/b.bin".to_owned())].into();

    // The game's are an error of the torrent.
    let mut leech = Node::new();
    let mut add = AddTorrent::from_info_hash(seeding.info_hash(), leech.folder.path());
    add.renamed_files = taken();
    let handle = leech.session.add_torrent(add).unwrap();
    handle.set_metadata(&info_dict(&seeding)).unwrap();
    leech.wait(kind::METADATA_FAILED);
    assert!(handle.status().error.contains("b.bin"));
    leech.session.remove_torrent(&handle, false).unwrap();
    leech.wait(kind::TORRENT_REMOVED);

    // A record's are not believed, nor is anything else in it.
    payload.write(leech.folder.path());
    let record = ResumeData {
        hashes: Some(seeding.hashes()),
        renamed_files: [(FileIndex(0), b"payload/deep/b.bin".to_vec())].into(),
        pieces: vec![0],
        ..ResumeData::default()
    };
    let add = AddTorrent::from_info_hash(seeding.info_hash(), leech.folder.path());
    let add = add.with_resume(record).unwrap();
    let handle = leech.session.add_torrent(add).unwrap();
    handle.set_metadata(&info_dict(&seeding)).unwrap();
    leech.wait(kind::FASTRESUME_REJECTED);
    wait_until("seeding", || handle.status().is_seeding);
    assert!(handle.renamed_files().is_empty());
}

/// A hybrid torrent has two names (BEP 52), and is one torrent by either.
#[test]
fn a_torrent_is_found_by_each_of_its_hashes() {
    let node = Node::new();
    let add = |uri: &str| {
        let add = AddTorrent::from_magnet(uri, node.folder.path()).unwrap();
        node.session.add_torrent(add).unwrap()
    };
    let (v1, v2) = (InfoHash([9; 20]), InfoHashV2([7; 32]));
    let both = format!("magnet:?xt=urn:btih:{v1}&xt=urn:btmh:1220{v2}");
    let hybrid = add(&both);
    assert_eq!(hybrid.hashes(), InfoHashes::Hybrid(v1, v2));
    assert_eq!(
        (hybrid.info_hash(), hybrid.torrent_ref().info_hash()),
        (v1, v1)
    );
    let find = |hashes: InfoHashes| node.session.find_torrent(hashes);
    let names: [InfoHashes; 4] = [
        v1.into(),
        v2.into(),
        v2.truncated().into(),
        InfoHashes::Hybrid(v1, v2),
    ];
    for name in names {
        assert_eq!(find(name).as_ref(), Some(&hybrid), "{name:?}");
    }
    // Only its first 20 bytes are the same.
    let mut other = v2;
    other.0[20] ^= 1;
    assert_eq!(find(other.into()), None);
    // The same torrent by one of its names.
    for uri in [
        format!("magnet:?xt=urn:btih:{v1}"),
        format!(
            "magnet:?xt=urn:btih:{}&xt=urn:btmh:1220{v2}",
            "08".repeat(20)
        ),
    ] {
        assert_eq!(add(&uri), hybrid, "{uri}");
    }
    let first = add(&format!("magnet:?xt=urn:btih:{}", "05".repeat(20)));
    let torrents = [first.clone(), hybrid.clone()];
    assert_eq!(
        node.session.torrents(),
        torrents,
        "in the order of the hashes"
    );

    // Both names are remembered.
    let record = wait(hybrid.save_resume_data_now(SaveFlags::default())).unwrap();
    let decoded = ResumeData::decode(&record).unwrap();
    assert_eq!(decoded.hashes, Some(InfoHashes::Hybrid(v1, v2)));
    node.session.remove_torrent(&hybrid, false).unwrap();
    for name in names {
        assert_eq!(find(name), None, "{name:?}");
    }
    let again = AddTorrent::from_info_hash(v1, node.folder.path());
    let again = again.with_resume_data(&record).unwrap();
    let again = node.session.add_torrent(again).unwrap();
    assert_eq!(again.hashes(), InfoHashes::Hybrid(v1, v2));
    assert_ne!(again.key(), hybrid.key());
    assert_eq!(find(v2.into()), Some(again));
}
