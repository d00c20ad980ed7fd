//! What a poll emits, by how much time it has.

use std::net::SocketAddr;

use torrent_core::ids::{InfoHash, TorrentKey};
use torrent_engine::error::{Error, ErrorKind};
use torrent_engine::event::{AddedTorrent, StateChange};
use torrent_engine::status::TorrentState;

use super::*;

const PLENTY: Time = Time {
    once: true,
    rest: true,
};
const SHORT: Time = Time {
    once: true,
    rest: false,
};

fn event(body: EventBody) -> Event {
    Event::new(None, body)
}

/// What only readers of alerts want.
fn alert() -> EventBody {
    let endpoint: SocketAddr = ([127, 0, 0, 1], 1).into();
    EventBody::PeerBan(endpoint.into())
}

fn state() -> EventBody {
    EventBody::StateChanged(StateChange {
        state: TorrentState::Downloading,
        previous: TorrentState::CheckingFiles,
    })
}

fn pieces(of: impl IntoIterator<Item = u32>) -> Event {
    let pieces = of.into_iter().map(PieceIndex).collect();
    event(EventBody::PieceFinished(pieces))
}

fn progress(hash: &str, done: u64) -> Arc<TorrentStatus> {
    Arc::new(TorrentStatus {
        info_hash: hash.to_owned(),
        total_done: done,
        ..TorrentStatus::default()
    })
}

fn updated(of: &[Arc<TorrentStatus>]) -> Event {
    event(EventBody::TorrentsUpdated(of.to_vec()))
}

fn name(notice: &Notice) -> String {
    match notice {
        Notice::Started => "started".to_owned(),
        Notice::Stopped => "stopped".to_owned(),
        Notice::Pieces(_, pieces) => format!("{} pieces", pieces.len()),
        Notice::Progress(status) => format!("{} {}", status.info_hash, status.total_done),
        Notice::Event(event) => match &event.body {
            EventBody::PieceFinished(pieces) => format!("piece {}", pieces[0].0),
            EventBody::FileCompleted(files) => format!("file {}", files[0]),
            _ => event.kind().name.to_owned(),
        },
    }
}

/// What a poll emits that has time as given.
fn poll(signal_queue: &mut SignalQueue, time: Time) -> Vec<String> {
    signal_queue.begin();
    std::iter::from_fn(|| signal_queue.next(time))
        .map(|notice| name(&notice))
        .collect()
}

#[test]
fn all_in_order_while_there_is_time() {
    let mut signal_queue = SignalQueue::default();
    signal_queue.put(event(alert()));
    signal_queue.put(pieces([1]));
    signal_queue.put(event(EventBody::FileCompleted(vec![7])));
    signal_queue.put(pieces([2]));
    signal_queue.put(event(EventBody::TorrentFinished));
    let told = poll(&mut signal_queue, PLENTY);
    let all = [
        "peer_ban",
        "2 pieces",
        "piece 1",
        "piece 2",
        "file 7",
        "torrent_finished",
    ];
    assert_eq!(told, all);
    assert_eq!(signal_queue.waiting(), (0, 0));
}

#[test]
fn what_comes_once_never_waits_for_pieces() {
    let mut signal_queue = SignalQueue::default();
    signal_queue.put(pieces(0..5000));
    let told = poll(&mut signal_queue, SHORT);
    assert_eq!(told, ["5000 pieces", "piece 0"]);
    signal_queue.put(event(alert()));
    signal_queue.put(event(EventBody::FileCompleted(vec![7])));
    signal_queue.put(pieces(5000..5002));
    signal_queue.put(event(state()));
    signal_queue.put(event(EventBody::TorrentFinished));
    let told = poll(&mut signal_queue, SHORT);
    let once = ["file 7", "2 pieces", "state_changed", "torrent_finished"];
    assert_eq!(told[1..], once, "and one of the rest: {}", told[0]);
    let rest = poll(&mut signal_queue, PLENTY);
    let all: Vec<_> = (1..5002).map(|piece| format!("piece {piece}")).collect();
    assert_eq!(rest, all, "each once, in order");
}

fn of_torrent(number: u64, body: EventBody) -> Event {
    let torrent = TorrentRef::new(TorrentKey(number), InfoHash::default().into(), "a");
    Event::new(Some(Arc::new(torrent)), body)
}

