//! Queries of ours that wait for their answers.
//!
//! An answer counts if its transaction, the full endpoint that it comes from and, where
//! it is known, the id of its sender are those of the query. A query has three deadlines: when its answer is late,
//! so that a look-up asks another node; when a look-up ends without it; and when it is
//! given up.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::{RngExt, rngs::StdRng};

use super::lookup::LookupId;
use super::node_id::NodeId;

/// The longest and the shortest wait until an answer is late.
const LATE_MAX: Duration = Duration::from_secs(1);
const LATE_MIN: Duration = Duration::from_millis(250);

/// When look-ups end without an answer.
const OVERDUE: Duration = Duration::from_secs(3);

/// When a query is given up.
const GIVE_UP: Duration = Duration::from_secs(15);

/// Queries that may wait at once.
const MAX_PENDING: usize = 2000;

/// What a query is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A look-up.
    Lookup(LookupId),
    /// A write at the end of a look-up.
    Store(LookupId),
    /// Keeping the table alive, or meeting a node that was named.
    Refresh,
    /// The game's `sample_infohashes`.
    Sample(super::RequestId),
}

/// How far a query has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It waits.
    Late,
    /// Look-ups end without it.
    Overdue,
    /// It is over.
    GivenUp,
}

/// A query that was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingQuery {
    /// Whom we asked.
    pub(super) to: SocketAddr,
    /// The id that it has to have; `None` where only its address was known.
    pub(super) id: Option<NodeId>,
    /// When.
    pub(super) sent: Instant,
    /// What for.
    pub(super) purpose: Purpose,
    /// The next stage.
    next: Stage,
    due: Instant,
}

type Key = (SocketAddr, u16);

/// All queries of one endpoint.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    pending: HashMap<Key, PendingQuery>,
    deadlines: BTreeSet<(Instant, Key)>,
    round_trip: Option<RoundTrip>,
}

/// Smoothed round trip time and its deviation, as TCP has them.
#[derive(Clone, Copy, Debug)]
struct RoundTrip {
    mean: Duration,
    deviation: Duration,
}

impl Transactions {
    /// Whether there is room for another query.
    pub(super) fn has_room(&self) -> bool {
        self.pending.len() < MAX_PENDING
    }

