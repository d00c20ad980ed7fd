//! Who is asked, and when (BEP 12).

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::seq::SliceRandom;
use rand::{SeedableRng, rngs::StdRng};

use super::entry::Tracker;
use super::reply::{Failure, Reply, Retry};
use super::status::{TrackerRow, most};
use super::{Event, ScrapeReply};

#[cfg(test)]
mod tests;

/// Trackers of one torrent, at most; a file may name any number.
const MAX_TRACKERS: usize = 1000;

/// Names one request, within its torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Something to ask a tracker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackerRequest {
    /// Announce the torrent.
    Announce(AnnounceRequest),
    /// Ask for the numbers of its swarm.
    Scrape(ScrapeRequest),
}

/// An announce to carry out; see [`announce_url`](super::announce_url).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnounceRequest {
    /// To be given back with the outcome.
    pub id: RequestId,
    /// The tracker's URL.
    pub url: String,
    /// Our endpoint that is announced: the request leaves from its address.
    pub local: SocketAddr,
    /// Why.
    pub event: Event,
    /// What the tracker gave us to send back.
    pub tracker_id: Option<Vec<u8>>,
    /// Peers wanted, at most.
    pub num_want: u32,
}

/// A scrape to carry out; see [`scrape_url`](super::scrape_url).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScrapeRequest {
    /// To be given back with the outcome.
    pub id: RequestId,
    /// The tracker's announce URL.
    pub url: String,
    /// Our endpoint that asks.
    pub local: SocketAddr,
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
    /// Ask all trackers of the tier whose turn it is, not only the first that
    /// works (`announce_to_all_trackers`).
    pub all_trackers: bool,
    /// Ask one tracker of each tier (`announce_to_all_tiers`); with
    /// `all_trackers`, every tracker.
    pub all_tiers: bool,
    /// Of two trackers on one machine, the one that is asked by UDP takes the
    /// other's place if that comes first (`prefer_udp_trackers`). Counts for
    /// tiers that are set from then on.
    pub prefer_udp: bool,
    /// Use host names outside ASCII (`allow_idna`); counts for tiers that are
    /// set from then on.
    pub international: bool,
    /// Tell trackers that we stop (`stop_tracker_timeout` is not 0).
    pub tell_stopped: bool,
}

impl Default for AnnouncerSettings {
    fn default() -> Self {
        Self {
            num_want: 200,
            min_interval: Duration::from_secs(300),
            backoff_percent: 250,
            all_trackers: false,
            all_tiers: false,
            prefer_udp: true,
            international: false,
            tell_stopped: true,
        }
    }
}

/// What became of an announce that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// What the tracker wants to hear in later announces, if it is new.
    pub new_tracker_id: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    Stopped,
    Running,
}

/// A tracker that has a turn coming at one of our endpoints.
#[derive(Clone, Copy, Debug)]
struct Turn {
    tracker: usize,
    endpoint: usize,
    /// When it comes; `None` at once.
    due: Option<Instant>,
}

/// The announces of one torrent.
///
/// Each of our endpoints is announced on its own. The first tracker that does
/// not fail, tier by tier, is the one that is announced to; those before it
/// are tried again from time to time (their wait grows with each failure),
/// those after it are left alone unless the settings want more of them. A
/// tracker that answers moves to the front of its tier. Each tracker that
/// answered a `started` gets one `completed`, when the torrent completes in
/// between, and one `stopped` at the end.
///
/// After each call, poll requests until there is none and set the timer to
/// [`Self::poll_timeout`]. Every announce must be brought back, by
/// [`Self::on_reply`] or [`Self::on_failure`], and every scrape by
/// [`Self::on_scrape`].
#[derive(Debug)]
pub struct Announcer {
    settings: AnnouncerSettings,
    rng: StdRng,
    run: Run,
    /// Whether announces other than `stopped` are allowed.
    enabled: bool,
    complete: bool,
    upload_only: bool,
    locals: Vec<SocketAddr>,
    fail_limits: HashMap<String, u8>,
    /// In the order that the user knows; rows and indices follow it.
    trackers: Vec<Tracker>,
    /// Indices of `trackers`, in the order of trying: tiers ascending.
    order: Vec<usize>,
    last_working: Option<String>,
    requests: VecDeque<TrackerRequest>,
    /// Scrapes on their way: the tracker's URL and our endpoint.
    scrapes: HashMap<RequestId, (String, SocketAddr)>,
    next_id: u64,
}

