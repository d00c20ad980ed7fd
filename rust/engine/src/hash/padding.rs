//! The hashing of padding (BEP 47): runs of zeros, of up to a whole piece of
//! 512 MiB for a torrent file of a few bytes.
//!
//! Where a piece begins with padding, the state of its hash depends on the
//! length alone, so that one table serves all pieces of all torrents. The state
//! after a run is remembered, too: a piece that is checked again, or is equal to
//! another one up to there, costs nothing. What is left is
//! done in steps, so that a disk worker looks at its other work in between.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;

use crate::hash::{PieceHasher, Sha1Hasher};

/// Bytes between two states of the table.
const STRIDE: u64 = 256 * 1024;

/// States of the table: those of the longest piece.
const STATES: usize = 2048;

/// Runs that are remembered.
const REMEMBERED: usize = 4096;

/// Shorter runs than this are not cached.
const SHORT: u64 = 256 * 1024;

const ZEROS: [u8; 16 * 1024] = [0; 16 * 1024];

/// A run of zeros: the digest and the length of what is before it, and its own
/// length.
type PaddingRun = ([u8; 20], u64, u64);

/// What is known of hashes of zeros. Shared by all disk workers.
#[derive(Default)]
pub(crate) struct ZeroHashes {
    /// After one, two, … strides of zeros and nothing else.
    table: Mutex<Vec<Sha1Hasher>>,
    known: Mutex<HashMap<PaddingRun, Sha1Hasher>>,
    #[cfg(test)]
    hashed: AtomicU64,
}

/// How a run of zeros is getting on.
#[derive(Debug, Default)]
pub(crate) struct ZeroRun {
    /// Bytes that are hashed.
    done: u64,
    /// Under which name it is remembered.
    name: Option<PaddingRun>,
    spent: u64,
}

impl ZeroRun {
    /// Bytes that were hashed for it since the last time.
    pub(crate) fn take_spent(&mut self) -> u64 {
        std::mem::take(&mut self.spent)
    }
}

/// How much padding may be hashed for one storage, or for one check of it: 1 GiB
/// and 1,024 bytes for each byte of payload. No torrent that is meant to be
/// shared comes near it, and one of a few kilobytes cannot keep a processor busy
/// for minutes.
#[derive(Debug)]
pub(crate) struct ZeroBudget {
    limit: u64,
    spent: AtomicU64,
}

impl ZeroBudget {
    /// The budget of a torrent of `payload` bytes without padding.
    pub(crate) fn new(payload: u64) -> Self {
        Self {
            limit: payload.saturating_mul(1024).saturating_add(1 << 30),
            spent: AtomicU64::new(0),
        }
    }

    /// Counts bytes that were hashed.
    ///
    /// # Errors
    ///
    /// They were too many.
    pub(crate) fn spend(&self, bytes: u64) -> io::Result<()> {
        let before = self.spent.fetch_add(bytes, Relaxed);
        match before.saturating_add(bytes) <= self.limit {
            true => Ok(()),
            false => Err(io::Error::other(
                "the torrent has far more padding than payload",
            )),
        }
    }
}

impl ZeroHashes {
    /// Goes on with hashing a run of `length` zeros, and hashes no more than
    /// `most` bytes, at least 16 KiB, for it. Returns whether that was all. What
    /// was hashed is counted in `run`; shared states cost nothing, and neither
    /// does a merkle tree, which covers no padding (BEP 52).
    pub(crate) fn advance(
        &self,
        run: &mut ZeroRun,
        hasher: &mut PieceHasher,
        length: u64,
        most: u64,
    ) -> bool {
        match hasher {
            PieceHasher::Sha1(hasher) => self.advance_sha1(run, hasher, length, most),
            PieceHasher::MerkleRoot(_) => true,
        }
    }

