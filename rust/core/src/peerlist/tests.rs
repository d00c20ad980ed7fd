use proptest::prelude::*;

use super::*;
use crate::testing::at;

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn list(max_size: usize) -> PeerList {
    PeerList::new(PeerListSettings {
        max_size,
        ..PeerListSettings::default()
    })
}

fn with(peers: &[&str]) -> PeerList {
    let mut list = list(100);
    for peer in peers {
        assert_eq!(list.add(addr(peer), Sources::TRACKER), Ok(true));
    }
    list
}

#[test]
fn nonsense_is_refused_by_name() {
    let mut list = list(10);
    list.set_own(vec![addr("9.9.9.9:6881"), addr("[2001:db8::9]:6881")]);
    list.ban("5.5.5.5".parse().unwrap());
    list.ban("2001:db8:1::1".parse().unwrap());
    for (text, reason) in [
        ("1.2.3.4:0", Refused::PortZero),
        ("0.0.0.0:1", Refused::NoHost),
        ("255.255.255.255:1", Refused::NoHost),
        ("224.0.0.1:1", Refused::NoHost),
        ("[::]:1", Refused::NoHost),
        ("[ff02::1]:1", Refused::NoHost),
        ("9.9.9.9:6881", Refused::Own),
        ("[::ffff:9.9.9.9]:6881", Refused::Own),
        ("[2001:db8::9]:6881", Refused::Own),
        ("5.5.5.5:77", Refused::Banned),
        ("[::ffff:5.5.5.5]:77", Refused::Banned),
        ("[2001:db8:1::2]:77", Refused::Banned),
    ] {
        assert_eq!(list.add(addr(text), Sources::PEX), Err(reason), "{text}");
    }
    assert!(list.is_empty());
    assert_eq!(list.add(addr("9.9.9.9:6882"), Sources::PEX), Ok(true));
    assert_eq!(list.add(addr("[2001:db8:2::2]:77"), Sources::PEX), Ok(true));
}

#[test]
fn a_peer_is_known_once_with_all_its_sources() {
    let mut list = list(10);
    assert_eq!(list.add(addr("1.2.3.4:5"), Sources::DHT), Ok(true));
    assert_eq!(
        list.add(addr("[::ffff:1.2.3.4]:5"), Sources::PEX),
        Ok(false)
    );
    assert_eq!(list.len(), 1);
    let sources = list.sources(addr("1.2.3.4:5")).unwrap();
    assert_eq!(sources.bits(), 6);
    assert!(sources.contains(Sources::PEX) && !sources.contains(Sources::TRACKER));
}

#[test]
fn a_peer_is_tried_again_later_and_later_and_then_no_more() {
    let mut list = with(&["1.2.3.4:5"]);
    let peer = addr("1.2.3.4:5");
    let mut now = 0;
    for failures in 1..=3u64 {
        assert_eq!(list.next_candidate(at(now)), Some(peer));
        assert_eq!(list.next_candidate(at(now)), None);
        list.failed(at(now), peer);
        if failures < 3 {
            let wait = (failures + 1) * 60_000;
            assert_eq!(list.next_at(at(now)), Some(at(now + wait)));
            assert_eq!(list.next_candidate(at(now + wait - 1)), None);
            now += wait;
        }
    }
    assert_eq!((list.failcount(peer), list.num_candidates()), (3, 0));
    assert_eq!(list.next_at(at(now)), None);
    assert_eq!(list.next_candidate(at(now + 86_400_000)), None);
    // A peer's word changes nothing; a tracker's gives it one more chance.
    assert_eq!(list.add(peer, Sources::PEX), Ok(false));
    assert_eq!(list.num_candidates(), 0);
    assert_eq!(list.add(peer, Sources::TRACKER), Ok(false));
    assert_eq!(list.next_candidate(at(now + 180_000)), Some(peer));
    list.connected(peer);
    assert_eq!(list.failcount(peer), 0);
    list.closed(at(now + 200_000), peer);
    assert_eq!(list.next_candidate(at(now + 259_999)), None);
    assert_eq!(list.next_candidate(at(now + 260_000)), Some(peer));
    list.failed(at(now + 260_000), peer);
    list.forgive_all();
    assert_eq!(list.next_candidate(at(now + 260_000)), Some(peer));
}

