//! How connections come about: a round trip for the connection, another for
//! the handshake.

use std::net::SocketAddr;
use std::time::Duration;

use torrent_core::ids::PeerKey;
use torrent_core::peer::{Connection, ConnectionKind, ConnectionLimits, Opening};
use torrent_core::peerlist::Sources;
use torrent_core::torrent::{PeerMeta, Room};
use torrent_core::wire::Features;

use super::{Event, Packet, StreamEnd, Swarm, Wire};
use crate::link::Pipe;
use crate::node::Conn;

/// Ports from which nodes call.
const FIRST_PORT: u16 = 20_000;

impl Swarm {
    pub(super) fn dial(&mut self, node: usize, endpoint: SocketAddr) {
        let callee = self.nodes.iter().position(|it| it.endpoint == endpoint);
        let settings = &self.nodes[node].settings;
        let limit = Duration::from_secs(settings.peer_connect_timeout.unsigned_abs());
        let now = self.now();
        let Some(callee) = callee.filter(|&other| self.down_until(node, other).is_none()) else {
            let failed = Event::DialFailed(node, endpoint);
            return self.queue.push(now + limit, failed);
        };
        let wire = self.wires.len();
        let mut caller = self.nodes[node].endpoint;
        caller.set_port(FIRST_PORT + (wire % 40_000) as u16);
        let end = |node, endpoint| StreamEnd {
            node,
            endpoint,
            key: None,
        };
        self.wires.push(Wire {
            ends: [end(node, caller), end(callee, endpoint)],
            pipes: [Pipe::default(), Pipe::default()],
            answered: false,
        });
        let delay = self.link(node, callee).delay;
        self.queue.push(now + delay * 3, Event::Called(wire));
    }

    /// The caller's handshake is here. The answer goes out before anything
    /// else, whatever the torrent says.
    pub(super) fn called(&mut self, wire: usize) {
        self.transmit(wire, 1, Packet::Greeting);
        self.join(wire, 1);
    }

    /// The handshake of who was called is here.
    pub(super) fn greeted(&mut self, wire: usize) {
        if !std::mem::replace(&mut self.wires[wire].answered, true) {
            self.join(wire, 0);
        }
    }

    /// The connection broke, perhaps before the caller knew which node it reached.
    pub(super) fn greeting_lost(&mut self, wire: usize) {
        if !std::mem::replace(&mut self.wires[wire].answered, true) {
            let [caller, callee] = &self.wires[wire].ends;
            let (node, endpoint) = (caller.node, callee.endpoint);
            self.dial_failed(node, endpoint);
        }
    }

    pub(super) fn dial_failed(&mut self, node: usize, endpoint: SocketAddr) {
        let now = self.instant();
        self.note(node, format_args!("could not connect to {endpoint}"));
        self.nodes[node].brain.connect_failed(now, endpoint);
        self.drain_outputs(node);
    }

    /// Takes a connection in, or closes it again.
    fn join(&mut self, wire: usize, side: usize) {
        let now = self.instant();
        let [own, other] = [side, 1 - side].map(|side| &self.wires[wire].ends[side]);
        let (node, endpoint) = (own.node, other.endpoint);
        let incoming = side == 1;
        let meta = PeerMeta {
            endpoint,
            id: self.nodes[other.node].id,
            connection: ConnectionKind::Tcp,
            encryption: None,
            incoming,
            source: if incoming {
                Sources::INCOMING
            } else {
                Sources::TRACKER
            },
            connect_time: Duration::ZERO,
        };
        let it = &mut self.nodes[node];
        let key = PeerKey(it.next_key);
        it.next_key += 1;
        if let Err(reason) = it.brain.peer_connected(now, key, meta, Room::Free) {
            self.note(node, format_args!("refused {endpoint}: {reason}"));
            self.transmit(wire, side, Packet::Fin);
            return self.drain_outputs(node);
        }
        let limits = ConnectionLimits::from(&*it.settings);
        let layout = self.payload.layout.clone();
        let mut connection = if it.brain.has_metadata() {
            Connection::new(layout, limits, now)
        } else {
            Connection::without_metadata(limits, now)
        };
        let opening = Opening {
            info_hash: self.payload.info_hash(),
            remote: endpoint,
            client: "sim".to_owned(),
            port: (!incoming).then(|| it.endpoint.port()),
            allowed_fast: it.settings.allowed_fast_set_size as usize,
            pex: it.brain.is_pex_enabled(),
        };
        connection.set_opening(Features::OURS, opening);
        if let Some(metadata) = it.metadata.clone() {
            connection.offer_metadata(metadata);
        }
        it.counters.connections += 1;
        it.conns.insert(
            key,
            Conn {
                connection,
                wire,
                side,
                input: Vec::new(),
                timer: None,
                mailbox_at: Duration::ZERO,
            },
        );
        self.wires[wire].ends[side].key = Some(key);
        self.note(node, format_args!("connected p{} {endpoint}", key.0));
        self.drain_outputs(node);
        self.pump(node, key);
    }
}
