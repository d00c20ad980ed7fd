//! How much a torrent is needed as a seed.

use std::time::Duration;

/// It has not done its part yet.
const NOT_DONE: u32 = 0x4000_0000;
/// It has no other seed.
const NO_SEEDS: u32 = 0x2000_0000;
/// It has run for less than half an hour: what has just been started is not
/// stopped again at once.
const JUST_STARTED: u32 = 0x1000_0000;
/// The remainder is the need of its swarm.
const NEED: u32 = 0x0fff_ffff;

/// Time in which a torrent counts as just started.
const START: Duration = Duration::from_secs(30 * 60);

/// What the rank of a torrent follows from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seeding {
    /// Time that it has run.
    pub active: Duration,
    /// Time of it that it was finished.
    pub finished: Duration,
    /// Payload bytes received, or its size if that is more.
    pub downloaded: u64,
    /// Payload bytes sent.
    pub uploaded: u64,
    /// Seeds in the swarm, as trackers report; we are among them.
    pub tracker_seeds: Option<u32>,
    /// Downloaders in the swarm, as trackers report.
    pub tracker_downloaders: Option<u32>,
    /// Seeds that we know of.
    pub known_seeds: u32,
    /// Downloaders that we know of.
    pub known_downloaders: u32,
}

/// When a seed has done its part.
#[derive(Clone, Debug)]
pub(super) struct RankLimits {
    /// Sent by received, in percent.
    pub(super) share_ratio: u64,
    /// Time seeding by time downloading, in percent.
    pub(super) time_ratio: u64,
    /// Time seeding.
    pub(super) time: Duration,
}

impl RankLimits {
    /// The higher, the more it is needed. `is_seed`: it is complete, not only
    /// finished.
    pub(super) fn rank(&self, seeding: &Seeding, is_seed: bool, paused: bool) -> u32 {
        let mut rank = 0;
        if self.has_work_left(seeding) {
            rank |= NOT_DONE;
        }
        if !paused && seeding.active < START {
            rank |= JUST_STARTED;
        }
        let ourselves = u32::from(is_seed && !paused);
        let seeds = match seeding.tracker_seeds {
            Some(seeds) => seeds.saturating_sub(ourselves),
            None => seeding.known_seeds,
        };
        let downloaders = seeding.tracker_downloaders;
        let downloaders = downloaders.unwrap_or(seeding.known_downloaders);
        if seeds == 0 {
            return rank | NO_SEEDS | downloaders.min(NEED);
        }
        let scale: u64 = if is_seed { 1000 } else { 500 };
        let need = (1 + u64::from(downloaders)) * scale / u64::from(seeds);
        rank | u32::try_from(need).unwrap_or(NEED).min(NEED)
    }

    fn has_work_left(&self, seeding: &Seeding) -> bool {
        let downloading = seeding.active.saturating_sub(seeding.finished).as_secs();
        let percent = |part: u64, whole: u64| u128::from(part) * 100 / u128::from(whole.max(1));
        seeding.finished < self.time
            && downloading > 1
            && percent(seeding.finished.as_secs(), downloading) < u128::from(self.time_ratio)
            && seeding.downloaded > 0
            && percent(seeding.uploaded, seeding.downloaded) < u128::from(self.share_ratio)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: RankLimits = RankLimits {
        share_ratio: 200,
        time_ratio: 700,
        time: Duration::from_secs(86_400),
    };

    /// Downloaded for an hour, seeded for an hour; an even share.
    fn busy() -> Seeding {
        Seeding {
            active: Duration::from_secs(7200),
            finished: Duration::from_secs(3600),
            downloaded: 1000,
            uploaded: 1000,
            tracker_seeds: Some(11),
            tracker_downloaders: Some(4),
            known_seeds: 0,
            known_downloaders: 0,
        }
    }

    #[test]
    fn a_seed_has_work_until_one_limit_is_reached() {
        let rank = |change: fn(&mut Seeding)| {
            let mut seeding = busy();
            change(&mut seeding);
            LIMITS.rank(&seeding, true, false)
        };
        assert_eq!(rank(|_| {}), NOT_DONE | 500);
        assert_eq!(rank(|seeding| seeding.uploaded = 2000), 500);
        assert_eq!(rank(|seeding| seeding.downloaded = 0), 500);
        let long = |seeding: &mut Seeding| {
            seeding.finished = Duration::from_secs(86_400);
            seeding.active = Duration::from_secs(200_000);
        };
        assert_eq!(rank(long), 500);
        let slow = |seeding: &mut Seeding| {
            seeding.finished = Duration::from_secs(70_000);
            seeding.active = Duration::from_secs(80_000);
        };
        assert_eq!(rank(slow), 500, "seven times as long as it downloaded");
    }

    #[test]
    fn the_need_of_the_swarm_counts() {
        let rank = |change: fn(&mut Seeding), is_seed, paused| {
            let mut seeding = busy();
            seeding.uploaded = 9000;
            change(&mut seeding);
            LIMITS.rank(&seeding, is_seed, paused)
        };
        assert_eq!(rank(|_| {}, true, false), 500);
        assert_eq!(rank(|_| {}, true, true), 454, "we are not among the seeds");
        assert_eq!(rank(|_| {}, false, true), 227, "half a seed");
        let alone = |seeding: &mut Seeding| seeding.tracker_seeds = Some(1);
        assert_eq!(rank(alone, true, false), NO_SEEDS | 4);
        let fresh = |seeding: &mut Seeding| seeding.active = Duration::from_secs(60);
        assert_eq!(rank(fresh, true, false), JUST_STARTED | 500);
        let unknown = |seeding: &mut Seeding| {
            seeding.tracker_seeds = None;
            seeding.tracker_downloaders = None;
            seeding.known_seeds = 2;
            seeding.known_downloaders = 1;
        };
        assert_eq!(rank(unknown, true, false), 1000);
        let many = |seeding: &mut Seeding| {
            seeding.tracker_seeds = Some(2);
            seeding.tracker_downloaders = Some(u32::MAX);
        };
        assert_eq!(rank(many, true, false), NEED);
    }
}
