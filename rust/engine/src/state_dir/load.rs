//! Reads the torrents of a state directory: all of them in the thread of the
//! `state_store`, or a single one for a game that asks for it before its turn. Each
//! is read by itself: a fault in one does not concern the others.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;
use torrent_core::ids::InfoHash;
use torrent_core::magnet::MagnetUri;
use torrent_core::metainfo::{Info, Metainfo, MetainfoLimits};
use torrent_core::move_journal::{self, MoveJournal};
use torrent_core::resume::{self, ResumeData};

use super::faults::{FileOp, StateFaults};
use super::{Part, files, read_newest, tombstone, torrents};
use crate::error::{Error, ErrorKind, Result};

/// Bytes of a magnet link that are read.
const MAX_MAGNET: usize = 1024 * 1024;

/// Bytes of a torrent file that are read: the longest that settings allow, and
/// what may stand beside the info dict.
const MAX_TORRENT: usize = (1 << 30) + (32 << 20);

/// A torrent that is remembered.
#[derive(Clone, Debug)]
pub(crate) struct Remembered {
    pub(crate) info_hash: InfoHash,
    pub(crate) metainfo: Option<Arc<Metainfo>>,
    pub(crate) magnet: Option<MagnetUri>,
    /// The newest record that makes sense.
    pub(crate) resume: ResumeData,
    /// That is the one of the moment when it was added: it may never have had
    /// its place.
    pub(crate) is_new: bool,
    /// Where its files are, if that has changed since the record was written.
    pub(crate) move_journal: Option<MoveJournal>,
    /// What the torrent is does not stand twice in the directory, or not where
    /// it should: it is to be written again.
    pub(crate) incomplete: bool,
    /// Whether the record's claims count: a record older than a file that
    /// made no sense may know less than there is.
    pub(crate) load_error: Option<Error>,
}

/// Reads a torrent; `None` if it is not remembered.
pub(super) fn load(
    faults: &StateFaults,
    folder: &Path,
    info_hash: InfoHash,
) -> Option<Result<Remembered>> {
    let has_file = Part::ALL.into_iter().any(|part| {
        let path = part.path(folder, info_hash);
        path.exists() || files::previous(&path).exists()
    });
    let is_known = has_file && !tombstone(folder, info_hash).exists();
    is_known.then(|| read_torrent(faults, folder, info_hash))
}

/// What a state directory holds.
#[derive(Default)]
pub(super) struct KnownTorrents {
    /// The torrents that have a file.
    pub(super) torrents: BTreeSet<InfoHash>,
    /// Those whose removal was cut short.
    pub(super) removed: BTreeSet<InfoHash>,
}

/// Lists the torrents. An entry that cannot be read is complained about.
pub(super) fn known(
    faults: &StateFaults,
    folder: &Path,
    taker: &mpsc::UnboundedSender<Result<Remembered>>,
) -> io::Result<KnownTorrents> {
    let mut known = KnownTorrents::default();
    let folder = torrents(folder);
    faults.strike(FileOp::List, &folder)?;
    for entry in fs::read_dir(&folder)? {
        match entry {
            Ok(entry) => known.note(&entry.file_name()),
            Err(error) => {
                // Who asked may be gone.
                let _ = taker.send(Err(Error::from_io(&error, &folder)));
                break;
            }
        }
    }
    let removed = &known.removed;
    known.torrents.retain(|it| !removed.contains(it));
    Ok(known)
}

impl KnownTorrents {
    fn note(&mut self, name: &OsString) {
        let Some((stem, suffix)) = name.to_str().and_then(|name| name.split_once('.')) else {
            return;
        };
        let Some(hash) = InfoHash::from_hex(stem) else {
            return;
        };
        let suffix = suffix.strip_suffix(".old").unwrap_or(suffix);
        if suffix == "removed" {
            self.removed.insert(hash);
        } else if Part::ALL.iter().any(|part| part.suffix() == suffix) {
            self.torrents.insert(hash);
        }
    }
}

/// A record of the torrent, or why it is none.
fn read_record(data: &[u8], info_hash: InfoHash) -> Result<ResumeData> {
    let resume = ResumeData::decode(data)?;
    if resume.is_of(info_hash) {
        return Ok(resume);
    }
    Err(other_torrent(info_hash))
}

/// What is remembered of a torrent that has a file.
pub(super) fn read_torrent(
    faults: &StateFaults,
    folder: &Path,
    info_hash: InfoHash,
) -> Result<Remembered> {
    let mut errors = Vec::new();
    let limits = MetainfoLimits {
        bytes: MAX_TORRENT,
        ..MetainfoLimits::widest()
    };
    let path = Part::Torrent.path(folder, info_hash);
    let torrent = read_newest(faults, &path, MAX_TORRENT, &mut errors, |data| {
        let metainfo = Metainfo::parse_with(data, &limits)?;
        if metainfo.info.hash() == info_hash {
            return Ok(Arc::new(metainfo));
        }
        Err(other_torrent(info_hash))
    });
    let path = Part::Magnet.path(folder, info_hash);
    let magnet = read_newest(faults, &path, MAX_MAGNET, &mut errors, |data| {
        let magnet = MagnetUri::parse(&String::from_utf8_lossy(data))?;
        if magnet.hashes.handshake_hash() == info_hash {
            return Ok(magnet);
        }
        Err(other_torrent(info_hash))
    });
    let path = Part::MoveJournal.path(folder, info_hash);
    let move_journal = read_newest(
        faults,
        &path,
        move_journal::MAX_BYTES,
        &mut errors,
        |data| {
            let move_journal = MoveJournal::decode(data).map_err(|error| {
                Error::because(ErrorKind::ResumeDataParseError, error.to_string())
            })?;
            if move_journal.info_hash == info_hash {
                return Ok(move_journal);
            }
            Err(other_torrent(info_hash))
        },
    );
    let [resume, mut added] = [Part::Resume, Part::Added].map(|part| {
        let path = part.path(folder, info_hash);
        read_newest(faults, &path, resume::MAX_BYTES, &mut errors, |data| {
            read_record(data, info_hash)
        })
    });
    let load_error = errors.into_iter().next();
    // The torrent itself stands there twice.
    let copies = [&resume, &added].map(|record| record.as_ref().and_then(|it| it.info.clone()));
    let has_copy = copies.iter().any(Option::is_some);
    let metainfo = torrent.clone().or_else(|| {
        let mut copies = copies.into_iter().flatten();
        copies.find_map(|raw| {
            let info = Info::parse(&raw, &MetainfoLimits::widest()).ok()?;
            Some(Arc::new(Metainfo::new(info)))
        })
    });
    let incomplete = added.is_none() || metainfo.is_some() && (torrent.is_none() || !has_copy);
    if let Some(added) = &mut added {
        added.info = None;
    }
    let is_new = resume.is_none();
    let Some(resume) = resume.or(added) else {
        // Without a record its folder is unknown: it stays for a human.
        let path = Part::Resume.path(folder, info_hash);
        return Err(load_error.unwrap_or_else(|| {
            Error::because(
                ErrorKind::ResumeDataParseError,
                "there is no resume data that says where its files are",
            )
            .about(path.display().to_string())
        }));
    };
    Ok(Remembered {
        info_hash,
        metainfo,
        magnet,
        resume,
        is_new,
        move_journal,
        incomplete,
        load_error,
    })
}

fn other_torrent(info_hash: InfoHash) -> Error {
    Error::because(
        ErrorKind::ResumeDataParseError,
        format!("it is not of the torrent {info_hash}"),
    )
}
