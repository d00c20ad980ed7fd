use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::testing::{Machine, at, check_contract, count_outputs};

fn tracker(name: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, name], 80))
}

fn local(name: u8) -> SocketAddr {
    SocketAddr::from(([192, 168, 0, name], 6881))
}

/// From our only endpoint to a tracker.
fn path(name: u8) -> UdpPath {
    UdpPath {
        local: local(1),
        tracker: tracker(name),
    }
}

/// A machine with a clock in seconds.
struct World {
    machine: UdpTrackers,
    now: u64,
    last_id: u64,
}

impl World {
    fn new() -> Self {
        Self {
            machine: UdpTrackers::new(7),
            now: 0,
            last_id: 0,
        }
    }

    fn time(&self) -> Instant {
        at(self.now * 1000)
    }

    fn ask_any(&mut self, targets: &[u8], ask: Ask, limit: u64) -> QueryId {
        self.last_id += 1;
        let id = QueryId(self.last_id);
        let query = UdpQuery {
            local: local(1),
            targets: targets.iter().map(|&name| tracker(name)).collect(),
            path: "/announce".to_owned(),
            ask,
            limit: Duration::from_secs(limit),
        };
        self.machine.ask(self.time(), id, query);
        id
    }

    fn announce(&mut self, targets: &[u8]) -> QueryId {
        let ask = Ask::Announce {
            event: AnnounceEvent::Started,
            num_want: 200,
            report: AnnounceStats::default(),
        };
        self.ask_any(targets, ask, 60)
    }

    fn outputs(&mut self) -> Vec<UdpOutput> {
        std::iter::from_fn(|| self.machine.poll_output()).collect()
    }

    /// The one datagram that goes out now: its receiver, what, its transaction.
    fn sent(&mut self) -> (u8, u8, Vec<u8>) {
        let mut all = self.all_sent();
        assert_eq!(all.len(), 1, "at {} s", self.now);
        all.remove(0)
    }

    fn all_sent(&mut self) -> Vec<(u8, u8, Vec<u8>)> {
        let datagram = |output| match output {
            UdpOutput::Send {
                path:
                    UdpPath {
                        tracker: SocketAddr::V4(to),
                        ..
                    },
                packet,
            } => (to.ip().octets()[3], packet[11], packet[12..16].to_vec()),
            other => panic!("{other:?}"),
        };
        self.outputs().into_iter().map(datagram).collect()
    }

    fn silent(&mut self) {
        assert_eq!(self.outputs(), [], "at {} s", self.now);
    }

    fn hear(&mut self, from: u8, action: u8, transaction: &[u8], body: &[u8]) -> bool {
        let mut packet = vec![0, 0, 0, action];
        packet.extend_from_slice(transaction);
        packet.extend_from_slice(body);
        let now = self.time();
        self.machine.datagram(now, path(from), &packet)
    }

    fn done(&mut self) -> (QueryId, Result<UdpReply, UdpError>) {
        match self.outputs().as_slice() {
            [UdpOutput::Done { id, result }] => (*id, result.clone()),
            other => panic!("at {} s: {other:?}", self.now),
        }
    }

    /// Lets time pass up to the next timeout, which is in `seconds`.
    fn sleep(&mut self, seconds: u64) {
        let due = self.machine.poll_timeout().expect("a timeout");
        assert_eq!((due - self.time()).as_secs(), seconds, "at {} s", self.now);
        self.now += seconds;
        self.machine.handle_timeout(self.time());
    }

    /// Answers the connect request of `from`, which goes out now.
    fn connect(&mut self, from: u8) {
        let (to, action, transaction) = self.sent();
        assert_eq!((to, action), (from, 0), "at {} s", self.now);
        assert!(self.hear(from, 0, &transaction, &[9; 8]));
    }
}

const ANSWER: &[u8] = b"\0\0\x07\x08\0\0\0\x02\0\0\0\x03\x0a\0\0\x01\x1a\xe1";

