//! The choice itself: which blocks to lease to a peer that has room for more.

use super::downloading_piece::{DownloadingPiece, MAX_LEASES};
use super::{PeerPieces, Picker, Priority, Speed};
use crate::ids::{Block, PeerKey, PieceIndex};

/// Most blocks leased again in one pick of the end game: what a peer may send
/// without result stays small beside what it might save.
const END_GAME_BATCH: usize = 16;

/// A begun piece with open blocks that the peer has.
struct PieceCandidate {
    piece: u32,
    priority: Priority,
    /// Another, fast peer is at work on it by itself.
    reserved: bool,
    /// The peer itself works on it alone.
    own: bool,
    received: u32,
    serial: u64,
}

/// One call of [`Picker::pick`].
struct PickRequest<'a> {
    peer: PeerKey,
    has: &'a PeerPieces<'a>,
    speed: Speed,
    suggested: &'a [PieceIndex],
    until: usize,
    out: &'a mut Vec<Block>,
}

impl PickRequest<'_> {
    fn left(&self) -> usize {
        self.until - self.out.len()
    }

    fn lease(&mut self, piece: u32, partial: &mut DownloadingPiece) {
        let left = self.left();
        partial.lease(self.peer, left, |index| {
            self.out.push(Block::new(PieceIndex(piece), index));
        });
    }
}

impl Picker {
    /// Leases up to `count` blocks that the peer has to `peer`, appends them to
    /// `out`, and counts them as asked for until they are received or returned.
    ///
    /// Higher priorities come first. Within one: begun pieces (the peer's own,
    /// then the fullest, then the oldest; those that another fast peer has to
    /// itself last of all), then open pieces: those that the peer suggested
    /// (BEP 6), then the rarest; the first few of a torrent at random. A
    /// snubbed peer gets its own pieces and then the commonest open ones. In
    /// sequential mode pieces come in ascending order, begun or not. A peer on
    /// parole joins others in a piece only when there is nothing else. Only when
    /// every wanted block is here or asked for are blocks of other peers leased
    /// again (the end game): to at most three peers, and from the back of what
    /// the others work on.
    pub fn pick(
        &mut self,
        peer: PeerKey,
        has: &PeerPieces<'_>,
        count: u32,
        speed: Speed,
        suggested: &[PieceIndex],
        out: &mut Vec<Block>,
    ) {
        let start = out.len();
        let mut order = PickRequest {
            peer,
            has,
            speed,
            suggested,
            until: start + count as usize,
            out,
        };
        if count == 0 {
            return;
        }
        if self.order.sequential && speed != Speed::Alone {
            self.pick_in_order(&mut order);
        } else {
            self.pick_by_merit(&mut order);
        }
        let nothing_open = !self.downloading.any_choosable() && self.buckets.total() == 0;
        if order.out.len() == start && (nothing_open || !self.settings.strict_end_game) {
            self.pick_again(&mut order);
        }
    }

    fn candidates(&self, order: &PickRequest<'_>) -> Vec<PieceCandidate> {
        self.downloading
            .choosable()
            .filter(|&(piece, _)| order.has.has(piece))
            .map(|(piece, partial)| PieceCandidate {
                piece,
                priority: self.priority(PieceIndex(piece)),
                reserved: partial.is_reserved(order.peer),
                own: partial.is_own(order.peer),
                received: partial.received(),
                serial: partial.serial,
            })
            .collect()
    }

    fn pick_by_merit(&mut self, order: &mut PickRequest<'_>) {
        let apart = matches!(order.speed, Speed::Snubbed | Speed::Alone);
        let before = order.out.len();
        let mut begun = self.candidates(order);
        for candidate in &mut begun {
            // It would hold up, or spoil, what others are about to complete.
            candidate.reserved |= apart && !candidate.own;
        }
        begun.sort_unstable_by_key(|candidate| {
            (
                candidate.reserved,
                std::cmp::Reverse((candidate.priority, candidate.own, candidate.received)),
                candidate.serial,
            )
        });
        let mut begun = begun.into_iter().peekable();
        if self.settings.partials_first {
            self.lease_while(&mut begun, order, |next| !next.reserved);
        }
        for priority in Priority::wanted() {
            self.lease_while(&mut begun, order, |next| {
                !next.reserved && next.priority == priority
            });
            self.lease_open(priority, order);
            if order.left() == 0 {
                return;
            }
        }
        if order.speed != Speed::Alone || order.out.len() == before {
            self.lease_while(&mut begun, order, |_| true);
        }
    }

    /// Leases of begun pieces as long as they pass, and blocks are to be had.
    fn lease_while(
        &mut self,
        begun: &mut std::iter::Peekable<impl Iterator<Item = PieceCandidate>>,
        order: &mut PickRequest<'_>,
        passes: impl Fn(&PieceCandidate) -> bool,
    ) {
        while order.left() > 0
            && let Some(next) = begun.next_if(&passes)
        {
            self.lease_begun(next.piece, order);
        }
    }

