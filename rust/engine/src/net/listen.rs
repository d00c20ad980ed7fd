//! The listen sockets of a session.
//!
//! Endpoints that ask for the same port stay together: a peer that knows us
//! by one address family finds us at the same port of the other, and trackers
//! are given one port. When the port is taken on one of them, all move on to
//! the next, and part ways only when no port is free on all.
//!
//! Each endpoint has a UDP socket too, on the same port. A port of the system's
//! choice is free for both; where the port is given and taken for UDP alone,
//! peers can connect by TCP and the rest is an error.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::mpsc;
use torrent_core::peer::ConnectionKind;
use torrent_core::settings::{Settings, SettingsError};

use super::interfaces;
use super::stream::Stream;
use super::udp::BoundUdp;
use super::utp::UtpStream;

/// Connections that may wait to be accepted; systems cap it further. A swarm
/// that comes back after an outage arrives all at once.
const BACKLOG: i32 = 256;

/// How often a port that the system chose for the first endpoint is tried on
/// the others of its group.
const SHARED_PORT_ATTEMPTS: u32 = 8;

/// What [`bind`] opened.
#[derive(Debug, Default)]
pub(crate) struct Listening {
    /// Open endpoints.
    pub(crate) sockets: Vec<ListenSocket>,
    /// The UDP sockets of these endpoints.
    pub(crate) udp: Vec<BoundUdp>,
    /// What could not be opened.
    pub(crate) errors: Vec<ListenError>,
}

/// An endpoint that could not be opened.
#[derive(Debug)]
pub(crate) struct ListenError {
    /// As configured.
    pub(crate) endpoint: SocketAddr,
    /// The kind of connection that is not accepted there.
    pub(crate) kind: ConnectionKind,
    /// Why.
    pub(crate) error: io::Error,
}

impl ListenError {
    fn tcp(endpoint: SocketAddr, error: io::Error) -> Self {
        let kind = ConnectionKind::Tcp;
        Self {
            endpoint,
            kind,
            error,
        }
    }

    /// Has the endpoint without its UDP socket.
    fn udp(endpoint: SocketAddr, error: &io::Error) -> Self {
        Self {
            endpoint,
            kind: ConnectionKind::Utp,
            error: io::Error::new(error.kind(), format!("UDP: {error}")),
        }
    }
}

/// One endpoint that is open: peers can connect to it, and wait to be accepted.
#[derive(Debug)]
pub(crate) struct ListenSocket {
    /// Non-blocking.
    socket: TcpListener,
    /// Peers from outside the local network are turned away.
    local: bool,
}

impl ListenSocket {
    /// The kind of connection that it accepts.
    pub(crate) fn kind(&self) -> ConnectionKind {
        ConnectionKind::Tcp
    }

    /// Its address and port.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Begins to accept; to be called in a runtime.
    pub(crate) fn start(self) -> io::Result<Listener> {
        Ok(Listener {
            source: Source::Tcp(tokio::net::TcpListener::from_std(self.socket)?),
            local: self.local,
        })
    }
}

/// Accepts connections: those over TCP of one endpoint, or those over uTP of all.
#[derive(Debug)]
pub(crate) struct Listener {
    source: Source,
    local: bool,
}

#[derive(Debug)]
enum Source {
    Tcp(tokio::net::TcpListener),
    Utp(mpsc::Receiver<UtpStream>),
}

impl Listener {
    /// Whether peers from outside the local network are to be turned away.
    pub(crate) fn is_local(&self) -> bool {
        self.local
    }

    /// Accepts the connections over uTP that arrive there, of which none is from
    /// an address that is to be turned away.
    pub(crate) fn utp(arrivals: mpsc::Receiver<UtpStream>) -> Self {
        let source = Source::Utp(arrivals);
        Self {
            source,
            local: false,
        }
    }

    /// Waits for the next connection; with the address of its other end.
    /// Dropping the future loses none.
    pub(crate) async fn accept(&mut self) -> io::Result<(Stream, SocketAddr)> {
        match &mut self.source {
            Source::Tcp(socket) => {
                let (socket, from) = socket.accept().await?;
                Ok((socket.into(), from))
            }
            Source::Utp(arrivals) => match arrivals.recv().await {
                Some(stream) => {
                    let from = stream.peer_addr();
                    Ok((stream.into(), from))
                }
                // They arrive elsewhere from now on.
                None => std::future::pending().await,
            },
        }
    }
}

