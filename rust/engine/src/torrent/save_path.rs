//! Handles a save path that is missing, as on a disk that is not mounted. The
//! pieces are then neither lost nor wrong, only out of reach: the torrent is in
//! error until the folder is back, and its record stays as it is.
//!
//! A torrent that had data looks for its folder before its record is judged,
//! before a check, when a check finds less than there was, when the bytes of a
//! piece are not there, and when a file cannot be made because the folder is
//! gone (`disk::root`). A record that names another folder than the one that is
//! used says nothing of this one: that is made where it is missing.
//!
//! A folder in which not one of the files is that the record claims is missing,
//! too: a mount point without its disk may have a stray file in it. A deleted
//! file among others is fetched again; where all of them were deleted the game
//! says so, by asking for a check. Other torrents neither make nor fill a folder
//! that is awaited (`disk::awaited`). Neither is a file moved out of one, or
//! renamed in it: only `reset_save_path` says that the files are elsewhere.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tokio::task::spawn_blocking;
use torrent_core::check_state::{CheckState, Look, LookPurpose};
use torrent_core::ids::{FileIndex, PieceIndex};

use super::{Driver, TaskEnd};
use crate::disk::{
    AwaitedFolder, AwaitedFolders, DiskError, Storage, is_folder_empty, is_shortage, real,
};
use crate::error::{Error, ErrorKind, Result};
use crate::event::typed;

/// What a look at the folder found.
#[derive(Debug)]
pub(super) enum FolderLook {
    There,
    /// The folder is missing, out of reach or empty.
    Missing,
    /// The same, and the record names another folder.
    Elsewhere,
    /// The system has no descriptor or no memory for us at the moment.
    Shortage(io::Error),
}

/// How a folder is looked at.
pub(super) struct Looking {
    folder: PathBuf,
    storage: Option<Storage>,
    /// An empty folder counts as there, even if it is not known that it is the
    /// same as before.
    may_be_empty: bool,
    /// The folder that the record is of.
    recorded: Option<PathBuf>,
    /// The files of which the record claims pieces.
    claimed: Vec<FileIndex>,
    /// The folder was never there, and is made when the first file is.
    is_new: bool,
    all: Arc<AwaitedFolders>,
    own: Option<Arc<AwaitedFolder>>,
}

impl Looking {
    async fn look(self) -> FolderLook {
        // A panic says nothing of the folder.
        spawn_blocking(move || self.look_now())
            .await
            .unwrap_or(FolderLook::There)
    }

    /// Fails if the folder is missing.
    pub(super) async fn expect_folder(self) -> Result<()> {
        let folder = self.folder.clone();
        match self.look().await {
            FolderLook::Missing | FolderLook::Elsewhere => Err(error(&folder)),
            // What is short is waited for where it is needed.
            FolderLook::There | FolderLook::Shortage(_) => Ok(()),
        }
    }

    fn look_now(&self) -> FolderLook {
        let is_known = || {
            let storage = self.storage.as_ref();
            storage.is_some_and(Storage::is_root_on_its_device)
        };
        if self.storage.as_ref().is_some_and(|it| !it.is_on_disk()) {
            return FolderLook::There;
        }
        if self.all.is_awaited(&self.folder, self.own.as_deref()) {
            return FolderLook::Missing;
        }
        let is_missing = match std::fs::metadata(&self.folder) {
            Ok(metadata) if !metadata.is_dir() => true,
            Ok(_) if self.may_be_empty || is_known() => false,
            Ok(_) => match self.has_nothing() {
                Ok(has_nothing) => has_nothing,
                Err(error) => return FolderLook::Shortage(error),
            },
            Err(error) if is_shortage(&error) => return FolderLook::Shortage(error),
            Err(error) if self.is_new && error.kind() == io::ErrorKind::NotFound => false,
            // Whatever keeps us from it, it says nothing of the files.
            Err(_) => true,
        };
        if is_missing && let Some(own) = &self.own {
            own.wait_for_real(&self.folder);
        }
        let is_other = |recorded: &PathBuf| real(recorded) != real(&self.folder);
        match is_missing {
            false => FolderLook::There,
            true if self.recorded.as_ref().is_some_and(is_other) => FolderLook::Elsewhere,
            true => FolderLook::Missing,
        }
    }
}

impl Looking {
    /// Whether the folder is empty, or has none of the claimed files.
    fn has_nothing(&self) -> io::Result<bool> {
        if is_folder_empty(&self.folder)? {
            return Ok(true);
        }
        let storage = self.storage.as_ref().filter(|_| !self.claimed.is_empty());
        storage.map_or(Ok(false), |it| Ok(!it.has_any(&self.claimed)?))
    }
}

