//! Items (BEP 44).

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::super::item::MutableItem;
use super::super::krpc::Response;
use super::super::node_id::NodeId;

/// Addresses of an item's announcers that are remembered.
const MAX_ANNOUNCERS: usize = 64;

/// So many announcers weigh as much as being twice as near to us.
const ANNOUNCERS_PER_BIT: u32 = 5;

/// An item that is stored.
#[derive(Clone, Debug)]
pub(in super::super) enum StoredItem {
    /// Its target is its hash.
    Immutable(Bytes),
    /// Its signature was verified.
    Mutable(MutableItem),
}

/// Why an item was not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum PutError {
    /// The stored one has another sequence number than expected.
    CasMismatch,
    /// The stored one is newer.
    OldSequence,
}

#[derive(Debug)]
struct Stored {
    item: StoredItem,
    announcers: Vec<IpAddr>,
    seen: Instant,
}

/// All of them.
#[derive(Debug)]
pub(in super::super) struct ItemStore {
    max_items: usize,
    /// `None` for as long as there is room.
    lifetime: Option<Duration>,
    items: HashMap<NodeId, Stored>,
}

impl ItemStore {
    pub(in super::super) fn new(max_items: usize, lifetime: Option<Duration>) -> Self {
        Self {
            max_items,
            lifetime,
            items: HashMap::new(),
        }
    }

    pub(in super::super) fn set_limits(&mut self, max_items: usize, lifetime: Option<Duration>) {
        self.max_items = max_items;
        self.lifetime = lifetime;
    }

    pub(in super::super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Adds the item at `target` to `response`. Of a mutable one only its number, where
    /// the sender has it already.
    pub(in super::super) fn get(
        &self,
        now: Instant,
        target: NodeId,
        seq: Option<i64>,
        response: &mut Response,
    ) {
        let Some(stored) = self.items.get(&target).filter(|it| self.is_alive(now, it)) else {
            return;
        };
        match (&stored.item, seq) {
            (StoredItem::Immutable(value), None) => response.value = Some(value.clone()),
            // A number is asked for: it can be no immutable item.
            (StoredItem::Immutable(_), Some(_)) => {}
            (StoredItem::Mutable(item), seq) => {
                response.seq = Some(item.seq);
                if seq.is_none_or(|seq| seq < item.seq) {
                    response.value = Some(item.value.clone());
                    response.key = Some(item.key.0);
                    response.signature = Some(item.signature);
                }
            }
        }
    }

    /// Stores an item that `from` sent. `cas` is the number that it is to replace.
    pub(in super::super) fn put(
        &mut self,
        now: Instant,
        own_ids: &[NodeId],
        item: StoredItem,
        cas: Option<i64>,
        from: IpAddr,
    ) -> Result<(), PutError> {
        let target = match &item {
            StoredItem::Immutable(value) => super::super::item::immutable_target(value),
            StoredItem::Mutable(item) => item.target(),
        };
        if let Some(stored) = self.items.get_mut(&target) {
            if let (StoredItem::Mutable(old), StoredItem::Mutable(new)) = (&stored.item, &item) {
                if cas.is_some_and(|cas| cas != old.seq) {
                    return Err(PutError::CasMismatch);
                }
                if new.seq < old.seq {
                    return Err(PutError::OldSequence);
                }
            }
            stored.item = item;
            stored.seen = now;
            if !stored.announcers.contains(&from) && stored.announcers.len() < MAX_ANNOUNCERS {
                stored.announcers.push(from);
            }
            return Ok(());
        }
        if self.max_items == 0 {
            return Ok(());
        }
        while self.items.len() >= self.max_items {
            let least = self.items.iter().min_by_key(|(target, stored)| {
                let alive = self.is_alive(now, stored);
                let bits = own_ids.iter().map(|id| id.common_bits(**target)).max();
                let popular = stored.announcers.len() as u32 / ANNOUNCERS_PER_BIT;
                (alive, popular + bits.unwrap_or(0), **target)
            });
            let Some(target) = least.map(|it| *it.0) else {
                break;
            };
            self.items.remove(&target);
        }
        let stored = Stored {
            item,
            announcers: vec![from],
            seen: now,
        };
        self.items.insert(target, stored);
        Ok(())
    }

    /// Lets go of what has expired.
    pub(in super::super) fn sweep(&mut self, now: Instant) {
        if let Some(lifetime) = self.lifetime {
            let age = |stored: &Stored| now.saturating_duration_since(stored.seen);
            self.items.retain(|_, stored| age(stored) < lifetime);
        }
    }

    fn is_alive(&self, now: Instant, stored: &Stored) -> bool {
        let age = now.saturating_duration_since(stored.seen);
        self.lifetime.is_none_or(|lifetime| age < lifetime)
    }

    pub(in super::super) fn check_invariants(&self) {
        assert!(self.items.len() <= self.max_items);
    }
}
