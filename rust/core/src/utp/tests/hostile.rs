use super::*;

#[test]
fn ten_thousand_forged_syns_leave_nothing_and_bring_no_more_than_they_cost() {
    let mut utp = Multiplexer::new(at(0), UtpSettings::default(), 1);
    let (mut bytes_in, mut bytes_out) = (0, 0);
    for number in 0..10_000_u32 {
        let [_, b, c, d] = number.to_be_bytes();
        let from = ([11, b, c, d], 6881).into();
        let syn = Raw::new(PacketType::Syn, number as u16, SeqNr(1), SeqNr(0)).bytes();
        bytes_in += syn.len();
        utp.handle_datagram(at(0), from, &syn);
        if number % 64 == 0 {
            bytes_out += sent(&mut utp, at(0))
                .iter()
                .map(|it| it.size)
                .sum::<usize>();
        }
        assert!(utp.is_empty());
    }
    bytes_out += sent(&mut utp, at(0))
        .iter()
        .map(|it| it.size)
        .sum::<usize>();
    assert!(bytes_out <= bytes_in);
    assert!(bytes_out <= 1000 * 20, "a thousand answers a second");
    assert_eq!((utp.poll_timeout(), utp.poll_output()), (None, None));
    // Others get through a second later.
    let syn = Raw::new(PacketType::Syn, 7, SeqNr(1), SeqNr(0)).bytes();
    utp.handle_datagram(at(1000), peer(), &syn);
    assert_eq!(sent(&mut utp, at(1000)).len(), 1);
}

#[test]
fn guesses_make_no_connection() {
    let mut utp = Multiplexer::new(at(0), UtpSettings::default(), 1);
    let mut replies = 0;
    for ack in 0..20_000 {
        let data = Raw::new(PacketType::Data, 8, SeqNr(2), SeqNr(ack)).with_payload(b"x");
        utp.handle_datagram(at(0), peer(), &data.bytes());
        for reply in sent(&mut utp, at(0)) {
            assert_eq!((reply.header.kind, reply.size), (PacketType::Reset, 20));
            replies += 1;
        }
    }
    assert!(utp.len() <= 1, "one guess in 65,536 may be right");
    assert!(replies <= 1000);
}

#[test]
fn a_reset_answers_no_reset() {
    let mut utp = Multiplexer::new(at(0), UtpSettings::default(), 1);
    let reset = Raw::new(PacketType::Reset, 8, SeqNr(2), SeqNr(1)).bytes();
    utp.handle_datagram(at(0), peer(), &reset);
    assert!(sent(&mut utp, at(0)).is_empty());
}

#[test]
fn foreign_and_wrong_packets_change_nothing() {
    let mut bench = Bench::connected();
    bench.write(100);
    let data = bench.sent().remove(0).header;
    let strangers: [SocketAddr; 2] = [([10, 0, 0, 9], 1000).into(), ([10, 0, 0, 2], 1001).into()];
    for from in strangers {
        let reset = Raw::new(PacketType::Reset, bench.send_id, SeqNr(0), bench.ack);
        bench.utp.handle_datagram(bench.at(), from, &reset.bytes());
        let ack = Raw::new(PacketType::State, bench.send_id, bench.seq, data.seq_nr);
        bench.utp.handle_datagram(bench.at(), from, &ack.bytes());
    }
    bench.sent();
    // Acks of what was never sent, with a selective ack of everything; numbers
    // far away; resets that ack neither.
    let beyond = data.seq_nr.plus(1);
    let far = bench.seq.plus(20_000);
    let wrong = [
        Raw::new(PacketType::State, bench.send_id, bench.seq, beyond).with_sack(&[255; 200]),
        Raw::new(
            PacketType::State,
            bench.send_id,
            bench.seq,
            bench.ack.minus(5000),
        ),
        Raw::new(PacketType::Data, bench.send_id, far, data.seq_nr).with_payload(b"x"),
        Raw::new(PacketType::Fin, bench.send_id, far, data.seq_nr),
        Raw::new(PacketType::Reset, bench.send_id, bench.seq, beyond),
        Raw::new(
            PacketType::Reset,
            bench.send_id,
            bench.seq,
            bench.ack.minus(5000),
        ),
        Raw::new(PacketType::Syn, bench.send_id, bench.seq, data.seq_nr),
    ];
    for packet in &wrong[..6] {
        bench.give(packet);
        assert!(bench.outputs().is_empty(), "{packet:?}");
        let status = bench.utp.status(bench.id).unwrap();
        assert_eq!((status.in_flight, status.readable), (100, 0), "{packet:?}");
        assert!(bench.sent().is_empty(), "{packet:?}");
    }
    bench.give(&wrong[6]);
    let status = bench.utp.status(bench.id).unwrap();
    assert_eq!(status.in_flight, 100);
}

