//! Pieces with a deadline: each of their blocks goes to the peer that is
//! likely to deliver it first, and is asked for a second time when it is late.
//!
//! The brain passes on deadlines, asks for a plan whenever a peer could take
//! on blocks ([`Deadlines::assign`]) and once a tick ([`Deadlines::rescue`]),
//! and sends what comes out as time critical leases. The pieces are kept out of the
//! picker's ordinary choice meanwhile.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::ids::{BLOCK_SIZE, Block, PeerKey, PieceIndex};
use crate::picker::{PeerPieces, Picker};

/// Bytes a second that a peer of which nothing is known is trusted to send.
const ASSUMED_RATE: u64 = BLOCK_SIZE as u64;

/// No peer counts as slower, so that times stay finite.
const MIN_RATE: u64 = 50;

/// What a block costs a peer that lets requests time out.
const SNUBBED: Duration = Duration::from_secs(3600);

/// A second request must promise to be this many times as quick as the first.
const RESCUE_FACTOR: u32 = 2;

/// Pieces looked at in one plan, so that a film's worth of deadlines costs no
/// more than a scene's.
const PLANNED: usize = 64;

/// A peer that may send blocks now.
#[derive(Debug)]
pub(crate) struct Runner<'a> {
    pub(crate) key: PeerKey,
    pub(crate) pieces: PeerPieces<'a>,
    /// Payload bytes a second.
    pub(crate) rate: u64,
    /// Whether the rate is measured.
    pub(crate) known: bool,
    pub(crate) snubbed: bool,
    /// Its outstanding blocks.
    pub(crate) outstanding: u32,
    /// Urgent blocks that it can take on.
    pub(crate) room: u32,
}

impl Runner<'_> {
    /// How long until the peer has sent its outstanding blocks and `more`.
    fn time_for(&self, more: u32) -> Duration {
        if self.snubbed {
            return SNUBBED;
        }
        let rate = if self.known {
            self.rate.max(MIN_RATE)
        } else {
            ASSUMED_RATE
        };
        let bytes = (u64::from(self.outstanding) + u64::from(more)) * u64::from(BLOCK_SIZE);
        Duration::from_millis(bytes * 1000 / rate).min(SNUBBED)
    }
}

#[derive(Clone, Copy, Debug)]
struct Deadline {
    due: Instant,
    /// The piece is to be read and shown when it is here.
    alert: bool,
}

/// The deadlines of a torrent.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    pieces: BTreeMap<PieceIndex, Deadline>,
}

impl Deadlines {
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub(crate) fn contains(&self, piece: PieceIndex) -> bool {
        self.pieces.contains_key(&piece)
    }

    /// Sets or moves the deadline of a piece.
    pub(crate) fn set(&mut self, piece: PieceIndex, due: Instant, alert: bool) {
        self.pieces.insert(piece, Deadline { due, alert });
    }

    /// Ends the deadline of a piece: `Some` if there was one, with whether the
    /// piece is to be shown.
    pub(crate) fn remove(&mut self, piece: PieceIndex) -> Option<bool> {
        self.pieces.remove(&piece).map(|deadline| deadline.alert)
    }

    /// All pieces that have one.
    pub(crate) fn pieces(&self) -> Vec<PieceIndex> {
        self.pieces.keys().copied().collect()
    }

    /// The most pressing pieces, in order.
    fn pressing(&self) -> Vec<(Instant, PieceIndex)> {
        let mut order: Vec<_> = self
            .pieces
            .iter()
            .map(|(&piece, deadline)| (deadline.due, piece))
            .collect();
        if order.len() > PLANNED {
            order.select_nth_unstable(PLANNED);
            order.truncate(PLANNED);
        }
        order.sort_unstable();
        order
    }

