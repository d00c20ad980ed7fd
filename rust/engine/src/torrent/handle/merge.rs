//! Options that a torrent was given before its resume data was known.

use std::sync::Arc;

use super::Options;

/// Puts a tracker into a tier, unless it is in one.
pub(super) fn add_tracker(tiers: &mut Vec<Vec<String>>, url: &str, tier: usize) {
    if tiers.iter().flatten().any(|known| known == url) {
        return;
    }
    // A tier far beyond the last one means "after all others".
    let tier = tier.min(tiers.len());
    if tier == tiers.len() {
        tiers.push(Vec::new());
    }
    tiers[tier].push(url.to_owned());
}

/// Whether all trackers of one list are in another.
fn has_all(tiers: &[Vec<String>], of: &[Vec<String>]) -> bool {
    let mut all = of.iter().flatten();
    all.all(|url| tiers.iter().flatten().any(|known| known == url))
}

impl Options {
    /// Becomes what is `remembered`, except for what was changed since these
    /// options were `given`. Trackers that were given or added are added to
    /// those that are remembered, as when the torrent is there already.
    pub(crate) fn take_up(&mut self, given: &Self, remembered: Self) {
        // Otherwise the game has taken some away: it has said which it wants.
        if has_all(&self.trackers, &given.trackers) {
            let own = std::mem::replace(&mut self.trackers, remembered.trackers);
            let trackers = Arc::make_mut(&mut self.trackers);
            for (urls, tier) in own.iter().zip(0..) {
                for url in urls {
                    add_tracker(trackers, url, tier);
                }
            }
        }
        // By magnet link there were no pieces and files yet.
        if self.piece_priorities.len() != remembered.piece_priorities.len() {
            self.piece_priorities = given.piece_priorities.clone();
        }
        if self.file_priorities.len() != remembered.file_priorities.len() {
            self.file_priorities = given.file_priorities.clone();
        }
        macro_rules! unless_changed {
            ($($field:ident $(. $part:ident)?),*) => {$(
                if self.$field$(.$part)? == given.$field$(.$part)? {
                    self.$field$(.$part)? = remembered.$field$(.$part)?;
                }
            )*};
        }
        unless_changed!(
            plain.paused,
            plain.graceful,
            plain.auto_managed,
            plain.sequential,
            plain.sequential_range,
            plain.max_connections,
            plain.max_uploads,
            plain.apply_ip_filter,
            plain.discovery,
            plain.download_limit,
            plain.upload_limit,
            plain.modes,
            piece_priorities,
            file_priorities,
            plain.storage_mode,
            fail_limits
        );
        // Where its files are is not an option, nor that they are files.
        self.plain.storage = remembered.plain.storage;
        self.renamed_files = remembered.renamed_files;
        self.part_file_dir = remembered.part_file_dir;
    }
}
