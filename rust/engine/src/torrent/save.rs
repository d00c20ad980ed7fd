//! When resume data is saved, and in which order: blocks to the files, files
//! to the device, and only then a record that says they are there.
//!
//! One save runs at a time. With a state directory saves happen by themselves:
//! about a second after something changed, and never so often that syncing
//! takes more than half of the time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use torrent_core::bitfield::Bitfield;
use torrent_core::ids::{FileIndex, PieceIndex};
use torrent_core::resume::FileStat;

use super::{Driver, TaskEnd};
use crate::disk::{CheckMode, DiskError, Storage};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Detail, kind};
use crate::resume::{SaveFlags, SaveRequest};
use crate::state::{Keeper, Part};

/// How long after a change the torrent is saved by itself.
const AUTOSAVE: Duration = Duration::from_secs(1);

/// How soon a save is tried again that the state directory did not take.
const RETRY: Duration = Duration::from_secs(30);

/// How often totals alone are worth a save.
const COUNTERS: Duration = Duration::from_secs(60);

/// What is known of saving.
pub(super) struct Saver {
    keeper: Option<Arc<Keeper>>,
    /// A save is under way.
    busy: bool,
    began: Instant,
    /// Who asked meanwhile.
    waiting: Vec<SaveRequest>,
    /// When to save unasked.
    due: Option<Instant>,
    counters_due: Instant,
    /// The pieces that the last good sync covered.
    synced: Bitfield,
    /// The files as they were when they became complete.
    stats: Vec<Option<FileStat>>,
    /// Complete files that are not in `stats` yet.
    unmeasured: BTreeSet<FileIndex>,
}

/// What a save found on disk.
pub(super) struct Gathered {
    have: Bitfield,
    unfinished: BTreeMap<PieceIndex, Bitfield>,
    stats: Vec<(FileIndex, Option<FileStat>)>,
    outcome: std::result::Result<(), DiskError>,
}

/// What is on the device: pieces, and blocks of unfinished ones.
type Durable = (Bitfield, BTreeMap<PieceIndex, Bitfield>);

/// Why it is not, and the pieces that would have been.
type NotDurable = (Box<DiskError>, Bitfield);

/// Makes durable what is there. `have` is what was verified before the call.
async fn gather(
    storage: Storage,
    have: Bitfield,
    partials: bool,
    measure: Vec<FileIndex>,
) -> Gathered {
    let unfinished = if partials {
        storage.flush().await;
        storage.save_partials().await
    } else {
        BTreeMap::new()
    };
    let outcome = storage.sync().await;
    Gathered {
        have,
        unfinished,
        stats: storage.file_stats(measure).await,
        outcome,
    }
}

impl Saver {
    pub(super) fn new(keeper: Option<Arc<Keeper>>, now: Instant) -> Self {
        Self {
            keeper,
            busy: false,
            began: now,
            waiting: Vec::new(),
            due: None,
            counters_due: now + COUNTERS,
            synced: Bitfield::default(),
            stats: Vec::new(),
            unmeasured: BTreeSet::new(),
        }
    }

    /// When [`Driver::autosave`] is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let keeper = self.keeper.as_ref().filter(|_| !self.busy);
        keeper.map(|_| self.due.unwrap_or(self.counters_due))
    }

    pub(super) fn file_completed(&mut self, file: u32) {
        self.unmeasured.insert(FileIndex(file));
    }
}

impl Driver {
    /// Notes that something changed that is worth saving.
    pub(super) fn unsaved(&mut self, what: SaveFlags) {
        self.handle.note_unsaved(what);
        self.save_soon();
    }

    /// Saves in a moment, if there is anything to save then.
    pub(super) fn save_soon(&mut self) {
        if self.saver.due.is_none() {
            self.saver.due = Some(Instant::now() + AUTOSAVE);
        }
    }

    /// What was just checked is as good as durable: it was read.
    pub(super) fn checked_for_saving(&mut self, have: &Bitfield) {
        self.saver.synced = have.clone();
        let layout = self.brain.layout();
        let files = layout.files().iter().zip(0u32..);
        self.saver.unmeasured = files
            .filter(|(place, file)| {
                let mut pieces = layout.file_pieces(FileIndex(*file));
                !place.pad && pieces.all(|piece| have.get(piece))
            })
            .map(|(_, file)| FileIndex(file))
            .collect();
        self.saver.stats = vec![None; layout.files().len()];
        self.unsaved(SaveFlags::IF_DOWNLOAD_PROGRESS);
    }

    /// Saves unasked if it is time.
    pub(super) fn autosave(&mut self, now: Instant) {
        if self.saver.poll_timeout().is_none_or(|due| now < due) {
            return;
        }
        if self.handle.shared.unsaved.load(Ordering::Acquire) == 0 {
            self.saver.counters_due = now + COUNTERS;
            self.saver.due = None;
            return;
        }
        self.start_save(Vec::new());
    }

