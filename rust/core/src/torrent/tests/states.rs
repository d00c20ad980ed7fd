//! The states of a torrent, from the check of its files to the seed, and its
//! totals.

use super::*;
use crate::peer::PeerStats;

#[test]
fn states_change_in_libtorrents_order() {
    let mut world = World::new("..");
    world.givers(&[('a', "xx")]);
    world.verified(&[0]);
    assert_eq!(world.events(), ["verified 0", "file 0"]);
    world.verified(&[0, 1]);
    assert_eq!(
        world.events(),
        ["verified 1", "file 1", "finished", "finished!", "seeding"]
    );
    let progress = |torrent: &Torrent| file_progress(torrent.layout(), torrent.picker().have());
    assert_eq!(progress(&world.torrent), [32_768, 32_768]);
    // A check of everything.
    world
        .torrent
        .checking(world.now(), TorrentState::CheckingFiles);
    assert_eq!(world.events(), ["checking_files"]);
    assert_eq!(progress(&world.torrent), [0, 0]);
    world.verified(&[1]);
    assert!(world.events().is_empty(), "news from before the check");
    world.torrent.checked(world.now(), &bits("x."));
    assert_eq!(world.events(), ["downloading"]);
    // One that finds everything.
    let mut world = World::unchecked(3, |_| {});
    world.torrent.checked(at(0), &bits("xxx"));
    assert_eq!(world.events(), ["finished", "finished!", "seeding"]);
}

#[test]
fn finished_is_not_seeding_and_ends_when_more_is_wanted() {
    let mut world = World::new("x.-");
    world.verified(&[1]);
    assert_eq!(world.events(), ["verified 1", "finished", "finished!"]);
    world.prioritize("x..");
    assert_eq!(world.events(), ["downloading"]);
    // Finished by wanting less.
    world.prioritize("x.-");
    assert_eq!(world.events(), ["finished", "finished!"]);
    // The remainder comes although it was not requested.
    world.verified(&[2]);
    assert_eq!(world.events(), ["verified 2", "file 1", "seeding"]);
}

#[test]
fn totals_are_sums_over_all_connections() {
    let mut world = World::new("..");
    world.givers(&[('a', "xx"), ('b', "xx")]);
    let stats = |received, payload_received| PeerStats {
        received,
        payload_received,
        redundant: 10,
        ..PeerStats::default()
    };
    world.say('a', |it| it.stats = stats(1000, 900));
    world.say('b', |it| it.stats = stats(500, 400));
    world.say('a', |it| it.stats = stats(1500, 1300));
    world.leave('a', false);
    world.say('a', |it| it.stats = stats(9999, 9999));
    let totals = world.torrent.totals();
    assert_eq!((totals.received, totals.payload_received), (2000, 1700));
    assert_eq!(totals.redundant, 20);
    assert_eq!(totals.rates.download.total(), 2000);
    world.failed(0, &[]);
    assert_eq!(world.torrent.totals().failed, u64::from(2 * BLOCK_SIZE));
}

#[test]
fn what_came_during_a_check_does_not_count() {
    let mut world = World::new("..");
    world.givers(&[('a', "xx"), ('b', "xx")]);
    world.want('a', 2);
    world.got('a', "0:0");
    world.out();
    world
        .torrent
        .checking(world.now(), TorrentState::CheckingFiles);
    assert_eq!(world.torrent.picker().done(), 0);
    // Both connections still have something to say.
    world.got('a', "0:1");
    world.torrent.checked(world.now(), &bits(".."));
    world.got('a', "1:0");
    world.got('b', "1:1");
    assert_eq!(world.torrent.picker().done(), 0);
    for peer in ['a', 'b'] {
        world.leave(peer, false);
    }
    world.givers(&[('a', "xx")]);
    world.want('a', 9);
    assert_eq!(world.leases(), ["a lease 0:0 0:1 1:0 1:1"]);
}
