//! The queue as a handle offers it: pause and resume, whether the queue decides,
//! and the place in it.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;
use torrent_core::queue::{Move, Observation, Phase, Queue, QueueVerdict};

use super::{PendingState, PlainOptions, TorrentHandle};
use crate::context::queue::{SessionQueue, VerdictSender};
use crate::error::Result;
use crate::event::command_sequence::CommandTopic;

/// The queue of the torrent's session, and what it has decided for the torrent.
#[derive(Debug)]
pub(crate) struct QueueMembership {
    queue: Arc<SessionQueue>,
    verdict: VerdictSender,
}

impl QueueMembership {
    /// In this queue, once [`TorrentHandle::join_queue`] is called.
    pub(crate) fn new(queue: Arc<SessionQueue>) -> Self {
        Self {
            queue,
            verdict: VerdictSender::default(),
        }
    }

    /// What the queue decided last.
    pub(crate) fn verdict(&self) -> QueueVerdict {
        *self.verdict.borrow()
    }

    /// To await other verdicts.
    pub(crate) fn subscribe(&self) -> watch::Receiver<QueueVerdict> {
        self.verdict.subscribe()
    }
}

impl TorrentHandle {
    fn with_queue<T>(&self, act: impl FnOnce(&mut Queue, Instant) -> T) -> Option<T> {
        self.shared.queue.queue.with(self.key(), act)
    }

    fn ask_queue<T>(&self, ask: impl FnOnce(&Queue) -> T) -> Option<T> {
        self.shared.queue.queue.ask(self.key(), ask)
    }

    /// Takes the last place in the queue.
    pub(crate) fn join_queue(&self) {
        let seen = {
            let options = self.plain_options();
            Observation {
                auto_managed: options.auto_managed,
                paused: options.paused,
                phase: match self.metainfo() {
                    Some(_) => Phase::Checking,
                    None => Phase::Downloading,
                },
                ..Observation::default()
            }
        };
        let membership = &self.shared.queue;
        membership
            .queue
            .join(self.key(), self.info_hash(), &membership.verdict, seen);
    }

    pub(crate) fn leave_queue(&self) {
        self.shared.queue.queue.leave(self.key());
    }

    /// Reports to the queue how the torrent is now.
    pub(crate) fn observed(&self, seen: Observation) {
        self.shared.queue.queue.observe(self.key(), seen);
    }

    /// Lets the torrent run until the queue is looked at the next time.
    pub(crate) fn wake(&self) {
        let torrent = self.key();
        self.with_queue(|queue, _| queue.wake(torrent));
    }

    /// Stops all traffic of this torrent until [`Self::resume`], and takes it
    /// out of the queue's hands.
    pub fn pause(&self) -> Result<()> {
        self.change(|options| {
            options.paused = true;
            options.graceful = false;
            options.auto_managed = false;
        })
    }

    /// As [`Self::pause`], but takes in what peers have been asked for: they
    /// are asked for nothing more, none of them may download, and each is
    /// left when its last block is here. The `torrent_paused` event comes
    /// after that.
    pub fn pause_gracefully(&self) -> Result<()> {
        self.change(|options| {
            options.paused = true;
            options.graceful = true;
            options.auto_managed = false;
        })
    }

    /// Goes on after [`Self::pause`]. One that the queue manages runs until the
    /// queue is looked at the next time, and on if it is its turn.
    pub fn resume(&self) -> Result<()> {
        if self.is_auto_managed() {
            self.check_valid()?;
            self.wake();
            {
                let _options = self.shared.options.lock();
                self.shared.asked.ask(CommandTopic::Options);
                self.shared.asked.ask(CommandTopic::Pause);
                self.shared.asked.ask(CommandTopic::Resume);
            }
            self.look(PendingState::Options);
            return Ok(());
        }
        self.change(|options| {
            options.paused = false;
            options.graceful = false;
        })
    }

    /// Whether it was paused by the game, or waits for its turn.
    pub fn is_paused(&self) -> bool {
        self.waits(self.plain_options())
    }

    /// Whether these options and the queue keep it from running.
    pub(crate) fn waits(&self, options: PlainOptions) -> bool {
        if options.auto_managed {
            !self.shared.queue.verdict().run
        } else {
            options.paused
        }
    }

    /// Lets the queue decide when it runs, or leaves it as it is now.
    pub fn set_auto_managed(&self, auto_managed: bool) -> Result<()> {
        self.check_valid()?;
        if self.is_auto_managed() == auto_managed {
            return Ok(());
        }
        let paused = self.is_paused();
        if auto_managed {
            let torrent = self.key();
            self.with_queue(|queue, now| {
                if let Some(seen) = queue.seen(torrent) {
                    let seen = Observation {
                        auto_managed,
                        paused,
                        ..seen
                    };
                    queue.observe(now, torrent, seen);
                }
            });
        }
        self.change(|options| {
            options.auto_managed = auto_managed;
            options.paused = paused;
            options.graceful = false;
        })
    }

    /// Whether the queue decides when it runs.
    pub fn is_auto_managed(&self) -> bool {
        self.plain_options().auto_managed
    }

    /// Its place in the queue, from 0; -1 for one that is finished, which has
    /// none.
    pub fn queue_position(&self) -> i64 {
        let torrent = self.key();
        let place = self.ask_queue(|queue| queue.position(torrent));
        place.flatten().map_or(-1, |place| place as i64)
    }

    /// How much it is needed as a seed; 0 until it is finished.
    pub(crate) fn seed_rank(&self) -> u32 {
        let (torrent, now) = (self.key(), Instant::now());
        let rank = self.ask_queue(|queue| queue.seed_rank(now, torrent));
        rank.unwrap_or_default()
    }

    /// Moves it in the queue, where one that is finished has no place.
    pub fn move_in_queue(&self, to: Move) -> Result<()> {
        self.check_valid()?;
        let torrent = self.key();
        self.with_queue(|queue, now| queue.shift(now, torrent, to));
        self.shared.asked.ask(CommandTopic::Options);
        self.look(PendingState::Options);
        Ok(())
    }
}
