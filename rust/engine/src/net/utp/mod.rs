//! uTP (BEP 29) over the UDP sockets of the listening endpoints.
//!
//! Each endpoint has a [`Mux`]: the machine of `torrent_core::utp` behind a
//! mutex that is held for moments, and what wakes the owners of its connections.
//! Datagrams go into the machine where they are received ([`UdpSockets::handle`]);
//! a task for each endpoint (`driver`) sends what the machine has to send and
//! keeps its timer. A connection is a [`UtpStream`], which calls the machine.
//!
//! [`UtpEndpoints::open`] follows [`UdpSockets::open`]. The tasks end when the
//! sockets close; connections of endpoints that are opened again at the same
//! address and port outlast that.

mod driver;
mod mux;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use torrent_core::address::is_local;
use torrent_core::datagram::DatagramKind;
use torrent_core::settings::Settings;
use torrent_core::utp::UtpStats;

use super::interfaces;
use super::udp::{DatagramHandler, Endpoint, UdpSockets};
use mux::{Incoming, Mux};
pub(crate) use stream::UtpStream;

/// Connections that peers have made and that wait to be accepted; further ones
/// are reset.
const BACKLOG: usize = 64;

/// How long the end of a session waits for acks of what was written.
const CLOSE_LIMIT: Duration = Duration::from_millis(250);

/// What has happened in all connections of a session.
#[derive(Debug, Default)]
pub(crate) struct UtpTotals(Mutex<UtpStats>);

impl UtpTotals {
    /// The numbers so far.
    pub(crate) fn get(&self) -> UtpStats {
        *self.0.lock()
    }

    fn add(&self, more: UtpStats) {
        let mut totals = self.0.lock();
        *totals = totals.plus(more);
    }
}

/// uTP of a session: all its endpoints.
pub(crate) struct UtpEndpoints {
    udp: Arc<UdpSockets>,
    settings: watch::Receiver<Arc<Settings>>,
    totals: Arc<UtpTotals>,
    muxes: Arc<Muxes>,
    incoming: Arc<Incoming>,
    drivers: Mutex<JoinSet<()>>,
}

impl fmt::Debug for UtpEndpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UtpEndpoints").finish_non_exhaustive()
    }
}

/// The endpoints, by their names.
#[derive(Default)]
struct Muxes(RwLock<HashMap<SocketAddr, Arc<Mux>>>);

impl Muxes {
    fn all(&self) -> Vec<Arc<Mux>> {
        self.0.read().values().cloned().collect()
    }
}

impl DatagramHandler for Muxes {
    fn datagram(&self, local: SocketAddr, from: SocketAddr, bytes: &[u8]) {
        if let Some(mux) = self.0.read().get(&local) {
            mux.handle_datagram(from, bytes);
        }
    }

    fn batch_ends(&self, local: SocketAddr) {
        if let Some(mux) = self.0.read().get(&local) {
            mux.batch_ends();
        }
    }
}

impl UtpEndpoints {
    /// No endpoint yet.
    pub(crate) fn new(
        udp: Arc<UdpSockets>,
        settings: watch::Receiver<Arc<Settings>>,
        totals: Arc<UtpTotals>,
    ) -> Self {
        let muxes = Arc::new(Muxes::default());
        udp.handle(DatagramKind::Utp, Arc::clone(&muxes) as _);
        Self {
            udp,
            settings,
            totals,
            muxes,
            incoming: Arc::default(),
            drivers: Mutex::default(),
        }
    }

    /// Begins at all endpoints whose UDP sockets are open; to be called in a
    /// runtime. Connections of endpoints that are not open any more fail.
    pub(crate) fn open(&self) {
        let mut drivers = self.drivers.lock();
        while drivers.try_join_next().is_some() {}
        let open = self.udp.endpoints();
        let mut muxes = self.muxes.0.write();
        muxes.retain(|name, mux| {
            let stays = open.iter().any(|endpoint| endpoint.name() == *name);
            if !stays {
                mux.fail();
            }
            stays
        });
        for endpoint in open {
            let mux = muxes.entry(endpoint.name()).or_insert_with(|| {
                let incoming = Arc::clone(&self.incoming);
                Mux::new(&endpoint, &self.settings.borrow(), incoming)
            });
            let (mux, settings) = (Arc::clone(mux), self.settings.clone());
            let totals = Arc::clone(&self.totals);
            drivers.spawn(driver::drive(mux, endpoint, settings, totals));
        }
    }

