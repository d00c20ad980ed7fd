//! Round trips, and how long to wait for an ack (BEP 29, timeouts; RFC 6298).

use std::time::Duration;

/// The longest wait for an ack.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);

/// The wait before there is a measurement.
const FIRST_TIMEOUT: Duration = Duration::from_secs(1);

/// What round trips take.
#[derive(Clone, Debug, Default)]
pub(super) struct Rtt {
    smoothed: Option<Duration>,
    variance: Duration,
    min: Option<Duration>,
}

impl Rtt {
    /// A packet that was sent once was acked after `sample`.
    pub(super) fn add(&mut self, sample: Duration) {
        self.min = Some(self.min.map_or(sample, |min| min.min(sample)));
        match &mut self.smoothed {
            None => {
                self.smoothed = Some(sample);
                self.variance = sample / 2;
            }
            Some(smoothed) => {
                self.variance = self.variance * 3 / 4 + sample.abs_diff(*smoothed) / 4;
                *smoothed = *smoothed * 7 / 8 + sample / 8;
            }
        }
    }

    /// The shortest one.
    pub(super) fn min(&self) -> Duration {
        self.min.unwrap_or_default()
    }

    /// The usual one.
    pub(super) fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// How long an ack is waited for after `timeouts` time-outs in a row.
    pub(super) fn timeout(&self, min: Duration, timeouts: u32) -> Duration {
        let usual = match self.smoothed {
            None => FIRST_TIMEOUT,
            Some(smoothed) => smoothed + self.variance * 4,
        };
        let usual = usual.max(min);
        usual
            .saturating_mul(1 << timeouts.min(10))
            .min(MAX_TIMEOUT.max(min))
    }
}
