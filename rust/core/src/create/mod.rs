//! Making torrents (BEP 3), without touching a file.
//!
//! In order: fill a [`TorrentBuilder`] with [`CreateEntry`]s and options;
//! [`TorrentBuilder::plan`] checks them all and lays the files out; the caller
//! hashes the pieces as [`Plan::layout`] says; [`Plan::finish`] gives the
//! .torrent file. Its info dict is byte for byte what libtorrent makes of the
//! same files, so the same folder has the same hash everywhere.

mod padding;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;

use crate::bencode::{DictItem, Item};
use crate::ids::InfoHash;
use crate::layout::Layout;
use crate::metainfo::{Info, Metainfo, MetainfoError, MetainfoLimits};
use crate::uri;

pub use padding::Padding;

/// A file, or a symbolic link, to go into a torrent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateEntry {
    /// The elements of its path. The first one is the torrent's folder, the
    /// same for all entries; a file alone is a torrent without folder.
    pub path: Vec<String>,
    /// Length in bytes; 0 for a link.
    pub length: u64,
    /// When it was last changed, in seconds since 1970, if that is to be recorded.
    pub mtime: Option<i64>,
    /// To be made executable.
    pub executable: bool,
    /// To be hidden.
    pub hidden: bool,
    /// For a symbolic link: the elements of the path that it leads to, from
    /// the torrent's folder on, without that folder.
    pub symlink: Option<Vec<String>>,
    /// Padding (BEP 47): zeros that are not stored.
    pub pad: bool,
}

/// What a torrent is to consist of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TorrentBuilder {
    /// Files in the order in which they are laid out, unless they are padded.
    pub entries: Vec<CreateEntry>,
    /// Whether padding goes between them.
    pub padding: Padding,
    /// The torrent's name, in place of the first element of the paths.
    pub name: Option<String>,
    /// Bytes in a piece: a power of two or a multiple of 16 KiB, at most
    /// 128 MiB. 0 chooses by the total length.
    pub piece_size: u32,
    /// Free text; empty for none.
    pub comment: String,
    /// The program that makes the torrent; empty for none.
    pub creator: String,
    /// When it is made, in seconds since 1970.
    pub creation_date: Option<i64>,
    /// Peers come from the trackers alone (BEP 27).
    pub private: bool,
    /// Which tracker it is made for; part of the hash. Empty for none.
    pub source: String,
    /// Trackers with their tiers; lower tiers are asked first (BEP 12). A URL
    /// that is there already is left out.
    pub trackers: Vec<(String, u32)>,
    /// Web seeds of BEP 19.
    pub url_seeds: Vec<String>,
    /// Web seeds of BEP 17.
    pub http_seeds: Vec<String>,
    /// DHT nodes, host and port (BEP 5).
    pub nodes: Vec<(String, u16)>,
    /// Torrents that share files with this one (BEP 38).
    pub similar: Vec<InfoHash>,
    /// Names of collections that share files (BEP 38).
    pub collections: Vec<String>,
}

