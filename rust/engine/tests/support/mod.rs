//! What the driver tests share: payloads, torrents of them, sessions on
//! loopback, and waiting for events instead of for time.
#![allow(dead_code, reason = "each test file uses its part of it")]

pub(crate) mod alerts;
pub(crate) mod defaults;
pub(crate) mod raw_peer;
pub(crate) mod udp_tracker;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use sha1::{Digest, Sha1};
use tempfile::TempDir;
use torrent_engine::core::settings::Settings;
use torrent_engine::core::value::Value;
use torrent_engine::event::{Event, Kind};
use torrent_engine::session::{AddTorrent, Session};
use torrent_engine::torrent::handle::TorrentHandle;

/// Nothing in these tests takes this long unless it is stuck, however busy the
/// machine is.
pub(crate) const LIMIT: Duration = Duration::from_secs(180);

/// One of the session's statistics.
pub(crate) fn stat(session: &Session, name: &str) -> i64 {
    let stats = session.stats();
    let found = stats.iter().find(|(key, _)| key == name);
    match found.map(|(_, value)| value) {
        Some(Value::Int(value)) => *value,
        other => panic!("{name}: {other:?}"),
    }
}

/// The piece length of [`Payload::of_two_files`].
pub(crate) const PIECE: usize = 32 * 1024;

/// A suspended machine would be taken for: a peer that
/// does not answer. A test that is about one of them sets it itself.
static PATIENCE: [(&str, Value); 6] = [
    ("peer_connect_timeout", Value::Int(3600)),
    ("handshake_timeout", Value::Int(3600)),
    ("peer_timeout", Value::Int(3600)),
    ("inactivity_timeout", Value::Int(3600)),
    ("request_timeout", Value::Int(3600)),
    ("piece_timeout", Value::Int(3600)),
];

