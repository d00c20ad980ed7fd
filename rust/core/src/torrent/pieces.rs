//! The torrent's content: where its bytes are, which pieces are here, which
//! are wanted, and which are wanted by a time.
//!
//! The parts agree with each other: the count of missing pieces of each file
//! is that of the pieces that the picker has, and the pieces with a deadline
//! are those that the picker keeps out of its ordinary choice.

use std::sync::Arc;
use std::time::Instant;

use super::files::{self, FileProgress};
use super::time_critical::deadlines::Deadlines;
use crate::bitfield::Bitfield;
use crate::ids::PieceIndex;
use crate::layout::Layout;
use crate::picker::{Picker, PickerSettings, Priority};
use crate::settings::Settings;

/// Pieces and files of one torrent.
#[derive(Debug)]
pub(super) struct Pieces {
    /// Without pieces while there is no metadata.
    pub(super) layout: Arc<Layout>,
    pub(super) picker: Picker,
    pub(super) deadlines: Deadlines,
    files: FileProgress,
    /// Pieces are wanted in order, rather than the rarest first.
    sequential: bool,
}

impl Pieces {
    /// Nothing is here yet.
    pub(super) fn new(layout: Arc<Layout>, seed: u64, settings: &Settings) -> Self {
        let mut picker = Picker::new(&layout, seed);
        picker.set_settings(picker_settings(settings));
        Self {
            picker,
            deadlines: Deadlines::default(),
            files: FileProgress::new(&layout),
            layout,
            sequential: false,
        }
    }

    pub(super) fn apply_settings(&mut self, settings: &Settings) {
        self.picker.set_settings(picker_settings(settings));
    }

    /// Whether it is known what the torrent consists of.
    pub(super) fn has_metadata(&self) -> bool {
        self.layout.num_pieces() > 0
    }

    /// Whether everything wanted is here.
    pub(super) fn is_finished(&self) -> bool {
        self.has_metadata() && self.picker.is_finished()
    }

    /// The metadata is known: pieces as in a new torrent. That they are wanted
    /// in order stays, though the picker has to be informed of it again.
    pub(super) fn set_metadata(&mut self, layout: Arc<Layout>, seed: u64, settings: &Settings) {
        let sequential = self.sequential;
        *self = Self {
            sequential,
            ..Self::new(layout, seed, settings)
        };
    }

    pub(super) fn set_sequential(&mut self, sequential: bool) {
        self.sequential = sequential;
    }

    /// Puts the order into effect; `auto` says that the swarm is better served
    /// by pieces in order.
    pub(super) fn update_order(&mut self, auto: bool) {
        self.picker.set_sequential(self.sequential || auto);
    }

    /// Sets the priorities of all pieces; whether one of them changed.
    pub(super) fn set_priorities(&mut self, priorities: &[Priority]) -> bool {
        let mut changed = false;
        for (piece, &priority) in self.layout.pieces().zip(priorities) {
            if self.picker.priority(piece) != priority {
                self.picker.set_priority(piece, priority);
                changed = true;
            }
        }
        changed
    }

    /// Nothing counts as here until the files were looked at.
    pub(super) fn forget_all(&mut self) {
        for piece in self.picker.have().clone().iter() {
            self.picker.we_dont_have(PieceIndex(piece));
        }
        self.drop_partials();
        self.count_files();
    }

    /// The files were looked at: these pieces are here, no more.
    pub(super) fn found(&mut self, have: &Bitfield) {
        self.drop_partials();
        for piece in have.iter() {
            self.picker.set_have(PieceIndex(piece));
        }
        self.count_files();
    }

    /// Forgets blocks of unfinished pieces.
    fn drop_partials(&mut self) {
        let begun: Vec<PieceIndex> = self.picker.partial_pieces().map(|it| it.piece).collect();
        for piece in begun {
            self.picker.we_dont_have(piece);
        }
    }

    /// These pieces, which were missing, are here; returns the files that are
    /// complete now, padding apart.
    pub(super) fn completed(&mut self, pieces: &[PieceIndex]) -> Vec<u32> {
        for &piece in pieces {
            self.picker.set_have(piece);
        }
        self.files.completed_by(&self.layout, pieces)
    }

    /// A piece is not here, or not any more; whether it was.
    pub(super) fn we_dont_have(&mut self, piece: PieceIndex) -> bool {
        let had = self.picker.we_have(piece);
        self.picker.we_dont_have(piece);
        if had {
            self.count_files();
        }
        had
    }

    fn count_files(&mut self) {
        self.files.reset(&self.layout, self.picker.have());
    }

    /// The files without a byte, which no piece will ever complete.
    pub(super) fn empty_files(&self) -> impl Iterator<Item = u32> + use<> {
        files::empty(&self.layout)
    }

    /// Wants a piece by a time; whether it was wanted before.
    pub(super) fn set_deadline(&mut self, piece: PieceIndex, due: Instant, alert: bool) -> bool {
        self.deadlines.set(piece, due, alert);
        let wanted = self.picker.is_wanted(piece);
        self.picker.set_priority(piece, Priority::TOP);
        self.picker.set_time_critical(piece, true);
        wanted
    }

    /// Ends the deadline of a piece: `Some` if there was one, with whether the
    /// piece is to be shown.
    pub(super) fn end_deadline(&mut self, piece: PieceIndex) -> Option<bool> {
        let alert = self.deadlines.remove(piece)?;
        self.picker.set_time_critical(piece, false);
        Some(alert)
    }

    /// Panics when the parts disagree with each other.
    #[cfg(any(debug_assertions, test))]
    pub(super) fn check_invariants(&self) {
        self.picker.check_invariants();
        assert!(self.has_metadata() || self.picker.have().is_empty());
        let mut files = FileProgress::new(&self.layout);
        files.reset(&self.layout, self.picker.have());
        assert_eq!(files, self.files, "missing pieces of each file");
    }
}

fn picker_settings(settings: &Settings) -> PickerSettings {
    PickerSettings {
        random_first: settings.initial_picker_threshold.unsigned_abs() as u32,
        partials_first: settings.prioritize_partial_pieces,
        extent_affinity: settings.piece_extent_affinity,
        strict_end_game: settings.strict_end_game_mode,
    }
}
