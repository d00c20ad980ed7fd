//! What a torrent does, and what it may do: its state, whether it runs, and
//! what keeps it from asking for blocks.

use super::{Modes, TorrentState};

/// What a torrent is doing. One that stops gracefully runs still.
#[derive(Debug, Default)]
pub(super) struct Activity {
    pub(super) state: TorrentState,
    running: bool,
    graceful_pause: bool,
    pub(super) modes: Modes,
    /// Storage is in error.
    storage_failed: bool,
    /// What peers were sent last (BEP 21).
    upload_only_sent: bool,
}

impl Activity {
    /// Whether time passes for it.
    pub(super) fn is_started(&self) -> bool {
        self.running
    }

    /// Whether connections may be made.
    pub(super) fn is_running(&self) -> bool {
        self.running && !self.graceful_pause && !self.state.is_checking()
    }

    /// Whether it stops as soon as what was asked for is here.
    pub(super) fn is_pausing_gracefully(&self) -> bool {
        self.graceful_pause
    }

    /// Whether blocks may be asked for, once there is metadata.
    pub(super) fn may_download(&self) -> bool {
        !self.graceful_pause
            && !self.state.is_checking()
            && !self.modes.upload_mode
            && !self.storage_failed
    }

    /// Runs; whether it did not.
    pub(super) fn start(&mut self) -> bool {
        !std::mem::replace(&mut self.running, true)
    }

    /// Paused.
    pub(super) fn stop(&mut self) {
        self.running = false;
        self.graceful_pause = false;
    }

    /// Stops gracefully; whether it did not already.
    pub(super) fn pause_gracefully(&mut self) -> bool {
        self.running && !std::mem::replace(&mut self.graceful_pause, true)
    }

    /// Runs on; whether it was to stop.
    pub(super) fn end_graceful_pause(&mut self) -> bool {
        std::mem::take(&mut self.graceful_pause)
    }

    pub(super) fn set_storage_failed(&mut self, failed: bool) {
        self.storage_failed = failed;
    }

    /// What peers were sent last (BEP 21).
    pub(super) fn upload_only_sent(&self) -> bool {
        self.upload_only_sent
    }

    /// Peers are informed of this; whether it is new.
    pub(super) fn set_upload_only_sent(&mut self, upload_only: bool) -> bool {
        std::mem::replace(&mut self.upload_only_sent, upload_only) != upload_only
    }

    /// Panics when the parts disagree with each other.
    #[cfg(any(debug_assertions, test))]
    pub(super) fn check_invariants(&self) {
        assert!(
            self.running || !self.graceful_pause,
            "a stopped torrent has no graceful pause"
        );
    }
}