    fn advance_sha1(
        &self,
        run: &mut ZeroRun,
        hasher: &mut Sha1Hasher,
        length: u64,
        most: u64,
    ) -> bool {
        let mut most = most.max(ZEROS.len() as u64);
        if run.done == 0 && length >= SHORT {
            let name = (hasher.peek(), hasher.length(), length);
            if let Some(known) = self.known.lock().get(&name) {
                *hasher = known.clone();
                return true;
            }
            run.name = Some(name);
        }
        if hasher.is_zeros() {
            let end = hasher.length() + length - run.done;
            let (state, spent) = self.after(end / STRIDE, most);
            if let Some(state) = state.filter(|state| state.length() > hasher.length()) {
                run.done += state.length() - hasher.length();
                *hasher = state;
            }
            run.spent += spent;
            most = most.saturating_sub(spent);
        }
        while run.done < length && most > 0 {
            let part = (length - run.done).min(most).min(ZEROS.len() as u64);
            hasher.update_zeros(&ZEROS[..part as usize]);
            self.count(part);
            run.done += part;
            run.spent += part;
            most -= part;
        }
        if run.done < length {
            return false;
        }
        if let Some(name) = run.name.take() {
            let mut known = self.known.lock();
            if known.len() >= REMEMBERED {
                known.clear();
            }
            known.insert(name, hasher.clone());
        }
        true
    }

    /// Hashes all of a run at once. Returns what it cost.
    pub(crate) fn update(&self, hasher: &mut PieceHasher, length: u64) -> u64 {
        let mut run = ZeroRun::default();
        self.advance(&mut run, hasher, length, u64::MAX);
        run.spent
    }

    /// The state after `strides` strides of zeros, or the last one that is known
    /// when about `most` bytes are spent on it; and what was spent.
    fn after(&self, strides: u64, most: u64) -> (Option<Sha1Hasher>, u64) {
        let mut table = self.table.lock();
        let mut spent = 0;
        let strides = usize::try_from(strides).unwrap_or(STATES).min(STATES);
        while table.len() < strides && spent < most {
            let mut state = table.last().cloned().unwrap_or_default();
            for _ in 0..STRIDE / ZEROS.len() as u64 {
                state.update_zeros(&ZEROS);
            }
            table.push(state);
            spent += STRIDE;
            self.count(STRIDE);
        }
        let at = strides.min(table.len());
        (at.checked_sub(1).map(|at| table[at].clone()), spent)
    }

    fn count(&self, _bytes: u64) {
        #[cfg(test)]
        self.hashed.fetch_add(_bytes, Relaxed);
    }

    /// Bytes of zeros hashed so far.
    #[cfg(test)]
    pub(crate) fn hashed(&self) -> u64 {
        self.hashed.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::sha1;

    fn hash(zeros: &ZeroHashes, parts: &[(&[u8], u64)], most: u64) -> [u8; 20] {
        let mut hasher = Sha1Hasher::new();
        for &(data, length) in parts {
            hasher.update(data);
            let (mut run, before) = (ZeroRun::default(), zeros.hashed());
            let mut steps = 0;
            while !zeros.advance_sha1(&mut run, &mut hasher, length, most) {
                steps += 1;
                let spent = zeros.hashed() - before;
                assert!(spent <= steps * (most + STRIDE), "{spent} in {steps} steps");
            }
        }
        hasher.finish()
    }

    #[test]
    fn zeros_hash_as_they_should_wherever_they_stand() {
        let whole = |parts: &[(&[u8], u64)]| {
            let mut bytes = Vec::new();
            for (data, length) in parts {
                bytes.extend_from_slice(data);
                bytes.resize(bytes.len() + *length as usize, 0);
            }
            sha1(&bytes)
        };
        let mega = STRIDE;
        let cases: [&[(&[u8], u64)]; 6] = [
            &[(b"", 3 * mega + 17)],
            &[(b"", 5)],
            &[(b"", 2 * mega), (b"data", 2 * mega)],
            &[(b"data", 3 * mega + 1), (b"more", 7)],
            &[(b"", mega), (b"", mega), (b"x", 0)],
            &[(&[0, 0], mega + 4)],
        ];
        for most in [1, 100_000, mega, u64::MAX] {
            let zeros = ZeroHashes::default();
            for parts in cases {
                for _ in 0..2 {
                    assert_eq!(hash(&zeros, parts, most), whole(parts));
                }
            }
        }
    }

    #[test]
    fn a_thousand_pieces_of_padding_cost_as_much_as_one() {
        let zeros = ZeroHashes::default();
        let half = 8 * STRIDE;
        // In front of other data each time, behind equal data, and alone.
        for at in 0..1000u32 {
            hash(&zeros, &[(b"", half), (&at.to_be_bytes(), 0)], u64::MAX);
            hash(&zeros, &[(b"the same", half)], u64::MAX);
            hash(&zeros, &[(b"", half)], u64::MAX);
        }
        assert_eq!(zeros.hashed(), 2 * half);
    }
}