fn error(folder: &Path) -> Error {
    let folder = folder.display().to_string();
    let words = format!(
        "the folder {folder} is missing or out of reach, or the files that were there are gone"
    );
    Error::because(ErrorKind::PathNotFound, words).about(folder)
}

impl Driver {
    /// Whether there is, or was, something on disk.
    pub(super) fn had_data(&self) -> bool {
        self.records.resume_state.had_data(self.brain.layout())
            || self.storage.work.seed_mode
            || !self.records.saver.known().none()
    }

    /// The bytes of a piece are not there: it is lost, unless the whole folder
    /// is missing.
    pub(super) fn piece_gone(&mut self, piece: PieceIndex, error: DiskError) {
        let is_first = self.location.gone.is_empty();
        self.location.gone.insert(piece, error);
        if is_first {
            self.look_for_gone();
        }
    }

    pub(super) fn look_for_gone(&mut self) {
        let looking = self.looking(false);
        self.tasks
            .spawn(async move { TaskEnd::Gone(looking.look().await) });
    }

    pub(super) fn pieces_gone(&mut self, look: FolderLook) {
        if let FolderLook::Shortage(error) = look {
            let error = Error::from_io(&error, &self.handle.save_path());
            return self.look_later(error);
        }
        let gone = std::mem::take(&mut self.location.gone);
        if !matches!(look, FolderLook::There) {
            // Other pieces may have been found gone by the time it is back.
            return self.folder_gone();
        }
        for (piece, error) in gone {
            self.brain.piece_lost(Instant::now(), piece);
            let error = Error::from(error);
            self.post_error(typed::FILE_ERROR, error);
        }
        self.publish_pieces();
    }

    fn looking(&self, may_be_empty: bool) -> Looking {
        Looking {
            folder: self.handle.save_path().as_ref().clone(),
            storage: self.storage.slot.get().cloned(),
            may_be_empty,
            recorded: None,
            claimed: Vec::new(),
            is_new: false,
            all: Arc::clone(&self.handle.shared.awaited_folders),
            own: self.location.awaited.clone(),
        }
    }

    /// What has to find the folder before its files get another place: those on
    /// a disk that is not mounted would not come along, and would not be found any
    /// more.
    pub(super) fn look_before_change(&self) -> Option<Looking> {
        self.had_data().then(|| Looking {
            claimed: self.records.resume_state.claimed_files(self.brain.layout()),
            ..self.looking(false)
        })
    }

    /// The folder was there, and is gone while it is in use: nothing is done
    /// with it until it is back, and then everything is looked at.
    pub(super) fn folder_gone(&mut self) {
        self.check_input(CheckState::folder_gone);
    }

    /// Looks at the folder for what is to go on then.
    pub(super) fn look_for_root(&mut self, look: Look) {
        let may_be_empty = match look.purpose {
            LookPurpose::Start => look.may_be_empty,
            LookPurpose::Return => look.may_be_empty || !self.had_data(),
            LookPurpose::Check => true,
        };
        let had_data = self.had_data();
        if had_data && !look.may_be_empty && self.handle.is_on_disk() {
            let folders = &self.handle.shared.awaited_folders;
            let awaited = || Arc::new(folders.wait_for(&self.handle.save_path()));
            self.location.awaited.get_or_insert_with(awaited);
        }
        let mut looking = self.looking(may_be_empty);
        looking.is_new = !had_data && !self.storage.slot.get().is_some_and(Storage::has_root);
        if look.purpose == LookPurpose::Start {
            looking.recorded = self.records.resume_state.recorded_path();
            looking.claimed = self.records.resume_state.claimed_files(self.brain.layout());
        }
        self.tasks
            .spawn(async move { TaskEnd::Root(looking.look().await) });
    }

    pub(super) fn root_looked_for(&mut self, found: FolderLook) {
        match found {
            FolderLook::There => {}
            FolderLook::Missing => {
                if self.checking.state.folder_missing(Instant::now()) {
                    self.fail(error(&self.handle.save_path()));
                }
                return self.drain_check_outputs();
            }
            FolderLook::Elsewhere => {
                self.records.resume_state.was_elsewhere();
                self.leave_seed_mode();
            }
            FolderLook::Shortage(error) => {
                self.shortage_began(Error::from_io(&error, &self.handle.save_path()));
                return self.check_input(CheckState::look_is_short);
            }
        }
        self.location.awaited = None;
        self.check_input(CheckState::folder_found);
    }

    /// The files could not be looked at when the torrent began: it is in error
    /// and tries again.
    pub(super) fn start_failed(&mut self, error: impl Into<Error>) {
        self.checking.state.start_failed(Instant::now());
        self.fail(error.into());
    }
}
