//! Where connections that came in wait until their handshake is done. There is
//! room for so many; when it is full, the one that has waited longest is closed
//! for the next one, so that a flood of silent connections blocks no other peer.
//! Of one address, only so many may wait, and they never fill more than half
//! of it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use torrent_core::ban::ban_unit;

/// Time that every connection has, however full it is: a normal peer has sent its
/// handshake by then.
pub(crate) const GRACE: Duration = Duration::from_millis(500);

/// Those who wait.
#[derive(Debug)]
pub(crate) struct HandshakeSlots {
    room: usize,
    grace: Duration,
    pending: Mutex<PendingHandshakes>,
    left: Notify,
}

#[derive(Debug, Default)]
struct PendingHandshakes {
    next: u64,
    /// In the order in which they came.
    waiting: BTreeMap<u64, PendingHandshake>,
}

#[derive(Debug)]
struct PendingHandshake {
    since: Instant,
    /// An IPv6 address stands for its /64.
    from: IpAddr,
    /// Says when the connection is to be closed; dropped to close it at once. Gone
    /// once it was sent.
    stay: Option<oneshot::Sender<Instant>>,
}

/// A slot for one handshake; dropping it frees the slot.
#[derive(Debug)]
pub(crate) struct HandshakeSlot {
    handshake_slots: Arc<HandshakeSlots>,
    number: u64,
    evicted: oneshot::Receiver<Instant>,
}

impl HandshakeSlot {
    /// Resolves when the place is needed for another connection.
    pub(crate) async fn evicted(&mut self) {
        if let Ok(due) = (&mut self.evicted).await {
            tokio::time::sleep_until(due).await;
        }
    }
}

impl Drop for HandshakeSlot {
    fn drop(&mut self) {
        self.handshake_slots
            .pending
            .lock()
            .waiting
            .remove(&self.number);
        self.handshake_slots.left.notify_one();
    }
}

impl HandshakeSlots {
    /// One with places for `room`, at least one, and this grace.
    pub(crate) fn new(room: usize, grace: Duration) -> Arc<Self> {
        Arc::new(Self {
            room: room.max(1),
            grace,
            pending: Mutex::default(),
            left: Notify::new(),
        })
    }

    /// Waits until a slot is free or the oldest handshake has had its grace
    /// period, so that it may be closed.
    pub(crate) async fn room(&self) {
        loop {
            let left = self.left.notified();
            let Some(oldest) = self.full_since() else {
                return;
            };
            let due = oldest + self.grace;
            if due <= Instant::now() {
                return;
            }
            tokio::select! {
                () = left => {}
                () = tokio::time::sleep_until(due) => return,
            }
        }
    }

    /// When the oldest handshake began, if all slots are taken.
    fn full_since(&self) -> Option<Instant> {
        let pending = self.pending.lock();
        let oldest = pending.waiting.values().next();
        oldest
            .filter(|_| pending.waiting.len() >= self.room)
            .map(|handshake| handshake.since)
    }

    /// Takes a slot for a connection from this address; if all are taken, the
    /// oldest handshake is closed. With `per_address` handshakes from there already
    /// (0: no limit), the oldest of them is closed as soon as its grace period is
    /// over, and if they hold half of the slots, the new one is refused.
    pub(crate) fn enter(
        self: &Arc<Self>,
        from: IpAddr,
        per_address: usize,
    ) -> Option<HandshakeSlot> {
        let from = ban_unit(from);
        let (stay, evicted) = oneshot::channel();
        let waiting = PendingHandshake {
            since: Instant::now(),
            from,
            stay: Some(stay),
        };
        let mut pending = self.pending.lock();
        if per_address > 0 {
            let alike = |handshake: &&mut PendingHandshake| handshake.from == from;
            let count = pending.waiting.values_mut().filter(alike).count();
            if count >= per_address.max(self.room / 2) {
                return None;
            }
            let staying = pending.waiting.values_mut().filter(alike);
            let staying: Vec<_> = staying.filter(|it| it.stay.is_some()).collect();
            let surplus = (staying.len() + 1).saturating_sub(per_address);
            for handshake in staying.into_iter().take(surplus) {
                if let Some(stay) = handshake.stay.take() {
                    // It may be leaving by itself.
                    let _ = stay.send(handshake.since + self.grace);
                }
            }
        }
        if pending.waiting.len() >= self.room {
            pending.waiting.pop_first();
        }
        let number = pending.next;
        pending.next += 1;
        pending.waiting.insert(number, waiting);
        Some(HandshakeSlot {
            handshake_slots: Arc::clone(self),
            number,
            evicted,
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn enter(handshake_slots: &Arc<HandshakeSlots>, last: u8) -> HandshakeSlot {
        handshake_slots.enter(ip(last), 0).unwrap()
    }

    #[tokio::test]
    async fn the_oldest_is_shown_out_when_it_is_full() {
        let handshake_slots = HandshakeSlots::new(2, Duration::ZERO);
        let mut first = enter(&handshake_slots, 1);
        let mut second = enter(&handshake_slots, 2);
        handshake_slots.room().await;
        let third = enter(&handshake_slots, 3);
        first.evicted().await;
        drop(first);
        assert!(second.evicted().now_or_never().is_none());
        assert_eq!(handshake_slots.pending.lock().waiting.len(), 2);
        drop(third);
        assert!(handshake_slots.full_since().is_none());
    }

    #[tokio::test]
    async fn nobody_is_shown_out_within_his_grace() {
        let handshake_slots = HandshakeSlots::new(1, Duration::from_secs(3600));
        handshake_slots.room().await;
        let place = enter(&handshake_slots, 1);
        let mut room = Box::pin(handshake_slots.room());
        assert!(room.as_mut().now_or_never().is_none());
        drop(place);
        room.await;
    }

    #[tokio::test]
    async fn of_one_address_only_so_many_dawdle() {
        let handshake_slots = HandshakeSlots::new(20, Duration::from_millis(1));
        let mut other = handshake_slots.enter(ip(9), 2).unwrap();
        let mut places: Vec<HandshakeSlot> = (0..5)
            .map(|_| handshake_slots.enter(ip(1), 2).unwrap())
            .collect();
        for place in &mut places[..3] {
            let since = handshake_slots.pending.lock().waiting[&place.number].since;
            place.evicted().await;
            assert!(
                since.elapsed() >= handshake_slots.grace,
                "each has its grace"
            );
        }
        places.drain(..3);
        assert!(places[0].evicted().now_or_never().is_none());
        // However quick they come, half of the places is for others.
        while let Some(place) = handshake_slots.enter(ip(1), 2) {
            places.push(place);
        }
        assert_eq!(places.len(), 10);
        assert!(other.evicted().now_or_never().is_none());
        assert!(handshake_slots.enter(ip(2), 2).is_some());
        drop(places);
        assert!(handshake_slots.enter(ip(1), 2).is_some());
    }
}
