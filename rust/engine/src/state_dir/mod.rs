//! The state directory: torrents, their resume data and the session's state,
//! kept by the engine itself so that they come back with the next start.
//!
//! [`StateDir::open`] locks the folder and reads the session's state; the
//! session that is started with it has the `state_store` read the torrents
//! (`load`), adds them again and hands everything new to it. Each file is
//! replaced as a whole, and the one before is kept where a torrent's progress
//! is concerned.
//!
//! | file | what |
//! |---|---|
//! | `lock` | held as long as a session uses the folder |
//! | `session.state` | settings and the like, libtorrent's format |
//! | `torrents/<hash>.torrent` | the torrent file, once the metadata is known |
//! | `torrents/<hash>.magnet` | the link that it was added by, until then |
//! | `torrents/<hash>.added` | resume data of the moment it was added, and the info dict once more |
//! | `torrents/<hash>.resume` | resume data as last saved |
//! | `torrents/<hash>.places` | where its files are, while the record does not say so yet |
//! | `torrents/<hash>.removed` | it is removed, and files and records of it are still to be deleted |
//!
//! `.old` is what a file was before, `.bad` one that made no sense.

mod faults;
mod files;
mod load;
mod lock;
mod pending_writes;
mod recall;
mod store;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use torrent_core::ids::InfoHash;
use torrent_core::session_state::{self, SessionState};
use torrent_core::settings::Settings;

use crate::error::{Error, ErrorKind, Result};
#[doc(hidden)]
pub use faults::{FileOp, StateFaults};
pub(crate) use load::{LoadResult, Patience, Remembered, Unread};
pub(crate) use lock::Ending;
use lock::FolderLock;
pub(crate) use recall::Recalled;
pub(crate) use store::{StateStore, StoreNotice};

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
    /// Where its files are.
    MoveJournal,
}

impl Part {
    /// In the order in which they are deleted: without a record a torrent
    /// does not come back.
    const ALL: [Self; 5] = [
        Self::Resume,
        Self::Added,
        Self::MoveJournal,
        Self::Torrent,
        Self::Magnet,
    ];

    fn suffix(self) -> &'static str {
        match self {
            Self::Torrent => "torrent",
            Self::Magnet => "magnet",
            Self::Added => "added",
            Self::Resume => "resume",
            Self::MoveJournal => "places",
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

/// A folder in which a session keeps its state: locked, and read.
#[derive(Debug)]
pub struct StateDir {
    pub(crate) state_store: Arc<StateStore>,
    pub(crate) session: SessionState,
    /// What was wrong with the session's state.
    pub(crate) errors: Vec<Error>,
}

/// A folder that a session is to keep its state in.
#[derive(Debug)]
pub enum Folder {
    /// The session has it.
    Open(Box<StateDir>),
    /// Another session of this process has it, and is about to end.
    Ending(PathBuf),
}

impl Folder {
    /// As [`StateDir::open`], but a folder that an ending session of this
    /// process has is no error: a session that is started with it waits.
    ///
    /// # Errors
    ///
    /// Those of [`StateDir::open`].
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        Self::open_as(folder.into(), Ending::default())
    }

    /// As [`Self::open`], for a session that says by `ending` when it ends.
    pub(crate) fn open_as(folder: PathBuf, ending: Ending) -> Result<Self> {
        let name = std::path::absolute(&folder).unwrap_or_else(|_| folder.clone());
        if lock::is_ending(&name) {
            return Ok(Self::Ending(folder));
        }
        match StateDir::open_as(&folder, StateFaults::default(), ending) {
            Ok(state) => Ok(Self::Open(Box::new(state))),
            // Known by another name.
            Err(error) => match fs::canonicalize(&name) {
                Ok(real) if lock::is_ending(&real) => Ok(Self::Ending(folder)),
                _ => Err(error),
            },
        }
    }
}

impl From<StateDir> for Folder {
    fn from(state: StateDir) -> Self {
        Self::Open(Box::new(state))
    }
}

impl StateDir {
    /// Opens a folder, which is created if it is missing. Fails when another
    /// session uses it, in this process or another, and when it cannot be
    /// read or written. What makes no sense in it is put aside and reported
    /// once the session has started.
    ///
    /// Reads one small file, the session's state; torrents are read in the
    /// background once the session has started.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self> {
        Self::open_with(folder, StateFaults::default())
    }

