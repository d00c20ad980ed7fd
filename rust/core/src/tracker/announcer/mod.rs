//! Who is asked, and when (BEP 12).
//!
//! [`Announcer`] belongs to the task of its torrent. Here is what happens to it
//! and what it sends; `tiers` has the list of trackers, `schedule` says who is
//! due, `scrapes` asks for the numbers of the swarm.

mod schedule;
mod scrapes;
#[cfg(test)]
mod tests;
mod tiers;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::{SeedableRng, rngs::StdRng};

use super::entry::Tracker;
use super::reply::{Reply, Retry, TrackerFailure};
use super::request::{AnnounceRequest, RequestId, ScrapeRequest, TrackerRequest};
use super::settings::AnnouncerSettings;
use super::status::{TrackerRow, most};
use super::{AnnounceEvent, ScrapeReply};

/// What became of an announce that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// What the tracker wants to receive in later announces, if it is new.
    pub new_tracker_id: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    Stopped,
    Running,
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
    revision: u64,
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
            revision: 0,
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

    /// Whether an announce was requested.
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

    /// Announces to every tracker that knows us that we stop, unless the settings want
    /// no such announce. Answers to earlier announces are ignored from now on.
    /// [`Self::is_quiet`] says when all of that is done; the driver may as well drop
    /// the requests after `stop_tracker_timeout`.
    pub fn stop(&mut self) {
        if self.run == Run::Stopped {
            return;
        }
        self.revision += 1;
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
        if endpoint.is_announcing(AnnounceEvent::Stopped) {
            return;
        }
        let mut knows_us = std::mem::take(&mut endpoint.knows_us);
        if let Some(sent) = endpoint.in_flight.take()
            && !withdraw(&mut self.requests, sent.id)
        {
            // An announce without an answer may have arrived all the same.
            knows_us |= sent.event == AnnounceEvent::Started;
            endpoint.knows_complete |= sent.complete;
        }
        if knows_us && self.settings.announce_stopped {
            self.send(at, number, AnnounceEvent::Stopped);
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
    /// more. Trackers that were informed of its completion are not informed of another
    /// one; those that were informed of the damage learn at once when it is
    /// repaired, by an announce without an event.
    pub fn incomplete(&mut self) {
        self.revision += 1;
        self.complete = false;
    }

    /// Whether everything wanted is there although the torrent is not
    /// complete: regular announces then say so (BEP 21).
    pub fn set_upload_only(&mut self, upload_only: bool) {
        self.revision += 1;
        self.upload_only = upload_only;
    }

    /// Announces as soon as the trackers' minimal intervals allow (or at once,
    /// with `ignore_min`): to the tracker in row `index`, whatever its turn, or
    /// to the one whose turn it is. Waits after failures end.
    pub fn reannounce(&mut self, now: Instant, index: Option<usize>, ignore_min: bool) {
        match index {
            None => {
                let trackers = self.trackers.iter_mut();
                trackers.for_each(|tracker| tracker.make_due(ignore_min));
            }
            Some(index) => {
                let Some(tracker) = self.trackers.get_mut(index) else {
                    return;
                };
                tracker.make_due(ignore_min);
                tracker.gave_up = false;
                for endpoint in &mut tracker.endpoints {
                    endpoint.forced = true;
                }
            }
        }
        self.advance(now);
    }

    /// A tracker has answered; `None` if the request was no longer of
    /// interest: then neither are the reply's peers.
    pub fn on_reply(&mut self, now: Instant, id: RequestId, reply: &Reply) -> Option<Answered> {
        let (at, number) = self.find(id)?;
        let tracker = self.trackers.get_mut(at)?;
        let endpoint = tracker.endpoints.get_mut(number)?;
        let announced = endpoint.answered(now, reply, &self.settings, tracker.completed_sent);
        tracker.verified = true;
        tracker.completed_sent |= announced == Some(AnnounceEvent::Completed);
        let is_new = tracker.learn_id(reply.tracker_id.as_ref());
        self.last_working = Some(tracker.url.clone());
        self.promote(at);
        self.advance(now);
        Some(Answered {
            new_tracker_id: reply.tracker_id.clone().filter(|_| is_new),
        })
    }

    /// An announce has failed. How often in a row it has for this tracker from
    /// this endpoint; `None` if that is of no interest: the request was no
    /// longer of interest, or another endpoint may reach the tracker.
    pub fn on_failure(
        &mut self,
        now: Instant,
        id: RequestId,
        failure: &TrackerFailure,
    ) -> Option<u32> {
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

    /// The machine was asleep, and the clock that `now` is of has not counted
    /// `uncounted` of it: trackers have.
    pub fn woke_up(&mut self, now: Instant, uncounted: Duration) {
        let endpoints = self.trackers.iter_mut();
        let endpoints = endpoints.flat_map(|tracker| &mut tracker.endpoints);
        endpoints.for_each(|endpoint| endpoint.bring_forward(uncounted));
        self.advance(now);
    }

    /// Asks who is due. To be called at [`Self::poll_timeout`].
    pub fn handle_timeout(&mut self, now: Instant) {
        self.ask_due(now);
    }

    /// The next request to carry out.
    pub fn poll_output(&mut self) -> Option<TrackerRequest> {
        self.requests.pop_front()
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        // What is due at once was requested by the call that made it so.
        self.plan()
            .into_iter()
            .filter_map(|announce| announce.due)
            .min()
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

    /// Another number whenever [`Self::status`] has changed by more than that
    /// time has passed. It may be another one without such a change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// All trackers, in the order in which they were given.
    pub fn status(&self, now: Instant) -> Vec<TrackerRow> {
        let plan = self.plan();
        let row = |(at, tracker)| {
            TrackerRow::new(tracker, now, |endpoint| {
                let mut announces = plan.iter();
                let announce = announces
                    .find(|announce| announce.tracker == at && announce.endpoint == endpoint);
                announce.map(|announce| announce.due)
            })
        };
        self.trackers.iter().enumerate().map(row).collect()
    }

    fn send(&mut self, at: usize, number: usize, event: AnnounceEvent) {
        self.revision += 1;
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
                    AnnounceEvent::Stopped => 0,
                    _ => self.settings.num_want,
                },
            }));
    }

    fn take_id(&mut self) -> RequestId {
        self.next_id += 1;
        RequestId(self.next_id)
    }

    fn find(&self, id: RequestId) -> Option<(usize, usize)> {
        let mut trackers = self.trackers.iter().enumerate();
        trackers.find_map(|(at, tracker)| Some((at, tracker.sender(id)?)))
    }
}

/// Takes an announce back. Whether it had not been polled yet.
fn withdraw(requests: &mut VecDeque<TrackerRequest>, id: RequestId) -> bool {
    let before = requests.len();
    requests.retain(|request| match request {
        TrackerRequest::Announce(announce) => announce.id != id,
        TrackerRequest::Scrape(_) => true,
    });
    requests.len() < before
}
