//! What happens when the process has no file descriptor left: nothing is in
//! error, and everything goes on when there are some again.
#![cfg(unix)]

mod support;

use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{Node, Payload, wait_until};
use torrent_engine::core::value::Value;
use torrent_engine::event::kind;

/// Runs the test again in a process of its own, whose limits it may change.
/// Whether this is that process.
fn in_child(test: &str) -> bool {
    const MARK: &str = "TORRENT_TEST_CHILD";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(MARK, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    false
}

/// Until it is dropped the process gets no further file descriptor, also none
/// in place of one that it gives up; those that it has stay usable.
struct NoDescriptors(Rlimit);

impl NoDescriptors {
    fn new() -> Self {
        let before = getrlimit(Resource::Nofile);
        let none = Rlimit {
            current: Some(0),
            ..before
        };
        setrlimit(Resource::Nofile, none).unwrap();
        Self(before)
    }
}

impl Drop for NoDescriptors {
    fn drop(&mut self) {
        setrlimit(Resource::Nofile, self.0).unwrap();
    }
}

#[test]
fn a_download_and_a_check_wait_for_file_descriptors() {
    if !in_child("a_download_and_a_check_wait_for_file_descriptors") {
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
    // No more than one file stays open, so that each piece needs a descriptor.
    let mut node = Node::with(&[("file_pool_size", Value::Int(1)), stay]);
    let handle = node.add(&payload.torrent(None));
    // The remainder comes when there are no descriptors, however long that takes.
    let mut wanted = vec![0; names.len()];
    wanted[..3].fill(4);
    handle.prioritize_pieces(&wanted).unwrap();
    handle.connect_peer(giver.endpoint()).unwrap();
    wait_until("it comes", || handle.status().pieces_downloaded == 3);

    let shortage = NoDescriptors::new();
    wanted.fill(4);
    handle.prioritize_pieces(&wanted).unwrap();
    let event = node.wait(kind::FILE_ERROR);
    assert!(format!("{event:?}").contains("open files"), "{event:?}");
    assert_eq!(handle.status().error, "");
    drop(shortage);
    wait_until("finished", || handle.status().is_finished);
    assert_eq!(handle.status().error, "");
    payload.assert_at(node.folder.path());

    node.drain();
    let shortage = NoDescriptors::new();
    handle.force_recheck().unwrap();
    node.wait(kind::FILE_ERROR);
    let status = handle.status();
    assert!(status.state.is_checking(), "{status:?}");
    assert_eq!(status.error, "");
    drop(shortage);
    node.wait(kind::TORRENT_CHECKED);
    wait_until("all is found", || handle.status().is_seeding);
}
