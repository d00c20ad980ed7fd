//! From the engine's events to the client: a queue that `get_alerts` and
//! `wait_for_alert` read from, and lines for the types that are subscribed to.
//! Both see what the session's `alert_mask` lets through.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use torrent_core::settings::Settings;
use torrent_engine::event::{Alert, Event, Kind};
use torrent_engine::events::AlertQueue;
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
    subscription: Mutex<Subscription>,
    arrived: Notify,
    stop: Notify,
}

impl Alerts {
    /// An empty queue as `settings` ask for it.
    pub(crate) fn new(settings: &Settings) -> Self {
        let alerts = Self {
            queue: AlertQueue::new(0, 1),
            subscription: Mutex::default(),
            arrived: Notify::new(),
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

    /// Reports these types from now on.
    pub(crate) fn subscribe(&self, subscription: Subscription) {
        *self.subscription.lock() = subscription;
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

    /// Moves events from the session to the queue and the subscriber until
    /// [`Self::stop`], and then those that are left. The only reader of the
    /// session's events.
    pub(crate) async fn pump(&self, session: &Session, output: &Output) {
        let mut events = Vec::new();
        let mut stopping = false;
        while !stopping {
            tokio::select! {
                () = session.events().wait() => {}
                () = self.stop.notified() => stopping = true,
            }
            session.events().take(&mut events);
            for event in events.drain(..) {
                if self.deliver(&event, output).await.is_err() {
                    // The answers fail too, which ends the process in order.
                    return;
                }
            }
        }
    }

    /// Ends [`Self::pump`].
    pub(crate) fn stop(&self) {
        self.stop.notify_one();
    }

    async fn deliver(&self, event: &Event, output: &Output) -> Result<(), Closed> {
        let alerts = self.queue.push(event);
        self.arrived.notify_waiters();
        if self.subscription.lock().covers(event.kind) {
            for alert in &alerts {
                output.send(event_line(alert)).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use torrent_engine::event::{Detail, kind};

    use super::*;
    use crate::output;

    fn alerts() -> (Arc<Alerts>, Output) {
        let settings = Settings {
            alert_mask: 0xffff_ffff,
            ..Settings::default()
        };
        let (output, _) = output::start(std::io::sink()).unwrap();
        (Arc::new(Alerts::new(&settings)), output)
    }

    fn event(kind: Kind) -> Event {
        Event::new(kind, None, Detail::None)
    }

    #[tokio::test]
    async fn a_wait_takes_what_is_there_and_leaves_the_rest() {
        let (alerts, output) = alerts();
        for kind in [
            kind::TORRENT_CHECKED,
            kind::TORRENT_FINISHED,
            kind::TORRENT_PAUSED,
        ] {
            alerts.deliver(&event(kind), &output).await.unwrap();
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
        let (alerts, output) = alerts();
        let waiter = tokio::spawn({
            let alerts = Arc::clone(&alerts);
            async move {
                alerts
                    .wait_for(|alert| alert.kind.name == "torrent_paused")
                    .await
            }
        });
        tokio::task::yield_now().await;
        alerts
            .deliver(&event(kind::TORRENT_CHECKED), &output)
            .await
            .unwrap();
        alerts
            .deliver(&event(kind::TORRENT_PAUSED), &output)
            .await
            .unwrap();
        let found = tokio::time::timeout(Duration::from_secs(10), waiter).await;
        assert_eq!(found.unwrap().unwrap().kind, kind::TORRENT_PAUSED);
        assert_eq!(alerts.pop(9).len(), 1);
    }

    #[test]
    fn a_subscription_covers_the_types_it_names() {
        let some = Subscription::Kinds(vec![kind::TORRENT_FINISHED]);
        assert!(some.covers(kind::TORRENT_FINISHED) && !some.covers(kind::TORRENT_PAUSED));
        assert!(Subscription::All.covers(kind::TORRENT_PAUSED));
        assert!(!Subscription::None.covers(kind::TORRENT_PAUSED));
    }
}
