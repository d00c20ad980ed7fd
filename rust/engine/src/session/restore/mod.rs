//! Restores the torrents of a state directory: they are read in the background by the
//! directory's own thread, so that a start waits for no disk, and added again
//! in the order that they had in the queue.
//!
//! [`run`] is a task of the session. A torrent that the game adds before its
//! turn ([`SessionShared::add`]) is looked up by its own task ([`looked_up`]):
//! it comes back as it was, as it would a moment later, and what that add gives
//! beside counts as it does then ([`SecondAdd`]).

mod removals;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinError, spawn_blocking};
use torrent_core::backoff::Backoff;
use torrent_core::ids::InfoHash;
use torrent_core::magnet::MagnetUri;
use torrent_core::move_journal::MoveJournal;
use torrent_core::resume::ResumeData;

use crate::context::path_claims::ClaimedPaths;
use crate::disk::AwaitedFolder;
use crate::error::{Error, ErrorKind, Result};
use crate::event::typed;
use crate::session::add::{AddTorrent, TorrentSource};
use crate::session::registry::{Origin, log_without_effect};
use crate::session::{SessionCommand, SessionShared};
use crate::state_dir::{LoadResult, Patience, Recalled, Remembered, StoreNotice, Unread};
use crate::timer::sleep_until;
use crate::torrent::handle::TorrentHandle;
use crate::torrent::handle::resume::path_of;
use crate::torrent::{NewTorrent, SecondAdd};
use removals::forget;

/// How far a session is with bringing back its torrents.
#[derive(Debug)]
pub(crate) struct Restoring {
    /// Torrents that have come, one way or the other: what is remembered of
    /// them is old. `None` when all are back.
    met: Mutex<Option<BTreeSet<InfoHash>>>,
    done: watch::Sender<bool>,
    /// All are back: the session did not end before.
    complete: AtomicBool,
    /// Permits for torrents that are being looked up.
    lookups: Semaphore,
}

/// How many torrents are looked up at once: each takes a thread, which waits for
/// the disk.
const LOOKUPS: usize = 4;

impl Restoring {
    /// With torrents to bring back if `begun`.
    pub(crate) fn new(begun: bool) -> Self {
        Self {
            met: Mutex::new(begun.then(BTreeSet::new)),
            done: watch::Sender::new(!begun),
            complete: AtomicBool::new(!begun),
            lookups: Semaphore::new(LOOKUPS),
        }
    }

    /// Whether all are back, or never will be.
    pub(crate) fn is_done(&self) -> bool {
        *self.done.borrow()
    }

    /// Whether all are back.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    /// Waits until all are back, or never will be.
    pub(crate) async fn done(&self) {
        // The sender is borrowed: it does not go away.
        let _ = self.done.subscribe().wait_for(|done| *done).await;
    }
}

/// However the task ends that brings torrents back: no caller waits longer
/// more than it did.
struct RestoreGuard<'a>(&'a SessionShared);

impl Drop for RestoreGuard<'_> {
    fn drop(&mut self) {
        self.0.restoring.met.lock().take();
        self.0.services.path_claims.set_incomplete(false);
        self.0.restoring.done.send_replace(true);
    }
}

/// No torrent is brought back: the session ends before it has its folder.
pub(crate) fn give_up(session: &SessionShared) {
    drop(RestoreGuard(session));
}

/// Brings back the torrents of the state directory.
pub(crate) async fn run(session: Arc<SessionShared>) {
    let _end = RestoreGuard(&session);
    let mut stopping = session.services.stopping.subscribe();
    tokio::select! {
        () = bring_back(&session) => {}
        // What has not come back stays in the directory.
        _ = stopping.wait_for(|stopping| *stopping) => {}
    }
}

