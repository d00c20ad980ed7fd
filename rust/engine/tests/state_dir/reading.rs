//! The state directory cannot be read for the moment: nothing is lost by it,
//! and no caller waits for the disk.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use torrent_engine::core::ids::InfoHash;
use torrent_engine::core::session_state::SessionState;
use torrent_engine::event::{Audience, EventBody, Kind, kind};
use torrent_engine::session::AddTorrent;
use torrent_engine::state_dir::{FileOp, StateFaults};
use torrent_engine::torrent::handle::TorrentHandle;

use super::faults::killed;
use super::support::{Node, Payload, until};
use super::{begin_with, start, stop};

/// The first `count` times that it is about a file of that name, `op` fails.
pub(super) fn failing_first(
    op: FileOp,
    of: &'static str,
    count: usize,
) -> (Arc<AtomicUsize>, StateFaults) {
    let struck = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&struck);
    let faults = StateFaults::failing(move |this, path| {
        let is_it = this == op && path.to_string_lossy().ends_with(of);
        is_it && seen.fetch_add(1, Ordering::SeqCst) < count
    });
    (struck, faults)
}

/// Torrents that seed, in this order in the queue.
fn seeding(state: &Path, data: &Path, seeds: &[u32]) -> Vec<InfoHash> {
    let node = start(state);
    let add = |seed: &u32| {
        let (payload, folder) = (Payload::of_two_files(*seed), data.join(seed.to_string()));
        payload.write(&folder);
        let mut add = AddTorrent::from_data(&payload.torrent(None), folder).unwrap();
        add.auto_managed = true;
        node.session.add_torrent(add).unwrap()
    };
    let handles: Vec<TorrentHandle> = seeds.iter().map(add).collect();
    until(|| handles.iter().all(|it| it.status().is_seeding));
    stop(&node);
    handles.iter().map(TorrentHandle::info_hash).collect()
}

fn queue(state: &Path) -> Vec<InfoHash> {
    let state = std::fs::read(state.join("session.state")).unwrap();
    SessionState::decode(&state).unwrap().queue
}