#[test]
fn an_end_does_not_wait_for_thousands_of_other_torrents() {
    let name = |notice: &Notice| match notice {
        Notice::Event(event) => {
            let torrent = event.torrent.as_ref().map_or(0, |torrent| torrent.key.0);
            format!("{torrent} {}", event.kind().name)
        }
        _ => name(notice),
    };
    let no_time = Time {
        once: false,
        rest: false,
    };
    let poll = |signal_queue: &mut SignalQueue, time| -> Vec<String> {
        signal_queue.begin();
        let emitted = std::iter::from_fn(|| signal_queue.next(time));
        emitted.map(|notice| name(&notice)).collect()
    };
    let restored = || {
        [
            EventBody::AddTorrent(AddedTorrent::default()),
            state(),
            EventBody::TorrentChecked,
            EventBody::TorrentFinished,
        ]
    };
    let mut signal_queue = SignalQueue::default();
    signal_queue.put(of_torrent(
        1,
        EventBody::AddTorrent(AddedTorrent::default()),
    ));
    assert_eq!(poll(&mut signal_queue, PLENTY), ["1 add_torrent"]);
    for number in 1000..3000 {
        for body in restored() {
            signal_queue.put(of_torrent(number, body));
        }
    }
    signal_queue.put(of_torrent(1, state()));
    signal_queue.put(of_torrent(1, EventBody::TorrentFinished));
    let error = EventBody::FileError(Error::new(ErrorKind::DiskFull));
    signal_queue.put(of_torrent(2, error));
    let emitted = poll(&mut signal_queue, no_time);
    let first = [
        "1 state_changed",
        "1 torrent_finished",
        "2 file_error",
        "1000 add_torrent",
        "1000 state_changed",
    ];
    assert_eq!(emitted[..5], first, "each torrent in its order");
    assert_eq!(emitted.len(), SPARE_ONCE);
    // Of the others each one, in its order.
    let emitted = poll(&mut signal_queue, PLENTY);
    assert_eq!(emitted.len(), 4 * 2000 + 3 - SPARE_ONCE);
    assert_eq!(emitted.last().unwrap(), "2999 torrent_finished");
    assert!(signal_queue.is_empty());
    assert!(signal_queue.urgent.before.is_empty());

    // No end comes before the start of the session.
    signal_queue.put_notice(Notice::Started);
    for number in 1000..1100 {
        signal_queue.put(of_torrent(number, EventBody::TorrentChecked));
    }
    signal_queue.put(of_torrent(1, EventBody::TorrentFinished));
    let emitted = poll(&mut signal_queue, PLENTY);
    assert_eq!(emitted[0], "started");
    assert_eq!(emitted.last().unwrap(), "1 torrent_finished");
}

#[test]
fn a_few_keep_their_order() {
    let mut signal_queue = SignalQueue::default();
    signal_queue.put(of_torrent(2, EventBody::TorrentChecked));
    signal_queue.put(of_torrent(1, state()));
    signal_queue.put(of_torrent(3, EventBody::TorrentChecked));
    signal_queue.put(of_torrent(1, EventBody::TorrentFinished));
    let all = [
        "torrent_checked",
        "state_changed",
        "torrent_checked",
        "torrent_finished",
    ];
    assert_eq!(poll(&mut signal_queue, SHORT), all);
}

#[test]
fn something_of_the_rest_comes_with_each_poll() {
    let mut signal_queue = SignalQueue::default();
    signal_queue.put(pieces(0..3));
    let mut told = Vec::new();
    for _ in 0..3 {
        signal_queue.put(event(state()));
        told.extend(poll(&mut signal_queue, SHORT));
    }
    told.retain(|told| told.starts_with("piece "));
    assert_eq!(told, ["piece 0", "piece 1", "piece 2"]);
}

#[test]
fn alerts_and_pieces_take_turns() {
    let mut signal_queue = SignalQueue::default();
    let no_time = Time {
        once: false,
        rest: false,
    };
    signal_queue.put(pieces(0..3));
    for _ in 0..3 {
        signal_queue.put(event(alert()));
    }
    poll(&mut signal_queue, SHORT);
    assert!(signal_queue.has_alerts());
    let told = poll(&mut signal_queue, PLENTY);
    let turns = ["peer_ban", "piece 1", "peer_ban", "piece 2"];
    assert_eq!(told[..4], turns);
    assert!(!signal_queue.has_alerts());
    assert!(poll(&mut signal_queue, no_time).is_empty());
}

#[test]
fn a_progress_gives_way_to_a_newer_one() {
    let mut signal_queue = SignalQueue::default();
    let many: Vec<_> = (0..SPARE)
        .map(|number| progress(&format!("other{number}"), 1))
        .collect();
    signal_queue.put(updated(&many));
    signal_queue.put(updated(&[progress("a", 1)]));
    let told = poll(&mut signal_queue, SHORT);
    assert_eq!(told.len(), SPARE + 2, "{told:?}");
    assert!(!told.contains(&"a 1".to_owned()));
    signal_queue.put(updated(&[progress("a", 2)]));
    let told = poll(&mut signal_queue, SHORT);
    assert_eq!(told, ["torrents_updated", "a 2"]);
}

#[test]
fn what_comes_once_waits_in_order_when_there_is_no_time_at_all() {
    let mut signal_queue = SignalQueue::default();
    for _ in 0..SPARE_ONCE {
        signal_queue.put(event(state()));
    }
    signal_queue.put(pieces([1]));
    signal_queue.put(event(alert()));
    signal_queue.put(event(EventBody::TorrentFinished));
    let no_time = Time {
        once: false,
        rest: false,
    };
    let told = poll(&mut signal_queue, no_time);
    assert_eq!(told, ["state_changed"; SPARE_ONCE], "a few in any case");
    assert!(signal_queue.has_alerts(), "not looked at yet");
    signal_queue.put(pieces([2]));
    signal_queue.put_notice(Notice::Stopped);
    let told = poll(&mut signal_queue, PLENTY);
    let all = [
        "2 pieces",
        "piece 1",
        "piece 2",
        "peer_ban",
        "torrent_finished",
        "stopped",
    ];
    assert_eq!(told, all);
}
