//! Where the files of a torrent lie, and what they are called.

use torrent_engine::disk::MoveMode;

use super::*;

#[godot_api(secondary)]
impl TorrentHandle {
    /// Moves the torrent's files to another folder, which becomes its save path. Files of the
    /// same names that are there already are not touched: the move fails. With
    /// [param replace_files] they are replaced, and are back if the move fails after that.
    /// Signal [signal storage_moved] or [signal storage_move_failed] says how it went; after a
    /// failure everything is where it was. False when the torrent is not in a session any more,
    /// the path is empty, or an exported game gives one in `res://`.
    #[func]
    fn move_storage(&self, new_path: GString, #[opt(default = false)] replace_files: bool) -> bool {
        self.command("move_storage", |torrent| {
            let path = paths::to_save(&new_path)?;
            let mode = match replace_files {
                true => MoveMode::AlwaysReplaceFiles,
                false => MoveMode::FailIfExist,
            };
            torrent.move_storage(path, mode)
        })
    }

    /// Gives a file another name, relative to the save path, with `/` between folders.
    /// Signal [signal file_renamed] says when it has it; a failure comes with
    /// [signal error_occurred].
    #[func]
    fn rename_file(&self, file_index: i64, new_name: GString) -> bool {
        self.command("rename_file", |torrent| {
            torrent.rename_file(convert::to_file(file_index)?, &new_name.to_string())
        })
    }
}
