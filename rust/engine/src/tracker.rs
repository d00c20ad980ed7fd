//! Announces over HTTP (BEP 3): carries out one request of
//! [`Announcer`](torrent_core::tracker::Announcer) and reads the answer.
//!
//! A tracker's URL comes from a torrent file, that is, from a stranger, and
//! the request is sent from inside the user's network. So a machine of that
//! network is only asked at a path that begins with `/announce`, and never
//! because somebody outside redirects there; names are looked up and addresses
//! judged in one step, so a second look-up cannot give another answer.
//!
//! HTTPS trusts whom the system trusts. The certificates are read with the
//! first HTTPS announce: most swarms never need them.

mod resolve;
#[cfg(test)]
mod tests;
mod tls;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{LOCATION, USER_AGENT};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use rustls::ClientConfig;
use tokio::sync::{OnceCell, Semaphore, watch};
use tokio::time::timeout;
use torrent_core::settings::Settings;
use torrent_core::tracker::{
    AnnounceRequest, Event, Failure, Reply, ReplyError, Report, Retry, UrlError, announce_url,
};
use url::{Host, Url};

use resolve::{Blocked, Resolver, is_internal};

/// Announces under way at once; the others wait. Starting a thousand torrents
/// must not open a thousand sockets.
const MAX_CONCURRENT: usize = 50;

/// Redirects that are followed.
const MAX_REDIRECTS: usize = 5;

/// Why an announce failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum TrackerError {
    /// The tracker's URL cannot be used.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The answer makes no sense, or is a refusal.
    #[error(transparent)]
    Reply(#[from] ReplyError),
    /// An HTTP status that is no success, without a refusal in the body.
    #[error("HTTP status {0}")]
    Status(StatusCode),
    /// Connection, HTTP or gzip.
    #[error("{0}")]
    Http(String),
    /// The request as a whole took too long.
    #[error("no complete answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The tracker fell silent.
    #[error("no data for {} s", .0.as_secs())]
    Silence(Duration),
    /// The answer, unpacked, is longer than `tracker_maximum_response_length`.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    /// More redirects than anybody needs.
    #[error("more than {MAX_REDIRECTS} redirects")]
    Redirects,
    /// Nothing to check an HTTPS tracker's certificate against.
    #[error("HTTPS is not possible here: {0}")]
    Tls(String),
    /// A redirect to something that is no HTTP URL.
    #[error("a redirect to '{0}', which is not an HTTP address")]
    BadRedirect(String),
    /// Not a tracker's path on a machine of the local network, or a redirect
    /// from outside to there.
    #[error("'{0}' is in the local network and does not look like a tracker")]
    Blocked(String),
}

impl From<TrackerError> for Failure {
    fn from(error: TrackerError) -> Self {
        match error {
            TrackerError::Reply(error) => error.into(),
            TrackerError::Status(StatusCode::GONE) => Self {
                message: error.to_string(),
                retry: Retry::Never,
            },
            _ => Self {
                message: error.to_string(),
                retry: Retry::Backoff,
            },
        }
    }
}

/// The settings that count for one announce.
struct Limits {
    total: Duration,
    silence: Duration,
    body: usize,
    user_agent: String,
}

impl Limits {
    fn new(settings: &Settings, event: Event) -> Self {
        let total = match event {
            Event::Stopped => settings.stop_tracker_timeout,
            _ => settings.tracker_completion_timeout,
        };
        Self {
            total: Duration::from_secs(total.unsigned_abs()),
            silence: Duration::from_secs(settings.tracker_receive_timeout.unsigned_abs()),
            body: usize::try_from(settings.tracker_maximum_response_length).unwrap_or(usize::MAX),
            user_agent: settings.user_agent.clone(),
        }
    }
}

/// Announces for all torrents of a session.
///
/// It holds no connection and no task of its own between announces; dropping
/// the future of an announce closes its connection.
#[derive(Debug)]
pub(crate) struct TrackerClient {
    settings: watch::Receiver<Arc<Settings>>,
    slots: Semaphore,
    rules: Rules,
    plain: Result<Clients, TrackerError>,
    secure: OnceCell<Clients>,
}

/// What tests replace.
#[derive(Clone, Copy, Debug)]
struct Rules {
    is_internal: fn(IpAddr) -> bool,
    trust: fn() -> Result<ClientConfig, TrackerError>,
}

impl TrackerClient {
    /// A client that goes by the settings in force at each announce.
    pub(crate) fn new(settings: watch::Receiver<Arc<Settings>>) -> Self {
        let rules = Rules {
            is_internal,
            trust: tls::system_trust,
        };
        Self::with_rules(settings, rules)
    }

    fn with_rules(settings: watch::Receiver<Arc<Settings>>, rules: Rules) -> Self {
        Self {
            settings,
            slots: Semaphore::new(MAX_CONCURRENT),
            rules,
            plain: tls::no_trust().and_then(|tls| Clients::new(tls, rules.is_internal)),
            secure: OnceCell::new(),
        }
    }

    /// Announces and reads the answer, within the limits of the settings. Time
    /// in the queue does not count.
    pub(crate) async fn announce(
        &self,
        request: &AnnounceRequest,
        report: &Report,
    ) -> Result<Reply, TrackerError> {
        let url = announce_url(request, report)?;
        let url = Url::parse(&url).map_err(UrlError::Invalid)?;
        // The semaphore is never closed; without a permit it goes on as well.
        let _permit = self.slots.acquire().await;
        let limits = Limits::new(&self.settings.borrow(), request.event);
        timeout(limits.total, self.fetch(url, &limits))
            .await
            .map_err(|_| TrackerError::Timeout(limits.total))?
    }

