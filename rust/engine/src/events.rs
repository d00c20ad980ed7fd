//! The way out of the engine: a double buffer of events, and the queue in
//! which alerts wait for whoever asks for them.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::event::{Alert, Audience, Detail, Event, Kind, category, kind};
use crate::handle::TorrentHandle;

/// Where tasks post events. Full means drop and count: a consumer that never
/// polls costs a bounded amount of memory.
#[derive(Debug)]
pub struct EventSink {
    mask: AtomicU32,
    limit: AtomicUsize,
    buffer: Mutex<Buffer>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Buffer {
    events: Vec<Event>,
    dropped: Dropped,
}

/// What did not fit, since that was last reported.
#[derive(Debug, Default)]
struct Dropped {
    count: u64,
    types: BTreeSet<u32>,
}

impl Dropped {
    fn note(&mut self, kind: Kind) {
        self.count += 1;
        self.types.insert(kind.number);
    }

    /// The event that says so, if there is anything to say.
    fn take(&mut self) -> Option<Event> {
        let Self { count, types } = std::mem::take(self);
        (count > 0).then(|| {
            let types = types.into_iter().collect();
            Event::new(kind::ALERTS_DROPPED, None, Detail::Dropped { count, types })
        })
    }
}

impl EventSink {
    /// A sink for alerts of `mask`, holding `limit` events of normal priority.
    pub(crate) fn new(mask: u32, limit: usize) -> Self {
        Self {
            mask: AtomicU32::new(mask),
            limit: AtomicUsize::new(limit),
            buffer: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    /// The categories for which alerts are made.
    pub fn mask(&self) -> u32 {
        self.mask.load(Ordering::Relaxed)
    }

    pub(crate) fn configure(&self, mask: u32, limit: usize) {
        self.mask.store(mask, Ordering::Relaxed);
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Whether an event of `kind` would reach anybody: to be asked before one
    /// is built.
    pub(crate) fn wants(&self, kind: Kind) -> bool {
        kind.audience != Audience::Alerts || kind.passes(self.mask())
    }

    /// Posts an event if anybody wants it; `detail` is only called then.
    pub(crate) fn post(
        &self,
        kind: Kind,
        torrent: Option<&TorrentHandle>,
        detail: impl FnOnce() -> Detail,
    ) {
        if !self.wants(kind) {
            return;
        }
        let event = Event::new(kind, torrent.cloned(), detail());
        log(&event);
        let mut buffer = self.buffer.lock();
        let limit = self.limit.load(Ordering::Relaxed) * (1 + kind.priority as usize);
        if buffer.events.len() >= limit {
            buffer.dropped.note(kind);
            return;
        }
        buffer.events.push(event);
        let first = buffer.events.len() == 1;
        drop(buffer);
        if first {
            self.arrived.notify_one();
        }
    }

    /// How many events wait.
    pub fn len(&self) -> usize {
        self.buffer.lock().events.len()
    }

    /// Whether no event waits.
    pub fn is_empty(&self) -> bool {
        self.buffer.lock().events.is_empty()
    }

    /// Swaps the waiting events into `into`, which must be empty so that its
    /// memory serves the next round.
    pub fn take(&self, into: &mut Vec<Event>) {
        Self::swap(self.buffer.lock(), into);
    }

    /// The same, but takes nothing while another thread is at the events: that
    /// thread may have been put to sleep by the system, and a game's frame does
    /// not wait for it. False if so.
    pub fn try_take(&self, into: &mut Vec<Event>) -> bool {
        let buffer = self.buffer.try_lock();
        let free = buffer.is_some();
        if let Some(buffer) = buffer {
            Self::swap(buffer, into);
        }
        free
    }

    fn swap(mut buffer: MutexGuard<'_, Buffer>, into: &mut Vec<Event>) {
        debug_assert!(into.is_empty());
        std::mem::swap(&mut buffer.events, into);
        let dropped = buffer.dropped.take();
        drop(buffer);
        into.extend(dropped);
    }

    /// Waits until events are there. One waiter only.
    pub async fn wait(&self) {
        loop {
            if !self.buffer.lock().events.is_empty() {
                return;
            }
            self.arrived.notified().await;
        }
    }
}

/// Puts the alerts of an event into the log.
fn log(event: &Event) {
    const TARGET: &str = "torrent_engine::alert";
    if event.kind.audience == Audience::Signals {
        return;
    }
    if event.kind.category & category::ERROR != 0 {
        if tracing::enabled!(target: TARGET, tracing::Level::WARN) {
            for alert in Alert::from_event(event) {
                tracing::warn!(target: TARGET, "{}: {}", alert.kind.name, alert.message);
            }
        }
    } else if tracing::enabled!(target: TARGET, tracing::Level::DEBUG) {
        for alert in Alert::from_event(event) {
            tracing::debug!(target: TARGET, "{}: {}", alert.kind.name, alert.message);
        }
    }
}

/// A bounded queue of alerts behind a mask: libtorrent's alert queue.
#[derive(Debug)]
pub struct AlertQueue {
    mask: AtomicU32,
    limit: AtomicUsize,
    dropped: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    alerts: VecDeque<Arc<Alert>>,
    dropped: Dropped,
}

impl Waiting {
    /// Queues the report of what did not fit, behind everything that did.
    fn report(&mut self) {
        if let Some(event) = self.dropped.take() {
            let made = Alert::from_event(&event);
            self.alerts.extend(made.into_iter().map(Arc::new));
        }
    }
}

impl AlertQueue {
    /// A queue for alerts of `mask`, holding `limit` alerts of normal priority.
    pub fn new(mask: u32, limit: usize) -> Self {
        Self {
            mask: AtomicU32::new(mask),
            limit: AtomicUsize::new(limit),
            dropped: AtomicU64::new(0),
            waiting: Mutex::default(),
        }
    }

    /// The categories that get in.
    pub fn mask(&self) -> u32 {
        self.mask.load(Ordering::Relaxed)
    }

    /// Changes which categories get in.
    pub fn set_mask(&self, mask: u32) {
        self.mask.store(mask, Ordering::Relaxed);
    }

    /// How many alerts wait.
    pub fn len(&self) -> usize {
        self.waiting.lock().alerts.len()
    }

    /// Whether no alert waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.lock().alerts.is_empty()
    }

    /// Alerts of normal priority that are kept.
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Changes how many alerts are kept; those waiting stay.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit.max(1), Ordering::Relaxed);
    }

