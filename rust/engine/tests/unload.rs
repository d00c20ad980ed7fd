//! The end of a process that unloads the library.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use torrent_core::ids::InfoHash;
use torrent_core::settings::Settings;
use torrent_core::value::Value;
use torrent_engine::log::{self, Level, Logger};
use torrent_engine::session::{AddTorrent, Session, end_all};
use torrent_engine::threads::keep_library;

/// Nothing here takes that long, unless it is broken.
const LIMIT: Duration = Duration::from_secs(120);

/// Waits for the answer of a tracker at its end for a minute, unless it is not to.
fn start() -> Session {
    let mut settings = Settings::default();
    let (listen, patience) = (Value::from("127.0.0.1:0"), Value::Int(60));
    let patch = [
        ("listen_interfaces", &listen),
        ("stop_tracker_timeout", &patience),
    ];
    settings.apply(patch).unwrap();
    Session::start(settings).unwrap()
}

fn add(session: &Session, folder: &Path, tracker: &str) {
    let mut add = AddTorrent::from_info_hash(InfoHash([1; 20]), folder);
    add.trackers = vec![vec![tracker.to_owned()]];
    session.add_torrent(add).unwrap();
}

fn request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(length) => request.extend_from_slice(&buffer[..length]),
        }
    }
    String::from_utf8_lossy(&request).into_owned()
}

/// Answers announces, but for the last ones of `ends` torrents.
fn serve(listener: &TcpListener, started: &mpsc::Sender<()>, ends: usize) {
    let mut silent = Vec::new();
    while silent.len() < ends {
        let (mut stream, _) = listener.accept().unwrap();
        if request(&mut stream).contains("event=stopped") {
            silent.push(stream);
            continue;
        }
        let body = "d8:intervali1800e5:peers0:e";
        let length = body.len();
        let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(reply.as_bytes()).unwrap();
        started.send(()).unwrap();
    }
    // Until the sessions close them.
    for mut stream in silent {
        let _ = stream.read(&mut [0]);
    }
}

fn logger(file: &Path) -> Logger {
    log::install();
    let logger = Logger::default();
    logger.set_level(Level::Info);
    logger.enable(true);
    logger.set_file(file).unwrap();
    logger
}

/// A game frees the logger as soon as it has stopped the session.
fn a_freed_logger_writes_down_how_a_session_ends(folder: &Path) {
    let last = "the session has stopped";
    let (early, late) = (folder.join("early.log"), folder.join("late.log"));
    drop(logger(&early));
    let session = start();
    let freed = logger(&late);
    session.stop();
    drop(freed);
    assert!(session.join_threads(LIMIT) && log::end_all(LIMIT));
    assert!(std::fs::read_to_string(&late).unwrap().contains(last));
    // No session was ending when this one was freed.
    assert!(!std::fs::read_to_string(&early).unwrap().contains(last));
}

/// A log on a disk that hangs, played by a pipe without a reader.
#[cfg(target_os = "linux")]
fn a_thread_that_hangs_keeps_the_library(folder: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    let path = folder.join("pipe");
    mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let mut both_ends = std::fs::File::options();
    let reader = both_ends.read(true).write(true).open(&path).unwrap();
    let hangs = logger(&path);
    let line = "x".repeat(4096);
    for _ in 0..100 {
        hangs.log(Level::Error, "", &line);
    }
    assert!(!log::end_all(Duration::ZERO));
    // A thread counts from its first step on, and then cannot end.
    while keep_library() == 0 {
        std::thread::yield_now();
    }
    assert_eq!(keep_library(), 1);
    drop(reader);
    all_threads_end();
}

/// Threads of a runtime may need a moment more than the end of their session.
fn all_threads_end() {
    while keep_library() > 0 {
        std::thread::yield_now();
    }
}

/// The only test here: it ends every session of the process.
#[test]
fn all_sessions_end_whatever_holds_them_and_whatever_they_wait_for() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/announce", listener.local_addr().unwrap());
    let (started, announced) = mpsc::channel();
    let tracker = std::thread::spawn(move || serve(&listener, &started, 2));

    let (held, ending, dropped) = (start(), start(), start());
    for session in [&held, &dropped] {
        add(session, folder.path(), &url);
        announced.recv_timeout(LIMIT).unwrap();
    }
    ending.stop();
    drop(dropped);
    assert_eq!(end_all(Duration::from_secs(30)), 0);
    assert!(!held.is_running());
    assert!(held.join_threads(Duration::ZERO) && ending.join_threads(Duration::ZERO));
    // It has heard of both ends, and its silence kept none of them waiting.
    tracker.join().unwrap();
    assert_eq!(end_all(Duration::ZERO), 0, "again, or with no session");
    a_freed_logger_writes_down_how_a_session_ends(folder.path());
    all_threads_end();
    #[cfg(target_os = "linux")]
    a_thread_that_hangs_keeps_the_library(folder.path());
}
