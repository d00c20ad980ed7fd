//! Pieces and files of a torrent: which are wanted, and which are there.

use std::time::Duration;

use super::*;
use crate::snapshot::ToScript;

#[godot_api(secondary)]
impl TorrentHandle {
    /// Sets how much one piece is wanted: 0 not at all, 1 least, 4 normal, 7 most.
    #[func]
    fn set_piece_priority(&self, index: i64, priority: i64) -> bool {
        self.command("set_piece_priority", |torrent| {
            torrent.set_piece_priority(convert::to_piece(index)?, convert::to_priority(priority)?)
        })
    }

    /// How much one piece is wanted, 0 to 7.
    #[func]
    fn get_piece_priority(&self, index: i64) -> i64 {
        let priority = self.call("get_piece_priority", |torrent| {
            torrent.piece_priority(convert::to_piece(index)?)
        });
        priority.map(i64::from).unwrap_or_default()
    }

    /// How much each piece is wanted: one byte for each.
    #[func]
    fn get_piece_priorities(&self) -> PackedByteArray {
        let priorities = self.read("get_piece_priorities", Torrent::piece_priorities);
        priorities.map(PackedByteArray::from).unwrap_or_default()
    }

    /// Sets how much pieces are wanted, one byte for each, from the first piece on.
    #[func]
    fn prioritize_pieces(&self, priorities: PackedByteArray) -> bool {
        self.command("prioritize_pieces", |torrent| {
            torrent.prioritize_pieces(priorities.as_slice())
        })
    }

    /// Sets how much one file is wanted: 0 not at all, 1 least, 4 normal, 7 most. Its
    /// pieces follow; one that belongs to several files takes the highest of theirs.
    #[func]
    fn set_file_priority(&self, index: i64, priority: i64) -> bool {
        self.command("set_file_priority", |torrent| {
            torrent.set_file_priority(convert::to_file(index)?, convert::to_priority(priority)?)
        })
    }

    /// How much one file is wanted, 0 to 7.
    #[func]
    fn get_file_priority(&self, index: i64) -> i64 {
        let priority = self.call("get_file_priority", |torrent| {
            torrent.file_priority(convert::to_file(index)?)
        });
        priority.map(i64::from).unwrap_or_default()
    }

    /// How much each file is wanted: one byte for each.
    #[func]
    fn get_file_priorities(&self) -> PackedByteArray {
        let priorities = self.read("get_file_priorities", Torrent::file_priorities);
        priorities.map(PackedByteArray::from).unwrap_or_default()
    }

    /// Sets how much files are wanted, one byte for each, from the first file on.
    ///
    /// ```gdscript
    /// # Of three files, fetch the second one only.
    /// handle.prioritize_files(PackedByteArray([0, 4, 0]))
    /// ```
    #[func]
    fn prioritize_files(&self, priorities: PackedByteArray) -> bool {
        self.command("prioritize_files", |torrent| {
            torrent.prioritize_files(priorities.as_slice())
        })
    }

    /// Verified bytes of each file.
    #[func]
    fn get_file_progress(&self) -> Array<i64> {
        let progress = self
            .read("get_file_progress", Torrent::file_progress)
            .unwrap_or_default();
        convert::to_int_array(progress.iter().map(|&bytes| to_int(bytes)))
    }

    /// Whether a piece is there and verified.
    #[func]
    fn have_piece(&self, index: i64) -> bool {
        let have = self.call("have_piece", |torrent| {
            torrent.have_piece(convert::to_piece(index)?)
        });
        have.unwrap_or_default()
    }

    /// Which pieces are there and verified: one byte for each, 1 or 0.
    #[func]
    fn get_pieces(&self) -> PackedByteArray {
        let pieces = self.read("get_pieces", Torrent::pieces).unwrap_or_default();
        self.pieces.get(pieces, Arc::ptr_eq, ToScript::to_script)
    }

    /// Reads a verified piece from the disk. It comes with [signal piece_read].
    #[func]
    fn read_piece(&self, index: i64) -> bool {
        self.command("read_piece", |torrent| {
            torrent.read_piece(convert::to_piece(index)?)
        })
    }

    /// How many connected peers have each piece.
    #[func]
    fn get_piece_availability(&self) -> Array<i64> {
        let counts = self.read("get_piece_availability", Torrent::piece_availability);
        let array = self
            .availability
            .get(counts.unwrap_or_default(), Arc::ptr_eq, |counts| {
                convert::to_int_array(counts.iter().map(|&it| i64::from(it)))
            });
        array.duplicate_shallow()
    }

    /// The pieces that are being fetched: piece_index, blocks_in_piece, finished, requested.
    #[func]
    fn get_download_queue(&self) -> Array<VarDictionary> {
        let queue = self
            .read("get_download_queue", Torrent::download_queue)
            .unwrap_or_default();
        queue
            .iter()
            .map(|piece| convert::to_dictionary(&piece.fields()))
            .collect()
    }

    /// Wants a piece within a time, before all pieces without a deadline or with a later
    /// one: for what is shown or played while it comes. Its priority becomes 7.
    #[func]
    fn set_piece_deadline(&self, index: i64, milliseconds: i64) -> bool {
        self.command("set_piece_deadline", |torrent| {
            let after = u64::try_from(milliseconds)
                .map_err(|_| invalid(format!("{milliseconds} milliseconds are no time")))?;
            let after = Duration::from_millis(after);
            torrent.set_piece_deadline(convert::to_piece(index)?, after, false)
        })
    }

    /// Takes a piece's deadline back.
    #[func]
    fn reset_piece_deadline(&self, index: i64) -> bool {
        self.command("reset_piece_deadline", |torrent| {
            torrent.reset_piece_deadline(convert::to_piece(index)?)
        })
    }

    /// Takes all deadlines back.
    #[func]
    fn clear_piece_deadlines(&self) -> bool {
        self.command("clear_piece_deadlines", Torrent::clear_piece_deadlines)
    }

    /// Fetches pieces in order instead of the rarest first. Worse for the swarm, good for
    /// what is played while it comes.
    #[func]
    fn set_sequential_download(&self, sequential: bool) -> bool {
        self.command("set_sequential_download", |torrent| {
            torrent.set_sequential_download(sequential)
        })
    }

    /// Whether pieces are fetched in order.
    #[func]
    fn is_sequential_download(&self) -> bool {
        self.read("is_sequential_download", Torrent::is_sequential_download)
            .unwrap_or_default()
    }
}
