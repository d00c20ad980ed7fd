use std::net::Ipv4Addr;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use super::schedule::MAX_ACTIVE;
use super::*;
use crate::ext::METADATA_PIECE;
use crate::testing::at;

const MAX: u32 = 100_000;

/// Each peer has an address of its own.
fn ip(peer: u64) -> IpAddr {
    Ipv4Addr::from(0x0a00_0000 + peer as u32).into()
}

fn dict(length: usize, salt: u8) -> Vec<u8> {
    (0..length).map(|at| (at * 7) as u8 ^ salt).collect()
}

fn piece(dict: &[u8], piece: u32) -> Bytes {
    let from = (piece * METADATA_PIECE) as usize;
    let to = (from + METADATA_PIECE as usize).min(dict.len());
    Bytes::copy_from_slice(&dict[from..to])
}

fn fetch(dict: &[u8]) -> MetadataFetch {
    MetadataFetch::new(InfoHash(Sha1::digest(dict).into()), MAX)
}

/// Answers every request as `tell` says; what came of it.
fn run(
    fetch: &mut MetadataFetch,
    millis: &mut u64,
    limit: u64,
    tell: impl Fn(PeerKey, u32) -> Option<Bytes>,
) -> Vec<FetchVerdict> {
    let mut verdicts = Vec::new();
    let end = *millis + limit;
    while *millis < end {
        for (peer, piece) in fetch.poll(at(*millis)) {
            let verdict = fetch.answer(at(*millis), peer, piece, 0, tell(peer, piece));
            let complete = matches!(verdict, FetchVerdict::Complete(_));
            if verdict != FetchVerdict::Open {
                verdicts.push(verdict);
            }
            if complete {
                return verdicts;
            }
        }
        *millis += 500;
    }
    verdicts
}

#[test]
fn pieces_are_spread_over_peers_and_never_asked_twice() {
    let truth = dict(50_000, 0);
    let mut fetch = fetch(&truth);
    for peer in 0..2 {
        assert!(fetch.peer_has(at(0), PeerKey(peer), ip(peer), Some(50_000)));
    }
    let asked = fetch.poll(at(0));
    let mut pieces: Vec<u32> = asked.iter().map(|(_, piece)| *piece).collect();
    pieces.sort_unstable();
    assert_eq!(pieces, [0, 1, 2, 3]);
    let of_first = asked.iter().filter(|(peer, _)| peer.0 == 0).count();
    assert_eq!(of_first, 2);
    assert!(fetch.poll(at(100)).is_empty());
    for (peer, number) in asked.into_iter().rev() {
        let data = Some(piece(&truth, number));
        let verdict = fetch.answer(at(200), peer, number, 50_000, data);
        if let FetchVerdict::Complete(whole) = verdict {
            assert!(whole == truth);
            return;
        }
    }
    panic!("never complete");
}

#[test]
fn silence_and_refusals_lead_to_another_peer() {
    let truth = dict(100, 0);
    let mut fetch = fetch(&truth);
    fetch.peer_has(at(0), PeerKey(1), ip(1), Some(100));
    assert_eq!(fetch.poll(at(0)), [(PeerKey(1), 0)]);
    fetch.peer_has(at(0), PeerKey(2), ip(2), Some(100));
    assert!(fetch.poll(at(900)).is_empty());
    assert_eq!(fetch.poll(at(1000)), [(PeerKey(2), 0)], "the first is slow");
    let refused = fetch.answer(at(1500), PeerKey(2), 0, 0, None);
    assert_eq!(refused, FetchVerdict::Open);
    assert!(fetch.poll(at(4900)).is_empty());
    assert!(fetch.poll(at(5000)).is_empty(), "both rest");
    assert_eq!(fetch.poll(at(6500)), [(PeerKey(2), 0)]);
}

