//! The looks at the folder of the files: one at a time, and after one that did
//! not find it another, with pauses that grow.

use std::time::Instant;

use crate::backoff::Backoff;

/// What is known of the folder.
#[derive(Debug)]
pub(super) struct FolderWatch {
    looking: bool,
    /// A look was not possible for a shortage.
    pub(super) is_short: bool,
    /// It has been seen since the torrent began.
    pub(super) seen: bool,
    /// The game has asked for a check although the folder may be empty.
    pub(super) may_be_empty: bool,
    backoff: Backoff,
}

impl FolderWatch {
    pub(super) fn new() -> Self {
        Self {
            looking: false,
            is_short: false,
            seen: false,
            may_be_empty: false,
            backoff: Backoff::of_disk(),
        }
    }

    pub(super) fn is_looking(&self) -> bool {
        self.looking
    }

    /// The last look did not find it.
    pub(super) fn is_missing(&self) -> bool {
        self.backoff.is_failing()
    }

    /// Whether a look begins; false if one is under way.
    pub(super) fn begin_look(&mut self) -> bool {
        self.is_short = false;
        !std::mem::replace(&mut self.looking, true)
    }

    /// The look is over.
    pub(super) fn looked(&mut self) {
        self.looking = false;
        self.is_short = false;
    }

    pub(super) fn failed(&mut self, now: Instant) {
        self.backoff.failed(now);
    }

    /// Whether it was missing before.
    pub(super) fn succeeded(&mut self) -> bool {
        self.backoff.succeeded()
    }

    pub(super) fn attempt(&mut self) {
        self.backoff.attempt();
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.backoff.poll_timeout().filter(|_| !self.looking)
    }
}
