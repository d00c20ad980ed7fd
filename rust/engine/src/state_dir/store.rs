//! The thread that reads and writes the state directory. One thread for all of
//! it, so that what is asked for in order happens in order: a torrent's
//! removal never overtakes a save of it.
//!
//! Callers of [`StateStore::save`] and the like get the outcome of the first
//! attempt. What fails is kept and tried again with growing pauses until it is
//! done or something newer takes its place ([`PendingWrites`]); a [`StoreNotice`] says
//! that it failed, and another one that nothing is undone any more. What waits
//! is bounded by the files that there are. The session stops the thread last.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use torrent_core::ids::InfoHash;
use torrent_core::removal_journal::RemovalJournal;

use super::faults::StateFaults;
use super::load::{self, LoadResult, Patience};
use super::lock::{Ending, FolderLock};
use super::pending_writes::{PendingWrite, PendingWrites, WriteSubject};
use super::recall::{Recall, Recalled};
use super::{Part, files, session_file, tombstone};
use crate::error::{Error, Result};

enum StoreMessage {
    LoadAll {
        taker: mpsc::UnboundedSender<Recalled>,
    },
    Do {
        subject: WriteSubject,
        task: PendingWrite,
        done: oneshot::Sender<io::Result<()>>,
    },
}

/// Something could not be written, or now can be.
#[derive(Debug)]
pub(crate) struct StoreNotice {
    /// The torrent; `None` for the session.
    pub(crate) torrent: Option<InfoHash>,
    /// `Ok` when all that had failed is done.
    pub(crate) outcome: Result<()>,
}

