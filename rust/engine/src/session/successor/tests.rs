//! Sessions that wait for the end of others.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use torrent_core::ids::InfoHash;
use torrent_core::session_state::SessionState;
use torrent_core::settings::Settings;
use torrent_core::value::Value;

use crate::error::ErrorKind;
use crate::event::Event;
use crate::session::Session;
use crate::session::add::AddTorrent;
use crate::session::saved_state::SavedSession;
use crate::state_dir::{Folder, StateDir};

/// Nothing here takes that long, unless it is broken.
const LIMIT: Duration = Duration::from_secs(60);

/// What an end may take that waits a second at most for trackers, on a machine that does
/// something else.
const END_LIMIT: Duration = Duration::from_secs(12);

fn settings(listen: &str) -> Settings {
    let mut settings = Settings::default();
    settings
        .apply([("listen_interfaces", &Value::from(listen.to_owned()))])
        .unwrap();
    settings
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn start(folder: &Path) -> Session {
    let folder = Folder::open(folder).unwrap();
    let settings = settings("127.0.0.1:0");
    Session::start_again(settings, SavedSession::default(), Some(folder)).unwrap()
}

fn stop(session: &Session) {
    session.stop();
    assert!(session.join(LIMIT));
}

fn magnet(number: u8, save_path: &Path) -> AddTorrent {
    AddTorrent::from_info_hash(InfoHash([number; 20]), save_path)
}

/// A torrent of one file, `data`, whose only piece has the hash `number`s.
fn one_file(number: u8, save_path: &Path) -> AddTorrent {
    let mut file = b"d4:infod6:lengthi16384e4:name4:data12:piece lengthi16384e6:pieces20:".to_vec();
    file.extend([number; 20]);
    file.extend(b"ee");
    AddTorrent::from_data(&file, save_path).unwrap()
}

/// A folder that a session has which is ending.
fn held(folder: &Path) -> StateDir {
    let state = StateDir::open(folder).unwrap();
    assert!(
        Folder::open(folder).is_err(),
        "a session that runs is not waited for"
    );
    state.state_store.begin_end();
    state
}

#[test]
fn a_session_waits_for_its_folder_and_its_torrents_come_back_as_they_were() {
    let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let before = start(folder.path());
    assert!(before.is_up());
    for number in [1, 2, 4] {
        let handle = before.add_torrent(magnet(number, data.path())).unwrap();
        handle.pause().unwrap();
        handle.set_download_limit(1000 * i64::from(number)).unwrap();
    }
    stop(&before);

    let held = held(folder.path());
    let session = start(folder.path());
    assert!(session.is_running() && !session.is_up() && !session.is_restored());
    assert!(session.listening().is_empty());
    let elsewhere = tempfile::tempdir().unwrap();
    let first = session.add_torrent(magnet(1, elsewhere.path())).unwrap();
    assert!(!first.is_paused(), "nothing is known of it yet");
    let changed = session.add_torrent(magnet(2, elsewhere.path())).unwrap();
    changed.set_download_limit(77).unwrap();
    let new = session.add_torrent(magnet(3, elsewhere.path())).unwrap();
    let gone = session.add_torrent(magnet(4, elsewhere.path())).unwrap();
    session.remove_torrent(&gone, false).unwrap();
    assert_eq!(session.torrents().len(), 3);
    assert!(!session.is_up());

    drop(held);
    until("it is up", || session.is_up() && session.is_restored());
    assert_eq!(session.listening().len(), 1);
    until("the first is as it was", || first.is_paused());
    assert_eq!(first.download_limit(), 1000);
    until("the first is where it was", || {
        *first.save_path() == data.path()
    });
    until("the second is where it was", || {
        *changed.save_path() == data.path()
    });
    assert_eq!(changed.download_limit(), 77, "what was changed since holds");
    assert!(changed.is_paused(), "the rest is as it was");
    assert_eq!(*new.save_path(), elsewhere.path());
    assert_eq!(session.torrents().len(), 3);
    stop(&session);
}

#[test]
fn a_torrent_that_comes_back_has_the_place_that_it_had() {
    let (folder, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let before = start(folder.path());
    let first = before.add_torrent(one_file(1, data.path())).unwrap();
    first.pause().unwrap();
    stop(&before);

    let held = held(folder.path());
    let session = start(folder.path());
    let elsewhere = tempfile::tempdir().unwrap();
    let first = session.add_torrent(one_file(1, elsewhere.path())).unwrap();
    drop(held);
    until("it is up", || session.is_up() && session.is_restored());
    until("the first is where it was", || {
        *first.save_path() == data.path()
    });
    session.add_torrent(one_file(2, data.path())).unwrap_err();
    session.add_torrent(one_file(2, elsewhere.path())).unwrap();
    stop(&session);
}

#[test]
fn settings_that_were_named_go_before_those_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let held = held(folder.path());
    let mut remembered = SessionState::default();
    let mut before = settings("127.0.0.1:0");
    let values = [
        ("connections_limit", &Value::Int(50)),
        ("unchoke_slots_limit", &Value::Int(5)),
        ("upload_rate_limit", &Value::Int(1000)),
    ];
    before.apply(values).unwrap();
    remembered.set_settings(&before);
    let saved = held.state_store.save_session(remembered.encode().into());

    let usual = Settings::default();
    let mut own = settings("127.0.0.1:0");
    let slots = Value::Int(usual.unchoke_slots_limit);
    own.apply([("unchoke_slots_limit", &slots)]).unwrap();
    let awaited = Folder::open(folder.path()).unwrap();
    let session = Session::start_again(own, SavedSession::default(), Some(awaited)).unwrap();
    let limit = Value::Int(usual.connections_limit);
    session
        .apply_settings([("connections_limit", &limit)])
        .unwrap();
    drop((held, saved));
    until("it is up", || session.is_up() && session.is_restored());
    let held = session.settings();
    assert_eq!(held.connections_limit, usual.connections_limit);
    assert_eq!(held.unchoke_slots_limit, usual.unchoke_slots_limit);
    assert_eq!(held.upload_rate_limit, 1000, "nobody has named it");
    stop(&session);
}

#[test]
fn a_session_does_not_wait_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let held = held(folder.path());
    let awaited = Some(Folder::open(folder.path()).unwrap());
    let own = settings("127.0.0.1:0");
    let limit = Duration::ZERO;
    let session = Session::start_within(
        limit,
        &Settings::default(),
        own,
        SavedSession::default(),
        awaited,
    )
    .unwrap();
    until("it gives up", || session.failure().is_some());
    let error = session.failure().unwrap();
    assert_eq!(error.kind(), ErrorKind::SessionStartFailed);
    assert!(error.message().contains("an earlier session"), "{error}");
    assert!(session.join_threads(LIMIT));
    assert!(!session.is_running() && !session.is_up());
    assert!(session.is_restored(), "nobody waits for its torrents");
    let mut events: Vec<Event> = Vec::new();
    session.events().take(&mut events);
    let mut details = events.iter().map(|event| &event.body);
    assert!(details.any(|it| it.error().is_some_and(|told| told.kind() == error.kind())));
    drop(held);
}

