//! What goes in and out of the state of checks.

use crate::bitfield::Bitfield;

/// Which pieces a check looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckMode {
    /// All of them; nothing that was known counts.
    All,
    /// These; the others stay what they are.
    Only(Bitfield),
}

impl CheckMode {
    /// What both look at.
    pub fn merge(self, other: Self) -> Self {
        match (self, other) {
            (Self::Only(mut pieces), Self::Only(more)) => {
                for piece in more.iter() {
                    pieces.set(piece);
                }
                Self::Only(pieces)
            }
            _ => Self::All,
        }
    }
}

/// What decides whether a check may begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// The queue lets the torrent check its files.
    pub may_check: bool,
    /// The system is short of file descriptors or memory.
    pub is_short: bool,
    /// Storage is in error. A check that was requested begins all the same; one
    /// that is pending waits.
    pub has_failed: bool,
}

/// What a start has found out without a check, or has left to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Started {
    /// These pieces are there; `None` for those that the disk has verified.
    Found(Option<Bitfield>),
    /// It takes a check.
    Check(CheckMode),
}

/// What the driver is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckOutput {
    /// Find out what there is: by what a record claims, or else by a check. The
    /// driver reports how far it has come ([`CheckState::start_is_busy`](super::CheckState::start_is_busy),
    /// [`CheckState::look_to_start`](super::CheckState::look_to_start)) and its end ([`CheckState::started`](super::CheckState::started)).
    Start,
    /// The torrent forgets what it has: traffic ends until something is found.
    Enter,
    /// Look at the folder of the files, and report what is there. Where no look
    /// is needed it is reported as found at once.
    Look(Look),
    /// Begin to hash, and report progress and the end.
    Begin(CheckMode),
    /// End the check that runs, and report whether that came in time
    /// ([`CheckState::cancelled`](super::CheckState::cancelled)).
    Cancel,
    /// These pieces are there; `None` for those that the disk has verified.
    Accept(Option<Bitfield>),
    /// Pause the torrent: more may be on disk than is known.
    Pause,
    /// Another answer of [`CheckState::has_pending`](super::CheckState::has_pending): blocks may be requested, or not.
    Hold,
    /// An error from before counts no longer.
    ClearError,
    /// Put files where their priorities say: the folder is back.
    SortFiles,
}

/// A look at the folder of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// What goes on once the folder is there.
    pub purpose: LookPurpose,
    /// An empty folder counts as there, though it may be what is left where a
    /// disk is not mounted: the game asks for a check.
    pub may_be_empty: bool,
}

/// What goes on once the folder is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookPurpose {
    /// The record is judged, or everything is checked.
    Start,
    /// A check begins, or one that found less than there was counts.
    Check,
    /// Everything is checked: the folder was gone while it was in use.
    Return,
}
