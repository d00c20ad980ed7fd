//! Which torrent of a session owns which paths on disk.
//!
//! A torrent has the paths of its files and of its part file, from when it
//! begins (or its metadata comes) until its files are closed for good. Another
//! torrent that wants one of them is refused, and the error names the first;
//! but where both say the same of a file (length, and hashes of the same
//! pieces), and the first has all of it, both may have it and neither writes
//! it: see [`SharedFiles`]. A torrent that is being removed is waited for. Of
//! several that share a file and are removed, the last one deletes it. The
//! session's state directory belongs to no torrent.
//!
//! Paths are compared where they lead to (`disk::canonical`), without regard to the
//! case of letters unless the file system turns out to distinguish names by it; two
//! names of one file are one place. Names below the save path are never
//! symbolic links (`disk::path`). Two sessions do not know each other's paths.
//!
//! The disk is looked at by a [`Survey`], in a thread that may wait for it.
//! [`ClaimTable`] decides under a lock, in the order of [`ClaimTicket`]s, by what the
//! survey says. Before that a torrent is refused at once where the names that
//! were given are enough to say so ([`PathLease::want`]).

mod area;
mod claim_order;
mod claims;
mod survey;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use torrent_core::bitfield::Bitfield;
use torrent_core::ids::FileIndex;

pub(crate) use area::ClaimedPaths;
use claim_order::ClaimOrder;
pub(crate) use claim_order::ClaimTicket;
use claims::{ClaimTable, Decision};
use survey::Survey;

use crate::disk::{SharedFiles, is_case_blind, real};
use crate::error::{Error, ErrorKind, Result};
use crate::event::TorrentRef;

/// A torrent that has a place.
pub(crate) trait Claimant: fmt::Debug + Send + Sync {
    /// What names it.
    fn torrent_ref(&self) -> Arc<TorrentRef>;

    /// Whether it is being removed.
    fn is_ending(&self) -> bool;

    /// When it was removed, as a number in the order of removals.
    fn removal(&self) -> Option<u64>;

    /// The pieces that it has.
    fn pieces(&self) -> Arc<Bitfield>;

    /// The files that other torrents have too.
    fn shared_files(&self) -> SharedFiles;
}

/// The places of all torrents of a session.
#[derive(Debug, Default)]
pub(crate) struct PathClaims {
    claims: Mutex<ClaimTable>,
    line: Arc<ClaimOrder>,
    /// Torrents that were removed so far.
    removals: Mutex<u64>,
    /// The state directory: no torrent has files in it.
    state_dir: OnceLock<PathBuf>,
    /// Torrents of the state directory have not all got their tickets yet.
    incomplete: watch::Sender<bool>,
}

/// A torrent's right to its places, until it is dropped.
#[derive(Debug)]
pub(crate) struct PathLease {
    path_claims: Arc<PathClaims>,
    id: u64,
}

/// What becomes of files that another torrent has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// They are shared where they are the same.
    Same,
    /// They are an error.
    Never,
}

/// Places that a torrent will have if all goes well.
#[derive(Debug)]
pub(crate) struct Reserved {
    areas: Vec<u64>,
    /// The torrents whose end is to be waited for.
    pub(crate) after: Vec<watch::Receiver<bool>>,
}

/// That a file would be in the state directory.
fn in_state_dir(path: &Path) -> Error {
    let words = "the session keeps its state there";
    Error::because(ErrorKind::InvalidPath, words).about(path.display().to_string())
}

/// Fails where a file of these places would be in the state directory. Waits for
/// the disk.
fn check_outside(areas: &[ClaimedPaths], state_dir: &Path) -> Result<()> {
    let folder = real(state_dir);
    for area in areas {
        if let Some(path) = area.in_folder(&folder, || is_case_blind(&folder)) {
            return Err(in_state_dir(&path));
        }
    }
    Ok(())
}

impl PathClaims {
    /// Keeps the files of torrents out of the state directory, an absolute path.
    /// That is said once.
    pub(crate) fn keep_out_of(&self, state_dir: &Path) {
        let _ = self.state_dir.set(state_dir.to_owned());
    }

