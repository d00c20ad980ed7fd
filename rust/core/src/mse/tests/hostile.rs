//! What a wrong or hostile other side sends.

use proptest::prelude::*;

use super::super::hashes;
use super::super::key_exchange::{Key, SecretKey};
use super::*;

/// The secret of an other side that is played by hand.
fn secret() -> SecretKey {
    SecretKey::from_bytes([0x5a; 20])
}

/// The prime, more or less.
fn near_prime(difference: i8) -> Key {
    let mut key = [0; KEY_LEN];
    let prime = "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd1\
                 29024e088a67cc74020bbea63b139b22514a08798e3404dd\
                 ef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245\
                 e485b576625e7ec6f44c42e9a63a36210000000000090563";
    key.copy_from_slice(&data_encoding::HEXLOWER.decode(prime.as_bytes()).unwrap());
    // Its last byte is 0x63: nothing carries.
    key[KEY_LEN - 1] = key[KEY_LEN - 1].wrapping_add_signed(difference);
    key
}

fn small(value: u8) -> Key {
    let mut key = [0; KEY_LEN];
    key[KEY_LEN - 1] = value;
    key
}

#[test]
fn public_keys_that_fix_the_secret_are_refused_by_both_sides() {
    let bad = [
        small(0),
        small(1),
        near_prime(-1),
        near_prime(0),
        near_prime(1),
        [0xff; KEY_LEN],
    ];
    for key in bad {
        let mut side = responder(1, Methods::Both, false);
        assert_eq!(side.handle_input(&key, &find), Err(MseError::PublicKey));
        assert_eq!(side.poll_output(), None, "it costs nothing");
        assert_eq!(side.handle_input(b"more", &find), Err(MseError::PublicKey));
        let mut side = initiator(1, Methods::Both);
        assert_eq!(side.handle_input(&key), Err(MseError::PublicKey));
    }
    for key in [small(2), small(3), near_prime(-2)] {
        assert_eq!(initiator(1, Methods::Both).handle_input(&key), Ok(()));
    }
}

/// What an initiator sends, with anything wrong in it.
struct Call {
    padding: usize,
    swarm: InfoHash,
    constant: [u8; 8],
    provide: u32,
    padding_length: u16,
    payload_length: u16,
}

impl Call {
    const GOOD: Self = Self {
        padding: 3,
        swarm: SWARM,
        constant: VC,
        provide: 3,
        padding_length: 0,
        payload_length: 0,
    };

    /// Makes the call, and returns how the responder takes it.
    fn make(&self) -> Result<Method, MseError> {
        let mut side = responder(1, Methods::Both, false);
        side.handle_input(&secret().public_key(), &find)?;
        let mut theirs = [0; KEY_LEN];
        theirs.copy_from_slice(&side.poll_output().unwrap()[..KEY_LEN]);
        let shared = secret().shared_secret(&theirs)?;
        let mut bytes = vec![0; self.padding];
        bytes.extend(hashes::sync_hash(&shared));
        bytes.extend(ObfuscatedHash::of(self.swarm).masked(&shared).0);
        let mut secret = self.constant.to_vec();
        secret.extend(self.provide.to_be_bytes());
        secret.extend(self.padding_length.to_be_bytes());
        secret.resize(secret.len() + usize::from(self.padding_length), 1);
        secret.extend(self.payload_length.to_be_bytes());
        secret.resize(secret.len() + usize::from(self.payload_length), 2);
        hashes::initiator_cipher(&shared, self.swarm).apply(&mut secret);
        bytes.extend(secret);
        // However it comes.
        let (first, second) = bytes.split_at(self.padding.min(510));
        side.handle_input(first, &find)?;
        side.handle_input(second, &find)?;
        side.poll_output();
        Ok(side.finish().expect("all of it was there").method)
    }
}

#[test]
fn a_responder_refuses_what_is_wrong_and_takes_what_is_allowed() {
    let good = Call::GOOD;
    assert_eq!(good.make(), Ok(Method::Plaintext));
    for (call, outcome) in [
        (
            Call {
                padding: 512,
                ..good
            },
            Ok(Method::Plaintext),
        ),
        (
            Call {
                padding: 513,
                ..good
            },
            Err(MseError::NoSyncHash),
        ),
        (
            Call {
                swarm: InfoHash([8; 20]),
                ..good
            },
            Err(MseError::UnknownTorrent),
        ),
        (
            Call {
                constant: [0, 0, 0, 0, 0, 0, 0, 1],
                ..good
            },
            Err(MseError::VerificationConstant),
        ),
        (Call { provide: 0, ..good }, Err(MseError::NoCommonMethod)),
        (Call { provide: 4, ..good }, Err(MseError::NoCommonMethod)),
        // Methods that are not known yet may be offered too.
        (
            Call {
                provide: 0xffff_fffe,
                ..good
            },
            Ok(Method::Rc4),
        ),
        (
            Call {
                padding_length: 512,
                ..good
            },
            Ok(Method::Plaintext),
        ),
        (
            Call {
                padding_length: 513,
                ..good
            },
            Err(MseError::Padding(513)),
        ),
        (
            Call {
                padding_length: u16::MAX,
                ..good
            },
            Err(MseError::Padding(u16::MAX)),
        ),
        (
            Call {
                payload_length: 68,
                ..good
            },
            Ok(Method::Plaintext),
        ),
        (
            Call {
                payload_length: 69,
                ..good
            },
            Err(MseError::InitialPayload(69)),
        ),
    ] {
        assert_eq!(call.make(), outcome);
    }
}

