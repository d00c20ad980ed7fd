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
//! that is awaited (`disk::awaited`).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;
use torrent_core::backoff::Backoff;
use torrent_core::bitfield::Bitfield;
use torrent_core::ids::{FileIndex, PieceIndex};

use super::{Driver, TaskEnd};
use crate::disk::{
    AwaitedFolder, AwaitedFolders, CheckMode, DiskError, Storage, is_folder_empty, is_shortage,
    real,
};
use crate::error::{Error, ErrorKind};
use crate::event::{Detail, kind};

/// The first pause before another look for the folder.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest one.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What the torrent goes on with once the folder is there.
#[derive(Debug)]
pub(super) enum SavePathAction {
    /// The record is judged, or everything is checked.
    Start,
    /// A check begins.
    Check(CheckMode),
    /// A check that found less than there was counts.
    Accept(Bitfield),
    /// Everything is checked: the folder was gone while it was in use.
    Return,
}

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
struct Looking {
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

    fn look_now(&self) -> FolderLook {
        let is_known = || {
            let storage = self.storage.as_ref();
            storage.is_some_and(Storage::is_root_on_its_device)
        };
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

/// What is known of the folder.
#[derive(Debug)]
pub(super) struct SavePathState {
    next: Option<SavePathAction>,
    looking: bool,
    /// It has been seen since the torrent began.
    seen: bool,
    /// An empty folder is what is left where a disk is not mounted; the game
    /// has asked for a check all the same.
    may_be_empty: bool,
    /// Pieces whose bytes were gone when they were read, while that is being
    /// looked into.
    gone: BTreeMap<PieceIndex, DiskError>,
    /// Keeps other torrents from making the folder, from before the torrent
    /// looks for it until it is there.
    awaited: Option<Arc<AwaitedFolder>>,
    backoff: Backoff,
}

impl Default for SavePathState {
    fn default() -> Self {
        Self {
            next: None,
            looking: false,
            seen: false,
            may_be_empty: false,
            gone: BTreeMap::new(),
            awaited: None,
            backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
        }
    }
}

impl SavePathState {
    /// The torrent begins: it had its files there if the folder is `awaited`.
    pub(super) fn begin(&mut self, awaited: Option<AwaitedFolder>) {
        self.awaited = awaited.map(Arc::new);
    }

    /// When to look for it again.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.backoff.poll_timeout().filter(|_| !self.looking)
    }

    /// Whether something waits for the folder.
    pub(super) fn is_awaited(&self) -> bool {
        self.next.is_some()
    }

    /// Cancels a check that waits for a look at the folder. False if the
    /// folder is missing, or something else waits.
    pub(super) fn cancel_check(&mut self) -> bool {
        let is_check = matches!(self.next, Some(SavePathAction::Check(_)));
        let gives_up = is_check && !self.backoff.is_failing();
        if gives_up {
            self.next = None;
        }
        gives_up
    }

    /// Whether the first look is not done yet.
    pub(super) fn is_awaited_to_start(&self) -> bool {
        matches!(self.next, Some(SavePathAction::Start))
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

    /// Looks for the folder before the torrent begins. False if that is done,
    /// or not needed: a new torrent's folder is created.
    pub(super) fn looks_for_root(&mut self) -> bool {
        let looks = !self.location.root.seen && self.had_data();
        if looks {
            self.look_for_root(SavePathAction::Start);
        }
        looks
    }

    /// The start no longer waits for the folder.
    pub(super) fn starts(&mut self) {
        if self.location.root.is_awaited_to_start() {
            self.location.root.next = None;
        }
        self.location.root.awaited = None;
    }

    /// The bytes of a piece are not there: it is lost, unless the whole folder
    /// is missing.
    pub(super) fn piece_gone(&mut self, piece: PieceIndex, error: DiskError) {
        let is_first = self.location.root.gone.is_empty();
        self.location.root.gone.insert(piece, error);
        if is_first {
            self.look_for_gone();
        }
    }

    fn look_for_gone(&mut self) {
        let looking = self.looking(false);
        self.tasks
            .spawn(async move { TaskEnd::Gone(looking.look().await) });
    }

    pub(super) fn pieces_gone(&mut self, look: FolderLook) {
        if let FolderLook::Shortage(error) = look {
            let error = Error::from_io(&error, &self.handle.save_path());
            return self.look_later(error);
        }
        let gone = std::mem::take(&mut self.location.root.gone);
        if !matches!(look, FolderLook::There) {
            // Other pieces may have been found gone by the time it is back.
            return self.folder_gone();
        }
        for (piece, error) in gone {
            self.brain.piece_lost(Instant::now(), piece);
            let error = Error::from(error);
            self.post(kind::FILE_ERROR, || Detail::Error(error));
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
            own: self.location.root.awaited.clone(),
        }
    }

    /// The folder was there, and is gone while it is in use: nothing is done
    /// with it until it is back, and then everything is looked at.
    pub(super) fn folder_gone(&mut self) {
        // A check that is under way fails for the same reason.
        if self.stop_for_check() {
            self.look_for_root(SavePathAction::Return);
        }
    }

    /// Looks at the folder again now that the shortage is over.
    pub(super) fn look_after_shortage(&mut self) {
        if !self.location.root.gone.is_empty() {
            self.look_for_gone();
        }
        if let Some(next) = self.location.root.next.take() {
            self.look_for_root(next);
        }
    }

    /// Goes on with `next` when the folder has been seen.
    pub(super) fn look_for_root(&mut self, next: SavePathAction) {
        let may_be_empty = self.location.root.may_be_empty
            || match next {
                SavePathAction::Start => false,
                SavePathAction::Return => !self.had_data(),
                SavePathAction::Check(_) | SavePathAction::Accept(_) => true,
            };
        let had_data = self.had_data();
        if had_data && !self.location.root.may_be_empty {
            let folders = &self.handle.shared.awaited_folders;
            let awaited = || Arc::new(folders.wait_for(&self.handle.save_path()));
            self.location.root.awaited.get_or_insert_with(awaited);
        }
        let mut looking = self.looking(may_be_empty);
        looking.is_new = !had_data && !self.storage.slot.get().is_some_and(Storage::has_root);
        if matches!(next, SavePathAction::Start) {
            looking.recorded = self.records.resume_state.recorded_path();
            looking.claimed = self.records.resume_state.claimed_files(self.brain.layout());
        }
        self.location.root.next = Some(next);
        if self.ending || std::mem::replace(&mut self.location.root.looking, true) {
            return;
        }
        self.tasks
            .spawn(async move { TaskEnd::Root(looking.look().await) });
    }

    pub(super) fn root_looked_for(&mut self, look: FolderLook) {
        self.location.root.looking = false;
        match look {
            FolderLook::There => {}
            FolderLook::Missing => {
                let error = error(&self.handle.save_path());
                return self.wait_for_root(error);
            }
            FolderLook::Elsewhere => {
                self.records.resume_state.was_elsewhere();
                self.leave_seed_mode();
            }
            FolderLook::Shortage(error) => {
                let error = Error::from_io(&error, &self.handle.save_path());
                return self.look_later(error);
            }
        }
        self.root_is_back();
        match self.location.root.next.take() {
            Some(SavePathAction::Start) => {
                self.location.root.seen = true;
                self.start_check();
            }
            Some(SavePathAction::Check(mode)) => self.begin_check(mode),
            Some(SavePathAction::Accept(have)) => {
                self.found(Instant::now(), &have);
            }
            Some(SavePathAction::Return) => {
                self.sort_files();
                self.run_check(CheckMode::All);
            }
            None => {}
        }
    }

    /// The action stays pending, and the torrent is in error.
    pub(super) fn wait_for_root(&mut self, error: impl Into<Error>) {
        self.location.root.next.get_or_insert(SavePathAction::Start);
        self.location.root.backoff.failed(Instant::now());
        self.fail(error.into());
    }

    pub(super) fn root_is_back(&mut self) {
        self.location.root.awaited = None;
        if self.location.root.backoff.succeeded() {
            self.forget_error();
        }
    }

    /// Looks again, now.
    pub(super) fn look_again(&mut self) {
        if self.location.root.looking {
            return;
        }
        // Posted once for each time that the folder is missing.
        self.location.root.backoff.attempt();
        match self.location.root.next.take() {
            // From the beginning: a move may have to be finished first.
            Some(SavePathAction::Start) => {
                self.location.root.next = Some(SavePathAction::Start);
                self.start_check();
            }
            Some(next) => self.look_for_root(next),
            None => {}
        }
    }

    /// The game wants a check while the folder is awaited: it follows.
    pub(super) fn recheck_when_root_is_back(&mut self) {
        self.location.root.may_be_empty = true;
        // Where several wait for one folder, the game says it of each.
        self.location.root.awaited = None;
        if !self.location.root.is_awaited_to_start() {
            self.location.root.next = Some(SavePathAction::Check(CheckMode::All));
        }
        self.look_again();
    }
}
