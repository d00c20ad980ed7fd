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
    guests: Mutex<Guests>,
    left: Notify,
}

#[derive(Debug, Default)]
struct Guests {
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

/// A place in the lobby; dropped, it is free again.
#[derive(Debug)]
pub(crate) struct HandshakeSlot {
    handshake_slots: Arc<HandshakeSlots>,
    number: u64,
    shown_out: oneshot::Receiver<Instant>,
}

impl HandshakeSlot {
    /// Resolves when the place is needed for another connection.
    pub(crate) async fn shown_out(&mut self) {
        if let Ok(due) = (&mut self.shown_out).await {
            tokio::time::sleep_until(due).await;
        }
    }
}

impl Drop for HandshakeSlot {
    fn drop(&mut self) {
        self.handshake_slots
            .guests
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
            guests: Mutex::default(),
            left: Notify::new(),
        })
    }

    /// Waits until there is room, which there is when the oldest guest had his
    /// grace.
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

    /// When the oldest guest came, if there is no place left.
    fn full_since(&self) -> Option<Instant> {
        let guests = self.guests.lock();
        let oldest = guests.waiting.values().next();
        oldest
            .filter(|_| guests.waiting.len() >= self.room)
            .map(|guest| guest.since)
    }

    /// Takes a place for a guest from this address; where there is none, the
    /// oldest guest is shown out. With `per_address` guests from there already,
    /// 0 for no limit, the oldest of them leaves as soon as it had its grace,
    /// and if they have half of the places, the new one is turned away.
    pub(crate) fn enter(
        self: &Arc<Self>,
        from: IpAddr,
        per_address: usize,
    ) -> Option<HandshakeSlot> {
        let from = ban_unit(from);
        let (stay, shown_out) = oneshot::channel();
        let waiting = PendingHandshake {
            since: Instant::now(),
            from,
            stay: Some(stay),
        };
        let mut guests = self.guests.lock();
        if per_address > 0 {
            let alike = |guest: &&mut PendingHandshake| guest.from == from;
            let count = guests.waiting.values_mut().filter(alike).count();
            if count >= per_address.max(self.room / 2) {
                return None;
            }
            let staying = guests.waiting.values_mut().filter(alike);
            let staying: Vec<_> = staying.filter(|it| it.stay.is_some()).collect();
            let surplus = (staying.len() + 1).saturating_sub(per_address);
            for guest in staying.into_iter().take(surplus) {
                if let Some(stay) = guest.stay.take() {
                    // It may be leaving by itself.
                    let _ = stay.send(guest.since + self.grace);
                }
            }
        }
        if guests.waiting.len() >= self.room {
            guests.waiting.pop_first();
        }
        let number = guests.next;
        guests.next += 1;
        guests.waiting.insert(number, waiting);
        Some(HandshakeSlot {
            handshake_slots: Arc::clone(self),
            number,
            shown_out,
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
        first.shown_out().await;
        drop(first);
        assert!(second.shown_out().now_or_never().is_none());
        assert_eq!(handshake_slots.guests.lock().waiting.len(), 2);
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
            let since = handshake_slots.guests.lock().waiting[&place.number].since;
            place.shown_out().await;
            assert!(
                since.elapsed() >= handshake_slots.grace,
                "each has its grace"
            );
        }
        places.drain(..3);
        assert!(places[0].shown_out().now_or_never().is_none());
        // However quick they come, half of the places is for others.
        while let Some(place) = handshake_slots.enter(ip(1), 2) {
            places.push(place);
        }
        assert_eq!(places.len(), 10);
        assert!(other.shown_out().now_or_never().is_none());
        assert!(handshake_slots.enter(ip(2), 2).is_some());
        drop(places);
        assert!(handshake_slots.enter(ip(1), 2).is_some());
    }
}
