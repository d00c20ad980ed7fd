//! Asking a tracker for the numbers of the swarm (BEP 48): at the user's request
//! only, whatever its turn.

use std::net::SocketAddr;

use super::{Announcer, RequestId, ScrapeRequest, TrackerRequest};
use crate::tracker::ScrapeReply;

impl Announcer {
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
            self.revision += 1;
        }
        true
    }
}