#[test]
fn a_liar_among_the_honest_is_found_and_named() {
    let truth = dict(50_000, 0);
    let lie = dict(50_000, 1);
    let mut fetch = fetch(&truth);
    for peer in 0..3 {
        fetch.peer_has(at(0), PeerKey(peer), ip(peer), Some(50_000));
    }
    let mut millis = 0;
    let verdicts = run(&mut fetch, &mut millis, 300_000, |peer, number| {
        Some(piece(if peer.0 == 1 { &lie } else { &truth }, number))
    });
    assert!(matches!(&verdicts[0], FetchVerdict::Wrong(senders) if senders.len() > 1));
    assert!(matches!(verdicts.last(), Some(FetchVerdict::Complete(_))));
}

#[test]
fn one_alone_who_lies_is_guilty() {
    let mut fetch = fetch(&dict(100, 0));
    fetch.peer_has(at(0), PeerKey(1), ip(1), Some(100));
    let lie = |_, number| Some(piece(&dict(100, 1), number));
    let verdicts = run(&mut fetch, &mut 0, 1000, lie);
    assert_eq!(verdicts, [FetchVerdict::Wrong([PeerKey(1)].into())]);
}

#[test]
fn who_lied_before_comes_last_where_not_all_can_be_asked() {
    let mut fetch = fetch(&dict(100, 0));
    fetch.peer_has(at(0), PeerKey(1), ip(1), Some(100));
    let lie = |_, number| Some(piece(&dict(100, 1), number));
    run(&mut fetch, &mut 0, 500, lie);
    fetch.peer_left(PeerKey(1));
    // It comes back before all others, and has waited out the pause.
    fetch.peer_has(at(500), PeerKey(2), ip(1), Some(200));
    let others = 3..3 + MAX_ACTIVE as u64;
    for peer in others.clone() {
        fetch.peer_has(at(5000), PeerKey(peer), ip(peer), Some(1000 + peer as u32));
    }
    let asked = fetch.poll(at(5000)).into_iter();
    let asked: BTreeSet<u64> = asked.map(|(peer, _)| peer.0).collect();
    assert_eq!(asked, others.collect());
}

#[test]
fn a_liar_with_a_network_of_addresses_is_one() {
    let mut fetch = fetch(&dict(100, 0));
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    fetch.peer_has(at(0), PeerKey(1), address("2001:db8:1:2::1"), Some(100));
    let lie = |_, number| Some(piece(&dict(100, 1), number));
    run(&mut fetch, &mut 0, 500, lie);
    fetch.peer_left(PeerKey(1));
    fetch.peer_has(at(500), PeerKey(2), address("2001:db8:1:2:9::1"), Some(100));
    fetch.peer_has(at(500), PeerKey(3), address("2001:db8:1:3::1"), Some(100));
    assert_eq!(fetch.poll(at(500)), [(PeerKey(3), 0)], "the other waits");
}

#[test]
fn sizes_that_cannot_be_are_refused_and_lengths_that_do_not_fit_ignored() {
    let truth = dict(20_000, 0);
    let mut fetch = fetch(&truth);
    assert!(!fetch.peer_has(at(0), PeerKey(1), ip(1), Some(MAX + 1)));
    assert!(fetch.peer_has(at(0), PeerKey(2), ip(2), Some(20_000)));
    assert_eq!(fetch.poll(at(0)).len(), 2);
    let short = Some(Bytes::from_static(b"short"));
    assert_eq!(
        fetch.answer(at(0), PeerKey(2), 0, 0, short),
        FetchVerdict::Open
    );
    let beyond = Some(piece(&truth, 0));
    let verdict = fetch.answer(at(0), PeerKey(2), u32::MAX, 0, beyond);
    assert_eq!(verdict, FetchVerdict::Open);
    assert_eq!(fetch.held(), 0);
}