#[test]
fn a_selective_ack_of_what_was_not_sent_is_left_out() {
    let mut bench = Bench::connected();
    bench.write(100);
    bench.sent();
    bench.give(&bench.state().with_sack(&[255; 252]));
    assert_eq!(bench.utp.status(bench.id).unwrap().in_flight, 100);
    bench.write(100);
    bench.sent();
    bench.give(&bench.state().with_sack(&[255; 252]));
    assert_eq!(bench.utp.status(bench.id).unwrap().in_flight, 100);
    // The first one still comes again in time, and both are let go.
    assert!(!bench.pass(2000).is_empty());
    bench.ack = bench.ack.plus(2);
    bench.give(&bench.state());
    assert_eq!(bench.utp.status(bench.id).unwrap().unacked, 0);
}

#[test]
fn a_peer_that_fills_more_than_the_window_is_not_held() {
    let settings = UtpSettings {
        receive_buffer: 50_000,
        ..UtpSettings::default()
    };
    for hole in [0, 1] {
        let mut bench = Bench::connected_with(settings);
        bench.seq = bench.seq.plus(hole);
        for _ in 0..1000 {
            let data = bench.data(&[5; 1000]);
            bench.give(&data);
            bench.sent();
        }
        assert!(bench.utp.held() <= 50_000);
        assert!(bench.utp.held() >= 40_000);
    }
    // Empty packets count too.
    let mut bench = Bench::connected_with(settings);
    bench.seq = bench.seq.plus(1);
    for _ in 0..1000 {
        let data = bench.data(&[]);
        bench.give(&data);
    }
    let sack = bench.sent().pop().unwrap().sack;
    assert!(sack.len() <= 16, "{}", sack.len());
}

#[test]
fn many_connections_share_what_may_be_held() {
    let settings = UtpSettings {
        receive_budget: 500_000,
        ..UtpSettings::default()
    };
    let mut utp = Multiplexer::new(at(0), settings, 1);
    for number in 0..20_u16 {
        let from = ([10, 1, 0, 1], 1000 + number).into();
        let syn = Raw::new(PacketType::Syn, 7, SeqNr(0), SeqNr(0)).bytes();
        utp.handle_datagram(at(0), from, &syn);
        let ack = sent(&mut utp, at(0)).remove(0).header.seq_nr.minus(1);
        for seq in 1..500 {
            let data = Raw::new(PacketType::Data, 8, SeqNr(seq), ack).with_payload(&[5; 1000]);
            utp.handle_datagram(at(0), from, &data.bytes());
            sent(&mut utp, at(0));
        }
        assert!(utp.held() <= 500_000 + usize::from(number + 1) * 64 * 1024);
    }
    // The last ones got their least.
    assert!(utp.held() >= 500_000 + 15 * 60_000, "{}", utp.held());
}

#[test]
fn selective_acks_of_single_packets_do_not_have_everything_sent_again_and_again() {
    let mut bench = Bench::connected();
    // A large window first.
    let mut packets = 0;
    while bench.window() < 100_000 {
        let now = bench.at();
        let _ = bench.utp.write(now, bench.id, &[1; 100_000]);
        let sent = bench.sent();
        packets += sent.len();
        bench.ack = bench.ack.plus(sent.len());
        bench.now += 20;
        bench.give(&bench.state());
    }
    let now = bench.at();
    let _ = bench.utp.write(now, bench.id, &[1; 100_000]);
    let flight = bench.sent().len();
    assert!(packets > 0 && flight > 40, "{flight}");
    // Each ack at once, of one packet more.
    let mut again = 0;
    for bit in 3..40 {
        let mut bits = [0; 8];
        bits[bit / 8] = 1 << (bit % 8);
        bench.give(&bench.state().with_sack(&bits));
        again += bench
            .sent()
            .iter()
            .filter(|it| !it.payload.is_empty())
            .count();
    }
    assert!(again <= 2 * flight, "{again} of {flight}");
}
