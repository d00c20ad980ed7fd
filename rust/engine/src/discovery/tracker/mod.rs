//! Asks trackers: carries out the requests of
//! [`Announcer`](torrent_core::tracker::Announcer), by HTTP (BEP 3, 48) or by
//! UDP (BEP 15), and reads the answers.
//!
//! A tracker's URL comes from a torrent file, that is, from an untrusted source, and
//! the request is sent from inside the user's network. What that allows is
//! decided in `net::http`; UDP trackers get nothing that a machine would act on.

mod announce_slots;
#[cfg(test)]
mod tests;
mod udp;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use torrent_core::ids::InfoHash;
use torrent_core::settings::Settings;
use torrent_core::tracker::udp::{Ask, UdpError, UdpQuery, UdpReply};
use torrent_core::tracker::{
    AnnounceEvent, AnnounceRequest, AnnounceStats, Reply, ReplyError, Retry, ScrapeReply,
    ScrapeRequest, TrackerFailure, TrackerHost, UrlError, announce_url, scrape_url, tracker_host,
};
use url::{Host, Url};

use crate::ip_filter::Filter;
use crate::net::http::{HttpClient, HttpError, Rules};
use crate::net::udp::UdpSockets;
use crate::timer::WallClock;
use announce_slots::AnnounceSlots;
use udp::UdpClient;

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum TrackerError {
    /// The tracker's URL cannot be used.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The answer makes no sense, or is a refusal.
    #[error(transparent)]
    Reply(#[from] ReplyError),
    /// The same by UDP, or silence there.
    #[error(transparent)]
    Udp(#[from] UdpError),
    /// The request by HTTP, or what both sorts have in common: names and
    /// addresses.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The request as a whole took too long.
    #[error("no complete answer within {} s", .0.as_secs())]
    Timeout(Duration),
}

impl TrackerError {
    /// libtorrent's name of the operation that failed.
    pub(crate) fn operation(&self) -> &'static str {
        match self {
            Self::Url(_) => "parse_address",
            Self::Http(error) => error.operation(),
            Self::Udp(UdpError::Send(_)) => "sock_write",
            Self::Timeout(_) | Self::Udp(UdpError::Timeout(_)) => "sock_read",
            Self::Reply(_) | Self::Udp(_) => "bittorrent",
        }
    }

    /// The tracker's own message, where it refused.
    pub(crate) fn failure_reason(&self) -> &str {
        match self {
            Self::Reply(ReplyError::Refused { reason, .. }) => reason,
            Self::Udp(UdpError::Refused(reason)) => reason,
            _ => "",
        }
    }

    /// What the announcer has to know of it.
    pub(crate) fn failure(&self) -> TrackerFailure {
        match self {
            Self::Reply(error) => error.clone().into(),
            error => TrackerFailure {
                message: error.to_string(),
                retry: match error {
                    // Gone.
                    Self::Http(HttpError::Status { code: 410, .. }) => Retry::Never,
                    Self::Http(HttpError::OutOfReach(..)) => Retry::NotFromHere,
                    _ => Retry::Backoff,
                },
            },
        }
    }
}

/// What the path of a tracker in the local network begins with, as libtorrent
/// has it.
const LOCAL_PATH: &str = "/announce";

/// The settings that count for one request.
struct AnnounceLimits {
    total: Duration,
    concurrent: usize,
    international: bool,
    http: crate::net::http::HttpLimits,
}

impl AnnounceLimits {
    fn new(settings: &Settings, event: AnnounceEvent, filtered: bool) -> Self {
        let total = match event {
            AnnounceEvent::Stopped => settings.stop_tracker_timeout,
            _ => settings.tracker_completion_timeout,
        };
        let size = |value: i64| usize::try_from(value).unwrap_or(usize::MAX);
        Self {
            total: Duration::from_secs(total.unsigned_abs()),
            concurrent: size(settings.max_concurrent_http_announces),
            international: settings.allow_idna,
            http: crate::net::http::HttpLimits {
                silence: Duration::from_secs(settings.tracker_receive_timeout.unsigned_abs()),
                body: size(settings.tracker_maximum_response_length),
                user_agent: settings.user_agent.clone(),
                validate: settings.validate_https_trackers,
                policy: crate::net::http::RequestPolicy {
                    local_path: settings.ssrf_mitigation.then_some(LOCAL_PATH),
                    filtered: filtered && settings.apply_ip_filter_to_trackers,
                },
            },
        }
    }
}

/// The session's IP filter, as it is at any moment.
pub(crate) type FilterWatch = watch::Receiver<Filter>;

/// Asks trackers for all torrents of a session.
///
/// Dropping the future of a request closes its connection, or gives its
/// exchange of datagrams up.
#[derive(Debug)]
pub(crate) struct TrackerClient {
    settings: watch::Receiver<Arc<Settings>>,
    filter: FilterWatch,
    slots: AnnounceSlots,
    http: HttpClient,
    udp: UdpClient,
}

impl TrackerClient {
    /// A client that goes by the settings and the filter in force at each
    /// request, and asks UDP trackers from these sockets.
    pub(crate) fn new(
        settings: watch::Receiver<Arc<Settings>>,
        filter: FilterWatch,
        sockets: Arc<UdpSockets>,
        clock: Arc<WallClock>,
    ) -> Self {
        let udp = UdpClient::new(settings.clone(), sockets, clock);
        Self::with_rules(settings, filter, udp, Rules::default())
    }

    fn with_rules(
        settings: watch::Receiver<Arc<Settings>>,
        filter: FilterWatch,
        udp: UdpClient,
        rules: Rules,
    ) -> Self {
        let slots = settings.borrow().max_concurrent_http_announces;
        let held = filter.clone();
        let blocks = Arc::new(move |ip| held.borrow().blocks(ip));
        Self {
            slots: AnnounceSlots::new(usize::try_from(slots).unwrap_or(1)),
            http: HttpClient::new(rules, blocks),
            udp,
            settings,
            filter,
        }
    }

    fn limits(&self, event: AnnounceEvent, filtered: bool) -> AnnounceLimits {
        AnnounceLimits::new(&self.settings.borrow(), event, filtered)
    }

    /// Announces and reads the answer, within the limits of the settings. Time
    /// in the queue does not count. The IP filter holds for torrents that are
    /// `filtered`.
    pub(crate) async fn announce(
        &self,
        request: &AnnounceRequest,
        report: &AnnounceStats,
        filtered: bool,
    ) -> Result<Reply, TrackerError> {
        let limits = self.limits(request.event, filtered);
        let host = tracker_host(&request.url, limits.international)?;
        let local = request.local.ip();
        let mut reply = if host.udp {
            let ask = Ask::Announce {
                event: request.event,
                num_want: request.num_want,
                report: report.clone(),
            };
            match self.ask_by_udp(host, request.local, ask, &limits).await? {
                UdpReply::Announce(reply) => reply,
                UdpReply::Scrape(_) => return Err(ReplyError::NotADict.into()),
            }
        } else {
            let body = self.fetch(announce_url(request, report), local, &limits);
            let body = body.await?;
            Reply {
                tracker: Some(body.from),
                ..read(body, Reply::parse)?
            }
        };
        let named = std::mem::take(&mut reply.named_peers);
        if !named.is_empty() {
            reply
                .peers
                .extend(crate::net::http::resolve::peers(&named).await);
        }
        Ok(reply)
    }

    /// Asks for the numbers of a swarm, within the limits of the settings.
    pub(crate) async fn scrape(
        &self,
        request: &ScrapeRequest,
        info_hash: InfoHash,
        filtered: bool,
    ) -> Result<ScrapeReply, TrackerError> {
        let limits = self.limits(AnnounceEvent::None, filtered);
        let host = tracker_host(&request.url, limits.international)?;
        let local = request.local.ip();
        if host.udp {
            let asked = self.ask_by_udp(host, request.local, Ask::Scrape(info_hash), &limits);
            return match asked.await? {
                UdpReply::Scrape(reply) => Ok(reply),
                UdpReply::Announce(_) => Err(ReplyError::NotADict.into()),
            };
        }
        let url = scrape_url(&request.url, info_hash)?;
        let body = self.fetch(url, local, &limits).await?;
        read(body, |body| ScrapeReply::parse(body, info_hash))
    }

    async fn fetch(
        &self,
        url: String,
        local: IpAddr,
        limits: &AnnounceLimits,
    ) -> Result<crate::net::http::Body, TrackerError> {
        let url = Url::parse(&url).map_err(UrlError::Invalid)?;
        let _place = self.slots.take(limits.concurrent).await;
        let fetched = timeout(limits.total, self.http.fetch(url, local, &limits.http)).await;
        Ok(fetched.map_err(|_| TrackerError::Timeout(limits.total))??)
    }

    async fn ask_by_udp(
        &self,
        tracker: TrackerHost,
        local: SocketAddr,
        ask: Ask,
        limits: &AnnounceLimits,
    ) -> Result<UdpReply, TrackerError> {
        let asked = async {
            let name = tracker.host.to_string();
            let mut targets = match tracker.host {
                Host::Domain(_) => {
                    crate::net::http::resolve::addresses(&name, tracker.port, local.ip())
                        .await
                        .map_err(|error| HttpError::LookUp(name.clone(), error.to_string()))?
                        .map_err(HttpError::from)?
                }
                Host::Ipv4(ip) => literal(ip.into(), tracker.port, local.ip())?,
                Host::Ipv6(ip) => literal(ip.into(), tracker.port, local.ip())?,
            };
            if limits.http.policy.filtered {
                targets.retain(|target| !self.filter.borrow().blocks(target.ip()));
                if targets.is_empty() {
                    return Err(HttpError::Filtered(name).into());
                }
            }
            let query = UdpQuery {
                local,
                targets,
                path: tracker.path,
                ask,
                limit: limits.total,
            };
            Ok(self.udp.ask(query).await?)
        };
        timeout(limits.total, asked)
            .await
            .map_err(|_| TrackerError::Timeout(limits.total))?
    }
}

/// What the tracker says. A refusal counts whatever the status.
fn read<T>(
    body: crate::net::http::Body,
    parse: impl FnOnce(&[u8]) -> Result<T, ReplyError>,
) -> Result<T, TrackerError> {
    match (body.status, parse(&body.bytes)) {
        (_, Err(refused @ ReplyError::Refused { .. })) => Err(refused.into()),
        (200..=299, Ok(reply)) => Ok(reply),
        (200..=299, Err(error)) => Err(body.cut.map_or(error.into(), TrackerError::from)),
        (code, _) => Err(TrackerError::Http(HttpError::Status {
            code,
            reason: body.reason,
        })),
    }
}

/// An address in a URL, if it is reached from `local`.
fn literal(ip: IpAddr, port: u16, local: IpAddr) -> Result<Vec<SocketAddr>, HttpError> {
    if crate::net::http::resolve::reaches(local, ip) {
        Ok(vec![(ip, port).into()])
    } else {
        Err(HttpError::OutOfReach(ip.to_string(), local))
    }
}
