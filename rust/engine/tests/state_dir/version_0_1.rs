//! A folder that version 0.1 wrote opens in every later one. `version-0.1` is
//! such a folder, byte for byte: its torrents were in `/tmp/godot-torrent-0.1/data`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use torrent_engine::core::ids::{FileIndex, InfoHash};
use torrent_engine::core::settings::Settings;
use torrent_engine::event::kind;
use torrent_engine::status::TorrentState;

use super::support::{PIECE, Payload, until};
use super::{start, stop};

const WHOLE: &str = "43d3b978e95f4e5f755a1a90969dbfd18c8326a7";
const LINK: &str = "00112233445566778899aabbccddeeff00112233";

/// Puts one path in place of another where bencode has it, with its length.
fn replace(data: &[u8], from: &str, to: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let key = b"9:save_path";
    let mut rest = data;
    while let Some(at) = rest.windows(key.len()).position(|bytes| bytes == key) {
        let (before, after) = rest.split_at(at + key.len());
        out.extend_from_slice(before);
        let colon = after.iter().position(|&byte| byte == b':').unwrap();
        let length: usize = str::from_utf8(&after[..colon]).unwrap().parse().unwrap();
        let path = str::from_utf8(&after[colon + 1..][..length]).unwrap();
        let path = path.replace(from, to);
        out.extend_from_slice(format!("{}:{path}", path.len()).as_bytes());
        rest = &after[colon + 1 + length..];
    }
    out.extend_from_slice(rest);
    out
}

/// A copy of the folder whose torrents are in `data`.
fn copy_of_0_1(folder: &Path, data: &Path) {
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/state_dir/version-0.1");
    fs::create_dir_all(folder.join("torrents")).unwrap();
    for below in ["", "torrents"] {
        for entry in fs::read_dir(source.join(below)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let bytes = fs::read(&path).unwrap();
                let to = data.to_str().unwrap();
                let bytes = replace(&bytes, "/tmp/godot-torrent-0.1/data", to);
                let name = path.file_name().unwrap();
                fs::write(folder.join(below).join(name), bytes).unwrap();
            }
        }
    }
}

/// The data as it was when the folder was written: one torrent whole, with a
/// file renamed, and ten pieces of another.
fn write_data(data: &Path) -> [Payload; 3] {
    let payloads = [101, 103, 105].map(Payload::of_two_files);
    let [whole, part, _] = &payloads;
    whole.write(&data.join("whole"));
    let folder = data.join("whole/payload");
    fs::rename(folder.join("b.bin"), folder.join("other.bin")).unwrap();
    let folder = data.join("part/payload");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("a.bin"), &part.files[0].1[..10 * PIECE]).unwrap();
    let time = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    for name in ["whole/payload/a.bin", "whole/payload/other.bin"] {
        let file = fs::File::options().write(true).open(data.join(name));
        file.unwrap().set_modified(time).unwrap();
    }
    payloads
}

#[test]
fn a_folder_of_version_0_1_opens() {
    let state = tempfile::tempdir().unwrap();
    let data = tempfile::tempdir().unwrap();
    copy_of_0_1(state.path(), data.path());
    let [_, part, waiting] = write_data(data.path());
    // Twice: what this version makes of it is read as well.
    for _ in 0..2 {
        let mut node = start(state.path());
        assert_eq!(node.session.torrents().len(), 4);
        let find = |hash: InfoHash| node.session.find_torrent(hash).unwrap();
        let hash_of = |payload: &Payload| {
            let torrent = payload.torrent(None);
            torrent_engine::core::metainfo::Metainfo::parse(&torrent)
                .unwrap()
                .info
                .hash()
        };
        let whole = find(InfoHash::from_hex(WHOLE).unwrap());
        let part = find(hash_of(&part));
        let waiting = find(hash_of(&waiting));
        let link = find(InfoHash::from_hex(LINK).unwrap());

        until(|| whole.status().is_seeding);
        assert_eq!(whole.max_uploads(), 7);
        assert_eq!(whole.file_path(FileIndex(1)).unwrap(), "payload/other.bin");
        assert_eq!(whole.trackers().len(), 1);
        assert!(!whole.is_paused() && !whole.is_auto_managed());
        assert_eq!(*whole.save_path(), data.path().join("whole"));

        until(|| part.status().pieces_downloaded == 10);
        assert!(part.is_paused() && part.is_sequential_download());
        assert_eq!(part.file_priorities(), [4, 0]);

        until(|| waiting.status().state == TorrentState::Downloading);
        assert!(waiting.is_paused());
        assert_eq!(waiting.status().pieces_downloaded, 0);

        assert_eq!(link.name(), "a link");
        assert!(link.metainfo().is_none() && link.is_auto_managed());
        let places = [&link, &waiting, &part, &whole].map(|it| it.queue_position());
        assert_eq!(places, [0, 2, 1, -1]);

        assert_eq!(node.session.settings().connections_limit, 77);
        let filter = node.session.ip_filter();
        assert!(filter.blocks("10.1.2.3".parse().unwrap()));
        let plain = Settings::default();
        assert_eq!(
            node.session.settings().active_downloads,
            plain.active_downloads
        );
        node.drain();
        for kind in [
            kind::FASTRESUME_REJECTED,
            kind::FILE_ERROR,
            kind::TORRENT_ERROR,
        ] {
            assert!(!node.has_seen(kind), "{}", kind.name);
        }
        stop(&node);
    }
}
