//! What happens when the network or others misbehave.

use std::net::Ipv6Addr;

use super::*;

const TORRENT: InfoHash = InfoHash([0x42; 20]);

fn announce() -> DhtAnnounce {
    DhtAnnounce {
        port: 5,
        implied_port: false,
        seed: false,
    }
}

#[test]
fn an_idle_node_sends_little() {
    let mut world = World::network(12);
    // The tables are as large as they get.
    world.run(600_000);
    let (sent, bytes) = (world.sent, world.bytes);
    world.run(3_600_000);
    let each = (world.sent - sent) / 12;
    // An answer to each query: one for each of 11 nodes every quarter of an hour.
    assert!(each <= 2 * 11 * 5, "{each} datagrams an hour");
    assert!((world.bytes - bytes) / 12 < 15_000);
    for dht in world.nodes.values() {
        assert!(dht.stats(at(world.now)).lookups.is_empty());
    }
}

#[test]
fn a_table_survives_an_outage_and_torrents_are_announced_again() {
    let mut world = World::network(20);
    let node = loopback(7003);
    world.with(node, |dht, now| dht.add_torrent(now, TORRENT, announce()));
    world.run(5000);
    let before = world.good(node);
    world.take_events(node);
    world.cut = true;
    // Something is asked while nothing answers.
    world.with(node, |dht, now| dht.get_peers(now, TORRENT, false));
    world.run(60_000);
    assert!(world.nodes[&node].stats(at(world.now)).nodes() >= before);
    world.cut = false;
    world.take_events(node);
    world.run(10_000);
    assert!(
        world.good(node) >= before,
        "{} of {before}",
        world.good(node)
    );
    let announced = world.take_events(node).into_iter().any(
        |it| matches!(it, DhtOutput::PeersDone { info_hash: TORRENT, stored, .. } if stored > 0),
    );
    assert!(announced, "not announced again");
    world.check();
}

#[test]
fn a_hint_that_the_network_has_changed_revives_at_once() {
    let mut world = World::network(20);
    let node = loopback(7003);
    world.with(node, |dht, now| dht.add_torrent(now, TORRENT, announce()));
    world.run(5000);
    world.take_events(node);
    world.with(node, |dht, now| dht.network_changed(now));
    world.run(3000);
    let events = world.take_events(node);
    assert!(
        events
            .iter()
            .any(|it| matches!(it, DhtOutput::PeersDone { .. }))
    );
}

#[test]
fn an_answer_from_elsewhere_or_by_another_id_counts_for_nothing() {
    let mut node = Asked::new(DhtSettings::default());
    let there = addr("1.2.3.4:100");
    let ask = |node: &mut Asked| {
        node.dht.add_node(at(node.now), there);
        let Some(DhtOutput::Send { packet, .. }) = node.dht.poll_output() else {
            panic!("nothing is asked");
        };
        let Ok(Message::Query(query)) = Message::decode(&packet) else {
            panic!("no query");
        };
        query.transaction
    };
    let reply = |transaction, id| {
        let id = NodeId([id; 20]);
        let response = Response {
            id,
            ..Response::default()
        };
        let reply = ReplyMessage {
            transaction,
            external: None,
            reply: Reply::Response(Box::new(response)),
        };
        reply.encode()
    };
    let nodes = |node: &Asked| node.dht.stats(at(node.now)).nodes();
    let transaction = ask(&mut node);
    node.datagram(addr("1.2.3.4:101"), &reply(transaction.clone(), 1));
    node.datagram(addr("1.2.3.5:100"), &reply(transaction.clone(), 1));
    assert_eq!(nodes(&node), 0);
    node.datagram(there, &reply(transaction.clone(), 1));
    assert_eq!(nodes(&node), 1);
    node.datagram(there, &reply(transaction, 2));
    assert_eq!(nodes(&node), 1, "the same answer twice");
    // A quarter of an hour later it is asked again, and is another one.
    node.now = 1_000_000;
    node.dht.handle_timeout(at(node.now));
    let mut asked = None;
    while let Some(output) = node.dht.poll_output() {
        if let DhtOutput::Send { packet, .. } = output
            && let Ok(Message::Query(query)) = Message::decode(&packet)
        {
            asked = Some(query.transaction);
        }
    }
    node.datagram(there, &reply(asked.unwrap(), 2));
    assert_eq!(nodes(&node), 0, "it is thrown out");
}

#[test]
fn a_sender_that_answers_nothing_is_served_and_not_stored() {
    let mut node = Asked::new(DhtSettings::default());
    let mut query = Query {
        transaction: Transaction::short(9),
        id: NodeId([5; 20]),
        read_only: true,
        method: Method::Ping,
    };
    let from = addr("1.2.3.4:100");
    assert_eq!(node.datagram(from, &query.encode()).len(), 1);
    let asked = |node: &mut Asked, now| {
        node.dht.handle_timeout(now);
        let outputs = std::iter::from_fn(|| node.dht.poll_output());
        outputs
            .filter(|it| matches!(it, DhtOutput::Send { .. }))
            .count()
    };
    assert_eq!(asked(&mut node, at(60_000)), 0);
    query.read_only = false;
    assert_eq!(node.datagram(from, &query.encode()).len(), 1);
    assert_eq!(asked(&mut node, at(120_000)), 1);
    assert_eq!(node.dht.stats(at(120_000)).nodes(), 0);
}

