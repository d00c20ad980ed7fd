//! What a storage reports to its torrent, and the queue that never makes a
//! worker wait.

use std::collections::VecDeque;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use torrent_core::ban::ReceivedBlock;
use torrent_core::bitfield::Bitfield;
use torrent_core::ids::PieceIndex;

use super::check::CheckId;
use super::error::DiskError;

/// Something that happened to a torrent's storage.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DiskEvent {
    /// These pieces match their hashes and the system has accepted their
    /// bytes: they may be announced, and reads will see them.
    Verified(Vec<PieceIndex>),
    /// A complete piece does not match its hash. Its blocks are dropped.
    PieceFailed {
        /// The piece, now empty.
        piece: PieceIndex,
        /// The blocks that it was made of, in order. Padding is none: what waits to
        /// be reported must stay in proportion to what was received.
        blocks: Vec<ReceivedBlock>,
    },
    /// A piece that had failed is right now; [`Self::Verified`] follows.
    Audited {
        /// The piece.
        piece: PieceIndex,
        /// The digests of its blocks as in [`Self::PieceFailed`], in order, where they
        /// are known.
        digests: Vec<(u32, u64)>,
    },
    /// Blocks came that were there already.
    Redundant {
        /// Their bytes, payload only.
        bytes: u64,
    },
    /// The blocks of a piece could not be written, or those of an unfinished
    /// piece not read back. The piece is dropped and has to come again; the
    /// storage goes on.
    WriteFailed {
        /// The piece, now empty.
        piece: PieceIndex,
        /// What went wrong.
        error: DiskError,
    },
    /// A piece could not be read: its bytes are gone, or the device fails.
    /// Bytes that are gone make it a piece that has to come again.
    ReadFailed {
        /// The piece.
        piece: PieceIndex,
        /// What went wrong.
        error: DiskError,
    },
    /// A check found a file that is longer than it should be. It is left so.
    Oversized,
    /// A piece that was taken on trust is wrong, or not there. None
    /// of its bytes was sent. The resume data is wrong: everything has to be checked.
    TrustBroken {
        /// The piece.
        piece: PieceIndex,
        /// What is wrong with it.
        error: DiskError,
    },
    /// How far a check is. At most ten a second.
    CheckProgress {
        /// The check.
        check: CheckId,
        /// Pieces looked at.
        done: u32,
        /// Pieces to look at.
        total: u32,
    },
    /// A check has ended.
    Checked {
        /// The check.
        check: CheckId,
        /// Every verified piece, those that the check left out included.
        have: Bitfield,
    },
    /// A check was given up because the files could not be read. The verified
    /// pieces are those from before.
    CheckFailed {
        /// The check.
        check: CheckId,
        /// What went wrong.
        error: DiskError,
    },
    /// A bug: the worker has dropped the torrent's unfinished pieces and
    /// checks, and goes on.
    Internal {
        /// What the panic or broken rule was.
        message: String,
    },
}

/// The events of one storage in one worker that its torrent has not yet
/// received. When the torrent's channel is full they wait here and merge, so
/// a worker never blocks on a torrent that waits for that worker. What it
/// holds is bounded by the pieces that came in: nothing comes in for a
/// torrent that does not ask for more.
#[derive(Default)]
pub(super) struct DiskEventQueue {
    events: VecDeque<DiskEvent>,
}

impl DiskEventQueue {
    pub(super) fn push(&mut self, event: DiskEvent) {
        match (event, self.events.back_mut()) {
            // The order of verified and failed is kept: a piece may fail and
            // then come again.
            (DiskEvent::Verified(new), Some(DiskEvent::Verified(pieces))) => pieces.extend(new),
            (DiskEvent::Redundant { bytes }, _) => self.add_redundant(bytes),
            (
                DiskEvent::CheckProgress { check, done, .. },
                Some(DiskEvent::CheckProgress {
                    check: last_check,
                    done: last_done,
                    ..
                }),
            ) if check == *last_check => *last_done = done.max(*last_done),
            (event, _) => self.events.push_back(event),
        }
    }

    fn add_redundant(&mut self, new: u64) {
        for event in &mut self.events {
            if let DiskEvent::Redundant { bytes } = event {
                *bytes = bytes.saturating_add(new);
                return;
            }
        }
        self.events.push_back(DiskEvent::Redundant { bytes: new });
    }

    /// Sends what the channel takes. Returns whether nothing is left.
    pub(super) fn post(&mut self, channel: &mpsc::Sender<DiskEvent>) -> bool {
        while let Some(event) = self.events.pop_front() {
            match channel.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => {
                    self.events.push_front(event);
                    return false;
                }
                // The torrent is gone, and there is no other receiver.
                Err(TrySendError::Closed(_)) => self.events.clear(),
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verified(piece: u32) -> DiskEvent {
        DiskEvent::Verified(vec![PieceIndex(piece)])
    }

    #[test]
    fn events_merge_while_the_channel_is_full_and_keep_their_order() {
        let (sender, mut receiver) = mpsc::channel(1);
        let mut event_queue = DiskEventQueue::default();
        event_queue.push(verified(1));
        assert!(event_queue.post(&sender));
        event_queue.push(verified(2));
        event_queue.push(DiskEvent::Redundant { bytes: 5 });
        event_queue.push(DiskEvent::PieceFailed {
            piece: PieceIndex(3),
            blocks: Vec::new(),
        });
        assert!(!event_queue.post(&sender));
        event_queue.push(verified(3));
        event_queue.push(verified(4));
        event_queue.push(DiskEvent::Redundant { bytes: 5 });
        let mut seen = Vec::new();
        loop {
            seen.push(receiver.try_recv().unwrap());
            if event_queue.post(&sender) && receiver.is_empty() {
                break;
            }
        }
        assert_eq!(
            seen,
            [
                verified(1),
                verified(2),
                DiskEvent::Redundant { bytes: 10 },
                DiskEvent::PieceFailed {
                    piece: PieceIndex(3),
                    blocks: Vec::new(),
                },
                DiskEvent::Verified(vec![PieceIndex(3), PieceIndex(4)]),
            ]
        );
    }

    #[test]
    fn a_torrent_that_is_gone_costs_nothing() {
        let (sender, receiver) = mpsc::channel(1);
        drop(receiver);
        let mut event_queue = DiskEventQueue::default();
        event_queue.push(verified(1));
        assert!(event_queue.post(&sender));
    }
}
