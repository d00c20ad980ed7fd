//! Resume data as games see it: what a new torrent takes over from a record,
//! and how a record is asked for. The record's format is `core::resume`.

use std::collections::BTreeMap;
use std::ops::BitOr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::sync::oneshot;
use torrent_core::ids::{FileIndex, InfoHash};
use torrent_core::metainfo::{Info, Limits};
use torrent_core::resume::{Allocation, ResumeData, ResumeError};

use crate::error::{Error, ErrorKind, Result};
use crate::handle::{Command, Options, TorrentHandle};
use crate::modes::{Discovery, Modes};
use crate::placement::{StorageMode, is_folder_below};
use crate::session::{AddTorrent, TorrentSource};

/// How resume data is saved; numbers and names are libtorrent's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SaveFlags(u32);

impl SaveFlags {
    /// Write what is in memory to the files first. It always is: the flag is
    /// there because games pass it.
    pub const FLUSH_DISK_CACHE: Self = Self(1);
    /// Put the info dict into the record, so that it can do without the
    /// torrent file.
    pub const SAVE_INFO_DICT: Self = Self(1 << 1);
    /// Only if times or totals have changed since the last save.
    pub const IF_COUNTERS_CHANGED: Self = Self(1 << 3);
    /// Only if pieces have come or, in seed mode, been hashed.
    pub const IF_DOWNLOAD_PROGRESS: Self = Self(1 << 4);
    /// Only if options, priorities or the save path have changed.
    pub const IF_CONFIG_CHANGED: Self = Self(1 << 5);
    /// Only if the state has changed: what it is at, paused or not, upload
    /// mode, super-seeding, names of files.
    pub const IF_STATE_CHANGED: Self = Self(1 << 6);
    /// Only if metadata has come, or trackers have changed.
    pub const IF_METADATA_CHANGED: Self = Self(1 << 7);
    /// Only if any of these has changed.
    pub const ONLY_IF_MODIFIED: Self = Self(0b1111_1000);

    /// What is saved without a look at the files.
    pub(crate) const SETTINGS: Self = Self(0b1110_0000);
    /// Whatever has changed.
    pub(crate) const MODIFIED: Self = Self(Self::ONLY_IF_MODIFIED.0);

    /// The flags with these bits; others are ignored.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits & 0b1111_1011)
    }

    /// The bits.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether any of `other` is among them.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// What a change of options makes worth saving.
    pub(crate) fn of_change(before: &Options, after: &Options) -> Self {
        let state = |options: &Options| {
            let modes = options.modes;
            (options.paused, modes.upload_mode, modes.super_seeding)
        };
        let mut flags = Self::default();
        if state(before) != state(after) {
            flags = flags | Self::IF_STATE_CHANGED;
        }
        let mut others = before.clone();
        (others.paused, others.graceful) = (after.paused, after.graceful);
        others.modes.upload_mode = after.modes.upload_mode;
        others.modes.super_seeding = after.modes.super_seeding;
        if others != *after {
            flags = flags | Self::IF_CONFIG_CHANGED;
        }
        flags
    }

    /// The conditions under which a save is wanted; none means always.
    pub(crate) const fn conditions(self) -> Self {
        Self(self.0 & Self::ONLY_IF_MODIFIED.0)
    }
}

impl BitOr for SaveFlags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Somebody wants resume data.
#[derive(Debug)]
pub(crate) struct SaveRequest {
    pub(crate) flags: SaveFlags,
    pub(crate) answer: Option<oneshot::Sender<Result<Bytes>>>,
}

impl AddTorrent {
    /// Lets the torrent go on where a record left it. What the record says of
    /// pausing, order, priorities and trackers is taken over, and so is its
    /// info dict where there is no torrent file; fields that are set after
    /// this call go before it. Fails for data that is no record or one of
    /// another torrent.
    pub fn with_resume_data(self, data: &[u8]) -> Result<Self> {
        let resume = ResumeData::decode(data)?;
        self.with_resume(resume)
    }

