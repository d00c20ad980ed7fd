//! Requests by HTTP (BEP 3, 48).
//!
//! Which machines may be asked is a [`RequestPolicy`] of the caller. Names are
//! looked up and addresses judged in one step, so a second look-up cannot give
//! another answer.
//!
//! HTTPS trusts the certificates that the system trusts. They are read with the
//! first HTTPS announce: most swarms never need them.
//!
//! Requests are made by hand (`exchange`, with httparse for heads): libraries
//! for HTTP refuse answers that are not as RFC 9112 wants them, and trackers
//! give such answers. A body that can be read is used. Proxies of the
//! environment are not used, and no connection outlives its request.

mod body;
mod error;
mod exchange;
mod head;
pub(crate) mod resolve;
pub(crate) mod tls;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OnceCell;
use tokio::time::timeout;
use url::{Host, Url};

pub(crate) use error::HttpError;
use exchange::Response;

use resolve::{is_internal, reaches};

/// Redirects that are followed.
pub(crate) const MAX_REDIRECTS: usize = 5;

/// Whether the IP filter blocks an address, at this moment.
pub(crate) type Blocks = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// What tests replace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) is_internal: fn(IpAddr) -> bool,
    pub(crate) trust: fn() -> Result<ClientConfig, HttpError>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            is_internal,
            trust: tls::system_trust,
        }
    }
}

/// Fetches over HTTP. It holds no connection between requests.
pub(crate) struct HttpClient {
    rules: Rules,
    blocks: Blocks,
    system: OnceCell<Arc<ClientConfig>>,
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").finish_non_exhaustive()
    }
}

/// What counts for one request.
#[derive(Clone, Debug)]
pub(crate) struct HttpLimits {
    pub(crate) silence: Duration,
    /// Bytes of the body, unpacked.
    pub(crate) body: usize,
    pub(crate) user_agent: String,
    /// The server's certificate is checked.
    pub(crate) validate: bool,
    pub(crate) policy: RequestPolicy,
}

/// Which machines a request may go to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestPolicy {
    /// Machines of the local network are asked only at paths that begin so, and
    /// never because a server outside redirects there (SSRF); `None` for no such
    /// rule.
    pub(crate) local_path: Option<&'static str>,
    /// The IP filter holds for the server.
    pub(crate) filtered: bool,
}

/// A response with its body.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) status: u16,
    /// The server's message for the status.
    pub(crate) reason: String,
    pub(crate) bytes: Vec<u8>,
    /// Why the body may not be whole.
    pub(crate) cut: Option<HttpError>,
    /// The machine that sent it.
    pub(crate) from: IpAddr,
}

/// The response that comes over a connection, up to the limits.
pub(crate) async fn read_response(
    connection: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    limits: &HttpLimits,
) -> Result<Body, HttpError> {
    let from = (IpAddr::from([127, 0, 0, 1]), 80).into();
    let response = exchange::answer(Box::new(connection), from, limits).await?;
    response.read(limits).await
}

impl HttpClient {
    pub(crate) fn new(rules: Rules, blocks: Blocks) -> Self {
        Self {
            rules,
            blocks,
            system: OnceCell::new(),
        }
    }

    /// Fetches `url` from the address `local` and reads the body up to the
    /// limit, unpacked.
    pub(crate) async fn fetch(
        &self,
        mut url: Url,
        local: IpAddr,
        limits: &HttpLimits,
    ) -> Result<Body, HttpError> {
        let mut inside_allowed = true;
        for _ in 0..=MAX_REDIRECTS {
            let targets = self.targets(&url, inside_allowed, local, limits).await?;
            let tls = self.trust(&url, limits).await?;
            let response = exchange::get(&url, &targets, local, tls, limits).await?;
            // Once outside there is no way back in.
            inside_allowed &= (self.rules.is_internal)(response.from.ip());
            match redirect(&url, &response)? {
                Some(next) => url = next,
                None => return response.read(limits).await,
            }
        }
        Err(HttpError::Redirects)
    }

    /// The addresses that `url` may be fetched from.
    async fn targets(
        &self,
        url: &Url,
        inside_allowed: bool,
        local: IpAddr,
        limits: &HttpLimits,
    ) -> Result<Vec<SocketAddr>, HttpError> {
        let may_be_local = match limits.policy.local_path {
            Some(path) => inside_allowed && url.path().starts_with(path),
            None => true,
        };
        let left_out = |ip| !may_be_local && (self.rules.is_internal)(ip);
        let filtered = |ip| limits.policy.filtered && (self.blocks)(ip);
        let port = url.port_or_known_default().unwrap_or(80);
        let ip = match url.host() {
            Some(Host::Ipv4(ip)) => IpAddr::from(ip),
            Some(Host::Ipv6(ip)) => IpAddr::from(ip),
            Some(Host::Domain(name)) => {
                let found = resolve::permitted(name, port, local, left_out, filtered);
                let found = timeout(limits.silence, found);
                let found = found
                    .await
                    .map_err(|_| HttpError::Silence(limits.silence))?;
                return Ok(found
                    .map_err(|error| HttpError::LookUp(name.to_owned(), error.to_string()))??);
            }
            None => {
                let error = "the URL names no machine";
                return Err(HttpError::Connect(error.to_owned()));
            }
        };
        // An address in the URL is never looked up, so it is judged here.
        if left_out(ip) {
            let host = url.host_str().unwrap_or_default();
            return Err(HttpError::Blocked(host.to_owned()));
        }
        if filtered(ip) {
            return Err(HttpError::Filtered(ip.to_string()));
        }
        if !reaches(local, ip) {
            return Err(HttpError::OutOfReach(ip.to_string(), local));
        }
        Ok(vec![(ip, port).into()])
    }

    /// Which certificates the connection for `url` trusts; `None` for plain HTTP.
    async fn trust(
        &self,
        url: &Url,
        limits: &HttpLimits,
    ) -> Result<Option<Arc<ClientConfig>>, HttpError> {
        Ok(match (url.scheme(), limits.validate) {
            ("https", true) => {
                let config = self.system.get_or_try_init(|| self.read_trust());
                Some(Arc::clone(config.await?))
            }
            ("https", false) => Some(Arc::new(tls::blind_trust()?)),
            _ => None,
        })
    }

    async fn read_trust(&self) -> Result<Arc<ClientConfig>, HttpError> {
        tokio::task::spawn_blocking(self.rules.trust)
            .await
            .map_err(|error| HttpError::Tls(error.to_string()))?
            .map(Arc::new)
    }
}

/// Where the response sends us, if it does.
fn redirect(from: &Url, response: &Response) -> Result<Option<Url>, HttpError> {
    let Some(location) = &response.head.location else {
        return Ok(None);
    };
    if !response.head.is_redirection() {
        return Ok(None);
    }
    let location = String::from_utf8_lossy(location);
    match from.join(&location) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Some(url)),
        _ => Err(HttpError::BadRedirect(location.chars().take(200).collect())),
    }
}
