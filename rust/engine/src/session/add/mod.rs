//! What it takes to add a torrent: which one, where, and how it begins.
//!
//! [`AddTorrent`] is filled by hand, from resume data
//! ([`AddTorrent::with_resume_data`]) or from named values
//! ([`AddTorrent::from_fields`]), and handed to
//! [`Session::add_torrent`](crate::session::Session::add_torrent).

mod fields;
mod resume;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use torrent_core::bitfield::Bitfield;
use torrent_core::ids::{FileIndex, InfoHash, InfoHashes};
use torrent_core::magnet::MagnetUri;
use torrent_core::metainfo::{MAX_FILES, Metainfo, MetainfoError, MetainfoLimits};
use torrent_core::resume::ResumeData;

use crate::disk::{StorageKind, part_file_in};
use crate::error::{Error, ErrorKind, Result};
use crate::torrent::handle::modes::{Discovery, Modes};
use crate::torrent::handle::resume as record;
use crate::torrent::handle::storage::{
    StorageMode, check_names, check_plain_names, is_folder_below,
};
use crate::torrent::handle::{
    Options, PlainOptions, check_file_index, check_file_priorities, check_limit, check_peer,
    check_priorities, check_rate, check_tracker, check_web_seed, piece_priorities,
};
use crate::torrent::{GivenRecord, SecondAdd};

/// What says which torrent to add.
#[derive(Clone, Debug)]
pub enum TorrentSource {
    /// A torrent file.
    File(Arc<Metainfo>),
    /// A magnet link, or a hash alone: the metadata comes from peers (BEP 9).
    Magnet(MagnetUri),
}

impl TorrentSource {
    /// What names its swarms.
    pub(crate) fn hashes(&self) -> InfoHashes {
        match self {
            Self::File(metainfo) => metainfo.info.hashes,
            Self::Magnet(magnet) => magnet.hashes,
        }
    }
}

/// How to add a torrent.
#[derive(Clone, Debug)]
pub struct AddTorrent {
    /// Which torrent.
    pub source: TorrentSource,
    /// The folder to download into, or that holds the data.
    pub save_path: PathBuf,
    /// A name to show until the metadata is known; empty for the magnet link's.
    pub name: String,
    /// Add it paused.
    pub paused: bool,
    /// The queue decides when it runs; with `paused` it waits for its turn
    /// from the start.
    pub auto_managed: bool,
    /// Fetch pieces in order.
    pub sequential: bool,
    /// Take everything to be there: pieces are hashed before they are first
    /// sent instead of now.
    pub seed_mode: bool,
    /// How files get their room on the disk.
    pub storage_mode: StorageMode,
    /// What holds the bytes: files, or memory for as long as the session has the
    /// torrent. In memory there is nothing at first, whatever resume data says.
    pub storage: StorageKind,
    /// The folder for the part file, relative to the save path; empty for the
    /// save path itself.
    pub part_file_dir: PathBuf,
    /// Other names for some files, relative to the save path.
    pub renamed_files: BTreeMap<FileIndex, String>,
    /// Upload mode, share mode, super-seeding, stopping when ready.
    pub modes: Modes,
    /// The session's IP filter holds for it.
    pub apply_ip_filter: bool,
    /// Where it may look for peers beside its trackers.
    pub discovery: Discovery,
    /// Trackers beside those of the torrent file or link: tiers that come
    /// after those (BEP 12).
    pub trackers: Vec<Vec<String>>,
    /// Web seeds beside those of the torrent file or link (BEP 19).
    pub url_seeds: Vec<String>,
    /// Peers to try at once.
    pub peers: Vec<SocketAddr>,
    /// DHT nodes, host and port, beside those of the torrent file or link.
    pub dht_nodes: Vec<(String, u16)>,
    /// Priorities from the first file on; files without one get 4, or what
    /// the magnet link's selection says.
    pub file_priorities: Vec<u8>,
    /// Files without a priority of their own get 0.
    pub default_dont_download: bool,
    /// Priorities from the first piece on, before what those of the files say.
    pub piece_priorities: Vec<u8>,
    /// Most connections: -1 for no limit, else at least 2. Where it is `None`,
    /// and likewise below, the resume data says it, or there is no limit.
    pub max_connections: Option<i64>,
    /// Most peers that may download from us at once: -1 for the session's
    /// limit, else at least 2.
    pub max_uploads: Option<i64>,
    /// Most bytes received a second; 0 for no limit.
    pub download_limit: Option<i64>,
    /// Most bytes sent a second; 0 for no limit.
    pub upload_limit: Option<i64>,
    /// Where it goes on: see [`AddTorrent::with_resume_data`].
    pub resume: Option<Box<ResumeData>>,
    /// Look at the files before resume data is believed (libtorrent's
    /// `no_verify_files`, the other way round). What was not looked at is
    /// hashed before it is first read in any case.
    pub verify_files: bool,
    /// Why the resume data is not believed, whatever the files say: it maps
    /// files to where they cannot be. Everything is checked then, and a
    /// `fastresume_rejected` event says why.
    pub rejected: Option<Error>,
    /// What of the resume data does not fit, as text; noted as it is read.
    pub notes: Vec<String>,
}

