//! What a torrent is added with, until its task takes it over.

use std::net::SocketAddr;
use std::sync::Arc;

use torrent_core::move_journal::MoveJournal;
use torrent_core::resume::ResumeData;

use crate::command_queue::Receiver;
use crate::context::path_claims::{ClaimTicket, ClaimedPaths, PathLease};
use crate::disk::AwaitedFolder;
use crate::error::Error;
use crate::torrent::SecondAdd;
use crate::torrent::handle::{Command, EndsWith, TorrentHandle};

/// What a torrent is added with, until its task takes it over.
#[derive(Debug)]
pub(crate) struct NewTorrent {
    pub(crate) handle: TorrentHandle,
    pub(crate) commands: Receiver<Command>,
    pub(crate) paused: bool,
    pub(crate) resume: Option<Box<ResumeData>>,
    /// Why the record is rejected, whatever the files are like.
    pub(crate) rejected: Option<Error>,
    pub(crate) verify_files: bool,
    /// Peers to try at once.
    pub(crate) peers: Vec<SocketAddr>,
    /// Priorities of pieces that are not known yet.
    pub(crate) piece_priorities: Vec<u8>,
    /// The state directory has the torrent already.
    pub(crate) remembered: bool,
    /// The state directory may have a record of it that was not read.
    pub(crate) may_have_record: bool,
    /// Where its files are, if that changed after its record was written.
    pub(crate) move_journal: Option<Box<MoveJournal>>,
    pub(crate) seed_mode: bool,
    /// Dropped when the torrent has ended, or never runs.
    pub(crate) ends: EndsWith,
    /// It comes back from the state directory.
    pub(crate) restored: bool,
    /// The claim of its paths, once it is granted.
    pub(crate) lease: Arc<PathLease>,
    /// The paths that it is going to claim, if its files are known.
    pub(crate) area: Option<ClaimedPaths>,
    /// The folder that its record says had files of it.
    pub(crate) awaited: Option<AwaitedFolder>,
    /// Its position in the order of claims. `None` before the paths of the torrents
    /// of the state directory are known.
    pub(crate) ticket: Option<ClaimTicket>,
    /// What was given and has no effect.
    pub(crate) without_effect: Vec<String>,
    /// It came before the torrents of the state directory: what it was added
    /// with, until it is looked up what the directory remembers of it.
    pub(crate) early: Option<Box<SecondAdd>>,
}
