//! Write tokens (BEP 5): what a node must show to store something here. A token
//! proves that its owner receives at its address, and is good for one target.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use sha1::{Digest, Sha1};

use super::node_id::NodeId;

/// How long a secret is used for new tokens; the one before it is accepted as long
/// again.
const ROTATION: Duration = Duration::from_secs(5 * 60);

/// Bytes of a token.
const LENGTH: usize = 8;

/// Makes and verifies tokens. Each period has a secret of its own, which follows
/// from the first one: nothing needs to be woken for it.
#[derive(Debug)]
pub(super) struct WriteTokens {
    secret: [u8; 16],
    start: Instant,
}

impl WriteTokens {
    pub(super) fn new(now: Instant, secret: [u8; 16]) -> Self {
        Self { secret, start: now }
    }

    /// The token that `ip` needs for `target`.
    pub(super) fn token(&self, now: Instant, ip: IpAddr, target: NodeId) -> [u8; LENGTH] {
        self.of_period(self.period(now), ip, target)
    }

    /// Whether `token` was given to `ip` for `target`, five to ten minutes ago at most.
    pub(super) fn verify(&self, now: Instant, token: &[u8], ip: IpAddr, target: NodeId) -> bool {
        let period = self.period(now);
        let periods = [Some(period), period.checked_sub(1)];
        let mut periods = periods.into_iter().flatten();
        periods.any(|period| token == self.of_period(period, ip, target))
    }

    fn period(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_secs() / ROTATION.as_secs()
    }

    fn of_period(&self, period: u64, ip: IpAddr, target: NodeId) -> [u8; LENGTH] {
        let mut hash = Sha1::new();
        hash.update(self.secret);
        hash.update(period.to_be_bytes());
        match ip.to_canonical() {
            IpAddr::V4(ip) => hash.update(ip.octets()),
            IpAddr::V6(ip) => hash.update(ip.octets()),
        }
        hash.update(target.0);
        let digest: [u8; 20] = hash.finalize().into();
        let mut token = [0; LENGTH];
        token.copy_from_slice(&digest[..LENGTH]);
        token
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    #[test]
    fn a_token_is_good_for_one_address_one_target_and_two_periods() {
        let tokens = WriteTokens::new(at(0), [7; 16]);
        let [ip, other] = ["1.2.3.4", "1.2.3.5"].map(|ip| ip.parse().unwrap());
        let [target, another] = [NodeId([1; 20]), NodeId([2; 20])];
        let minutes = |minutes: u64| at(minutes * 60_000);
        let token = tokens.token(minutes(1), ip, target);
        for now in [1, 4, 6, 9] {
            assert!(tokens.verify(minutes(now), &token, ip, target), "{now}");
        }
        for now in [10, 60] {
            assert!(!tokens.verify(minutes(now), &token, ip, target), "{now}");
        }
        let now = minutes(1);
        assert!(!tokens.verify(now, &token, other, target));
        assert!(!tokens.verify(now, &token, ip, another));
        assert!(!tokens.verify(now, &token[..4], ip, target));
        assert!(!tokens.verify(now, b"", ip, target));
        assert!(!WriteTokens::new(at(0), [8; 16]).verify(now, &token, ip, target));
    }
}
