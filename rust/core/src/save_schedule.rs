//! When a torrent's record is saved by itself.
//!
//! What the game has set is saved soon, with whatever is known to be durable:
//! it must not wait for a device that takes its time. Progress is saved about a
//! second after it was made, after a sync of the files that contain it, and
//! never so often that syncing takes more than half of the time.
//!
//! The owner notes changes ([`SaveSchedule::changed`]), does what [`SaveSchedule::poll`]
//! says, and reports the end of each sync ([`SaveSchedule::synced`]).

use std::time::{Duration, Instant};

use crate::backoff::Backoff;

/// How long after a change of settings they are saved: several become one
/// save.
const CONFIG_DELAY: Duration = Duration::from_millis(500);

/// How long after progress it is saved.
const PROGRESS_DELAY: Duration = Duration::from_secs(1);

/// How often a change of totals alone justifies a save.
const COUNTERS: Duration = Duration::from_secs(60);

/// The longest pause after syncs that failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// What the game has set, or the torrent's state.
    Config,
    /// What is on disk.
    Progress,
}

/// What is to be saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Save {
    /// A record of what is known to be durable.
    Record,
    /// A sync of the files first, and a record of what it covered.
    Synced,
}

/// When to save.
#[derive(Debug)]
pub struct SaveSchedule {
    config: Option<Instant>,
    progress: Option<Instant>,
    counters: Instant,
    /// When the sync that is under way began.
    syncing: Option<Instant>,
    backoff: Backoff,
}

impl SaveSchedule {
    /// With nothing to save yet.
    pub fn new(now: Instant) -> Self {
        Self {
            config: None,
            progress: None,
            counters: now + COUNTERS,
            syncing: None,
            backoff: Backoff::new(PROGRESS_DELAY, LONGEST_PAUSE),
        }
    }

    /// Notes a change.
    pub fn changed(&mut self, now: Instant, what: Changed) {
        let (due, delay) = match what {
            Changed::Config => (&mut self.config, CONFIG_DELAY),
            Changed::Progress => (&mut self.progress, PROGRESS_DELAY),
        };
        due.get_or_insert(now + delay);
    }

    /// Whether a sync is under way.
    pub fn is_syncing(&self) -> bool {
        self.syncing.is_some()
    }

    /// What is to be saved now: it is begun, or there turned out to be nothing
    /// new ([`Self::began`], [`Self::nothing_new`]).
    pub fn poll(&self, now: Instant) -> Option<Save> {
        let is_due = |due: Option<Instant>| due.is_some_and(|due| due <= now);
        if is_due(self.sync_due()) {
            Some(Save::Synced)
        } else {
            is_due(self.config).then_some(Save::Record)
        }
    }

    fn sync_due(&self) -> Option<Instant> {
        if self.syncing.is_some() {
            return None;
        }
        Some(
            self.progress
                .map_or(self.counters, |it| it.min(self.counters)),
        )
    }

