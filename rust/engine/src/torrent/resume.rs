//! Resumes a torrent from its record: what the record claims is checked against
//! the files before it counts. And makes records of the torrent's state.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use torrent_core::bitfield::Bitfield;
use torrent_core::check_state::Started;
use torrent_core::ids::{FileIndex, PieceIndex};
use torrent_core::layout::Layout;
use torrent_core::peerlist::Sources;
use torrent_core::resume::{Allocation, FileStat, Flags, ResumeData};
use torrent_core::torrent::TorrentState;

use super::{Driver, TaskEnd};
use crate::disk::{CheckMode, ResumeAccepted, ResumeClaim, ResumeRejected, Storage};
use crate::error::{Error, ErrorKind};
use crate::event::{typed, unix_millis};
use crate::operation::Operation;
use crate::torrent::handle;
use crate::torrent::handle::resume::{names_in, path_bytes, path_of, put_priorities};
use crate::torrent::handle::storage::StorageMode;

/// Peers that a record names, at most.
const MAX_PEERS: usize = 100;

/// The port of a banned address, of which only the address is known.
const ANY_PORT: u16 = 1;

/// What the torrent knows from earlier sessions.
#[derive(Debug, Default)]
pub(super) struct ResumeState {
    /// The record without its claims: totals and times up to now, and what
    /// only others make use of.
    pub(super) record: ResumeData,
    /// What the record claims; until it is accepted or rejected.
    claim: Option<RecordClaim>,
    /// Why the record is not believed, whatever the files say; until a check
    /// begins for it.
    rejected: Option<Error>,
    /// The files were checked: what the record says of them is old.
    checked: bool,
    /// The record is of files in another folder, and there are none in this one.
    elsewhere: bool,
    /// Unfinished pieces that are taken up once the check is over.
    unfinished: BTreeMap<PieceIndex, Bitfield>,
}

/// The pieces, blocks and files that a record claims to be on disk.
#[derive(Debug)]
struct RecordClaim {
    pieces: Vec<u8>,
    unfinished: BTreeMap<PieceIndex, Vec<u8>>,
    stats: Vec<Option<FileStat>>,
    verify_files: bool,
}

impl ResumeState {
    /// Splits a record into what it remembers and what it claims.
    pub(super) fn new(
        resume: Option<Box<ResumeData>>,
        verify_files: bool,
        rejected: Option<Error>,
    ) -> Self {
        let Some(mut record) = resume.map(|resume| *resume) else {
            return Self::default();
        };
        let claim = RecordClaim {
            pieces: std::mem::take(&mut record.pieces),
            unfinished: std::mem::take(&mut record.unfinished),
            stats: std::mem::take(&mut record.file_stats),
            verify_files,
        };
        Self {
            record,
            rejected,
            // Who names no pieces claims nothing, not even that there are none.
            claim: (!claim.pieces.is_empty()).then_some(claim),
            ..Self::default()
        }
    }
}

impl ResumeState {
    /// Whether an earlier session had something on disk, beyond padding.
    pub(super) fn had_data(&self, layout: &Layout) -> bool {
        if self.elsewhere || self.checked {
            return false;
        }
        let Some(claim) = &self.claim else {
            // It was not known what there is when the record was written.
            let record = &self.record;
            return record.total_downloaded > 0 || record.completed_time > 0;
        };
        let have = Bitfield::from_wire(&claim.pieces, layout.num_pieces());
        let mut have = have.unwrap_or_default();
        for piece in layout.padding_pieces() {
            have.clear(piece.0);
        }
        !have.none() || !claim.unfinished.is_empty()
    }

    /// The files of which the record claims pieces.
    pub(super) fn claimed_files(&self, layout: &Layout) -> Vec<FileIndex> {
        let pieces = self.claim.as_ref().map(|claim| &claim.pieces);
        let have = pieces.and_then(|it| Bitfield::from_wire(it, layout.num_pieces()));
        let have = have.unwrap_or_default();
        let places = (0..).map(FileIndex).zip(layout.files());
        places
            .filter(|(_, place)| !place.pad && place.length > 0)
            .map(|(file, _)| file)
            .filter(|&file| layout.file_pieces(file).any(|piece| have.get(piece)))
            .collect()
    }

    /// It is known what there is.
    pub(super) fn was_checked(&mut self) {
        self.checked = true;
    }

    /// The folder that the record names, if there is a record. It is empty if
    /// it names none.
    pub(super) fn recorded_path(&self) -> Option<PathBuf> {
        let is_record = self.record.hashes.is_some();
        is_record.then(|| path_of(&self.record.save_path))
    }

    /// What the record claims was never in this folder.
    pub(super) fn was_elsewhere(&mut self) {
        self.elsewhere = true;
    }

