//! [`ResumeData`] to bytes, version 2.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::{Allocation, FILE_FORMAT, FILE_STATS, FILE_VERSION, ResumeData};
use crate::bencode::{DictItem, Item};
use crate::ids::{FileIndex, InfoHashes};
use crate::metainfo::MAX_FILES;

impl ResumeData {
    /// The record as libtorrent 2.0.11 and later read it. What it says of files
    /// beyond [`MAX_FILES`] is left out: no torrent has them.
    pub fn encode(&self) -> Vec<u8> {
        let mut root = DictItem::new();
        root.insert("file-format", FILE_FORMAT)
            .insert("file-version", FILE_VERSION);
        self.write_identity(&mut root);
        self.write_numbers(&mut root);
        self.write_progress(&mut root);
        self.write_lists(&mut root);
        root.encode()
    }

    fn write_identity(&self, root: &mut DictItem) {
        let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let v1 = self.hashes.and_then(InfoHashes::v1);
        let v2 = self.hashes.and_then(InfoHashes::v2);
        root.insert("info-hash", v1.map_or([0; 20], |hash| hash.0))
            .insert("info-hash2", v2.map_or([0; 32], |hash| hash.0))
            .insert_some("info", self.info.clone().map(Item::Raw))
            .insert_some("name", filled(&self.name))
            .insert_some("comment", filled(&self.comment))
            .insert_some("created by", filled(&self.created_by))
            .insert_some(
                "creation date",
                (self.creation_date != 0).then_some(self.creation_date),
            )
            .insert(
                "allocation",
                match self.allocation {
                    Allocation::Sparse => "sparse",
                    Allocation::Full => "allocate",
                },
            )
            .insert("save_path", &self.save_path[..])
            .insert("part_file_dir", &self.part_file_dir[..])
            .insert("root_certificate", self.root_certificate.as_str());
    }

    fn write_numbers(&self, root: &mut DictItem) {
        let amount = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let or_minus_one = |value: Option<u32>| value.map_or(-1, i64::from);
        root.insert("total_uploaded", amount(self.total_uploaded))
            .insert("total_downloaded", amount(self.total_downloaded))
            .insert("active_time", amount(self.active_time))
            .insert("finished_time", amount(self.finished_time))
            .insert("seeding_time", amount(self.seeding_time))
            .insert("added_time", self.added_time)
            .insert("completed_time", self.completed_time)
            .insert("last_seen_complete", self.last_seen_complete)
            .insert("last_download", self.last_download)
            .insert("last_upload", self.last_upload)
            .insert("num_complete", or_minus_one(self.num_complete))
            .insert("num_incomplete", or_minus_one(self.num_incomplete))
            .insert("num_downloaded", or_minus_one(self.num_downloaded))
            .insert("max_connections", or_minus_one(self.max_connections))
            .insert("max_uploads", or_minus_one(self.max_uploads))
            .insert("upload_rate_limit", or_minus_one(self.upload_limit))
            .insert("download_rate_limit", or_minus_one(self.download_limit));
        for (name, flag) in self.flags.each() {
            root.insert_some(name, flag);
        }
    }

    fn write_progress(&self, root: &mut DictItem) {
        let filled = |bytes: &[u8]| (!bytes.is_empty()).then(|| bytes.to_vec());
        root.insert_some("pieces", filled(&self.pieces))
            .insert_some("verified", filled(&self.verified))
            .insert_some("piece_priority", filled(&self.piece_priorities));
        if !self.file_priorities.is_empty() {
            let priorities = self.file_priorities.iter().take(MAX_FILES);
            let priorities = priorities.map(|&it| i64::from(it));
            root.insert("file_priority", priorities.collect::<Item>());
        }
        if !self.unfinished.is_empty() {
            let pieces = self.unfinished.iter().map(|(piece, blocks)| {
                let mut entry = DictItem::new();
                entry
                    .insert("piece", piece.0)
                    .insert("bitmask", &blocks[..]);
                entry
            });
            root.insert("unfinished", pieces.collect::<Item>());
        }
        if !self.file_stats.is_empty() {
            let stats = self.file_stats.iter().take(MAX_FILES).map(|stat| {
                let stat = stat.iter();
                let numbers = stat.flat_map(|it| [it.length.cast_signed(), it.modified]);
                numbers.collect::<Item>()
            });
            root.insert(FILE_STATS, stats.collect::<Item>());
        }
    }

    fn write_lists(&self, root: &mut DictItem) {
        let list = |urls: &[String]| urls.iter().map(String::as_str).collect::<Item>();
        let tiers = self.trackers.as_ref();
        root.insert_some(
            "trackers",
            tiers.map(|tiers| tiers.iter().map(|tier| list(tier)).collect::<Item>()),
        )
        .insert_some("url-list", self.url_seeds.as_ref().map(|urls| list(urls)))
        .insert_some("trees", self.trees.clone().map(Item::Raw))
        .insert_some("mapped_files", mapped_files(&self.renamed_files));
        write_endpoints(root, "peers", "peers6", &self.peers);
        write_endpoints(root, "banned_peers", "banned_peers6", &self.banned_peers);
    }
}

/// The names of all files up to the last one that has a new name, empty where
/// there is none. It is written right away: a place in it takes two bytes.
fn mapped_files(renamed: &BTreeMap<FileIndex, Vec<u8>>) -> Option<Item> {
    let mut list = vec![b'l'];
    let mut files = 0..MAX_FILES as u32;
    for (file, name) in renamed {
        if !files.contains(&file.0) {
            break;
        }
        for _ in files.start..file.0 {
            list.extend_from_slice(b"0:");
        }
        Item::from(&name[..]).encode_into(&mut list);
        files.start = file.0 + 1;
    }
    list.push(b'e');
    (files.start > 0).then(|| Item::Raw(list.into()))
}

fn write_endpoints(root: &mut DictItem, v4: &'static str, v6: &'static str, all: &[SocketAddr]) {
    if all.is_empty() {
        return;
    }
    let (mut four, mut six) = (Vec::new(), Vec::new());
    for endpoint in all {
        let packed = match endpoint.ip() {
            IpAddr::V4(ip) => {
                four.extend_from_slice(&ip.octets());
                &mut four
            }
            IpAddr::V6(ip) => {
                six.extend_from_slice(&ip.octets());
                &mut six
            }
        };
        packed.extend_from_slice(&endpoint.port().to_be_bytes());
    }
    root.insert(v4, four).insert(v6, six);
}