    /// A right to places for `owner`, none at first. Its record says that
    /// `believed` is there.
    pub(crate) fn lease(
        self: &Arc<Self>,
        owner: &Arc<dyn Claimant>,
        believed: Bitfield,
    ) -> PathLease {
        let id = self.claims.lock().enter(owner, believed);
        PathLease {
            path_claims: Arc::clone(self),
            id,
        }
    }

    /// A place in the line of those that take places.
    pub(crate) fn ticket(&self) -> ClaimTicket {
        self.line.ticket()
    }

    /// Whether torrents of the state directory are still to get tickets.
    pub(crate) fn set_incomplete(&self, incomplete: bool) {
        self.incomplete.send_replace(incomplete);
    }

    /// A ticket for a torrent that is not of the state directory, if all that
    /// are have theirs.
    pub(crate) fn try_newcomer_ticket(&self) -> Option<ClaimTicket> {
        (!*self.incomplete.borrow()).then(|| self.ticket())
    }

    /// The same, when it is so.
    pub(crate) async fn newcomer_ticket(&self) -> ClaimTicket {
        let mut incomplete = self.incomplete.subscribe();
        // The sender is borrowed: it does not go away.
        let _ = incomplete.wait_for(|incomplete| !*incomplete).await;
        self.ticket()
    }

    /// Notes that a torrent is removed, and in which order.
    pub(crate) fn removed(&self, removal: &watch::Sender<Option<u64>>) {
        let mut removals = self.removals.lock();
        *removals += 1;
        removal.send_replace(Some(*removals));
    }
}

impl PathLease {
    /// Says which place it is going to take. Fails if the names alone say that
    /// another torrent has it, or that it is in the state directory, unless
    /// `anyway`.
    pub(crate) fn want(&self, area: ClaimedPaths, anyway: bool) -> Result<()> {
        if let Some(state_dir) = self.path_claims.state_dir.get().filter(|_| !anyway)
            && let Some(path) = area.in_folder_by_name(state_dir)
        {
            return Err(in_state_dir(&path));
        }
        self.path_claims.claims.lock().want(self.id, area, anyway)
    }

    /// Takes a place, if no other torrent has it, or shares it.
    pub(crate) async fn take(
        self: &Arc<Self>,
        ticket: ClaimTicket,
        area: ClaimedPaths,
        sharing: Sharing,
    ) -> Result<Reserved> {
        let look = move || vec![area.looked_up()];
        self.reserve(Some(ticket), look, sharing, Moves::Nothing)
            .await
    }

    /// Takes the place that a file would have by another name.
    pub(crate) async fn take_name(
        self: &Arc<Self>,
        file: FileIndex,
        name: String,
    ) -> Result<Reserved> {
        let areas = self.areas();
        let about = name.clone();
        let look = move || {
            let areas = areas.iter().map(|area| area.of_one(file, &name));
            areas.collect()
        };
        let words = "a torrent that is being removed has a file of that name";
        let reserve = self.reserve(None, look, Sharing::Never, Moves::One(file));
        self.at_once(reserve.await?, words, about)
    }

    /// Takes the places that the files would have in another folder, where
    /// they are to be moved or, with `sharing`, are already.
    pub(crate) async fn take_folder(
        self: &Arc<Self>,
        folder: PathBuf,
        sharing: Sharing,
    ) -> Result<Reserved> {
        let areas = self.areas();
        let about = folder.display().to_string();
        let look = move || {
            let areas = areas.iter().take(1);
            areas.map(|area| area.at(&folder).looked_up()).collect()
        };
        let moves = match sharing {
            Sharing::Never => Moves::All,
            Sharing::Same => Moves::Nothing,
        };
        let words = "a torrent that is being removed has files there";
        let reserve = self.reserve(None, look, sharing, moves);
        self.at_once(reserve.await?, words, about)
    }

    fn ticket(&self) -> ClaimTicket {
        self.path_claims.ticket()
    }

