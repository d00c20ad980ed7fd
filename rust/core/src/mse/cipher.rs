//! RC4 whose first 1024 bytes are left out.

use std::fmt;

use rc4::{KeyInit, Rc4, StreamCipher};

/// Bytes of the keystream that are not used: they say something of the key.
const DROPPED: usize = 1024;

/// One direction of an encrypted stream. Encrypting and decrypting is the same;
/// each byte of the stream has to pass once, in order.
pub struct Cipher(Rc4);

impl Cipher {
    pub(super) fn new(key: &[u8; 20]) -> Self {
        Self::of_any_key(key)
    }

    /// With a key of 1 to 256 bytes.
    pub(super) fn of_any_key(key: &[u8]) -> Self {
        let mut rc4 = Rc4::new_from_slice(key).expect("RC4 has keys of 1 to 256 bytes");
        rc4.write_keystream(&mut [0; DROPPED]);
        Self(rc4)
    }

    /// Encrypts or decrypts in place.
    #[inline]
    pub fn apply(&mut self, bytes: &mut [u8]) {
        self.0.apply_keystream(bytes);
    }

    /// Encrypts or decrypts the beginning of `from` into `to`, as much as both
    /// hold, in one pass. How many bytes that are.
    #[inline]
    pub fn apply_into(&mut self, from: &[u8], to: &mut [u8]) -> usize {
        let count = from.len().min(to.len());
        self.0.apply_keystream_b2b(&from[..count], &mut to[..count]);
        count
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher")
    }
}

/// Both directions of an encrypted stream.
#[derive(Debug)]
pub struct Ciphers {
    /// For what is sent.
    pub send: Cipher,
    /// For what is received.
    pub receive: Cipher,
}
