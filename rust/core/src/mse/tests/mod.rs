//! What the tests of the exchange share.

mod exchange;
mod hostile;
mod vectors;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::ids::PeerId;
use crate::wire::Handshake;

pub(super) const SWARM: InfoHash = InfoHash([7; 20]);

pub(super) fn seed(number: u64) -> Seed {
    let mut seed = [0; 32];
    StdRng::seed_from_u64(number).fill_bytes(&mut seed);
    seed
}

/// The handshake of BEP 3 that goes along with an exchange.
pub(super) fn handshake() -> [u8; HANDSHAKE_LEN] {
    let handshake = Handshake {
        reserved: [1, 2, 3, 4, 5, 6, 7, 8],
        info_hash: SWARM,
        peer_id: PeerId(*b"-XX0000-abcdefghijkl"),
    };
    handshake.encode()
}

/// Knows one swarm.
pub(super) fn find(hash: ObfuscatedHash) -> Option<InfoHash> {
    (hash == ObfuscatedHash::of(SWARM)).then_some(SWARM)
}

pub(super) fn initiator(number: u64, methods: Methods) -> Initiator {
    Initiator::new(seed(number), SWARM, methods, &handshake())
}

pub(super) fn responder(number: u64, methods: Methods, prefer_rc4: bool) -> Responder {
    Responder::new(seed(number ^ 0xffff), methods, prefer_rc4)
}

/// Either side, as a driver sees it.
pub(super) enum Side {
    Initiator(Initiator),
    Responder(Responder),
}

impl Side {
    pub(super) fn input(&mut self, bytes: &[u8]) -> Result<(), MseError> {
        match self {
            Self::Initiator(side) => side.handle_input(bytes),
            Self::Responder(side) => side.handle_input(bytes, &find),
        }
    }

    pub(super) fn output(&mut self) -> Vec<u8> {
        let polled = match self {
            Self::Initiator(side) => side.poll_output(),
            Self::Responder(side) => side.poll_output(),
        };
        polled.unwrap_or_default()
    }

    pub(super) fn room(&self) -> usize {
        match self {
            Self::Initiator(side) => side.room(),
            Self::Responder(side) => side.room(),
        }
    }

    pub(super) fn is_established(&self) -> bool {
        match self {
            Self::Initiator(side) => side.is_established(),
            Self::Responder(side) => side.is_established(),
        }
    }

    pub(super) fn finish(self) -> Option<Established> {
        match self {
            Self::Initiator(side) => side.finish(),
            Self::Responder(side) => side.finish(),
        }
    }
}

/// A whole exchange: what each side sends in it.
pub(super) struct Recorded {
    pub(super) from_initiator: Vec<u8>,
    pub(super) from_responder: Vec<u8>,
    pub(super) initiator: Established,
    pub(super) responder: Established,
}

/// Lets both sides talk, in the largest pieces that come.
pub(super) fn exchange(
    number: u64,
    ours: Methods,
    theirs: Methods,
    prefer_rc4: bool,
) -> Result<Recorded, MseError> {
    let mut initiator = initiator(number, ours);
    let mut responder = responder(number, theirs, prefer_rc4);
    let (mut from_initiator, mut from_responder) = (Vec::new(), Vec::new());
    while !(initiator.is_established() && responder.is_established()) {
        let sent = initiator.poll_output().unwrap_or_default();
        responder.handle_input(&sent, &find)?;
        from_initiator.extend(&sent);
        let answer = responder.poll_output().unwrap_or_default();
        initiator.handle_input(&answer)?;
        from_responder.extend(&answer);
    }
    Ok(Recorded {
        from_initiator,
        from_responder,
        initiator: initiator.finish().unwrap(),
        responder: responder.finish().unwrap(),
    })
}
