//! The first side of an exchange: an outgoing connection.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::input::{Input, Search};
use super::key_exchange::{Key, SecretKey};
use super::{
    CRYPTO_FIELD_LEN, Ciphers, Established, KEY_LEN, MAX_INITIAL_PAYLOAD, MAX_PADDING, Method,
    Methods, MseError, ObfuscatedHash, Seed, VC, crypto_field, hashes, pad,
};
use crate::ids::InfoHash;
use crate::wire::HANDSHAKE_LEN;

/// The side that opened the connection, and knows what for.
#[derive(Debug)]
pub struct Initiator {
    info_hash: InfoHash,
    methods: Methods,
    rng: StdRng,
    input: Input,
    /// What waits to be sent.
    output: Vec<u8>,
    state: State,
}

enum State {
    /// The other side's public key is to come. With our secret, and the payload
    /// that goes along with what we say then.
    PublicKey(SecretKey, Vec<u8>),
    /// The verification constant, encrypted, behind a padding.
    VerificationConstant([u8; VC.len()], Ciphers),
    CryptoSelect(Ciphers),
    Padding(usize, Method, Ciphers),
    Established(Method, Ciphers),
    Failed(MseError),
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::PublicKey(..) => "PublicKey",
            Self::VerificationConstant(..) => "VerificationConstant",
            Self::CryptoSelect(_) => "CryptoSelect",
            Self::Padding(..) => "Padding",
            Self::Established(..) => "Established",
            Self::Failed(_) => "Failed",
        })
    }
}

impl Initiator {
    /// One that connects to a peer of this swarm. The `handshake` goes along with
    /// the exchange (the initial payload), encrypted whichever method the peer
    /// selects.
    pub fn new(
        seed: Seed,
        info_hash: InfoHash,
        methods: Methods,
        handshake: &[u8; HANDSHAKE_LEN],
    ) -> Self {
        let mut rng = StdRng::from_seed(seed);
        let secret = SecretKey::random(&mut rng);
        Self::with_secret(secret, rng, info_hash, methods, handshake)
    }

    pub(super) fn with_secret(
        secret: SecretKey,
        mut rng: StdRng,
        info_hash: InfoHash,
        methods: Methods,
        payload: &[u8],
    ) -> Self {
        debug_assert!(payload.len() <= MAX_INITIAL_PAYLOAD);
        let mut output = secret.public_key().to_vec();
        pad(&mut output, &mut rng);
        Self {
            info_hash,
            methods,
            rng,
            input: Input::default(),
            output,
            state: State::PublicKey(secret, payload.to_vec()),
        }
    }

    /// What is to be sent now, in order.
    pub fn poll_output(&mut self) -> Option<Vec<u8>> {
        let output = std::mem::take(&mut self.output);
        (!output.is_empty()).then_some(output)
    }

    /// Takes in what was received, all of it.
    ///
    /// # Errors
    /// The exchange has failed, and will not recover.
    pub fn handle_input(&mut self, bytes: &[u8]) -> Result<(), MseError> {
        self.input.push(bytes);
        while self.advance()? {}
        Ok(())
    }

    /// How many bytes may be received at once: as many as the exchange and the
    /// handshake behind it are sure to have still, so that nothing comes along
    /// of what is behind those. At least one until the exchange is over.
    pub fn room(&self) -> usize {
        let select = CRYPTO_FIELD_LEN + HANDSHAKE_LEN;
        match &self.state {
            State::PublicKey(..) => self.input.missing(KEY_LEN) + VC.len() + select,
            State::VerificationConstant(..) => self.input.missing_of_mark(VC.len()) + select,
            State::CryptoSelect(_) => self.input.missing(CRYPTO_FIELD_LEN) + HANDSHAKE_LEN,
            State::Padding(length, ..) => self.input.missing(*length) + HANDSHAKE_LEN,
            State::Established(..) | State::Failed(_) => 0,
        }
    }

