//! A torrent as the layers above see it: the choker, the claims of paths, connections. They know it by traits of their own.

use std::sync::Arc;

use bytes::Bytes;
use torrent_core::bitfield::Bitfield;
use torrent_core::choker::Changes;

use super::{Command, HandleShared};
use crate::context::choker::Choked;
use crate::context::path_claims::Claimant;
use crate::disk::SharedFiles;
use crate::event::TorrentRef;
use crate::peer::Swarm;

impl Choked for HandleShared {
    fn choke(&self, changes: Changes) -> bool {
        let command = Command::Choking(changes);
        let limit = command.limit();
        self.commands.try_send(command, limit).is_ok()
    }
}

impl Claimant for HandleShared {
    fn torrent_ref(&self) -> Arc<TorrentRef> {
        self.identity.torrent_ref()
    }

    fn is_ending(&self) -> bool {
        self.lifetime.is_removed()
    }

    fn removal(&self) -> Option<u64> {
        *self.lifetime.removal().borrow()
    }

    fn pieces(&self) -> Arc<Bitfield> {
        self.view.pieces.load_full()
    }

    fn shared_files(&self) -> SharedFiles {
        Arc::clone(&self.shared_files)
    }
}

impl Swarm for HandleShared {
    fn torrent_ref(&self) -> Arc<TorrentRef> {
        self.identity.torrent_ref()
    }

    fn public_metadata(&self) -> Option<Bytes> {
        let info = &self.identity.metainfo()?.info;
        (!info.private).then(|| info.raw.clone())
    }
}
