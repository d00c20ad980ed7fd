//! The monitors in Godot's debugger: the sum over all sessions that asked for
//! them. Main thread only; a gauge may be dropped anywhere.

use std::cell::RefCell;
use std::sync::{Arc, Weak};
use std::time::Duration;

use godot::builtin::{Callable, StringName, Variant};
use godot::classes::{Engine, Performance};
use godot::meta::ToGodot;
use godot::obj::{Gd, Singleton};
use torrent_engine::event::sink::AlertQueue;
use torrent_engine::session::{Session, SessionSlot};
use torrent_engine::status::TorrentStatus;

use crate::threads::SharedField;

/// What there is to read of one session object.
#[derive(Debug)]
pub(crate) struct Gauge {
    slot: Arc<SessionSlot>,
    /// Where its alerts wait; sessions can share that.
    alerts: SharedField<Arc<AlertQueue>>,
    /// What its last poll took.
    poll: SharedField<Duration>,
}

impl Gauge {
    /// The gauge of a session whose alerts wait in `alerts`.
    pub(crate) fn new(slot: Arc<SessionSlot>, alerts: Arc<AlertQueue>) -> Arc<Self> {
        Arc::new(Self {
            slot,
            alerts: SharedField::new(alerts),
            poll: SharedField::default(),
        })
    }

    /// The session's alerts wait here from now on.
    pub(crate) fn use_alerts(&self, alerts: Arc<AlertQueue>) {
        self.alerts.replace(alerts);
    }

    /// Notes how long the session took in this frame.
    pub(crate) fn note_poll(&self, took: Duration) {
        self.poll.replace(took);
    }

    fn sum_of_torrents(&self, of: fn(&TorrentStatus) -> u64) -> u64 {
        let run = self.slot.session();
        let torrents = run.as_ref().map(Session::torrents).unwrap_or_default();
        torrents.iter().map(|torrent| of(&torrent.status())).sum()
    }
}

/// What a monitor shows of the sessions.
type Reading = fn(&[Arc<Gauge>]) -> u64;

/// The monitors by name.
const MONITORS: [(&str, Reading); 6] = [
    ("torrent/download_rate", |shown| {
        sum_of_torrents(shown, |status| status.download_rate)
    }),
    ("torrent/upload_rate", |shown| {
        sum_of_torrents(shown, |status| status.upload_rate)
    }),
    ("torrent/peers", |shown| {
        sum_of_torrents(shown, |status| u64::from(status.num_peers))
    }),
    ("torrent/torrents", |shown| sum_of_torrents(shown, |_| 1)),
    ("torrent/queued_alerts", queued_alerts),
    // Microseconds in the last frame.
    ("torrent/poll_usec", |shown| {
        let polls: Duration = shown.iter().map(|gauge| gauge.poll.get()).sum();
        polls.as_micros() as u64
    }),
];

fn sum_of_torrents(shown: &[Arc<Gauge>], of: fn(&TorrentStatus) -> u64) -> u64 {
    shown.iter().map(|gauge| gauge.sum_of_torrents(of)).sum()
}

/// The alerts that were not taken yet; a queue of several sessions counts
/// once.
fn queued_alerts(shown: &[Arc<Gauge>]) -> u64 {
    let mut queues: Vec<Arc<AlertQueue>> = Vec::new();
    for gauge in shown {
        let queue = gauge.alerts.get();
        if !queues.iter().any(|known| Arc::ptr_eq(known, &queue)) {
            queues.push(queue);
        }
    }
    queues.iter().map(|queue| queue.len() as u64).sum()
}

thread_local! {
    static SHOWN: RefCell<Vec<Weak<Gauge>>> = const { RefCell::new(Vec::new()) };
}

/// Counts a session in, or not any more. The monitors are there as long as
/// one is.
pub(crate) fn show(session: &Arc<Gauge>, wanted: bool) {
    let (before, now) = SHOWN.with_borrow_mut(|shown| {
        let before = shown.len();
        let this = Arc::downgrade(session);
        shown.retain(|known| known.strong_count() > 0 && !known.ptr_eq(&this));
        if wanted {
            shown.push(this);
        }
        (before, shown.len())
    });
    match (before, now) {
        (0, 1..) => add(),
        (1.., 0) => remove(),
        _ => {}
    }
}

fn read(of: Reading) -> u64 {
    let shown: Vec<_> = SHOWN.with_borrow(|shown| shown.iter().filter_map(Weak::upgrade).collect());
    of(&shown)
}

/// Godot's singleton; gone when Godot itself is going.
fn performance() -> Option<Gd<Performance>> {
    Engine::singleton()
        .has_singleton("Performance")
        .then(Performance::singleton)
}

fn add() {
    let Some(mut performance) = performance() else {
        return;
    };
    for (name, of) in MONITORS {
        let monitor = Callable::from_fn(name, move |_: &[&Variant]| {
            crate::convert::to_int(read(of)).to_variant()
        });
        performance.add_custom_monitor(&StringName::from(name), &monitor);
    }
}

/// Takes the monitors away, which call into this library.
pub(crate) fn remove() {
    let Some(mut performance) = performance() else {
        return;
    };
    for name in MONITORS.map(|(name, _)| StringName::from(name)) {
        if performance.has_custom_monitor(&name) {
            performance.remove_custom_monitor(&name);
        }
    }
}
