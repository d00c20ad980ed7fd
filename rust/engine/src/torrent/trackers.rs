//! Announces and scrapes of a torrent: carries out what the announcer plans.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use torrent_core::address::is_local;
use torrent_core::external_ip::Witness;
use torrent_core::ids::BLOCK_SIZE;
use torrent_core::peer::EncryptionPolicy;
use torrent_core::peerlist::Sources;
use torrent_core::settings::Settings;
use torrent_core::tracker::{
    AnnounceRequest, AnnounceStats, Announcer, AnnouncerSettings, Reply, ScrapeReply,
    ScrapeRequest, TrackerRequest,
};

use super::Driver;
use super::completion::CompletionGuard;
use crate::discovery::tracker::TrackerError;
use crate::event::command_sequence::CommandTopic;
use crate::event::{EventBody, TrackerFact, TrackerNews};
use crate::torrent::handle::TorrentHandle;
use crate::torrent::handle::snapshots::known;

/// How a request to a tracker ended.
pub(super) enum TrackerOutcome {
    Announced(AnnounceRequest, Result<Reply, TrackerError>),
    Scraped(
        ScrapeRequest,
        Result<ScrapeReply, TrackerError>,
        CompletionGuard,
    ),
}

/// What had been transferred when the torrent began to announce itself:
/// trackers are sent what came since (BEP 3).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Baseline {
    sent: u64,
    received: u64,
    failed: u64,
    redundant: u64,
}

/// The announcer's view of the settings.
fn settings(settings: &Settings) -> AnnouncerSettings {
    AnnouncerSettings {
        num_want: settings.num_want as u32,
        min_interval: Duration::from_secs(settings.min_announce_interval.unsigned_abs()),
        backoff_percent: settings.tracker_backoff as u32,
        all_trackers: settings.announce_to_all_trackers,
        all_tiers: settings.announce_to_all_tiers,
        prefer_udp: settings.prefer_udp_trackers,
        international: settings.allow_idna,
        announce_stopped: settings.stop_tracker_timeout > 0,
    }
}

/// The announcer of a new torrent.
pub(super) fn announcer(
    handle: &TorrentHandle,
    now: Instant,
    config: &Settings,
    listening: &[SocketAddr],
    seed: u64,
) -> Announcer {
    let locals = endpoints(listening);
    let options = handle.shared.options.lock();
    let mut announcer = Announcer::new(settings(config), locals, seed);
    announcer.set_fail_limits(now, HashMap::clone(&options.fail_limits));
    announcer.set_tiers(now, &options.trackers);
    announcer
}

/// The endpoints to announce.
fn endpoints(listening: &[SocketAddr]) -> Vec<SocketAddr> {
    if !listening.is_empty() {
        return listening.to_vec();
    }
    // No peer can connect to us, but we can ask for others.
    vec![
        (Ipv4Addr::UNSPECIFIED, 0).into(),
        (Ipv6Addr::UNSPECIFIED, 0).into(),
    ]
}

impl Driver {
    /// Begins to announce.
    pub(super) fn start_announcing(&mut self, now: Instant) {
        if self.announcing.announcer.is_running() {
            return;
        }
        // A torrent that begins complete has not just been downloaded.
        if self.brain.has_metadata() && self.brain.picker().is_seed() {
            self.announcing.announcer.completed(now);
        }
        let totals = self.brain.totals();
        self.announcing.baseline = Baseline {
            sent: totals.payload_sent,
            received: totals.payload_received,
            failed: totals.failed,
            redundant: totals.redundant,
        };
        self.announcing.announcer.start(now);
    }

    /// Announces to trackers that we stop, with the numbers as they are now: what the
    /// torrent does next may change them.
    pub(super) fn stop_announcing(&mut self) {
        self.announcing.announcer.stop();
        self.announce_pending();
    }

    /// Puts changed settings into effect.
    pub(super) fn set_announcer(&mut self, config: &Settings) {
        self.announcing
            .announcer
            .set_settings(Instant::now(), settings(config));
    }