/// A torrent that came before those of the state directory, as it was if it is
/// remembered there. What cannot be read is tried again, until the torrent is
/// removed or the session stops; the record stays as it is then. `None` when the
/// session's threads end meanwhile.
///
/// # Panics
///
/// When looking it up does. Its record stays as it is.
pub(crate) async fn looked_up(
    session: &Arc<SessionShared>,
    mut new: NewTorrent,
) -> Option<NewTorrent> {
    let Some(given) = new.early.take() else {
        if new.may_have_record {
            removals::forget_first(session, &mut new).await;
        }
        return Some(new);
    };
    new.may_have_record = true;
    let mut stopping = session.services.stopping.subscribe();
    let mut removal = new.handle.shared.lifetime.removal().subscribe();
    let mut backoff = Backoff::of_disk();
    for attempts in 0.. {
        let patience = Patience::after(attempts);
        let error = match load(session, &new.handle, patience).await? {
            Ok(remembered) => {
                new.may_have_record = remembered.is_some();
                session.take_up(&mut new, *given, remembered);
                break;
            }
            Err(Unread::Removed(error)) => {
                // The game wants it anew: nothing more of it is deleted, and that is
                // durable before anything is written of it.
                error
                    .into_iter()
                    .for_each(|error| session.post_error(error));
                match forget(session, new.handle.info_hash()).await {
                    Ok(()) => {
                        new.may_have_record = false;
                        session.take_up(&mut new, *given, None);
                        break;
                    }
                    Err(error) => error,
                }
            }
            Err(Unread::Bad(error)) => {
                session.post_error(error);
                session.take_up(&mut new, *given, None);
                break;
            }
            Err(Unread::Later(error)) => error,
        };
        if backoff.failed(Instant::now()) {
            session.post_error(error);
        }
        tokio::select! {
            () = sleep_until(backoff.poll_timeout()) => {}
            _ = stopping.wait_for(|stopping| *stopping) => break,
            _ = removal.wait_for(Option::is_some) => break,
        }
    }
    Some(new)
}

/// Reads a torrent in a thread that may wait. `None` when the session's threads
/// end meanwhile.
async fn load(
    session: &Arc<SessionShared>,
    handle: &TorrentHandle,
    patience: Patience,
) -> Option<LoadResult> {
    let _place = session.restoring.lookups.acquire().await.ok()?;
    let Some(state_store) = session.services.state_store.get().cloned() else {
        return Some(Ok(None));
    };
    let info_hash = handle.info_hash();
    let loaded = spawn_blocking(move || state_store.load(info_hash, patience));
    match loaded.await.map_err(JoinError::try_into_panic) {
        Ok(Ok(Some(torrent))) if torrent.removal.is_some() => Some(Err(Unread::Removed(None))),
        Ok(loaded) => Some(loaded),
        Err(Ok(panic)) => resume_unwind(panic),
        Err(Err(_)) => None,
    }
}

/// Whether a torrent comes for the first time, and others are still to come.
fn meet(met: &mut Option<BTreeSet<InfoHash>>, info_hash: InfoHash) -> bool {
    met.as_mut().is_some_and(|met| met.insert(info_hash))
}

async fn bring_back(session: &Arc<SessionShared>) {
    if let Some(state_store) = session.services.state_store.get() {
        let mut reading = state_store.load_all();
        let (mut torrents, mut removed) = (Vec::new(), Vec::new());
        loop {
            match reading.recv().await {
                Some(Recalled::Torrent(torrent)) if torrent.removal.is_some() => {
                    removed.push(*torrent);
                }
                Some(Recalled::Torrent(torrent)) => torrents.push(*torrent),
                Some(Recalled::Failed(error)) => session.post_error(error),
                Some(Recalled::Late) => add_all(session, std::mem::take(&mut torrents)),
                Some(Recalled::All) => break,
                // The directory's thread has ended.
                None => return,
            }
        }
        add_all(session, torrents);
        // Those that are there claim their paths first.
        for torrent in removed {
            // Held until it is on its way: a torrent of its hash is added after it.
            let mut met = session.restoring.met.lock();
            if meet(&mut met, torrent.info_hash) {
                session.finish_removal(torrent);
            }
        }
        // The game's own may have come in between.
        let order = session.state.lock().queue.clone();
        session.services.queue.arrange(&order);
    }
    session.restoring.complete.store(true, Ordering::Release);
    session.state_changed();
}

