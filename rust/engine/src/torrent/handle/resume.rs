//! Resume data as games see it: what a new torrent takes over from a record,
//! and how a record is asked for. The record's format is `core::resume`.

use std::collections::BTreeMap;
use std::ops::BitOr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;
use torrent_core::ids::FileIndex;
use torrent_core::resume::ResumeData;

use crate::error::{Error, ErrorKind, Result};
use crate::torrent::handle::{Command, Options, PlainOptions, TorrentHandle};

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

    /// Which changes of options justify a save.
    pub(crate) fn of_change(before: PlainOptions, after: PlainOptions) -> Self {
        let state = |options: PlainOptions| {
            let modes = options.modes;
            (options.paused, modes.upload_mode, modes.super_seeding)
        };
        let mut flags = Self::default();
        if state(before) != state(after) {
            flags = flags | Self::IF_STATE_CHANGED;
        }
        let mut others = before;
        (others.paused, others.graceful) = (after.paused, after.graceful);
        others.modes.upload_mode = after.modes.upload_mode;
        others.modes.super_seeding = after.modes.super_seeding;
        if others != after {
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

/// A caller wants resume data.
#[derive(Debug)]
pub(crate) struct SaveRequest {
    pub(crate) flags: SaveFlags,
    pub(crate) answer: Option<oneshot::Sender<Result<Bytes>>>,
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
/// `AddTorrent`.
pub(crate) fn apply(resume: &ResumeData, options: &mut Options) {
    let limit = |limit: Option<u32>| limit.map_or(-1, |limit| i64::from(limit.clamp(2, 65_535)));
    let plain = &mut options.plain;
    plain.max_connections = limit(resume.max_connections);
    plain.max_uploads = limit(resume.max_uploads);
    let rate = |limit: Option<u32>| limit.map_or(0, i64::from);
    plain.download_limit = rate(resume.download_limit);
    plain.upload_limit = rate(resume.upload_limit);
    if let Some(tiers) = &resume.trackers {
        options.trackers = Arc::new(tiers.clone());
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

    /// Whether anything that justifies a save has changed since resume data was last
    /// saved.
    pub fn need_save_resume_data(&self) -> bool {
        self.is_valid() && self.shared.unsaved.changes().bits() != 0
    }

    /// The record that was saved last, requested by a caller or by the session
    /// itself; `None` before the first.
    pub fn resume_data(&self) -> Option<Bytes> {
        self.shared.unsaved.last()
    }
}

/// The folder that a record names, for callers that prefer it to their own.
pub fn save_path_in(resume_data: &[u8]) -> Result<Option<PathBuf>> {
    let resume = ResumeData::decode(resume_data)?;
    Ok((!resume.save_path.is_empty()).then(|| path_of(&resume.save_path)))
}
