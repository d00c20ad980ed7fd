//! What could not be written to the state directory: it waits here, in order,
//! until it can be.
//!
//! Owned by the `state_store`'s thread. Things of one subject stay in their order,
//! subjects do not wait for one another.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Instant;

use bytes::Bytes;
use torrent_core::backoff::Backoff;
use torrent_core::ids::InfoHash;

/// What a file is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum WriteSubject {
    /// The session.
    Session,
    /// A torrent.
    Torrent(InfoHash),
}

/// Something that is to be done.
#[derive(Clone, Debug)]
pub(super) enum PendingWrite {
    /// A file gets these contents; with `keep` what it was stays beside it.
    Write {
        path: PathBuf,
        data: Bytes,
        keep: bool,
    },
    /// A file goes.
    Remove { path: PathBuf },
    /// All files of a torrent go.
    Forget { info_hash: InfoHash },
}

impl PendingWrite {
    /// Whether to make an attempt although the last one has just failed:
    /// a caller waits for the outcome.
    pub(super) fn is_urgent(&self) -> bool {
        match self {
            Self::Write { keep, .. } => !keep,
            Self::Remove { .. } | Self::Forget { .. } => true,
        }
    }

    fn path(&self) -> Option<&PathBuf> {
        match self {
            Self::Write { path, .. } | Self::Remove { path } => Some(path),
            Self::Forget { .. } => None,
        }
    }
}

/// What is undone of one subject.
#[derive(Debug)]
struct PendingSubject {
    backoff: Backoff,
    /// The first one failed.
    tasks: Vec<PendingWrite>,
    /// What it failed with.
    error: (io::ErrorKind, String),
}

fn copy(error: &io::Error) -> (io::ErrorKind, String) {
    (error.kind(), error.to_string())
}

/// All that is undone.
#[derive(Debug, Default)]
pub(super) struct PendingWrites(BTreeMap<WriteSubject, PendingSubject>);

impl PendingWrites {
    pub(super) fn is_waiting(&self, subject: WriteSubject) -> bool {
        self.0.contains_key(&subject)
    }

    /// The first thing of a subject has failed.
    pub(super) fn add(
        &mut self,
        now: Instant,
        subject: WriteSubject,
        task: PendingWrite,
        error: &io::Error,
    ) {
        let mut backoff = Backoff::of_disk();
        backoff.failed(now);
        let waiting = PendingSubject {
            backoff,
            tasks: vec![task],
            error: copy(error),
        };
        self.0.insert(subject, waiting);
    }

    /// One more thing of a subject that waits. What it makes void is dropped.
    pub(super) fn push(&mut self, subject: WriteSubject, task: PendingWrite) {
        let Some(waiting) = self.0.get_mut(&subject) else {
            return;
        };
        let Some(path) = task.path() else {
            waiting.tasks = vec![task];
            return;
        };
        let mut tasks = waiting.tasks.iter_mut();
        match tasks.find(|known| known.path() == Some(path)) {
            Some(known) => *known = task,
            None => waiting.tasks.push(task),
        }
    }

    /// What is to be done next of a subject.
    pub(super) fn next(&self, subject: WriteSubject) -> Option<PendingWrite> {
        self.0.get(&subject)?.tasks.first().cloned()
    }

    /// That is done.
    pub(super) fn done(&mut self, subject: WriteSubject) {
        if let Some(waiting) = self.0.get_mut(&subject)
            && !waiting.tasks.is_empty()
        {
            waiting.tasks.remove(0);
        }
    }

    /// That failed again.
    pub(super) fn failed(&mut self, now: Instant, subject: WriteSubject, error: &io::Error) {
        if let Some(waiting) = self.0.get_mut(&subject) {
            waiting.backoff.failed(now);
            waiting.error = copy(error);
        }
    }

    /// All of a subject is done. What kept it from that may have kept the
    /// others too.
    pub(super) fn over(&mut self, now: Instant, subject: WriteSubject) {
        self.0.remove(&subject);
        for waiting in self.0.values_mut() {
            waiting.backoff.hasten(now);
        }
    }

    /// Why a subject waits.
    pub(super) fn error(&self, subject: WriteSubject) -> io::Error {
        match self.0.get(&subject) {
            Some(PendingSubject { error, .. }) => io::Error::new(error.0, error.1.clone()),
            None => io::ErrorKind::Other.into(),
        }
    }

    pub(super) fn subjects(&self) -> Vec<WriteSubject> {
        self.0.keys().copied().collect()
    }

    /// The subjects that are due.
    pub(super) fn due(&self, now: Instant) -> Vec<WriteSubject> {
        let is_due =
            |waiting: &PendingSubject| waiting.backoff.poll_timeout().is_none_or(|it| it <= now);
        let due = self.0.iter().filter(|(_, waiting)| is_due(waiting));
        due.map(|(&subject, _)| subject).collect()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let waiting = self.0.values();
        waiting.filter_map(|it| it.backoff.poll_timeout()).min()
    }
}
