//! Resume data over real sessions.

mod support;

use std::path::Path;

use sha1::{Digest, Sha1};
use support::{Node, PIECE, Payload, until, wait, wait_until};
use torrent_engine::core::bitfield::Bitfield;
use torrent_engine::core::ids::FileIndex;
use torrent_engine::core::resume::ResumeData;
use torrent_engine::error::{Error, ErrorKind};
use torrent_engine::event::{EventBody, kind};
use torrent_engine::session::AddTorrent;
use torrent_engine::status::TorrentState;
use torrent_engine::torrent::handle::TorrentHandle;
use torrent_engine::torrent::handle::resume::SaveFlags;
use torrent_engine::torrent::handle::storage::{Deletion, MoveMode};

fn save(handle: &TorrentHandle, flags: SaveFlags) -> ResumeData {
    let data = wait(handle.save_resume_data_now(flags)).unwrap();
    ResumeData::decode(&data).unwrap()
}

/// A complete torrent's record, made by a session that looked at all of it.
fn complete_record(payload: &Payload, folder: &Path) -> ResumeData {
    payload.write(folder);
    let mut node = Node::new();
    let add = AddTorrent::from_data(&payload.torrent(None), folder).unwrap();
    let handle = node.session.add_torrent(add).unwrap();
    node.wait(kind::TORRENT_CHECKED);
    save(&handle, SaveFlags::default())
}

fn resumed(node: &Node, payload: &Payload, folder: &Path, record: &ResumeData) -> TorrentHandle {
    let add = AddTorrent::from_data(&payload.torrent(None), folder)
        .unwrap()
        .with_resume_data(&record.encode())
        .unwrap();
    node.session.add_torrent(add).unwrap()
}

#[test]
fn a_true_record_spares_the_check_and_restores_what_was_set() {
    let payload = Payload::of_two_files(11);
    let folder = tempfile::tempdir().unwrap();
    let mut record = complete_record(&payload, folder.path());
    assert_eq!(record.have(30).unwrap().count(), 30);
    assert!(record.file_stats.iter().all(Option::is_some));
    record.total_uploaded = 5000;
    record.total_downloaded = 10_000;
    record.active_time = 100;
    record.added_time = 1_000_000;
    record.completed_time = 2_000_000;
    record.max_uploads = Some(7);
    record.flags.paused = Some(true);
    record.flags.sequential_download = Some(true);
    record.trackers = Some(vec![vec!["http://127.0.0.1:9/announce".to_owned()]]);
    let mut node = Node::new();
    let handle = resumed(&node, &payload, folder.path(), &record);
    node.wait(kind::TORRENT_CHECKED);
    assert!(!node.has_seen(kind::FASTRESUME_REJECTED));
    let status = handle.status();
    assert_eq!(status.state, TorrentState::Seeding);
    assert!(status.paused && handle.is_paused());
    assert!(handle.is_sequential_download());
    assert_eq!(handle.max_uploads(), 7);
    assert_eq!(handle.trackers().len(), 1);
    assert_eq!(
        (status.all_time_upload, status.all_time_download),
        (5000, 10_000)
    );
    assert!((status.ratio - 0.5).abs() < 1e-9);
    assert!(status.active_time >= 100);
    assert_eq!(
        (status.added_time, status.completed_time),
        (1_000_000, 2_000_000)
    );
    // What was restored is what is saved again.
    let again = save(&handle, SaveFlags::default());
    assert_eq!(again.trackers, record.trackers);
    assert_eq!(again.flags.paused, Some(true));
    assert_eq!(again.total_uploaded, 5000);
    assert_eq!(again.max_uploads, Some(7));
}

