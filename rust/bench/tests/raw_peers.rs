//! Feeder and sink against each other, driven as the benchmark drives them.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

struct Peer {
    process: Child,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    fn start(role: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_torrent-bench"))
            .arg(role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let answers = BufReader::new(process.stdout.take().expect("its output is piped"));
        Self { process, answers }
    }

    fn call(&mut self, command: &str, params: Value) -> Value {
        let request = json!({"id": 7, "cmd": command, "params": params});
        let mut input = self.process.stdin.as_ref().expect("its input is piped");
        writeln!(input, "{request}").expect("it reads");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("it answers");
        let answer: Value = serde_json::from_str(&line).expect("the answer is JSON");
        assert_eq!(answer["id"], 7);
        answer
    }

    /// Calls what must succeed.
    fn ask(&mut self, command: &str, params: Value) -> Value {
        let answer = self.call(command, params);
        assert_eq!(answer["ok"], true, "{command}: {answer}");
        answer
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A payload and its torrent, with hashes that are never checked.
fn torrent(folder: &Path, name: &str, size: usize, piece: usize) -> PathBuf {
    fs::write(folder.join(name), vec![1; size]).expect("the payload is written");
    let hashes = size.div_ceil(piece) * 20;
    let mut bytes = format!(
        "d4:infod6:lengthi{size}e4:name{}:{name}12:piece lengthi{piece}e6:pieces{hashes}:",
        name.len()
    )
    .into_bytes();
    bytes.resize(bytes.len() + hashes, b'x');
    bytes.extend_from_slice(b"ee");
    let path = folder.join(format!("{name}.torrent"));
    fs::write(&path, bytes).expect("the torrent is written");
    path
}

/// A feeder of `torrent` and its port.
fn feeder(torrent: &Path, folder: &Path) -> (Peer, Value) {
    let mut feeder = Peer::start("feeder");
    let port = feeder.ask("init", json!({}))["listen_port"].clone();
    feeder.ask(
        "add_torrent_and_seed",
        json!({"path": torrent, "data_dir": folder}),
    );
    (feeder, port)
}

/// What a sink says of fetching `torrent` from `port`.
fn drain(torrent: &Path, port: &Value) -> Value {
    let mut sink = Peer::start("sink");
    sink.ask("init", json!({}));
    sink.ask(
        "add_torrent_file",
        json!({"path": torrent, "save_path": "nowhere"}),
    );
    sink.ask("connect_peer", json!({"ip": "127.0.0.1", "port": port}));
    sink.call(
        "wait_for_alert",
        json!({"type_name": "torrent_finished", "timeout_ms": 180_000}),
    )
}

#[test]
fn every_block_crosses_more_than_once() {
    let folder = tempfile::tempdir().expect("there is a folder");
    // More than a window of requests, and an odd end.
    let torrent = torrent(folder.path(), "payload", 20_000_001, 65_536);
    let (mut feeder, port) = feeder(&torrent, folder.path());
    for _ in 0..2 {
        let answer = drain(&torrent, &port);
        assert_eq!(answer["alert"]["type_name"], "torrent_finished", "{answer}");
    }
    feeder.ask("shutdown", json!({}));
    assert!(feeder.process.wait().expect("it ends").success());
}

#[test]
fn other_torrents_and_wrong_commands_are_errors() {
    let folder = tempfile::tempdir().expect("there is a folder");
    let one = torrent(folder.path(), "one", 100_000, 16_384);
    let other = torrent(folder.path(), "other", 100_000, 16_384);
    let (mut feeder, port) = feeder(&one, folder.path());
    assert_eq!(drain(&other, &port)["ok"], false);
    assert_eq!(drain(&one, &port)["ok"], true);
    assert_eq!(
        feeder.call("dance", json!({}))["error"],
        "Unknown command 'dance'"
    );
    feeder.ask("init", json!({}));
    let missing = json!({"path": folder.path().join("none"), "data_dir": folder.path()});
    assert_eq!(feeder.call("add_torrent_and_seed", missing)["ok"], false);
}
