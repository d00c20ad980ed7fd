//! Modes of a torrent, the order of its pieces and their deadlines, as its
//! handle offers them.

use std::time::Duration;

use torrent_core::ids::PieceIndex;
pub use torrent_core::torrent::Modes;

use crate::error::Result;
use crate::torrent::handle::{Command, TorrentHandle};

/// Where a torrent may look for peers beside its trackers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// In the DHT (BEP 5).
    pub dht: bool,
    /// On the local network (BEP 14).
    pub lsd: bool,
    /// Among its peers' peers (BEP 11).
    pub pex: bool,
}

impl Default for Discovery {
    fn default() -> Self {
        Self {
            dht: true,
            lsd: true,
            pex: true,
        }
    }
}

impl TorrentHandle {
    /// The modes that it was put into.
    pub fn modes(&self) -> Modes {
        self.plain_options().modes
    }

    /// Where it may look for peers beside its trackers.
    pub fn discovery(&self) -> Discovery {
        self.plain_options().discovery
    }

    /// Lets it look for peers there and nowhere else.
    pub fn set_discovery(&self, discovery: Discovery) -> Result<()> {
        self.change(|options| options.discovery = discovery)
    }

    /// Never asks for blocks, or does again; what is there is served.
    pub fn set_upload_mode(&self, on: bool) -> Result<()> {
        self.change(|options| options.modes.upload_mode = on)
    }

    /// Whether upload mode was set.
    pub fn is_upload_mode(&self) -> bool {
        self.modes().upload_mode
    }

    /// As a seed, shows each peer that connects from now on one piece at a time
    /// (BEP 16), or shows every peer everything.
    pub fn set_super_seeding(&self, on: bool) -> Result<()> {
        self.change(|options| options.modes.super_seeding = on)
    }

    /// Whether super-seeding was set.
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

    /// Fetches pieces in order, or the rarest first.
    pub fn set_sequential_download(&self, sequential: bool) -> Result<()> {
        self.change(|options| {
            options.sequential = sequential;
            options.sequential_range = None;
        })
    }

    /// Fetches pieces in order from now on, those from `first` to `last` before
    /// others of their priority.
    pub fn set_sequential_range(&self, first: PieceIndex, last: PieceIndex) -> Result<()> {
        self.check_range(first, last)?;
        self.change(|options| {
            options.sequential = true;
            options.sequential_range = Some((first, last));
        })
    }

    /// Whether pieces are fetched in order.
    pub fn is_sequential_download(&self) -> bool {
        self.plain_options().sequential
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
        let deadline = Command::Deadline {
            piece,
            after,
            alert: alert_when_available,
        };
        let place = self.place_for(&deadline)?;
        self.change_priorities(|options| options.pieces_mut()[piece.0 as usize] = 7)?;
        place.send(deadline);
        Ok(())
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
