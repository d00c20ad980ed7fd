//! Registers torrents: the handle of a torrent is made and put into the
//! registry in the caller's thread, so that it is there at once; everything else is
//! done by the torrent's task, for which a [`NewTorrent`] is on its way then.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use torrent_core::bitfield::Bitfield;
use torrent_core::ids::{PeerId, TorrentKey};

use crate::command_queue::{self, Pending};
use crate::context::path_claims::{Claimant, ClaimedPaths, PathLease};
use crate::disk::{SharedFiles, StorageKind};
use crate::error::{Error, ErrorKind, Result};
use crate::event::command_sequence::CommandSequence;
use crate::event::{EventBody, TorrentRef, unix_millis};
use crate::session::SessionShared;
use crate::session::add::{AddTorrent, TorrentSource};
use crate::torrent::handle::{
    EndsWith, HandleShared, Identity, Lifetime, Options, QueueMembership, TorrentHandle, Unsaved,
    View,
};
use crate::torrent::{NewTorrent, PendingClaim, SecondAdd};

/// Where a torrent that is registered comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The game adds it.
    Game,
    /// The same, before all of the state directory are back: it may be one of
    /// them.
    Early,
    /// It comes back; all of it is written there if `is_whole`.
    StateDir { is_whole: bool },
}

impl SessionShared {
    /// Registers a torrent whose arguments were checked. If it is there already
    /// there is nothing to run.
    pub(crate) fn register(
        self: &Arc<Self>,
        mut add: AddTorrent,
        origin: Origin,
    ) -> Result<(TorrentHandle, Option<NewTorrent>)> {
        self.check_running()?;
        let hashes = add.hashes()?;
        let save_path = std::path::absolute(&add.save_path)
            .map_err(|error| Error::from_io(&error, &add.save_path))?;
        let (commands, inbox) = command_queue::queue();
        add.complete_source();
        let options = add.options()?;
        let again = add.again(&options, &save_path);
        let without_effect = add.without_effect();
        let added_time = added_time(&add);
        let area = claimed_paths(&add.source, &save_path, &options);
        let believed = add.believed_pieces();
        let restored = matches!(origin, Origin::StateDir { .. });
        let record = add.take_record();
        let (name, metainfo, magnet) = match add.source {
            TorrentSource::File(metainfo) => (metainfo.info.name.clone(), Some(metainfo), None),
            TorrentSource::Magnet(magnet) => (magnet.name.clone(), None, Some(magnet)),
        };
        let asked = Arc::new(CommandSequence::default());
        let mut named = TorrentRef::new(new_key(), hashes, &name);
        named.asked = Arc::clone(&asked);
        let peer_id = new_peer_id(&self.services.settings.borrow().peer_fingerprint);
        let handle = TorrentHandle {
            shared: Arc::new(HandleShared {
                identity: Identity::new(named, peer_id, magnet, metainfo),
                save_path: ArcSwap::from_pointee(save_path),
                shared_files: SharedFiles::default(),
                awaited_folders: Arc::clone(&self.services.awaited_folders),
                added_time: AtomicI64::new(added_time),
                options: Mutex::new(options),
                check: Mutex::default(),
                asked,
                pending: Pending::default(),
                view: View::default(),
                commands,
                queue: QueueMembership::new(Arc::clone(&self.services.queue)),
                lifetime: Lifetime::default(),
                services: Arc::downgrade(&self.services),
                unsaved: Unsaved::default(),
            }),
        };
        handle.show_new();
        // Where those are that come back is not known by the names given now.
        let anyway = origin != Origin::Game;
        let lease = match self.enter(&handle, area.clone(), believed, anyway)? {
            Ok(lease) => lease,
            Err(known) => {
                self.add_again(&known, &again, add.peers);
                return Ok((known, None));
            }
        };
        // Its turn is before those that come once all are back; what the game
        // adds in the meantime waits for that.
        let ticket = (origin != Origin::Game).then(|| self.services.path_claims.ticket());
        log_without_effect(&handle, &without_effect);
        let new = NewTorrent {
            handle: handle.clone(),
            commands: inbox,
            paused: add.paused,
            record,
            peers: add.peers,
            remembered: matches!(origin, Origin::StateDir { is_whole: true }),
            may_have_record: false,
            move_journal: None,
            ends: EndsWith::task_of(&handle),
            restored,
            claim: PendingClaim::new(lease, area, ticket),
            awaited: None,
            without_effect,
            early: (origin == Origin::Early).then(|| Box::new(again)),
        };
        Ok((handle, Some(new)))
    }

