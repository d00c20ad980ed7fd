//! Torrent files: the metainfo dict of BEP 3 and its extensions.
//!
//! [`Metainfo::parse`] reads a .torrent file, [`Info::parse`] an info dict
//! alone (metadata from peers, BEP 9). Both check every number against
//! [`MetainfoLimits`] and make every name safe ([`PathPolicy`]); what they accept, and
//! which paths come out, is what libtorrent accepts and makes of it, so that
//! both seed the same files. Version 1 is read; a hybrid torrent (BEP 52) is
//! read by its version 1 half; version 2 alone is refused by name.

mod error;
mod file_list;
mod files;
mod info;
mod path;
mod paths_taken;
mod symlinks;
#[cfg(test)]
mod tests;
mod web_seeds;

use std::sync::Arc;

use crate::bencode::{self, Dict, DictItem, Document, Item};
use crate::ids::InfoHash;
use crate::settings::Settings;
use crate::{text, uri};

use info::Draft;

pub use error::MetainfoError;
pub use files::{FileEntry, Files};
pub use info::Info;
pub use path::PathPolicy;
pub(crate) use web_seeds::web_seeds;

/// Trackers, web seeds, nodes, and names of other torrents: more than this of
/// each are left out, so that many short ones cost no more than long ones.
pub(crate) const MAX_LISTED: usize = 10_000;

/// Files in one torrent, at most: each costs memory here and in every client that
/// downloads it.
pub const MAX_FILES: usize = 1_000_000;

/// What a torrent may cost, and whose file names it must respect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetainfoLimits {
    /// Bytes in the whole file or info dict.
    pub bytes: usize,
    /// Bencoded values.
    pub tokens: usize,
    /// Nesting of lists and dicts.
    pub depth: usize,
    /// Pieces.
    pub pieces: u32,
    /// Elements in the path of a file.
    pub directory_depth: usize,
    /// Names tried for files whose own name is taken, over all files.
    pub duplicate_names: usize,
    /// Rules for file names.
    pub paths: PathPolicy,
}

impl Default for MetainfoLimits {
    /// For .torrent files: up to 30 MiB, as for info dicts from peers.
    fn default() -> Self {
        Self {
            bytes: 30 * 1024 * 1024,
            tokens: 3_000_000,
            depth: 100,
            pieces: 0x20_0000,
            directory_depth: 100,
            duplicate_names: 500,
            paths: PathPolicy::HOST,
        }
    }
}

impl MetainfoLimits {
    /// For info dicts that come from peers: up to 30 MiB.
    pub fn metadata() -> Self {
        Self {
            tokens: 2_500_000,
            ..Self::default()
        }
    }

    /// For .torrent files, as the settings say.
    pub fn of_files(settings: &Settings) -> Self {
        Self {
            bytes: usize::try_from(settings.max_metadata_size).unwrap_or(usize::MAX),
            ..Self::default()
        }
    }

    /// For what was accepted before: the most that settings can allow.
    pub fn widest() -> Self {
        Self {
            bytes: 1 << 30,
            tokens: 100_000_000,
            pieces: 1 << 24,
            ..Self::default()
        }
    }

    /// For info dicts that come from peers, as the settings say.
    pub fn of_settings(settings: &Settings) -> Self {
        let number = |value: i64| usize::try_from(value).unwrap_or(usize::MAX);
        Self {
            bytes: number(settings.max_metadata_size),
            tokens: number(settings.metadata_token_limit),
            pieces: u32::try_from(settings.max_piece_count).unwrap_or(u32::MAX),
            ..Self::metadata()
        }
    }

    fn bencode(&self) -> bencode::DecodeLimits {
        bencode::DecodeLimits {
            depth: self.depth,
            tokens: self.tokens,
        }
    }

    fn decode<'a>(&self, data: &'a [u8]) -> Result<Document<'a>, MetainfoError> {
        if data.len() > self.bytes {
            return Err(MetainfoError::TooLarge {
                bytes: data.len(),
                limit: self.bytes,
            });
        }
        Document::parse_prefix(data, &self.bencode()).map_err(MetainfoError::Bencode)
    }
}

/// A .torrent file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metainfo {
    /// What the torrent's hash covers.
    pub info: Arc<Info>,
    /// Trackers: tiers in order of preference (BEP 12), none of them empty.
    pub tiers: Vec<Vec<String>>,
    /// Web seeds of BEP 19.
    pub url_seeds: Vec<String>,
    /// Web seeds of BEP 17.
    pub http_seeds: Vec<String>,
    /// DHT nodes, host and port (BEP 5).
    pub nodes: Vec<(String, u16)>,
    /// Free text.
    pub comment: String,
    /// The program that made the file.
    pub created_by: String,
    /// When the file was made, in seconds since 1970, not negative.
    pub creation_date: Option<i64>,
    /// Torrents that share files with this one, named outside the info dict
    /// (BEP 38).
    pub similar: Vec<InfoHash>,
    /// Names of collections that share files, named outside the info dict
    /// (BEP 38).
    pub collections: Vec<String>,
}

impl Metainfo {
    /// A torrent of which nothing is known but its info dict.
    pub fn new(info: Arc<Info>) -> Self {
        Self {
            info,
            tiers: Vec::new(),
            url_seeds: Vec::new(),
            http_seeds: Vec::new(),
            nodes: Vec::new(),
            comment: String::new(),
            created_by: String::new(),
            creation_date: None,
            similar: Vec::new(),
            collections: Vec::new(),
        }
    }

    /// Reads a .torrent file with the default limits.
    pub fn parse(data: &[u8]) -> Result<Self, MetainfoError> {
        Self::parse_with(data, &MetainfoLimits::default())
    }

