//! Where others find us: the endpoints we listen on, and our addresses as
//! peers (`yourip`, BEP 10) and trackers (BEP 24) see them.
//!
//! The session owns one. Torrents look at [`ExternalAddress::own`] whenever they
//! have something to do, which costs next to nothing as long as it is the same.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use torrent_core::external_ip::{ExternalIp, Witness};

use crate::net::interfaces;

/// What is known of our own endpoints.
#[derive(Debug, Default)]
pub(crate) struct ExternalAddress {
    external: Mutex<ExternalIp>,
    own: ArcSwap<Vec<SocketAddr>>,
}

impl ExternalAddress {
    /// Our endpoints, those that are visible from outside first.
    pub(crate) fn own(&self) -> Arc<Vec<SocketAddr>> {
        self.own.load_full()
    }

    /// Our address as the most others see it, over IPv4 or IPv6.
    pub(crate) fn external(&self, ipv6: bool) -> Option<IpAddr> {
        self.external.lock().addresses()[usize::from(ipv6)]
    }

    /// `voter` says that our address is `ip`. The address, if that makes it
    /// another than before.
    pub(crate) fn vote(
        &self,
        ip: IpAddr,
        voter: IpAddr,
        witness: Witness,
        listening: &[SocketAddr],
    ) -> Option<IpAddr> {
        let decided = self.external.lock().vote(ip, voter, witness);
        if decided.is_some() {
            self.listen_on(listening);
        }
        decided
    }

    /// We listen on these endpoints now.
    pub(crate) fn listen_on(&self, listening: &[SocketAddr]) {
        let external = self.external.lock().addresses();
        self.own.store(Arc::new(endpoints(&external, listening)));
    }
}

fn endpoints(external: &[Option<IpAddr>], listening: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut own = Vec::new();
    for ip in external.iter().flatten() {
        let port = port_of(listening, *ip);
        own.extend(port.map(|port| SocketAddr::new(*ip, port)));
    }
    for endpoint in listening {
        if !endpoint.ip().is_unspecified() {
            own.push(*endpoint);
            continue;
        }
        let loopback: IpAddr = match endpoint.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        let outbound = interfaces::outbound(endpoint.is_ipv6());
        let addresses = outbound.into_iter().chain([loopback]);
        own.extend(addresses.map(|ip| SocketAddr::new(ip, endpoint.port())));
    }
    own
}

/// The port at which a peer of the same family as `ip` reaches us.
pub(crate) fn port_of(listening: &[SocketAddr], ip: IpAddr) -> Option<u16> {
    let mut listening = listening.iter();
    let endpoint = listening.find(|endpoint| endpoint.is_ipv4() == ip.to_canonical().is_ipv4());
    endpoint.map(SocketAddr::port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening(endpoints: &[&str]) -> Vec<SocketAddr> {
        endpoints.iter().map(|it| it.parse().unwrap()).collect()
    }

    #[test]
    fn what_others_see_comes_first() {
        let it = ExternalAddress::default();
        let open = listening(&["127.0.0.2:7000", "0.0.0.0:7001", "[::]:7002"]);
        it.listen_on(&open);
        let before = it.own();
        assert_eq!(before.first(), open.first());
        assert!(before.contains(&"127.0.0.1:7001".parse().unwrap()));
        assert!(before.contains(&"[::1]:7002".parse().unwrap()));
        assert!(before.iter().all(|own| !own.ip().is_unspecified()));

        let [ip, tracker] = ["8.8.8.8", "9.9.9.9"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let decided = it.vote(ip, tracker, Witness::Tracker, &open);
        assert_eq!(decided, Some(ip));
        assert_eq!(it.external(false), Some(ip));
        assert_eq!(it.external(true), None);
        assert_eq!(it.own().first(), Some(&SocketAddr::new(ip, 7000)));
        assert_eq!(it.own()[1..], before[..]);
    }

    #[test]
    fn the_port_is_that_of_the_peers_family() {
        let open = listening(&["[::1]:1", "127.0.0.1:2"]);
        let port = |ip: &str| port_of(&open, ip.parse().unwrap());
        assert_eq!(port("1.2.3.4"), Some(2));
        assert_eq!(port("::ffff:1.2.3.4"), Some(2));
        assert_eq!(port("2001:db8::1"), Some(1));
        assert_eq!(port_of(&[], Ipv4Addr::LOCALHOST.into()), None);
    }
}
