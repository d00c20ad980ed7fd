//! Where the session listens, and our addresses as others see them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use torrent_core::external_ip::Witness;

use crate::event::sink::EventSink;
use crate::event::{FailedListen, ListenEndpoint, typed};
use crate::net::external_address::ExternalAddress;
use crate::net::listen::{ListenError, ListenSocket};

/// Where the session listens at the moment.
#[derive(Debug, Default)]
pub(crate) struct Network {
    listening: ArcSwap<Vec<SocketAddr>>,
    errors: ArcSwap<Vec<(SocketAddr, String)>>,
    external_address: ExternalAddress,
}

impl Network {
    /// The endpoints that accept connections.
    pub(crate) fn listening(&self) -> Arc<Vec<SocketAddr>> {
        self.listening.load_full()
    }

    /// The endpoints that could not be listened on, and why.
    pub(crate) fn errors(&self) -> Arc<Vec<(SocketAddr, String)>> {
        self.errors.load_full()
    }

    /// Our address as the most others see it, over IPv4 or IPv6.
    pub(crate) fn external(&self, ipv6: bool) -> Option<IpAddr> {
        self.external_address.external(ipv6)
    }

    /// Our own endpoints, those that are visible from outside first.
    pub(crate) fn own(&self) -> Arc<Vec<SocketAddr>> {
        self.external_address.own()
    }

    /// A peer or tracker says that our address is `ip`. The address, if that makes it
    /// another than before.
    pub(crate) fn seen_as(&self, ip: IpAddr, by: IpAddr, witness: Witness) -> Option<IpAddr> {
        let listening = self.listening.load();
        self.external_address.vote(ip, by, witness, &listening)
    }

    /// Takes note of what was opened, and informs the game.
    pub(crate) fn show(&self, events: &EventSink, opened: &[ListenSocket], failed: &[ListenError]) {
        let mut endpoints = Vec::new();
        for socket in opened {
            let Ok(endpoint) = socket.local_addr() else {
                continue;
            };
            endpoints.push(endpoint);
            events.post(typed::LISTEN_SUCCEEDED, None, || ListenEndpoint {
                endpoint,
                connection: socket.kind(),
            });
        }
        let mut errors = Vec::new();
        for failed in failed {
            let (endpoint, error) = (failed.endpoint, failed.error.to_string());
            errors.push((endpoint, error.clone()));
            events.post(typed::LISTEN_FAILED, None, || FailedListen {
                at: ListenEndpoint {
                    endpoint,
                    connection: failed.kind,
                },
                error,
            });
        }
        self.external_address.listen_on(&endpoints);
        self.listening.store(Arc::new(endpoints));
        self.errors.store(Arc::new(errors));
    }
}
