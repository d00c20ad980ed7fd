use proptest::prelude::*;

use super::*;
use crate::testing::{Machine, at, check_contract, count_outputs};

fn torrent(name: u8) -> TorrentKey {
    TorrentKey(name.into())
}

fn seen(phase: Phase) -> Observation {
    Observation {
        auto_managed: true,
        paused: true,
        phase,
        download_rate: 1_000_000,
        upload_rate: 1_000_000,
        ..Observation::default()
    }
}

/// A queue with a clock in seconds, and torrents that do what it says.
struct World {
    queue: Queue,
    settings: Settings,
    now: u64,
    torrents: BTreeMap<TorrentKey, (Observation, QueueVerdict)>,
}

impl World {
    fn new(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        change(&mut settings);
        Self {
            queue: Queue::new(&settings),
            settings,
            now: 0,
            torrents: BTreeMap::new(),
        }
    }

    fn time(&self) -> Instant {
        at(self.now * 1000)
    }

    /// Adds torrents from 1 on.
    fn with(change: impl FnOnce(&mut Settings), phases: &[Phase]) -> Self {
        let mut world = Self::new(change);
        for (name, &phase) in (1..).zip(phases) {
            world.add(name, seen(phase));
        }
        world
    }

    fn add(&mut self, name: u8, seen: Observation) {
        let nothing = QueueVerdict {
            run: false,
            check: false,
            announce: false,
        };
        self.torrents.insert(torrent(name), (seen, nothing));
        self.queue.add(self.time(), torrent(name), seen);
        self.settle();
    }

    fn change(&mut self, name: u8, change: impl FnOnce(&mut Observation)) {
        let (seen, _) = self.torrents.get_mut(&torrent(name)).unwrap();
        change(seen);
        let seen = *seen;
        self.queue.observe(self.time(), torrent(name), seen);
        self.settle();
    }

    /// Torrents carry out the verdicts, and report that they did.
    fn settle(&mut self) {
        let mut rounds = 0;
        self.queue.handle_timeout(self.time());
        while let Some((torrent, verdict)) = self.queue.poll_verdict() {
            let (seen, known) = self.torrents.get_mut(&torrent).unwrap();
            *known = verdict;
            if seen.auto_managed {
                seen.paused = !verdict.run;
            }
            let seen = *seen;
            self.queue.observe(self.time(), torrent, seen);
            self.queue.handle_timeout(self.time());
            rounds += 1;
            assert!(rounds < 1000, "the queue does not come to rest");
        }
    }

    fn sleep(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += 1;
            for (&torrent, &(seen, _)) in &self.torrents.clone() {
                self.queue.observe(self.time(), torrent, seen);
            }
            self.queue.handle_timeout(self.time());
            self.settle();
        }
    }

    fn which(&self, wanted: impl Fn(&QueueVerdict) -> bool) -> Vec<u8> {
        let torrents = self.torrents.iter();
        let found = torrents.filter(|(_, (_, verdict))| wanted(verdict));
        found.map(|(torrent, _)| torrent.0 as u8).collect()
    }

    fn running(&self) -> Vec<u8> {
        self.which(|verdict| verdict.run)
    }

    fn checking(&self) -> Vec<u8> {
        self.which(|verdict| verdict.check)
    }
}

#[test]
fn the_first_few_download_and_the_next_follows() {
    let mut world = World::with(|_| {}, &[Phase::Downloading; 6]);
    assert_eq!(world.running(), [1, 2, 3]);
    assert_eq!(world.queue.position(torrent(6)), Some(5));
    world.change(2, |seen| seen.phase = Phase::Seeding);
    assert_eq!(world.running(), [1, 2, 3, 4], "a seed takes another place");
    assert_eq!(world.queue.position(torrent(2)), None);
    assert_eq!(world.queue.position(torrent(6)), Some(4));
    world.queue.shift(world.time(), torrent(6), Move::Top);
    world.settle();
    assert_eq!(world.running(), [1, 2, 3, 6]);
    assert!(!world.queue.shift(world.time(), torrent(2), Move::Top));
    world.change(2, |seen| seen.phase = Phase::Downloading);
    assert_eq!(
        world.queue.position(torrent(2)),
        Some(5),
        "at the end again"
    );
    assert_eq!(world.running(), [1, 3, 6]);
    world.queue.remove(world.time(), torrent(1));
    world.torrents.remove(&torrent(1));
    world.settle();
    assert_eq!(world.running(), [3, 4, 6]);
}