impl Announcer {
    /// A machine without trackers, stopped, for a torrent that can be reached
    /// at the endpoints `locals`. The order within a tier depends on `seed`
    /// alone.
    pub fn new(settings: AnnouncerSettings, locals: Vec<SocketAddr>, seed: u64) -> Self {
        Self {
            settings,
            rng: StdRng::seed_from_u64(seed),
            run: Run::Stopped,
            enabled: true,
            complete: false,
            upload_only: false,
            locals,
            fail_limits: HashMap::new(),
            trackers: Vec::new(),
            order: Vec::new(),
            last_working: None,
            requests: VecDeque::new(),
            scrapes: HashMap::new(),
            next_id: 0,
        }
    }

    /// Changes the settings; they count from the next announce on.
    pub fn set_settings(&mut self, now: Instant, settings: AnnouncerSettings) {
        self.settings = settings;
        self.advance(now);
    }

    /// Announces these endpoints from now on.
    pub fn set_endpoints(&mut self, now: Instant, locals: Vec<SocketAddr>) {
        for tracker in &mut self.trackers {
            tracker.set_endpoints(&locals);
        }
        self.locals = locals;
        self.advance(now);
    }

    /// Whether the torrent may announce itself; `stopped` it may always.
    pub fn set_enabled(&mut self, now: Instant, enabled: bool) {
        self.enabled = enabled;
        self.advance(now);
    }

    /// After how many failures in a row trackers are not asked any more, by
    /// URL; trackers without an entry are always tried again.
    pub fn set_fail_limits(&mut self, now: Instant, limits: HashMap<String, u8>) {
        self.fail_limits = limits;
        self.apply_fail_limits();
        self.advance(now);
    }