#[test]
fn a_record_that_lies_is_rejected_and_everything_is_checked() {
    let payload = Payload::of_two_files(12);
    let folder = tempfile::tempdir().unwrap();
    let record = complete_record(&payload, folder.path());
    let b = folder.path().join("payload/b.bin");
    std::fs::OpenOptions::new()
        .write(true)
        .open(&b)
        .unwrap()
        .set_len(PIECE as u64)
        .unwrap();
    let mut node = Node::new();
    let handle = resumed(&node, &payload, folder.path(), &record);
    let event = node.wait(kind::FASTRESUME_REJECTED);
    let Some(error) = event.body.error() else {
        panic!("{event:?}");
    };
    assert_eq!(error.kind(), ErrorKind::ResumeDataParseError);
    assert!(error.message().contains("mismatching file size"), "{error}");
    assert_eq!(error.context(), b.display().to_string());
    node.wait(kind::TORRENT_CHECKED);
    until(|| handle.status().pieces_downloaded == 21);
}

#[test]
fn what_is_no_record_of_this_torrent_is_an_error_at_once() {
    let mine = Payload::of_two_files(13);
    let folder = tempfile::tempdir().unwrap();
    let record = complete_record(&mine, folder.path());
    let other = Payload::of_two_files(14);
    let add = |data: &[u8]| {
        let add = AddTorrent::from_data(&other.torrent(None), folder.path()).unwrap();
        add.with_resume_data(data).unwrap_err()
    };
    for (data, words) in [
        (record.encode(), "mismatching info hash"),
        (b"de".to_vec(), "invalid file tag"),
        (b"d".to_vec(), "bencode"),
    ] {
        let error = add(&data);
        assert_eq!(error.kind(), ErrorKind::ResumeDataParseError);
        assert!(error.message().contains(words), "{error}");
    }
}

/// The rows of the scorecard on records that were tampered with: no bit that
/// is flipped makes a torrent serve what is not its own.
#[test]
fn a_lying_bitfield_is_found_before_its_piece_is_served() {
    let payload = Payload::new(&[("a.bin", 300 * 16 * 1024)], 16 * 1024, 15);
    let folder = tempfile::tempdir().unwrap();
    let record = complete_record(&payload, folder.path());
    let path = folder.path().join("payload/a.bin");
    let mut bytes = std::fs::read(&path).unwrap();
    // Every tenth piece: a sample is bound to miss some of them.
    for piece in (5..295).step_by(10) {
        bytes[piece * 16 * 1024 + 9] ^= 0x40;
    }
    std::fs::write(&path, &bytes).unwrap();
    let lie = ResumeData {
        file_stats: Vec::new(),
        ..record
    };
    let mut seed = Node::new();
    let leech = Node::new();
    let add = AddTorrent {
        verify_files: false,
        ..AddTorrent::from_data(&payload.torrent(None), folder.path())
            .unwrap()
            .with_resume_data(&lie.encode())
            .unwrap()
    };
    let handle = seed.session.add_torrent(add).unwrap();
    seed.wait(kind::TORRENT_CHECKED);
    assert_eq!(handle.status().state, TorrentState::Seeding);
    let add = AddTorrent::from_data(&payload.torrent(None), leech.folder.path()).unwrap();
    let fetched = leech.session.add_torrent(add).unwrap();
    until(|| fetched.status().state == TorrentState::Downloading);
    fetched.connect_peer(seed.endpoint()).unwrap();
    seed.wait(kind::FASTRESUME_REJECTED);
    until(|| {
        let status = handle.status();
        status.state == TorrentState::Downloading && status.pieces_downloaded == 271
    });
    assert_eq!(fetched.status().total_failed_bytes, 0);
}

