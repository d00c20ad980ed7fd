//! The Diffie-Hellman exchange: 768 bits, generator 2, exponents of 160 bits.

use crypto_bigint::modular::{ConstMontyForm, ConstMontyParams};
use crypto_bigint::{U192, U768, const_monty_params};
use rand::Rng;

use super::{KEY_LEN, MseError};

/// Bits of an exponent, as in libtorrent.
const SECRET_BITS: u32 = 160;

const PRIME: &str = "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd1\
                     29024e088a67cc74020bbea63b139b22514a08798e3404dd\
                     ef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245\
                     e485b576625e7ec6f44c42e9a63a36210000000000090563";

const_monty_params!(Prime, U768, PRIME, "The prime of the exchange.");

type Element = ConstMontyForm<Prime, { U768::LIMBS }>;

/// A public key or a shared secret on the wire and in hashes: always 96 bytes,
/// whatever it begins with.
pub(super) type Key = [u8; KEY_LEN];

/// One side's secret exponent.
pub(super) struct SecretKey(U192);

impl SecretKey {
    pub(super) fn random(rng: &mut impl Rng) -> Self {
        let mut bytes = [0; SECRET_BITS as usize / 8];
        rng.fill_bytes(&mut bytes);
        Self::from_bytes(bytes)
    }

    pub(super) fn from_bytes(bytes: [u8; SECRET_BITS as usize / 8]) -> Self {
        let mut padded = [0; 24];
        padded[4..].copy_from_slice(&bytes);
        Self(U192::from_be_slice(&padded))
    }

    /// What the other side is sent.
    pub(super) fn public_key(&self) -> Key {
        self.raise(&U768::from_u8(2))
    }

    /// What both sides know in the end.
    ///
    /// # Errors
    /// The other side's public key is not within 2 and p - 2; nothing is
    /// computed then.
    pub(super) fn shared_secret(&self, their_public_key: &Key) -> Result<Key, MseError> {
        let key = U768::from_be_slice(their_public_key);
        let last = Prime::PARAMS
            .modulus()
            .get()
            .wrapping_sub(&U768::from_u8(2));
        if key < U768::from_u8(2) || key > last {
            return Err(MseError::PublicKey);
        }
        Ok(self.raise(&key))
    }

    fn raise(&self, base: &U768) -> Key {
        let power = Element::new(base).pow_bounded_exp(&self.0, SECRET_BITS);
        let mut key = [0; KEY_LEN];
        key.copy_from_slice(power.retrieve().to_be_bytes().as_slice());
        key
    }
}
