use super::*;

/// Sends packets of 100 bytes each.
fn packets(bench: &mut Bench, count: usize) -> Vec<Raw> {
    let mut all = Vec::new();
    for _ in 0..count {
        bench.write(100);
        all.extend(bench.sent());
    }
    assert_eq!(all.len(), count);
    all
}

fn numbers(packets: &[Raw]) -> Vec<SeqNr> {
    let data = packets.iter().filter(|it| !it.payload.is_empty());
    data.map(|it| it.header.seq_nr).collect()
}

#[test]
fn small_writes_are_sent_at_once_and_large_ones_fill_packets() {
    let mut bench = Bench::connected();
    packets(&mut bench, 5);
    bench.ack = bench.ack.plus(5);
    bench.give(&bench.state());
    bench.write(1200);
    let sizes: Vec<usize> = bench.sent().iter().map(|it| it.payload.len()).collect();
    assert_eq!(sizes, [528, 528, 144]);
}

#[test]
fn three_acks_without_news_have_a_packet_sent_again() {
    let mut bench = Bench::connected();
    let sent = packets(&mut bench, 4);
    let window = bench.window();
    for _ in 0..2 {
        bench.give(&bench.state());
        assert!(bench.sent().is_empty());
    }
    bench.give(&bench.state());
    let again = bench.sent();
    assert_eq!(numbers(&again), [sent[0].header.seq_nr]);
    assert_eq!(again[0].payload, sent[0].payload);
    assert!(bench.window() < window);
}

#[test]
fn packets_with_three_later_ones_acked_are_sent_again() {
    let mut bench = Bench::connected();
    let sent = packets(&mut bench, 8);
    // 1 and 3 are missing; of 0 the ack number tells.
    bench.ack = sent[0].header.seq_nr;
    bench.now += 20;
    // Bit 0 stands for 2.
    bench.give(&bench.state().with_sack(&[0b001, 0, 0, 0]));
    assert!(bench.sent().is_empty());
    bench.give(&bench.state().with_sack(&[0b101, 0, 0, 0]));
    assert_eq!(numbers(&bench.sent()), [sent[1].header.seq_nr]);
    bench.give(&bench.state().with_sack(&[0b1_1101, 0, 0, 0]));
    assert_eq!(numbers(&bench.sent()), [sent[3].header.seq_nr]);
    bench.ack = sent[6].header.seq_nr;
    bench.give(&bench.state());
    assert_eq!(bench.utp.status(bench.id).unwrap().in_flight, 100);
}

#[test]
fn losses_of_one_round_trip_cut_the_window_once() {
    let mut bench = Bench::connected();
    let sent = packets(&mut bench, 12);
    let window = bench.window();
    bench.ack = sent[0].header.seq_nr;
    for bits in [0b1_0000_u16, 0b11_0000, 0b11_0010_0000, 0b11_1111_0000] {
        bench.now += 150;
        bench.give(&bench.state().with_sack(&bits.to_le_bytes()));
        bench.sent();
    }
    let now = bench.window();
    assert!(now >= window / 2 && now < window, "{now} of {window}");
}

#[test]
fn without_any_ack_packets_come_again_later_and_later_until_the_end() {
    let mut bench = Bench::connected();
    packets(&mut bench, 3);
    let mut times = Vec::new();
    let began = bench.now;
    for _ in 0..2000 {
        for packet in bench.pass(10) {
            times.push((bench.now - began, packet.header.seq_nr));
        }
    }
    // 500 ms, then twice as long each time; as much as one full packet.
    let rounds = [500, 1500, 3500].map(|time| [time; 3]);
    let found: Vec<u64> = times.iter().map(|it| it.0).collect();
    assert_eq!(found, rounds.concat());
    let outputs = bench.outputs();
    assert!(
        matches!(outputs.last(), Some(UtpOutput::Closed(..))),
        "{outputs:?}"
    );
    assert_eq!(bench.utp.stats().timeout, 4);
}

