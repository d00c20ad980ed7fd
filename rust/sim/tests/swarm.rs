//! Whole swarms: everybody gets everything, and the same seed gives the same
//! story.

use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use torrent_sim::{Link, NodeId, NodeSpec, Payload, Swarm, each_seed};

const PIECE: u32 = 64 * 1024;

/// A little more than a megabyte in two files, the last block short.
fn payload(seed: u64) -> Payload {
    Payload::new(seed, PIECE, &[700_001, 500_000])
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

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

fn complete(swarm: &mut Swarm, nodes: &[NodeId], limit: u64) {
    let done = swarm.run_until(seconds(limit), |swarm| swarm.all_finished(nodes));
    assert!(done, "not complete after {limit} s");
    for &node in nodes {
        assert!(swarm.picker(node).is_seed());
        assert!(swarm.payload_is_right(node));
    }
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
