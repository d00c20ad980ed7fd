//! The public face of one torrent: cheap to clone, safe to keep after the
//! torrent is gone. Reads come from the last snapshot; commands are posted to
//! the torrent's task.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use torrent_core::bitfield::Bitfield;
use torrent_core::choker::Changes;
use torrent_core::ids::{FileIndex, InfoHash, PieceIndex};
use torrent_core::magnet::MagnetUri;
use torrent_core::metainfo::{Info, Limits, Metainfo};

use crate::error::{Error, ErrorKind, Result};
use crate::modes::{Discovery, Modes};
use crate::placement::{Deletion, Placing, StorageMode};
use crate::question::Question;
use crate::queue::{QueueDesk, Seat};
use crate::resume::{SaveFlags, SaveRequest};
use crate::session::SessionShared;
use crate::status::{PartialPiece, PeerInfo, TorrentStatus, TrackerStatus};
use crate::torrent::Arrival;

/// Commands that wait for a torrent's task. When the channel is full the
/// caller gets an error: a task that is a thousand commands behind is stuck.
pub(crate) const COMMAND_QUEUE: usize = 1024;

/// What a torrent is told to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Look at [`Options`] again.
    OptionsChanged,
    /// Hash everything on disk again.
    Recheck,
    /// Announce soon.
    Reannounce(Reannounce),
    /// Ask a tracker, by index, or the one that works for its numbers.
    Scrape(Option<usize>),
    /// Forget the error and go on.
    ClearError,
    /// Connect to this peer.
    Connect(SocketAddr),
    /// Look at the priorities in [`Options`] again.
    PrioritiesChanged,
    /// Fetch this piece in time.
    Deadline {
        piece: PieceIndex,
        after: Duration,
        alert: bool,
    },
    /// Forget the deadline of this piece, or of all.
    ResetDeadline(Option<PieceIndex>),
    /// Look at the trackers in [`Options`] again.
    TrackersChanged,
    /// Read a verified piece and post it.
    ReadPiece(PieceIndex, Option<oneshot::Sender<Result<Bytes>>>),
    /// Write everything that can be written to the files.
    Flush(Option<oneshot::Sender<()>>),
    /// Move or rename files.
    Place(Box<Placing>),
    /// Take in this connection.
    Incoming(Arrival),
    /// Choke and unchoke these.
    Choking(Changes),
    /// Have nothing to do with this address any more.
    Ban(IpAddr),
    /// Let up to so many of the least useful connections make way for others.
    TurnOver(usize),
    /// This is the torrent's info dictionary.
    Metadata(Arc<Info>),
    /// Answer this question with an event.
    Ask(Question),
    /// Save resume data.
    SaveResumeData(SaveRequest),
    /// Stop for good; with the files deleted if asked.
    Remove { delete: Deletion },
}

/// When and to whom to announce.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reannounce {
    pub(crate) after: Duration,
    /// By index; `None` for those whose turn it is.
    pub(crate) tracker: Option<usize>,
    pub(crate) ignore_min_interval: bool,
}

/// What the game wants of a torrent. Written by handles, read by the task, so
/// that a getter answers with what a setter just set.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) paused: bool,
    /// It was paused gracefully.
    pub(crate) graceful: bool,
    /// The queue decides whether it runs, whatever `paused` says.
    pub(crate) auto_managed: bool,
    pub(crate) sequential: bool,
    /// The pieces that sequential mode begins with: the first and the last.
    pub(crate) sequential_range: Option<(PieceIndex, PieceIndex)>,
    pub(crate) max_connections: i64,
    pub(crate) max_uploads: i64,
    pub(crate) apply_ip_filter: bool,
    pub(crate) discovery: Discovery,
    pub(crate) download_limit: i64,
    pub(crate) upload_limit: i64,
    pub(crate) modes: Modes,
    /// Shared, so that a look at the other options does not copy them.
    pub(crate) piece_priorities: Arc<Vec<u8>>,
    pub(crate) file_priorities: Arc<Vec<u8>>,
    pub(crate) trackers: Vec<Vec<String>>,
    /// Files that have another name than the torrent gives them.
    pub(crate) renamed_files: BTreeMap<FileIndex, String>,
    pub(crate) storage_mode: StorageMode,
    /// Where the part file is, below the save path; empty for that itself.
    pub(crate) part_file_dir: PathBuf,
    /// By URL; those without an entry have none.
    pub(crate) fail_limits: HashMap<String, u8>,
}

