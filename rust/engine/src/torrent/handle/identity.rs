//! What a torrent is, and what it is called.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use torrent_core::ids::{InfoHashes, PeerId, TorrentKey};
use torrent_core::magnet::MagnetUri;
use torrent_core::metainfo::Metainfo;

use crate::event::TorrentRef;

/// What a torrent was added as. Nothing of it changes, but that the metadata
/// becomes known once, and the name with it.
#[derive(Debug)]
pub(crate) struct Identity {
    /// Names it within its process.
    pub(crate) key: TorrentKey,
    /// What names its swarms.
    pub(crate) hashes: InfoHashes,
    /// Who we are in this swarm; as in libtorrent, another one in each.
    pub(crate) peer_id: PeerId,
    /// The link that it was added by, where it was not a torrent file.
    pub(crate) magnet: Option<MagnetUri>,
    /// Empty until the metadata is known.
    metainfo: OnceLock<Arc<Metainfo>>,
    /// What its events name it by.
    named: ArcSwap<TorrentRef>,
}

impl Identity {
    /// A torrent of this file or this link.
    pub(crate) fn new(
        named: TorrentRef,
        peer_id: PeerId,
        magnet: Option<MagnetUri>,
        metainfo: Option<Arc<Metainfo>>,
    ) -> Self {
        Self {
            key: named.key,
            hashes: named.hashes,
            peer_id,
            magnet,
            metainfo: metainfo.map(OnceLock::from).unwrap_or_default(),
            named: ArcSwap::from_pointee(named),
        }
    }

    /// Name from the info dictionary, else from the link.
    pub(crate) fn name(&self) -> &str {
        match (self.metainfo.get(), &self.magnet) {
            (Some(metainfo), _) => &metainfo.info.name,
            (None, Some(magnet)) => &magnet.name,
            (None, None) => "",
        }
    }

    /// Its metadata is known. The first one counts.
    pub(crate) fn put_metainfo(&self, metainfo: Arc<Metainfo>) {
        let named = self.named.load().named(&metainfo.info.name);
        if self.metainfo.set(metainfo).is_ok() {
            self.named.store(Arc::new(named));
        }
    }

    /// `None` until the metadata is known.
    pub(crate) fn metainfo(&self) -> Option<&Arc<Metainfo>> {
        self.metainfo.get()
    }

    /// What its events name it by.
    pub(crate) fn torrent_ref(&self) -> Arc<TorrentRef> {
        self.named.load_full()
    }
}
