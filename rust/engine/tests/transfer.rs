//! Whole sessions over loopback sockets: the drivers together.

mod support;

use support::{Node, Payload, wait_until};
use torrent_engine::core::ids::{FileIndex, PieceIndex};
use torrent_engine::core::torrent::TorrentState;
use torrent_engine::core::value::Value;
use torrent_engine::event::{EventBody, PieceRead, StateChange, kind};

fn files() -> Payload {
    Payload::new(
        &[
            ("a.bin", 300_001),
            ("empty", 0),
            ("deep/b.bin", 1_500_003),
            ("c", 7),
        ],
        65_536,
        1,
    )
}

/// A seed that has checked its files.
fn seed(payload: &Payload) -> (Node, Vec<u8>) {
    let mut node = Node::new();
    payload.write(node.folder.path());
    let torrent = payload.torrent(None);
    let handle = node.add(&torrent);
    node.wait(kind::TORRENT_CHECKED);
    wait_until("seeding", || handle.status().state == TorrentState::Seeding);
    (node, torrent)
}

#[test]
fn a_download_is_byte_for_byte_and_tells_its_story_in_order() {
    let payload = files();
    let (seed, torrent) = seed(&payload);
    let mut leech = Node::new();
    let handle = leech.add(&torrent);
    handle.connect_peer(seed.endpoint()).unwrap();
    leech.wait_where(kind::STATE_CHANGED, |event| {
        matches!(
            event.body,
            EventBody::StateChanged(StateChange {
                state: TorrentState::Finished,
                previous: TorrentState::Downloading,
            })
        )
    });
    leech.wait(kind::TORRENT_FINISHED);
    leech.wait_where(kind::STATE_CHANGED, |event| {
        matches!(
            event.body,
            EventBody::StateChanged(StateChange {
                state: TorrentState::Seeding,
                previous: TorrentState::Finished,
            })
        )
    });
    payload.assert_at(leech.folder.path());
    let mut completed: Vec<u32> = leech
        .drain()
        .iter()
        .filter_map(|event| match &event.body {
            EventBody::FileCompleted(files) => Some(files.clone()),
            _ => None,
        })
        .flatten()
        .collect();
    completed.sort_unstable();
    assert_eq!(completed, [0, 1, 2, 3], "each file once, the empty one too");
    let status = handle.status();
    assert_eq!((status.progress, status.is_seeding), (1.0, true));
    assert_eq!(status.total_payload_download, 1_800_011);
    assert_eq!(status.total_failed_bytes, 0);
    assert!(handle.pieces().is_full());
    assert_eq!(*handle.file_progress(), [300_001, 0, 1_500_003, 7]);
    let stats = leech.session.stats();
    let stat = |name: &str| stats.iter().find(|(key, _)| key == name).unwrap().1.clone();
    assert_eq!(stat("net.recv_payload_bytes"), Value::Int(1_800_011));
    assert_eq!(stat("ses.num_piece_passed"), Value::Int(28));
    assert_eq!(stat("ses.num_seeding_torrents"), Value::Int(1));
}

#[test]
fn both_families_of_addresses_work() {
    let payload = files();
    let mut seed = Node::with(&[("listen_interfaces", Value::from("[::1]:0"))]);
    if seed.session.listening().is_empty() {
        // A machine without IPv6: the error says so, which is all there is.
        assert_eq!(seed.session.listen_errors().len(), 1);
        return;
    }
    payload.write(seed.folder.path());
    let torrent = payload.torrent(None);
    seed.add(&torrent);
    seed.wait(kind::TORRENT_CHECKED);
    let mut leech = Node::new();
    leech.add(&torrent).connect_peer(seed.endpoint()).unwrap();
    leech.wait(kind::TORRENT_FINISHED);
    payload.assert_at(leech.folder.path());
}