impl Options {
    /// The priorities of all pieces, to change some.
    pub(crate) fn pieces_mut(&mut self) -> &mut Vec<u8> {
        Arc::make_mut(&mut self.piece_priorities)
    }
}

/// Everything that can be read of a torrent; each part is replaced as a whole.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) status: ArcSwap<TorrentStatus>,
    pub(crate) peers: ArcSwap<Vec<PeerInfo>>,
    pub(crate) pieces: ArcSwap<Bitfield>,
    pub(crate) verified: ArcSwap<Bitfield>,
    pub(crate) availability: ArcSwap<Vec<u32>>,
    pub(crate) download_queue: ArcSwap<Vec<PartialPiece>>,
    pub(crate) file_progress: ArcSwap<Vec<u64>>,
    pub(crate) trackers: ArcSwap<Vec<TrackerStatus>>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) info_hash: InfoHash,
    /// The link that it was added by, where it was not a torrent file.
    pub(crate) magnet: Option<MagnetUri>,
    /// Empty until the metadata is known.
    pub(crate) metainfo: OnceLock<Arc<Metainfo>>,
    pub(crate) save_path: ArcSwap<PathBuf>,
    pub(crate) added_time: i64,
    pub(crate) options: Mutex<Options>,
    /// The task was told of changed priorities and has not looked yet.
    pub(crate) priorities_changed: AtomicBool,
    pub(crate) view: View,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) queue: Arc<QueueDesk>,
    pub(crate) seat: Seat,
    pub(crate) removed: AtomicBool,
    pub(crate) session: Weak<SessionShared>,
    /// What has changed since resume data was last saved: bits of `SaveFlags`.
    pub(crate) unsaved: AtomicU32,
    /// The resume data that was saved last.
    pub(crate) saved: Mutex<Option<Bytes>>,
}

/// One torrent of a session.
#[derive(Clone, Debug)]
pub struct TorrentHandle {
    pub(crate) shared: Arc<Shared>,
}

impl PartialEq for TorrentHandle {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Eq for TorrentHandle {}

impl TorrentHandle {
    pub(crate) fn post(&self, command: Command) -> Result<()> {
        self.check_valid()?;
        self.shared
            .commands
            .try_send(command)
            .map_err(|error| match error {
                mpsc::error::TrySendError::Closed(_) => Error::new(ErrorKind::InvalidTorrentHandle),
                mpsc::error::TrySendError::Full(_) => {
                    Error::because(ErrorKind::Timeout, "the torrent does not take commands")
                }
            })
    }

