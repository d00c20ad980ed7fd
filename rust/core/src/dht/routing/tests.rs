use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng};

use super::*;
use crate::testing::at;

const OWN: NodeId = NodeId([0; 20]);
const RTT: Duration = Duration::from_millis(50);

fn policy() -> TablePolicy {
    TablePolicy {
        extended: true,
        restrict_ips: true,
        prefer_verified: true,
        max_fails: 20,
    }
}

fn table() -> RoutingTable {
    RoutingTable::new(OWN, Family::V4, policy())
}

/// A node whose id has `bits` bits in common with ours.
fn contact(bits: u32, ip: [u8; 4], port: u16, rng: &mut StdRng) -> NodeContact {
    let mut id = OWN.random_near(bits, rng);
    let at = bits as usize;
    id.0[at / 8] |= 0x80 >> (at % 8);
    let addr = SocketAddr::from((ip, port));
    NodeContact { id, addr }
}

#[test]
fn only_a_node_that_has_answered_is_in_the_table() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut it = table();
    let node = contact(0, [10, 0, 0, 1], 1, &mut rng);
    it.heard_about(node);
    assert_eq!((it.len(), it.has_candidates()), (0, true));
    assert_eq!(it.next_refresh(at(0)).map(|it| it.contact), Some(node));
    assert!(!it.has_candidates());
    assert_eq!(it.answered(at(0), node, RTT), Answered::Kept);
    assert_eq!((it.len(), it.good()), (1, 1));
    it.heard_about(node);
    assert!(!it.has_candidates(), "it is known");
}

#[test]
fn another_id_at_the_same_address_throws_both_out() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut it = table();
    let node = contact(0, [10, 0, 0, 1], 1, &mut rng);
    it.answered(at(0), node, RTT);
    let other = NodeContact {
        id: NodeId([9; 20]),
        ..node
    };
    assert_eq!(it.answered(at(1), other, RTT), Answered::Evicted);
    assert_eq!(it.len(), 0);
    it.check_invariants();
    // And one id cannot move to another address.
    it.answered(at(2), node, RTT);
    let moved = NodeContact {
        addr: SocketAddr::from(([10, 0, 0, 2], 1)),
        ..node
    };
    assert_eq!(it.answered(at(3), moved, RTT), Answered::Refused);
    assert_eq!(it.closest(OWN, 8), [node]);
}

#[test]
fn a_network_gets_few_places_and_a_private_one_as_many_as_it_needs() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut it = table();
    // One address in all, one node of a /24 in a bucket.
    for (bits, ip, port, expected) in [
        (0, [9, 9, 9, 1], 1, Answered::Kept),
        (0, [9, 9, 9, 2], 1, Answered::Refused),
        (9, [9, 9, 9, 1], 2, Answered::Refused),
        (0, [9, 9, 8, 1], 1, Answered::Kept),
    ] {
        let node = contact(bits, ip, port, &mut rng);
        assert_eq!(it.answered(at(0), node, RTT), expected, "{ip:?}");
        it.check_invariants();
    }
    for port in 1..50 {
        let node = contact(u32::from(port % 3), [127, 0, 0, 1], port, &mut rng);
        assert_eq!(it.answered(at(0), node, RTT), Answered::Kept, "{port}");
    }
    it.check_invariants();
}

#[test]
fn an_id_that_fits_takes_the_place_of_one_that_does_not() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut it = table();
    let ip = IpAddr::from([9, 9, 9, 1]);
    let addr = SocketAddr::new(ip, 1);
    let id = NodeId::for_address(ip, 0, &mut rng);
    let bad = NodeContact {
        id: OWN.random_near(0, &mut rng),
        addr: SocketAddr::new(ip, 2),
    };
    assert!(!bad.id.is_valid_for(ip));
    assert_eq!(it.answered(at(0), bad, RTT), Answered::Kept);
    assert_eq!(
        it.answered(at(0), NodeContact { id, addr }, RTT),
        Answered::Kept
    );
    assert_eq!(it.closest(id, 8), [NodeContact { id, addr }]);
    assert_eq!(it.answered(at(0), bad, RTT), Answered::Refused);
    it.check_invariants();
}

