//! One tracker of a torrent, with the state that it has for each of our
//! endpoints.

use std::net::SocketAddr;

use super::endpoint::Endpoint;
use super::request::RequestId;
use super::{AnnounceEvent, tracker_host};

#[derive(Debug)]
pub(super) struct Tracker {
    pub(super) url: String,
    pub(super) tier: u32,
    /// It is asked by UDP.
    pub(super) udp: bool,
    /// The machine that its URL names; empty when it names none.
    pub(super) host: String,
    /// Why its URL cannot be announced to.
    pub(super) problem: Option<String>,
    /// It asked never to be asked again.
    pub(super) gave_up: bool,
    /// Failures in a row after which it is not asked any more; 0 never.
    pub(super) fail_limit: u8,
    pub(super) tracker_id: Option<Vec<u8>>,
    pub(super) verified: bool,
    /// The completion was announced to it; once is enough, from whatever
    /// endpoint.
    pub(super) completed_sent: bool,
    pub(super) endpoints: Vec<Endpoint>,
}

impl Tracker {
    pub(super) fn new(url: String, tier: u32, international: bool, locals: &[SocketAddr]) -> Self {
        let found = tracker_host(&url, international);
        let (udp, host) = found
            .as_ref()
            .map_or((false, String::new()), |at| (at.udp, at.host.to_string()));
        Self {
            url,
            tier,
            udp,
            host,
            problem: found.err().map(|error| error.to_string()),
            gave_up: false,
            fail_limit: 0,
            tracker_id: None,
            verified: false,
            completed_sent: false,
            endpoints: locals.iter().copied().map(Endpoint::new).collect(),
        }
    }

    /// Uses these endpoints of ours; what is known of those that stay is kept.
    pub(super) fn set_endpoints(&mut self, locals: &[SocketAddr]) {
        let mut old = std::mem::take(&mut self.endpoints);
        let kept = |local: SocketAddr| {
            let at = old.iter().position(|endpoint| endpoint.local == local);
            at.map_or_else(|| Endpoint::new(local), |at| old.swap_remove(at))
        };
        self.endpoints = locals.iter().copied().map(kept).collect();
    }

    /// Whether it may be asked from this endpoint at all.
    pub(super) fn is_askable(&self, endpoint: &Endpoint) -> bool {
        let limit = u32::from(self.fail_limit);
        self.problem.is_none() && !self.gave_up && (limit == 0 || endpoint.fails < limit)
    }

    /// It knows us at this endpoint but not yet that the torrent is complete.
    pub(super) fn owes_completed(&self, endpoint: &Endpoint, complete: bool) -> bool {
        let announced = |endpoint: &Endpoint| endpoint.is_announcing(AnnounceEvent::Completed);
        complete
            && endpoint.knows_us
            && !endpoint.knows_complete
            && !self.completed_sent
            && !self.endpoints.iter().any(announced)
    }

    /// It knows of damage at this endpoint that is repaired: it is sent the
    /// numbers, not of another download.
    fn owes_repair(&self, endpoint: &Endpoint, complete: bool) -> bool {
        complete && endpoint.knows_us && endpoint.knows_damage
    }

    /// It is to learn at once that the torrent is complete.
    pub(super) fn owes(&self, endpoint: &Endpoint, complete: bool) -> bool {
        self.owes_completed(endpoint, complete) || self.owes_repair(endpoint, complete)
    }

    /// What a regular announce has to say now.
    pub(super) fn event(
        &self,
        endpoint: &Endpoint,
        complete: bool,
        upload_only: bool,
    ) -> AnnounceEvent {
        if !endpoint.knows_us {
            AnnounceEvent::Started
        } else if self.owes_completed(endpoint, complete) {
            AnnounceEvent::Completed
        } else if upload_only && !complete {
            AnnounceEvent::Paused
        } else {
            AnnounceEvent::None
        }
    }

    /// Whether none of our endpoints reaches it.
    pub(super) fn is_out_of_reach(&self) -> bool {
        self.endpoints
            .iter()
            .all(|endpoint| endpoint.away.is_some())
    }

    /// Makes it due as soon as it lets us, or at once.
    pub(super) fn make_due(&mut self, ignore_min: bool) {
        for endpoint in &mut self.endpoints {
            endpoint.make_due(ignore_min);
        }
    }

    /// The endpoint from which this announce went out.
    pub(super) fn sender(&self, id: RequestId) -> Option<usize> {
        self.endpoints
            .iter()
            .position(|endpoint| endpoint.in_flight.is_some_and(|sent| sent.id == id))
    }

    /// Keeps what it wants to receive in later announces. Whether it is new.
    pub(super) fn learn_id(&mut self, id: Option<&Vec<u8>>) -> bool {
        let is_new = id.is_some() && self.tracker_id.as_ref() != id;
        if is_new {
            self.tracker_id = id.cloned();
        }
        is_new
    }
}
