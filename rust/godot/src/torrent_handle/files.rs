//! Where the files of a torrent lie, and what they are called.

use torrent_engine::disk::MoveMode;

use super::*;

#[godot_api(secondary)]
impl TorrentHandle {
    /// Moves the torrent's files to another folder, replacing what is in their way. Signal
    /// [signal storage_moved] or [signal storage_move_failed] says how it went; after a
    /// failure the files are where they were.
    #[func]
    fn move_storage(&self, new_path: GString) -> bool {
        self.tell("move_storage", |torrent| {
            let path = paths::to_save(&new_path)?;
            torrent.move_storage(path, MoveMode::AlwaysReplaceFiles)
        })
    }

    /// Gives a file another name, relative to the save path, with `/` between folders.
    /// Signal [signal file_renamed] says when it has it; a failure comes with
    /// [signal error_occurred].
    #[func]
    fn rename_file(&self, file_index: i64, new_name: GString) -> bool {
        self.tell("rename_file", |torrent| {
            torrent.rename_file(convert::to_file(file_index)?, &new_name.to_string())
        })
    }
}
