//! Where the session listens, and how it stands in the network.

use super::*;
use torrent_engine::session::network::network_interfaces;

#[godot_api(secondary)]
impl TorrentSession {
    /// The ports on which the session accepts connections. Empty when it does not run.
    #[func]
    fn get_listening_ports(&self) -> Array<i64> {
        let run = self.slot.session();
        let endpoints = run.as_ref().map(Session::listening).unwrap_or_default();
        let mut ports: Vec<i64> = endpoints
            .iter()
            .map(|endpoint| i64::from(endpoint.port()))
            .collect();
        ports.dedup();
        ports.into_iter().collect()
    }

    /// Uses one network interface only, by its IP address or by the system's name for it:
    /// for listening, on the port as it is set, and for connections to peers. Without an
    /// argument, all of them again. Takes effect at once.
    #[func]
    fn bind_network_interface(&self, #[opt(default = "")] interface_ip: GString) -> bool {
        main_only!(self, "bind_network_interface");
        let bound = self
            .settings()
            .bound_to(&interface_ip.to_string())
            .map_err(Error::from)
            .and_then(|(listen, outgoing)| {
                self.apply(&vec![
                    ("listen_interfaces".into(), listen.into()),
                    ("outgoing_interfaces".into(), outgoing.into()),
                ])
            });
        self.report("bind_network_interface", bound).is_some()
    }

    /// How the session stands in the network: is_listening, listening (endpoints),
    /// listen_errors, ipv4, ipv6, local_ipv4 and local_ipv6 (where packets to the Internet
    /// leave from; empty without a way to it), num_connections, connections_limit. Empty
    /// when the session does not run.
    #[func]
    fn get_network_status(&self) -> VarDictionary {
        let status = self.slot.session().as_ref().map(Session::network_status);
        status
            .map(|status| convert::to_dictionary(&status.fields()))
            .unwrap_or_default()
    }

    /// Listens on IPv6 too where it listens on all addresses of IPv4, or on IPv4 alone.
    /// Takes effect at once.
    #[func]
    fn enable_ipv6(&self, #[opt(default = true)] enable: bool) -> bool {
        main_only!(self, "enable_ipv6");
        let listen = self.settings().with_ipv6(enable).map_err(Error::from);
        let applied = listen
            .and_then(|listen| self.apply(&vec![("listen_interfaces".into(), listen.into())]));
        self.report("enable_ipv6", applied).is_some()
    }

    /// Whether the session listens on IPv6, or is going to when it starts.
    #[func]
    fn is_ipv6_enabled(&self) -> bool {
        self.settings().listens_on_ipv6()
    }

    /// Looks for what keeps peers from finding us, on this machine alone and at once. Each
    /// entry is a Dictionary with ok and message: listening, ipv4, ipv6,
    /// incoming_connections, connections. Empty when the session does not run.
    ///
    /// ```gdscript
    /// var found := session.run_network_diagnostics()
    /// for question in found:
    ///     print("%s: %s" % [question, found[question].message])
    /// ```
    #[func]
    fn run_network_diagnostics(&self) -> VarDictionary {
        main_only!(self, "run_network_diagnostics");
        let found = self.slot.session().as_ref().map(Session::diagnose_network);
        let entries = found.unwrap_or_default().into_iter();
        let entries: Fields = entries
            .map(|it| {
                let answer = Value::Map(vec![
                    ("ok".into(), it.ok.into()),
                    ("message".into(), it.message.into()),
                ]);
                (it.name.into(), answer)
            })
            .collect();
        convert::to_dictionary(&entries)
    }

    /// The addresses of this machine's network interfaces: name, address, prefix_length,
    /// ipv6, loopback.
    #[func]
    fn get_network_interfaces(&self) -> Array<VarDictionary> {
        let found = self.report("get_network_interfaces", network_interfaces());
        found
            .unwrap_or_default()
            .iter()
            .map(|interface| convert::to_dictionary(&interface.fields()))
            .collect()
    }
}
