//! A torrent that begins without its metadata.

use bytes::Bytes;
use sha1::{Digest, Sha1};

use super::*;
use crate::ext::{ExtendedHandshake, ExtensionIds};
use crate::ids::InfoHash;
use crate::peer::MetadataReply;

const INFO_DICT: &[u8] = b"what the hash stands for";

fn hash() -> InfoHash {
    InfoHash(Sha1::digest(INFO_DICT).into())
}

fn hello(metadata_size: Option<u32>) -> Option<Box<ExtendedHandshake>> {
    Some(Box::new(ExtendedHandshake {
        numbers: ExtensionIds {
            metadata: 9,
            ..ExtensionIds::default()
        },
        client: "Friend 1".to_owned(),
        metadata_size,
        ..ExtendedHandshake::default()
    }))
}
use crate::choker::ChokerSettings;

impl World {
    /// A running torrent of which only the hash is known.
    fn hash_only() -> Self {
        let settings = Arc::new(Settings {
            torrent_connect_boost: 0,
            ..Settings::default()
        });
        let mut torrent = Torrent::without_metadata(hash(), id(OUR_ID), settings, at(0));
        torrent.start(at(0));
        torrent.fetch_metadata(at(0));
        let choker = Choker::new(at(0), ChokerSettings::default());
        Self {
            millis: 0,
            torrent,
            choker,
            room: Room::Free,
        }
    }

    /// It turns out to have this many pieces of two blocks.
    fn learn(&mut self, pieces: u64) {
        let length = pieces * u64::from(2 * BLOCK_SIZE);
        let layout = Layout::new(2 * BLOCK_SIZE, [(length, false)]).unwrap();
        self.torrent.set_metadata(self.now(), Arc::new(layout), 1);
        self.torrent.check_invariants();
    }
}

#[test]
fn peers_are_connected_but_asked_for_nothing() {
    let mut world = World::hash_only();
    assert_eq!(world.events(), ["downloading_metadata"]);
    world
        .torrent
        .add_peers(at(0), [endpoint('a')], Sources::TRACKER);
    assert_eq!(world.out(), [format!("connect {}", endpoint('a'))]);
    world.join('a', false).unwrap();
    world.say('a', |it| {
        it.choked = Some(false);
        it.interested = Some(true);
        it.want = 10;
    });
    world.pass(60_000);
    assert_eq!(world.out(), ["a start 0"]);
    assert_eq!(world.torrent.state(), TorrentState::DownloadingMetadata);
    let peer = world.torrent.peers().next().unwrap().1;
    assert!(!peer.is_seed(), "of a torrent without pieces");
    world.leave('a', false);
    world.join('b', true).unwrap();
}

#[test]
fn connections_survive_the_arrival_of_metadata() {
    let mut world = World::hash_only();
    world.join('a', false).unwrap();
    world.say('a', |it| it.choked = Some(false));
    world.out();
    world.learn(2);
    assert_eq!(world.out(), ["a metadata of 2", "checking_resume_data"]);
    // The connection has judged what it knew; the check is not done.
    world.say('a', |it| it.pieces.bitfield = Some(bits("xx")));
    world
        .torrent
        .checking(world.now(), TorrentState::CheckingFiles);
    assert_eq!(world.out(), ["checking_files"]);
    world.torrent.checked(at(0), &bits("x."));
    world.torrent.check_invariants();
    assert_eq!(
        world.out(),
        ["downloading", "a have 0", "a interested true"]
    );
    world.want('a', 2);
    assert_eq!(world.out(), ["a lease 1:0 1:1"]);
    world.got('a', "1:0 1:1");
    world.verified(&[1]);
    assert!(world.out().contains(&"seeding".to_owned()));
}

#[test]
fn a_download_that_is_there_already_is_found() {
    let mut world = World::hash_only();
    world.learn(2);
    world.torrent.checked(at(0), &bits("xx"));
    let expected = ["downloading_metadata", "checking_resume_data", "finished"];
    assert_eq!(world.events()[..3], expected);
    assert_eq!(world.torrent.state(), TorrentState::Seeding);
}

