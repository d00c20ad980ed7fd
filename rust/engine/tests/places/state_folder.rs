//! The session's state directory is no place for a torrent.

use std::fs;

use tempfile::TempDir;
use torrent_engine::core::ids::FileIndex;
use torrent_engine::error::{Error, ErrorKind};
use torrent_engine::session::AddTorrent;

use super::newcomers::restart;
use super::support::{Payload, wait, wait_until};
use super::{MoveMode, add};

fn assert_refused(error: &Error) {
    let words = error.to_string();
    assert!(words.contains("keeps its state there"), "{words}");
}

#[test]
fn no_torrent_has_files_in_the_state_directory() {
    let folder = TempDir::new().unwrap();
    let state = folder.path().join("state");
    let node = restart(&state);
    let payload = Payload::of_two_files(126);
    let torrent = payload.torrent(None);
    for place in [state.clone(), state.join("torrents/below")] {
        let error = add(&node, &torrent, &place).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TorrentAddFailed);
        assert_refused(&error);
    }
    for name in ["state/session.state", "state/torrents/x.resume", "state"] {
        let mut above = AddTorrent::from_data(&torrent, folder.path()).unwrap();
        above.renamed_files = [(FileIndex(0), name.to_owned())].into();
        assert_refused(&node.session.add_torrent(above).unwrap_err());
    }
    // By another name, which only the disk knows.
    let mut others = vec![folder.path().join("else/../state")];
    #[cfg(unix)]
    {
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&state, &link).unwrap();
        others.push(link);
    }
    for place in others {
        match add(&node, &torrent, &place) {
            Ok(handle) => {
                wait_until("it is refused", || handle.has_ended());
                assert_refused(&handle.error().unwrap());
            }
            // Where `..` leads to is known from the names alone.
            Err(error) if cfg!(windows) => assert_refused(&error),
            Err(error) => panic!("{error}"),
        }
    }
    // Beside it there is room, and it stays there.
    let handle = add(&node, &torrent, folder.path()).unwrap();
    payload.write(folder.path());
    handle.force_recheck().unwrap();
    wait_until("it seeds", || handle.status().is_seeding);
    let moved = handle.move_storage_now(&state, MoveMode::default());
    assert_refused(&wait(moved).unwrap_err());
    let renamed = handle.rename_file_now(FileIndex(0), "state/session.state");
    assert_refused(&wait(renamed).unwrap_err());
    payload.assert_at(folder.path());
    drop(node);
    let left = fs::read_dir(&state).unwrap();
    let mut left: Vec<_> = left.map(|it| it.unwrap().file_name()).collect();
    left.sort_unstable();
    assert_eq!(left, ["lock", "session.state", "torrents"]);
}
