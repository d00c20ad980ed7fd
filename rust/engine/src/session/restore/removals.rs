//! Torrents of the state directory that were removed: they do not come back, and
//! what is left of them goes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use torrent_core::backoff::Backoff;
use torrent_core::ids::InfoHash;

use super::{apply_move_journal, as_it_was};
use crate::error::{Error, ErrorKind, Result};
use crate::event::TorrentRef;
use crate::session::registry::new_key;
use crate::session::{SessionCommand, SessionShared};
use crate::state_dir::Remembered;
use crate::timer::sleep_until;
use crate::torrent::{NewTorrent, UnfinishedRemoval};

/// Deletes what the state directory has of a torrent.
pub(super) async fn forget(session: &SessionShared, info_hash: InfoHash) -> Result<()> {
    let Some(state_store) = session.services.state_store.get() else {
        return Ok(());
    };
    let forgotten = state_store.forget(info_hash).await;
    forgotten.map_err(|error| Error::from_io(&error, state_store.folder()))
}

/// Forgets what the directory has of a torrent that is added while its removal is being
/// finished. What fails is tried again, until the torrent is removed or the session
/// stops: nothing is written of it before.
pub(super) async fn forget_first(session: &SessionShared, new: &mut NewTorrent) {
    let mut stopping = session.services.stopping.subscribe();
    let mut removal = new.handle.shared.lifetime.removal().subscribe();
    let mut backoff = Backoff::of_disk();
    while forget(session, new.handle.info_hash()).await.is_err() {
        backoff.failed(Instant::now());
        tokio::select! {
            () = sleep_until(backoff.poll_timeout()) => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
            _ = removal.wait_for(Option::is_some) => return,
        }
    }
    new.may_have_record = false;
}

impl SessionShared {
    /// Goes on with the removal of a torrent that has files which are to be deleted.
    pub(super) fn finish_removal(&self, torrent: Remembered) {
        let info_hash = torrent.info_hash;
        match self.unfinished_removal(torrent) {
            Ok(removal) => {
                let removal = Box::new(removal);
                self.commands.send(SessionCommand::FinishRemoval(removal));
            }
            Err(error) => {
                self.post_error(error);
                if let Some(state_store) = self.services.state_store.get() {
                    // On its way; what fails is reported and tried again.
                    drop(state_store.forget(info_hash));
                }
            }
        }
    }

    fn unfinished_removal(&self, mut torrent: Remembered) -> Result<UnfinishedRemoval> {
        let words = "it was being removed, and cannot be read: files of it may be left";
        let unreadable = || {
            let error = Error::because(ErrorKind::TorrentRemoveFailed, words);
            error.about(torrent.info_hash.to_string())
        };
        let journal = torrent.removal.take().ok_or_else(unreadable)?;
        let mut change = None;
        if let Some(move_journal) = torrent.move_journal.take() {
            apply_move_journal(&move_journal, &mut torrent.resume);
            change = move_journal.change;
        }
        let Some(metainfo) = torrent.metainfo.clone() else {
            return Err(unreadable());
        };
        let add = as_it_was(torrent)?;
        let options = add.options()?;
        let save_path = std::path::absolute(&add.save_path)
            .map_err(|error| Error::from_io(&error, &add.save_path))?;
        let torrent = TorrentRef::new(new_key(), add.hashes()?, &metainfo.info.name);
        Ok(UnfinishedRemoval {
            torrent: Arc::new(torrent),
            metainfo,
            save_path,
            renamed: BTreeMap::clone(&options.renamed_files),
            part_file_dir: options.part_file_dir.to_path_buf(),
            change,
            journal,
            ticket: Some(self.services.path_claims.ticket()),
        })
    }
}
