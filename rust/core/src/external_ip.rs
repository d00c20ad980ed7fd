//! Our address as others see it (`yourip` of BEP 10, `external ip` of BEP 24):
//! believed when several of them, from different addresses, agree. A tracker is
//! named by the user's torrent, so its answer alone counts until there
//! is better.
//!
//! The session owns one; [`ExternalIp::vote`] answers when the belief changes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::address::{is_host, is_local};

/// Voters that must agree.
const QUORUM: usize = 3;

/// Votes after which the count begins anew, so that a new address can win and
/// memory stays small.
const ROUND: usize = 50;

/// Who says what our address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// A peer, which is not trusted.
    Peer,
    /// A tracker.
    Tracker,
}

/// The count for one family of addresses.
#[derive(Debug, Default)]
struct AddressVotes {
    votes: BTreeMap<IpAddr, BTreeSet<IpAddr>>,
    voters: BTreeSet<IpAddr>,
    winner: Option<IpAddr>,
}

impl AddressVotes {
    fn vote(&mut self, candidate: IpAddr, voter: IpAddr, witness: Witness) -> Option<IpAddr> {
        let decided = self.count(candidate, voter);
        if decided.is_none() && self.winner.is_none() && witness == Witness::Tracker {
            self.winner = Some(candidate);
            return self.winner;
        }
        decided
    }

    fn count(&mut self, candidate: IpAddr, voter: IpAddr) -> Option<IpAddr> {
        if !self.voters.insert(voter) {
            return None;
        }
        self.votes.entry(candidate).or_default().insert(voter);
        let mut counts: Vec<(usize, IpAddr)> = self
            .votes
            .iter()
            .map(|(&ip, voters)| (voters.len(), ip))
            .collect();
        counts.sort_unstable();
        let (first, ip) = counts.pop()?;
        let second = counts.pop().map_or(0, |(count, _)| count);
        // Two thirds of what the leader has must not belong to another address.
        let clear = first >= QUORUM && first * 2 > second * 3;
        if self.voters.len() >= ROUND {
            self.votes.clear();
            self.voters.clear();
        }
        (clear && self.winner.replace(ip) != Some(ip)).then_some(ip)
    }
}

/// What others say our addresses are.
#[derive(Debug, Default)]
pub struct ExternalIp {
    v4: AddressVotes,
    v6: AddressVotes,
}

impl ExternalIp {
    /// `voter` says that our address is `candidate`. Each voter counts once a
    /// round; addresses that cannot be reached from outside count for nothing, and so
    /// does the vote of a voter that sees us by the other family. Returns the
    /// address when it is now another than before.
    pub fn vote(&mut self, candidate: IpAddr, voter: IpAddr, witness: Witness) -> Option<IpAddr> {
        let (candidate, voter) = (candidate.to_canonical(), voter.to_canonical());
        let global = is_host(candidate) && !is_local(candidate);
        if !global || candidate.is_ipv4() != voter.is_ipv4() {
            return None;
        }
        match candidate {
            IpAddr::V4(_) => self.v4.vote(candidate, voter, witness),
            IpAddr::V6(_) => self.v6.vote(candidate, voter, witness),
        }
    }

    /// The addresses that are believed: IPv4, IPv6.
    pub fn addresses(&self) -> [Option<IpAddr>; 2] {
        [self.v4.winner, self.v6.winner]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vote(it: &mut ExternalIp, candidate: &str, voter: u8) -> Option<String> {
        let voter = IpAddr::from([1, 1, 1, voter]);
        let ip = it.vote(candidate.parse().unwrap(), voter, Witness::Peer);
        ip.map(|ip| ip.to_string())
    }

    #[test]
    fn several_voters_must_agree_and_one_liar_changes_nothing() {
        let mut it = ExternalIp::default();
        assert_eq!(vote(&mut it, "8.8.8.8", 1), None);
        assert_eq!(vote(&mut it, "8.8.8.8", 1), None, "the same voter");
        assert_eq!(vote(&mut it, "8.8.4.4", 2), None);
        assert_eq!(vote(&mut it, "8.8.8.8", 3), None);
        assert_eq!(vote(&mut it, "8.8.8.8", 4), Some("8.8.8.8".to_owned()));
        assert_eq!(vote(&mut it, "8.8.8.8", 5), None, "known already");
        for voter in 10..20 {
            assert_eq!(vote(&mut it, "2001:db8::1", voter), None, "not seen by it");
        }
        assert_eq!(it.addresses()[0], "8.8.8.8".parse().ok());
    }

    #[test]
    fn a_new_address_wins_in_a_later_round() {
        let mut it = ExternalIp::default();
        let changes = |it: &mut ExternalIp, ip: &str, voters: std::ops::Range<u8>| -> Vec<String> {
            voters.filter_map(|voter| vote(it, ip, voter)).collect()
        };
        assert_eq!(changes(&mut it, "8.8.8.8", 0..50), ["8.8.8.8"]);
        assert_eq!(changes(&mut it, "9.9.9.9", 0..10), ["9.9.9.9"]);
    }

    #[test]
    fn addresses_of_a_home_count_for_nothing() {
        let mut it = ExternalIp::default();
        for ip in [
            "127.0.0.1",
            "10.0.0.1",
            "0.0.0.0",
            "::1",
            "fe80::1",
            "::ffff:192.168.1.1",
        ] {
            for voter in 0..10 {
                assert_eq!(vote(&mut it, ip, voter), None, "{ip}");
            }
        }
    }

    #[test]
    fn a_trackers_word_counts_until_there_is_better() {
        let mut it = ExternalIp::default();
        let mut vote = |ip: &str, voter: u8, witness| {
            let voter = IpAddr::from([2, 2, 2, voter]);
            let ip = it.vote(ip.parse().unwrap(), voter, witness);
            ip.map(|ip| ip.to_string())
        };
        assert_eq!(vote("8.8.8.8", 1, Witness::Peer), None);
        assert_eq!(vote("10.0.0.1", 2, Witness::Tracker), None);
        let first = vote("::ffff:7.7.7.7", 2, Witness::Tracker);
        assert_eq!(first, Some("7.7.7.7".to_owned()));
        assert_eq!(vote("9.9.9.9", 3, Witness::Tracker), None, "the first one");
        assert_eq!(vote("8.8.8.8", 4, Witness::Peer), None);
        let decided = vote("8.8.8.8", 5, Witness::Peer);
        assert_eq!(decided, Some("8.8.8.8".to_owned()));
    }
}
