//! Bytes to [`ResumeData`]. A field of the wrong type counts as missing, as in
//! libtorrent; only what names the record and its torrent is an error.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::Bytes;
use sha1::{Digest, Sha1};

use super::{
    Allocation, FILE_FORMAT, FILE_STATS, FILE_VERSION, FileStat, MAX_BYTES, ResumeData,
    ResumeError, UNLIMITED,
};
use crate::bencode::{DecodeLimits, Dict, DictItem, Document, Item, List};
use crate::ids::{FileIndex, InfoHash, InfoHashV2, InfoHashes, PieceIndex};
use crate::metainfo::{MAX_FILES, MAX_LISTED};
use crate::text;

/// The version whose bitfields take a byte for each bit.
const OLD_VERSION: i64 = 1;

/// The highest priority of a piece or file.
const TOP_PRIORITY: u8 = 7;

/// The priority of what has none.
const DEFAULT_PRIORITY: i64 = 4;

/// Peers that are read of each list: far more than any client writes.
const MAX_PEERS: usize = 10_000;

/// Bencoded values: an info dict as large as it may be, and six for each of the
/// most files.
const MAX_TOKENS: usize = 10_000_000;

/// Unfinished pieces that are read: more than any picker keeps open.
const MAX_UNFINISHED: usize = 100_000;

impl ResumeData {
    /// Reads resume data of version 1 or 2.
    pub fn decode(data: &[u8]) -> Result<Self, ResumeError> {
        if data.len() > MAX_BYTES {
            return Err(ResumeError::TooLarge(data.len()));
        }
        let limits = DecodeLimits {
            tokens: MAX_TOKENS,
            ..DecodeLimits::default()
        };
        let document = Document::parse_with(data, &limits)?;
        let root = document.root().as_dict().ok_or(ResumeError::NotADict)?;
        if root.bytes("file-format") != Some(FILE_FORMAT.as_bytes()) {
            return Err(ResumeError::InvalidFileTag);
        }
        let version = match root.get("file-version") {
            None => OLD_VERSION,
            Some(version) => version.as_int().unwrap_or(OLD_VERSION),
        };
        if !(OLD_VERSION..=FILE_VERSION).contains(&version) {
            return Err(ResumeError::InvalidFileTag);
        }
        let mut resume = Self::default();
        resume.read_identity(root)?;
        resume.read_texts(root);
        resume.read_numbers(root);
        resume.read_progress(root, version);
        resume.read_lists(root, version);
        Ok(resume)
    }

    fn read_identity(&mut self, root: Dict<'_>) -> Result<(), ResumeError> {
        let v1 = hash(root, "info-hash").map(InfoHash);
        let v2 = hash(root, "info-hash2").map(InfoHashV2);
        let hashes = InfoHashes::new(v1, v2).ok_or(ResumeError::MissingInfoHash)?;
        self.hashes = Some(hashes);
        if let Some(info) = root.dict("info") {
            let digest: [u8; 20] = Sha1::digest(info.raw()).into();
            if v1.is_some_and(|hash| hash.0 != digest) {
                return Err(ResumeError::MismatchingInfoHash);
            }
            self.info = Some(Bytes::copy_from_slice(info.raw()));
        }
        Ok(())
    }

    fn read_texts(&mut self, root: Dict<'_>) {
        let text = |key| root.bytes(key).map(text::repair).unwrap_or_default();
        let path = |key| root.bytes(key).unwrap_or_default().to_vec();
        self.name = text("name");
        self.comment = text("comment");
        self.created_by = text("created by");
        self.root_certificate = text("root_certificate");
        self.save_path = path("save_path");
        self.part_file_dir = path("part_file_dir");
        self.allocation = match root.bytes("allocation") {
            Some(b"allocate" | b"full") => Allocation::Full,
            _ => Allocation::Sparse,
        };
    }

