//! The end of a process that unloads the library.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use torrent_core::ids::InfoHash;
use torrent_core::settings::Settings;
use torrent_core::value::Value;
use torrent_engine::session::{AddTorrent, Session, end_all};

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
}
