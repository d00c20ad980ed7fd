//! The queue of commands between handles and the task that carries them out.
//!
//! Two sorts of commands go through it, in the order in which they were given.
//! A *message* (read this piece, connect to that peer) takes a place, and is
//! refused when there is none: the caller reserves the place before it changes
//! anything. A *state* (paused, these priorities, removed) is never refused:
//! what is wanted is written down where the task finds it, and the queue holds
//! at most one entry that says so ([`Pending`]), however often it changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use tokio::sync::mpsc;

/// A new queue.
pub(crate) fn queue<T>() -> (Sender<T>, Receiver<T>) {
    let (queue, inbox) = mpsc::unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let sender = Sender {
        queue,
        waiting: Arc::clone(&waiting),
    };
    (sender, Receiver { inbox, waiting })
}

/// Where commands are given.
#[derive(Debug)]
pub(crate) struct Sender<T> {
    queue: mpsc::UnboundedSender<Queued<T>>,
    /// Messages that wait.
    waiting: Arc<AtomicUsize>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
            waiting: Arc::clone(&self.waiting),
        }
    }
}

#[derive(Debug)]
struct Queued<T> {
    command: T,
    /// It is a message, which takes a place.
    counted: bool,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueError {
    /// So many messages wait.
    Full,
    /// The task has ended.
    Closed,
}

/// A place in the queue; dropped, it is free again.
#[derive(Debug)]
pub(crate) struct CommandPermit<'a, T> {
    sender: &'a Sender<T>,
    taken: bool,
}

impl<T> CommandPermit<'_, T> {
    /// Gives the message.
    pub(crate) fn send(mut self, command: T) {
        self.taken = true;
        let counted = true;
        // A task that ends at this moment answers no further command.
        let _ = self.sender.queue.send(Queued { command, counted });
    }
}

impl<T> Drop for CommandPermit<'_, T> {
    fn drop(&mut self) {
        if !self.taken {
            self.sender.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl<T> Sender<T> {
    /// A place for a message, if fewer than `limit` wait.
    pub(crate) fn reserve(&self, limit: usize) -> Result<CommandPermit<'_, T>, QueueError> {
        if self.queue.is_closed() {
            return Err(QueueError::Closed);
        }
        let more = |waiting| (waiting < limit).then_some(waiting + 1);
        let order = Ordering::Relaxed;
        match self.waiting.fetch_update(order, order, more) {
            Ok(_) => Ok(CommandPermit {
                sender: self,
                taken: false,
            }),
            Err(_) => Err(QueueError::Full),
        }
    }

    /// Gives a message, unless `limit` wait.
    pub(crate) fn try_send(&self, command: T, limit: usize) -> Result<(), QueueError> {
        self.reserve(limit).map(|place| place.send(command))
    }

    /// Gives a command that is never refused: one that can wait only once, or
    /// whose number is bounded elsewhere. False when the task has ended.
    pub(crate) fn send(&self, command: T) -> bool {
        let counted = false;
        self.queue.send(Queued { command, counted }).is_ok()
    }
}

/// Where the task takes commands.
#[derive(Debug)]
pub(crate) struct Receiver<T> {
    inbox: mpsc::UnboundedReceiver<Queued<T>>,
    waiting: Arc<AtomicUsize>,
}

impl<T> Receiver<T> {
    /// The next command; `None` when all senders are gone.
    pub(crate) async fn recv(&mut self) -> Option<T> {
        let queued = self.inbox.recv().await;
        queued.map(|it| self.taken(it))
    }

    /// The next command, if one waits.
    pub(crate) fn try_recv(&mut self) -> Option<T> {
        let queued = self.inbox.try_recv().ok();
        queued.map(|it| self.taken(it))
    }

    /// Takes no more commands; those that wait can still be taken.
    pub(crate) fn close(&mut self) {
        self.inbox.close();
    }

    fn taken(&self, queued: Queued<T>) -> T {
        if queued.counted {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        queued.command
    }
}

/// The states whose change the task was notified of and has not looked at
/// yet, as bits.
#[derive(Debug, Default)]
pub(crate) struct Pending(AtomicU32);

impl Pending {
    /// The state has changed. Whether the task has to be notified.
    pub(crate) fn changed(&self, state: u32) -> bool {
        self.0.fetch_or(state, Ordering::AcqRel) & state == 0
    }

    /// Whether the task has not looked at the state since it changed.
    pub(crate) fn has(&self, state: u32) -> bool {
        self.0.load(Ordering::Acquire) & state != 0
    }

    /// The task is going to look at the state: a change from now on asks for
    /// another look.
    pub(crate) fn looking(&self, state: u32) {
        self.0.fetch_and(!state, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_bounded_and_states_are_not() {
        let (sender, mut receiver) = queue();
        for number in 0..3 {
            assert_eq!(sender.try_send(number, 3), Ok(()));
        }
        assert_eq!(sender.try_send(9, 3), Err(QueueError::Full));
        assert!(sender.send(3));
        assert_eq!(sender.try_send(4, 4), Ok(()), "more important ones");
        let place = sender.reserve(5).unwrap();
        assert!(sender.reserve(5).is_err());
        drop(place);
        assert!(sender.reserve(5).is_ok());
        let order: Vec<i32> = std::iter::from_fn(|| receiver.try_recv()).collect();
        assert_eq!(order, [0, 1, 2, 3, 4]);
        assert_eq!(sender.waiting.load(Ordering::Relaxed), 0);
        drop(receiver);
        assert!(!sender.send(5));
        assert_eq!(sender.try_send(6, 9), Err(QueueError::Closed));
    }

    #[test]
    fn a_state_is_told_of_once_until_it_is_looked_at() {
        let pending = Pending::default();
        assert!(pending.changed(1) && pending.changed(4));
        assert!(!pending.changed(1) && !pending.changed(4));
        pending.looking(1);
        assert!(pending.changed(1) && !pending.changed(4));
    }
}
