//! Cancels checks, and keeps account of pieces whose state is unknown.
//!
//! Owned by the torrent's driver. Code that begins a check because something
//! turned out to be other than it should says so first ([`Driver::mark_unknown`]):
//! what is in doubt does not count until a check finds it. When the game
//! cancels a check ([`Driver::cancel_check`]) the torrent goes on with what it
//! knew before, if that is all there is to know; otherwise it pauses, so
//! that nothing is fetched that may be there, and its records claim nothing,
//! so that the next session looks.

use std::time::Instant;

use torrent_core::bitfield::Bitfield;

use super::Driver;

impl Driver {
    /// Only a check can say whether these pieces are on disk.
    pub(super) fn mark_unknown(&mut self, pieces: &Bitfield) {
        self.checking.content_unknown = true;
        if let Some(storage) = self.storage.slot.get() {
            storage.mark_unknown(pieces);
        }
    }

    /// The state of every piece is unknown.
    pub(super) fn mark_all_unknown(&mut self) {
        self.mark_unknown(&Bitfield::full(self.brain.layout().num_pieces()));
    }

    /// Cancels the check that is under way or waits.
    pub(super) fn cancel_check(&mut self) {
        if self.cancel_after_resume() || !self.has_check() {
            return;
        }
        // Files that cannot be looked at do not count as missing.
        if self.location.root.is_awaited() && !self.location.root.cancel_check() {
            return;
        }
        let Some(storage) = self.storage.slot.get().cloned() else {
            return;
        };
        if self
            .checking
            .running
            .as_ref()
            .is_some_and(|check| !check.cancel())
        {
            // It is over; its result is in the queue of disk events.
            return;
        }
        self.checking.running = None;
        self.checking.waiting = None;
        if self.checking.content_unknown {
            self.pause_until_resumed();
        }
        self.checked(Instant::now(), &storage.have());
    }

    /// A caller that resumes a torrent about which something is in doubt takes what
    /// is known for all there is.
    pub(super) fn accept_known_content(&mut self) {
        if !self.brain.state().is_checking() && !self.checking.pending_check.is_some() {
            self.checking.content_unknown = false;
        }
    }
}
