//! Opens the storage of a torrent: at once if it begins with its metadata,
//! otherwise when the metadata has come from peers (BEP 9).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::task::spawn_blocking;
use torrent_core::ids::FileIndex;
use torrent_core::metainfo::{Info, MetainfoError, MetainfoLimits};

use super::{Driver, TaskEnd, all_left};
use crate::context::path_claims::{ClaimedPaths, Sharing};
use crate::disk::{SharedFiles, StorageSpec};
use crate::error::{Error, ErrorKind};
use crate::event::typed;
use crate::torrent::handle::resume::SaveFlags;
use crate::torrent::handle::storage::{StorageMode, check_names, part_file};
use crate::torrent::handle::{TorrentHandle, piece_priorities};

/// Where the files of `info` lie, which of them are wanted, and how they get
/// their room.
pub(super) fn spec(info: &Info, handle: &TorrentHandle) -> Result<StorageSpec, Error> {
    let renamed = handle.file_names();
    spec_at(info, handle, &handle.save_path(), renamed)
}

/// The same at another save path.
pub(super) fn spec_at(
    info: &Info,
    handle: &TorrentHandle,
    save_path: &Path,
    renamed: Arc<BTreeMap<FileIndex, String>>,
) -> Result<StorageSpec, Error> {
    let (wanted, plain) = {
        let options = handle.shared.options.lock();
        let wanted = options.file_priorities.iter().map(|&it| it > 0);
        (wanted.collect(), options.plain)
    };
    let shared = Arc::clone(&handle.shared.shared_files);
    files_spec(info, save_path, &renamed, part_file(handle), shared).map(|spec| {
        spec.awaited(Arc::clone(&handle.shared.awaited_folders))
            .wanted(wanted)
            .kind(plain.storage)
            .allocate(plain.storage_mode == StorageMode::Allocate)
    })
}

/// Where the files of `info` lie.
pub(super) fn files_spec(
    info: &Info,
    save_path: &Path,
    renamed: &BTreeMap<FileIndex, String>,
    part_file: PathBuf,
    shared: SharedFiles,
) -> Result<StorageSpec, Error> {
    let renamed = renamed.iter();
    let renamed = renamed.map(|(&file, name)| (file, PathBuf::from(name)));
    let paths = (0..info.files.len()).map(|file| PathBuf::from(info.files.path(file)));
    let links = info.files.links();
    let links = links.map(|(file, target)| (FileIndex(file), PathBuf::from(target)));
    let programs = info.files.executables().map(FileIndex);
    StorageSpec::new(
        info.layout.clone(),
        paths.collect(),
        info.piece_hashes().clone(),
        save_path,
    )
    .and_then(|spec| spec.links(links))
    .map(|spec| spec.executables(programs))
    .and_then(|spec| spec.renamed(renamed))
    .and_then(|spec| spec.part_file(part_file))
    .map(|spec| spec.shared(shared))
    .map_err(|error| {
        Error::because(ErrorKind::InvalidPath, error.to_string())
            .about(save_path.display().to_string())
    })
}

impl Driver {
    /// The metadata of a torrent that began without it is here, and has the
    /// right hash.
    pub(super) fn metadata_known(&mut self, info: Arc<Info>) {
        if self.brain.has_metadata() || self.location.work.holds_metadata(&info) {
            return;
        }
        if let Err(error) = self.judge_names(&info) {
            return self.metadata_refused(error);
        }
        if self.handle.is_on_disk() && !self.location.lease.has_place() {
            return self.take_place(info);
        }
        let storage = match spec(&info, &self.handle) {
            Ok(spec) => self.context.disk.open(spec, self.storage.events.clone()),
            Err(error) => return self.metadata_refused(error),
        };
        // No other code fills it.
        let _ = self.storage.slot.set(storage);
        self.brain.set_metadata(
            Instant::now(),
            Arc::new(info.layout.clone()),
            rand::random(),
        );
        for note in self.handle.learn(info) {
            let torrent = self.handle.info_hash();
            tracing::warn!(%torrent, "of what it was added with: {note}");
        }
        self.restore_piece_priorities();
        self.unsaved(SaveFlags::IF_METADATA_CHANGED);
        self.keep_source();
        self.read_options();
        if self.handle.is_private() {
            self.brain.forget_discovered();
        }
        self.read_priorities();
        self.publish(Instant::now());
        self.publish_pieces();
        self.post(typed::METADATA_RECEIVED, || ());
        self.start_check();
    }
}