#[test]
fn limits_follow_the_settings() {
    let mut world = World::with(
        |settings| settings.active_downloads = 0,
        &[Phase::Downloading; 4],
    );
    assert_eq!(world.running(), []);
    world.settings.active_downloads = -1;
    world.queue.set_settings(world.time(), &world.settings);
    world.settle();
    assert_eq!(world.running(), [1, 2, 3, 4]);
    world.settings.active_limit = 2;
    world.settings.active_tracker_limit = 1;
    world.queue.set_settings(world.time(), &world.settings);
    world.settle();
    assert_eq!(world.running(), [1, 2]);
    assert_eq!(world.which(|verdict| verdict.announce), [1]);
}

#[test]
fn seeds_run_by_rank_after_downloads_or_before() {
    let phases = [
        Phase::Downloading,
        Phase::Seeding,
        Phase::Finished,
        Phase::Seeding,
    ];
    let limits = |settings: &mut Settings| {
        settings.active_seeds = 1;
        settings.active_limit = 2;
    };
    let mut world = World::with(limits, &phases);
    for (name, seeds) in [(2, 9), (3, 1), (4, 5)] {
        world.change(name, |seen| {
            seen.seeding.tracker_seeds = Some(seeds);
            seen.seeding.tracker_downloaders = Some(10);
            seen.seeding.active = Duration::from_secs(9999);
        });
    }
    world.sleep(30);
    assert_eq!(world.running(), [1, 3]);
    let rank = |name| world.queue.seed_rank(world.time(), torrent(name));
    assert!(rank(3) > rank(4));
    assert_eq!(rank(1), 0);
    world.settings.active_seeds = 2;
    world.settings.auto_manage_prefer_seeds = true;
    world.queue.set_settings(world.time(), &world.settings);
    world.settle();
    assert_eq!(world.running(), [3, 4]);
}

#[test]
fn idle_torrents_take_no_place() {
    let mut world = World::with(
        |settings| settings.active_downloads = 2,
        &[Phase::Downloading; 4],
    );
    assert_eq!(world.running(), [1, 2]);
    world.change(1, |seen| seen.download_rate = 2047);
    world.sleep(59);
    assert_eq!(world.running(), [1, 2], "it may have just started");
    world.sleep(1);
    assert_eq!(world.running(), [1, 2, 3]);
    world.change(1, |seen| seen.download_rate = 2048);
    world.sleep(60);
    assert_eq!(world.running(), [1, 2]);
    world.settings.dont_count_slow_torrents = false;
    world.queue.set_settings(world.time(), &world.settings);
    world.change(2, |seen| seen.download_rate = 0);
    world.sleep(100);
    assert_eq!(world.running(), [1, 2]);
}

#[test]
fn what_has_not_changed_need_not_be_observed_again() {
    let mut world = World::with(
        |settings| settings.active_downloads = 1,
        &[Phase::Downloading; 2],
    );
    world.change(1, |seen| seen.download_rate = 0);
    let due = world.queue.poll_timeout().unwrap();
    world.queue.handle_timeout(due);
    let mut world = Silent { queue: world.queue };
    assert_eq!(world.run_until(at(59_000)), []);
    assert_eq!(world.run_until(at(60_000)), [torrent(2)]);

    // The rank of a seed follows the time that it has seeded.
    let mut seed = seen(Phase::Seeding);
    seed.paused = false;
    world.queue.add(at(60_000), torrent(3), seed);
    let rank = |seconds: u64| world.queue.seed_rank(at(seconds * 1000), torrent(3));
    assert_eq!(rank(61), rank(60));
    assert!(
        rank(60 + 30 * 60) < rank(60),
        "it has not just started then"
    );
}