    /// As [`Self::with_resume_data`], with a record that is decoded already.
    pub fn with_resume(mut self, mut resume: ResumeData) -> Result<Self> {
        if self.source.info_hash() != resume.info_hash || resume.info_hash.is_none() {
            return Err(ResumeError::MismatchingInfoHash.into());
        }
        if let (TorrentSource::Magnet(magnet), Some(raw)) = (&self.source, resume.info.take()) {
            let info = Info::parse(&raw, &Limits::widest())?;
            let mut metainfo = magnet.with_info(info);
            metainfo.comment.clone_from(&resume.comment);
            metainfo.created_by.clone_from(&resume.created_by);
            metainfo.creation_date = (resume.creation_date > 0).then_some(resume.creation_date);
            self.source = TorrentSource::File(Arc::new(metainfo));
        }
        if self.save_path.as_os_str().is_empty() {
            self.save_path = path_of(&resume.save_path);
        }
        let flags = &resume.flags;
        // The queue is for those who say so. A record that does not comes from
        // where torrents are managed and paused unless they say otherwise: it
        // just runs.
        self.auto_managed = flags.auto_managed.unwrap_or(false);
        self.paused = flags.paused.unwrap_or(true) && flags.auto_managed.is_some();
        self.sequential = flags.sequential_download.unwrap_or(false);
        self.apply_ip_filter = flags.apply_ip_filter.unwrap_or(true);
        self.modes = Modes {
            upload_mode: flags.upload_mode.unwrap_or(false),
            share_mode: flags.share_mode.unwrap_or(false),
            super_seeding: flags.super_seeding.unwrap_or(false),
            stop_when_ready: flags.stop_when_ready.unwrap_or(false),
        };
        self.discovery = Discovery {
            dht: !flags.disable_dht.unwrap_or(false),
            lsd: !flags.disable_lsd.unwrap_or(false),
            pex: !flags.disable_pex.unwrap_or(false),
        };
        self.seed_mode = flags.seed_mode.unwrap_or(false);
        self.storage_mode = match resume.allocation {
            Allocation::Full => StorageMode::Allocate,
            Allocation::Sparse => StorageMode::Sparse,
        };
        self.renamed_files = names_in(&resume);
        self.file_priorities.clone_from(&resume.file_priorities);
        if let TorrentSource::File(metainfo) = &self.source {
            // Of a record that speaks of more files only the first count.
            let files = metainfo.info.files.len();
            let renamed = self.renamed_files.last_key_value();
            let last = renamed.map_or(0, |(file, _)| file.0 as usize + 1);
            if self.file_priorities.len().max(last) > files {
                let note = format!("the record speaks of more than {files} files");
                self.notes.push(note);
            }
            self.file_priorities.truncate(files);
            self.renamed_files
                .retain(|file, _| (file.0 as usize) < files);
        }
        self.part_file_dir = path_of(&resume.part_file_dir);
        if let Err(error) = self.check_places() {
            // What it claims is somewhere else.
            self.renamed_files.clear();
            self.part_file_dir = PathBuf::new();
            self.seed_mode = false;
            disclaim(&mut resume);
            self.rejected = Some(error);
        }
        self.resume = Some(Box::new(resume));
        Ok(self)
    }

    /// Whether a record puts files where they can be.
    fn check_places(&self) -> Result<()> {
        if !is_folder_below(&self.part_file_dir) {
            let words = "the part file is not below the save path";
            let path = self.part_file_dir.display().to_string();
            return Err(Error::because(ErrorKind::InvalidPath, words).about(path));
        }
        self.check_names()
    }

    /// Adds the torrent that a record is of, in the folder that it names.
    /// Without an info dict in the record the metadata comes from peers.
    pub fn from_resume_data(data: &[u8]) -> Result<Self> {
        let resume = ResumeData::decode(data)?;
        let info_hash = resume.info_hash.ok_or(ResumeError::MissingInfoHash)?;
        let save_path = path_of(&resume.save_path);
        Self::from_info_hash(info_hash, save_path).with_resume(resume)
    }
}