impl Driver {
    /// Judges names that were given to files before the metadata was known. Bad
    /// names in a record make the record worthless; bad names from the game are
    /// an error of the torrent.
    fn judge_names(&mut self, info: &Info) -> Result<(), Error> {
        let part_file = part_file(&self.handle);
        let mut options = self.handle.shared.options.lock();
        let names = Arc::make_mut(&mut options.renamed_files);
        let judged = check_names(info, names, &part_file);
        judged.or_else(
            |error| match self.records.resume_state.reject_names(names, error.clone()) {
                true => check_names(info, names, &part_file),
                false => Err(error),
            },
        )
    }

    /// Claims the paths of the files, now that they are known, and waits for
    /// torrents that are being removed from them. Moves and renames wait
    /// meanwhile; [`Self::paths_claimed`] goes on with the metadata.
    fn take_place(&mut self, info: Arc<Info>) {
        let metainfo = self.handle.magnet_link().with_info(Arc::clone(&info));
        let area = {
            let options = self.handle.shared.options.lock();
            ClaimedPaths::new(
                &self.handle.save_path(),
                Arc::new(metainfo),
                BTreeMap::clone(&options.renamed_files),
                &options.part_file_dir,
            )
        };
        self.location.work.hold();
        let lease = Arc::clone(&self.location.lease);
        let session = Arc::clone(&self.context.services);
        self.tasks.spawn(async move {
            // The places of those that are remembered go first.
            let ticket = session.path_claims.newcomer_ticket().await;
            let taken = match lease.take(ticket, area, Sharing::Same).await {
                Ok(reserved) => {
                    all_left(reserved.after).await;
                    Ok(())
                }
                Err(error) => Err(error),
            };
            TaskEnd::PathsClaimed(info, taken)
        });
    }

    pub(super) fn paths_claimed(&mut self, info: Arc<Info>, outcome: Result<(), Error>) {
        self.location.work.let_go();
        match outcome {
            Ok(()) => self.metadata_known(info),
            Err(error) => self.metadata_refused(error),
        }
        self.place_next();
    }

    /// Reads an info dict that has the right hash. It came from peers: what a
    /// torrent file must not contain, it must not contain either.
    pub(super) fn read_metadata(&mut self, info_dict: Bytes) {
        let limits = MetainfoLimits::of_settings(&self.context.services.settings.borrow());
        self.tasks.spawn(async move {
            let read = spawn_blocking(move || Info::parse(&info_dict, &limits)).await;
            // A panic of the parser is a fault of ours; the torrent stays without metadata.
            TaskEnd::Metadata(read.unwrap_or(Err(MetainfoError::NotADict)))
        });
    }

    /// The metadata is what the hash stands for, and cannot be used: no peer
    /// will ever have a better one.
    pub(super) fn metadata_refused(&mut self, error: Error) {
        let now = Instant::now();
        // Time changes nothing about it.
        self.failure.backoff.failed(now, now, None);
        self.failure.error = Some(error.clone());
        self.drain_storage_outputs();
        self.publish(now);
        let failure = error.clone();
        self.post_error(typed::METADATA_FAILED, failure);
        self.post_error(typed::TORRENT_ERROR, error);
    }
}

impl TorrentHandle {
    /// Takes the metadata over; from now on there are pieces and files.
    /// Returns what was said of it before and does not fit.
    fn learn(&self, info: Arc<Info>) -> Vec<String> {
        let mut notes = Vec::new();
        let mut options = self.shared.options.lock();
        let magnet = self.magnet_link();
        let mut priorities = magnet.file_priorities(info.files.len());
        for (priority, &wished) in priorities.iter_mut().zip(options.file_priorities.iter()) {
            *priority = wished;
        }
        // The number of files was not known.
        let files = info.files.len();
        if options.file_priorities.len() > files {
            let given = options.file_priorities.len();
            notes.push(format!("{given} file priorities, there are {files} files"));
        }
        let renamed = Arc::make_mut(&mut options.renamed_files);
        for (file, name) in renamed.iter().filter(|(file, _)| file.0 as usize >= files) {
            notes.push(format!("the name '{name}' for file {file} of {files}"));
        }
        renamed.retain(|file, _| (file.0 as usize) < files);
        options.piece_priorities = Arc::new(piece_priorities(&info.layout, &priorities));
        options.file_priorities = Arc::new(priorities);
        let mut metainfo = magnet.with_info(info);
        metainfo.tiers = options.trackers.to_vec();
        // Under the lock: a caller that finds the metadata finds priorities that fit.
        self.put_metainfo(Arc::new(metainfo));
        notes
    }
}
