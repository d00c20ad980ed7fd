//! Which tracker each of our endpoints announces to next, and when. A call that
//! may have made a tracker due ends in [`Announcer::advance`], which asks it.

use std::time::Instant;

use super::{Announcer, AnnouncerSettings, Run};

/// A tracker that is announced to next from one of our endpoints.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScheduledAnnounce {
    pub(super) tracker: usize,
    pub(super) endpoint: usize,
    /// When it comes; `None` at once.
    pub(super) due: Option<Instant>,
}

impl Announcer {
    /// The trackers that are announced to next, for each endpoint in the order of
    /// trying.
    pub(super) fn plan(&self) -> Vec<ScheduledAnnounce> {
        let mut announces = Vec::new();
        if self.run == Run::Running && self.enabled {
            for endpoint in 0..self.locals.len() {
                self.plan_endpoint(endpoint, &mut announces);
            }
        }
        announces
    }

    fn plan_endpoint(&self, number: usize, announces: &mut Vec<ScheduledAnnounce>) {
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
            let in_order = match shield {
                None => true,
                Some(_) if same_tier => all_trackers,
                Some(_) => all_tiers,
            };
            let owes = tracker.owes(endpoint, self.complete);
            if in_order && endpoint.is_working() {
                shield = Some(tracker.tier);
            }
            if endpoint.in_flight.is_none() && (in_order || endpoint.forced || owes) {
                announces.push(ScheduledAnnounce {
                    tracker: at,
                    endpoint: number,
                    due: endpoint.due(owes),
                });
            }
        }
    }

    /// Something has changed: asks who is due.
    pub(super) fn advance(&mut self, now: Instant) {
        self.revision += 1;
        self.ask_due(now);
    }

    pub(super) fn ask_due(&mut self, now: Instant) {
        for announce in self.plan() {
            let Some(tracker) = self.trackers.get(announce.tracker) else {
                continue;
            };
            let Some(endpoint) = tracker.endpoints.get(announce.endpoint) else {
                continue;
            };
            // Another endpoint may have taken over to announce the completion.
            let owes = tracker.owes(endpoint, self.complete);
            if endpoint.due(owes).is_some_and(|due| due > now) {
                continue;
            }
            let event = tracker.event(endpoint, self.complete, self.upload_only);
            self.send(announce.tracker, announce.endpoint, event);
        }
    }
}
