//! Which pieces and files of a torrent are wanted, as its handle offers it.
//!
//! The priorities are in the torrent's options; the task looks at them when it
//! comes to the message, which is posted once for many changes in a row.

use std::sync::Arc;

use torrent_core::ids::{FileIndex, PieceIndex};
use torrent_core::layout::Layout;

use super::validate::{check_file_priorities, check_priorities};
use super::{Options, PendingState, TorrentHandle};
use crate::error::Result;
use crate::torrent::handle::resume::SaveFlags;

impl TorrentHandle {
    /// Changes priorities and notifies the task, once for many changes in a row.
    pub(crate) fn change_priorities(&self, change: impl FnOnce(&mut Options)) -> Result<()> {
        self.check_valid()?;
        change(&mut self.shared.options.lock());
        self.note_unsaved(SaveFlags::IF_CONFIG_CHANGED);
        self.look(PendingState::Priorities);
        Ok(())
    }

    /// Sets the priority of one piece: 0 not wanted, 1 low, 4 normal, 7 top.
    pub fn set_piece_priority(&self, piece: PieceIndex, priority: u8) -> Result<()> {
        self.check_piece(piece)?;
        check_priorities(&[priority])?;
        self.change_priorities(|options| options.pieces_mut()[piece.0 as usize] = priority)
    }

    /// The priority of one piece.
    pub fn piece_priority(&self, piece: PieceIndex) -> Result<u8> {
        self.check_piece(piece)?;
        Ok(self.shared.options.lock().piece_priorities[piece.0 as usize])
    }

    /// The priorities of all pieces.
    pub fn piece_priorities(&self) -> Vec<u8> {
        self.shared.options.lock().piece_priorities.to_vec()
    }

    /// Sets the priorities of the pieces from the first on.
    pub fn prioritize_pieces(&self, priorities: &[u8]) -> Result<()> {
        self.check_piece_priorities(priorities)?;
        self.change_priorities(|options| {
            options.pieces_mut()[..priorities.len()].copy_from_slice(priorities);
        })
    }

    /// Sets the priority of one file; its pieces follow. A piece that several
    /// files share takes the highest of their priorities.
    pub fn set_file_priority(&self, file: FileIndex, priority: u8) -> Result<()> {
        self.check_file(file)?;
        check_priorities(&[priority])?;
        let info = &self.known_metainfo()?.info;
        self.change_priorities(|options| {
            let files = Arc::make_mut(&mut options.file_priorities);
            files[file.0 as usize] = priority;
            options.piece_priorities = Arc::new(piece_priorities(&info.layout, files));
        })
    }

    /// The priority of one file.
    pub fn file_priority(&self, file: FileIndex) -> Result<u8> {
        self.check_file(file)?;
        Ok(self.shared.options.lock().file_priorities[file.0 as usize])
    }

    /// The priorities of all files.
    pub fn file_priorities(&self) -> Vec<u8> {
        self.shared.options.lock().file_priorities.to_vec()
    }

    /// Sets the priorities of the files from the first on; pieces follow.
    pub fn prioritize_files(&self, priorities: &[u8]) -> Result<()> {
        let info = &self.known_metainfo()?.info;
        check_file_priorities(info.files.len(), priorities)?;
        self.change_priorities(|options| {
            let files = Arc::make_mut(&mut options.file_priorities);
            files[..priorities.len()].copy_from_slice(priorities);
            options.piece_priorities = Arc::new(piece_priorities(&info.layout, files));
        })
    }
}

/// The priorities of pieces that follow from those of files.
pub(crate) fn piece_priorities(layout: &Layout, files: &[u8]) -> Vec<u8> {
    let mut pieces = vec![0; layout.num_pieces() as usize];
    for (at, (place, &priority)) in layout.files().iter().zip(files).enumerate() {
        if place.pad {
            continue;
        }
        for piece in layout.file_pieces(FileIndex(at as u32)) {
            let slot = &mut pieces[piece as usize];
            *slot = priority.max(*slot);
        }
    }
    pieces
}
