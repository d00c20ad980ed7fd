//! The writes at the end of a look-up: announces and puts, to the nearest nodes that
//! gave a token.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Instant;

use super::Dht;
use super::item::{ItemError, MutableItem};
use super::krpc::{Method, PutMutable};
use super::lookup::{LookupId, NextNode};
use super::output::{MutablePut, RequestId};
use super::requests::RequestKind;
use super::transactions::Purpose;

/// Writes that are under way.
#[derive(Debug, Default)]
pub(super) struct Storing {
    waits: HashSet<SocketAddr>,
}

impl Storing {
    pub(super) fn is_done(&self) -> bool {
        self.waits.is_empty()
    }

    /// A node has answered, or is not waited for.
    pub(super) fn ended(&mut self, addr: SocketAddr) {
        self.waits.remove(&addr);
    }
}

impl Dht {
    /// Writes to the nodes that a look-up found. Whether there is anything to write.
    pub(super) fn begin_storing(&mut self, now: Instant, id: LookupId, request: RequestId) -> bool {
        let Some(found) = self.requests.get_mut(&request) else {
            return false;
        };
        let Some(write) = write(&mut found.kind) else {
            return false;
        };
        let Some(active) = self.lookups.get_mut(&id) else {
            return false;
        };
        let (local, nodes) = (active.local, active.lookup.writable());
        active.storing = Some(Storing::default());
        for (contact, token) in nodes {
            let mut method = write.clone();
            if let Method::AnnouncePeer { token: to_set, .. } | Method::Put { token: to_set, .. } =
                &mut method
            {
                *to_set = token;
            }
            let to = NextNode {
                addr: contact.addr,
                id: Some(contact.id),
            };
            if self.ask(now, local, to, method, Purpose::Store(id))
                && let Some(storing) = self.lookups.get_mut(&id).and_then(|it| it.storing.as_mut())
            {
                storing.waits.insert(contact.addr);
            }
        }
        let storing = self.lookups.get(&id).and_then(|it| it.storing.as_ref());
        storing.is_some_and(|it| !it.is_done())
    }

    /// A node took what was written to it, or not.
    pub(super) fn store_ended(
        &mut self,
        now: Instant,
        id: LookupId,
        addr: SocketAddr,
        stored: bool,
    ) {
        let Some(active) = self.lookups.get_mut(&id) else {
            return;
        };
        if let Some(storing) = &mut active.storing {
            storing.ended(addr);
        }
        if let super::requests::Goal::Request(request) = active.goal
            && let Some(request) = self.requests.get_mut(&request)
        {
            request.stored += u32::from(stored);
        }
        self.advance(now, id);
    }
}

/// What is written, with an empty token; `None` for nothing.
fn write(kind: &mut RequestKind) -> Option<Method> {
    let token = bytes::Bytes::new();
    match kind {
        RequestKind::Peers {
            info_hash,
            announce: Some(announce),
            ..
        } => Some(Method::AnnouncePeer {
            info_hash: (*info_hash).into(),
            port: announce.port,
            implied_port: announce.implied_port,
            seed: announce.seed,
            token,
        }),
        RequestKind::PutImmutable { value } => Some(Method::Put {
            token,
            value: value.clone(),
            mutable: None,
        }),
        RequestKind::PutMutable {
            put,
            best,
            signed,
            error,
        } => {
            let replaced = best.as_ref().map(|it| it.seq);
            if signed.is_none() {
                match sign(put, replaced) {
                    Ok(item) => *signed = Some(item),
                    Err(why) => *error = Some(why),
                }
            }
            let item = signed.as_ref()?;
            Some(Method::Put {
                token,
                value: item.value.clone(),
                mutable: Some(PutMutable {
                    key: item.key.0,
                    signature: item.signature,
                    seq: item.seq,
                    // With a number of the game's own, the game knows what it does.
                    cas: None,
                    salt: item.salt.clone(),
                }),
            })
        }
        _ => None,
    }
}

/// The item, with the number that was asked for or the next one.
fn sign(put: &MutablePut, replaced: Option<i64>) -> Result<MutableItem, ItemError> {
    let next = match replaced {
        Some(seq) => seq.checked_add(1).ok_or(ItemError::NegativeSeq)?,
        None => 0,
    };
    let seq = put.seq.unwrap_or(next);
    let (salt, value) = (put.salt.clone(), put.value.clone());
    MutableItem::sign(&put.secret, put.key, salt, seq, value)
}
