//! Which torrents of a session run, which of them check their files, and which
//! of them announce to trackers.
//!
//! [`Queue`] is the machine: one a session. Its driver reports torrents
//! ([`Queue::add`], [`Queue::observe`], [`Queue::remove`]) and commands (the
//! position commands, [`Queue::wake`]), calls
//! [`Queue::handle_timeout`] when [`Queue::poll_timeout`] says so, and carries
//! out the verdicts that [`Queue::poll_verdict`] gives and the scrapes of
//! [`Queue::poll_scrape`].
//!
//! The rules are libtorrent's. Torrents that are not finished have an order;
//! of those that are *auto-managed*, the first few run. Seeds run by their
//! rank: those that have not done their part come first, then those whose
//! swarm needs them most. Those that are to be checked wait for one another,
//! since the disk gains nothing from two checks at once; a torrent that is not
//! auto-managed is checked when its owner says so.

mod download_order;
mod rank;
mod scrape;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::ids::TorrentKey;
use crate::settings::Settings;
use download_order::Line;
pub use download_order::Move;
pub use rank::Seeding;
use scrape::{Intervals, Scrapes};

/// What a torrent is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Its files are checked, or wait to be.
    #[default]
    Checking,
    /// Something that is wanted is missing.
    Downloading,
    /// All that is wanted is there.
    Finished,
    /// Everything is there.
    Seeding,
}

impl Phase {
    fn is_finished(self) -> bool {
        matches!(self, Self::Finished | Self::Seeding)
    }
}

/// A torrent at one moment, as far as the queue is concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// The queue decides whether it runs.
    pub auto_managed: bool,
    /// It does not run now.
    pub paused: bool,
    /// It has an error: the queue leaves it alone, but for a check, which
    /// shows what is left.
    pub failed: bool,
    /// What it is at.
    pub phase: Phase,
    /// Payload bytes received per second.
    pub download_rate: u64,
    /// Payload bytes sent per second.
    pub upload_rate: u64,
    /// What its rank as a seed follows from.
    pub seeding: Seeding,
}

/// What the queue decides of a torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueVerdict {
    /// It runs, if it is auto-managed; the queue decides nothing about others.
    pub run: bool,
    /// It may check its files, if it is auto-managed.
    pub check: bool,
    /// It may announce itself to trackers.
    pub announce: bool,
}

impl Default for QueueVerdict {
    fn default() -> Self {
        Self {
            run: true,
            check: false,
            announce: true,
        }
    }
}

impl QueueVerdict {
    /// Before the queue has been looked at.
    fn before(seen: &Observation) -> Self {
        let run = !(seen.auto_managed && seen.paused);
        Self {
            run,
            check: false,
            announce: run,
        }
    }
}

#[derive(Debug)]
struct Member {
    seen: Observation,
    /// When; since then nothing has changed but that time has passed.
    seen_at: Instant,
    /// It transfers too little to take a place.
    idle: bool,
    /// Since when it looks otherwise than `idle` says.
    doubtful_since: Option<Instant>,
    verdict: QueueVerdict,
}

impl Member {
    fn is_managed(&self) -> bool {
        self.seen.auto_managed && !self.seen.failed
    }

    /// What its rank follows from, with the time that has passed since it was
    /// observed.
    fn seeding(&self, now: Instant) -> Seeding {
        let mut seeding = self.seen.seeding;
        if !self.seen.paused {
            let passed = now.saturating_duration_since(self.seen_at);
            seeding.active += passed;
            if self.seen.phase.is_finished() {
                seeding.finished += passed;
            }
        }
        seeding
    }
}

/// The settings of a [`Queue`]; limits of -1 are none.
#[derive(Clone, Debug)]
struct QueueLimits {
    downloads: usize,
    seeds: usize,
    checking: usize,
    all: usize,
    announcing: usize,
    interval: Duration,
    startup: Duration,
    prefer_seeds: bool,
    ignore_idle: bool,
    idle_download_rate: u64,
    idle_upload_rate: u64,
    rank: rank::RankLimits,
    scrapes: Intervals,
}

