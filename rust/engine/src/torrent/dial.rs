//! Outgoing connections: a task each, paced by the session, until the
//! handshake is done or has failed.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use torrent_core::mse::Methods;
use torrent_core::peer::{CloseReason, ConnectionKind, DialOrder, HandshakeOrder};
use torrent_core::peerlist::{HandshakeKind, Refused, Sources, UtpSupport};
use torrent_core::settings::Settings;
use torrent_core::torrent::{Haste, PeerMeta};
use torrent_core::wire::{Features, Handshake};

use super::{Driver, TaskEnd};
use crate::context::Context;
use crate::event::performance::PerformanceWarning;
use crate::event::{DisconnectedPeer, PeerFault, typed};
use crate::net::stream::Stream;
use crate::peer::handshake::{self, HandshakeError};
use crate::torrent::handle::TorrentHandle;

/// A connection that was made, or could not be.
pub(super) struct Dialled {
    endpoint: SocketAddr,
    /// The last kind of connection that was tried.
    tried: ConnectionKind,
    /// What it has shown of the peer.
    utp: Option<UtpSupport>,
    /// The kind of handshake that the peer has answered.
    answered: Option<HandshakeKind>,
    result: Result<Reached, HandshakeError>,
}

/// The peer that a connection was made with.
struct Reached {
    stream: Stream,
    handshake: Handshake,
    connect_time: Duration,
}

impl Driver {
    /// Connects to a peer that the game names. If no connection is tried, an event
    /// reports it, as for a peer that cannot be reached.
    pub(super) fn connect_to(&mut self, now: Instant, endpoint: SocketAddr) {
        if self.is_blocked(endpoint) {
            return;
        }
        let reason = match self.brain.connect_to(now, endpoint) {
            None => return,
            Some(Refused::Own) => CloseReason::OurselvesAgain,
            // By a record: the session knows nothing of it.
            Some(_) => CloseReason::Banned,
        };
        self.post(typed::PEER_DISCONNECTED, || DisconnectedPeer {
            peer: endpoint.into(),
            connection: ConnectionKind::Tcp,
            fault: reason.into(),
        });
    }

    /// Learns of peers, and calls those that there is room for.
    pub(super) fn add_peers(
        &mut self,
        now: Instant,
        peers: impl IntoIterator<Item = SocketAddr>,
        source: Sources,
    ) {
        // A torrent that had nothing to do has not looked for long.
        self.look_for_room();
        self.brain.add_peers(now, peers, source);
    }

    /// Looks how many connections the session still has room for.
    pub(super) fn look_for_room(&mut self) {
        let room = self.context.services.free_connections();
        self.brain.set_session_room(room);
    }

    /// Begins to connect.
    pub(super) fn dial(&mut self, endpoint: SocketAddr, haste: Haste) {
        if self.is_blocked(endpoint) || self.is_privileged(endpoint) {
            self.brain.connect_forbidden(Instant::now(), endpoint);
            return;
        }
        let context = Arc::clone(&self.context);
        let handle = self.handle.clone();
        let list = self.brain.peer_list();
        let known = Known {
            utp: list.utp_support(endpoint),
            answers: list.handshake_kind(endpoint),
        };
        self.tasks.spawn(async move {
            let dialled = connect(&context, endpoint, known, &handle, haste).await;
            TaskEnd::Dialled(dialled)
        });
    }

    pub(super) fn dialled(&mut self, dialled: Dialled) {
        let Dialled {
            endpoint,
            tried,
            utp,
            answered,
            result,
        } = dialled;
        if let Some(utp) = utp {
            self.brain.note_utp(endpoint, utp);
        }
        if let Some(kind) = answered {
            self.brain.note_handshake(endpoint, kind);
        }
        match result {
            Ok(Reached {
                stream,
                handshake,
                connect_time,
            }) => {
                let meta = PeerMeta {
                    endpoint,
                    id: handshake.peer_id,
                    connection: stream.kind(),
                    encryption: stream.encryption(),
                    incoming: false,
                    source: self.brain.peer_list().sources(endpoint).unwrap_or_default(),
                    connect_time,
                };
                self.join(stream, meta, Features::of(handshake.reserved));
            }
            Err(error) => {
                let stats = &self.context.services.stats;
                match &error {
                    HandshakeError::TimedOut => stats.connect_timeouts.add(1),
                    HandshakeError::Connect(error) if error.kind() == ErrorKind::TimedOut => {
                        stats.connect_timeouts.add(1);
                    }
                    _ => stats.failed(tried, None, false),
                }
                let fault = PeerFault::from(&error);
                let io = match &error {
                    HandshakeError::Connect(error) | HandshakeError::Io(error) => Some(error),
                    _ => None,
                };
                stats.ended(&fault, io, false);
                let in_use = io.is_some_and(|error| error.kind() == ErrorKind::AddrInUse);
                let session = &self.context.services;
                if in_use && session.settings.borrow().outgoing_port != 0 {
                    session.events.warn(
                        Some(&self.handle.torrent_ref()),
                        PerformanceWarning::TooFewOutgoingPorts,
                    );
                }
                self.brain.connect_failed(Instant::now(), endpoint);
                self.post(typed::PEER_DISCONNECTED, || DisconnectedPeer {
                    peer: endpoint.into(),
                    connection: tried,
                    fault,
                });
            }
        }
    }
}

