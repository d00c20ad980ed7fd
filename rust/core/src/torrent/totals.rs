//! What a torrent has moved, over all connections it ever had.

use std::time::Instant;

use crate::rate::RateMeter;

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
    /// Rate of `received`.
    pub download: RateMeter,
    /// Rate of `sent`.
    pub upload: RateMeter,
    /// Rate of `payload_received`.
    pub payload_download: RateMeter,
    /// Rate of `payload_sent`.
    pub payload_upload: RateMeter,
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
            download: RateMeter::new(now),
            upload: RateMeter::new(now),
            payload_download: RateMeter::new(now),
            payload_upload: RateMeter::new(now),
        }
    }

    pub(super) fn add(&mut self, now: Instant, more: crate::peer::PeerStats) {
        self.received += more.received;
        self.sent += more.sent;
        self.payload_received += more.payload_received;
        self.payload_sent += more.payload_sent;
        self.redundant += more.redundant;
        self.download.add(now, more.received);
        self.upload.add(now, more.sent);
        self.payload_download.add(now, more.payload_received);
        self.payload_upload.add(now, more.payload_sent);
    }
}
