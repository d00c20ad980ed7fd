//! How long packets wait in queues: one-way delays against the lowest one of the
//! last minutes (BEP 29, congestion control; RFC 6817, section 3.4.2).

use std::time::{Duration, Instant};

/// Minutes of which the lowest delay counts. The queue is ours for a long time
/// where nothing else sends, so that a short memory would take its length for
/// the length of the way.
const MINUTES: usize = 20;

/// Samples that a minute needs before it is over: what comes seldom says little.
const MIN_SAMPLES: u32 = 120;

/// Of the last samples the lowest one counts, so that a single one that was held
/// up closes no window.
const FILTER: usize = 3;

/// Steps of the base that are more than this come from a change of the way, not
/// from clocks that drift apart, in microseconds.
const MAX_DRIFT: u32 = 10_000;

/// Whether `a` is lower than `b`, on a clock that wraps.
fn is_lower(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() < 0
}

/// The lowest one-way delay of each minute, in microseconds of clocks that are
/// not set alike.
#[derive(Clone, Debug)]
pub(super) struct BaseDelay {
    minutes: [u32; MINUTES],
    at: usize,
    base: u32,
    samples: u32,
    minute_began: Instant,
}

impl BaseDelay {
    pub(super) fn new(now: Instant, sample: u32) -> Self {
        Self {
            minutes: [sample; MINUTES],
            at: 0,
            base: sample,
            samples: 0,
            minute_began: now,
        }
    }

    pub(super) fn base(&self) -> u32 {
        self.base
    }

    /// A delay was measured. By how much it is above the base, in microseconds.
    pub(super) fn add(&mut self, now: Instant, sample: u32) -> u32 {
        self.samples = self.samples.saturating_add(1);
        if is_lower(sample, self.minutes[self.at]) {
            self.minutes[self.at] = sample;
        }
        if is_lower(sample, self.base) {
            self.base = sample;
        }
        let above = sample.wrapping_sub(self.base);
        let over = now.saturating_duration_since(self.minute_began) >= Duration::from_secs(60);
        if over && self.samples >= MIN_SAMPLES {
            self.minute_began = now;
            self.samples = 0;
            self.at = (self.at + 1) % MINUTES;
            self.minutes[self.at] = sample;
            self.base = sample;
            for minute in self.minutes {
                if is_lower(minute, self.base) {
                    self.base = minute;
                }
            }
        }
        above
    }

    /// The clocks have drifted apart by so many microseconds: nothing that was
    /// measured before is that low any more.
    fn raise(&mut self, micros: u32) {
        self.base = self.base.wrapping_add(micros);
        for minute in &mut self.minutes {
            if is_lower(*minute, self.base) {
                *minute = self.base;
            }
        }
    }
}

/// Delays in both directions of a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Delays {
    ours: Option<BaseDelay>,
    theirs: Option<BaseDelay>,
    recent: [Option<u32>; FILTER],
    at: usize,
    /// What we tell the peer: `timestamp_difference` of our next packet.
    pub(super) reply: u32,
}

impl Delays {
    /// A packet has arrived that was under way for `reply` on the clocks of both
    /// ends.
    pub(super) fn arrived(&mut self, now: Instant, reply: u32) {
        self.reply = reply;
        let Some(theirs) = &mut self.theirs else {
            self.theirs = Some(BaseDelay::new(now, reply));
            return;
        };
        let before = theirs.base();
        theirs.add(now, reply);
        let after = theirs.base();
        // Where their delay goes down because clocks drift, ours goes up.
        if is_lower(after, before)
            && before.wrapping_sub(after) < MAX_DRIFT
            && let Some(ours) = &mut self.ours
        {
            ours.raise(before.wrapping_sub(after));
        }
    }

    /// The peer says how long a packet of ours was under way: how long our
    /// packets wait in queues, as far as the last samples say.
    pub(super) fn reported(&mut self, now: Instant, sample: u32) -> Duration {
        let ours = self.ours.get_or_insert_with(|| BaseDelay::new(now, sample));
        let above = ours.add(now, sample);
        self.recent[self.at] = Some(above);
        self.at = (self.at + 1) % FILTER;
        let lowest = self.recent.iter().flatten().min();
        Duration::from_micros((*lowest.unwrap_or(&above)).into())
    }
}