/// What earlier connections have shown of a peer.
#[derive(Clone, Copy)]
struct Known {
    utp: UtpSupport,
    answers: Option<HandshakeKind>,
}

async fn connect(
    context: &Context,
    endpoint: SocketAddr,
    known: Known,
    handle: &TorrentHandle,
    haste: Haste,
) -> Dialled {
    let mut settings = context.services.settings.subscribe();
    let place = context.connect_limiter.acquire(&mut settings, haste).await;
    let current = settings.borrow().clone();
    let Some(order) = DialOrder::new(&current, known.utp) else {
        // It was switched off while it waited for its turn.
        let error = io::Error::new(ErrorKind::Unsupported, "no kind of connection is enabled");
        return Dialled {
            endpoint,
            tried: ConnectionKind::Tcp,
            utp: None,
            answered: None,
            result: Err(HandshakeError::Connect(error)),
        };
    };
    let handshakes = HandshakeOrder::new(&current, known.answers);
    let (connected, connect_time) = call(context, &current, endpoint, order).await;
    drop(place);
    let last = order.second.unwrap_or(order.first);
    let tried = connected.as_ref().map_or(last, Stream::kind);
    let utp = connected
        .as_ref()
        .ok()
        .and_then(|stream| order.learned(stream.kind()));
    let mut answered = handshakes.first;
    let mut result = match connected {
        Ok(stream) => greet(stream, &current, answered, handle, connect_time).await,
        Err(error) => Err(HandshakeError::Connect(error)),
    };
    if let Err(error) = &result
        && let Some(second) = handshakes.second
        && wants_another_handshake(error)
    {
        tracing::debug!(%endpoint, %error, "the other kind of handshake is tried");
        let place = context.connect_limiter.acquire(&mut settings, haste).await;
        let order = DialOrder {
            first: tried,
            second: None,
        };
        let (connected, connect_time) = call(context, &current, endpoint, order).await;
        drop(place);
        answered = second;
        result = match connected {
            Ok(stream) => greet(stream, &current, second, handle, connect_time).await,
            Err(error) => Err(HandshakeError::Connect(error)),
        };
    }
    Dialled {
        endpoint,
        tried,
        utp,
        answered: result.is_ok().then_some(answered),
        result,
    }
}

/// Whether a peer may have ended a connection because of how the handshake began.
/// One that did not answer in time would take as long again.
fn wants_another_handshake(error: &HandshakeError) -> bool {
    matches!(
        error,
        HandshakeError::Io(_) | HandshakeError::Wire(_) | HandshakeError::Encryption(_)
    )
}

/// Makes a connection. How long that took.
async fn call(
    context: &Context,
    settings: &Settings,
    endpoint: SocketAddr,
    order: DialOrder,
) -> (io::Result<Stream>, Duration) {
    context.services.stats.connection_attempts.add(1);
    let limit = seconds(settings.peer_connect_timeout);
    let begun = Instant::now();
    let dialler = &context.dialler;
    let connecting = dialler.connect(settings, &context.utp, endpoint, order, limit);
    (connecting.await, begun.elapsed())
}

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(seconds.unsigned_abs())
}

/// Exchanges handshakes over a connection that was made.
async fn greet(
    mut stream: Stream,
    settings: &Settings,
    kind: HandshakeKind,
    handle: &TorrentHandle,
    connect_time: Duration,
) -> Result<Reached, HandshakeError> {
    let ours = Handshake {
        reserved: Features::OURS.reserved(),
        info_hash: handle.info_hash(),
        peer_id: handle.shared.identity.peer_id,
    };
    let methods = Methods::allowed(settings);
    let limit = seconds(settings.handshake_timeout);
    let handshake = handshake::outgoing(&mut stream, kind, methods, &ours, limit).await?;
    Ok(Reached {
        stream,
        handshake,
        connect_time,
    })
}
