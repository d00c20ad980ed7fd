//! Rate limits over real sockets. The one test that measures time: a limit is
//! a number of bytes in some seconds, and five of them are what it is held to.
//! A machine that is suspended in those cannot move the bytes: then the next
//! five seconds count.

mod support;

use std::time::{Duration, Instant};

use support::{Node, Payload, wait_until};
use torrent_engine::core::value::Value;
use torrent_engine::event::{EventBody, kind};
use torrent_engine::torrent::handle::TorrentHandle;

/// At this rate a payload is good for more than a dozen times five seconds.
const RATE: u64 = 200_000;

const LENGTH: usize = 16 << 20;

/// A seed and a leecher with a payload that takes long at [`RATE`].
struct Pair {
    source: Node,
    sink: Node,
    serving: TorrentHandle,
    fetching: TorrentHandle,
}

impl Pair {
    fn new(seed: &[(&str, Value)], leecher: &[(&str, Value)], number: u32) -> Self {
        let payload = Payload::new(&[("data", LENGTH)], 256 << 10, number);
        let torrent = payload.torrent(None);
        let (mut source, sink) = (Node::with(seed), Node::with(leecher));
        payload.write(source.folder.path());
        let serving = source.add(&torrent);
        source.wait(kind::TORRENT_FINISHED);
        let fetching = sink.add(&torrent);
        Self {
            source,
            sink,
            serving,
            fetching,
        }
    }

    /// One for each place where a limit can be set, with the limit `rate`.
    fn with_each_limit(rate: u64) -> [Self; 4] {
        let limit = |name| [(name, Value::from(rate as i64))];
        let pairs = [
            Self::new(&[], &limit("download_rate_limit"), 1),
            Self::new(&limit("upload_rate_limit"), &[], 2),
            Self::new(&[], &[], 3),
            Self::new(&[], &[], 4),
        ];
        pairs[2].fetching.set_download_limit(rate as i64).unwrap();
        pairs[3].serving.set_upload_limit(rate as i64).unwrap();
        pairs
    }

    fn connect(&self) {
        self.fetching.connect_peer(self.source.endpoint()).unwrap();
    }

    fn received(&self) -> u64 {
        self.fetching.status().total_payload_download
    }

    /// What has been received at a moment between those two.
    fn sample(&mut self) -> Sample {
        let begin = Instant::now();
        self.fetching.post_status().unwrap();
        let event = self.sink.wait(kind::STATE_UPDATE);
        let EventBody::StateUpdate(statuses) = &event.body else {
            panic!("{event:?}");
        };
        Sample {
            bytes: statuses[0].total_payload_download,
            begin,
            end: Instant::now(),
        }
    }
}

#[derive(Clone, Copy)]
struct Sample {
    bytes: u64,
    begin: Instant,
    end: Instant,
}

impl Sample {
    /// The bytes since `before` as shares of those that [`RATE`] allows: the
    /// least and the most that they can be, whenever within each sample it
    /// was taken.
    fn shares_since(&self, before: &Self) -> (f64, f64) {
        let bytes = (self.bytes - before.bytes) as f64 / RATE as f64;
        let most = self.end.duration_since(before.begin);
        let least = self.begin.duration_since(before.end);
        (bytes / most.as_secs_f64(), bytes / least.as_secs_f64())
    }
}

