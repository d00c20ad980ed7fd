//! Whole swarms: every peer gets everything, and the same seed gives the same
//! story.

mod support;

use rand::SeedableRng;
use rand::rngs::StdRng;
use support::{complete, finish, millis, payload, seconds};
use torrent_sim::{Link, NodeId, NodeSpec, Swarm, each_seed};

/// A seed and two leechers, over any links.
fn three(seed: u64) -> (Swarm, [NodeId; 3]) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut swarm = Swarm::new(seed, payload(seed), Link::any(&mut rng));
    let nodes = [
        swarm.add(NodeSpec::seed()),
        swarm.add(NodeSpec::leecher()),
        swarm.add(NodeSpec::leecher()),
    ];
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        swarm.set_link(nodes[one], nodes[other], Link::any(&mut rng));
    }
    swarm.introduce_all();
    (swarm, nodes)
}

#[test]
fn three_engines_complete_over_any_links() {
    each_seed(0..24, |seed| {
        let (mut swarm, nodes) = three(seed);
        complete(&mut swarm, &nodes, 900);
    });
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let story = |seed| {
        let (mut swarm, nodes) = three(seed);
        complete(&mut swarm, &nodes, 900);
        swarm.log().to_owned()
    };
    each_seed(100..103, |seed| {
        let first = story(seed);
        assert!(first.lines().count() > 100);
        assert!(first == story(seed), "two runs differ");
        assert!(first != story(seed + 1000), "two seeds agree");
    });
}

#[test]
fn halves_are_traded() {
    each_seed(200..212, |seed| {
        let mut swarm = Swarm::new(seed, payload(seed), Link::default());
        let pieces = swarm.payload().num_pieces();
        let one = swarm.add(NodeSpec::with_pieces(0..pieces / 2));
        let other = swarm.add(NodeSpec::with_pieces(pieces / 2..pieces));
        swarm.introduce_all();
        complete(&mut swarm, &[one, other], 60);
        // Each half went over once: no piece was fetched by who had it.
        assert_eq!(
            swarm.counters(one).served.keys().copied().max(),
            Some(pieces / 2 - 1)
        );
        assert_eq!(
            swarm.counters(other).served.keys().copied().min(),
            Some(pieces / 2)
        );
    });
}

#[test]
fn connections_that_break_come_back() {
    each_seed(300..312, |seed| {
        let link = Link {
            rate: 256 * 1024,
            reset: 0.002,
            loss: 0.02,
            ..Link::default()
        };
        let mut swarm = Swarm::new(seed, payload(seed), link);
        let source = swarm.add(NodeSpec::seed());
        let leechers = [
            swarm.add(NodeSpec::leecher()),
            swarm.add(NodeSpec::leecher()),
        ];
        swarm.introduce_all();
        for (at, leecher) in [(1500, leechers[0]), (2500, leechers[1])] {
            swarm.at(millis(at), move |swarm| swarm.reset(source, leecher));
        }
        complete(&mut swarm, &leechers, 3600);
        assert!(swarm.counters(source).failed_connections >= 2);
        assert!(swarm.counters(leechers[0]).connections >= 2);
    });
}

#[test]
fn a_partition_is_survived() {
    each_seed(400..408, |seed| {
        let link = Link {
            rate: 24 * 1024,
            ..Link::default()
        };
        let mut swarm = Swarm::new(seed, payload(seed), link);
        let source = swarm.add(NodeSpec::seed());
        let leechers = [
            swarm.add(NodeSpec::leecher()),
            swarm.add(NodeSpec::leecher()),
        ];
        swarm.introduce_all();
        // A short one stalls connections, a long one ends them.
        swarm.at(seconds(2), move |swarm| {
            swarm.partition(&[source], &leechers, seconds(20));
        });
        swarm.at(seconds(24), move |swarm| {
            swarm.partition(&[source], &leechers, seconds(300));
        });
        complete(&mut swarm, &leechers, 1200);
        assert!(swarm.now() > seconds(324));
    });
}

#[test]
fn nobody_starves_at_a_seed_with_two_slots() {
    each_seed(500..506, |seed| {
        let link = Link {
            rate: 64 * 1024,
            ..Link::default()
        };
        let mut swarm = Swarm::new(seed, payload(seed), link);
        let one_at_a_time = |settings: &mut torrent_core::settings::Settings| {
            settings.unchoke_slots_limit = 2;
            settings.seeding_piece_quota = 2;
        };
        let source = swarm.add(NodeSpec::seed().set(one_at_a_time));
        // They know the seed only, and do not give to each other.
        let mean = |settings: &mut torrent_core::settings::Settings| {
            settings.unchoke_slots_limit = 0;
        };
        let leechers: Vec<NodeId> = (0..5)
            .map(|_| swarm.add(NodeSpec::leecher().set(mean)))
            .collect();
        for &leecher in &leechers {
            swarm.connect(leecher, source);
        }
        let everybody = leechers.clone();
        let begun = swarm.run_until(seconds(400), |swarm| {
            everybody
                .iter()
                .all(|&node| swarm.picker(node).num_have() > 0)
        });
        assert!(begun, "somebody got nothing in 400 s");
        complete(&mut swarm, &leechers, 3600);
    });
}

