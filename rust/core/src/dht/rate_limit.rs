//! How much is answered: so many queries of one address, and so many bytes in all.
//! The address of a datagram may be forged, and what is sent there is bounded by both.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::address::is_local;

/// Queries of an address are counted for this long.
const WINDOW: Duration = Duration::from_secs(10);

/// Addresses that are counted. Others than these share one count.
const MAX_ADDRESSES: usize = 2048;

/// Bytes that can be saved up: what may be sent in so many seconds.
const BURST_SECONDS: u64 = 3;

#[derive(Clone, Copy, Debug)]
struct Window {
    count: u32,
    until: Instant,
    blocked: bool,
}

/// How much may be answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct AnswerPolicy {
    /// Bytes a second in all: `dht_upload_rate_limit`.
    pub(super) bytes: u64,
    /// Queries a second of one address: `dht_block_ratelimit`.
    pub(super) queries: u32,
    /// For how long one that sends more is ignored: `dht_block_timeout`.
    pub(super) block: Duration,
}

/// Both limits.
#[derive(Debug)]
pub(super) struct AnswerLimits {
    policy: AnswerPolicy,
    windows: HashMap<SocketAddr, Window>,
    /// Where there are too many addresses.
    others: Option<Window>,
    /// Bytes that may be sent, times a billion.
    credit: i128,
    last: Instant,
}

impl AnswerLimits {
    pub(super) fn new(now: Instant, policy: AnswerPolicy) -> Self {
        Self {
            policy,
            windows: HashMap::new(),
            others: None,
            credit: burst(policy),
            last: now,
        }
    }

    pub(super) fn set_policy(&mut self, policy: AnswerPolicy) {
        self.policy = policy;
        self.credit = self.credit.min(burst(policy));
    }

    /// Whether a query from `from` is to be looked at. An address that asks too much is
    /// ignored until it has been silent for a while. On a private network one address may
    /// be that of several nodes, each with a port of its own.
    pub(super) fn accepts(&mut self, now: Instant, from: SocketAddr) -> bool {
        let mut ip = from;
        if !is_local(ip.ip()) {
            ip.set_port(0);
        }
        let most = self.policy.queries.saturating_mul(WINDOW.as_secs() as u32);
        let block = self.policy.block;
        if !self.windows.contains_key(&ip) && self.windows.len() >= MAX_ADDRESSES {
            self.windows.retain(|_, window| window.until > now);
        }
        let full = self.windows.len() >= MAX_ADDRESSES;
        let fresh = Window {
            count: 0,
            until: now + WINDOW,
            blocked: false,
        };
        let window = match self.windows.get_mut(&ip) {
            Some(window) => window,
            None if full => self.others.get_or_insert(fresh),
            None => self.windows.entry(ip).or_insert(fresh),
        };
        if window.until <= now {
            *window = fresh;
        }
        window.count = window.count.saturating_add(1);
        if window.count > most {
            // Those that share a count are not all to blame.
            window.blocked = !full;
            let pause = if full { WINDOW } else { block };
            window.until = now + pause;
        }
        window.count <= most && !window.blocked
    }

    /// Whether an answer can be sent at all.
    pub(super) fn has_quota(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.last);
        self.last = self.last.max(now);
        let nanos = i128::try_from(elapsed.as_nanos()).unwrap_or(i128::MAX);
        let earned = i128::from(self.policy.bytes).saturating_mul(nanos);
        self.credit = self.credit.saturating_add(earned).min(burst(self.policy));
        self.credit > 0
    }

    /// An answer was sent.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.credit = self
            .credit
            .saturating_sub(bytes as i128 * i128::from(NANOS));
    }

    pub(super) fn check_invariants(&self) {
        assert!(self.windows.len() <= MAX_ADDRESSES);
    }
}

const NANOS: u64 = 1_000_000_000;

fn burst(policy: AnswerPolicy) -> i128 {
    i128::from(policy.bytes.saturating_mul(BURST_SECONDS)) * i128::from(NANOS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    fn limits() -> AnswerLimits {
        let policy = AnswerPolicy {
            bytes: 8000,
            queries: 5,
            block: Duration::from_secs(300),
        };
        AnswerLimits::new(at(0), policy)
    }

    fn ip(number: u32) -> SocketAddr {
        SocketAddr::from(((0x0b00_0000 + number).to_be_bytes(), 6881))
    }

    #[test]
    fn the_ports_of_a_public_address_count_together() {
        for (address, expected) in [([9, 9, 9, 9], 50), ([127, 0, 0, 1], 500)] {
            let mut it = limits();
            let from = |port: u16| SocketAddr::from((address, 1000 + port % 100));
            let heard = (0..500u16).filter(|port| it.accepts(at(0), from(*port)));
            assert_eq!(heard.count(), expected, "{address:?}");
        }
    }

    #[test]
    fn an_address_that_floods_is_ignored_until_it_is_silent() {
        let mut it = limits();
        let heard = (0..1000).filter(|_| it.accepts(at(0), ip(1))).count();
        assert_eq!(heard, 50);
        assert!(it.accepts(at(0), ip(2)), "others are heard");
        assert!(!it.accepts(at(299_000), ip(1)));
        assert!(!it.accepts(at(598_000), ip(1)), "it was not silent");
        assert!(it.accepts(at(899_000), ip(1)));
    }

    #[test]
    fn a_steady_asker_is_heard() {
        let mut it = limits();
        for second in 0..600 {
            for part in 0..4 {
                assert!(it.accepts(at(second * 1000 + part * 250), ip(1)));
            }
        }
    }

    #[test]
    fn a_flood_of_addresses_costs_a_bounded_amount_of_memory() {
        let mut it = limits();
        for number in 0..10_000 {
            it.accepts(at(u64::from(number / 10)), ip(number));
            it.check_invariants();
        }
        assert!(!it.accepts(at(1000), ip(20_000)), "the others are too many");
        assert!(it.accepts(at(60_000), ip(20_000)));
    }

    #[test]
    fn bytes_are_bounded_in_all() {
        let mut it = limits();
        let mut sent = 0;
        for milli in 0..60_000 {
            if it.has_quota(at(milli)) {
                it.sent(1000);
                sent += 1000;
            }
        }
        assert!((480_000..=505_000).contains(&sent), "{sent}");
    }
}
