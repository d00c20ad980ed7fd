//! Which peers a seed serves, and which ones a full torrent closes, over time.

mod support;

use support::{PIECE, complete, seconds};
use torrent_core::settings::Settings;
use torrent_sim::{Link, NodeId, NodeSpec, Payload, Swarm, each_seed};

/// Much more than any peer takes in a test that does not end with it.
fn large(seed: u64) -> Payload {
    Payload::new(seed, PIECE, &[256 * u64::from(PIECE)])
}

/// Gives nothing away.
fn mean(settings: &mut Settings) {
    settings.unchoke_slots_limit = 0;
}

/// A seed with these settings, and leechers that know it alone; links of so
/// many bytes a second to it, and pieces that they have at first.
fn seeding(
    seed: u64,
    settings: impl FnOnce(&mut Settings),
    leechers: &[(u64, u32)],
) -> (Swarm, Vec<NodeId>) {
    let mut swarm = Swarm::new(seed, large(seed), Link::default());
    let source = swarm.add(NodeSpec::seed().set(|it| {
        it.num_optimistic_unchoke_slots = 1;
        it.unchoke_interval = 5;
        it.optimistic_unchoke_interval = 10;
        settings(it);
    }));
    let leechers: Vec<NodeId> = leechers
        .iter()
        .map(|&(rate, pieces)| {
            let leecher = swarm.add(NodeSpec::with_pieces(0..pieces).set(mean));
            let link = Link {
                rate,
                ..Link::default()
            };
            swarm.set_link(source, leecher, link);
            swarm.connect(leecher, source);
            leecher
        })
        .collect();
    (swarm, leechers)
}

/// How many pieces each has, beyond those that it had at first.
fn gains(swarm: &Swarm, leechers: &[NodeId], had: &[(u64, u32)]) -> Vec<u32> {
    let now = leechers.iter().map(|&it| swarm.picker(it).num_have());
    now.zip(had).map(|(now, &(_, had))| now - had).collect()
}

#[test]
fn round_robin_gives_everybody_a_turn_whatever_its_line() {
    each_seed(700..706, |seed| {
        let peers = [(20_000, 0), (40_000, 0), (40_000, 0), (80_000, 0)];
        let (mut swarm, leechers) = seeding(
            seed,
            |it| {
                it.unchoke_slots_limit = 2;
                it.seeding_piece_quota = 4;
            },
            &peers,
        );
        // Turns last a minute at least.
        swarm.run_for(seconds(600));
        let gains = gains(&swarm, &leechers, &peers);
        // Time is shared out evenly: the faster have more of it in the end,
        // but by their lines alone.
        let times: Vec<u64> = gains
            .iter()
            .zip(peers)
            .map(|(&pieces, (rate, _))| u64::from(pieces) * u64::from(PIECE) / rate)
            .collect();
        let (least, most) = (times.iter().min().unwrap(), times.iter().max().unwrap());
        assert!(*least * 3 >= *most && *least > 60, "{gains:?}: {times:?} s");
    });
}

#[test]
fn the_fastest_are_served_most_and_nobody_starves() {
    each_seed(710..716, |seed| {
        let peers = [
            (20_000, 0),
            (20_000, 0),
            (20_000, 0),
            (120_000, 0),
            (120_000, 0),
        ];
        let (mut swarm, leechers) = seeding(
            seed,
            |it| {
                it.unchoke_slots_limit = 3;
                it.seed_choking_algorithm = 1;
            },
            &peers,
        );
        // No peer is known to be fast before it had a turn.
        swarm.run_for(seconds(60));
        let before = gains(&swarm, &leechers, &peers);
        swarm.run_for(seconds(60));
        let after = gains(&swarm, &leechers, &peers);
        let taken: Vec<u32> = after.iter().zip(&before).map(|(a, b)| a - b).collect();
        // What two fast lines carry in a minute is 219 pieces, or all that is left.
        for (at, &fast) in after.iter().enumerate().skip(3) {
            assert!(fast >= 100, "{at}: {before:?} {after:?}");
        }
        // The optimistic slot goes round among the others.
        assert!(after[..3].iter().all(|&slow| slow > 0), "{after:?}");
        assert!(taken[..3].iter().sum::<u32>() <= 60, "{taken:?}");
    });
}

