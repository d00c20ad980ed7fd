//! What happens when the process has no file descriptor left: nothing is in
//! error, and everything goes on when there are some again.
#![cfg(unix)]

mod support;

use std::fs::File;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use support::{Node, Payload, wait_until};
use torrent_engine::core::value::Value;
use torrent_engine::event::kind;

/// Runs the test again in a process that may open `limit` files. Whether this
/// is that process.
fn in_child(test: &str, limit: u32) -> bool {
    const MARK: &str = "TORRENT_TEST_CHILD";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let this = std::env::current_exe().unwrap();
    let script = format!("ulimit -n {limit}; exec \"$0\" --exact {test} --nocapture");
    let status = Command::new("sh")
        .args(["-c", &script])
        .arg(this)
        .env(MARK, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    false
}

/// Takes every file descriptor that is left, and each that somebody gives back,
/// until it is dropped.
struct Hog {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Hog {
    fn new() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                let mut hogs = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    match File::open("/dev/null") {
                        Ok(hog) => hogs.push(hog),
                        Err(_) => std::thread::yield_now(),
                    }
                }
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

#[test]
fn a_download_and_a_check_wait_for_file_descriptors() {
    if !in_child("a_download_and_a_check_wait_for_file_descriptors", 256) {
        return;
    }
    let names: Vec<String> = (0..60).map(|at| format!("{at}.bin")).collect();
    let names: Vec<&'static str> = names.into_iter().map(|it| &*it.leak()).collect();
    let lengths: Vec<_> = names.iter().map(|&name| (name, 32_768)).collect();
    let payload = Payload::new(&lengths, 32_768, 91);
    // Its files stay open, so that it goes on giving.
    let giver = Node::with(&[
        ("file_pool_size", Value::Int(100)),
        ("upload_rate_limit", Value::Int(200_000)),
    ]);
    payload.write(giver.folder.path());
    let seed = giver.add(&payload.torrent(None));
    wait_until("seeding", || seed.status().is_seeding);
    // No file stays open, so that each piece needs a descriptor.
    let mut node = Node::with(&[("file_pool_size", Value::Int(1))]);
    let handle = node.add(&payload.torrent(None));
    handle.connect_peer(giver.endpoint()).unwrap();
    wait_until("it comes", || handle.status().pieces_downloaded > 2);

    let hogs = Hog::new();
    let event = node.wait(kind::FILE_ERROR);
    assert!(format!("{event:?}").contains("open files"), "{event:?}");
    assert_eq!(handle.status().error, "");
    drop(hogs);
    let unlimited = Value::Int(0);
    giver
        .session
        .apply_settings([("upload_rate_limit", &unlimited)])
        .unwrap();
    wait_until("finished", || handle.status().is_finished);
    assert_eq!(handle.status().error, "");
    payload.assert_at(node.folder.path());

    node.drain();
    let hogs = Hog::new();
    handle.force_recheck().unwrap();
    node.wait(kind::FILE_ERROR);
    let status = handle.status();
    assert!(status.state.is_checking(), "{status:?}");
    assert_eq!(status.error, "");
    drop(hogs);
    node.wait(kind::TORRENT_CHECKED);
    wait_until("all is found", || handle.status().is_seeding);
}
