//! When resume data is saved, and in which order: blocks to the files, files
//! to the device, and only then a record that says they are there.
//!
//! One sync runs at a time. With a state directory saves happen by themselves,
//! when `torrent_core::save_schedule` says so; what cannot be written there is tried
//! again by the directory's own thread.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use torrent_core::bitfield::Bitfield;
use torrent_core::ids::{FileIndex, PieceIndex};
use torrent_core::resume::{FileStat, ResumeData};
use torrent_core::save_schedule::{Changed, Save, SaveSchedule};

use super::completion::CompletionGuard;
use super::{Driver, TaskEnd};
use crate::disk::{DiskError, DiskErrorKind, Storage};
use crate::error::{Error, ErrorKind, Result};
use crate::event::typed;
use crate::state_dir::{Part, StateStore};
use crate::torrent::handle::resume::{SaveFlags, SaveRequest};

/// The state of saving.
pub(super) struct Saver {
    state_store: Option<Arc<StateStore>>,
    schedule: SaveSchedule,
    /// Requests that came while a sync was under way.
    waiting: Vec<Asked>,
    /// The sync that is under way is to answer requests.
    answering: bool,
    /// What the sync that is under way is to save.
    covers: SaveFlags,
    /// The pieces that the last good sync covered.
    synced: Bitfield,
    /// The files as they were when they became complete.
    stats: Vec<Option<FileStat>>,
    /// Complete files that are not in `stats` yet.
    unmeasured: BTreeSet<FileIndex>,
}

/// A request for resume data.
pub(super) struct Asked {
    request: SaveRequest,
    guard: CompletionGuard,
}

impl Asked {
    /// Gives the outcome, which an event has reported.
    fn give(self, outcome: Result<Bytes>) {
        self.guard.complete();
        if let Some(answer) = self.request.answer {
            // The caller may no longer wait.
            let _ = answer.send(outcome);
        }
    }
}

/// The state directory has a record, or will have it later.
pub(super) struct SavedRecord {
    /// The record came after a sync.
    synced: bool,
    /// The paths that the record covers.
    epoch: Option<u64>,
    written: bool,
}

/// What a save has gathered from the disk.
pub(super) struct RecordParts {
    have: Bitfield,
    unfinished: BTreeMap<PieceIndex, Bitfield>,
    stats: Vec<(FileIndex, Option<FileStat>)>,
    outcome: std::result::Result<(), DiskError>,
}

/// What is on the device: pieces, and blocks of unfinished ones.
type Durable = (Bitfield, BTreeMap<PieceIndex, Bitfield>);

/// Why the sync failed, and the pieces that it was for.
type NotDurable = (Box<DiskError>, Bitfield);

/// Syncs the files. `have` are the pieces that were verified before the call.
async fn gather(
    storage: Storage,
    have: Bitfield,
    partials: bool,
    measure: Vec<FileIndex>,
) -> RecordParts {
    let unfinished = if partials {
        storage.flush().await;
        storage.save_partials().await
    } else {
        BTreeMap::new()
    };
    let outcome = storage.sync().await;
    RecordParts {
        have,
        unfinished,
        stats: storage.file_stats(measure).await,
        outcome,
    }
}

impl Saver {
    pub(super) fn new(state_store: Option<Arc<StateStore>>, now: Instant) -> Self {
        Self {
            state_store,
            schedule: SaveSchedule::new(now),
            waiting: Vec::new(),
            answering: false,
            covers: SaveFlags::default(),
            synced: Bitfield::default(),
            stats: Vec::new(),
            unmeasured: BTreeSet::new(),
        }
    }

    /// When [`Driver::autosave`] is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.state_store.as_ref()?;
        self.schedule.poll_timeout()
    }

    /// What writes to the state directory.
    pub(super) fn state_store(&self) -> Option<Arc<StateStore>> {
        self.state_store.clone()
    }

    /// Saves in a moment, if there is anything to save then.
    pub(super) fn changed(&mut self, now: Instant, what: Changed) {
        self.schedule.changed(now, what);
    }

    /// The pieces that were durable when that was last known.
    pub(super) fn known(&self) -> &Bitfield {
        &self.synced
    }

    /// These files have just become complete, for the first time or again.
    pub(super) fn not_durable_yet(&mut self, pieces: &[PieceIndex]) {
        for piece in pieces {
            self.synced.clear(piece.0);
        }
    }

    /// Whether there are requests that the sync under way is to answer.
    pub(super) fn is_asked(&self) -> bool {
        self.answering
    }

    /// The torrent ends: drops the requests that wait for a sync.
    pub(super) fn give_up(&mut self) {
        self.waiting.clear();
    }

    pub(super) fn file_completed(&mut self, file: u32) {
        self.unmeasured.insert(FileIndex(file));
    }
}

