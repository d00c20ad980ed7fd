//! A torrent that begins without its metadata.

use super::*;
use crate::choker::ChokerSettings;

impl World {
    /// A running torrent of which only the hash is known.
    fn hash_only() -> Self {
        let settings = Arc::new(Settings::default());
        let mut torrent = Torrent::without_metadata(id(OUR_ID), settings, at(0));
        torrent.start(at(0));
        torrent.fetch_metadata(at(0));
        let choker = Choker::new(ChokerSettings::default());
        Self {
            millis: 0,
            torrent,
            choker,
        }
    }

    /// It turns out to have this many pieces of two blocks.
    fn learn(&mut self, pieces: u64) {
        let length = pieces * u64::from(2 * BLOCK_SIZE);
        let layout = Layout::new(2 * BLOCK_SIZE, [(length, false)]).unwrap();
        self.torrent.set_metadata(Arc::new(layout), 1);
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
    world.say('a', |it| it.bitfield = Some(bits("xx")));
    world.torrent.checking(TorrentState::CheckingFiles);
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
