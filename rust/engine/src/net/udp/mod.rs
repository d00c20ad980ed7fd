//! The UDP sockets of a session: one for each listening endpoint, on the port of
//! its TCP socket, for all protocols over UDP.
//!
//! The session opens them with its listeners and closes them with them
//! ([`UdpSockets::open`], [`UdpSockets::close`]). A task for each socket receives
//! what comes and hands it on by what it is ([`DatagramKind`]) to the task that
//! has subscribed to that, or to a handler in place ([`UdpSockets::handle`]); a
//! datagram without either costs a look at its first bytes. Who sends says from which endpoint ([`UdpSockets::send`]): a
//! tracker, a node of the DHT or a peer has to see the port that we listen on.

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use torrent_core::address::is_local;
use torrent_core::backoff::Backoff;
use torrent_core::datagram::DatagramKind;

use crate::coop;
use crate::timer::sleep_until;

/// Longest datagram: a longer one cannot be sent.
const MAX_DATAGRAM: usize = 64 * 1024;

/// Datagrams taken at once from a socket.
const BATCH: usize = 64;

/// Pauses after a socket could not be read: it may well go on like that.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Receives errors of the sockets: where to or from, what failed, why.
pub(crate) type ErrorSink = Arc<dyn Fn(SocketAddr, &'static str, &io::Error) + Send + Sync>;

/// A datagram that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Datagram {
    /// The endpoint of ours that it came to.
    pub(crate) local: SocketAddr,
    /// Its sender.
    pub(crate) from: SocketAddr,
    /// What it says.
    pub(crate) bytes: Bytes,
}

/// Takes datagrams of a kind where they are received.
pub(crate) trait DatagramHandler: Send + Sync {
    /// One that came to the endpoint `local`.
    fn datagram(&self, local: SocketAddr, from: SocketAddr, bytes: &[u8]);

    /// Those that had come together to an endpoint have all been handed over.
    fn batch_ends(&self, local: SocketAddr);
}

/// A socket that is bound and not read yet.
#[derive(Debug)]
pub(crate) struct BoundUdp {
    socket: std::net::UdpSocket,
    /// The name of the endpoint: the address of its TCP socket.
    endpoint: SocketAddr,
    /// Peers from outside the local network are turned away.
    local: bool,
}

impl BoundUdp {
    /// Binds the socket that belongs to a listening TCP socket at `endpoint`.
    pub(crate) fn beside(endpoint: SocketAddr, local: bool) -> io::Result<Self> {
        Ok(Self {
            socket: bind(endpoint)?,
            endpoint,
            local,
        })
    }

    /// Binds one without a TCP socket, at a port of the system's choice.
    #[cfg(test)]
    pub(in crate::net) fn alone(ip: std::net::IpAddr) -> io::Result<Self> {
        let socket = bind(SocketAddr::new(ip, 0))?;
        Ok(Self {
            endpoint: socket.local_addr()?,
            socket,
            local: false,
        })
    }

    /// Where it is bound to.
    #[cfg(test)]
    pub(crate) fn endpoint(&self) -> SocketAddr {
        self.endpoint
    }
}

fn bind(at: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(at), Type::DGRAM, Some(Protocol::UDP))?;
    forbid_fragments(&socket, at);
    if at.is_ipv6() {
        // IPv4 has a socket of its own, so both can have the same port.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&at.into())?;
    Ok(socket.into())
}

/// Has datagrams that are too large for the way fail, or be lost, instead of
/// being split: uTP finds out by that how large they may be. Those of other
/// protocols are small. Where the system cannot, they are split.
fn forbid_fragments(socket: &Socket, at: SocketAddr) {
    #[cfg(target_os = "linux")]
    {
        use rustix::net::sockopt::{Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery};
        use rustix::net::sockopt::{set_ip_mtu_discover, set_ipv6_mtu_discover};
        let set = match at.is_ipv4() {
            true => set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::PROBE),
            false => set_ipv6_mtu_discover(socket, Ipv6PathMtuDiscovery::PROBE),
        };
        if let Err(error) = set {
            tracing::debug!(%error, "datagrams may be split on their way");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (socket, at);
}

/// All UDP sockets of a session.
pub(crate) struct UdpSockets {
    subscribers: Arc<Subscribers>,
    /// Held for look-ups and while a socket is opened.
    open: Mutex<Open>,
    replaced: watch::Sender<()>,
}

impl fmt::Debug for UdpSockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpSockets").finish_non_exhaustive()
    }
}

/// The sockets that are open at a time.
#[derive(Default)]
struct Open {
    endpoints: Vec<Arc<Endpoint>>,
    readers: JoinSet<()>,
    /// True once they are to be closed. It has receivers as long as one of them
    /// is open.
    closing: watch::Sender<bool>,
}