    pub(crate) fn check_valid(&self) -> Result<()> {
        if self.is_valid() {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::InvalidTorrentHandle))
        }
    }

    /// Changes options and tells the task, unless nothing changed.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Options)) -> Result<()> {
        self.check_valid()?;
        {
            let mut options = self.shared.options.lock();
            let before = options.clone();
            change(&mut options);
            if *options == before {
                return Ok(());
            }
            self.note_unsaved(SaveFlags::of_change(&before, &options));
        }
        self.post(Command::OptionsChanged)
    }

    /// Changes priorities and tells the task, once for many changes in a row.
    pub(crate) fn change_priorities(&self, change: impl FnOnce(&mut Options)) -> Result<()> {
        self.check_valid()?;
        change(&mut self.shared.options.lock());
        self.note_unsaved(SaveFlags::IF_CONFIG_CHANGED);
        if self.shared.priorities_changed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.post(Command::PrioritiesChanged).inspect_err(|_| {
            let changed = &self.shared.priorities_changed;
            changed.store(false, Ordering::Release);
        })
    }

    /// Notes at once that there is something to save.
    pub(crate) fn note_unsaved(&self, what: SaveFlags) {
        self.shared.unsaved.fetch_or(what.bits(), Ordering::AcqRel);
    }

    /// Whether the torrent is still part of its session.
    pub fn is_valid(&self) -> bool {
        !self.shared.removed.load(Ordering::Acquire)
    }

    /// v1 info-hash.
    pub fn info_hash(&self) -> InfoHash {
        self.shared.info_hash
    }

    /// Name from the info dictionary; until that is known, the one that the
    /// magnet link gave, which may be empty and must never become a path.
    pub fn name(&self) -> &str {
        match (self.shared.metainfo.get(), &self.shared.magnet) {
            (Some(metainfo), _) => &metainfo.info.name,
            (None, Some(magnet)) => &magnet.name,
            (None, None) => "",
        }
    }

    /// The torrent file: the one it was added from, or what was made of a
    /// magnet link and the metadata from peers; `None` until that is there.
    pub fn metainfo(&self) -> Option<&Arc<Metainfo>> {
        self.shared.metainfo.get()
    }

    /// The torrent file, or the error that says that it is not known yet.
    pub fn known_metainfo(&self) -> Result<&Arc<Metainfo>> {
        self.check_valid()?;
        self.metainfo()
            .ok_or_else(|| Error::new(ErrorKind::NoMetadata).about(self.info_hash().to_string()))
    }

    /// Supplies the info dictionary of a torrent that was added without one,
    /// so that peers need not be asked; one whose metadata is known already is
    /// left as it is.
    pub fn set_metadata(&self, info_dict: &[u8]) -> Result<()> {
        self.check_valid()?;
        let info = Info::parse(info_dict, &Limits::metadata())?;
        if info.hash != self.info_hash() {
            return Err(Error::because(
                ErrorKind::TorrentInfoParseError,
                format!("the info dictionary has the hash {}", info.hash),
            )
            .about(self.info_hash().to_string()));
        }
        self.post(Command::Metadata(info))
    }

    /// A magnet link to this torrent, with its trackers, web seeds and nodes.
    pub fn magnet_uri(&self) -> MagnetUri {
        let mut magnet = match self.metainfo() {
            Some(metainfo) => metainfo.magnet(),
            None => MagnetUri {
                peers: Vec::new(),
                ..self.magnet_link()
            },
        };
        let trackers = self.shared.options.lock().trackers.clone();
        magnet.trackers = trackers.into_iter().flatten().collect();
        magnet
    }

    /// The link that it was added by, or one of its hash alone.
    pub(crate) fn magnet_link(&self) -> MagnetUri {
        let link = self.shared.magnet.clone();
        link.unwrap_or_else(|| MagnetUri::of_hash(self.info_hash()))
    }

    /// The .torrent file as bytes, with the present trackers; an error until
    /// the metadata is known.
    pub fn torrent_file_data(&self) -> Result<Vec<u8>> {
        let metainfo = Metainfo {
            tiers: self.shared.options.lock().trackers.clone(),
            ..Metainfo::clone(self.known_metainfo()?)
        };
        Ok(metainfo.to_bytes())
    }

    /// Unix time at which it was added.
    pub fn added_time(&self) -> i64 {
        self.shared.added_time
    }

    /// The last snapshot of its status.
    pub fn status(&self) -> Arc<TorrentStatus> {
        self.shared.view.status.load_full()
    }

    /// The last snapshot of its connections.
    pub fn peers(&self) -> Arc<Vec<PeerInfo>> {
        self.shared.view.peers.load_full()
    }

    /// The verified pieces.
    pub fn pieces(&self) -> Arc<Bitfield> {
        self.shared.view.pieces.load_full()
    }

    /// How many connected peers have each piece.
    pub fn piece_availability(&self) -> Arc<Vec<u32>> {
        self.shared.view.availability.load_full()
    }

    /// The pieces being fetched.
    pub fn download_queue(&self) -> Arc<Vec<PartialPiece>> {
        self.shared.view.download_queue.load_full()
    }

    /// Verified bytes of each file.
    pub fn file_progress(&self) -> Arc<Vec<u64>> {
        self.shared.view.file_progress.load_full()
    }

    /// Its trackers.
    pub fn trackers(&self) -> Arc<Vec<TrackerStatus>> {
        self.shared.view.trackers.load_full()
    }

    /// Whether `piece` is verified.
    pub fn have_piece(&self, piece: PieceIndex) -> Result<bool> {
        self.check_piece(piece)?;
        Ok(self.pieces().get(piece.0))
    }

    /// Hashes everything on disk again.
    pub fn force_recheck(&self) -> Result<()> {
        self.known_metainfo()?;
        self.post(Command::Recheck)
    }

    /// Announces after this time, to the tracker with this index or to the one
    /// whose turn it is, as soon as its minimal interval allows.
    pub fn force_reannounce(&self, after: Duration, tracker: Option<usize>) -> Result<()> {
        self.reannounce(after, tracker, false)
    }

    /// The same, even if the tracker asked not to be asked so soon.
    pub fn force_reannounce_now(&self, after: Duration, tracker: Option<usize>) -> Result<()> {
        self.reannounce(after, tracker, true)
    }

    fn reannounce(
        &self,
        after: Duration,
        tracker: Option<usize>,
        ignore_min_interval: bool,
    ) -> Result<()> {
        self.check_tracker_index(tracker)?;
        self.post(Command::Reannounce(Reannounce {
            after,
            tracker,
            ignore_min_interval,
        }))
    }

    /// Asks the tracker with this index, or the one that answered last, for
    /// the numbers of the swarm (BEP 48); a `scrape_reply` or `scrape_failed`
    /// event brings them.
    pub fn scrape_tracker(&self, tracker: Option<usize>) -> Result<()> {
        self.check_tracker_index(tracker)?;
        self.post(Command::Scrape(tracker))
    }

    fn check_tracker_index(&self, tracker: Option<usize>) -> Result<()> {
        self.check_valid()?;
        let count = self.shared.options.lock().trackers.iter().flatten().count();
        if let Some(index) = tracker
            && index >= count
        {
            return Err(Error::because(
                ErrorKind::InvalidParameter,
                format!("tracker {index} of {count}"),
            ));
        }
        Ok(())
    }

    /// Forgets the error and goes on.
    pub fn clear_error(&self) -> Result<()> {
        self.post(Command::ClearError)
    }

    /// Connects to a peer.
    pub fn connect_peer(&self, peer: SocketAddr) -> Result<()> {
        if peer.port() == 0 {
            return Err(Error::because(
                ErrorKind::InvalidParameter,
                "a peer's port is a number from 1 to 65535",
            ));
        }
        self.post(Command::Connect(peer))
    }

    pub(crate) fn check_piece(&self, piece: PieceIndex) -> Result<()> {
        let count = self.known_metainfo()?.info.layout.num_pieces();
        if piece.0 < count {
            Ok(())
        } else {
            Err(Error::because(
                ErrorKind::InvalidPieceIndex,
                format!("piece {piece} of {count}"),
            ))
        }
    }

    pub(crate) fn check_file(&self, file: FileIndex) -> Result<()> {
        let count = self.known_metainfo()?.info.files.len();
        if (file.0 as usize) < count {
            Ok(())
        } else {
            Err(Error::because(
                ErrorKind::InvalidFileIndex,
                format!("file {file} of {count}"),
            ))
        }
    }

    /// Sets the priority of one piece: 0 not wanted, 1 low, 4 normal, 7 top.
    pub fn set_piece_priority(&self, piece: PieceIndex, priority: u8) -> Result<()> {
        self.check_piece(piece)?;
        check_priorities(&[priority])?;
        self.change_priorities(|options| options.pieces_mut()[piece.0 as usize] = priority)
    }

    /// The priority of one piece.
    pub fn piece_priority(&self, piece: PieceIndex) -> Result<u8> {
        self.check_piece(piece)?;
        Ok(self.shared.options.lock().piece_priorities[piece.0 as usize])
    }

    /// The priorities of all pieces.
    pub fn piece_priorities(&self) -> Vec<u8> {
        self.shared.options.lock().piece_priorities.to_vec()
    }

    /// Sets the priorities of the pieces from the first on.
    pub fn prioritize_pieces(&self, priorities: &[u8]) -> Result<()> {
        check_priorities(priorities)?;
        let count = self.known_metainfo()?.info.layout.num_pieces() as usize;
        if priorities.len() > count {
            return Err(Error::because(
                ErrorKind::InvalidPieceIndex,
                format!("{} priorities for {count} pieces", priorities.len()),
            ));
        }
        self.change_priorities(|options| {
            options.pieces_mut()[..priorities.len()].copy_from_slice(priorities);
        })
    }

    /// Sets the priority of one file; its pieces follow. A piece that several
    /// files share takes the highest of their priorities.
    pub fn set_file_priority(&self, file: FileIndex, priority: u8) -> Result<()> {
        self.check_file(file)?;
        let mut priorities = self.file_priorities();
        priorities[file.0 as usize] = priority;
        self.prioritize_files(&priorities)
    }

    /// The priority of one file.
    pub fn file_priority(&self, file: FileIndex) -> Result<u8> {
        self.check_file(file)?;
        Ok(self.shared.options.lock().file_priorities[file.0 as usize])
    }

    /// The priorities of all files.
    pub fn file_priorities(&self) -> Vec<u8> {
        self.shared.options.lock().file_priorities.to_vec()
    }

    /// Sets the priorities of the files from the first on; pieces follow.
    pub fn prioritize_files(&self, priorities: &[u8]) -> Result<()> {
        let info = &self.known_metainfo()?.info;
        check_file_priorities(info, priorities)?;
        self.change_priorities(|options| {
            let files = Arc::make_mut(&mut options.file_priorities);
            files[..priorities.len()].copy_from_slice(priorities);
            options.piece_priorities = Arc::new(piece_priorities(&info.layout, files));
        })
    }

    /// Fetches pieces in order, or the rarest first.
    pub fn set_sequential_download(&self, sequential: bool) -> Result<()> {
        self.change(|options| {
            options.sequential = sequential;
            options.sequential_range = None;
        })
    }

    /// Fetches pieces in order from now on, those from `first` to `last` before
    /// others of their priority.
    pub fn set_sequential_range(&self, first: PieceIndex, last: PieceIndex) -> Result<()> {
        self.check_piece(first)?;
        self.check_piece(last)?;
        if last < first {
            let reason = format!("the range from piece {first} to {last} is empty");
            return Err(Error::because(ErrorKind::InvalidParameter, reason));
        }
        self.change(|options| {
            options.sequential = true;
            options.sequential_range = Some((first, last));
        })
    }

    /// Whether pieces are fetched in order.
    pub fn is_sequential_download(&self) -> bool {
        self.shared.options.lock().sequential
    }

    /// Limits the connections of this torrent; -1 for no limit, else at least 2.
    pub fn set_max_connections(&self, limit: i64) -> Result<()> {
        check_limit(limit)?;
        self.change(|options| options.max_connections = limit)
    }

    /// Most connections; -1 unlimited.
    pub fn max_connections(&self) -> i64 {
        self.shared.options.lock().max_connections
    }

    /// Limits the peers that may download from us at once; -1 for the
    /// session's limit, else at least 2.
    pub fn set_max_uploads(&self, limit: i64) -> Result<()> {
        check_limit(limit)?;
        self.change(|options| options.max_uploads = limit)
    }

    /// Most unchoked peers; -1 the session's limit.
    pub fn max_uploads(&self) -> i64 {
        self.shared.options.lock().max_uploads
    }

    /// Bans an address in all torrents of the session, as
    /// [`Session::ban_peer`](crate::session::Session::ban_peer) does.
    pub fn ban_peer(&self, ip: IpAddr) -> Result<()> {
        self.check_valid()?;
        let session = self.shared.session.upgrade();
        session
            .ok_or_else(|| Error::new(ErrorKind::InvalidTorrentHandle))?
            .ban(ip);
        Ok(())
    }

    /// Lets the session's IP filter hold for this torrent, or not.
    pub fn set_apply_ip_filter(&self, apply: bool) -> Result<()> {
        self.change(|options| options.apply_ip_filter = apply)
    }

    /// Whether the session's IP filter holds for this torrent.
    pub fn applies_ip_filter(&self) -> bool {
        self.shared.options.lock().apply_ip_filter
    }

    /// Limits what this torrent receives, in bytes a second, within the
    /// session's limit; 0 for no limit of its own.
    pub fn set_download_limit(&self, limit: i64) -> Result<()> {
        check_rate(limit)?;
        self.change(|options| options.download_limit = limit.max(0))
    }

    /// Most bytes received a second; 0 unlimited.
    pub fn download_limit(&self) -> i64 {
        self.shared.options.lock().download_limit
    }

    /// Limits what this torrent sends, in bytes a second, within the session's
    /// limit; 0 for no limit of its own.
    pub fn set_upload_limit(&self, limit: i64) -> Result<()> {
        check_rate(limit)?;
        self.change(|options| options.upload_limit = limit.max(0))
    }

    /// Most bytes sent a second; 0 unlimited.
    pub fn upload_limit(&self) -> i64 {
        self.shared.options.lock().upload_limit
    }

    /// Adds a tracker to a tier (BEP 12); a known one is left where it is.
    pub fn add_tracker(&self, url: &str, tier: usize) -> Result<()> {
        check_tracker(url)?;
        self.change_trackers(|tiers| {
            if !tiers.iter().flatten().any(|known| known == url) {
                // A tier far beyond the last one means "after all others".
                let tier = tier.min(tiers.len());
                if tier == tiers.len() {
                    tiers.push(Vec::new());
                }
                tiers[tier].push(url.to_owned());
            }
        })
    }

    /// Removes a tracker.
    pub fn remove_tracker(&self, url: &str) -> Result<()> {
        self.change_trackers(|tiers| {
            for tier in tiers.iter_mut() {
                tier.retain(|known| known != url);
            }
            tiers.retain(|tier| !tier.is_empty());
        })
    }

    /// Uses these tiers of trackers instead.
    pub fn replace_trackers(&self, tiers: Vec<Vec<String>>) -> Result<()> {
        tiers
            .iter()
            .flatten()
            .try_for_each(|url| check_tracker(url))?;
        self.change_trackers(|current| *current = tiers)
    }

    /// After so many failures in a row a tracker is not asked any more; 0 lifts
    /// the limit.
    pub fn set_tracker_fail_limit(&self, url: &str, limit: u8) -> Result<()> {
        self.check_valid()?;
        {
            let mut options = self.shared.options.lock();
            if !options.trackers.iter().flatten().any(|known| known == url) {
                return Err(Error::because(ErrorKind::InvalidUrl, "no such tracker").about(url));
            }
            match limit {
                0 => options.fail_limits.remove(url),
                limit => options.fail_limits.insert(url.to_owned(), limit),
            };
        }
        self.post(Command::TrackersChanged)
    }

    /// libtorrent's number of where a tracker comes from: 1 the torrent file,
    /// 2 the game, 4 the magnet link.
    pub(crate) fn tracker_source(&self, url: &str) -> u8 {
        let (in_file, in_link) = match (&self.shared.magnet, self.metainfo()) {
            (Some(magnet), _) => (false, magnet.trackers.iter().any(|known| known == url)),
            (None, Some(metainfo)) => {
                let mut urls = metainfo.tiers.iter().flatten();
                (urls.any(|known| known == url), false)
            }
            (None, None) => (false, false),
        };
        match (in_file, in_link) {
            (true, _) => 1,
            (_, true) => 4,
            _ => 2,
        }
    }

    fn change_trackers(&self, change: impl FnOnce(&mut Vec<Vec<String>>)) -> Result<()> {
        self.check_valid()?;
        change(&mut self.shared.options.lock().trackers);
        self.note_unsaved(SaveFlags::IF_METADATA_CHANGED);
        self.post(Command::TrackersChanged)
    }

    /// Reads a verified piece; it comes as a `read_piece` event.
    pub fn read_piece(&self, piece: PieceIndex) -> Result<()> {
        self.check_piece(piece)?;
        self.post(Command::ReadPiece(piece, None))
    }

    /// Reads a verified piece and waits for it.
    pub async fn read_piece_now(&self, piece: PieceIndex) -> Result<Bytes> {
        self.check_piece(piece)?;
        let (answer, read) = oneshot::channel();
        self.post(Command::ReadPiece(piece, Some(answer)))?;
        read.await
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::InvalidTorrentHandle)))
    }

    /// Writes every complete piece to the files soon.
    pub fn flush_cache(&self) -> Result<()> {
        self.post(Command::Flush(None))
    }

    /// Waits until every complete piece received so far is in the files.
    pub async fn flush(&self) -> Result<()> {
        let (answer, done) = oneshot::channel();
        self.post(Command::Flush(Some(answer)))?;
        done.await
            .map_err(|_| Error::new(ErrorKind::InvalidTorrentHandle))
    }
}

