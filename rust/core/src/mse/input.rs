//! What has been received of an exchange and is not used up.

use super::MAX_PADDING;
use crate::wire::PROTOCOL;

/// Received bytes, in order.
#[derive(Debug, Default)]
pub(super) struct Input {
    bytes: Vec<u8>,
    /// Bytes at the front that a search has passed.
    passed: usize,
}

/// How far a search has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Search {
    /// It was there, and is taken with all before it.
    Found,
    /// It can still come.
    NotYet,
    /// The padding before it would be too long.
    TooFar,
}

impl Input {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the first `count` bytes once all of them are there.
    pub(super) fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        if self.bytes.len() < count {
            return None;
        }
        let rest = self.bytes.split_off(count);
        Some(std::mem::replace(&mut self.bytes, rest))
    }

    /// Whether what has come begins as a plain handshake does. A public key begins
    /// like that once in 2^160 times.
    pub(super) fn is_plain_handshake(&self) -> bool {
        self.bytes.starts_with(PROTOCOL)
    }

    /// The same for as many as `N`.
    pub(super) fn take_array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = *self.bytes.first_chunk()?;
        self.bytes.drain(..N);
        Some(taken)
    }

    /// Takes all bytes up to and including `mark`, which may stand behind a
    /// padding. No place is looked at twice, however the bytes come.
    pub(super) fn search(&mut self, mark: &[u8]) -> Search {
        let places = (self.bytes.len() + 1).saturating_sub(mark.len());
        let places = places.min(MAX_PADDING + 1);
        let found = (self.passed..places).find(|&at| self.bytes[at..].starts_with(mark));
        self.passed = places.max(self.passed);
        match found {
            Some(at) => {
                self.bytes.drain(..at + mark.len());
                self.passed = 0;
                Search::Found
            }
            None if places > MAX_PADDING => Search::TooFar,
            None => Search::NotYet,
        }
    }

    /// How many more have to come at least for a search of `mark` to succeed.
    pub(super) fn missing_of_mark(&self, mark: usize) -> usize {
        mark - (self.bytes.len() - self.passed).min(mark)
    }

    /// How many of `count` bytes have not come.
    pub(super) fn missing(&self, count: usize) -> usize {
        count.saturating_sub(self.bytes.len())
    }

    /// All that is left.
    pub(super) fn rest(self) -> Vec<u8> {
        self.bytes
    }
}
