//! Looking up names without letting a URL from outside reach into the local
//! network, and which addresses we reach.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::lookup_host;
use tokio::time::timeout;
use torrent_core::address::is_local;

/// Limit for looking up the names of peers.
const PEERS_LIMIT: Duration = Duration::from_secs(5);

/// Why a name leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoAddress {
    /// All its addresses are in the local network.
    #[error("'{0}' is in the local network")]
    Blocked(String),
    /// We reach none of them from the address that we announce.
    #[error("'{0}' has no address that is reached from {1}")]
    OutOfReach(String, IpAddr),
    /// The IP filter blocks all its addresses.
    #[error("'{0}' is blocked by the IP filter")]
    Filtered(String),
}

/// The addresses of `host` that are reached from `local`, apart from those to be
/// `left_out` and those that the IP filter blocks.
pub(crate) async fn permitted(
    host: &str,
    port: u16,
    local: IpAddr,
    left_out: impl Fn(IpAddr) -> bool,
    filtered: impl Fn(IpAddr) -> bool,
) -> io::Result<Result<Vec<SocketAddr>, NoAddress>> {
    let mut allowed: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
    let found = !allowed.is_empty();
    allowed.retain(|addr| !left_out(addr.ip()));
    if found && allowed.is_empty() {
        return Ok(Err(NoAddress::Blocked(host.to_owned())));
    }
    allowed.retain(|addr| !filtered(addr.ip()));
    if found && allowed.is_empty() {
        return Ok(Err(NoAddress::Filtered(host.to_owned())));
    }
    let usable = in_reach(local, allowed);
    Ok(if usable.is_empty() {
        Err(NoAddress::OutOfReach(host.to_owned(), local))
    } else {
        Ok(usable)
    })
}

/// The addresses of `host` that are reached from `local`.
pub(crate) async fn addresses(
    host: &str,
    port: u16,
    local: IpAddr,
) -> io::Result<Result<Vec<SocketAddr>, NoAddress>> {
    let all = lookup_host((host, port)).await?.collect();
    let usable = in_reach(local, all);
    Ok(if usable.is_empty() {
        Err(NoAddress::OutOfReach(host.to_owned(), local))
    } else {
        Ok(usable)
    })
}

fn in_reach(local: IpAddr, addrs: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let mut addrs = addrs;
    addrs.retain(|addr| reaches(local, addr.ip()));
    addrs
}

/// Whether there is a way from `local` to `remote`, as far as the system's
/// routes say: nothing is sent.
pub(crate) fn reaches(local: IpAddr, remote: IpAddr) -> bool {
    local.is_ipv4() == remote.is_ipv4()
        && !remote.is_multicast()
        && UdpSocket::bind((local, 0))
            // Any port will do.
            .and_then(|socket| socket.connect((remote, 9)))
            .is_ok()
}

/// The addresses of peers that were given by name; those that are not found in
/// time are left out.
pub(crate) async fn peers(named: &[(String, u16)]) -> Vec<SocketAddr> {
    let look_up = |(name, port): &(String, u16)| {
        let target = (name.clone(), *port);
        async move {
            let found = timeout(PEERS_LIMIT, lookup_host((target.0.as_str(), target.1))).await;
            // A peer is wanted once: the first address is as good as any.
            found.ok()?.ok()?.next()
        }
    };
    let found = join_all(named.iter().map(look_up)).await;
    found.into_iter().flatten().collect()
}

/// Whether an address leads into our own machine, the user's network or the
/// provider's, where services trust every machine that reaches them.
pub(crate) fn is_internal(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    let shared = match ip {
        // RFC 6598, between a provider and its customers.
        IpAddr::V4(ip) => matches!(ip.octets(), [100, 64..=127, ..]),
        IpAddr::V6(_) => false,
    };
    // The unspecified address connects to our own machine.
    is_local(ip) || shared || ip.is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inside() {
        let inside = |ip: &str| is_internal(ip.parse().unwrap());
        for ip in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.100.100.200",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "fe80::1",
            "fd00::1",
        ] {
            assert!(inside(ip), "{ip}");
        }
        for ip in [
            "1.1.1.1",
            "100.63.0.1",
            "100.128.0.1",
            "172.32.0.1",
            "2606:4700::1111",
        ] {
            assert!(!inside(ip), "{ip}");
        }
    }

    #[test]
    fn what_is_in_reach() {
        let reaches = |local: &str, remote: &str| {
            super::reaches(local.parse().unwrap(), remote.parse().unwrap())
        };
        assert!(reaches("0.0.0.0", "127.0.0.1"));
        assert!(reaches("127.0.0.1", "127.0.0.1"));
        assert!(!reaches("::", "127.0.0.1"), "another family");
        assert!(!reaches("0.0.0.0", "::1"), "another family");
        assert!(!reaches("0.0.0.0", "224.0.0.1"), "nobody in particular");
    }

    #[tokio::test]
    async fn names_become_addresses() {
        let local = "127.0.0.1".parse().unwrap();
        let found = addresses("localhost", 80, local).await.unwrap().unwrap();
        assert_eq!(found, ["127.0.0.1:80".parse().unwrap()]);
        let named = [
            ("localhost".to_owned(), 6881),
            ("no-such-host.invalid".to_owned(), 6881),
        ];
        let found = peers(&named).await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].ip().is_loopback() && found[0].port() == 6881);
    }
}
