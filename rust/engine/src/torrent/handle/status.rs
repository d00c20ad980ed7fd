//! What can be read of a torrent: the last snapshots, which the torrent's task
//! replaces on every change of state and every `status_update_interval`. A
//! reader never waits, and does not see an older state than what it asked
//! for: what the task has not come to yet is laid over the snapshot.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use torrent_core::bitfield::Bitfield;

use super::snapshots::{
    FilesSnapshot, StatusSnapshot, SwarmSnapshot, TrackersSnapshot, new_tracker, tracker_status,
};
use super::{PendingState, TorrentHandle};
use crate::error::Error;
use crate::event::command_sequence::{CommandNumbers, CommandTopic};
use crate::status::download_queue::DownloadQueue;
use crate::status::{PartialPiece, PeerInfo, TorrentState, TorrentStatus, TrackerStatus};

/// Everything that can be read of a torrent; each part is replaced as a whole,
/// and only when it has changed.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) status: ArcSwap<Shown<StatusSnapshot>>,
    /// What the status says is wrong.
    pub(crate) failure: ArcSwapOption<Error>,
    pub(crate) swarm: ArcSwap<SwarmSnapshot>,
    pub(crate) pieces: ArcSwap<Bitfield>,
    pub(crate) verified: ArcSwap<Bitfield>,
    pub(crate) download_queue: ArcSwap<DownloadQueue>,
    pub(crate) files: ArcSwap<FilesSnapshot>,
    pub(crate) trackers: ArcSwap<Shown<TrackersSnapshot>>,
    /// How often the task has replaced it.
    #[cfg(test)]
    pub(crate) published: std::sync::atomic::AtomicU64,
}

/// A snapshot, and what its torrent had seen of what was asked for.
#[derive(Debug, Default)]
pub(crate) struct Shown<T> {
    pub(crate) value: T,
    pub(crate) seen: CommandNumbers,
    /// The session was paused.
    session_paused: bool,
}

impl<T> Shown<T> {
    /// What is shown before the task has begun.
    pub(crate) fn new(value: T) -> Arc<Self> {
        Self::at(value, CommandNumbers::default(), false)
    }

    /// A snapshot of the task.
    pub(crate) fn at(value: T, seen: CommandNumbers, session_paused: bool) -> Arc<Self> {
        Arc::new(Self {
            value,
            seen,
            session_paused,
        })
    }
}

impl TorrentHandle {
    /// The last snapshot of its status, with what was asked for since and the
    /// time that has passed.
    pub fn status(&self) -> Arc<TorrentStatus> {
        let shown = self.shared.view.status.load();
        if self.has_ended() {
            return self.lay_over(&shown, Arc::clone(&shown.value.status));
        }
        let mut status = self.lay_over(&shown, shown.value.at(Instant::now()));
        let rank = self.seed_rank();
        if status.seed_rank != rank {
            Arc::make_mut(&mut status).seed_rank = rank;
        }
        status
    }

    /// The same with the times of the last snapshot: for a look at what has
    /// changed, which costs nothing where nothing has.
    pub(crate) fn status_of_snapshot(&self) -> Arc<TorrentStatus> {
        let shown = self.shared.view.status.load();
        let status = self.lay_over(&shown, Arc::clone(&shown.value.status));
        if status.queue_position != shown.value.status.queue_position && !self.has_ended() {
            // The next snapshot has it, and costs less than to lay it over each time.
            self.look(PendingState::Options);
        }
        status
    }

    /// Lays over a status what its torrent has not seen yet.
    fn lay_over(
        &self,
        shown: &Shown<StatusSnapshot>,
        mut shared: Arc<TorrentStatus>,
    ) -> Arc<TorrentStatus> {
        let behind = |topic| self.shared.asked.is_behind(&shown.seen, topic);
        let session = self.shared.services.upgrade();
        let session_paused = session.is_some_and(|session| *session.paused.borrow());
        let topics = [
            CommandTopic::Options,
            CommandTopic::Check,
            CommandTopic::Move,
            CommandTopic::Error,
            CommandTopic::Resume,
        ];
        let [options, check, moving, error, resumed] = topics.map(behind);
        let paused = session_paused != shown.session_paused;
        // Others may have come or gone before it.
        let moved = !self.has_ended() && self.queue_position() != shared.queue_position;
        if !(options || check || moving || error || resumed || paused || moved) {
            return shared;
        }
        let status = Arc::make_mut(&mut shared);
        self.lay_options(status, session_paused);
        if check {
            status.state = TorrentState::CheckingFiles;
            status.progress = 0.0;
            (status.is_finished, status.is_seeding) = (false, false);
        }
        if check || error || resumed {
            (status.error, status.error_file) = Default::default();
        }
        status.is_moving_storage |= moving;
        shared
    }

    /// Shows the options as they are now.
    fn lay_options(&self, status: &mut TorrentStatus, session_paused: bool) {
        status.queue_position = self.queue_position();
        let options = self.plain_options();
        status.paused = session_paused || self.waits(options);
        options.show(status);
    }

    /// The last snapshot of its connections.
    pub fn peers(&self) -> Arc<Vec<PeerInfo>> {
        self.shared.view.swarm.load().infos()
    }

    /// The verified pieces.
    pub fn pieces(&self) -> Arc<Bitfield> {
        self.shared.view.pieces.load_full()
    }

    /// How many connected peers have each piece.
    pub fn piece_availability(&self) -> Arc<Vec<u32>> {
        self.shared.view.swarm.load().availability()
    }

    /// The pieces being fetched, with every block of them: for a torrent of
    /// long pieces that is a long list, made for the first reader of a snapshot.
    pub fn download_queue(&self) -> Arc<Vec<PartialPiece>> {
        self.shared.view.download_queue.load().list()
    }

    /// Verified bytes of each file.
    pub fn file_progress(&self) -> Arc<Vec<u64>> {
        self.shared.view.files.load().progress()
    }

    /// Its trackers: those that were set last, with what is known of them.
    pub fn trackers(&self) -> Arc<Vec<TrackerStatus>> {
        let (shown, now) = (self.shared.view.trackers.load(), Instant::now());
        let options = self.shared.options.lock().clone();
        if !self
            .shared
            .asked
            .is_behind(&shown.seen, CommandTopic::Trackers)
        {
            return Arc::new(shown.value.at(now).collect());
        }
        let known: HashMap<String, TrackerStatus> = shown
            .value
            .at(now)
            .map(|row| (row.url.clone(), row))
            .collect();
        let tiers = options.trackers.iter().zip(0..);
        let urls = tiers.flat_map(|(tier, number)| tier.iter().map(move |url| (url, number)));
        let rows = urls.map(|(url, tier)| {
            let source = self.tracker_source(url);
            let known = known.get(url).cloned();
            TrackerStatus {
                tier,
                source,
                fail_limit: options.fail_limits.get(url).copied().unwrap_or(0),
                ..known.unwrap_or_else(|| {
                    tracker_status(&new_tracker(url, tier), source, Duration::ZERO)
                })
            }
        });
        Arc::new(rows.collect())
    }
}