#[test]
fn an_address_has_no_more_connections_than_allowed() {
    let mut list = with(&[
        "1.2.3.4:5",
        "1.2.3.4:6",
        "[2001:db8::1]:5",
        "[2001:db8::2]:5",
    ]);
    let allow = |max_per_ip| PeerListSettings {
        max_per_ip,
        ..PeerListSettings::default()
    };
    let dial_all = |list: &mut PeerList| {
        let mut dialled = Vec::from_iter(std::iter::from_fn(|| list.next_candidate(at(0))));
        dialled.sort_unstable();
        dialled
    };
    list.set_settings(allow(1));
    let dialled = dial_all(&mut list);
    assert_eq!(dialled.len(), 3, "one with each address: {dialled:?}");
    // Several count together in a /64.
    list.set_settings(allow(2));
    let more = dial_all(&mut list);
    assert_eq!(more.len(), 1, "{more:?}");
    let second = more[0];
    assert!(second.is_ipv4());
    list.closed(at(0), dialled[1]);
    list.closed(at(0), dialled[2]);
    list.closed(at(0), second);
    list.closed(at(0), second);
    list.set_settings(allow(1));
    let last = list.next_candidate(at(100_000));
    assert!(last.is_some_and(|peer| peer.is_ipv6()), "{last:?}");
}

#[test]
fn an_incoming_peer_is_not_dialled() {
    let mut list = list(10);
    let peer = addr("1.2.3.4:5");
    list.connected(peer);
    assert_eq!(list.add(peer, Sources::INCOMING), Ok(true));
    list.connected(peer);
    assert_eq!(list.next_candidate(at(0)), None);
}

#[test]
fn local_peers_then_vouched_for_ones_then_by_canonical_priority() {
    let mut list = list(100);
    let own = addr("123.213.32.10:6881");
    let near = ["98.76.54.32:1", "123.213.32.234:1", "200.1.2.3:1"];
    for peer in near {
        list.add(addr(peer), Sources::PEX).unwrap();
    }
    list.add(addr("77.1.2.3:1"), Sources::RESUME_DATA).unwrap();
    list.add(addr("78.1.2.3:1"), Sources::TRACKER).unwrap();
    list.add(addr("192.168.1.7:1"), Sources::PEX).unwrap();
    list.set_own(vec![addr("[::1]:1"), own]);
    let mut ranked = near.map(addr);
    ranked.sort_by_key(|&peer| Reverse(canonical_priority(own, peer)));
    let mut expected = vec![addr("192.168.1.7:1"), addr("78.1.2.3:1")];
    expected.extend(ranked);
    expected.push(addr("77.1.2.3:1"));
    let order: Vec<_> = std::iter::from_fn(|| list.next_candidate(at(0))).collect();
    assert_eq!(order, expected);
}

#[test]
fn each_peer_is_ranked_by_the_address_that_it_sees() {
    let mut list = list(10);
    assert_eq!(list.priority(addr("98.76.54.32:1")), 0);
    let [global, home] = ["123.213.32.10:6881", "192.168.1.2:6881"].map(addr);
    list.set_own(vec![global, home]);
    for (peer, own) in [("98.76.54.32:1", global), ("192.168.1.9:2", home)] {
        let expected = canonical_priority(own, addr(peer));
        assert_eq!(list.priority(addr(peer)), expected);
    }
    list.set_own(vec![home]);
    let expected = canonical_priority(home, addr("98.76.54.32:1"));
    assert_eq!(list.priority(addr("[::ffff:98.76.54.32]:1")), expected);
    assert_eq!(list.priority(addr("[2001:db8::1]:1")), 0);
}