/// Writes to a state directory, and holds its lock.
#[derive(Debug)]
pub(crate) struct StateStore {
    folder: PathBuf,
    faults: StateFaults,
    ending: Ending,
    /// `None` once stopped.
    inbox: Mutex<Option<Sender<StoreMessage>>>,
    notices: Mutex<Option<mpsc::UnboundedReceiver<StoreNotice>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl StateStore {
    /// Starts the thread. `lock` is held until it ends.
    pub(super) fn start(
        folder: PathBuf,
        lock: FolderLock,
        faults: StateFaults,
    ) -> io::Result<Arc<Self>> {
        let (sender, inbox) = crossbeam_channel::unbounded();
        let (notify, notices) = mpsc::unbounded_channel();
        let ending = lock.ending();
        let worker = StoreWorker {
            folder: folder.clone(),
            faults: faults.clone(),
            pending: PendingWrites::default(),
            recall: None,
            notify,
        };
        let thread = std::thread::Builder::new()
            .name("torrent-state".to_owned())
            .spawn(move || {
                crate::threads::begin();
                worker.run(&inbox);
                // Only now may another session have the folder.
                drop(lock);
            })?;
        Ok(Arc::new(Self {
            folder,
            faults,
            inbox: Mutex::new(Some(sender)),
            notices: Mutex::new(Some(notices)),
            ending,
            thread: Mutex::new(Some(thread)),
        }))
    }

    /// The session ends, and is going to release the folder.
    pub(crate) fn begin_end(&self) {
        self.ending.begin();
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What fails and works again, for the one who asks first.
    pub(crate) fn take_notices(&self) -> Option<mpsc::UnboundedReceiver<StoreNotice>> {
        self.notices.lock().take()
    }

    /// Saves one part of what is known of a torrent. It is on its way when
    /// this returns; what is awaited is the outcome of the first attempt.
    pub(crate) fn save(
        &self,
        info_hash: InfoHash,
        part: Part,
        data: Bytes,
    ) -> impl Future<Output = io::Result<()>> + Send + use<> {
        let path = part.path(&self.folder, info_hash);
        let keep = part == Part::Resume;
        let task = PendingWrite::Write { path, data, keep };
        self.ask(WriteSubject::Torrent(info_hash), task)
    }

    /// Deletes one part of what is known of a torrent.
    pub(crate) fn drop_part(
        &self,
        info_hash: InfoHash,
        part: Part,
    ) -> impl Future<Output = io::Result<()>> + Send + use<> {
        let path = part.path(&self.folder, info_hash);
        self.ask(
            WriteSubject::Torrent(info_hash),
            PendingWrite::Remove { path },
        )
    }

    /// Saves the session's state.
    pub(crate) fn save_session(
        &self,
        data: Bytes,
    ) -> impl Future<Output = io::Result<()>> + Send + use<> {
        let path = session_file(&self.folder);
        let keep = true;
        self.ask(
            WriteSubject::Session,
            PendingWrite::Write { path, data, keep },
        )
    }

    /// Makes durable that a torrent is removed, before files of it are deleted:
    /// written down is which are going to be. Where that cannot be written its
    /// records go at once, since deleting makes room: it does not come back then
    /// either, but what a process leaves that dies meanwhile stays.
    pub(crate) fn begin_removal(
        self: &Arc<Self>,
        journal: &RemovalJournal,
    ) -> impl Future<Output = io::Result<()>> + Send + use<> {
        let (store, info_hash) = (Arc::clone(self), journal.info_hash);
        let task = PendingWrite::Write {
            path: tombstone(&self.folder, info_hash),
            data: journal.encode().into(),
            keep: false,
        };
        let written = self.ask(WriteSubject::Torrent(info_hash), task);
        async move {
            match written.await {
                Ok(()) => Ok(()),
                Err(_) => store.forget(info_hash).await,
            }
        }
    }

    /// Deletes all that is known of a torrent.
    pub(crate) fn forget(
        &self,
        info_hash: InfoHash,
    ) -> impl Future<Output = io::Result<()>> + Send + use<> {
        self.ask(
            WriteSubject::Torrent(info_hash),
            PendingWrite::Forget { info_hash },
        )
    }

    /// Has all torrents read, those that can be read at once before everything
    /// else that is asked for from now on. Reading ends early when the receiver
    /// is dropped.
    pub(crate) fn load_all(&self) -> mpsc::UnboundedReceiver<Recalled> {
        let (taker, torrents) = mpsc::unbounded_channel();
        self.send(StoreMessage::LoadAll { taker });
        torrents
    }

    /// Reads a torrent in the caller's thread; `None` if it is not remembered.
    pub(crate) fn load(&self, info_hash: InfoHash, patience: Patience) -> LoadResult {
        load::load(&self.faults, &self.folder, info_hash, patience)
    }

    fn send(&self, message: StoreMessage) {
        if let Some(inbox) = self.inbox.lock().as_ref() {
            // A thread that is gone does nothing any more: who asked sees that
            // the message was dropped.
            let _ = inbox.send(message);
        }
    }

    fn ask(
        &self,
        subject: WriteSubject,
        task: PendingWrite,
    ) -> impl Future<Output = io::Result<()>> + Send + use<> {
        let (done, answer) = oneshot::channel();
        self.send(StoreMessage::Do {
            subject,
            task,
            done,
        });
        async {
            let stopped = || io::Error::other("the state directory is closed");
            answer.await.unwrap_or_else(|_| Err(stopped()))
        }
    }

    /// Finishes what is queued and releases the lock. Waits for the device.
    pub(crate) fn stop(&self) {
        drop(self.inbox.lock().take());
        if let Some(thread) = self.thread.lock().take() {
            // A panic in it has no reader: no caller is left.
            let _ = thread.join();
        }
    }
}

impl Drop for StateStore {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What the thread owns.
struct StoreWorker {
    folder: PathBuf,
    faults: StateFaults,
    pending: PendingWrites,
    /// What is still to be read.
    recall: Option<Recall>,
    notify: mpsc::UnboundedSender<StoreNotice>,
}

impl StoreWorker {
    fn run(mut self, inbox: &Receiver<StoreMessage>) {
        loop {
            let recall = self.recall.as_ref().and_then(Recall::poll_timeout);
            let due = self.pending.poll_timeout().into_iter().chain(recall).min();
            let message = match due {
                Some(due) => inbox.recv_deadline(due),
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match message {
                Ok(StoreMessage::LoadAll { taker }) => self.read_on(Recall::new(taker)),
                Ok(StoreMessage::Do {
                    subject,
                    task,
                    done,
                }) => {
                    // Who asked may be gone.
                    let _ = done.send(self.accept(subject, task));
                }
                Err(RecvTimeoutError::Timeout) => {
                    let now = Instant::now();
                    for subject in self.pending.due(now) {
                        // What fails stays undone.
                        let _ = self.try_again(subject);
                    }
                    let is_due = |it: &mut Recall| it.poll_timeout().is_some_and(|it| it <= now);
                    if let Some(recall) = self.recall.take_if(is_due) {
                        self.read_on(recall);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        // Once more, in case that it works now.
        for subject in self.pending.subjects() {
            let _ = self.try_again(subject);
        }
    }

    /// Does something; behind what is undone of the same subject.
    fn accept(&mut self, subject: WriteSubject, task: PendingWrite) -> io::Result<()> {
        if !self.pending.is_waiting(subject) {
            let outcome = self.carry_out(&task);
            if let Err(error) = &outcome {
                self.pending.add(Instant::now(), subject, task, error);
                self.notify(subject, Err(Error::from_io(error, &self.folder)));
            }
            return outcome;
        }
        let is_urgent = task.is_urgent();
        self.pending.push(subject, task);
        match is_urgent {
            true => self.try_again(subject),
            false => Err(self.pending.error(subject)),
        }
    }

    /// Does what is undone of a subject, as far as it goes.
    fn try_again(&mut self, subject: WriteSubject) -> io::Result<()> {
        while let Some(task) = self.pending.next(subject) {
            if let Err(error) = self.carry_out(&task) {
                self.pending.failed(Instant::now(), subject, &error);
                return Err(error);
            }
            self.pending.done(subject);
        }
        self.pending.over(Instant::now(), subject);
        tracing::info!(?subject, "the state directory takes it again");
        self.notify(subject, Ok(()));
        Ok(())
    }

    fn notify(&self, subject: WriteSubject, outcome: Result<()>) {
        if let Err(error) = &outcome {
            tracing::warn!(?subject, %error, "not saved; it is tried again");
        }
        let torrent = match subject {
            WriteSubject::Session => None,
            WriteSubject::Torrent(info_hash) => Some(info_hash),
        };
        // A session that is over does not listen any more.
        let _ = self.notify.send(StoreNotice { torrent, outcome });
    }

    fn carry_out(&self, task: &PendingWrite) -> io::Result<()> {
        match task {
            PendingWrite::Write { path, data, keep } => {
                files::replace(&self.faults, path, data, *keep)
            }
            PendingWrite::Remove { path } => files::remove_all(&self.faults, path),
            PendingWrite::Forget { info_hash } => forget(&self.faults, &self.folder, *info_hash),
        }
    }

    /// Reads torrents. Those of which only records are left are forgotten.
    fn read_on(&mut self, mut recall: Recall) {
        let (faults, folder) = (self.faults.clone(), self.folder.clone());
        recall.list(Instant::now(), &faults, &folder);
        let goes_on = recall.read(Instant::now(), &faults, &folder, |info_hash| {
            // What cannot be deleted now is tried again: it brings nothing
            // back meanwhile.
            let task = PendingWrite::Forget { info_hash };
            let _ = self.accept(WriteSubject::Torrent(info_hash), task);
        });
        self.recall = goes_on.then_some(recall);
    }
}

/// Deletes a torrent's files. Its tombstone comes first and goes last, so that
/// a crash in between brings nothing back.
pub(super) fn forget(faults: &StateFaults, folder: &Path, info_hash: InfoHash) -> io::Result<()> {
    let tombstone = tombstone(folder, info_hash);
    match files::replace(faults, &tombstone, b"", false) {
        // Deleting makes room. The records go first: without one of them it
        // does not come back either.
        Err(error) if error.kind() != io::ErrorKind::StorageFull => return Err(error),
        _ => {}
    }
    for part in Part::ALL {
        files::remove_all(faults, &part.path(folder, info_hash))?;
    }
    files::sync_folder(faults, &tombstone)?;
    files::remove_all(faults, &tombstone)
}