/// The priorities of pieces that follow from those of files.
pub(crate) fn piece_priorities(layout: &torrent_core::layout::Layout, files: &[u8]) -> Vec<u8> {
    let mut pieces = vec![0; layout.num_pieces() as usize];
    for (at, (place, &priority)) in layout.files().iter().zip(files).enumerate() {
        if place.pad {
            continue;
        }
        for piece in layout.file_pieces(FileIndex(at as u32)) {
            let slot = &mut pieces[piece as usize];
            *slot = priority.max(*slot);
        }
    }
    pieces
}

/// Whether these can be the priorities of the first files of `info`.
pub(crate) fn check_file_priorities(info: &Info, priorities: &[u8]) -> Result<()> {
    check_priorities(priorities)?;
    if priorities.len() <= info.files.len() {
        return Ok(());
    }
    Err(Error::because(
        ErrorKind::InvalidFileIndex,
        format!(
            "{} priorities for {} files",
            priorities.len(),
            info.files.len()
        ),
    ))
}

pub(crate) fn check_priorities(priorities: &[u8]) -> Result<()> {
    match priorities.iter().find(|&&priority| priority > 7) {
        None => Ok(()),
        Some(priority) => Err(Error::because(
            ErrorKind::InvalidPriority,
            format!("{priority} is not a priority from 0 to 7"),
        )),
    }
}