#[test]
fn unfinished_pieces_and_priorities_outlive_the_session() {
    // One piece that takes long: it is never whole when it is saved.
    let payload = Payload::new(&[("a.bin", 2 * 1024 * 1024), ("b.bin", 5)], 1024 * 1024, 16);
    let seed = Node::new();
    seed.seed(&payload);
    let folder = tempfile::tempdir().unwrap();
    let torrent = payload.torrent(None);
    let mut record = {
        let node = Node::new();
        let mut add = AddTorrent::from_data(&torrent, folder.path()).unwrap();
        add.file_priorities = vec![4, 0];
        let handle = node.session.add_torrent(add).unwrap();
        until(|| handle.status().state == TorrentState::Downloading);
        save(&handle, SaveFlags::SAVE_INFO_DICT)
    };
    assert_eq!(record.file_priorities, [4, 0]);
    assert!(record.have(3).unwrap().none() && record.info.is_some());
    // As if three blocks of piece 0 had come.
    std::fs::create_dir_all(folder.path().join("payload")).unwrap();
    let part = &payload.files[0].1[..3 * 16 * 1024];
    std::fs::write(folder.path().join("payload/a.bin"), part).unwrap();
    let mut blocks = Bitfield::new(64);
    for block in 0..4 {
        blocks.set(block);
    }
    let piece = torrent_engine::core::ids::PieceIndex(0);
    blocks.clear(3);
    record.unfinished.insert(piece, blocks.as_bytes().to_vec());
    // Neither torrent file nor folder are given: the record has them.
    let node = Node::new();
    let add = AddTorrent::from_resume_data(&record.encode()).unwrap();
    assert_eq!(add.save_path, folder.path());
    let handle = node.session.add_torrent(add).unwrap();
    until(|| handle.status().state == TorrentState::Downloading);
    assert_eq!(handle.file_priorities(), [4, 0]);
    until(|| handle.status().total_done == 3 * 16 * 1024);
    let again = save(&handle, SaveFlags::default());
    assert_eq!(again.unfinished.get(&piece).unwrap(), blocks.as_bytes());
    handle.connect_peer(seed.endpoint()).unwrap();
    until(|| handle.status().is_finished);
    let status = handle.status();
    assert!(status.total_payload_download <= 2 * 1024 * 1024 - 3 * 16 * 1024 + 5);
}

#[test]
fn saving_only_what_changed() {
    let payload = Payload::of_two_files(17);
    let mut node = Node::new();
    let add = AddTorrent::from_data(&payload.torrent(None), node.folder.path()).unwrap();
    let handle = node.session.add_torrent(add).unwrap();
    node.wait(kind::TORRENT_CHECKED);
    assert!(handle.need_save_resume_data());
    save(&handle, SaveFlags::default());
    assert!(!handle.need_save_resume_data());
    let refused = wait(handle.save_resume_data_now(SaveFlags::ONLY_IF_MODIFIED)).unwrap_err();
    assert!(refused.message().contains("not modified"), "{refused}");
    node.wait(kind::SAVE_RESUME_DATA_FAILED);
    handle.set_max_uploads(9).unwrap();
    assert!(handle.need_save_resume_data());
    handle
        .save_resume_data(SaveFlags::IF_CONFIG_CHANGED)
        .unwrap();
    let event = node.wait_where(kind::SAVE_RESUME_DATA, |event| {
        let EventBody::SaveResumeData(data) = &event.body else {
            return false;
        };
        ResumeData::decode(&data[..]).unwrap().max_uploads == Some(9)
    });
    let EventBody::SaveResumeData(data) = event.body else {
        unreachable!()
    };
    assert_eq!(handle.resume_data().unwrap(), data);
}

