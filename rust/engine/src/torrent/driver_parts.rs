//! The parts of a torrent's driver.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use torrent_core::check_state::CheckState;
use torrent_core::ids::PieceIndex;
use torrent_core::storage_backoff::StorageBackoff;

use super::{
    AfterShortage, Announcer, Baseline, CheckHandle, CountedStats, DiskError, DiskEvent, Error,
    FileWork, JoinSet, Mailbox, PathLease, PeerKey, PeerReport, ResumeState, Saver, StorageSlot,
    StorageWork, TorrentTimes, TrackerOutcome, mpsc,
};
use crate::disk::AwaitedFolder;

/// Which tracker is announced to and when, the announces that are under way, and
/// what they say of us.
pub(super) struct Announcing {
    pub(super) announcer: Announcer,
    pub(super) tasks: JoinSet<TrackerOutcome>,
    /// Distinguishes us from others behind the same address (BEP 7).
    pub(super) key: u32,
    pub(super) baseline: Baseline,
    /// The endpoints that the announcer knows.
    pub(super) endpoints: Arc<Vec<SocketAddr>>,
}

/// The connection tasks, as the torrent reaches them.
pub(super) struct Peers {
    /// The session's IP filter holds for them and for the trackers.
    pub(super) filtered: bool,
    pub(super) mailboxes: HashMap<PeerKey, Arc<Mailbox>>,
    /// Greater than that of any peer before.
    next_key: u64,
    /// Our own endpoints as the brain knows them.
    pub(super) own_endpoints: Arc<Vec<SocketAddr>>,
    pub(super) reports: mpsc::Sender<PeerReport>,
}

impl Peers {
    pub(super) fn new(reports: mpsc::Sender<PeerReport>) -> Self {
        Self {
            filtered: true,
            mailboxes: HashMap::new(),
            next_key: 0,
            own_endpoints: Arc::default(),
            reports,
        }
    }

    /// A key that no peer of the torrent had before.
    pub(super) fn new_key(&mut self) -> PeerKey {
        let key = PeerKey(self.next_key);
        self.next_key += 1;
        key
    }
}

/// The checks of what is on disk.
pub(super) struct Checking {
    pub(super) state: CheckState,
    /// The disk's, as long as `state` has one running.
    pub(super) running: Option<CheckHandle>,
}

/// What keeps the torrent from going on.
pub(super) struct ErrorState {
    pub(super) backoff: StorageBackoff,
    /// What is done when a shortage is over.
    pub(super) after_shortage: AfterShortage,
    /// The error, while `backoff` has one.
    pub(super) error: Option<Error>,
}

/// The record that the torrent began with, and those that are written of it.
pub(super) struct Records {
    pub(super) resume_state: ResumeState,
    pub(super) saver: Saver,
    /// The state directory may have a record of the torrent that was not read.
    pub(super) is_unread: bool,
}

/// Where the files are, who may use that place, and what changes it.
pub(super) struct Location {
    /// The claim of its paths, held until the end.
    pub(super) lease: Arc<PathLease>,
    /// The paths are claimed for this torrent alone: a record may name them.
    pub(super) owns_paths: bool,
    pub(super) work: StorageWork,
    /// Pieces whose bytes are not there, while the folder is looked at.
    pub(super) gone: BTreeMap<PieceIndex, DiskError>,
    /// Keeps other torrents from making the folder, from before the torrent
    /// looks for it until it is there.
    pub(super) awaited: Option<Arc<AwaitedFolder>>,
}

/// Active and seeding times, and what counts by the clock.
pub(super) struct Times {
    pub(super) times: TorrentTimes,
    pub(super) counted: CountedStats,
}

/// The files, and what the disk says of them.
pub(super) struct TorrentStorage {
    pub(super) slot: StorageSlot,
    /// Where the disk sends its events of this torrent.
    pub(super) events: mpsc::Sender<DiskEvent>,
    pub(super) work: FileWork,
}