#[test]
fn many_nodes_of_one_distance_keep_the_buckets_within_their_limits() {
    let mut rng = StdRng::seed_from_u64(1);
    for bits in 0..12 {
        let mut it = table();
        for port in 1..300 {
            let node = contact(bits, [127, 0, 0, 1], port, &mut rng);
            it.answered(at(0), node, RTT);
            it.check_invariants();
        }
    }
}

#[test]
fn a_node_that_fails_is_replaced_unless_our_network_is_gone() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut it = RoutingTable::new(
        OWN,
        Family::V4,
        TablePolicy {
            extended: false,
            ..policy()
        },
    );
    let nodes: Vec<_> = (0..30)
        .map(|port| contact(0, [127, 0, 0, 1], port + 1, &mut rng))
        .collect();
    for node in &nodes {
        it.answered(at(0), *node, RTT);
    }
    let good = it.closest(OWN, 100);
    assert_eq!(good.len(), 8);
    it.failed(good[0].addr, false);
    assert_eq!((it.len(), it.good()), (8, 7));
    it.forgive();
    assert_eq!(it.good(), 8);
    it.failed(good[0].addr, true);
    assert_eq!((it.len(), it.good()), (8, 8));
    assert!(!it.closest(OWN, 100).contains(&good[0]));
    it.check_invariants();
    // Without anything in reserve it stays, and is asked again.
    let mut it = table();
    it.answered(at(0), nodes[0], RTT);
    for fails in 1..20 {
        it.failed(nodes[0].addr, true);
        assert_eq!(it.len(), 1, "{fails}");
    }
    assert!(it.refresh_due(at(0)).is_some_and(|due| due > at(60_000)));
    it.failed(nodes[0].addr, true);
    assert_eq!(it.len(), 0);
}

#[test]
fn a_node_is_asked_again_after_a_quarter_of_an_hour() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut it = table();
    let node = contact(0, [127, 0, 0, 1], 1, &mut rng);
    it.answered(at(0), node, RTT);
    let due = it.refresh_due(at(0)).unwrap();
    assert_eq!(due, at(15 * 60_000));
    assert!(it.next_refresh(due - RTT).is_none());
    assert_eq!(it.next_refresh(due).map(|it| it.contact), Some(node));
    assert!(it.next_refresh(due).is_none(), "it is asked already");
}

#[test]
fn near_buckets_are_deep_and_far_ones_large() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut it = table();
    for number in 0..20_000u32 {
        let id = NodeId::random(&mut rng);
        let [_, a, b, c] = number.to_be_bytes();
        let addr = SocketAddr::from(([10, a, b, c], 1));
        it.answered(at(0), NodeContact { id, addr }, RTT);
    }
    it.check_invariants();
    let sizes: Vec<_> = it.sizes().into_iter().map(|it| it.0).collect();
    assert_eq!(sizes[..6], [128, 64, 32, 16, 8, 8]);
    let estimate = it.estimate();
    assert!((8_000..50_000).contains(&estimate), "{estimate}");
    let target = NodeId::random(&mut rng);
    let closest = it.closest(target, 8);
    assert!(closest.is_sorted_by_key(|node| node.id.distance(target)));
}

proptest! {
    #[test]
    fn any_course_of_events_keeps_the_invariants(
        steps in prop::collection::vec((0u8..9, 0u32..40, any::<u8>(), any::<u8>()), 1..300),
        seed: u64, extended: bool, prefer_verified: bool,
    ) {
        let mut rng = StdRng::seed_from_u64(seed);
        let policy = TablePolicy { extended, prefer_verified, ..policy() };
        let mut it = RoutingTable::new(OWN, Family::V4, policy);
        for (at_step, (what, bits, a, b)) in steps.into_iter().enumerate() {
            let now = at(at_step as u64 * 5000);
            let ip = if a % 2 == 0 { [127, 0, 0, a % 5] } else { [9, a % 6, a % 11, b % 7 + 1] };
            let node = contact(bits, ip, u16::from(b) + 1, &mut rng);
            match what {
                0 => it.failed(node.addr, b % 2 == 0),
                1 => it.heard_about(node),
                2 => drop(it.next_refresh(now)),
                3 => it.wrong_id(node.addr),
                4 if b < 16 => it.set_own_id(OWN),
                5 if b < 16 => it.set_policy(TablePolicy { extended: a % 2 == 0, ..policy }),
                _ => drop(it.answered(now, node, RTT * u32::from(b % 9))),
            }
            it.check_invariants();
            prop_assert!(it.good() <= it.len());
        }
    }
}
