//! The public face of one torrent: cheap to clone, safe to keep after the
//! torrent is gone. Reads come from the last snapshot; commands are posted to
//! the torrent's task.
//!
//! Here is what a handle shares with its task, and how the task is notified. Each module adds the methods of one topic; those of `modes`,
//! `storage`, `post` and `resume` are beside the types that they use.
//! Sessions make handles (`session`), games and the shim call them.

mod identity;
mod lazy;
mod lifetime;
mod limits;
mod links;
mod merge;
mod metadata;
pub mod modes;
mod options;
mod patch;
mod peers;
mod pieces;
pub mod post;
mod priorities;
mod queue;
pub mod resume;
pub(crate) mod snapshots;
mod status;
pub mod storage;
mod trackers;
mod unsaved;
mod validate;
mod wait;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use torrent_core::choker::Changes;
use torrent_core::ids::{InfoHash, InfoHashes, PieceIndex, TorrentKey};
use torrent_core::metainfo::Info;

pub(crate) use identity::Identity;
pub(crate) use lifetime::Lifetime;
pub(crate) use options::{Options, PlainOptions};
pub use patch::OptionsPatch;
pub(crate) use priorities::piece_priorities;
pub(crate) use queue::QueueMembership;
pub(crate) use status::{Shown, View};
pub(crate) use trackers::Reannounce;
pub(crate) use unsaved::Unsaved;
pub use validate::MAX_RATE;
pub(crate) use validate::{
    check_file_index, check_file_priorities, check_limit, check_peer, check_priorities, check_rate,
    check_tracker, check_web_seed,
};
pub use wait::AwaitedRecord;
pub(crate) use wait::EndsWith;

use crate::command_queue::{CommandPermit, Pending, QueueError, Sender};
use crate::context::Services;
use crate::disk::{AwaitedFolders, SharedFiles};
use crate::error::{Error, ErrorKind, Result};
use crate::event::TorrentRef;
use crate::event::command_sequence::{CommandSequence, CommandTopic};
use crate::peer::Arrival;
use post::PostRequest;
use resume::{SaveFlags, SaveRequest};
use storage::{Deletion, StorageCommand};

/// Messages that wait for a torrent's task. Beyond that the caller gets an
/// error: a task that is a thousand commands behind is stuck, or the game asks
/// for too much at once.
const CALLS: usize = 1024;

/// The same for commands that are rare and matter more: moves, saves, metadata;
/// and for the choker's decisions.
const WEIGHTY: usize = 2 * CALLS;

/// The same for incoming connections: they take no place from the game's commands.
const PEERS: usize = CALLS / 2;

/// Commands for a torrent.
#[derive(Debug)]
pub(crate) enum Command {
    /// Look at a state again that has changed.
    Look(PendingState),
    /// Announce soon.
    Reannounce(Reannounce),
    /// Ask a tracker, by index, or the one that works for its numbers.
    Scrape(Option<usize>),
    /// Connect to this peer.
    Connect(SocketAddr),
    /// These are peers of the torrent.
    Peers(Vec<SocketAddr>),
    /// Fetch this piece in time.
    Deadline {
        piece: PieceIndex,
        after: Duration,
        alert: bool,
    },
    /// Forget the deadline of this piece, or of all.
    ResetDeadline(Option<PieceIndex>),
    /// Read a verified piece and post it.
    ReadPiece(PieceIndex, Option<oneshot::Sender<Result<Bytes>>>),
    /// Write everything that can be written to the files.
    Flush(Option<oneshot::Sender<()>>),
    /// Move or rename files.
    Storage(Box<StorageCommand>),
    /// Take in this connection.
    Incoming(Box<Arrival>),
    /// Choke and unchoke these.
    Choking(Changes),
    /// Ban this address.
    Ban(IpAddr),
    /// Closes up to so many of the least useful connections for new ones.
    TurnOver(usize),
    /// This is the torrent's info dictionary.
    Metadata(Arc<Info>),
    /// Answer this `post_*` request with an event.
    Ask(PostRequest),
    /// Save resume data.
    SaveResumeData(SaveRequest),
    /// Stop for good; with the files deleted if asked. It is given once.
    Remove { delete: Deletion },
}

impl Command {
    /// How many messages may wait before it is refused.
    fn limit(&self) -> usize {
        match self {
            Self::Storage(_)
            | Self::SaveResumeData(_)
            | Self::Flush(_)
            | Self::Metadata(_)
            | Self::Choking(_) => WEIGHTY,
            Self::Incoming(_) => PEERS,
            _ => CALLS,
        }
    }
}

/// State changes without a message of their own: where to find the state, that is. The
/// numbers are bits of [`Pending`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum PendingState {
    /// [`Options`], all but those that follow.
    Options = 1,
    /// Priorities of files and pieces.
    Priorities = 2,
    /// Trackers.
    Trackers = 4,
    /// [`HandleShared::check`].
    Check = 8,
    /// The error is to be forgotten.
    Error = 16,
}

/// What is to become of the check of the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestedCheck {
    /// Hash everything on disk again; that was asked for by this command.
    pub(crate) begin: Option<u64>,
    /// Then, or else, cancel the check that is under way or waits.
    pub(crate) cancel: bool,
}

