//! Reads the torrents of a state directory: all of them in the thread of the
//! `state_store`, or a single one for a game that asks for it before its turn. Each
//! is read by itself: a fault in one does not concern the others.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use torrent_core::ids::InfoHash;
use torrent_core::magnet::MagnetUri;
use torrent_core::metainfo::{Info, Metainfo, MetainfoLimits};
use torrent_core::move_journal::{self, MoveJournal};
use torrent_core::removal_journal::{self, RemovalJournal};
use torrent_core::resume::{self, ResumeData};

use super::faults::{FileOp, StateFaults};
use super::{Part, Reading, files, tombstone, torrents};
use crate::disk::is_shortage;
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
    /// It was removed, and its files are still to be deleted.
    pub(crate) removal: Option<RemovalJournal>,
    /// What the torrent is does not stand twice in the directory, or not where
    /// it should: it is to be written again.
    pub(crate) incomplete: bool,
    /// Whether the record's claims count: a record older than a file that
    /// made no sense may know less than there is.
    pub(crate) load_error: Option<Error>,
}

/// Why a torrent that has a file was not read.
#[derive(Debug)]
pub(crate) enum Unread {
    /// It was removed, and its records are still to be deleted. With why files of it
    /// may be left, where they were to be deleted too.
    Removed(Option<Error>),
    /// It may be readable another time.
    Later(Error),
    /// What there is of it makes no sense.
    Bad(Error),
}

/// A torrent, if it is remembered.
pub(crate) type LoadResult = std::result::Result<Option<Box<Remembered>>, Unread>;

/// What is done about a file that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It is read another time.
    Waits,
    /// The one before it counts, unless the system was short of something.
    GivesUp,
}

/// How often a file that cannot be read is tried again: 15 s.
const ATTEMPTS: u32 = 4;

impl Patience {
    /// What is done after so many attempts.
    pub(crate) fn after(attempts: u32) -> Self {
        match attempts {
            ..ATTEMPTS => Self::Waits,
            _ => Self::GivesUp,
        }
    }

    /// Whether a file that cannot be read is to be read another time.
    pub(super) fn waits_for(self, error: &io::Error) -> bool {
        let is_lasting = matches!(
            error.kind(),
            // What it says is that it is no file of the engine's.
            io::ErrorKind::InvalidInput
                | io::ErrorKind::FileTooLarge
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::NotADirectory
        );
        is_shortage(error) || self == Self::Waits && !is_lasting
    }
}

/// Reads a torrent; `None` if it is not remembered.
pub(super) fn load(
    faults: &StateFaults,
    folder: &Path,
    info_hash: InfoHash,
    patience: Patience,
) -> LoadResult {
    let tombstone = tombstone(folder, info_hash);
    let data = match files::read(faults, &tombstone, removal_journal::MAX_BYTES) {
        Ok(None) => return read_torrent(faults, folder, info_hash, patience),
        Ok(Some(data)) => data,
        Err(error) if patience.waits_for(&error) => {
            return Err(Unread::Later(Error::from_io(&error, &tombstone)));
        }
        // It is removed all the same; files that it may name stay.
        Err(error) => {
            let error = Error::from_io(&error, &tombstone);
            return Err(Unread::Removed(Some(error)));
        }
    };
    let journal = RemovalJournal::decode(&data).ok();
    let Some(journal) = journal.filter(|it| it.info_hash == info_hash) else {
        return Err(Unread::Removed(None));
    };
    match read_torrent(faults, folder, info_hash, patience) {
        Ok(Some(mut torrent)) => {
            torrent.removal = Some(journal);
            Ok(Some(torrent))
        }
        Err(Unread::Later(error)) => Err(Unread::Later(error)),
        // It is not known any more which files are the torrent's.
        Ok(None) | Err(Unread::Removed(_) | Unread::Bad(_)) => {
            let words = "it was being removed, and cannot be read: files of it may be left";
            let error = Error::because(ErrorKind::TorrentRemoveFailed, words);
            Err(Unread::Removed(Some(
                error.about(tombstone.display().to_string()),
            )))
        }
    }
}

/// Lists the torrents that have a file: all of them, or it fails.
pub(super) fn known(faults: &StateFaults, folder: &Path) -> io::Result<BTreeSet<InfoHash>> {
    let mut known = BTreeSet::new();
    let folder = torrents(folder);
    faults.strike(FileOp::List, &folder)?;
    for entry in fs::read_dir(&folder)? {
        known.extend(torrent_of(&entry?.file_name()));
    }
    Ok(known)
}

