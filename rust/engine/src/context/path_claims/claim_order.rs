//! The order in which torrents take places. A look at the disk takes its time,
//! and the first to ask is the first to take: each has a ticket from when it
//! asks until it has its place or is refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

/// The torrents that are going to take a place.
#[derive(Debug, Default)]
pub(super) struct ClaimOrder(Mutex<Tickets>);

#[derive(Debug, Default)]
struct Tickets {
    last: u64,
    /// The other end sees when a ticket is given back.
    tickets: BTreeMap<u64, watch::Sender<()>>,
}

/// A number in the line, until it is dropped.
#[derive(Debug)]
pub(crate) struct ClaimTicket {
    line: Arc<ClaimOrder>,
    number: u64,
}

impl ClaimOrder {
    pub(super) fn ticket(self: &Arc<Self>) -> ClaimTicket {
        let mut waiting = self.0.lock();
        waiting.last += 1;
        let number = waiting.last;
        waiting.tickets.insert(number, watch::Sender::new(()));
        ClaimTicket {
            line: Arc::clone(self),
            number,
        }
    }
}

impl ClaimTicket {
    /// Waits until all tickets that were given out before are given back.
    pub(super) async fn ready(&self) {
        while let Some(mut ahead) = self.ahead() {
            while ahead.changed().await.is_ok() {}
        }
    }

    /// The last of those before: it waits for the others itself.
    fn ahead(&self) -> Option<watch::Receiver<()>> {
        let waiting = self.line.0.lock();
        let mut ahead = waiting.tickets.range(..self.number);
        ahead.next_back().map(|(_, ticket)| ticket.subscribe())
    }
}

impl Drop for ClaimTicket {
    fn drop(&mut self) {
        self.line.0.lock().tickets.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn the_first_ticket_has_the_first_turn() {
        let line = Arc::new(ClaimOrder::default());
        let [first, second, third] = [(); 3].map(|()| line.ticket());
        let mut now = Context::from_waker(Waker::noop());
        assert!(pin!(first.ready()).poll(&mut now).is_ready());
        let mut ready = pin!(third.ready());
        assert!(ready.as_mut().poll(&mut now).is_pending());
        drop(first);
        assert!(ready.as_mut().poll(&mut now).is_pending());
        // One that gives up is passed over.
        drop(second);
        assert!(ready.as_mut().poll(&mut now).is_ready());
    }
}
