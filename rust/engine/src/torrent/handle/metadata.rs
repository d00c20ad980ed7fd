//! What a torrent consists of, as its handle shows it: name, torrent file,
//! magnet link. The torrent's task fills it in where it was not known when the
//! torrent was added (`torrent::metadata`).

use std::sync::Arc;

use torrent_core::magnet::MagnetUri;
use torrent_core::metainfo::{Info, Metainfo, MetainfoLimits};

use super::{Command, TorrentHandle};
use crate::error::{Error, ErrorKind, Result};

impl TorrentHandle {
    /// Name from the info dictionary; until that is known, the one that the
    /// magnet link gave, which may be empty and must never become a path.
    pub fn name(&self) -> &str {
        self.shared.identity.name()
    }

    /// Its metadata is known. The first one counts.
    pub(crate) fn put_metainfo(&self, metainfo: Arc<Metainfo>) {
        self.shared.identity.put_metainfo(metainfo);
    }

    /// The torrent file: the one it was added from, or what was made of a
    /// magnet link and the metadata from peers; `None` until that is there.
    pub fn metainfo(&self) -> Option<&Arc<Metainfo>> {
        self.shared.identity.metainfo()
    }

    /// Whether the torrent is private (BEP 27): only its trackers name peers.
    /// `false` while that is not known.
    pub fn is_private(&self) -> bool {
        self.metainfo().is_some_and(|it| it.info.private)
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
        let info = Info::parse(info_dict, &MetainfoLimits::metadata())?;
        if !self.hashes().agree(info.hashes) {
            return Err(Error::because(
                ErrorKind::TorrentInfoParseError,
                format!("the info dictionary has the hash {}", info.hash()),
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
        let trackers = self.tracker_tiers();
        magnet.trackers = trackers.iter().flatten().cloned().collect();
        magnet
    }

    /// The link that it was added by, or one of its hash alone.
    pub(crate) fn magnet_link(&self) -> MagnetUri {
        let link = self.shared.identity.magnet.clone();
        link.unwrap_or_else(|| MagnetUri::of_hashes(self.hashes()))
    }

    /// The .torrent file as bytes, with the present trackers; an error until
    /// the metadata is known.
    pub fn torrent_file_data(&self) -> Result<Vec<u8>> {
        let metainfo = Metainfo {
            tiers: self.tracker_tiers().to_vec(),
            ..Metainfo::clone(self.known_metainfo()?)
        };
        Ok(metainfo.to_bytes())
    }
}