#[test]
fn five_leechers_help_each_other() {
    each_seed(600..604, |seed| {
        let link = Link {
            rate: 64 * 1024,
            ..Link::default()
        };
        let mut swarm = Swarm::new(seed, payload(seed), link);
        let source = swarm.add(NodeSpec::seed().set(|it| it.unchoke_slots_limit = 2));
        let leechers: Vec<NodeId> = (0..5).map(|_| swarm.add(NodeSpec::leecher())).collect();
        swarm.introduce_all();
        complete(&mut swarm, &leechers, 600);
        let blocks = |node: NodeId| swarm.counters(node).served.values().sum::<u32>();
        assert!(leechers.iter().any(|&node| blocks(node) > 0));
        assert!(
            blocks(source) < 5 * 74,
            "the seed did not have to send everything"
        );
    });
}

#[test]
fn unwanted_pieces_are_never_asked_for() {
    each_seed(700..708, |seed| {
        let mut swarm = Swarm::new(seed, payload(seed), Link::default());
        let source = swarm.add(NodeSpec::seed());
        let leecher = swarm.add(NodeSpec::leecher());
        let wanted = |piece: u32| piece.is_multiple_of(3);
        swarm.set_priorities(leecher, move |piece| level(wanted(piece)));
        swarm.introduce_all();
        finish(&mut swarm, &[leecher], 60);
        let served = swarm.counters(source).served;
        assert!(served.keys().all(|&piece| wanted(piece)));
        assert!(!swarm.picker(leecher).is_seed());
        // Wanted after all.
        swarm.run_for(seconds(5));
        swarm.set_priorities(leecher, |_| level(true));
        complete(&mut swarm, &[leecher], 200);
        assert_eq!(swarm.counters(leecher).finished, 2);
    });
}

fn level(wanted: bool) -> torrent_core::picker::Priority {
    use torrent_core::picker::Priority;
    if wanted {
        Priority::NORMAL
    } else {
        Priority::SKIP
    }
}

#[test]
fn what_is_no_longer_wanted_is_no_longer_asked_for() {
    each_seed(800..808, |seed| {
        let link = Link {
            rate: 64 * 1024,
            ..Link::default()
        };
        let mut swarm = Swarm::new(seed, payload(seed), link);
        let source = swarm.add(NodeSpec::seed());
        let leecher = swarm.add(NodeSpec::leecher());
        swarm.introduce_all();
        swarm.run_for(seconds(4));
        swarm.set_priorities(leecher, |piece| level(piece < 6));
        swarm.run_for(seconds(1));
        let before = swarm.counters(source).served;
        finish(&mut swarm, &[leecher], 100);
        swarm.run_for(seconds(10));
        let after = swarm.counters(source).served;
        for piece in 6..swarm.payload().num_pieces() {
            assert_eq!(before.get(&piece), after.get(&piece), "piece {piece}");
        }
    });
}

#[test]
fn a_pause_stops_everything_and_ends_at_once() {
    each_seed(900..908, |seed| {
        let link = Link {
            rate: 128 * 1024,
            ..Link::default()
        };
        let mut swarm = Swarm::new(seed, payload(seed), link);
        let source = swarm.add(NodeSpec::seed());
        let leecher = swarm.add(NodeSpec::leecher());
        swarm.introduce_all();
        swarm.run_for(seconds(3));
        swarm.pause(leecher);
        swarm.run_for(seconds(2));
        assert_eq!(swarm.num_connections(leecher), 0);
        assert_eq!(swarm.num_connections(source), 0);
        let had = swarm.picker(leecher).num_have();
        swarm.run_for(seconds(600));
        assert_eq!(swarm.picker(leecher).num_have(), had);
        assert_eq!(swarm.num_connections(leecher), 0);
        swarm.resume(leecher);
        // Again, before the connection is gone.
        swarm.run_for(millis(500));
        swarm.pause(leecher);
        swarm.resume(leecher);
        let again = swarm.now();
        complete(&mut swarm, &[leecher], 3600);
        assert!(
            swarm.now() < again + seconds(30),
            "{:?}",
            swarm.now() - again
        );
    });
}
