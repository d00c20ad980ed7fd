//! Who is asked, and when (BEP 12).

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use rand::seq::SliceRandom;
use rand::{SeedableRng, rngs::StdRng};

use super::Event;
use super::reply::{Failure, Reply};
use super::tracker_state::{Tracker, TrackerState};

#[cfg(test)]
mod tests;

/// Trackers of one torrent, at most; a file may name any number.
const MAX_TRACKERS: usize = 1000;

/// Names one announce, within its torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// An announce to carry out; see [`announce_url`](super::announce_url).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnounceRequest {
    /// To be given back with the outcome.
    pub id: RequestId,
    /// The tracker's URL.
    pub url: String,
    /// Why.
    pub event: Event,
    /// What the tracker gave us to send back.
    pub tracker_id: Option<Vec<u8>>,
    /// Peers wanted, at most.
    pub num_want: u32,
}

/// The settings of an [`Announcer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnouncerSettings {
    /// Peers to ask for (`num_want`).
    pub num_want: u32,
    /// Shortest time between regular announces to one tracker
    /// (`min_announce_interval`); the tracker can only lengthen it.
    pub min_interval: Duration,
    /// Growth of the wait after each failure (`tracker_backoff`), in percent.
    pub backoff_percent: u32,
}

impl Default for AnnouncerSettings {
    fn default() -> Self {
        Self {
            num_want: 200,
            min_interval: Duration::from_secs(300),
            backoff_percent: 250,
        }
    }
}

/// One tracker at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackerRow {
    /// Its URL.
    pub url: String,
    /// Its tier.
    pub tier: u32,
    /// How it does.
    pub state: TrackerState,
    /// Its warning, if its last answer had one.
    pub message: String,
    /// Time until the next announce; `None` when none is planned.
    pub next_announce: Option<Duration>,
    /// Time before which it wants no announce.
    pub min_announce: Duration,
    /// Failures in a row.
    pub fails: u32,
    /// The error of its last failure, or what is wrong with its URL; empty
    /// when it works.
    pub last_error: String,
    /// Seeds that it knows.
    pub complete: Option<u32>,
    /// Downloaders that it knows.
    pub incomplete: Option<u32>,
    /// Complete downloads that it counted.
    pub downloaded: Option<u32>,
    /// It has answered at least once.
    pub verified: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    Stopped,
    Running,
}

/// The announces of one torrent.
///
/// The first tracker that does not fail, tier by tier, is the one that is
/// announced to; those before it are tried again from time to time (their wait
/// grows with each failure), those after it are left alone. A tracker that
/// answers moves to the front of its tier. Each tracker that answered a
/// `started` gets one `completed`, when the torrent completes in between, and
/// one `stopped` at the end.
///
/// After each call, poll requests until there is none and set the timer to
/// [`Self::poll_timeout`]. Every request must be brought back, by
/// [`Self::on_reply`] or [`Self::on_failure`].
#[derive(Debug)]
pub struct Announcer {
    settings: AnnouncerSettings,
    rng: StdRng,
    run: Run,
    complete: bool,
    upload_only: bool,
    /// In the order that the user knows; rows and indices follow it.
    trackers: Vec<Tracker>,
    /// Indices of `trackers`, in the order of trying: tiers ascending.
    order: Vec<usize>,
    last_working: Option<String>,
    requests: VecDeque<AnnounceRequest>,
    next_id: u64,
}

impl Announcer {
    /// A machine without trackers, stopped. The order within a tier depends on
    /// `seed` alone.
    pub fn new(settings: AnnouncerSettings, seed: u64) -> Self {
        Self {
            settings,
            rng: StdRng::seed_from_u64(seed),
            run: Run::Stopped,
            complete: false,
            upload_only: false,
            trackers: Vec::new(),
            order: Vec::new(),
            last_working: None,
            requests: VecDeque::new(),
            next_id: 0,
        }
    }

    /// Changes the settings; they count from the next announce on.
    pub fn set_settings(&mut self, settings: AnnouncerSettings) {
        self.settings = settings;
    }

    /// Uses these tiers (BEP 12). Trackers that were there before keep what is
    /// known of them; those that are gone are told `stopped`, and the answer
    /// to that is of no interest. Repeated URLs count once; at most 1000 are
    /// taken.
    pub fn set_tiers(&mut self, now: Instant, tiers: &[Vec<String>]) {
        let mut old = std::mem::take(&mut self.trackers);
        let old_order = std::mem::take(&mut self.order);
        let mut seen = HashSet::new();
        for (tier, urls) in tiers.iter().enumerate() {
            let tier = u32::try_from(tier).unwrap_or(u32::MAX);
            for url in urls.iter().map(|url| url.trim()) {
                if url.is_empty() || seen.len() >= MAX_TRACKERS || !seen.insert(url) {
                    continue;
                }
                let kept = old.iter_mut().find(|tracker| tracker.url == url);
                let mut tracker = Tracker::new(url.to_owned(), tier);
                if let Some(kept) = kept {
                    std::mem::swap(&mut tracker, kept);
                    tracker.tier = tier;
                }
                self.trackers.push(tracker);
            }
        }
        self.restore_order(&old, &old_order);
        for gone in old
            .into_iter()
            .filter(|tracker| !seen.contains(tracker.url.as_str()))
        {
            self.part_with(gone);
        }
        self.advance(now);
    }

