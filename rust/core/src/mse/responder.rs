//! The second side of an exchange: a connection that comes in.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::input::{Input, Search};
use super::key_exchange::{Key, SecretKey};
use super::{
    CRYPTO_FIELD_LEN, Ciphers, Established, KEY_LEN, MAX_INITIAL_PAYLOAD, MAX_PADDING, Method,
    Methods, MseError, ObfuscatedHash, PAYLOAD_LENGTH_LEN, Seed, VC, crypto_field, hashes, pad,
};
use crate::ids::InfoHash;
use crate::wire::HANDSHAKE_LEN;

/// Bytes of a hash.
const HASH_LEN: usize = 20;

/// The side that was called, and learns for which swarm.
#[derive(Debug)]
pub struct Responder {
    methods: Methods,
    prefer_rc4: bool,
    rng: StdRng,
    input: Input,
    /// What waits to be sent.
    output: Vec<u8>,
    state: State,
}

enum State {
    /// The other side's public key is to come. The own secret is made then: a
    /// connection that sends less costs nothing.
    PublicKey,
    /// The hash behind the padding.
    SyncHash([u8; HASH_LEN], Box<Key>),
    /// The name of the swarm.
    Swarm(Box<Key>),
    CryptoProvide(Swarm),
    /// The padding and the length of the payload behind it.
    Padding(usize, Method, Swarm),
    Payload(usize, Method, Swarm),
    /// With the payload.
    Established(Method, Swarm, Vec<u8>),
    Failed(MseError),
}

/// The swarm that was found, and the ciphers that it gives.
struct Swarm {
    info_hash: InfoHash,
    ciphers: Ciphers,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::PublicKey => "PublicKey",
            Self::SyncHash(..) => "SyncHash",
            Self::Swarm(_) => "Swarm",
            Self::CryptoProvide(_) => "CryptoProvide",
            Self::Padding(..) => "Padding",
            Self::Payload(..) => "Payload",
            Self::Established(..) => "Established",
            Self::Failed(_) => "Failed",
        })
    }
}

impl Responder {
    /// One for a connection that begins with no handshake of BEP 3. Of several
    /// methods that both sides allow, plaintext is chosen unless RC4 is
    /// preferred.
    pub fn new(seed: Seed, methods: Methods, prefer_rc4: bool) -> Self {
        Self {
            methods,
            prefer_rc4,
            rng: StdRng::from_seed(seed),
            input: Input::default(),
            output: Vec::new(),
            state: State::PublicKey,
        }
    }

    /// What is to be sent now, in order.
    pub fn poll_output(&mut self) -> Option<Vec<u8>> {
        let output = std::mem::take(&mut self.output);
        (!output.is_empty()).then_some(output)
    }

    /// Takes in what was received, all of it. `find` knows the swarms that are
    /// here by their obfuscated hashes.
    ///
    /// # Errors
    /// The exchange has failed, and will not recover.
    pub fn handle_input(
        &mut self,
        bytes: &[u8],
        find: &impl Fn(ObfuscatedHash) -> Option<InfoHash>,
    ) -> Result<(), MseError> {
        self.input.push(bytes);
        loop {
            let state = std::mem::replace(&mut self.state, State::Failed(MseError::PublicKey));
            match self.next(state, find) {
                Ok((state, advanced)) => {
                    self.state = state;
                    if !advanced {
                        return Ok(());
                    }
                }
                Err(error) => {
                    self.state = State::Failed(error);
                    return Err(error);
                }
            }
        }
    }

    /// How many bytes may be received at once: as many as the exchange and the
    /// handshake behind it are sure to have still, so that nothing comes along
    /// of what is behind those. At least one until the exchange is over.
    pub fn room(&self) -> usize {
        let provide = CRYPTO_FIELD_LEN + PAYLOAD_LENGTH_LEN + HANDSHAKE_LEN;
        let swarm = HASH_LEN + VC.len();
        match &self.state {
            State::PublicKey => self.input.missing(KEY_LEN) + HASH_LEN + swarm + provide,
            State::SyncHash(..) => self.input.missing_of_mark(HASH_LEN) + swarm + provide,
            State::Swarm(_) => self.input.missing(swarm) + provide,
            State::CryptoProvide(_) => {
                self.input.missing(CRYPTO_FIELD_LEN) + PAYLOAD_LENGTH_LEN + HANDSHAKE_LEN
            }
            State::Padding(length, ..) => {
                self.input.missing(length + PAYLOAD_LENGTH_LEN) + HANDSHAKE_LEN
            }
            // The payload is the first part of the handshake.
            State::Payload(..) => self.input.missing(HANDSHAKE_LEN),
            State::Established(..) | State::Failed(_) => 0,
        }
    }

    /// Whether the exchange is over.
    pub fn is_established(&self) -> bool {
        matches!(self.state, State::Established(..))
    }