#[test]
fn what_is_held_is_bounded_whatever_is_claimed_and_sent() {
    let mut fetch = fetch(&dict(100, 0));
    for peer in 0..200 {
        fetch.peer_has(at(0), PeerKey(peer), ip(peer), Some(MAX - peer as u32));
    }
    let (mut most, mut last) = (0, BTreeMap::new());
    for tick in 0..300 {
        let asked = fetch.poll(at(tick * 500));
        let active = fetch.attempts.values().filter(|it| it.active.is_some());
        assert!(active.count() <= MAX_ACTIVE);
        for (peer, number) in asked {
            // All but the last piece of each, so that none is convicted.
            let size = MAX as usize - peer.0 as usize;
            if (number + 1) * METADATA_PIECE < size as u32 {
                let lie = Some(Bytes::from_static(&[1; METADATA_PIECE as usize]));
                fetch.answer(at(tick * 500), peer, number, 0, lie);
            }
            last.insert(peer, number);
            most = most.max(fetch.held());
        }
    }
    let limit = u64::from(2 * MAX);
    assert!(most <= limit && most > limit / 2, "{most}");
    assert!(last.len() > 100, "each has its turn: {}", last.len());
}

#[test]
fn a_claim_alone_costs_nothing() {
    let mut fetch = MetadataFetch::new(InfoHash::default(), u32::MAX);
    for peer in 0..100 {
        fetch.peer_has(at(0), PeerKey(peer), ip(peer), Some(u32::MAX - peer as u32));
    }
    assert_eq!(fetch.poll(at(0)).len(), MAX_ACTIVE * 4);
    assert_eq!(fetch.held(), 0);
}

#[test]
fn a_peer_that_does_not_say_is_asked_and_tells_the_size() {
    let truth = dict(20_000, 0);
    let mut fetch = fetch(&truth);
    fetch.peer_has(at(0), PeerKey(1), ip(1), None);
    assert_eq!(fetch.poll(at(0)), [(PeerKey(1), 0)]);
    let first = Some(piece(&truth, 0));
    fetch.answer(at(0), PeerKey(1), 0, 20_000, first);
    assert_eq!(fetch.poll(at(0)), [(PeerKey(1), 1)]);
    let last = fetch.answer(at(0), PeerKey(1), 1, 20_000, Some(piece(&truth, 1)));
    assert!(matches!(last, FetchVerdict::Complete(_)));
}

/// How a peer treats us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Honest,
    /// Claims this size, sends wrong bytes, each answer after this time.
    Lies {
        size: usize,
        millis: u64,
    },
    /// Claims the right size and answers nothing.
    Silent,
    /// Claims the right size and refuses everything.
    Refuses,
    /// Leaves after a wrong piece, and comes back at once.
    HitsAndRuns,
}

struct Actor {
    manner: Manner,
    ip: IpAddr,
    key: Option<PeerKey>,
    joins_at: u64,
    /// What it will answer, and when.
    due: Vec<(u64, u32)>,
}

/// Answers that a peer without delay gives in one step, of each of its requests.
const ROUNDS: usize = 8;

impl Actor {
    /// What it answers now, if it answers something.
    fn next_due(&mut self, now: u64) -> Option<(PeerKey, u32)> {
        let key = self.key?;
        let first = self.due.iter().position(|(when, _)| *when <= now)?;
        Some((key, self.due.remove(first).1))
    }

    fn answer(&self, truth: &[u8], number: u32) -> Option<Bytes> {
        let lie = |size: usize| {
            let from = (number * METADATA_PIECE) as usize;
            let length = size.saturating_sub(from).min(METADATA_PIECE as usize);
            Some(Bytes::from_static(&[1; METADATA_PIECE as usize]).slice(..length))
        };
        match self.manner {
            Manner::Honest => Some(piece(truth, number)),
            Manner::Lies { size, .. } => lie(size),
            Manner::HitsAndRuns => lie(truth.len()),
            Manner::Refuses => None,
            Manner::Silent => unreachable!("it is asked and keeps silent"),
        }
    }

    fn asked(&mut self, now: u64, number: u32) {
        let delay = match self.manner {
            Manner::Lies { millis, .. } => millis,
            Manner::Silent => return,
            _ => 80,
        };
        let last = self.due.last().map_or(now, |(when, _)| *when);
        // A slow one takes its time for each answer.
        let from = if delay > 1000 { last.max(now) } else { now };
        self.due.push((from + delay, number));
    }
}

