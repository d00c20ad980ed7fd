//! How large packets may be: path MTU discovery by probes (RFC 8899).
//!
//! Packets begin at a size that every way takes and grow when a probe was acked.
//! A probe is a packet with no more payload than fits into one of the known
//! size, made longer by padding: uTP numbers packets, not bytes, so that a probe
//! with more could never be sent again in a smaller one. A lost probe says
//! nothing about congestion.

use std::time::{Duration, Instant};

/// Bytes of a datagram that every IPv4 way takes (576 without headers).
const BASE_V4: usize = 576 - 28;

/// The same for IPv6 (1280 without headers).
const BASE_V6: usize = 1280 - 48;

/// Probes of one size that are lost before it counts as too large.
const MAX_PROBES: u32 = 3;

/// The search ends when it is as exact as this, in bytes.
const EXACT: usize = 16;

/// How long a result holds before larger packets are tried again.
const HOLDS: Duration = Duration::from_secs(600);

/// The search for the largest packet.
#[derive(Clone, Debug)]
pub(super) struct PathMtu {
    /// What every way takes.
    base: usize,
    /// The largest size that is known to arrive, `base` to `max`.
    floor: usize,
    /// The largest size that may arrive, `floor` to `max`.
    ceiling: usize,
    max: usize,
    /// Probes of the current size that were lost.
    lost: u32,
    in_flight: Option<usize>,
    /// When the search ended.
    found: Option<Instant>,
}

impl PathMtu {
    /// A search up to `max`, which is at least what every way takes.
    pub(super) fn new(is_ipv6: bool, max: usize) -> Self {
        let base = if is_ipv6 { BASE_V6 } else { BASE_V4 };
        let max = max.max(base);
        Self {
            base,
            floor: base,
            ceiling: max,
            max,
            lost: 0,
            in_flight: None,
            found: None,
        }
    }

    /// Bytes of a datagram that is no probe.
    pub(super) fn size(&self) -> usize {
        self.floor
    }

    /// Whether datagrams are larger than every way takes.
    pub(super) fn is_above_base(&self) -> bool {
        self.floor > self.base
    }

    /// The size of the next probe: first the largest, which most ways take,
    /// then halfway between what arrives and what does not.
    pub(super) fn probe(&self) -> Option<usize> {
        if self.in_flight.is_some() || self.ceiling < self.floor + EXACT {
            return None;
        }
        if self.ceiling == self.max {
            return Some(self.max);
        }
        Some((self.floor + self.ceiling).div_ceil(2))
    }

    /// A probe was sent.
    pub(super) fn probe_sent(&mut self, size: usize) {
        self.in_flight = Some(size);
    }

    /// A probe was not sent after all.
    pub(super) fn probe_cancelled(&mut self) {
        self.in_flight = None;
    }

    /// The probe was acked.
    pub(super) fn probe_acked(&mut self, now: Instant) {
        if let Some(size) = self.in_flight.take() {
            self.floor = self.floor.max(size);
            self.ceiling = self.ceiling.max(self.floor);
            self.lost = 0;
            self.note_end(now);
        }
    }

    /// The probe was lost.
    pub(super) fn probe_lost(&mut self, now: Instant) {
        if let Some(size) = self.in_flight.take() {
            self.lost += 1;
            if self.lost >= MAX_PROBES {
                self.too_large(now, size);
            }
        }
    }

    /// The system says that a datagram of this size is too large for the way.
    pub(super) fn too_large(&mut self, now: Instant, size: usize) {
        self.in_flight = None;
        self.lost = 0;
        self.ceiling = (size - 1).clamp(self.floor, self.max);
        self.note_end(now);
    }

    /// Packets of the known size arrive no longer: begins again from what every
    /// way takes.
    pub(super) fn black_hole(&mut self) {
        *self = Self {
            ceiling: (self.floor - 1).max(self.base),
            floor: self.base,
            lost: 0,
            in_flight: None,
            found: None,
            ..*self
        };
    }

    fn note_end(&mut self, now: Instant) {
        self.found = (self.ceiling < self.floor + EXACT).then_some(now);
    }

    /// Larger packets are tried again once the result is old. It is asked for
    /// when there is something to send, so that nothing has to wake up for it.
    pub(super) fn refresh(&mut self, now: Instant) {
        let is_old = self
            .found
            .is_some_and(|found| now.saturating_duration_since(found) >= HOLDS);
        if is_old && self.floor < self.max {
            self.ceiling = self.max;
            self.found = None;
        }
    }
}
