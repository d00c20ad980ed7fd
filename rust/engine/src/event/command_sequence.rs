//! What callers have asked of a torrent last, and how far its task has come
//! with that: a number for each topic, counted up by handles with every command
//! that is accepted, and followed by the task.
//!
//! A snapshot carries the numbers that the task had seen when it was made. As
//! long as they are behind, a reader is shown what was asked for instead
//! (`torrent::handle::status`). An event that may be taken for the answer to a command
//! carries them too ([`CommandStamp`]): one that is older than the command it seems to
//! answer is not delivered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::event::{Kind, TorrentRef, kind};

/// What commands are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommandTopic {
    /// Any of the options that the status shows.
    Options,
    /// `pause` and `resume`.
    Pause,
    /// `force_recheck`.
    Check,
    /// `move_storage`.
    Move,
    /// The list of trackers.
    Trackers,
    /// `clear_error`.
    Error,
    /// `resume` alone, which ends an error too.
    Resume,
    /// `pause` and `resume` of the session.
    SessionPause,
}

/// The numbers of all topics.
pub(crate) type CommandNumbers = [u64; 8];

/// The commands that end an error, whatever comes of them: an event of an error
/// that is older says nothing any more.
pub(crate) const ENDS_ERROR: &[CommandTopic] = &[
    CommandTopic::Error,
    CommandTopic::Check,
    CommandTopic::Resume,
];

/// What an event of this kind seems to answer. Events of an error do only where
/// [`ENDS_ERROR`] ends it: their poster knows.
fn topics_of(kind: Kind) -> &'static [CommandTopic] {
    match kind {
        kind::TORRENT_CHECKED | kind::TORRENT_FINISHED | kind::STATE_CHANGED => {
            &[CommandTopic::Check]
        }
        kind::TORRENT_PAUSED | kind::TORRENT_RESUMED => {
            &[CommandTopic::Pause, CommandTopic::SessionPause]
        }
        _ => &[],
    }
}

/// What was asked for, and what of it the task has seen.
#[derive(Debug, Default)]
pub(crate) struct CommandSequence {
    asked: [AtomicU64; 8],
    seen: [AtomicU64; 8],
}

impl CommandSequence {
    /// A command is accepted. Called before the task can see it.
    pub(crate) fn ask(&self, topic: CommandTopic) {
        self.asked[topic as usize].fetch_add(1, Ordering::AcqRel);
    }

    /// What was asked for last.
    pub(crate) fn last(&self, topic: CommandTopic) -> u64 {
        self.asked[topic as usize].load(Ordering::Acquire)
    }

    /// The task has come this far. Whether that is further than before.
    pub(crate) fn saw(&self, topic: CommandTopic, number: u64) -> bool {
        self.seen[topic as usize].swap(number, Ordering::AcqRel) != number
    }

    /// The task has seen one command more.
    pub(crate) fn saw_one(&self, topic: CommandTopic) {
        self.seen[topic as usize].fetch_add(1, Ordering::AcqRel);
    }

    /// How far the task has come.
    pub(crate) fn seen(&self) -> CommandNumbers {
        std::array::from_fn(|at| self.seen[at].load(Ordering::Acquire))
    }

    /// Whether what was made when the task had seen `seen` is behind.
    pub(crate) fn is_behind(&self, seen: &CommandNumbers, topic: CommandTopic) -> bool {
        seen[topic as usize] < self.last(topic)
    }
}

/// What the torrent had seen when an event happened.
#[derive(Clone, Debug)]
pub struct CommandStamp {
    asked: Arc<CommandSequence>,
    topics: &'static [CommandTopic],
    seen: CommandNumbers,
}

impl PartialEq for CommandStamp {
    fn eq(&self, other: &Self) -> bool {
        let same = Arc::ptr_eq(&self.asked, &other.asked) && self.topics == other.topics;
        same && self.seen == other.seen
    }
}

impl CommandStamp {
    /// The stamp of an event of this kind, where it may pass for an answer.
    pub(crate) fn of(kind: Kind, torrent: Option<&TorrentRef>) -> Option<Self> {
        let topics = topics_of(kind);
        let torrent = torrent.filter(|_| !topics.is_empty())?;
        Some(Self::about(topics, torrent))
    }

    /// The stamp of an event that a command on any of `topics` makes out of date.
    pub(crate) fn about(topics: &'static [CommandTopic], torrent: &TorrentRef) -> Self {
        let asked = Arc::clone(&torrent.asked);
        let seen = asked.seen();
        Self {
            asked,
            topics,
            seen,
        }
    }

    /// Whether a command that the event would seem to answer came after it.
    pub(crate) fn is_late(&self) -> bool {
        let mut topics = self.topics.iter();
        topics.any(|&topic| self.asked.is_behind(&self.seen, topic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_before_a_command_is_seen_is_behind() {
        let asked = CommandSequence::default();
        let before = asked.seen();
        assert!(!asked.is_behind(&before, CommandTopic::Check));
        asked.ask(CommandTopic::Check);
        assert!(asked.is_behind(&before, CommandTopic::Check));
        assert!(!asked.is_behind(&before, CommandTopic::Pause));
        assert!(asked.saw(CommandTopic::Check, asked.last(CommandTopic::Check)));
        assert!(!asked.saw(CommandTopic::Check, asked.last(CommandTopic::Check)));
        assert!(asked.is_behind(&before, CommandTopic::Check));
        assert!(!asked.is_behind(&asked.seen(), CommandTopic::Check));
    }
}
