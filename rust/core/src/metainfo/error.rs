//! Why a torrent file or an info dict is refused.

use crate::bencode::DecodeError;

/// Why a torrent file or an info dict is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetainfoError {
    /// There are more bytes than the limit.
    #[error("the torrent file is too large: {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// Bytes given.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The bytes are not bencode.
    #[error("not a torrent file: {0}")]
    Bencode(DecodeError),
    /// The info dict claims a meta version and is not in canonical form.
    #[error("the info dict is not canonical bencode: {0}")]
    NotCanonical(DecodeError),
    /// The outermost value is not a dict.
    #[error("the torrent file is not a dict")]
    NotADict,
    /// There is no info dict.
    #[error("the torrent file has no info dict")]
    MissingInfo,
    /// In place of an info dict there is a magnet URI, for the caller to follow.
    #[error("the torrent file holds a magnet link instead of an info dict")]
    MagnetInstead {
        /// The URI as it stands in the file.
        uri: String,
    },
    /// The version of the format is not known.
    #[error("unknown torrent version (meta version {0})")]
    UnknownVersion(i64),
    /// The version of the format is known but not supported.
    #[error("unsupported torrent version: v2 only (meta version {0})")]
    UnsupportedVersion(i64),
    /// A v2 torrent without file tree.
    #[error("a torrent of meta version 2 has no file tree")]
    MissingFileTree,
    /// A file tree in a torrent that does not say it is v2.
    #[error("the torrent has a file tree but no meta version")]
    MissingMetaVersion,
    /// The piece length is missing, zero, negative, too large, or not of the
    /// form that the version asks for.
    #[error("missing or invalid piece length")]
    InvalidPieceLength,
    /// The torrent, or a file in it, has no usable name.
    #[error("missing or invalid name")]
    MissingName,
    /// An entry of the file list is not what it should be.
    #[error("file {file} is malformed")]
    InvalidFile {
        /// Its position in the list, from 0.
        file: usize,
    },
    /// A file has no path: none at all, an empty one, or one that is no list.
    #[error("file {file} has no path")]
    MissingPath {
        /// Its position in the list, from 0.
        file: usize,
    },
    /// Something in the path of a file, or of a link, is not a string.
    #[error("file {file} has an invalid path")]
    InvalidPath {
        /// Its position in the list, from 0.
        file: usize,
    },
    /// A path has too many elements.
    #[error("file {file} is nested too deep")]
    DirectoryTooDeep {
        /// Its position in the list, from 0.
        file: usize,
    },
    /// A length is missing, negative or too large.
    #[error("file {file} has a missing or invalid length")]
    InvalidLength {
        /// Its position in the list, from 0.
        file: usize,
    },
    /// The file list is empty.
    #[error("the torrent has no files")]
    NoFiles,
    /// There are more files than a torrent can have.
    #[error("the torrent has too many files")]
    TooManyFiles,
    /// All files together have no content.
    #[error("the torrent has no content")]
    Empty,
    /// All files together are too large.
    #[error("the torrent is too large")]
    TotalTooLarge,
    /// There are more pieces than the limit.
    #[error("the torrent has too many pieces")]
    TooManyPieces,
    /// There are no piece hashes.
    #[error("the torrent has no piece hashes")]
    MissingPieces,
    /// The number of piece hashes is not the number of pieces.
    #[error("the piece hashes take {bytes} bytes, {expected} are needed")]
    InvalidPieces {
        /// Bytes given.
        bytes: usize,
        /// Bytes needed: 20 for each piece.
        expected: usize,
    },
    /// Too many files want the same name.
    #[error("too many files have the same name")]
    TooManyDuplicates,
}
