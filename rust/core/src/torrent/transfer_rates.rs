//! The rates at which bytes come and go.

use std::time::Instant;

use crate::peer::PeerStats;
use crate::rate::RateMeter;

/// Rates of one connection or of all of them together.
#[derive(Debug)]
pub struct TransferRates {
    /// Of bytes received.
    pub download: RateMeter,
    /// Of bytes sent.
    pub upload: RateMeter,
    /// Of payload received.
    pub payload_download: RateMeter,
    /// Of payload sent.
    pub payload_upload: RateMeter,
}

impl TransferRates {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            download: RateMeter::new(now),
            upload: RateMeter::new(now),
            payload_download: RateMeter::new(now),
            payload_upload: RateMeter::new(now),
        }
    }

    /// Counts what went each way since the last time.
    pub(super) fn add(&mut self, now: Instant, more: &PeerStats) {
        self.download.add(now, more.received);
        self.upload.add(now, more.sent);
        self.payload_download.add(now, more.payload_received);
        self.payload_upload.add(now, more.payload_sent);
    }
}