    /// Within a tier: who works, then who was there before, in the old order.
    fn restore_order(&mut self, old: &[Tracker], old_order: &[usize]) {
        let place = |url: &str| {
            let mut places = old_order.iter().map(|&at| old.get(at));
            places.position(|tracker| tracker.is_some_and(|tracker| tracker.url == url))
        };
        let mut order: Vec<_> = self
            .trackers
            .iter()
            .enumerate()
            .map(|(at, tracker)| {
                let works = tracker.verified && tracker.is_working();
                let place = place(&tracker.url).unwrap_or(usize::MAX);
                ((tracker.tier, !works, place), at)
            })
            .collect();
        order.shuffle(&mut self.rng);
        order.sort_by_key(|&(key, _)| key);
        self.order = order.into_iter().map(|(_, at)| at).collect();
    }

    /// The last word to a tracker that is no longer ours.
    fn part_with(&mut self, gone: Tracker) {
        if gone.is_told_to_stop() {
            return;
        }
        let unsent = gone.in_flight.is_some_and(|sent| self.withdraw(sent.id));
        let greeted = gone
            .in_flight
            .is_some_and(|sent| sent.event == Event::Started)
            && !unsent;
        if gone.knows_us || greeted {
            let id = self.take_id();
            self.requests.push_back(AnnounceRequest {
                id,
                url: gone.url,
                event: Event::Stopped,
                tracker_id: gone.tracker_id,
                num_want: 0,
            });
        }
    }

    /// Begins to announce.
    pub fn start(&mut self, now: Instant) {
        if self.run == Run::Running {
            return;
        }
        self.run = Run::Running;
        for tracker in &mut self.trackers {
            tracker.reset();
        }
        self.advance(now);
    }

    /// Tells every tracker that knows us that we go. Answers to earlier
    /// announces are ignored from now on. [`Self::is_quiet`] says when all is
    /// told; the driver may as well drop the requests after
    /// `stop_tracker_timeout`.
    pub fn stop(&mut self) {
        if self.run == Run::Stopped {
            return;
        }
        self.run = Run::Stopped;
        for at in 0..self.trackers.len() {
            let Some(tracker) = self.trackers.get_mut(at) else {
                return;
            };
            let mut knows_us = tracker.knows_us;
            tracker.forced = false;
            if tracker.is_told_to_stop() {
                continue;
            }
            if let Some(sent) = tracker.in_flight.take() {
                let unsent = self.withdraw(sent.id);
                // A `started` without an answer may have arrived all the same.
                knows_us |= sent.event == Event::Started && !unsent;
            }
            if knows_us {
                self.send(at, Event::Stopped);
            }
        }
    }

    /// The torrent has just become complete, or was so from the start (to be
    /// called before [`Self::start`] then, so that no tracker counts it as a
    /// download).
    pub fn completed(&mut self, now: Instant) {
        self.complete = true;
        self.advance(now);
    }

    /// Whether everything wanted is there although the torrent is not
    /// complete: regular announces then say so (BEP 21).
    pub fn set_upload_only(&mut self, upload_only: bool) {
        self.upload_only = upload_only;
    }

    /// Announces as soon as the trackers' minimal intervals allow: to the
    /// tracker in row `index`, whatever its turn, or to the one whose turn it
    /// is. Waits after failures end.
    pub fn reannounce(&mut self, now: Instant, index: Option<usize>) {
        match index {
            None => self.trackers.iter_mut().for_each(Tracker::hurry),
            Some(index) => {
                let Some(tracker) = self.trackers.get_mut(index) else {
                    return;
                };
                tracker.hurry();
                tracker.gave_up = false;
                tracker.forced = true;
            }
        }
        self.advance(now);
    }

    /// A tracker has answered. Whether the request was still of interest; if
    /// not, neither are the reply's peers.
    pub fn on_reply(&mut self, now: Instant, id: RequestId, reply: &Reply) -> bool {
        let Some(at) = self.find(id) else {
            return false;
        };
        if let Some(tracker) = self.trackers.get_mut(at) {
            tracker.answered(now, reply, &self.settings);
            self.last_working = Some(tracker.url.clone());
            self.promote(at);
        }
        self.advance(now);
        true
    }

