//! What a torrent does about errors of its storage, and for how long.
//!
//! A *shortage* (of file descriptors, of memory) says nothing of the files: the
//! torrent requests no blocks for a moment and goes on by itself, after a wait
//! that doubles while shortages come back at once. Any other error stops the
//! download until storage is tried again: after the time that the settings name
//! (`optimistic_disk_retry`), or when the game says that the cause is gone.
//!
//! The driver reports errors, carries out [`StorageOutput`] and says when what
//! has failed counts no longer ([`StorageBackoff::cleared`]). [`FileLimit`] is
//! what the pool of open files does about a shortage.

mod file_limit;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub use file_limit::FileLimit;

/// The first wait for a shortage to pass.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest one.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What the driver is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageOutput {
    /// Another answer of [`StorageBackoff::is_held`]: blocks may be requested, or
    /// not.
    Hold,
    /// The shortage may have passed: what waited for that is done.
    ShortageOver,
    /// Storage is to be tried again, as if the game had cleared the error.
    Retry,
}

/// Whether storage is in error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Healthy,
    Failed {
        /// When it is tried again, if by time at all.
        retry: Option<Instant>,
        /// When the game has asked for an attempt, of which nothing is known yet.
        wanted: Option<Instant>,
    },
    /// An error is over; what happened before says nothing any more.
    Cleared(Instant),
}

/// The state of one torrent's storage.
#[derive(Debug)]
pub struct StorageBackoff {
    failure: Failure,
    /// When the shortage that is waited out is over.
    short_until: Option<Instant>,
    /// The last wait, and when it was over.
    last_wait: Option<(Duration, Instant)>,
    outputs: VecDeque<StorageOutput>,
}

impl Default for StorageBackoff {
    fn default() -> Self {
        Self::new()
    }
}

impl StorageBackoff {
    /// Of storage that works.
    pub fn new() -> Self {
        Self {
            failure: Failure::Healthy,
            short_until: None,
            last_wait: None,
            outputs: VecDeque::new(),
        }
    }

    /// Whether blocks could not be stored now.
    pub fn is_held(&self) -> bool {
        self.has_failed() || self.is_short()
    }

    /// Whether storage is in error.
    pub fn has_failed(&self) -> bool {
        matches!(self.failure, Failure::Failed { .. })
    }

    /// Whether a shortage is waited out.
    pub fn is_short(&self) -> bool {
        self.short_until.is_some()
    }

    /// A shortage at `now`. False if one is waited out already.
    pub fn shortage(&mut self, now: Instant) -> bool {
        if self.is_short() {
            return false;
        }
        let wait = match self.last_wait {
            // The torrent worked for no longer than it had waited.
            Some((wait, over)) if now < over + wait => (2 * wait).min(LONGEST_WAIT),
            _ => FIRST_WAIT,
        };
        self.short_until = Some(now + wait);
        self.last_wait = Some((wait, now + wait));
        self.outputs.push_back(StorageOutput::Hold);
        true
    }

    /// An error that `happened` at some moment until `now`, after which storage
    /// is tried again in `retry`, if by itself at all. False if it is no news:
    /// storage is in error already and the game has asked for no attempt since,
    /// or this one is older than that or than the end of the last.
    pub fn failed(&mut self, now: Instant, happened: Instant, retry: Option<Duration>) -> bool {
        let is_news = match self.failure {
            Failure::Healthy => true,
            Failure::Failed { wanted, .. } => wanted.is_some_and(|at| happened >= at),
            Failure::Cleared(at) => happened >= at,
        };
        if is_news {
            // A wait beyond all clocks is none.
            let retry = retry.and_then(|wait| now.checked_add(wait));
            let wanted = None;
            self.failure = Failure::Failed { retry, wanted };
            self.outputs.push_back(StorageOutput::Hold);
        }
        is_news
    }

    /// The game wants an attempt at `now`, and the error lasts until that is over:
    /// when nothing is better then, that is news.
    pub fn attempt_wanted(&mut self, now: Instant) {
        if let Failure::Failed { wanted, .. } = &mut self.failure {
            *wanted = Some(now);
        }
    }

    /// The error counts no longer. Whether there was one.
    pub fn cleared(&mut self, now: Instant) -> bool {
        let had_one = self.has_failed();
        if had_one {
            self.failure = Failure::Cleared(now);
            self.outputs.push_back(StorageOutput::Hold);
        }
        had_one
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<StorageOutput> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let retry = match self.failure {
            Failure::Failed { retry, .. } => retry,
            _ => None,
        };
        retry.into_iter().chain(self.short_until).min()
    }

    /// Ends waits that are over.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.short_until.is_some_and(|until| until <= now) {
            self.short_until = None;
            self.outputs.push_back(StorageOutput::Hold);
            self.outputs.push_back(StorageOutput::ShortageOver);
        }
        if let Failure::Failed { retry, .. } = &mut self.failure
            && retry.is_some_and(|at| at <= now)
        {
            // Once: an attempt that fails is another error.
            *retry = None;
            self.outputs.push_back(StorageOutput::Retry);
        }
    }
}

#[cfg(test)]
mod tests;
