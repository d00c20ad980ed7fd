//! Accepts connections and hands each to its torrent once the first half of
//! its handshake says which one that is.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use torrent_core::address::is_local;
use torrent_core::ids::{InfoHash, PeerId};
use torrent_core::mse::ObfuscatedHash;
use torrent_core::peer::ConnectionKind;
use torrent_core::wire::Features;

use crate::context::supervise;
use crate::coop;
use crate::event::performance::PerformanceWarning;
use crate::event::{BlockReason, FailedPeer, IncomingPeer, typed};
use crate::net::handshake_slots::{self, HandshakeSlot, HandshakeSlots};
use crate::net::listen::{ListenSocket, Listener};
use crate::net::stream::Stream;
use crate::net::utp::UtpEndpoints;
use crate::peer::Arrival;
use crate::peer::handshake::{self, Accepted, HandshakeError, Torrents};
use crate::session::SessionShared;
use crate::torrent::handle::{Command, TorrentHandle};

/// Connections in the handshake at once; further ones wait in the system's
/// backlog for a moment, until the one that has waited longest is closed.
const MAX_HANDSHAKES: usize = 256;

/// Pause after the system refused to hand over a connection (no file
/// descriptors left, say): trying again at once would only burn the processor.
const RETRY: Duration = Duration::from_millis(200);

/// Starts a task for each listening socket, and one for uTP.
pub(crate) fn spawn(
    session: &Arc<SessionShared>,
    sockets: Vec<ListenSocket>,
    utp: &UtpEndpoints,
) -> JoinSet<()> {
    let handshake_slots = HandshakeSlots::new(MAX_HANDSHAKES, handshake_slots::GRACE);
    let mut listeners = vec![Listener::utp(utp.accept())];
    for socket in sockets {
        match socket.start() {
            Ok(listener) => listeners.push(listener),
            Err(error) => tracing::error!(%error, "a listening socket was lost"),
        }
    }
    let mut tasks = JoinSet::new();
    for listener in listeners {
        let handshake_slots = Arc::clone(&handshake_slots);
        tasks.spawn(accept(Arc::clone(session), listener, handshake_slots));
    }
    tasks
}

async fn accept(
    session: Arc<SessionShared>,
    mut listener: Listener,
    handshake_slots: Arc<HandshakeSlots>,
) {
    let mut handshakes = JoinSet::new();
    let local = listener.is_local();
    loop {
        coop::round().await;
        handshake_slots.room().await;
        tokio::select! {
            accepted = listener.accept() => match accepted {
                // Peers from elsewhere are not wanted on this one.
                Ok((_, endpoint)) if local && !is_local(endpoint.ip()) => {}
                Ok((stream, endpoint)) => {
                    let most = session.services.settings.borrow().max_connections_per_ip;
                    let most = usize::try_from(most).unwrap_or(usize::MAX);
                    // What is turned away is closed with its stream.
                    if let Some(place) = handshake_slots.enter(endpoint.ip(), most) {
                        let welcome = welcome(Arc::clone(&session), stream, endpoint, place);
                        handshakes.spawn(supervise(Arc::clone(&session.services), "handshake", welcome));
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "no connection could be accepted");
                    if is_out_of_descriptors(&error) {
                        let warning = PerformanceWarning::TooFewFileDescriptors;
                        session.services.events.warn(None, warning);
                    }
                    tokio::time::sleep(RETRY).await;
                }
            },
            Some(_) = handshakes.join_next() => {}
        }
    }
}

/// Whether the process or the system has no file descriptor left.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        let errno = error.raw_os_error().map(Errno::from_raw_os_error);
        matches!(errno, Some(Errno::MFILE | Errno::NFILE))
    }
    #[cfg(not(unix))]
    {
        // WSAEMFILE
        error.raw_os_error() == Some(10_024)
    }
}

async fn welcome(
    session: Arc<SessionShared>,
    mut stream: Stream,
    endpoint: SocketAddr,
    mut place: HandshakeSlot,
) {
    let settings = session.services.settings.borrow().clone();
    if session.services.address_filter.blocks_all(endpoint.ip()) {
        session
            .services
            .post_blocked(None, endpoint, BlockReason::IpFilter);
        return;
    }
    let is_enabled = match stream.kind() {
        ConnectionKind::Utp => settings.enable_incoming_utp,
        _ => settings.enable_incoming_tcp,
    };
    if !is_enabled || stream.configure(settings.peer_dscp).is_err() {
        return;
    }
    session.services.stats.incoming_connections.add(1);
    let events = &session.services.events;
    events.post(typed::INCOMING_CONNECTION, None, || IncomingPeer {
        peer: endpoint.into(),
        connection: stream.kind(),
    });
    let limit = Duration::from_secs(settings.handshake_timeout.unsigned_abs());
    let accepted = Accepted::new(&settings);
    let exchange = handshake::incoming(&mut stream, limit, accepted, &*session);
    let exchanged = tokio::select! {
        exchanged = exchange => exchanged,
        () = place.evicted() => Err(HandshakeError::Crowded),
    };
    drop(place);
    let handshake = match exchanged {
        Ok(handshake) => handshake,
        Err(error) => {
            session
                .services
                .stats
                .failed(stream.kind(), stream.encryption(), true);
            events.post(typed::PEER_ERROR, None, || FailedPeer {
                peer: endpoint.into(),
                fault: (&error).into(),
            });
            return;
        }
    };
    let torrent = named(&session, handshake.info_hash);
    if let Some(torrent) = torrent {
        let arrival = Arrival {
            stream,
            endpoint,
            peer_id: handshake.peer_id,
            features: Features::of(handshake.reserved),
        };
        // A torrent too busy to take commands takes no connections either.
        torrent.offer(Command::Incoming(Box::new(arrival)));
    }
}

impl Torrents for SessionShared {
    fn peer_id(&self, info_hash: InfoHash) -> Option<PeerId> {
        named(self, info_hash).map(|handle| handle.shared.identity.peer_id)
    }

    fn find(&self, hash: ObfuscatedHash) -> Option<InfoHash> {
        self.registry.lock().find_obfuscated(hash)
    }
}

/// The torrent that a handshake names, by the same hash as ours do.
fn named(session: &SessionShared, hash: InfoHash) -> Option<TorrentHandle> {
    let registry = session.registry.lock();
    let torrent = registry.find(hash.into());
    torrent.filter(|it| it.info_hash() == hash).cloned()
}

#[cfg(test)]
mod tests {
    use torrent_core::settings::Settings;

    use super::*;
    use crate::coop::testing::assert_gives_way;
    use crate::net::listen;
    use crate::session::tests::support::Node;

    #[tokio::test]
    async fn callers_without_end_leave_others_their_turn() {
        let node = Node::new();
        let settings = Settings {
            listen_interfaces: "127.0.0.1:0".to_owned(),
            ..Settings::default()
        };
        let socket = listen::bind(&settings).unwrap().sockets.remove(0);
        let at = socket.local_addr().unwrap();
        let handshake_slots = HandshakeSlots::new(MAX_HANDSHAKES, handshake_slots::GRACE);
        let task = accept(
            Arc::clone(&node.session.shared),
            socket.start().unwrap(),
            handshake_slots,
        );
        let mut calls = Vec::new();
        let feed = move || calls.push(std::net::TcpStream::connect(at).unwrap());
        assert_gives_way(task, feed).await;
    }
}