    /// Whatever the record claims, there is nothing yet.
    pub(super) fn nothing_is_there(&mut self) {
        self.claim = None;
        self.record.verified.clear();
        self.rejected = None;
        self.checked = true;
    }

    /// Everything has to be checked.
    pub(super) fn claim_nothing(&mut self) {
        self.claim = None;
    }

    /// The record's names for files turn out to be bad, and with them all that
    /// it claims. False if other names count.
    pub(super) fn reject_names(
        &mut self,
        names: &mut BTreeMap<FileIndex, String>,
        error: Error,
    ) -> bool {
        let recorded = *names == names_in(&self.record);
        if recorded {
            names.clear();
            self.claim = None;
            self.rejected = Some(error);
        }
        recorded
    }

    /// Notes priorities of pieces that are not known yet; they go before
    /// those of the record.
    pub(super) fn set_unknown_priorities(&mut self, priorities: Vec<u8>) {
        if !priorities.is_empty() {
            self.record.piece_priorities = priorities;
        }
    }
}

impl Driver {
    /// Peers and bans of earlier sessions.
    pub(super) fn restore_peers(&mut self) {
        let record = &mut self.records.resume_state.record;
        let peers = std::mem::take(&mut record.peers);
        let banned = std::mem::take(&mut record.banned_peers);
        self.brain
            .restore_bans(banned.into_iter().map(|endpoint| endpoint.ip()));
        self.add_peers(Instant::now(), peers, Sources::RESUME_DATA);
    }

    /// Piece priorities of a record or of the one who added it, once it is
    /// known of which pieces.
    pub(super) fn restore_piece_priorities(&self) {
        let mut options = self.handle.shared.options.lock();
        let given = &self.records.resume_state.record.piece_priorities;
        if !put_priorities(given, options.pieces_mut()) {
            let (torrent, given) = (self.handle.info_hash(), given.len());
            tracing::warn!(%torrent, "of what it was added with: {given} piece priorities");
        }
    }

    /// Finds out what is on disk: as far as the record goes, or by a check of
    /// everything ([`CheckOutput::Start`](torrent_core::check_state::CheckOutput)).
    pub(super) fn find_out(&mut self, storage: &Storage) {
        if self.redoes_change() {
            return self.checking.state.start_is_busy();
        }
        // A new torrent's folder is made.
        if !self.checking.state.has_seen_folder() && self.had_data() {
            return self.checking.state.look_to_start();
        }
        self.location.awaited = None;
        if let Some(error) = self.records.resume_state.rejected.take() {
            return self.reject(error.message().to_owned(), error.context());
        }
        let layout = self.brain.layout();
        let claim = self.records.resume_state.claim.as_ref().and_then(|claim| {
            let have = Bitfield::from_wire(&claim.pieces, layout.num_pieces())?;
            let unfinished = claim.unfinished.iter().filter_map(|(&piece, blocks)| {
                let blocks = Bitfield::from_wire(blocks, layout.blocks_in_piece(piece))?;
                (!have.get(piece.0) && !blocks.none()).then_some((piece, blocks))
            });
            Some(ResumeClaim {
                unfinished: unfinished.collect(),
                have,
                stats: claim.stats.clone(),
                verify_files: claim.verify_files,
                seed: rand::random(),
            })
        });
        if let Some(claim) = claim {
            if !claim.have.is_full() {
                self.leave_seed_mode();
            }
            self.checking.state.start_is_busy();
            let storage = storage.clone();
            self.tasks.spawn(async move {
                TaskEnd::ResumeChecked(Box::new(storage.check_resume(claim).await))
            });
            return;
        }
        if self.records.resume_state.claim.take().is_some() {
            self.reject(
                "it is of a torrent with another number of pieces".to_owned(),
                "",
            );
            return;
        }
        let recheck = self.checking.state.is_recheck_wanted();
        if !recheck && self.begin_seed_mode() {
            return self.checking.state.start_is_busy();
        }
        let settings = self.context.services.settings.borrow().clone();
        if !recheck && settings.no_recheck_incomplete_resume {
            let nothing = Bitfield::new(self.brain.layout().num_pieces());
            self.start_over(Started::Found(Some(nothing)));
        } else {
            self.checking.state.mark_unknown();
            self.start_over(Started::Check(CheckMode::All));
        }
    }

    fn start_over(&mut self, outcome: Started) {
        self.check_input(|checks| checks.started(outcome));
    }

