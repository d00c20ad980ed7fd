use super::*;
use crate::utp::UtpError;

#[test]
fn a_connection_is_made() {
    let mut bench = Bench::connected();
    bench.write(10);
    let data = bench.sent().remove(0);
    // All packets but the SYN carry the number after that of the SYN, which is
    // also the number that the peer's packets carry.
    assert_eq!(data.header.connection_id, bench.send_id.wrapping_add(1));
    assert_eq!(data.header.seq_nr, bench.ack.plus(1));
    assert_eq!(data.header.ack_nr, bench.seq.minus(1));
    assert_eq!(data.payload, [1; 10]);
    let answer = bench.data(b"hello");
    bench.give(&answer);
    assert_eq!(bench.outputs(), [UtpOutput::Readable(bench.id)]);
    assert_eq!(bench.read(), b"hello");
}

#[test]
fn a_connection_of_a_peer_is_accepted_once_it_has_answered() {
    let mut bench = Bench::accepted();
    let first = bench.data(b"hello");
    bench.give(&first);
    assert_eq!(bench.read(), b"hello");
    bench.write(3);
    let data = bench.sent().remove(0);
    assert_eq!(data.header.connection_id, 7);
    assert_eq!(data.header.seq_nr, bench.ack.plus(1));
    assert_eq!(data.header.ack_nr, first.header.seq_nr);
}

#[test]
fn a_syn_that_comes_again_makes_no_second_stream() {
    let mut utp = Multiplexer::new(at(0), UtpSettings::default(), 1);
    let syn = Raw::new(PacketType::Syn, 7, SeqNr(5), SeqNr(0)).bytes();
    for _ in 0..3 {
        utp.handle_datagram(at(0), peer(), &syn);
    }
    let answers = sent(&mut utp, at(0));
    assert_eq!(answers.len(), 3);
    let first = answers[0].header.seq_nr;
    assert!(answers.iter().all(|it| it.header.seq_nr == first));
    assert!(utp.is_empty(), "nothing is kept for a SYN");
    let data = Raw::new(PacketType::Data, 8, SeqNr(6), first.minus(1)).with_payload(b"x");
    utp.handle_datagram(at(1), peer(), &data.bytes());
    utp.handle_datagram(at(1), peer(), &data.bytes());
    utp.handle_datagram(at(1), peer(), &syn);
    assert_eq!(utp.len(), 1);
    let incoming = |it: &UtpOutput| matches!(it, UtpOutput::Incoming(..));
    let outputs: Vec<UtpOutput> = std::iter::from_fn(|| utp.poll_output()).collect();
    assert_eq!(outputs.iter().filter(|it| incoming(it)).count(), 1);
    // Not when it is over either.
    utp.reset(at(2), UtpId(0));
    utp.handle_datagram(at(2), peer(), &data.bytes());
    assert_eq!(utp.len(), 0);
    let reset = sent(&mut utp, at(2)).pop().unwrap();
    assert_eq!(reset.header.kind, PacketType::Reset);
    // Its answer holds a while, across the change of keys.
    let other = ([10, 0, 0, 3], 1).into();
    utp.handle_datagram(at(31_900), other, &syn);
    let answer = sent(&mut utp, at(31_900)).remove(0).header.seq_nr;
    let data = Raw::new(PacketType::Data, 8, SeqNr(6), answer.minus(1)).bytes();
    utp.handle_datagram(at(32_100), other, &data);
    assert_eq!(utp.len(), 1);
}

#[test]
fn a_packet_that_overtakes_the_first_one_neither_begins_nor_ends_a_connection() {
    let mut utp = Multiplexer::new(at(0), UtpSettings::default(), 1);
    let syn = Raw::new(PacketType::Syn, 7, SeqNr(5), SeqNr(0));
    utp.handle_datagram(at(0), peer(), &syn.bytes());
    let ack = sent(&mut utp, at(0)).remove(0).header.seq_nr.minus(1);
    for number in [7, 8, 5] {
        let data = Raw::new(PacketType::Data, 8, SeqNr(number), ack).bytes();
        utp.handle_datagram(at(1), peer(), &data);
        assert!(sent(&mut utp, at(1)).is_empty());
        assert!(utp.is_empty());
    }
    let data = Raw::new(PacketType::Data, 8, SeqNr(6), ack).with_payload(b"x");
    utp.handle_datagram(at(1), peer(), &data.bytes());
    assert_eq!(utp.len(), 1);
}

