//! How trackers do, as users see it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::ScrapeReply;
use super::endpoint::Endpoint;
use super::entry::Tracker;

/// How a tracker does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrackerState {
    /// It has not been asked yet.
    #[default]
    NotContacted,
    /// It is being asked.
    Updating,
    /// It answered the last time.
    Working,
    /// It failed the last time, or its URL cannot be used.
    Error,
}

impl TrackerState {
    /// The state's name in status rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotContacted => "not_contacted",
            Self::Updating => "updating",
            Self::Working => "working",
            Self::Error => "error",
        }
    }
}

/// One tracker at one moment. Where our endpoints differ, the one that does
/// best counts for all.
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
    /// Failures in a row after which it is not asked any more; 0 never.
    pub fail_limit: u8,
    /// The error of its last failure, or what is wrong with its URL; empty
    /// when it works.
    pub last_error: String,
    /// What it knows of the swarm: the highest numbers of any endpoint.
    pub swarm: ScrapeReply,
    /// It has answered at least once.
    pub verified: bool,
    /// What it wants to receive in later announces.
    pub tracker_id: Option<Vec<u8>>,
    /// The same for each endpoint of ours.
    pub endpoints: Vec<EndpointRow>,
}

/// One tracker, announced to from one of our endpoints, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointRow {
    /// The endpoint that we listen on.
    pub local: SocketAddr,
    /// The tracker is in reach from there.
    pub enabled: bool,
    /// How it does.
    pub state: TrackerState,
    /// Its warning, if its last answer had one.
    pub message: String,
    /// The error of the last failure; empty when it works.
    pub last_error: String,
    /// Time until the next announce; `None` when none is planned.
    pub next_announce: Option<Duration>,
    /// Time before which it wants no announce.
    pub min_announce: Duration,
    /// Failures in a row.
    pub fails: u32,
    /// What it knows of the swarm.
    pub swarm: ScrapeReply,
    /// It has received `started` from here, and not `stopped` since.
    pub start_sent: bool,
    /// It has received `completed`, or met us complete.
    pub complete_sent: bool,
}

impl TrackerRow {
    /// `plan` says for each endpoint when its next announce is due; `None` at
    /// once.
    pub(super) fn new(
        tracker: &Tracker,
        now: Instant,
        plan: impl Fn(usize) -> Option<Option<Instant>>,
    ) -> Self {
        let wait = |due: Option<Instant>| match due {
            Some(due) => due.saturating_duration_since(now),
            None => Duration::ZERO,
        };
        let endpoints: Vec<EndpointRow> = tracker
            .endpoints
            .iter()
            .enumerate()
            .map(|(at, endpoint)| EndpointRow {
                local: endpoint.local,
                enabled: endpoint.away.is_none(),
                state: state(tracker, endpoint),
                message: endpoint.message.clone(),
                last_error: endpoint.last_error.clone(),
                next_announce: plan(at).filter(|_| endpoint.away.is_none()).map(wait),
                min_announce: endpoint.min_wait(now),
                fails: endpoint.fails,
                swarm: endpoint.swarm,
                start_sent: endpoint.knows_us,
                complete_sent: endpoint.knows_complete,
            })
            .collect();
        let any = |wanted| endpoints.iter().any(|row| row.state == wanted);
        let state = [
            TrackerState::Updating,
            TrackerState::Working,
            TrackerState::NotContacted,
        ];
        let best = endpoints.iter().min_by_key(|row| {
            let tried = matches!(row.state, TrackerState::Working | TrackerState::Error);
            (!row.enabled, row.fails, !tried)
        });
        Self {
            url: tracker.url.clone(),
            tier: tracker.tier,
            state: match (&tracker.problem, tracker.endpoints.is_empty()) {
                (Some(_), _) => TrackerState::Error,
                (None, true) => TrackerState::NotContacted,
                (None, false) => state
                    .into_iter()
                    .find(|&wanted| any(wanted))
                    .unwrap_or(TrackerState::Error),
            },
            message: best.map_or_else(String::new, |row| row.message.clone()),
            next_announce: endpoints.iter().filter_map(|row| row.next_announce).min(),
            min_announce: best.map_or(Duration::ZERO, |row| row.min_announce),
            fails: best.map_or(0, |row| row.fails),
            fail_limit: tracker.fail_limit,
            last_error: match (&tracker.problem, best) {
                (Some(problem), _) => problem.clone(),
                (None, Some(row)) => row.last_error.clone(),
                (None, None) => String::new(),
            },
            swarm: most(tracker.endpoints.iter().map(|endpoint| &endpoint.swarm)),
            verified: tracker.verified,
            tracker_id: tracker.tracker_id.clone(),
            endpoints,
        }
    }
}

fn state(tracker: &Tracker, endpoint: &Endpoint) -> TrackerState {
    if endpoint.in_flight.is_some() {
        TrackerState::Updating
    } else if !tracker.is_askable(endpoint) || !endpoint.is_working() {
        TrackerState::Error
    } else if endpoint.verified {
        TrackerState::Working
    } else {
        TrackerState::NotContacted
    }
}

/// The highest of all numbers.
pub(super) fn most<'a>(all: impl Iterator<Item = &'a ScrapeReply>) -> ScrapeReply {
    all.fold(ScrapeReply::default(), |most, one| ScrapeReply {
        complete: most.complete.max(one.complete),
        incomplete: most.incomplete.max(one.incomplete),
        downloaded: most.downloaded.max(one.downloaded),
    })
}