impl Driver {
    /// Notes that something changed that justifies a save.
    pub(super) fn unsaved(&mut self, what: SaveFlags) {
        self.handle.note_unsaved(what);
        let what = match what {
            SaveFlags::IF_DOWNLOAD_PROGRESS => Changed::Progress,
            _ => Changed::Config,
        };
        self.records.saver.changed(Instant::now(), what);
    }

    /// Pieces that a check has just read count as durable.
    pub(super) fn checked_for_saving(&mut self, have: &Bitfield) {
        self.records.saver.synced = have.clone();
        let layout = self.brain.layout();
        let files = layout.files().iter().zip(0u32..);
        self.records.saver.unmeasured = files
            .filter(|(place, file)| {
                let mut pieces = layout.file_pieces(FileIndex(*file));
                !place.pad && pieces.all(|piece| have.get(piece))
            })
            .map(|(_, file)| FileIndex(file))
            .collect();
        self.records.saver.stats = vec![None; layout.files().len()];
        self.unsaved(SaveFlags::IF_DOWNLOAD_PROGRESS);
    }

    /// Starts an automatic save if one is due.
    pub(super) fn autosave(&mut self, now: Instant) {
        if self.records.saver.state_store.is_none() {
            return;
        }
        while let Some(save) = self.records.saver.schedule.poll(now) {
            let unsaved = self.handle.shared.unsaved.changes();
            let wanted = match save {
                Save::Record => SaveFlags::SETTINGS,
                Save::Synced => SaveFlags::MODIFIED,
            };
            if !wanted.intersects(unsaved) {
                self.records.saver.schedule.nothing_new(now, save);
            } else if save == Save::Synced {
                self.start_save(Vec::new());
            } else {
                self.save_record(now);
            }
        }
    }

    /// Saves what the game has set, with what is known to be durable.
    fn save_record(&mut self, now: Instant) {
        self.records.saver.schedule.began(now, Save::Record);
        self.handle.shared.unsaved.covered(SaveFlags::SETTINGS);
        let record = self.record_of_now();
        self.keep(Bytes::from(record.encode()), false);
    }

    fn record_of_now(&mut self) -> ResumeData {
        let durable = self.durable();
        let stats = self.records.saver.stats.clone();
        let unfinished = BTreeMap::new();
        self.record(durable.as_ref().map(|have| (have, &unfinished)), &stats)
    }

    /// The pieces that are known to be on the device; `None` while that is not
    /// known.
    fn durable(&self) -> Option<Bitfield> {
        let synced = &self.records.saver.synced;
        if synced.is_empty() || synced.len() != self.brain.layout().num_pieces() {
            return None;
        }
        // Files out of reach are taken to be unchanged.
        if self.checking.state.is_hidden() && !self.location.work.needs_check() {
            return Some(synced.clone());
        }
        if self.is_content_unknown() {
            return None;
        }
        let mut durable = Bitfield::new(synced.len());
        let have = self.brain.picker().have();
        for piece in synced.iter().filter(|&piece| have.get(piece)) {
            durable.set(piece);
        }
        Some(durable)
    }

    /// Hands a record to the state directory.
    fn keep(&mut self, record: Bytes, synced: bool) {
        let Some(state_store) = &self.records.saver.state_store else {
            return;
        };
        let epoch = self.location.work.epoch();
        let kept = state_store.save(self.handle.info_hash(), Part::Resume, record);
        self.tasks.spawn(async move {
            // The directory's thread reports what fails, and tries again.
            let written = kept.await.is_ok();
            TaskEnd::Kept(SavedRecord {
                synced,
                epoch,
                written,
            })
        });
    }

