//! Requests by HTTP (BEP 3, 48).
//!
//! A machine of the local network is only asked at a path that begins with
//! `/announce`, and never because somebody outside redirects there; names are
//! looked up and addresses judged in one step, so a second look-up cannot give
//! another answer.
//!
//! HTTPS trusts whom the system trusts. The certificates are read with the
//! first HTTPS announce: most swarms never need them.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use reqwest::header::{LOCATION, USER_AGENT};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use rustls::ClientConfig;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use torrent_core::tracker::ReplyError;
use url::{Host, Url};

use super::resolve::{NoAddress, Resolver, is_internal, reaches};
use super::{FilterWatch, Limits, TrackerError, tls};

/// Redirects that are followed.
pub(super) const MAX_REDIRECTS: usize = 5;

/// What tests replace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) is_internal: fn(IpAddr) -> bool,
    pub(super) trust: fn() -> Result<ClientConfig, TrackerError>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            is_internal,
            trust: tls::system_trust,
        }
    }
}

/// Whom a client's HTTPS trusts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Trust {
    /// It speaks plain HTTP.
    Plain,
    System,
    Anybody,
}

/// What tells one client from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Kind {
    trust: Trust,
    /// Connects to the local network too.
    anywhere: bool,
    /// The address that connections are made from.
    local: IpAddr,
    /// Keeps to the IP filter.
    filtered: bool,
}

/// Fetches what trackers say. It holds no connection between requests.
#[derive(Debug)]
pub(super) struct HttpClient {
    rules: Rules,
    filter: FilterWatch,
    system: OnceCell<ClientConfig>,
    /// As many as there are endpoints that we listen on, a few times over.
    clients: Mutex<HashMap<Kind, Client>>,
}

/// A response with its body.
#[derive(Debug)]
pub(super) struct Body {
    status: StatusCode,
    bytes: Vec<u8>,
    /// Who sent it.
    from: Option<SocketAddr>,
}

impl Body {
    /// The address of the machine that sent it.
    pub(super) fn from(&self) -> Option<IpAddr> {
        self.from.map(|from| from.ip())
    }

    /// What the tracker says. A refusal counts whatever the status.
    pub(super) fn read<T>(
        &self,
        parse: impl FnOnce(&[u8]) -> Result<T, ReplyError>,
    ) -> Result<T, TrackerError> {
        match (self.status, parse(&self.bytes)) {
            (_, Err(refused @ ReplyError::Refused { .. })) => Err(refused.into()),
            (status, reply) if status.is_success() => Ok(reply?),
            (status, _) => Err(TrackerError::Status(status)),
        }
    }
}

impl HttpClient {
    pub(super) fn new(rules: Rules, filter: FilterWatch) -> Self {
        Self {
            rules,
            filter,
            system: OnceCell::new(),
            clients: Mutex::default(),
        }
    }

    /// Fetches `url` from the address `local` and reads the body up to the
    /// limit, unpacked.
    pub(super) async fn fetch(
        &self,
        mut url: Url,
        local: IpAddr,
        limits: &Limits,
    ) -> Result<Body, TrackerError> {
        let mut inside_allowed = true;
        for _ in 0..=MAX_REDIRECTS {
            let client = self.client_for(&url, inside_allowed, local, limits).await?;
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
    async fn client_for(
        &self,
        url: &Url,
        inside_allowed: bool,
        local: IpAddr,
        limits: &Limits,
    ) -> Result<Client, TrackerError> {
        let like_a_tracker = inside_allowed && url.path().starts_with("/announce");
        let anywhere = like_a_tracker || !limits.mitigate;
        // An address in the URL is never looked up, so it is judged here.
        let literal = match url.host() {
            Some(Host::Ipv4(ip)) => Some(IpAddr::from(ip)),
            Some(Host::Ipv6(ip)) => Some(IpAddr::from(ip)),
            _ => None,
        };
        if let Some(ip) = literal {
            if !anywhere && (self.rules.is_internal)(ip) {
                let host = url.host_str().unwrap_or_default();
                return Err(TrackerError::Blocked(host.to_owned()));
            }
            if limits.filtered && self.filter.borrow().blocks(ip) {
                return Err(TrackerError::Filtered(ip.to_string()));
            }
            if !reaches(local, ip) {
                return Err(TrackerError::OutOfReach(ip.to_string(), local));
            }
        }
        let trust = match (url.scheme(), limits.validate) {
            ("https", true) => Trust::System,
            ("https", false) => Trust::Anybody,
            _ => Trust::Plain,
        };
        self.client(Kind {
            trust,
            anywhere,
            local,
            filtered: limits.filtered,
        })
        .await
    }

    async fn client(&self, kind: Kind) -> Result<Client, TrackerError> {
        if let Some(client) = self.clients.lock().get(&kind) {
            return Ok(client.clone());
        }
        let tls = match kind.trust {
            Trust::Plain => tls::no_trust()?,
            Trust::Anybody => tls::blind_trust()?,
            Trust::System => {
                let config = self.system.get_or_try_init(|| self.read_trust());
                config.await?.clone()
            }
        };
        let filter = kind.filtered.then(|| self.filter.clone());
        let client = build(kind, tls, self.rules.is_internal, filter)?;
        self.clients.lock().insert(kind, client.clone());
        Ok(client)
    }

    async fn read_trust(&self) -> Result<ClientConfig, TrackerError> {
        tokio::task::spawn_blocking(self.rules.trust)
            .await
            .map_err(|error| TrackerError::Tls(error.to_string()))?
    }
}

fn build(
    kind: Kind,
    tls: ClientConfig,
    is_internal: fn(IpAddr) -> bool,
    filter: Option<FilterWatch>,
) -> Result<Client, TrackerError> {
    let resolver = Resolver {
        local: kind.local,
        left_out: if kind.anywhere {
            |_| false
        } else {
            is_internal
        },
        filter,
    };
    Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(Arc::new(resolver))
        .local_address(kind.local)
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

/// Reads the body, unpacked, up to the limit.
async fn read(mut response: Response, limits: &Limits) -> Result<Body, TrackerError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = hear(limits, response.chunk()).await? {
        if chunk.len() > limits.body.saturating_sub(bytes.len()) {
            return Err(TrackerError::TooLong(limits.body));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Body {
        status: response.status(),
        from: response.remote_addr(),
        bytes,
    })
}

/// The cause of a failed request in its own words: those around it only repeat
/// the URL, which names the torrent and often a passkey.
fn from_http(error: reqwest::Error) -> TrackerError {
    let connecting = error.is_connect();
    let error = error.without_url();
    let mut cause: &(dyn std::error::Error + 'static) = &error;
    loop {
        match cause.downcast_ref() {
            Some(NoAddress::Blocked(host)) => return TrackerError::Blocked(host.clone()),
            Some(NoAddress::Filtered(host)) => return TrackerError::Filtered(host.clone()),
            Some(NoAddress::OutOfReach(host, local)) => {
                return TrackerError::OutOfReach(host.clone(), *local);
            }
            None => {}
        }
        match cause.source() {
            Some(source) => cause = source,
            None if connecting => return TrackerError::Connect(cause.to_string()),
            None => return TrackerError::Http(cause.to_string()),
        }
    }
}
