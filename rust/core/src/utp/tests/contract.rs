use proptest::prelude::*;

use super::*;
use crate::testing::{Machine, check_contract, count_outputs};

impl Machine for Multiplexer {
    fn poll_timeout(&self) -> Option<Instant> {
        Self::poll_timeout(self)
    }

    fn handle_timeout(&mut self, now: Instant) {
        Self::handle_timeout(self, now);
    }

    fn poll_all(&mut self, now: Instant) -> usize {
        sent(self, now).len() + count_outputs(|| self.poll_output())
    }
}

#[derive(Clone, Debug)]
enum Step {
    Packet {
        kind: u8,
        seq: i16,
        ack: i16,
        window: u32,
        payload: usize,
        sack: Vec<u8>,
    },
    Bytes(Vec<u8>),
    Write(usize),
    Read(usize),
    Shut,
    Release,
    Reset,
    Refuse(usize),
    Writable,
    TooLarge,
    Pass(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    let packet = (
        0_u8..5,
        prop_oneof![8 => -2_i16..4, 1 => any::<i16>()],
        prop_oneof![8 => -2_i16..4, 1 => any::<i16>()],
        prop_oneof![Just(0), Just(100), Just(1 << 20), any::<u32>()],
        0_usize..1400,
        prop::collection::vec(any::<u8>(), 0..12),
    );
    let packet = packet.prop_map(|(kind, seq, ack, window, payload, sack)| Step::Packet {
        kind,
        seq,
        ack,
        window,
        payload,
        sack,
    });
    prop_oneof![
        12 => packet,
        1 => prop::collection::vec(any::<u8>(), 0..60).prop_map(Step::Bytes),
        4 => (0_usize..20_000).prop_map(Step::Write),
        2 => (1_usize..5000).prop_map(Step::Read),
        1 => Just(Step::Shut),
        1 => Just(Step::Release),
        1 => Just(Step::Reset),
        1 => (0_usize..3).prop_map(Step::Refuse),
        1 => Just(Step::Writable),
        1 => Just(Step::TooLarge),
        4 => (0_u64..3000).prop_map(Step::Pass),
        1 => (0_u64..100_000).prop_map(Step::Pass),
    ]
}

const KINDS: [PacketType; 5] = [
    PacketType::Data,
    PacketType::Fin,
    PacketType::State,
    PacketType::Reset,
    PacketType::Syn,
];

fn offset(number: SeqNr, by: i16) -> SeqNr {
    SeqNr(number.0.wrapping_add(by.cast_unsigned()))
}

proptest! {
    #[test]
    fn the_contract_holds_whatever_happens(
        accepted in any::<bool>(),
        steps in prop::collection::vec(any_step(), 1..80),
    ) {
        let mut bench = if accepted { Bench::accepted() } else { Bench::connected() };
        for step in steps {
            let (now, id) = (bench.at(), bench.id);
            match step {
                Step::Packet { kind, seq, ack, window, payload, sack } => {
                    let kind = KINDS[usize::from(kind)];
                    let mut packet = Raw::new(
                        kind,
                        bench.send_id,
                        offset(bench.seq, seq),
                        offset(bench.ack, ack),
                    )
                    .with_payload(&vec![2; payload])
                    .with_sack(&sack);
                    packet.header.window = window;
                    bench.give(&packet);
                    if seq == 0 && kind == PacketType::Data {
                        bench.seq = bench.seq.plus(1);
                    }
                    if (0..100).contains(&ack) {
                        bench.ack = offset(bench.ack, ack);
                    }
                }
                Step::Bytes(bytes) => bench.utp.handle_datagram(now, peer(), &bytes),
                Step::Write(length) => drop(bench.utp.write(now, id, &vec![1; length])),
                Step::Read(length) => drop(bench.utp.read(now, id, &mut vec![0; length])),
                Step::Shut => bench.utp.shutdown(now, id),
                Step::Release => bench.utp.release(now, id),
                Step::Reset => bench.utp.reset(now, id),
                Step::Refuse(from) => {
                    if bench.utp.poll_transmit(now, 8, &mut Vec::new()).is_some() {
                        bench.utp.handle_refused(now, from);
                    }
                }
                Step::Writable => bench.utp.handle_writable(now),
                Step::TooLarge => {
                    let mut buffer = Vec::new();
                    if let Some(it) = bench.utp.poll_transmit(now, 1, &mut buffer)
                        && it.segments == 1
                    {
                        bench.utp.handle_too_large(now);
                    }
                }
                Step::Pass(millis) => bench.now += millis,
            }
            let now = bench.at();
            check_contract(&mut bench.utp, now);
            prop_assert!(bench.utp.held() <= UtpSettings::default().receive_buffer);
        }
        // Whatever happened, it ends once it is let go.
        let (now, id) = (bench.at(), bench.id);
        bench.utp.handle_writable(now);
        bench.utp.release(now, id);
        bench.pass(600_000);
        prop_assert_eq!((bench.utp.len(), bench.utp.held()), (0, 0));
        prop_assert_eq!(bench.utp.poll_timeout(), None);
    }
}