    fn apply_fail_limits(&mut self) {
        for tracker in &mut self.trackers {
            let limit = self.fail_limits.get(&tracker.url);
            tracker.fail_limit = limit.copied().unwrap_or_default();
        }
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
                let international = self.settings.international;
                let mut tracker = Tracker::new(url.to_owned(), tier, international, &self.locals);
                if let Some(kept) = kept {
                    std::mem::swap(&mut tracker, kept);
                    tracker.tier = tier;
                }
                self.trackers.push(tracker);
            }
        }
        self.apply_fail_limits();
        self.prefer_udp();
        self.restore_order(&old, &old_order);
        for gone in old
            .into_iter()
            .filter(|tracker| !seen.contains(tracker.url.as_str()))
        {
            self.part_with(gone);
        }
        self.advance(now);
    }

    /// A UDP tracker changes tiers with an earlier one on the same machine
    /// that is not.
    fn prefer_udp(&mut self) {
        if !self.settings.prefer_udp {
            return;
        }
        for at in 0..self.trackers.len() {
            let (before, rest) = self.trackers.split_at_mut(at);
            let Some(tracker) = rest.first_mut().filter(|tracker| tracker.udp) else {
                continue;
            };
            let other = before.iter_mut().find(|other| {
                !other.udp && other.host == tracker.host && other.tier < tracker.tier
            });
            if let Some(other) = other {
                std::mem::swap(&mut other.tier, &mut tracker.tier);
            }
        }
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
                let mut endpoints = tracker.endpoints.iter();
                let works = endpoints.any(|endpoint| endpoint.verified && endpoint.is_working());
                let place = place(&tracker.url).unwrap_or(usize::MAX);
                ((tracker.tier, !works, place), at)
            })
            .collect();
        order.shuffle(&mut self.rng);
        order.sort_by_key(|&(key, _)| key);
        self.order = order.into_iter().map(|(_, at)| at).collect();
        self.put_udp_first();
    }

    /// Within a tier, a UDP tracker goes before others on the same machine.
    fn put_udp_first(&mut self) {
        if !self.settings.prefer_udp {
            return;
        }
        for place in 1..self.order.len() {
            let entry = |place: usize| self.trackers.get(*self.order.get(place)?);
            let Some(tracker) = entry(place).filter(|tracker| tracker.udp) else {
                continue;
            };
            let earlier = (0..place).find(|&earlier| {
                entry(earlier).is_some_and(|other| {
                    !other.udp && other.host == tracker.host && other.tier == tracker.tier
                })
            });
            if let Some(earlier) = earlier {
                self.order.swap(earlier, place);
            }
        }
    }

    /// The last word to a tracker that is no longer ours.
    fn part_with(&mut self, gone: Tracker) {
        for endpoint in gone.endpoints {
            if endpoint.is_telling(Event::Stopped) {
                continue;
            }
            let unsent = endpoint
                .in_flight
                .is_some_and(|sent| self.withdraw(sent.id));
            let greeted = endpoint.is_telling(Event::Started) && !unsent;
            if self.settings.tell_stopped && (endpoint.knows_us || greeted) {
                let id = self.take_id();
                self.requests
                    .push_back(TrackerRequest::Announce(AnnounceRequest {
                        id,
                        url: gone.url.clone(),
                        local: endpoint.local,
                        event: Event::Stopped,
                        tracker_id: gone.tracker_id.clone(),
                        num_want: 0,
                    }));
            }
        }
    }

    /// Whether it has been told to announce.
    pub fn is_running(&self) -> bool {
        self.run == Run::Running
    }

    /// Begins to announce.
    pub fn start(&mut self, now: Instant) {
        if self.run == Run::Running {
            return;
        }
        self.run = Run::Running;
        for tracker in &mut self.trackers {
            for endpoint in &mut tracker.endpoints {
                endpoint.reset();
            }
        }
        self.advance(now);
    }

    /// Tells every tracker that knows us that we go, unless the settings want
    /// no such announce. Answers to earlier announces are ignored from now on.
    /// [`Self::is_quiet`] says when all is told; the driver may as well drop
    /// the requests after `stop_tracker_timeout`.
    pub fn stop(&mut self) {
        if self.run == Run::Stopped {
            return;
        }
        self.run = Run::Stopped;
        for at in 0..self.trackers.len() {
            for endpoint in 0..self.locals.len() {
                self.stop_at(at, endpoint);
            }
        }
    }

    fn stop_at(&mut self, at: usize, number: usize) {
        let tracker = self.trackers.get_mut(at);
        let Some(endpoint) = tracker.and_then(|tracker| tracker.endpoints.get_mut(number)) else {
            return;
        };
        endpoint.forced = false;
        if endpoint.is_telling(Event::Stopped) {
            return;
        }
        let mut knows_us = std::mem::take(&mut endpoint.knows_us);
        if let Some(sent) = endpoint.in_flight.take() {
            let unsent = self.withdraw(sent.id);
            // A `started` without an answer may have arrived all the same.
            knows_us |= sent.event == Event::Started && !unsent;
        }
        if knows_us && self.settings.tell_stopped {
            self.send(at, number, Event::Stopped);
        }
    }

    /// The torrent has just become complete, or was so from the start (to be
    /// called before [`Self::start`] then, so that no tracker counts it as a
    /// download).
    pub fn completed(&mut self, now: Instant) {
        self.complete = true;
        self.advance(now);
    }

    /// Something that was there is missing: the torrent is not complete any
    /// more. Trackers that have heard of its completion are not told again.
    pub fn incomplete(&mut self) {
        self.complete = false;
    }

    /// Whether everything wanted is there although the torrent is not
    /// complete: regular announces then say so (BEP 21).
    pub fn set_upload_only(&mut self, upload_only: bool) {
        self.upload_only = upload_only;
    }

    /// Announces as soon as the trackers' minimal intervals allow (or at once,
    /// with `ignore_min`): to the tracker in row `index`, whatever its turn, or
    /// to the one whose turn it is. Waits after failures end.
    pub fn reannounce(&mut self, now: Instant, index: Option<usize>, ignore_min: bool) {
        match index {
            None => {
                let trackers = self.trackers.iter_mut();
                trackers.for_each(|tracker| tracker.hurry(ignore_min));
            }
            Some(index) => {
                let Some(tracker) = self.trackers.get_mut(index) else {
                    return;
                };
                tracker.hurry(ignore_min);
                tracker.gave_up = false;
                for endpoint in &mut tracker.endpoints {
                    endpoint.forced = true;
                }
            }
        }
        self.advance(now);
    }

    /// Asks the tracker in row `index` for the numbers of the swarm; without an
    /// index, the one that answered last, or the first. Whether there is one.
    pub fn scrape(&mut self, index: Option<usize>) -> bool {
        let working = self.last_working.as_deref();
        let first = || self.order.first().and_then(|&at| self.trackers.get(at));
        let tracker = match index {
            Some(index) => self.trackers.get(index),
            None => {
                let mut trackers = self.trackers.iter();
                let last = trackers.find(|tracker| Some(tracker.url.as_str()) == working);
                last.or_else(first)
            }
        };
        let Some(tracker) = tracker.filter(|tracker| tracker.problem.is_none()) else {
            return false;
        };
        let url = tracker.url.clone();
        let in_reach = tracker.endpoints.iter();
        let in_reach = in_reach.filter(|endpoint| endpoint.away.is_none());
        let locals: Vec<SocketAddr> = in_reach.map(|endpoint| endpoint.local).collect();
        for &local in &locals {
            let id = self.take_id();
            self.scrapes.insert(id, (url.clone(), local));
            let url = url.clone();
            self.requests
                .push_back(TrackerRequest::Scrape(ScrapeRequest { id, url, local }));
        }
        !locals.is_empty()
    }

    /// A scrape has been answered, or not (`None`). Whether it was still of
    /// interest.
    pub fn on_scrape(&mut self, id: RequestId, reply: Option<&ScrapeReply>) -> bool {
        let Some((url, local)) = self.scrapes.remove(&id) else {
            return false;
        };
        let mut trackers = self.trackers.iter_mut();
        let Some(tracker) = trackers.find(|tracker| tracker.url == url) else {
            return false;
        };
        let mut endpoints = tracker.endpoints.iter_mut();
        let endpoint = endpoints.find(|endpoint| endpoint.local == local);
        if let (Some(endpoint), Some(reply)) = (endpoint, reply) {
            endpoint.scraped(reply);
        }
        true
    }

    /// A tracker has answered; `None` if the request was no longer of
    /// interest: then neither are the reply's peers.
    pub fn on_reply(&mut self, now: Instant, id: RequestId, reply: &Reply) -> Option<Answered> {
        let (at, number) = self.find(id)?;
        let tracker = self.trackers.get_mut(at)?;
        let endpoint = tracker.endpoints.get_mut(number)?;
        let told = endpoint.answered(now, reply, &self.settings);
        tracker.verified = true;
        tracker.told_complete |= told == Some(Event::Completed);
        let is_new = tracker.learn_id(reply.tracker_id.as_ref());
        self.last_working = Some(tracker.url.clone());
        self.promote(at);
        self.advance(now);
        Some(Answered {
            new_tracker_id: reply.tracker_id.clone().filter(|_| is_new),
        })
    }

    /// An announce has failed. How often in a row it has for this tracker from
    /// this endpoint; `None` if that is nobody's concern: the request was no
    /// longer of interest, or another endpoint may reach the tracker.
    pub fn on_failure(&mut self, now: Instant, id: RequestId, failure: &Failure) -> Option<u32> {
        let (at, number) = self.find(id)?;
        let tracker = self.trackers.get_mut(at)?;
        let endpoint = tracker.endpoints.get_mut(number)?;
        endpoint.failed(now, failure, &self.settings);
        tracker.gave_up |= failure.retry == Retry::Never;
        let out_of_reach = tracker.is_out_of_reach();
        if out_of_reach {
            // We may be offline for a while.
            let endpoints = tracker.endpoints.iter_mut();
            endpoints.for_each(|endpoint| endpoint.retry_later(now, &self.settings));
        }
        let fails = tracker.endpoints.get(number).map(|endpoint| endpoint.fails);
        self.advance(now);
        fails.filter(|_| out_of_reach || failure.retry != Retry::NotFromHere)
    }

    /// Asks who is due. To be called at [`Self::poll_timeout`].
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
    }

    /// The next request to carry out.
    pub fn poll_output(&mut self) -> Option<TrackerRequest> {
        self.requests.pop_front()
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        // Whoever is due at once has been asked by the call that made it so.
        self.plan().into_iter().filter_map(|turn| turn.due).min()
    }

    /// When the next announce is due: now, if it is on its way.
    pub fn next_announce(&self, now: Instant) -> Option<Instant> {
        let mut endpoints = self.trackers.iter().flat_map(|tracker| &tracker.endpoints);
        if endpoints.any(|endpoint| endpoint.in_flight.is_some()) {
            return (self.run == Run::Running).then_some(now);
        }
        self.poll_timeout()
    }

    /// Whether no announce is waiting or under way.
    pub fn is_quiet(&self) -> bool {
        let mut endpoints = self.trackers.iter().flat_map(|tracker| &tracker.endpoints);
        self.requests.is_empty() && endpoints.all(|endpoint| endpoint.in_flight.is_none())
    }

    /// The tracker that answered last.
    pub fn last_working(&self) -> Option<&str> {
        self.last_working.as_deref()
    }

    /// The numbers of the swarm: the highest of any tracker.
    pub fn swarm(&self) -> ScrapeReply {
        let endpoints = self.trackers.iter().flat_map(|tracker| &tracker.endpoints);
        most(endpoints.map(|endpoint| &endpoint.swarm))
    }

    /// All trackers, in the order in which they were given.
    pub fn status(&self, now: Instant) -> Vec<TrackerRow> {
        let plan = self.plan();
        let row = |(at, tracker)| {
            TrackerRow::new(tracker, now, |endpoint| {
                let mut turns = plan.iter();
                let turn = turns.find(|turn| turn.tracker == at && turn.endpoint == endpoint);
                turn.map(|turn| turn.due)
            })
        };
        self.trackers.iter().enumerate().map(row).collect()
    }

    /// The trackers that have a turn coming, for each endpoint in the order of
    /// trying.
    fn plan(&self) -> Vec<Turn> {
        let mut turns = Vec::new();
        if self.run == Run::Running && self.enabled {
            for endpoint in 0..self.locals.len() {
                self.plan_endpoint(endpoint, &mut turns);
            }
        }
        turns
    }

    fn plan_endpoint(&self, number: usize, turns: &mut Vec<Turn>) {
        let AnnouncerSettings {
            all_trackers,
            all_tiers,
            ..
        } = self.settings;
        // The tier of the last tracker that works.
        let mut shield: Option<u32> = None;
        for &at in &self.order {
            let Some(tracker) = self.trackers.get(at) else {
                continue;
            };
            let Some(endpoint) = tracker.endpoints.get(number) else {
                continue;
            };
            if !tracker.is_askable(endpoint) {
                continue;
            }
            let same_tier = shield == Some(tracker.tier);
            let in_turn = match shield {
                None => true,
                Some(_) if same_tier => all_trackers,
                Some(_) => all_tiers,
            };
            let owes = tracker.owes_completed(endpoint, self.complete);
            if in_turn && endpoint.is_working() {
                shield = Some(tracker.tier);
            }
            if endpoint.in_flight.is_none() && (in_turn || endpoint.forced || owes) {
                turns.push(Turn {
                    tracker: at,
                    endpoint: number,
                    due: endpoint.due(owes),
                });
            }
        }
    }

    fn advance(&mut self, now: Instant) {
        for turn in self.plan() {
            let Some(tracker) = self.trackers.get(turn.tracker) else {
                continue;
            };
            let Some(endpoint) = tracker.endpoints.get(turn.endpoint) else {
                continue;
            };
            // Another endpoint may have taken over to tell of the completion.
            let owes = tracker.owes_completed(endpoint, self.complete);
            if endpoint.due(owes).is_some_and(|due| due > now) {
                continue;
            }
            let event = tracker.event(endpoint, self.complete, self.upload_only);
            self.send(turn.tracker, turn.endpoint, event);
        }
    }

    fn send(&mut self, at: usize, number: usize, event: Event) {
        let id = self.take_id();
        let Some(tracker) = self.trackers.get_mut(at) else {
            return;
        };
        let Some(endpoint) = tracker.endpoints.get_mut(number) else {
            return;
        };
        endpoint.sent(id, event, self.complete);
        self.requests
            .push_back(TrackerRequest::Announce(AnnounceRequest {
                id,
                url: tracker.url.clone(),
                local: endpoint.local,
                event,
                tracker_id: tracker.tracker_id.clone(),
                num_want: match event {
                    Event::Stopped => 0,
                    _ => self.settings.num_want,
                },
            }));
    }

    fn take_id(&mut self) -> RequestId {
        self.next_id += 1;
        RequestId(self.next_id)
    }

    /// Takes an announce back. Whether it had not been polled yet.
    fn withdraw(&mut self, id: RequestId) -> bool {
        let before = self.requests.len();
        self.requests.retain(|request| match request {
            TrackerRequest::Announce(announce) => announce.id != id,
            TrackerRequest::Scrape(_) => true,
        });
        self.requests.len() < before
    }

    fn find(&self, id: RequestId) -> Option<(usize, usize)> {
        let mut trackers = self.trackers.iter().enumerate();
        trackers.find_map(|(at, tracker)| Some((at, tracker.sender(id)?)))
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
