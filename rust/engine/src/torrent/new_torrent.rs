//! A torrent on its way to its task.

use std::net::SocketAddr;
use std::sync::Arc;

use torrent_core::move_journal::MoveJournal;
use torrent_core::resume::ResumeData;

use crate::command_queue::Receiver;
use crate::context::path_claims::{ClaimTicket, ClaimedPaths, PathLease};
use crate::error::Error;
use crate::torrent::handle::{Command, EndsWith, Options, TorrentHandle};

/// A torrent on its way to its task.
#[derive(Debug)]
pub(crate) struct NewTorrent {
    pub(crate) handle: TorrentHandle,
    pub(crate) commands: Receiver<Command>,
    pub(crate) paused: bool,
    pub(crate) resume: Option<Box<ResumeData>>,
    /// Why that is not believed, whatever the files say.
    pub(crate) rejected: Option<Error>,
    pub(crate) verify_files: bool,
    /// Peers to try at once.
    pub(crate) peers: Vec<SocketAddr>,
    /// Priorities of pieces that are not known yet.
    pub(crate) piece_priorities: Vec<u8>,
    /// It is in the state directory already.
    pub(crate) remembered: bool,
    /// Where its files are, if that changed after its record was written.
    pub(crate) move_journal: Option<Box<MoveJournal>>,
    pub(crate) seed_mode: bool,
    /// Says that the torrent has ended once it has, or never ran.
    pub(crate) ends: EndsWith,
    /// It comes back from the state directory.
    pub(crate) restored: bool,
    /// Its place on disk, once it has one.
    pub(crate) lease: Arc<PathLease>,
    /// The one that it is going to take, if its files are known.
    pub(crate) area: Option<ClaimedPaths>,
    /// Its turn to take it. `None` before the places of the torrents of the
    /// state directory are known.
    pub(crate) ticket: Option<ClaimTicket>,
    /// What was given and has no effect.
    pub(crate) without_effect: Vec<String>,
    /// It came before the session had its folder: what it was registered with,
    /// until what the folder remembers of it is looked up.
    pub(crate) early: Option<Box<Options>>,
}