    /// Where connections of peers arrive from now on, and no longer at an earlier
    /// one.
    pub(crate) fn accept(&self) -> mpsc::Receiver<UtpStream> {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        self.incoming.set(sender);
        receiver
    }

    /// Connects to `addr` within `limit`. Dropping the future gives the attempt up.
    ///
    /// # Errors
    /// [`io::ErrorKind::AddrNotAvailable`] when no endpoint can reach the address.
    pub(crate) async fn connect(
        &self,
        settings: &Settings,
        addr: SocketAddr,
        limit: Duration,
    ) -> io::Result<UtpStream> {
        let mux = self.endpoint_for(settings, addr)?;
        let stream = mux.connect(addr)?;
        let connected = tokio::time::timeout(limit, stream.connected());
        connected.await.map_err(|_| {
            let reason = format!("no answer from {addr} within {limit:?}");
            io::Error::new(io::ErrorKind::TimedOut, reason)
        })??;
        Ok(stream)
    }

    /// The endpoint to connect to `addr` from.
    fn endpoint_for(&self, settings: &Settings, addr: SocketAddr) -> io::Result<Arc<Mux>> {
        let named = settings.outgoing().map_err(io::Error::other)?;
        let allowed: Vec<IpAddr> = named
            .iter()
            .filter_map(|interface| interfaces::resolve(interface).ok())
            .flatten()
            .collect();
        let muxes = self.muxes.0.read();
        let found = muxes.values().filter(|mux| {
            let from = mux.name().ip();
            // Never by another way than the game asked for.
            let may = named.is_empty() || allowed.contains(&from);
            may && reaches(from, addr.ip()) && (!mux.is_local() || is_local(addr.ip()))
        });
        // The same one each time: routers between us know it.
        let found = found.min_by_key(|mux| (!mux.name().ip().is_unspecified(), mux.name()));
        found.cloned().ok_or_else(|| {
            let reason = format!("no UDP socket can reach {}", addr.ip());
            io::Error::new(io::ErrorKind::AddrNotAvailable, reason)
        })
    }

    /// The sockets are about to be closed, to be opened as `next` says: connections
    /// of endpoints that are not among those end at once, while peers can still
    /// be informed.
    pub(crate) fn reset_unlisted(&self, next: &Settings) {
        let listen = next.listen().unwrap_or_default();
        let stays = |name: SocketAddr| {
            let alike = listen.iter().filter(|it| it.port == name.port());
            let mut addresses = alike.filter_map(|it| interfaces::resolve(&it.interface).ok());
            addresses.any(|addresses| addresses.contains(&name.ip()))
        };
        for (mux, endpoint) in self.open_muxes(&self.muxes.all()) {
            if !stays(mux.name()) {
                mux.reset_all(&endpoint);
            }
        }
    }

    /// Ends all connections: what was written still arrives, if it does so soon.
    /// The sockets have to be open until then.
    pub(crate) async fn shut_down(&self) {
        let deadline = Instant::now() + CLOSE_LIMIT;
        let muxes = self.muxes.all();
        muxes.iter().for_each(|mux| mux.release_all());
        for mux in &muxes {
            if timeout_at(deadline, mux.settled()).await.is_err() {
                tracing::debug!(endpoint = %mux.name(), "uTP peers do not answer any more");
            }
        }
        for (mux, endpoint) in self.open_muxes(&muxes) {
            mux.reset_all(&endpoint);
        }
        let mut drivers = std::mem::take(&mut *self.drivers.lock());
        drivers.shutdown().await;
    }

    fn open_muxes(&self, muxes: &[Arc<Mux>]) -> Vec<(Arc<Mux>, Arc<Endpoint>)> {
        let find = |endpoint: Arc<Endpoint>| {
            let mux = muxes.iter().find(|mux| mux.name() == endpoint.name())?;
            Some((Arc::clone(mux), endpoint))
        };
        self.udp.endpoints().into_iter().filter_map(find).collect()
    }
}

/// Whether packets from one address can have the other one as their destination,
/// as far as addresses alone say.
fn reaches(from: IpAddr, to: IpAddr) -> bool {
    from.is_ipv4() == to.is_ipv4()
        && (from.is_unspecified() || from.is_loopback() == to.is_loopback())
}