/// The torrent that a file of this name is of.
fn torrent_of(name: &OsString) -> Option<InfoHash> {
    let (stem, suffix) = name.to_str()?.split_once('.')?;
    let suffix = suffix.strip_suffix(".old").unwrap_or(suffix);
    let is_known = suffix == "removed" || Part::ALL.iter().any(|part| part.suffix() == suffix);
    InfoHash::from_hex(stem).filter(|_| is_known)
}

/// A record of the torrent, or why it is none.
fn read_record(data: &[u8], info_hash: InfoHash) -> Result<ResumeData> {
    let resume = ResumeData::decode(data)?;
    if resume.is_of(info_hash) {
        return Ok(resume);
    }
    Err(other_torrent(info_hash))
}

/// What is remembered of a torrent, unless it has no file.
fn read_torrent(
    faults: &StateFaults,
    folder: &Path,
    info_hash: InfoHash,
    patience: Patience,
) -> LoadResult {
    let mut reading = Reading::new(faults, patience);
    let read = read_parts(&mut reading, folder, info_hash);
    let Parts {
        torrent,
        magnet,
        move_journal,
        resume,
        mut added,
    } = read.map_err(Unread::Later)?;
    let has_any = torrent.is_some() || magnet.is_some() || move_journal.is_some();
    let load_error = reading.finish().into_iter().next();
    if !has_any && resume.is_none() && added.is_none() && load_error.is_none() {
        return Ok(None);
    }
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
        return Err(Unread::Bad(load_error.unwrap_or_else(|| {
            Error::because(
                ErrorKind::ResumeDataParseError,
                "there is no resume data that says where its files are",
            )
            .about(path.display().to_string())
        })));
    };
    Ok(Some(Box::new(Remembered {
        info_hash,
        metainfo,
        magnet,
        resume,
        is_new,
        move_journal,
        removal: None,
        incomplete,
        load_error,
    })))
}

/// What stands in the files of a torrent.
struct Parts {
    torrent: Option<Arc<Metainfo>>,
    magnet: Option<MagnetUri>,
    move_journal: Option<MoveJournal>,
    resume: Option<ResumeData>,
    added: Option<ResumeData>,
}

/// Reads all files of a torrent; fails where one of them is to be read later.
fn read_parts(reading: &mut Reading<'_>, folder: &Path, info_hash: InfoHash) -> Result<Parts> {
    let limits = MetainfoLimits {
        bytes: MAX_TORRENT,
        ..MetainfoLimits::widest()
    };
    let path = |part: Part| part.path(folder, info_hash);
    let torrent = reading.newest(&path(Part::Torrent), MAX_TORRENT, |data| {
        let metainfo = Metainfo::parse_with(data, &limits)?;
        if metainfo.info.hash() == info_hash {
            return Ok(Arc::new(metainfo));
        }
        Err(other_torrent(info_hash))
    })?;
    let magnet = reading.newest(&path(Part::Magnet), MAX_MAGNET, |data| {
        let magnet = MagnetUri::parse(&String::from_utf8_lossy(data))?;
        if magnet.hashes.handshake_hash() == info_hash {
            return Ok(magnet);
        }
        Err(other_torrent(info_hash))
    })?;
    let move_journal =
        reading.newest(&path(Part::MoveJournal), move_journal::MAX_BYTES, |data| {
            let move_journal = MoveJournal::decode(data).map_err(|error| {
                Error::because(ErrorKind::ResumeDataParseError, error.to_string())
            })?;
            if move_journal.info_hash == info_hash {
                return Ok(move_journal);
            }
            Err(other_torrent(info_hash))
        })?;
    let mut record = |part| {
        let parse = |data: &[u8]| read_record(data, info_hash);
        reading.newest(&path(part), resume::MAX_BYTES, parse)
    };
    let resume = record(Part::Resume)?;
    let added = record(Part::Added)?;
    Ok(Parts {
        torrent,
        magnet,
        move_journal,
        resume,
        added,
    })
}

fn other_torrent(info_hash: InfoHash) -> Error {
    Error::because(
        ErrorKind::ResumeDataParseError,
        format!("it is not of the torrent {info_hash}"),
    )
}
