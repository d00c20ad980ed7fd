//! Adding a torrent with resume data.

use std::path::PathBuf;
use std::sync::Arc;

use torrent_core::ids::InfoHashes;
use torrent_core::metainfo::{Info, MetainfoLimits};
use torrent_core::resume::{Allocation, ResumeData, ResumeError};

use super::{AddTorrent, TorrentSource};
use crate::error::{Error, ErrorKind, Result};
use crate::torrent::handle::modes::{Discovery, Modes};
use crate::torrent::handle::resume::{disclaim, names_in, path_of};
use crate::torrent::handle::storage::{StorageMode, is_folder_below};

impl AddTorrent {
    /// Resumes the torrent from a record. What the record says of
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
        let hashes = self.source.hashes();
        if !resume.hashes.is_some_and(|recorded| recorded.agree(hashes)) {
            return Err(ResumeError::MismatchingInfoHash.into());
        }
        if let (TorrentSource::Magnet(magnet), Some(raw)) = (&self.source, resume.info.take()) {
            let info = Info::parse(&raw, &MetainfoLimits::widest())?;
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
            // Of a record that lists more files only the first count.
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
            // The record's claims are about another folder.
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
        let info_hash = resume.hashes.and_then(InfoHashes::v1);
        let info_hash = info_hash.ok_or(ResumeError::MissingInfoHash)?;
        let save_path = path_of(&resume.save_path);
        Self::from_info_hash(info_hash, save_path).with_resume(resume)
    }
}