    pub(super) fn save_requested(&mut self, request: SaveRequest) {
        let conditions = request.flags.conditions().bits();
        let unsaved = self.handle.shared.unsaved.load(Ordering::Acquire);
        if conditions != 0 && conditions & unsaved == 0 {
            let error = Error::because(
                ErrorKind::InvalidParameter,
                "the resume data is not modified",
            );
            self.refuse_save(vec![request], &error);
        } else if self.saver.busy {
            self.saver.waiting.push(request);
        } else {
            self.start_save(vec![request]);
        }
    }

    fn start_save(&mut self, requests: Vec<SaveRequest>) {
        let now = Instant::now();
        self.saver.busy = true;
        self.saver.began = now;
        self.saver.due = None;
        self.saver.counters_due = now + COUNTERS;
        // What was hashed up to now is part of it.
        self.follow_seed_mode();
        self.handle.shared.unsaved.store(0, Ordering::Release);
        let Some(storage) = self
            .storage
            .get()
            .cloned()
            .filter(|_| !self.is_in_the_dark())
        else {
            let record = self.record(None, &[]);
            return self.saved(&record, requests);
        };
        let have = self.durable_soon(&storage);
        let measure = std::mem::take(&mut self.saver.unmeasured);
        let partials = !requests.is_empty();
        self.tasks.spawn(async move {
            let measure = measure.into_iter().collect();
            let gathered = gather(storage, have, partials, measure).await;
            TaskEnd::Gathered(Box::new(gathered), requests)
        });
    }

    /// What a sync from now on covers.
    fn durable_soon(&self, storage: &Storage) -> Bitfield {
        let mut have = self.brain.picker().have().clone();
        for piece in storage.have().iter() {
            have.set(piece);
        }
        have
    }

    pub(super) fn gathered(&mut self, gathered: Gathered, requests: Vec<SaveRequest>) {
        match self.take_in(gathered) {
            Ok((have, unfinished)) => {
                let stats = self.saver.stats.clone();
                let known = !self.is_in_the_dark();
                let record = self.record(known.then_some((&have, &unfinished)), &stats);
                self.saved(&record, requests);
            }
            Err((error, have)) => {
                self.not_durable(*error, &have, requests);
                self.save_over(None);
            }
        }
    }

    fn take_in(&mut self, gathered: Gathered) -> std::result::Result<Durable, NotDurable> {
        for (file, stat) in gathered.stats {
            if let Some(slot) = self.saver.stats.get_mut(file.0 as usize) {
                *slot = stat;
            }
        }
        match gathered.outcome {
            Ok(()) => {
                self.saver.synced = gathered.have.clone();
                Ok((gathered.have, gathered.unfinished))
            }
            Err(error) => Err((Box::new(error), gathered.have)),
        }
    }

    /// The device did not take what was written: it is not saved as had, and
    /// what was not durable before is looked at again.
    fn not_durable(&mut self, error: DiskError, have: &Bitfield, requests: Vec<SaveRequest>) {
        if error.is_transient() {
            // The device was not even asked.
            self.refuse_save(requests, &Error::from(error.clone()));
            self.storage_failed(error);
            return self.unsaved(SaveFlags::IF_DOWNLOAD_PROGRESS);
        }
        let mut doubtful = Bitfield::new(self.brain.layout().num_pieces());
        for piece in have.iter().filter(|&piece| !self.saver.synced.get(piece)) {
            doubtful.set(piece);
        }
        self.refuse_save(requests, &Error::from(error.clone()));
        self.storage_failed(error);
        if !doubtful.none() {
            self.recheck_some(doubtful);
        }
    }

    /// The record is as good as the device: whoever waits gets it, and the
    /// state directory.
    fn saved(&mut self, record: &torrent_core::resume::ResumeData, requests: Vec<SaveRequest>) {
        let plain = Bytes::from(record.encode());
        let mut last = plain.clone();
        for request in requests {
            let data = match self.handle.metainfo() {
                Some(metainfo) if request.flags.intersects(SaveFlags::SAVE_INFO_DICT) => {
                    let mut whole = record.clone();
                    whole.info = Some(metainfo.info.raw.clone());
                    Bytes::from(whole.encode())
                }
                _ => plain.clone(),
            };
            self.post(kind::SAVE_RESUME_DATA, || Detail::ResumeData(data.clone()));
            last.clone_from(&data);
            if let Some(answer) = request.answer {
                // Who asked may be gone.
                let _ = answer.send(Ok(data));
            }
        }
        *self.handle.shared.saved.lock() = Some(last);
        match self.saver.keeper.clone() {
            Some(keeper) => {
                let info_hash = self.handle.info_hash();
                self.tasks.spawn(async move {
                    let kept = keeper.save(info_hash, Part::Resume, plain.into()).await;
                    TaskEnd::Kept(kept.map_err(|error| Error::from_io(&error, keeper.folder())))
                });
            }
            None => self.save_over(None),
        }
    }