#[test]
fn each_kind_of_change_is_saved_under_its_own_condition() {
    type Change = fn(&TorrentHandle) -> Result<(), Error>;
    let conditions = [
        SaveFlags::IF_COUNTERS_CHANGED,
        SaveFlags::IF_DOWNLOAD_PROGRESS,
        SaveFlags::IF_CONFIG_CHANGED,
        SaveFlags::IF_STATE_CHANGED,
        SaveFlags::IF_METADATA_CHANGED,
    ];
    let changes: [(&str, Change, SaveFlags); 10] = [
        (
            "limit",
            |it| it.set_upload_limit(5),
            SaveFlags::IF_CONFIG_CHANGED,
        ),
        (
            "order",
            |it| it.set_sequential_download(true),
            SaveFlags::IF_CONFIG_CHANGED,
        ),
        (
            "priority",
            |it| it.set_file_priority(FileIndex(0), 7),
            SaveFlags::IF_CONFIG_CHANGED,
        ),
        (
            "share mode",
            |it| it.set_share_mode(false),
            SaveFlags::default(),
        ),
        ("pause", |it| it.pause(), SaveFlags::IF_STATE_CHANGED),
        ("again", |it| it.pause(), SaveFlags::default()),
        ("resume", |it| it.resume(), SaveFlags::IF_STATE_CHANGED),
        (
            "upload mode",
            |it| it.set_upload_mode(true),
            SaveFlags::IF_STATE_CHANGED,
        ),
        (
            "super-seeding",
            |it| it.set_super_seeding(true),
            SaveFlags::IF_STATE_CHANGED,
        ),
        (
            "tracker",
            |it| it.add_tracker("http://127.0.0.1:9/announce", 3),
            SaveFlags::IF_METADATA_CHANGED,
        ),
    ];
    let payload = Payload::of_two_files(18);
    let mut node = Node::new();
    let handle = node.add(&payload.torrent(None));
    node.wait(kind::TORRENT_CHECKED);
    for (name, change, expected) in changes {
        save(&handle, SaveFlags::default());
        change(&handle).unwrap();
        // It is over when the task has answered.
        wait(handle.flush()).unwrap();
        for condition in conditions {
            // A save would forget the others.
            if condition == expected {
                continue;
            }
            let refused = wait(handle.save_resume_data_now(condition));
            assert!(refused.is_err(), "{name} is saved under {condition:?}");
        }
        if expected != SaveFlags::default() {
            save(&handle, expected);
        }
    }
}

#[test]
fn renamed_and_moved_files_are_found_by_the_record() {
    let payload = Payload::of_two_files(19);
    let mut node = Node::new();
    payload.write(node.folder.path());
    let handle = node.add(&payload.torrent(None));
    node.wait(kind::TORRENT_CHECKED);
    handle.rename_file(FileIndex(0), "other/name.bin").unwrap();
    node.wait(kind::FILE_RENAMED);
    let elsewhere = tempfile::tempdir().unwrap();
    let to = elsewhere.path().join("moved");
    handle
        .move_storage(&to, MoveMode::AlwaysReplaceFiles)
        .unwrap();
    node.wait(kind::STORAGE_MOVED);
    let data = save(&handle, SaveFlags::SAVE_INFO_DICT);
    node.session.remove_torrent(&handle, false).unwrap();
    node.wait(kind::TORRENT_REMOVED);

    let add = AddTorrent::from_resume_data(&data.encode()).unwrap();
    assert_eq!(add.save_path, to);
    let handle = node.session.add_torrent(add).unwrap();
    wait_until("it seeds without a check", || handle.status().is_seeding);
    assert!(!node.has_seen(kind::FASTRESUME_REJECTED));
    assert_eq!(handle.file_path(FileIndex(0)).unwrap(), "other/name.bin");
}

#[test]
fn a_part_file_goes_where_it_should_and_goes_away_alone() {
    let payload = Payload::of_two_files(20);
    let giver = Node::new();
    giver.seed(&payload);
    let mut node = Node::new();
    let mut add = AddTorrent::from_data(&payload.torrent(None), node.folder.path()).unwrap();
    add.part_file_dir = "parts/here".into();
    add.file_priorities = vec![0];
    let handle = node.session.add_torrent(add).unwrap();
    handle.connect_peer(giver.endpoint()).unwrap();
    node.wait(kind::TORRENT_FINISHED);
    let name = format!("parts/here/.{}.parts", handle.info_hash());
    let parts = node.folder.path().join(name);
    assert!(parts.is_file());

    // The record says where it is.
    let data = save(&handle, SaveFlags::default());
    node.session.remove_torrent(&handle, false).unwrap();
    node.wait(kind::TORRENT_REMOVED);
    assert!(parts.is_file());
    let add = AddTorrent::from_data(&payload.torrent(None), node.folder.path()).unwrap();
    let add = add.with_resume(data).unwrap();
    let handle = node.session.add_torrent(add).unwrap();
    wait_until("it is believed", || handle.status().is_finished);

    // It alone is deleted, and its folders.
    node.session
        .remove_torrent(&handle, Deletion::PartFile)
        .unwrap();
    node.wait(kind::TORRENT_DELETED);
    assert!(!node.folder.path().join("parts").exists());
    for (name, bytes) in &payload.files[1..] {
        let path = node.folder.path().join("payload").join(name);
        assert_eq!(std::fs::read(path).unwrap(), *bytes);
    }
}

