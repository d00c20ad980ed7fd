//! uTP: datagrams of anybody, and a peer that does what it likes.

use std::time::{Duration, Instant};

use torrent_core::utp::packet::{Header, Packet, PacketType, SelectiveAck};
use torrent_core::utp::{Multiplexer, SeqNr, UtpOutput, UtpSettings};

/// What is read is written again, and means the same.
pub(crate) fn packet(data: &[u8]) {
    let Ok(packet) = Packet::parse(data) else {
        return;
    };
    let mut bytes = Vec::new();
    packet.encode(0, &mut bytes);
    let again = Packet::parse(&bytes).expect("what was written is read");
    assert_eq!(again.header, packet.header);
    assert_eq!(again.payload, packet.payload);
    let offsets = |it: &Packet<'_>| -> Vec<usize> {
        let bits = it.selective_ack;
        let bits = bits.iter().flat_map(|bits| bits.offsets());
        bits.take_while(|at| *at < 2000).collect()
    };
    assert_eq!(offsets(&again), offsets(&packet));
}

/// Steps of 8 bytes each: what is done, and with which numbers. They are played
/// against a multiplexer with one connection that it made and others that the
/// peer makes.
pub(crate) fn multiplexer(data: &[u8]) {
    let peer = ([10, 0, 0, 2], 6881).into();
    let settings = UtpSettings {
        receive_buffer: 100_000,
        max_connections: 8,
        ..UtpSettings::default()
    };
    let mut now = Instant::now();
    let mut utp = Multiplexer::new(now, settings, 7);
    let mut ids = vec![utp.connect(now, peer).expect("the first one")];
    let mut last = None;
    for step in data.chunks_exact(8) {
        let id = ids[usize::from(step[7]) % ids.len()];
        let length = usize::from(u16::from_be_bytes([step[5], step[6]]));
        match step[0] % 16 {
            0..=8 => {
                let datagram = datagram(step, last, length);
                utp.handle_datagram(now, peer, &datagram);
            }
            9 => drop(utp.write(now, id, &vec![1; length])),
            10 => drop(utp.read(now, id, &mut vec![0; length])),
            11 if step[1] & 1 == 0 => utp.shutdown(now, id),
            11 if step[1] & 2 == 0 => utp.release(now, id),
            11 => utp.reset(now, id),
            12 => utp.handle_writable(now),
            13 => now += Duration::from_millis(length as u64),
            14 => ids.extend(utp.connect(now, peer)),
            _ => {
                if let Some(due) = utp.poll_timeout() {
                    now = now.max(due);
                }
            }
        }
        utp.handle_timeout(now);
        let mut buffer = Vec::new();
        while let Some(transmit) = utp.poll_transmit(now, 8, &mut buffer) {
            assert_eq!(
                buffer.len().div_ceil(transmit.segment_size),
                transmit.segments
            );
            if step[0] == 0x7e {
                utp.handle_refused(now, step[1].into());
            }
            last = buffer.chunks(transmit.segment_size).last().and_then(header);
            buffer.clear();
        }
        while let Some(output) = utp.poll_output() {
            if let UtpOutput::Incoming(id, _) = output {
                ids.push(id);
            }
        }
        assert!(utp.len() <= 8 && utp.held() <= 8 * 100_000);
        assert!(utp.poll_timeout().is_none_or(|due| due > now));
    }
    // All of it ends once it is let go.
    utp.handle_writable(now);
    for id in ids {
        utp.release(now, id);
    }
    while let Some(due) = utp.poll_timeout() {
        utp.handle_timeout(due);
        while utp.poll_transmit(due, 8, &mut Vec::new()).is_some() {}
    }
    assert_eq!((utp.len(), utp.held()), (0, 0));
}

fn header(datagram: &[u8]) -> Option<Header> {
    Packet::parse(datagram).ok().map(|it| it.header)
}

/// A datagram about the last packet that was sent.
fn datagram(step: &[u8], last: Option<Header>, length: usize) -> Vec<u8> {
    let kinds = [
        PacketType::Data,
        PacketType::Fin,
        PacketType::State,
        PacketType::Reset,
        PacketType::Syn,
    ];
    let kind = kinds[usize::from(step[0] >> 4) % kinds.len()];
    let last = last.unwrap_or(Header {
        kind,
        connection_id: 0,
        timestamp: 0,
        timestamp_difference: 0,
        window: 0,
        seq_nr: SeqNr(0),
        ack_nr: SeqNr(0),
    });
    let near =
        |number: SeqNr, by: u8| SeqNr(number.0.wrapping_add_signed(i16::from(by.cast_signed())));
    let id = last.connection_id;
    let payload = vec![3; length % 1400];
    let packet = Packet {
        header: Header {
            kind,
            // Which end made the connection is not in a packet.
            connection_id: match step[1] % 4 {
                0 => id,
                1 => id.wrapping_add(1),
                2 => id.wrapping_sub(1),
                _ => step[7].into(),
            },
            timestamp: u32::from(step[7]) << 8,
            timestamp_difference: u32::from(step[6]) << 10,
            window: 1 << (step[1] >> 3),
            seq_nr: near(last.ack_nr, step[2]),
            ack_nr: near(last.seq_nr, step[3]),
        },
        selective_ack: (step[4] > 0).then(|| SelectiveAck(&step[4..])),
        close_reason: None,
        payload: &payload,
    };
    let mut bytes = Vec::new();
    packet.encode(0, &mut bytes);
    bytes
}