/// Adds torrents that have been read, in the order that they had in the queue.
fn add_all(session: &Arc<SessionShared>, mut torrents: Vec<Remembered>) {
    let order = session.state.lock().queue.clone();
    let positions: HashMap<InfoHash, usize> = order.into_iter().zip(0..).collect();
    torrents.sort_by_key(|torrent| {
        let place = positions.get(&torrent.info_hash).copied();
        let place = place.unwrap_or(usize::MAX);
        // What another one has is not for one that has only been added.
        (torrent.is_new, place, torrent.resume.added_time)
    });
    let back = torrents.into_iter().filter_map(|torrent| {
        let mut met = session.restoring.met.lock();
        meet(&mut met, torrent.info_hash)
            .then(|| session.register_again(torrent))
            .flatten()
    });
    // Before one of them begins, it is known which folders all of them await.
    let back: Vec<_> = back.collect();
    for new in back {
        // There are as many as there are torrents in the folder. A session
        // that takes none any more ends.
        session.commands.send(SessionCommand::Add(Box::new(new)));
    }
}

impl SessionShared {
    /// Something was wrong with the state directory.
    pub(crate) fn post_error(&self, error: Error) {
        self.services.events.post(typed::FILE_ERROR, None, || error);
    }

    /// Adds a torrent; as it was, if it is remembered and not back yet. Waits
    /// for no disk.
    pub(crate) fn add(self: &Arc<Self>, add: AddTorrent) -> Result<TorrentHandle> {
        add.check()?;
        let info_hash = add.hashes()?.handshake_hash();
        let place = self.place()?;
        // Held until it is registered, so that no other caller brings it back.
        let mut met = self.restoring.met.lock();
        let is_first = meet(&mut met, info_hash);
        let origin = match is_first || !self.up.load(Ordering::Acquire) {
            true => Origin::Early,
            false => Origin::Game,
        };
        let registered = self.register(add, origin);
        if let (Err(_), true, Some(met)) = (&registered, is_first, met.as_mut()) {
            // What is remembered comes back all the same.
            met.remove(&info_hash);
        }
        drop(met);
        let (handle, new) = registered?;
        if let Some(new) = new {
            place.send(SessionCommand::Add(Box::new(new)));
        }
        Ok(handle)
    }

    /// A torrent that was added before those of the state directory becomes what
    /// it was, if it is remembered there. What the game has changed of it since
    /// stays as the game wants it.
    fn take_up(&self, new: &mut NewTorrent, given: SecondAdd, remembered: Option<Box<Remembered>>) {
        // If it is not remembered, those that are go before it.
        let ticket = new.claim.ticket.take();
        let Some(mut torrent) = remembered else {
            return;
        };
        if torrent.metainfo.is_none() {
            // Its files are where it was all the same.
            torrent.metainfo = given.metainfo.clone();
            torrent.incomplete = true;
        }
        let (is_whole, move_journal) = (!torrent.incomplete, torrent.move_journal.take());
        if let Some(move_journal) = &move_journal {
            apply_move_journal(move_journal, &mut torrent.resume);
        }
        let load_error = torrent.load_error.clone();
        let Ok(mut add) = as_it_was(*torrent).inspect_err(|error| self.post_add_failure(error))
        else {
            return;
        };
        let shared = &new.handle.shared;
        let Ok(remembered) = add.options() else {
            return;
        };
        if let TorrentSource::File(metainfo) = &add.source {
            // Its files are where it was, not where the game put it now.
            let area = ClaimedPaths::new(
                &add.save_path,
                Arc::clone(metainfo),
                BTreeMap::clone(&remembered.renamed_files),
                &remembered.part_file_dir,
            );
            if let Err(error) = new.claim.want_instead(area) {
                return self.post_add_failure(&error);
            }
        }
        (new.restored, new.claim.ticket) = (true, ticket);
        new.may_have_record = false;
        {
            let mut held = shared.options.lock();
            if held.plain.paused == given.options.plain.paused {
                new.paused = add.paused;
            }
            held.take_up(&given.options, remembered);
            if let TorrentSource::File(metainfo) = &add.source {
                // Known already if it was added by its torrent file. Under the
                // lock: from now on there is a priority for each piece.
                new.handle.put_metainfo(Arc::clone(metainfo));
            }
        }
        new.awaited = self.awaited_folder(&add);
        shared
            .save_path
            .store(Arc::new(std::mem::take(&mut add.save_path)));
        if let Some(resume) = &add.resume
            && resume.added_time != 0
        {
            shared
                .added_time
                .store(resume.added_time, Ordering::Relaxed);
        }
        new.record = add.take_record();
        new.remembered = is_whole;
        new.move_journal = move_journal.map(Box::new);
        let left_out = given.left_out(&new.handle);
        log_without_effect(&new.handle, &left_out);
        new.without_effect.extend(left_out);
        new.handle.show_new();
        if let Some(error) = load_error {
            self.services.events.post(
                typed::FASTRESUME_REJECTED,
                Some(&new.handle.torrent_ref()),
                || error,
            );
        }
    }