#[derive(Debug)]
pub(crate) struct HandleShared {
    pub(crate) identity: Identity,
    pub(crate) save_path: ArcSwap<PathBuf>,
    /// The files that other torrents have too.
    pub(crate) shared_files: SharedFiles,
    /// The folders that torrents of the session wait for.
    pub(crate) awaited_folders: Arc<AwaitedFolders>,
    pub(crate) added_time: AtomicI64,
    pub(crate) options: Mutex<Options>,
    /// The check that was asked for and that the task has not seen.
    pub(crate) check: Mutex<RequestedCheck>,
    pub(crate) asked: Arc<CommandSequence>,
    /// The states that the task was notified of.
    pub(crate) pending: Pending,
    pub(crate) view: View,
    pub(crate) commands: Sender<Command>,
    pub(crate) queue: QueueMembership,
    pub(crate) lifetime: Lifetime,
    pub(crate) services: Weak<Services>,
    pub(crate) unsaved: Unsaved,
}

/// One torrent of a session.
#[derive(Clone, Debug)]
pub struct TorrentHandle {
    pub(crate) shared: Arc<HandleShared>,
}

impl PartialEq for TorrentHandle {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Eq for TorrentHandle {}

impl TorrentHandle {
    /// Gives the task a message; the error says that it was not taken.
    pub(crate) fn post(&self, command: Command) -> Result<()> {
        self.place_for(&command)?.send(command);
        Ok(())
    }

    /// A place for a message: to be reserved before anything changes that
    /// belongs to it.
    pub(crate) fn place_for(&self, command: &Command) -> Result<CommandPermit<'_, Command>> {
        self.check_valid()?;
        let place = self.shared.commands.reserve(command.limit());
        place.map_err(|error| match error {
            QueueError::Closed => Error::new(ErrorKind::InvalidTorrentHandle),
            QueueError::Full => {
                Error::because(ErrorKind::Timeout, "the torrent does not take commands")
            }
        })
    }

    /// Gives the task a message of the engine's own, unless too many wait.
    pub(crate) fn offer(&self, command: Command) -> bool {
        let limit = command.limit();
        self.shared.commands.try_send(command, limit).is_ok()
    }

    /// Has the task look at a state that has changed. Never refused.
    pub(crate) fn look(&self, state: PendingState) {
        if self.shared.pending.changed(state as u32) {
            self.shared.commands.send(Command::Look(state));
        }
    }

    pub(crate) fn check_valid(&self) -> Result<()> {
        if self.is_valid() {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::InvalidTorrentHandle))
        }
    }

    /// Notes at once that there is something to save.
    pub(crate) fn note_unsaved(&self, what: SaveFlags) {
        self.shared.unsaved.note(what);
    }

    /// Whether the torrent is still part of its session.
    pub fn is_valid(&self) -> bool {
        !self.shared.lifetime.is_removed()
    }

    /// The v1 info-hash, or the first 20 bytes of the v2 one where there is no
    /// other: see [`InfoHashes::handshake_hash`].
    pub fn info_hash(&self) -> InfoHash {
        self.shared.identity.hashes.handshake_hash()
    }

    /// What names its swarms.
    pub fn hashes(&self) -> InfoHashes {
        self.shared.identity.hashes
    }

    /// What events name it by.
    pub fn torrent_ref(&self) -> Arc<TorrentRef> {
        self.shared.identity.torrent_ref()
    }

    /// Names it within its process.
    pub fn key(&self) -> TorrentKey {
        self.shared.identity.key
    }

    /// Unix time at which it was added.
    pub fn added_time(&self) -> i64 {
        self.shared.added_time.load(Ordering::Relaxed)
    }

    /// Hashes everything on disk again; a check that is under way begins anew.
    pub fn force_recheck(&self) -> Result<()> {
        self.known_metainfo()?;
        {
            let mut requested = self.shared.check.lock();
            let asked = &self.shared.asked;
            asked.ask(CommandTopic::Check);
            *requested = RequestedCheck {
                begin: Some(asked.last(CommandTopic::Check)),
                cancel: false,
            };
        }
        self.look(PendingState::Check);
        Ok(())
    }

    /// Cancels the check that is under way or waits for its turn; nothing
    /// happens where there is none. The torrent goes on with what counted as
    /// verified before that check, which begins again only by
    /// [`force_recheck`](Self::force_recheck). `torrent_checked` is posted when the
    /// torrent is out of the checking state, as after any check.
    ///
    /// Where what is on disk is not known without the check (the first one of
    /// a torrent without resume data, or one that began because resume data or
    /// files were not what they should be) the pieces in question do not
    /// count. The torrent is then paused, and no longer auto-managed, and no
    /// file is touched: a check finds again what is there, here or in the next
    /// session, which resume data saved meanwhile leaves to look for itself.
    /// Who resumes the torrent has the missing pieces downloaded instead, over
    /// what is there.
    pub fn cancel_check(&self) -> Result<()> {
        self.check_valid()?;
        self.shared.check.lock().cancel = true;
        self.look(PendingState::Check);
        Ok(())
    }

    /// Forgets the error and goes on.
    pub fn clear_error(&self) -> Result<()> {
        self.check_valid()?;
        self.shared.asked.ask(CommandTopic::Error);
        self.look(PendingState::Error);
        Ok(())
    }
}
