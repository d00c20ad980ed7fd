//! Exchanges of two correct sides.

use proptest::prelude::*;

use super::*;

const METHODS: [Methods; 3] = [Methods::Plaintext, Methods::Rc4, Methods::Both];

/// What comes of each pair of offers.
fn expected(ours: Methods, theirs: Methods, prefer_rc4: bool) -> Result<Method, MseError> {
    match (ours, theirs) {
        (Methods::Plaintext, Methods::Rc4) | (Methods::Rc4, Methods::Plaintext) => {
            Err(MseError::NoCommonMethod)
        }
        (Methods::Plaintext, _) | (_, Methods::Plaintext) => Ok(Method::Plaintext),
        (Methods::Rc4, _) | (_, Methods::Rc4) => Ok(Method::Rc4),
        (Methods::Both, Methods::Both) if prefer_rc4 => Ok(Method::Rc4),
        (Methods::Both, Methods::Both) => Ok(Method::Plaintext),
    }
}

/// Sends `bytes` along one direction.
fn carry(from: &mut Established, to: &mut Established, bytes: &[u8]) -> Vec<u8> {
    let mut wire = bytes.to_vec();
    if let Some(ciphers) = &mut from.ciphers {
        ciphers.send.apply(&mut wire);
        assert_ne!(wire, bytes);
    }
    if let Some(ciphers) = &mut to.ciphers {
        ciphers.receive.apply(&mut wire);
    }
    wire
}

#[test]
fn every_pair_of_offers_gives_the_method_that_both_allow() {
    let mut number = 0;
    for ours in METHODS {
        for theirs in METHODS {
            for prefer_rc4 in [false, true] {
                number += 1;
                let exchange = exchange(number, ours, theirs, prefer_rc4);
                let method = exchange.as_ref().map(|it| it.initiator.method);
                assert_eq!(
                    method.map_err(|error| *error),
                    expected(ours, theirs, prefer_rc4)
                );
                let Ok(mut exchange) = exchange else {
                    continue;
                };
                assert_eq!(exchange.responder.method, exchange.initiator.method);
                assert_eq!(exchange.responder.info_hash, SWARM);
                assert_eq!(exchange.responder.received, handshake());
                assert_eq!(exchange.initiator.received, b"");
                let (a, b) = (&mut exchange.initiator, &mut exchange.responder);
                for _ in 0..2 {
                    let bytes = [9; 100];
                    assert_eq!(carry(a, b, &bytes), bytes);
                    assert_eq!(carry(b, a, &bytes), bytes);
                }
                let leaks = |bytes: &[u8]| bytes.windows(19).any(|it| it == &handshake()[1..20]);
                assert!(!leaks(&exchange.from_initiator), "the handshake is hidden");
            }
        }
    }
}

fn side(number: u64, method: Methods, initiates: bool) -> Side {
    match initiates {
        true => Side::Initiator(initiator(number, method)),
        false => Side::Responder(responder(number, method, true)),
    }
}

/// What that side receives in the exchange and behind it, and what it is to make
/// of that.
fn conversation(number: u64, method: Methods, initiates: bool) -> (Vec<u8>, Vec<u8>) {
    let exchange = exchange(number, method, method, true).unwrap();
    let follows = handshake().repeat(2);
    let (mut bytes, ciphers, payload) = match initiates {
        true => (
            exchange.from_responder,
            exchange.responder.ciphers,
            Vec::new(),
        ),
        false => (
            exchange.from_initiator,
            exchange.initiator.ciphers,
            handshake().to_vec(),
        ),
    };
    let encrypted = bytes.len();
    bytes.extend(&follows);
    if let Some(mut ciphers) = ciphers {
        ciphers.send.apply(&mut bytes[encrypted..]);
    }
    (bytes, [payload, follows].concat())
}

/// Feeds `side` with pieces of `bytes`, and checks all that it says.
fn feed(mut side: Side, bytes: &[u8], expected: &[u8], cuts: impl Iterator<Item = usize>) {
    let mut start = 0;
    for end in cuts.chain([bytes.len()]) {
        side.output();
        let end = end.clamp(start, bytes.len());
        side.input(&bytes[start..end]).unwrap();
        start = end;
    }
    side.output();
    let established = side.finish().unwrap();
    assert_eq!(established.received, expected);
}

#[test]
fn an_exchange_may_be_cut_anywhere() {
    for method in [Methods::Plaintext, Methods::Rc4] {
        for initiates in [true, false] {
            let (bytes, expected) = conversation(5, method, initiates);
            for cut in 0..=bytes.len() {
                let side = side(5, method, initiates);
                feed(side, &bytes, &expected, [cut].into_iter());
            }
            let side = side(5, method, initiates);
            feed(side, &bytes, &expected, 1..bytes.len());
        }
    }
}

#[test]
fn what_is_cut_off_is_never_established_and_never_an_error() {
    for initiates in [true, false] {
        let exchange = exchange(6, Methods::Rc4, Methods::Rc4, false).unwrap();
        let bytes = match initiates {
            true => exchange.from_responder,
            false => exchange.from_initiator,
        };
        let mut side = side(6, Methods::Rc4, initiates);
        for byte in &bytes[..bytes.len() - 1] {
            side.input(&[*byte]).unwrap();
            assert!(!side.is_established());
        }
        side.input(&bytes[bytes.len() - 1..]).unwrap();
        assert!(side.is_established());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_paddings_and_any_pieces_give_the_same(
        number in any::<u64>(),
        rc4 in any::<bool>(),
        initiates in any::<bool>(),
        mut cuts in prop::collection::vec(0usize..2500, 0..20),
    ) {
        let method = if rc4 { Methods::Rc4 } else { Methods::Plaintext };
        cuts.sort_unstable();
        let (bytes, expected) = conversation(number, method, initiates);
        feed(side(number, method, initiates), &bytes, &expected, cuts.into_iter());
    }

    /// A driver that keeps to the room gets nothing from behind the handshake.
    #[test]
    fn the_room_ends_within_the_handshake(
        number in any::<u64>(),
        rc4 in any::<bool>(),
        initiates in any::<bool>(),
        most in 1usize..600,
    ) {
        let method = if rc4 { Methods::Rc4 } else { Methods::Plaintext };
        let (bytes, expected) = conversation(number, method, initiates);
        let mut side = side(number, method, initiates);
        let mut rest = &bytes[..];
        while !side.is_established() {
            let room = side.room();
            prop_assert!(room > 0);
            let (now, later) = rest.split_at(room.min(most));
            side.input(now).unwrap();
            rest = later;
        }
        side.output();
        let received = side.finish().unwrap().received;
        prop_assert!(received.len() <= HANDSHAKE_LEN);
        prop_assert!(expected.starts_with(&received));
    }
}