/// Why no torrent can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// There are no files.
    #[error("a torrent needs at least one file")]
    NoFiles,
    /// A path has no elements, or not the folder that the others have.
    #[error("the files do not lie in one folder: {path:?}")]
    NotInFolder {
        /// The path.
        path: String,
    },
    /// Those who download would get another name than this: it holds
    /// separators, control or invisible characters, or is too long.
    #[error("{path:?} cannot be a file name in a torrent, it would become {instead:?}")]
    UnsafeName {
        /// The path.
        path: String,
        /// What it would become.
        instead: String,
    },
    /// The path is there twice, apart from the case of its letters, or is also
    /// that of a folder.
    #[error("more than one file or folder is called {path:?} (letter case aside)")]
    NameClash {
        /// The path.
        path: String,
    },
    /// The piece size is no power of two and no multiple of 16 KiB, or is over
    /// 128 MiB.
    #[error("invalid piece size: {0} bytes")]
    InvalidPieceSize(u32),
    /// A link leads to nothing in the torrent.
    #[error("the link {path:?} does not lead to a file or folder of the torrent")]
    InvalidLink {
        /// The path of the link.
        path: String,
    },
    /// A tracker's URL is none.
    #[error("invalid tracker URL: {0:?}")]
    InvalidTracker(String),
    /// This is no web seed's address: only HTTP and HTTPS are.
    #[error("invalid web seed URL: {0:?}")]
    InvalidWebSeed(String),
    /// A number does not fit the format.
    #[error("{0} is out of range")]
    OutOfRange(&'static str),
    /// The number of hashes is not the number of pieces.
    #[error("{given} piece hashes for {expected} pieces")]
    WrongHashCount {
        /// Hashes given.
        given: usize,
        /// Pieces in the torrent.
        expected: usize,
    },
    /// No client would accept the torrent.
    #[error("the torrent would be invalid: {0}")]
    Invalid(#[from] MetainfoError),
}

const MIN_PIECE: u32 = 16 * 1024;
const MAX_PIECE: u32 = 128 * 1024 * 1024;

/// The piece size for `total` bytes: the hashes take about as much space as
/// would make the best list, in powers of two from 16 KiB to 16 MiB.
pub fn automatic_piece_size(total: u64) -> u32 {
    const LARGEST_TOTAL: [u64; 10] = [
        2_684_355,
        10_737_418,
        42_949_673,
        171_798_692,
        687_194_767,
        2_748_779_069,
        10_995_116_278,
        43_980_465_111,
        175_921_860_444,
        703_687_441_777,
    ];
    let steps = LARGEST_TOTAL.partition_point(|&largest| largest < total);
    MIN_PIECE << steps
}

impl TorrentBuilder {
    /// Checks everything before the hashing, which takes long.
    pub fn plan(mut self) -> Result<Plan, CreateError> {
        let first = self.entries.first().ok_or(CreateError::NoFiles)?;
        let root = first.path.first().cloned().unwrap_or_default();
        let multi_file = self.entries.len() > 1 || first.path.len() > 1;
        for entry in &self.entries {
            let in_folder =
                entry.path.first() == Some(&root) && entry.path.len() > usize::from(multi_file);
            if !in_folder {
                return Err(CreateError::NotInFolder {
                    path: entry.path.join("/"),
                });
            }
        }
        for (url, _) in &self.trackers {
            if !uri::is_tracker(url) {
                return Err(CreateError::InvalidTracker(url.clone()));
            }
        }
        for url in self.url_seeds.iter().chain(&self.http_seeds) {
            if !uri::is_web_seed(url) {
                return Err(CreateError::InvalidWebSeed(url.clone()));
            }
        }
        let total = self.total()?;
        let piece_size = match self.piece_size {
            0 => automatic_piece_size(total),
            size => size,
        };
        let aligned = piece_size.is_power_of_two() || piece_size.is_multiple_of(MIN_PIECE);
        if !aligned || piece_size > MAX_PIECE {
            return Err(CreateError::InvalidPieceSize(piece_size));
        }
        let entries = std::mem::take(&mut self.entries);
        let arranged = padding::arrange(entries, self.padding, piece_size);
        let origins;
        (self.entries, origins) = arranged.into_iter().unzip();
        let total = self.total()?;
        let name = self.name.clone().unwrap_or(root);
        let info = self.info_dict(&name, piece_size, multi_file)?;
        let pieces = total.div_ceil(u64::from(piece_size));
        let limits = limits();
        if pieces > u64::from(limits.pieces) {
            return Err(MetainfoError::TooManyPieces.into());
        }
        // The reader is the judge of what can be read.
        let blank = with_pieces(info.clone(), vec![0; pieces as usize * 20]);
        let parsed = Info::parse(&blank, &limits)?;
        self.compare(&name, &parsed)?;
        Ok(Plan {
            builder: self,
            origins,
            info,
            layout: parsed.layout.clone(),
        })
    }

    fn total(&self) -> Result<u64, CreateError> {
        let mut lengths = self.entries.iter().map(CreateEntry::stored_length);
        lengths
            .try_fold(0u64, |total, length| total.checked_add(length))
            .ok_or(CreateError::OutOfRange("the total length"))
    }

    /// The info dict without the piece hashes.
    fn info_dict(
        &self,
        name: &str,
        piece_size: u32,
        multi_file: bool,
    ) -> Result<DictItem, CreateError> {
        let mut info = DictItem::new();
        info.insert("name", name);
        info.insert("piece length", piece_size);
        if multi_file {
            let files = self.entries.iter().map(|entry| {
                let mut file = DictItem::new();
                entry.describe(&mut file)?;
                file.insert("path", strings(entry.path.iter().skip(1)));
                Ok(Item::Dict(file))
            });
            info.insert(
                "files",
                Item::List(files.collect::<Result<_, CreateError>>()?),
            );
        } else if let Some(entry) = self.entries.first() {
            entry.describe(&mut info)?;
        }
        if self.private {
            info.insert("private", true);
        }
        if !self.source.is_empty() {
            info.insert("source", self.source.as_str());
        }
        if !self.similar.is_empty() {
            let similar = self.similar.iter().map(|hash| hash.0);
            info.insert("similar", similar.collect::<Item>());
        }
        if !self.collections.is_empty() {
            info.insert("collections", strings(&self.collections));
        }
        Ok(info)
    }

    /// Checks that reading gives the names that were asked for.
    fn compare(&self, name: &str, parsed: &Info) -> Result<(), CreateError> {
        let join = |elements: &[String]| {
            let elements = elements.iter().map(String::as_str);
            let path: Vec<&str> = std::iter::once(name).chain(elements).collect();
            path.join("/")
        };
        let fold = |path: &str| path.to_ascii_lowercase();
        let below_root = |entry: &CreateEntry| join(entry.path.get(1..).unwrap_or_default());
        let mut taken = HashSet::new();
        for entry in &self.entries {
            let path = below_root(entry);
            let folders = path.match_indices('/');
            taken.extend(folders.filter_map(|(slash, _)| path.get(..slash).map(fold)));
        }
        for (entry, file) in self.entries.iter().zip(parsed.files.iter()) {
            // Its bytes are not stored, wherever they are.
            if entry.pad && file.pad {
                continue;
            }
            let path = below_root(entry);
            if !taken.insert(fold(&path)) {
                return Err(CreateError::NameClash { path });
            }
            if path != file.path || file.pad {
                let instead = match file.pad {
                    true => "padding that is not stored".to_owned(),
                    false => file.path,
                };
                return Err(CreateError::UnsafeName { path, instead });
            }
            let target = entry.symlink.as_deref().map(join);
            if target != file.symlink || target.as_ref() == Some(&path) {
                return Err(CreateError::InvalidLink { path });
            }
        }
        Ok(())
    }

    /// Trackers by tier, each URL once.
    fn tiers(&self) -> Vec<Vec<String>> {
        let mut tiers = BTreeMap::<u32, Vec<String>>::new();
        let mut seen = HashSet::new();
        for (url, tier) in &self.trackers {
            if seen.insert(url) {
                tiers.entry(*tier).or_default().push(url.clone());
            }
        }
        tiers.into_values().collect()
    }
}

impl CreateEntry {
    /// Bytes that the entry takes in the torrent: none for a link.
    fn stored_length(&self) -> u64 {
        match self.symlink {
            Some(_) => 0,
            None => self.length,
        }
    }

    /// Writes all but the path.
    fn describe(&self, dict: &mut DictItem) -> Result<(), CreateError> {
        let length = i64::try_from(self.stored_length())
            .map_err(|_| CreateError::OutOfRange("the length of a file"))?;
        dict.insert("length", length);
        dict.insert_some("mtime", self.mtime.filter(|&mtime| mtime != 0));
        let attributes = [
            (self.pad, 'p'),
            (self.hidden, 'h'),
            (self.executable, 'x'),
            (self.symlink.is_some(), 'l'),
        ];
        let letters = attributes.iter().filter(|(set, _)| *set);
        let letters: String = letters.map(|(_, letter)| letter).collect();
        dict.insert_some("attr", (!letters.is_empty()).then_some(letters));
        dict.insert_some("symlink path", self.symlink.as_ref().map(strings));
        Ok(())
    }
}

/// A checked torrent that lacks only its hashes.
#[derive(Clone, Debug)]
pub struct Plan {
    builder: TorrentBuilder,
    origins: Vec<Option<usize>>,
    info: DictItem,
    layout: Layout,
}

impl Plan {
    /// The pieces to hash, and the bytes of which file make them up: see
    /// [`Plan::entries`].
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// For each file, in order, which of the builder's entries it is; `None` for
    /// padding that was put in.
    pub fn origins(&self) -> &[Option<usize>] {
        &self.origins
    }

    /// The files, in order, padding included.
    pub fn entries(&self) -> &[CreateEntry] {
        &self.builder.entries
    }

    /// The .torrent file, given the SHA-1 of every piece in order.
    pub fn finish(&self, hashes: &[[u8; 20]]) -> Result<Vec<u8>, CreateError> {
        let expected = self.layout.num_pieces() as usize;
        if hashes.len() != expected {
            return Err(CreateError::WrongHashCount {
                given: hashes.len(),
                expected,
            });
        }
        let raw = with_pieces(self.info.clone(), hashes.concat());
        let builder = &self.builder;
        let metainfo = Metainfo {
            tiers: builder.tiers(),
            url_seeds: builder.url_seeds.clone(),
            http_seeds: builder.http_seeds.clone(),
            nodes: builder.nodes.clone(),
            comment: builder.comment.clone(),
            created_by: builder.creator.clone(),
            creation_date: builder.creation_date.filter(|&date| date != 0),
            ..Metainfo::new(Info::parse(&raw, &limits())?)
        };
        Ok(metainfo.to_bytes())
    }
}

/// What a torrent of our own may cost: as many bytes as it takes.
fn limits() -> MetainfoLimits {
    MetainfoLimits {
        bytes: usize::MAX,
        ..MetainfoLimits::default()
    }
}

fn with_pieces(mut info: DictItem, pieces: Vec<u8>) -> Vec<u8> {
    info.insert("pieces", Bytes::from(pieces));
    info.encode()
}

fn strings<'s>(texts: impl IntoIterator<Item = &'s String>) -> Item {
    texts.into_iter().map(String::as_str).collect()
}
