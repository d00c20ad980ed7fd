//! The thread that reads and writes the state directory. One thread for all of it, so
//! that what is asked for in order happens in order: a torrent's removal never
//! overtakes a save of it.
//!
//! Tasks call [`Keeper::save`] and its kin and wait for the answer, so what is
//! queued is bounded by the number of torrents. The session stops it last.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use torrent_core::ids::InfoHash;

use super::recall::{Remembered, recall_all};
use super::{FolderLock, Part, files, session_file, tombstone};
use crate::error::Result;

enum Job {
    Recall {
        taker: mpsc::UnboundedSender<Result<Remembered>>,
    },
    Write {
        path: PathBuf,
        data: Vec<u8>,
        keep: bool,
        done: oneshot::Sender<io::Result<()>>,
    },
    Forget {
        info_hash: InfoHash,
        done: oneshot::Sender<io::Result<()>>,
    },
}

/// Writes to a state directory, and holds its lock.
#[derive(Debug)]
pub(crate) struct Keeper {
    folder: PathBuf,
    /// `None` once stopped.
    jobs: Mutex<Option<Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Keeper {
    /// Starts the thread. `lock` is held until it ends.
    pub(super) fn start(folder: PathBuf, lock: FolderLock) -> io::Result<Arc<Self>> {
        let (jobs, inbox) = crossbeam_channel::unbounded();
        let thread = std::thread::Builder::new()
            .name("torrent-state".to_owned())
            .spawn({
                let folder = folder.clone();
                move || {
                    crate::threads::begin();
                    work(&folder, &inbox);
                    // Only now may another session have the folder.
                    drop(lock);
                }
            })?;
        Ok(Arc::new(Self {
            folder,
            jobs: Mutex::new(Some(jobs)),
            thread: Mutex::new(Some(thread)),
        }))
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Saves one part of what is known of a torrent.
    pub(crate) async fn save(
        &self,
        info_hash: InfoHash,
        part: Part,
        data: Vec<u8>,
    ) -> io::Result<()> {
        let path = part.path(&self.folder, info_hash);
        let keep = part == Part::Resume;
        self.ask(|done| Job::Write {
            path,
            data,
            keep,
            done,
        })
        .await
    }

    /// Saves the session's state.
    pub(crate) async fn save_session(&self, data: Vec<u8>) -> io::Result<()> {
        let path = session_file(&self.folder);
        let keep = true;
        self.ask(|done| Job::Write {
            path,
            data,
            keep,
            done,
        })
        .await
    }

    /// Has all torrents read, and then everything else done that is asked for
    /// from now on. Reading ends early when the receiver is dropped.
    pub(crate) fn recall_all(&self) -> mpsc::UnboundedReceiver<Result<Remembered>> {
        let (taker, torrents) = mpsc::unbounded_channel();
        if let Some(jobs) = self.jobs.lock().as_ref() {
            // A thread that is gone has nothing to read for.
            let _ = jobs.send(Job::Recall { taker });
        }
        torrents
    }

    /// Deletes all that is known of a torrent.
    pub(crate) async fn forget(&self, info_hash: InfoHash) -> io::Result<()> {
        self.ask(|done| Job::Forget { info_hash, done }).await
    }

    async fn ask(
        &self,
        job: impl FnOnce(oneshot::Sender<io::Result<()>>) -> Job,
    ) -> io::Result<()> {
        let stopped = || io::Error::other("the state directory is closed");
        let (done, answer) = oneshot::channel();
        let sent = self
            .jobs
            .lock()
            .as_ref()
            .is_some_and(|jobs| jobs.send(job(done)).is_ok());
        if !sent {
            return Err(stopped());
        }
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Finishes what is queued and gives up the lock. Waits for the device.
    pub(crate) fn stop(&self) {
        drop(self.jobs.lock().take());
        if let Some(thread) = self.thread.lock().take() {
            // A panic in it has nothing to tell: nobody is left who asks.
            let _ = thread.join();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

fn work(folder: &Path, inbox: &Receiver<Job>) {
    for job in inbox {
        match job {
            Job::Write {
                path,
                data,
                keep,
                done,
            } => {
                // Who asked may be gone, here and below.
                let _ = done.send(files::replace(&path, &data, keep));
            }
            Job::Recall { taker } => recall_all(folder, &taker),
            Job::Forget { info_hash, done } => {
                let _ = done.send(forget(folder, info_hash));
            }
        }
    }
}

/// Deletes a torrent's files. Its tombstone comes first and goes last, so that
/// a crash in between brings nothing back.
pub(super) fn forget(folder: &Path, info_hash: InfoHash) -> io::Result<()> {
    let tombstone = tombstone(folder, info_hash);
    files::replace(&tombstone, b"", false)?;
    for part in Part::ALL {
        let path = part.path(folder, info_hash);
        files::remove(&path)?;
        files::remove(&files::previous(&path))?;
    }
    files::sync_folder(&tombstone)?;
    files::remove(&tombstone)
}
