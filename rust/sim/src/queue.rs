//! What is to happen and when: a priority queue that is also the clock.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Duration;

/// Things to come, by time; of two at the same time the one that was put in
/// first comes first.
pub(crate) struct EventQueue<T> {
    now: Duration,
    next_serial: u64,
    heap: BinaryHeap<Reverse<ScheduledEntry<T>>>,
}

struct ScheduledEntry<T> {
    due: Duration,
    serial: u64,
    what: T,
}

impl<T> EventQueue<T> {
    pub(crate) fn new() -> Self {
        Self {
            now: Duration::ZERO,
            next_serial: 0,
            heap: BinaryHeap::new(),
        }
    }

    /// Time since the beginning.
    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    /// Puts something in; what is due in the past happens now.
    pub(crate) fn push(&mut self, due: Duration, what: T) {
        let serial = self.next_serial;
        self.next_serial += 1;
        self.heap.push(Reverse(ScheduledEntry {
            due: due.max(self.now),
            serial,
            what,
        }));
    }

    /// Moves the clock to the next thing not later than `limit`, and takes it
    /// out; with none, moves the clock to `limit`.
    pub(crate) fn pop(&mut self, limit: Duration) -> Option<T> {
        if self.heap.peek().is_none_or(|Reverse(it)| it.due > limit) {
            self.now = self.now.max(limit);
            return None;
        }
        let Reverse(entry) = self.heap.pop()?;
        self.now = entry.due;
        Some(entry.what)
    }
}

impl<T> Ord for ScheduledEntry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.due, self.serial).cmp(&(other.due, other.serial))
    }
}

impl<T> PartialOrd for ScheduledEntry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for ScheduledEntry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for ScheduledEntry<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_come_by_time_and_then_in_order() {
        let ms = Duration::from_millis;
        let mut queue = EventQueue::new();
        for (due, what) in [(5, 'c'), (1, 'a'), (5, 'd'), (2, 'b')] {
            queue.push(ms(due), what);
        }
        let early: String = std::iter::from_fn(|| queue.pop(ms(4))).collect();
        assert_eq!((early.as_str(), queue.now()), ("ab", ms(4)));
        queue.push(ms(1), 'x');
        let late: String = std::iter::from_fn(|| queue.pop(ms(9))).collect();
        assert_eq!((late.as_str(), queue.now()), ("xcd", ms(9)));
    }
}