    /// Uses the trackers that the game wants.
    pub(super) fn trackers_changed(&mut self, now: Instant) {
        let options = {
            let options = self.handle.shared.options.lock();
            let asked = &self.handle.shared.asked;
            asked.saw(CommandTopic::Trackers, asked.last(CommandTopic::Trackers));
            options.clone()
        };
        self.announcing
            .announcer
            .set_fail_limits(now, HashMap::clone(&options.fail_limits));
        self.announcing.announcer.set_tiers(now, &options.trackers);
        self.times.times.snapshot_now();
    }

    /// Starts the requests that are due.
    pub(super) fn announce_pending(&mut self) {
        let listening = self.context.services.network.listening();
        if !Arc::ptr_eq(&listening, &self.announcing.endpoints) {
            self.announcing
                .announcer
                .set_endpoints(Instant::now(), endpoints(&listening));
            self.announcing.endpoints = listening;
        }
        while let Some(request) = self.announcing.announcer.poll_output() {
            match request {
                TrackerRequest::Announce(request) => self.announce(request),
                TrackerRequest::Scrape(request) => self.scrape(request),
            }
        }
    }

    fn announce(&mut self, request: AnnounceRequest) {
        self.context.services.stats.num_announces.add(1);
        self.tracker_news(
            &request.url,
            request.local,
            TrackerFact::Announce(request.event),
        );
        let report = self.announce_report(request.local);
        let (context, filtered) = (Arc::clone(&self.context), self.peers.filtered);
        self.announcing.tasks.spawn(async move {
            let asked = context.trackers.announce(&request, &report, filtered);
            let result = asked.await;
            TrackerOutcome::Announced(request, result)
        });
    }

    fn scrape(&mut self, request: ScrapeRequest) {
        let info_hash = self.handle.info_hash();
        let (context, filtered) = (Arc::clone(&self.context), self.peers.filtered);
        let (url, local) = (request.url.to_string(), request.local);
        let guard = self.guard(move |error| {
            EventBody::Tracker(TrackerNews {
                url,
                local,
                what: TrackerFact::ScrapeFailed(error.to_string()),
            })
        });
        self.announcing.tasks.spawn(async move {
            let asked = context.trackers.scrape(&request, info_hash, filtered);
            let result = asked.await;
            TrackerOutcome::Scraped(request, result, guard)
        });
    }

    fn announce_report(&mut self, local: SocketAddr) -> AnnounceStats {
        let session = Arc::clone(&self.context.services);
        let settings = session.settings.borrow();
        let layout = self.brain.layout();
        let left = if self.brain.has_metadata() {
            let done = self.brain.picker().done();
            layout.total_length().saturating_sub(done)
        } else {
            // Not a seed, whatever a check finds later.
            u64::from(BLOCK_SIZE)
        };
        // A private tracker is the only source of peers (BEP 27), so it may know
        // where else we are; others have no need to.
        let private = self.handle.is_private();
        let listening = session.network.listening();
        let elsewhere: Vec<IpAddr> = listening
            .iter()
            .map(SocketAddr::ip)
            .filter(|ip| private && !ip.is_unspecified() && !is_local(*ip))
            .collect();
        let base = self.announcing.baseline;
        let totals = self.brain.totals();
        let failed = totals.failed.saturating_sub(base.failed);
        let redundant = totals.redundant.saturating_sub(base.redundant);
        AnnounceStats {
            info_hash: self.handle.info_hash(),
            peer_id: self.handle.shared.identity.peer_id,
            port: match u16::try_from(settings.announce_port) {
                Ok(0) | Err(_) => local.port(),
                Ok(port) => port,
            },
            key: self.announcing.key,
            uploaded: totals.payload_sent.saturating_sub(base.sent),
            downloaded: totals
                .payload_received
                .saturating_sub(base.received)
                .saturating_sub(failed)
                .saturating_sub(redundant),
            left,
            corrupt: failed,
            supports_encryption: settings.announce_crypto_support
                && EncryptionPolicy::incoming(&settings) != EncryptionPolicy::Disabled,
            redundant: settings.report_redundant_bytes.then_some(redundant),
            ip: settings.announce_ip.clone(),
            ipv4: elsewhere
                .iter()
                .filter_map(|ip| match ip {
                    IpAddr::V4(ip) => Some(*ip),
                    IpAddr::V6(_) => None,
                })
                .collect(),
            ipv6: elsewhere
                .iter()
                .filter_map(|ip| match ip {
                    IpAddr::V4(_) => None,
                    IpAddr::V6(ip) => Some(*ip),
                })
                .collect(),
        }
    }