    /// A torrent that is there was added again: an alert names what it does not
    /// take over.
    fn add_again(&self, known: &TorrentHandle, again: &SecondAdd, peers: Vec<SocketAddr>) {
        let left_out = again.give_to(known, peers);
        if left_out.is_empty() {
            return;
        }
        log_without_effect(known, &left_out);
        let added = EventBody::AddedAgain(known.added(left_out));
        self.services
            .events
            .post_body(Some(&known.torrent_ref()), added);
    }

    /// Puts a torrent into the registry with a claim to its paths, or returns
    /// the one that is there already; fails if the names alone say that another
    /// torrent has those paths, unless `anyway`.
    fn enter(
        &self,
        handle: &TorrentHandle,
        area: Option<ClaimedPaths>,
        believed: Bitfield,
        anyway: bool,
    ) -> Result<std::result::Result<PathLease, TorrentHandle>> {
        let mut registry = self.registry.lock();
        // A session that stops marks those that it finds here, once.
        self.check_running()?;
        if let Some(known) = registry.holder(handle.hashes()) {
            return Ok(Err(known.clone()));
        }
        let owner: Arc<dyn Claimant> = Arc::clone(&handle.shared) as _;
        let lease = self.services.path_claims.lease(&owner, believed);
        let wanted = area.map(|area| lease.want(area, anyway));
        wanted.transpose().map_err(|error| {
            let text = error.message().to_owned();
            Error::because(ErrorKind::TorrentAddFailed, text).about(error.context())
        })?;
        registry.insert(handle.clone());
        handle.join_queue();
        Ok(Ok(lease))
    }

    /// See [`Session::post_add_failure`](crate::session::Session::post_add_failure).
    pub(crate) fn post_add_failure(&self, error: &Error) {
        self.services
            .events
            .post_body(None, EventBody::AddFailed(error.clone()));
    }
}

/// The paths that a torrent claims when it is added; none before its files are
/// known, or where it has none.
fn claimed_paths(
    source: &TorrentSource,
    save_path: &Path,
    options: &Options,
) -> Option<ClaimedPaths> {
    match source {
        // It is nowhere on a disk.
        _ if options.plain.storage != StorageKind::Files => None,
        TorrentSource::File(metainfo) => Some(ClaimedPaths::new(
            save_path,
            Arc::clone(metainfo),
            BTreeMap::clone(&options.renamed_files),
            &options.part_file_dir,
        )),
        TorrentSource::Magnet(_) => None,
    }
}

/// When a torrent was added first, in Unix time.
fn added_time(add: &AddTorrent) -> i64 {
    match add.resume.as_ref().map_or(0, |resume| resume.added_time) {
        0 => unix_millis() / 1000,
        time => time,
    }
}

/// What was given when a torrent was added, and has no effect.
pub(crate) fn log_without_effect(handle: &TorrentHandle, notes: &[String]) {
    for note in notes {
        tracing::warn!(torrent = %handle.info_hash(), "add_torrent: {note}");
    }
}

/// A key that no torrent of the process had before.
pub(crate) fn new_key() -> TorrentKey {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    TorrentKey(NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The fingerprint, and random letters and digits to fill up (BEP 20).
fn new_peer_id(fingerprint: &str) -> PeerId {
    const LETTERS: &[u8; 64] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
    let mut id = PeerId(rand::random::<[u8; 20]>().map(|byte| LETTERS[usize::from(byte & 63)]));
    let known = fingerprint.len().min(id.0.len());
    id.0[..known].copy_from_slice(&fingerprint.as_bytes()[..known]);
    id
}
