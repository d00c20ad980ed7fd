//! What is known of the peers that are asked for metadata, and of the addresses
//! that sent wrong metadata.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Pieces asked of one peer at once.
const PER_PEER: usize = 4;

/// Silence after which a peer counts as not answering.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// How long a peer is not asked that failed to answer, times its failures in a
/// row.
const REST: Duration = Duration::from_secs(5);

/// The most failures that lengthen the pause.
const MAX_FAILURES: u32 = 12;

/// Requests that were given up and whose answers are still used, for one peer.
const MAX_GIVEN_UP: usize = 16;

/// Addresses whose wrong results are remembered.
const MAX_ADDRESSES: usize = 1024;

/// Longest wait of a new connection from an address that sent wrong data, in seconds. The
/// address may be shared with a correct peer, so the wait stays short.
const MAX_WAIT: u32 = 5;

/// A peer that supports ut_metadata.
#[derive(Debug)]
pub(super) struct MetadataSource {
    pub(super) ip: IpAddr,
    /// Bytes in the info dict as the peer says; 0 when it does not.
    pub(super) size: u32,
    /// Pieces that the peer was asked for, and when.
    asked: Vec<(u32, Instant)>,
    /// Pieces that were given up for its silence.
    given_up: Vec<u32>,
    /// When it answered last, or else when it was asked.
    heard: Instant,
    /// Refusals, silences and answers that do not fit, in a row.
    failures: u32,
    rest_until: Instant,
}

impl MetadataSource {
    pub(super) fn new(ip: IpAddr, rest_until: Instant) -> Self {
        Self {
            ip,
            size: 0,
            asked: Vec::new(),
            given_up: Vec::new(),
            heard: rest_until,
            failures: 0,
            rest_until,
        }
    }

    /// Whether the peer may be asked for anything at all.
    pub(super) fn is_rested(&self, now: Instant) -> bool {
        now >= self.rest_until
    }

    /// Whether the peer may be asked for one piece more.
    pub(super) fn is_ready(&self, now: Instant) -> bool {
        self.is_rested(now) && self.asked.len() < PER_PEER
    }

    /// How busy and how reliable it is; less is better.
    pub(super) fn load(&self) -> (usize, u32) {
        (self.asked.len(), self.failures)
    }

    pub(super) fn asked(&self) -> impl Iterator<Item = (u32, Instant)> + '_ {
        self.asked.iter().copied()
    }

    pub(super) fn was_asked(&self, piece: u32) -> bool {
        self.asked.iter().any(|(asked, _)| *asked == piece)
    }

    pub(super) fn ask(&mut self, now: Instant, piece: u32) {
        if self.asked.is_empty() {
            self.heard = now;
        }
        self.given_up.retain(|&given_up| given_up != piece);
        self.asked.push((piece, now));
    }

    /// An answer came; whether it was asked for.
    pub(super) fn answered(&mut self, now: Instant, piece: u32) -> bool {
        let before = self.asked.len() + self.given_up.len();
        self.asked.retain(|(asked, _)| *asked != piece);
        self.given_up.retain(|&given_up| given_up != piece);
        self.heard = now;
        self.asked.len() + self.given_up.len() < before
    }

    /// Its answer was what was asked for.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Its answer was a refusal, or of no use.
    pub(super) fn failed(&mut self, now: Instant) {
        self.failures = (self.failures + 1).min(MAX_FAILURES);
        self.rest_until = now + REST * self.failures;
    }

    /// Takes back what a silent peer was asked for, and returns it.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<u32> {
        if self.asked.is_empty() || now.saturating_duration_since(self.heard) < ANSWER_TIME {
            return Vec::new();
        }
        self.failed(now);
        self.forget_asked()
    }

    /// Forgets what the peer was asked for, and returns it; its answers are
    /// still used when they come.
    pub(super) fn forget_asked(&mut self) -> Vec<u32> {
        let pieces: Vec<u32> = self.asked.drain(..).map(|(piece, _)| piece).collect();
        self.given_up.extend(&pieces);
        let surplus = self.given_up.len().saturating_sub(MAX_GIVEN_UP);
        self.given_up.drain(..surplus);
        pieces
    }

    /// Is asked anew, as if it had never been.
    pub(super) fn reset(&mut self, now: Instant) {
        self.asked.clear();
        self.given_up.clear();
        self.failures = 0;
        self.rest_until = now;
    }

    /// The peer has the metadata now.
    pub(super) fn wake(&mut self, now: Instant) {
        self.rest_until = now;
    }
}

/// How often each address sent metadata that was wrong as a whole. Reputation
/// orders who is asked first and delays new connections; it excludes no
/// address, since a correct peer may share it.
#[derive(Debug, Default)]
pub(super) struct Reputation(BTreeMap<IpAddr, u32>);

impl Reputation {
    pub(super) fn strikes(&self, ip: IpAddr) -> u32 {
        self.0.get(&ip).copied().unwrap_or(0)
    }

    pub(super) fn strike(&mut self, ip: IpAddr) {
        let strikes = self.0.entry(ip).or_insert(0);
        *strikes = strikes.saturating_add(1);
        if self.0.len() > MAX_ADDRESSES {
            let least = self.0.iter().filter(|(other, _)| **other != ip);
            let least = least.min_by_key(|(_, strikes)| **strikes);
            if let Some(least) = least.map(|(other, _)| *other) {
                self.0.remove(&least);
            }
        }
    }

    /// How long a new connection from the address is not asked.
    pub(super) fn wait(&self, ip: IpAddr) -> Duration {
        Duration::from_secs(self.strikes(ip).min(MAX_WAIT).into())
    }

    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;
    use std::net::Ipv4Addr;

    #[test]
    fn remembered_addresses_are_bounded_and_the_worst_stay() {
        let ip = |at: u32| IpAddr::from(Ipv4Addr::from(at));
        let mut reputation = Reputation::default();
        for _ in 0..3 {
            reputation.strike(ip(7));
        }
        for at in 0..5000 {
            reputation.strike(ip(1000 + at));
        }
        assert_eq!(reputation.0.len(), MAX_ADDRESSES);
        assert_eq!(reputation.strikes(ip(7)), 3);
        assert_eq!(reputation.wait(ip(7)), Duration::from_secs(3));
    }

    #[test]
    fn what_a_silent_peer_says_at_last_is_used() {
        let mut source = MetadataSource::new(Ipv4Addr::LOCALHOST.into(), at(0));
        source.ask(at(0), 3);
        assert!(source.expire(at(4999)).is_empty());
        assert_eq!(source.expire(at(5000)), [3]);
        assert!(!source.is_ready(at(5000)) && source.is_ready(at(10_000)));
        assert!(source.answered(at(6000), 3));
        assert!(!source.answered(at(6000), 3), "once");
    }
}