/// A payload of several files, in a folder called "payload".
pub(crate) struct Payload {
    pub(crate) files: Vec<(&'static str, Vec<u8>)>,
    pub(crate) piece_length: usize,
}

impl Payload {
    /// Files of these lengths, filled with bytes that `seed` decides.
    pub(crate) fn new(lengths: &[(&'static str, usize)], piece_length: usize, seed: u32) -> Self {
        let mut state = seed | 1;
        let mut fill = |length: usize| {
            let mut bytes = Vec::with_capacity(length + 4);
            while bytes.len() < length {
                // Xorshift: cheap, and no two blocks alike.
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                bytes.extend_from_slice(&state.to_le_bytes());
            }
            bytes.truncate(length);
            bytes
        };
        Self {
            files: lengths
                .iter()
                .map(|&(name, length)| (name, fill(length)))
                .collect(),
            piece_length,
        }
    }

    /// Two files in pieces of [`PIECE`] bytes; one piece has bytes of both.
    pub(crate) fn of_two_files(seed: u32) -> Self {
        let lengths = [("a.bin", 20 * PIECE + 77), ("b.bin", 9 * PIECE)];
        Self::new(&lengths, PIECE, seed)
    }

    /// The torrent file, with one tracker when there is one.
    pub(crate) fn torrent(&self, tracker: Option<&str>) -> Vec<u8> {
        let all: Vec<u8> = self
            .files
            .iter()
            .flat_map(|(_, bytes)| bytes.clone())
            .collect();
        let mut out = b"d".to_vec();
        if let Some(url) = tracker {
            out.extend(format!("8:announce{}:{url}", url.len()).bytes());
        }
        out.extend(b"4:infod5:filesl");
        for (name, bytes) in &self.files {
            let (length, parts) = (bytes.len(), name.split('/'));
            out.extend(format!("d6:lengthi{length}e4:pathl").bytes());
            for part in parts {
                out.extend(format!("{}:{part}", part.len()).bytes());
            }
            out.extend(b"ee");
        }
        out.extend(format!("e4:name7:payload12:piece lengthi{}e", self.piece_length).bytes());
        let hashes: Vec<u8> = all
            .chunks(self.piece_length)
            .flat_map(Sha1::digest)
            .collect();
        out.extend(format!("6:pieces{}:", hashes.len()).bytes());
        out.extend(hashes);
        out.extend(b"ee");
        out
    }

    /// Writes the files below `folder`.
    pub(crate) fn write(&self, folder: &Path) {
        for (name, bytes) in &self.files {
            let path = folder.join("payload").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }

    /// Asserts that the files below `folder` are the payload.
    pub(crate) fn assert_at(&self, folder: &Path) {
        for (name, bytes) in &self.files {
            let path = folder.join("payload").join(name);
            let found = std::fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(found == *bytes, "{name} differs");
        }
    }
}

/// A session on a port of the system's choice, with its folder and the events
/// that were not waited for yet.
pub(crate) struct Node {
    pub(crate) session: Session,
    pub(crate) folder: TempDir,
    seen: Vec<Event>,
}

impl Node {
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    pub(crate) fn with(patch: &[(&str, Value)]) -> Self {
        let mut settings = Settings::default();
        let base = [
            ("listen_interfaces", Value::from("127.0.0.1:0")),
            ("max_connections_per_ip", Value::Int(0)),
            // Each test makes the connections that it is about.
            ("enable_pex", Value::from(false)),
            ("alert_mask", Value::Int(0xffff_ffff)),
            ("alert_queue_size", Value::Int(1_000_000)),
            ("status_update_interval", Value::Int(20)),
        ];
        let all = PATIENCE.iter().chain(&base).chain(patch);
        settings
            .apply(all.map(|(name, value)| (*name, value)))
            .unwrap();
        Self::of(Session::start(settings).unwrap())
    }

    pub(crate) fn of(session: Session) -> Self {
        Self {
            session,
            folder: TempDir::new().unwrap(),
            seen: Vec::new(),
        }
    }

    /// Whether an event of `kind` is among those that were not waited for.
    pub(crate) fn has_seen(&self, kind: Kind) -> bool {
        self.seen.iter().any(|event| event.kind() == kind)
    }

    pub(crate) fn endpoint(&self) -> SocketAddr {
        self.session.listening()[0]
    }

    pub(crate) fn add(&self, torrent: &[u8]) -> TorrentHandle {
        let add = AddTorrent::from_data(torrent, self.folder.path()).unwrap();
        self.session.add_torrent(add).unwrap()
    }

    /// Adds a payload whose files it gets first, and waits until it seeds.
    pub(crate) fn seed(&self, payload: &Payload) -> TorrentHandle {
        payload.write(self.folder.path());
        let handle = self.add(&payload.torrent(None));
        wait_until("seeding", || handle.status().is_seeding);
        handle
    }

    /// Waits for an event of `kind` that `accept`s, and returns it. Earlier
    /// events stay for later waits.
    pub(crate) fn wait_where(&mut self, kind: Kind, accept: impl Fn(&Event) -> bool) -> Event {
        let deadline = Instant::now() + LIMIT;
        let mut fresh = Vec::new();
        loop {
            let found = |event: &Event| event.kind() == kind && accept(event);
            if let Some(at) = self.seen.iter().position(found) {
                return self.seen.remove(at);
            }
            assert!(
                Instant::now() < deadline,
                "no {} among {:?}",
                kind.name,
                self.names()
            );
            self.session.events().take(&mut fresh);
            if fresh.is_empty() {
                // Polling, as a game does each frame.
                std::thread::sleep(Duration::from_millis(2));
            }
            self.see(&mut fresh);
        }
    }

    pub(crate) fn wait(&mut self, kind: Kind) -> Event {
        self.wait_where(kind, |_| true)
    }

    /// Takes the events that have come, for [`Self::has_seen`] and later waits.
    pub(crate) fn look(&mut self) {
        let mut fresh = Vec::new();
        self.session.events().take(&mut fresh);
        self.see(&mut fresh);
    }

    /// Every event so far, waited for or not.
    pub(crate) fn drain(&mut self) -> Vec<Event> {
        self.look();
        std::mem::take(&mut self.seen)
    }

    fn see(&mut self, fresh: &mut Vec<Event>) {
        fresh.iter().for_each(alerts::check);
        self.seen.append(fresh);
    }

    fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.seen.iter().map(|event| event.kind().name).collect();
        names.dedup();
        names
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.session.stop_within(LIMIT);
        let over = self.session.join(LIMIT);
        assert!(over || std::thread::panicking(), "the session did not stop");
    }
}

/// Waits until a condition holds.
#[track_caller]
pub(crate) fn until(condition: impl Fn() -> bool) {
    wait_until("what the test waits for", condition);
}

/// Runs a future of the engine's that waits for its answer.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async { tokio::time::timeout(LIMIT, future).await.expect("in time") })
}

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
