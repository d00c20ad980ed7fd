//! Outgoing connections: made from the interfaces and local ports that the
//! settings name, in turn.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::TcpSocket;
use torrent_core::peer::{ConnectionKind, DialOrder};
use torrent_core::settings::Settings;

use super::interfaces;
use super::stream::Stream;
use super::utp::UtpEndpoints;

/// How long a second kind of connection waits while the first one is tried.
const HEAD_START: Duration = Duration::from_secs(1);

/// Which local ends connections are made from.
#[derive(Debug, Default)]
pub(crate) struct Dialler {
    dial_count: AtomicUsize,
}

impl Dialler {
    /// Connects to `addr` within `timeout`, by the kinds that `order` says; an
    /// attempt that takes longer fails with [`io::ErrorKind::TimedOut`]. The
    /// second kind has its turn when the first one has failed, or has not
    /// answered for a second; what connects first counts, and what both end in
    /// is the error of the second one. Dropping the future gives all attempts up.
    pub(crate) async fn connect(
        &self,
        settings: &Settings,
        utp: &UtpEndpoints,
        addr: SocketAddr,
        order: DialOrder,
        timeout: Duration,
    ) -> io::Result<Stream> {
        let first = self.connect_by(order.first, settings, utp, addr, timeout);
        let Some(second) = order.second else {
            return first.await;
        };
        let second = self.connect_by(second, settings, utp, addr, timeout);
        tokio::pin!(first);
        match tokio::time::timeout(HEAD_START, &mut first).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => {
                tracing::debug!(%addr, %error, "not reached by the first kind of connection");
                return second.await;
            }
            Err(_) => {}
        }
        tokio::pin!(second);
        tokio::select! {
            connected = &mut first => match connected {
                Ok(stream) => Ok(stream),
                Err(_) => second.await,
            },
            connected = &mut second => match connected {
                Ok(stream) => Ok(stream),
                Err(error) => first.await.map_err(|_| error),
            },
        }
    }

    async fn connect_by(
        &self,
        kind: ConnectionKind,
        settings: &Settings,
        utp: &UtpEndpoints,
        addr: SocketAddr,
        timeout: Duration,
    ) -> io::Result<Stream> {
        match kind {
            ConnectionKind::Utp => utp.connect(settings, addr, timeout).await.map(Stream::from),
            _ => self.connect_tcp(settings, addr, timeout).await,
        }
    }

    async fn connect_tcp(
        &self,
        settings: &Settings,
        addr: SocketAddr,
        timeout: Duration,
    ) -> io::Result<Stream> {
        let socket = self.socket(settings, addr)?;
        let socket = tokio::time::timeout(timeout, socket.connect(addr))
            .await
            .map_err(|_| {
                let reason = format!("no answer from {addr} within {timeout:?}");
                io::Error::new(io::ErrorKind::TimedOut, reason)
            })??;
        let stream = Stream::from(socket);
        stream.configure(settings.peer_dscp)?;
        Ok(stream)
    }

    /// A socket for a connection to `addr`, bound where the settings say.
    fn socket(&self, settings: &Settings, addr: SocketAddr) -> io::Result<TcpSocket> {
        let socket = if addr.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        let dial_count = self.dial_count.fetch_add(1, Ordering::Relaxed);
        let from = self.interface(settings, addr, dial_count)?;
        let port = local_port(settings, dial_count);
        if from.is_some() || port != 0 {
            // The same port serves many connections to different peers.
            #[cfg(unix)]
            socket.set_reuseaddr(port != 0)?;
            let any = if addr.is_ipv4() {
                IpAddr::from(Ipv4Addr::UNSPECIFIED)
            } else {
                Ipv6Addr::UNSPECIFIED.into()
            };
            socket.bind(SocketAddr::new(from.unwrap_or(any), port))?;
        }
        Ok(socket)
    }

    /// The local address whose turn it is, if the settings name any.
    fn interface(
        &self,
        settings: &Settings,
        addr: SocketAddr,
        dial_count: usize,
    ) -> io::Result<Option<IpAddr>> {
        let named = settings.outgoing().map_err(io::Error::other)?;
        if named.is_empty() {
            return Ok(None);
        }
        let addresses: Vec<IpAddr> = named
            .iter()
            .filter_map(|interface| interfaces::resolve(interface).ok())
            .flatten()
            .filter(|from| from.is_ipv4() == addr.is_ipv4())
            .collect();
        // Never by another way than the game asked for.
        let chosen = addresses.get(dial_count % addresses.len().max(1)).copied();
        chosen.map(Some).ok_or_else(|| {
            let reason = format!("none of the outgoing interfaces can reach {}", addr.ip());
            io::Error::new(io::ErrorKind::AddrNotAvailable, reason)
        })
    }
}