    /// Reads a .torrent file. Bytes after the outermost dict are ignored, as
    /// everywhere in the field.
    pub fn parse_with(data: &[u8], limits: &MetainfoLimits) -> Result<Self, MetainfoError> {
        let document = limits.decode(data)?;
        let root = document.root().as_dict().ok_or(MetainfoError::NotADict)?;
        let Some(info) = root.dict("info") else {
            return Err(match root.bytes("magnet-uri") {
                Some(uri) => MetainfoError::MagnetInstead {
                    uri: text::repair(uri),
                },
                None => MetainfoError::MissingInfo,
            });
        };
        let draft = Draft::read(info, limits)?;
        let (tiers, http_seeds, nodes) = (tiers(root), http_seeds(root), nodes(root));
        let url_seeds = url_seeds(root, draft.files() > 1);
        let comment = best_text(root, "comment.utf-8", "comment");
        let created_by = best_text(root, "created by.utf-8", "created by");
        let creation_date = root.int("creation date").filter(|&date| date >= 0);
        let (similar, collections) = (info::similar(root), info::collections(root));
        // It takes more memory than anything else, and what follows needs some.
        drop(document);
        Ok(Self {
            info: Arc::new(draft.finish(data, limits)?),
            tiers,
            url_seeds,
            http_seeds,
            nodes,
            comment,
            created_by,
            creation_date,
            similar,
            collections,
        })
    }

    /// The .torrent file: the info dict byte for byte, the other fields anew.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut root = DictItem::new();
        write_outer(&mut root, self);
        root.insert("info", Item::Raw(self.info.raw.clone()));
        root.encode()
    }
}

/// Writes everything but the info dict.
fn write_outer(root: &mut DictItem, metainfo: &Metainfo) {
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let list = |texts: &[String]| texts.iter().map(String::as_str).collect::<Item>();
    root.insert_some("announce", metainfo.tiers.iter().flatten().next().cloned());
    if metainfo.tiers.iter().flatten().nth(1).is_some() {
        let tiers = metainfo.tiers.iter().map(|tier| list(tier));
        root.insert("announce-list", tiers.collect::<Item>());
    }
    root.insert_some("comment", filled(&metainfo.comment));
    root.insert_some("created by", filled(&metainfo.created_by));
    root.insert_some("creation date", metainfo.creation_date);
    match metainfo.url_seeds.as_slice() {
        [] => {}
        [one] => {
            root.insert("url-list", one.as_str());
        }
        many => {
            root.insert("url-list", list(many));
        }
    }
    if !metainfo.http_seeds.is_empty() {
        root.insert("httpseeds", list(&metainfo.http_seeds));
    }
    if !metainfo.nodes.is_empty() {
        let nodes = metainfo
            .nodes
            .iter()
            .map(|(host, port)| Item::List(vec![host.as_str().into(), u32::from(*port).into()]));
        root.insert("nodes", nodes.collect::<Item>());
    }
    if !metainfo.similar.is_empty() {
        let similar = metainfo.similar.iter().map(|hash| hash.0);
        root.insert("similar", similar.collect::<Item>());
    }
    if !metainfo.collections.is_empty() {
        root.insert("collections", list(&metainfo.collections));
    }
}

/// `announce-list`, and `announce` where nothing comes of that.
fn tiers(root: Dict<'_>) -> Vec<Vec<String>> {
    let url = |bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).ok()?;
        let text = text.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
        uri::is_tracker(text).then(|| text.to_owned())
    };
    let mut tiers: Vec<Vec<String>> = Vec::new();
    let mut left = MAX_LISTED;
    let list = root.list("announce-list").into_iter();
    for tier in list.flat_map(|list| list.iter()) {
        let urls = tier.as_list().into_iter().flat_map(|tier| tier.iter());
        let urls = urls.filter_map(|entry| url(entry.as_bytes()?));
        let tier: Vec<String> = urls.take(left).collect();
        left -= tier.len();
        tiers.extend((!tier.is_empty()).then_some(tier));
    }
    if tiers.is_empty() {
        tiers.extend(root.bytes("announce").and_then(url).map(|url| vec![url]));
    }
    tiers
}

/// `url-list`: one URL or several, each once. Those of a torrent with several
/// files name a folder.
fn url_seeds(root: Dict<'_>, folder: bool) -> Vec<String> {
    let Some(value) = root.get("url-list") else {
        return Vec::new();
    };
    let one = value.as_bytes().into_iter();
    let many = value.as_list().into_iter().flat_map(|list| list.iter());
    web_seeds(one.chain(many.filter_map(|url| url.as_bytes())), folder)
}

/// `httpseeds`: URLs as they are.
fn http_seeds(root: Dict<'_>) -> Vec<String> {
    let list = root
        .list("httpseeds")
        .into_iter()
        .flat_map(|list| list.iter());
    list.filter_map(|url| url.as_str())
        .filter(|url| !url.is_empty())
        .take(MAX_LISTED)
        .map(str::to_owned)
        .collect()
}

fn nodes(root: Dict<'_>) -> Vec<(String, u16)> {
    let list = root.list("nodes").into_iter().flat_map(|list| list.iter());
    list.filter_map(|node| {
        let mut parts = node.as_list()?.iter();
        let host = parts.next()?.as_bytes()?;
        let port = u16::try_from(parts.next()?.as_int()?).ok()?;
        (port != 0).then(|| (text::repair(host), port))
    })
    .take(MAX_LISTED)
    .collect()
}

/// The text under the first key, or under the second if that is empty.
fn best_text(root: Dict<'_>, first: &str, second: &str) -> String {
    let filled = root.bytes(first).filter(|text| !text.is_empty());
    text::repair(filled.or_else(|| root.bytes(second)).unwrap_or_default())
}