#[test]
fn a_filter_holds_in_both_directions() {
    let mut node = Asked::new(DhtSettings::default());
    let mut filter = IpFilter::new();
    filter
        .set("1.2.3.0-1.2.3.255".parse().unwrap(), true)
        .unwrap();
    node.dht.set_filter(Some(Arc::new(filter)));
    let query = Query {
        transaction: Transaction::short(9),
        id: NodeId([5; 20]),
        read_only: false,
        method: Method::Ping,
    };
    assert_eq!(node.datagram(addr("1.2.3.4:100"), &query.encode()), []);
    assert_eq!(node.datagram(addr("1.2.4.4:100"), &query.encode()).len(), 1);
    node.dht.add_node(at(1), addr("1.2.3.4:100"));
    while let Some(output) = node.dht.poll_output() {
        let banned = matches!(output, DhtOutput::Send { to, .. } if to == addr("1.2.3.4:100"));
        assert!(!banned);
    }
}

#[test]
fn ids_fit_our_address_as_soon_as_it_is_known() {
    let mut node = Asked::new(DhtSettings::default());
    let external: IpAddr = "124.31.75.21".parse().unwrap();
    let id = |node: &Asked| node.dht.stats(at(0)).endpoints[0].id;
    let first = id(&node);
    node.dht
        .set_external_address(at(1), node.local, Some(external));
    let second = id(&node);
    assert_ne!(first, second);
    assert!(second.is_valid_for(external));
    node.dht
        .set_external_address(at(2), node.local, Some(external));
    assert_eq!(id(&node), second, "it is good already");
    let saved = node.dht.saved_state();
    let mut again = Dht::new(at(0), 9, DhtSettings::default(), saved);
    let endpoint = DhtEndpoint {
        local: node.local,
        external: Some(external),
    };
    again.set_endpoints(at(0), &[endpoint]);
    assert_eq!(again.stats(at(0)).endpoints[0].id, second, "across runs");
}

#[test]
fn what_an_endpoint_had_under_way_ends_with_it() {
    let mut world = World::network(12);
    let node = loopback(7003);
    world.with(node, |dht, now| {
        dht.get_peers(now, TORRENT, false);
        dht.sample_infohashes(now, loopback(7004), NodeId([1; 20]));
        dht.set_endpoints(now, &[]);
    });
    let events = world.take_events(node);
    assert!(
        events
            .iter()
            .any(|it| matches!(it, DhtOutput::PeersDone { .. }))
    );
    assert!(
        events
            .iter()
            .any(|it| matches!(it, DhtOutput::Samples { samples: None, .. }))
    );
    // Without any endpoint a request ends at once.
    world.with(node, |dht, now| dht.get_peers(now, TORRENT, false));
    let events = world.take_events(node);
    assert!(matches!(
        events.last(),
        Some(DhtOutput::PeersDone { peers: 0, .. })
    ));
    assert_eq!(world.nodes[&node].poll_timeout(), None);
    world.check();
}

#[test]
fn both_families_are_joined_by_nodes_of_either() {
    // Nodes with both, and one of which an IPv4 address is known alone.
    let v6 = |port| SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    let mut dhts = Vec::new();
    for port in 0..3u16 {
        let known = if port == 0 { vec![] } else { vec![loopback(1)] };
        let saved = DhtState {
            ids: vec![],
            nodes: known,
        };
        let mut dht = Dht::new(at(0), u64::from(port), DhtSettings::default(), saved);
        let endpoints = [loopback(port + 1), v6(port + 1)].map(|local| DhtEndpoint {
            local,
            external: None,
        });
        dht.set_endpoints(at(0), &endpoints);
        dhts.push(dht);
    }
    // Node 2 learns of an IPv6 address.
    dhts[1].add_node(at(0), v6(1));
    for step in 0..4000 {
        let now = at(step * 10);
        for at in 0..3 {
            if dhts[at].poll_timeout().is_some_and(|due| due <= now) {
                dhts[at].handle_timeout(now);
            }
            while let Some(output) = dhts[at].poll_output() {
                match output {
                    DhtOutput::Send { local, to, packet } => {
                        let node = usize::from(to.port() - 1);
                        dhts[node].handle_datagram(now, to, local, &packet);
                    }
                    DhtOutput::ResolveRouters => dhts[at].set_routers(now, &[]),
                    _ => {}
                }
            }
        }
    }
    for dht in &dhts {
        dht.check_invariants();
        let good: Vec<_> = dht
            .stats(at(40_000))
            .endpoints
            .iter()
            .map(|it| it.good_nodes)
            .collect();
        assert_eq!(good, [2, 2]);
    }
}
