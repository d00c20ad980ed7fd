//! Torrents that are looked up in the state directory while something is wrong
//! there.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use torrent_core::ids::InfoHash;
use torrent_core::settings::Settings;
use torrent_core::value::Value;

use crate::event::kind;
use crate::session::Session;
use crate::session::add::AddTorrent;
use crate::session::saved_state::SavedSession;
use crate::state_dir::{FileOp, Folder, StateDir, StateFaults};
use crate::torrent::handle::TorrentHandle;

/// Nothing here takes that long, unless it is broken.
const LIMIT: Duration = Duration::from_secs(60);

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A session to which torrents are added as before it had its folder, where
/// `strike` is called when a file of a torrent is read.
fn session(folder: &Path, strike: impl Fn() + Send + Sync + 'static) -> Session {
    let faults = StateFaults::new(move |op, _| {
        if op == FileOp::Read {
            strike();
        }
        Ok(())
    });
    let state = StateDir::open_with(folder, faults).unwrap();
    let mut settings = Settings::default();
    let listen = Value::from("127.0.0.1:0".to_owned());
    settings.apply([("listen_interfaces", &listen)]).unwrap();
    let state = Some(Folder::from(state));
    let session = Session::start_again(settings, SavedSession::default(), state).unwrap();
    until("it has read its folder", || session.is_restored());
    session.shared().up.store(false, Ordering::Release);
    session
}

/// Adds a torrent that the folder has a file of.
fn add(session: &Session, folder: &Path, number: u8) -> TorrentHandle {
    let hash = InfoHash([number; 20]);
    let file = folder.join("torrents").join(format!("{hash}.magnet"));
    std::fs::write(file, format!("magnet:?xt=urn:btih:{hash}")).unwrap();
    session
        .add_torrent(AddTorrent::from_info_hash(hash, folder))
        .unwrap()
}

#[test]
fn a_panic_in_a_look_up_ends_one_torrent() {
    let folder = tempfile::tempdir().unwrap();
    let panics = Arc::new(AtomicBool::new(false));
    let fault = Arc::clone(&panics);
    let session = session(folder.path(), move || {
        assert!(
            !fault.load(Ordering::Acquire),
            "a fault that a test asks for"
        );
    });
    panics.store(true, Ordering::Release);
    let broken = add(&session, folder.path(), 1);
    until("the torrent has ended", || broken.has_ended());
    let mut events = Vec::new();
    until("it is told", || {
        events.clear();
        session.events().take(&mut events);
        let mut kinds = events.iter().map(|event| event.kind().number);
        kinds.any(|number| number == kind::INTERNAL_ERROR.number)
    });
    panics.store(false, Ordering::Release);
    // The session goes on with all others.
    let next = add(&session, folder.path(), 2);
    next.pause().unwrap();
    let record = next.save_resume_data(crate::torrent::handle::resume::SaveFlags::default());
    record.unwrap();
    until("another one runs", || next.resume_data().is_some());
    session.stop();
    assert!(session.join_threads(LIMIT));
}

#[test]
fn a_look_up_that_hangs_holds_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let (go_on, gate) = mpsc::channel::<()>();
    let gate = parking_lot::Mutex::new(gate);
    let hangs = Arc::new(AtomicBool::new(false));
    let fault = Arc::clone(&hangs);
    let session = session(folder.path(), move || {
        if fault.load(Ordering::Acquire) {
            let _ = gate.lock().recv();
        }
    });
    hangs.store(true, Ordering::Release);
    add(&session, folder.path(), 1);
    session.shared().up.store(true, Ordering::Release);
    let other = InfoHash([2; 20]);
    let other = AddTorrent::from_info_hash(other, folder.path());
    let other = session.add_torrent(other).unwrap();
    let record = other.save_resume_data(crate::torrent::handle::resume::SaveFlags::default());
    record.unwrap();
    until("another one runs", || other.resume_data().is_some());
    session.stop_within(Duration::from_millis(50));
    assert!(session.join(LIMIT), "with the disk still hanging");
    drop(go_on);
    assert!(session.join_threads(LIMIT));
}
