//! Scrapes of torrents that wait in the queue: so that their rank follows
//! from how their swarms are now, although they do not announce themselves.
//!
//! Owned by the queue, which says who waits whenever it has looked at the line.
//! One torrent is asked about at a time, in turn; the settings are
//! libtorrent's.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::time::{Duration, Instant};

use crate::ids::TorrentKey;
use crate::settings::Settings;

/// How often a torrent is to be asked about, and how soon another one
/// (`auto_scrape_interval`, `auto_scrape_min_interval`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Intervals {
    each: Duration,
    least: Duration,
}

impl Intervals {
    pub(super) fn new(settings: &Settings) -> Self {
        let seconds = |value: i64| Duration::from_secs(value.unsigned_abs());
        Self {
            each: seconds(settings.auto_scrape_interval),
            least: seconds(settings.auto_scrape_min_interval),
        }
    }

    /// The time between two scrapes while `waiting` torrents wait.
    fn between(self, waiting: usize) -> Duration {
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX).max(1);
        (self.each / waiting).max(self.least)
    }
}

/// Which torrent is scraped next, and when.
#[derive(Debug, Default)]
pub(super) struct Scrapes {
    waiting: BTreeSet<TorrentKey>,
    /// When the last one was, or the first torrent began to wait.
    last: Option<Instant>,
    previous: Option<TorrentKey>,
}

impl Scrapes {
    /// These torrents wait in the queue.
    pub(super) fn set_waiting(&mut self, now: Instant, waiting: BTreeSet<TorrentKey>) {
        if !waiting.is_empty() {
            self.last.get_or_insert(now);
        }
        self.waiting = waiting;
    }

    /// A torrent waits no longer.
    pub(super) fn forget(&mut self, torrent: TorrentKey) {
        self.waiting.remove(&torrent);
    }

    /// When the next scrape is due; `None` while no torrent waits.
    pub(super) fn due(&self, intervals: Intervals) -> Option<Instant> {
        let last = self.last.filter(|_| !self.waiting.is_empty())?;
        Some(last + intervals.between(self.waiting.len()))
    }

    /// The torrent to ask about now, if one is due.
    pub(super) fn next(&mut self, now: Instant, intervals: Intervals) -> Option<TorrentKey> {
        self.due(intervals).filter(|&due| due <= now)?;
        let after = self.previous.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.waiting.range((after, Bound::Unbounded));
        let next = *rest.next().or_else(|| self.waiting.first())?;
        self.previous = Some(next);
        self.last = Some(now);
        Some(next)
    }
}
