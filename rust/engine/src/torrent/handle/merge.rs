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
            ($($field:ident),*) => {$(
                if self.$field == given.$field {
                    self.$field = remembered.$field;
                }
            )*};
        }
        unless_changed!(
            paused,
            graceful,
            auto_managed,
            sequential,
            sequential_range,
            max_connections,
            max_uploads,
            apply_ip_filter,
            discovery,
            download_limit,
            upload_limit,
            modes,
            piece_priorities,
            file_priorities,
            trackers,
            storage_mode,
            fail_limits
        );
        // Where its files are is not an option.
        self.renamed_files = remembered.renamed_files;
        self.part_file_dir = remembered.part_file_dir;
    }
}
