//! uTP over links of all kinds: what a game and its player notice of it.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;
use torrent_core::utp::{UtpError, UtpId, UtpOutput, UtpSettings};
use torrent_sim::{DatagramLink, DatagramNet, Flow, Refusals, each_seed};

/// More than any of these sends.
const ENDLESS: u64 = 1 << 40;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn net(seed: u64, link: DatagramLink) -> DatagramNet {
    DatagramNet::new(seed, link, UtpSettings::default())
}

/// The part of the link that an endless stream fills between two moments.
fn part(seed: u64, link: DatagramLink, from: Duration, to: Duration) -> f64 {
    let mut net = net(seed, link);
    let mut flow = Flow::start(&mut net, [ENDLESS, 0]);
    flow.run(&mut net, to);
    let part = flow.rate(from, to) / link.rate as f64;
    println!("{link:?}: {part:.3} {:?}", net.utp(0).stats());
    part
}

#[test]
fn a_clean_link_is_filled() {
    let part = part(1, DatagramLink::default(), seconds(3), seconds(5));
    assert!(part >= 0.92, "{part}");
}

#[test]
fn a_stream_flows_over_a_link_that_loses_packets() {
    // A window that is halved by each loss, in round trips of 40 ms, gives 0.06 and
    // 0.03.
    for (loss, least) in [(0.01, 0.08), (0.05, 0.045)] {
        let link = DatagramLink {
            loss,
            ..DatagramLink::default()
        };
        let part = part(2, link, seconds(3), seconds(13));
        assert!(part >= least, "{part} with {loss}");
    }
}

#[test]
fn a_long_way_is_filled_soon() {
    let link = DatagramLink::of_megabits(20, 100, 200);
    let mut net = net(3, link);
    let mut flow = Flow::start(&mut net, [ENDLESS, 0]);
    flow.run(&mut net, seconds(8));
    let full = |from: u64| flow.rate(millis(from), millis(from + 500)) / link.rate as f64 >= 0.9;
    let time = (0..75).map(|tenth| tenth * 100).find(|from| full(*from));
    println!("full after {time:?} ms");
    assert!(time.is_some_and(|time| time <= 4000), "{time:?}");
}

#[test]
fn a_deep_buffer_is_not_filled() {
    let link = DatagramLink::of_megabits(20, 20, 300);
    let mut net = net(4, link);
    net.sample_waits();
    let mut flow = Flow::start(&mut net, [ENDLESS, 0]);
    flow.run(&mut net, seconds(20));
    let wait = net.wait_percentile(Duration::ZERO, 0.95);
    let part = flow.rate(seconds(3), seconds(20)) / link.rate as f64;
    println!("{wait:?}, {part:.3}");
    assert!(wait <= millis(120), "{wait:?}");
    assert!(part >= 0.9, "{part}");
}

#[test]
fn a_stream_yields_to_tcp_and_comes_back() {
    let link = DatagramLink::of_megabits(20, 20, 300);
    let mut net = net(5, link);
    net.sample_waits();
    let mut flow = Flow::start(&mut net, [ENDLESS, 0]);
    flow.run(&mut net, seconds(5));
    net.start_cubic(seconds(25));
    flow.run(&mut net, seconds(30));
    let part = |from, to| flow.rate(seconds(from), seconds(to)) / link.rate as f64;
    let (alone, beside, after) = (part(2, 5), part(10, 25), part(27, 30));
    let cubic = net.cubic_bytes() as f64 / (link.rate * 20) as f64;
    println!("{alone:.3}, {beside:.3} beside {cubic:.3}, {after:.3}");
    assert!(alone >= 0.9, "{alone}");
    assert!(beside <= 0.15, "{beside}");
    assert!(after >= 0.9, "{after}");
}

#[test]
fn a_short_queue_is_shared_with_tcp() {
    for queue in [15, 40] {
        let link = DatagramLink::of_megabits(20, 20, queue);
        let mut net = net(13, link);
        let mut flow = Flow::start(&mut net, [ENDLESS, 0]);
        flow.run(&mut net, seconds(5));
        net.start_cubic(seconds(25));
        flow.run(&mut net, seconds(25));
        let part = flow.rate(seconds(10), seconds(25)) / link.rate as f64;
        println!("{part:.3} with a queue of {queue} ms");
        // Delays say little there: losses share the link out, as between two of TCP.
        assert!(part <= 0.7, "{part} with {queue} ms");
    }
}

#[test]
fn packets_become_smaller_where_large_ones_begin_to_vanish() {
    let mut net = net(6, DatagramLink::of_megabits(20, 20, 100));
    let mut flow = Flow::start(&mut net, [ENDLESS, 0]);
    flow.run(&mut net, seconds(3));
    let id = flow.ends[0].id.unwrap();
    assert_eq!(net.utp(0).status(id).unwrap().datagram, 1472);
    net.link(0).mtu = 1300;
    flow.run(&mut net, seconds(10));
    let rate = flow.rate(seconds(6), seconds(10)) / 2_500_000.0;
    let status = net.utp(0).status(id).unwrap();
    println!("{rate:.3} {status:?}");
    assert!(rate >= 0.5, "flows again after 3 s: {rate}");
    let largest = 1300 - 28;
    assert!((largest - 16..=largest).contains(&status.datagram));
}