#[test]
fn limits_hold_within_five_percent_over_five_seconds() {
    let mut pairs = Pair::with_each_limit(RATE);
    for pair in &pairs {
        pair.connect();
    }
    // What the system's socket buffers hold at first is not ours to limit.
    wait_until("all have begun", || {
        pairs.iter().all(|pair| pair.received() > RATE)
    });
    let first = pairs.each_mut().map(Pair::sample);
    let mut held = [false; 4];
    let mut seen: Vec<String> = Vec::new();
    while held != [true; 4] {
        let before = pairs.each_mut().map(Pair::sample);
        std::thread::sleep(Duration::from_secs(5));
        let after = pairs.each_mut().map(Pair::sample);
        for number in 0..4 {
            let (least, most) = after[number].shares_since(&before[number]);
            held[number] |= least > 0.95 && most < 1.05;
            seen.push(format!("{number}: {least:.3} to {most:.3}"));
            // Never more in all, but for what was on its way at first.
            let time = after[number].end.duration_since(first[number].begin);
            let bytes = after[number].bytes - first[number].bytes;
            let allowed = RATE as f64 * (1.05 * time.as_secs_f64() + 1.0);
            assert!((bytes as f64) < allowed, "pair {number}: {seen:?}");
            // At the end there is nothing left to measure.
            let left = LENGTH as u64 - after[number].bytes;
            assert!(held[number] || left > 6 * RATE, "pair {number}: {seen:?}");
        }
    }
    let status = pairs[2].fetching.status();
    assert_eq!(
        (status.download_limit, status.upload_limit),
        (RATE as i64, 0)
    );
}

#[test]
fn without_the_limits_the_rest_comes_at_once() {
    // Under these it would take two days, and each block minutes.
    let pairs = Pair::with_each_limit(100);
    for pair in &pairs {
        pair.connect();
    }
    wait_until("all are connected", || {
        pairs
            .iter()
            .all(|pair| pair.fetching.status().num_peers == 1)
    });
    assert!(pairs.iter().all(|pair| pair.received() < 1 << 20));
    let lift = |node: &Node, name| {
        let none = Value::Int(0);
        node.session.apply_settings([(name, &none)]).unwrap();
    };
    lift(&pairs[0].sink, "download_rate_limit");
    lift(&pairs[1].source, "upload_rate_limit");
    pairs[2].fetching.set_download_limit(0).unwrap();
    pairs[3].serving.set_upload_limit(-1).unwrap();
    for pair in &pairs {
        wait_until("complete", || pair.fetching.status().is_seeding);
    }
}

#[test]
fn an_upload_limit_does_not_starve_a_download() {
    for limit in [1024, 100] {
        let pair = Pair::new(&[], &[("upload_rate_limit", Value::Int(limit))], 6);
        // The sink has a few pieces that another peer wants, so that blocks wait
        // for their allowance.
        let third = Node::new();
        let torrent = Payload::new(&[("data", LENGTH)], 256 << 10, 6).torrent(None);
        let wanting = third.add(&torrent);
        wanting.connect_peer(pair.sink.endpoint()).unwrap();
        let begun = Instant::now();
        pair.connect();
        // Requests alone take 17 bytes for each of the 1024 blocks.
        wait_until("complete", || pair.fetching.status().is_seeding);
        println!(
            "complete after {:?} at {limit} bytes a second",
            begun.elapsed()
        );
        let sent = pair.fetching.status().total_payload_upload;
        let allowed = limit as u64 * (begun.elapsed().as_secs() + 2) + 16_384;
        assert!(sent <= allowed, "{sent} bytes at {limit} a second");
    }
}

#[test]
fn a_download_under_an_upload_limit_keeps_half_of_its_rate() {
    // What both downloads are held to, so that a busy machine slows both alike.
    let line = ("download_rate_limit", Value::Int(4 << 20));
    let limit = ("upload_rate_limit", Value::Int(1024));
    let free = Pair::new(&[], std::slice::from_ref(&line), 7);
    let held = Pair::new(&[], &[line, limit], 8);
    free.connect();
    held.connect();
    wait_until("one is complete", || {
        [&free, &held]
            .iter()
            .any(|it| it.fetching.status().is_seeding)
    });
    // Requests, were they charged, would take 17 s; the line takes 4.
    let (free, held) = (free.received(), held.received());
    assert!(
        held * 2 >= free,
        "{held} bytes, and {free} without the limit"
    );
}

#[test]
fn local_peers_are_exempt_when_the_setting_says_so() {
    let mut pair = Pair::new(
        &[],
        &[
            ("download_rate_limit", Value::Int(1000)),
            ("ignore_limits_on_local_network", Value::Bool(true)),
        ],
        5,
    );
    pair.connect();
    // 16 MiB at 1000 bytes a second would take hours.
    pair.sink.wait(kind::TORRENT_FINISHED);
}
