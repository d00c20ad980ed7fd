//! From the engine's events to the client: a queue that `get_alerts` and
//! `wait_for_alert` read from, and lines for the types that are subscribed to.
//! Both see what the session's `alert_mask` lets through.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use torrent_core::settings::Settings;
use torrent_engine::event::sink::AlertQueue;
use torrent_engine::event::{Alert, Event, Kind};
use torrent_engine::session::Session;

use crate::output::{Closed, Output};
use crate::protocol::event_line;

/// The types that are reported as they happen.
#[derive(Debug, Default)]
pub(crate) enum Subscription {
    /// No type.
    #[default]
    None,
    /// Every type.
    All,
    /// These types.
    Kinds(Vec<Kind>),
}

impl Subscription {
    fn covers(&self, kind: Kind) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Kinds(kinds) => kinds.iter().any(|known| known.number == kind.number),
        }
    }
}

/// The alerts of one session.
#[derive(Debug)]
pub(crate) struct Alerts {
    queue: AlertQueue,
    /// What is on its way; locked as long as events are moved, so that they
    /// stay in order whichever task moves them.
    moving: Mutex<Moving>,
    arrived: Notify,
    /// There are lines to send.
    lines: Notify,
    stop: Notify,
}

/// Between the session and the client.
#[derive(Debug, Default)]
struct Moving {
    /// Memory that serves again.
    events: Vec<Event>,
    subscription: Subscription,
    /// Lines for the subscriber that are not handed over yet.
    lines: VecDeque<Arc<Alert>>,
}

impl Moving {
    fn subscribe(&mut self, subscription: Subscription) {
        self.lines.retain(|alert| subscription.covers(alert.kind));
        self.subscription = subscription;
    }
}

impl Alerts {
    /// An empty queue as `settings` ask for it.
    pub(crate) fn new(settings: &Settings) -> Self {
        let alerts = Self {
            queue: AlertQueue::new(0, 1),
            moving: Mutex::default(),
            arrived: Notify::new(),
            lines: Notify::new(),
            stop: Notify::new(),
        };
        alerts.configure(settings);
        alerts
    }

    /// Follows changed settings.
    pub(crate) fn configure(&self, settings: &Settings) {
        // Both are within range: the settings are checked.
        self.queue.set_mask(settings.alert_mask as u32);
        self.queue.set_limit(settings.alert_queue_size as usize);
    }

    /// Reports these types from now on, and no others: what happened before
    /// is no news to a new subscription, and lines of an old one that are not
    /// handed over yet never are.
    pub(crate) fn subscribe(&self, session: &Session, subscription: Subscription) {
        let mut moving = self.moving.lock();
        self.carry(session, &mut moving);
        moving.subscribe(subscription);
    }

    /// Takes up to `max` alerts, oldest first.
    pub(crate) fn pop(&self, max: usize) -> Vec<Arc<Alert>> {
        self.queue.pop(max)
    }

    /// Takes the oldest alert that `wanted` names, and waits for one if there
    /// is none yet. The others stay.
    pub(crate) async fn wait_for(&self, wanted: impl Fn(&Alert) -> bool) -> Arc<Alert> {
        loop {
            let mut arrived = std::pin::pin!(self.arrived.notified());
            // Before looking, so that nothing can come unnoticed in between.
            arrived.as_mut().enable();
            if let Some(alert) = self.queue.take_first(&wanted) {
                return alert;
            }
            arrived.await;
        }
    }

    /// Moves what the session has posted so far to the queue, so that the next
    /// request finds all of it there.
    pub(crate) fn collect(&self, session: &Session) {
        self.carry(session, &mut self.moving.lock());
    }

    fn carry(&self, session: &Session, moving: &mut Moving) {
        let mut events = std::mem::take(&mut moving.events);
        session.events().take(&mut events);
        for event in events.drain(..) {
            self.deliver(&event, moving);
        }
        moving.events = events;
        if !moving.lines.is_empty() {
            self.lines.notify_one();
        }
    }

    /// Collects events as they come and sends the subscriber's lines until
    /// [`Self::stop`], and then those that are left.
    pub(crate) async fn pump(&self, session: &Session, output: &Output) {
        let arrived = || session.events().wait();
        self.pump_from(arrived, || self.collect(session), output)
            .await;
    }

    /// The same from any source, which may never run dry.
    async fn pump_from<F: Future<Output = ()>>(
        &self,
        arrived: impl Fn() -> F,
        collect: impl Fn(),
        output: &Output,
    ) {
        let mut stopping = false;
        while !stopping {
            tokio::select! {
                () = arrived() => {}
                () = self.lines.notified() => {}
                () = self.stop.notified() => stopping = true,
            }
            collect();
            if self.send_lines(output).await.is_err() {
                // The answers fail too, which ends the process in order.
                return;
            }
            // Requests are answered on the same thread.
            tokio::task::yield_now().await;
        }
    }

    /// Hands over the subscriber's lines.
    async fn send_lines(&self, output: &Output) -> Result<(), Closed> {
        while !self.moving.lock().lines.is_empty() {
            let place = output.reserve().await?;
            // Handed over under the lock: no answer to a new subscription
            // comes before a line of the old one.
            let mut moving = self.moving.lock();
            // What has become the answer to nothing meanwhile is left out.
            if let Some(alert) = moving.lines.pop_front().filter(|alert| !alert.is_late()) {
                place.send(event_line(&alert));
            }
        }
        Ok(())
    }

