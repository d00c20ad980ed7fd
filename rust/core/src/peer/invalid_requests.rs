//! Invalid requests, and when the connection is closed for them.

use std::time::{Duration, Instant};

use super::PeerError;

/// Requests that make no sense, after which the peer is cut off; libtorrent's
/// number.
const MAX_INVALID_REQUESTS: u32 = 300;

/// How long requests may still arrive that were made before the choke.
pub(super) const CROSSING: Duration = Duration::from_secs(2);

/// Counts of invalid requests.
#[derive(Debug, Default)]
pub(super) struct InvalidRequests {
    /// Those for what we do not have, over the whole connection.
    invalid: u32,
    /// Requests that came since we choked the peer, and those of them that
    /// cannot have crossed the choke.
    choked: usize,
    late: u32,
    /// When the first of them came.
    choked_at: Option<Instant>,
}

impl InvalidRequests {
    /// A request for what the peer cannot have.
    pub(super) fn count_invalid(&mut self) -> Result<(), PeerError> {
        self.invalid += 1;
        match self.invalid > MAX_INVALID_REQUESTS {
            true => Err(PeerError::InvalidRequests),
            false => Ok(()),
        }
    }

    /// A request that came while we choke the peer. Some may have crossed the
    /// choke, but no more than the `most` that we would have queued.
    pub(super) fn count_choked(&mut self, now: Instant, most: usize) -> Result<(), PeerError> {
        self.choked += 1;
        if self.choked > most {
            return Err(PeerError::InvalidRequests);
        }
        let first = *self.choked_at.get_or_insert(now);
        if now > first + CROSSING {
            self.late += 1;
            if self.late > MAX_INVALID_REQUESTS {
                return Err(PeerError::ChokedRequests);
            }
        }
        Ok(())
    }

    /// We choke the peer now, or do so no longer.
    pub(super) fn choke_changed(&mut self) {
        self.choked = 0;
        self.late = 0;
        self.choked_at = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    #[test]
    fn requests_may_cross_a_choke_but_not_for_ever() {
        let mut it = InvalidRequests::default();
        for _ in 0..500 {
            assert_eq!(it.count_choked(at(2000), 1000), Ok(()));
        }
        // Later ones have not crossed it.
        for _ in 0..MAX_INVALID_REQUESTS {
            assert_eq!(it.count_choked(at(4001), 1000), Ok(()));
        }
        let late = it.count_choked(at(4001), 1000);
        assert_eq!(late, Err(PeerError::ChokedRequests));
        it.choke_changed();
        assert_eq!(it.count_choked(at(9000), 1), Ok(()));
        let many = it.count_choked(at(9000), 1);
        assert_eq!(many, Err(PeerError::InvalidRequests));
    }

    #[test]
    fn invalid_requests_count_over_the_whole_connection() {
        let mut it = InvalidRequests::default();
        for _ in 0..MAX_INVALID_REQUESTS {
            assert_eq!(it.count_invalid(), Ok(()));
            it.choke_changed();
        }
        assert_eq!(it.count_invalid(), Err(PeerError::InvalidRequests));
    }
}
