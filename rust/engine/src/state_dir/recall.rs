//! The reading of all torrents of a state directory, with another attempt at
//! what could not be read for the moment.
//!
//! Owned by the `state_store`'s thread, which does everything else between
//! two attempts. The folder is listed until that succeeds. A torrent whose files
//! cannot be read keeps no other one waiting; after some attempts the device
//! is taken to be damaged there, and what else there is of the torrent counts.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use tokio::sync::mpsc;
use torrent_core::backoff::Backoff;
use torrent_core::ids::InfoHash;

use super::faults::StateFaults;
use super::load::{self, Patience, Remembered, Unread};
use crate::error::Error;

/// A step of the reading.
#[derive(Debug)]
pub(crate) enum Recalled {
    /// A torrent was read.
    Torrent(Box<Remembered>),
    /// Something could not be read.
    Failed(Error),
    /// What follows comes late: it could not be read at once.
    Late,
    /// That was all.
    All,
}

/// What is still to be read.
pub(super) struct Recall {
    taker: mpsc::UnboundedSender<Recalled>,
    /// The torrents; `None` before they are listed.
    unread: Option<BTreeSet<InfoHash>>,
    /// How often it was tried to read these.
    attempts: u32,
    backoff: Backoff,
}

impl Recall {
    pub(super) fn new(taker: mpsc::UnboundedSender<Recalled>) -> Self {
        Self {
            taker,
            unread: None,
            attempts: 0,
            backoff: Backoff::of_disk(),
        }
    }

    /// When it is tried again.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.backoff.poll_timeout()
    }

    /// Lists the folder, if that is still to be done.
    pub(super) fn list(&mut self, now: Instant, faults: &StateFaults, folder: &Path) {
        self.backoff.attempt();
        if self.unread.is_some() {
            return;
        }
        match load::known(faults, folder) {
            Ok(known) => {
                self.backoff.succeeded();
                self.unread = Some(known);
            }
            Err(error) => {
                tracing::warn!(%error, "the state directory cannot be listed; it is tried again");
                if self.backoff.failed(now) {
                    self.send(Recalled::Failed(Error::from_io(&error, folder)));
                }
            }
        }
    }

    /// Reads what was listed; `forget` deletes the records of torrents whose removal
    /// was cut short. Whether it is to be tried again.
    pub(super) fn read(
        &mut self,
        now: Instant,
        faults: &StateFaults,
        folder: &Path,
        forget: impl FnMut(InfoHash),
    ) -> bool {
        let Some(unread) = self.unread.take() else {
            return !self.taker.is_closed();
        };
        let left = self.read_these(unread, faults, folder, forget);
        if left.is_empty() || self.taker.is_closed() {
            self.send(Recalled::All);
            return false;
        }
        self.attempts += 1;
        self.backoff.failed(now);
        self.unread = Some(left);
        true
    }

    /// Reads torrents, and returns those that may be readable later.
    fn read_these(
        &self,
        unread: BTreeSet<InfoHash>,
        faults: &StateFaults,
        folder: &Path,
        mut forget: impl FnMut(InfoHash),
    ) -> BTreeSet<InfoHash> {
        let patience = Patience::after(self.attempts);
        let mut left = BTreeSet::new();
        for info_hash in unread {
            match load::load(faults, folder, info_hash, patience) {
                Ok(None) => {}
                // Before anything else is written of it.
                Err(Unread::Removed(error)) => {
                    forget(info_hash);
                    error
                        .into_iter()
                        .for_each(|it| self.send(Recalled::Failed(it)));
                }
                Ok(Some(torrent)) => self.send(Recalled::Torrent(torrent)),
                Err(Unread::Bad(error)) => self.send(Recalled::Failed(error)),
                Err(Unread::Later(error)) => {
                    if self.attempts == 0 {
                        self.send(Recalled::Failed(error));
                    }
                    left.insert(info_hash);
                }
            }
            if self.taker.is_closed() {
                break;
            }
        }
        if self.attempts == 0 && !left.is_empty() {
            self.send(Recalled::Late);
        }
        left
    }

    fn send(&self, recalled: Recalled) {
        // The receiver may be gone.
        let _ = self.taker.send(recalled);
    }
}