#[test]
fn a_syn_is_sent_again_under_another_id_and_then_given_up() {
    let mut utp = Multiplexer::new(at(0), UtpSettings::default(), 1);
    let id = utp.connect(at(0), peer()).unwrap();
    let first = sent(&mut utp, at(0)).remove(0);
    assert_eq!(utp.poll_timeout(), Some(at(3000)));
    utp.handle_timeout(at(3000));
    let second = sent(&mut utp, at(3000)).remove(0);
    assert_eq!(second.header.kind, PacketType::Syn);
    assert_ne!(second.header.connection_id, first.header.connection_id);
    // An answer to the first one is of no connection.
    let old = Raw::new(
        PacketType::State,
        first.header.connection_id,
        SeqNr(1),
        first.header.seq_nr,
    );
    utp.handle_datagram(at(3001), peer(), &old.bytes());
    let reset = sent(&mut utp, at(3001)).remove(0);
    assert_eq!(reset.header.kind, PacketType::Reset);
    utp.handle_timeout(at(6000));
    assert_eq!(sent(&mut utp, at(6000)).len(), 1);
    utp.handle_timeout(at(9000));
    assert!(sent(&mut utp, at(9000)).is_empty());
    let timed_out = UtpOutput::Closed(id, UtpError::TimedOut);
    assert_eq!(utp.poll_output(), Some(timed_out));
    utp.release(at(9000), id);
    assert!(utp.is_empty() && utp.poll_timeout().is_none());
}

#[test]
fn a_peer_may_refuse() {
    let mut utp = Multiplexer::new(at(0), UtpSettings::default(), 1);
    let id = utp.connect(at(0), peer()).unwrap();
    let syn = sent(&mut utp, at(0)).remove(0).header;
    let reset = |ack| Raw::new(PacketType::Reset, syn.connection_id, SeqNr(9), ack).bytes();
    utp.handle_datagram(at(1), peer(), &reset(syn.seq_nr.plus(1)));
    assert_eq!(utp.poll_output(), None);
    utp.handle_datagram(at(1), peer(), &reset(syn.seq_nr));
    let refused = UtpOutput::Closed(id, UtpError::Refused);
    assert_eq!(utp.poll_output(), Some(refused));
}

#[test]
fn two_ends_of_one_socket_may_talk() {
    let mut utp = Multiplexer::new(at(0), UtpSettings::default(), 1);
    let id = utp.connect(at(0), peer()).unwrap();
    let exchange = |utp: &mut Multiplexer| {
        for _ in 0..10 {
            for packet in sent(utp, at(1)) {
                utp.handle_datagram(at(1), peer(), &packet.bytes());
            }
        }
    };
    exchange(&mut utp);
    assert_eq!(utp.poll_output(), Some(UtpOutput::Connected(id)));
    assert_eq!(utp.poll_output(), Some(UtpOutput::Writable(id)));
    let Some(UtpOutput::Incoming(other, _)) = utp.poll_output() else {
        panic!("no other end");
    };
    assert_eq!(utp.write(at(1), id, b"hello"), Ok(5));
    exchange(&mut utp);
    let mut buffer = [0; 10];
    assert_eq!(utp.read(at(1), other, &mut buffer), Ok(Some(5)));
}

#[test]
fn connections_are_limited_and_those_that_linger_make_room() {
    let settings = UtpSettings {
        max_connections: 2,
        ..UtpSettings::default()
    };
    let mut bench = Bench::connected_with(settings);
    let second = bench.utp.connect(bench.at(), peer()).unwrap();
    let now = bench.at();
    assert_eq!(bench.utp.connect(now, peer()), Err(UtpError::TooMany));
    bench.sent();
    let syn = Raw::new(PacketType::Syn, 7, SeqNr(5), SeqNr(0));
    bench.give(&syn);
    assert!(bench.sent().is_empty(), "no answer to a SYN");
    bench.utp.release(now, second);
    bench.utp.release(now, bench.id);
    let fin = bench.sent().remove(0);
    bench.ack = fin.header.seq_nr;
    bench.give(&bench.fin());
    bench.utp.connect(now, peer()).unwrap();
    bench.utp.connect(now, peer()).unwrap();
    assert_eq!(bench.utp.len(), 2);
}
