//! The folder of a download goes while it is written to: it is not made again,
//! and the download goes on when it is back.

use std::fs;

use super::support::{Node, PIECE, Payload, until};
use crate::error::ErrorKind;
use crate::event::{EventBody, kind};
use crate::session::AddTorrent;
use crate::torrent::handle::post::PostRequest;
use crate::torrent::handle::storage::StorageMode;

#[test]
fn a_folder_that_vanishes_during_a_download_is_not_made_again() {
    for with_data in [true, false] {
        println!("with data: {with_data}");
        let payload = Payload::of_two_files(91);
        let giver = Node::new();
        giver.seed(&payload);
        let mut node = Node::new();
        let (folder, away) = ["games", "away"]
            .map(|it| node.folder.path().join(it))
            .into();
        let mut add = AddTorrent::from_data(&payload.torrent(None), &folder).unwrap();
        add.file_priorities = vec![u8::from(with_data) * 4, 0];
        let handle = node.session.add_torrent(add).unwrap();
        handle.connect_peer(giver.endpoint()).unwrap();
        until(|| handle.status().is_finished);
        until(|| folder.exists());
        // It is known that the folder is there.
        handle.flush_cache().unwrap();
        node.wait(kind::CACHE_FLUSHED);
        fs::rename(&folder, &away).unwrap();
        handle.prioritize_files(&[4, 4]).unwrap();
        until(|| {
            // A check closes connections.
            handle.connect_peer(giver.endpoint()).unwrap();
            !handle.status().error.is_empty()
        });
        let (status, path) = (handle.status(), folder.display().to_string());
        assert!(status.error.contains(&path), "{}", status.error);
        assert_eq!(status.error_file, path);
        node.wait_where(kind::FILE_ERROR, |event| {
            matches!(&event.body, EventBody::FileError(error) if error.kind() == ErrorKind::PathNotFound)
        });
        // Neither by a retry.
        handle.clear_error().unwrap();
        handle.ask(PostRequest::Trackers).unwrap();
        node.wait(kind::TRACKER_LIST);
        assert!(!folder.exists());
        fs::rename(&away, &folder).unwrap();
        until(|| {
            handle.connect_peer(giver.endpoint()).unwrap();
            handle.status().is_seeding
        });
        assert_eq!(handle.status().error, "");
        payload.assert_at(&folder);
        if with_data {
            // What was there has not come again, but for what was on its way
            // to the disk.
            let once = (29 * PIECE + 77) as u64;
            let again = handle.status().total_payload_download - once;
            assert!(again < once / 2, "{again} bytes came twice");
        }
    }
}

#[test]
#[cfg_attr(
    windows,
    ignore = "Wine keeps the name of a deleted file while it is open"
)]
fn folders_below_it_are_made_again() {
    let payload = Payload::of_two_files(92);
    let giver = Node::new();
    giver.seed(&payload);
    let node = Node::new();
    let mut add = AddTorrent::from_data(&payload.torrent(None), node.folder.path()).unwrap();
    add.file_priorities = vec![4, 0];
    add.storage_mode = StorageMode::Sparse;
    let handle = node.session.add_torrent(add).unwrap();
    handle.connect_peer(giver.endpoint()).unwrap();
    until(|| handle.status().is_finished);
    fs::remove_dir_all(node.folder.path().join("payload")).unwrap();
    handle.force_recheck().unwrap();
    handle.prioritize_files(&[4, 4]).unwrap();
    until(|| {
        handle.connect_peer(giver.endpoint()).unwrap();
        handle.status().is_seeding
    });
    payload.assert_at(node.folder.path());
}