    fn areas(&self) -> Vec<Arc<ClaimedPaths>> {
        self.path_claims.claims.lock().areas(self.id)
    }

    async fn reserve(
        self: &Arc<Self>,
        ticket: Option<ClaimTicket>,
        look: impl FnOnce() -> Vec<ClaimedPaths> + Send + 'static,
        sharing: Sharing,
        moves: Moves,
    ) -> Result<Reserved> {
        let state_dir = self.path_claims.state_dir.get().cloned();
        let surveyed = spawn_blocking(move || {
            let areas = look();
            if let Some(state_dir) = state_dir {
                check_outside(&areas, &state_dir)?;
            }
            Ok::<_, Error>(Survey::of(areas))
        });
        let survey = surveyed.await.map_err(failed)??;
        // Of those that are added the order is kept. Others wait for no disk but
        // their own, and hold nothing up.
        let ticket = ticket.unwrap_or_else(|| self.ticket());
        ticket.ready().await;
        let lease = Arc::clone(self);
        let decided = spawn_blocking(move || lease.decide(survey, sharing, moves));
        let decided = decided.await.map_err(failed)?;
        drop(ticket);
        decided
    }

    fn decide(&self, mut survey: Survey, sharing: Sharing, moves: Moves) -> Result<Reserved> {
        loop {
            let decision = {
                let mut claims = self.path_claims.claims.lock();
                claims.check_alone(self.id, moves)?;
                claims.reserve(self.id, &survey, sharing)?
            };
            match decision {
                Decision::Taken(reserved) => return Ok(reserved),
                Decision::Open(pending_looks) => survey.answer(pending_looks),
            }
        }
    }

    /// What was reserved, unless it would have to be waited for.
    fn at_once(&self, reserved: Reserved, words: &'static str, about: String) -> Result<Reserved> {
        if reserved.after.is_empty() {
            return Ok(reserved);
        }
        self.give_up(&reserved);
        Err(Error::because(ErrorKind::InvalidPath, words).about(about))
    }

    /// The file has the name that was reserved.
    pub(crate) fn renamed(&self, reserved: &Reserved, file: FileIndex, name: &str) {
        let mut claims = self.path_claims.claims.lock();
        claims.give_up(self.id, &reserved.areas);
        claims.rename(self.id, file, name);
    }

    /// The files are where it was reserved, and nowhere else.
    pub(crate) fn moved(&self, reserved: &Reserved) {
        let mut claims = self.path_claims.claims.lock();
        claims.keep_only(self.id, &reserved.areas);
    }

    /// What was reserved is not needed after all.
    pub(crate) fn give_up(&self, reserved: &Reserved) {
        let mut claims = self.path_claims.claims.lock();
        claims.give_up(self.id, &reserved.areas);
    }

    /// It is known which pieces there are, whatever a record said.
    pub(crate) fn checked(&self) {
        self.path_claims.claims.lock().checked(self.id);
    }

    /// Whether it has any place.
    pub(crate) fn has_place(&self) -> bool {
        !self.areas().is_empty()
    }

    /// The torrents that share files with it and were removed before it: it
    /// deletes what they leave.
    pub(crate) fn removed_before(&self) -> Vec<watch::Receiver<bool>> {
        self.path_claims.claims.lock().removed_before(self.id)
    }

    /// The files are closed, and stay the torrent's: it comes back with the
    /// next session. Others that share them do not delete them.
    pub(crate) fn stay(&self) {
        self.path_claims.claims.lock().stay(self.id);
    }

    /// Gives up all places: the files are closed.
    pub(crate) fn release(&self) {
        self.path_claims.claims.lock().leave(self.id);
    }
}

impl Drop for PathLease {
    fn drop(&mut self) {
        self.release();
    }
}

/// The files that are to lie elsewhere. Those that are shared stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moves {
    Nothing,
    One(FileIndex),
    All,
}

/// A look at the disk that panicked.
fn failed(error: tokio::task::JoinError) -> Error {
    Error::because(ErrorKind::InternalException, error.to_string())
}