#[test]
fn a_port_that_is_not_given_up_does_not_keep_a_session_waiting() {
    let first = Session::start(settings("127.0.0.1:0")).unwrap();
    let port = first.listening()[0].port();
    stop(&first);
    // As if it still had it.
    let listening = &first.shared().listening;
    listening.store(true, std::sync::atomic::Ordering::Release);
    let wanted = settings(&format!("127.0.0.1:{port}"));
    let limit = Duration::ZERO;
    let next = Session::start_within(
        limit,
        &Settings::default(),
        wanted.clone(),
        SavedSession::default(),
        None,
    )
    .unwrap();
    until("it is up", || next.is_up());
    assert!(next.failure().is_none());
    stop(&next);
    let patient = Session::start_again(wanted, SavedSession::default(), None).unwrap();
    assert!(!patient.is_up(), "the first one still has it");
    stop(&patient);
}

#[test]
fn a_session_that_is_stopped_while_it_opens_its_folder_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().to_owned();
    // Goes after the gate, which it waits for.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (opened, is_open) = mpsc::channel();
    let (go_on, gate) = mpsc::channel::<()>();
    let gate = Arc::new(parking_lot::Mutex::new(gate));
    let open = move |name, ending| {
        let open = Folder::open_as(name, ending);
        opened.send(()).unwrap();
        let _ = gate.lock().recv();
        open
    };
    let deadline = tokio::time::Instant::now() + LIMIT;
    let waiting = runtime.spawn(super::await_folder(name.clone(), deadline, open));
    is_open.recv_timeout(LIMIT).unwrap();
    assert!(
        Folder::open(&name).is_err(),
        "a session that takes it is not waited for"
    );
    // It is stopped; what opens the folder goes on by itself.
    waiting.abort();
    until("it has stopped", || waiting.is_finished());
    let next = start(&name);
    assert!(!next.is_up());
    drop(go_on);
    until("the next one is up", || next.is_up());
    assert!(next.failure().is_none());
    stop(&next);
}

