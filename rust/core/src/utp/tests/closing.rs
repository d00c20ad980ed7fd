use super::*;
use crate::utp::UtpError;

#[test]
fn the_end_comes_after_what_was_written() {
    let mut bench = Bench::connected();
    bench.write(3000);
    let now = bench.at();
    bench.utp.shutdown(now, bench.id);
    assert_eq!(bench.utp.write(now, bench.id, b"x"), Err(UtpError::Closed));
    let mut received = 0;
    let mut fin = None;
    for _ in 0..10 {
        for packet in bench.sent() {
            assert!(fin.is_none());
            match packet.header.kind {
                PacketType::Data => received += packet.payload.len(),
                PacketType::Fin => fin = Some(packet.clone()),
                _ => continue,
            }
            bench.ack = packet.header.seq_nr;
        }
        bench.give(&bench.state());
    }
    assert_eq!(received, 3000);
    assert!(fin.unwrap().payload.is_empty());
}

/// libtorrent's FIN takes no number: it ignores what is numbered after one, acks
/// included.
#[test]
fn packets_after_a_fin_carry_its_number() {
    let mut bench = Bench::connected();
    bench.write(10);
    let now = bench.at();
    bench.utp.shutdown(now, bench.id);
    let packets = bench.sent();
    let fin = &packets[1].header;
    assert_eq!(fin.kind, PacketType::Fin);
    assert_eq!(fin.seq_nr, packets[0].header.seq_nr.plus(1));
    for acked in [packets[0].header.seq_nr, fin.seq_nr] {
        bench.ack = acked;
        let data = bench.data(b"more");
        bench.give(&data);
        let state = bench.sent().remove(0).header;
        assert_eq!(state.kind, PacketType::State);
        assert_eq!(state.seq_nr, fin.seq_nr);
        assert_eq!(state.ack_nr, data.header.seq_nr);
    }
    assert_eq!(bench.read(), b"moremore");
}

#[test]
fn a_fin_is_sent_again_and_given_up_when_nothing_comes_back() {
    let mut bench = Bench::connected();
    let now = bench.at();
    bench.utp.shutdown(now, bench.id);
    let mut fins = bench.sent();
    fins.extend(bench.pass(60_000));
    fins.retain(|it| it.header.kind == PacketType::Fin);
    assert_eq!(fins.len(), 3);
    assert!(
        fins.iter()
            .all(|it| it.header.seq_nr == fins[0].header.seq_nr)
    );
    let closed = UtpOutput::Closed(bench.id, UtpError::TimedOut);
    assert!(bench.outputs().contains(&closed));
}

#[test]
fn the_end_is_read_after_everything_before_it() {
    let mut bench = Bench::connected();
    let packets = [bench.data(b"a"), bench.data(b"b"), bench.fin()];
    bench.give(&packets[2]);
    let late = bench.data(b"never sent by an honest peer");
    bench.give(&late);
    bench.give(&packets[1]);
    assert_eq!(bench.read(), b"");
    assert!(!bench.is_at_end());
    bench.give(&packets[0]);
    assert_eq!(bench.read(), b"ab");
    assert!(bench.is_at_end());
    let ack = bench.sent().pop().unwrap();
    assert_eq!(ack.header.ack_nr, packets[2].header.seq_nr);
    // It is acked as often as it comes.
    bench.give(&packets[2]);
    assert_eq!(bench.sent().len(), 1);
    // This direction goes on.
    bench.write(5);
    assert_eq!(bench.sent()[0].payload.len(), 5);
}

#[test]
fn a_closed_connection_lingers_for_packets_that_are_late() {
    let mut bench = Bench::connected();
    bench.write(10);
    let now = bench.at();
    bench.utp.release(now, bench.id);
    let packets = bench.sent();
    assert_eq!(packets.len(), 2, "what was written and the end");
    // What arrives now is acked and not kept.
    let data = bench.data(b"late");
    bench.give(&data);
    assert_eq!(bench.sent()[0].header.ack_nr, data.header.seq_nr);
    assert_eq!(bench.utp.held(), 0);
    bench.ack = packets[1].header.seq_nr;
    bench.give(&bench.fin());
    assert_eq!(bench.sent().len(), 1);
    bench.pass(1000);
    bench.give(&bench.fin());
    let again = bench.sent().remove(0).header;
    assert_eq!((again.kind, again.ack_nr), (PacketType::State, bench.seq));
    bench.pass(10_000);
    assert!(bench.utp.is_empty());
    assert!(
        bench
            .outputs()
            .iter()
            .all(|it| !matches!(it, UtpOutput::Closed(..)))
    );
    bench.give(&bench.fin());
    assert_eq!(bench.sent()[0].header.kind, PacketType::Reset);
}

#[test]
fn a_peer_that_never_ends_is_left() {
    let mut bench = Bench::connected();
    let now = bench.at();
    bench.utp.release(now, bench.id);
    bench.ack = bench.sent()[0].header.seq_nr;
    bench.give(&bench.state());
    let packets = bench.pass(60_000);
    assert!(bench.utp.is_empty());
    assert_eq!(packets.last().unwrap().header.kind, PacketType::Reset);
}

#[test]
fn a_reset_ends_at_once() {
    let mut bench = Bench::connected();
    let now = bench.at();
    bench.utp.reset(now, bench.id);
    let reset = bench.sent().remove(0).header;
    assert_eq!(reset.kind, PacketType::Reset);
    assert_eq!(reset.connection_id, bench.send_id.wrapping_add(1));
    assert_eq!(reset.ack_nr, bench.seq.minus(1));
    assert!(bench.utp.is_empty());
    assert_eq!(
        bench.utp.read(now, bench.id, &mut [0]),
        Err(UtpError::Closed)
    );

    // libtorrent names a connection by the id that the receiver expects, libutp
    // by the one that the receiver sends.
    for offset in [0, 1] {
        let mut bench = Bench::connected();
        let id = bench.send_id.wrapping_add(offset);
        bench.give(&Raw::new(PacketType::Reset, id, SeqNr(0), bench.ack));
        let closed = UtpOutput::Closed(bench.id, UtpError::Reset);
        assert!(bench.outputs().contains(&closed), "{offset}");
    }
}
