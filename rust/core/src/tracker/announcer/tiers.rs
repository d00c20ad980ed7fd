//! The list of trackers and the order in which they are tried (BEP 12).
//!
//! The driver sets the list whenever it changes. A tracker that answers moves
//! to the front of its tier; one that leaves the list is sent `stopped`.

use std::collections::HashSet;
use std::time::Instant;

use rand::seq::SliceRandom;

use super::{AnnounceRequest, Announcer, TrackerRequest};
use crate::tracker::AnnounceEvent;
use crate::tracker::entry::Tracker;

/// Trackers of one torrent, at most; a file may name any number.
pub(super) const MAX_TRACKERS: usize = 1000;

impl Announcer {
    /// Uses these tiers (BEP 12). Trackers that were there before keep what is
    /// known of them; those that are gone are sent `stopped`, and the answer
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

    /// The last announce to a tracker that is no longer ours.
    fn part_with(&mut self, gone: Tracker) {
        for endpoint in gone.endpoints {
            if endpoint.is_announcing(AnnounceEvent::Stopped) {
                continue;
            }
            let unsent = endpoint
                .in_flight
                .is_some_and(|sent| super::withdraw(&mut self.requests, sent.id));
            let greeted = endpoint.is_announcing(AnnounceEvent::Started) && !unsent;
            if self.settings.announce_stopped && (endpoint.knows_us || greeted) {
                let id = self.take_id();
                self.requests
                    .push_back(TrackerRequest::Announce(AnnounceRequest {
                        id,
                        url: gone.url.clone(),
                        local: endpoint.local,
                        event: AnnounceEvent::Stopped,
                        tracker_id: gone.tracker_id.clone(),
                        num_want: 0,
                    }));
            }
        }
    }

    /// Moves the tracker `at` to the front of its tier.
    pub(super) fn promote(&mut self, at: usize) {
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