impl AddTorrent {
    /// What names its swarms, by its source and its record. Fails for a torrent of version 2 alone, which is
    /// not supported yet.
    pub(crate) fn hashes(&self) -> Result<InfoHashes> {
        let recorded = self.resume.as_ref().and_then(|resume| resume.hashes);
        let hashes = self.source.hashes();
        match recorded.map_or(hashes, |recorded| hashes.with(recorded)) {
            InfoHashes::V2(_) => Err(Error::because(
                ErrorKind::InvalidMagnetUri,
                "the link names a version 2 torrent only, which is not supported",
            )),
            hashes => Ok(hashes),
        }
    }

    /// Adds the torrent file `data`, of up to 30 MiB, downloading into
    /// `save_path`. A file that holds a magnet link in place of an info dict is
    /// what the link says.
    pub fn from_data(data: &[u8], save_path: impl Into<PathBuf>) -> Result<Self> {
        Self::from_data_within(data, save_path, &MetainfoLimits::default())
    }

    /// The same within other limits: those of a session are
    /// [`MetainfoLimits::of_files`].
    pub fn from_data_within(
        data: &[u8],
        save_path: impl Into<PathBuf>,
        limits: &MetainfoLimits,
    ) -> Result<Self> {
        let save_path = save_path.into();
        if save_path.as_os_str().is_empty() {
            return Err(Error::new(ErrorKind::EmptySavePath));
        }
        let source = match Metainfo::parse_with(data, limits) {
            Err(MetainfoError::MagnetInstead { uri }) => {
                TorrentSource::Magnet(MagnetUri::parse(&uri)?)
            }
            parsed => TorrentSource::File(Arc::new(parsed?)),
        };
        Ok(Self::new(source, save_path))
    }

    /// Adds the torrent that a magnet link names.
    pub fn from_magnet(uri: &str, save_path: impl Into<PathBuf>) -> Result<Self> {
        let source = TorrentSource::Magnet(MagnetUri::parse(uri)?);
        Ok(Self::new(source, save_path))
    }

    /// Adds a torrent of which only the hash is known.
    pub fn from_info_hash(info_hash: InfoHash, save_path: impl Into<PathBuf>) -> Self {
        let source = TorrentSource::Magnet(MagnetUri::of_hashes(info_hash));
        Self::new(source, save_path)
    }