/// The local port whose turn it is; 0 to let the system choose.
fn local_port(settings: &Settings, dial_count: usize) -> u16 {
    let first = u16::try_from(settings.outgoing_port).unwrap_or(0);
    let count = settings.num_outgoing_ports.unsigned_abs().max(1);
    if first == 0 {
        return 0;
    }
    let more = (dial_count as u64 % count).min(u64::from(u16::MAX - first));
    first + more as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::transport::Transport;
    use tokio::net::TcpListener;

    /// Long, for what takes no time.
    const LIMIT: Duration = Duration::from_secs(120);

    async fn connect(addr: SocketAddr, timeout: Duration) -> io::Result<Stream> {
        let settings = Settings::default();
        Dialler::default()
            .connect_tcp(&settings, addr, timeout)
            .await
    }

    #[tokio::test]
    async fn connects_without_delay_for_small_messages() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address).await else {
                continue;
            };
            let there = listener.local_addr().unwrap();
            let stream = connect(there, LIMIT).await.unwrap();
            assert_eq!(stream.transport().peer_addr().unwrap(), there);
            assert_eq!(stream.kind(), ConnectionKind::Tcp);
            let Transport::Tcp(socket) = stream.transport() else {
                panic!("{stream:?}");
            };
            assert!(socket.nodelay().unwrap());
        }
    }

    #[tokio::test]
    async fn a_closed_port_refuses() {
        // No socket listens there, and no other program gets the port.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let there = socket.local_addr().unwrap();
        let error = connect(there, LIMIT).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    /// A full backlog of a listener that never accepts leaves later attempts
    /// half open, as an address that swallows packets does.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn silence_times_out() {
        use socket2::{Domain, Socket, Type};

        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        listener.bind(&any.into()).unwrap();
        listener.listen(0).unwrap();
        let there = listener.local_addr().unwrap().as_socket().unwrap();
        let mut open = Vec::new();
        for _ in 0..16 {
            match connect(there, Duration::from_millis(100)).await {
                Ok(stream) => open.push(stream),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                    assert!(error.to_string().contains(&there.to_string()));
                    return;
                }
            }
        }
        panic!("{} connections fit into an empty backlog", open.len());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_local_end_is_what_the_settings_say() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = listener.local_addr().unwrap();
        let settings = Settings {
            outgoing_interfaces: "127.0.0.5,::1,127.0.0.6".to_owned(),
            ..Settings::default()
        };
        let dialler = Dialler::default();
        let mut from = Vec::new();
        for _ in 0..2 {
            let stream = dialler.connect_tcp(&settings, there, LIMIT).await.unwrap();
            from.push(stream.transport().local_addr().unwrap().ip().to_string());
        }
        assert_eq!(from, ["127.0.0.5", "127.0.0.6"]);
        let only_v6 = Settings {
            outgoing_interfaces: "::1".to_owned(),
            ..settings
        };
        let error = dialler
            .connect_tcp(&only_v6, there, LIMIT)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("outgoing interfaces"));
    }

    #[test]
    fn local_ports_take_turns() {
        let settings = Settings {
            outgoing_port: 7000,
            num_outgoing_ports: 3,
            ..Settings::default()
        };
        let ports: Vec<u16> = (0..4)
            .map(|dial_count| local_port(&settings, dial_count))
            .collect();
        assert_eq!(ports, [7000, 7001, 7002, 7000]);
        assert_eq!(local_port(&Settings::default(), 9), 0);
    }
}