#[test]
fn a_folder_that_cannot_be_listed_is_listed_when_it_can_be() {
    let (state, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hashes = seeding(state.path(), data.path(), &[51, 53]);
    let order = queue(state.path());
    // A session that ends before it could list it leaves all as it is.
    let (struck, faults) = failing_first(FileOp::List, "torrents", usize::MAX);
    let mut node = begin_with(state.path(), faults);
    node.wait(kind::FILE_ERROR);
    assert!(!node.session.is_restored());
    until(|| struck.load(Ordering::SeqCst) > 1);
    stop(&node);
    assert_eq!(queue(state.path()), order);
    assert!(!node.has_seen(kind::FILE_ERROR), "it is said once");

    let (_, faults) = failing_first(FileOp::List, "torrents", 1);
    let mut node = begin_with(state.path(), faults);
    node.wait(kind::FILE_ERROR);
    until(|| node.session.is_restored());
    for hash in &hashes {
        let handle = node.session.find_torrent(*hash).unwrap();
        until(|| handle.status().is_seeding);
    }
    let copy = killed(state.path());
    assert_eq!(queue(copy.path()), order);
    stop(&node);
    let mut node = start(copy.path());
    assert_eq!(node.session.torrents().len(), 2);
    node.look();
    assert!(!node.has_seen(kind::FASTRESUME_REJECTED));
    stop(&node);
}

#[test]
fn a_record_that_cannot_be_read_for_a_moment_counts_and_not_the_one_before() {
    let (state, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hashes = seeding(state.path(), data.path(), &[55, 57]);
    let name = format!("{}.resume", hashes[0]);
    let old = state.path().join("torrents").join(&name);
    let old = old.with_extension("resume.old");
    std::fs::write(old, b"an older one").unwrap();
    for adds in [false, true] {
        let (struck, faults) = failing_first(FileOp::Read, name.clone().leak(), 1);
        let mut node = begin_with(state.path(), faults);
        if adds {
            let torrent = Payload::of_two_files(55).torrent(None);
            let add = AddTorrent::from_data(&torrent, data.path().join("else")).unwrap();
            node.session.add_torrent(add).unwrap();
        }
        node.wait(kind::FILE_ERROR);
        // The other one does not wait for it.
        until(|| node.session.find_torrent(hashes[1]).is_some());
        until(|| node.session.is_restored());
        let handle = node.session.find_torrent(hashes[0]).unwrap();
        until(|| handle.status().is_seeding);
        assert_eq!(*handle.save_path(), data.path().join("55"));
        assert!(struck.load(Ordering::SeqCst) > 1);
        node.look();
        assert!(!node.has_seen(kind::FASTRESUME_REJECTED));
        assert!(!node.has_seen(kind::FILE_ERROR));
        let copy = killed(state.path());
        stop(&node);
        let node = start(copy.path());
        let handle = node.session.find_torrent(hashes[0]).unwrap();
        until(|| handle.status().is_seeding);
        stop(&node);
    }
}

/// The names in a list of what had no effect.
fn names(left_out: &[String]) -> Vec<&str> {
    let name = |note: &String| note.find(':').unwrap_or_default();
    left_out.iter().map(|note| &note[..name(note)]).collect()
}

#[test]
fn what_is_added_again_gives_the_same_whether_it_is_back_or_not() {
    let payload = Payload::of_two_files(59);
    let giver = Node::new();
    giver.seed(&payload);
    for is_back in [false, true] {
        let (state, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let node = start(state.path());
        let torrent = payload.torrent(Some("http://127.0.0.1:9/first"));
        let add = AddTorrent::from_data(&torrent, data.path()).unwrap();
        let handle = node.session.add_torrent(add).unwrap();
        handle.set_max_uploads(9).unwrap();
        handle.add_tracker("http://127.0.0.1:9/own", 1).unwrap();
        until(|| !handle.need_save_resume_data());
        stop(&node);

        // The torrents are read when the gate opens.
        let (open, gate) = mpsc::channel::<()>();
        let gate = std::sync::Mutex::new(gate);
        let faults = StateFaults::new(move |op, _| {
            if op == FileOp::List {
                // The other end is dropped.
                let _ = gate.lock().unwrap().recv();
            }
            Ok(())
        });
        let mut node = begin_with(state.path(), faults);
        let mut open = Some(open);
        if is_back {
            open.take();
            until(|| node.session.is_restored());
            node.wait(kind::ADD_TORRENT);
        }
        let mut add = AddTorrent::from_data(&torrent, data.path().join("else")).unwrap();
        add.trackers = vec![vec!["http://127.0.0.1:9/more".to_owned()]];
        add.peers = vec![giver.endpoint()];
        add.max_uploads = Some(7);
        add.download_limit = Some(0);
        add.sequential = true;
        add.seed_mode = true;
        add.verify_files = false;
        add.name = "another".to_owned();
        add.part_file_dir = "parts".into();
        add.file_priorities = vec![1];
        let handle = node.session.add_torrent(add).unwrap();
        // The peer is one of its peers.
        until(|| handle.status().is_seeding);
        payload.assert_at(data.path());
        assert_eq!(handle.max_uploads(), 9);
        let urls: Vec<_> = handle.trackers().iter().map(|it| it.url.clone()).collect();
        let urls: Vec<_> = urls
            .iter()
            .map(|it| it.rsplit_once('/').unwrap().1)
            .collect();
        assert_eq!(urls, ["first", "own", "more"], "{is_back}");
        // An alert alone: no signal says that it was added.
        let audience = match is_back {
            true => Audience::Alerts,
            false => Audience::Both,
        };
        let added = node.wait(Kind {
            audience,
            ..kind::ADD_TORRENT
        });
        let (EventBody::AddedAgain(added) | EventBody::AddTorrent(added)) = added.body else {
            panic!("{added:?}");
        };
        assert_eq!(added.save_path, data.path().display().to_string());
        let mut left_out = names(&added.without_effect);
        left_out.sort_unstable();
        left_out.dedup();
        let expected = [
            "file_priorities",
            "max_uploads",
            "name",
            "no_verify_files",
            "part_file_dir",
            "save_path",
            "seed_mode",
            "sequential_download",
        ];
        assert_eq!(left_out, expected, "{is_back}");
        drop(open);
        until(|| node.session.is_restored());
        stop(&node);
    }
}