pub(in crate::net) struct Endpoint {
    socket: UdpSocket,
    /// What senders know it by.
    name: SocketAddr,
    local: bool,
    /// Goes after the socket.
    closing: watch::Receiver<bool>,
}

impl UdpSockets {
    /// None yet.
    pub(crate) fn new(errors: ErrorSink) -> Self {
        let subscribers = Subscribers {
            by_kind: DatagramKind::ALL.map(|_| ArcSwapOption::empty()),
            errors,
        };
        Self {
            subscribers: Arc::new(subscribers),
            open: Mutex::default(),
            replaced: watch::Sender::new(()),
        }
    }

    /// Begins to receive at these; to be called in a runtime.
    pub(crate) fn open(&self, sockets: Vec<BoundUdp>) {
        let mut open = self.open.lock();
        for bound in sockets {
            let BoundUdp {
                socket,
                endpoint,
                local,
            } = bound;
            if let Err(error) = self.add(&mut open, socket, endpoint, local) {
                self.report(endpoint, "sock_open", &error);
            }
        }
        drop(open);
        self.replaced.send_replace(());
    }

    fn add(
        &self,
        open: &mut Open,
        socket: std::net::UdpSocket,
        name: SocketAddr,
        local: bool,
    ) -> io::Result<Arc<Endpoint>> {
        let endpoint = Arc::new(Endpoint {
            socket: UdpSocket::from_std(socket)?,
            name,
            local,
            closing: open.closing.subscribe(),
        });
        let reading = read(Arc::clone(&endpoint), Arc::clone(&self.subscribers));
        open.readers.spawn(reading);
        // Before one that was opened while there was none.
        open.endpoints.insert(0, Arc::clone(&endpoint));
        Ok(endpoint)
    }

    /// Closes all sockets for the rest of the session. What is sent later leaves
    /// from other ports.
    pub(crate) async fn shut_down(&self) {
        self.close().await;
        self.replaced.send_replace(());
    }

    /// Changes whenever sockets have been replaced: answers to what was sent
    /// before do not come any more.
    pub(crate) fn replaced(&self) -> watch::Receiver<()> {
        self.replaced.subscribe()
    }

    /// Closes all sockets: their ports are free when it returns.
    pub(crate) async fn close(&self) {
        let Open {
            endpoints,
            mut readers,
            closing,
        } = std::mem::take(&mut *self.open.lock());
        // A sender that waits for room holds its socket.
        closing.send_replace(true);
        drop(endpoints);
        readers.shutdown().await;
        closing.closed().await;
    }

    /// Has datagrams of a kind delivered from now on, and no longer to an earlier
    /// subscriber. When `most` of them wait to be taken, further ones are
    /// dropped, as they may be on their way.
    pub(crate) fn subscribe(&self, kind: DatagramKind, most: usize) -> mpsc::Receiver<Datagram> {
        let (sender, receiver) = mpsc::channel(most);
        let subscriber = Subscriber::Queue(sender);
        self.subscribers.by_kind[kind as usize].store(Some(Arc::new(subscriber)));
        receiver
    }

    /// Has datagrams of a kind taken by a handler from now on. What it does not
    /// get to waits in the sockets.
    pub(crate) fn handle(&self, kind: DatagramKind, handler: Arc<dyn DatagramHandler>) {
        let subscriber = Subscriber::Handler(handler);
        self.subscribers.by_kind[kind as usize].store(Some(Arc::new(subscriber)));
    }

    /// The endpoints that are open.
    pub(in crate::net) fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.open.lock().endpoints.clone()
    }

    /// Sends a datagram from an endpoint of ours. Where we do not listen there,
    /// it leaves from another port of the same address, and what is answered to
    /// that has come to this endpoint all the same.
    ///
    /// # Errors
    /// With the name of what failed.
    pub(crate) async fn send(
        &self,
        local: SocketAddr,
        to: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), (&'static str, io::Error)> {
        loop {
            let endpoint = self.endpoint(local).map_err(|error| ("sock_bind", error))?;
            // One that is closed meanwhile is not found again.
            if let Some(sent) = endpoint.send(to, bytes).await {
                return sent.map_err(|error| ("sock_write", error));
            }
        }
    }

    fn endpoint(&self, name: SocketAddr) -> io::Result<Arc<Endpoint>> {
        let mut open = self.open.lock();
        let known = open.endpoints.iter().find(|it| it.name == name);
        match known {
            Some(known) => Ok(Arc::clone(known)),
            None => {
                let socket = bind(SocketAddr::new(name.ip(), 0))?;
                self.add(&mut open, socket, name, false)
            }
        }
    }

    /// Passes an error on to the session.
    pub(crate) fn report(&self, at: SocketAddr, operation: &'static str, error: &io::Error) {
        (self.subscribers.errors)(at, operation, error);
    }
}