pub(crate) fn check_limit(limit: i64) -> Result<()> {
    if limit == -1 || (2..=65_535).contains(&limit) {
        Ok(())
    } else {
        Err(Error::because(
            ErrorKind::InvalidParameter,
            format!("the limit must be -1 or from 2 to 65535, not {limit}"),
        ))
    }
}

/// The most that a rate limit can be: 2 GB a second.
pub const MAX_RATE: i64 = i32::MAX as i64;

pub(crate) fn check_rate(limit: i64) -> Result<()> {
    if (-1..=MAX_RATE).contains(&limit) {
        Ok(())
    } else {
        Err(Error::because(
            ErrorKind::InvalidParameter,
            format!("the limit must be from 0 (none) to {MAX_RATE} bytes a second, not {limit}"),
        ))
    }
}

/// Whether `url` can be a tracker's.
pub(crate) fn check_tracker(url: &str) -> Result<()> {
    let parsed = url::Url::parse(url)
        .map_err(|error| Error::because(ErrorKind::InvalidUrl, error.to_string()).about(url))?;
    match parsed.scheme() {
        "http" | "https" | "udp" => Ok(()),
        scheme => Err(Error::because(
            ErrorKind::InvalidUrl,
            format!("'{scheme}' is not a tracker's scheme: http, https or udp"),
        )
        .about(url)),
    }
}

/// Whether `url` can be a web seed's (BEP 19).
pub(crate) fn check_web_seed(url: &str) -> Result<()> {
    let parsed = url::Url::parse(url)
        .map_err(|error| Error::because(ErrorKind::InvalidUrl, error.to_string()).about(url))?;
    match parsed.scheme() {
        "http" | "https" => Ok(()),
        scheme => Err(Error::because(
            ErrorKind::InvalidUrl,
            format!("'{scheme}' is not a web seed's scheme: http or https"),
        )
        .about(url)),
    }
}
