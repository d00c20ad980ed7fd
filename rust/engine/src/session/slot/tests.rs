//! Slots: what goes from one run to the next, and the order of their news.

use std::path::Path;
use std::time::{Duration, Instant};

use torrent_core::ids::InfoHash;
use torrent_core::settings::Settings;
use torrent_core::value::Value;

use super::{Run, RunNews, SessionSlot};
use crate::error::{Error, ErrorKind};
use crate::session::{AddTorrent, Session};

/// Nothing here takes that long, unless it is broken.
const LIMIT: Duration = Duration::from_secs(60);

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A slot whose runs listen on loopback.
fn slot() -> SessionSlot {
    let slot = SessionSlot::default();
    apply(&slot, "listen_interfaces", "127.0.0.1:0").unwrap();
    slot
}

fn apply(slot: &SessionSlot, name: &str, value: impl Into<Value>) -> crate::error::Result<()> {
    slot.apply_settings([(name, &value.into())])
}

fn start(slot: &SessionSlot) -> Session {
    slot.start([]).unwrap();
    slot.running().unwrap()
}

fn in_folder(folder: &Path) -> SessionSlot {
    let slot = slot();
    slot.set_state_dir(Some(folder.to_owned()));
    slot
}

/// What one poll hands out: "started", "stopped" or the name of an event.
fn news(slot: &SessionSlot, into: &mut Vec<&'static str>) {
    slot.end_failed();
    slot.poll(false, |news| {
        into.push(match news {
            RunNews::Started => "started",
            RunNews::Stopped => "stopped",
            RunNews::Event(event) => event.kind().name,
        });
    });
}

/// Polls until so many runs have stopped.
fn all_news(slot: &SessionSlot, stops: usize) -> Vec<&'static str> {
    let mut all = Vec::new();
    until("it stops", || {
        news(slot, &mut all);
        all.iter().filter(|it| **it == "stopped").count() == stops
    });
    assert!(!slot.is_ending());
    all
}

fn magnet(number: u8, folder: &Path) -> AddTorrent {
    AddTorrent::from_info_hash(InfoHash([number; 20]), folder)
}

fn rules(slot: &SessionSlot) -> usize {
    let mut rules = 0;
    slot.change_ip_filter(|filter| {
        rules = filter.blocked().len();
        Ok(())
    })
    .unwrap();
    rules
}

#[test]
fn settings_and_state_go_from_run_to_run() {
    let slot = slot();
    apply(&slot, "connections_limit", 50).unwrap();
    slot.change_ip_filter(|filter| filter.add_rule("10.0.0.0/8", true))
        .unwrap();
    let session = start(&slot);
    assert_eq!(session.settings().connections_limit, 50);
    assert_eq!(session.ip_filter().blocked().len(), 1);

    apply(&slot, "connections_limit", 60).unwrap();
    assert_eq!(session.settings().connections_limit, 60);
    slot.change_ip_filter(|filter| filter.add_rule("12.0.0.0/8", true))
        .unwrap();
    let saved = slot.save_state();
    assert!(slot.stop() && !slot.stop(), "it stops once");
    assert!(!slot.has_run() && slot.session().is_none());
    assert_eq!(slot.settings().connections_limit, 60);
    assert_eq!(rules(&slot), 2);
    assert_eq!(slot.save_state(), saved, "between two runs");

    apply(&slot, "connections_limit", 70).unwrap();
    let next = start(&slot);
    assert_eq!(next.settings().connections_limit, 70);
    assert_eq!(rules(&slot), 2);
    slot.load_state(&saved).unwrap();
    assert_eq!(next.settings().connections_limit, 60);
    slot.stop();
    assert!(slot.join(LIMIT));
}

#[test]
fn a_loaded_state_is_that_of_the_next_run() {
    let (one, other) = (slot(), slot());
    apply(&one, "connections_limit", 77).unwrap();
    one.change_ip_filter(|filter| filter.add_rule("10.0.0.0/8", true))
        .unwrap();
    assert!(other.load_state(b"nonsense").is_err());
    assert_eq!(other.load_state(&one.save_state()).unwrap(), []);
    let session = start(&other);
    assert_eq!(session.settings().connections_limit, 77);
    assert_eq!(session.ip_filter().blocked().len(), 1);
}

#[test]
fn news_come_in_order_of_the_runs() {
    let folder = tempfile::tempdir().unwrap();
    let slot = slot();
    start(&slot).add_torrent(magnet(1, folder.path())).unwrap();
    slot.stop();
    start(&slot);
    let mut all = all_news(&slot, 1);
    until("the next one starts", || {
        news(&slot, &mut all);
        all.iter().filter(|it| **it == "started").count() == 2
    });
    all.retain(|it| matches!(*it, "started" | "stopped" | "add_torrent"));
    assert_eq!(all.len(), 4, "{all:?}");
    let place = |of| all.iter().position(|it| *it == of).unwrap();
    assert_eq!(place("started"), 0, "no event comes before it: {all:?}");
    assert!(place("add_torrent") < place("stopped"), "{all:?}");
    slot.stop();
    let mut rest = all_news(&slot, 1);
    rest.retain(|it| matches!(*it, "started" | "stopped"));
    assert_eq!(rest, ["stopped"], "a start is reported once");
}