/// The files of a record that cannot be where it says: outside of the folder,
/// onto one another, into one another.
const BAD_PLACES: [&[(u32, &str)]; 7] = [
    &[(0, "../outside.bin")],
    &[(0, "/tmp/outside.bin")],
    &[(0, "payload/../../outside.bin")],
    &[(0, "payload/b.bin")],
    &[(0, "same.bin"), (1, "same.bin")],
    &[(0, "same.bin"), (1, "SAME.bin")],
    &[(0, "payload/b.bin/a.bin")],
];

#[test]
fn a_record_with_names_that_cannot_be_is_rejected_and_everything_is_checked() {
    let payload = Payload::of_two_files(21);
    let folder = tempfile::tempdir().unwrap();
    let good = complete_record(&payload, folder.path());
    let mut records: Vec<ResumeData> = BAD_PLACES
        .iter()
        .map(|names| {
            let names = names.iter();
            let names = names.map(|&(file, name)| (FileIndex(file), name.as_bytes().to_vec()));
            ResumeData {
                renamed_files: names.collect(),
                ..good.clone()
            }
        })
        .collect();
    for part_file_dir in ["../elsewhere", "payload/a.bin"] {
        records.push(ResumeData {
            part_file_dir: part_file_dir.into(),
            ..good.clone()
        });
    }
    let mut node = Node::new();
    for record in records {
        let handle = resumed(&node, &payload, folder.path(), &record);
        let event = node.wait(kind::FASTRESUME_REJECTED);
        assert!(event.body.error().is_some(), "{event:?}");
        node.wait(kind::TORRENT_CHECKED);
        // Where the torrent says.
        until(|| handle.status().is_seeding);
        assert!(handle.renamed_files().is_empty());
        node.session.remove_torrent(&handle, false).unwrap();
        node.wait(kind::TORRENT_REMOVED);
        node.drain();
    }
}

#[test]
fn names_that_cannot_be_are_an_error_of_the_call() {
    let payload = Payload::of_two_files(22);
    let node = Node::new();
    for names in BAD_PLACES {
        let names = names
            .iter()
            .map(|&(file, name)| (FileIndex(file), name.to_owned()));
        let names: std::collections::BTreeMap<_, _> = names.collect();
        let mut add = AddTorrent::from_data(&payload.torrent(None), node.folder.path()).unwrap();
        add.renamed_files = names.clone();
        let error = node.session.add_torrent(add).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidPath, "{names:?}");
    }
    assert!(node.session.torrents().is_empty());
}

