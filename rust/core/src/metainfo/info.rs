//! The info dict: what the torrent's hash covers. The same code reads it from
//! .torrent files and from metadata that peers sent (BEP 9), so that neither
//! way is less careful.

use std::sync::Arc;

use bytes::Bytes;
use sha1::{Digest, Sha1};

use crate::bencode::Dict;
use crate::ids::{InfoHash, PieceIndex};
use crate::layout::{Layout, LayoutError};

use super::error::MetainfoError;
use super::files::{FileEntry, FileList, root_name};
use super::{Limits, paths_taken, symlinks, text};

/// A torrent's info dict, read and made safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// SHA-1 of `raw`.
    pub hash: InfoHash,
    /// The dict as it came, byte for byte.
    pub raw: Bytes,
    /// The torrent's name, safe as a file name: that of its only file, or of
    /// the folder that holds all its files.
    pub name: String,
    /// Pieces and files as byte ranges.
    pub layout: Layout,
    /// The files, in the order of the torrent, padding included. As many as in
    /// `layout`, and at least one.
    pub files: Vec<FileEntry>,
    /// Peers come from the trackers alone (BEP 27).
    pub private: bool,
    /// Which tracker the torrent was made for; empty when not said.
    pub source: String,
    /// Torrents that share files with this one (BEP 38).
    pub similar: Vec<InfoHash>,
    /// Names of collections that share files (BEP 38).
    pub collections: Vec<String>,
    /// Certificate, in PEM form, that all peers of an SSL swarm prove to
    /// descend from; empty when there is none.
    pub ssl_cert: Bytes,
    /// Whether the torrent has a file list, even one of a single file.
    multi_file: bool,
    /// SHA-1 of every piece, 20 bytes each.
    pieces: Bytes,
}

impl Info {
    /// Reads an info dict on its own, such as peers send it (BEP 9). Whether
    /// its hash is the one that was asked for is the caller's to check.
    pub fn parse(raw: &[u8], limits: &Limits) -> Result<Arc<Self>, MetainfoError> {
        let document = limits.decode(raw)?;
        document.check_end().map_err(MetainfoError::Bencode)?;
        let dict = document.root().as_dict().ok_or(MetainfoError::NotADict)?;
        Self::read(dict, limits).map(Arc::new)
    }

    pub(super) fn read(dict: Dict<'_>, limits: &Limits) -> Result<Self, MetainfoError> {
        let version = check_version(dict)?;
        let piece_length = piece_length(dict, version)?;
        let name = dict
            .bytes("name.utf-8")
            .or_else(|| dict.bytes("name"))
            .ok_or(MetainfoError::MissingName)?;
        let raw = Bytes::copy_from_slice(dict.raw());
        let hash = InfoHash(Sha1::digest(&raw).into());

        let list = FileList::new(limits);
        let (name, mut files, multi_file) = match dict.list("files") {
            Some(entries) => {
                let root = root_name(name, limits.paths).unwrap_or_else(|| hash.to_string());
                let mut files = list.read_list(entries, &root)?;
                symlinks::resolve(&mut files, &root);
                (root, files, true)
            }
            None => {
                let files = list.read_single(dict, name)?;
                let name = files
                    .first()
                    .map_or_else(String::new, |file| file.path.clone());
                (name, files, false)
            }
        };
        let layout = layout(piece_length, &files, limits)?;
        let pieces = pieces(dict, &raw, &layout)?;
        paths_taken::resolve(&mut files, limits.duplicate_names, limits.paths)?;
        Ok(Self {
            hash,
            pieces,
            name,
            layout,
            files,
            private: dict.int("private").is_some_and(|private| private != 0),
            source: text::repair(dict.bytes("source").unwrap_or_default()),
            similar: similar(dict),
            collections: collections(dict),
            ssl_cert: sub_slice(dict, "ssl-cert", &raw).unwrap_or_default(),
            multi_file,
            raw,
        })
    }

    /// SHA-1 of every piece, 20 bytes each, in order.
    pub fn piece_hashes(&self) -> &Bytes {
        &self.pieces
    }

    /// Whether the torrent has a list of files, which then lie in a folder of
    /// its name; else it is one file of that name.
    pub fn is_multi_file(&self) -> bool {
        self.multi_file
    }