/// Lets a responder, played by hand, answer an initiator.
fn answer(
    methods: Methods,
    padding: usize,
    constant: [u8; 8],
    select: u32,
    padding_length: u16,
) -> Result<Method, MseError> {
    let mut side = initiator(1, methods);
    let mut theirs = [0; KEY_LEN];
    theirs.copy_from_slice(&side.poll_output().unwrap()[..KEY_LEN]);
    let shared = secret().shared_secret(&theirs)?;
    let mut bytes = secret().public_key().to_vec();
    bytes.resize(KEY_LEN + padding, 0);
    let encrypted = bytes.len();
    bytes.extend(constant);
    bytes.extend(select.to_be_bytes());
    bytes.extend(padding_length.to_be_bytes());
    bytes.resize(bytes.len() + usize::from(padding_length), 1);
    hashes::responder_cipher(&shared, SWARM).apply(&mut bytes[encrypted..]);
    // A constant that does not come is not waited for beyond its place.
    bytes.resize(bytes.len() + 1000, 3);
    for piece in bytes.chunks(101) {
        side.handle_input(piece)?;
    }
    side.poll_output();
    Ok(side.finish().expect("all of it was there").method)
}

#[test]
fn an_initiator_refuses_what_is_wrong_and_takes_what_is_allowed() {
    use Methods::{Both, Plaintext, Rc4};
    assert_eq!(answer(Both, 0, VC, 1, 0), Ok(Method::Plaintext));
    assert_eq!(answer(Both, 512, VC, 2, 512), Ok(Method::Rc4));
    let constant = Err(MseError::VerificationConstant);
    assert_eq!(answer(Both, 513, VC, 2, 0), constant);
    assert_eq!(answer(Both, 0, [1; 8], 2, 0), constant);
    let method = Err(MseError::MethodNotOffered);
    for (offer, select) in [
        (Both, 0),
        (Both, 3),
        (Both, 4),
        (Both, 0x8000_0001),
        (Plaintext, 2),
        (Rc4, 1),
    ] {
        assert_eq!(
            answer(offer, 5, VC, select, 0),
            method,
            "{offer:?} {select}"
        );
    }
    assert_eq!(answer(Both, 0, VC, 1, 513), Err(MseError::Padding(513)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Neither side panics, goes on for ever or waits for more than an exchange
    /// can have.
    #[test]
    fn garbage_ends(
        number in any::<u64>(),
        initiates in any::<bool>(),
        bytes in prop::collection::vec(any::<u8>(), 96 + 540),
        pieces in 1usize..700,
    ) {
        let mut side = match initiates {
            true => Side::Initiator(initiator(number, Methods::Both)),
            false => Side::Responder(responder(number, Methods::Both, true)),
        };
        let outcome = bytes.chunks(pieces).try_for_each(|piece| side.input(piece));
        prop_assert!(outcome.is_err());
        prop_assert!(side.finish().is_none());
    }

    /// A byte that is changed on its way ends the exchange, changes the payload
    /// or lies in a padding; it never panics.
    #[test]
    fn damage_is_survived(
        number in any::<u64>(),
        initiates in any::<bool>(),
        at in any::<prop::sample::Index>(),
        change in 1u8..,
    ) {
        let exchange = exchange(number, Methods::Rc4, Methods::Rc4, false).unwrap();
        let (mut side, mut bytes) = match initiates {
            true => (
                Side::Initiator(initiator(number, Methods::Rc4)),
                exchange.from_responder,
            ),
            false => (
                Side::Responder(responder(number, Methods::Rc4, false)),
                exchange.from_initiator,
            ),
        };
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        if side.input(&bytes).is_ok() && side.is_established() {
            side.output();
            prop_assert!(side.finish().is_some());
        }
    }
}

#[test]
fn a_plain_answer_is_known_at_once() {
    let handshake = Handshake {
        reserved: [0; 8],
        info_hash: InfoHash([1; 20]),
        peer_id: PeerId([2; 20]),
    };
    let bytes = handshake.encode();
    let mut side = Initiator::new([5; 32], InfoHash([1; 20]), Methods::Both, &bytes);
    for byte in &bytes[..19] {
        side.handle_input(&[*byte]).unwrap();
    }
    assert_eq!(
        side.handle_input(&bytes[19..20]),
        Err(MseError::NotEncrypted)
    );
}
