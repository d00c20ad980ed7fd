use proptest::prelude::*;

use crate::utp::SeqNr;
use crate::utp::packet::{Header, Packet, PacketError, PacketType, SelectiveAck};

const HEADER: Header = Header {
    kind: PacketType::Data,
    connection_id: 0x1234,
    timestamp: 0x0102_0304,
    timestamp_difference: 0x0506_0708,
    window: 0x0010_0000,
    seq_nr: SeqNr(0xabcd),
    ack_nr: SeqNr(0xef01),
};

const BYTES: [u8; 20] = [
    0x01, 0, 0x12, 0x34, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0x10, 0, 0, 0xab, 0xcd, 0xef, 0x01,
];

fn with(first: &[u8], rest: &[u8]) -> Vec<u8> {
    [first, &BYTES[first.len()..], rest].concat()
}

#[test]
fn a_packet_is_as_bep_29_has_it() {
    let packet = Packet::parse(&BYTES).unwrap();
    assert_eq!(packet.header, HEADER);
    assert_eq!((packet.selective_ack, packet.payload), (None, &[][..]));
    // A selective ack, an extension of unknown meaning, a close reason, payload.
    let bits = [0b0000_0101, 0x80, 0, 1];
    let bytes = with(
        &[0x21, 1],
        &[&[9, 4][..], &bits, &[3, 1, 0xff, 0, 4, 0, 0, 1, 2, b'x']].concat(),
    );
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.header.kind, PacketType::State);
    let offsets: Vec<usize> = packet.selective_ack.unwrap().offsets().collect();
    assert_eq!(offsets, [2, 4, 17, 26]);
    assert_eq!(packet.close_reason, Some(0x0102));
    assert_eq!(packet.payload, b"x");
}

#[test]
fn what_is_no_packet() {
    let table: [(&[u8], PacketError); 7] = [
        (&[], PacketError::Short),
        (&BYTES[..19], PacketError::Short),
        (&with(&[0x02], &[]), PacketError::Version),
        (&with(&[0x51], &[]), PacketError::Type),
        (&with(&[0x01, 1], &[]), PacketError::Extension),
        (&with(&[0x01, 1], &[0, 4, 1, 1, 1]), PacketError::Extension),
        (&with(&[0x01, 1], &[1, 1, 1, 0]), PacketError::Extension),
    ];
    for (bytes, error) in table {
        assert_eq!(Packet::parse(bytes), Err(error), "{bytes:?}");
    }
}

#[test]
fn sequence_numbers_wrap() {
    let table = [(1, 0, 1), (0, 1, -1), (0, 65_535, 1), (65_530, 4, -10)];
    for (number, earlier, distance) in table {
        assert_eq!(SeqNr(number).since(SeqNr(earlier)), distance);
    }
    assert_eq!(SeqNr(65_535).plus(2), SeqNr(1));
    assert_eq!(SeqNr(1).minus(2), SeqNr(65_535));
}

proptest! {
    #[test]
    fn a_packet_is_read_as_it_was_written(
        kind in prop::sample::select(vec![
            PacketType::Data,
            PacketType::Fin,
            PacketType::State,
            PacketType::Reset,
            PacketType::Syn,
        ]),
        short in any::<[u16; 3]>(),
        long in any::<[u32; 3]>(),
        bits in prop::option::of(prop::collection::vec(any::<u8>(), 1..252)),
        close_reason in prop::option::of(any::<u16>()),
        payload in prop::collection::vec(any::<u8>(), 0..1500),
        size in 0_usize..3000,
    ) {
        let packet = Packet {
            header: Header {
                kind,
                connection_id: short[0],
                timestamp: long[0],
                timestamp_difference: long[1],
                window: long[2],
                seq_nr: SeqNr(short[1]),
                ack_nr: SeqNr(short[2]),
            },
            selective_ack: bits.as_deref().map(SelectiveAck),
            close_reason,
            payload: &payload,
        };
        let mut bytes = vec![7];
        packet.encode(size, &mut bytes);
        prop_assert_eq!(Packet::parse(&bytes[1..]), Ok(packet));
        let bits = bits.map_or(0, |it| it.len());
        let least = Packet::overhead(bits, close_reason.is_some()) + payload.len();
        let length = bytes.len() - 1;
        prop_assert!(length == size.max(least) || length + 1 == size, "{length} {size} {least}");
    }

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        if let Ok(packet) = Packet::parse(&bytes) {
            prop_assert!(packet.payload.len() + 20 <= bytes.len());
        }
    }
}
