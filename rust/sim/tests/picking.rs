//! What is requested from which peer, over many seeds: rarest first, the end game, snubbed
//! peers, deadlines, super-seeding.

mod support;

use std::cell::Cell;

use support::{PIECE, complete, millis, payload, seconds};
use torrent_core::ids::PieceIndex;
use torrent_core::torrent::Modes;
use torrent_sim::{Link, NodeId, NodeSpec, Payload, Swarm, each_seed};

fn link(rate: u64) -> Link {
    Link {
        rate,
        ..Link::default()
    }
}

/// A seed and so many leechers that know each other.
fn crowd(seed: u64, leechers: usize, source: NodeSpec) -> (Swarm, NodeId, Vec<NodeId>) {
    let mut swarm = Swarm::new(seed, payload(seed), link(256 * 1024));
    let source = swarm.add(source);
    let leechers = (0..leechers)
        .map(|_| swarm.add(NodeSpec::leecher()))
        .collect();
    swarm.introduce_all();
    (swarm, source, leechers)
}

#[test]
fn the_rarest_pieces_come_first_and_spread_evenly() {
    each_seed(1000..1004, |seed| {
        let source = NodeSpec::seed().set(|it| {
            it.unchoke_slots_limit = 2;
            // It is to choose which peer to serve.
            it.allowed_fast_set_size = 0;
        });
        let (mut swarm, source, leechers) = crowd(seed, 19, source);
        let blocks = swarm
            .payload()
            .layout()
            .payload_length()
            .div_ceil(16 * 1024);
        let pieces = swarm.payload().num_pieces();
        let sent = move |swarm: &Swarm| swarm.counters(source).served.values().sum::<u32>();
        // By the time that it sent twice what there is, no piece is missing.
        let enough = swarm.run_until(seconds(300), |swarm| {
            u64::from(sent(swarm)) >= 2 * blocks
                || swarm.counters(source).served.len() as u32 == pieces
        });
        assert!(enough);
        let served = swarm.counters(source).served;
        assert_eq!(served.len() as u32, pieces, "pieces never sent");
        complete(&mut swarm, &leechers, 900);
        let most = u64::from(sent(&swarm));
        assert!(
            most < 19 * blocks / 2,
            "the seed sent {most} of {}",
            19 * blocks
        );
    });
}

#[test]
fn twenty_nodes_tell_the_same_story_twice() {
    let story = |seed| {
        let (mut swarm, _, leechers) = crowd(seed, 19, NodeSpec::seed());
        complete(&mut swarm, &leechers, 900);
        swarm.log().to_owned()
    };
    each_seed(1100..1101, |seed| {
        assert!(story(seed) == story(seed), "two runs differ");
    });
}

#[test]
fn the_end_game_wastes_little() {
    let (wasted, fetched) = (Cell::new(0), Cell::new(0));
    each_seed(1200..1206, |seed| {
        let payload = Payload::new(seed, PIECE, &[12 << 20]);
        let mut swarm = Swarm::new(seed, payload, link(1 << 20));
        let leecher = swarm.add(NodeSpec::leecher());
        for rate in [64 * 1024, 256 * 1024, 1 << 20, 2 << 20] {
            let source = swarm.add(NodeSpec::seed());
            swarm.set_link(leecher, source, link(rate));
            swarm.connect(leecher, source);
        }
        complete(&mut swarm, &[leecher], 120);
        wasted.set(wasted.get() + swarm.redundant_bytes(leecher));
        fetched.set(fetched.get() + (12 << 20));
    });
    let (wasted, fetched) = (wasted.get(), fetched.get());
    assert!(
        wasted * 100 <= fetched * 4,
        "{wasted} of {fetched} bytes came twice"
    );
}

#[test]
fn a_peer_that_falls_silent_does_not_hold_up_the_end() {
    each_seed(1300..1312, |seed| {
        let mut swarm = Swarm::new(seed, payload(seed), link(128 * 1024));
        let leecher = swarm.add(NodeSpec::leecher());
        let silent = swarm.add(NodeSpec::seed());
        let source = swarm.add(NodeSpec::seed());
        swarm.connect(leecher, silent);
        swarm.connect(leecher, source);
        swarm.at(seconds(2), move |swarm| {
            swarm.partition(&[leecher], &[silent], seconds(3600));
        });
        // All of it takes one peer ten seconds; the end game needs no timeout.
        complete(&mut swarm, &[leecher], 20);
    });
}