impl QueueLimits {
    fn new(settings: &Settings) -> Self {
        let limit = |value: i64| usize::try_from(value).unwrap_or(usize::MAX);
        let seconds = |value: i64| Duration::from_secs(value.unsigned_abs());
        Self {
            downloads: limit(settings.active_downloads),
            seeds: limit(settings.active_seeds),
            checking: limit(settings.active_checking),
            all: limit(settings.active_limit),
            announcing: limit(settings.active_tracker_limit),
            interval: seconds(settings.auto_manage_interval),
            startup: seconds(settings.auto_manage_startup),
            prefer_seeds: settings.auto_manage_prefer_seeds,
            ignore_idle: settings.dont_count_slow_torrents,
            idle_download_rate: settings.inactive_down_rate.unsigned_abs(),
            idle_upload_rate: settings.inactive_up_rate.unsigned_abs(),
            rank: rank::RankLimits {
                share_ratio: settings.share_ratio_limit.unsigned_abs(),
                time_ratio: settings.seed_time_ratio_limit.unsigned_abs(),
                time: seconds(settings.seed_time_limit),
            },
            scrapes: Intervals::new(settings),
        }
    }
}

/// The queue of a session; see the [module](self).
#[derive(Debug)]
pub struct Queue {
    limits: QueueLimits,
    members: BTreeMap<TorrentKey, Member>,
    line: Line,
    /// When the line is looked at again; `None` before there is one.
    next_look: Option<Instant>,
    /// When the first torrent that looks otherwise than it counts has done so
    /// for long enough; it may be too early.
    next_doubt: Option<Instant>,
    news: BTreeSet<TorrentKey>,
    scrapes: Scrapes,
}

impl Queue {
    /// An empty queue.
    pub fn new(settings: &Settings) -> Self {
        Self {
            limits: QueueLimits::new(settings),
            members: BTreeMap::new(),
            line: Line::default(),
            next_look: None,
            next_doubt: None,
            news: BTreeSet::new(),
            scrapes: Scrapes::default(),
        }
    }

    /// Changes the settings.
    pub fn set_settings(&mut self, now: Instant, settings: &Settings) {
        self.limits = QueueLimits::new(settings);
        self.look_soon(now);
    }

    /// A torrent has come; it takes the last place. One that is auto-managed
    /// goes on as it is until the queue has been looked at.
    pub fn add(&mut self, now: Instant, torrent: TorrentKey, seen: Observation) {
        let verdict = QueueVerdict::before(&seen);
        let member = Member {
            seen,
            seen_at: now,
            idle: false,
            doubtful_since: None,
            verdict,
        };
        self.members.insert(torrent, member);
        if !seen.phase.is_finished() {
            self.line.join(torrent);
        }
        self.news.insert(torrent);
        self.look_soon(now);
    }

    /// A torrent has gone.
    pub fn remove(&mut self, now: Instant, torrent: TorrentKey) {
        if self.members.remove(&torrent).is_some() {
            self.line.leave(torrent);
            self.news.remove(&torrent);
            self.scrapes.forget(torrent);
            self.look_soon(now);
        }
    }

    /// How a torrent is now. To be called when that has changed, by more than
    /// that time has passed; once a second is enough for rates and numbers.
    pub fn observe(&mut self, now: Instant, torrent: TorrentKey, seen: Observation) {
        let Some(member) = self.members.get_mut(&torrent) else {
            return;
        };
        let before = std::mem::replace(&mut member.seen, seen);
        member.seen_at = now;
        let idle_changed = self.limits.watch(now, member);
        let doubt = self.limits.end_of_doubt(member);
        self.next_doubt = earliest(self.next_doubt, doubt);
        if seen.auto_managed && !before.auto_managed {
            let check = member.verdict.check;
            member.verdict = QueueVerdict {
                check,
                ..QueueVerdict::before(&seen)
            };
            self.news.insert(torrent);
        }
        if before.phase.is_finished() != seen.phase.is_finished() {
            if seen.phase.is_finished() {
                self.line.leave(torrent);
            } else {
                self.line.join(torrent);
            }
        }
        // At once: its next check has to wait for its turn like any other.
        if seen.phase != Phase::Checking && member.verdict.check {
            member.verdict.check = false;
            self.news.insert(torrent);
        }
        if idle_changed
            || before.phase != seen.phase
            || before.auto_managed != seen.auto_managed
            || before.failed != seen.failed
        {
            self.look_soon(now);
        }
    }

