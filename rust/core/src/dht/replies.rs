//! Answers to our queries, and silence.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use super::address::{Family, NodeContact};
use super::item::{MutableItem, PublicKey, immutable_target};
use super::krpc::{Reply, ReplyMessage, Response, Samples};
use super::lookup::LookupId;
use super::output::RequestId;
use super::requests::{Goal, RequestKind};
use super::transactions::{PendingQuery, Purpose, Stage};
use super::{Dht, DhtOutput};

/// Peers of one request that are remembered, so that each is reported once.
const MAX_FOUND: usize = 5000;

impl Dht {
    pub(super) fn handle_reply(
        &mut self,
        now: Instant,
        local: SocketAddr,
        from: SocketAddr,
        message: ReplyMessage,
    ) {
        let Some(endpoint) = self.endpoints.get_mut(&local) else {
            return;
        };
        let number = message.transaction.number();
        let query = number.and_then(|it| endpoint.transactions.answered(now, from, it));
        let Some(query) = query else {
            // Nothing of ours: a late answer, or a forged one. It is not answered.
            self.traffic.unexpected += 1;
            return;
        };
        self.traffic.replies_in += 1;
        let is_back = endpoint.link.answer(now);
        if let Some(external) = message.external
            && endpoint.external != Some(external.ip())
        {
            self.outputs.push_back(DhtOutput::ExternalAddress {
                local,
                candidate: external.ip(),
                voter: from.ip(),
            });
        }
        match message.reply {
            Reply::Response(response) => self.handle_response(now, local, query, *response),
            Reply::Error { .. } => self.query_failed(now, query),
        }
        if is_back {
            self.revive(now, local);
        }
        self.proceed(now);
    }

    fn handle_response(
        &mut self,
        now: Instant,
        local: SocketAddr,
        query: PendingQuery,
        response: Response,
    ) {
        let addr = query.to;
        let contact = NodeContact {
            id: response.id,
            addr,
        };
        let enforced = self.settings.enforce_node_id;
        let Some(endpoint) = self.endpoints.get_mut(&local) else {
            return;
        };
        let expected = query.id.is_none_or(|id| id == response.id);
        if !expected || enforced && !response.id.is_valid_for(addr.ip()) {
            // Not the node that it was, or that it was said to be.
            endpoint.table.wrong_id(addr);
            return self.query_failed(now, query);
        }
        let rtt = now.saturating_duration_since(query.sent);
        endpoint.table.answered(now, contact, rtt);
        for named in response.contacts() {
            self.heard_about(local, named);
        }
        match query.purpose {
            Purpose::Refresh => {}
            Purpose::Lookup(id) => self.lookup_answered(now, id, contact, response),
            Purpose::Store(id) => self.store_ended(now, id, addr, true),
            Purpose::Sample(id) => {
                let nodes = response.contacts().collect();
                let samples = response.samples.map(|samples| (samples, nodes));
                self.samples_done(id, samples);
            }
        }
    }

    /// A node is named to us: one for the table of its family (BEP 32).
    fn heard_about(&mut self, local: SocketAddr, contact: NodeContact) {
        if self.is_filtered(contact.addr) {
            return;
        }
        let family = Family::of(contact.addr.ip());
        match self.endpoints.get_mut(&local) {
            Some(own) if own.family == family => own.table.heard_about(contact),
            _ => {
                let mut others = self.endpoints.values_mut();
                if let Some(other) = others.find(|it| it.family == family) {
                    other.table.heard_about(contact);
                }
            }
        }
    }

    fn lookup_answered(
        &mut self,
        now: Instant,
        id: LookupId,
        contact: NodeContact,
        response: Response,
    ) {
        let filter = self.filter.clone();
        let Some(active) = self.lookups.get_mut(&id) else {
            return;
        };
        let Some(endpoint) = self.endpoints.get(&active.local) else {
            return;
        };
        let (own, family) = (endpoint.table.own_id(), endpoint.family);
        let token = response.token.clone();
        active.lookup.answered(contact.addr, contact.id, token);
        for named in response.contacts() {
            let ip = named.addr.ip();
            let filtered = filter.as_ref().is_some_and(|filter| filter.blocks(ip));
            if named.id != own && Family::of(ip) == family && !filtered {
                active.lookup.add_named(named);
            }
        }
        if let Goal::Request(request) = active.goal {
            self.take_results(request, response);
        }
        self.advance(now, id);
    }

