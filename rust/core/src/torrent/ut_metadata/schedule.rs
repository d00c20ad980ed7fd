//! Which attempts run, where there are more than may run at once.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::AttemptKey;
use crate::ids::PeerKey;

/// Attempts whose peers are asked at once.
pub(super) const MAX_ACTIVE: usize = 16;

/// Time after which an attempt makes room for one that waits.
const MIN_ACTIVE: Duration = Duration::from_secs(5);

/// An attempt with peers that may be asked.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) key: AttemptKey,
    /// Since when it runs, if it does.
    pub(super) active: Option<Instant>,
    /// Wrong results of its peers and turns that it had. Less is better.
    pub(super) rank: u32,
    /// The one of its peers that came first.
    pub(super) first_peer: Option<PeerKey>,
    /// The addresses of its peers, one for each peer.
    pub(super) addresses: Vec<IpAddr>,
}

/// The attempts that make room, and those that run from now on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Schedule {
    pub(super) parked: Vec<AttemptKey>,
    pub(super) started: Vec<AttemptKey>,
}

/// Chooses among all attempts that could run. Each address has its share of the
/// attempts that run, so that many connections of a few addresses keep no other
/// one waiting; one that has run for long stays where its address has no greater
/// share. Beyond that the lowest rank is first, then most peers, then the peer that
/// came first.
pub(super) fn choose(now: Instant, candidates: Vec<Candidate>) -> Schedule {
    let has_begun = |it: &Candidate| {
        let active = it.active;
        active.is_some_and(|since| now.saturating_duration_since(since) < MIN_ACTIVE)
    };
    let (begun, mut others): (Vec<_>, Vec<_>) = candidates.into_iter().partition(has_begun);
    let mut shares = Shares::default();
    begun.iter().for_each(|it| shares.add(it));
    // One that runs has had this turn.
    let rank = |it: &Candidate| it.rank.saturating_add(u32::from(it.active.is_some()));
    others.sort_by_key(|it| (rank(it), Reverse(it.addresses.len()), it.first_peer));
    let mut schedule = Schedule::default();
    for _ in 0..MAX_ACTIVE.saturating_sub(begun.len()) {
        // Of equal ones the first, as sorted.
        let next = (0..others.len()).min_by_key(|&at| shares.of(&others[at]));
        let Some(next) = next.map(|at| others.remove(at)) else {
            break;
        };
        shares.add(&next);
        if next.active.is_none() {
            schedule.started.push(next.key);
        }
    }
    let parked = others.iter().filter(|it| it.active.is_some());
    schedule.parked = parked.map(|it| it.key).collect();
    schedule
}

/// Attempts that run, for each address with a peer in one.
#[derive(Debug, Default)]
struct Shares(BTreeMap<IpAddr, usize>);

impl Shares {
    fn add(&mut self, attempt: &Candidate) {
        let mut addresses = attempt.addresses.clone();
        addresses.sort_unstable();
        addresses.dedup();
        for ip in addresses {
            *self.0.entry(ip).or_default() += 1;
        }
    }

    /// What the address of the attempt has that has least.
    fn of(&self, attempt: &Candidate) -> usize {
        let shares = attempt.addresses.iter();
        let shares = shares.map(|ip| self.0.get(ip).copied().unwrap_or(0));
        shares.min().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::testing::at;

    fn candidate(peer: u64, address: u32, rank: u32, active: Option<u64>) -> Candidate {
        Candidate {
            key: (1000 + peer as u32, None),
            active: active.map(at),
            rank,
            first_peer: Some(PeerKey(peer)),
            addresses: vec![Ipv4Addr::from(address).into()],
        }
    }

    /// Attempts of four addresses, each always as good as new: their peers come back.
    fn many(active: Option<u64>, peers: std::ops::Range<u64>) -> Vec<Candidate> {
        let one = |peer| candidate(peer, peer as u32 % 4, 0, active);
        peers.map(one).collect()
    }

    #[test]
    fn connections_of_few_addresses_leave_the_others_their_share() {
        let mut all = many(None, 0..32);
        all.push(candidate(99, 9, 7, None));
        let schedule = choose(at(0), all);
        assert_eq!(schedule.parked, []);
        assert_eq!(schedule.started.len(), MAX_ACTIVE);
        assert!(schedule.started.contains(&(1099, None)), "{schedule:?}");

        // It comes when all run already, and has the next turn.
        let comes = |millis| {
            let mut all = many(Some(0), 0..16);
            all.extend(many(None, 16..32));
            all.push(candidate(99, 9, 7, None));
            choose(at(millis), all)
        };
        assert_eq!(comes(4999), Schedule::default());
        let schedule = comes(5000);
        assert_eq!(schedule.parked.len(), MAX_ACTIVE);
        assert_eq!(schedule.started.len(), MAX_ACTIVE);
        assert!(schedule.started.contains(&(1099, None)), "{schedule:?}");
    }

    #[test]
    fn an_address_with_its_share_alone_keeps_it() {
        let mut all = many(Some(0), 0..15);
        all.extend(many(None, 16..32));
        all.push(candidate(99, 9, 7, Some(0)));
        let schedule = choose(at(60_000), all);
        assert!(!schedule.parked.contains(&(1099, None)), "{schedule:?}");
        assert_eq!((schedule.parked.len(), schedule.started.len()), (15, 15));
    }

    #[test]
    fn at_one_address_ranks_and_the_order_of_peers_decide() {
        let one = |peer| candidate(peer, 1, u32::from(peer < 10), None);
        let schedule = choose(at(0), (0..30).map(one).collect());
        let peers: Vec<u32> = schedule.started.iter().map(|key| key.0 - 1000).collect();
        assert_eq!(peers, (10..26).collect::<Vec<u32>>());
    }
}