    /// Whether the exchange is over.
    pub fn is_established(&self) -> bool {
        matches!(self.state, State::Established(..))
    }

    /// What the exchange has led to, if it is over and everything was sent.
    pub fn finish(self) -> Option<Established> {
        let State::Established(method, ciphers) = self.state else {
            return None;
        };
        let received = self.input.rest();
        Some(Established::new(
            self.info_hash,
            method,
            ciphers,
            Vec::new(),
            received,
        ))
    }

    /// Does the next step, if everything for it is there.
    fn advance(&mut self) -> Result<bool, MseError> {
        let state = std::mem::replace(&mut self.state, State::Failed(MseError::PublicKey));
        match self.next(state) {
            Ok((state, advanced)) => {
                self.state = state;
                Ok(advanced)
            }
            Err(error) => {
                self.state = State::Failed(error);
                Err(error)
            }
        }
    }

    fn next(&mut self, state: State) -> Result<(State, bool), MseError> {
        let next = match state {
            State::PublicKey(..) if self.input.is_plain_handshake() => {
                return Err(MseError::NotEncrypted);
            }
            State::PublicKey(secret, payload) => match self.input.take_array::<KEY_LEN>() {
                Some(key) => {
                    let (constant, ciphers) = self.answer(&secret.shared_secret(&key)?, &payload);
                    State::VerificationConstant(constant, ciphers)
                }
                None => return Ok((State::PublicKey(secret, payload), false)),
            },
            State::VerificationConstant(constant, ciphers) => match self.input.search(&constant) {
                Search::Found => State::CryptoSelect(ciphers),
                Search::NotYet => {
                    return Ok((State::VerificationConstant(constant, ciphers), false));
                }
                Search::TooFar => return Err(MseError::VerificationConstant),
            },
            State::CryptoSelect(mut ciphers) => {
                let Some(mut field) = self.input.take_array::<CRYPTO_FIELD_LEN>() else {
                    return Ok((State::CryptoSelect(ciphers), false));
                };
                ciphers.receive.apply(&mut field);
                let [s0, s1, s2, s3, p0, p1] = field;
                let selected = u32::from_be_bytes([s0, s1, s2, s3]);
                let method = self.methods.selected(selected);
                let method = method.ok_or(MseError::MethodNotOffered)?;
                let length = u16::from_be_bytes([p0, p1]);
                if usize::from(length) > MAX_PADDING {
                    return Err(MseError::Padding(length));
                }
                State::Padding(length.into(), method, ciphers)
            }
            State::Padding(length, method, mut ciphers) => match self.input.take(length) {
                Some(mut padding) => {
                    ciphers.receive.apply(&mut padding);
                    State::Established(method, ciphers)
                }
                None => return Ok((State::Padding(length, method, ciphers), false)),
            },
            State::Established(..) => return Ok((state, false)),
            State::Failed(error) => return Err(error),
        };
        Ok((next, true))
    }

    /// Says which swarm this is for, and what we can do. Returns the other
    /// side's verification constant as it will come.
    fn answer(&mut self, secret: &Key, payload: &[u8]) -> ([u8; VC.len()], Ciphers) {
        let mut ciphers = Ciphers {
            send: hashes::initiator_cipher(secret, self.info_hash),
            receive: hashes::responder_cipher(secret, self.info_hash),
        };
        self.output.extend_from_slice(&hashes::sync_hash(secret));
        let swarm = ObfuscatedHash::of(self.info_hash).masked(secret);
        self.output.extend_from_slice(&swarm.0);
        let encrypted = self.output.len();
        crypto_field(&mut self.output, self.methods.bits(), &mut self.rng);
        let length = payload.len() as u16;
        self.output.extend_from_slice(&length.to_be_bytes());
        self.output.extend_from_slice(payload);
        ciphers.send.apply(&mut self.output[encrypted..]);
        let mut constant = VC;
        ciphers.receive.apply(&mut constant);
        (constant, ciphers)
    }
}