    fn new(source: TorrentSource, save_path: impl Into<PathBuf>) -> Self {
        Self {
            source,
            save_path: save_path.into(),
            name: String::new(),
            paused: false,
            auto_managed: false,
            sequential: false,
            seed_mode: false,
            storage_mode: StorageMode::default(),
            storage: StorageKind::default(),
            part_file_dir: PathBuf::new(),
            renamed_files: BTreeMap::new(),
            modes: Modes::default(),
            apply_ip_filter: true,
            discovery: Discovery::default(),
            trackers: Vec::new(),
            url_seeds: Vec::new(),
            peers: Vec::new(),
            dht_nodes: Vec::new(),
            file_priorities: Vec::new(),
            default_dont_download: false,
            piece_priorities: Vec::new(),
            max_connections: None,
            max_uploads: None,
            download_limit: None,
            upload_limit: None,
            resume: None,
            verify_files: true,
            rejected: None,
            notes: Vec::new(),
        }
    }

    /// What was given and has no effect, each as a text that names it.
    pub(crate) fn without_effect(&self) -> Vec<String> {
        let is_file = matches!(self.source, TorrentSource::File(_));
        let given = [
            (
                !self.url_seeds.is_empty(),
                "url_seeds: kept, but nothing is downloaded from web seeds yet",
            ),
            (
                !self.dht_nodes.is_empty(),
                "dht_nodes: kept, but there is no DHT yet",
            ),
            (
                is_file && !self.name.is_empty(),
                "name: the torrent file has one",
            ),
            (
                self.modes.share_mode && self.file_priorities.iter().any(|&it| it > 0),
                "file_priorities: no file is wanted in share mode",
            ),
        ];
        let given = given.into_iter().filter(|(given, _)| *given);
        let given = given.map(|(_, note)| note.to_owned());
        given.chain(self.notes.iter().cloned()).collect()
    }

    /// What it gives to a torrent that is there already: with these options,
    /// to be in this folder.
    pub(crate) fn again(&self, options: &Options, save_path: &Path) -> SecondAdd {
        let limits = [
            self.max_connections,
            self.max_uploads,
            self.download_limit,
            self.upload_limit,
        ];
        SecondAdd {
            options: options.clone(),
            save_path: save_path.to_owned(),
            metainfo: match &self.source {
                TorrentSource::File(metainfo) => Some(Arc::clone(metainfo)),
                TorrentSource::Magnet(_) => None,
            },
            name: self.name.clone(),
            url_seeds: self.url_seeds.clone(),
            dht_nodes: self.dht_nodes.clone(),
            piece_priorities: self.piece_priorities.clone(),
            limits: limits.map(|limit| limit.is_some()),
            gives_file_priorities: !self.file_priorities.is_empty() || self.default_dont_download,
            seed_mode: self.seed_mode,
            verify_files: self.verify_files,
            has_resume: self.resume.is_some(),
        }
    }

    /// Turns a flag of libtorrent's `torrent_flags` on or off, by its name.
    /// One that there is none of, or none yet, is an error that names it.
    pub fn set_flag(&mut self, name: &str, on: bool) -> Result<()> {
        if self.put_flag(name, on) {
            return Ok(());
        }
        Err(Error::because(
            ErrorKind::InvalidParameter,
            format!("unknown flag '{name}' in 'flags'"),
        ))
    }

    /// Whether there is such a flag; it is set then.
    fn put_flag(&mut self, name: &str, on: bool) -> bool {
        match name {
            "paused" => self.paused = on,
            "auto_managed" => self.auto_managed = on,
            "seed_mode" => self.seed_mode = on,
            "sequential_download" => self.sequential = on,
            "upload_mode" => self.modes.upload_mode = on,
            "share_mode" => self.modes.share_mode = on,
            "super_seeding" => self.modes.super_seeding = on,
            "stop_when_ready" => self.modes.stop_when_ready = on,
            "apply_ip_filter" => self.apply_ip_filter = on,
            "disable_dht" => self.discovery.dht = !on,
            "disable_lsd" => self.discovery.lsd = !on,
            "disable_pex" => self.discovery.pex = !on,
            "no_verify_files" => self.verify_files = !on,
            "default_dont_download" => self.default_dont_download = on,
            _ => return false,
        }
        true
    }

