//! A part of a snapshot that is made for the one who reads it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// A value that its first reader makes, and that all readers of one snapshot
/// share. Where a snapshot was read its successor is made by the torrent's
/// task: a game that looks again and again spends no time of its main thread on
/// it, and one that does not look costs nothing.
#[derive(Debug)]
pub(crate) struct Lazy<T> {
    made: OnceLock<Arc<T>>,
    was_read: AtomicBool,
}

impl<T> Default for Lazy<T> {
    fn default() -> Self {
        Self {
            made: OnceLock::new(),
            was_read: AtomicBool::new(false),
        }
    }
}

impl<T> Lazy<T> {
    /// One that is known already.
    pub(crate) fn ready(value: T) -> Self {
        Self {
            made: Arc::new(value).into(),
            ..Self::default()
        }
    }

    /// Reads it, and makes it if it has not been made.
    pub(crate) fn read(&self, make: impl FnOnce() -> T) -> Arc<T> {
        self.was_read.store(true, Ordering::Relaxed);
        Arc::clone(self.made.get_or_init(|| Arc::new(make())))
    }

    /// Makes it ahead if the one `before` it was read.
    pub(crate) fn prepare(&self, before: &Self, make: impl FnOnce() -> T) {
        if before.was_read.load(Ordering::Relaxed) {
            self.made.get_or_init(|| Arc::new(make()));
        }
    }

    #[cfg(test)]
    pub(crate) fn is_made(&self) -> bool {
        self.made.get().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_ahead_only_where_it_is_read() {
        let [first, second, third] = [const { None }; 3].map(|_: Option<()>| Lazy::default());
        second.prepare(&first, || unreachable!("nobody has read the first"));
        assert_eq!(*second.read(|| 2), 2);
        assert_eq!(*second.read(|| unreachable!("it is there")), 2);
        third.prepare(&second, || 3);
        assert_eq!(*third.read(|| unreachable!("it was made ahead")), 3);
        let fourth = Lazy::default();
        fourth.prepare(&Lazy::ready(3), || unreachable!("made, and not read"));
        assert_eq!(*fourth.read(|| 4), 4);
    }
}