    /// Ends [`Self::pump`].
    pub(crate) fn stop(&self) {
        self.stop.notify_one();
    }

    fn deliver(&self, event: &Event, moving: &mut Moving) {
        let alerts = self.queue.push(event);
        self.arrived.notify_waiters();
        if moving.subscription.covers(event.kind()) {
            moving.lines.extend(alerts);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io;
    use std::time::Duration;

    use torrent_engine::event::{EventBody, kind};

    use super::*;
    use crate::output;

    fn alerts() -> Arc<Alerts> {
        let settings = Settings {
            alert_mask: 0xffff_ffff,
            ..Settings::default()
        };
        Arc::new(Alerts::new(&settings))
    }

    /// One comes; returns how many lines that makes.
    fn deliver(alerts: &Alerts, body: EventBody) -> usize {
        let mut moving = alerts.moving.lock();
        let before = moving.lines.len();
        alerts.deliver(&Event::new(None, body), &mut moving);
        moving.lines.len() - before
    }

    fn subscribe(alerts: &Alerts, subscription: Subscription) {
        alerts.moving.lock().subscribe(subscription);
    }

    #[tokio::test]
    async fn alerts_without_end_leave_time_for_requests() {
        let alerts = alerts();
        let (output, _writer) = output::start(io::sink()).unwrap();
        let (rounds, answered) = (Cell::new(0), Cell::new(0));
        let collect = || {
            deliver(&alerts, EventBody::TorrentChecked);
            rounds.set(rounds.get() + 1);
            if rounds.get() == 10_000 {
                alerts.stop();
            }
        };
        // Always something new, without a wait.
        let pump = alerts.pump_from(|| std::future::ready(()), collect, &output);
        let requests = async {
            while rounds.get() < 10_000 {
                answered.set(answered.get() + 1);
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(pump, requests);
        assert!(answered.get() > 1000, "{} of 10,000", answered.get());
    }

    #[tokio::test]
    async fn a_wait_takes_what_is_there_and_leaves_the_rest() {
        let alerts = alerts();
        for body in [
            EventBody::TorrentChecked,
            EventBody::TorrentFinished,
            EventBody::TorrentPaused,
        ] {
            deliver(&alerts, body);
        }
        let found = alerts
            .wait_for(|alert| alert.kind.name == "torrent_finished")
            .await;
        assert_eq!(found.kind, kind::TORRENT_FINISHED);
        let left: Vec<_> = alerts.pop(9).iter().map(|alert| alert.kind.name).collect();
        assert_eq!(left, ["torrent_checked", "torrent_paused"]);
    }

    #[tokio::test]
    async fn a_wait_ends_with_the_alert_that_it_is_for() {
        let alerts = alerts();
        let waiter = tokio::spawn({
            let alerts = Arc::clone(&alerts);
            async move {
                alerts
                    .wait_for(|alert| alert.kind.name == "torrent_paused")
                    .await
            }
        });
        tokio::task::yield_now().await;
        deliver(&alerts, EventBody::TorrentChecked);
        deliver(&alerts, EventBody::TorrentPaused);
        let found = tokio::time::timeout(Duration::from_secs(120), waiter).await;
        assert_eq!(found.unwrap().unwrap().kind, kind::TORRENT_PAUSED);
        assert_eq!(alerts.pop(9).len(), 1);
    }

    #[test]
    fn only_what_is_subscribed_to_becomes_a_line() {
        let alerts = alerts();
        assert_eq!(deliver(&alerts, EventBody::TorrentChecked), 0);
        subscribe(&alerts, Subscription::Kinds(vec![kind::TORRENT_PAUSED]));
        assert_eq!(deliver(&alerts, EventBody::TorrentChecked), 0);
        assert_eq!(deliver(&alerts, EventBody::TorrentPaused), 1);
        assert_eq!(alerts.pop(9).len(), 3);
    }

    #[tokio::test]
    async fn lines_of_a_subscription_that_is_over_are_not_handed_over() {
        let alerts = alerts();
        let (written, target) = std::sync::mpsc::channel();
        let (output, writer) = output::start(Lines(written)).unwrap();
        subscribe(&alerts, Subscription::All);
        for body in [EventBody::TorrentChecked, EventBody::TorrentPaused] {
            deliver(&alerts, body);
        }
        subscribe(&alerts, Subscription::Kinds(vec![kind::TORRENT_PAUSED]));
        alerts.send_lines(&output).await.unwrap();
        drop(output);
        writer.finish().await;
        let lines: Vec<String> = target.iter().collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("torrent_paused"), "{lines:?}");
    }

    /// Takes what is written.
    struct Lines(std::sync::mpsc::Sender<String>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let line = String::from_utf8_lossy(bytes).into_owned();
            self.0.send(line).map_err(std::io::Error::other)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_subscription_covers_the_types_it_names() {
        let some = Subscription::Kinds(vec![kind::TORRENT_FINISHED]);
        assert!(some.covers(kind::TORRENT_FINISHED) && !some.covers(kind::TORRENT_PAUSED));
        assert!(Subscription::All.covers(kind::TORRENT_PAUSED));
        assert!(!Subscription::None.covers(kind::TORRENT_PAUSED));
    }
}