#[test]
fn the_search_for_the_mtu_costs_no_congestion() {
    for mtu in [1500, 1492, 1400, 1280, 600] {
        let link = DatagramLink {
            mtu,
            ..DatagramLink::of_megabits(20, 20, 300)
        };
        let mut net = net(7, link);
        let mut flow = Flow::start(&mut net, [12 << 20, 0]);
        assert!(flow.run(&mut net, seconds(60)));
        let stats = net.utp(0).stats();
        assert_eq!(stats.timeout, 0, "{mtu}");
        assert_eq!(stats.packet_loss, 0, "{mtu}");
        let id = flow.ends[0].id.unwrap();
        let found = net.utp(0).status(id).unwrap().datagram + 28;
        assert!(found <= mtu && found + 16 >= mtu, "{found} of {mtu}");
    }
}

#[test]
fn a_full_socket_is_no_loss() {
    let mut net = net(8, DatagramLink::of_megabits(20, 20, 300));
    net.refuse(
        0,
        Refusals {
            every: 7,
            pause: millis(3),
        },
    );
    let mut flow = Flow::start(&mut net, [2 << 20, 1000]);
    assert!(flow.run(&mut net, seconds(60)));
    assert_eq!(flow.ends[1].read, 2 << 20);
    let stats = net.utp(0).stats();
    assert_eq!((stats.packet_loss, stats.timeout), (0, 0), "{stats:?}");
}

#[test]
fn a_socket_that_is_full_for_a_minute_ends_nothing() {
    let mut net = net(9, DatagramLink::of_megabits(20, 20, 300));
    net.refuse(
        0,
        Refusals {
            every: 300,
            pause: seconds(60),
        },
    );
    let mut flow = Flow::start(&mut net, [400_000, 0]);
    assert!(flow.run(&mut net, seconds(600)));
    assert_eq!(flow.ends[1].read, 400_000);
}

#[test]
fn a_reader_that_waits_stops_the_writer_and_lets_it_go_on() {
    let settings = UtpSettings {
        receive_buffer: 100_000,
        ..UtpSettings::default()
    };
    let link = DatagramLink::of_megabits(20, 20, 100);
    let mut net = DatagramNet::new(10, link, settings);
    let mut flow = Flow::start(&mut net, [1 << 20, 0]);
    flow.ends[1].holds = true;
    flow.run(&mut net, seconds(120));
    assert!(net.utp(1).held() <= 100_000);
    assert!(net.utp(1).held() > 90_000);
    let before = net.sent(0).1;
    flow.run(&mut net, seconds(240));
    let probes = net.sent(0).1 - before;
    assert!((1..=20).contains(&probes), "{probes} packets for nothing");
    flow.ends[1].holds = false;
    flow.read(&mut net, 1);
    net.pump(1);
    let began = net.now();
    assert!(flow.run(&mut net, seconds(300)));
    assert!(net.now() - began < seconds(3), "{:?}", net.now() - began);
}

#[test]
fn an_idle_connection_stays_and_a_dead_one_does_not() {
    let mut net = net(11, DatagramLink::default());
    let mut flow = Flow::start(&mut net, [0, 0]);
    // Neither end says that it is done.
    net.run(seconds(1), |_, host, output| {
        if let UtpOutput::Incoming(id, _) = output {
            flow.ends[host].id = Some(id);
        }
        true
    });
    let before = net.sent(0).1;
    flow.ends.iter_mut().for_each(|end| end.wanted = 1);
    net.run(seconds(600), |_, _, output| panic!("{output:?}"));
    let pings = net.sent(0).1 - before;
    assert!((10..=60).contains(&pings), "{pings} in ten minutes");
    net.link(0).loss = 1.0;
    net.link(1).loss = 1.0;
    flow.run(&mut net, seconds(660));
    assert_eq!(flow.ends[0].error, Some(UtpError::TimedOut));
    assert_eq!(flow.ends[1].error, Some(UtpError::TimedOut));
}

#[test]
fn a_peer_that_is_not_there_is_given_up() {
    let link = DatagramLink {
        loss: 1.0,
        ..DatagramLink::default()
    };
    let mut net = net(12, link);
    let mut flow = Flow::start(&mut net, [1000, 0]);
    flow.run(&mut net, seconds(30));
    assert_eq!(flow.ends[0].error, Some(UtpError::TimedOut));
    // One SYN and two more.
    assert_eq!(net.sent(0).1, 3);
}