/// The names that a record gives to files.
pub(crate) fn names_in(resume: &ResumeData) -> BTreeMap<FileIndex, String> {
    let renamed = resume.renamed_files.iter();
    let named = renamed.map(|(&file, name)| (file, String::from_utf8_lossy(name).into_owned()));
    named.collect()
}

/// Takes out of a record what it says of bytes on disk.
pub(crate) fn disclaim(resume: &mut ResumeData) {
    resume.pieces.clear();
    resume.unfinished.clear();
    resume.file_stats.clear();
    resume.verified.clear();
}

/// What a record says of a torrent's options beyond the fields of
/// [`AddTorrent`].
pub(crate) fn apply(resume: &ResumeData, options: &mut Options) {
    let limit = |limit: Option<u32>| limit.map_or(-1, |limit| i64::from(limit.clamp(2, 65_535)));
    options.max_connections = limit(resume.max_connections);
    options.max_uploads = limit(resume.max_uploads);
    let rate = |limit: Option<u32>| limit.map_or(0, i64::from);
    options.download_limit = rate(resume.download_limit);
    options.upload_limit = rate(resume.upload_limit);
    if let Some(tiers) = &resume.trackers {
        options.trackers.clone_from(tiers);
    }
}

/// Puts priorities from the first piece on over `pieces`. Whether there are no
/// more of them than pieces; else nothing changes.
pub(crate) fn put_priorities(given: &[u8], pieces: &mut [u8]) -> bool {
    match pieces.get_mut(..given.len()) {
        Some(slots) => {
            slots.copy_from_slice(given);
            true
        }
        None => false,
    }
}

/// A path as it stands in records.
pub(crate) fn path_bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_encoded_bytes().to_vec()
}

/// The path that stands in a record.
pub(crate) fn path_of(bytes: &[u8]) -> PathBuf {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        std::ffi::OsStr::from_bytes(bytes).into()
    }
    #[cfg(not(unix))]
    String::from_utf8_lossy(bytes).into_owned().into()
}

impl TorrentHandle {
    /// Saves resume data: what is verified is made durable, and a
    /// `save_resume_data` event has the record; or a `save_resume_data_failed`
    /// event says why not.
    pub fn save_resume_data(&self, flags: SaveFlags) -> Result<()> {
        self.post(Command::SaveResumeData(SaveRequest {
            flags,
            answer: None,
        }))
    }

    /// As [`Self::save_resume_data`], and waits for the record.
    pub async fn save_resume_data_now(&self, flags: SaveFlags) -> Result<Bytes> {
        let (answer, saved) = oneshot::channel();
        self.post(Command::SaveResumeData(SaveRequest {
            flags,
            answer: Some(answer),
        }))?;
        saved
            .await
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::InvalidTorrentHandle)))
    }

    /// Whether anything worth saving has changed since resume data was last
    /// saved.
    pub fn need_save_resume_data(&self) -> bool {
        self.is_valid() && self.shared.unsaved.load(Ordering::Acquire) != 0
    }

    /// The record that was saved last, by whoever asked or by the session
    /// itself; `None` before the first.
    pub fn resume_data(&self) -> Option<Bytes> {
        self.shared.saved.lock().clone()
    }
}

/// The folder that a record names, for callers that prefer it to their own.
pub fn save_path_in(resume_data: &[u8]) -> Result<Option<PathBuf>> {
    let resume = ResumeData::decode(resume_data)?;
    Ok((!resume.save_path.is_empty()).then(|| path_of(&resume.save_path)))
}

/// The torrent that a record is of.
pub fn info_hash_in(resume_data: &[u8]) -> Result<Option<InfoHash>> {
    Ok(ResumeData::decode(resume_data)?.info_hash)
}