    /// SHA-1 of the content of `piece`; `None` when there is no such piece.
    pub fn piece_hash(&self, piece: PieceIndex) -> Option<[u8; 20]> {
        let start = usize::try_from(piece.0).ok()?.checked_mul(20)?;
        let hash = self.pieces.get(start..start.checked_add(20)?)?;
        hash.try_into().ok()
    }
}

/// Torrents named under `similar`, in the info dict or beside it (BEP 38).
pub(super) fn similar(dict: Dict<'_>) -> Vec<InfoHash> {
    let list = dict
        .list("similar")
        .into_iter()
        .flat_map(|list| list.iter());
    list.filter_map(|hash| Some(InfoHash(hash.as_bytes()?.try_into().ok()?)))
        .collect()
}

/// Collections named in the info dict or beside it (BEP 38).
pub(super) fn collections(dict: Dict<'_>) -> Vec<String> {
    let list = dict
        .list("collections")
        .into_iter()
        .flat_map(|list| list.iter());
    list.filter_map(|name| Some(text::repair(name.as_bytes()?)))
        .collect()
}

/// The meta version, 0 for a torrent that names none.
fn check_version(dict: Dict<'_>) -> Result<i64, MetainfoError> {
    let version = dict.int("meta version").filter(|&version| version > 0);
    let Some(version) = version else {
        return match dict.dict("file tree") {
            Some(_) => Err(MetainfoError::MissingMetaVersion),
            None => Ok(0),
        };
    };
    let canonical = dict.value().check_canonical();
    canonical.map_err(MetainfoError::NotCanonical)?;
    match version {
        1 if dict.dict("file tree").is_some() => Err(MetainfoError::MissingMetaVersion),
        1 => Ok(1),
        2 if dict.dict("file tree").is_none() => Err(MetainfoError::MissingFileTree),
        2 if dict.list("files").is_none() && dict.get("length").is_none() => {
            Err(MetainfoError::UnsupportedVersion(version))
        }
        2 => Ok(2),
        _ => Err(MetainfoError::UnknownVersion(version)),
    }
}

/// Longest piece: as many blocks as libtorrent can count in one.
const MAX_PIECE: u32 = ((1 << 15) - 1) * 16 * 1024;

fn piece_length(dict: Dict<'_>, version: i64) -> Result<u32, MetainfoError> {
    dict.int("piece length")
        .and_then(|length| u32::try_from(length).ok())
        .filter(|length| (1..=MAX_PIECE).contains(length))
        .filter(|length| version < 2 || (length.is_power_of_two() && *length >= 16 * 1024))
        .ok_or(MetainfoError::InvalidPieceLength)
}

fn layout(
    piece_length: u32,
    files: &[FileEntry],
    limits: &Limits,
) -> Result<Layout, MetainfoError> {
    if files.is_empty() {
        return Err(MetainfoError::NoFiles);
    }
    let parts = files.iter().map(|file| (file.length, file.pad));
    let layout = Layout::new(piece_length, parts).map_err(|error| match error {
        LayoutError::ZeroPieceLength => MetainfoError::InvalidPieceLength,
        LayoutError::Empty => MetainfoError::Empty,
        LayoutError::TooLarge => MetainfoError::TooManyPieces,
    })?;
    if layout.num_pieces() > limits.pieces {
        return Err(MetainfoError::TooManyPieces);
    }
    Ok(layout)
}

/// The piece hashes, sharing the memory of `raw`.
fn pieces(dict: Dict<'_>, raw: &Bytes, layout: &Layout) -> Result<Bytes, MetainfoError> {
    let pieces = sub_slice(dict, "pieces", raw).ok_or(MetainfoError::MissingPieces)?;
    let expected = layout.num_pieces() as usize * 20;
    if pieces.len() != expected {
        return Err(MetainfoError::InvalidPieces {
            bytes: pieces.len(),
            expected,
        });
    }
    Ok(pieces)
}

/// The string under `key`, as part of `raw`, a copy of the dict's bytes.
fn sub_slice(dict: Dict<'_>, key: &str, raw: &Bytes) -> Option<Bytes> {
    let range = dict.get(key)?.bytes_range()?;
    let base = dict.value().range().start;
    let (start, end) = (range.start.checked_sub(base)?, range.end.checked_sub(base)?);
    (end <= raw.len()).then(|| raw.slice(start..end))
}
