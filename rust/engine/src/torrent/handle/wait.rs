//! What a game waits for: whether it is so, can no longer come, or is still to
//! come. Read from the last snapshots, so that a game can ask every frame.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{Command, HandleShared, PendingState, TorrentHandle};
use crate::error::{Error, ErrorKind, Result};
use crate::torrent::handle::resume::{SaveFlags, SaveRequest};

/// Marks a torrent as ended when its task is over, however it ended.
#[derive(Debug)]
pub(crate) struct EndsWith(Arc<HandleShared>);

impl EndsWith {
    pub(crate) fn task_of(handle: &TorrentHandle) -> Self {
        Self(Arc::clone(&handle.shared))
    }
}

impl Drop for EndsWith {
    fn drop(&mut self) {
        self.0.lifetime.end();
    }
}

/// Resume data that was asked for.
#[derive(Debug)]
pub struct AwaitedRecord(oneshot::Receiver<Result<Bytes>>);

impl AwaitedRecord {
    /// The record, or why there is none; `None` while it is being saved. The
    /// answer is given once.
    pub fn try_take(&mut self) -> Option<Result<Bytes>> {
        match self.0.try_recv() {
            Ok(answer) => Some(answer),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => {
                Some(Err(Error::new(ErrorKind::InvalidTorrentHandle)))
            }
        }
    }
}

impl TorrentHandle {
    /// Whether its task has ended: its files are closed, and no event comes of
    /// it any more.
    pub fn has_ended(&self) -> bool {
        self.shared.lifetime.has_ended()
    }

    /// What is wrong with the torrent: the error that [`status`](Self::status)
    /// shows as text.
    pub fn error(&self) -> Option<Arc<Error>> {
        // One that is to be forgotten is not shown any more.
        let is_shown = !self.status().error.is_empty();
        let failure = self.shared.view.failure.load_full();
        failure.filter(|_| is_shown)
    }

    /// As [`save_resume_data`](Self::save_resume_data); the answer can be
    /// looked at without waiting.
    pub fn request_resume_data(&self, flags: SaveFlags) -> Result<AwaitedRecord> {
        let (answer, saved) = oneshot::channel();
        self.post(Command::SaveResumeData(SaveRequest {
            flags,
            answer: Some(answer),
        }))?;
        Ok(AwaitedRecord(saved))
    }

    /// Fails when the torrent is in error, no longer in its session, or without
    /// its task, which a panic ends: nothing comes of it then.
    fn check_well(&self) -> Result<()> {
        self.check_valid()?;
        match self.error() {
            Some(error) => Err((*error).clone()),
            None if self.has_ended() => Err(Error::new(ErrorKind::InvalidTorrentHandle)),
            None => Ok(()),
        }
    }

    /// Whether every wanted piece is there. `None`: not yet.
    pub fn awaited_finish(&self) -> Option<Result<()>> {
        let is_finished = || {
            let pending = self.shared.pending.has(PendingState::Priorities as u32);
            self.status().is_finished && !pending
        };
        self.outcome(is_finished)
    }

    /// Whether the files that were found on disk are checked. `None`: not yet.
    pub fn awaited_check(&self) -> Option<Result<()>> {
        self.outcome(|| self.metainfo().is_some() && !self.status().state.is_checking())
    }

    /// Whether the metadata is known, which stays so. `None`: not yet.
    pub fn awaited_metadata(&self) -> Option<Result<()>> {
        if self.metainfo().is_some() {
            return Some(Ok(()));
        }
        self.outcome(|| false)
    }

    /// Whether it was removed and its files are closed. `None`: not yet.
    pub fn awaited_removal(&self) -> Option<Result<()>> {
        let removed = || match self.shared.lifetime.has_left() {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::InvalidTorrentHandle)),
        };
        self.has_ended().then(removed)
    }

    fn outcome(&self, is_so: impl FnOnce() -> bool) -> Option<Result<()>> {
        match self.check_well() {
            Ok(()) => is_so().then_some(Ok(())),
            Err(error) => Some(Err(error)),
        }
    }
}
