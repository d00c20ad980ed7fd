//! The info dict: what the torrent's hash covers. The same code reads it from
//! .torrent files and from metadata that peers sent (BEP 9), so that neither
//! way is less careful.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use sha1::{Digest, Sha1};

use crate::bencode::Dict;
use crate::ids::{InfoHash, InfoHashes, PieceIndex};
use crate::layout::{Layout, LayoutError};
use crate::piece_hash::{PieceHash, PieceHashes};
use crate::text;

use super::error::MetainfoError;
use super::file_list::{FileList, root_name};
use super::files::Files;
use super::{MAX_LISTED, MetainfoLimits, paths_taken, symlinks};

/// A torrent's info dict, read and made safe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// SHA-1 of `raw`. The v2 part of a hybrid torrent is not read yet.
    pub hashes: InfoHashes,
    /// The dict as it came, byte for byte.
    pub raw: Bytes,
    /// The torrent's name, safe as a file name: that of its only file, or of
    /// the folder that holds all its files.
    pub name: String,
    /// Pieces and files as byte ranges.
    pub layout: Layout,
    /// The files, in the order of the torrent, padding included. As many as in
    /// `layout`, and at least one.
    pub files: Files,
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
    pieces: PieceHashes,
}

impl Info {
    /// Reads an info dict on its own, such as peers send it (BEP 9). Whether
    /// its hash is the one that was asked for is the caller's to check.
    pub fn parse(raw: &[u8], limits: &MetainfoLimits) -> Result<Arc<Self>, MetainfoError> {
        let document = limits.decode(raw)?;
        document.check_end().map_err(MetainfoError::Bencode)?;
        let dict = document.root().as_dict().ok_or(MetainfoError::NotADict)?;
        let draft = Draft::read(dict, limits)?;
        // It takes more memory than anything else, and what follows needs some.
        drop(document);
        draft.finish(raw, limits).map(Arc::new)
    }

    /// The 20 bytes that name the torrent: [`InfoHashes::handshake_hash`].
    pub fn hash(&self) -> InfoHash {
        self.hashes.handshake_hash()
    }

    /// The hash of every piece, in order.
    pub fn piece_hashes(&self) -> &PieceHashes {
        &self.pieces
    }

    /// Whether the torrent has a list of files, which then lie in a folder of
    /// its name; else it is one file of that name.
    pub fn is_multi_file(&self) -> bool {
        self.multi_file
    }

    /// The hash of the content of `piece`; `None` when there is no such piece.
    pub fn piece_hash(&self, piece: PieceIndex) -> Option<PieceHash> {
        self.pieces.get(piece)
    }
}

/// What was read of an info dict: all of it, but not yet judged as a whole.
pub(super) struct Draft {
    hash: InfoHash,
    /// Where the dict is in the input.
    raw: Range<usize>,
    piece_length: u32,
    name: String,
    files: Files,
    multi_file: bool,
    /// Where the piece hashes lie in the dict.
    pieces: Option<Range<usize>>,
    ssl_cert: Option<Range<usize>>,
    private: bool,
    source: String,
    similar: Vec<InfoHash>,
    collections: Vec<String>,
}

impl Draft {
    /// Reads the dict.
    pub(super) fn read(dict: Dict<'_>, limits: &MetainfoLimits) -> Result<Self, MetainfoError> {
        let version = check_version(dict)?;
        let piece_length = piece_length(dict, version)?;
        let name = dict
            .bytes("name.utf-8")
            .or_else(|| dict.bytes("name"))
            .ok_or(MetainfoError::MissingName)?;
        check_files(dict, version)?;
        let hash = InfoHash(Sha1::digest(dict.raw()).into());
        let (name, files, multi_file) = match dict.list("files") {
            Some(entries) => {
                let root = root_name(name, limits.paths).unwrap_or_else(|| hash.to_string());
                let files = FileList::read_list(entries, &root, limits)?;
                (root, files, true)
            }
            None => {
                let files = FileList::read_single(dict, name, limits)?;
                (files.path(0), files, false)
            }
        };
        Ok(Self {
            hash,
            raw: dict.value().range(),
            piece_length,
            name,
            files,
            multi_file,
            pieces: string_range(dict, "pieces"),
            ssl_cert: string_range(dict, "ssl-cert"),
            private: dict.int("private").is_some_and(|private| private != 0),
            source: text::repair(dict.bytes("source").unwrap_or_default()),
            similar: similar(dict),
            collections: collections(dict),
        })
    }

    /// How many files there are.
    pub(super) fn files(&self) -> usize {
        self.files.len()
    }

