//! The monitors in Godot's debugger: the sum over all sessions that asked for
//! them. Main thread only, as everything here.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

use godot::builtin::{Callable, StringName, Variant};
use godot::classes::{Engine, Performance};
use godot::meta::ToGodot;
use godot::obj::{Gd, Singleton};
use torrent_engine::session::Session;

use crate::torrent_session::{Running, SharedRun};

/// What a monitor shows of a session.
type Reading = fn(&Session) -> u64;

/// The monitors by name.
const MONITORS: [(&str, Reading); 5] = [
    ("torrent/download_rate", |session| {
        let torrents = session.torrents();
        torrents.iter().map(|it| it.status().download_rate).sum()
    }),
    ("torrent/upload_rate", |session| {
        let torrents = session.torrents();
        torrents.iter().map(|it| it.status().upload_rate).sum()
    }),
    ("torrent/peers", |session| {
        let torrents = session.torrents().into_iter();
        torrents.map(|it| u64::from(it.status().num_peers)).sum()
    }),
    ("torrent/torrents", |session| {
        session.torrents().len() as u64
    }),
    ("torrent/queued_alerts", |session| {
        session.events().len() as u64
    }),
];

/// Microseconds that sessions took in the frame before.
const POLL: &str = "torrent/poll_usec";

thread_local! {
    static SHOWN: RefCell<Vec<Weak<SharedRun>>> = const { RefCell::new(Vec::new()) };
    static LAST_POLL: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Notes how long a session took in this frame.
pub(crate) fn note_poll(took: Duration) {
    LAST_POLL.set(took);
}

/// Counts a session in, or not any more. The monitors are there as long as
/// one is.
pub(crate) fn show(session: &Running, wanted: bool) {
    let (before, now) = SHOWN.with_borrow_mut(|shown| {
        let before = shown.len();
        let this = Rc::downgrade(session);
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

fn sum(of: Reading) -> u64 {
    SHOWN.with_borrow(|shown| {
        let runs = shown.iter().filter_map(Weak::upgrade);
        runs.filter_map(|run| run.borrow().as_ref().map(of)).sum()
    })
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
        let read = Callable::from_fn(name, move |_: &[&Variant]| {
            crate::convert::to_int(sum(of)).to_variant()
        });
        performance.add_custom_monitor(&StringName::from(name), &read);
    }
    let read = Callable::from_fn(POLL, |_: &[&Variant]| {
        crate::convert::to_int(LAST_POLL.get().as_micros() as u64).to_variant()
    });
    performance.add_custom_monitor(&StringName::from(POLL), &read);
}

/// Takes the monitors away, which call into this library.
pub(crate) fn remove() {
    let Some(mut performance) = performance() else {
        return;
    };
    let names = MONITORS.iter().map(|(name, _)| *name).chain([POLL]);
    for name in names.map(StringName::from) {
        if performance.has_custom_monitor(&name) {
            performance.remove_custom_monitor(&name);
        }
    }
}
