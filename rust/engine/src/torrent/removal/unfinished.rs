//! The removal of a torrent that an earlier session has begun. The torrent is not one
//! of the session: its files are deleted, those alone that were written down and have
//! the same place by its record, and then its records. What fails is said, and tried
//! again until the session stops. A torrent of the same hash that is added meanwhile
//! keeps what is left.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Notify, mpsc, watch};
use torrent_core::backoff::Backoff;
use torrent_core::bitfield::Bitfield;
use torrent_core::ids::{FileIndex, InfoHash};
use torrent_core::metainfo::Metainfo;
use torrent_core::move_journal::JournalChange;
use torrent_core::removal_journal::{DoomedFiles, RemovalJournal};

use super::{Doomed, DoomedPlace, claim_end};
use crate::context::Context;
use crate::context::path_claims::{ClaimTicket, Claimant, ClaimedPaths, PathLease, Sharing};
use crate::disk::{SharedFiles, Storage, part_file_in};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{TorrentRef, typed};
use crate::timer::sleep_until;
use crate::torrent::all_left;
use crate::torrent::handle::resume::{path_bytes, path_of};
use crate::torrent::metadata::files_spec;
use crate::torrent::move_storage::apply_step;

/// A torrent that was removed, and has files that are to be deleted.
#[derive(Debug)]
pub(crate) struct UnfinishedRemoval {
    pub(crate) torrent: Arc<TorrentRef>,
    pub(crate) metainfo: Arc<Metainfo>,
    /// Where its files are by its record.
    pub(crate) save_path: PathBuf,
    pub(crate) renamed: BTreeMap<FileIndex, String>,
    pub(crate) part_file_dir: PathBuf,
    /// A change of that which was cut short.
    pub(crate) change: Option<JournalChange>,
    /// What is to be deleted.
    pub(crate) journal: RemovalJournal,
    /// Its turn to claim its paths.
    pub(crate) ticket: Option<ClaimTicket>,
}

/// It has its paths until its files are deleted.
#[derive(Debug)]
struct Removed {
    torrent: Arc<TorrentRef>,
    shared: SharedFiles,
}

impl Claimant for Removed {
    fn torrent_ref(&self) -> Arc<TorrentRef> {
        Arc::clone(&self.torrent)
    }

    fn is_ending(&self) -> bool {
        true
    }

    fn removal(&self) -> Option<u64> {
        // Before all that are removed in this session.
        Some(0)
    }

    fn pieces(&self) -> Arc<Bitfield> {
        Arc::default()
    }

    fn shared_files(&self) -> SharedFiles {
        Arc::clone(&self.shared)
    }
}

/// The session stops, or the torrent is added again.
struct Interrupted;

/// What ends the waiting.
struct Interruption {
    stopping: watch::Receiver<bool>,
    added_again: Arc<Notify>,
}

impl Interruption {
    async fn or<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> std::result::Result<T, Interrupted> {
        tokio::select! {
            biased;
            _ = self.stopping.wait_for(|stopping| *stopping) => Err(Interrupted),
            () = self.added_again.notified() => Err(Interrupted),
            done = work => Ok(done),
        }
    }
}

impl UnfinishedRemoval {
    pub(crate) fn info_hash(&self) -> InfoHash {
        self.torrent.info_hash()
    }

    /// Deletes the files, and then the records. Ends early, with the records as they
    /// are, when the session stops, and when it is notified that the torrent is added
    /// again: that deletes them before it begins.
    pub(crate) async fn finish(mut self, context: Arc<Context>, added_again: Arc<Notify>) {
        let mut interruption = Interruption {
            stopping: context.services.stopping.subscribe(),
            added_again,
        };
        let info_hash = self.torrent.info_hash();
        if let Ok(lease) = self.delete(&context, &mut interruption).await {
            // Its records go before others have its paths.
            let _ = interruption.or(forget(&context, info_hash)).await;
            drop(lease);
        }
    }

