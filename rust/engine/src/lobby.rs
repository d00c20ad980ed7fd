//! Where connections that came in wait until their handshake is done. There is
//! room for so many; when it is full, the one that has dawdled longest leaves
//! for the next one, so that a flood of silent connections keeps nobody out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

/// Time that everybody has, however full it is: who means well has sent his
/// handshake by then.
pub(crate) const GRACE: Duration = Duration::from_millis(500);

/// Those who wait.
#[derive(Debug)]
pub(crate) struct Lobby {
    room: usize,
    grace: Duration,
    guests: Mutex<Guests>,
    left: Notify,
}

#[derive(Debug, Default)]
struct Guests {
    next: u64,
    /// In the order in which they came.
    waiting: BTreeMap<u64, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    /// Dropped to show the guest out.
    _stay: oneshot::Sender<()>,
}

/// A place in the lobby; dropped, it is free again.
#[derive(Debug)]
pub(crate) struct Place {
    lobby: Arc<Lobby>,
    number: u64,
    shown_out: oneshot::Receiver<()>,
}

impl Place {
    /// Resolves when the place is needed for somebody else.
    pub(crate) async fn shown_out(&mut self) {
        let _ = (&mut self.shown_out).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.lobby.guests.lock().waiting.remove(&self.number);
        self.lobby.left.notify_one();
    }
}

impl Lobby {
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

    /// Takes a place; where there is none, the oldest guest is shown out.
    pub(crate) fn enter(self: &Arc<Self>) -> Place {
        let (stay, shown_out) = oneshot::channel();
        let waiting = Waiting {
            since: Instant::now(),
            _stay: stay,
        };
        let mut guests = self.guests.lock();
        if guests.waiting.len() >= self.room {
            guests.waiting.pop_first();
        }
        let number = guests.next;
        guests.next += 1;
        guests.waiting.insert(number, waiting);
        Place {
            lobby: Arc::clone(self),
            number,
            shown_out,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn the_oldest_is_shown_out_when_it_is_full() {
        let lobby = Lobby::new(2, Duration::ZERO);
        let mut first = lobby.enter();
        let mut second = lobby.enter();
        lobby.room().await;
        let third = lobby.enter();
        first.shown_out().await;
        drop(first);
        assert!(second.shown_out().now_or_never().is_none());
        assert_eq!(lobby.guests.lock().waiting.len(), 2);
        drop(third);
        assert!(lobby.full_since().is_none());
    }

    #[tokio::test]
    async fn nobody_is_shown_out_within_his_grace() {
        let lobby = Lobby::new(1, Duration::from_secs(3600));
        lobby.room().await;
        let place = lobby.enter();
        let mut room = Box::pin(lobby.room());
        assert!(room.as_mut().now_or_never().is_none());
        drop(place);
        room.await;
    }
}