    pub(super) fn save_requested(&mut self, request: SaveRequest) {
        let conditions = request.flags.conditions().bits();
        let unsaved = self.handle.shared.unsaved.changes().bits();
        let asked = Asked {
            request,
            guard: self.guard_of_save(),
        };
        if conditions != 0 && conditions & unsaved == 0 {
            let error = Error::because(
                ErrorKind::InvalidParameter,
                "the resume data is not modified",
            );
            self.refuse_save(vec![asked], &error);
        } else if self.records.saver.schedule.is_syncing() {
            self.records.saver.waiting.push(asked);
        } else {
            self.start_save(vec![asked]);
        }
    }

    fn start_save(&mut self, requests: Vec<Asked>) {
        self.records
            .saver
            .schedule
            .began(Instant::now(), Save::Synced);
        // What was hashed up to now is part of it.
        self.follow_seed_mode();
        self.records.saver.covers = self.handle.shared.unsaved.take();
        let Some(storage) = self
            .storage
            .slot
            .get()
            .cloned()
            .filter(|_| !self.is_content_unknown())
        else {
            let record = self.record_of_now();
            return self.saved(&record, requests);
        };
        self.records.saver.answering = !requests.is_empty();
        let have = self.durable_soon(&storage);
        let measure = std::mem::take(&mut self.records.saver.unmeasured);
        let partials = !requests.is_empty();
        self.tasks.spawn(async move {
            let measure = measure.into_iter().collect();
            let gathered = gather(storage, have, partials, measure).await;
            TaskEnd::Gathered(Box::new(gathered), requests)
        });
    }

    /// What a sync from now on covers.
    fn durable_soon(&self, storage: &Storage) -> Bitfield {
        let mut have = Bitfield::clone(self.brain.picker().have());
        for piece in storage.have().iter() {
            have.set(piece);
        }
        have
    }

    pub(super) fn gathered(&mut self, gathered: RecordParts, requests: Vec<Asked>) {
        match self.take_in(gathered) {
            Ok((have, unfinished)) => {
                let stats = self.records.saver.stats.clone();
                let known = !self.is_content_unknown();
                let record = self.record(known.then_some((&have, &unfinished)), &stats);
                self.saved(&record, requests);
            }
            Err((error, have)) => {
                // It is not part of any record.
                self.handle.note_unsaved(self.records.saver.covers);
                self.not_durable(*error, &have, requests);
                self.save_over(false);
            }
        }
    }

    fn take_in(&mut self, gathered: RecordParts) -> std::result::Result<Durable, NotDurable> {
        for (file, stat) in gathered.stats {
            if let Some(slot) = self.records.saver.stats.get_mut(file.0 as usize) {
                *slot = stat;
            }
        }
        match gathered.outcome {
            Ok(()) => {
                self.records.saver.synced = gathered.have.clone();
                Ok((gathered.have, gathered.unfinished))
            }
            Err(error) => Err((Box::new(error), gathered.have)),
        }
    }

    /// A sync failed: its pieces are not recorded as had, and those that were not
    /// durable before are checked again.
    fn not_durable(&mut self, error: DiskError, have: &Bitfield, requests: Vec<Asked>) {
        if error.is_transient() {
            // The sync was not tried.
            self.refuse_save(requests, &Error::from(error.clone()));
            return self.storage_failed(error);
        }
        let mut doubtful = Bitfield::new(self.brain.layout().num_pieces());
        for piece in have
            .iter()
            .filter(|&piece| !self.records.saver.synced.get(piece))
        {
            doubtful.set(piece);
        }
        self.refuse_save(requests, &Error::from(error.clone()));
        if error.is_absence() && error.kind != DiskErrorKind::FolderGone {
            // As when the bytes of a piece are gone: it is fetched again.
            let error = Error::from(error);
            self.post_error(typed::FILE_ERROR, error);
        } else {
            self.storage_failed(error);
        }
        if !doubtful.none() {
            self.recheck_some(doubtful);
        }
    }

    /// The files are synced, so the record is true: the callers that wait and the
    /// state directory get it.
    fn saved(&mut self, record: &ResumeData, requests: Vec<Asked>) {
        let plain = Bytes::from(record.encode());
        let mut last = plain.clone();
        for asked in requests {
            let data = match self.handle.metainfo() {
                Some(metainfo) if asked.request.flags.intersects(SaveFlags::SAVE_INFO_DICT) => {
                    let mut whole = record.clone();
                    whole.info = Some(metainfo.info.raw.clone());
                    Bytes::from(whole.encode())
                }
                _ => plain.clone(),
            };
            self.post(typed::SAVE_RESUME_DATA, || data.clone());
            last.clone_from(&data);
            asked.give(Ok(data));
        }
        self.handle.shared.unsaved.saved(last);
        if self.records.saver.state_store.is_some() {
            self.keep(plain, true);
        } else {
            self.save_over(true);
        }
    }