/// Where to listen, once the names of devices have become addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    endpoint: SocketAddr,
    local: bool,
}

/// Opens a socket for each endpoint of `listen_interfaces`. A port in use is
/// tried again as `max_retry_port_bind` and `listen_system_port_fallback` say;
/// an endpoint that fails all the same is an entry in [`Listening::errors`].
///
/// # Errors
/// When `listen_interfaces` cannot be read.
pub(crate) fn bind(settings: &Settings) -> Result<Listening, SettingsError> {
    let mut listening = Listening::default();
    let mut endpoints: Vec<Wanted> = Vec::new();
    for entry in settings.listen()? {
        let (port, local) = (entry.port, entry.local);
        let addresses = interfaces::resolve(&entry.interface).unwrap_or_else(|error| {
            let nowhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
            listening.errors.push(ListenError::tcp(nowhere, error));
            Vec::new()
        });
        for endpoint in addresses.into_iter().map(|ip| SocketAddr::new(ip, port)) {
            if !endpoints.iter().any(|known| known.endpoint == endpoint) {
                endpoints.push(Wanted { endpoint, local });
            }
        }
    }
    let retries = u16::try_from(settings.max_retry_port_bind).unwrap_or(u16::MAX);
    while let Some(first) = endpoints.first() {
        let port = first.endpoint.port();
        let (group, others) = endpoints
            .into_iter()
            .partition(|end| end.endpoint.port() == port);
        endpoints = others;
        let mut ports: Vec<u16> = (port..=port.saturating_add(retries)).collect();
        if port == 0 {
            ports = vec![0; SHARED_PORT_ATTEMPTS as usize];
        } else if settings.listen_system_port_fallback {
            ports.extend([0; SHARED_PORT_ATTEMPTS as usize]);
        }
        bind_group(group, &ports, &mut listening);
    }
    Ok(listening)
}

/// Opens all of `group` on the first of `ports` that is free on every one of
/// them, or else each on the first that is free for it alone.
fn bind_group(mut group: Vec<Wanted>, ports: &[u16], listening: &mut Listening) {
    for &port in ports {
        if let Some(opened) = bind_together(&mut group, port, port == 0, &mut listening.errors) {
            return opened.into_iter().for_each(|it| it.enter(listening));
        }
    }
    for wanted in group {
        match bind_alone(wanted, ports) {
            Ok(opened) => opened.enter(listening),
            Err(error) => {
                let failed = ListenError::tcp(wanted.endpoint, error);
                listening.errors.push(failed);
            }
        }
    }
}

/// Opens all of `group` on `port` (0: one that the system chooses), or none.
/// Endpoints that fail for another reason than the port leave the group. A port
/// `of_system` has to be free for UDP too.
fn bind_together(
    group: &mut Vec<Wanted>,
    mut port: u16,
    of_system: bool,
    errors: &mut Vec<ListenError>,
) -> Option<Vec<Opened>> {
    let mut sockets = Vec::with_capacity(group.len());
    let mut at = 0;
    while let Some(&wanted) = group.get(at) {
        match open(wanted, port) {
            Ok(opened) if of_system && opened.is_udp_taken() => return None,
            Ok(opened) => {
                port = opened.at.port();
                sockets.push(opened);
                at += 1;
            }
            Err(error) if is_about_port(&error) => return None,
            Err(error) => {
                errors.push(ListenError::tcp(wanted.endpoint, error));
                group.remove(at);
            }
        }
    }
    Some(sockets)
}

/// Opens one on the first of `ports` that is free for it, preferably for UDP too
/// where the system chooses.
fn bind_alone(wanted: Wanted, ports: &[u16]) -> io::Result<Opened> {
    let mut last = Err(io::ErrorKind::AddrInUse.into());
    for &port in ports {
        match open(wanted, port) {
            Ok(opened) if port == 0 && opened.is_udp_taken() => last = Ok(opened),
            Ok(opened) => return Ok(opened),
            Err(error) if last.is_err() => last = Err(error),
            Err(_) => {}
        }
    }
    last
}