    /// An announce has failed. How often in a row it has for this tracker;
    /// `None` if the request was no longer of interest.
    pub fn on_failure(&mut self, now: Instant, id: RequestId, failure: Failure) -> Option<u32> {
        let at = self.find(id)?;
        let tracker = self.trackers.get_mut(at)?;
        tracker.failed(now, failure, &self.settings);
        let fails = tracker.fails;
        self.advance(now);
        Some(fails)
    }

    /// Asks who is due. To be called at [`Self::poll_timeout`].
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
    }

    /// The next announce to carry out.
    pub fn poll_output(&mut self) -> Option<AnnounceRequest> {
        self.requests.pop_front()
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        // Whoever is due at once has been asked by the call that made it so.
        self.plan().filter_map(|(_, due)| due).min()
    }

    /// Whether no announce is waiting or under way.
    pub fn is_quiet(&self) -> bool {
        self.requests.is_empty()
            && self
                .trackers
                .iter()
                .all(|tracker| tracker.in_flight.is_none())
    }

    /// The tracker that answered last.
    pub fn last_working(&self) -> Option<&str> {
        self.last_working.as_deref()
    }

    /// Seeds and downloaders in the swarm: the highest numbers of any tracker.
    pub fn swarm(&self) -> (Option<u32>, Option<u32>) {
        (
            self.trackers
                .iter()
                .filter_map(|tracker| tracker.complete)
                .max(),
            self.trackers
                .iter()
                .filter_map(|tracker| tracker.incomplete)
                .max(),
        )
    }

    /// All trackers, in the order in which they were given.
    pub fn status(&self, now: Instant) -> Vec<TrackerRow> {
        let mut rows: Vec<TrackerRow> = self
            .trackers
            .iter()
            .map(|tracker| TrackerRow {
                url: tracker.url.clone(),
                tier: tracker.tier,
                state: tracker.state(),
                message: tracker.message.clone(),
                next_announce: None,
                min_announce: tracker.min_wait(now),
                fails: tracker.fails,
                last_error: tracker.last_error.clone(),
                complete: tracker.complete,
                incomplete: tracker.incomplete,
                downloaded: tracker.downloaded,
                verified: tracker.verified,
            })
            .collect();
        for (at, due) in self.plan() {
            if let Some(row) = rows.get_mut(at) {
                let wait = due.map(|due| due.saturating_duration_since(now));
                row.next_announce = Some(wait.unwrap_or_default());
            }
        }
        rows
    }

    /// The trackers that have a turn coming, and when it comes: `None` at once.
    fn plan(&self) -> impl Iterator<Item = (usize, Option<Instant>)> {
        let running = self.run == Run::Running;
        let mut shielded = false;
        self.order.iter().filter_map(move |&at| {
            let tracker = self.trackers.get(at)?;
            if !running || !tracker.is_askable() {
                return None;
            }
            let in_turn = !shielded || tracker.forced || tracker.owes_completed(self.complete);
            shielded |= tracker.is_working();
            if tracker.in_flight.is_some() || !in_turn {
                return None;
            }
            Some((at, tracker.due(self.complete)))
        })
    }

    fn advance(&mut self, now: Instant) {
        let due: Vec<usize> = self
            .plan()
            .filter_map(|(at, due)| due.is_none_or(|due| due <= now).then_some(at))
            .collect();
        for at in due {
            if let Some(tracker) = self.trackers.get(at) {
                let event = tracker.event(self.complete, self.upload_only);
                self.send(at, event);
            }
        }
    }

    fn send(&mut self, at: usize, event: Event) {
        let id = self.take_id();
        if let Some(tracker) = self.trackers.get_mut(at) {
            tracker.sent(id, event, self.complete);
            self.requests.push_back(AnnounceRequest {
                id,
                url: tracker.url.clone(),
                event,
                tracker_id: tracker.tracker_id.clone(),
                num_want: if event == Event::Stopped {
                    0
                } else {
                    self.settings.num_want
                },
            });
        }
    }

    fn take_id(&mut self) -> RequestId {
        self.next_id += 1;
        RequestId(self.next_id)
    }

    /// Takes a request back. Whether it had not been polled yet.
    fn withdraw(&mut self, id: RequestId) -> bool {
        let before = self.requests.len();
        self.requests.retain(|request| request.id != id);
        self.requests.len() < before
    }

    fn find(&self, id: RequestId) -> Option<usize> {
        self.trackers
            .iter()
            .position(|tracker| tracker.in_flight.is_some_and(|sent| sent.id == id))
    }

    /// Moves the tracker `at` to the front of its tier.
    fn promote(&mut self, at: usize) {
        let tier = |at: usize| self.trackers.get(at).map(|tracker| tracker.tier);
        let here = self.order.iter().position(|&other| other == at);
        let front = self.order.iter().position(|&other| tier(other) == tier(at));
        if let (Some(here), Some(front)) = (here, front)
            && let Some(ahead) = self.order.get_mut(front..=here)
        {
            ahead.rotate_right(1);
        }
    }
}
