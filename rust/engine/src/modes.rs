//! Modes and deadlines of a torrent, as its handle offers them.

use std::time::Duration;

use torrent_core::ids::PieceIndex;
pub use torrent_core::torrent::Modes;

use crate::error::{Error, ErrorKind, Result};
use crate::handle::{Command, TorrentHandle};
use crate::session::AddTorrent;

impl AddTorrent {
    /// Turns a flag of libtorrent's `torrent_flags` on or off, by its name.
    /// One that there is none of, or none yet, is an error that names it.
    pub fn set_flag(&mut self, name: &str, on: bool) -> Result<()> {
        match name {
            "paused" => self.paused = on,
            "seed_mode" => self.seed_mode = on,
            "sequential_download" => self.sequential = on,
            "upload_mode" => self.modes.upload_mode = on,
            "share_mode" => self.modes.share_mode = on,
            "super_seeding" => self.modes.super_seeding = on,
            "stop_when_ready" => self.modes.stop_when_ready = on,
            "no_verify_files" => self.verify_files = !on,
            _ => {
                let message = format!("unknown flag '{name}' in 'flags'");
                return Err(Error::because(ErrorKind::InvalidParameter, message));
            }
        }
        Ok(())
    }
}

impl TorrentHandle {
    /// The modes that it was put into.
    pub fn modes(&self) -> Modes {
        self.shared.options.lock().modes
    }

    /// Never asks for blocks, or does again; what is there is served.
    pub fn set_upload_mode(&self, on: bool) -> Result<()> {
        self.change(|options| options.modes.upload_mode = on)
    }

    /// Whether it was told to ask for nothing.
    pub fn is_upload_mode(&self) -> bool {
        self.modes().upload_mode
    }

    /// As a seed, shows each peer that connects from now on one piece at a time
    /// (BEP 16), or shows everybody everything.
    pub fn set_super_seeding(&self, on: bool) -> Result<()> {
        self.change(|options| options.modes.super_seeding = on)
    }

    /// Whether it was told to super-seed.
    pub fn is_super_seeding(&self) -> bool {
        self.modes().super_seeding
    }

    /// Fetches only what improves the ratio: no file is wanted any more, and
    /// single pieces are chosen now and then. Turning it off leaves the
    /// priorities as they are.
    pub fn set_share_mode(&self, on: bool) -> Result<()> {
        if on && !self.modes().share_mode {
            let files = self.file_priorities().len();
            self.prioritize_files(&vec![0; files])?;
        }
        self.change(|options| options.modes.share_mode = on)
    }

    /// Whether it is in share mode.
    pub fn is_share_mode(&self) -> bool {
        self.modes().share_mode
    }

    /// Pauses it as soon as its files are checked; at once if they are.
    pub fn set_stop_when_ready(&self, on: bool) -> Result<()> {
        self.change(|options| options.modes.stop_when_ready = on)
    }

    /// Whether it is going to be paused when its files are checked.
    pub fn is_stop_when_ready(&self) -> bool {
        self.modes().stop_when_ready
    }

    /// Wants `piece` within `after`, before all pieces without a deadline or
    /// with a later one; its priority becomes 7. With `alert_when_available`
    /// it is read and posted as a `read_piece` event when it is here, at once
    /// if it is already.
    pub fn set_piece_deadline(
        &self,
        piece: PieceIndex,
        after: Duration,
        alert_when_available: bool,
    ) -> Result<()> {
        self.check_piece(piece)?;
        self.change_priorities(|options| options.pieces_mut()[piece.0 as usize] = 7)?;
        self.post(Command::Deadline {
            piece,
            after,
            alert: alert_when_available,
        })
    }

    /// Takes back the deadline of `piece`. The `read_piece` event that was
    /// promised with it comes as an error.
    pub fn reset_piece_deadline(&self, piece: PieceIndex) -> Result<()> {
        self.check_piece(piece)?;
        self.post(Command::ResetDeadline(Some(piece)))
    }

    /// Takes back all deadlines.
    pub fn clear_piece_deadlines(&self) -> Result<()> {
        self.post(Command::ResetDeadline(None))
    }
}