#[test]
fn an_announce_from_connect_to_peers() {
    let mut world = World::new();
    let id = world.announce(&[1]);
    world.connect(1);
    let (to, action, transaction) = world.sent();
    assert_eq!((to, action), (1, 1));
    assert!(world.hear(1, 1, &transaction, ANSWER));
    let reply = Reply {
        interval: Duration::from_secs(1800),
        min_interval: Duration::from_secs(60),
        incomplete: Some(2),
        complete: Some(3),
        peers: vec!["10.0.0.1:6881".parse().unwrap()],
        ..Reply::default()
    };
    assert_eq!(world.done(), (id, Ok(UdpReply::Announce(reply))));
    assert_eq!(world.machine.poll_timeout(), None);
}

#[test]
fn one_connection_id_serves_many_queries_for_a_minute() {
    let mut world = World::new();
    let first = world.announce(&[1]);
    let second = world.ask_any(&[1], Ask::Scrape(InfoHash([7; 20])), 60);
    world.connect(1);
    let sent = world.all_sent();
    assert_eq!(sent.iter().map(|sent| sent.1).collect::<Vec<_>>(), [1, 2]);
    assert!(world.hear(1, 2, &sent[1].2, b"\0\0\0\x01\0\0\0\x02\0\0\0\x03"));
    let numbers = ScrapeReply {
        complete: Some(1),
        downloaded: Some(2),
        incomplete: Some(3),
    };
    assert_eq!(world.done(), (second, Ok(UdpReply::Scrape(numbers))));
    assert!(world.hear(1, 1, &sent[0].2, ANSWER));
    assert_eq!(world.done().0, first);

    world.now = 59;
    world.announce(&[1]);
    let (_, action, transaction) = world.sent();
    assert_eq!(action, 1);
    assert!(world.hear(1, 1, &transaction, ANSWER));
    world.done().1.unwrap();
    world.now = 60;
    world.announce(&[1]);
    assert_eq!(world.sent().1, 0, "the id is too old");
}

#[test]
fn silence_is_met_with_growing_waits() {
    let mut world = World::new();
    let id = world.ask_any(&[1], Ask::Scrape(InfoHash::default()), 600);
    for wait in [15, 30, 60, 120] {
        assert_eq!(world.sent().1, 0);
        world.sleep(wait);
    }
    world.connect(1);
    assert_eq!(world.now, 225);
    for wait in [15, 30] {
        assert_eq!(world.sent().1, 2);
        world.sleep(wait);
    }
    assert_eq!(world.sent().1, 2);
    world.sleep(60);
    assert_eq!(world.sent().1, 0, "the id is too old by then");
    world.sleep(15);
    assert_eq!(world.sent().1, 0);
    world.now = 600;
    world.machine.handle_timeout(world.time());
    let limit = Duration::from_secs(600);
    assert_eq!(world.done(), (id, Err(UdpError::Timeout(limit))));
}

#[test]
fn the_limit_ends_it_between_two_tries() {
    let mut world = World::new();
    let id = world.ask_any(&[1], Ask::Scrape(InfoHash::default()), 30);
    world.sent();
    world.sleep(15);
    world.sent();
    world.sleep(15);
    let error = world.done().1.unwrap_err();
    assert_eq!(error.to_string(), "no answer within 30 s");
    assert_eq!(id, QueryId(1));
    world.sleep(15);
    world.silent();
    assert_eq!(world.machine.poll_timeout(), None, "nobody asks any more");
}

#[test]
fn strangers_and_nonsense_are_ignored() {
    let mut world = World::new();
    let id = world.announce(&[1]);
    let (_, _, transaction) = world.sent();
    let mut other = transaction.clone();
    other[3] ^= 1;
    assert!(!world.hear(1, 0, &other, &[9; 8]), "another transaction");
    assert!(!world.hear(2, 0, &transaction, &[9; 8]), "another source");
    assert!(!world.hear(1, 0, &transaction, &[9; 7]), "too short");
    assert!(!world.hear(1, 1, &transaction, ANSWER), "another action");
    assert!(!world.hear(1, 7, &transaction, &[]), "no such action");
    world.silent();
    assert!(world.hear(1, 0, &transaction, &[9; 8]));
    let (_, _, transaction) = world.sent();
    assert!(!world.hear(1, 0, &transaction, &[9; 8]));
    assert!(!world.hear(1, 2, &transaction, &[0; 12]));
    assert!(!world.hear(1, 1, &transaction, &ANSWER[..11]));
    assert!(!world.hear(2, 3, &transaction, b"go away"));
    world.silent();
    assert!(world.hear(1, 1, &transaction, &ANSWER[..17]));
    let (answered, result) = world.done();
    assert_eq!(answered, id);
    let Ok(UdpReply::Announce(reply)) = result else {
        panic!("{result:?}");
    };
    assert!(reply.peers.is_empty(), "less than an entry is no peer");
    assert!(!world.hear(1, 1, &transaction, ANSWER), "once is enough");
}