    fn read_numbers(&mut self, root: Dict<'_>) {
        let int = |key| root.int(key).unwrap_or(0);
        let amount = |key| u64::try_from(int(key)).unwrap_or(0);
        // Times before 1970 and after the year 9999 are invalid.
        let time = |key| Some(int(key)).filter(|time| (0..253_402_300_800).contains(time));
        let time = |key| time(key).unwrap_or(0);
        let known = |key| {
            let value = root.int(key).filter(|&value| value < UNLIMITED)?;
            u32::try_from(value).ok()
        };
        let rate = |key| {
            let value = u32::try_from(root.int(key)?).ok()?;
            (value > 0 && value <= i32::MAX as u32).then_some(value)
        };
        let limit = |key| known(key).filter(|&limit| limit > 0);
        self.creation_date = time("creation date");
        self.total_uploaded = amount("total_uploaded");
        self.total_downloaded = amount("total_downloaded");
        self.active_time = amount("active_time");
        self.finished_time = amount("finished_time");
        self.seeding_time = amount("seeding_time");
        self.added_time = time("added_time");
        self.completed_time = time("completed_time");
        self.last_seen_complete = time("last_seen_complete");
        self.last_download = time("last_download");
        self.last_upload = time("last_upload");
        self.num_complete = known("num_complete");
        self.num_incomplete = known("num_incomplete");
        self.num_downloaded = known("num_downloaded");
        self.max_connections = limit("max_connections");
        self.max_uploads = limit("max_uploads");
        self.upload_limit = rate("upload_rate_limit");
        self.download_limit = rate("download_rate_limit");
        for (name, flag) in self.flags.each_mut() {
            *flag = root.int(name).map(|value| value != 0);
        }
    }

    fn read_progress(&mut self, root: Dict<'_>, version: i64) {
        let pieces = root.bytes("pieces").unwrap_or_default();
        if version == OLD_VERSION {
            self.pieces = pack(pieces.iter().map(|byte| byte & 1 != 0));
            if pieces.iter().any(|byte| byte & 2 != 0) {
                self.verified = pack(pieces.iter().map(|byte| byte & 2 != 0));
            }
        } else {
            self.pieces = pieces.to_vec();
        }
        if let Some(verified) = root.bytes("verified") {
            self.verified = verified.to_vec();
        }
        let priorities = root.bytes("piece_priority").unwrap_or_default();
        self.piece_priorities = priorities.iter().map(|&it| it.min(TOP_PRIORITY)).collect();
        self.file_priorities = items(root.list("file_priority"))
            .take(MAX_FILES)
            .map(|value| {
                let priority = value.as_int().unwrap_or(DEFAULT_PRIORITY);
                priority.clamp(0, TOP_PRIORITY.into()) as u8
            })
            .collect();
        // Who leaves a file out cannot have it all.
        if self.file_priorities.contains(&0) && self.flags.seed_mode.is_some() {
            self.flags.seed_mode = Some(false);
        }
        let unfinished = items(root.list("unfinished")).take(MAX_UNFINISHED);
        self.unfinished = unfinished
            .filter_map(|entry| {
                let entry = entry.as_dict()?;
                let piece = u32::try_from(entry.int("piece")?).ok()?;
                Some((PieceIndex(piece), entry.bytes("bitmask")?.to_vec()))
            })
            .collect();
        self.file_stats = items(root.list(FILE_STATS))
            .take(MAX_FILES)
            .map(|entry| {
                let mut numbers = entry.as_list()?.iter();
                Some(FileStat {
                    length: u64::try_from(numbers.next()?.as_int()?).ok()?,
                    modified: numbers.next()?.as_int()?,
                })
            })
            .collect();
    }