    /// What the exchange has led to, if it is over and everything was sent.
    pub fn finish(self) -> Option<Established> {
        let State::Established(method, swarm, payload) = self.state else {
            return None;
        };
        let Swarm { info_hash, ciphers } = swarm;
        let received = self.input.rest();
        Some(Established::new(
            info_hash, method, ciphers, payload, received,
        ))
    }

    /// Does the next step, if everything for it is there.
    fn next(
        &mut self,
        state: State,
        find: &impl Fn(ObfuscatedHash) -> Option<InfoHash>,
    ) -> Result<(State, bool), MseError> {
        let next = match state {
            State::PublicKey => match self.input.take_array::<KEY_LEN>() {
                Some(key) => {
                    let secret = Box::new(self.exchange(&key)?);
                    State::SyncHash(hashes::sync_hash(&secret), secret)
                }
                None => return Ok((State::PublicKey, false)),
            },
            State::SyncHash(hash, secret) => match self.input.search(&hash) {
                Search::Found => State::Swarm(secret),
                Search::NotYet => return Ok((State::SyncHash(hash, secret), false)),
                Search::TooFar => return Err(MseError::NoSyncHash),
            },
            State::Swarm(secret) => match self.input.take_array::<{ HASH_LEN + VC.len() }>() {
                Some(bytes) => State::CryptoProvide(named(&secret, bytes, find)?),
                None => return Ok((State::Swarm(secret), false)),
            },
            State::CryptoProvide(mut swarm) => {
                let Some(mut field) = self.input.take_array::<CRYPTO_FIELD_LEN>() else {
                    return Ok((State::CryptoProvide(swarm), false));
                };
                swarm.ciphers.receive.apply(&mut field);
                let [c0, c1, c2, c3, p0, p1] = field;
                let provided = u32::from_be_bytes([c0, c1, c2, c3]);
                let method = self.methods.choose(provided, self.prefer_rc4);
                let method = method.ok_or(MseError::NoCommonMethod)?;
                let length = u16::from_be_bytes([p0, p1]);
                if usize::from(length) > MAX_PADDING {
                    return Err(MseError::Padding(length));
                }
                State::Padding(length.into(), method, swarm)
            }
            State::Padding(length, method, mut swarm) => {
                let Some(mut padding) = self.input.take(length + PAYLOAD_LENGTH_LEN) else {
                    return Ok((State::Padding(length, method, swarm), false));
                };
                swarm.ciphers.receive.apply(&mut padding);
                let payload = u16::from_be_bytes([padding[length], padding[length + 1]]);
                if usize::from(payload) > MAX_INITIAL_PAYLOAD {
                    return Err(MseError::InitialPayload(payload));
                }
                State::Payload(payload.into(), method, swarm)
            }
            State::Payload(length, method, mut swarm) => {
                let Some(mut payload) = self.input.take(length) else {
                    return Ok((State::Payload(length, method, swarm), false));
                };
                swarm.ciphers.receive.apply(&mut payload);
                self.answer(method, &mut swarm.ciphers);
                State::Established(method, swarm, payload)
            }
            State::Established(..) => return Ok((state, false)),
            State::Failed(error) => return Err(error),
        };
        Ok((next, true))
    }

    /// Sends our public key, if theirs is one; the secret that both give.
    fn exchange(&mut self, their_public_key: &Key) -> Result<Key, MseError> {
        let secret = SecretKey::random(&mut self.rng);
        let shared = secret.shared_secret(their_public_key)?;
        self.output.extend_from_slice(&secret.public_key());
        pad(&mut self.output, &mut self.rng);
        Ok(shared)
    }

    /// Says which method it is.
    fn answer(&mut self, method: Method, ciphers: &mut Ciphers) {
        let methods = match method {
            Method::Plaintext => Methods::Plaintext,
            Method::Rc4 => Methods::Rc4,
        };
        let encrypted = self.output.len();
        crypto_field(&mut self.output, methods.bits(), &mut self.rng);
        ciphers.send.apply(&mut self.output[encrypted..]);
    }
}

/// The swarm that the other side names, once its verification constant shows
/// that both have the same keys.
fn named(
    secret: &Key,
    bytes: [u8; HASH_LEN + VC.len()],
    find: &impl Fn(ObfuscatedHash) -> Option<InfoHash>,
) -> Result<Swarm, MseError> {
    let mut hash = [0; HASH_LEN];
    let mut constant = VC;
    hash.copy_from_slice(&bytes[..HASH_LEN]);
    constant.copy_from_slice(&bytes[HASH_LEN..]);
    let info_hash = find(ObfuscatedHash(hash).masked(secret)).ok_or(MseError::UnknownTorrent)?;
    let mut ciphers = Ciphers {
        send: hashes::responder_cipher(secret, info_hash),
        receive: hashes::initiator_cipher(secret, info_hash),
    };
    ciphers.receive.apply(&mut constant);
    if constant != VC {
        return Err(MseError::VerificationConstant);
    }
    Ok(Swarm { info_hash, ciphers })
}
