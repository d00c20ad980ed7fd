//! Rate limits over real sockets. The one test that measures time: a limit is
//! a number of bytes in some seconds, and five of them are what it is held to.

mod support;

use std::time::{Duration, Instant};

use support::{LIMIT, Node, Payload, wait_until};
use torrent_engine::core::value::Value;
use torrent_engine::event::kind;
use torrent_engine::handle::TorrentHandle;

const RATE: u64 = 400_000;

/// A seed and a leecher with a payload that takes long at [`RATE`].
fn pair(
    seed: &[(&str, Value)],
    leecher: &[(&str, Value)],
    number: u32,
) -> (Node, Node, TorrentHandle, TorrentHandle) {
    let payload = Payload::new(&[("data", 16 << 20)], 256 << 10, number);
    let torrent = payload.torrent(None);
    let (mut source, sink) = (Node::with(seed), Node::with(leecher));
    payload.write(source.folder.path());
    let serving = source.add(&torrent);
    source.wait(kind::TORRENT_FINISHED);
    let fetching = sink.add(&torrent);
    (source, sink, serving, fetching)
}

fn received(torrent: &TorrentHandle) -> u64 {
    torrent.status().total_payload_download
}

#[test]
fn limits_hold_within_five_percent_over_five_seconds_and_change_at_once() {
    let limit = |name| vec![(name, Value::from(RATE as i64))];
    let (source_a, sink_a, _, by_session_down) = pair(&[], &limit("download_rate_limit"), 1);
    let (source_b, sink_b, _, by_session_up) = pair(&limit("upload_rate_limit"), &[], 2);
    let (source_c, sink_c, _, by_torrent_down) = pair(&[], &[], 3);
    let (source_d, sink_d, serving, by_torrent_up) = pair(&[], &[], 4);
    by_torrent_down.set_download_limit(RATE as i64).unwrap();
    serving.set_upload_limit(RATE as i64).unwrap();
    let fetching = [
        &by_session_down,
        &by_session_up,
        &by_torrent_down,
        &by_torrent_up,
    ];
    let sources = [&source_a, &source_b, &source_c, &source_d];
    for (torrent, source) in fetching.iter().zip(sources) {
        torrent.connect_peer(source.endpoint()).unwrap();
    }
    // What the system's socket buffers hold at first is not ours to limit.
    wait_until("all have begun", || {
        fetching.iter().all(|torrent| received(torrent) > RATE)
    });
    let before = fetching.map(received);
    let begun = Instant::now();
    std::thread::sleep(Duration::from_secs(5));
    let after = fetching.map(received);
    let time = begun.elapsed().as_secs_f64();
    for (number, (after, before)) in after.iter().zip(before).enumerate() {
        let rate = (after - before) as f64 / time;
        let share = rate / RATE as f64;
        // A snapshot is up to 20 ms old; a block is 4 % of a second's bytes.
        assert!((0.95..1.05).contains(&share), "pair {number}: {share:.3}");
    }
    let status = by_torrent_down.status();
    assert_eq!(
        (status.download_limit, status.upload_limit),
        (RATE as i64, 0)
    );

    // Without the limits the rest comes in no time.
    let lift = |node: &Node, name| {
        node.session
            .apply_settings([(name, &Value::Int(0))])
            .unwrap();
    };
    lift(&sink_a, "download_rate_limit");
    lift(&source_b, "upload_rate_limit");
    by_torrent_down.set_download_limit(0).unwrap();
    serving.set_upload_limit(-1).unwrap();
    let lifted = Instant::now();
    for torrent in fetching {
        wait_until("complete", || torrent.status().is_seeding);
    }
    let left: u64 = 16 << 20;
    let at_the_limit = Duration::from_secs((left - 8 * RATE) / RATE);
    assert!(lifted.elapsed() < at_the_limit.min(LIMIT));
    drop((sink_b, sink_c, sink_d));
}

#[test]
fn local_peers_are_exempt_when_the_setting_says_so() {
    let (source, mut sink, _, fetching) = pair(
        &[],
        &[
            ("download_rate_limit", Value::Int(1000)),
            ("ignore_limits_on_local_network", Value::Bool(true)),
        ],
        5,
    );
    fetching.connect_peer(source.endpoint()).unwrap();
    // 16 MiB at 1000 bytes a second would take hours.
    sink.wait(kind::TORRENT_FINISHED);
}