    /// Notes that a query goes out, and chooses its transaction; `None` where too many
    /// wait.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        rng: &mut StdRng,
        to: SocketAddr,
        id: Option<NodeId>,
        purpose: Purpose,
    ) -> Option<u16> {
        if !self.has_room() {
            return None;
        }
        let number = std::iter::repeat_with(|| rng.random::<u16>())
            .take(16)
            .find(|number| !self.pending.contains_key(&(to, *number)))?;
        let due = now + self.late_after();
        let query = PendingQuery {
            to,
            id,
            sent: now,
            purpose,
            next: Stage::Late,
            due,
        };
        self.pending.insert((to, number), query);
        self.deadlines.insert((due, (to, number)));
        Some(number)
    }

    /// Takes the query that an answer from `from` belongs to.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        from: SocketAddr,
        number: u16,
    ) -> Option<PendingQuery> {
        let query = self.pending.remove(&(from, number))?;
        self.deadlines.remove(&(query.due, (from, number)));
        let sample = now.saturating_duration_since(query.sent);
        self.round_trip = Some(match self.round_trip {
            None => RoundTrip {
                mean: sample,
                deviation: sample / 2,
            },
            Some(RoundTrip { mean, deviation }) => RoundTrip {
                mean: (mean * 7 + sample) / 8,
                deviation: (deviation * 3 + mean.abs_diff(sample)) / 4,
            },
        });
        Some(query)
    }

    /// What has reached its next stage by `now`, the oldest first.
    pub(super) fn next_late(&mut self, now: Instant) -> Option<(PendingQuery, Stage)> {
        let &(due, key) = self.deadlines.first()?;
        if due > now {
            return None;
        }
        self.deadlines.pop_first();
        let query = self.pending.get_mut(&key)?;
        let reached = query.next;
        let (next, due) = match reached {
            Stage::Late => (Stage::Overdue, query.sent + OVERDUE),
            Stage::Overdue => (Stage::GivenUp, query.sent + GIVE_UP),
            Stage::GivenUp => {
                let query = self.pending.remove(&key)?;
                return Some((query, reached));
            }
        };
        query.next = next;
        query.due = due;
        let query = *query;
        self.deadlines.insert((due, key));
        Some((query, reached))
    }

    /// Takes the queries to an address that cannot be reached.
    pub(super) fn unreachable(&mut self, to: SocketAddr) -> Vec<PendingQuery> {
        let keys: Vec<_> = self.pending.keys().filter(|key| key.0 == to).collect();
        let mut keys: Vec<_> = keys.into_iter().copied().collect();
        keys.sort_unstable();
        keys.into_iter()
            .filter_map(|key| {
                let query = self.pending.remove(&key)?;
                self.deadlines.remove(&(query.due, key));
                Some(query)
            })
            .collect()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|it| it.0)
    }

    /// After this long an answer is late: what answers take here, with room for
    /// the slower half of the nodes.
    fn late_after(&self) -> Duration {
        self.round_trip.map_or(LATE_MAX, |it| {
            (it.mean + it.deviation * 3).clamp(LATE_MIN, LATE_MAX)
        })
    }

    pub(super) fn check_invariants(&self) {
        assert_eq!(self.pending.len(), self.deadlines.len());
        assert!(self.pending.len() <= MAX_PENDING);
        for (key, query) in &self.pending {
            assert!(self.deadlines.contains(&(query.due, *key)));
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::testing::at;

    fn addr(name: u8) -> SocketAddr {
        SocketAddr::from(([9, 9, 9, name], 6881))
    }

    #[test]
    fn an_answer_counts_once_and_from_the_full_endpoint() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut it = Transactions::default();
        let number = it.begin(at(0), &mut rng, addr(1), None, Purpose::Refresh);
        let number = number.unwrap();
        let mut port = addr(1);
        port.set_port(6882);
        assert!(it.answered(at(1), addr(2), number).is_none());
        assert!(it.answered(at(1), port, number).is_none());
        assert!(it.answered(at(1), addr(1), !number).is_none());
        assert!(it.answered(at(1), addr(1), number).is_some());
        assert!(it.answered(at(1), addr(1), number).is_none());
        assert_eq!(it.poll_timeout(), None);
    }

    #[test]
    fn a_query_is_late_then_overdue_then_given_up() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut it = Transactions::default();
        it.begin(at(0), &mut rng, addr(1), None, Purpose::Refresh);
        let mut stages = Vec::new();
        while let Some(due) = it.poll_timeout() {
            let (_, stage) = it.next_late(due).unwrap();
            assert!(it.next_late(due).is_none());
            stages.push((stage, due));
            it.check_invariants();
        }
        let expected = [
            (Stage::Late, at(1000)),
            (Stage::Overdue, at(3000)),
            (Stage::GivenUp, at(15_000)),
        ];
        assert_eq!(stages, expected);
    }

    #[test]
    fn fast_answers_make_late_earlier_within_limits() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut it = Transactions::default();
        for (rtt, late) in [(20, 250), (3000, 1000), (100, 0)] {
            for round in 0..40 {
                let start = round * 10_000;
                let number = it.begin(at(start), &mut rng, addr(1), None, Purpose::Refresh);
                it.answered(at(start + rtt), addr(1), number.unwrap());
            }
            let after = it.late_after();
            match late {
                0 => assert!(after >= Duration::from_millis(250)),
                late => assert_eq!(after, Duration::from_millis(late), "{rtt}"),
            }
        }
    }

    #[test]
    fn no_more_wait_than_a_limit_and_what_cannot_be_reached_is_given_back() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut it = Transactions::default();
        let mut begin = |it: &mut Transactions, to| {
            it.begin(at(0), &mut rng, to, None, Purpose::Refresh)
                .is_some()
        };
        assert!(begin(&mut it, addr(2)) && begin(&mut it, addr(2)));
        while begin(&mut it, addr(1)) {}
        assert_eq!(it.pending.len(), MAX_PENDING);
        it.check_invariants();
        assert_eq!(it.unreachable(addr(2)).len(), 2);
        it.check_invariants();
        assert!(it.has_room());
    }
}