/// Whether another port may do: it is taken, or needs a right that we lack
/// (ports below 1024, ranges that Windows keeps for itself).
fn is_about_port(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
    )
}

/// An endpoint that has been opened, with its UDP socket or why it has none.
struct Opened {
    socket: ListenSocket,
    /// Where it is.
    at: SocketAddr,
    udp: io::Result<BoundUdp>,
}

impl Opened {
    fn is_udp_taken(&self) -> bool {
        self.udp.as_ref().is_err_and(is_about_port)
    }

    fn enter(self, listening: &mut Listening) {
        listening.sockets.push(self.socket);
        match self.udp {
            Ok(udp) => listening.udp.push(udp),
            Err(error) => listening.errors.push(ListenError::udp(self.at, &error)),
        }
    }
}

/// Opens an endpoint on a port.
///
/// # Errors
/// Those of its listening socket.
fn open(wanted: Wanted, port: u16) -> io::Result<Opened> {
    let Wanted { endpoint, local } = wanted;
    let socket = listen(SocketAddr::new(endpoint.ip(), port))?;
    let at = socket.local_addr()?;
    Ok(Opened {
        socket: ListenSocket { socket, local },
        at,
        udp: BoundUdp::beside(at, local),
    })
}

/// A listening socket.
fn listen(endpoint: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(endpoint),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if endpoint.is_ipv6() {
        // IPv4 has a socket of its own, so both can have the same port.
        socket.set_only_v6(true)?;
    }
    // Elsewhere this is what lets a restarted game have its port back; on
    // Windows it would let any other program take it over.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    // Most systems hand it on to accepted connections.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&endpoint.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;
    use torrent_core::value::Value;

    fn settings(interfaces: &str) -> Settings {
        Settings {
            listen_interfaces: interfaces.to_owned(),
            ..Settings::default()
        }
    }

    fn ports(listening: &Listening) -> Vec<u16> {
        listening
            .sockets
            .iter()
            .map(|listener| listener.socket.local_addr().unwrap().port())
            .collect()
    }

    /// A port that is taken while the guard lives.
    fn taken() -> (TcpListener, u16) {
        let guard = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = guard.local_addr().unwrap().port();
        (guard, port)
    }

    #[test]
    fn both_families_get_the_same_port_from_the_system() {
        let listening = bind(&settings("127.0.0.1:0, [::1]:0")).unwrap();
        let ports = ports(&listening);
        assert_eq!(ports.len() + listening.errors.len(), 2);
        assert!(ports.iter().all(|&port| port == ports[0] && port != 0));
        for ListenSocket { socket, .. } in &listening.sockets {
            let error = socket.accept().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        }
    }

    #[test]
    fn each_endpoint_has_a_udp_socket_on_its_port() {
        let listening = bind(&settings("127.0.0.1:0,[::1]:0")).unwrap();
        let udp: Vec<u16> = listening
            .udp
            .iter()
            .map(|it| it.endpoint().port())
            .collect();
        assert_eq!(udp, ports(&listening));
        for udp in &listening.udp {
            let error = std::net::UdpSocket::bind(udp.endpoint()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        }
    }

    /// A port that is free for TCP alone, as long as the guard lives.
    fn taken_for_udp() -> (std::net::UdpSocket, u16) {
        loop {
            let guard = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let at = guard.local_addr().unwrap();
            if TcpListener::bind(at).is_ok() {
                return (guard, at.port());
            }
        }
    }

    #[test]
    fn a_given_port_that_is_taken_for_udp_serves_tcp_and_is_an_error() {
        let (_guard, port) = taken_for_udp();
        let listening = bind(&settings(&format!("127.0.0.1:{port}"))).unwrap();
        assert_eq!(ports(&listening), [port]);
        assert!(listening.udp.is_empty());
        let [failed] = &listening.errors[..] else {
            panic!("{:?}", listening.errors);
        };
        let endpoint = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        assert_eq!(failed.endpoint, endpoint);
        assert_eq!(failed.kind, ConnectionKind::Utp);
        assert_eq!(failed.error.kind(), io::ErrorKind::AddrInUse);
        assert!(failed.error.to_string().starts_with("UDP: "), "{failed:?}");
    }

    #[test]
    fn a_port_of_the_system_that_is_taken_for_udp_is_not_used() {
        let (_guard, port) = taken_for_udp();
        let endpoint = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let wanted = Wanted {
            endpoint,
            local: false,
        };
        let mut errors = Vec::new();
        let mut group = vec![wanted];
        assert!(bind_together(&mut group, port, true, &mut errors).is_none());
        assert!(
            errors.is_empty() && group == [wanted],
            "another one will do"
        );
        let opened = bind_alone(wanted, &[0; 8]).unwrap();
        assert!(opened.udp.is_ok() && opened.at.port() != port);
    }

    #[test]
    fn all_move_on_when_one_port_is_taken() {
        let (_guard, port) = taken();
        let settings = settings(&format!("127.0.0.1:{port},[::1]:{port}"));
        let listening = bind(&settings).unwrap();
        let ports = ports(&listening);
        assert!(!ports.is_empty());
        assert!(ports.iter().all(|&got| got == ports[0] && got != port));
    }

    #[test]
    fn without_retries_a_taken_port_is_an_error_with_its_endpoint() {
        let (_guard, port) = taken();
        let mut settings = settings(&format!("127.0.0.1:{port}"));
        settings
            .apply([
                ("max_retry_port_bind", &Value::Int(0)),
                ("listen_system_port_fallback", &Value::Bool(false)),
            ])
            .unwrap();
        let listening = bind(&settings).unwrap();
        let failed = &listening.errors[0];
        let endpoint = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        assert_eq!(failed.endpoint, endpoint);
        assert_eq!(failed.error.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(listening.errors.len(), 1);
    }

    #[test]
    fn the_system_chooses_when_the_last_port_is_taken() {
        let (_guard, port) = taken();
        let mut settings = settings(&format!("127.0.0.1:{port}"));
        settings.max_retry_port_bind = 0;
        let listening = bind(&settings).unwrap();
        assert_eq!(ports(&listening).len(), 1);
        assert_ne!(ports(&listening)[0], port);
    }

    #[test]
    fn endpoints_that_cannot_share_a_port_part_ways() {
        let any = bind(&settings("0.0.0.0:0,127.0.0.1:0,127.0.0.1:0")).unwrap();
        assert!(any.errors.is_empty(), "{any:?}");
        assert_eq!(ports(&any).len(), 2, "a repeated endpoint is one");
    }

    #[test]
    fn an_address_that_is_not_ours_is_an_error_and_the_rest_works() {
        let listening = bind(&settings("192.0.2.1:0,127.0.0.1:0")).unwrap();
        assert_eq!(listening.errors.len(), 1);
        assert_eq!(listening.errors[0].endpoint, "192.0.2.1:0".parse().unwrap());
        assert_eq!(listening.sockets.len(), 1);
    }

    #[test]
    fn only_settings_that_cannot_be_read_fail() {
        let error = bind(&settings("localhost")).unwrap_err();
        assert!(error.to_string().contains("listen_interfaces"));
        assert!(bind(&settings("")).unwrap().sockets.is_empty());
    }

    #[test]
    fn devices_are_found_by_their_name() {
        let all = interfaces::list().unwrap();
        let loopback = all.iter().find(|it| it.address == "127.0.0.1").unwrap();
        let listening = bind(&settings(&format!("{}:0l,none0:0", loopback.name))).unwrap();
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, ports(&listening)[0]));
        let found = listening
            .sockets
            .iter()
            .find(|listener| listener.socket.local_addr().unwrap() == local);
        assert!(found.unwrap().local);
        assert_eq!(listening.errors.len(), 1);
        assert!(listening.errors[0].error.to_string().contains("none0"));
    }

    #[test]
    fn the_highest_port_has_no_next() {
        let listening = bind(&settings("127.0.0.1:65535")).unwrap();
        assert_eq!(listening.sockets.len(), 1);
    }
}