    /// Checks that it all fits together. `data` is what it was read from.
    pub(super) fn finish(
        self,
        data: &[u8],
        limits: &MetainfoLimits,
    ) -> Result<Info, MetainfoError> {
        let mut files = self.files;
        let layout = layout(self.piece_length, &files, self.pieces.as_ref(), limits)?;
        symlinks::resolve(&mut files);
        paths_taken::resolve(&mut files, limits.duplicate_names, limits.paths)?;
        files.shrink();
        let raw = Bytes::copy_from_slice(data.get(self.raw).unwrap_or_default());
        let part = |range: Option<Range<usize>>| {
            let range = range.filter(|range| range.end <= raw.len());
            range.map(|range| raw.slice(range)).unwrap_or_default()
        };
        Ok(Info {
            hashes: self.hash.into(),
            pieces: PieceHashes::sha1(part(self.pieces)),
            name: self.name,
            layout,
            files,
            private: self.private,
            source: self.source,
            similar: self.similar,
            collections: self.collections,
            ssl_cert: part(self.ssl_cert),
            multi_file: self.multi_file,
            raw,
        })
    }
}

/// Torrents named under `similar`, in the info dict or beside it (BEP 38).
pub(super) fn similar(dict: Dict<'_>) -> Vec<InfoHash> {
    let list = dict
        .list("similar")
        .into_iter()
        .flat_map(|list| list.iter());
    list.filter_map(|hash| Some(InfoHash(hash.as_bytes()?.try_into().ok()?)))
        .take(MAX_LISTED)
        .collect()
}

/// Collections named in the info dict or beside it (BEP 38).
pub(super) fn collections(dict: Dict<'_>) -> Vec<String> {
    let list = dict
        .list("collections")
        .into_iter()
        .flat_map(|list| list.iter());
    list.filter_map(|name| Some(text::repair(name.as_bytes()?)))
        .take(MAX_LISTED)
        .collect()
}

/// The meta version, 0 for a torrent that names none.
fn check_version(dict: Dict<'_>) -> Result<i64, MetainfoError> {
    let version = dict.int("meta version").filter(|&version| version > 0);
    let Some(version) = version else {
        return Ok(0);
    };
    let canonical = dict.value().check_canonical();
    canonical.map_err(MetainfoError::NotCanonical)?;
    match version {
        1 | 2 => Ok(version),
        _ => Err(MetainfoError::UnknownVersion(version)),
    }
}

/// Whether a torrent of this version has a file tree just if it should, and
/// files that a v1 torrent has.
fn check_files(dict: Dict<'_>, version: i64) -> Result<(), MetainfoError> {
    let tree = dict.dict("file tree").is_some();
    match version {
        0 | 1 if tree => Err(MetainfoError::MissingMetaVersion),
        2 if !tree => Err(MetainfoError::MissingFileTree),
        2 if dict.list("files").is_none() && dict.get("length").is_none() => {
            Err(MetainfoError::UnsupportedVersion(version))
        }
        _ => Ok(()),
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

/// The arithmetic of the torrent, which the piece hashes, where they lie, must
/// fit.
fn layout(
    piece_length: u32,
    files: &Files,
    pieces: Option<&Range<usize>>,
    limits: &MetainfoLimits,
) -> Result<Layout, MetainfoError> {
    if files.is_empty() {
        return Err(MetainfoError::NoFiles);
    }
    let count = files.total_length().div_ceil(u64::from(piece_length));
    if count > u64::from(limits.pieces) {
        return Err(MetainfoError::TooManyPieces);
    }
    let bytes = pieces.ok_or(MetainfoError::MissingPieces)?.len();
    let expected = usize::try_from(count * 20).unwrap_or(usize::MAX);
    if bytes != expected {
        return Err(MetainfoError::InvalidPieces { bytes, expected });
    }
    let parts = (0..files.len()).map(|file| (files.length(file).unwrap_or(0), files.is_pad(file)));
    Layout::new(piece_length, parts).map_err(|error| match error {
        LayoutError::ZeroPieceLength => MetainfoError::InvalidPieceLength,
        LayoutError::Empty => MetainfoError::Empty,
        LayoutError::TooLarge => MetainfoError::TooManyPieces,
    })
}

/// Where the string under `key` is in the dict's own bytes.
fn string_range(dict: Dict<'_>, key: &str) -> Option<Range<usize>> {
    let range = dict.get(key)?.bytes_range()?;
    let base = dict.value().range().start;
    Some(range.start.checked_sub(base)?..range.end.checked_sub(base)?)
}