    pub(super) fn resume_checked(&mut self, outcome: Result<ResumeAccepted, ResumeRejected>) {
        if let Err(ResumeRejected::Disk(error)) = &outcome
            && !error.is_absence()
        {
            // It says nothing of the record, which stands as it is.
            return match error.is_transient() {
                true => self.start_later(error.clone()),
                false => self.start_failed(error.clone()),
            };
        }
        self.records.resume_state.claim = None;
        let recheck = self.checking.state.is_recheck_wanted();
        match outcome {
            Ok(accepted) => {
                let ResumeAccepted {
                    suspects,
                    unfinished,
                    ..
                } = accepted;
                if !recheck {
                    self.records.resume_state.unfinished = unfinished;
                }
                if suspects.none() {
                    return self.start_over(Started::Found(None));
                }
                self.mark_unknown(&suspects);
                self.start_over(Started::Check(CheckMode::Only(suspects)));
            }
            Err(_) if recheck => {
                self.checking.state.mark_unknown();
                self.start_over(Started::Check(CheckMode::All));
            }
            Err(rejected) => {
                let path = match &rejected {
                    ResumeRejected::FileSize { error, .. } | ResumeRejected::Disk(error) => {
                        error.path.display().to_string()
                    }
                    ResumeRejected::Hash { .. } => String::new(),
                };
                self.reject(rejected.to_string(), &path);
            }
        }
    }

    /// The record is not true: everything is checked.
    fn reject(&mut self, reason: String, path: &str) {
        self.records.resume_state.claim = None;
        self.checking.state.mark_unknown();
        self.leave_seed_mode();
        self.post_rejected(reason, path);
        self.start_over(Started::Check(CheckMode::All));
    }

    /// Posts that resume data was rejected.
    pub(super) fn post_rejected(&self, reason: String, path: &str) {
        tracing::warn!(torrent = %self.handle.info_hash(), reason, path, "resume data rejected");
        let error = Error::because(ErrorKind::ResumeDataParseError, reason)
            .about(path)
            .during(Operation::CheckResume);
        self.post(typed::FASTRESUME_REJECTED, || error);
    }

    /// Takes up unfinished pieces, now that the check is over.
    pub(super) fn adopt_unfinished(&mut self) {
        let Some(storage) = self.storage.slot.get() else {
            return;
        };
        for (piece, blocks) in std::mem::take(&mut self.records.resume_state.unfinished) {
            if self.brain.adopt_partial(piece, &blocks) {
                storage.adopt_partial(piece, blocks);
            }
        }
    }

    /// The record of the torrent. `found` is what is durable on disk; `None`
    /// while that is not known.
    pub(super) fn record(
        &mut self,
        found: Option<(&Bitfield, &BTreeMap<PieceIndex, Bitfield>)>,
        stats: &[Option<FileStat>],
    ) -> ResumeData {
        let now = Instant::now();
        let options = self.handle.shared.options.lock().clone();
        let plain = options.plain;
        let swarm = self.announcing.announcer.swarm();
        let totals = self.brain.totals();
        let (received, sent) = (totals.payload_received, totals.payload_sent);
        let list = self.brain.peer_list();
        let resume_state = &self.records.resume_state.record;
        let unlimited = |limit: i64| u32::try_from(limit).ok();
        let mut record = ResumeData {
            hashes: Some(self.handle.hashes()),
            name: self.handle.name().to_owned(),
            save_path: path_bytes(&self.handle.save_path()),
            part_file_dir: path_bytes(&options.part_file_dir),
            allocation: match plain.storage_mode {
                StorageMode::Allocate => Allocation::Full,
                StorageMode::Sparse => Allocation::Sparse,
            },
            renamed_files: options
                .renamed_files
                .iter()
                .map(|(&file, name)| (file, name.clone().into_bytes()))
                .collect(),
            total_uploaded: resume_state.total_uploaded + sent,
            total_downloaded: resume_state.total_downloaded + received,
            added_time: self.handle.added_time(),
            num_complete: swarm.complete.or(resume_state.num_complete),
            num_incomplete: swarm.incomplete.or(resume_state.num_incomplete),
            num_downloaded: swarm.downloaded.or(resume_state.num_downloaded),
            max_connections: unlimited(plain.max_connections),
            max_uploads: unlimited(plain.max_uploads),
            download_limit: unlimited(plain.download_limit).filter(|&limit| limit > 0),
            upload_limit: unlimited(plain.upload_limit).filter(|&limit| limit > 0),
            peers: list.resumable().take(MAX_PEERS).collect(),
            banned_peers: list
                .banned()
                .map(|ip| SocketAddr::new(ip, ANY_PORT))
                .collect(),
            flags: Flags {
                paused: Some(self.handle.waits(plain)),
                auto_managed: Some(plain.auto_managed),
                sequential_download: Some(plain.sequential),
                apply_ip_filter: Some(plain.apply_ip_filter),
                upload_mode: Some(plain.modes.upload_mode),
                share_mode: Some(plain.modes.share_mode),
                super_seeding: Some(plain.modes.super_seeding),
                stop_when_ready: Some(plain.modes.stop_when_ready),
                seed_mode: Some(self.storage.work.seed_mode),
                disable_dht: Some(!plain.discovery.dht),
                disable_lsd: Some(!plain.discovery.lsd),
                disable_pex: Some(!plain.discovery.pex),
                ..resume_state.flags
            },
            trackers: Some(options.trackers.to_vec()),
            url_seeds: Some(self.handle.magnet_link().url_seeds),
            info: None,
            verified: self.seed_mode_record(),
            ..resume_state.clone()
        };
        if self.brain.state() == TorrentState::Seeding {
            self.times.times.last_seen_complete = unix_millis() / 1000;
        }
        self.times.times.record(now, &mut record);
        if let Some(metainfo) = self.handle.metainfo() {
            // What an earlier record says of these stays.
            if record.comment.is_empty() {
                record.comment.clone_from(&metainfo.comment);
            }
            if record.created_by.is_empty() {
                record.created_by.clone_from(&metainfo.created_by);
            }
            if record.creation_date == 0 {
                record.creation_date = metainfo.creation_date.unwrap_or(0);
            }
            record.url_seeds = Some(metainfo.url_seeds.clone());
            let derived = handle::piece_priorities(&metainfo.info.layout, &options.file_priorities);
            record.piece_priorities = if derived == *options.piece_priorities {
                Vec::new()
            } else {
                options.piece_priorities.to_vec()
            };
        }
        record.file_priorities = if options
            .file_priorities
            .iter()
            .all(|&priority| priority == 4)
        {
            Vec::new()
        } else {
            options.file_priorities.to_vec()
        };
        self.record_pieces(&mut record, found, stats);
        record
    }

