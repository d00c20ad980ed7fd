//! Items that any node can store in the DHT (BEP 44): immutable ones, named by
//! their hash, and mutable ones, signed by the key that names them.

use bytes::Bytes;
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{Signature, SigningKey, Verifier, VerifyingKey};
use sha1::{Digest, Sha1};
use sha2::Sha512;

use super::node_id::NodeId;
use crate::bencode::Document;

/// Bytes of a value, bencoded.
pub const MAX_VALUE: usize = 1000;

/// Bytes of a salt.
pub const MAX_SALT: usize = 64;

/// Why an item cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ItemError {
    /// The value is too long.
    #[error("the value has more than {MAX_VALUE} bytes")]
    ValueTooLong,
    /// The value is not canonical bencode, so that it would not survive a journey.
    #[error("the value is not canonical bencode")]
    NotBencode,
    /// The salt is too long.
    #[error("the salt has more than {MAX_SALT} bytes")]
    SaltTooLong,
    /// A sequence number is below zero.
    #[error("the sequence number is negative")]
    NegativeSeq,
    /// The public key is no point of the curve, or does not belong to the secret key.
    #[error("the public key is not that of the secret key")]
    BadKey,
    /// The signature is not that of the key.
    #[error("the signature is wrong")]
    BadSignature,
}

/// Names a series of mutable items, together with a salt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(pub [u8; 32]);

/// Signs mutable items: the expanded key of 64 bytes that BEP 44 and libtorrent use.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(pub [u8; 64]);

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

/// Both keys that belong to a random seed.
pub fn keypair(seed: [u8; 32]) -> (PublicKey, SecretKey) {
    let signing = SigningKey::from_bytes(&seed);
    let mut secret: [u8; 64] = Sha512::digest(seed).into();
    // As keys of 64 bytes are kept: the scalar is clamped.
    secret[0] &= 248;
    secret[31] &= 63;
    secret[31] |= 64;
    (
        PublicKey(signing.verifying_key().to_bytes()),
        SecretKey(secret),
    )
}

/// A mutable item with its signature, which was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MutableItem {
    /// Its owner.
    pub key: PublicKey,
    /// Which of the owner's items.
    pub salt: Bytes,
    /// Counts its versions, from 0.
    pub seq: i64,
    /// The value, bencoded.
    pub value: Bytes,
    /// The owner's signature of salt, number and value.
    pub signature: [u8; 64],
}

impl MutableItem {
    /// Signs a value.
    pub fn sign(
        secret: &SecretKey,
        key: PublicKey,
        salt: Bytes,
        seq: i64,
        value: Bytes,
    ) -> Result<Self, ItemError> {
        check_value(&value)?;
        if salt.len() > MAX_SALT {
            return Err(ItemError::SaltTooLong);
        }
        if seq < 0 {
            return Err(ItemError::NegativeSeq);
        }
        let expanded = ExpandedSecretKey::from_bytes(&secret.0);
        let verifying = VerifyingKey::from(&expanded);
        if verifying.to_bytes() != key.0 {
            return Err(ItemError::BadKey);
        }
        let message = signed_bytes(&salt, seq, &value);
        let signature = raw_sign::<Sha512>(&expanded, &message, &verifying).to_bytes();
        Ok(Self {
            key,
            salt,
            seq,
            value,
            signature,
        })
    }

    /// Whether everything about the item is as it must be.
    pub fn verify(&self) -> Result<(), ItemError> {
        check_value(&self.value)?;
        if self.salt.len() > MAX_SALT {
            return Err(ItemError::SaltTooLong);
        }
        if self.seq < 0 {
            return Err(ItemError::NegativeSeq);
        }
        let key = VerifyingKey::from_bytes(&self.key.0).map_err(|_| ItemError::BadKey)?;
        let message = signed_bytes(&self.salt, self.seq, &self.value);
        let signature = Signature::from_bytes(&self.signature);
        key.verify(&message, &signature)
            .map_err(|_| ItemError::BadSignature)
    }

    /// Where it is stored.
    pub fn target(&self) -> NodeId {
        mutable_target(self.key, &self.salt)
    }
}

/// Whether bytes can be the value of an item.
pub fn check_value(value: &[u8]) -> Result<(), ItemError> {
    if value.len() > MAX_VALUE {
        return Err(ItemError::ValueTooLong);
    }
    let document = Document::parse(value).map_err(|_| ItemError::NotBencode)?;
    let canonical = document.root().check_canonical();
    canonical.map_err(|_| ItemError::NotBencode)
}

/// Where an immutable item is stored: the hash of its bencoded value.
pub fn immutable_target(value: &[u8]) -> NodeId {
    NodeId(Sha1::digest(value).into())
}

/// Where a mutable item is stored: the hash of key and salt.
pub fn mutable_target(key: PublicKey, salt: &[u8]) -> NodeId {
    let mut hash = Sha1::new();
    hash.update(key.0);
    hash.update(salt);
    NodeId(hash.finalize().into())
}

