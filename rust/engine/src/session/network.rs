//! What is known of the machine's network: for a game's network screen, and for
//! finding out why no peer connects.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use torrent_core::record;
use torrent_core::value::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::net::interfaces;
pub use crate::net::interfaces::NetworkInterface;
use crate::session::Session;

record! {
    /// How the session stands in the network.
    #[derive(Clone, Debug, PartialEq)]
    pub struct NetworkStatus {
        /// Whether it accepts connections at all.
        pub is_listening: bool,
        /// Endpoints on which it does, `ip:port`.
        pub listening: Value,
        /// What could not be listened on, and why: dictionaries with endpoint and error.
        pub listen_errors: Value,
        /// Whether it listens on an IPv4 address.
        pub ipv4: bool,
        /// Whether it listens on an IPv6 address.
        pub ipv6: bool,
        /// The address from which packets to the Internet leave over IPv4; empty when there
        /// is no way to it.
        pub local_ipv4: String,
        /// The same over IPv6.
        pub local_ipv6: String,
        /// Our IPv4 address as peers and trackers see it; empty while they do not say, or
        /// do not agree.
        pub external_ipv4: String,
        /// The same over IPv6.
        pub external_ipv6: String,
        /// Open connections to peers.
        pub num_connections: i64,
        /// Most connections to peers.
        pub connections_limit: i64,
    }
}

record! {
    /// One question about the network, and its answer.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Diagnosis {
        /// What was looked at.
        pub name: String,
        /// Whether it is as it should be.
        pub ok: bool,
        /// What was found, as text.
        pub message: String,
    }
}

impl Session {
    /// The endpoints that accept connections.
    pub fn listening(&self) -> Arc<Vec<SocketAddr>> {
        self.shared().services.network.listening()
    }

    /// The endpoints that could not be listened on, and why.
    pub fn listen_errors(&self) -> Arc<Vec<(SocketAddr, String)>> {
        self.shared().services.network.errors()
    }

    /// How the session stands in the network, at this moment.
    pub fn network_status(&self) -> NetworkStatus {
        let listening = self.listening();
        let errors = self.listen_errors();
        let text = |address: Option<IpAddr>| {
            address.map_or_else(String::new, |address| address.to_string())
        };
        let error_fields = |(endpoint, error): &(SocketAddr, String)| {
            Value::Map(vec![
                ("endpoint".into(), endpoint.to_string().into()),
                ("error".into(), error.clone().into()),
            ])
        };
        NetworkStatus {
            is_listening: !listening.is_empty(),
            ipv4: listening.iter().any(SocketAddr::is_ipv4),
            ipv6: listening.iter().any(SocketAddr::is_ipv6),
            listening: Value::List(
                listening
                    .iter()
                    .map(|endpoint| endpoint.to_string().into())
                    .collect(),
            ),
            listen_errors: Value::List(errors.iter().map(error_fields).collect()),
            local_ipv4: text(interfaces::outbound(false)),
            local_ipv6: text(interfaces::outbound(true)),
            external_ipv4: text(self.shared().services.network.external(false)),
            external_ipv6: text(self.shared().services.network.external(true)),
            num_connections: self.shared().services.connections.len(),
            connections_limit: self.settings().connections_limit,
        }
    }

    /// Looks for what keeps peers from finding us. Looks at this machine only,
    /// and so takes no time: whether a router lets peers through, only they can
    /// say.
    pub fn diagnose_network(&self) -> Vec<Diagnosis> {
        let status = self.network_status();
        let diagnosis = |name: &str, ok: bool, message: String| Diagnosis {
            name: name.to_owned(),
            ok,
            message,
        };
        let stats = &self.shared().services.stats;
        let incoming = stats.incoming_connections.get();
        let errors = self.listen_errors();
        let listen_error = errors
            .first()
            .map(|(endpoint, error)| format!("cannot listen on {endpoint}: {error}"));
        let route = |address: &str, version: &str| match address {
            "" => format!("there is no way to the Internet over {version}"),
            address => format!("packets to the Internet leave from {address}"),
        };
        vec![
            diagnosis(
                "listening",
                status.is_listening && errors.is_empty(),
                listen_error.unwrap_or_else(|| match self.listening().first() {
                    Some(endpoint) => format!("peers can connect to port {}", endpoint.port()),
                    None => "the session listens nowhere".to_owned(),
                }),
            ),
            diagnosis(
                "ipv4",
                !status.local_ipv4.is_empty(),
                route(&status.local_ipv4, "IPv4"),
            ),
            diagnosis(
                "ipv6",
                !status.local_ipv6.is_empty(),
                route(&status.local_ipv6, "IPv6"),
            ),
            diagnosis(
                "incoming_connections",
                incoming > 0,
                match incoming {
                    0 => "no peer has connected to us yet; a router may be in the way".to_owned(),
                    count => format!("{count} connections came in"),
                },
            ),
            diagnosis(
                "connections",
                status.num_connections < status.connections_limit,
                format!(
                    "{} of {} connections are in use",
                    status.num_connections, status.connections_limit
                ),
            ),
        ]
    }
}

/// Every address of every network interface of this machine.
///
/// # Errors
/// When the system does not report them.
pub fn network_interfaces() -> Result<Vec<NetworkInterface>> {
    interfaces::list()
        .map_err(|error| Error::because(ErrorKind::NetworkInitFailed, error.to_string()))
}