#[test]
fn short_connections_over_a_bad_link_end_right() {
    each_seed(0..1, |seed| {
        const COUNT: usize = 1000;
        let link = DatagramLink {
            loss: 0.05,
            jitter: millis(5),
            duplicate: 0.01,
            ..DatagramLink::of_megabits(100, 10, 300)
        };
        let mut net = net(seed, link);
        let mut begun = 0;
        let mut open: HashMap<(usize, UtpId), Vec<u8>> = HashMap::new();
        let mut ends = [0; 2];
        let mut errors = 0;
        let text: Vec<u8> = (0..3000_u32).map(|it| it as u8).collect();
        while ends[0] + errors < COUNT && net.now() < seconds(600) {
            let now = net.instant();
            while begun < COUNT && begun < ends[0] + errors + 50 {
                let peer = net.address(1);
                let id = net.utp(0).connect(now, peer).unwrap();
                open.insert((0, id), Vec::new());
                begun += 1;
            }
            net.pump(0);
            let until = net.now() + millis(100);
            net.run(until, |net, host, output| {
                let now = net.instant();
                let utp = net.utp(host);
                match output {
                    UtpOutput::Incoming(id, _) => {
                        open.insert((1, id), Vec::new());
                    }
                    UtpOutput::Connected(id) => {
                        assert_eq!(utp.write(now, id, &text), Ok(text.len()));
                        utp.shutdown(now, id);
                    }
                    UtpOutput::Readable(id) => {
                        let Some(read) = open.get_mut(&(host, id)) else {
                            return true;
                        };
                        let mut buffer = [0; 4096];
                        while let Ok(Some(count)) = utp.read(now, id, &mut buffer) {
                            read.extend(&buffer[..count]);
                            if count == 0 {
                                assert!(*read == text);
                                if host == 1 {
                                    assert_eq!(utp.write(now, id, &text), Ok(text.len()));
                                }
                                utp.release(now, id);
                                ends[host] += 1;
                                open.remove(&(host, id));
                                break;
                            }
                        }
                    }
                    UtpOutput::Closed(id, error) => {
                        assert_eq!(error, UtpError::TimedOut);
                        utp.release(now, id);
                        if open.remove(&(host, id)).is_some() && host == 0 {
                            errors += 1;
                        }
                    }
                    UtpOutput::Writable(_) => {}
                }
                true
            });
        }
        println!("{ends:?}, {errors} timed out at {:?}", net.now());
        assert_eq!(ends[0] + errors, COUNT);
        // Three SYNs or four packets in a row are lost sometimes.
        assert!(errors <= COUNT / 50, "{errors}");
        let until = net.now() + seconds(100);
        net.run(until, |net, host, output| {
            if let UtpOutput::Closed(id, _) = output {
                let now = net.instant();
                net.utp(host).release(now, id);
            }
            true
        });
        for host in [0, 1] {
            let utp = net.utp(host);
            assert_eq!((utp.len(), utp.held()), (0, 0), "host {host}");
            assert_eq!(utp.poll_timeout(), None);
        }
    });
}

prop_compose! {
    fn any_link()(
        rate in 20_000_u64..10_000_000,
        queue in 3_000_usize..500_000,
        delay in 0_u64..150,
        jitter in 0_u64..60,
        loss in prop_oneof![Just(0.0), 0.0..0.2],
        duplicate in prop_oneof![Just(0.0), 0.0..0.2],
        reorder in prop_oneof![Just(0.0), 0.0..0.1],
        mtu in prop_oneof![Just(1500_usize), 576_usize..1500],
    ) -> DatagramLink {
        DatagramLink {
            rate,
            queue,
            delay: millis(delay),
            jitter: millis(jitter),
            loss,
            duplicate,
            reorder,
            mtu,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn everything_arrives_in_order_over_any_link(
        seed in any::<u32>(),
        link in any_link(),
        there in 0_u64..200_000,
        back in 0_u64..50_000,
        every in 0_u64..50,
    ) {
        // Streams survive here as long as something comes through at times.
        let settings = UtpSettings {
            syn_resends: 30,
            num_resends: 30,
            fin_resends: 30,
            ..UtpSettings::default()
        };
        let mut net = DatagramNet::new(u64::from(seed), link, settings);
        if every > 2 {
            net.refuse(0, Refusals { every, pause: millis(2) });
        }
        let mut flow = Flow::start(&mut net, [there, back]);
        prop_assert!(flow.run(&mut net, seconds(3600)), "{:?}", flow.ends);
        prop_assert_eq!(flow.ends[1].read, there);
        prop_assert_eq!(flow.ends[0].read, back);
        for host in [0, 1] {
            let (now, id) = (net.instant(), flow.ends[host].id.unwrap());
            net.utp(host).release(now, id);
            net.pump(host);
        }
        net.run(seconds(4000), |_, _, _| true);
        prop_assert_eq!(net.utp(0).len() + net.utp(1).len(), 0);
    }
}
