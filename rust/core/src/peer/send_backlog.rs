//! How much may wait for a peer that does not read.
//!
//! Part of [`Connection`]. What is read from disk for a peer stops at the
//! watermark; the small messages do not, and much of what a peer says makes us
//! send some: requests each time that it unchokes us, refusals, interest. One
//! that sends such messages without end and reads nothing would fill our memory, and
//! is never silent. So it is left when more of them wait than any well-behaved peer
//! has waiting. Announcements of our pieces do not count: no peer can make us
//! send more of them than there are pieces.

use super::{Connection, PeerError};

/// Bytes of small messages that may wait: some windows of requests, and plenty.
const SLACK: usize = 1 << 20;

/// Bytes of a refusal.
const REFUSAL: usize = 17;

impl Connection {
    /// Whether more waits than the peer may make us queue.
    pub(super) fn is_overfull(&self) -> bool {
        // All that it asked for may be refused at once.
        let refusals = self.limits.max_in * REFUSAL;
        self.send.small() > refusals + SLACK
    }

    /// Says that the peer is to be left, if more waits.
    pub(super) fn check_unsent(&self) -> Result<(), PeerError> {
        match self.is_overfull() {
            true => Err(PeerError::NeverReads),
            false => Ok(()),
        }
    }
}
