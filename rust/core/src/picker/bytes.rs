//! Bytes of a torrent's payload that are wanted and here, piece by piece.
//!
//! Kept by the picker, which says what becomes of each piece, so that nothing
//! needs to be summed up when it is read.

/// Sums over all pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PayloadBytes {
    /// Of pieces that are wanted.
    pub(super) wanted: u64,
    /// Of pieces that are here and verified.
    pub(super) have: u64,
    /// Of those that are wanted among them.
    pub(super) have_wanted: u64,
    /// Of blocks of begun pieces.
    pub(super) partial: u64,
    /// Of those that are wanted among them.
    pub(super) partial_wanted: u64,
}

impl PayloadBytes {
    /// Nothing is here, all of it is wanted.
    pub(super) fn new(wanted: u64) -> Self {
        Self {
            wanted,
            ..Self::default()
        }
    }

    /// A piece is here.
    pub(super) fn got_piece(&mut self, length: u64, wanted: bool) {
        self.have += length;
        self.have_wanted += if wanted { length } else { 0 };
    }

    /// A piece that was here is not any more.
    pub(super) fn remove_piece(&mut self, length: u64, wanted: bool) {
        self.have -= length;
        self.have_wanted -= if wanted { length } else { 0 };
    }

    /// A part of a begun piece is here.
    pub(super) fn got_part(&mut self, length: u64, wanted: bool) {
        self.partial += length;
        self.partial_wanted += if wanted { length } else { 0 };
    }

    /// All that was here of a begun piece is not any more, or counts with the
    /// whole piece.
    pub(super) fn dropped_part(&mut self, length: u64, wanted: bool) {
        self.partial -= length;
        self.partial_wanted -= if wanted { length } else { 0 };
    }

    /// A piece is wanted that was not: it is here, or `partial` bytes of it
    /// are.
    pub(super) fn begin_to_want(&mut self, length: u64, partial: u64, here: bool) {
        self.wanted += length;
        self.partial_wanted += partial;
        self.have_wanted += if here { length } else { 0 };
    }

    /// A piece is not wanted any more.
    pub(super) fn cease_to_want(&mut self, length: u64, partial: u64, here: bool) {
        self.wanted -= length;
        self.partial_wanted -= partial;
        self.have_wanted -= if here { length } else { 0 };
    }

    /// Bytes here of what is wanted.
    pub(super) fn wanted_done(&self) -> u64 {
        self.have_wanted + self.partial_wanted
    }

    /// Bytes here.
    pub(super) fn done(&self) -> u64 {
        self.have + self.partial
    }
}
