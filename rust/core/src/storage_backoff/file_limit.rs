//! How many files may be open at once: as many as the setting says, and fewer
//! for a while after the process had no file descriptor left.

use std::time::{Duration, Instant};

/// How long fewer files are open; then twice as many may be, until it is as many
/// as the setting says.
const EASE: Duration = Duration::from_secs(60);

/// The limit of a pool of open files.
#[derive(Clone, Copy, Debug)]
pub struct FileLimit {
    limit: usize,
    /// Fewer than that, and since when so few.
    fewer: Option<(usize, Instant)>,
}

impl FileLimit {
    /// Up to `limit` files, at least one.
    pub fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            fewer: None,
        }
    }

    /// How many may be open at `now`.
    pub fn at(&mut self, now: Instant) -> usize {
        if let Some((fewer, since)) = self.fewer
            && now.saturating_duration_since(since) >= EASE
        {
            let more = fewer.saturating_mul(2);
            self.fewer = (more < self.limit).then_some((more, now));
        }
        self.fewer
            .map_or(self.limit, |(fewer, _)| fewer.min(self.limit))
    }

    /// The process has no descriptor left, and `open` files were given up: half
    /// as many are opened again for a while. Giving up none says nothing more.
    pub fn shortage(&mut self, now: Instant, open: usize) {
        if open > 0 {
            let half = (open / 2).max(1);
            let before = self.fewer.map_or(self.limit, |(fewer, _)| fewer);
            self.fewer = Some((half.min(before), now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    #[test]
    fn fewer_files_are_open_for_a_while_after_a_shortage() {
        let mut limit = FileLimit::new(40);
        assert_eq!(limit.at(at(0)), 40);
        limit.shortage(at(0), 40);
        limit.shortage(at(0), 0);
        assert_eq!(limit.at(at(0)), 20);
        limit.shortage(at(1000), 20);
        assert_eq!(limit.at(at(1000)), 10);
        assert_eq!(limit.at(at(60_999)), 10);
        for (minute, files) in [(61_000, 20), (120_999, 20), (121_000, 40), (999_000, 40)] {
            assert_eq!(limit.at(at(minute)), files, "{minute}");
        }
        assert_eq!(FileLimit::new(0).at(at(0)), 1);
        limit.shortage(at(999_000), 1);
        assert_eq!(limit.at(at(999_000)), 1);
    }
}
