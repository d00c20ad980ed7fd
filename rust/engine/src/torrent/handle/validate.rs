//! Whether what a caller gives can be: the checks of arguments that handles and
//! `AddTorrent` share. Each names in its error what is wrong. Setters call
//! them before they change anything.

use std::net::SocketAddr;

use torrent_core::address::is_host;
use torrent_core::ids::{FileIndex, PieceIndex};

use super::TorrentHandle;
use crate::error::{Error, ErrorKind, Result};

/// The most that a rate limit can be: 2 GB a second.
pub const MAX_RATE: i64 = i32::MAX as i64;

impl TorrentHandle {
    pub(crate) fn check_piece(&self, piece: PieceIndex) -> Result<()> {
        let count = self.known_metainfo()?.info.layout.num_pieces();
        if piece.0 < count {
            Ok(())
        } else {
            Err(Error::because(
                ErrorKind::InvalidPieceIndex,
                format!("piece {piece} of {count}"),
            ))
        }
    }

    pub(crate) fn check_file(&self, file: FileIndex) -> Result<()> {
        check_file_index(file, self.known_metainfo()?.info.files.len())
    }
}

/// Whether `file` is one of `count` files.
pub(crate) fn check_file_index(file: FileIndex, count: usize) -> Result<()> {
    if (file.0 as usize) < count {
        Ok(())
    } else {
        Err(Error::because(
            ErrorKind::InvalidFileIndex,
            format!("file {file} of {count}"),
        ))
    }
}

/// Whether these can be the priorities of the first of `count` files.
pub(crate) fn check_file_priorities(count: usize, priorities: &[u8]) -> Result<()> {
    check_priorities(priorities)?;
    if priorities.len() <= count {
        return Ok(());
    }
    Err(Error::because(
        ErrorKind::InvalidFileIndex,
        format!("{} priorities for {count} files", priorities.len()),
    ))
}

pub(crate) fn check_priorities(priorities: &[u8]) -> Result<()> {
    match priorities.iter().find(|&&priority| priority > 7) {
        None => Ok(()),
        Some(priority) => Err(Error::because(
            ErrorKind::InvalidPriority,
            format!("{priority} is not a priority from 0 to 7"),
        )),
    }
}

pub(crate) fn check_limit(limit: i64) -> Result<()> {
    if limit == -1 || (2..=65_535).contains(&limit) {
        Ok(())
    } else {
        Err(Error::because(
            ErrorKind::InvalidParameter,
            format!("the limit must be -1 or from 2 to 65535, not {limit}"),
        ))
    }
}

pub(crate) fn check_rate(limit: i64) -> Result<()> {
    if (-1..=MAX_RATE).contains(&limit) {
        Ok(())
    } else {
        Err(Error::because(
            ErrorKind::InvalidParameter,
            format!("the limit must be from 0 (none) to {MAX_RATE} bytes a second, not {limit}"),
        ))
    }
}

/// Whether there can be a peer.
pub(crate) fn check_peer(peer: SocketAddr) -> Result<()> {
    let wrong = match peer {
        peer if peer.port() == 0 => "a peer's port is a number from 1 to 65535",
        peer if !is_host(peer.ip()) => "this is no machine's address",
        _ => return Ok(()),
    };
    Err(Error::because(ErrorKind::InvalidParameter, wrong).about(peer.to_string()))
}

/// Whether `url` can be a tracker's.
pub(crate) fn check_tracker(url: &str) -> Result<()> {
    let parsed = url::Url::parse(url)
        .map_err(|error| Error::because(ErrorKind::InvalidUrl, error.to_string()).about(url))?;
    match parsed.scheme() {
        "http" | "https" | "udp" => Ok(()),
        scheme => Err(Error::because(
            ErrorKind::InvalidUrl,
            format!("'{scheme}' is not a tracker's scheme: http, https or udp"),
        )
        .about(url)),
    }
}

/// Whether `url` can be a web seed's (BEP 19).
pub(crate) fn check_web_seed(url: &str) -> Result<()> {
    let parsed = url::Url::parse(url)
        .map_err(|error| Error::because(ErrorKind::InvalidUrl, error.to_string()).about(url))?;
    match parsed.scheme() {
        "http" | "https" => Ok(()),
        scheme => Err(Error::because(
            ErrorKind::InvalidUrl,
            format!("'{scheme}' is not a web seed's scheme: http or https"),
        )
        .about(url)),
    }
}