    pub(super) fn announce_done(&mut self, outcome: TrackerOutcome) {
        match outcome {
            TrackerOutcome::Announced(request, Ok(reply)) => self.announced(&request, reply),
            TrackerOutcome::Announced(request, Err(error)) => {
                self.announce_failed(&request, &error)
            }
            TrackerOutcome::Scraped(request, result, guard) => {
                guard.complete();
                self.scraped(&request, result);
            }
        }
        self.times.times.snapshot_now();
    }

    fn announced(&mut self, request: &AnnounceRequest, reply: Reply) {
        let now = Instant::now();
        let AnnounceRequest { id, url, local, .. } = request;
        let Some(answered) = self.announcing.announcer.on_reply(now, *id, &reply) else {
            return;
        };
        // A consumer that gets the answer finds the tracker as it left it.
        self.publish(now);
        if let Some(warning) = reply.warning {
            self.tracker_news(url, *local, TrackerFact::Warning(warning));
        }
        if let Some(tracker_id) = answered.new_tracker_id {
            self.tracker_news(
                url,
                *local,
                TrackerFact::TrackerId(String::from_utf8_lossy(&tracker_id).into_owned()),
            );
        }
        if let (Some(ip), Some(tracker)) = (reply.external_ip, reply.tracker) {
            self.context.services.seen_as(ip, tracker, Witness::Tracker);
        }
        let num_peers = reply.peers.len() as u32;
        self.tracker_news(url, *local, TrackerFact::Reply { num_peers });
        self.add_peers(now, reply.peers, Sources::TRACKER);
    }

    fn announce_failed(&mut self, request: &AnnounceRequest, error: &TrackerError) {
        self.context.services.stats.num_failed_announces.add(1);
        let AnnounceRequest { id, url, local, .. } = request;
        let now = Instant::now();
        let failed = self
            .announcing
            .announcer
            .on_failure(now, *id, &error.failure());
        if let Some(times_in_row) = failed {
            self.publish(now);
            self.tracker_news(
                url,
                *local,
                TrackerFact::Error {
                    error: error.to_string(),
                    failure_reason: error.failure_reason().to_owned(),
                    operation: error.operation(),
                    times_in_row,
                },
            );
        }
    }

    fn scraped(&mut self, request: &ScrapeRequest, result: Result<ScrapeReply, TrackerError>) {
        let ScrapeRequest { id, url, local } = request;
        if !self
            .announcing
            .announcer
            .on_scrape(*id, result.as_ref().ok())
        {
            return;
        }
        match result {
            Ok(reply) => {
                // A consumer that gets the numbers finds them in the status too.
                self.publish(Instant::now());
                self.tracker_news(
                    url,
                    *local,
                    TrackerFact::Scraped {
                        complete: known(reply.complete),
                        incomplete: known(reply.incomplete),
                    },
                );
            }
            Err(error) => {
                self.tracker_news(url, *local, TrackerFact::ScrapeFailed(error.to_string()))
            }
        }
    }

    fn tracker_news(&self, url: &str, local: SocketAddr, what: TrackerFact) {
        let url = url.to_owned();
        self.post_body(EventBody::Tracker(TrackerNews { url, local, what }));
    }
}
