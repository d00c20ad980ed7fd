//! When the torrent is informed of how much of a block has come.
//!
//! Owned by [`Connection`](super::Connection). A block that comes in one read
//! is reported when it is complete. One that comes in many small reads is reported
//! now and then, so that a slow peer's block can be watched and a fast one
//! costs nothing.

use std::time::{Duration, Instant};

/// Least time between two reports of a block that is under way.
const PERIOD: Duration = Duration::from_millis(100);

/// Whether there is progress to report.
#[derive(Debug, Default)]
pub(super) struct BlockProgress {
    last: Option<Instant>,
    /// More has come since.
    due: Option<Instant>,
}

impl BlockProgress {
    /// Another part of a block has come. Whether to report it at once.
    pub(super) fn came(&mut self, now: Instant) -> bool {
        let due = self.last.map_or(now, |last| last + PERIOD);
        self.due = Some(due);
        self.is_due(now)
    }

    /// When to report what has come; `None` when everything is reported.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether it is time to report. If so, it counts as reported.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.due.is_some_and(|due| due <= now);
        if is_due {
            self.last = Some(now);
            self.due = None;
        }
        is_due
    }

    /// It was reported along with something else.
    pub(super) fn reported(&mut self) {
        self.due = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    #[test]
    fn the_first_part_is_told_at_once_and_others_in_good_time() {
        let mut partial = BlockProgress::default();
        assert_eq!(partial.due(), None);
        assert!(partial.came(at(0)));
        assert!(!partial.came(at(10)));
        assert!(!partial.came(at(60)));
        assert_eq!(partial.due(), Some(at(100)));
        assert!(!partial.is_due(at(99)));
        assert!(partial.is_due(at(100)));
        assert_eq!(partial.due(), None);
        assert!(!partial.came(at(150)));
        partial.reported();
        assert!(!partial.is_due(at(500)));
        assert!(partial.came(at(600)));
    }
}
