//! Reads the torrents of a state directory: all of them in the thread of the
//! `keeper`, or a single one for a game that asks for it before its turn.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;
use torrent_core::ids::InfoHash;
use torrent_core::magnet::MagnetUri;
use torrent_core::metainfo::{Info, Limits, Metainfo};
use torrent_core::resume::{self, ResumeData};

use super::{Part, files, keeper, read_newest, tombstone, torrents};
use crate::error::{Error, ErrorKind, Result};

/// Bytes of a magnet link that are read.
const MAX_MAGNET: usize = 1024 * 1024;

/// Bytes of a torrent file that are read: an info dict from peers may be
/// larger than a torrent file from elsewhere.
const MAX_TORRENT: usize = 32 * 1024 * 1024;

/// A torrent that is remembered.
#[derive(Clone, Debug)]
pub(crate) struct Remembered {
    pub(crate) info_hash: InfoHash,
    pub(crate) metainfo: Option<Arc<Metainfo>>,
    pub(crate) magnet: Option<MagnetUri>,
    /// The newest record that makes sense.
    pub(crate) resume: ResumeData,
    /// Whether the record's claims count: a record older than a file that
    /// made no sense may know less than there is.
    pub(crate) complaint: Option<Error>,
}

/// Reads all torrents, as long as somebody takes them.
pub(super) fn recall_all(folder: &Path, taker: &mpsc::UnboundedSender<Result<Remembered>>) {
    let hashes = match known_hashes(folder) {
        Ok(hashes) => hashes,
        Err(error) => {
            // Who asked may be gone.
            let _ = taker.send(Err(Error::from_io(&error, folder)));
            return;
        }
    };
    for info_hash in hashes {
        if taker.send(read_torrent(folder, info_hash)).is_err() {
            return;
        }
    }
}

/// Reads a torrent; `None` if it is not remembered.
pub(crate) fn recall(folder: &Path, info_hash: InfoHash) -> Option<Result<Remembered>> {
    let has_file = Part::ALL.into_iter().any(|part| {
        let path = part.path(folder, info_hash);
        path.exists() || files::previous(&path).exists()
    });
    let is_known = has_file && !tombstone(folder, info_hash).exists();
    is_known.then(|| read_torrent(folder, info_hash))
}

/// The torrents that have a file, those under a tombstone deleted.
fn known_hashes(folder: &Path) -> io::Result<BTreeSet<InfoHash>> {
    let mut hashes = BTreeSet::new();
    let mut removed = BTreeSet::new();
    for entry in fs::read_dir(torrents(folder))? {
        let name = entry?.file_name();
        let Some((stem, suffix)) = name.to_str().and_then(|name| name.split_once('.')) else {
            continue;
        };
        let Some(hash) = InfoHash::from_hex(stem) else {
            continue;
        };
        if suffix == "removed" {
            removed.insert(hash);
        } else if !suffix.ends_with("tmp") && !suffix.ends_with("bad") {
            hashes.insert(hash);
        }
    }
    for &hash in &removed {
        keeper::forget(folder, hash)?;
        hashes.remove(&hash);
    }
    Ok(hashes)
}

/// What is remembered of a torrent that has a file.
fn read_torrent(folder: &Path, info_hash: InfoHash) -> Result<Remembered> {
    let mut complaints = Vec::new();
    let limits = Limits {
        bytes: MAX_TORRENT,
        ..Limits::default()
    };
    let path = Part::Torrent.path(folder, info_hash);
    let mut metainfo = read_newest(&path, MAX_TORRENT, &mut complaints, |data| {
        let metainfo = Metainfo::parse_with(data, &limits)?;
        if metainfo.info.hash == info_hash {
            return Ok(Arc::new(metainfo));
        }
        Err(other_torrent(info_hash))
    });
    let path = Part::Magnet.path(folder, info_hash);
    let magnet = read_newest(&path, MAX_MAGNET, &mut complaints, |data| {
        let magnet = MagnetUri::parse(&String::from_utf8_lossy(data))?;
        if magnet.info_hash == Some(info_hash) {
            return Ok(magnet);
        }
        Err(other_torrent(info_hash))
    });
    let mut records = [Part::Resume, Part::Added].into_iter().filter_map(|part| {
        let path = part.path(folder, info_hash);
        read_newest(&path, resume::MAX_BYTES, &mut complaints, |data| {
            let resume = ResumeData::decode(data)?;
            if resume.is_of(info_hash) {
                return Ok(resume);
            }
            Err(other_torrent(info_hash))
        })
    });
    let newest = records.next();
    let complaint = complaints.into_iter().next();
    let Some(resume) = newest else {
        // Without a record its folder is unknown: it stays for a human.
        return match complaint {
            Some(complaint) => Err(complaint),
            None => Err(Error::because(
                ErrorKind::ResumeDataParseError,
                "there is no resume data that says where its files are",
            )
            .about(path.display().to_string())),
        };
    };
    if metainfo.is_none()
        && let Some(raw) = &resume.info
        && let Ok(info) = Info::parse(raw, &Limits::metadata())
    {
        metainfo = Some(Arc::new(Metainfo::new(info)));
    }
    Ok(Remembered {
        info_hash,
        metainfo,
        magnet,
        resume,
        complaint,
    })
}

fn other_torrent(info_hash: InfoHash) -> Error {
    Error::because(
        ErrorKind::ResumeDataParseError,
        format!("it is not of the torrent {info_hash}"),
    )
}
