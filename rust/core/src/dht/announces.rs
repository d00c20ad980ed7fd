//! When each torrent is announced, from one endpoint: at once when it is new, then at intervals, spread over
//! time so that many torrents make no wave.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rand::{RngExt, rngs::StdRng};

use super::output::RequestId;
use crate::ids::InfoHash;

/// Announces that may be under way.
const MAX_RUNNING: usize = 5;

/// The longest pause between the starts of two, beyond the first few.
const LONGEST_SPACING: Duration = Duration::from_secs(2);

/// Pause after an announce that no node answered.
const RETRY: Duration = Duration::from_secs(60);

/// Which torrents are due.
#[derive(Debug, Default)]
pub(super) struct AnnounceSchedule {
    due: BTreeSet<(Instant, InfoHash)>,
    when: BTreeMap<InfoHash, Instant>,
    running: BTreeMap<InfoHash, RequestId>,
    /// Starts that are not spaced yet.
    burst: usize,
    next_start: Option<Instant>,
}

impl AnnounceSchedule {
    /// A torrent is to be announced at `when`, if it is not under way.
    pub(super) fn add(&mut self, when: Instant, torrent: InfoHash) {
        if self.running.contains_key(&torrent) {
            return;
        }
        self.forget(torrent);
        self.due.insert((when, torrent));
        self.when.insert(torrent, when);
    }

    /// A torrent is not announced any more. The request that is under way.
    pub(super) fn remove(&mut self, torrent: InfoHash) -> Option<RequestId> {
        self.forget(torrent);
        self.running.remove(&torrent)
    }

    fn forget(&mut self, torrent: InfoHash) {
        if let Some(when) = self.when.remove(&torrent) {
            self.due.remove(&(when, torrent));
        }
    }

    /// All torrents are due: the network was gone.
    pub(super) fn all_due(&mut self, now: Instant) {
        for torrent in self.when.keys().copied().collect::<Vec<_>>() {
            self.add(now, torrent);
        }
        self.burst = 0;
    }

    /// When the next one can begin; `None` while too many are under way.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        if self.running.len() >= MAX_RUNNING {
            return None;
        }
        let due = self.due.first()?.0;
        Some(self.next_start.map_or(due, |start| due.max(start)))
    }

    /// The torrent that is to be announced now. [`Self::started`] follows.
    pub(super) fn next(&mut self, now: Instant, interval: Duration) -> Option<InfoHash> {
        if self.poll_timeout()? > now {
            return None;
        }
        let (_, torrent) = self.due.pop_first()?;
        self.when.remove(&torrent);
        let torrents = self.when.len() + self.running.len() + 1;
        self.burst += 1;
        let spacing = (interval / torrents as u32).min(LONGEST_SPACING);
        if self.due.first().is_none_or(|first| first.0 > now) {
            self.burst = 0;
        }
        self.next_start = (self.burst >= MAX_RUNNING).then(|| now + spacing);
        Some(torrent)
    }

    /// The announce is under way.
    pub(super) fn started(&mut self, torrent: InfoHash, request: RequestId) {
        self.running.insert(torrent, request);
    }

    /// The announce has come to its end; whether any node answered.
    pub(super) fn done(
        &mut self,
        now: Instant,
        rng: &mut StdRng,
        torrent: InfoHash,
        answered: bool,
        interval: Duration,
    ) {
        if self.running.remove(&torrent).is_none() {
            return;
        }
        let pause = if answered {
            interval
        } else {
            RETRY.min(interval)
        };
        let spread = pause.mul_f64(rng.random_range(0.9..1.1));
        self.add(now + spread, torrent);
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::testing::at;

    const INTERVAL: Duration = Duration::from_secs(900);

    fn torrent(number: u32) -> InfoHash {
        let mut hash = InfoHash::default();
        hash.0[..4].copy_from_slice(&number.to_be_bytes());
        hash
    }

    #[test]
    fn many_torrents_are_spread_and_each_has_its_turn() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut it = AnnounceSchedule::default();
        for number in 0..300 {
            it.add(at(0), torrent(number));
        }
        let mut now = at(0);
        let mut starts = Vec::new();
        while let Some(due) = it.poll_timeout() {
            now = now.max(due);
            if now > at(2_000_000) {
                break;
            }
            let Some(hash) = it.next(now, INTERVAL) else {
                panic!("due and nothing to do");
            };
            starts.push((now, hash));
            it.started(hash, RequestId(0));
            it.done(now, &mut rng, hash, true, INTERVAL);
        }
        let of_first_round: BTreeSet<_> = starts[..300].iter().map(|it| it.1).collect();
        assert_eq!(of_first_round.len(), 300);
        for second in 0..2000 {
            let during =
                |when: &Instant| (at(second * 1000)..at(second * 1000 + 1000)).contains(when);
            let count = starts.iter().filter(|it| during(&it.0)).count();
            assert!(count <= 6, "{count} in second {second}");
        }
        assert!((600..=900).contains(&starts.len()), "{}", starts.len());
    }

    #[test]
    fn no_more_than_a_few_are_under_way_and_one_that_is_gone_does_not_come_back() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut it = AnnounceSchedule::default();
        for number in 0..9 {
            it.add(at(0), torrent(number));
        }
        let started: Vec<_> = std::iter::from_fn(|| {
            let hash = it.next(at(0), INTERVAL)?;
            it.started(hash, RequestId(7));
            Some(hash)
        })
        .collect();
        assert_eq!(started.len(), 5);
        assert_eq!(it.poll_timeout(), None);
        it.add(at(0), started[0]);
        assert_eq!(it.poll_timeout(), None, "it is under way");
        assert_eq!(it.remove(started[0]), Some(RequestId(7)));
        it.done(at(10), &mut rng, started[0], true, INTERVAL);
        assert!(it.poll_timeout().is_some());
        assert!(!it.when.contains_key(&started[0]));
        // No answer: again soon.
        it.done(at(10), &mut rng, started[1], false, INTERVAL);
        assert!(it.when[&started[1]] <= at(67_000));
    }
}