    /// The folder of a torrent that has files in it, as far as is known.
    fn awaited_folder(&self, add: &AddTorrent) -> Option<AwaitedFolder> {
        let has_files = !add.believed_pieces().none();
        has_files.then(|| self.services.awaited_folders.wait_for(&add.save_path))
    }

    /// Registers a torrent as it was. What stands against it is posted.
    fn register_again(self: &Arc<Self>, mut torrent: Remembered) -> Option<NewTorrent> {
        let load_error = torrent.load_error.clone();
        let (is_whole, move_journal) = (!torrent.incomplete, torrent.move_journal.take());
        if let Some(move_journal) = &move_journal {
            apply_move_journal(move_journal, &mut torrent.resume);
        }
        let mut awaited = None;
        let registered = as_it_was(torrent).and_then(|add| {
            awaited = self.awaited_folder(&add);
            self.register(add, Origin::StateDir { is_whole })
        });
        match registered {
            Ok((handle, mut new)) => {
                if let Some(new) = &mut new {
                    new.awaited = awaited;
                    new.move_journal = move_journal.map(Box::new);
                }
                if let Some(error) = load_error {
                    self.services.events.post(
                        typed::FASTRESUME_REJECTED,
                        Some(&handle.torrent_ref()),
                        || error,
                    );
                }
                new
            }
            // It stays in the directory.
            Err(error) if error.kind() == ErrorKind::SessionNotRunning => None,
            Err(error) => {
                tracing::warn!(%error, "a torrent of the state directory is not added");
                self.post_add_failure(&error);
                None
            }
        }
    }
}

/// What was written down last of where the files are goes before the record.
fn apply_move_journal(move_journal: &MoveJournal, resume: &mut ResumeData) {
    resume.save_path.clone_from(&move_journal.save_path);
    resume.renamed_files.clone_from(&move_journal.renamed);
    if move_journal.needs_check {
        resume.pieces.clear();
        resume.unfinished.clear();
        resume.file_stats.clear();
        resume.flags.seed_mode = None;
    }
}

/// Posts what the state directory does not take, and when it takes it
/// again. Ends with the directory's thread.
pub(crate) async fn post_write_failures(session: Arc<SessionShared>) {
    let Some(state_store) = session.services.state_store.get() else {
        return;
    };
    let Some(mut notices) = state_store.take_notices() else {
        return;
    };
    while let Some(StoreNotice { torrent, outcome }) = notices.recv().await {
        let handle = torrent.and_then(|it| session.registry.lock().find(it.into()).cloned());
        match (outcome, handle) {
            (Err(error), handle) => {
                let torrent = handle.map(|handle| handle.torrent_ref());
                session
                    .services
                    .events
                    .post(typed::FILE_ERROR, torrent.as_ref(), || error);
            }
            // The record that had waited is written.
            (Ok(()), Some(handle)) => {
                if let Some(record) = handle.resume_data() {
                    session.services.events.post(
                        typed::SAVE_RESUME_DATA,
                        Some(&handle.torrent_ref()),
                        || record,
                    );
                }
            }
            (Ok(()), None) => {}
        }
    }
}

fn as_it_was(torrent: Remembered) -> Result<AddTorrent> {
    let save_path = path_of(&torrent.resume.save_path);
    if save_path.as_os_str().is_empty() {
        return Err(Error::new(ErrorKind::EmptySavePath).about(torrent.info_hash.to_string()));
    }
    let mut add = AddTorrent::from_info_hash(torrent.info_hash, save_path);
    if let Some(metainfo) = torrent.metainfo {
        add.source = TorrentSource::File(metainfo);
    } else if let Some(magnet) = torrent.magnet {
        add.source = TorrentSource::Magnet(magnet);
    } else {
        add.source = TorrentSource::Magnet(MagnetUri {
            name: torrent.resume.name.clone(),
            ..MagnetUri::of_hashes(torrent.info_hash)
        });
    }
    let add = add.with_resume(torrent.resume)?;
    add.check()?;
    Ok(add)
}

#[cfg(test)]
mod tests;