    async fn fetch(&self, mut url: Url, limits: &Limits) -> Result<Reply, TrackerError> {
        let mut inside_allowed = true;
        for _ in 0..=MAX_REDIRECTS {
            let client = self.client_for(&url, inside_allowed).await?;
            let answer = client
                .get(url.clone())
                .header(USER_AGENT, &limits.user_agent)
                .send();
            let response = hear(limits, answer).await?;
            // Once outside there is no way back in.
            inside_allowed &= response
                .remote_addr()
                .is_some_and(|addr| (self.rules.is_internal)(addr.ip()));
            match redirect(&url, &response)? {
                Some(next) => url = next,
                None => return read(response, limits).await,
            }
        }
        Err(TrackerError::Redirects)
    }

    /// The client that may fetch `url`.
    async fn client_for(&self, url: &Url, inside_allowed: bool) -> Result<&Client, TrackerError> {
        let anywhere = inside_allowed && url.path().starts_with("/announce");
        // An address in the URL is never looked up, so it is judged here.
        let literal = match url.host() {
            Some(Host::Ipv4(ip)) => Some(IpAddr::from(ip)),
            Some(Host::Ipv6(ip)) => Some(IpAddr::from(ip)),
            _ => None,
        };
        if !anywhere && literal.is_some_and(self.rules.is_internal) {
            return Err(blocked(url));
        }
        let clients = if url.scheme() == "https" {
            self.secure
                .get_or_try_init(|| self.secure_clients())
                .await?
        } else {
            self.plain.as_ref().map_err(Clone::clone)?
        };
        Ok(if anywhere {
            &clients.anywhere
        } else {
            &clients.outside
        })
    }

    async fn secure_clients(&self) -> Result<Clients, TrackerError> {
        let config = tokio::task::spawn_blocking(self.rules.trust)
            .await
            .map_err(|error| TrackerError::Tls(error.to_string()))??;
        Clients::new(config, self.rules.is_internal)
    }
}

/// Two HTTP clients for the two kinds of place.
#[derive(Debug)]
struct Clients {
    /// Connects anywhere.
    anywhere: Client,
    /// Knows no address of the local network.
    outside: Client,
}

impl Clients {
    fn new(tls: ClientConfig, is_internal: fn(IpAddr) -> bool) -> Result<Self, TrackerError> {
        Ok(Self {
            anywhere: client(Resolver::anywhere(), tls.clone())?,
            outside: client(Resolver::without(is_internal), tls)?,
        })
    }
}

fn client(resolver: Resolver, tls: ClientConfig) -> Result<Client, TrackerError> {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(Arc::new(resolver))
        .redirect(Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        // The environment of a game's user says nothing about trackers.
        .no_proxy()
        // The next announce is half an hour away.
        .pool_max_idle_per_host(0)
        .build()
        .map_err(from_http)
}

fn blocked(url: &Url) -> TrackerError {
    TrackerError::Blocked(url.host_str().unwrap_or_default().to_owned())
}

/// Waits for the tracker, but not longer than it may be silent.
async fn hear<T>(
    limits: &Limits,
    answer: impl Future<Output = reqwest::Result<T>>,
) -> Result<T, TrackerError> {
    timeout(limits.silence, answer)
        .await
        .map_err(|_| TrackerError::Silence(limits.silence))?
        .map_err(from_http)
}

/// Where the response sends us, if it does.
fn redirect(from: &Url, response: &Response) -> Result<Option<Url>, TrackerError> {
    if !response.status().is_redirection() {
        return Ok(None);
    }
    let Some(location) = response.headers().get(LOCATION) else {
        return Ok(None);
    };
    let location = String::from_utf8_lossy(location.as_bytes());
    match from.join(&location) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Some(url)),
        _ => Err(TrackerError::BadRedirect(
            location.chars().take(200).collect(),
        )),
    }
}

/// Reads the body, unpacked, up to the limit, and what it says.
async fn read(mut response: Response, limits: &Limits) -> Result<Reply, TrackerError> {
    let mut body = Vec::new();
    while let Some(chunk) = hear(limits, response.chunk()).await? {
        if chunk.len() > limits.body.saturating_sub(body.len()) {
            return Err(TrackerError::TooLong(limits.body));
        }
        body.extend_from_slice(&chunk);
    }
    match (response.status(), Reply::parse(&body)) {
        (_, Err(refused @ ReplyError::Refused { .. })) => Err(refused.into()),
        (status, reply) if status.is_success() => Ok(reply?),
        (status, _) => Err(TrackerError::Status(status)),
    }
}

/// The cause of a failed request in its own words: those around it only repeat
/// the URL, which names the torrent and often a passkey.
fn from_http(error: reqwest::Error) -> TrackerError {
    let error = error.without_url();
    let mut cause: &(dyn std::error::Error + 'static) = &error;
    loop {
        if let Some(Blocked(host)) = cause.downcast_ref() {
            return TrackerError::Blocked(host.clone());
        }
        match cause.source() {
            Some(source) => cause = source,
            None => return TrackerError::Http(cause.to_string()),
        }
    }
}
