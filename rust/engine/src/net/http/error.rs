//! Why a request by HTTP failed.

use std::net::IpAddr;
use std::time::Duration;

use super::MAX_REDIRECTS;
use crate::net::http::resolve::NoAddress;

/// Why there is no response, or none that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum HttpError {
    /// A status that is no success.
    #[error("HTTP status {code} {reason}")]
    Status {
        /// The status.
        code: u16,
        /// The server's message for it.
        reason: String,
    },
    /// The server could not be connected to.
    #[error("{0}")]
    Connect(String),
    /// The server's name could not be looked up.
    #[error("'{0}' cannot be looked up: {1}")]
    LookUp(String, String),
    /// HTTP, TLS or gzip.
    #[error("{0}")]
    Protocol(String),
    /// The server fell silent.
    #[error("no data for {} s", .0.as_secs())]
    Silence(Duration),
    /// The body, unpacked, is longer than the caller allows.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    /// Too many redirects in a row.
    #[error("more than {MAX_REDIRECTS} redirects")]
    Redirects,
    /// Nothing to check a certificate against.
    #[error("HTTPS is not possible here: {0}")]
    Tls(String),
    /// A redirect to something that is no HTTP URL.
    #[error("a redirect to '{0}', which is not an HTTP address")]
    BadRedirect(String),
    /// A machine of the local network that the caller's policy leaves out, or a
    /// redirect from outside to there.
    #[error("'{0}' is in the local network, where this path is not asked for")]
    Blocked(String),
    /// The server has no address that is reached from ours.
    #[error("'{0}' has no address that is reached from {1}")]
    OutOfReach(String, IpAddr),
    /// The IP filter blocks the server.
    #[error("'{0}' is blocked by the IP filter")]
    Filtered(String),
}

impl HttpError {
    /// libtorrent's name of the operation that failed.
    pub(crate) fn operation(&self) -> &'static str {
        match self {
            Self::Connect(_) | Self::OutOfReach(..) => "connect",
            Self::LookUp(..) => "hostname_lookup",
            Self::Protocol(_) | Self::Silence(_) => "sock_read",
            Self::Tls(_) => "ssl_handshake",
            _ => "bittorrent",
        }
    }
}

impl From<NoAddress> for HttpError {
    fn from(error: NoAddress) -> Self {
        match error {
            NoAddress::Blocked(host) => Self::Blocked(host),
            NoAddress::OutOfReach(host, local) => Self::OutOfReach(host, local),
            NoAddress::Filtered(host) => Self::Filtered(host),
        }
    }
}
