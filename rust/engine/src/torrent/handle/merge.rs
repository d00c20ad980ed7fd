//! Options that a torrent was given before its resume data was known.

use super::Options;

impl Options {
    /// Becomes what is `remembered`, except for what was changed since these
    /// options were `given`.
    pub(crate) fn take_up(&mut self, given: &Self, remembered: Self) {
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
            trackers,
            plain.storage_mode,
            fail_limits
        );
        // Where its files are is not an option.
        self.renamed_files = remembered.renamed_files;
        self.part_file_dir = remembered.part_file_dir;
    }
}
