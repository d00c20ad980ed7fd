//! Looking up names without letting a stranger's URL reach into the local
//! network.

use std::net::{IpAddr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::status::is_local;

/// A name all of whose addresses are in the local network.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is in the local network")]
pub(super) struct Blocked(pub(super) String);

/// The system's resolver, with some addresses left out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resolver {
    left_out: fn(IpAddr) -> bool,
}

impl Resolver {
    pub(super) fn anywhere() -> Self {
        Self {
            left_out: |_| false,
        }
    }

    pub(super) fn without(left_out: fn(IpAddr) -> bool) -> Self {
        Self { left_out }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let left_out = self.left_out;
        Box::pin(async move {
            // Port 0 stands for the URL's port.
            let all: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let found = !all.is_empty();
            let usable: Vec<_> = all
                .into_iter()
                .filter(|addr| !left_out(addr.ip()))
                .collect();
            if found && usable.is_empty() {
                return Err(Blocked(name.as_str().to_owned()).into());
            }
            let addrs: Addrs = Box::new(usable.into_iter());
            Ok(addrs)
        })
    }
}

/// Whether an address leads into our own machine, the user's network or the
/// provider's, where services trust whoever reaches them.
pub(super) fn is_internal(ip: IpAddr) -> bool {
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
}
