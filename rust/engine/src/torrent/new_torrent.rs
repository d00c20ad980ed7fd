//! What a torrent is added with, until its task takes it over.

use std::net::SocketAddr;
use std::sync::Arc;

use torrent_core::move_journal::MoveJournal;
use torrent_core::resume::ResumeData;

use crate::command_queue::Receiver;
use crate::context::path_claims::{ClaimTicket, ClaimedPaths, PathLease};
use crate::disk::AwaitedFolder;
use crate::error::{Error, Result};
use crate::torrent::SecondAdd;
use crate::torrent::handle::{Command, EndsWith, TorrentHandle};
use crate::torrent::resume::ResumeState;

/// What a torrent is said to have on disk. Without a record there is nothing to
/// reject or to verify.
#[derive(Debug, Default)]
pub(crate) struct GivenRecord {
    pub(crate) resume: Option<Box<ResumeData>>,
    /// Why the record is rejected, whatever the files are like.
    pub(crate) rejected: Option<Error>,
    pub(crate) verify_files: bool,
    /// Priorities of pieces that are not known yet.
    pub(crate) piece_priorities: Vec<u8>,
    /// All of it is taken to be there, until it is read.
    pub(crate) seed_mode: bool,
}

impl GivenRecord {
    /// What the torrent's task works with.
    pub(super) fn into_state(self) -> ResumeState {
        let mut state = ResumeState::new(self.resume, self.verify_files, self.rejected);
        state.set_unknown_priorities(self.piece_priorities);
        state
    }
}

/// A claim of paths that is not decided on.
#[derive(Debug)]
pub(crate) struct PendingClaim {
    /// The claim itself, once it is granted.
    pub(crate) lease: Arc<PathLease>,
    /// The paths that are to be claimed, if the torrent's files are known.
    area: Option<ClaimedPaths>,
    /// Its position in the order of claims. `None` before the paths of the
    /// torrents of the state directory are known.
    pub(crate) ticket: Option<ClaimTicket>,
}

impl PendingClaim {
    /// A claim by `lease` of the paths of `area`, which it was made to want.
    pub(crate) fn new(
        lease: PathLease,
        area: Option<ClaimedPaths>,
        ticket: Option<ClaimTicket>,
    ) -> Self {
        Self {
            lease: Arc::new(lease),
            area,
            ticket,
        }
    }

    /// Wants other paths than before, whichever torrent has those names.
    pub(crate) fn want_instead(&mut self, area: ClaimedPaths) -> Result<()> {
        self.lease.want(area.clone(), true)?;
        self.area = Some(area);
        Ok(())
    }

    /// The paths to claim, if there are any; once.
    pub(super) fn take_area(&mut self) -> Option<ClaimedPaths> {
        self.area.take()
    }
}

/// What a torrent is added with, until its task takes it over.
#[derive(Debug)]
pub(crate) struct NewTorrent {
    pub(crate) handle: TorrentHandle,
    pub(crate) commands: Receiver<Command>,
    pub(crate) paused: bool,
    pub(crate) record: GivenRecord,
    /// Peers to try at once.
    pub(crate) peers: Vec<SocketAddr>,
    /// The state directory has the torrent already.
    pub(crate) remembered: bool,
    /// The state directory may have a record of it that was not read.
    pub(crate) may_have_record: bool,
    /// Where its files are, if that changed after its record was written.
    pub(crate) move_journal: Option<Box<MoveJournal>>,
    /// Dropped when the torrent has ended, or never runs.
    pub(crate) ends: EndsWith,
    /// It comes back from the state directory.
    pub(crate) restored: bool,
    pub(crate) claim: PendingClaim,
    /// The folder that its record says had files of it.
    pub(crate) awaited: Option<AwaitedFolder>,
    /// What was given and has no effect.
    pub(crate) without_effect: Vec<String>,
    /// It came before the torrents of the state directory: what it was added
    /// with, until it is looked up what the directory remembers of it.
    pub(crate) early: Option<Box<SecondAdd>>,
}