    /// Writes down which pieces and blocks are durable, or what an earlier record
    /// claims of them.
    fn record_pieces(
        &self,
        record: &mut ResumeData,
        found: Option<(&Bitfield, &BTreeMap<PieceIndex, Bitfield>)>,
        stats: &[Option<FileStat>],
    ) {
        if !self.handle.is_on_disk() {
            // By the time that it is read nothing is left.
            let nothing = Bitfield::new(self.brain.layout().num_pieces());
            record.pieces = nothing.as_bytes().to_vec();
            record.verified.clear();
            record.flags.seed_mode = Some(false);
            return;
        }
        match (found, &self.records.resume_state.claim) {
            (Some((have, unfinished)), _) => {
                record.pieces = have.as_bytes().to_vec();
                record.unfinished = unfinished
                    .iter()
                    .filter(|(piece, blocks)| !have.get(piece.0) && !blocks.none())
                    .map(|(&piece, blocks)| (piece, blocks.as_bytes().to_vec()))
                    .collect();
                record.file_stats = stats.to_vec();
            }
            // Not looked at yet: the claim stands as it was.
            (None, Some(claim)) => {
                record.pieces.clone_from(&claim.pieces);
                record.unfinished.clone_from(&claim.unfinished);
                record.file_stats.clone_from(&claim.stats);
            }
            // Nothing is known: the next session has to check the files.
            (None, None) => {}
        }
    }

    /// Whether it is unknown which pieces are on disk.
    pub(super) fn is_content_unknown(&self) -> bool {
        self.storage.slot.get().is_none()
            || self.checking.state.is_content_unknown()
            || self.brain.state().is_checking()
            || self.brain.state() == TorrentState::DownloadingMetadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record with these names, which claims two pieces.
    fn state(names: &[(u32, &str)]) -> ResumeState {
        let names = names.iter();
        let names = names.map(|&(file, name)| (FileIndex(file), name.as_bytes().to_vec()));
        let record = ResumeData {
            renamed_files: names.collect(),
            pieces: vec![0xc0],
            ..ResumeData::default()
        };
        ResumeState::new(Some(Box::new(record)), false, None)
    }

    #[test]
    fn bad_names_of_a_record_are_its_own_fault_alone() {
        let error = || Error::new(ErrorKind::InvalidPath);
        let mut state = state(&[(0, "a"), (1, "a")]);
        // Those that the game gave instead are the game's.
        let mut names = BTreeMap::from([(FileIndex(1), "../b".to_owned())]);
        assert!(!state.reject_names(&mut names, error()));
        assert_eq!(names.len(), 1);
        assert!(state.claim.is_some() && state.rejected.is_none());
        let mut names = names_in(&state.record);
        assert!(state.reject_names(&mut names, error()));
        assert!(names.is_empty());
        assert!(state.claim.is_none() && state.rejected.is_some());
    }
}
