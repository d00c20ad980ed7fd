//! What the tests of swarms share.
#![allow(
    unreachable_pub,
    dead_code,
    reason = "each test file uses a part of it"
)]

use std::time::Duration;

use torrent_sim::{NodeId, Payload, Swarm};

pub const PIECE: u32 = 64 * 1024;

/// A little more than a megabyte in two files, the last block short.
pub fn payload(seed: u64) -> Payload {
    Payload::new(seed, PIECE, &[700_001, 500_000])
}

pub fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Everything arrives at all of `nodes` within `limit` seconds since the
/// beginning, and every byte of it is right.
pub fn complete(swarm: &mut Swarm, nodes: &[NodeId], limit: u64) {
    finish(swarm, nodes, limit);
    for &node in nodes {
        assert!(swarm.picker(node).is_seed(), "{node:?} is no seed");
    }
}

/// Everything wanted arrives at all of `nodes` within `limit` seconds since
/// the beginning, and every byte of it is right.
pub fn finish(swarm: &mut Swarm, nodes: &[NodeId], limit: u64) {
    let done = swarm.run_until(seconds(limit), |swarm| swarm.all_finished(nodes));
    assert!(done, "not finished after {limit} s");
    for &node in nodes {
        assert!(swarm.payload_is_right(node), "{node:?} has wrong bytes");
    }
}