/// The time in milliseconds that the correct peer takes to give the info dict.
fn time_to_fetch(seed: u64, truth: &[u8], actors: &mut [Actor]) -> u64 {
    let mut rng = StdRng::seed_from_u64(seed);
    let hash = InfoHash(Sha1::digest(truth).into());
    let mut fetch = MetadataFetch::new(hash, 31_457_280);
    let (mut next_key, mut honest_since) = (0, 0);
    for now in (0..60_000).step_by(50) {
        for actor in &mut *actors {
            if actor.key.is_none() && now >= actor.joins_at {
                let key = PeerKey(next_key);
                next_key += 1;
                actor.key = Some(key);
                let size = match actor.manner {
                    Manner::Lies { size, .. } => size,
                    _ => truth.len(),
                };
                assert!(fetch.peer_has(at(now), key, actor.ip, Some(size as u32)));
                if actor.manner == Manner::Honest {
                    honest_since = now;
                }
            }
        }
        // A peer that answers at once answers again and again meanwhile.
        for _ in 0..ROUNDS {
            for actor in &mut *actors {
                while let Some((key, number)) = actor.next_due(now) {
                    let verdict =
                        fetch.answer(at(now), key, number, 0, actor.answer(truth, number));
                    let convicted = match verdict {
                        FetchVerdict::Complete(_) => return now - honest_since,
                        FetchVerdict::Wrong(senders) => senders.len() == 1,
                        FetchVerdict::Open => false,
                    };
                    if convicted || actor.manner == Manner::HitsAndRuns {
                        assert_ne!(actor.manner, Manner::Honest);
                        fetch.peer_left(key);
                        actor.key = None;
                        actor.due.clear();
                        actor.joins_at = now + rng.random_range(0..100);
                    }
                }
            }
            for (peer, number) in fetch.poll(at(now)) {
                let actor = actors.iter_mut().find(|it| it.key == Some(peer)).unwrap();
                actor.asked(now, number);
            }
        }
    }
    panic!("nothing within a minute, seed {seed}");
}

#[test]
fn four_liars_of_any_kind_do_not_keep_one_honest_peer_away() {
    const SLOW: u64 = 4400;
    for seed in 0..400 {
        let mut rng = StdRng::seed_from_u64(seed);
        let length = [100, 40_000, 300_000][rng.random_range(0..3)];
        let truth = dict(length, 0);
        let kinds = [
            Manner::Lies {
                size: length,
                millis: 20,
            },
            Manner::Lies {
                size: length,
                millis: SLOW,
            },
            Manner::Lies {
                size: 16_250_000 + rng.random_range(0..4),
                millis: SLOW,
            },
            Manner::Lies {
                size: 1 + rng.random_range(0..20_000),
                millis: 20,
            },
            Manner::Lies {
                size: length + 1,
                millis: 500,
            },
            Manner::Silent,
            Manner::Refuses,
            Manner::HitsAndRuns,
        ];
        // All at one address, the wrong ones at one, or each at its own.
        let addresses = rng.random_range(0..3u64);
        let mut actors: Vec<Actor> = (0..5)
            .map(|number: u64| Actor {
                manner: match number {
                    0 => Manner::Honest,
                    _ => kinds[rng.random_range(0..kinds.len())],
                },
                ip: ip(number.min(addresses.pow(3))),
                key: None,
                joins_at: rng.random_range(0..4) * 700,
                due: Vec::new(),
            })
            .collect();
        actors.shuffle(&mut rng);
        let time = time_to_fetch(seed, &truth, &mut actors);
        let manners: Vec<Manner> = actors.iter().map(|it| it.manner).collect();
        assert!(time <= 15_000, "{time} ms, seed {seed}: {manners:?}");
    }
}

