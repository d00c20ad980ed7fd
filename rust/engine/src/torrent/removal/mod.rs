//! The removal of a torrent with its files. Which files go is written down before
//! the first one does (`torrent_core::removal_journal`), the records go after them:
//! a process that is killed meanwhile leaves the rest to the next session
//! ([`unfinished`]), and never brings the torrent back without the files that are
//! gone.

mod unfinished;

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::task::spawn_blocking;
use torrent_core::ids::{FileIndex, InfoHash};
use torrent_core::move_journal::{JournalChange, JournalStep};
use torrent_core::removal_journal::{DoomedFiles, RemovalJournal};

use super::Driver;
use crate::context::Context;
use crate::context::path_claims::{PathLease, Sharing};
use crate::disk::{MoveMode, Storage};
use crate::error::{Error, ErrorKind, Result};
use crate::event::typed;
use crate::torrent::handle::resume::{path_bytes, path_of};
use crate::torrent::handle::storage::Deletion;
pub(crate) use unfinished::UnfinishedRemoval;

/// Files of one place that go.
struct DoomedPlace {
    storage: Storage,
    files: BTreeSet<FileIndex>,
}

/// All files that go.
struct Doomed {
    here: DoomedPlace,
    /// Those that a change of places which was cut short has carried.
    carried: Option<DoomedPlace>,
}

impl DoomedPlace {
    fn written(&self) -> DoomedFiles {
        let names = self.storage.names_of(&self.files);
        DoomedFiles {
            folder: path_bytes(&self.storage.save_path()),
            names: names.iter().map(|name| path_bytes(name)).collect(),
        }
    }
}

impl Doomed {
    fn journal(&self, info_hash: InfoHash) -> RemovalJournal {
        RemovalJournal {
            info_hash,
            files: self.here.written(),
            carried: self.carried.as_ref().map(DoomedPlace::written),
        }
    }

    /// Deletes them. Goes on after an error and returns the first.
    async fn delete(&self) -> Result<()> {
        let mut outcome = Ok(());
        for place in [&self.here].into_iter().chain(&self.carried) {
            let deleted = place.storage.delete(place.files.clone()).await;
            outcome = outcome.and(deleted.map_err(Error::from));
        }
        outcome
    }

    /// Deletes them, where there were files: a folder that is missing may be on a disk
    /// that is not mounted.
    async fn delete_there(&self) -> Result<()> {
        match self.missing_folder().await {
            None => self.delete().await,
            Some(error) => Err(error),
        }
    }

    /// Why nothing can be deleted.
    async fn missing_folder(&self) -> Option<Error> {
        let places = [&self.here].into_iter().chain(&self.carried);
        let places = places.filter(|place| !place.files.is_empty());
        let folders: Vec<_> = places.map(|place| place.storage.save_path()).collect();
        let is_there = |folder: &PathBuf| match std::fs::metadata(folder) {
            Ok(metadata) if metadata.is_dir() => Ok(()),
            Ok(_) => Err(io::ErrorKind::NotADirectory.into()),
            Err(error) => Err(error),
        };
        let look = move || {
            let mut looks = folders
                .iter()
                .map(|folder| is_there(folder).map_err(|error| Error::from_io(&error, folder)));
            looks.find_map(Result::err)
        };
        // A panic says nothing of the folders.
        spawn_blocking(look).await.ok().flatten()
    }
}

/// Claims the places that files have when a change is over, if no other torrent has
/// them.
async fn claim_end(lease: &Arc<PathLease>, step: &JournalStep) -> Result<()> {
    let reserved = match step {
        JournalStep::Move { to, .. } => lease.take_folder(path_of(to), Sharing::Same).await?,
        JournalStep::Rename { file, to } => {
            let name = String::from_utf8_lossy(to).into_owned();
            lease.take_name(*file, name).await?
        }
    };
    // It has them until it has ended.
    drop(reserved);
    Ok(())
}

/// Deletes what the state directory has of a torrent. What fails is reported and
/// tried again.
pub(super) async fn forget(context: &Context, info_hash: InfoHash) {
    if let Some(state_store) = context.services.state_store.get() {
        let _ = state_store.forget(info_hash).await;
    }
}

impl Driver {
    /// Deletes what goes with the torrent, and its records. The storage is closed.
    pub(super) async fn delete_and_forget(&mut self, what: Deletion) {
        match self.delete(what).await {
            _ if what == Deletion::Nothing => {}
            Ok(()) => self.post(typed::TORRENT_DELETED, || ()),
            Err(error) => self.post(typed::TORRENT_DELETE_FAILED, || error),
        }
        forget(&self.context, self.handle.info_hash()).await;
    }

    async fn delete(&self, what: Deletion) -> Result<()> {
        if what == Deletion::Nothing {
            return Ok(());
        }
        let Some(storage) = self.storage.slot.get() else {
            return match self.records.is_unread {
                true => Err(unread()),
                // There is nothing to delete.
                false => Ok(()),
            };
        };
        let parts_only = what == Deletion::PartFile;
        let files = storage.files_to_delete(parts_only).await?;
        let mut doomed = Doomed {
            here: DoomedPlace {
                storage: storage.clone(),
                files,
            },
            carried: None,
        };
        let mut found = Ok(());
        if let Some(change) = self.location.work.interrupted() {
            match self.carried(storage, change, parts_only).await {
                Ok(carried) => doomed.carried = carried,
                // What is known goes all the same.
                Err(error) => found = Err(error),
            }
        }
        // Of a torrent in memory nothing is left that a journal could find again.
        let state_store = self.context.services.state_store.get();
        if let Some(state_store) = state_store.filter(|_| self.handle.is_on_disk()) {
            let journal = doomed.journal(self.handle.info_hash());
            let written = state_store.begin_removal(&journal).await;
            // Files are not deleted of a torrent that may come back.
            written.map_err(|error| Error::from_io(&error, state_store.folder()))?;
        }
        if self.had_data() {
            doomed.delete_there().await.and(found)
        } else {
            // Its folder may never have been made.
            doomed.delete().await.and(found)
        }
    }

    /// The files that a change which was cut short has brought to their new place.
    async fn carried(
        &self,
        storage: &Storage,
        change: &JournalChange,
        parts_only: bool,
    ) -> Result<Option<DoomedPlace>> {
        let there = self.storage_after(&change.step)?;
        let mut carried: BTreeSet<_> = change.carried.iter().copied().collect();
        if parts_only {
            let parts = there.all_files().pop();
            carried.retain(|file| Some(*file) == parts);
        }
        let mut copies = false;
        let mode = match &change.step {
            JournalStep::Move { mode, .. } => MoveMode::from_number((*mode).into()),
            JournalStep::Rename { .. } => None,
        };
        if mode.is_some_and(|mode| !mode.moves()) {
            return Ok(None);
        }
        claim_end(&self.location.lease, &change.step).await?;
        if let JournalStep::Move { to, .. } = &change.step {
            // Takes away what is half copied, too.
            let any = storage.has_copies(path_of(to), carried.clone()).await?;
            copies = any && mode != Some(MoveMode::DontReplace);
        }
        let files = storage.arrived(&there, carried, copies).await?;
        Ok(Some(DoomedPlace {
            storage: there,
            files,
        }))
    }
}

/// That it is not known which files there are.
pub(super) fn unread() -> Error {
    let words = "its record cannot be read: files of it may be left";
    Error::because(ErrorKind::TorrentRemoveFailed, words)
}