#[test]
fn a_session_that_waits_can_be_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let held = held(folder.path());
    let session = start(folder.path());
    session.add_torrent(magnet(1, folder.path())).unwrap();
    stop(&session);
    assert!(session.join_threads(LIMIT));
    assert!(!session.is_up() && session.is_restored());
    assert!(session.failure().is_none());
    drop(held);
    // Nothing of it is left.
    let next = start(folder.path());
    until("the next one is up", || next.is_restored());
    assert!(next.torrents().is_empty());
    stop(&next);
}

#[test]
fn a_restart_finds_its_folder_and_its_port() {
    let folder = tempfile::tempdir().unwrap();
    // Below the ports that the system gives to others meanwhile.
    let first = 20_000 + (std::process::id() % 8000) as u16;
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let port = (first..32_000).find(is_free).unwrap();
    let settings = settings(&format!("127.0.0.1:{port}"));
    let mut session: Option<Session> = None;
    for round in 0..5 {
        if let Some(session) = session.take() {
            // Forgotten, as with a scene that is loaded again.
            drop(session);
        }
        let folder = Folder::open(folder.path()).unwrap();
        let next =
            Session::start_again(settings.clone(), SavedSession::default(), Some(folder)).unwrap();
        until("the next one is up", || next.is_restored());
        let ports: Vec<u16> = next.listening().iter().map(|end| end.port()).collect();
        assert_eq!(ports, [port], "round {round}");
        session = Some(next);
    }
    // Without a folder too.
    let last = session.take().unwrap();
    last.stop();
    let next = Session::start_again(settings, SavedSession::default(), None).unwrap();
    until("it is up", || next.is_up());
    assert_eq!(next.listening()[0].port(), port);
    stop(&next);
}

/// A torrent whose tracker answers announces, but for the last one.
struct Silenced {
    session: Session,
    /// The connection of the last announce.
    heard: mpsc::Receiver<TcpStream>,
    tracker: std::thread::JoinHandle<()>,
    _data: tempfile::TempDir,
}

impl Silenced {
    /// Waits until the tracker has answered once.
    fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/announce", listener.local_addr().unwrap());
        let (last, heard) = mpsc::channel();
        let tracker = std::thread::spawn(move || serve(listener, last));
        let mut settings = settings("127.0.0.1:0");
        settings
            .apply([
                ("stop_tracker_timeout", &Value::Int(60)),
                ("tracker_completion_timeout", &Value::Int(300)),
                ("tracker_receive_timeout", &Value::Int(300)),
            ])
            .unwrap();
        let session = Session::start(settings).unwrap();
        let torrent = session.add_torrent(magnet(1, data.path())).unwrap();
        torrent.add_tracker(&url, 0).unwrap();
        until("the tracker has answered", || {
            torrent.status().current_tracker == url
        });
        Self {
            session,
            heard,
            tracker,
            _data: data,
        }
    }
}

/// Answers announces, but for the last one, whose connection it hands over.
fn serve(listener: TcpListener, last: mpsc::Sender<TcpStream>) {
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        while !request.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(length) => request.extend_from_slice(&buffer[..length]),
            }
        }
        if String::from_utf8_lossy(&request).contains("event=stopped") {
            last.send(stream).unwrap();
            return;
        }
        let body = "d8:intervali1800e5:peers0:e";
        let length = body.len();
        let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
        let _ = stream.write_all(reply.as_bytes());
    }
}

#[test]
fn a_session_stops_without_its_trackers_which_are_told_all_the_same() {
    let it = Silenced::new();
    it.session.stop();
    let mut open = it.heard.recv_timeout(LIMIT).unwrap();
    // It does not answer for a minute.
    let stopped = it.session.join(END_LIMIT);
    assert!(stopped, "it has stopped");
    let over = it.session.join_threads(Duration::ZERO);
    assert!(!over, "the tracker is still told");
    open.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nde")
        .unwrap();
    assert!(it.session.join_threads(Duration::from_secs(30)));
    it.tracker.join().unwrap();
}

#[test]
fn a_program_that_ends_waits_for_no_tracker() {
    let it = Silenced::new();
    it.session.stop();
    it.session.skip_final_announces();
    assert!(it.session.join_threads(END_LIMIT));
    let _open = it.heard.recv_timeout(LIMIT).unwrap();
    it.tracker.join().unwrap();
}