#[test]
fn the_info_dict_is_asked_for_and_a_liar_is_closed() {
    let mut world = World::hash_only();
    world.join('a', false).unwrap();
    world.join('b', false).unwrap();
    world.out();
    let size = INFO_DICT.len() as u32;
    world.say('a', |it| it.extended.hello = hello(Some(size)));
    assert_eq!(world.out(), ["a ask for metadata 0"]);
    let answer = |data: &'static [u8]| {
        vec![MetadataReply {
            piece: 0,
            total_size: 0,
            data: Some(Bytes::from_static(data)),
        }]
    };
    world.say('a', |it| {
        it.extended.metadata = answer(b"what the hash sits down ")
    });
    let closed = "a close: the peer's metadata is false";
    assert_eq!(world.out(), ["metadata failed", closed]);
    world.say('b', |it| it.extended.hello = hello(Some(size)));
    assert_eq!(world.out(), ["b ask for metadata 0"]);
    world.say('b', |it| it.extended.metadata = answer(INFO_DICT));
    assert_eq!(world.out(), [format!("metadata of {size} bytes")]);
    world.pass(60_000);
    assert!(world.out().iter().all(|it| !it.contains("ask")), "found");
    let clients: Vec<String> = world
        .torrent
        .peers()
        .map(|it| it.1.client.to_string())
        .collect();
    assert_eq!(clients, ["Friend 1", "Friend 1"]);
}

#[test]
fn what_cannot_be_used_is_asked_for_again_when_told_so() {
    let mut world = World::hash_only();
    world.join('a', false).unwrap();
    let size = INFO_DICT.len() as u32;
    world.say('a', |it| it.extended.hello = hello(Some(size)));
    world.out();
    for _ in 0..3 {
        let reply = MetadataReply {
            piece: 0,
            total_size: size,
            data: Some(Bytes::from_static(INFO_DICT)),
        };
        world.say('a', |it| it.extended.metadata = vec![reply.clone()]);
        assert_eq!(world.out(), [format!("metadata of {size} bytes")]);
        // Once more is nothing new.
        world.say('a', |it| it.extended.metadata = vec![reply]);
        assert!(world.out().is_empty());
        let now = world.now();
        world.torrent.fetch_metadata(now);
        world.pass(1000);
        assert_eq!(world.out(), ["a ask for metadata 0"]);
    }
}

#[test]
fn a_size_that_no_torrent_has_closes_the_peer() {
    let mut world = World::hash_only();
    world.join('a', false).unwrap();
    world.out();
    world.say('a', |it| it.extended.hello = hello(Some(u32::MAX)));
    assert_eq!(world.out(), ["a close: the peer's metadata is false"]);
}

#[test]
fn pieces_that_peers_or_we_lose_are_known_to_be_gone() {
    let mut world = World::new("x..");
    world.peer('a', "xxx");
    world.out();
    world.say('a', |it| {
        it.pieces.dont_have = [PieceIndex(1), PieceIndex(1)].into()
    });
    assert_eq!(world.torrent.picker().availability(PieceIndex(1)), 0);
    world.say('a', |it| it.pieces.dont_have = [PieceIndex(2)].into());
    assert_eq!(world.out(), ["a interested false"]);
    world.torrent.piece_lost(at(0), PieceIndex(0));
    world.torrent.piece_lost(at(0), PieceIndex(2));
    world.torrent.check_invariants();
    assert_eq!(world.out(), ["a lost 0", "a interested true"]);
}

#[test]
fn allowed_pieces_are_fetched_in_spite_of_a_choke() {
    let mut world = World::new("...");
    world.peer('a', ".xx");
    world.out();
    world.want('a', 8);
    assert!(world.out().is_empty(), "choked");
    world.say('a', |it| {
        it.allowed_fast = Some([PieceIndex(0), PieceIndex(2)].into());
    });
    assert_eq!(world.out(), ["a lease 2:0 2:1"]);
}

#[test]
fn who_does_not_download_is_told_so_and_closed_when_useless() {
    let mut world = World::new("x.");
    world.peer('a', "..");
    world.peer('b', ".x");
    world.out();
    world.say('a', |it| it.extended.upload_only = Some(true));
    world.pass(1000);
    let out = world.out();
    let redundant = format!("a close: {}", CloseReason::Redundant);
    assert!(out.contains(&redundant), "{out:?}");
    world.verified(&[1]);
    let out = world.out();
    assert!(out.contains(&"b upload only true".to_owned()), "{out:?}");
}
