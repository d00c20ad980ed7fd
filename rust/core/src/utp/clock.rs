//! The microseconds that packets carry.

use std::time::Instant;

/// A clock that counts from any moment on, and wraps after 71 minutes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    epoch: Instant,
    offset: u32,
}

impl Clock {
    /// A clock that shows `offset` at `epoch`.
    pub(super) fn new(epoch: Instant, offset: u32) -> Self {
        Self { epoch, offset }
    }

    /// What it shows; never 0, which means that there is no time.
    pub(super) fn micros(&self, now: Instant) -> u32 {
        let since = now.saturating_duration_since(self.epoch).as_micros() as u32;
        since.wrapping_add(self.offset).max(1)
    }
}