    /// Whether what it says can be; what needs the metadata is judged by
    /// [`Self::options`].
    pub(crate) fn check(&self) -> Result<()> {
        if self.save_path.as_os_str().is_empty() {
            return Err(Error::new(ErrorKind::EmptySavePath));
        }
        if self.save_path.as_os_str().as_encoded_bytes().contains(&0) {
            let words = "a save path cannot contain a zero byte";
            return Err(Error::because(ErrorKind::InvalidPath, words));
        }
        if !is_folder_below(&self.part_file_dir) {
            let words = "'part_file_dir' has to be a plain path below the save path";
            let path = self.part_file_dir.display().to_string();
            return Err(Error::because(ErrorKind::InvalidPath, words).about(path));
        }
        let files = match &self.source {
            TorrentSource::File(metainfo) => metainfo.info.files.len(),
            TorrentSource::Magnet(_) => MAX_FILES,
        };
        if let Some((&last, _)) = self.renamed_files.last_key_value() {
            check_file_index(last, files)?;
        }
        self.check_names()?;
        check_file_priorities(files, &self.file_priorities)?;
        check_priorities(&self.piece_priorities)?;
        self.peers.iter().copied().try_for_each(check_peer)?;
        let trackers = self.trackers.iter().flatten();
        trackers.map(String::as_str).try_for_each(check_tracker)?;
        let seeds = self.url_seeds.iter();
        seeds.map(String::as_str).try_for_each(check_web_seed)?;
        let connections = [self.max_connections, self.max_uploads];
        connections
            .into_iter()
            .flatten()
            .try_for_each(check_limit)?;
        let rates = [self.download_limit, self.upload_limit];
        rates.into_iter().flatten().try_for_each(check_rate)
    }

    /// Whether the files can have the names that they are given.
    pub(crate) fn check_names(&self) -> Result<()> {
        match &self.source {
            TorrentSource::File(_)
                if self.renamed_files.is_empty() && self.part_file_dir.as_os_str().is_empty() =>
            {
                Ok(())
            }
            TorrentSource::File(metainfo) => {
                let info = &metainfo.info;
                let parts = part_file_in(&self.part_file_dir, info.hash());
                check_names(info, &self.renamed_files, &parts)
            }
            TorrentSource::Magnet(_) => check_plain_names(&self.renamed_files),
        }
    }

    /// Puts what there is to know of the torrent itself into its source.
    pub(crate) fn complete_source(&mut self) {
        let recorded = self.resume.as_mut().and_then(|it| it.url_seeds.take());
        match &mut self.source {
            TorrentSource::File(metainfo) => {
                let metainfo = Arc::make_mut(metainfo);
                metainfo.url_seeds = recorded.unwrap_or(std::mem::take(&mut metainfo.url_seeds));
                add_missing(&mut metainfo.url_seeds, &self.url_seeds);
                add_missing(&mut metainfo.nodes, &self.dht_nodes);
            }
            TorrentSource::Magnet(magnet) => {
                magnet.url_seeds = recorded.unwrap_or(std::mem::take(&mut magnet.url_seeds));
                add_missing(&mut magnet.url_seeds, &self.url_seeds);
                add_missing(&mut magnet.dht_nodes, &self.dht_nodes);
                if !self.name.is_empty() {
                    magnet.name.clone_from(&self.name);
                }
                if self.default_dont_download {
                    // Files that are not named are not chosen.
                    magnet.select_only.get_or_insert_default();
                }
                self.peers.extend_from_slice(&magnet.peers);
            }
        }
    }

    /// Takes what it says is on disk.
    pub(crate) fn take_record(&mut self) -> GivenRecord {
        GivenRecord {
            resume: self.resume.take(),
            rejected: self.rejected.take(),
            verify_files: self.verify_files,
            piece_priorities: std::mem::take(&mut self.piece_priorities),
            seed_mode: self.seed_mode,
        }
    }