    /// Leases open blocks, the most pressing first, each to the peer that will
    /// have sent it soonest. A block whose best peer has its hands full waits
    /// for it rather than for a worse one.
    pub(crate) fn assign(
        &self,
        picker: &mut Picker,
        runners: &mut [Runner<'_>],
    ) -> Vec<(PeerKey, Block)> {
        let mut plan = Vec::new();
        for (_, piece) in self.pressing() {
            let room: usize = runners.iter().map(|runner| runner.room as usize).sum();
            if room == 0 {
                break;
            }
            let open = picker.time_critical_open(piece, room);
            for block in open {
                let best = runners
                    .iter_mut()
                    .filter(|runner| runner.pieces.has(piece.0))
                    .min_by_key(|runner| (runner.time_for(1), runner.key));
                let Some(best) = best.filter(|best| best.room > 0) else {
                    break;
                };
                lease(picker, best, block, &mut plan);
            }
        }
        plan
    }

    /// Asks a second peer for blocks that will be late, where one is much
    /// quicker than the peer that was asked first.
    pub(crate) fn rescue(
        &self,
        now: Instant,
        picker: &mut Picker,
        runners: &mut [Runner<'_>],
    ) -> Vec<(PeerKey, Block)> {
        let mut plan = Vec::new();
        for (due, piece) in self.pressing() {
            let late: Vec<(Block, PeerKey, Duration)> = picker
                .time_critical_requested(piece)
                .filter(|&(.., peers)| peers == 1)
                .filter_map(|(block, peer, _)| {
                    let holder = runners.iter().find(|runner| runner.key == peer);
                    let wait = holder.map_or(SNUBBED, |holder| holder.time_for(0));
                    (now + wait > due).then_some((block, peer, wait))
                })
                .collect();
            for (block, holder, wait) in late {
                let best = runners
                    .iter_mut()
                    .filter(|it| it.key != holder && it.room > 0 && it.pieces.has(piece.0))
                    .min_by_key(|runner| (runner.time_for(1), runner.key));
                if let Some(best) = best
                    && best.time_for(1) * RESCUE_FACTOR < wait
                {
                    lease(picker, best, block, &mut plan);
                }
            }
        }
        plan
    }
}

fn lease(
    picker: &mut Picker,
    runner: &mut Runner<'_>,
    block: Block,
    plan: &mut Vec<(PeerKey, Block)>,
) {
    if picker.lease_time_critical(runner.key, &runner.pieces, block) {
        runner.outstanding += 1;
        runner.room -= 1;
        plan.push((runner.key, block));
    } else {
        // It holds the block already; do not come back to it in this plan.
        runner.room = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;
    use crate::testing::at;

    const FAST: PeerKey = PeerKey(1);
    const SLOW: PeerKey = PeerKey(2);

    /// Four pieces of four blocks.
    fn picker() -> Picker {
        let layout = Layout::new(4 * BLOCK_SIZE, [(16 * u64::from(BLOCK_SIZE), false)]).unwrap();
        let mut picker = Picker::new(&layout, 3);
        for piece in 0..4 {
            picker.set_time_critical(PieceIndex(piece), true);
        }
        picker
    }

    fn runner(key: PeerKey, rate: u64, outstanding: u32, room: u32) -> Runner<'static> {
        Runner {
            key,
            pieces: PeerPieces::All,
            rate,
            known: true,
            snubbed: false,
            outstanding,
            room,
        }
    }

    fn deadlines(of: &[(u32, u64)]) -> Deadlines {
        let mut deadlines = Deadlines::default();
        for &(piece, millis) in of {
            deadlines.set(PieceIndex(piece), at(millis), false);
        }
        deadlines
    }

    fn count(plan: &[(PeerKey, Block)], key: PeerKey) -> usize {
        plan.iter().filter(|(peer, _)| *peer == key).count()
    }

    #[test]
    fn the_nearest_deadline_comes_first_and_the_quick_peer_gets_the_most() {
        let mut picker = picker();
        let deadlines = deadlines(&[(2, 9000), (1, 5000), (3, 7000)]);
        let mut runners = [runner(SLOW, 20 * 1024, 0, 40), runner(FAST, 1 << 20, 0, 40)];
        let plan = deadlines.assign(&mut picker, &mut runners);
        let order: Vec<u32> = plan.iter().map(|(_, block)| block.piece.0).collect();
        assert_eq!(order, [1, 1, 1, 1, 3, 3, 3, 3, 2, 2, 2, 2]);
        assert_eq!(count(&plan, FAST), 12);
        picker.check_invariants();
        assert!(deadlines.assign(&mut picker, &mut runners).is_empty());
    }

    #[test]
    fn a_block_waits_for_the_better_peer_but_not_for_one_that_is_busy_for_long() {
        let mut one = picker();
        let single = deadlines(&[(0, 5000)]);
        // The quick peer has no room, and would still be the first to send.
        let mut runners = [runner(SLOW, 1024, 0, 9), runner(FAST, 1 << 20, 4, 0)];
        assert!(single.assign(&mut one, &mut runners).is_empty());
        let mut runners = [runner(SLOW, 1024, 0, 9), runner(FAST, 1 << 20, 4, 3)];
        let plan = single.assign(&mut one, &mut runners);
        assert_eq!((count(&plan, FAST), count(&plan, SLOW)), (3, 0));
        // So much is outstanding at it that the slow one is quicker.
        let mut two = picker();
        let mut runners = [runner(SLOW, 1 << 16, 0, 9), runner(FAST, 1 << 20, 500, 9)];
        assert_eq!(count(&single.assign(&mut two, &mut runners), SLOW), 4);
    }

    #[test]
    fn late_blocks_are_asked_for_twice_and_only_of_a_much_quicker_peer() {
        let mut picker = picker();
        let single = deadlines(&[(0, 5000)]);
        let plan = single.assign(&mut picker, &mut [runner(SLOW, 8 * 1024, 0, 9)]);
        assert_eq!(count(&plan, SLOW), 4);
        let mut runners = [runner(SLOW, 8 * 1024, 4, 5), runner(FAST, 1 << 20, 0, 9)];
        // It will be in time still ...
        let early = deadlines(&[(0, 60_000)]);
        assert!(early.rescue(at(0), &mut picker, &mut runners).is_empty());
        // ... or the other is hardly quicker ...
        let mut alike = [runner(SLOW, 8 * 1024, 4, 5), runner(FAST, 4096, 0, 9)];
        assert!(single.rescue(at(0), &mut picker, &mut alike).is_empty());
        // ... or late.
        let plan = single.rescue(at(0), &mut picker, &mut runners);
        assert_eq!(count(&plan, FAST), 4);
        assert!(single.rescue(at(0), &mut picker, &mut runners).is_empty());
        picker.check_invariants();
    }

    #[test]
    fn a_snubbed_or_vanished_holder_is_no_help() {
        let mut picker = picker();
        let single = deadlines(&[(0, 5000)]);
        single.assign(&mut picker, &mut [runner(SLOW, 1 << 20, 0, 2)]);
        let mut snubbed = runner(SLOW, 1 << 20, 2, 0);
        snubbed.snubbed = true;
        let mut unknown = runner(FAST, 0, 0, 9);
        unknown.known = false;
        let plan = single.rescue(at(0), &mut picker, &mut [snubbed, unknown]);
        assert_eq!(count(&plan, FAST), 2);
    }
}