    /// When [`Self::poll`] has something.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.config.into_iter().chain(self.sync_due()).min()
    }

    /// A save has begun; a sync may begin unasked.
    pub fn began(&mut self, now: Instant, save: Save) {
        self.nothing_new(now, save);
        if save == Save::Synced {
            self.syncing = Some(now);
        }
    }

    /// What is due does not justify a save.
    pub fn nothing_new(&mut self, now: Instant, save: Save) {
        self.config = None;
        if save == Save::Synced {
            self.progress = None;
            self.counters = now + COUNTERS;
        }
    }

    /// The sync is over. One that failed is done again after a pause that
    /// grows.
    pub fn synced(&mut self, now: Instant, succeeded: bool) {
        let began = self.syncing.take();
        let took = began.map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        if !succeeded {
            self.backoff.failed(now);
            self.progress = self.backoff.poll_timeout();
            return;
        }
        self.backoff.succeeded();
        if let Some(due) = &mut self.progress {
            *due = now + PROGRESS_DELAY.max(took);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{Machine, at, check_contract, count_outputs};

    #[test]
    fn settings_do_not_wait_for_a_slow_sync() {
        let mut schedule = SaveSchedule::new(at(0));
        schedule.changed(at(0), Changed::Progress);
        assert_eq!(schedule.poll(at(999)), None);
        assert_eq!(schedule.poll_timeout(), Some(at(1000)));
        assert_eq!(schedule.poll(at(1000)), Some(Save::Synced));
        schedule.began(at(1000), Save::Synced);
        assert_eq!(schedule.poll_timeout(), None);
        schedule.changed(at(1200), Changed::Config);
        schedule.changed(at(1600), Changed::Config);
        schedule.changed(at(1600), Changed::Progress);
        assert_eq!(schedule.poll_timeout(), Some(at(1700)));
        assert_eq!(schedule.poll(at(1700)), Some(Save::Record));
        schedule.began(at(1700), Save::Record);
        assert!(schedule.is_syncing());
        assert_eq!(schedule.poll(at(20_000)), None);
        // It took ten seconds, and the next one waits for as long.
        schedule.synced(at(11_000), true);
        assert_eq!(schedule.poll_timeout(), Some(at(21_000)));
        schedule.changed(at(11_000), Changed::Config);
        assert_eq!(schedule.poll(at(11_500)), Some(Save::Record));
    }

    /// With a driver that saves at once, and whose syncs end when a test says so.
    impl Machine for SaveSchedule {
        fn poll_timeout(&self) -> Option<Instant> {
            SaveSchedule::poll_timeout(self)
        }

        fn handle_timeout(&mut self, _now: Instant) {}

        fn poll_all(&mut self, now: Instant) -> usize {
            count_outputs(|| {
                let save = self.poll(now)?;
                self.began(now, save);
                Some(save)
            })
        }
    }

    proptest! {
        #[test]
        fn whatever_changes_is_saved_in_time(
            steps in prop::collection::vec((0..5u8, 0..20_000u64), 0..60),
        ) {
            let mut schedule = SaveSchedule::new(at(0));
            let mut now = 0;
            // Since when a change of settings waits: never for a sync.
            let mut unsaved: Option<u64> = None;
            for (step, wait) in steps {
                match step {
                    0 => {
                        schedule.changed(at(now), Changed::Config);
                        unsaved.get_or_insert(now);
                    }
                    1 => schedule.changed(at(now), Changed::Progress),
                    2 if schedule.is_syncing() => schedule.synced(at(now), true),
                    3 if schedule.is_syncing() => schedule.synced(at(now), false),
                    _ => now += wait,
                }
                if let Some(since) = unsaved {
                    let due = at(since) + CONFIG_DELAY;
                    prop_assert!(schedule.poll_timeout().is_some_and(|at| at <= due));
                }
                check_contract(&mut schedule, at(now));
                if schedule.config.is_none() {
                    unsaved = None;
                }
                let due = schedule.poll_timeout();
                let soon = due.is_some_and(|due| due <= at(now) + COUNTERS);
                prop_assert!(soon || schedule.is_syncing());
            }
            if schedule.is_syncing() {
                schedule.synced(at(now), true);
            }
            schedule.changed(at(now), Changed::Progress);
            let due = schedule.poll_timeout();
            prop_assert!(due.is_some_and(|due| due <= at(now) + COUNTERS));
        }
    }

    #[test]
    fn a_sync_that_fails_is_done_again_with_growing_pauses() {
        let mut schedule = SaveSchedule::new(at(0));
        schedule.began(at(0), Save::Synced);
        schedule.synced(at(10), false);
        assert_eq!(schedule.poll(at(1010)), Some(Save::Synced));
        schedule.began(at(1010), Save::Synced);
        schedule.synced(at(1010), false);
        assert_eq!(schedule.poll_timeout(), Some(at(3010)));
        schedule.began(at(3010), Save::Synced);
        schedule.synced(at(3010), true);
        // Only the totals are left.
        assert_eq!(schedule.poll_timeout(), Some(at(63_010)));
        schedule.nothing_new(at(63_010), Save::Synced);
        assert_eq!(schedule.poll_timeout(), Some(at(123_010)));
    }
}