#[test]
fn blocks_of_a_silent_peer_are_asked_of_others_in_time() {
    each_seed(1400..1408, |seed| {
        let mut swarm = Swarm::new(seed, payload(seed), link(16 * 1024));
        let leecher = swarm.add(NodeSpec::leecher());
        let silent = swarm.add(NodeSpec::seed());
        // It alone has the first half, until another comes much later.
        let pieces = swarm.payload().num_pieces();
        let half = swarm.add(NodeSpec::with_pieces(pieces / 2..pieces));
        swarm.connect(leecher, silent);
        swarm.connect(leecher, half);
        swarm.at(seconds(5), move |swarm| {
            swarm.partition(&[leecher], &[silent], seconds(100));
        });
        swarm.run_until(seconds(40), |_| false);
        let snubbed: u32 = swarm
            .picker(leecher)
            .partial_pieces()
            .map(|piece| piece.requested())
            .sum();
        assert!(snubbed <= 8, "{snubbed} blocks are still asked of somebody");
        complete(&mut swarm, &[leecher], 400);
    });
}

#[test]
fn deadlines_are_met_in_order_beside_a_slow_peer() {
    each_seed(1500..1506, |seed| {
        let payload = Payload::new(seed, PIECE, &[12 << 20]);
        let mut swarm = Swarm::new(seed, payload, link(1 << 20));
        let leecher = swarm.add(NodeSpec::leecher());
        let slow = swarm.add(NodeSpec::seed());
        let fast = swarm.add(NodeSpec::seed());
        swarm.set_link(leecher, slow, link(20 * 1024));
        swarm.connect(leecher, slow);
        swarm.connect(leecher, fast);
        swarm.run_for(millis(2500));
        let picker = swarm.picker(leecher);
        let begun: Vec<u32> = picker.partial_pieces().map(|it| it.piece.0).collect();
        let wished: Vec<u32> = (0..swarm.payload().num_pieces())
            .rev()
            .filter(|&piece| !picker.we_have(PieceIndex(piece)) && !begun.contains(&piece))
            .take(12)
            .collect();
        for (at, &piece) in wished.iter().enumerate() {
            swarm.set_deadline(leecher, piece, millis(500 + 200 * at as u64));
        }
        complete(&mut swarm, &[leecher], 120);
        let order: Vec<u32> = swarm
            .log()
            .lines()
            .filter_map(|line| line.split_once("deadline of ")?.1.split(' ').next())
            .filter_map(|piece| piece.parse().ok())
            .collect();
        assert_eq!(order.len(), 12);
        // Neighbours may swap: their blocks are on their way together.
        let moved = |piece: &u32| {
            let at = |list: &[u32]| list.iter().position(|it| it == piece).unwrap_or(0);
            at(&order).abs_diff(at(&wished))
        };
        assert!(
            order.iter().all(|piece| moved(piece) <= 2),
            "{order:?} of {wished:?}"
        );
    });
}

#[test]
fn a_super_seed_sends_every_piece_about_once() {
    each_seed(1600..1606, |seed| {
        let modes = Modes {
            super_seeding: true,
            ..Modes::default()
        };
        let mut swarm = Swarm::new(seed, payload(seed), link(256 * 1024));
        let source = swarm.add(NodeSpec::seed());
        swarm.set_modes(source, modes);
        let leechers: Vec<NodeId> = (0..6).map(|_| swarm.add(NodeSpec::leecher())).collect();
        swarm.introduce_all();
        complete(&mut swarm, &leechers, 900);
        let sent: u32 = swarm.counters(source).served.values().sum();
        let blocks = swarm
            .payload()
            .layout()
            .payload_length()
            .div_ceil(16 * 1024);
        assert!(
            u64::from(sent) * 10 <= blocks * 15,
            "{sent} blocks sent of {blocks}"
        );
    });
}
