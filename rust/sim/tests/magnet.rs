//! Torrents that begin with a hash: the metadata comes from peers, some of which
//! send wrong data for it (BEP 9).

mod support;

use support::{complete, millis, payload, seconds};
use torrent_sim::{Knows, Link, NodeId, NodeSpec, Swarm, each_seed};

/// The length of the true metadata.
const LENGTH: usize = 40_000;

#[test]
fn metadata_comes_from_several_peers_and_goes_on_to_others() {
    each_seed(0..8, |seed| {
        let mut swarm = Swarm::new(seed, payload(seed), Link::default());
        swarm.add(NodeSpec::seed());
        swarm.add(NodeSpec::seed());
        let late = [
            swarm.add(NodeSpec::leecher().knows(Knows::Hash)),
            swarm.add(NodeSpec::leecher().knows(Knows::Hash)),
        ];
        swarm.introduce_all();
        complete(&mut swarm, &late, 120);
        for node in late {
            assert_eq!(swarm.counters(node).metadata_failures, 0);
        }
    });
}

#[test]
fn one_who_got_the_metadata_late_gives_it_away() {
    each_seed(20..26, |seed| {
        let mut swarm = Swarm::new(seed, payload(seed), Link::default());
        let source = swarm.add(NodeSpec::seed());
        let first = swarm.add(NodeSpec::leecher().knows(Knows::Hash));
        let second = swarm.add(NodeSpec::leecher().knows(Knows::Hash));
        // The second one never meets the seed.
        swarm.connect(first, second);
        swarm.connect(first, source);
        complete(&mut swarm, &[first, second], 240);
    });
}

/// One correct peer gives the metadata within 15 seconds, and then everything.
fn fetched(swarm: &mut Swarm, late: NodeId) {
    let limit = swarm.now() + seconds(15);
    let known = |swarm: &Swarm| swarm.brain(late).has_metadata();
    assert!(swarm.run_until(limit, known), "no metadata in 15 s");
    complete(swarm, &[late], 300);
}

#[test]
fn liars_about_the_bytes_do_not_block_one_honest_peer() {
    each_seed(40..48, |seed| {
        let mut swarm = Swarm::new(seed, payload(seed), Link::default());
        for _ in 0..4 {
            swarm.add(NodeSpec::leecher().knows(Knows::Lie(LENGTH)));
        }
        swarm.add(NodeSpec::seed());
        let late = swarm.add(NodeSpec::leecher().knows(Knows::Hash));
        swarm.introduce_all();
        fetched(&mut swarm, late);
    });
}

#[test]
fn liars_about_the_size_do_not_block_one_honest_peer() {
    each_seed(60..68, |seed| {
        let mut swarm = Swarm::new(seed, payload(seed), Link::default());
        for length in [1, LENGTH - 1, LENGTH + 1, 16_000_000] {
            swarm.add(NodeSpec::leecher().knows(Knows::Lie(length)));
        }
        swarm.add(NodeSpec::seed());
        let late = swarm.add(NodeSpec::leecher().knows(Knows::Hash));
        swarm.introduce_all();
        fetched(&mut swarm, late);
    });
}

#[test]
fn liars_that_come_back_do_not_block_one_honest_peer() {
    each_seed(80..88, |seed| {
        let mut swarm = Swarm::new(seed, payload(seed), Link::default());
        let liars: Vec<NodeId> = [LENGTH, LENGTH, LENGTH, 16_000_000]
            .map(|length| swarm.add(NodeSpec::leecher().knows(Knows::Lie(length))))
            .into();
        let honest = swarm.add(NodeSpec::seed());
        let late = swarm.add(NodeSpec::leecher().knows(Knows::Hash));
        for round in 0..60 {
            for (at, liar) in (0..).zip(liars.clone()) {
                let time = millis(round * 250 + at * 31 + seed % 7);
                swarm.at(time, move |swarm| swarm.connect(liar, late));
            }
        }
        swarm.at(millis(700), move |swarm| swarm.connect(late, honest));
        fetched(&mut swarm, late);
    });
}