    /// The state directory has the record, or not.
    pub(super) fn kept(&mut self, outcome: Result<()>) {
        let retry = outcome.as_ref().err().map(|_| RETRY);
        if let Err(error) = outcome {
            self.refuse_save(Vec::new(), &error);
        }
        self.save_over(retry);
    }

    fn save_over(&mut self, retry: Option<Duration>) {
        let now = Instant::now();
        self.saver.busy = false;
        let waiting = std::mem::take(&mut self.saver.waiting);
        if !waiting.is_empty() {
            return self.start_save(waiting);
        }
        let took = now.saturating_duration_since(self.saver.began);
        if let Some(retry) = retry {
            self.saver.due = Some(now + retry);
        } else if self.saver.due.is_some() {
            self.saver.due = Some(now + AUTOSAVE.max(took));
        }
    }

    /// Tells whoever asked, and the readers of alerts, why nothing was saved.
    fn refuse_save(&self, requests: Vec<SaveRequest>, error: &Error) {
        tracing::debug!(torrent = %self.handle.info_hash(), %error, "not saved");
        self.post(kind::SAVE_RESUME_DATA_FAILED, || {
            Detail::Error(error.clone())
        });
        for answer in requests.into_iter().filter_map(|request| request.answer) {
            // Who asked may be gone.
            let _ = answer.send(Err(error.clone()));
        }
    }

    /// Puts into the state directory what the torrent is and where, so that
    /// it comes back even without a later record.
    pub(super) fn keep_source(&mut self) {
        let Some(keeper) = self.saver.keeper.clone() else {
            return;
        };
        let info_hash = self.handle.info_hash();
        let added = self.record(None, &[]).encode();
        let (part, source) = match self.handle.metainfo() {
            Some(metainfo) => (Part::Torrent, metainfo.to_bytes()),
            None => {
                let link = self.handle.magnet_link().to_string();
                (Part::Magnet, link.into_bytes())
            }
        };
        self.tasks.spawn(async move {
            let kept = async {
                keeper.save(info_hash, part, source).await?;
                keeper.save(info_hash, Part::Added, added).await
            };
            let kept = kept.await;
            TaskEnd::SourceKept(kept.map_err(|error| Error::from_io(&error, keeper.folder())))
        });
    }

    pub(super) fn source_kept(&self, outcome: Result<()>) {
        if let Err(error) = outcome {
            self.refuse_save(Vec::new(), &error);
        }
    }

    /// The last save of a session that stops; the torrent's connections are
    /// closed.
    pub(super) async fn save_last(&mut self) {
        self.follow_seed_mode();
        let Some(keeper) = self.saver.keeper.clone() else {
            return;
        };
        let storage = self.storage.get().cloned();
        let record = match storage.filter(|_| !self.is_in_the_dark()) {
            None => self.record(None, &[]),
            Some(storage) => {
                storage.flush().await;
                let have = self.durable_soon(&storage);
                let measure = self.saver.unmeasured.iter().copied().collect();
                let gathered = gather(storage, have, true, measure).await;
                match self.take_in(gathered) {
                    Ok((have, unfinished)) => {
                        let stats = self.saver.stats.clone();
                        self.record(Some((&have, &unfinished)), &stats)
                    }
                    // The record from before still tells the truth.
                    Err((error, _)) => return self.refuse_save(Vec::new(), &Error::from(*error)),
                }
            }
        };
        let info_hash = self.handle.info_hash();
        let kept = keeper.save(info_hash, Part::Resume, record.encode()).await;
        if let Err(error) = kept {
            let error = Error::from_io(&error, keeper.folder());
            self.refuse_save(Vec::new(), &error);
        }
    }

    /// A torrent that was removed is forgotten.
    pub(super) async fn forget_saved(&self) {
        if let Some(keeper) = &self.saver.keeper
            && let Err(error) = keeper.forget(self.handle.info_hash()).await
        {
            let error = Error::from_io(&error, keeper.folder());
            self.refuse_save(Vec::new(), &error);
        }
    }

    /// Looks again at these pieces; the others stay what they are.
    fn recheck_some(&mut self, pieces: Bitfield) {
        if self.stop_for_check() {
            self.doubt(&pieces);
            self.run_check(CheckMode::Only(pieces));
        }
    }
}
