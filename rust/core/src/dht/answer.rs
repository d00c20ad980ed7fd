//! Answers to queries of others.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use super::address::{Family, NodeContact};
use super::item::{MAX_SALT, MAX_VALUE, MutableItem, PublicKey, immutable_target, mutable_target};
use super::krpc::{
    Method, PutMutable, Query, Reply, ReplyMessage, Response, Transaction, Want, error_code,
};
use super::node_id::NodeId;
use super::routing::K;
use super::storage::{PeersQuery, PutError, StoredItem};
use super::{Dht, DhtOutput};
use crate::ids::InfoHash;

/// Bytes of an answer, so that no network has to take it apart.
const MAX_ANSWER: usize = 1400;

/// Bytes of an answer besides nodes and peers.
const AROUND: usize = 200;

type Refusal = (i64, &'static str);

impl Dht {
    pub(super) fn handle_query(
        &mut self,
        now: Instant,
        local: SocketAddr,
        from: SocketAddr,
        query: Query,
    ) {
        if !self.may_answer(now, from) {
            return;
        }
        self.traffic.queries_in += 1;
        let Query {
            transaction,
            id,
            read_only,
            method,
        } = query;
        let valid = id.is_valid_for(from.ip());
        let Some(endpoint) = self.endpoints.get_mut(&local) else {
            return;
        };
        let own = endpoint.table.own_id();
        let answer = if self.settings.enforce_node_id && !valid {
            Err((error_code::PROTOCOL, "invalid node ID"))
        } else {
            if !read_only {
                endpoint.table.heard_about(NodeContact { id, addr: from });
            }
            self.answer(now, local, from, method)
        };
        let reply = match answer {
            Ok(mut response) => {
                response.id = own;
                Reply::Response(Box::new(response))
            }
            Err((code, text)) => Reply::Error {
                code,
                text: text.to_owned(),
            },
        };
        self.reply(local, from, transaction, Some(from), reply);
    }

    /// A malformed query gets an error, so that its sender learns of it.
    pub(super) fn refuse(
        &mut self,
        now: Instant,
        local: SocketAddr,
        from: SocketAddr,
        transaction: Transaction,
        code: i64,
        text: &str,
    ) {
        self.traffic.malformed += 1;
        if self.may_answer(now, from) {
            let text = text.to_owned();
            self.reply(local, from, transaction, None, Reply::Error { code, text });
        }
    }

    fn may_answer(&mut self, now: Instant, from: SocketAddr) -> bool {
        if self.settings.read_only {
            return false;
        }
        let may = self.limits.accepts(now, from) && self.limits.has_quota(now);
        self.traffic.dropped += u64::from(!may);
        may
    }

    fn reply(
        &mut self,
        local: SocketAddr,
        to: SocketAddr,
        transaction: Transaction,
        external: Option<SocketAddr>,
        reply: Reply,
    ) {
        let message = ReplyMessage {
            transaction,
            external,
            reply,
        };
        let packet = message.encode();
        self.limits.sent(packet.len());
        self.send(local, to, packet);
    }

    fn answer(
        &mut self,
        now: Instant,
        local: SocketAddr,
        from: SocketAddr,
        method: Method,
    ) -> Result<Response, Refusal> {
        let mut response = Response::default();
        match method {
            Method::Ping => {}
            Method::FindNode { target, want } | Method::Unknown { target, want } => {
                self.add_nodes(local, target, want, &mut response);
            }
            Method::GetPeers {
                info_hash,
                noseed,
                scrape,
                want,
            } => {
                self.add_nodes(local, info_hash, want, &mut response);
                let query = PeersQuery {
                    info_hash,
                    noseed,
                    scrape,
                    from: from.ip(),
                };
                self.add_peers(now, query, &mut response);
            }
            Method::AnnouncePeer {
                info_hash,
                port,
                implied_port,
                seed,
                token,
            } => {
                self.check_token(now, from, &token, info_hash)?;
                let port = if implied_port { from.port() } else { port };
                let peer = SocketAddr::new(from.ip(), port);
                self.peers.announce(now, info_hash, peer, seed);
                if self.settings.report_incoming {
                    let info_hash = InfoHash(info_hash.0);
                    self.outputs
                        .push_back(DhtOutput::IncomingAnnounce { info_hash, peer });
                }
            }
            Method::Get { target, seq, want } => {
                self.add_nodes(local, target, want, &mut response);
                response.token = Some(self.token(now, from, target));
                self.items.get(now, target, seq, &mut response);
            }
            Method::Put {
                token,
                value,
                mutable,
            } => self.put(now, from, &token, value, mutable)?,
            Method::SampleInfohashes { target, want } => {
                self.add_nodes(local, target, want, &mut response);
                let (interval, most) = (
                    self.settings.sample_interval,
                    self.settings.max_sample_count.min(40),
                );
                response.samples = Some(self.peers.sample(now, &mut self.rng, interval, most));
            }
        }
        Ok(response)
    }

    /// Adds the nodes nearest to `target`, of the families that are wanted (BEP 32).
    fn add_nodes(&self, local: SocketAddr, target: NodeId, want: Want, response: &mut Response) {
        let Some(own) = self.endpoints.get(&local) else {
            return;
        };
        for family in Family::ALL {
            if !want.includes(family, own.family) {
                continue;
            }
            let endpoint = match own.family == family {
                true => Some(own),
                false => self.endpoints.values().find(|it| it.family == family),
            };
            let nodes = endpoint.map(|it| it.table.closest(target, K));
            match family {
                Family::V4 => response.nodes = nodes,
                Family::V6 => response.nodes6 = nodes,
            }
        }
    }

    fn add_peers(&mut self, now: Instant, query: PeersQuery, response: &mut Response) {
        let nodes = |nodes: &Option<Vec<NodeContact>>| nodes.as_ref().map_or(0, Vec::len);
        let used = AROUND + nodes(&response.nodes) * 26 + nodes(&response.nodes6) * 38;
        let left = MAX_ANSWER.saturating_sub(used);
        let most = self.settings.max_peers_reply;
        let most = match Family::of(query.from) {
            Family::V4 => most.min(left / 8),
            Family::V6 => (most / 4).min(left / 21),
        };
        let may_announce = self.peers.get(now, &mut self.rng, query, most, response);
        if may_announce {
            let from = SocketAddr::new(query.from, 0);
            response.token = Some(self.token(now, from, query.info_hash));
        }
        if self.settings.report_incoming {
            let info_hash = InfoHash(query.info_hash.0);
            self.outputs
                .push_back(DhtOutput::IncomingGetPeers { info_hash });
        }
    }

    fn put(
        &mut self,
        now: Instant,
        from: SocketAddr,
        token: &[u8],
        value: Bytes,
        mutable: Option<PutMutable>,
    ) -> Result<(), Refusal> {
        if value.len() > MAX_VALUE {
            return Err((error_code::VALUE_TOO_BIG, "message too big"));
        }
        let salt = mutable.as_ref().map_or(0, |it| it.salt.len());
        if salt > MAX_SALT {
            return Err((error_code::SALT_TOO_BIG, "salt too big"));
        }
        let target = match &mutable {
            Some(it) => mutable_target(PublicKey(it.key), &it.salt),
            None => immutable_target(&value),
        };
        self.check_token(now, from, token, target)?;
        let cas = mutable.as_ref().and_then(|it| it.cas);
        let item = match mutable {
            None => StoredItem::Immutable(value),
            Some(PutMutable {
                key,
                signature,
                seq,
                salt,
                ..
            }) => {
                if seq < 0 {
                    let text = "invalid (negative) sequence number";
                    return Err((error_code::PROTOCOL, text));
                }
                let item = MutableItem {
                    key: PublicKey(key),
                    salt,
                    seq,
                    value,
                    signature,
                };
                if item.verify().is_err() {
                    return Err((error_code::INVALID_SIGNATURE, "invalid signature"));
                }
                StoredItem::Mutable(item)
            }
        };
        let own_ids: Vec<_> = self
            .endpoints
            .values()
            .map(|it| it.table.own_id())
            .collect();
        let stored = self.items.put(now, &own_ids, item, cas, from.ip());
        stored.map_err(|error| match error {
            PutError::CasMismatch => (error_code::CAS_MISMATCH, "CAS mismatch"),
            PutError::OldSequence => (error_code::OLD_SEQUENCE, "old sequence number"),
        })
    }

    fn token(&self, now: Instant, to: SocketAddr, target: NodeId) -> Bytes {
        Bytes::copy_from_slice(&self.tokens.token(now, to.ip(), target))
    }

    fn check_token(
        &mut self,
        now: Instant,
        from: SocketAddr,
        token: &[u8],
        target: NodeId,
    ) -> Result<(), Refusal> {
        match self.tokens.verify(now, token, from.ip(), target) {
            true => Ok(()),
            false => Err((error_code::PROTOCOL, "invalid token")),
        }
    }
}