    /// As [`Self::open`], with faults that a test asks for.
    #[doc(hidden)]
    pub fn open_with(folder: impl Into<PathBuf>, faults: StateFaults) -> Result<Self> {
        Self::open_as(&folder.into(), faults, Ending::default())
    }

    fn open_as(folder: &Path, faults: StateFaults, ending: Ending) -> Result<Self> {
        if folder.as_os_str().is_empty() {
            return Err(Error::because(
                ErrorKind::InvalidPath,
                "the state directory's path is empty",
            ));
        }
        let folder = std::path::absolute(folder).map_err(|error| Error::from_io(&error, folder))?;
        fs::create_dir_all(torrents(&folder)).map_err(|error| Error::from_io(&error, &folder))?;
        let lock = FolderLock::take(&folder, ending)?;
        let mut errors = Vec::new();
        let session = read_session(&faults, &folder, &mut errors)?;
        // Whether they can be read shows now; reading them may take its time.
        fs::read_dir(torrents(&folder)).map_err(|error| Error::from_io(&error, &folder))?;
        let state_store = StateStore::start(folder.clone(), lock, faults)
            .map_err(|error| Error::from_io(&error, &folder))?;
        Ok(Self {
            state_store,
            session,
            errors,
        })
    }

    /// The remembered settings, with those of `own` put over them that were set
    /// by name or are not the `usual` ones: what a game asks for goes before what
    /// it asked for last time.
    pub fn settings_under(&self, own: &Settings, usual: &Settings) -> Settings {
        let mut settings = usual.clone();
        for refused in self.session.restore_settings(&mut settings) {
            tracing::warn!(%refused, "a setting of the state directory is not taken over");
        }
        for ((name, value), (_, usual)) in own.values().iter().zip(&usual.values()) {
            if (value != usual || own.named.contains(name))
                && let Err(error) = settings.apply([(*name, value)])
            {
                tracing::warn!(%error, "a setting does not go with those remembered");
            }
        }
        settings.named = own.named.clone();
        settings
    }

    /// What was remembered of the session.
    pub fn session_state(&self) -> &SessionState {
        &self.session
    }
}

/// The reading of files of which the ones before are kept. What makes no sense
/// is put aside once all is read.
struct Reading<'a> {
    faults: &'a StateFaults,
    patience: Patience,
    /// What is wrong with what was read.
    errors: Vec<Error>,
    /// Files that make no sense.
    nonsense: Vec<PathBuf>,
}

impl<'a> Reading<'a> {
    fn new(faults: &'a StateFaults, patience: Patience) -> Self {
        Self {
            faults,
            patience,
            errors: Vec::new(),
            nonsense: Vec::new(),
        }
    }

    /// A file's newest contents that make sense. Fails where they are to be
    /// read another time.
    fn newest<T>(
        &mut self,
        path: &Path,
        limit: usize,
        parse: impl Fn(&[u8]) -> Result<T>,
    ) -> Result<Option<T>> {
        for path in [path.to_owned(), files::previous(path)] {
            let data = match files::read(self.faults, &path, limit) {
                Ok(None) => continue,
                Ok(Some(data)) => data,
                Err(error) if self.patience.waits_for(&error) => {
                    return Err(Error::from_io(&error, &path));
                }
                // It may be readable in another session: it stays where it is.
                Err(error) => {
                    self.errors.push(Error::from_io(&error, &path));
                    continue;
                }
            };
            match parse(&data) {
                Ok(parsed) => return Ok(Some(parsed)),
                Err(error) => {
                    let error = error.about(path.display().to_string());
                    tracing::warn!(%error, "a file of the state directory makes no sense");
                    self.errors.push(error);
                    self.nonsense.push(path);
                }
            }
        }
        Ok(None)
    }

    /// All is read. Returns what was wrong.
    fn finish(self) -> Vec<Error> {
        for path in &self.nonsense {
            if let Err(error) = files::put_aside(self.faults, path) {
                tracing::warn!(%error, path = %path.display(), "it cannot be put aside");
            }
        }
        self.errors
    }
}

/// Fails where the system is short of something for the moment.
fn read_session(
    faults: &StateFaults,
    folder: &Path,
    errors: &mut Vec<Error>,
) -> Result<SessionState> {
    let parse = |data: &[u8]| Ok(SessionState::decode(data)?);
    let path = session_file(folder);
    let mut reading = Reading::new(faults, Patience::GivesUp);
    let state = reading.newest(&path, session_state::MAX_BYTES, parse)?;
    errors.extend(reading.finish());
    Ok(state.unwrap_or_default())
}
