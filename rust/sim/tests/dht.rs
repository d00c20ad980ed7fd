//! The DHT as a whole network: how fast a peer is found, at what price, and what
//! hostile nodes can do about it.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use torrent_core::dht::{DhtAnnounce, DhtOutput};
use torrent_core::ids::InfoHash;
use torrent_sim::{DhtNetwork, each_seed};

/// What look-ups of peers come to.
#[derive(Debug)]
struct Findings {
    /// Seconds to the first peer, sorted; those that found none are missing.
    seconds: Vec<f64>,
    /// Queries of each look-up, sorted.
    queries: Vec<u64>,
    lookups: usize,
}

impl Findings {
    fn quantile(&self, part: f64) -> f64 {
        let at = (self.lookups as f64 * part) as usize;
        self.seconds.get(at).copied().unwrap_or(f64::INFINITY)
    }

    fn median_queries(&self) -> u64 {
        self.queries[self.queries.len() / 2]
    }

    fn found(&self) -> f64 {
        self.seconds.len() as f64 / self.lookups as f64
    }
}

fn torrent(number: usize) -> InfoHash {
    InfoHash(StdRng::seed_from_u64(number as u64).random())
}

/// Some nodes announce, `dead` of a hundred die, others look.
fn look_up(network: &mut DhtNetwork, torrents: usize, dead: u32) -> Findings {
    let announce = DhtAnnounce {
        port: 7777,
        implied_port: false,
        seed: false,
    };
    let nodes = network.alive().len();
    for number in 0..torrents {
        let node = number * 37 % nodes;
        network.with(node, |dht, now| {
            dht.add_torrent(now, torrent(number), announce)
        });
        network.run_for(Duration::from_millis(200));
    }
    network.run_for(Duration::from_secs(20));
    network.take_events();
    network.kill(dead);
    let alive = network.alive();
    let mut findings = Findings {
        seconds: Vec::new(),
        queries: Vec::new(),
        lookups: torrents,
    };
    for number in 0..torrents {
        let node = alive[(number * 61 + 17) % alive.len()];
        let start = network.now();
        let queries = network.queries(node);
        let request = network.with(node, |dht, now| dht.get_peers(now, torrent(number), false));
        let mut first = None;
        let mut done = false;
        for _ in 0..400 {
            network.run_for(Duration::from_millis(50));
            for (when, _, event) in network.take_events() {
                match event {
                    DhtOutput::Peers { request: of, .. } if of == request && first.is_none() => {
                        first = Some(when - start);
                    }
                    DhtOutput::PeersDone { request: of, .. } => done |= of == request,
                    _ => {}
                }
            }
            if done {
                break;
            }
        }
        assert!(done, "a look-up does not end");
        let after = network.queries(node);
        findings.queries.push(after - queries);
        findings.seconds.extend(first.map(|it| it.as_secs_f64()));
    }
    findings.seconds.sort_by(f64::total_cmp);
    findings.queries.sort_unstable();
    println!(
        "first peer: median {:.2} s, 95 % {:.2} s; queries: median {}; found {:.1} % of {}",
        findings.quantile(0.5),
        findings.quantile(0.95),
        findings.median_queries(),
        findings.found() * 100.0,
        torrents,
    );
    for node in network.alive() {
        network.dht(node).check_invariants();
    }
    findings
}

fn hostile_share(network: &DhtNetwork) -> f64 {
    let (mut hostile, mut all) = (0, 0);
    for node in network.alive() {
        for contact in network.dht(node).live_nodes() {
            all += 1;
            hostile += usize::from(network.is_hostile(contact.addr));
        }
    }
    let share = hostile as f64 / all as f64;
    println!("hostile share of tables: {:.1} %", share * 100.0);
    share
}

/// Peers are found although many nodes are dead. The limits leave room: the printed
/// figures are what is to hold.
fn dead_nodes(seed: u64, nodes: usize, torrents: usize) {
    let mut network = DhtNetwork::new(seed, 1);
    network.grow(nodes);
    network.run_for(Duration::from_secs(60));
    let findings = look_up(&mut network, torrents, 40);
    assert!(findings.found() >= 0.97, "{:.2} found", findings.found());
    assert!(
        findings.quantile(0.5) <= 0.6,
        "{:.2} s",
        findings.quantile(0.5)
    );
    assert!(
        findings.quantile(0.95) <= 1.8,
        "{:.2} s",
        findings.quantile(0.95)
    );
    assert!(
        findings.median_queries() <= 45,
        "{}",
        findings.median_queries()
    );
}

fn hostile_nodes(seed: u64, nodes: usize, hostile: usize, torrents: usize) {
    let mut network = DhtNetwork::new(seed, 1);
    network.grow(nodes / 2);
    network.add_hostile(hostile, 64, 16);
    network.hostile_knock(4);
    network.grow(nodes - nodes / 2);
    network.hostile_knock(4);
    network.run_for(Duration::from_secs(300));
    let findings = look_up(&mut network, torrents, 40);
    let share = hostile_share(&network);
    assert!(findings.found() >= 0.9, "{:.2} found", findings.found());
    assert!(share <= 0.15, "{share:.2} of the tables");
}

#[test]
fn peers_are_found_fast_among_dead_nodes() {
    each_seed(1..2, |seed| dead_nodes(seed, 400, 60));
}

#[test]
fn hostile_nodes_hide_little() {
    each_seed(1..2, |seed| hostile_nodes(seed, 300, 150, 40));
}

#[test]
#[ignore = "takes minutes: for the deep tests"]
fn peers_are_found_fast_among_ten_thousand_nodes() {
    each_seed(1..2, |seed| dead_nodes(seed, 10_000, 300));
}

#[test]
#[ignore = "takes minutes: for the deep tests"]
fn five_thousand_hostile_nodes_hide_little() {
    each_seed(1..2, |seed| hostile_nodes(seed, 10_000, 5_000, 200));
}