impl Endpoint {
    /// What senders know it by.
    pub(in crate::net) fn name(&self) -> SocketAddr {
        self.name
    }

    /// Whether it is for peers on the local network alone.
    pub(in crate::net) fn is_local(&self) -> bool {
        self.local
    }

    /// Sends a datagram, if the system takes it now.
    pub(in crate::net) fn try_send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        self.socket.try_send_to(bytes, to).map(drop)
    }

    /// Waits until the system may take a datagram.
    pub(in crate::net) async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    /// Waits until it is to be closed.
    pub(in crate::net) async fn closing(&self) {
        let mut closing = self.closing.clone();
        // It cannot be gone before it is closed.
        let _ = closing.wait_for(|closing| *closing).await;
    }

    /// Sends a datagram; `None` when the endpoint is closed before it has room.
    async fn send(&self, to: SocketAddr, bytes: &[u8]) -> Option<io::Result<()>> {
        let mut closing = self.closing.clone();
        tokio::select! {
            biased;
            sent = self.socket.send_to(bytes, to) => Some(sent.map(drop)),
            _ = closing.wait_for(|closing| *closing) => None,
        }
    }

    /// Receives what is there, as far as one round goes.
    fn receive(&self, buffer: &mut [u8], subscribers: &Subscribers) -> io::Result<()> {
        let mut handled = None;
        let mut received = Ok(());
        for _ in 0..BATCH {
            match self.socket.try_recv_from(buffer) {
                Ok((length, from)) => {
                    let bytes = buffer.get(..length).unwrap_or_default();
                    handled = subscribers.hand_on(self, from, bytes).or(handled);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if is_of_another(&error) => {}
                Err(error) => {
                    received = Err(error);
                    break;
                }
            }
        }
        if let Some(kind) = handled {
            subscribers.end_batch(self, kind);
        }
        received
    }
}

/// Whether an error is about one datagram, and not about the socket. Some systems
/// report here that an earlier one of ours reached no socket, or no machine.
fn is_of_another(error: &io::Error) -> bool {
    // WSAENETRESET, WSAEMSGSIZE
    let named = cfg!(windows) && matches!(error.raw_os_error(), Some(10_052 | 10_040));
    named
        || matches!(
            error.kind(),
            io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionRefused
                | io::ErrorKind::HostUnreachable
                | io::ErrorKind::NetworkUnreachable
        )
}

/// Receives at an endpoint until it is closed.
async fn read(endpoint: Arc<Endpoint>, subscribers: Arc<Subscribers>) {
    let mut buffer = vec![0; MAX_DATAGRAM];
    let mut pause = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    loop {
        coop::round().await;
        let ready = endpoint.socket.readable().await;
        let received = ready.and_then(|()| endpoint.receive(&mut buffer, &subscribers));
        match received {
            Ok(()) => _ = pause.succeeded(),
            Err(error) => {
                // Said once for all that follow.
                if pause.failed(Instant::now()) {
                    (subscribers.errors)(endpoint.name, "sock_read", &error);
                }
                sleep_until(pause.poll_timeout()).await;
            }
        }
    }
}

/// Takes the datagrams of a kind.
enum Subscriber {
    Queue(mpsc::Sender<Datagram>),
    Handler(Arc<dyn DatagramHandler>),
}

/// Where datagrams go.
struct Subscribers {
    by_kind: [ArcSwapOption<Subscriber>; DatagramKind::ALL.len()],
    errors: ErrorSink,
}

impl Subscribers {
    /// The kind of a datagram that a handler took.
    fn hand_on(&self, endpoint: &Endpoint, from: SocketAddr, bytes: &[u8]) -> Option<DatagramKind> {
        let kind = DatagramKind::of(bytes)?;
        // A tracker is one that we have asked.
        if endpoint.local && kind != DatagramKind::Tracker && !is_local(from.ip()) {
            return None;
        }
        let subscriber = self.by_kind[kind as usize].load();
        match subscriber.as_deref()? {
            Subscriber::Queue(queue) => {
                // Copied only where there is room for it.
                if let Ok(room) = queue.try_reserve() {
                    room.send(Datagram {
                        local: endpoint.name,
                        from,
                        bytes: Bytes::copy_from_slice(bytes),
                    });
                }
                None
            }
            Subscriber::Handler(handler) => {
                handler.datagram(endpoint.name, from, bytes);
                Some(kind)
            }
        }
    }

    fn end_batch(&self, endpoint: &Endpoint, kind: DatagramKind) {
        let subscriber = self.by_kind[kind as usize].load();
        if let Some(Subscriber::Handler(handler)) = subscriber.as_deref() {
            handler.batch_ends(endpoint.name);
        }
    }
}
