//! What a poll emits, by how much time it has.

use torrent_core::ids::{InfoHash, TorrentKey};
use torrent_engine::error::{Error, ErrorKind};

use super::*;

const PLENTY: Time = Time {
    once: true,
    rest: true,
};
const SHORT: Time = Time {
    once: true,
    rest: false,
};

fn event(kind: torrent_engine::event::Kind, detail: Detail) -> Event {
    Event::new(kind, None, detail)
}

fn pieces(of: impl IntoIterator<Item = u32>) -> Event {
    let pieces = of.into_iter().map(PieceIndex).collect();
    event(kind::PIECE_FINISHED, Detail::Pieces(pieces))
}

fn progress(hash: &str, done: u64) -> Arc<TorrentStatus> {
    Arc::new(TorrentStatus {
        info_hash: hash.to_owned(),
        total_done: done,
        ..TorrentStatus::default()
    })
}

fn updated(of: &[Arc<TorrentStatus>]) -> Event {
    event(kind::TORRENTS_UPDATED, Detail::Statuses(of.to_vec()))
}

fn name(notice: &Notice) -> String {
    match notice {
        Notice::Started => "started".to_owned(),
        Notice::Stopped => "stopped".to_owned(),
        Notice::Pieces(_, pieces) => format!("{} pieces", pieces.len()),
        Notice::Progress(status) => format!("{} {}", status.info_hash, status.total_done),
        Notice::Event(event) => match &event.detail {
            Detail::Pieces(pieces) => format!("piece {}", pieces[0].0),
            Detail::File(file) => format!("file {file}"),
            _ => event.kind.name.to_owned(),
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
    signal_queue.put(event(kind::PEER_CONNECT, Detail::None));
    signal_queue.put(pieces([1]));
    signal_queue.put(event(kind::FILE_COMPLETED, Detail::File(7)));
    signal_queue.put(pieces([2]));
    signal_queue.put(event(kind::TORRENT_FINISHED, Detail::None));
    let told = poll(&mut signal_queue, PLENTY);
    let all = [
        "peer_connect",
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
    signal_queue.put(event(kind::PEER_CONNECT, Detail::None));
    signal_queue.put(event(kind::FILE_COMPLETED, Detail::File(7)));
    signal_queue.put(pieces(5000..5002));
    signal_queue.put(event(kind::STATE_CHANGED, Detail::None));
    signal_queue.put(event(kind::TORRENT_FINISHED, Detail::None));
    let told = poll(&mut signal_queue, SHORT);
    let once = ["file 7", "2 pieces", "state_changed", "torrent_finished"];
    assert_eq!(told[1..], once, "and one of the rest: {}", told[0]);
    let rest = poll(&mut signal_queue, PLENTY);
    let all: Vec<_> = (1..5002).map(|piece| format!("piece {piece}")).collect();
    assert_eq!(rest, all, "each once, in order");
}

fn of_torrent(number: u64, kind: torrent_engine::event::Kind) -> Event {
    let torrent = TorrentRef::new(TorrentKey(number), InfoHash::default().into(), "a");
    Event::new(kind, Some(Arc::new(torrent)), Detail::None)
}

#[test]
fn an_end_does_not_wait_for_thousands_of_other_torrents() {
    let name = |notice: &Notice| match notice {
        Notice::Event(event) => {
            let torrent = event.torrent.as_ref().map_or(0, |torrent| torrent.key.0);
            format!("{torrent} {}", event.kind.name)
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
    const RESTORED: [torrent_engine::event::Kind; 4] = [
        kind::ADD_TORRENT,
        kind::STATE_CHANGED,
        kind::TORRENT_CHECKED,
        kind::TORRENT_FINISHED,
    ];
    let mut signal_queue = SignalQueue::default();
    signal_queue.put(of_torrent(1, kind::ADD_TORRENT));
    assert_eq!(poll(&mut signal_queue, PLENTY), ["1 add_torrent"]);
    for number in 1000..3000 {
        for kind in RESTORED {
            signal_queue.put(of_torrent(number, kind));
        }
    }
    signal_queue.put(of_torrent(1, kind::STATE_CHANGED));
    signal_queue.put(of_torrent(1, kind::TORRENT_FINISHED));
    let error = Detail::Error(Error::new(ErrorKind::DiskFull));
    signal_queue.put(Event {
        detail: error,
        ..of_torrent(2, kind::FILE_ERROR)
    });
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
        signal_queue.put(of_torrent(number, kind::TORRENT_CHECKED));
    }
    signal_queue.put(of_torrent(1, kind::TORRENT_FINISHED));
    let emitted = poll(&mut signal_queue, PLENTY);
    assert_eq!(emitted[0], "started");
    assert_eq!(emitted.last().unwrap(), "1 torrent_finished");
}

#[test]
fn a_few_keep_their_order() {
    let mut signal_queue = SignalQueue::default();
    signal_queue.put(of_torrent(2, kind::TORRENT_CHECKED));
    signal_queue.put(of_torrent(1, kind::STATE_CHANGED));
    signal_queue.put(of_torrent(3, kind::TORRENT_CHECKED));
    signal_queue.put(of_torrent(1, kind::TORRENT_FINISHED));
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
        signal_queue.put(event(kind::STATE_CHANGED, Detail::None));
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
        signal_queue.put(event(kind::PEER_CONNECT, Detail::None));
    }
    poll(&mut signal_queue, SHORT);
    assert!(signal_queue.has_alerts());
    let told = poll(&mut signal_queue, PLENTY);
    let turns = ["peer_connect", "piece 1", "peer_connect", "piece 2"];
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
        signal_queue.put(event(kind::STATE_CHANGED, Detail::None));
    }
    signal_queue.put(pieces([1]));
    signal_queue.put(event(kind::PEER_CONNECT, Detail::None));
    signal_queue.put(event(kind::TORRENT_FINISHED, Detail::None));
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
        "peer_connect",
        "torrent_finished",
        "stopped",
    ];
    assert_eq!(told, all);
}