    fn read_lists(&mut self, root: Dict<'_>, version: i64) {
        self.trackers = root.list("trackers").map(|tiers| {
            let mut known = Urls::default();
            let tiers = tiers.iter().filter_map(|tier| tier.as_list());
            tiers
                .map(|tier| known.read(tier).collect::<Vec<_>>())
                .filter(|tier| !tier.is_empty())
                .collect()
        });
        let seeds = root.list("url-list");
        self.url_seeds = seeds.map(|urls| Urls::default().read(urls).collect());
        self.renamed_files = (0..MAX_FILES as u32)
            .zip(items(root.list("mapped_files")))
            .filter_map(|(file, name)| {
                let name = name.as_bytes().filter(|name| !name.is_empty())?;
                Some((FileIndex(file), name.to_vec()))
            })
            .collect();
        self.peers = endpoints(root, "peers", "peers6");
        self.banned_peers = endpoints(root, "banned_peers", "banned_peers6");
        self.trees = root.list("trees").map(|trees| {
            if version == OLD_VERSION {
                modern_trees(&trees)
            } else {
                Bytes::copy_from_slice(trees.value().raw())
            }
        });
    }
}

/// The URLs that have been read: each counts once, and of many only as many as
/// a torrent file may name.
#[derive(Default)]
struct Urls<'d>(HashSet<&'d str>);

impl<'d> Urls<'d> {
    fn read<'a>(&'a mut self, list: List<'d>) -> impl Iterator<Item = String> + use<'a, 'd> {
        let urls = list.iter().filter_map(|value| value.as_str());
        urls.filter(|url| !url.is_empty() && self.0.len() < MAX_LISTED && self.0.insert(url))
            .map(str::to_owned)
    }
}

/// The members of a list that may be missing.
fn items(list: Option<List<'_>>) -> impl Iterator<Item = crate::bencode::Value<'_>> {
    list.into_iter().flat_map(|list| list.iter())
}

/// A hash of `N` bytes; one of zeros stands for none.
fn hash<const N: usize>(root: Dict<'_>, key: &str) -> Option<[u8; N]> {
    let hash: [u8; N] = root.bytes(key)?.try_into().ok()?;
    (hash != [0; N]).then_some(hash)
}

fn pack(bits: impl ExactSizeIterator<Item = bool>) -> Vec<u8> {
    let mut packed = vec![0u8; bits.len().div_ceil(8)];
    for (at, _) in bits.enumerate().filter(|(_, bit)| *bit) {
        if let Some(byte) = packed.get_mut(at / 8) {
            *byte |= 0x80 >> (at % 8);
        }
    }
    packed
}

/// Compact endpoints: 6 bytes each of IPv4, 18 of IPv6.
fn endpoints(root: Dict<'_>, v4: &str, v6: &str) -> Vec<SocketAddr> {
    fn read<const N: usize>(packed: &[u8]) -> impl Iterator<Item = ([u8; N], u16)> {
        packed.chunks_exact(N + 2).filter_map(|chunk| {
            let (ip, port) = chunk.split_at_checked(N)?;
            Some((
                ip.try_into().ok()?,
                u16::from_be_bytes(port.try_into().ok()?),
            ))
        })
    }
    let v4 = read(root.bytes(v4).unwrap_or_default())
        .map(|(ip, port): ([u8; 4], _)| SocketAddr::new(Ipv4Addr::from(ip).into(), port));
    let v6 = read(root.bytes(v6).unwrap_or_default())
        .map(|(ip, port): ([u8; 16], _)| SocketAddr::new(IpAddr::from(Ipv6Addr::from(ip)), port));
    v4.take(MAX_PEERS).chain(v6.take(MAX_PEERS)).collect()
}

/// Trees of version 1, whose masks are strings of '0' and '1', as version 2
/// has them.
fn modern_trees(trees: &List<'_>) -> Bytes {
    let modern = trees
        .iter()
        .map_while(|tree| tree.as_dict())
        .map(|tree| {
            let mut modern = DictItem::new();
            modern.insert_some("hashes", tree.bytes("hashes"));
            for key in ["mask", "verified"] {
                let bits = tree.bytes(key);
                modern.insert_some(
                    key,
                    bits.map(|bits| pack(bits.iter().map(|&it| it == b'1'))),
                );
            }
            modern
        })
        .collect::<Item>();
    modern.encode().into()
}
