//! The parts of a torrent's driver.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::{
    Baseline, CheckHandle, CheckMode, Clocks, Counted, DiskEvent, Error, FileWork, JoinSet, Lease,
    Legacy, Mailbox, Owed, PeerKey, PeerReport, PlaceWork, Root, Saver, SleepWatch, StorageSlot,
    Strain, Told, mpsc,
};

/// The announces that are under way, and what they say of us.
pub(super) struct Announcing {
    pub(super) tasks: JoinSet<Told>,
    /// Tells us apart from others behind the same address (BEP 7).
    pub(super) key: u32,
    pub(super) baseline: Baseline,
    /// The endpoints that the announcer knows.
    pub(super) endpoints: Arc<Vec<SocketAddr>>,
}

/// The connection tasks, as the torrent reaches them.
pub(super) struct Peers {
    pub(super) mailboxes: HashMap<PeerKey, Arc<Mailbox>>,
    pub(super) next_key: u64,
    /// Our own endpoints as the brain knows them.
    pub(super) own_endpoints: Arc<Vec<SocketAddr>>,
    pub(super) reports: mpsc::Sender<PeerReport>,
}

/// The check of what is on disk: the one that runs or waits, and what makes another one
/// necessary.
pub(super) struct Checking {
    pub(super) running: Option<CheckHandle>,
    /// The check that begins when it is the torrent's turn.
    pub(super) waiting: Option<CheckMode>,
    pub(super) progress: f64,
    /// More may be on disk than is known, until a check is over.
    pub(super) in_doubt: bool,
    pub(super) owed: Owed,
}

/// What keeps the torrent from going on.
pub(super) struct Failure {
    pub(super) strain: Strain,
    pub(super) error: Option<Error>,
    pub(super) cleared: Option<Instant>,
}

/// The record that the torrent began with, and those that are written of it.
pub(super) struct Records {
    pub(super) legacy: Legacy,
    pub(super) saver: Saver,
}

/// Where the files are, who may use that place, and what changes it.
pub(super) struct Location {
    /// Its places on disk, until the end.
    pub(super) lease: Arc<Lease>,
    /// They are its own: a record may say so.
    pub(super) is_settled: bool,
    pub(super) places: PlaceWork,
    pub(super) root: Root,
}

/// How time has passed for the torrent.
pub(super) struct Times {
    pub(super) clocks: Clocks,
    pub(super) sleep: SleepWatch,
    pub(super) counted: Counted,
}

/// The files, and what the disk says of them.
pub(super) struct TorrentStorage {
    pub(super) slot: StorageSlot,
    /// Where the disk tells of this torrent.
    pub(super) events: mpsc::Sender<DiskEvent>,
    pub(super) work: FileWork,
}