/// A queue to which nothing is reported.
struct Silent {
    queue: Queue,
}

impl Silent {
    /// Which torrents are let run until then.
    fn run_until(&mut self, until: Instant) -> Vec<TorrentKey> {
        let mut running = Vec::new();
        while let Some(due) = self.queue.poll_timeout().filter(|&due| due <= until) {
            self.queue.handle_timeout(due);
            while let Some((torrent, verdict)) = self.queue.poll_verdict() {
                running.extend(verdict.run.then_some(torrent));
            }
        }
        running
    }
}

#[test]
fn torrents_that_are_not_managed_run_by_their_owners_wish() {
    let mut world = World::with(
        |settings| settings.active_downloads = 1,
        &[Phase::Downloading; 3],
    );
    world.change(3, |seen| seen.auto_managed = false);
    assert_eq!(world.running(), [1, 3]);
    world.change(1, |seen| seen.failed = true);
    assert_eq!(world.running(), [1, 2, 3], "what failed is left alone");
    world.change(3, |seen| seen.auto_managed = true);
    assert_eq!(world.running(), [1, 2]);
}

#[test]
fn managed_torrents_check_one_after_the_other() {
    let mut world = World::with(|_| {}, &[Phase::Checking; 3]);
    assert_eq!(world.checking(), [1]);
    let owned = Observation {
        auto_managed: false,
        ..seen(Phase::Checking)
    };
    world.add(4, owned);
    assert_eq!(world.checking(), [1], "whose turn is its owner's affair");
    assert_eq!(world.running(), [4]);
    world.queue.shift(world.time(), torrent(3), Move::Top);
    world.settle();
    assert_eq!(world.checking(), [1], "what has begun goes on");
    world.change(1, |seen| seen.phase = Phase::Downloading);
    assert_eq!(world.checking(), [3]);
    world.change(3, |seen| seen.failed = true);
    assert_eq!(world.checking(), [3], "an error does not keep it there");
    world.change(3, |seen| seen.auto_managed = false);
    assert_eq!(world.checking(), [2]);
    world.change(4, |seen| seen.auto_managed = true);
    assert_eq!(world.checking(), [2], "it waits like the others");
    world.settings.active_checking = -1;
    world.queue.set_settings(world.time(), &world.settings);
    world.change(1, |seen| seen.phase = Phase::Checking);
    assert_eq!(world.checking(), [1, 2, 4]);
}

#[test]
fn a_check_that_is_over_gives_no_right_to_the_next_one() {
    let mut world = World::with(|_| {}, &[Phase::Checking; 2]);
    let over = Observation {
        phase: Phase::Downloading,
        ..seen(Phase::Checking)
    };
    // Before the queue has been looked at.
    world.queue.observe(world.time(), torrent(1), over);
    let verdict = world.queue.poll_verdict();
    assert!(verdict.is_some_and(|(which, verdict)| which == torrent(1) && !verdict.check));
    world.change(1, |seen| seen.phase = Phase::Checking);
    assert_eq!(world.checking(), [1], "nobody else has begun");
}

#[test]
fn a_peer_wakes_a_torrent_for_a_while() {
    let mut world = World::with(
        |settings| settings.active_downloads = 1,
        &[Phase::Downloading; 2],
    );
    world.queue.wake(torrent(2));
    world.settle();
    assert_eq!(world.running(), [1, 2]);
    world.sleep(30);
    assert_eq!(world.running(), [1]);
}

impl Machine for Queue {
    fn poll_timeout(&self) -> Option<Instant> {
        Queue::poll_timeout(self)
    }

    fn handle_timeout(&mut self, now: Instant) {
        Queue::handle_timeout(self, now);
    }