    /// A peer has come to a torrent that waits: it runs until the queue is
    /// looked at the next time, and as long as there is a place for it.
    pub fn wake(&mut self, torrent: TorrentKey) {
        if let Some(member) = self.members.get_mut(&torrent)
            && member.is_managed()
            && member.seen.phase != Phase::Checking
            && !member.verdict.run
        {
            member.verdict.run = true;
            member.verdict.announce = true;
            self.news.insert(torrent);
            self.scrapes.forget(torrent);
        }
    }

    /// Moves a torrent in the line; one that is finished has no place there.
    /// Whether it has.
    pub fn shift(&mut self, now: Instant, torrent: TorrentKey, to: Move) -> bool {
        let is_in_line = self.line.shift(torrent, to);
        if is_in_line {
            self.look_soon(now);
        }
        is_in_line
    }

    /// A torrent's place in the line, from 0; `None` when it is finished.
    pub fn position(&self, torrent: TorrentKey) -> Option<usize> {
        self.line.position(torrent)
    }

    /// The torrents in the line, the first one first.
    pub fn order(&self) -> &[TorrentKey] {
        self.line.order()
    }

    /// Puts those in the line that `order` names into that order, before the
    /// others.
    pub fn arrange(&mut self, now: Instant, order: &[TorrentKey]) {
        self.line.arrange(order);
        self.look_soon(now);
    }

    /// Whether the line is another one than at the last call.
    pub fn take_order_changed(&mut self) -> bool {
        self.line.take_changed()
    }

    /// How much a torrent is needed as a seed; 0 when it is not finished.
    pub fn seed_rank(&self, now: Instant, torrent: TorrentKey) -> u32 {
        let member = self.members.get(&torrent);
        member.map_or(0, |member| self.limits.rank(now, member))
    }

    /// How a torrent was when it was last observed.
    pub fn seen(&self, torrent: TorrentKey) -> Option<Observation> {
        self.members.get(&torrent).map(|member| member.seen)
    }

    /// Many changes in a row are one reason to look.
    fn look_soon(&mut self, now: Instant) {
        self.next_look = Some(now);
    }