#[test]
fn refusals_end_a_query() {
    let mut world = World::new();
    world.announce(&[1]);
    let (_, _, transaction) = world.sent();
    assert!(world.hear(1, 3, &transaction, b"closed\0"));
    let refused = Err(UdpError::Refused("closed".to_owned()));
    assert_eq!(world.done().1, refused);
    world.announce(&[1]);
    world.connect(1);
    let (_, _, transaction) = world.sent();
    assert!(world.hear(1, 3, &transaction, b"closed"));
    assert_eq!(world.done().1, refused);
}

#[test]
fn an_error_on_an_old_connection_is_tried_again_on_a_new_one() {
    let mut world = World::new();
    world.announce(&[1]);
    world.connect(1);
    let (_, _, transaction) = world.sent();
    world.hear(1, 1, &transaction, ANSWER);
    world.done().1.unwrap();
    world.now = 30;
    let id = world.announce(&[1]);
    let (_, _, transaction) = world.sent();
    assert!(world.hear(1, 3, &transaction, b"connection id mismatch"));
    world.connect(1);
    let (_, _, transaction) = world.sent();
    assert!(world.hear(1, 3, &transaction, b"really"));
    assert_eq!(
        world.done(),
        (id, Err(UdpError::Refused("really".to_owned())))
    );
}

#[test]
fn the_next_address_has_its_turn_after_silence_or_an_error() {
    let mut world = World::new();
    let id = world.announce(&[1, 2, 3]);
    assert_eq!(world.sent().0, 1);
    world.sleep(15);
    assert_eq!(world.sent().0, 2);
    world.machine.send_failed(world.time(), path(2), "no route");
    world.connect(3);
    let (to, action, _) = world.sent();
    assert_eq!((to, action), (3, 1));
    world.machine.send_failed(world.time(), path(3), "no route");
    assert_eq!(
        world.done(),
        (id, Err(UdpError::Send("no route".to_owned())))
    );
    assert_eq!(world.machine.poll_timeout(), None);
}

#[test]
fn each_endpoint_of_ours_has_a_connection_of_its_own() {
    let mut world = World::new();
    let first = world.announce(&[1]);
    world.connect(1);
    let (_, _, transaction) = world.sent();
    let elsewhere = UdpPath {
        local: local(2),
        tracker: tracker(1),
    };
    let query = UdpQuery {
        local: local(2),
        targets: vec![tracker(1)],
        path: String::new(),
        ask: Ask::Scrape(InfoHash::default()),
        limit: Duration::from_secs(60),
    };
    let second = QueryId(99);
    world.machine.ask(world.time(), second, query);
    let sent = world.outputs();
    let [UdpOutput::Send { path, packet }] = &sent[..] else {
        panic!("{sent:?}");
    };
    assert_eq!((*path, packet[11]), (elsewhere, 0), "a connect request");
    // An answer counts where the question was asked.
    let answer = [&[0, 0, 0, 1], &transaction[..], ANSWER].concat();
    let now = world.time();
    assert!(!world.machine.datagram(now, elsewhere, &answer));
    assert!(world.hear(1, 1, &transaction, ANSWER));
    assert_eq!(world.done().0, first);
    world.machine.send_failed(now, elsewhere, "no route");
    assert_eq!(
        world.done(),
        (second, Err(UdpError::Send("no route".to_owned())))
    );
}

