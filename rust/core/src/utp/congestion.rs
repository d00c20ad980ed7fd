//! How much may be under way: LEDBAT (BEP 29, congestion control; RFC 6817; and
//! of LEDBAT++, draft-irtf-iccrg-ledbat-plus-plus, the multiplicative decrease).
//!
//! A loss cuts the window by `loss_multiplier`, and by half as much where delays
//! show no queue that could be full: radio links lose packets by chance.
//!
//! Until the first loss or the first delay the window doubles each round trip.
//! Then it grows by at most `gain_factor` bytes in each, the less the closer the
//! delay is to the target, and shrinks in proportion to what the delay is above
//! it. It never grows while there is less to send than it lets out.

use std::time::{Duration, Instant};

use super::UtpSettings;

/// Packets that are let out before anything is known.
const INITIAL_PACKETS: usize = 4;

/// Slow start ends when not one packet of a round trip waited less than this part
/// of the target delay: the queue does not empty any more.
const STANDING: f64 = 0.25;

/// Below this part of the target delay the queue is as good as empty.
const QUIET: f64 = 0.25;

/// Below this part of the target delay there is no queue that could be full.
const EMPTY: f64 = 0.05;

/// What is left in each round trip of the highest delay, to be forgotten slowly.
const PEAK_LEFT: f64 = 0.95;

/// The part of the window that goes in a round trip with twice the target delay.
const DECREASE: f64 = 0.5;

/// The congestion window.
#[derive(Clone, Debug)]
pub(super) struct Congestion {
    /// Bytes of payload; at least one packet.
    window: f64,
    /// Slow start ends here at the latest.
    threshold: f64,
    slow_start: bool,
    /// The last delay was above the target.
    above_target: bool,
    /// The lowest delay of the round trip that goes on and of the one before, in
    /// target delays.
    lowest: [f64; 2],
    /// The last delay, and the highest one of late, in target delays.
    delay: f64,
    peak: f64,
    last_cut: Option<Instant>,
    /// Bytes of payload of a packet.
    packet: f64,
}

/// What an ack says.
#[derive(Clone, Copy, Debug)]
pub(super) struct AckInfo {
    /// Bytes that were acked.
    pub(super) acked: usize,
    /// Bytes that were under way before.
    pub(super) in_flight: usize,
    /// How long our packets wait in queues.
    pub(super) delay: Duration,
    /// The window was cut, and no packet that was sent since has been acked.
    pub(super) recovering: bool,
    /// It is the first one of a round trip.
    pub(super) new_round: bool,
}

impl Congestion {
    pub(super) fn new(packet: usize) -> Self {
        Self {
            window: (INITIAL_PACKETS * packet) as f64,
            threshold: f64::INFINITY,
            slow_start: true,
            above_target: false,
            lowest: [f64::INFINITY; 2],
            delay: f64::INFINITY,
            peak: 0.0,
            last_cut: None,
            packet: packet as f64,
        }
    }

    /// Bytes that may be under way.
    pub(super) fn window(&self) -> usize {
        self.window as usize
    }

    /// Whether the window doubles each round trip.
    #[cfg(test)]
    pub(super) fn is_slow_start(&self) -> bool {
        self.slow_start
    }

    /// Packets have another size.
    pub(super) fn set_packet(&mut self, packet: usize) {
        self.packet = packet as f64;
        self.clamp();
    }

    fn clamp(&mut self) {
        self.window = self.window.clamp(self.packet, 1e9);
    }

