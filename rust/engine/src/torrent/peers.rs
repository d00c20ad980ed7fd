//! Connections of a torrent: taking them in, and their end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use torrent_core::ids::PeerKey;
use torrent_core::mse::Method;
use torrent_core::peer::{Connection, ConnectionKind, ConnectionLimits, ConnectionReport, Opening};
use torrent_core::peerlist::Sources;
use torrent_core::settings::Settings;
use torrent_core::torrent::PeerMeta;
use torrent_core::wire::Features;

use super::{Driver, TaskEnd};
use crate::context::report_panic;
use crate::event::{ConnectedPeer, DisconnectedPeer, FailedPeer, PeerFault, PeerRef, typed};
use crate::net::allowance::Valve;
use crate::net::bandwidth::Direction;
use crate::net::external_address::port_of;
use crate::net::stream::Stream;
use crate::peer::mailbox::Mailbox;
use crate::peer::{Arrival, ConnectionEnd, PeerTask, Swarm};

/// How a connection ended; `None` when its task panicked.
pub(super) struct PeerEnd {
    key: PeerKey,
    peer: PeerRef,
    connection: ConnectionKind,
    encryption: Option<Method>,
    incoming: bool,
    outcome: Option<(ConnectionReport, ConnectionEnd)>,
}

impl Driver {
    pub(super) fn welcome(&mut self, arrival: Arrival) {
        self.wake_for_peer();
        let meta = PeerMeta {
            endpoint: arrival.endpoint,
            id: arrival.peer_id,
            connection: arrival.stream.kind(),
            encryption: arrival.stream.encryption(),
            incoming: true,
            source: Sources::INCOMING,
            connect_time: Duration::ZERO,
        };
        self.join(arrival.stream, meta, arrival.features);
    }

    /// Takes a connection in, or closes it again.
    pub(super) fn join(&mut self, stream: Stream, meta: PeerMeta, features: Features) {
        let now = Instant::now();
        let key = self.peers.new_key();
        let mailbox = Arc::new(Mailbox::default());
        let endpoint = meta.endpoint;
        let peer = PeerRef {
            endpoint,
            id: meta.id,
        };
        let (carrier, incoming) = (meta.connection, meta.incoming);
        if self.is_blocked(endpoint) {
            if !meta.incoming {
                self.brain.connect_forbidden(now, endpoint);
            }
            return;
        }
        self.peers.mailboxes.insert(key, Arc::clone(&mailbox));
        let room = self.context.services.room_for_connection(endpoint.ip());
        if let Err(reason) = self.brain.peer_connected(now, key, meta, room) {
            self.peers.mailboxes.remove(&key);
            tracing::debug!(%endpoint, %reason, "a connection is not taken in");
            self.post(typed::PEER_DISCONNECTED, || DisconnectedPeer {
                peer,
                connection: carrier,
                fault: reason.into(),
            });
            return;
        }
        self.context.services.connections.opened(endpoint.ip());
        self.post(typed::PEER_CONNECT, || ConnectedPeer {
            peer,
            connection: carrier,
            incoming,
        });
        let settings = self.context.services.settings.borrow().clone();
        let limits = ConnectionLimits::from(&*settings);
        let mut connection = if self.brain.has_metadata() {
            Connection::new(Arc::clone(self.brain.layout()), limits, now)
        } else {
            Connection::without_metadata(limits, now)
        };
        connection.count_handshakes();
        connection.set_opening(features, self.opening(&settings, &meta));
        if let Some(info_dict) = self.handle.shared.public_metadata() {
            connection.offer_metadata(info_dict);
        }
        let task = PeerTask {
            key,
            stream,
            connection,
            torrent: Arc::clone(&self.handle.shared) as _,
            services: Arc::clone(&self.context.services),
            mailbox,
            down: self.valve(Direction::Down, endpoint),
            up: self.valve(Direction::Up, endpoint),
            reports: self.peers.reports.clone(),
            storage: Arc::clone(&self.storage.slot),
            disk: self.context.disk.clone(),
            pool: self.context.pool.clone(),
        };
        self.tasks.spawn(async move {
            // A task of its own, so that its panic is only its own.
            let outcome = tokio::spawn(task.run()).await.ok();
            TaskEnd::Peer(Box::new(PeerEnd {
                key,
                peer,
                connection: carrier,
                encryption: meta.encryption,
                incoming,
                outcome,
            }))
        });
    }

    /// Informs the core when our external address or our listen endpoints change.
    pub(super) fn follow_own_endpoints(&mut self) {
        let own = self.context.services.network.own();
        if !Arc::ptr_eq(&own, &self.peers.own_endpoints) {
            self.brain.set_own(own.to_vec());
            self.peers.own_endpoints = own;
        }
    }

    fn valve(&self, direction: Direction, peer: SocketAddr) -> Valve {
        let rates = Arc::clone(&self.context.services.bandwidth);
        Valve::new(rates, direction, self.handle.key(), peer)
    }

    /// What we say of ourselves to this peer (BEP 10).
    fn opening(&self, settings: &Settings, meta: &PeerMeta) -> Opening {
        let client = match settings.handshake_client_version.as_str() {
            "" => &settings.user_agent,
            client => client,
        };
        let listening = self.context.services.network.listening();
        Opening {
            info_hash: self.handle.info_hash(),
            remote: meta.endpoint,
            client: client.to_owned(),
            // A peer that called us knows it.
            port: port_of(&listening, meta.endpoint.ip()).filter(|_| !meta.incoming),
            allowed_fast: settings.allowed_fast_set_size as usize,
            pex: self.brain.is_pex_enabled(),
        }
    }

    pub(super) fn peer_ended(&mut self, end: PeerEnd) {
        self.peers.mailboxes.remove(&end.key);
        self.context
            .services
            .connections
            .closed(end.peer.endpoint.ip());
        let stats = &self.context.services.stats;
        let (report, ended) = match end.outcome {
            Some((report, ended)) => (report, Some(ended)),
            None => {
                report_panic(&self.context.services, "peer");
                (self.brain.last_report(end.key), None)
            }
        };
        let failed = matches!(
            ended,
            Some(ConnectionEnd::Protocol(_) | ConnectionEnd::Io(_))
        );
        if failed {
            stats.failed(end.connection, end.encryption, end.incoming);
        }
        self.brain
            .peer_disconnected(Instant::now(), end.key, report, failed);
        let fault = ended.as_ref().map(PeerFault::from).unwrap_or_default();
        let io = match &ended {
            Some(ConnectionEnd::Io(error)) => Some(error),
            _ => None,
        };
        stats.ended(&fault, io, matches!(ended, Some(ConnectionEnd::ByPeer)));
        let peer = end.peer;
        if failed {
            self.post(typed::PEER_ERROR, || FailedPeer {
                peer,
                fault: fault.clone(),
            });
        }
        self.post(typed::PEER_DISCONNECTED, || DisconnectedPeer {
            peer,
            connection: end.connection,
            fault,
        });
    }
}