    /// The pieces that are taken to be there until it is known.
    pub(crate) fn believed_pieces(&self) -> Bitfield {
        let TorrentSource::File(metainfo) = &self.source else {
            return Bitfield::default();
        };
        let count = metainfo.info.layout.num_pieces();
        let recorded = self.resume.as_ref().map(|resume| &resume.pieces);
        match recorded.and_then(|pieces| Bitfield::from_wire(pieces, count)) {
            Some(pieces) => pieces,
            None if self.seed_mode => Bitfield::full(count),
            None => Bitfield::default(),
        }
    }

    /// What the game wants of the new torrent.
    pub(crate) fn options(&self) -> Result<Options> {
        let plain = PlainOptions {
            paused: self.paused,
            graceful: false,
            auto_managed: self.auto_managed,
            sequential: self.sequential,
            sequential_range: None,
            max_connections: -1,
            max_uploads: -1,
            apply_ip_filter: self.apply_ip_filter,
            discovery: self.discovery,
            download_limit: 0,
            upload_limit: 0,
            modes: self.modes,
            storage_mode: self.storage_mode,
            storage: self.storage,
        };
        let mut options = Options {
            plain,
            renamed_files: Arc::new(self.renamed_files.clone()),
            part_file_dir: self.part_file_dir.as_path().into(),
            piece_priorities: Arc::default(),
            file_priorities: Arc::new(self.file_priorities.clone()),
            trackers: Arc::new(match &self.source {
                TorrentSource::File(metainfo) => metainfo.tiers.clone(),
                TorrentSource::Magnet(magnet) => magnet.tiers(),
            }),
            fail_limits: Arc::default(),
        };
        if let Some(resume) = &self.resume {
            record::apply(resume, &mut options);
        }
        let plain = &mut options.plain;
        plain.max_connections = self.max_connections.unwrap_or(plain.max_connections);
        plain.max_uploads = self.max_uploads.unwrap_or(plain.max_uploads);
        let rate = |given: Option<i64>, known| given.map_or(known, |given| given.max(0));
        plain.download_limit = rate(self.download_limit, plain.download_limit);
        plain.upload_limit = rate(self.upload_limit, plain.upload_limit);
        let trackers = Arc::make_mut(&mut options.trackers);
        for tier in &self.trackers {
            let mut tier = tier.clone();
            tier.retain(|url| !trackers.iter().flatten().any(|known| known == url));
            if !tier.is_empty() {
                trackers.push(tier);
            }
        }
        if let TorrentSource::File(metainfo) = &self.source {
            self.set_priorities(metainfo, &mut options)?;
        }
        Ok(options)
    }

    fn set_priorities(&self, metainfo: &Metainfo, options: &mut Options) -> Result<()> {
        let info = &metainfo.info;
        let mut files = self.file_priorities.clone();
        files.resize(
            info.files.len(),
            if self.default_dont_download { 0 } else { 4 },
        );
        if self.modes.share_mode {
            files.fill(0);
        }
        let mut pieces = piece_priorities(&info.layout, &files);
        if let Some(resume) = &self.resume {
            record::put_priorities(&resume.piece_priorities, &mut pieces);
        }
        if !record::put_priorities(&self.piece_priorities, &mut pieces) {
            let (given, count) = (self.piece_priorities.len(), pieces.len());
            return Err(Error::because(
                ErrorKind::InvalidPieceIndex,
                format!("{given} priorities for {count} pieces"),
            ));
        }
        options.piece_priorities = Arc::new(pieces);
        options.file_priorities = Arc::new(files);
        Ok(())
    }
}

fn add_missing<T: Clone + PartialEq>(list: &mut Vec<T>, more: &[T]) {
    for item in more {
        if !list.contains(item) {
            list.push(item.clone());
        }
    }
}