    /// Bytes were acked, and the peer reported a delay. Whether slow start ends
    /// because of the delay.
    pub(super) fn acked(&mut self, settings: &UtpSettings, ack: AckInfo) -> bool {
        let AckInfo {
            acked, in_flight, ..
        } = ack;
        if acked == 0 || in_flight == 0 {
            return false;
        }
        let (acked, in_flight) = (acked as f64, (in_flight.max(acked)) as f64);
        let target = settings.target_delay.as_secs_f64().max(0.001);
        let delay = ack.delay.as_secs_f64() / target;
        let was_above = std::mem::replace(&mut self.above_target, delay >= 1.0);
        if ack.new_round {
            self.lowest = [f64::INFINITY, self.lowest[0]];
            self.peak *= PEAK_LEFT;
        }
        self.delay = delay;
        self.peak = self.peak.max(delay);
        self.lowest[0] = self.lowest[0].min(delay);
        if self.slow_start && !ack.recovering && self.leaves_slow_start(delay, ack.new_round) {
            return true;
        }
        let is_full = in_flight + self.packet > self.window;
        // What part of a round trip this ack stands for.
        let part = acked / in_flight;
        if delay >= 1.0 {
            if !was_above {
                self.threshold = (self.window / 2.0).max(self.threshold_or_zero() * 0.9);
            }
            if !ack.recovering {
                self.window *= 1.0 - DECREASE * (delay - 1.0).min(1.0) * part;
            }
        } else if is_full {
            // Other traffic that made us yield is gone: back to what fitted
            // before, as fast as at the start.
            if delay < QUIET && self.window < self.threshold_or_zero() && !ack.recovering {
                self.slow_start = true;
            }
            let linear = f64::from(settings.gain_factor) * part * (1.0 - delay);
            if self.slow_start && self.window + acked <= self.threshold {
                self.window += acked.max(linear);
            } else {
                self.slow_start = false;
                self.window += linear;
            }
        }
        self.clamp();
        false
    }

    /// Ends slow start where the delay says so. Packets go out in bursts, which
    /// wait although the way is not full: what counts is the lowest delay of a
    /// round trip, unless the target is exceeded.
    fn leaves_slow_start(&mut self, delay: f64, new_round: bool) -> bool {
        let [current, last] = self.lowest;
        let standing = new_round && last.is_finite() && last >= STANDING;
        if !standing && delay < 1.0 {
            return false;
        }
        self.slow_start = false;
        if standing || current >= QUIET {
            // Half of what is under way was let out since the packet that this
            // delay is of.
            self.window /= 2.0;
        }
        self.threshold = self.window;
        self.clamp();
        true
    }

    fn threshold_or_zero(&self) -> f64 {
        if self.threshold.is_finite() {
            self.threshold
        } else {
            0.0
        }
    }

    /// A packet was lost. Whether the window was cut.
    pub(super) fn lost(&mut self, settings: &UtpSettings, now: Instant) -> bool {
        let is_soon = self
            .last_cut
            .is_some_and(|last| now.saturating_duration_since(last) < settings.cwnd_reduce_timer);
        if is_soon {
            return false;
        }
        self.last_cut = Some(now);
        let left = f64::from(settings.loss_multiplier.min(100)) / 100.0;
        self.window *= match self.is_by_chance() {
            true => f64::midpoint(1.0, left),
            false => left,
        };
        self.clamp();
        self.slow_start = false;
        self.threshold = self.window;
        true
    }

    /// Whether a loss is none of a full queue, as far as delays show, so that it
    /// says less of what other traffic needs: the queue is empty, or far from as
    /// long as it was.
    fn is_by_chance(&self) -> bool {
        self.delay < EMPTY || (self.delay < QUIET && self.delay < self.peak / 2.0)
    }

    /// No ack came for too long: one packet is let out, to begin again. `first`
    /// is the first time in a row.
    pub(super) fn timed_out(&mut self, first: bool) {
        if first {
            self.threshold = (self.window / 2.0).max(2.0 * self.packet);
        }
        self.window = self.packet;
        self.slow_start = true;
    }

    /// Nothing was sent for `idle`, while an ack takes `timeout` at most: what
    /// was known of the way grows old.
    pub(super) fn idled(&mut self, idle: Duration, timeout: Duration) {
        let times = idle.as_secs_f64() / timeout.as_secs_f64().max(0.001);
        let least = (INITIAL_PACKETS as f64 * self.packet).min(self.window);
        self.window = (self.window * 0.5_f64.powf(times.floor())).max(least);
    }
}
