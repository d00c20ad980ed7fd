//! The way out of the engine: a double buffer of events, and the queue in
//! which alerts wait until they are read.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::event::buffer::{Dropped, EventBuffer};
use crate::event::command_sequence::{CommandStamp, CommandTopic};
use crate::event::performance::Warnings;
use crate::event::{
    Alert, Audience, Event, EventBody, Kind, TorrentRef, TypedKind, category, kind,
};

/// Where tasks post events. A consumer that never polls costs a bounded amount
/// of memory: alerts beyond the limit are dropped and counted, what signals live
/// by merges (see `buffer`).
#[derive(Debug)]
pub struct EventSink {
    mask: AtomicU32,
    limit: AtomicUsize,
    buffer: Mutex<EventBuffer>,
    /// Warnings that were given lately.
    warnings: Mutex<Warnings>,
    arrived: Notify,
}

impl EventSink {
    /// A sink for alerts of `mask`, holding `limit` events of normal priority
    /// that only readers of alerts want.
    pub(crate) fn new(mask: u32, limit: usize) -> Self {
        Self {
            mask: AtomicU32::new(mask),
            limit: AtomicUsize::new(limit),
            buffer: Mutex::default(),
            warnings: Mutex::default(),
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

    pub(crate) fn warnings(&self) -> MutexGuard<'_, Warnings> {
        self.warnings.lock()
    }

    /// Whether an event of `kind` would reach a consumer: to be asked before one
    /// is built.
    pub(crate) fn wants(&self, kind: Kind) -> bool {
        kind.audience != Audience::Alerts || kind.passes(self.mask())
    }

    /// Posts an event if a consumer wants it; `says` is only called then.
    pub(crate) fn post<T>(
        &self,
        kind: TypedKind<T>,
        torrent: Option<&Arc<TorrentRef>>,
        says: impl FnOnce() -> T,
    ) {
        if self.wants(kind.kind()) {
            self.push(Event::new(torrent.cloned(), kind.body(says())));
        }
    }

    /// The same with what is at hand, whose kind it says.
    pub(crate) fn post_body(&self, torrent: Option<&Arc<TorrentRef>>, body: EventBody) {
        if self.wants(body.kind()) {
            self.push(Event::new(torrent.cloned(), body));
        }
    }

    /// As [`Self::post`], of an event that a later command on any of `topics` makes
    /// out of date.
    pub(crate) fn post_about<T>(
        &self,
        topics: &'static [CommandTopic],
        kind: TypedKind<T>,
        torrent: &Arc<TorrentRef>,
        says: impl FnOnce() -> T,
    ) {
        if self.wants(kind.kind()) {
            let mut event = Event::new(Some(Arc::clone(torrent)), kind.body(says()));
            event.stamp = Some(CommandStamp::about(topics, torrent));
            self.push(event);
        }
    }

    fn push(&self, event: Event) {
        log(&event);
        let limit = self.limit.load(Ordering::Relaxed);
        let mask = self.mask();
        let first = self.buffer.lock().push(event, limit, mask);
        if first {
            self.arrived.notify_one();
        }
    }

    /// How many events wait.
    pub fn len(&self) -> usize {
        self.buffer.lock().len()
    }

    /// Whether no event waits.
    pub fn is_empty(&self) -> bool {
        self.buffer.lock().is_empty()
    }

    /// Swaps the waiting events into `into`, which must be empty so that its
    /// memory serves the next round. Those that seem to answer a command that
    /// came after them are left out; see [`Event::is_late`] for what becomes
    /// so later.
    pub fn take(&self, into: &mut Vec<Event>) {
        Self::swap(self.buffer.lock(), into);
    }

    /// The same, but takes nothing while another thread is at the events: that
    /// thread may have been suspended by the system, and a game's frame does
    /// not wait for it. False if so.
    pub fn try_take(&self, into: &mut Vec<Event>) -> bool {
        let buffer = self.buffer.try_lock();
        let free = buffer.is_some();
        if let Some(buffer) = buffer {
            Self::swap(buffer, into);
        }
        free
    }

    /// As [`Self::try_take`], without what only readers of alerts want: that
    /// stays, and what comes when its queue is full is dropped and counted.
    pub fn try_take_signals(&self, into: &mut Vec<Event>) -> bool {
        debug_assert!(into.is_empty());
        let buffer = self.buffer.try_lock();
        let free = buffer.is_some();
        if let Some(mut buffer) = buffer {
            buffer.swap_signals(into);
        }
        free
    }

    fn swap(mut buffer: MutexGuard<'_, EventBuffer>, into: &mut Vec<Event>) {
        debug_assert!(into.is_empty());
        let tail = buffer.swap(into);
        drop(buffer);
        into.extend(tail);
        into.retain(|event| !event.is_late());
    }

    /// Waits until events are there. One waiter only.
    pub async fn wait(&self) {
        loop {
            if !self.buffer.lock().is_empty() {
                return;
            }
            self.arrived.notified().await;
        }
    }
}

/// Puts the alerts of an event into the log.
fn log(event: &Event) {
    const TARGET: &str = "torrent_engine::alert";
    if event.kind().audience == Audience::Signals {
        return;
    }
    if event.kind().category & category::ERROR != 0 {
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
    waiting: Mutex<QueuedAlerts>,
}

#[derive(Debug, Default)]
struct QueuedAlerts {
    alerts: VecDeque<Arc<Alert>>,
    dropped: Dropped,
}

impl QueuedAlerts {
    /// In the order of time: what is posted first did not always happen first.
    fn put(&mut self, alert: Arc<Alert>) {
        let before = |known: &Arc<Alert>| known.timestamp_ms <= alert.timestamp_ms;
        let at = self.alerts.iter().rposition(before).map_or(0, |at| at + 1);
        self.alerts.insert(at, alert);
    }

    /// Drops what seems to answer a command that came after it.
    fn drop_late(&mut self) {
        self.alerts.retain(|alert| !alert.is_late());
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

    /// Alerts dropped because the queue was full, or before they came here.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Queues the alerts of `event` that the mask lets in, and returns them.
    pub fn push(&self, event: &Event) -> Vec<Arc<Alert>> {
        // That some were dropped is reported to every reader of alerts.
        let masked = event.kind() != kind::ALERTS_DROPPED && !event.kind().passes(self.mask());
        if masked || event.kind().audience == Audience::Signals {
            return Vec::new();
        }
        let made: Vec<_> = Alert::from_event(event).into_iter().map(Arc::new).collect();
        let limit = self
            .limit()
            .saturating_mul(1 + event.kind().priority as usize);
        let mut waiting = self.waiting.lock();
        if let EventBody::AlertsDropped(lost) = &event.body {
            // Those never came here.
            self.dropped.fetch_add(lost.count, Ordering::Relaxed);
        }
        for alert in &made {
            if waiting.alerts.len() < limit {
                waiting.put(Arc::clone(alert));
            } else if let EventBody::AlertsDropped(lost) = &event.body {
                waiting.dropped.add(lost.count, &lost.types);
            } else {
                waiting.dropped.note(alert.kind);
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        made
    }

    /// The waiting alerts, oldest first; they stay. What did not fit is reported
    /// of in an `alerts_dropped` alert at the end.
    pub fn peek(&self) -> Vec<Arc<Alert>> {
        let mut waiting = self.waiting.lock();
        waiting.drop_late();
        let report = waiting.dropped.report();
        waiting
            .alerts
            .iter()
            .cloned()
            .chain(alerts(report))
            .collect()
    }

    /// Removes and returns up to `max` alerts, oldest first. What did not fit
    /// is reported in an `alerts_dropped` alert after all others.
    pub fn pop(&self, max: usize) -> Vec<Arc<Alert>> {
        let mut waiting = self.waiting.lock();
        waiting.drop_late();
        let count = max.min(waiting.alerts.len());
        let mut popped: Vec<_> = waiting.alerts.drain(..count).collect();
        if count < max {
            popped.extend(alerts(waiting.dropped.take()));
        }
        popped
    }

    /// Removes and returns the oldest alert that `wanted` names; what did not
    /// fit is reported after all others.
    pub fn take_first(&self, wanted: impl Fn(&Alert) -> bool) -> Option<Arc<Alert>> {
        let mut waiting = self.waiting.lock();
        waiting.drop_late();
        if let Some(at) = waiting.alerts.iter().position(|alert| wanted(alert)) {
            return waiting.alerts.remove(at);
        }
        let report = alerts(waiting.dropped.report()).find(|alert| wanted(alert))?;
        waiting.dropped = Dropped::default();
        Some(report)
    }

    /// Drops the waiting alerts.
    pub fn clear(&self) {
        *self.waiting.lock() = QueuedAlerts::default();
    }
}

/// The alerts that an event comes to.
fn alerts(event: Option<Event>) -> impl Iterator<Item = Arc<Alert>> {
    let event = event.into_iter();
    event.flat_map(|event| Alert::from_event(&event).into_iter().map(Arc::new))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use torrent_core::peer::ConnectionKind;

    use super::*;
    use crate::event::{ConnectedPeer, DroppedAlerts, typed};

    fn connect() -> Event {
        Event::new(None, EventBody::PeerConnect(made()))
    }

    fn made() -> ConnectedPeer {
        let endpoint: SocketAddr = ([127, 0, 0, 1], 1).into();
        ConnectedPeer {
            peer: endpoint.into(),
            connection: ConnectionKind::Tcp,
            incoming: true,
        }
    }

    fn finished() -> Event {
        Event::new(None, EventBody::TorrentFinished)
    }

    #[test]
    fn unwanted_events_are_not_built() {
        let sink = EventSink::new(category::ERROR, 10);
        sink.post(typed::PEER_CONNECT, None, || panic!("built"));
        sink.post(typed::TORRENT_FINISHED, None, || ());
        let mut events = Vec::new();
        sink.take(&mut events);
        assert_eq!(events.len(), 1);
    }

    #[test]
    fn a_full_sink_drops_counts_and_says_so() {
        let sink = EventSink::new(category::ALL, 2);
        for _ in 0..5 {
            sink.post(typed::PEER_CONNECT, None, made);
        }
        sink.post(typed::TORRENT_REMOVED, None, || ());
        let mut events = Vec::new();
        sink.take(&mut events);
        assert_eq!(events.len(), 4, "two, the critical one, and the report");
        let EventBody::AlertsDropped(DroppedAlerts { count, types }) = &events[3].body else {
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
        assert!(queue.push(&finished()).is_empty());
        for _ in 0..3 {
            queue.push(&connect());
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

    #[test]
    fn whoever_only_looks_does_not_fill_the_queue() {
        let queue = AlertQueue::new(category::ALL, 1);
        for _ in 0..9 {
            queue.push(&connect());
            queue.take_first(|alert| alert.kind == kind::TORRENT_FINISHED);
            queue.peek();
        }
        assert_eq!((queue.len(), queue.peek().len()), (1, 2));
        let report = queue.take_first(|alert| alert.kind == kind::ALERTS_DROPPED);
        let message = "alerts dropped: 8 alerts: peer_connect";
        assert_eq!(report.unwrap().message, message);
        assert_eq!(queue.pop(9).len(), 1, "that was told");
    }

    #[test]
    fn what_was_dropped_on_the_way_counts_as_dropped() {
        let lost = |count| {
            let types = vec![23];
            Event::new(
                None,
                EventBody::AlertsDropped(DroppedAlerts { count, types }),
            )
        };
        let queue = AlertQueue::new(category::ALL, 1);
        queue.push(&lost(7));
        assert_eq!((queue.len(), queue.dropped()), (1, 7));
        for _ in 0..3 {
            queue.push(&lost(1));
        }
        queue.push(&finished());
        assert_eq!((queue.len(), queue.dropped()), (4, 11));
        queue.push(&lost(5));
        assert_eq!(queue.dropped(), 16, "there is no room to say so yet");
        let told = queue.pop(9);
        let report = "alerts dropped: 6 alerts: peer_connect, torrent_finished";
        assert_eq!(told[4].message, report);
    }

    #[tokio::test]
    async fn waiting_ends_with_the_first_event() {
        let sink = Arc::new(EventSink::new(category::ALL, 2));
        let waiter = tokio::spawn({
            let sink = Arc::clone(&sink);
            async move { sink.wait().await }
        });
        sink.post(typed::PEER_CONNECT, None, made);
        waiter.await.unwrap();
    }
}