    /// What an answer says about the thing that was asked for.
    fn take_results(&mut self, id: RequestId, response: Response) {
        let Some(request) = self.requests.get_mut(&id) else {
            return;
        };
        match &mut request.kind {
            RequestKind::Peers {
                info_hash,
                scrape,
                found,
                ..
            } => {
                if let Some(filters) = scrape {
                    let counted = [&response.seeds, &response.downloaders];
                    for (filter, more) in filters.iter_mut().zip(counted) {
                        if let Some(more) = more {
                            filter.unite(more);
                        }
                    }
                }
                let room = MAX_FOUND.saturating_sub(found.len());
                let peers = response.peers.into_iter();
                let new: Vec<_> = peers.filter(|it| found.insert(*it)).take(room).collect();
                if !new.is_empty() {
                    let info_hash = *info_hash;
                    self.outputs.push_back(DhtOutput::Peers {
                        request: id,
                        info_hash,
                        peers: new,
                    });
                }
            }
            RequestKind::Immutable { target } => {
                let target = *target;
                let value = response.value;
                if let Some(value) = value.filter(|it| immutable_target(it) == target) {
                    // There is no other one.
                    self.forget_request(id);
                    self.outputs.push_back(DhtOutput::ImmutableItem {
                        request: id,
                        target,
                        value: Some(value),
                    });
                }
            }
            RequestKind::Mutable { key, salt, best } => {
                if is_better(response, *key, salt, best) {
                    let output = DhtOutput::MutableItem {
                        request: id,
                        key: *key,
                        salt: salt.clone(),
                        item: best.clone(),
                        authoritative: false,
                    };
                    self.outputs.push_back(output);
                }
            }
            RequestKind::PutMutable { put, best, .. } => {
                is_better(response, put.key, &put.salt, best);
            }
            RequestKind::PutImmutable { .. } | RequestKind::Sample { .. } => {}
        }
    }

    /// The node answered, but not with what was asked for.
    fn query_failed(&mut self, now: Instant, query: PendingQuery) {
        match query.purpose {
            Purpose::Refresh => {}
            Purpose::Lookup(id) => {
                if let Some(active) = self.lookups.get_mut(&id) {
                    active.lookup.failed(query.to);
                }
                self.advance(now, id);
            }
            Purpose::Store(id) => self.store_ended(now, id, query.to, false),
            Purpose::Sample(id) => self.samples_done(id, None),
        }
    }

    /// A query has waited so long.
    pub(super) fn stage_reached(
        &mut self,
        now: Instant,
        local: SocketAddr,
        query: PendingQuery,
        stage: Stage,
    ) {
        let addr = query.to;
        if let Some(endpoint) = self.endpoints.get_mut(&local) {
            match stage {
                Stage::Late => {}
                Stage::Overdue => endpoint.link.silence(now),
                Stage::GivenUp => {
                    self.traffic.timeouts += 1;
                    let link_works = endpoint.link.worked_since(query.sent);
                    if !endpoint.link.was_gone(query.sent) {
                        endpoint.table.failed(addr, link_works);
                    }
                }
            }
        }
        match (query.purpose, stage) {
            (Purpose::Lookup(id), stage) => {
                if let Some(active) = self.lookups.get_mut(&id) {
                    match stage {
                        Stage::Late => active.lookup.late(addr),
                        Stage::Overdue => active.lookup.overdue(addr),
                        Stage::GivenUp => active.lookup.failed(addr),
                    }
                }
                self.advance(now, id);
            }
            (Purpose::Store(id), Stage::Overdue) => self.store_ended(now, id, addr, false),
            (Purpose::Sample(id), Stage::GivenUp) => self.samples_done(id, None),
            _ => {}
        }
    }

    /// A node's sample has come, or will not.
    pub(super) fn samples_done(
        &mut self,
        id: RequestId,
        samples: Option<(Samples, Vec<NodeContact>)>,
    ) {
        let Some(request) = self.forget_request(id) else {
            return;
        };
        if let RequestKind::Sample { to, .. } = request.kind {
            self.outputs.push_back(DhtOutput::Samples {
                request: id,
                from: to,
                samples,
            });
        }
    }
}

/// Takes a mutable item out of an answer, if it is newer than `best` and signed.
fn is_better(
    response: Response,
    key: PublicKey,
    salt: &Bytes,
    best: &mut Option<MutableItem>,
) -> bool {
    let (Some(value), Some(signature), Some(seq)) =
        (response.value, response.signature, response.seq)
    else {
        return false;
    };
    if response.key.is_some_and(|it| it != key.0)
        || best.as_ref().is_some_and(|best| best.seq >= seq)
    {
        return false;
    }
    let item = MutableItem {
        key,
        salt: salt.clone(),
        seq,
        value,
        signature,
    };
    let good = item.verify().is_ok();
    if good {
        *best = Some(item);
    }
    good
}
