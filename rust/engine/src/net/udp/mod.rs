//! The UDP sockets of a session: one for each listening endpoint, on the port of
//! its TCP socket, for all protocols over UDP.
//!
//! The session opens them with its listeners and closes them with them
//! ([`UdpSockets::open`], [`UdpSockets::close`]). A task for each socket receives
//! what comes and hands it on by what it is ([`DatagramKind`]) to the task that
//! has subscribed to that; a datagram without a subscriber costs a look at its
//! first bytes. Who sends says from which endpoint ([`UdpSockets::send`]): a
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

    /// Where it is bound to.
    #[cfg(test)]
    pub(crate) fn endpoint(&self) -> SocketAddr {
        self.endpoint
    }
}

fn bind(at: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(at), Type::DGRAM, Some(Protocol::UDP))?;
    if at.is_ipv6() {
        // IPv4 has a socket of its own, so both can have the same port.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&at.into())?;
    Ok(socket.into())
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

struct Endpoint {
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
            queues: DatagramKind::ALL.map(|_| ArcSwapOption::empty()),
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
        self.subscribers.queues[kind as usize].store(Some(Arc::new(sender)));
        receiver
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
        for _ in 0..BATCH {
            match self.socket.try_recv_from(buffer) {
                Ok((length, from)) => {
                    let bytes = buffer.get(..length).unwrap_or_default();
                    subscribers.hand_on(self, from, bytes);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if is_of_another(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
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

/// Where datagrams go.
struct Subscribers {
    /// By kind.
    queues: [ArcSwapOption<mpsc::Sender<Datagram>>; DatagramKind::ALL.len()],
    errors: ErrorSink,
}

impl Subscribers {
    fn hand_on(&self, endpoint: &Endpoint, from: SocketAddr, bytes: &[u8]) {
        let Some(kind) = DatagramKind::of(bytes) else {
            return;
        };
        // A tracker is one that we have asked.
        if endpoint.local && kind != DatagramKind::Tracker && !is_local(from.ip()) {
            return;
        }
        let queue = self.queues[kind as usize].load();
        // Copied only where there is room for it.
        if let Some(Ok(room)) = queue.as_ref().map(|queue| queue.try_reserve()) {
            room.send(Datagram {
                local: endpoint.name,
                from,
                bytes: Bytes::copy_from_slice(bytes),
            });
        }
    }
}
