//! Message stream encryption (MSE, also called PE): the exchange of keys before
//! the handshake of BEP 3, and the ciphers of the stream behind it.
//!
//! An outgoing connection has an [`Initiator`], one that comes in a
//! [`Responder`]: they take what is received ([`Initiator::handle_input`]), say
//! what to send ([`Initiator::poll_output`]), and when the exchange is over
//! ([`Initiator::finish`]), in which way the stream goes on and what has
//! come of it. Neither depends on time: the limit for the whole handshake is the
//! driver's.
//!
//! There is no BEP; the specification is Vuze's "Message Stream Encryption", and
//! where that leaves something open we do as libtorrent does
//! (`bt_peer_connection.cpp`). The first side, A, sends
//!
//! ```text
//! Ya, PadA
//! HASH('req1', S), HASH('req2', SKEY) xor HASH('req3', S),
//!     RC4(VC, crypto_provide, len(PadC), PadC, len(IA), IA)
//! ```
//!
//! and B answers `Yb, PadB` to the former and
//! `RC4(VC, crypto_select, len(PadD), PadD)` to the latter. Paddings are of 0 to
//! 512 bytes, SKEY is the info-hash of the swarm, and IA the first bytes of A's
//! handshake.
//!
//! What a bad exchange costs is bounded: a kilobyte of it is kept at most where
//! the driver keeps to [`Initiator::room`], no place is searched twice, and the
//! two exponentiations of a connection that comes in wait until all of its
//! public key is there and is valid.

mod cipher;
mod hashes;
mod initiator;
mod input;
mod key_exchange;
mod responder;
#[cfg(test)]
mod tests;

use rand::rngs::StdRng;
use rand::{Rng, RngExt};

pub use cipher::{Cipher, Ciphers};
pub use hashes::ObfuscatedHash;
pub use initiator::Initiator;
pub use responder::Responder;

use crate::ids::InfoHash;
use crate::wire::HANDSHAKE_LEN;

/// Bytes of a public key and of the shared secret.
const KEY_LEN: usize = 96;

/// Bytes of a padding, at most.
const MAX_PADDING: usize = 512;

/// The verification constant, as it is before it is encrypted.
const VC: [u8; 8] = [0; 8];

/// Bytes of `crypto_provide` or `crypto_select` and the length of the padding
/// behind it.
const CRYPTO_FIELD_LEN: usize = 4 + 2;

/// Bytes of the length of the initial payload.
const PAYLOAD_LENGTH_LEN: usize = 2;

/// Bytes of initial payload, at most: libtorrent takes no more than a handshake.
const MAX_INITIAL_PAYLOAD: usize = HANDSHAKE_LEN;

/// Seed of the secret and the paddings of one exchange. It has to be
/// unpredictable, and another one for each exchange.
pub type Seed = [u8; 32];

/// Why an exchange failed: each is the other side's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MseError {
    /// The public key is not within 2 and p - 2: what it makes of any secret is
    /// known to all.
    #[error("the public key of the encryption handshake is not valid")]
    PublicKey,
    /// It is the handshake of BEP 3: the peer does not encrypt.
    #[error("the peer answered an encrypted handshake with a plain one")]
    NotEncrypted,
    /// The hash that ends the padding does not come.
    #[error("the encryption handshake has no end of its padding")]
    NoSyncHash,
    /// The hash names no torrent that is here.
    #[error("the peer asked for a torrent that is not here")]
    UnknownTorrent,
    /// The constant that shows that both sides have the same keys does not come.
    #[error("the verification constant of the encryption handshake does not come")]
    VerificationConstant,
    /// None of the methods that the peer offers is allowed here.
    #[error("the peer offers no method of encryption that is allowed")]
    NoCommonMethod,
    /// The peer chose a method that was not offered, or more than one.
    #[error("the peer chose a method of encryption that was not offered")]
    MethodNotOffered,
    /// The padding is longer than it may be.
    #[error("a padding of {0} bytes in the encryption handshake is too long")]
    Padding(u16),
    /// The initial payload is longer than a handshake.
    #[error("an initial payload of {0} bytes in the encryption handshake is too long")]
    InitialPayload(u16),
}

/// How the stream goes on behind the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// As it is: only the handshake is hidden.
    Plaintext,
    /// Encrypted.
    Rc4,
}

impl Method {
    /// A name for lists of connections.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Rc4 => "rc4",
        }
    }
}

/// Methods that may be used (`crypto_provide`). Never none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Methods {
    /// Plaintext alone.
    Plaintext,
    /// RC4 alone.
    Rc4,
    /// Either.
    Both,
}

/// The bits of methods in `crypto_provide` and `crypto_select`.
const PLAINTEXT_BIT: u32 = 1;
const RC4_BIT: u32 = 2;

impl Methods {
    fn bits(self) -> u32 {
        match self {
            Self::Plaintext => PLAINTEXT_BIT,
            Self::Rc4 => RC4_BIT,
            Self::Both => PLAINTEXT_BIT | RC4_BIT,
        }
    }

    /// The method that is chosen of those that a peer provides.
    fn choose(self, provided: u32, prefer_rc4: bool) -> Option<Method> {
        let common = self.bits() & provided;
        match (common & PLAINTEXT_BIT != 0, common & RC4_BIT != 0) {
            (true, true) if prefer_rc4 => Some(Method::Rc4),
            (true, _) => Some(Method::Plaintext),
            (false, true) => Some(Method::Rc4),
            (false, false) => None,
        }
    }

    /// The method that a peer has selected.
    fn selected(self, selected: u32) -> Option<Method> {
        match selected & self.bits() {
            PLAINTEXT_BIT if selected == PLAINTEXT_BIT => Some(Method::Plaintext),
            RC4_BIT if selected == RC4_BIT => Some(Method::Rc4),
            _ => None,
        }
    }
}

/// What an exchange has led to.
#[derive(Debug)]
pub struct Established {
    /// The swarm whose info-hash both sides have used.
    pub info_hash: InfoHash,
    /// How the stream goes on.
    pub method: Method,
    /// What encrypts it, with [`Method::Rc4`].
    pub ciphers: Option<Ciphers>,
    /// What has come of the stream already, decrypted.
    pub received: Vec<u8>,
}

impl Established {
    /// `payload` has come and is decrypted, `rest` as it came behind that.
    fn new(
        info_hash: InfoHash,
        method: Method,
        mut ciphers: Ciphers,
        mut payload: Vec<u8>,
        mut rest: Vec<u8>,
    ) -> Self {
        let encrypted = method == Method::Rc4;
        if encrypted {
            ciphers.receive.apply(&mut rest);
        }
        payload.append(&mut rest);
        Self {
            info_hash,
            method,
            ciphers: encrypted.then_some(ciphers),
            received: payload,
        }
    }
}

/// Appends a padding of 0 to 512 bytes.
fn pad(out: &mut Vec<u8>, rng: &mut StdRng) {
    let start = out.len();
    out.resize(start + rng.random_range(0..=MAX_PADDING), 0);
    rng.fill_bytes(&mut out[start..]);
}

/// Appends `VC, crypto, len(Pad), Pad` before its encryption.
fn crypto_field(out: &mut Vec<u8>, crypto: u32, rng: &mut StdRng) {
    out.extend_from_slice(&VC);
    out.extend_from_slice(&crypto.to_be_bytes());
    let length_at = out.len();
    out.extend_from_slice(&[0; 2]);
    pad(out, rng);
    let length = (out.len() - length_at - 2) as u16;
    out[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
}
