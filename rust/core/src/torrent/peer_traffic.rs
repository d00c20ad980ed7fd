//! What went over one connection, and when.

use std::time::Instant;

use super::TransferRates;
use crate::peer::PeerStats;

/// Totals and rates of one connection, as of its last report.
#[derive(Debug)]
pub struct PeerTraffic {
    /// Totals and gauges as last reported.
    pub stats: PeerStats,
    /// Rates of what the totals count.
    pub rates: TransferRates,
    /// When anything last went either way.
    pub last_active: Instant,
    /// When anything last came from the peer.
    pub(super) last_received: Instant,
}

impl PeerTraffic {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            stats: PeerStats::default(),
            rates: TransferRates::new(now),
            last_active: now,
            last_received: now,
        }
    }

    /// Takes over new totals and returns the difference to the last ones.
    pub(super) fn count(&mut self, now: Instant, stats: &PeerStats) -> PeerStats {
        let old = std::mem::replace(&mut self.stats, *stats);
        let more = PeerStats {
            received: stats.received - old.received,
            sent: stats.sent - old.sent,
            payload_received: stats.payload_received - old.payload_received,
            payload_sent: stats.payload_sent - old.payload_sent,
            redundant: stats.redundant - old.redundant,
            ..*stats
        };
        if more.received > 0 {
            self.last_received = now;
        }
        if more.received + more.sent > 0 {
            self.last_active = now;
        }
        self.rates.add(now, &more);
        more
    }
}
