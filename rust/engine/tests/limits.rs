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

/// Takes every file descriptor that is left, and each that is released,
/// until it is dropped.
struct Hog {
    stop: Arc<AtomicBool>,
    full: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Hog {
    fn new() -> Self {
        let [stop, full] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (stop, full) = (Arc::clone(&stop), Arc::clone(&full));
            move || {
                let mut hogs = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    match File::open("/dev/null") {
                        Ok(hog) => hogs.push(hog),
                        Err(_) => {
                            full.store(true, Ordering::Relaxed);
                            std::thread::yield_now();
                        }
                    }
                }
            }
        });
        Self {
            stop,
            full,
            thread: Some(thread),
        }
    }

    /// Until none is left.
    fn wait_full(&self) {
        wait_until("none is left", || self.full.load(Ordering::Relaxed));
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
    // Its files stay open, so that it goes on giving, and so does the
    // connection when there is nothing to do.
    let stay = ("close_redundant_connections", Value::Bool(false));
    let giver = Node::with(&[("file_pool_size", Value::Int(100)), stay.clone()]);
    giver.seed(&payload);
    // No file stays open, so that each piece needs a descriptor.
    let mut node = Node::with(&[("file_pool_size", Value::Int(1)), stay]);
    let handle = node.add(&payload.torrent(None));
    // The remainder comes when there are no descriptors, however long that takes.
    let mut wanted = vec![0; names.len()];
    wanted[..3].fill(4);
    handle.prioritize_pieces(&wanted).unwrap();
    handle.connect_peer(giver.endpoint()).unwrap();
    wait_until("it comes", || handle.status().pieces_downloaded == 3);

    let hogs = Hog::new();
    hogs.wait_full();
    wanted.fill(4);
    handle.prioritize_pieces(&wanted).unwrap();
    let event = node.wait(kind::FILE_ERROR);
    assert!(format!("{event:?}").contains("open files"), "{event:?}");
    assert_eq!(handle.status().error, "");
    drop(hogs);
    wait_until("finished", || handle.status().is_finished);
    assert_eq!(handle.status().error, "");
    payload.assert_at(node.folder.path());

    node.drain();
    let hogs = Hog::new();
    hogs.wait_full();
    handle.force_recheck().unwrap();
    node.wait(kind::FILE_ERROR);
    let status = handle.status();
    assert!(status.state.is_checking(), "{status:?}");
    assert_eq!(status.error, "");
    drop(hogs);
    node.wait(kind::TORRENT_CHECKED);
    wait_until("all is found", || handle.status().is_seeding);
}