#[test]
fn leechers_trade_what_each_has() {
    let payload = Payload::new(&[("a.bin", 4_000_000)], 65_536, 2);
    let torrent = payload.torrent(None);
    // Each has one half on disk, and only together they have everything.
    let mut halves = [Node::new(), Node::new()];
    for (at, node) in halves.iter_mut().enumerate() {
        let mut half = payload.files[0].1.clone();
        let middle = 30 * payload.piece_length;
        if at == 0 {
            half[middle..].fill(0)
        } else {
            half[..middle].fill(0)
        }
        let path = node.folder.path().join("payload/a.bin");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, half).unwrap();
        node.add(&torrent);
        node.wait(kind::TORRENT_CHECKED);
    }
    let other = halves[1].endpoint();
    halves[0].session.torrents()[0].connect_peer(other).unwrap();
    for node in &mut halves {
        node.wait(kind::TORRENT_FINISHED);
        payload.assert_at(node.folder.path());
    }
}

#[test]
fn unwanted_files_are_left_out_until_they_are_wanted() {
    let payload = Payload::new(&[("a.bin", 65_536 * 3), ("b.bin", 65_536 * 3)], 65_536, 3);
    let (seed, torrent) = seed(&payload);
    let mut leech = Node::new();
    let handle = leech.add(&torrent);
    handle.set_file_priority(FileIndex(1), 0).unwrap();
    assert_eq!(handle.piece_priorities(), [4, 4, 4, 0, 0, 0]);
    handle.connect_peer(seed.endpoint()).unwrap();
    leech.wait(kind::TORRENT_FINISHED);
    wait_until("finished", || {
        handle.status().state == TorrentState::Finished
    });
    assert!(!leech.folder.path().join("payload/b.bin").exists());
    assert_eq!(handle.pieces().count(), 3);
    handle.set_file_priority(FileIndex(1), 4).unwrap();
    leech.wait(kind::TORRENT_FINISHED);
    payload.assert_at(leech.folder.path());
}

#[test]
fn pause_stops_the_traffic_and_resume_goes_on() {
    let payload = files();
    let (seed, torrent) = seed(&payload);
    let mut leech = Node::new();
    let handle = leech.add(&torrent);
    handle.pause().unwrap();
    assert!(handle.is_paused());
    leech.wait(kind::TORRENT_PAUSED);
    handle.connect_peer(seed.endpoint()).unwrap();
    wait_until("paused", || handle.status().paused);
    assert_eq!(handle.status().num_connections, 0);
    handle.resume().unwrap();
    leech.wait(kind::TORRENT_FINISHED);
    payload.assert_at(leech.folder.path());
}

