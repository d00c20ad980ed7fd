//! Swarms in which something is broken: bytes, disks, files.

mod support;

use support::{PIECE, complete, millis, payload, seconds};
use torrent_sim::{DiskSpec, Link, NodeSpec, Swarm, each_seed};

#[test]
fn bad_bytes_are_noticed_and_fetched_again() {
    each_seed(0..12, |seed| {
        let link = Link {
            rate: 256 * 1024,
            ..Link::default()
        };
        let mut swarm = Swarm::new(seed, payload(seed), link);
        let liar = DiskSpec {
            corrupt_reads: 0.2,
            ..DiskSpec::default()
        };
        let bad = swarm.add(NodeSpec::seed().disk(liar));
        let good = swarm.add(NodeSpec::seed());
        let leechers = [
            swarm.add(NodeSpec::leecher()),
            swarm.add(NodeSpec::leecher()),
        ];
        for leecher in leechers {
            swarm.connect(leecher, bad);
            swarm.at(seconds(2), move |swarm| swarm.connect(leecher, good));
        }
        complete(&mut swarm, &leechers, 600);
        let failures: u32 = leechers
            .iter()
            .map(|&leecher| swarm.counters(leecher).hash_failures)
            .sum();
        let noted = swarm.log().matches("hash of").count();
        assert_eq!(failures as usize, noted);
        assert!(failures > 0, "nothing was corrupt");
    });
}

#[test]
fn one_liar_is_banned_and_no_honest_peer_is() {
    each_seed(20..40, |seed| {
        let link = Link {
            rate: 128 * 1024,
            ..Link::default()
        };
        let mut swarm = Swarm::new(seed, payload(seed), link);
        // From a wrong byte in every block to a rare one.
        let liar = DiskSpec {
            corrupt_reads: [1.0, 0.5, 0.2, 0.05][(seed % 4) as usize],
            ..DiskSpec::default()
        };
        let leecher = swarm.add(NodeSpec::leecher());
        let bad = swarm.add(NodeSpec::seed().disk(liar));
        let honest: Vec<_> = (0..5).map(|_| swarm.add(NodeSpec::seed())).collect();
        swarm.connect(leecher, bad);
        for other in honest {
            swarm.connect(leecher, other);
        }
        complete(&mut swarm, &[leecher], 600);
        let counters = swarm.counters(leecher);
        let guilty = swarm.address(bad);
        assert!(counters.bans.iter().all(|&ip| ip == guilty), "{counters:?}");
        assert!(counters.bans.len() == 1 || counters.hash_failures == 0);
        // It comes back, and is not let in.
        swarm.connect(bad, leecher);
        swarm.run_for(seconds(30));
        assert!(counters.bans.is_empty() || swarm.num_connections(bad) == 0);
    });
}

#[test]
fn a_swarm_of_liars_ends_in_quiet() {
    each_seed(50..56, |seed| {
        let mut swarm = Swarm::new(seed, payload(seed), Link::default());
        let liar = DiskSpec {
            corrupt_reads: 1.0,
            ..DiskSpec::default()
        };
        let leecher = swarm.add(NodeSpec::leecher());
        for _ in 0..4 {
            swarm.add(NodeSpec::seed().disk(liar));
        }
        swarm.introduce_all();
        swarm.run_for(seconds(120));
        assert_eq!(swarm.counters(leecher).bans.len(), 4);
        assert_eq!(swarm.picker(leecher).num_have(), 0);
        let (events, failures) = (swarm.events(), swarm.counters(leecher).hash_failures);
        swarm.run_for(seconds(600));
        assert_eq!(swarm.counters(leecher).hash_failures, failures);
        // Five brains that look around twice a second, and little else.
        assert!(swarm.events() - events < 600 * 2 * 5 * 4);
    });
}

#[test]
fn memory_that_spoils_blocks_is_survived_while_there_are_peers_to_blame() {
    each_seed(100..106, |seed| {
        let mut swarm = Swarm::new(seed, payload(seed), Link::default());
        for _ in 0..12 {
            swarm.add(NodeSpec::seed());
        }
        let spoiling = DiskSpec {
            corrupt_writes: 0.01,
            ..DiskSpec::default()
        };
        let leecher = swarm.add(NodeSpec::leecher().disk(spoiling));
        swarm.introduce_all();
        complete(&mut swarm, &[leecher], 600);
    });
}

#[test]
fn pieces_that_could_not_be_written_come_again() {
    each_seed(200..212, |seed| {
        let link = Link {
            rate: 256 * 1024,
            ..Link::default()
        };
        let mut swarm = Swarm::new(seed, payload(seed), link);
        let source = swarm.add(NodeSpec::seed());
        let leecher = swarm.add(NodeSpec::leecher());
        let other = swarm.add(NodeSpec::leecher());
        swarm.introduce_all();
        swarm.at(seconds(1), move |swarm| swarm.fail_writes(leecher, 2));
        let failed = swarm.run_until(seconds(60), |swarm| swarm.has_failed(leecher));
        assert!(failed);
        // Nothing new is fetched, but what is there is served.
        swarm.run_for(seconds(10));
        let had = swarm.picker(leecher).num_have();
        let asked = swarm.counters(source).served;
        swarm.run_for(seconds(30));
        assert_eq!(swarm.picker(leecher).num_have(), had);
        assert!(swarm.num_connections(leecher) > 0);
        complete(&mut swarm, &[other], 200);
        assert!(asked.values().sum::<u32>() > 0);
        // The second failure, if it did not come at once, comes after this.
        for at in [50, 60, 70] {
            let at = swarm.now() + seconds(at);
            swarm.at(at, move |swarm| swarm.clear_error(leecher));
        }
        complete(&mut swarm, &[leecher], 1200);
        assert_eq!(swarm.counters(leecher).write_failures, 2);
    });
}

#[test]
fn a_check_in_the_middle_of_a_transfer_loses_nothing() {
    each_seed(300..324, |seed| {
        let link = Link {
            rate: 256 * 1024,
            ..Link::default()
        };
        let mut swarm = Swarm::new(seed, payload(seed), link);
        swarm.add(NodeSpec::seed());
        let leecher = swarm.add(NodeSpec::leecher());
        swarm.introduce_all();
        swarm.at(millis(1500 + 37 * (seed % 24)), move |swarm| {
            swarm.recheck(leecher);
        });
        complete(&mut swarm, &[leecher], 30);
        assert_eq!(swarm.counters(leecher).finished, 1);
    });
}

#[test]
fn a_check_finds_damage_and_it_is_repaired() {
    each_seed(400..404, |seed| {
        let mut swarm = Swarm::new(seed, payload(seed), Link::default());
        swarm.add(NodeSpec::seed());
        let leecher = swarm.add(NodeSpec::leecher());
        swarm.introduce_all();
        complete(&mut swarm, &[leecher], 60);
        swarm.damage(leecher, 3);
        swarm.recheck(leecher);
        swarm.run_until(swarm.now() + seconds(5), |swarm| {
            !swarm.all_finished(&[leecher])
        });
        complete(&mut swarm, &[leecher], 120);
        assert!(swarm.payload().num_pieces() * PIECE > 1_200_000);
        assert_eq!(swarm.counters(leecher).finished, 2);
    });
}