#[test]
fn a_full_list_gives_up_what_failed_or_is_less_vouched_for() {
    let mut list = list(3);
    list.add(addr("1.0.0.1:1"), Sources::PEX).unwrap();
    list.add(addr("1.0.0.2:1"), Sources::DHT).unwrap();
    list.add(addr("1.0.0.3:1"), Sources::RESUME_DATA).unwrap();
    assert_eq!(list.add(addr("1.0.0.4:1"), Sources::PEX), Ok(true));
    assert_eq!(list.sources(addr("1.0.0.3:1")), None);
    assert_eq!(
        list.add(addr("1.0.0.5:1"), Sources::PEX),
        Err(Refused::Full)
    );
    let dialled = list.next_candidate(at(0)).unwrap();
    list.failed(at(0), dialled);
    assert_eq!(list.add(addr("1.0.0.5:1"), Sources::PEX), Ok(true));
    assert_eq!(list.sources(dialled), None);
    assert_eq!(list.add(addr("1.0.0.6:1"), Sources::TRACKER), Ok(true));
    assert_eq!(list.len(), 3);
    // Who is connected stays, whatever comes.
    let mut kept = Vec::new();
    while let Some(peer) = list.next_candidate(at(0)) {
        kept.push(peer);
    }
    assert_eq!(kept.len(), 3);
    assert_eq!(
        list.add(addr("1.0.0.7:1"), Sources::MANUAL),
        Err(Refused::Full)
    );
    list.set_settings(PeerListSettings {
        max_size: 0,
        ..PeerListSettings::default()
    });
    assert_eq!(
        list.add(addr("1.0.0.7:1"), Sources::MANUAL),
        Err(Refused::Full)
    );
}

#[test]
fn seeds_are_left_alone_once_we_are_done() {
    let mut list = with(&["1.2.3.4:5", "1.2.3.5:5"]);
    list.set_seed(addr("1.2.3.4:5"), true);
    list.set_finished(true);
    assert_eq!((list.num_seeds(), list.num_candidates()), (1, 1));
    assert_eq!(list.next_candidate(at(0)), Some(addr("1.2.3.5:5")));
    assert_eq!(list.next_candidate(at(0)), None);
    list.failed(at(0), addr("1.2.3.5:5"));
    assert_eq!(list.resumable().collect::<Vec<_>>(), [addr("1.2.3.4:5")]);
}

#[test]
fn a_ban_covers_all_ports_and_is_bounded() {
    let mut list = with(&["1.2.3.4:5", "1.2.3.4:6", "1.2.3.5:5"]);
    list.next_candidate(at(0));
    list.ban("1.2.3.4".parse().unwrap());
    assert_eq!(list.len(), 1);
    assert!(list.busy.is_empty() || list.busy.len() == 1);
    for number in 0..20_000u32 {
        list.ban(IpAddr::from(number.to_be_bytes()));
    }
    assert_eq!(list.banned().count(), BanList::MAX);
    assert!(!list.is_banned("1.2.3.4".parse().unwrap()));
}

proptest! {
    #[test]
    fn counts_hold_whatever_happens(
        max_per_ip in 1usize..4,
        ops in prop::collection::vec((0u8..7, 1u8..5, 1u16..4, 0u64..200_000), 0..200),
    ) {
        let mut list = PeerList::new(PeerListSettings { max_size: 8, max_per_ip, ..PeerListSettings::default() });
        let mut now = 0;
        for (op, host, port, wait) in ops {
            now += wait;
            let peer = SocketAddr::from(([10, 0, 0, host], port));
            match op {
                0 => drop(list.add(peer, Sources::PEX)),
                1 => drop(list.add(peer, Sources::TRACKER)),
                2 => if let Some(next) = list.next_candidate(at(now)) {
                    prop_assert!(!list.is_banned(next.ip()));
                    prop_assert!(list.busy[&next.ip()] <= max_per_ip);
                },
                3 => list.connected(peer),
                4 => list.failed(at(now), peer),
                5 => list.closed(at(now), peer),
                _ => if wait % 10 == 0 { list.ban(peer.ip()) },
            }
            prop_assert!(list.len() <= 8);
            let mut busy = BTreeMap::new();
            for (addr, _) in list.peers.iter().filter(|(_, known)| known.busy) {
                *busy.entry(addr.ip()).or_insert(0usize) += 1;
            }
            prop_assert_eq!(&busy, &list.busy);
            let due = list.next_at(at(now)).is_some_and(|due| due <= at(now));
            prop_assert_eq!(list.clone().next_candidate(at(now)).is_some(), due);
        }
    }
}