#[test]
fn a_recheck_finds_what_was_damaged_and_fetches_it_again() {
    let payload = files();
    let (seed, torrent) = seed(&payload);
    let mut leech = Node::new();
    let handle = leech.add(&torrent);
    handle.connect_peer(seed.endpoint()).unwrap();
    leech.wait(kind::TORRENT_FINISHED);
    leech.wait(kind::TORRENT_CHECKED);
    let path = leech.folder.path().join("payload/deep/b.bin");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[700_000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    handle.force_recheck().unwrap();
    leech.wait(kind::TORRENT_CHECKED);
    leech.wait_where(kind::STATE_CHANGED, |event| {
        matches!(
            event.body,
            EventBody::StateChanged(StateChange {
                state: TorrentState::Downloading,
                previous: TorrentState::CheckingFiles,
            })
        )
    });
    handle.connect_peer(seed.endpoint()).unwrap();
    leech.wait(kind::TORRENT_FINISHED);
    payload.assert_at(leech.folder.path());
}

#[test]
fn removal_with_files_leaves_strangers_alone() {
    let payload = files();
    let (mut seed, _) = seed(&payload);
    let handle = seed.session.torrents()[0].clone();
    let stranger = seed.folder.path().join("payload/deep/mine.txt");
    std::fs::write(&stranger, "mine").unwrap();
    seed.session.remove_torrent(&handle, true).unwrap();
    assert!(!handle.is_valid() && handle.pause().is_err());
    assert!(seed.session.remove_torrent(&handle, true).is_err());
    seed.wait(kind::TORRENT_DELETED);
    seed.wait(kind::TORRENT_REMOVED);
    assert!(stranger.exists());
    assert!(!seed.folder.path().join("payload/a.bin").exists());
}

#[test]
fn a_torrent_can_be_added_again_at_once() {
    let payload = files();
    let (mut seed, torrent) = seed(&payload);
    for _ in 0..5 {
        let handle = seed.session.torrents()[0].clone();
        seed.session.remove_torrent(&handle, false).unwrap();
        let again = seed.add(&torrent);
        assert_ne!(again, handle);
        assert_eq!(
            seed.add(&torrent),
            again,
            "the same torrent is the same handle"
        );
        seed.wait(kind::TORRENT_CHECKED);
        wait_until("seeding again", || again.status().is_seeding);
    }
}

#[test]
fn pieces_can_be_read() {
    let payload = files();
    let (mut seed, _) = seed(&payload);
    let handle = seed.session.torrents()[0].clone();
    handle.read_piece(PieceIndex(1)).unwrap();
    let event = seed.wait(kind::READ_PIECE);
    let EventBody::ReadPiece(PieceRead { piece, data, error }) = event.body else {
        panic!("{:?}", event.body);
    };
    assert_eq!((piece, error.as_str()), (PieceIndex(1), ""));
    assert_eq!(data[..], payload.files[0].1[65_536..131_072]);
    assert!(handle.read_piece(PieceIndex(1000)).is_err());
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_of_that_torrent_alone() {
    let payload = files();
    let (seed, torrent) = seed(&payload);
    let mut leech = Node::new();
    // A file where the folder should be stops even the superuser.
    let blocked = leech.folder.path().join("blocked");
    std::fs::write(&blocked, "").unwrap();
    let add =
        torrent_engine::session::AddTorrent::from_data(&torrent, blocked.join("save")).unwrap();
    let handle = leech.session.add_torrent(add).unwrap();
    handle.connect_peer(seed.endpoint()).unwrap();
    let event = leech.wait(kind::FILE_ERROR);
    let Some(error) = event.body.error() else {
        panic!()
    };
    assert!(error.context().contains("blocked"), "{error}");
    wait_until("the error shows", || !handle.status().error.is_empty());
    // Once the cause is gone it goes on.
    std::fs::remove_file(&blocked).unwrap();
    handle.clear_error().unwrap();
    handle.connect_peer(seed.endpoint()).unwrap();
    leech.wait(kind::TORRENT_FINISHED);
    payload.assert_at(&blocked.join("save"));
}

#[test]
fn stopping_in_the_middle_leaves_no_thread() {
    let payload = Payload::new(&[("a.bin", 30_000_000)], 262_144, 4);
    let (seed, torrent) = seed(&payload);
    for _ in 0..5 {
        let mut leech = Node::new();
        leech.add(&torrent).connect_peer(seed.endpoint()).unwrap();
        leech.wait(kind::PIECE_FINISHED);
        leech.session.stop();
        assert!(!leech.session.is_running());
        assert!(
            leech
                .session
                .torrents()
                .iter()
                .all(|handle| !handle.is_valid())
        );
        assert!(leech.session.join(support::LIMIT));
    }
}

#[test]
fn a_session_that_nobody_holds_stops_itself() {
    let payload = files();
    let (seed, torrent) = seed(&payload);
    let folder = tempfile::TempDir::new().unwrap();
    let port = {
        let mut settings = torrent_engine::core::settings::Settings::default();
        let loopback = Value::from("127.0.0.1:0");
        settings.apply([("listen_interfaces", &loopback)]).unwrap();
        let session = torrent_engine::session::Session::start(settings).unwrap();
        let add = torrent_engine::session::AddTorrent::from_data(&torrent, folder.path()).unwrap();
        let handle = session.add_torrent(add).unwrap();
        handle.connect_peer(seed.endpoint()).unwrap();
        session.listening()[0]
    };
    // No socket listens there any more once it is over.
    wait_until("the port is free", || {
        std::net::TcpListener::bind(port).is_ok()
    });
}