    fn poll_all(&mut self, now: Instant) -> usize {
        let verdicts = count_outputs(|| self.poll_verdict());
        verdicts + count_outputs(|| self.poll_scrape(now))
    }
}

proptest! {
    #[test]
    fn limits_hold_whatever_happens(
        steps in prop::collection::vec((0u8..6, 1u8..9, 0u8..4), 1..80),
        downloads in 0i64..4,
        seeds in 0i64..4,
        checking in 1i64..3,
    ) {
        let mut world = World::new(|settings| {
            settings.active_downloads = downloads;
            settings.active_seeds = seeds;
            settings.active_checking = checking;
            settings.dont_count_slow_torrents = false;
        });
        let phases = [Phase::Checking, Phase::Downloading, Phase::Finished, Phase::Seeding];
        for (step, name, choice) in steps {
            let known = world.torrents.contains_key(&torrent(name));
            match step {
                0 if !known => world.add(name, seen(phases[usize::from(choice)])),
                1 if known => {
                    world.queue.remove(world.time(), torrent(name));
                    world.torrents.remove(&torrent(name));
                    world.settle();
                }
                2 if known => world.change(name, |seen| seen.phase = phases[usize::from(choice)]),
                3 if known => world.change(name, |seen| seen.auto_managed = choice > 0),
                4 => {
                    world.queue.shift(world.time(), torrent(name), Move::To(choice.into()));
                    world.settle();
                }
                _ => world.sleep(choice.into()),
            }
            let mut running = (0, 0, 0);
            for (seen, verdict) in world.torrents.values() {
                running.2 += i64::from(verdict.check);
                match seen.phase {
                    _ if !seen.auto_managed => prop_assert!(verdict.run),
                    Phase::Checking => {}
                    Phase::Downloading => running.0 += i64::from(verdict.run),
                    Phase::Finished | Phase::Seeding => running.1 += i64::from(verdict.run),
                }
            }
            let managed = |wanted: fn(Phase) -> bool| {
                let torrents = world.torrents.values();
                torrents.filter(|(seen, _)| seen.auto_managed && wanted(seen.phase)).count() as i64
            };
            prop_assert_eq!(running.0, downloads.min(managed(|phase| phase == Phase::Downloading)));
            prop_assert_eq!(running.1, seeds.min(managed(Phase::is_finished)));
            prop_assert_eq!(running.2, checking.min(managed(|phase| phase == Phase::Checking)));
        }
        let now = world.time();
        check_contract(&mut world.queue, now);
        check_contract(&mut world.queue, now + Duration::from_secs(60));
    }
}

#[test]
fn those_that_wait_are_asked_about_in_turn() {
    let mut world = World::with(
        |settings| {
            settings.active_downloads = 1;
            settings.auto_scrape_interval = 90;
            settings.auto_scrape_min_interval = 20;
        },
        &[Phase::Downloading; 4],
    );
    let asked = |world: &mut World, seconds: u64| {
        let begun = world.now;
        let mut asked = Vec::new();
        while world.now < begun + seconds {
            world.sleep(1);
            while let Some(torrent) = world.queue.poll_scrape(world.time()) {
                asked.push((world.now - begun, torrent.0 as u8));
            }
        }
        asked
    };
    assert_eq!(world.running(), [1]);
    assert_eq!(asked(&mut world, 99), [(30, 2), (60, 3), (90, 4)]);
    assert_eq!(asked(&mut world, 22), [(21, 2)], "and from the beginning");
    world.settings.auto_scrape_interval = 10;
    world.queue.set_settings(world.time(), &world.settings);
    assert_eq!(asked(&mut world, 22), [(19, 3)], "not too often");
    for name in [2, 4] {
        world.change(name, |seen| seen.auto_managed = false);
    }
    assert_eq!(asked(&mut world, 40), [(17, 3), (37, 3)]);
    world.change(3, |seen| seen.failed = true);
    assert_eq!(asked(&mut world, 60), []);
    assert!(world.queue.poll_timeout().is_some());
}