#[test]
fn a_start_is_refused_while_there_is_a_run() {
    let slot = slot();
    let session = start(&slot);
    let limit = Value::Int(50);
    let refused = slot.start([("connections_limit", &limit)]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::SessionAlreadyRunning);
    assert_ne!(slot.settings().connections_limit, 50, "nothing has changed");
    assert!(session.is_running());
}

#[test]
fn a_start_that_fails_can_be_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"no folder").unwrap();
    let slot = in_folder(&file);
    let (limit, wrong) = (Value::Int(50), Value::Int(-5));
    let failed = slot.start([("connections_limit", &wrong)]).unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::InvalidParameter);
    slot.start([("connections_limit", &limit)]).unwrap_err();
    assert!(!slot.has_run());
    assert_eq!(slot.settings().connections_limit, 50, "they stay applied");
    slot.set_state_dir(None);
    assert_eq!(start(&slot).settings().connections_limit, 50);
}

#[test]
fn nothing_changes_while_a_start_is_under_way() {
    let slot = slot();
    let saved = slot.save_state();
    slot.state.lock().run = Run::Starting;
    let refused = [
        slot.start([]).err(),
        apply(&slot, "connections_limit", 50).err(),
        slot.load_state(&saved).err(),
        slot.change_ip_filter(|_| panic!("it is asked for a change"))
            .err(),
    ];
    for error in refused {
        assert_eq!(error.unwrap().kind(), ErrorKind::SessionAlreadyRunning);
    }
    assert!(!slot.stop() && !slot.has_run() && slot.runs().is_empty());
    assert_eq!(slot.save_state(), saved);
}

#[test]
fn the_next_run_in_a_folder_waits_for_the_last_one() {
    let folder = tempfile::tempdir().unwrap();
    let slot = in_folder(folder.path());
    let first = start(&slot);
    until("it starts", || first.is_restored());
    first.add_torrent(magnet(1, folder.path())).unwrap();
    apply(&slot, "connections_limit", 60).unwrap();
    slot.stop();
    let second = start(&slot);
    assert_eq!(slot.runs().len(), 2);
    let mut all = Vec::new();
    until("the first one is over, and the second one starts", || {
        news(&slot, &mut all);
        !slot.is_ending() && all.iter().filter(|it| **it == "started").count() == 2
    });
    assert!(second.is_up() && second.is_restored());
    assert_eq!(second.torrents().len(), 1);
    assert_eq!(second.settings().connections_limit, 60);
    slot.stop();
    assert!(slot.join(LIMIT));
}

#[test]
fn a_run_that_cannot_go_on_is_stopped() {
    let slot = slot();
    let session = start(&slot);
    let mut all = Vec::new();
    until("it starts", || {
        news(&slot, &mut all);
        all.contains(&"started")
    });
    assert!(!slot.end_failed(), "it runs");
    session
        .shared
        .fail(Error::new(ErrorKind::SessionStartFailed));
    assert!(slot.has_run());
    let mut rest = all_news(&slot, 1);
    assert!(!slot.has_run());
    assert_eq!(rest.pop(), Some("stopped"));
    assert!(rest.contains(&"file_error"), "why it ended: {rest:?}");
    start(&slot);
}

#[test]
fn a_slot_that_goes_stops_its_run() {
    let slot = slot();
    let session = start(&slot);
    drop(slot);
    assert!(!session.is_running());
    assert!(session.join(LIMIT));
}

#[test]
fn a_folder_goes_before_usual_settings_and_behind_given_ones() {
    let folder = tempfile::tempdir().unwrap();
    let usual = || Settings {
        alert_queue_size: 20_000,
        connections_limit: 40,
        ..Settings::default()
    };
    let started = |slot: &SessionSlot| {
        apply(slot, "listen_interfaces", "127.0.0.1:0").unwrap();
        slot.set_state_dir(Some(folder.path().to_owned()));
        start(slot).settings()
    };
    let first = SessionSlot::new(usual());
    assert_eq!(started(&first).alert_queue_size, 20_000);
    apply(&first, "alert_queue_size", 3000).unwrap();
    apply(&first, "connections_limit", 60).unwrap();
    first.stop();
    assert!(first.join(LIMIT));

    let second = SessionSlot::new(usual());
    apply(&second, "connections_limit", 40).unwrap();
    let settings = started(&second);
    assert_eq!(settings.alert_queue_size, 3000, "remembered");
    assert_eq!(settings.connections_limit, 40, "set by name");
    second.stop();
    // The same where the folder is waited for.
    let third = SessionSlot::new(usual());
    apply(&third, "connections_limit", 40).unwrap();
    started(&third);
    let session = third.running().unwrap();
    until("it has the folder", || session.is_up());
    assert_eq!(third.settings().alert_queue_size, 3000, "remembered");
    assert_eq!(third.settings().connections_limit, 40, "set by name");
}
