//! What one peer refused (BEP 6, or by a choke), and when it is asked again.
//!
//! Part of [`Peer`](super::Peer), which passes on what the connection reports.
//! A block that was refused goes back to the picker at once, for other peers.
//! The piece is asked of the same peer after a pause that doubles with each
//! further refusal, one block at a time; a block of it ends that. A peer that
//! refuses whatever it is asked is asked for single blocks, after such pauses,
//! until it sends one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::ids::PieceIndex;

/// The first pause.
const FIRST: Duration = Duration::from_millis(250);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(60);

/// Refusals without a block between them that concern their pieces alone.
const SINGLE: u32 = 8;

/// Pieces that are remembered for each peer.
const MAX_PIECES: usize = 1024;

/// When to ask again.
#[derive(Clone, Copy, Debug)]
struct Pause {
    until: Instant,
    length: Duration,
}

impl Pause {
    fn first(now: Instant) -> Self {
        Self {
            until: now + FIRST,
            length: FIRST,
        }
    }

    /// It was asked again, and refused: further refusals of what was asked for
    /// at the same time change nothing.
    fn refused(&mut self, now: Instant, asked: bool) {
        if asked || now >= self.until {
            self.length = (self.length * 2).min(LONGEST);
            self.until = now + self.length;
        }
    }
}

/// One piece that was refused, or all of them.
#[derive(Clone, Copy, Debug)]
struct Refused {
    pause: Pause,
    /// One block is asked for, to see.
    probing: bool,
}

impl Refused {
    fn again(refused: &mut Option<Self>, now: Instant) {
        match refused {
            Some(it) => {
                it.pause.refused(now, it.probing);
                it.probing = false;
            }
            None => {
                *refused = Some(Self {
                    pause: Pause::first(now),
                    probing: false,
                });
            }
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        now >= self.pause.until
    }

    /// One block is requested. If it is not sent, the next try follows after as
    /// long a pause.
    fn probe(&mut self, now: Instant) {
        self.probing = true;
        self.pause.until = now + self.pause.length;
    }
}

/// How much may be asked of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestAllowance {
    /// As much as it takes on.
    All,
    /// One block.
    One,
    /// Nothing now.
    Nothing,
}

/// What a peer refused.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    pieces: BTreeMap<PieceIndex, Refused>,
    /// All of them, where it refuses everything.
    all: Option<Refused>,
    /// Refusals since the last block.
    in_row: u32,
}

impl Refusals {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.all.is_none()
    }

    /// The peer refused a block of `piece`.
    pub(super) fn refused(&mut self, now: Instant, piece: PieceIndex) {
        self.in_row = self.in_row.saturating_add(1);
        if self.in_row >= SINGLE {
            Refused::again(&mut self.all, now);
        }
        let mut refused = self.pieces.get(&piece).copied();
        Refused::again(&mut refused, now);
        if let Some(refused) = refused {
            self.pieces.insert(piece, refused);
        }
        if self.pieces.len() > MAX_PIECES {
            let soonest = self.pieces.iter().min_by_key(|(_, it)| it.pause.until);
            if let Some((&piece, _)) = soonest {
                self.pieces.remove(&piece);
            }
        }
    }

    /// The peer sent a block of `piece`.
    pub(super) fn block_came(&mut self, piece: PieceIndex) {
        if !self.is_empty() {
            self.pieces.remove(&piece);
        }
        self.all = None;
        self.in_row = 0;
    }

    /// How much may be asked for now.
    pub(super) fn allowance(&self, now: Instant) -> RequestAllowance {
        match self.all {
            None => RequestAllowance::All,
            Some(all) if all.is_due(now) => RequestAllowance::One,
            Some(_) => RequestAllowance::Nothing,
        }
    }

    /// The pieces that are not to be asked for freely.
    pub(super) fn pieces(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        self.pieces.keys().copied()
    }

    /// Whether the piece is not to be asked for now.
    pub(super) fn forbids(&self, now: Instant, piece: PieceIndex) -> bool {
        let refused = self.pieces.get(&piece);
        refused.is_some_and(|it| !it.is_due(now))
    }

    /// Forgets the pieces that are not to be kept.
    pub(super) fn retain(&mut self, keep: impl Fn(PieceIndex) -> bool) {
        self.pieces.retain(|&piece, _| keep(piece));
    }

    /// Pieces of which one block may be asked for again.
    pub(super) fn due(&self, now: Instant) -> Vec<PieceIndex> {
        let due = self.pieces.iter().filter(|(_, it)| it.is_due(now));
        due.map(|(&piece, _)| piece).collect()
    }

    /// A block of `piece` is asked for.
    pub(super) fn asked(&mut self, now: Instant, piece: PieceIndex) {
        if let Some(refused) = self.pieces.get_mut(&piece) {
            refused.probe(now);
        }
        if let Some(all) = &mut self.all {
            all.probe(now);
        }
    }

    /// When more may be asked for than now.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        let later = |it: &Refused| Some(it.pause.until).filter(|&until| until > now);
        match &self.all {
            Some(all) if !all.is_due(now) => later(all),
            _ => self.pieces.values().filter_map(later).min(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    const P: PieceIndex = PieceIndex(3);

    #[test]
    fn the_pause_of_a_piece_doubles_with_each_time_it_is_asked_for_in_vain() {
        let mut it = Refusals::default();
        let (mut now, mut asked) = (0, Vec::new());
        while now < 200_000 {
            // Several were asked for at first.
            for _ in 0..if asked.is_empty() { 4 } else { 1 } {
                it.refused(at(now), P);
            }
            assert!(it.due(at(now)).is_empty());
            it.all = None;
            let next = it.next(at(now)).unwrap();
            now = (now..).find(|&millis| at(millis) == next).unwrap();
            assert_eq!(it.due(at(now)), [P]);
            it.asked(at(now), P);
            assert!(it.due(at(now)).is_empty(), "one block at a time");
            asked.push(now);
        }
        assert_eq!(asked[..5], [250, 750, 1750, 3750, 7750]);
        assert_eq!(asked[9] - asked[8], 60_000);
        it.block_came(P);
        assert!(it.is_empty());
    }

    #[test]
    fn a_peer_that_refuses_everything_is_asked_for_one_block_now_and_then() {
        let mut it = Refusals::default();
        for piece in 0..8 {
            assert_eq!(it.allowance(at(0)), RequestAllowance::All);
            it.refused(at(0), PieceIndex(piece));
        }
        assert_eq!(it.allowance(at(249)), RequestAllowance::Nothing);
        assert_eq!(it.next(at(0)), Some(at(250)));
        assert_eq!(it.allowance(at(250)), RequestAllowance::One);
        it.asked(at(250), PieceIndex(9));
        assert_eq!(it.allowance(at(250)), RequestAllowance::Nothing);
        it.refused(at(300), PieceIndex(9));
        assert_eq!(it.next(at(300)), Some(at(800)));
        // Silence is answered with another one.
        it.asked(at(800), PieceIndex(9));
        assert_eq!(it.allowance(at(1300)), RequestAllowance::One);
        it.block_came(PieceIndex(10));
        assert_eq!(it.allowance(at(1300)), RequestAllowance::All);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut it = Refusals::default();
        for piece in 0..3000 {
            it.refused(at(piece), PieceIndex(piece as u32));
        }
        assert_eq!(it.pieces.len(), MAX_PIECES);
    }
}