/// A torrent may be wanted in another folder than the one that its record is
/// of: that is made where it is missing. The record's own folder, however it is
/// spelled, is not.
#[test]
fn only_the_folder_of_the_record_is_missed() {
    let payload = Payload::of_two_files(19);
    let giver = Node::new();
    giver.seed(&payload);
    let data = tempfile::tempdir().unwrap();
    let old = data.path().join("old");
    let mut record = complete_record(&payload, &old);
    record.total_downloaded = 10_000;
    record.completed_time = 2_000_000;
    std::fs::rename(&old, data.path().join("away")).unwrap();
    let empty = data.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    for folder in [empty, data.path().join("not/yet")] {
        for seed_mode in [false, true] {
            record.flags.seed_mode = Some(seed_mode);
            let mut node = Node::new();
            let handle = resumed(&node, &payload, &folder, &record);
            until(|| {
                assert_eq!(handle.status().error, "");
                handle.status().state == TorrentState::Downloading
            });
            until(|| folder.exists());
            node.wait(kind::FASTRESUME_REJECTED);
            handle.connect_peer(giver.endpoint()).unwrap();
            until(|| handle.status().is_seeding);
            payload.assert_at(&folder);
            drop(node);
            std::fs::remove_dir_all(folder.join("payload")).unwrap();
        }
    }
    record.flags.seed_mode = None;
    let missing = |record: &ResumeData, folder: &Path| {
        let node = Node::new();
        let handle = resumed(&node, &payload, folder, record);
        wait_until("in error", || !handle.status().error.is_empty());
        assert!(!old.exists());
    };
    missing(&record, &old.join(""));
    missing(&record, &data.path().join("empty/../old"));
    #[cfg(unix)]
    {
        // A link to a disk that is not mounted.
        let link = data.path().join("link");
        std::os::unix::fs::symlink(&old, &link).unwrap();
        missing(&record, &link);
        record.save_path = link.into_os_string().into_encoded_bytes();
        missing(&record, &old);
    }
    // The data were brought there by hand.
    std::fs::create_dir(data.path().join("new")).unwrap();
    let new = data.path().join("new/place");
    std::fs::rename(data.path().join("away"), &new).unwrap();
    let mut node = Node::new();
    let handle = resumed(&node, &payload, &new, &record);
    until(|| handle.status().is_seeding);
    node.look();
    assert!(!node.has_seen(kind::FASTRESUME_REJECTED));
}

#[test]
fn a_repair_is_the_last_completion() {
    let payload = Payload::of_two_files(23);
    let folder = tempfile::tempdir().unwrap();
    let mut record = complete_record(&payload, folder.path());
    record.completed_time = 2_000_000;
    let giver = Node::new();
    giver.seed(&payload);
    let node = Node::new();
    let handle = resumed(&node, &payload, folder.path(), &record);
    until(|| handle.status().is_seeding);
    assert_eq!(handle.status().completed_time, 2_000_000);
    let path = folder.path().join("payload/a.bin");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[3 * PIECE] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    handle.force_recheck().unwrap();
    until(|| handle.status().state == TorrentState::Downloading);
    handle.connect_peer(giver.endpoint()).unwrap();
    until(|| handle.status().is_seeding);
    until(|| handle.status().completed_time > 2_000_000);
}

/// Names that other programs keep, on files that they have made.
#[test]
fn data_made_elsewhere_is_found_under_its_names() {
    let names = [
        "\u{6cc}\u{200c}\u{647}.bin".to_owned(),
        "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}.bin".to_owned(),
        "\u{1f3ae}".to_owned(),
        format!("{}.bin", "n".repeat(251)),
        format!("{}n", "\u{e9}".repeat(127)),
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut files = String::new();
    let mut content = Vec::new();
    std::fs::create_dir(folder.path().join("mods")).unwrap();
    for (number, name) in (1..).zip(&names) {
        let bytes = vec![number; 1000];
        std::fs::write(folder.path().join("mods").join(name), &bytes).unwrap();
        content.extend(bytes);
        files += &format!("d6:lengthi1000e4:pathl{}:{name}ee", name.len());
    }
    let head = format!("d4:infod5:filesl{files}e4:name4:mods12:piece lengthi16384e6:pieces20:");
    let mut torrent = head.into_bytes();
    torrent.extend(Sha1::digest(&content));
    torrent.extend(b"ee");
    let node = Node::new();
    let add = AddTorrent::from_data(&torrent, folder.path()).unwrap();
    let handle = node.session.add_torrent(add).unwrap();
    until(|| handle.status().is_seeding);
    for (at, name) in names.iter().enumerate() {
        let path = handle.file_path(FileIndex(at as u32)).unwrap();
        assert_eq!(path, format!("mods/{name}"));
    }
}
