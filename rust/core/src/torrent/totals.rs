//! What a torrent has moved, over all connections it ever had.

use std::time::Instant;

use super::TransferRates;
use crate::peer::PeerStats;

/// Sums over all connections the torrent ever had, with their present rates.
#[derive(Debug)]
pub struct Totals {
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
    /// Payload bytes received.
    pub payload_received: u64,
    /// Payload bytes sent.
    pub payload_sent: u64,
    /// Payload bytes that came twice or unasked.
    pub redundant: u64,
    /// Payload bytes of pieces that failed their hash.
    pub failed: u64,
    /// Rates of what is sent and received.
    pub rates: TransferRates,
}

impl Totals {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            received: 0,
            sent: 0,
            payload_received: 0,
            payload_sent: 0,
            redundant: 0,
            failed: 0,
            rates: TransferRates::new(now),
        }
    }

    pub(super) fn add(&mut self, now: Instant, more: &PeerStats) {
        self.received += more.received;
        self.sent += more.sent;
        self.payload_received += more.payload_received;
        self.payload_sent += more.payload_sent;
        self.redundant += more.redundant;
        self.rates.add(now, more);
    }
}