#[test]
fn after_a_time_out_only_what_did_not_arrive_comes_again() {
    let mut bench = Bench::connected();
    let sent = packets(&mut bench, 3);
    bench.give(&bench.state().with_sack(&[0b10, 0, 0, 0]));
    let mut again = bench.pass(600);
    bench.ack = bench.ack.plus(1);
    bench.give(&bench.state().with_sack(&[0b01, 0, 0, 0]));
    again.extend(bench.sent());
    assert_eq!(numbers(&again), numbers(&sent[..2]));
}

#[test]
fn a_refused_packet_is_sent_later_and_time_stands_still() {
    let mut bench = Bench::connected();
    bench.write(1000);
    let mut buffer = Vec::new();
    let now = bench.at();
    let transmit = bench.utp.poll_transmit(now, 8, &mut buffer).unwrap();
    assert_eq!(transmit.segments, 2);
    // The first one was taken.
    bench.utp.handle_refused(now, 1);
    assert!(bench.sent().is_empty());
    assert_eq!(bench.utp.poll_timeout(), None);
    assert_eq!(bench.utp.status(bench.id).unwrap().in_flight, 528);
    assert!(bench.pass(60_000).is_empty());
    let now = bench.at();
    bench.utp.handle_writable(now);
    let again = bench.sent();
    let sizes: Vec<usize> = again.iter().map(|it| it.payload.len()).collect();
    assert_eq!(sizes, [472]);
    let first = Raw::parse(&buffer[..transmit.segment_size]).header.seq_nr;
    assert_eq!(numbers(&again), [first.plus(1)]);
    let due = bench.utp.poll_timeout().unwrap();
    assert!(due >= now + std::time::Duration::from_millis(400));
    assert_eq!(bench.utp.stats().timeout, 0);
}

#[test]
fn refused_acks_and_syns_are_sent_later() {
    let mut utp = Multiplexer::new(at(0), UtpSettings::default(), 1);
    utp.connect(at(0), peer()).unwrap();
    let mut buffer = Vec::new();
    utp.poll_transmit(at(0), 8, &mut buffer).unwrap();
    utp.handle_refused(at(0), 0);
    utp.handle_writable(at(5));
    assert_eq!(sent(&mut utp, at(5))[0].header.kind, PacketType::Syn);

    let mut bench = Bench::connected();
    let data = bench.data(b"x");
    bench.give(&data);
    let now = bench.at();
    bench.utp.poll_transmit(now, 8, &mut buffer).unwrap();
    bench.utp.handle_refused(now, 0);
    bench.utp.handle_writable(now);
    assert_eq!(bench.sent()[0].header.ack_nr, data.header.seq_nr);
}

#[test]
fn a_datagram_that_the_system_calls_too_large_lowers_the_mtu() {
    let mut bench = Bench::connected();
    bench.write(10_000);
    let mut buffer = Vec::new();
    let now = bench.at();
    let probe = bench.utp.poll_transmit(now, 8, &mut buffer).unwrap();
    assert!(probe.is_probe);
    assert_eq!((probe.segments, probe.segment_size), (1, 1472));
    let number = Raw::parse(&buffer).header.seq_nr;
    bench.utp.handle_too_large(now);
    let again = bench.sent();
    assert!(again.iter().all(|it| it.size < 1472));
    assert_eq!(again[0].header.seq_nr, number);
    assert_eq!(bench.utp.stats().packet_loss, 0);
}

#[test]
fn data_is_acked_once_for_all_that_has_arrived_together() {
    let mut bench = Bench::connected();
    for _ in 0..10 {
        let data = bench.data(b"x");
        bench.give(&data);
    }
    let acks = bench.sent();
    assert_eq!(acks.len(), 1);
    assert_eq!(acks[0].header.ack_nr, bench.seq.minus(1));
}

#[test]
fn selective_acks_have_no_length_but_that_of_the_window() {
    let mut bench = Bench::connected();
    let missing = bench.data(b"0");
    for _ in 0..1500 {
        let data = bench.data(b"x");
        bench.give(&data);
    }
    let ack = bench.sent().pop().unwrap();
    let bits: u32 = ack.sack.iter().map(|it| it.count_ones()).sum();
    assert_eq!(bits, 1500);
    bench.give(&missing);
    assert_eq!(bench.read().len(), 1501);
    assert!(bench.sent().pop().unwrap().sack.is_empty());
}
