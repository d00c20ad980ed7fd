//! The state directory: torrents, their resume data and the session's state,
//! kept by the engine itself so that they come back with the next start.
//!
//! [`StateDir::open`] locks the folder and reads what is there; the session
//! that is started with it adds the torrents again and hands everything new
//! to the `keeper`. Each file is replaced as a whole, and
//! the one before is kept where a torrent's progress is concerned.
//!
//! | file | what |
//! |---|---|
//! | `lock` | held as long as a session uses the folder |
//! | `session.state` | settings and the like, libtorrent's format |
//! | `torrents/<hash>.torrent` | the torrent file, once the metadata is known |
//! | `torrents/<hash>.magnet` | the link that it was added by, until then |
//! | `torrents/<hash>.added` | resume data of the moment it was added |
//! | `torrents/<hash>.resume` | resume data as last saved |
//! | `torrents/<hash>.removed` | its removal was cut short |
//!
//! `.old` is what a file was before, `.bad` one that made no sense.

mod files;
mod keeper;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use torrent_core::ids::InfoHash;
use torrent_core::magnet::MagnetUri;
use torrent_core::metainfo::{Info, Limits, Metainfo};
use torrent_core::resume::{self, ResumeData};
use torrent_core::session_state::{self, SessionState};
use torrent_core::settings::Settings;

use crate::error::{Error, ErrorKind, Result};
pub(crate) use keeper::Keeper;

/// Bytes of a magnet link that are read.
const MAX_MAGNET: usize = 1024 * 1024;

/// Bytes of a torrent file that are read: an info dict from peers may be
/// larger than a torrent file from elsewhere.
const MAX_TORRENT: usize = 32 * 1024 * 1024;

/// A file of a torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The torrent file.
    Torrent,
    /// The magnet link.
    Magnet,
    /// Resume data of the moment it was added or its place changed.
    Added,
    /// Resume data.
    Resume,
}

impl Part {
    const ALL: [Self; 4] = [Self::Torrent, Self::Magnet, Self::Added, Self::Resume];

    fn suffix(self) -> &'static str {
        match self {
            Self::Torrent => "torrent",
            Self::Magnet => "magnet",
            Self::Added => "added",
            Self::Resume => "resume",
        }
    }

    fn path(self, folder: &Path, info_hash: InfoHash) -> PathBuf {
        torrents(folder).join(format!("{info_hash}.{}", self.suffix()))
    }
}

fn torrents(folder: &Path) -> PathBuf {
    folder.join("torrents")
}

fn session_file(folder: &Path) -> PathBuf {
    folder.join("session.state")
}

fn tombstone(folder: &Path, info_hash: InfoHash) -> PathBuf {
    torrents(folder).join(format!("{info_hash}.removed"))
}

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

/// A folder in which a session keeps its state: locked, and read.
#[derive(Debug)]
pub struct StateDir {
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) session: SessionState,
    pub(crate) torrents: Vec<Remembered>,
    /// What could not be read, and belongs to no torrent that could.
    pub(crate) complaints: Vec<Error>,
}

impl StateDir {
    /// Opens a folder, which is created if it is missing. Fails when another
    /// session uses it, in this process or another, and when it cannot be
    /// read or written. What makes no sense in it is put aside and reported
    /// once the session has started.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        if folder.as_os_str().is_empty() {
            return Err(Error::because(
                ErrorKind::InvalidPath,
                "the state directory's path is empty",
            ));
        }
        let folder =
            std::path::absolute(&folder).map_err(|error| Error::from_io(&error, &folder))?;
        fs::create_dir_all(torrents(&folder)).map_err(|error| Error::from_io(&error, &folder))?;
        let lock = lock(&folder)?;
        let mut complaints = Vec::new();
        let session = read_session(&folder, &mut complaints);
        let hashes = known_hashes(&folder).map_err(|error| Error::from_io(&error, &folder))?;
        let mut remembered = Vec::with_capacity(hashes.len());
        for info_hash in hashes {
            match read_torrent(&folder, info_hash) {
                Ok(Some(torrent)) => remembered.push(torrent),
                Ok(None) => {}
                Err(error) => complaints.push(error),
            }
        }
        let keeper =
            Keeper::start(folder.clone(), lock).map_err(|error| Error::from_io(&error, &folder))?;
        Ok(Self {
            keeper,
            session,
            torrents: remembered,
            complaints,
        })
    }

    /// The remembered settings, with those of `own` that are not default put
    /// over them: what a game asks for goes before what it asked for last time.
    pub fn settings_under(&self, own: &Settings) -> Settings {
        let defaults = Settings::default();
        let mut settings = defaults.clone();
        for refused in self.session.restore_settings(&mut settings) {
            tracing::warn!(%refused, "a setting of the state directory is not taken over");
        }
        let usual = defaults.values();
        for ((name, value), (_, usual)) in own.values().iter().zip(&usual) {
            if value != usual
                && let Err(error) = settings.apply([(*name, value)])
            {
                tracing::warn!(%error, "a setting does not go with those remembered");
            }
        }
        settings
    }

    /// What was remembered of the session.
    pub fn session_state(&self) -> &SessionState {
        &self.session
    }
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let opened = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    let file = opened.map_err(|error| Error::from_io(&error, &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::because(
            ErrorKind::SessionStartFailed,
            "another session uses the state directory",
        )
        .about(folder.display().to_string())),
        Err(TryLockError::Error(error)) => Err(Error::from_io(&error, &path)),
    }
}

/// A file's newest contents that make sense; those that do not are put aside
/// and complained about.
fn read_newest<T>(
    path: &Path,
    limit: usize,
    complaints: &mut Vec<Error>,
    parse: impl Fn(&[u8]) -> Result<T>,
) -> Option<T> {
    for path in [path.to_owned(), files::previous(path)] {
        let data = match files::read(&path, limit) {
            Ok(None) => continue,
            Ok(Some(data)) => data,
            // It may be readable another time: it stays where it is.
            Err(error) => {
                complaints.push(Error::from_io(&error, &path));
                continue;
            }
        };
        match parse(&data) {
            Ok(parsed) => return Some(parsed),
            Err(error) => {
                let error = error.about(path.display().to_string());
                tracing::warn!(%error, "a file of the state directory makes no sense");
                complaints.push(error);
                if let Err(error) = files::put_aside(&path) {
                    tracing::warn!(%error, path = %path.display(), "it cannot be put aside");
                }
            }
        }
    }
    None
}

fn read_session(folder: &Path, complaints: &mut Vec<Error>) -> SessionState {
    let parse = |data: &[u8]| Ok(SessionState::decode(data)?);
    let path = session_file(folder);
    read_newest(&path, session_state::MAX_BYTES, complaints, parse).unwrap_or_default()
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

/// What is remembered of a torrent; `None` when nothing of it is left.
fn read_torrent(folder: &Path, info_hash: InfoHash) -> Result<Option<Remembered>> {
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
    Ok(Some(Remembered {
        info_hash,
        metainfo,
        magnet,
        resume,
        complaint,
    }))
}

fn other_torrent(info_hash: InfoHash) -> Error {
    Error::because(
        ErrorKind::ResumeDataParseError,
        format!("it is not of the torrent {info_hash}"),
    )
}