    /// Looks at the line. To be called at [`Self::poll_timeout`].
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.next_doubt.is_some_and(|due| due <= now) {
            self.end_doubts(now);
        }
        if self.next_look.is_some_and(|due| due <= now) {
            self.look(now);
        }
    }

    /// Takes torrents for idle, or not, that have looked so for long enough.
    fn end_doubts(&mut self, now: Instant) {
        self.next_doubt = None;
        for member in self.members.values_mut() {
            if member.doubtful_since.is_none() {
                continue;
            }
            if self.limits.watch(now, member) {
                self.next_look = Some(now);
            }
            let doubt = self.limits.end_of_doubt(member);
            self.next_doubt = earliest(self.next_doubt, doubt);
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let look = self.next_look.filter(|_| !self.members.is_empty());
        let scrape = self.scrapes.due(self.limits.scrapes);
        [look, scrape, self.next_doubt].into_iter().flatten().min()
    }

    /// The next torrent whose tracker is to be asked for the numbers of its
    /// swarm, because it waits and announces nothing. To be polled after
    /// [`Self::handle_timeout`].
    pub fn poll_scrape(&mut self, now: Instant) -> Option<TorrentKey> {
        self.scrapes.next(now, self.limits.scrapes)
    }

    /// The next torrent whose verdict is new.
    pub fn poll_verdict(&mut self) -> Option<(TorrentKey, QueueVerdict)> {
        let torrent = self.news.pop_first()?;
        Some((torrent, self.members.get(&torrent)?.verdict))
    }

    /// Decides anew.
    fn look(&mut self, now: Instant) {
        self.next_look = Some(now + self.limits.interval);
        let places = self.line.places();
        let place = |torrent| places.get(&torrent).copied();
        self.choose_checks(&places);
        let mut downloads = Vec::new();
        let mut seeds = Vec::new();
        for (&torrent, member) in &mut self.members {
            if !member.is_managed() {
                // It runs because its owner says so.
                if !(member.verdict.run && member.verdict.announce) {
                    member.verdict.run = true;
                    member.verdict.announce = true;
                    self.news.insert(torrent);
                }
                continue;
            }
            match member.seen.phase {
                Phase::Checking => {}
                Phase::Downloading => downloads.push((place(torrent), torrent)),
                Phase::Finished | Phase::Seeding => {
                    seeds.push((Reverse(self.limits.rank(now, member)), torrent));
                }
            }
        }
        downloads.sort_unstable();
        seeds.sort_unstable();
        let downloads = downloads.into_iter().map(|(_, torrent)| torrent);
        let seeds = seeds.into_iter().map(|(_, torrent)| torrent);
        let mut left = Left {
            all: self.limits.all,
            announcing: self.limits.announcing,
        };
        let (for_downloads, for_seeds) = (self.limits.downloads, self.limits.seeds);
        if self.limits.prefer_seeds {
            self.grant(seeds, for_seeds, &mut left);
            self.grant(downloads, for_downloads, &mut left);
        } else {
            self.grant(downloads, for_downloads, &mut left);
            self.grant(seeds, for_seeds, &mut left);
        }
        let waiting = self.members.iter();
        let waiting = waiting.filter(|(_, member)| member.is_managed() && !member.verdict.run);
        let waiting = waiting.map(|(&torrent, _)| torrent).collect();
        self.scrapes.set_waiting(now, waiting);
    }

    /// Lets the first few torrents check, in the order of the line; one that
    /// has begun goes on.
    fn choose_checks(&mut self, places: &BTreeMap<TorrentKey, usize>) {
        let mut waiting: Vec<_> = self
            .members
            .iter()
            .filter(|(_, member)| member.seen.auto_managed)
            .filter(|(_, member)| member.seen.phase == Phase::Checking)
            .map(|(&torrent, member)| (!member.verdict.check, places.get(&torrent), torrent))
            .collect();
        waiting.sort_unstable();
        let allowed: BTreeSet<_> = waiting
            .into_iter()
            .take(self.limits.checking)
            .map(|(_, _, torrent)| torrent)
            .collect();
        for (&torrent, member) in &mut self.members {
            let check = allowed.contains(&torrent);
            if member.verdict.check != check {
                member.verdict.check = check;
                self.news.insert(torrent);
            }
        }
    }

    /// Gives places to torrents of one kind, best first.
    fn grant(
        &mut self,
        torrents: impl Iterator<Item = TorrentKey>,
        places: usize,
        left: &mut Left,
    ) {
        let mut places = places;
        for torrent in torrents {
            let Some(member) = self.members.get_mut(&torrent) else {
                continue;
            };
            let idle = self.limits.ignore_idle && member.idle;
            let run = left.all > 0 && (idle || places > 0);
            let announce = run && left.announcing > 0;
            if run {
                left.all -= 1;
                left.announcing = left.announcing.saturating_sub(1);
                places -= usize::from(!idle);
            }
            let verdict = QueueVerdict {
                run,
                announce,
                ..member.verdict
            };
            if member.verdict != verdict {
                member.verdict = verdict;
                self.news.insert(torrent);
            }
        }
    }
}

/// Places that all kinds of torrent share.
struct Left {
    all: usize,
    announcing: usize,
}

impl QueueLimits {
    /// Keeps an eye on whether the torrent is idle, which is believed after a
    /// while. Whether that has changed.
    fn watch(&self, now: Instant, member: &mut Member) -> bool {
        let seen = &member.seen;
        let looks_idle = !seen.paused
            && match seen.phase {
                Phase::Checking => false,
                Phase::Downloading => seen.download_rate < self.idle_download_rate,
                Phase::Finished | Phase::Seeding => seen.upload_rate < self.idle_upload_rate,
            };
        if looks_idle == member.idle {
            member.doubtful_since = None;
            return false;
        }
        let since = *member.doubtful_since.get_or_insert(now);
        // One that does not run is not idle, at once.
        if !seen.paused && now < since + self.startup {
            return false;
        }
        member.doubtful_since = None;
        member.idle = looks_idle;
        true
    }

    /// Until when a torrent that looks otherwise than it counts is watched.
    fn end_of_doubt(&self, member: &Member) -> Option<Instant> {
        Some(member.doubtful_since? + self.startup)
    }

    fn rank(&self, now: Instant, member: &Member) -> u32 {
        let is_seed = match member.seen.phase {
            Phase::Checking | Phase::Downloading => return 0,
            Phase::Finished => false,
            Phase::Seeding => true,
        };
        self.rank
            .rank(&member.seeding(now), is_seed, member.seen.paused)
    }
}

fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}