    pub(super) fn kept(&mut self, kept: &SavedRecord) {
        if kept.written && self.location.work.is_recorded_by(kept.epoch) {
            self.drop_move_journal();
        }
        if kept.synced {
            self.save_over(true);
        }
    }

    /// The record says where the files are: what stands beside it goes.
    fn drop_move_journal(&mut self) {
        self.keep_source();
        if let Some(state_store) = &self.records.saver.state_store {
            // The state directory's thread tries again what fails.
            drop(state_store.drop_part(self.handle.info_hash(), Part::MoveJournal));
        }
    }

    fn save_over(&mut self, succeeded: bool) {
        self.records
            .saver
            .schedule
            .synced(Instant::now(), succeeded);
        self.records.saver.answering = false;
        let waiting = std::mem::take(&mut self.records.saver.waiting);
        if !waiting.is_empty() {
            self.start_save(waiting);
        }
    }

    /// Posts why nothing was saved: once for each request, or once for an
    /// automatic save.
    fn refuse_save(&self, requests: Vec<Asked>, error: &Error) {
        tracing::debug!(torrent = %self.handle.info_hash(), %error, "not saved");
        for _ in 0..requests.len().max(1) {
            self.post(typed::SAVE_RESUME_DATA_FAILED, || error.clone());
        }
        for asked in requests {
            asked.give(Err(error.clone()));
        }
    }

    /// Writes the torrent file or link and a first record into the state
    /// directory, so that the torrent comes back even without a later record.
    pub(super) fn keep_source(&mut self) {
        let Some(state_store) = self.records.saver.state_store.clone() else {
            return;
        };
        let info_hash = self.handle.info_hash();
        let mut added = self.record(None, &[]);
        let (part, source) = match self.handle.metainfo() {
            Some(metainfo) => {
                // Once more, in case that the torrent file is damaged.
                added.info = Some(metainfo.info.raw.clone());
                (Part::Torrent, metainfo.to_bytes())
            }
            None => {
                let link = self.handle.magnet_link().to_string();
                (Part::Magnet, link.into_bytes())
            }
        };
        // They are on their way; what fails is reported and tried again.
        drop(state_store.save(info_hash, part, source.into()));
        drop(state_store.save(info_hash, Part::Added, added.encode().into()));
    }

    /// The last save of a session that stops; the torrent's connections are
    /// closed.
    pub(super) async fn save_last(&mut self) {
        self.follow_seed_mode();
        let Some(state_store) = self.records.saver.state_store.clone() else {
            return;
        };
        let info_hash = self.handle.info_hash();
        if !self.location.owns_paths {
            // What it is stands there; its place may be another torrent's.
            return;
        }
        let epoch = self.location.work.epoch();
        let unsaved = self.handle.shared.unsaved.changes();
        if SaveFlags::SETTINGS.intersects(unsaved) {
            // The device may take longer than there is time for.
            let record = self.record_of_now().encode();
            drop(state_store.save(info_hash, Part::Resume, record.into()));
        }
        // What still has the files after it was asked to end hangs: what is known
        // is saved without them.
        let storage = self.storage.slot.get().cloned();
        let storage = storage.filter(|_| !self.location.work.is_busy());
        let record = match storage.filter(|_| !self.is_content_unknown()) {
            None => self.record_of_now(),
            Some(storage) => {
                storage.flush().await;
                let have = self.durable_soon(&storage);
                let measure = self.records.saver.unmeasured.iter().copied().collect();
                let gathered = gather(storage, have, true, measure).await;
                match self.take_in(gathered) {
                    Ok((have, unfinished)) => {
                        let stats = self.records.saver.stats.clone();
                        self.record(Some((&have, &unfinished)), &stats)
                    }
                    // The record from before is still true.
                    Err((error, _)) => return self.refuse_save(Vec::new(), &Error::from(*error)),
                }
            }
        };
        let kept = state_store.save(info_hash, Part::Resume, record.encode().into());
        if kept.await.is_ok() && self.location.work.is_recorded_by(epoch) {
            self.drop_move_journal();
        }
    }
}
