//! Peer exchange on a connection: what is offered, taken and refused.

use super::*;
use crate::ext::{
    self, ExtError, ExtendedHandshake, ExtensionIds, MAX_PEX_MESSAGE, PexMessage, UT_PEX,
};
use crate::wire::Features;

/// A connection that has exchanged extended handshakes with its peer.
fn greeted(enabled: bool) -> World {
    let mut world = World::new();
    let opening = Opening {
        info_hash: Default::default(),
        remote: ([10, 0, 0, 1], 1).into(),
        client: String::new(),
        port: None,
        allowed_fast: 0,
        pex: enabled,
    };
    world.conn.set_opening(Features::OURS, opening);
    world.conn.announce_pieces(&Bitfield::new(8));
    let hello = ExtendedHandshake {
        numbers: ExtensionIds {
            pex: 9,
            ..ExtensionIds::default()
        },
        ..ExtendedHandshake::default()
    };
    extended(&mut world, ext::HANDSHAKE, &hello.encode()).unwrap();
    world.conn.take_report();
    world
}

fn extended(world: &mut World, id: u8, payload: &[u8]) -> Result<(), PeerError> {
    world.feed(&[Message::Extended { id, payload }]).map(drop)
}

/// The numbers in the extended handshakes that wait to be sent.
fn offered(world: &mut World) -> Vec<bool> {
    let sent = world.sent();
    let greetings = sent.iter().filter(|it| it.contains("extended { id: 0"));
    let ut_pex = format!("{:?}", b"6:ut_pexi1e");
    let ut_pex = ut_pex.trim_matches(['[', ']']);
    greetings.map(|it| it.contains(ut_pex)).collect()
}

#[test]
fn it_is_offered_while_the_torrent_takes_part() {
    let mut world = greeted(true);
    assert_eq!(offered(&mut world), [true]);
    world.conn.set_pex(false);
    world.conn.set_pex(false);
    assert_eq!(offered(&mut world), [false]);
    let message = PexMessage::default().encode();
    extended(&mut world, UT_PEX, &message).unwrap();
    world.conn.send_pex(&message);
    assert!(world.sent().is_empty());
    assert!(
        world
            .conn
            .take_report()
            .is_none_or(|it| it.extended.pex.is_empty())
    );
    world.conn.set_pex(true);
    assert_eq!(offered(&mut world), [true]);
    assert_eq!(offered(&mut greeted(false)), [false]);
}

#[test]
fn messages_go_by_the_numbers_of_the_handshakes() {
    let mut world = greeted(true);
    world.sent();
    world.conn.send_pex(b"de");
    assert_eq!(world.sent(), [r"extended { id: 9, payload: [100, 101] }"]);
    extended(&mut world, UT_PEX, b"d5:added6:\x01\x02\x03\x04\0\x05e").unwrap();
    let report = world.report();
    let [message] = &report.extended.pex[..] else {
        panic!("{report:?}");
    };
    assert_eq!(message.added[0].endpoint, ([1, 2, 3, 4], 5).into());
    let traffic = world.conn.take_counts();
    let pex = |counts: MessageCounts| counts.iter().find(|(sort, _)| *sort == Sort::Pex);
    assert_eq!(pex(traffic.received), Some((Sort::Pex, 1)));
    assert_eq!(pex(traffic.sent), Some((Sort::Pex, 1)));
}

#[test]
fn a_flood_closes_the_connection() {
    let mut world = greeted(true);
    for _ in 0..6 {
        extended(&mut world, UT_PEX, b"de").unwrap();
    }
    world.now += Duration::from_millis(59_999);
    assert_eq!(
        extended(&mut world, UT_PEX, b"de"),
        Err(PeerError::TooManyPex)
    );
    world.now += Duration::from_millis(1);
    for _ in 0..6 {
        extended(&mut world, UT_PEX, b"de").unwrap();
    }
}

#[test]
fn what_is_no_message_closes_the_connection() {
    let mut world = greeted(true);
    let refused = extended(&mut world, UT_PEX, b"le");
    assert_eq!(refused, Err(PeerError::Extension(ExtError::NotADict)));
    let mut world = greeted(true);
    let long = vec![b'd'; MAX_PEX_MESSAGE + 1];
    let refused = extended(&mut world, UT_PEX, &long);
    let too_long = ExtError::PexTooLong(long.len());
    assert_eq!(refused, Err(PeerError::Extension(too_long)));
}