#[test]
fn anti_leech_serves_those_at_both_ends_first() {
    each_seed(720..726, |seed| {
        // Just begun, half way, nearly done.
        let peers = [
            (40_000, 0),
            (40_000, 120),
            (40_000, 128),
            (40_000, 136),
            (40_000, 200),
        ];
        let (mut swarm, leechers) = seeding(
            seed,
            |it| {
                it.unchoke_slots_limit = 3;
                it.seed_choking_algorithm = 2;
            },
            &peers,
        );
        swarm.run_for(seconds(60));
        let gains = gains(&swarm, &leechers, &peers);
        let (ends, middle) = (gains[0].min(gains[4]), &gains[1..4]);
        assert!(middle.iter().all(|&it| it < ends), "{gains:?}");
        assert!(ends >= 20, "{gains:?}");
        // They have the optimistic slot between them, and what was on its way
        // when it went on.
        assert!(middle.iter().sum::<u32>() < 2 * ends, "{gains:?}");
    });
}

#[test]
fn slots_by_rate_grow_until_the_line_is_full() {
    each_seed(730..734, |seed| {
        let peers = [(100_000, 0); 6];
        let (mut swarm, leechers) = seeding(
            seed,
            |it| {
                it.choking_algorithm = 2;
                it.unchoke_slots_limit = 1;
            },
            &peers,
        );
        swarm.run_for(seconds(120));
        let gains = gains(&swarm, &leechers, &peers);
        // Each takes far more than the steps by which slots are added.
        assert!(gains.iter().all(|&it| it > 30), "{gains:?}");
    });
}

#[test]
fn a_full_torrent_lets_go_of_those_it_gets_least_from() {
    each_seed(740..746, |seed| {
        let mut swarm = Swarm::new(seed, large(seed), Link::default());
        let limit = 8;
        let leecher = swarm.add(NodeSpec::leecher().set(|it| {
            it.connections_limit = limit;
            it.peer_turnover_interval = 30;
        }));
        let add = |swarm: &mut Swarm, rate| {
            let source = swarm.add(NodeSpec::seed());
            let link = Link {
                rate,
                ..Link::default()
            };
            swarm.set_link(leecher, source, link);
            source
        };
        let slow: Vec<NodeId> = (0..6).map(|_| add(&mut swarm, 1_000)).collect();
        let fast: Vec<NodeId> = (0..2).map(|_| add(&mut swarm, 10_000)).collect();
        for &source in slow.iter().chain(&fast) {
            swarm.connect(leecher, source);
        }
        let full = swarm.run_until(seconds(30), |swarm| {
            swarm.num_connections(leecher) == limit as usize
        });
        assert!(full, "{} connections", swarm.num_connections(leecher));
        swarm.run_for(seconds(60));
        // There are others to try now.
        let others: Vec<NodeId> = (0..6).map(|_| add(&mut swarm, 10_000)).collect();
        for &source in &others {
            swarm.connect(leecher, source);
        }
        swarm.run_for(seconds(20));
        assert_eq!(swarm.num_connections(leecher), limit as usize);
        // One each half a minute: four per cent of eight, and no less than one.
        swarm.run_for(seconds(190));
        // Not one of the fast ones went.
        for &source in &fast {
            assert_eq!(swarm.num_connections(source), 1, "a fast one went");
        }
        let poor = slow.iter().filter(|&&it| swarm.num_connections(it) > 0);
        // Some of those that went were called again when it was their turn.
        let poor = poor.count();
        assert!(poor <= 3, "{poor} slow ones are left");
        // One may be on its way.
        assert!(swarm.num_connections(leecher) + 1 >= limit as usize);
        assert!(swarm.counters(leecher).turned_over >= 5);
        complete(&mut swarm, &[leecher], 3600);
    });
}