#[test]
fn all_begins_anew_on_other_sockets() {
    let mut world = World::new();
    // One has its connection id and was sent, one waits for an id.
    let first = world.announce(&[1]);
    world.connect(1);
    let (_, _, lost) = world.sent();
    world.announce(&[2]);
    let (_, _, lost_too) = world.sent();
    world.machine.sockets_replaced(world.time());
    let mut sent = world.all_sent();
    sent.sort();
    let targets: Vec<_> = sent.iter().map(|it| (it.0, it.1)).collect();
    assert_eq!(targets, [(1, 0), (2, 0)], "connect requests, at once");
    assert!(!world.hear(1, 1, &lost, ANSWER));
    assert!(!world.hear(2, 0, &lost_too, &[9; 8]));
    assert!(world.hear(1, 0, &sent[0].2, &[9; 8]));
    let (_, action, transaction) = world.sent();
    assert_eq!(action, 1);
    assert!(world.hear(1, 1, &transaction, ANSWER));
    assert_eq!(world.done().0, first);
    // Old ids are not used, and where nothing is under way nothing is sent.
    world.machine.cancel(QueryId(2));
    world.machine.sockets_replaced(world.time());
    world.silent();
    world.announce(&[1]);
    assert_eq!(world.sent().1, 0);
}

#[test]
fn a_query_without_an_address_fails_at_once() {
    let mut world = World::new();
    let id = world.announce(&[]);
    assert_eq!(world.done(), (id, Err(UdpError::NoAddress)));
}

#[test]
fn what_is_cancelled_is_forgotten() {
    let mut world = World::new();
    let id = world.announce(&[1]);
    world.connect(1);
    let (_, _, transaction) = world.sent();
    world.machine.cancel(id);
    assert!(!world.hear(1, 1, &transaction, ANSWER));
    world.silent();
    assert_eq!(world.machine.poll_timeout(), None);
    world.now = 61;
    world.announce(&[2]);
    assert_eq!(world.machine.servers.len(), 1, "the old one is forgotten");
}

impl Machine for UdpTrackers {
    fn poll_timeout(&self) -> Option<Instant> {
        UdpTrackers::poll_timeout(self)
    }

    fn handle_timeout(&mut self, now: Instant) {
        UdpTrackers::handle_timeout(self, now);
    }

    fn poll_all(&mut self, _now: Instant) -> usize {
        count_outputs(|| self.poll_output())
    }
}

proptest! {
    /// Whatever happens, every query that is not cancelled ends exactly once.
    #[test]
    fn every_query_ends_once(steps in prop::collection::vec((0u8..7, 0u8..4, 0u64..40), 1..60)) {
        let mut world = World::new();
        let mut open = std::collections::HashSet::new();
        let mut last: Vec<(u8, u8, Vec<u8>)> = Vec::new();
        for (step, name, wait) in steps {
            match step {
                6 => world.machine.sockets_replaced(world.time()),
                0 => { open.insert(world.announce(&[name, name + 1])); }
                1 => {
                    let id = world.ask_any(&[name], Ask::Scrape(InfoHash::default()), wait + 1);
                    open.insert(id);
                }
                2 => world.machine.send_failed(world.time(), path(name), "x"),
                3 | 4 => {
                    for (from, action, transaction) in std::mem::take(&mut last) {
                        let answer = if step == 3 { action } else { 3 };
                        world.hear(from, answer, &transaction, &[1; 12]);
                    }
                }
                _ => {
                    world.now += wait;
                    world.machine.handle_timeout(world.time());
                }
            }
            for output in world.outputs() {
                match output {
                    UdpOutput::Send { path: UdpPath { tracker: SocketAddr::V4(to), .. }, packet } => {
                        last.push((to.ip().octets()[3], packet[11], packet[12..16].to_vec()));
                    }
                    UdpOutput::Send { .. } => unreachable!("IPv4 only"),
                    UdpOutput::Done { id, .. } => prop_assert!(open.remove(&id)),
                }
            }
            if let Some(due) = world.machine.poll_timeout() {
                prop_assert!(due > world.time() || step != 5, "a timeout in the past");
            }
        }
        world.now += 4000;
        world.machine.handle_timeout(world.time());
        for output in world.outputs() {
            if let UdpOutput::Done { id, .. } = output {
                prop_assert!(open.remove(&id));
            }
        }
        prop_assert!(open.is_empty());
        let now = world.time();
        world.announce(&[7, 8]);
        check_contract(&mut world.machine, now);
        check_contract(&mut world.machine, now + Duration::from_secs(20));
        prop_assert!(world.machine.transactions.len() <= world.machine.servers.len());
    }
}