/// A peer that is there from `joins_at` on.
fn actor(manner: Manner, address: u64, joins_at: u64) -> Actor {
    Actor {
        manner,
        ip: ip(address),
        key: None,
        joins_at,
        due: Vec::new(),
    }
}

#[test]
fn large_claims_of_slow_peers_keep_no_other_size_away() {
    let truth = dict(40_000, 0);
    for at_one_address in [false, true] {
        let claim = |number: u64| {
            let manner = Manner::Lies {
                size: 16_250_000 + number as usize,
                millis: 4400,
            };
            actor(manner, number * u64::from(!at_one_address), 0)
        };
        let mut actors: Vec<Actor> = (0..4).map(claim).collect();
        actors.push(actor(Manner::Honest, 0, 1000));
        let time = time_to_fetch(1, &truth, &mut actors);
        assert!(time <= 2000, "{time} ms");
    }
}

#[test]
fn liars_that_come_back_are_not_asked_for_ever() {
    let truth = dict(40_000, 0);
    for seed in 0..50 {
        for at_one_address in [false, true] {
            let lies = Manner::Lies {
                size: truth.len(),
                millis: 20,
            };
            let address = |number: u64| number * u64::from(!at_one_address);
            let mut actors: Vec<Actor> = (1..5)
                .map(|number| actor(lies, address(number), 0))
                .collect();
            let joins_at = seed * 100;
            actors.insert(seed as usize % 5, actor(Manner::Honest, 0, joins_at));
            let time = time_to_fetch(seed, &truth, &mut actors);
            assert!(time <= 6000, "{time} ms, seed {seed}");
        }
    }
}

/// Each of four addresses has as many connections as a torrent gives it by
/// default, which claim sizes that are one connection's alone or two addresses'.
#[test]
fn many_connections_of_few_addresses_keep_no_honest_peer_away() {
    const CONNECTIONS: u64 = 8;
    let truth = dict(40_000, 0);
    for seed in 0..60 {
        let mut rng = StdRng::seed_from_u64(seed);
        let millis = [20, 500, 4400][rng.random_range(0..3)];
        let claims = [1, 2, 4][rng.random_range(0..3)];
        // Of large claims nothing ever comes whole, of small ones all.
        let least = [1, 100_000, 16_250_000][rng.random_range(0..3)];
        let liar = |number: u64| {
            let size = least + (number / claims) as usize;
            actor(Manner::Lies { size, millis }, 1 + number % 4, 0)
        };
        let mut actors: Vec<Actor> = (0..4 * CONNECTIONS).map(liar).collect();
        // It has an address of its own, or one of theirs.
        let address = if rng.random_bool(0.5) { 0 } else { 1 };
        let joins_at = rng.random_range(0..8) * 700;
        actors.push(actor(Manner::Honest, address, joins_at));
        let time = time_to_fetch(seed, &truth, &mut actors);
        assert!(time <= 15_000, "{time} ms, seed {seed}, address {address}");
    }
}

/// Liars of large claims, fast ones that fill the memory that all attempts may hold
/// over and over and slow ones that take each turn there is, beside an honest peer
/// whose metadata takes six seconds.
#[test]
fn liars_keep_nothing_from_an_honest_peer_that_takes_a_while() {
    let truth = dict(4_000_000, 0);
    for seed in 0..6 {
        let mut rng = StdRng::seed_from_u64(seed);
        let millis = [0, 500, 4400][seed as usize % 3];
        let connections = [1, 8][seed as usize / 3];
        // Nothing ever comes whole of these.
        let liar = |number: u64| {
            let size = 31_000_000 + number as usize;
            actor(Manner::Lies { size, millis }, 1 + number % 4, 0)
        };
        let mut actors: Vec<Actor> = (0..4 * connections).map(liar).collect();
        let joins_at = rng.random_range(0..8) * 700;
        actors.push(actor(Manner::Honest, 0, joins_at));
        let time = time_to_fetch(seed, &truth, &mut actors);
        assert!(time <= 12_000, "{time} ms of {millis}, {connections}");
    }
}