    /// Deletes the files; tries again what fails. Returns the paths when there is nothing
    /// more to be done.
    async fn delete(
        &mut self,
        context: &Context,
        interruption: &mut Interruption,
    ) -> std::result::Result<Arc<PathLease>, Interrupted> {
        let events = &context.services.events;
        let mut backoff = Backoff::of_disk();
        loop {
            // Other torrents do not wait for a disk that is not mounted.
            let (owner, lease) = self.lease(context);
            let shared = owner.shared_files();
            let doomed = self.doomed(context, &lease, shared);
            let deleted = match interruption.or(doomed).await? {
                Ok(doomed) => doomed.delete_there().await,
                // Another torrent has its place, or it is not what was written down.
                Err(error) => {
                    self.post_failure(context, error);
                    return Ok(lease);
                }
            };
            match deleted {
                Ok(()) => {
                    events.post(typed::TORRENT_DELETED, Some(&self.torrent), || ());
                    return Ok(lease);
                }
                Err(error) if backoff.failed(Instant::now()) => self.post_failure(context, error),
                Err(_) => {}
            }
            drop(lease);
            let pause = sleep_until(backoff.poll_timeout());
            interruption.or(pause).await?;
        }
    }

    fn post_failure(&self, context: &Context, error: Error) {
        let events = &context.services.events;
        events.post(typed::TORRENT_DELETE_FAILED, Some(&self.torrent), || error);
    }

    /// A right to paths, and what has it as long as it lives.
    fn lease(&self, context: &Context) -> (Arc<dyn Claimant>, Arc<PathLease>) {
        let owner: Arc<dyn Claimant> = Arc::new(Removed {
            torrent: Arc::clone(&self.torrent),
            shared: SharedFiles::default(),
        });
        let path_claims = &context.services.path_claims;
        let lease = path_claims.lease(&owner, Bitfield::default());
        (owner, Arc::new(lease))
    }

    /// Claims the paths, and finds out which of the files go: those that were written
    /// down where the record says that they are.
    async fn doomed(
        &mut self,
        context: &Context,
        lease: &Arc<PathLease>,
        shared: SharedFiles,
    ) -> Result<Doomed> {
        let area = ClaimedPaths::new(
            &self.save_path,
            Arc::clone(&self.metainfo),
            self.renamed.clone(),
            &self.part_file_dir,
        );
        let ticket = self.ticket.take();
        let ticket = ticket.unwrap_or_else(|| context.services.path_claims.ticket());
        let reserved = lease.take(ticket, area, Sharing::Same).await?;
        all_left(reserved.after).await;
        let info = &self.metainfo.info;
        let open = |save_path: &Path, renamed: &BTreeMap<FileIndex, String>| {
            let part_file = part_file_in(&self.part_file_dir, info.hash());
            let spec = files_spec(info, save_path, renamed, part_file, Arc::clone(&shared))?;
            // It is only deleted from.
            let (events, _) = mpsc::channel(1);
            Ok::<_, Error>(context.disk.open(spec, events))
        };
        let here = open(&self.save_path, &self.renamed)?;
        let mut doomed = Doomed {
            here: listed(here, &self.journal.files)?,
            carried: None,
        };
        if let Some(files) = &self.journal.carried {
            let change = self.change.as_ref().ok_or_else(elsewhere)?;
            let (mut save_path, mut renamed) = (self.save_path.clone(), self.renamed.clone());
            apply_step(&change.step, &mut save_path, &mut renamed);
            claim_end(lease, &change.step).await?;
            doomed.carried = Some(listed(open(&save_path, &renamed)?, files)?);
        }
        Ok(doomed)
    }
}

/// Those of the files that were written down. Fails where that was of another folder.
fn listed(storage: Storage, files: &DoomedFiles) -> Result<DoomedPlace> {
    if path_bytes(&storage.save_path()) != files.folder {
        return Err(elsewhere());
    }
    let names: HashSet<_> = files.names.iter().map(|name| path_of(name)).collect();
    Ok(DoomedPlace {
        files: storage.files_named(&names),
        storage,
    })
}

fn elsewhere() -> Error {
    let words = "its record is of another place than the one where files were being deleted";
    Error::because(ErrorKind::TorrentRemoveFailed, words)
}

/// Deletes the records; tries again what fails.
async fn forget(context: &Context, info_hash: InfoHash) {
    let Some(state_store) = context.services.state_store.get() else {
        return;
    };
    let mut backoff = Backoff::of_disk();
    while state_store.forget(info_hash).await.is_err() {
        backoff.failed(Instant::now());
        sleep_until(backoff.poll_timeout()).await;
    }
}
