use proptest::prelude::*;

use super::*;
use crate::testing::at;

const TARGET: NodeId = NodeId([0; 20]);

fn policy() -> LookupPolicy {
    LookupPolicy {
        branching: 5,
        restrict_ips: true,
        verified_only: true,
    }
}

/// The farther, the greater the first byte.
fn node(far: u8, ip: [u8; 4]) -> NodeContact {
    let mut id = NodeId([far; 20]);
    id.0[19] = ip[3];
    NodeContact {
        id,
        addr: SocketAddr::from((ip, 6881)),
    }
}

fn local(number: u8) -> NodeContact {
    node(number, [10, 0, 0, number])
}

fn asked(lookup: &mut Lookup) -> Vec<SocketAddr> {
    std::iter::from_fn(|| lookup.next())
        .map(|it| it.addr)
        .collect()
}

#[test]
fn the_nearest_are_asked_and_a_late_one_leaves_its_place() {
    let mut it = Lookup::new(at(0), TARGET, policy());
    (1..=20).rev().for_each(|far| it.add_known(local(far)));
    let first = asked(&mut it);
    assert_eq!(first, [1, 2, 3, 4, 5].map(|far| local(far).addr));
    it.late(first[0]);
    assert_eq!(asked(&mut it), [local(6).addr]);
    it.answered(first[1], local(2).id, None);
    assert_eq!(asked(&mut it), [local(7).addr]);
    it.failed(first[2]);
    assert_eq!(asked(&mut it), [local(8).addr]);
    // The late one answers after all, with a nearer node.
    it.add_named(node(0, [10, 0, 0, 77]));
    it.answered(first[0], local(1).id, None);
    assert_eq!(asked(&mut it), [node(0, [10, 0, 0, 77]).addr]);
    it.check_invariants();
    assert!(!it.is_done());
}

#[test]
fn it_ends_when_the_eight_nearest_have_answered() {
    let mut it = Lookup::new(at(0), TARGET, policy());
    (1..=20).for_each(|far| it.add_known(local(far)));
    let mut all = 0;
    while !it.is_done() {
        for addr in asked(&mut it) {
            let far = addr
                .to_string()
                .split([':', '.'])
                .nth(3)
                .unwrap()
                .parse()
                .unwrap();
            let token = Some(Bytes::from_static(b"token"));
            it.answered(addr, local(far).id, token);
            all += 1;
        }
    }
    assert!((8..=12).contains(&all), "{all}");
    let nearest: Vec<_> = it.writable().into_iter().map(|it| it.0).collect();
    assert_eq!(nearest, (1..=8).map(local).collect::<Vec<_>>());
}

#[test]
fn one_operator_has_one_node_in_it_and_a_private_network_all() {
    let mut it = Lookup::new(at(0), TARGET, policy());
    for last in 1..=200 {
        it.add_named(node(last, [9, 9, 9, last]));
        it.add_named(node(last, [192, 168, 0, last]));
    }
    let public = it
        .nodes
        .iter()
        .filter(|it| it.addr.to_string().starts_with("9."));
    assert_eq!(public.count(), 1);
    assert_eq!(it.nodes.len(), 100);
}

#[test]
fn nodes_with_made_up_ids_do_not_end_it() {
    let mut it = Lookup::new(at(0), TARGET, policy());
    // Sixteen operators with ids nearer than all others.
    for network in 0..16 {
        it.add_named(node(0, [9, 9, network, network + 1]));
    }
    (1..=20).for_each(|far| it.add_known(local(far)));
    let mut honest = 0;
    for _ in 0..100 {
        let Some(next) = it.next() else { break };
        honest += usize::from(next.addr.ip().to_string().starts_with("10."));
        it.answered(next.addr, next.id.unwrap(), Some(Bytes::from_static(b"t")));
    }
    assert!(it.is_done());
    assert!(honest >= 8, "{honest}");
    let written = it.writable();
    let honest = written
        .iter()
        .filter(|it| it.0.addr.ip().to_string().starts_with("10."));
    assert_eq!((written.len(), honest.count()), (12, 8));
}

#[test]
fn without_answers_it_ends_and_without_nodes_at_once() {
    let mut it = Lookup::new(at(0), TARGET, policy());
    assert!(it.is_done());
    it.add_address(local(1).addr);
    for addr in asked(&mut it) {
        assert!(!it.is_done());
        it.late(addr);
        assert!(!it.is_done(), "it is the only one");
        it.overdue(addr);
        assert!(it.is_done());
    }
}

proptest! {
    #[test]
    fn any_network_lets_it_end(
        seeds in prop::collection::vec((any::<u8>(), any::<[u8; 4]>()), 1..10),
        answers in prop::collection::vec((0u8..5, any::<u8>(), any::<u8>()), 0..2000),
        branching in 1usize..8, verified_only: bool, restrict_ips: bool,
    ) {
        let policy = LookupPolicy { branching, restrict_ips, verified_only };
        let mut it = Lookup::new(at(0), TARGET, policy);
        for (far, ip) in seeds {
            it.add_known(node(far, ip));
        }
        let mut answers = answers.into_iter();
        let mut waiting = Vec::new();
        let mut queries = 0;
        loop {
            while let Some(next) = it.next() {
                waiting.push(next);
                queries += 1;
                it.check_invariants();
            }
            if it.is_done() {
                break;
            }
            prop_assert!(!waiting.is_empty(), "it waits for nothing");
            let (what, a, b) = answers.next().unwrap_or((3, 0, 0));
            let at = usize::from(a) % waiting.len();
            let next = waiting[at];
            match what {
                0 => it.late(next.addr),
                1 => it.overdue(next.addr),
                2 | 3 if a % 3 > 0 || what == 3 => {
                    waiting.swap_remove(at);
                    it.failed(next.addr);
                }
                _ => {
                    waiting.swap_remove(at);
                    for more in 0..8u8 {
                        it.add_named(node(b.wrapping_mul(more), [a, b, more, b.wrapping_add(more)]));
                    }
                    it.answered(next.addr, next.id.unwrap_or(TARGET), None);
                }
            }
            it.check_invariants();
        }
        prop_assert!(queries <= MAX_QUERIES);
    }
}