    /// Alerts dropped because the queue was full.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Queues the alerts of `event` that the mask lets in, and returns them.
    pub fn push(&self, event: &Event) -> Vec<Arc<Alert>> {
        // That some were dropped is heard by whoever hears of any.
        let masked = event.kind != kind::ALERTS_DROPPED && !event.kind.passes(self.mask());
        if masked || event.kind.audience == Audience::Signals {
            return Vec::new();
        }
        let made: Vec<_> = Alert::from_event(event).into_iter().map(Arc::new).collect();
        let limit = self.limit() * (1 + event.kind.priority as usize);
        let mut waiting = self.waiting.lock();
        for alert in &made {
            if waiting.alerts.len() < limit {
                waiting.alerts.push_back(Arc::clone(alert));
            } else {
                waiting.dropped.note(alert.kind);
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        made
    }

    /// The waiting alerts, oldest first; they stay. What did not fit is told
    /// of in an `alerts_dropped` alert at the end.
    pub fn peek(&self) -> Vec<Arc<Alert>> {
        let mut waiting = self.waiting.lock();
        waiting.report();
        waiting.alerts.iter().cloned().collect()
    }

    /// Removes and returns up to `max` alerts, oldest first. What did not fit
    /// is told of in an `alerts_dropped` alert after all others.
    pub fn pop(&self, max: usize) -> Vec<Arc<Alert>> {
        let mut waiting = self.waiting.lock();
        waiting.report();
        let count = max.min(waiting.alerts.len());
        waiting.alerts.drain(..count).collect()
    }

    /// Removes and returns the oldest alert that `wanted` names.
    pub fn take_first(&self, wanted: impl Fn(&Alert) -> bool) -> Option<Arc<Alert>> {
        let mut waiting = self.waiting.lock();
        waiting.report();
        let at = waiting.alerts.iter().position(|alert| wanted(alert))?;
        waiting.alerts.remove(at)
    }

    /// Drops the waiting alerts.
    pub fn clear(&self) {
        *self.waiting.lock() = Waiting::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: Kind) -> Event {
        Event::new(kind, None, Detail::None)
    }

    #[test]
    fn unwanted_events_are_not_built() {
        let sink = EventSink::new(category::ERROR, 10);
        sink.post(kind::PEER_CONNECT, None, || panic!("built"));
        sink.post(kind::TORRENT_FINISHED, None, || Detail::None);
        let mut events = Vec::new();
        sink.take(&mut events);
        assert_eq!(events.len(), 1);
    }

    #[test]
    fn a_full_sink_drops_counts_and_says_so() {
        let sink = EventSink::new(category::ALL, 2);
        for _ in 0..5 {
            sink.post(kind::PEER_CONNECT, None, || Detail::None);
        }
        sink.post(kind::TORRENT_REMOVED, None, || Detail::None);
        let mut events = Vec::new();
        sink.take(&mut events);
        assert_eq!(events.len(), 4, "two, the critical one, and the report");
        let Detail::Dropped { count, types } = &events[3].detail else {
            panic!("{:?}", events[3]);
        };
        assert_eq!((*count, types.as_slice()), (3, &[23][..]));
        events.clear();
        sink.take(&mut events);
        assert!(events.is_empty());
    }

    #[test]
    fn the_queue_masks_bounds_and_keeps_order() {
        let queue = AlertQueue::new(category::CONNECT, 2);
        assert!(queue.push(&event(kind::TORRENT_FINISHED)).is_empty());
        for _ in 0..3 {
            queue.push(&event(kind::PEER_CONNECT));
        }
        assert_eq!((queue.len(), queue.dropped()), (2, 1));
        assert!(
            queue
                .take_first(|alert| alert.kind == kind::TORRENT_FINISHED)
                .is_none()
        );
        assert_eq!(queue.pop(1).len(), 1);
        let left = queue.peek();
        assert_eq!(left.len(), 2);
        assert_eq!(left[1].kind, kind::ALERTS_DROPPED);
        assert_eq!(left[1].message, "alerts dropped: 1 alerts: peer_connect");
        queue.clear();
        assert!(queue.pop(9).is_empty());
    }

    #[tokio::test]
    async fn waiting_ends_with_the_first_event() {
        let sink = Arc::new(EventSink::new(category::ALL, 2));
        let waiter = tokio::spawn({
            let sink = Arc::clone(&sink);
            async move { sink.wait().await }
        });
        sink.post(kind::PEER_CONNECT, None, || Detail::None);
        waiter.await.unwrap();
    }
}
