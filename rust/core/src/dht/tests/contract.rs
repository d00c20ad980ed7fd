//! Any course of events keeps the contract of the machines, and the invariants.

use proptest::prelude::*;

use super::*;
use crate::testing::{Machine, check_contract, count_outputs};

struct Driven {
    dht: Dht,
    asked: Vec<(SocketAddr, SocketAddr, Transaction)>,
    open: std::collections::BTreeSet<RequestId>,
}

impl Machine for Driven {
    fn poll_timeout(&self) -> Option<Instant> {
        self.dht.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.dht.handle_timeout(now);
    }

    fn poll_all(&mut self, now: Instant) -> usize {
        let count = count_outputs(|| {
            match self.dht.poll_output()? {
                DhtOutput::Send { local, to, packet } => {
                    if let Ok(Message::Query(query)) = Message::decode(&packet) {
                        self.asked.push((local, to, query.transaction));
                    }
                }
                DhtOutput::ResolveRouters => {
                    let router = addr("77.7.7.7:6881");
                    self.dht.set_routers(now, &[router]);
                }
                DhtOutput::PeersDone { request, .. }
                | DhtOutput::PutDone { request, .. }
                | DhtOutput::ImmutableItem { request, .. }
                | DhtOutput::MutableItem {
                    request,
                    authoritative: true,
                    ..
                }
                | DhtOutput::Samples { request, .. } => {
                    self.open.remove(&request);
                }
                _ => {}
            }
            Some(())
        });
        self.asked.truncate(500);
        count
    }
}

fn some_addr(number: u8) -> SocketAddr {
    let ip = [60 + number % 4, number / 16, number % 3, number % 50 + 1];
    SocketAddr::from((ip, 1000 + u16::from(number % 5)))
}

fn step(driven: &mut Driven, now: Instant, what: u8, a: u8, b: u8) {
    let locals = [
        addr("9.8.7.6:6881"),
        addr("9.8.7.7:6881"),
        addr("[2001:db8::9]:6881"),
    ];
    let endpoint = |local| DhtEndpoint {
        local,
        external: None,
    };
    let torrent = InfoHash([a % 8; 20]);
    let contacts: Vec<_> = (0..8u8)
        .map(|at| NodeContact {
            id: NodeId([b.wrapping_mul(at + 1); 20]),
            addr: some_addr(a.wrapping_add(at.wrapping_mul(b))),
        })
        .collect();
    match what {
        0 => driven.dht.add_node(now, some_addr(a)),
        1 => {
            let endpoints: Vec<_> = locals
                .iter()
                .take(usize::from(a % 4))
                .copied()
                .map(endpoint)
                .collect();
            driven.dht.set_endpoints(now, &endpoints);
        }
        2 => drop(
            driven
                .open
                .insert(driven.dht.get_peers(now, torrent, b.is_multiple_of(2))),
        ),
        3 => drop(
            driven
                .open
                .insert(driven.dht.get_immutable(now, torrent.into())),
        ),
        4 => {
            let put = driven.dht.put_immutable(now, format!("i{a}e").into());
            driven.open.extend(put);
        }
        5 => driven.dht.add_torrent(
            now,
            torrent,
            DhtAnnounce {
                port: 1,
                implied_port: true,
                seed: b.is_multiple_of(2),
            },
        ),
        6 => driven.dht.remove_torrent(now, torrent),
        7 => driven.dht.network_changed(now),
        8 => drop(
            driven.open.insert(
                driven
                    .dht
                    .sample_infohashes(now, some_addr(a), torrent.into()),
            ),
        ),
        9 => driven.dht.unreachable(now, locals[0], some_addr(a)),
        10 => driven
            .dht
            .set_external_address(now, locals[0], Some(some_addr(a).ip())),
        _ => {
            if driven.asked.is_empty() {
                return;
            }
            let (local, to, transaction) = driven
                .asked
                .swap_remove(usize::from(a) % driven.asked.len());
            let reply = match b % 8 {
                0 => Reply::Error {
                    code: 201,
                    text: String::new(),
                },
                _ => Reply::Response(Box::new(Response {
                    id: NodeId([b ^ to.port() as u8; 20]),
                    nodes: Some(contacts),
                    token: Some(bytes::Bytes::from_static(b"token")),
                    peers: vec![some_addr(b)],
                    ..Response::default()
                })),
            };
            let external = Some(some_addr(b));
            let reply = ReplyMessage {
                transaction,
                external,
                reply,
            };
            driven.dht.handle_datagram(now, local, to, &reply.encode());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_course_of_events_keeps_the_contract(
        seed: u64,
        steps in prop::collection::vec((0u8..24, any::<u8>(), any::<u8>(), 0u64..3000), 1..120),
    ) {
        let dht = Dht::new(at(0), seed, DhtSettings::default(), DhtState::default());
        let mut driven = Driven { dht, asked: Vec::new(), open: Default::default() };
        let local = addr("9.8.7.6:6881");
        driven.dht.set_endpoints(at(0), &[DhtEndpoint { local, external: None }]);
        let mut millis = 0;
        for (what, a, b, pause) in steps {
            step(&mut driven, at(millis), what, a, b);
            driven.poll_all(at(millis));
            driven.dht.check_invariants();
            millis += pause;
            check_contract(&mut driven, at(millis));
            driven.dht.check_invariants();
        }
        // Without any answer, each request ends all the same.
        for _ in 0..2000 {
            if driven.open.is_empty() {
                break;
            }
            let due = driven.dht.poll_timeout();
            prop_assert!(due.is_some(), "requests hang: {:?}", driven.open);
            check_contract(&mut driven, due.unwrap().max(at(millis)));
        }
        prop_assert!(driven.open.is_empty(), "{:?}", driven.open);
    }
}