    /// The open pieces of one priority, best first.
    fn lease_open(&mut self, priority: Priority, order: &mut PickRequest<'_>) {
        for piece in order.suggested {
            if order.left() > 0
                && self.buckets.contains(piece.0, priority)
                && order.has.has(piece.0)
            {
                self.lease_new(piece.0, order);
            }
        }
        if self.settings.extent_affinity {
            self.lease_near(priority, order);
        }
        let mut found = Vec::new();
        while order.left() > 0 && self.buckets.count(priority) > 0 {
            let pieces = self.pieces_for(order.left());
            found.clear();
            let random = self.num_have() < self.settings.random_first;
            let (buckets, has) = (&mut self.buckets, order.has);
            let (rarity, rng) = (self.availability.all(), &mut self.rng);
            if order.speed == Speed::Snubbed {
                buckets.commonest(priority, has, pieces, rarity, rng, &mut found);
            } else if random {
                buckets.anywhere(priority, has, pieces, rng, &mut found);
            } else {
                buckets.file(rarity);
                buckets.rarest(priority, has, pieces, rarity, rng, &mut found);
            }
            if found.is_empty() {
                return;
            }
            for &piece in &found {
                self.lease_new(piece, order);
            }
        }
    }

    /// The open pieces of one priority next to those begun last.
    fn lease_near(&mut self, priority: Priority, order: &mut PickRequest<'_>) {
        let near: Vec<u32> = self
            .extents
            .runs()
            .flatten()
            .filter(|&piece| self.buckets.contains(piece, priority) && order.has.has(piece))
            .take(self.pieces_for(order.left()))
            .collect();
        for piece in near {
            self.lease_new(piece, order);
        }
    }

    fn pick_in_order(&mut self, order: &mut PickRequest<'_>) {
        let begun = self.candidates(order);
        let mut next = Vec::new();
        let ranges = [self.order.range, Some((0, u32::MAX))];
        for priority in Priority::wanted() {
            for range in ranges.into_iter().flatten() {
                // One more than whole pieces would take: the last one of the
                // torrent may be short.
                let pieces = self.pieces_for(order.left()) + 1;
                next.clear();
                self.buckets
                    .first(priority, order.has, range, pieces, &mut next);
                let within = |piece: u32| (range.0..=range.1).contains(&piece);
                next.extend(
                    begun
                        .iter()
                        .filter(|it| it.priority == priority && within(it.piece))
                        .map(|it| it.piece),
                );
                next.sort_unstable();
                for &piece in &next {
                    if self.downloading.contains(piece) {
                        self.lease_begun(piece, order);
                    } else {
                        self.lease_new(piece, order);
                    }
                    if order.left() == 0 {
                        return;
                    }
                }
            }
        }
    }

    /// How many whole pieces `blocks` blocks are, rounded up.
    fn pieces_for(&self, blocks: usize) -> usize {
        let in_piece = self.layout.blocks_in_piece(PieceIndex(0)).max(1);
        blocks.div_ceil(in_piece as usize)
    }

    fn lease_begun(&mut self, piece: u32, order: &mut PickRequest<'_>) {
        if let Some(partial) = self.downloading.get_mut(piece) {
            order.lease(piece, partial);
            if partial.open() == 0 {
                self.refresh_choosable(piece);
            }
        }
    }

    fn lease_new(&mut self, piece: u32, order: &mut PickRequest<'_>) {
        if order.left() > 0 {
            let owner = (order.speed != Speed::Slow).then_some(order.peer);
            self.begin(piece, owner);
            self.extents.begun(piece);
            self.lease_begun(piece, order);
        }
    }

    /// The end game: what peers hold that are no quicker is asked for once more. The pieces begun
    /// last come first, and in each the last blocks, so that the peers meet in
    /// the middle instead of sending the same blocks at the same time.
    fn pick_again(&mut self, order: &mut PickRequest<'_>) {
        let until = order.until.min(order.out.len() + END_GAME_BATCH);
        let mut begun: Vec<(u64, u32)> = self
            .downloading
            .iter()
            .filter(|(piece, partial)| {
                partial.leased() > 0
                    && self.lacking.get(*piece)
                    && order.has.has(*piece)
                    && !self.time_critical.contains(piece)
            })
            .map(|(piece, partial)| (partial.serial, piece))
            .collect();
        begun.sort_unstable_by(|a, b| b.cmp(a));
        let download_rates = &self.download_rates;
        let rate_of = |peer| download_rates.get(&peer).copied().unwrap_or(0);
        let mine = rate_of(order.peer);
        let quicker = |holder| rate_of(holder) > mine;
        for holders in 1..MAX_LEASES {
            for &(_, piece) in &begun {
                let left = until - order.out.len();
                if left == 0 {
                    return;
                }
                if let Some(partial) = self.downloading.get_mut(piece) {
                    partial.lease_again(order.peer, holders, left, quicker, |index| {
                        order.out.push(Block::new(PieceIndex(piece), index));
                    });
                }
            }
        }
    }
}