/// What is signed: the members of a dict without its marks, in order.
fn signed_bytes(salt: &[u8], seq: i64, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.len() + salt.len() + 48);
    if !salt.is_empty() {
        bytes.extend_from_slice(format!("4:salt{}:", salt.len()).as_bytes());
        bytes.extend_from_slice(salt);
    }
    bytes.extend_from_slice(format!("3:seqi{seq}e1:v").as_bytes());
    bytes.extend_from_slice(value);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    const VALUE: &[u8] = b"12:Hello World!";

    fn keys() -> (PublicKey, SecretKey) {
        (
            PublicKey(hex(
                "77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548",
            )),
            SecretKey(hex(
                "e06d3183d14159228433ed599221b80bd0a5ce8352e4bdf0262f76786ef1c74d\
                 b7e7a9fea2c0eb269d61e3b38e450a22e754941ac78479d6c54e1faf6037881d",
            )),
        )
    }

    fn signed(salt: &'static [u8], seq: i64, value: &'static [u8]) -> MutableItem {
        let (key, secret) = keys();
        MutableItem::sign(&secret, key, salt.into(), seq, value.into()).unwrap()
    }

    #[test]
    fn the_vectors_of_bep_44() {
        for (salt, signature, target) in [
            (
                &b""[..],
                "305ac8aeb6c9c151fa120f120ea2cfb923564e11552d06a5d856091e5e853cff\
                 1260d3f39e4999684aa92eb73ffd136e6f4f3ecbfda0ce53a1608ecd7ae21f01",
                "4a533d47ec9c7d95b1ad75f576cffc641853b750",
            ),
            (
                b"foobar",
                "6834284b6b24c3204eb2fea824d82f88883a3d95e8b4a21b8c0ded553d17d17d\
                 df9a8a7104b1258f30bed3787e6cb896fca78c58f8e03b5f18f14951a87d9a08",
                "411eba73b6f087ca51a3795d9c8c938d365e32c1",
            ),
        ] {
            let item = signed(salt, 1, VALUE);
            assert_eq!(item.signature, hex(signature));
            assert_eq!(item.target(), NodeId(hex(target)));
            assert_eq!(item.verify(), Ok(()));
        }
        assert_eq!(
            immutable_target(VALUE),
            NodeId(hex("e5f96f6f38320f0f33959cb4d3d656452117aadb"))
        );
    }

    #[test]
    fn what_was_changed_on_the_way_is_found_out() {
        let item = signed(b"salt", 7, b"4:true");
        let mut wrong = item.clone();
        wrong.seq += 1;
        assert_eq!(wrong.verify(), Err(ItemError::BadSignature));
        let mut wrong = item.clone();
        wrong.value = Bytes::from_static(b"4:lies");
        assert_eq!(wrong.verify(), Err(ItemError::BadSignature));
        let mut wrong = item.clone();
        wrong.salt = Bytes::from_static(b"tlas");
        assert_eq!(wrong.verify(), Err(ItemError::BadSignature));
        let mut wrong = item.clone();
        wrong.seq = -1;
        assert_eq!(wrong.verify(), Err(ItemError::NegativeSeq));
        let mut wrong = item.clone();
        wrong.key = PublicKey([0xff; 32]);
        assert!(wrong.verify().is_err());
        for bit in 0..512 {
            let mut wrong = item.clone();
            wrong.signature[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(wrong.verify(), Err(ItemError::BadSignature), "{bit}");
        }
    }

    #[test]
    fn limits_hold_before_anything_is_signed() {
        let (key, secret) = keys();
        let sign = |salt: usize, seq: i64, value: &[u8]| {
            let value = Bytes::copy_from_slice(value);
            MutableItem::sign(&secret, key, vec![b's'; salt].into(), seq, value).map(|_| ())
        };
        let long = |length: usize| format!("{length}:{}", "x".repeat(length)).into_bytes();
        assert_eq!(sign(64, 0, &long(996)), Ok(()));
        assert_eq!(sign(65, 0, VALUE), Err(ItemError::SaltTooLong));
        assert_eq!(sign(0, 0, &long(997)), Err(ItemError::ValueTooLong));
        assert_eq!(sign(0, -1, VALUE), Err(ItemError::NegativeSeq));
        for broken in [&b""[..], b"12:short", b"d1:bi1e1:ai1ee", b"i01e", b"i1ei2e"] {
            assert_eq!(sign(0, 0, broken), Err(ItemError::NotBencode), "{broken:?}");
        }
        let other = PublicKey([3; 32]);
        let refused = MutableItem::sign(&secret, other, Bytes::new(), 0, VALUE.into());
        assert_eq!(refused, Err(ItemError::BadKey));
    }

    #[test]
    fn a_seed_gives_keys_that_belong_together() {
        let (key, secret) = keypair([9; 32]);
        let item = MutableItem::sign(&secret, key, Bytes::new(), 3, VALUE.into()).unwrap();
        assert_eq!(item.verify(), Ok(()));
        assert_ne!(keypair([8; 32]).0, key);
    }
}
