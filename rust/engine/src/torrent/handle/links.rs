//! A torrent as the layers above see it: the choker, the claims of paths, connections. They know it by traits of their own.

use std::sync::Arc;
use std::sync::atomic::Ordering;

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
        self.named.load_full()
    }

    fn is_ending(&self) -> bool {
        self.removed.load(Ordering::Acquire)
    }

    fn removal(&self) -> Option<u64> {
        *self.removal.borrow()
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
        self.named.load_full()
    }

    fn public_metadata(&self) -> Option<Bytes> {
        let info = &self.metainfo.get()?.info;
        (!info.private).then(|| info.raw.clone())
    }
}
